//! `kubectl label` and `kubectl annotate`.

use super::builder::{ALL_NAMESPACES, Builder, FILENAME, Found, Info, SELECTOR, has_files};
use super::command::{Call, Command};
use super::failure::{Failure, quote};
use super::flags::Flag;
use super::mutation::{ALL, DRY_RUN, DryRun, LOCAL, RECORD, Writer};
use super::pairs;
use super::printing::{PRINT, Printer};
use crate::cluster::PatchKind;
use crate::object::patch::merge;
use crate::object::{Json, Object};

static FLAGS: &[Flag] = &[
    Flag::text("field-selector", "Field query: =, == and !=."),
    Flag::switch("list", "Print what the object has."),
    Flag::switch("overwrite", "Allow to change what is there already."),
    Flag::text("resource-version", "Change only if this is the present version; for one object."),
];
static LABEL_MANAGER: &[Flag] = &[Flag::text("field-manager", "In whose name the fields are owned.").default("kubectl-label")];
static ANNOTATE_MANAGER: &[Flag] = &[Flag::text("field-manager", "In whose name the fields are owned.").default("kubectl-annotate")];

/// `kubectl label`.
pub static LABEL: Command = Command::leaf(
    "kubectl label",
    "[--overwrite] (-f FILENAME | TYPE NAME) KEY_1=VAL_1 ... KEY_N=VAL_N [--resource-version=version]",
    "Update the labels on a resource",
    &[FLAGS, ALL, ALL_NAMESPACES, LABEL_MANAGER, LOCAL, FILENAME, PRINT, DRY_RUN, SELECTOR, RECORD],
    run_label,
);

/// `kubectl annotate`.
pub static ANNOTATE: Command = Command::leaf(
    "kubectl annotate",
    "[--overwrite] (-f FILENAME | TYPE NAME) KEY_1=VAL_1 ... KEY_N=VAL_N [--resource-version=version]",
    "Update the annotations on a resource",
    &[FLAGS, ALL, ALL_NAMESPACES, ANNOTATE_MANAGER, LOCAL, FILENAME, PRINT, DRY_RUN, SELECTOR, RECORD],
    run_annotate,
);

/// What is changed: `labels` or `annotations`.
struct Change {
    what: &'static str,
    new: Vec<(String, String)>,
    removed: Vec<String>,
    overwrite: bool,
    version: String,
}

fn run_label(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let writer = Writer::of(call)?;
    let (resources, changes) = pairs::resources_and_pairs(&call.args, "label")?;
    let (new, removed) = pairs::parse_labels(&changes)?;
    let change = change(call, "labels", (new, removed));
    run(call, &writer, &resources, &change)
}

fn run_annotate(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let writer = Writer::of(call)?;
    Printer::of(call, writer.dry_run)?;
    let (resources, changes) = pairs::resources_and_pairs(&call.args, "annotation")?;
    let (new, removed) = pairs::parse_pairs(&changes, "annotation", true)?;
    let change = change(call, "annotations", (new, removed));
    run(call, &writer, &resources, &change)
}

fn change(call: &Call<'_, '_>, what: &'static str, (new, removed): pairs::Changes) -> Change {
    Change { what, new, removed, overwrite: call.flags.on("overwrite"), version: call.flags.text("resource-version") }
}

fn check(call: &Call<'_, '_>, writer: &Writer, resources: &[String], change: &Change) -> Result<(), Failure> {
    let flags = &call.flags;
    let (list, all, local) = (flags.on("list"), flags.on("all"), flags.on("local"));
    let singular = change.what.trim_end_matches('s');
    if list && !flags.text("output").is_empty() {
        return Err("--list and --output may not be specified together".into());
    }
    if all && !flags.text("selector").is_empty() {
        return Err("cannot set --all and --selector at the same time".into());
    }
    if all && !flags.text("field-selector").is_empty() {
        return Err("cannot set --all and --field-selector at the same time".into());
    }
    if local {
        let example = if singular == "label" { "pod" } else { "rsrc" };
        if writer.dry_run == DryRun::Server {
            return Err("cannot specify --local and --dry-run=server - did you mean --dry-run=client?".into());
        }
        if !resources.is_empty() {
            let words = format!("can only use local files by -f {example}.yaml or --filename={example}.json when --local=true is set");
            return Err(words.into());
        }
        if !has_files(flags) {
            return Err(format!("one or more files must be specified as -f {example}.yaml or --filename={example}.json").into());
        }
    } else if resources.is_empty() && !has_files(flags) {
        return Err("one or more resources must be specified as <resource> <name> or <resource>/<name>".into());
    }
    if change.new.is_empty() && change.removed.is_empty() && !list {
        return Err(format!("at least one {singular} update is required").into());
    }
    let both: Vec<&str> = change.removed.iter().filter(|key| change.new.iter().any(|(k, _)| k == *key)).map(String::as_str).collect();
    if !both.is_empty() {
        let words = format!("can not both modify and remove the following annotation(s) in the same command: {}", both.join(", "));
        return Err(words.into());
    }
    Ok(())
}

