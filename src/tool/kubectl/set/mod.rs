//! `kubectl set`: one aspect of pod templates, Services and role bindings.

pub mod env;
mod image;
mod resources;
pub mod selector;
mod service_account;
mod subject;

pub use resources::quantity;

use super::builder::{Builder, Found, Info};
use super::command::{Call, Command};
use super::failure::Failure;
use super::flags::Flag;
use super::mutation::{self, DryRun, Writer};
use super::pods::go_type;
use super::printing::Printer;
use crate::object::{Json, Object};

/// The group.
pub static COMMAND: Command = Command::group(
    "kubectl set",
    "SUBCOMMAND",
    "Set specific features on objects",
    &[&env::COMMAND, &image::COMMAND, &resources::COMMAND, &selector::COMMAND, &service_account::COMMAND, &subject::COMMAND],
);

static MANAGER: &[Flag] = &[Flag::text("field-manager", "In whose name the fields are owned.").default("kubectl-set")];

/// Reads the objects that `resources` and the flags name.
fn targets(call: &mut Call<'_, '_>, resources: &[String]) -> Result<Found, Failure> {
    let local = call.flags.on("local");
    let (all, labels) = (call.flags.on("all"), if call.flags.knows("selector") { call.flags.text("selector") } else { String::new() });
    let builder = Builder::new(call).local(local).continue_on_error().files(call, call.namespace_given);
    if !local {
        return builder.labels(&labels).types_or_names(call, all, resources).latest().fetch(call);
    }
    if !resources.is_empty() {
        return Err("you may not specify resources by arguments as well as --local".into());
    }
    builder.fetch(call)
}

/// Whether the server is left alone.
fn stays_here(call: &Call<'_, '_>, dry_run: DryRun) -> bool {
    dry_run == DryRun::Client || call.flags.on("local")
}

/// Where the pod spec of an object is.
fn pod_spec_path(object: &Object) -> Result<&'static [&'static str], String> {
    match object.kind() {
        "Pod" => Ok(&["spec"]),
        "ReplicationController" | "Deployment" | "DaemonSet" | "ReplicaSet" | "StatefulSet" | "Job" => Ok(&["spec", "template", "spec"]),
        "CronJob" => Ok(&["spec", "jobTemplate", "spec", "template", "spec"]),
        _ => Err(format!("the object is not a pod or does not have a pod template: {}", go_type(object))),
    }
}

/// What a change of one object says of itself.
struct Words {
    /// `image updated`.
    done: &'static str,
    /// `failed to patch image update to pod template:`.
    failed: &'static str,
}

/// Changes every object and sends what has changed; `change` says by an error why it cannot.
fn change_all(
    call: &mut Call<'_, '_>,
    writer: &Writer,
    infos: Vec<Info>,
    words: &Words,
    mut change: impl FnMut(&mut Call<'_, '_>, &mut Object) -> Result<(), Vec<Failure>>,
) -> Vec<Failure> {
    let mut failures = Vec::new();
    for mut info in infos {
        let before = info.object.clone();
        if let Err(why) = change(call, &mut info.object) {
            failures.extend(why);
            continue;
        }
        if before == info.object {
            continue;
        }
        let sent = if stays_here(call, writer.dry_run) {
            Ok(Some(info.object.clone()))
        } else {
            mutation::patch_changes(call, writer, &info, &before).map_err(|failure| Failure::from(format!("{} {failure}", words.failed)))
        };
        let printed = match sent {
            Ok(Some(object)) => Printer::of(call, writer.dry_run).and_then(|mut printer| printer.print(call, &object, words.done)),
            Ok(None) => Ok(()),
            Err(failure) => Err(failure),
        };
        failures.extend(printed.err());
    }
    failures
}

/// `error: deployments/web WHY`, as these commands name what they cannot change.
fn about(object: &Object, call: &mut Call<'_, '_>, why: &str) -> Failure {
    let plural = call.mapper().ok().and_then(|mapper| mapper.kind(object.api_version(), object.kind())).map(|r| r.plural.clone());
    format!("error: {}/{} {why}", plural.unwrap_or_default(), object.name()).into()
}

/// Whether a container's name fits a pattern with `*`.
fn fits(name: &str, pattern: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return name == pattern };
    let Some(mut left) = name.strip_prefix(head) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let tail = parts.pop().unwrap_or_default();
    for part in parts {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(tail)
}

/// Calls `change` on the containers whose names fit, ordinary ones first; how many there were.
fn each_container(spec: &mut Json, pattern: &str, mut change: impl FnMut(&mut Json)) -> usize {
    let mut count = 0;
    for field in ["containers", "initContainers"] {
        if spec.get(field).items().is_empty() {
            continue;
        }
        for container in spec.get_mut(field).items_mut() {
            if fits(container.get("name").text(), pattern) {
                change(container);
                count += 1;
            }
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns_fit_names() {
        for (name, pattern, expect) in [
            ("web", "*", true),
            ("web", "web", true),
            ("web", "we", false),
            ("web-1", "web*", true),
            ("my-web", "*web", true),
            ("my-web-1", "my*1", true),
            ("my-web-1", "*web*", true),
            ("my-web-1", "*web", false),
        ] {
            assert_eq!(fits(name, pattern), expect, "{name} {pattern}");
        }
    }
}
