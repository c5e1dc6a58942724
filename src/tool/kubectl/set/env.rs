//! `kubectl set env`.

use super::{MANAGER, Words, about, change_all, each_container, pod_spec_path, targets};
use crate::cluster::ApiRequest;
use crate::object;
use crate::object::decode::from_base64;
use crate::object::{Json, Object, Quantity};
use crate::tool::kubectl::builder::{Builder, FILENAME, SELECTOR};
use crate::tool::kubectl::command::{Call, Command};
use crate::tool::kubectl::failure::{Failure, quote};
use crate::tool::kubectl::flags::Flag;
use crate::tool::kubectl::mutation::{ALL, DRY_RUN, DryRun, LOCAL, Writer};
use crate::tool::kubectl::pairs;
use crate::tool::kubectl::printing::{PRINT, Printer};

static FLAGS: &[Flag] = &[
    Flag::text("containers", "Names of the containers; may use *.").short('c').default("*"),
    Flag::list("env", "KEY=VALUE to set; may be repeated.").short('e'),
    Flag::text("from", "ConfigMap or Secret whose entries are set, TYPE/NAME."),
    Flag::csv("keys", "Entries to take from --from; all unless given."),
    Flag::switch("list", "Print the environment instead of changing it."),
    Flag::switch("overwrite", "Allow to change variables that are there already.").default("true"),
    Flag::text("prefix", "Text to put before the names of variables."),
    Flag::switch("resolve", "Print values, rather than references, with --list."),
];

/// The command.
pub static COMMAND: Command = Command::leaf(
    "kubectl set env",
    "RESOURCE/NAME KEY_1=VAL_1 ... KEY_N=VAL_N",
    "Update environment variables on a pod template",
    &[FLAGS, ALL, LOCAL, FILENAME, PRINT, DRY_RUN, MANAGER, SELECTOR],
    run,
);

/// Variables to set, as in a container, and names to remove.
#[derive(Debug, Clone, Default)]
struct Change {
    set: Vec<Json>,
    removed: Vec<String>,
}

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    if call.flags.on("all") && !call.flags.text("selector").is_empty() {
        return Err("cannot set --all and --selector at the same time".into());
    }
    let (resources, arguments) = split(&call.args)?;
    let writer = Writer::of(call)?;
    Printer::of(call, writer.dry_run)?;
    check(call, &writer, &resources)?;
    let mut specs = call.flags.list("env");
    specs.extend(arguments.iter().cloned());
    let mut change = parse(&specs, &String::from_utf8_lossy(call.cx.stdin))?;
    let from = call.flags.text("from");
    if !from.is_empty() {
        take_from(call, &from, &mut change)?;
    }
    let prefix = call.flags.text("prefix");
    if !prefix.is_empty() {
        for variable in &mut change.set {
            let name = format!("{prefix}{}", variable.get("name").text());
            variable.set("name", name);
        }
    }
    let infos = targets(call, &resources)?.objects()?;
    let (list, pattern) = (call.flags.on("list"), call.flags.text("containers"));
    let words = Words { done: "env updated", failed: "failed to patch env update to pod template:" };
    if list {
        for mut info in infos {
            let _ = update(call, &mut info.object, &change, &pattern, true);
        }
        return Ok(());
    }
    let failures = change_all(call, &writer, infos, &words, |call, object| update(call, object, &change, &pattern, false));
    Failure::all(failures)
}

/// Resources first, then variables.
fn split(args: &[String]) -> Result<(Vec<String>, Vec<String>), Failure> {
    let is_variable = |arg: &String| arg.find('=').is_some_and(|at| at > 0) || arg.ends_with('-');
    let at = args.iter().position(is_variable).unwrap_or(args.len());
    let (resources, variables) = args.split_at(at);
    if !variables.iter().all(is_variable) {
        return Err(format!("all resources must be specified before environment changes: {}", args.join(" ")).into());
    }
    Ok((resources.to_vec(), variables.to_vec()))
}