fn run(call: &mut Call<'_, '_>, writer: &Writer, resources: &[String], change: &Change) -> Result<(), Failure> {
    check(call, writer, resources, change)?;
    let found = targets(call, resources)?;
    if !found.single_item_implied && !change.version.is_empty() {
        return Err("--resource-version may only be used with a single resource".into());
    }
    let single = found.single_item_implied;
    let infos = found.flat();
    let mut failures = found.failures;
    for info in infos {
        if let Err(failure) = change_one(call, writer, change, info, single) {
            failures.push(failure);
        }
    }
    Failure::all(failures)
}

fn targets(call: &mut Call<'_, '_>, resources: &[String]) -> Result<Found, Failure> {
    let (all, everywhere, local) = (call.flags.on("all"), call.flags.on("all-namespaces"), call.flags.on("local"));
    let (labels, fields) = (call.flags.text("selector"), call.flags.text("field-selector"));
    let builder = Builder::new(call).local(local).continue_on_error().files(call, call.namespace_given);
    if local {
        return builder.fetch(call);
    }
    builder.labels(&labels).fields(&fields).all_namespaces(everywhere).types_or_names(call, all, resources).latest().fetch(call)
}

fn change_one(call: &mut Call<'_, '_>, writer: &Writer, change: &Change, mut info: Info, single: bool) -> Result<(), Failure> {
    let list = call.flags.on("list");
    let is_label = change.what == "labels";
    let kept = writer.dry_run == DryRun::Client || call.flags.on("local") || list;
    if is_label && !kept {
        let missing = |key: &&String| info.object.meta().get("labels").get(key).is_null();
        for key in change.removed.iter().filter(missing) {
            call.say(format!("label {} not found.", quote(key)));
        }
    }
    if !change.version.is_empty() {
        info.object.remove_at(&["metadata", "resourceVersion"]);
    }
    let before = info.object.clone();
    apply(change, &mut info.object)?;
    let operation = if is_label { label_operation(&before, &info.object, change.overwrite) } else { "annotated" };
    let mut shown = info.object.clone();
    if !kept {
        let patch = merge::diff(&before, &info.object);
        let patched = writer.patch(call, &info, PatchKind::Merge, patch)?;
        if !is_label || list {
            shown = patched;
        }
    }
    if list {
        print_list(call, change.what, &info, single);
        return Ok(());
    }
    Printer::of(call, writer.dry_run)?.print(call, &shown, operation)
}

/// Changes the labels or annotations of an object.
fn apply(change: &Change, object: &mut Object) -> Result<(), Failure> {
    let present = object.at(&["metadata", change.what]).clone();
    if !change.overwrite {
        refuse_overwriting(change, &present)?;
    }
    for (key, value) in &change.new {
        object.set_at(&["metadata", change.what, key], value.as_str());
    }
    for key in &change.removed {
        object.remove_at(&["metadata", change.what, key]);
    }
    if object.at(&["metadata", change.what]).is_empty() {
        object.remove_at(&["metadata", change.what]);
    }
    if !change.version.is_empty() {
        object.set_at(&["metadata", "resourceVersion"], change.version.as_str());
    }
    Ok(())
}

fn refuse_overwriting(change: &Change, present: &Json) -> Result<(), Failure> {
    let differs = |key: &str, value: &str| present.get(key).as_str().is_some_and(|old| old != value);
    let words = |key: &str| format!("'{key}' already has a value ({})", present.get(key).text());
    let mut taken: Vec<&str> = change.new.iter().filter(|(key, value)| differs(key, value)).map(|(key, _)| key.as_str()).collect();
    taken.sort_unstable();
    if change.what == "labels" {
        let of = |key: &&str| Failure::from(format!("{}, and --overwrite is false", words(key)));
        return Failure::all(taken.iter().map(of).collect());
    }
    taken.retain(|key| *key != "kubernetes.io/change-cause");
    if taken.is_empty() {
        return Ok(());
    }
    let texts: Vec<String> = taken.iter().map(|key| words(key)).collect();
    Err(format!("--overwrite is false but found the following declared annotation(s): {}", texts.join("; ")).into())
}

/// What is said of a labelled object: kubectl goes by the length of its JSON.
fn label_operation(before: &Object, after: &Object, overwrite: bool) -> &'static str {
    if before == after {
        "not labeled"
    } else if !overwrite && after.to_compact().len() < before.to_compact().len() {
        "unlabeled"
    } else {
        "labeled"
    }
}

fn print_list(call: &mut Call<'_, '_>, what: &str, info: &Info, single: bool) {
    let mut indent = "";
    if !single {
        indent = " ";
        call.say(format!("Listing {what} for {}.{}/{}:", info.resource.kind, info.resource.group, info.name));
    }
    for (key, value) in info.object.at(&["metadata", what]).entries() {
        call.say(format!("{indent}{key}={}", value.text()));
    }
}
