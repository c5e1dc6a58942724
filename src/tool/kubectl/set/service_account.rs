//! `kubectl set serviceaccount`.

use super::{MANAGER, about, pod_spec_path, stays_here, targets};
use crate::cluster::PatchKind;
use crate::object::Json;
use crate::object::patch::merge;
use crate::tool::kubectl::builder::{FILENAME, Info};
use crate::tool::kubectl::command::{Call, Command};
use crate::tool::kubectl::failure::Failure;
use crate::tool::kubectl::mutation::{ALL, DRY_RUN, DryRun, LOCAL, RECORD, Writer};
use crate::tool::kubectl::printing::{PRINT, Printer};

/// The command.
pub static COMMAND: Command = Command::leaf(
    "kubectl set serviceaccount",
    "(-f FILENAME | TYPE NAME) SERVICE_ACCOUNT",
    "Update the service account of a resource",
    &[ALL, LOCAL, FILENAME, PRINT, DRY_RUN, MANAGER, RECORD],
    run,
)
.aliases(&["sa"]);

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let writer = Writer::of(call)?;
    if call.flags.on("local") && writer.dry_run == DryRun::Server {
        return Err("cannot specify --local and --dry-run=server - did you mean --dry-run=client?".into());
    }
    Printer::of(call, writer.dry_run)?;
    let Some((account, resources)) = call.args.split_last().map(|(account, resources)| (account.clone(), resources.to_vec())) else {
        return Err("serviceaccount is required".into());
    };
    let infos = targets(call, &resources)?.objects()?;
    let mut failures = Vec::new();
    for info in infos {
        if let Err(failure) = set(call, &writer, info, &account) {
            failures.push(failure);
        }
    }
    Failure::all(failures)
}

fn set(call: &mut Call<'_, '_>, writer: &Writer, mut info: Info, account: &str) -> Result<(), Failure> {
    let path = pod_spec_path(&info.object).map_err(|why| about(&info.object, call, &why))?;
    let before = info.object.clone();
    info.object.at_mut(path).set("serviceAccountName", account);
    let mut printer = Printer::of(call, writer.dry_run)?;
    if stays_here(call, writer.dry_run) {
        return printer.print(call, &info.object, "serviceaccount updated");
    }
    let patch: Json = merge::diff(&before, &info.object);
    let sent = writer.patch(call, &info, PatchKind::Strategic, patch);
    let object = sent.map_err(|failure| format!("failed to patch ServiceAccountName {failure}"))?;
    printer.print(call, &object, "serviceaccount updated")
}
