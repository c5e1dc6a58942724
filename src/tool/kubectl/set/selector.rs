//! `kubectl set selector`.

use super::{MANAGER, stays_here, targets};
use crate::cluster::PatchKind;
use crate::object;
use crate::object::Json;
use crate::object::selector::Selector;
use crate::tool::kubectl::builder::{FILENAME, Info};
use crate::tool::kubectl::command::{Call, Command};
use crate::tool::kubectl::failure::Failure;
use crate::tool::kubectl::flags::Flag;
use crate::tool::kubectl::mutation::{ALL, DRY_RUN, LOCAL, RECORD, Writer};
use crate::tool::kubectl::printing::{PRINT, Printer};

static FLAGS: &[Flag] = &[Flag::text("resource-version", "Change only if this is the present version; for one object.")];

/// The command.
pub static COMMAND: Command = Command::leaf(
    "kubectl set selector",
    "(-f FILENAME | TYPE NAME) EXPRESSIONS [--resource-version=version]",
    "Set the selector on a resource",
    &[FLAGS, ALL, LOCAL, FILENAME, PRINT, DRY_RUN, MANAGER, RECORD],
    run,
);

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let writer = Writer::of(call)?;
    Printer::of(call, writer.dry_run)?;
    let Some((text, resources)) = call.args.split_last().map(|(text, resources)| (text.clone(), resources.to_vec())) else {
        return Err("one selector is required".into());
    };
    let labels = equalities(&text)?;
    let found = targets(call, &resources)?;
    let infos = found.flat();
    let mut failures = found.failures;
    for info in infos {
        if let Err(failure) = set(call, &writer, info, &labels) {
            failures.push(failure);
        }
    }
    Failure::all(failures)
}

/// The labels of a selector of equalities.
///
/// # Errors
/// When it is malformed.
pub fn equalities(text: &str) -> Result<Json, String> {
    Selector::parse(text)?;
    let mut labels = object! {};
    for part in text.split(',').filter(|part| !part.trim().is_empty()) {
        let (key, value) = part.split_once('=').ok_or_else(|| format!("couldn't parse the selector string \"{text}\": {part}"))?;
        labels.set(key.trim(), value.trim_start_matches('=').trim());
    }
    Ok(labels)
}

fn set(call: &mut Call<'_, '_>, writer: &Writer, mut info: Info, labels: &Json) -> Result<(), Failure> {
    if info.object.kind() != "Service" {
        return Err("setting a selector is only supported for Services".into());
    }
    let mut selector = labels.clone();
    for (key, _) in info.object.at(&["spec", "selector"]).entries().filter(|(key, _)| labels.get(key).is_null()) {
        selector.set(key, Json::Null);
    }
    info.object.set_at(&["spec", "selector"], labels.clone());
    let mut patch = object! { "spec" => object! { "selector" => selector } };
    let version = call.flags.text("resource-version");
    if !version.is_empty() {
        patch.set_at(&["metadata", "resourceVersion"], version);
    }
    let shown = if stays_here(call, writer.dry_run) { info.object } else { writer.patch(call, &info, PatchKind::Strategic, patch)? };
    Printer::of(call, writer.dry_run)?.print(call, &shown, "selector updated")
}
