//! `kubectl taint`.

use super::builder::{Builder, Info, SELECTOR};
use super::command::{Call, Command};
use super::failure::{Failure, quote};
use super::flags::Flag;
use super::mutation::{self, DRY_RUN, DryRun, VALIDATE, Writer};
use super::printing::{PRINT, Printer};
use crate::object;
use crate::object::names;
use crate::object::{Json, Object};

static FLAGS: &[Flag] = &[
    Flag::switch("all", "Take all nodes."),
    Flag::switch("overwrite", "Allow to change taints that are there already."),
    Flag::text("field-manager", "In whose name the fields are owned.").default("kubectl-taint"),
];

/// The command.
pub static COMMAND: Command = Command::leaf(
    "kubectl taint",
    "NODE NAME KEY_1=VAL_1:TAINT_EFFECT_1 ... KEY_N=VAL_N:TAINT_EFFECT_N",
    "Update the taints on one or more nodes",
    &[FLAGS, PRINT, DRY_RUN, VALIDATE, SELECTOR],
    run,
);

/// A taint as it is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Taint {
    key: String,
    value: String,
    /// Empty where all effects are meant.
    effect: String,
}

impl Taint {
    fn of(json: &Json) -> Taint {
        let text = |field: &str| json.get(field).text().to_owned();
        Taint { key: text("key"), value: text("value"), effect: text("effect") }
    }

    fn same_place(&self, other: &Taint) -> bool {
        self.key == other.key && self.effect == other.effect
    }

    /// As Kubernetes writes it.
    fn shown(&self) -> String {
        match (self.value.as_str(), self.effect.as_str()) {
            ("", "") => self.key.clone(),
            ("", effect) => format!("{}:{effect}", self.key),
            (value, "") => format!("{}={value}:", self.key),
            (value, effect) => format!("{}={value}:{effect}", self.key),
        }
    }

    fn parse(text: &str) -> Result<Taint, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let taint = match parts.as_slice() {
            [key] => Taint { key: (*key).to_owned(), value: String::new(), effect: String::new() },
            [pair, effect] => {
                if !matches!(*effect, "NoSchedule" | "PreferNoSchedule" | "NoExecute") {
                    return Err(format!("invalid taint effect: {effect}, unsupported taint effect"));
                }
                let halves: Vec<&str> = pair.split('=').collect();
                let (key, value) = match halves.as_slice() {
                    [key] => (*key, ""),
                    [key, value] => (*key, *value),
                    _ => return Err(format!("invalid taint spec: {text}")),
                };
                let faults = names::label_value(value);
                if !faults.is_empty() {
                    return Err(format!("invalid taint spec: {text}, {}", faults.join("; ")));
                }
                Taint { key: key.to_owned(), value: value.to_owned(), effect: (*effect).to_owned() }
            }
            _ => return Err(format!("invalid taint spec: {text}")),
        };
        let faults = names::qualified_name(&taint.key);
        if faults.is_empty() { Ok(taint) } else { Err(format!("invalid taint spec: {text}, {}", faults.join("; "))) }
    }
}

/// What is added and what is removed.
fn parse_all(args: &[String]) -> Result<(Vec<Taint>, Vec<Taint>), String> {
    let (mut added, mut removed): (Vec<Taint>, Vec<Taint>) = (Vec::new(), Vec::new());
    for arg in args {
        if let Some(text) = arg.strip_suffix('-') {
            removed.push(Taint { value: String::new(), ..Taint::parse(text)? });
            continue;
        }
        let taint = Taint::parse(arg)?;
        if taint.effect.is_empty() {
            return Err(format!("invalid taint spec: {arg}"));
        }
        if added.iter().any(|other| other.same_place(&taint)) {
            let Taint { key, value, effect } = taint;
            return Err(format!("duplicated taints with the same key and effect: {{{key} {value} {effect} <nil>}}"));
        }
        added.push(taint);
    }
    Ok((added, removed))
}

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let mut writer = Writer::of(call)?;
    writer.validation = Some(mutation::validation(call)?);
    let (resources, taints) = split(&call.args)?;
    if resources.is_empty() {
        return Err("one or more resources must be specified as <resource> <name>".into());
    }
    if taints.is_empty() {
        return Err("at least one taint update is required".into());
    }
    let (added, removed) = parse_all(&taints).map_err(|why| Failure::usage(call, why))?;
    check(call, &resources, &added, &removed)?;
    let (all, labels) = (call.flags.on("all"), call.flags.text("selector"));
    let mut builder = Builder::new(call).continue_on_error().latest();
    if all || !labels.is_empty() {
        builder = builder.select_all(all).labels(&labels).types(&["node".to_owned()]);
    } else {
        builder = builder.names_of("node", resources.get(1..).unwrap_or_default());
    }
    let found = builder.fetch(call)?;
    let infos = found.flat();
    let mut failures = found.failures;
    for info in infos {
        if let Err(failure) = taint_one(call, &writer, info, &added, &removed) {
            failures.push(failure);
        }
    }
    Failure::all(failures)
}

