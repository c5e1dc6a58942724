//! What is to be done for a pod, given what it asks for and what the runtime has: the kubelet's `computePodActions`.

use super::pod::{Container, Pod, Step};
use super::probes;
use crate::object::{Json, Object};
use crate::rng::Key as Hash;
use crate::time::SimTime;
use arcstr::ArcStr;

#[derive(Default)]
struct Actions {
    kill: Vec<(ArcStr, String)>,
    start_init: Vec<usize>,
    start: Vec<usize>,
    kill_pod: bool,
}

/// Name of a container.
pub fn name_of(container: &Json) -> ArcStr {
    container.get("name").as_text().cloned().unwrap_or_default()
}

/// The hash of those parts of a container whose change restarts it: name and image.
pub fn spec_hash(container: &Json) -> u64 {
    Hash::new(0).part(container.get("name").text()).part(container.get("image").text()).value()
}

/// Whether an init container is a sidecar.
pub fn is_sidecar(container: &Json) -> bool {
    container.get("restartPolicy").text() == "Always"
}

/// Whether a container that is not running is to be started (again).
pub fn should_restart(object: &Object, spec: &Json, container: Option<&Container>) -> bool {
    if object.is_terminating() {
        return false;
    }
    let Some(end) = container.map(|c| c.current.end.as_ref()) else { return true };
    let Some(end) = end else { return false };
    let policy = if is_sidecar(spec) { "Always" } else { object.spec().get("restartPolicy").text() };
    match policy {
        "Never" => false,
        "OnFailure" => end.code != 0,
        _ => true,
    }
}

/// The steps of a synchronisation after its volumes are mounted.
pub fn plan(object: &Object, pod: &Pod) -> Vec<Step> {
    let spec = object.spec();
    let (inits, mains) = (spec.get("initContainers").items(), spec.get("containers").items());
    if !pod.has_sandbox() {
        return plan_with_new_sandbox(object, pod, inits, mains);
    }
    let mut actions = Actions::default();
    let initialized = init_actions(object, pod, inits, mains, &mut actions);
    if initialized && !actions.kill_pod {
        main_actions(object, pod, mains, &mut actions);
    }
    steps(object, pod, &actions)
}

fn plan_with_new_sandbox(object: &Object, pod: &Pod, inits: &[Json], mains: &[Json]) -> Vec<Step> {
    let policy = object.spec().get("restartPolicy").text();
    let again = pod.sandbox.is_some();
    if policy == "Never" && again && !pod.containers.is_empty() {
        return Vec::new();
    }
    let succeeded = |c: &&Json| {
        let end = pod.container(c.get("name").text()).and_then(|c| c.current.end.as_ref());
        policy == "OnFailure" && end.is_some_and(|e| e.code == 0)
    };
    let first: Vec<&Json> =
        if inits.is_empty() { mains.iter().filter(|c| !succeeded(c)).collect() } else { inits.iter().take(1).collect() };
    if first.is_empty() {
        return Vec::new();
    }
    let starts = first.into_iter().map(|c| Step::Start(name_of(c), dead_since(pod, c.get("name").text())));
    std::iter::once(Step::Sandbox).chain(starts).collect()
}

/// The end of the newest instance that is dead now.
fn dead_since(pod: &Pod, name: &str) -> Option<SimTime> {
    let container = pod.container(name)?;
    let end = container.current.end.as_ref().or_else(|| container.previous.as_ref()?.end.as_ref())?;
    Some(end.at)
}

/// What init containers need; returns whether the regular containers may be looked at.
fn init_actions(object: &Object, pod: &Pod, inits: &[Json], mains: &[Json], actions: &mut Actions) -> bool {
    if inits.is_empty() {
        return true;
    }
    let before = mains.iter().any(|c| pod.is_running(c.get("name").text()));
    let mut initialized = before;
    let last = inits.len() - 1;
    for (at, spec) in inits.iter().enumerate().rev() {
        let name = spec.get("name").text();
        let Some(container) = pod.container(name) else {
            if before && is_sidecar(spec) {
                actions.start_init.push(at);
            }
            continue;
        };
        if before && !is_sidecar(spec) {
            continue;
        }
        match &container.current.end {
            None if is_sidecar(spec) => initialized |= running_sidecar(pod, (at, last), spec, container, before, actions),
            None => {}
            Some(_) if is_sidecar(spec) => actions.start_init.push(at),
            Some(end) if end.code != 0 => {
                if !should_restart(object, spec, Some(container)) {
                    actions.kill_pod = true;
                    actions.start_init.clear();
                    return false;
                }
                actions.start_init.push(at);
            }
            Some(_) if at == last => initialized = true,
            Some(_) => actions.start_init.push(at + 1),
        }
        if !before {
            break;
        }
    }
    if !before {
        // Sidecars before the container that is being worked on are kept running.
        keep_earlier_sidecars(pod, inits, actions);
    }
    initialized && (before || inits.iter().all(|c| !is_sidecar(c) || probes::has_started(pod, c)))
}