fn check(call: &Call<'_, '_>, writer: &Writer, resources: &[String]) -> Result<(), Failure> {
    let flags = &call.flags;
    if flags.on("local") && writer.dry_run == DryRun::Server {
        return Err("cannot specify --local and --dry-run=server - did you mean --dry-run=client?".into());
    }
    if flags.list("filename").is_empty() && resources.is_empty() {
        return Err("one or more resources must be specified as <resource> <name> or <resource>/<name>".into());
    }
    if flags.on("list") && !flags.text("output").is_empty() {
        return Err("--list and --output may not be specified together".into());
    }
    if !flags.list("keys").is_empty() && flags.text("from").is_empty() {
        return Err("when specifying --keys, a configmap or secret must be provided with --from".into());
    }
    Ok(())
}

/// Reads `KEY=VALUE`, `KEY-` and `-`, which stands for lines of standard input.
fn parse(specs: &[String], stdin: &str) -> Result<Change, Failure> {
    let mut change = Change::default();
    let mut named: Vec<&str> = Vec::new();
    for spec in specs {
        if spec == "-" {
            for line in stdin.lines() {
                let line = line.split('#').next().unwrap_or_default();
                if let Some((name, value)) = line.split_once('=') {
                    change.set.push(object! { "name" => name, "value" => value });
                }
            }
        } else if let Some((name, value)) = spec.split_once('=') {
            if let Some(fault) = pairs::env_name(name) {
                return Err(format!("{} is not a valid key name: {fault}", quote(name)).into());
            }
            named.push(name);
            change.set.push(variable(name, value));
        } else if let Some(name) = spec.strip_suffix('-') {
            change.removed.push(name.to_owned());
        } else {
            return Err(format!("unknown environment variable: {spec}").into());
        }
    }
    if change.removed.iter().any(|name| named.contains(&name.as_str())) {
        return Err("can not both modify and remove the same environment variable in the same command".into());
    }
    Ok(change)
}

/// A variable as a container has it; an empty value is left out.
fn variable(name: &str, value: &str) -> Json {
    let mut variable = object! { "name" => name };
    if !value.is_empty() {
        variable.set("value", value);
    }
    variable
}

/// Adds references to the entries of a ConfigMap or Secret.
fn take_from(call: &mut Call<'_, '_>, from: &str, change: &mut Change) -> Result<(), Failure> {
    let keys = call.flags.list("keys");
    let everything = call.flags.on("all");
    let found =
        Builder::new(call).continue_on_error().types_or_names(call, everything, &[from.to_owned()]).latest().fetch(call)?.objects()?;
    for info in found {
        let field = match info.object.kind() {
            "Secret" => "secretKeyRef",
            "ConfigMap" => "configMapKeyRef",
            _ => return Err("unsupported resource specified in --from".into()),
        };
        for (key, _) in info.object.get("data").entries().filter(|(key, _)| keys.is_empty() || keys.iter().any(|k| k == key.as_str())) {
            let name = env_name(key);
            if name != key.as_str() {
                call.complain(format!("Warning: key {key} transferred to {name}"));
            }
            let reference = object! { "name" => info.object.name(), "key" => key };
            change.set.push(object! { "name" => name, "valueFrom" => object! { field => reference } });
        }
    }
    Ok(())
}

