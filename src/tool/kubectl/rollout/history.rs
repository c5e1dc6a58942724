//! `kubectl rollout history`: the revisions of a workload, and reading them for `undo`.

use super::{group_kind, targets};
use crate::cluster::{ApiRequest, Options};
use crate::object::{Json, Object};
use crate::tool::kubectl::builder::{FILENAME, Info, SELECTOR};
use crate::tool::kubectl::command::{Call, Command};
use crate::tool::kubectl::describe::pod_template;
use crate::tool::kubectl::failure::{Failure, quote};
use crate::tool::kubectl::flags::Flag;
use crate::tool::kubectl::mutation::DryRun;
use crate::tool::kubectl::pods::selector_text;
use crate::tool::kubectl::printing::{PRINT, Printer};

static FLAGS: &[Flag] = &[Flag::int("revision", "0", "Show this revision with its pod template.")];

/// The command.
pub static COMMAND: Command = Command::leaf(
    "kubectl rollout history",
    "(TYPE NAME | TYPE/NAME) [flags]",
    "View rollout history",
    &[FLAGS, FILENAME, SELECTOR, PRINT],
    run,
);

const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";
const REVISION: &str = "deployment.kubernetes.io/revision";

/// One revision of a workload.
#[derive(Debug, Clone)]
pub(super) struct Revision {
    /// Its number.
    pub number: i64,
    /// The ReplicaSet or ControllerRevision that keeps it.
    pub keeper: Object,
}

impl Revision {
    /// The pod template of this revision.
    pub fn template(&self) -> Json {
        let path: &[&str] = if self.keeper.kind() == "ControllerRevision" { &["data", "spec", "template"] } else { &["spec", "template"] };
        let mut template = self.keeper.at(path).clone();
        template.remove("$patch");
        template
    }

    /// The template as history shows it: with the cause of a ReplicaSet's change among its annotations.
    fn shown(&self) -> Json {
        let mut template = self.template();
        let cause = self.keeper.annotation(CHANGE_CAUSE).filter(|cause| !cause.is_empty());
        if let Some(cause) = cause.filter(|_| self.keeper.kind() != "ControllerRevision") {
            template.set_at(&["metadata", "annotations", CHANGE_CAUSE], cause);
        }
        template
    }

    fn change_cause(&self) -> &str {
        match self.keeper.annotation(CHANGE_CAUSE) {
            None | Some("") => "<none>",
            Some(cause) => cause,
        }
    }
}

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let wanted = call.flags.int("revision");
    if wanted < 0 {
        return Err(format!("revision must be a positive integer: {wanted}").into());
    }
    let found = targets(call)?;
    let infos = found.flat();
    let mut printer = Printer::of(call, DryRun::None)?;
    let mut failures = found.failures;
    for info in infos {
        if let Err(failure) = show(call, &mut printer, &info, wanted) {
            failures.push(failure);
        }
    }
    Failure::all(failures)
}

fn show(call: &mut Call<'_, '_>, printer: &mut Printer, info: &Info, wanted: i64) -> Result<(), Failure> {
    let revisions = revisions(call, info, "no history viewer has been implemented for")?;
    let chosen = revisions.iter().find(|revision| revision.number == wanted);
    if call.flags.changed("output") {
        if wanted > 0 {
            let chosen = chosen.ok_or("unable to find the specified revision")?;
            return printer.print(call, &as_object(&info.object, chosen), "");
        }
        return revisions.iter().try_for_each(|revision| printer.print(call, &as_object(&info.object, revision), ""));
    }
    let text = if revisions.is_empty() {
        "No rollout history found.".to_owned()
    } else if wanted > 0 {
        let chosen = chosen.ok_or("unable to find the specified revision")?;
        pod_template(call, &chosen.shown())
    } else {
        table(&revisions)
    };
    let head = if wanted > 0 { format!("with revision #{wanted}") } else { String::new() };
    printer.print(call, &info.object, &format!("{head}\n{text}"))
}

/// What `-o` prints of a revision: the ReplicaSet, or the workload with that revision's template.
fn as_object(workload: &Object, revision: &Revision) -> Object {
    if revision.keeper.kind() != "ControllerRevision" {
        return revision.keeper.clone();
    }
    let mut object = workload.clone();
    object.set_at(&["spec", "template"], revision.template());
    object
}

fn table(revisions: &[Revision]) -> String {
    let width = revisions.iter().map(|revision| revision.number.to_string().len()).max().unwrap_or(0).max("REVISION".len()) + 2;
    let mut out = format!("{:width$}CHANGE-CAUSE\n", "REVISION");
    for revision in revisions {
        out.push_str(&format!("{:width$}{}\n", revision.number.to_string(), revision.change_cause()));
    }
    out
}

/// The revisions of a workload, lowest first.
pub(super) fn revisions(call: &mut Call<'_, '_>, info: &Info, unsupported: &str) -> Result<Vec<Revision>, Failure> {
    let keeper = match (info.resource.group.as_str(), info.resource.kind.as_str()) {
        ("apps", "Deployment") => "replicasets.apps",
        ("apps", "DaemonSet" | "StatefulSet") => "controllerrevisions.apps",
        _ => return Err(format!("{unsupported} {}", quote(&group_kind(info))).into()),
    };
    let resource = call.mapper()?.resolve(keeper)?;
    let options = Options { label_selector: selector_text(info.object.at(&["spec", "selector"])), ..Options::default() };
    let request = ApiRequest::list(&resource, info.scope()).options(options);
    let kept = call.api(&request)?.into_items();
    let owned = |object: &Object| object.controller().is_some_and(|owner| owner.get("uid").text() == info.object.uid());
    let mut revisions: Vec<Revision> = Vec::new();
    for object in kept.into_iter().filter(owned) {
        let number = match object.kind() {
            "ControllerRevision" => object.get("revision").as_i64(),
            _ => object.annotation(REVISION).map_or(Some(0), |text| text.parse().ok()),
        };
        let Some(number) = number else { continue };
        revisions.retain(|revision| revision.number != number);
        revisions.push(Revision { number, keeper: object });
    }
    revisions.sort_by_key(|revision| revision.number);
    Ok(revisions)
}
