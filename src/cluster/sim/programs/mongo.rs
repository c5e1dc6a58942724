//! MongoDB's state: users and roles, databases and documents, on the volume under `/data/db`.
//!
//! A volume outlives pods, so what was done to it stays; scripts in `/docker-entrypoint-initdb.d` run on an empty one only.
//!
//! Not modelled: replica sets, indices beyond their names, roles of one's own, TLS, storage engine and journal.

use crate::app::{Access, Credentials, Seed};
use crate::cluster::sim::exec;
use crate::cluster::sim::history::RunId;
use crate::cluster::sim::network;
use crate::cluster::sim::world::World;
use crate::object::Json;
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Everything on one volume.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Database {
    /// Whether a server has run on it; initialisation scripts are skipped then.
    pub initialised: bool,
    /// Users, in order of creation.
    pub users: Vec<User>,
    /// Collections by database and name.
    pub databases: BTreeMap<ArcStr, BTreeMap<ArcStr, Collection>>,
    /// Object ids given out so far.
    pub ids: u64,
}

/// A user.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Name.
    pub name: ArcStr,
    /// The database that holds it.
    pub database: ArcStr,
    /// Password.
    pub password: ArcStr,
    /// Roles.
    pub roles: Vec<Role>,
    /// A UUID.
    pub id: ArcStr,
}

/// A role of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// `readWrite` …
    pub role: ArcStr,
    /// The database on which it holds.
    pub database: ArcStr,
}

/// A collection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Collection {
    /// Documents, in order of insertion.
    pub documents: Arc<Vec<Json>>,
}

/// What a command wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read documents, count, list collections, statistics of a database.
    Read,
    /// Write documents, create and drop collections.
    Write,
    /// Change users and roles.
    ManageUsers,
    /// See users.
    ViewUsers,
    /// List databases.
    ListDatabases,
    /// Look at the server.
    Monitor,
    /// Change the server.
    Administer,
}

impl Database {
    /// The user with this name in this database.
    pub fn user(&self, database: &str, name: &str) -> Option<&User> {
        self.users.iter().find(|u| u.name == name && u.database == database)
    }

    /// As [`Database::user`], for changing.
    pub fn user_mut(&mut self, database: &str, name: &str) -> Option<&mut User> {
        self.users.iter_mut().find(|u| u.name == name && u.database == database)
    }

    /// Whether credentials are right.
    pub fn knows(&self, who: &Credentials) -> bool {
        self.user(&who.database, &who.user).is_some_and(|u| u.password == who.password)
    }

    /// The collection of a name, if there is one.
    pub fn collection(&self, database: &str, name: &str) -> Option<&Collection> {
        self.databases.get(database)?.get(name)
    }

    /// The collection of a name, created when there is none.
    pub fn collection_mut(&mut self, database: &str, name: &str) -> &mut Collection {
        self.databases.entry(database.into()).or_default().entry(name.into()).or_default()
    }
}

impl User {
    /// Whether the user may do something on a database.
    pub fn may(&self, action: Action, database: &str) -> bool {
        self.roles.iter().any(|r| r.allows(action, database))
    }
}

impl Role {
    /// Whether the role allows something on a database, by MongoDB's table of built-in roles.
    pub fn allows(&self, action: Action, database: &str) -> bool {
        use Action::{ListDatabases, ManageUsers, Monitor, Read, ViewUsers, Write};
        let here = self.database == database;
        let everywhere = self.database == "admin" && !matches!(database, "local" | "config");
        match self.role.as_str() {
            "read" => here && action == Read,
            "readWrite" => here && matches!(action, Read | Write),
            "dbAdmin" => here && matches!(action, Monitor),
            "userAdmin" => here && matches!(action, ManageUsers | ViewUsers),
            "dbOwner" => here && matches!(action, Read | Write | ManageUsers | ViewUsers | Monitor),
            "readAnyDatabase" => matches!(action, ListDatabases) || (everywhere && action == Read),
            "readWriteAnyDatabase" => matches!(action, ListDatabases) || (everywhere && matches!(action, Read | Write)),
            "userAdminAnyDatabase" => self.database == "admin" && matches!(action, ManageUsers | ViewUsers | ListDatabases),
            "dbAdminAnyDatabase" | "clusterMonitor" => self.database == "admin" && matches!(action, ListDatabases | Monitor),
            "clusterAdmin" | "clusterManager" | "hostManager" => {
                self.database == "admin" && matches!(action, ListDatabases | Monitor | Action::Administer)
            }
            "root" | "__system" => self.database == "admin",
            _ => false,
        }
    }

    /// Whether MongoDB knows a built-in role of this name in a database.
    pub fn exists(role: &str, database: &str) -> bool {
        let everywhere = ["read", "readWrite", "dbAdmin", "dbOwner", "userAdmin", "enableSharding"];
        let admin = [
            "readAnyDatabase",
            "readWriteAnyDatabase",
            "userAdminAnyDatabase",
            "dbAdminAnyDatabase",
            "clusterMonitor",
            "clusterAdmin",
            "clusterManager",
            "hostManager",
            "root",
            "backup",
            "restore",
            "__system",
        ];
        everywhere.contains(&role) || (database == "admin" && admin.contains(&role))
    }
}

/// The identity of the storage of a server.
fn storage(world: &World, run: RunId) -> ArcStr {
    let mounted = super::launch(world, run).and_then(|l| l.data.get("/data/db").cloned());
    mounted.unwrap_or_else(|| format!("container/{}", run.0).into())
}