/// A key as the name of a variable.
fn env_name(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// Changes the variables of the containers that fit; with `list` it prints them.
fn update(call: &mut Call<'_, '_>, object: &mut Object, change: &Change, pattern: &str, list: bool) -> Result<(), Vec<Failure>> {
    let path = pod_spec_path(object).map_err(|why| vec![about(object, call, &why)])?;
    let overwrite = call.flags.on("overwrite");
    let (kind, name) = (object.kind().to_owned(), object.name().to_owned());
    let mut clash = None;
    let mut shown = Vec::new();
    let count = each_container(object.at_mut(path), pattern, |container| {
        if clash.is_some() {
            return;
        }
        clash = (!overwrite).then(|| clash_of(container, change)).flatten();
        if clash.is_none() {
            set_variables(container, change);
            shown.push(container.clone());
        }
    });
    if let Some(why) = clash {
        return Err(vec![about(object, call, &why)]);
    }
    if count == 0 {
        call.complain(format!("Warning: {kind}/{name} does not have any containers matching {}", quote(pattern)));
    }
    if list {
        for container in &shown {
            call.say(format!("# {kind} {name}, container {}", container.get("name").text()));
            print_variables(call, object, container);
        }
    }
    Ok(())
}

fn clash_of(container: &Json, change: &Change) -> Option<String> {
    let clashes = |new: &&Json| {
        let present = container.get("env").find("name", new.get("name").text());
        present.is_some_and(|old| old.get("value").text() != new.get("value").text())
    };
    let name = change.set.iter().find(clashes)?.get("name").text();
    let value = container.get("env").find("name", name).map_or("", |old| old.get("value").text());
    Some(format!("'{name}' already has a value ({value}), and --overwrite is false"))
}

/// New variables stand where old ones of their name stood, or at the end; removal wins.
fn set_variables(container: &mut Json, change: &Change) {
    let mut covered: Vec<&str> = change.removed.iter().map(String::as_str).collect();
    let mut variables: Vec<Json> = Vec::new();
    let old = container.get("env").items().to_vec();
    for variable in &old {
        let name = variable.get("name").text();
        if covered.contains(&name) {
            continue;
        }
        match change.set.iter().find(|new| new.get("name").text() == name) {
            Some(new) => {
                covered.push(new.get("name").text());
                variables.push(new.clone());
            }
            None => variables.push(variable.clone()),
        }
    }
    for new in &change.set {
        let name = new.get("name").text();
        if !covered.contains(&name) {
            covered.push(name);
            variables.push(new.clone());
        }
    }
    if variables.is_empty() {
        container.remove("env");
    } else {
        container.set("env", Json::from(variables));
    }
}

fn print_variables(call: &mut Call<'_, '_>, object: &Object, container: &Json) {
    let resolve = call.flags.on("resolve");
    let mut failed: Vec<(String, Vec<String>)> = Vec::new();
    for variable in container.get("env").items() {
        let (name, from) = (variable.get("name").text(), variable.get("valueFrom"));
        if from.is_null() {
            call.say(format!("{name}={}", variable.get("value").text()));
            continue;
        }
        match if resolve { value_of(call, object, container, from) } else { Err(String::new()) } {
            Ok(value) => call.say(format!("{name}={value}")),
            Err(why) => {
                call.say(format!("# {name} from {}", reference_text(from)));
                if resolve {
                    match failed.iter_mut().find(|(known, _)| *known == why) {
                        Some((_, names)) => names.push(name.to_owned()),
                        None => failed.push((why, vec![name.to_owned()])),
                    }
                }
            }
        }
    }
    let text = |(why, mut names): (String, Vec<String>)| {
        names.sort();
        format!("error retrieving reference for {}: {why}", names.join(", "))
    };
    let mut lines: Vec<String> = failed.into_iter().map(text).collect();
    lines.sort();
    for line in lines {
        call.complain(line);
    }
}

/// Where a value comes from: `configmap conf, key a`.
fn reference_text(from: &Json) -> String {
    let named = |field: &str, what: &str| {
        let reference = from.get(field);
        format!("{what} {}, key {}", reference.get("name").text(), reference.get("key").text())
    };
    if !from.get("configMapKeyRef").is_null() {
        named("configMapKeyRef", "configmap")
    } else if !from.get("secretKeyRef").is_null() {
        named("secretKeyRef", "secret")
    } else if !from.get("fieldRef").is_null() {
        format!("field path {}", from.at(&["fieldRef", "fieldPath"]).text())
    } else if !from.get("resourceFieldRef").is_null() {
        let field = from.get("resourceFieldRef");
        let container = field.get("containerName").text();
        let prefix = if container.is_empty() { String::new() } else { format!("{container}/") };
        format!("resource field {prefix}{}", field.get("resource").text())
    } else {
        "invalid valueFrom".to_owned()
    }
}

/// The value behind a reference.
fn value_of(call: &mut Call<'_, '_>, object: &Object, container: &Json, from: &Json) -> Result<String, String> {
    if !from.get("secretKeyRef").is_null() {
        let text = entry(call, object, "secrets", from.get("secretKeyRef"), "secret")?;
        return from_base64(&text).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    }
    if !from.get("configMapKeyRef").is_null() {
        return entry(call, object, "configmaps", from.get("configMapKeyRef"), "config map");
    }
    if !from.get("fieldRef").is_null() {
        return field(object, from.at(&["fieldRef", "fieldPath"]).text());
    }
    if !from.get("resourceFieldRef").is_null() {
        return amount(container, from.get("resourceFieldRef"));
    }
    Err("invalid valueFrom".to_owned())
}

fn entry(call: &mut Call<'_, '_>, object: &Object, plural: &str, reference: &Json, what: &str) -> Result<String, String> {
    let (name, key) = (reference.get("name").text(), reference.get("key").text());
    let resource = call.mapper().and_then(|mapper| mapper.resolve(plural)).map_err(|failure| failure.to_string())?;
    let namespace = if object.namespace().is_empty() { call.namespace.clone() } else { object.namespace().to_owned() };
    let read = call.api(&ApiRequest::get(&resource, Some(&namespace), name)).map_err(|failure| failure.to_string())?.into_object();
    match read.at(&["data", key]).as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(format!("key {key} not found in {what} {name}")),
    }
}

