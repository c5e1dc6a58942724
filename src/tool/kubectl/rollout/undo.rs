//! `kubectl rollout undo`: back to an earlier revision.

use super::history::{Revision, revisions};
use super::targets;
use crate::cluster::PatchKind;
use crate::object::{Json, Object};
use crate::tool::kubectl::builder::{FILENAME, Info, SELECTOR};
use crate::tool::kubectl::command::{Call, Command};
use crate::tool::kubectl::describe::pod_template;
use crate::tool::kubectl::failure::{Failure, quote};
use crate::tool::kubectl::flags::Flag;
use crate::tool::kubectl::mutation::{DRY_RUN, DryRun, LAST_APPLIED, Writer};
use crate::tool::kubectl::printing::{PRINT, Printer};
use crate::{array, object};

static FLAGS: &[Flag] = &[Flag::int("to-revision", "0", "The revision to go back to; 0 for the one before the present.")];

/// The command.
pub static COMMAND: Command = Command::leaf(
    "kubectl rollout undo",
    "(TYPE NAME | TYPE/NAME) [flags]",
    "Undo a previous rollout",
    &[FLAGS, FILENAME, SELECTOR, PRINT, DRY_RUN],
    run,
);

/// Annotations of a Deployment that a rollback keeps.
const KEPT: [&str; 6] = [
    LAST_APPLIED,
    "deployment.kubernetes.io/revision",
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
];

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let dry_run = DryRun::of(call)?;
    let writer = Writer { dry_run, ..Writer::default() };
    let found = targets(call)?;
    let infos = found.flat();
    let mut printer = Printer::of(call, dry_run)?;
    let mut failures = found.failures;
    for info in infos {
        let done = roll_back(call, &writer, &info).and_then(|result| printer.print(call, &info.object, &result));
        if let Err(failure) = done {
            failures.push(failure);
        }
    }
    Failure::all(failures)
}

fn roll_back(call: &mut Call<'_, '_>, writer: &Writer, info: &Info) -> Result<String, Failure> {
    let wanted = call.flags.int("to-revision");
    let missing = || Failure::from(format!("unable to find specified revision {wanted} in history"));
    if wanted < 0 {
        return Err(missing());
    }
    let revisions = revisions(call, info, "no rollbacker has been implemented for")?;
    let before_last = revisions.len().checked_sub(2).and_then(|at| revisions.get(at));
    let chosen = if wanted == 0 { before_last } else { revisions.iter().find(|revision| revision.number == wanted) };
    let is_deployment = info.resource.kind == "Deployment";
    let chosen = match chosen {
        Some(chosen) => chosen,
        None if wanted > 0 => return Err(missing()),
        None if is_deployment => return Err(format!("no rollout history found for deployment {}", quote(&info.name)).into()),
        None => return Err("no last revision to roll back to".into()),
    };
    if writer.dry_run == DryRun::Client {
        let text = pod_template(call, &chosen.template());
        return Ok(if is_deployment { text } else { format!("will roll back to {text}") });
    }
    if info.object.at(&["spec", "paused"]).is_true() {
        return Err("you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume' and try again".into());
    }
    if without_hash(chosen.template()) == without_hash(info.object.at(&["spec", "template"]).clone()) {
        return Ok(format!("skipped rollback (current template already matches revision {wanted})"));
    }
    let (kind, patch) =
        if is_deployment { deployment_patch(&info.object, chosen) } else { (PatchKind::Strategic, chosen.keeper.get("data").clone()) };
    let failed = |failure: Failure| Failure::from(format!("failed restoring revision {wanted}: {failure}"));
    writer.patch(call, info, kind, patch).map_err(failed)?;
    Ok("rolled back".to_owned())
}

fn without_hash(mut template: Json) -> Json {
    template.remove_at(&["metadata", "labels", "pod-template-hash"]);
    if template.at(&["metadata", "creationTimestamp"]).is_null() {
        template.remove_at(&["metadata", "creationTimestamp"]);
    }
    template
}

fn deployment_patch(deployment: &Object, revision: &Revision) -> (PatchKind, Json) {
    let mut annotations = object! {};
    for (key, value) in deployment.at(&["metadata", "annotations"]).entries().filter(|(key, _)| KEPT.contains(&key.as_str())) {
        annotations.set(key, value);
    }
    for (key, value) in revision.keeper.at(&["metadata", "annotations"]).entries().filter(|(key, _)| !KEPT.contains(&key.as_str())) {
        annotations.set(key, value);
    }
    let template = without_hash(revision.template());
    let patch = array![
        object! { "op" => "replace", "path" => "/spec/template", "value" => template },
        object! { "op" => "replace", "path" => "/metadata/annotations", "value" => annotations },
    ];
    (PatchKind::Json, patch)
}
