//! Stopping containers and pods: grace, hooks, signals, and what is left to do when all are dead.

use super::actions::find;
use super::pod::{End, Stage};
use super::start::report;
use super::{Work, draw, drawn, edit, look, nodes, probes, status, sync};
use crate::cluster::sim::controllers::events::Severity;
use crate::cluster::sim::history::RunEnd;
use crate::cluster::sim::programs::{self, Signal};
use crate::cluster::sim::world::{Event, World};
use crate::cluster::{Identity, Propagation};
use crate::object::{Json, Object};
use arcstr::ArcStr;
use std::time::Duration;

/// Mean time that the runtime takes to stop a container, and to take a sandbox down, in seconds.
const STOP_S: f64 = 0.12;
const SANDBOX_STOP_S: f64 = 0.12;
const SPREAD: f64 = 0.4;
/// Time from the death of a pod's containers to the end of its volumes and cgroup, in seconds.
const CLEANUP_S: (f64, f64) = (0.35, 1.0);
/// Shortest grace that the kubelet gives, whatever was asked for.
const LEAST_GRACE: Duration = Duration::from_secs(2);
/// Exit code of a killed process.
const KILLED: i32 = 137;

/// Stops a container: hook, SIGTERM, and SIGKILL when its grace is over. `Work::Dead` follows.
pub fn kill(world: &mut World, uid: &str, container: &str, message: &str, grace: Option<i64>) {
    let Some((record, object)) = look(world, uid) else { return };
    let Some(found) = record.container(container).filter(|c| c.current.is_running() && !c.current.stopping) else { return };
    let (id, run) = (found.current.id.clone(), found.current.run);
    let spec = object.as_ref().and_then(|o| find(o, container).cloned()).unwrap_or_default();
    if let Some(object) = &object {
        report(world, object, container, Severity::Normal, ("Killing", message));
    }
    let asked = grace.unwrap_or_else(|| own_grace(object.as_ref(), &spec, message));
    let grace = Duration::from_secs(u64::try_from(asked).unwrap_or(0));
    let hook = object.as_ref().map_or(Duration::ZERO, |o| run_hook(world, o, &spec, grace));
    let left = grace.saturating_sub(hook).max(LEAST_GRACE);
    let exit = run.and_then(|run| programs::signal(world, run, Signal::Terminate));
    let (after, code) = match exit.filter(|e| e.after <= left) {
        Some(exit) => (exit.after, exit.code),
        None => (left, KILLED),
    };
    edit(world, uid, |pod| {
        if let Some(container) = pod.container_mut(container) {
            container.current.stopping = true;
        }
    });
    let overhead = drawn(world, uid, "stop", STOP_S, SPREAD);
    let reason = if code == 0 { arcstr::literal!("Completed") } else { arcstr::literal!("Error") };
    world.schedule(world.now + hook + after + overhead, Event::Kubelet(Work::Dead(uid.into(), id, code, reason)));
}

/// The grace of a container that is stopped for this reason: the deletion's, the probe's or the pod's.
fn own_grace(object: Option<&Object>, spec: &Json, message: &str) -> i64 {
    let Some(object) = object else { return 1 };
    if let Some(seconds) = object.meta().get("deletionGracePeriodSeconds").as_i64() {
        return seconds;
    }
    let probe = if message.contains("liveness probe") {
        spec.get("livenessProbe")
    } else if message.contains("startup probe") {
        spec.get("startupProbe")
    } else {
        &crate::object::NULL
    };
    let own = probe.get("terminationGracePeriodSeconds").as_i64();
    own.or_else(|| object.spec().get("terminationGracePeriodSeconds").as_i64()).unwrap_or(30)
}

/// How long a `preStop` hook takes, at most the grace.
fn run_hook(world: &mut World, object: &Object, spec: &Json, grace: Duration) -> Duration {
    let hook = spec.at(&["lifecycle", "preStop"]);
    if hook.is_null() || grace.is_zero() {
        return Duration::ZERO;
    }
    let seconds = hook.at(&["sleep", "seconds"]).as_i64();
    let command = hook.at(&["exec", "command"]).items();
    let span = match seconds {
        Some(seconds) => Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
        None => sleep_of(command),
    };
    let image = world.catalog.image(spec.get("image").text());
    let missing = command.first().is_some_and(|argv0| image.is_some_and(|i| i.executable(argv0.text()).is_none()));
    if missing {
        report(world, object, spec.get("name").text(), Severity::Warning, ("FailedPreStopHook", "PreStopHook failed"));
        return Duration::ZERO;
    }
    span.min(grace)
}

/// The time a command sleeps for: `sleep 5`, or a shell's `… sleep 5 …`.
fn sleep_of(command: &[Json]) -> Duration {
    let text: Vec<&str> = command.iter().flat_map(|w| w.text().split([' ', ';', '&'])).filter(|w| !w.is_empty()).collect();
    let seconds = text.windows(2).filter(|w| w.first().is_some_and(|c| c.ends_with("sleep"))).filter_map(|w| w.get(1)?.parse::<f64>().ok());
    Duration::from_secs_f64(seconds.sum::<f64>().clamp(0.0, 86_400.0))
}