/// What a running sidecar needs; returns whether it was the last init container and is up.
fn running_sidecar(pod: &Pod, (at, last): (usize, usize), spec: &Json, container: &Container, before: bool, actions: &mut Actions) -> bool {
    if let Some(message) = probes::complaint(pod, spec, "Init container").filter(|m| m.contains("startup")) {
        actions.kill.push((container.name.clone(), message));
        actions.start_init.push(at);
        return false;
    }
    if !probes::has_started(pod, spec) {
        return false;
    }
    if at != last && !before {
        actions.start_init.push(at + 1);
    }
    if container.current.spec_hash != spec_hash(spec) {
        actions.kill.push((container.name.clone(), format!("Init container {} definition changed", container.name)));
        actions.start_init.push(at);
    } else if let Some(message) = probes::complaint(pod, spec, "Init container") {
        actions.kill.push((container.name.clone(), message));
        actions.start_init.push(at);
    }
    at == last
}

fn keep_earlier_sidecars(pod: &Pod, inits: &[Json], actions: &mut Actions) {
    let reached = inits.iter().rposition(|c| pod.container(c.get("name").text()).is_some()).unwrap_or(0);
    for (at, spec) in inits.iter().enumerate().take(reached) {
        if is_sidecar(spec) && !pod.is_running(spec.get("name").text()) && !actions.start_init.contains(&at) {
            actions.start_init.push(at);
        }
    }
}

fn main_actions(object: &Object, pod: &Pod, mains: &[Json], actions: &mut Actions) {
    let mut kept = 0;
    for (at, spec) in mains.iter().enumerate() {
        let container = pod.container(spec.get("name").text());
        let Some(running) = container.filter(|c| c.current.is_running()) else {
            if should_restart(object, spec, container) {
                actions.start.push(at);
            }
            continue;
        };
        let mut restart = object.spec().get("restartPolicy").text() != "Never";
        let message = if running.current.spec_hash != spec_hash(spec) {
            restart = true;
            format!("Container {} definition changed", running.name)
        } else if let Some(complaint) = probes::complaint(pod, spec, "Container") {
            complaint
        } else {
            kept += 1;
            continue;
        };
        if restart {
            actions.start.push(at);
        }
        let message = if restart { format!("{message}, will be restarted") } else { message };
        actions.kill.push((running.name.clone(), message));
    }
    if kept == 0 && actions.start.is_empty() {
        actions.kill_pod = true;
        actions.start_init.clear();
    }
}

fn steps(object: &Object, pod: &Pod, actions: &Actions) -> Vec<Step> {
    let spec = object.spec();
    let mut steps = Vec::new();
    if actions.kill_pod {
        steps.extend(pod.running().into_iter().map(|c| Step::Kill { message: format!("Stopping container {c}").into(), container: c }));
        steps.push(Step::AwaitStopped);
        steps.push(Step::StopSandbox);
    } else if !actions.kill.is_empty() {
        steps.extend(
            actions.kill.iter().map(|(container, message)| Step::Kill { container: container.clone(), message: message.as_str().into() }),
        );
        steps.push(Step::AwaitStopped);
    }
    let ephemeral = spec.get("ephemeralContainers").items().iter().filter(|c| pod.container(c.get("name").text()).is_none());
    let inits = actions.start_init.iter().filter_map(|at| spec.get("initContainers").items().get(*at));
    let mains = actions.start.iter().filter_map(|at| spec.get("containers").items().get(*at));
    for container in ephemeral.chain(inits).chain(mains) {
        steps.push(Step::Start(name_of(container), dead_since(pod, container.get("name").text())));
    }
    steps
}

/// The specification of a container, whichever list it is in.
pub fn find<'a>(object: &'a Object, name: &str) -> Option<&'a Json> {
    let lists = ["containers", "initContainers", "ephemeralContainers"];
    lists.iter().find_map(|list| object.spec().get(list).find("name", name))
}

/// Whether a container is an init container.
pub fn is_init(object: &Object, name: &str) -> bool {
    object.spec().get("initContainers").find("name", name).is_some()
}
