//! MongoDB's users: roles that are taken away, users that are dropped.
//!
//! Programs are run in the store's pod, as an operator would with `kubectl exec`. The services that read the store are restarted: they
//! keep what they read at their start in memory, so that nobody would notice before. What a user may do is told by trying ([`Account`]),
//! which asks nothing of how users and roles came about.

use super::FaultError;
use super::edit::{self, Step, Undo, shell_word, unexpected};
use crate::cluster::{Cluster, Right};
use serde::Deserialize;

/// A user of a store as a service logs in, and data that it reads.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Deployment of the store.
    pub deployment: String,
    /// User.
    pub user: String,
    /// Its password.
    pub password: String,
    /// Database.
    pub database: String,
    /// Collection.
    pub collection: String,
}

/// What a store lets somebody do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read the data.
    Reads,
    /// Log in, but not read.
    Refused,
    /// Not even log in.
    Unknown,
}

/// A user and its password.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// User.
    pub user: String,
    /// Its password.
    pub password: String,
}

/// A role on a database.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Role.
    pub role: String,
    /// Database.
    pub db: String,
}

/// A user's role is revoked, and the services that need it are restarted.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeRole {
    /// Whose role.
    pub account: Account,
    /// The role, on the account's database.
    pub role: String,
    /// Who revokes it.
    pub by: Login,
    /// Deployments that are restarted.
    pub readers: Vec<String>,
}

/// A user is dropped, and the services that log in as it are restarted.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropUser {
    /// Who is dropped.
    pub account: Account,
    /// The roles that it had.
    pub roles: Vec<Role>,
    /// Who drops it.
    pub by: Login,
    /// Deployments that are restarted.
    pub readers: Vec<String>,
}

impl Account {
    /// What the store lets this user do.
    ///
    /// # Errors
    /// Why it cannot be told.
    pub fn access(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<Access, FaultError> {
        self.tried(cluster, namespace, true)
    }

    /// What the store lets somebody do who does not say who they are.
    ///
    /// # Errors
    /// Why it cannot be told.
    pub fn anonymous_access(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<Access, FaultError> {
        self.tried(cluster, namespace, false)
    }

    fn tried(&self, cluster: &mut dyn Cluster, namespace: &str, logs_in: bool) -> Result<Access, FaultError> {
        let script = format!("print(db.runCommand({{ count: {:?} }}).ok)", self.collection);
        let login = Login { user: self.user.clone(), password: self.password.clone() };
        let argv = shell(&self.database, logs_in.then_some(&login), &script);
        let output = edit::attempt(cluster, namespace, &self.deployment, &argv)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        match (output.exit_code, text.trim()) {
            (0, "1") => Ok(Access::Reads),
            (0, "0") => Ok(Access::Refused),
            (_, text) if text.contains("Authentication failed") => Ok(Access::Unknown),
            (code, text) => {
                let found = format!("exit code {code}: {}", text.chars().take(200).collect::<String>());
                Err(unexpected(format!("store {:?}", self.deployment), "an answer", found))
            }
        }
    }

    fn require(&self, cluster: &mut dyn Cluster, namespace: &str, wanted: Access) -> Result<(), FaultError> {
        match self.access(cluster, namespace)? {
            found if found == wanted => Ok(()),
            found => {
                let what = format!("user {:?} of store {:?}", self.user, self.deployment);
                Err(unexpected(what, format!("{wanted:?}"), format!("{found:?}")))
            }
        }
    }
}

/// The command line of the `mongo` shell for a script.
fn shell(database: &str, login: Option<&Login>, script: &str) -> Vec<String> {
    let login = login.map(|who| ["-u", &who.user, "-p", &who.password, "--authenticationDatabase", "admin"]);
    let words = ["mongo", database].into_iter().chain(login.iter().flatten().copied()).chain(["--quiet", "--eval", script]);
    words.map(str::to_owned).collect()
}

/// A text as the shell's scripts write it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

fn role_text(role: &Role) -> String {
    format!("{{role: {}, db: {}}}", quoted(&role.role), quoted(&role.db))
}

impl RevokeRole {
    fn script(&self, function: &str) -> Vec<String> {
        let role = role_text(&Role { role: self.role.clone(), db: self.account.database.clone() });
        shell("admin", Some(&self.by), &format!("db.{function}({}, [{role}]);", quoted(&self.account.user)))
    }

    pub(super) fn inject(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<Undo, FaultError> {
        self.account.require(cluster, namespace, Access::Reads)?;
        let undo = undo(&self.account, self.script("grantRolesToUser"), &self.readers);
        change(cluster, namespace, &self.account, (&self.script("revokeRolesFromUser"), &self.readers))?;
        Ok(undo)
    }

    pub(super) fn prove(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<(), FaultError> {
        self.account.require(cluster, namespace, Access::Refused)
    }
}

impl DropUser {
    pub(super) fn inject(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<Undo, FaultError> {
        self.account.require(cluster, namespace, Access::Reads)?;
        let user = quoted(&self.account.user);
        let roles = self.roles.iter().map(role_text).collect::<Vec<_>>().join(", ");
        let create = format!("db.createUser({{user: {user}, pwd: {}, roles: [{roles}]}});", quoted(&self.account.password));
        let undo = undo(&self.account, shell("admin", Some(&self.by), &create), &self.readers);
        let drop = shell("admin", Some(&self.by), &format!("db.dropUser({user});"));
        change(cluster, namespace, &self.account, (&drop, &self.readers))?;
        Ok(undo)
    }

    pub(super) fn prove(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<(), FaultError> {
        self.account.require(cluster, namespace, Access::Unknown)
    }
}

/// Runs a script in the store's pod, then replaces the pods of those who read it.
fn change(
    cluster: &mut dyn Cluster,
    namespace: &str,
    account: &Account,
    (argv, readers): (&[String], &[String]),
) -> Result<(), FaultError> {
    edit::run(cluster, namespace, &account.deployment, argv)?;
    readers.iter().try_for_each(|reader| edit::replace_pods(cluster, namespace, reader))
}

/// The way back: the script, and fresh pods, which do not sit out the back-off of those that crashed.
fn undo(account: &Account, argv: Vec<String>, readers: &[String]) -> Undo {
    let words = argv.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" ");
    let mut commands = vec![format!("exec deployment/{} -- {words}", account.deployment)];
    commands.extend(readers.iter().map(|reader| format!("rollout restart deployment/{reader}")));
    let mut steps = vec![Step::Run { deployment: account.deployment.clone(), argv }];
    steps.extend(readers.iter().map(|reader| Step::Replace(reader.clone())));
    let awaited = readers.last().unwrap_or(&account.deployment);
    Undo { steps, commands, ..Undo::of("deployment", awaited) }
}

/// The rights that these recipes need.
pub(super) fn rights(namespace: &str) -> Vec<Right> {
    let right = |verb, group, resource| Right { verb, group, resource, namespace: Some(namespace.into()) };
    vec![right("get", "apps", "deployments"), right("list", "", "pods"), right("delete", "", "pods"), right("create", "", "pods/exec")]
}