/// An instance of a container is dead.
pub fn on_dead(world: &mut World, uid: &str, id: &str, code: i32, reason: &str) {
    let now = world.now;
    let dead = edit(world, uid, |pod| {
        let container = pod.containers.iter_mut().find(|c| c.current.id == id && c.current.is_running())?;
        container.current.end = Some(End { at: now, code, reason: reason.into(), message: ArcStr::new() });
        container.current.stopping = false;
        container.current.run
    });
    let Some(Some(run)) = dead else { return };
    world.history.end(run, RunEnd { at: now, exit_code: code, reason: reason.into() });
    programs::ended(world, run);
    let Some(record) = world.kubelet.pods.get(uid).cloned() else { return };
    match record.stage {
        Stage::Syncing => {
            nodes::touch(world, uid);
            if record.busy && record.next_step.is_none() {
                sync::step(world, uid);
            }
        }
        Stage::Terminating if record.running().is_empty() => take_sandbox_down(world, uid),
        _ => {}
    }
}

/// Ends a pod: its containers are stopped, its last status is written, and what it used is cleaned up.
pub fn terminate(world: &mut World, uid: &str) {
    let Some((record, object)) = look(world, uid) else { return };
    if record.stage != Stage::Syncing {
        return;
    }
    edit(world, uid, |pod| {
        pod.stage = Stage::Terminating;
        pod.plan.clear();
        pod.busy = false;
    });
    probes::stop(world, uid);
    let running = record.running();
    for container in &running {
        let grace = if object.is_none() { Some(1) } else { None };
        kill(world, uid, container, &format!("Stopping container {container}"), grace);
    }
    if running.is_empty() {
        take_sandbox_down(world, uid);
    }
}

fn take_sandbox_down(world: &mut World, uid: &str) {
    let had = edit(world, uid, |pod| {
        let had = pod.has_sandbox();
        if let Some(sandbox) = pod.sandbox.as_mut() {
            sandbox.ready = false;
        }
        had
    });
    let span = if had == Some(true) { drawn(world, uid, "sandbox-stop", SANDBOX_STOP_S, SPREAD) } else { Duration::from_millis(5) };
    world.schedule(world.now + span, Event::Kubelet(Work::Cleaned(uid.into())));
}

/// The next phase of a pod's end is reached.
pub fn on_cleaned(world: &mut World, uid: &str) {
    let Some((record, object)) = look(world, uid) else { return };
    if !nodes::is_node_running(world, &record.node) {
        return;
    }
    match record.stage {
        Stage::Terminating => {
            status::write(world, uid, true);
            edit(world, uid, |pod| pod.stage = Stage::Cleaning);
            let wait = draw(world, uid, "cleanup").range(CLEANUP_S.0, CLEANUP_S.1);
            world.schedule(world.now + Duration::from_secs_f64(wait), Event::Kubelet(Work::Cleaned(uid.into())));
        }
        Stage::Cleaning => {
            edit(world, uid, |pod| pod.stage = Stage::Terminated);
            let Some(object) = object else { return forget(world, uid) };
            status::write_last(world, uid);
            if object.is_terminating() {
                delete(world, uid);
            }
        }
        _ => {}
    }
}

fn delete(world: &mut World, uid: &str) {
    let Some(record) = world.kubelet.pods.get(uid).cloned() else { return };
    let who = Identity {
        user: format!("system:node:{}", record.node).into(),
        groups: vec![arcstr::literal!("system:nodes"), arcstr::literal!("system:authenticated")],
    };
    let _ = world.delete(&who, &record.key, Some(0), Some(Propagation::Background));
}

/// Goes on with the end of a pod whose kubelet was stopped meanwhile.
pub fn resume(world: &mut World, uid: &str) {
    if world.kubelet.pods.get(uid).is_some_and(|p| p.running().is_empty()) {
        world.schedule(world.now + Duration::from_millis(500), Event::Kubelet(Work::Cleaned(uid.into())));
    }
}

/// The API object of a pod is gone.
pub fn on_removed(world: &mut World, pod: &Object) {
    let uid = pod.uid();
    let Some(record) = world.kubelet.pods.get(uid).cloned() else { return };
    if record.stage == Stage::Terminated || record.containers.is_empty() && !record.busy {
        return forget(world, uid);
    }
    let now = world.now;
    // It was deleted without grace: what still runs is stopped all the same.
    if record.stage == Stage::Syncing {
        sync::request(world, uid, now);
    }
}

fn forget(world: &mut World, uid: &str) {
    let Some(record) = world.kubelet.pods.remove(uid) else { return };
    world.history.pod_gone(&record.uid, world.now);
    for ticket in record.due.map(|(_, t)| t).into_iter().chain(record.next_step) {
        world.queue.cancel(ticket);
    }
    for container in &record.containers {
        let instances = std::iter::once(&container.current).chain(&container.previous);
        for run in instances.filter_map(|i| i.run) {
            world.kubelet.runs.remove(&run);
            world.history.forget(run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array;

    #[test]
    fn hooks_that_sleep_take_their_time() {
        let check = |command: Json, expect: u64| assert_eq!(sleep_of(command.items()), Duration::from_secs(expect), "{command:?}");
        check(array!["sleep", "5"], 5);
        check(array!["/bin/sh", "-c", "echo bye; sleep 10"], 10);
        check(array!["nginx", "-s", "quit"], 0);
    }
}
