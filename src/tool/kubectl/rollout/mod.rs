//! `kubectl rollout`: status, history, undo, restart, pause and resume of Deployments, DaemonSets and StatefulSets.

mod history;
pub mod progress;
mod restart;
mod status;
mod undo;

use super::builder::{Builder, Found, Info, has_files};
use super::command::{Call, Command};
use super::failure::Failure;

/// The group.
pub static COMMAND: Command = Command::group(
    "kubectl rollout",
    "SUBCOMMAND",
    "Manage the rollout of a resource",
    &[&history::COMMAND, &restart::PAUSE, &restart::RESTART, &restart::RESUME, &status::COMMAND, &undo::COMMAND],
);

/// Reads the objects that the arguments name; a type alone means all of it.
fn targets(call: &mut Call<'_, '_>) -> Result<Found, Failure> {
    if call.args.is_empty() && !has_files(&call.flags) {
        return Err("required resource not specified".into());
    }
    let (args, labels) = (call.args.clone(), call.flags.text("selector"));
    Builder::new(call)
        .labels(&labels)
        .files(call, call.namespace_given)
        .types_or_names(call, true, &args)
        .continue_on_error()
        .latest()
        .fetch(call)
}

/// Go's name for a kind: `Deployment.apps`.
pub fn group_kind(info: &Info) -> String {
    if info.resource.group.is_empty() { info.resource.kind.clone() } else { format!("{}.{}", info.resource.kind, info.resource.group) }
}
