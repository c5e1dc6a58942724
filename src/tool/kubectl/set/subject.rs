//! `kubectl set subject`.

use super::{MANAGER, Words, about, change_all, targets};
use crate::tool::kubectl::builder::{FILENAME, Info, SELECTOR};
use crate::tool::kubectl::command::{Call, Command};
use crate::tool::kubectl::create::policies::Subjects;
use crate::tool::kubectl::failure::Failure;
use crate::tool::kubectl::flags::Flag;
use crate::tool::kubectl::mutation::{ALL, DRY_RUN, DryRun, LOCAL, Writer};
use crate::tool::kubectl::printing::{PRINT, Printer};

static FLAGS: &[Flag] = &[
    Flag::list("group", "Group to bind; may be repeated."),
    Flag::list("serviceaccount", "Service account to bind, NAMESPACE:NAME; may be repeated."),
    Flag::list("user", "User to bind; may be repeated."),
];

/// The command.
pub static COMMAND: Command = Command::leaf(
    "kubectl set subject",
    "(-f FILENAME | TYPE NAME) [--user=username] [--group=groupname] [--serviceaccount=namespace:serviceaccountname] \
     [--dry-run=server|client|none]",
    "Update the user, group, or service account in a role binding or cluster role binding",
    &[FLAGS, ALL, LOCAL, FILENAME, PRINT, DRY_RUN, MANAGER, SELECTOR],
    run,
);

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list.dedup();
    list
}

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let writer = Writer::of(call)?;
    Printer::of(call, writer.dry_run)?;
    let args = call.args.clone();
    let infos = targets(call, &args)?.objects()?;
    let (users, groups) = (sorted(call.flags.list("user")), sorted(call.flags.list("group")));
    let accounts = accounts(call, &writer, &infos)?;
    if users.is_empty() && groups.is_empty() && accounts.is_empty() {
        return Err("you must specify at least one value of user, group or serviceaccount".into());
    }
    let subjects = Subjects { users: &users, groups: &groups, service_accounts: &accounts }.to_json()?;
    let words = Words { done: "subjects updated", failed: "failed to patch subjects to rolebinding:" };
    let failures = change_all(call, &writer, infos, &words, |call, object| {
        if !matches!(object.kind(), "RoleBinding" | "ClusterRoleBinding") {
            return Err(vec![about(object, call, "setting subjects is only supported for RoleBinding/ClusterRoleBinding")]);
        }
        for subject in subjects.items() {
            if !object.get("subjects").items().contains(subject) {
                object.get_mut("subjects").push(subject);
            }
        }
        Ok(())
    });
    Failure::all(failures)
}

/// The service accounts, each with a namespace.
fn accounts(call: &Call<'_, '_>, writer: &Writer, infos: &[Info]) -> Result<Vec<String>, Failure> {
    if call.flags.on("local") && writer.dry_run == DryRun::Server {
        return Err("cannot specify --local and --dry-run=server - did you mean --dry-run=client?".into());
    }
    if call.flags.on("all") && !call.flags.text("selector").is_empty() {
        return Err("cannot set --all and --selector at the same time".into());
    }
    let mut accounts = Vec::new();
    for account in sorted(call.flags.list("serviceaccount")) {
        match account.split(':').collect::<Vec<_>>().as_slice() {
            [_, ""] => return Err("serviceaccount must be <namespace>:<name>".into()),
            ["", _] if infos.iter().any(|info| info.object.kind() == "ClusterRoleBinding") => {
                return Err("serviceaccount must be <namespace>:<name>, namespace must be specified".into());
            }
            ["", name] => accounts.push(format!("{}:{name}", call.namespace)),
            [_, _] => accounts.push(account),
            _ => return Err("serviceaccount must be <namespace>:<name>".into()),
        }
    }
    Ok(accounts)
}