/// Resources first, then taints.
fn split(args: &[String]) -> Result<(Vec<String>, Vec<String>), String> {
    let (mut resources, mut taints) = (Vec::new(), Vec::new());
    for arg in args {
        if arg.contains(['=', ':']) || arg.ends_with('-') {
            taints.push(arg.clone());
        } else if taints.is_empty() {
            resources.push(arg.clone());
        } else {
            return Err(format!("all resources must be specified before taint changes: {arg}"));
        }
    }
    Ok((resources, taints))
}

fn check(call: &mut Call<'_, '_>, resources: &[String], added: &[Taint], removed: &[Taint]) -> Result<(), Failure> {
    let word = resources.first().map(|word| word.to_lowercase()).unwrap_or_default();
    if call.mapper()?.resolve(&word)?.kind != "Node" {
        return Err(format!("invalid resource type {word}, only node types are supported").into());
    }
    let clash = |removed: &&Taint| added.iter().any(|a| a.key == removed.key && (removed.effect.is_empty() || a.effect == removed.effect));
    let both: Vec<String> = removed.iter().filter(clash).map(|t| format!("{}={}", t.key, t.effect)).collect();
    if !both.is_empty() {
        let words = format!("can not both modify and remove the following taint(s) in the same command: {}", both.join(", "));
        return Err(words.into());
    }
    let (all, selected) = (call.flags.on("all"), !call.flags.text("selector").is_empty());
    if all && selected {
        return Err("setting 'all' parameter with a non empty selector is prohibited".into());
    }
    if !all && !selected && resources.len() < 2 {
        return Err("at least one resource name must be specified since 'all' parameter is not set".into());
    }
    Ok(())
}

fn taint_one(call: &mut Call<'_, '_>, writer: &Writer, mut info: Info, added: &[Taint], removed: &[Taint]) -> Result<(), Failure> {
    let before = info.object.clone();
    let operation = change(&mut info.object, added, removed, call.flags.on("overwrite"))?;
    let mut printer = Printer::of(call, writer.dry_run)?;
    let patched = if writer.dry_run == DryRun::Client { None } else { mutation::patch_changes(call, writer, &info, &before)? };
    printer.print(call, &patched.unwrap_or(info.object), operation)
}

/// Changes a node's taints; what that is called.
fn change(node: &mut Object, added: &[Taint], removed: &[Taint], overwrite: bool) -> Result<&'static str, Failure> {
    let old: Vec<Json> = node.at(&["spec", "taints"]).items().to_vec();
    let taints: Vec<Taint> = old.iter().map(Taint::of).collect();
    if !overwrite {
        let there = |taint: &&Taint| taints.iter().any(|o| o.same_place(taint));
        let taken: Vec<&str> = added.iter().filter(there).map(|t| t.key.as_str()).collect();
        if !taken.is_empty() {
            let words =
                format!("node {} already has {} taint(s) with same effect(s) and --overwrite is false", node.name(), taken.join(","));
            return Err(words.into());
        }
    }
    let mut all: Vec<(Taint, Json)> = added.iter().map(|taint| (taint.clone(), to_json(taint))).collect();
    for (taint, json) in taints.into_iter().zip(&old) {
        if !all.iter().any(|(a, _)| a.same_place(&taint)) {
            all.push((taint, json.clone()));
        }
    }
    let grown = all.len() != old.len();
    let mut shrunk = false;
    let mut failures = Vec::new();
    for taint in removed {
        let count = all.len();
        all.retain(|(a, _)| a.key != taint.key || (!taint.effect.is_empty() && a.effect != taint.effect));
        shrunk = all.len() != count;
        if !shrunk {
            failures.push(Failure::from(format!("taint {} not found", quote(&taint.shown()))));
        }
    }
    Failure::all(failures)?;
    if all.is_empty() {
        node.remove_at(&["spec", "taints"]);
    } else {
        node.set_at(&["spec", "taints"], all.into_iter().map(|(_, json)| json).collect::<Json>());
    }
    Ok(if (grown && shrunk) || overwrite {
        "modified"
    } else if grown {
        "tainted"
    } else {
        "untainted"
    })
}

fn to_json(taint: &Taint) -> Json {
    let mut json = object! { "key" => taint.key.as_str(), "effect" => taint.effect.as_str() };
    if !taint.value.is_empty() {
        json.set("value", taint.value.as_str());
    }
    json
}
