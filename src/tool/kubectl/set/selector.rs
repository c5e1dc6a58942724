//! `kubectl set selector`.

use super::{MANAGER, stays_here, targets};
use crate::cluster::PatchKind;
use crate::object;
use crate::object::Json;
use crate::object::selector::{Operator, Selector};
use crate::tool::kubectl::builder::{FILENAME, Info};
use crate::tool::kubectl::command::{Call, Command};
use crate::tool::kubectl::failure::{Failure, quote};
use crate::tool::kubectl::flags::Flag;
use crate::tool::kubectl::mutation::{ALL, DRY_RUN, LOCAL, RECORD, Writer};
use crate::tool::kubectl::output::values;
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
    let selector = label_selector(&text)?;
    let found = targets(call, &resources)?;
    let infos = found.flat();
    let mut failures = found.failures;
    for info in infos {
        if let Err(failure) = set(call, &writer, info, &selector) {
            failures.push(failure);
        }
    }
    Failure::all(failures)
}

/// A label query as a LabelSelector.
///
/// # Errors
/// When it is malformed, or a LabelSelector cannot say it.
pub fn label_selector(text: &str) -> Result<Json, String> {
    let parsed = Selector::parse(text).map_err(|why| format!("couldn't parse the selector string {}: {why}", quote(text)))?;
    let Selector::All(requirements) = parsed else { return Ok(object! {}) };
    let mut selector = object! {};
    for requirement in requirements {
        let operator = match requirement.operator {
            Operator::Equals => {
                selector.set_at(&["matchLabels", &requirement.key], requirement.values.first().cloned().unwrap_or_default());
                continue;
            }
            Operator::In => "In",
            Operator::NotIn => "NotIn",
            Operator::Exists => "Exists",
            Operator::DoesNotExist => "DoesNotExist",
            Operator::NotEquals => return Err("\"!=\" is not a valid label selector operator".to_owned()),
            Operator::GreaterThan => return Err("\"gt\" isn't supported in label selectors".to_owned()),
            Operator::LessThan => return Err("\"lt\" isn't supported in label selectors".to_owned()),
        };
        let mut expression = object! { "key" => requirement.key.as_str(), "operator" => operator };
        if !requirement.values.is_empty() {
            expression.set("values", requirement.values.iter().map(Json::from).collect::<Json>());
        }
        selector.get_mut("matchExpressions").push(expression);
    }
    Ok(selector)
}

fn set(call: &mut Call<'_, '_>, writer: &Writer, mut info: Info, wanted: &Json) -> Result<(), Failure> {
    if info.object.kind() != "Service" {
        return Err("setting a selector is only supported for Services".into());
    }
    let expressions = wanted.get("matchExpressions");
    if !expressions.is_empty() {
        let shown = |e: &Json| {
            format!("{{{} {} {}}}", e.get("key").text(), e.get("operator").text(), values::plain(e.get("values")).replace("<nil>", "[]"))
        };
        let shown: Vec<String> = expressions.items().iter().map(shown).collect();
        return Err(format!("match expression [{}] not supported on this object", shown.join(" ")).into());
    }
    let labels = wanted.get("matchLabels");
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
