//! Starting containers: back-off, sandbox, creation, the first moments.
//!
//! Not modelled: `postStart` hooks, failures to create a sandbox, security contexts that the runtime refuses.

use super::actions::{find, spec_hash};
use super::backoff::Backoff;
use super::launch;
use super::pod::{Container, End, Instance, Pod, Reason, Sandbox};
use super::sync::Flow;
use super::{Work, draw, drawn, edit, images, nodes, stop};
use crate::app::StartError;
use crate::cluster::sim::controllers::events::{self, Severity, Source};
use crate::cluster::sim::history::{Launch, Refusal, RunId};
use crate::cluster::sim::programs;
use crate::cluster::sim::world::{Event, World};
use crate::object::{Json, Object};
use crate::time::SimTime;
use arcstr::ArcStr;
use std::sync::Arc;
use std::time::Duration;

/// Mean time to create a sandbox with its network, and to create and start a container, in seconds.
const SANDBOX_S: f64 = 0.14;
const CREATE_S: f64 = 0.09;
const SPREAD: f64 = 0.45;
/// Prefix that runc and containerd put before an error of starting a process.
const RUNC: &str = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: \
                    unable to start container process: ";

/// Reports an event about a container.
pub fn report(world: &mut World, object: &Object, container: &str, severity: Severity, what: (&str, &str)) {
    let list = if super::actions::is_init(object, container) {
        "initContainers"
    } else if object.spec().get("ephemeralContainers").find("name", container).is_some() {
        "ephemeralContainers"
    } else {
        "containers"
    };
    let mut about = events::reference(object);
    about.set("fieldPath", format!("spec.{list}{{{container}}}"));
    let node = object.spec().get("nodeName").text().to_owned();
    events::record_ref(world, &Source::kubelet(&node), about, severity, what);
}

/// Notes that a container could not be started, for its status and for the next synchronisation.
pub fn fail(world: &mut World, uid: &str, object: &Object, container: &ArcStr, reason: Reason) -> Flow {
    let aborts = super::actions::is_init(object, container)
        && !object.spec().get("initContainers").find("name", container).is_some_and(super::actions::is_sidecar);
    edit(world, uid, |pod| {
        pod.set_reason(container, Some(reason));
        pod.failed = true;
        // An init container that does not start keeps everything after it from starting.
        if aborts {
            pod.plan.clear();
        }
    });
    Flow::Next
}

/// Creates the sandbox: the pod gets its IP.
pub fn sandbox(world: &mut World, uid: &str, record: &Pod, object: &Object) -> Flow {
    let attempt = record.sandbox.as_ref().map_or(0, |s| s.attempt + 1);
    if record.sandbox.is_some() {
        let what = ("SandboxChanged", "Pod sandbox changed, it will be killed and re-created.");
        events::record(world, &Source::kubelet(&record.node), object, Severity::Normal, what);
    }
    let ip = if object.spec().get("hostNetwork").is_true() {
        nodes::address(world, &record.node)
    } else {
        nodes::allocate_ip(world, &record.node)
    };
    edit(world, uid, |pod| pod.sandbox = Some(Sandbox { ip, attempt, ready: true }));
    nodes::touch(world, uid);
    Flow::After(drawn(world, uid, "sandbox", SANDBOX_S, SPREAD))
}

/// Starts a container unless its back-off holds: looks for the image first.
pub fn attempt(world: &mut World, uid: &str, object: &Object, container: &ArcStr, dead_since: Option<SimTime>) -> Flow {
    let Some(spec) = find(object, container).cloned() else { return Flow::Next };
    if let Some(since) = dead_since
        && let Some(reason) = back_off(world, uid, container, spec_hash(&spec), since)
    {
        let pod = world.kubelet.pods.get(uid).map(|p| p.formatted()).unwrap_or_default();
        let message = format!("Back-off restarting failed container {container} in pod {pod}");
        report(world, object, container, Severity::Warning, ("BackOff", &message));
        return fail(world, uid, object, container, reason);
    }
    images::ensure(world, uid, object, &spec)
}

/// The reason to wait, if the restart back-off holds; raises it otherwise.
fn back_off(world: &mut World, uid: &str, container: &ArcStr, hash: u64, since: SimTime) -> Option<Reason> {
    let now = world.now;
    edit(world, uid, |pod| {
        let key = (container.clone(), hash);
        let slot = pod.restart_backoff.iter().position(|(k, _)| *k == key);
        let old = slot.and_then(|at| pod.restart_backoff.get(at)).map(|(_, b)| *b);
        if let Some(held) = old.filter(|b| b.holds_since(since, now)) {
            let message = format!("back-off {} restarting failed container={container} pod={}", held.text(), pod.formatted());
            return Some(Reason::new("CrashLoopBackOff", message));
        }
        let raised = Backoff::raised(old, since, now);
        match slot.and_then(|at| pod.restart_backoff.get_mut(at)) {
            Some(slot) => slot.1 = raised,
            None => pod.restart_backoff.push((key, raised)),
        }
        None
    })
    .flatten()
}

/// How long it takes to create and start a container.
pub fn creation_time(world: &mut World, uid: &str) -> Duration {
    drawn(world, uid, "create", CREATE_S, SPREAD)
}

