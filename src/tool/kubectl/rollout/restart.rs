//! `kubectl rollout restart`, `pause` and `resume`: one change of the pod template or of `spec.paused`.

use super::targets;
use crate::object::Object;
use crate::tool::kubectl::builder::{FILENAME, Info, SELECTOR};
use crate::tool::kubectl::command::{Call, Command};
use crate::tool::kubectl::failure::{Failure, quote};
use crate::tool::kubectl::flags::Flag;
use crate::tool::kubectl::mutation::{self, DryRun, Writer};
use crate::tool::kubectl::printing::{PRINT, Printer};

static MANAGER: &[Flag] = &[Flag::text("field-manager", "In whose name the fields are owned.").default("kubectl-rollout")];

/// `kubectl rollout restart`.
pub static RESTART: Command =
    Command::leaf("kubectl rollout restart", "RESOURCE", "Restart a resource", &[FILENAME, SELECTOR, PRINT, MANAGER], run_restart);

/// `kubectl rollout pause`.
pub static PAUSE: Command = Command::leaf(
    "kubectl rollout pause",
    "RESOURCE",
    "Mark the provided resource as paused",
    &[FILENAME, SELECTOR, PRINT, MANAGER],
    run_pause,
);

/// `kubectl rollout resume`.
pub static RESUME: Command =
    Command::leaf("kubectl rollout resume", "RESOURCE", "Resume a paused resource", &[FILENAME, SELECTOR, PRINT, MANAGER], run_resume);

fn run_restart(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let now = call.now().rfc3339();
    change_all(call, "restarted", |object| {
        if !matches!(object.kind(), "Deployment" | "DaemonSet" | "StatefulSet") {
            return Err("restarting is not supported");
        }
        if object.at(&["spec", "paused"]).is_true() {
            return Err("can't restart paused deployment (run rollout resume first)");
        }
        object.set_at(&["spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt"], now.as_str());
        Ok(())
    })
}

fn run_pause(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    change_all(call, "paused", |object| match object.kind() {
        "Deployment" if object.at(&["spec", "paused"]).is_true() => Err("is already paused"),
        "Deployment" => {
            object.set_at(&["spec", "paused"], true);
            Ok(())
        }
        _ => Err("pausing is not supported"),
    })
}

fn run_resume(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    change_all(call, "resumed", |object| match object.kind() {
        "Deployment" if object.at(&["spec", "paused"]).is_true() => {
            object.remove_at(&["spec", "paused"]);
            Ok(())
        }
        "Deployment" => Err("is not paused"),
        _ => Err("resuming is not supported"),
    })
}

/// Changes every object that is named, as far as possible.
fn change_all(call: &mut Call<'_, '_>, operation: &str, change: impl Fn(&mut Object) -> Result<(), &'static str>) -> Result<(), Failure> {
    let found = targets(call)?;
    let infos = found.flat();
    let mut failures = found.failures;
    if infos.is_empty() && failures.is_empty() {
        let namespace = call.namespace.clone();
        call.complain(format!("No resources found in {namespace} namespace."));
        return Ok(());
    }
    let writer = Writer { manager: call.flags.text("field-manager").into(), ..Writer::default() };
    let mut printer = Printer::of(call, DryRun::None)?;
    for mut info in infos {
        let before = info.object.clone();
        let done = match change(&mut info.object) {
            Ok(()) => send(call, &writer, &info, &before),
            Err(why) => Err(format!("error: {} {} {why}", info.resource.qualified_plural(), quote(&info.name)).into()),
        };
        match done.and_then(|object| printer.print(call, &object, operation)) {
            Ok(()) => {}
            Err(failure) => failures.push(failure),
        }
    }
    Failure::all(failures)
}

fn send(call: &mut Call<'_, '_>, writer: &Writer, info: &Info, before: &Object) -> Result<Object, Failure> {
    match mutation::patch_changes(call, writer, info, before) {
        Ok(Some(object)) => Ok(object),
        Ok(None) => Err(format!(
            "failed to create patch for {}: if restart has already been triggered within the past second, please wait before attempting to \
             trigger another",
            info.name
        )
        .into()),
        Err(failure) => Err(format!("failed to patch: {failure}").into()),
    }
}