/// What a server holds.
pub fn database(world: &World, run: RunId) -> Arc<Database> {
    world.programs.databases.get(&storage(world, run)).cloned().unwrap_or_default()
}

/// Changes what a server holds. Whoever may be let in or kept out by it finds out.
pub fn change<R>(world: &mut World, run: RunId, edit: impl FnOnce(&mut Database) -> R) -> R {
    let storage = storage(world, run);
    let database = world.programs.databases.entry(storage).or_default();
    let result = edit(Arc::make_mut(database));
    network::review(world);
    result
}

/// Whether a server demands that clients say who they are.
pub fn demands_authentication(world: &World, run: RunId) -> bool {
    super::instance(world, run).is_some_and(|i| i.named("auth").is_some_and(|a| !a.is_empty()))
}

/// Whether a server accepts credentials. They are checked whether or not it demands any.
pub fn knows(world: &World, run: RunId, who: &Credentials) -> bool {
    database(world, run).knows(who)
}

/// Whether a client may do something in a database; `command` is the command as the error quotes it.
///
/// # Errors
/// MongoDB's text.
pub fn access(world: &World, run: RunId, who: Option<&Credentials>, what: (&str, Access), command: &str) -> Result<(), ArcStr> {
    let action = if what.1 == Access::Read { Action::Read } else { Action::Write };
    let held = database(world, run);
    if let Some(who) = who.filter(|who| !held.knows(who)) {
        let _ = who;
        return Err(arcstr::literal!("server returned error on SASL authentication step: Authentication failed."));
    }
    let allowed =
        !demands_authentication(world, run) || who.and_then(|w| held.user(&w.database, &w.user)).is_some_and(|u| u.may(action, what.0));
    if allowed {
        return Ok(());
    }
    Err(match who {
        Some(_) => format!("not authorized on {} to execute command {command}", what.0).into(),
        None => format!("command {} requires authentication", command.trim_start_matches("{ ").split(':').next().unwrap_or("find")).into(),
    })
}

/// The documents that a seed would write: those whose key is not there yet.
pub(super) fn missing(world: &World, run: RunId, seed: &Seed, documents: &[Json]) -> Vec<Json> {
    let held = database(world, run);
    let there: Vec<&Json> = held.collection(&seed.database, &seed.collection).into_iter().flat_map(|c| c.documents.iter()).collect();
    let keys: std::collections::BTreeSet<&str> = there.iter().map(|d| d.get(&seed.key).text()).collect();
    documents.iter().filter(|d| !keys.contains(d.get(&seed.key).text())).cloned().collect()
}

/// Writes documents.
pub(super) fn insert(world: &mut World, run: RunId, database: &str, collection: &str, documents: Vec<Json>) {
    change(world, run, |held| {
        let target = held.collection_mut(database, collection);
        Arc::make_mut(&mut target.documents).extend(documents);
    });
}

/// Runs the scripts of an empty volume; returns how long that takes.
pub(super) fn prepare(world: &mut World, run: RunId) -> Duration {
    let Some(launch) = super::launch(world, run) else { return Duration::ZERO };
    let fresh = !database(world, run).initialised;
    if !fresh {
        return Duration::ZERO;
    }
    change(world, run, |held| {
        held.initialised = true;
        held.databases.entry("admin".into()).or_default();
        held.databases.entry("config".into()).or_default();
        held.databases.entry("local".into()).or_default();
    });
    let through_entry_point = launch.argv.first().is_some_and(|a| a.ends_with("docker-entrypoint.sh"));
    let scripts: Vec<_> = launch.files.iter().filter(|(path, _)| path.starts_with("/docker-entrypoint-initdb.d/")).collect();
    if !through_entry_point || scripts.is_empty() {
        return Duration::ZERO;
    }
    // A server without authentication, reachable from within only, for the scripts.
    let mut took = Duration::from_millis(1_100);
    for (path, _) in scripts {
        if path.ends_with(".sh") || path.ends_with(".js") {
            took += exec::initialise(world, run, path, took);
        }
    }
    let at = world.now + took;
    for line in ["", "MongoDB init process complete; ready for start up.", ""] {
        world.history.write(run, at, line);
    }
    took + Duration::from_millis(150)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_roles() {
        let check = |role: &str, of: &str, action: Action, on: &str, expect: bool| {
            let role = Role { role: role.into(), database: of.into() };
            assert_eq!(role.allows(action, on), expect, "{role:?} {action:?} on {on}");
        };
        check("readWrite", "geo-db", Action::Write, "geo-db", true);
        check("readWrite", "geo-db", Action::Read, "rate-db", false);
        check("userAdminAnyDatabase", "admin", Action::ManageUsers, "geo-db", true);
        check("userAdminAnyDatabase", "admin", Action::Read, "geo-db", false);
        check("userAdminAnyDatabase", "geo-db", Action::ManageUsers, "geo-db", false);
        check("root", "admin", Action::Write, "geo-db", true);
        check("read", "geo-db", Action::Write, "geo-db", false);
        check("readAnyDatabase", "admin", Action::Read, "geo-db", true);
        assert!(Role::exists("readWrite", "geo-db") && !Role::exists("root", "geo-db") && !Role::exists("readwrite", "geo-db"));
    }
}