/// Creates a container whose image is there, and starts its process.
pub fn create(world: &mut World, uid: &str, object: &Object, container: &ArcStr) -> Flow {
    let Some(spec) = find(object, container).cloned() else { return Flow::Next };
    let Some(record) = world.kubelet.pods.get(uid).cloned() else { return Flow::Next };
    let launch = match launch::resolve(world, &record, object, &spec) {
        Ok(launch) => launch,
        Err(message) => {
            report(world, object, container, Severity::Warning, ("Failed", &format!("Error: {message}")));
            return fail(world, uid, object, container, Reason::new("CreateContainerConfigError", message));
        }
    };
    report(world, object, container, Severity::Normal, ("Created", &format!("Created container: {container}")));
    let instance = world.catalog.instance(&launch.image, &launch.argv, &launch.env, &launch.files);
    match instance {
        Ok(_) => run(world, uid, object, &spec, launch),
        Err(error) => refuse(world, uid, object, &spec, &launch, &error),
    }
}

/// Gives a container a new instance; its number of restarts rises if there was one before.
fn renew(world: &mut World, uid: &str, spec: &Json, run: Option<RunId>, end: Option<End>) {
    let now = world.now;
    let id: String = {
        let mut stream = draw(world, uid, "container-id");
        (0..4).map(|_| format!("{:016x}", stream.bits())).collect()
    };
    let name = super::actions::name_of(spec);
    let id = ArcStr::from(id);
    if let Some(run) = run {
        world.history.identify(run, &id);
    }
    let (image, image_id) = images::runtime_names(spec.get("image").text());
    let started_at = if run.is_some() { now } else { SimTime::ZERO };
    let fresh = Instance { id, run, image, image_id, spec_hash: spec_hash(spec), started_at, end, stopping: false };
    let forgotten = edit(world, uid, |pod| match pod.container_mut(&name) {
        Some(container) => {
            container.restarts += 1;
            let last = std::mem::replace(&mut container.current, fresh);
            container.previous.replace(last).and_then(|p| p.run)
        }
        None => {
            pod.containers.push(Container { name, restarts: 0, current: fresh, previous: None });
            None
        }
    });
    if let Some(old) = forgotten.flatten() {
        world.kubelet.runs.remove(&old);
        world.history.forget(old);
    }
    nodes::touch(world, uid);
}

fn restarts(world: &World, uid: &str, name: &str) -> u32 {
    world.kubelet.pods.get(uid).and_then(|p| p.container(name)).map_or(0, |c| c.restarts + 1)
}

fn run(world: &mut World, uid: &str, object: &Object, spec: &Json, launch: Launch) -> Flow {
    let name = super::actions::name_of(spec);
    let restart = restarts(world, uid, &name);
    let limit = launch.memory_limit;
    let now = world.now;
    let run = world.history.start(Arc::new(launch), restart, now);
    world.kubelet.runs.insert(run, uid.into());
    renew(world, uid, spec, Some(run), None);
    edit(world, uid, |pod| pod.set_reason(&name, None));
    report(world, object, &name, Severity::Normal, ("Started", &format!("Started container {name}")));
    programs::start(world, run);
    if limit.is_some_and(|limit| programs::memory(world, run) > limit) {
        let after = Duration::from_secs_f64(draw(world, uid, "out-of-memory").range(0.2, 0.9));
        world.schedule(world.now + after, Event::Kubelet(Work::OutOfMemory(run)));
    }
    // What it leaks in any case; under load its limit may be reached before.
    if let (Some(limit), Some(needs)) = (limit, programs::needs(world, run).filter(|needs| needs.leak_second > 0)) {
        let after = limit.saturating_sub(needs.working) as f64 / needs.leak_second as f64;
        world.schedule(world.now + Duration::from_secs_f64(after), Event::Kubelet(Work::OutOfMemory(run)));
    }
    Flow::Next
}

/// A process that cannot be started leaves a dead container behind.
fn refuse(world: &mut World, uid: &str, object: &Object, spec: &Json, launch: &Launch, error: &StartError) -> Flow {
    let name = super::actions::name_of(spec);
    let message = start_error(launch, error);
    if *error == StartError::NoCommand {
        report(world, object, &name, Severity::Warning, ("Failed", &format!("Error: {message}")));
        return fail(world, uid, object, &name, Reason::new("CreateContainerError", message));
    }
    let end = End { at: world.now, code: 128, reason: arcstr::literal!("StartError"), message: message.as_str().into() };
    let refusal = Refusal { at: world.now, pod_uid: uid.into(), container: name.clone(), restart: restarts(world, uid, &name) };
    world.history.refuse(refusal);
    renew(world, uid, spec, None, Some(end));
    report(world, object, &name, Severity::Warning, ("Failed", &format!("Error: {message}")));
    fail(world, uid, object, &name, Reason::new("RunContainerError", message))
}

fn start_error(launch: &Launch, error: &StartError) -> String {
    let argv0 = launch.argv.first().map(ArcStr::as_str).unwrap_or_default();
    match error {
        StartError::NoCommand => "failed to generate container spec: no command specified".to_owned(),
        _ if argv0.contains('/') => format!("{RUNC}exec: {argv0:?}: stat {argv0}: no such file or directory: unknown"),
        _ => format!("{RUNC}exec: {argv0:?}: executable file not found in $PATH: unknown"),
    }
}

/// The kernel kills a run that needs more memory than its container may have.
pub fn out_of_memory(world: &mut World, run: RunId) {
    let Some(uid) = world.kubelet.runs.get(&run).cloned() else { return };
    let id = world.kubelet.pods.get(&uid).and_then(|p| {
        let container = p.containers.iter().find(|c| c.current.run == Some(run) && c.current.is_running())?;
        Some(container.current.id.clone())
    });
    if let Some(id) = id {
        stop::on_dead(world, &uid, &id, 137, "OOMKilled");
    }
}
