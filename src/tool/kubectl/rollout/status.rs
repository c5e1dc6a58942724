//! `kubectl rollout status`: follows a rollout until it is done.

use super::progress::progress;
use super::{group_kind, targets};
use crate::cluster::Woken;
use crate::tool::kubectl::builder::{FILENAME, Info, SELECTOR};
use crate::tool::kubectl::command::{Call, Command};
use crate::tool::kubectl::failure::Failure;
use crate::tool::kubectl::flags::Flag;
use crate::tool::kubectl::mutation;

static FLAGS: &[Flag] = &[
    Flag::int("revision", "0", "Follow this revision only; 0 for the last one."),
    Flag::duration("timeout", "0s", "How long to follow the rollout (1s, 2m, 3h); 0 for ever."),
    Flag::switch("watch", "Follow the rollout until it is done.").short('w').default("true"),
];

/// The command.
pub static COMMAND: Command = Command::leaf(
    "kubectl rollout status",
    "(TYPE NAME | TYPE/NAME) [flags]",
    "Show the status of the rollout",
    &[FLAGS, FILENAME, SELECTOR],
    run,
);

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let revision = call.flags.int("revision");
    if revision < 0 {
        return Err(format!("revision must be a positive integer: {revision}").into());
    }
    let found = targets(call)?;
    let infos = found.flat();
    let mut failures = found.failures;
    if infos.is_empty() && failures.is_empty() {
        let namespace = call.namespace.clone();
        call.complain(format!("No resources found in {namespace} namespace."));
    }
    for (at, mut info) in infos.into_iter().enumerate() {
        // Objects after the first were read before that one's rollout was waited for.
        let current = if at > 0 { info.read(call) } else { Ok(()) };
        match current.and_then(|()| follow(call, info, revision)) {
            Err(cut @ Failure::Exit(_)) => return Err(cut),
            Err(failure) => failures.push(failure),
            Ok(()) => {}
        }
    }
    Failure::all(failures)
}

/// Prints a line at each change of the object until its rollout is done.
fn follow(call: &mut Call<'_, '_>, mut info: Info, revision: i64) -> Result<(), Failure> {
    if !matches!(info.resource.kind.as_str(), "Deployment" | "DaemonSet" | "StatefulSet") || info.resource.group != "apps" {
        return Err(format!("no status viewer has been implemented for {}", group_kind(&info)).into());
    }
    let timeout = call.flags.nanos("timeout");
    let until = mutation::from_now(call, if timeout > 0 { timeout } else { -1 });
    loop {
        let (line, done) = progress(&info.object, revision)?;
        call.say(line);
        if done || !call.flags.on("watch") {
            return Ok(());
        }
        let version = info.object.resource_version().to_owned();
        while info.object.resource_version() == version {
            let interest = mutation::changes_of(&info);
            if mutation::wait(call, until, &[interest])? == Woken::Time {
                return Err("timed out waiting for the condition".into());
            }
            info.read(call).map_err(|failure| if failure.is_not_found() { "object has been deleted".into() } else { failure })?;
        }
    }
}