fn field(object: &Object, path: &str) -> Result<String, String> {
    if let Some((head, key)) = path.strip_suffix("']").and_then(|rest| rest.split_once("['")) {
        return match head {
            "metadata.annotations" => Ok(object.annotation(key).unwrap_or_default().to_owned()),
            "metadata.labels" => Ok(object.label(key).unwrap_or_default().to_owned()),
            _ => Err(format!("fieldPath {} does not support subscript", quote(path))),
        };
    }
    let map = |field: &str| {
        let pairs = object.meta().get(field).entries().map(|(key, value)| format!("{key}={}", quote(value.text())));
        pairs.collect::<Vec<_>>().join("\n")
    };
    match path {
        "metadata.annotations" => Ok(map("annotations")),
        "metadata.labels" => Ok(map("labels")),
        "metadata.name" => Ok(object.name().to_owned()),
        "metadata.namespace" => Ok(object.namespace().to_owned()),
        "metadata.uid" => Ok(object.uid().to_owned()),
        _ => Err(format!("unsupported fieldPath: {path}")),
    }
}

/// A container's limit or request, in whole divisors, rounded up.
fn amount(container: &Json, reference: &Json) -> Result<String, String> {
    let resource = reference.get("resource").text();
    let Some((bound, name)) = resource.split_once('.') else { return Err(format!("Unsupported container resource : {resource}")) };
    if !matches!(bound, "limits" | "requests")
        || !(matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-"))
    {
        return Err(format!("Unsupported container resource : {resource}"));
    }
    let value = Quantity::of(container.at(&["resources", bound, name])).unwrap_or_else(|| Quantity::from_int(0));
    let divisor = Quantity::of(reference.get("divisor")).filter(|divisor| !divisor.is_zero()).unwrap_or_else(|| Quantity::from_int(1));
    let (value, divisor) = if name == "cpu" { (value.milli_value(), divisor.milli_value()) } else { (value.value(), divisor.value()) };
    Ok((value + divisor.max(1) - 1).div_euclid(divisor.max(1)).to_string())
}
