//! Probes: workers that ask a container how it is.
//!
//! A worker ticks from the moment it was made. A probe that holds rests: it is asked again only when the network's state has
//! changed, since its answer cannot be another one before. A probe that fails goes on at every tick, as its events do.

use super::actions::{find, is_sidecar, name_of};
use super::pod::{Pod, Stage};
use super::start::report;
use super::{Work, edit, look, nodes, status, sync};
use crate::cluster::sim::controllers::events::Severity;
use crate::cluster::sim::network;
use crate::cluster::sim::queue::Ticket;
use crate::cluster::sim::world::{Event, World};
use crate::object::{Json, Object};
use crate::time::SimTime;
use arcstr::ArcStr;
use std::time::Duration;

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub enum Kind {
    Startup,
    Liveness,
    Readiness,
}

const KINDS: [Kind; 3] = [Kind::Startup, Kind::Liveness, Kind::Readiness];

impl Kind {
    fn field(self) -> &'static str {
        match self {
            Kind::Startup => "startupProbe",
            Kind::Liveness => "livenessProbe",
            Kind::Readiness => "readinessProbe",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Kind::Startup => "Startup",
            Kind::Liveness => "Liveness",
            Kind::Readiness => "Readiness",
        }
    }

    /// The result of a container that has not been probed yet.
    fn initial(self) -> Option<bool> {
        match self {
            Kind::Startup => None,
            Kind::Liveness => Some(true),
            Kind::Readiness => Some(false),
        }
    }
}

/// What a probe met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeOutcome {
    /// Whether it holds.
    pub ok: bool,
    /// What the event says after `probe failed: `.
    pub message: String,
}

/// A worker: one probe of one container.
#[derive(Clone, Debug)]
pub struct Worker {
    container: ArcStr,
    kind: Kind,
    /// The instant from which its ticks count.
    base: SimTime,
    /// The instance that its result is about.
    instance: ArcStr,
    /// The result that counts, thresholds considered.
    result: Option<bool>,
    last: Option<bool>,
    in_a_row: i64,
    on_hold: bool,
    due: Option<Ticket>,
    /// The state of the network that the present result rests on, while the worker rests.
    rests_on: Option<u64>,
}

fn worker<'a>(pod: &'a Pod, container: &str, kind: Kind) -> Option<&'a Worker> {
    pod.probes.iter().find(|w| w.container == container && w.kind == kind)
}

/// The result of a probe for the present instance of a container.
fn result(pod: &Pod, spec: &Json, kind: Kind) -> Option<bool> {
    let name = spec.get("name").text();
    let instance = &pod.container(name)?.current.id;
    worker(pod, name, kind).filter(|w| w.instance == *instance)?.result
}

/// Whether a running container has started, as far as its startup probe tells.
pub fn has_started(pod: &Pod, spec: &Json) -> bool {
    let running = pod.is_running(spec.get("name").text());
    running && (spec.get(Kind::Startup.field()).is_null() || result(pod, spec, Kind::Startup) == Some(true))
}

/// Whether a started container is ready, as far as its readiness probe tells.
pub fn is_ready(pod: &Pod, spec: &Json) -> bool {
    spec.get(Kind::Readiness.field()).is_null() || result(pod, spec, Kind::Readiness) == Some(true)
}

/// Why a running container is to be restarted, if a probe asks for it.
pub fn complaint(pod: &Pod, spec: &Json, title: &str) -> Option<String> {
    let failed = [Kind::Liveness, Kind::Startup].into_iter().find(|kind| result(pod, spec, *kind) == Some(false))?;
    Some(format!("{title} {} failed {} probe", spec.get("name").text(), failed.title().to_lowercase()))
}

/// Makes workers for the probes of a pod that have none.
pub fn add(world: &mut World, uid: &str, object: &Object) {
    let now = world.now;
    let spec = object.spec();
    let inits = spec.get("initContainers").items().iter().filter(|c| is_sidecar(c));
    let wanted: Vec<(ArcStr, Kind)> = inits
        .chain(spec.get("containers").items())
        .flat_map(|c| KINDS.into_iter().filter(|k| !c.get(k.field()).is_null()).map(|k| (name_of(c), k)))
        .collect();
    if wanted.is_empty() {
        return;
    }
    edit(world, uid, |pod| {
        for (container, kind) in wanted {
            if worker(pod, &container, kind).is_none() {
                pod.probes.push(Worker {
                    container,
                    kind,
                    base: now,
                    instance: ArcStr::new(),
                    result: None,
                    last: None,
                    in_a_row: 0,
                    on_hold: false,
                    due: None,
                    rests_on: None,
                });
            }
        }
    });
}

fn period(object: &Object, container: &str, kind: Kind) -> Duration {
    let seconds = find(object, container).and_then(|c| c.get(kind.field()).get("periodSeconds").as_i64()).unwrap_or(10);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(10).max(1))
}

/// The first tick of a worker after `now` and not before `least`.
fn next_tick(base: SimTime, period: Duration, now: SimTime, least: SimTime) -> SimTime {
    let from = least.max(now + Duration::from_nanos(1)).max(base);
    let periods = (from - base).as_nanos().div_ceil(period.as_nanos().max(1));
    base + Duration::from_nanos(u64::try_from(periods.saturating_mul(period.as_nanos())).unwrap_or(u64::MAX))
}

fn schedule(world: &mut World, uid: &str, container: &ArcStr, kind: Kind, at: SimTime) {
    let ticket = world.schedule(at, Event::Kubelet(Work::Probe(uid.into(), container.clone(), kind)));
    let old = change(world, uid, container, kind, |w| {
        w.rests_on = None;
        w.due.replace(ticket)
    });
    if let Some(Some(old)) = old {
        world.queue.cancel(old);
    }
}

fn change<R>(world: &mut World, uid: &str, container: &str, kind: Kind, edit_worker: impl FnOnce(&mut Worker) -> R) -> Option<R> {
    edit(world, uid, |pod| pod.probes.iter_mut().find(|w| w.container == container && w.kind == kind).map(edit_worker)).flatten()
}

/// After a status was written: workers of running containers go on, and a readiness probe that does not hold is asked at once.
pub fn after_status(world: &mut World, uid: &str) {
    let Some((record, Some(object))) = look(world, uid) else { return };
    if record.stage != Stage::Syncing || record.probes.is_empty() {
        return;
    }
    for w in &record.probes {
        let Some(spec) = find(&object, &w.container) else { continue };
        if !record.is_running(&w.container) || !shows_running(&object, &record, &w.container) {
            continue;
        }
        let started = has_started(&record, spec);
        if w.kind == Kind::Readiness && started && result(&record, spec, w.kind) != Some(true) {
            let now = world.now;
            change(world, uid, &w.container, w.kind, |w| w.base = now);
            schedule(world, uid, &w.container, w.kind, now);
        } else if w.due.is_none() && w.rests_on.is_none() && !(w.on_hold && is_about(&record, w)) {
            let at = next_tick(w.base, period(&object, &w.container, w.kind), world.now, SimTime::ZERO);
            schedule(world, uid, &w.container, w.kind, at);
        }
    }
}

fn is_about(pod: &Pod, worker: &Worker) -> bool {
    pod.container(&worker.container).is_some_and(|c| c.current.id == worker.instance)
}

/// Whether the API shows the present instance of a container as running, which is what workers go by.
fn shows_running(object: &Object, pod: &Pod, container: &str) -> bool {
    let id = pod.container(container).map(|c| format!("containerd://{}", c.current.id));
    let lists = ["containerStatuses", "initContainerStatuses"];
    let shown = lists.iter().find_map(|l| object.status().get(l).find("name", container));
    shown.is_some_and(|s| !s.at(&["state", "running"]).is_null() && s.get("containerID").as_str() == id.as_deref())
}

/// Asks a probe.
pub fn run(world: &mut World, uid: &str, container: &ArcStr, kind: Kind) {
    change(world, uid, container, kind, |w| w.due = None);
    let Some((record, Some(object))) = look(world, uid) else { return };
    if record.stage != Stage::Syncing || !nodes::is_node_running(world, &record.node) || !shows_running(&object, &record, container) {
        return;
    }
    let (Some(spec), Some(found)) = (find(&object, container).cloned(), record.container(container)) else { return };
    let (id, started_at) = (found.current.id.clone(), found.current.started_at);
    change(world, uid, container, kind, |w| {
        if w.instance != id {
            w.instance = id.clone();
            w.result = kind.initial();
            w.on_hold = false;
        }
    });
    let probe = spec.get(kind.field()).clone();
    let every = period(&object, container, kind);
    let Some(w) = world.kubelet.pods.get(uid).and_then(|p| worker(p, container, kind)).cloned() else { return };
    if w.on_hold {
        return;
    }
    let delay = Duration::from_secs(probe.get("initialDelaySeconds").as_i64().and_then(|s| u64::try_from(s).ok()).unwrap_or(0));
    let startup_done = world.kubelet.pods.get(uid).is_some_and(|p| has_started(p, &spec));
    if world.now < started_at + delay {
        return schedule(world, uid, container, kind, next_tick(w.base, every, world.now, started_at + delay));
    }
    if (kind == Kind::Startup) == startup_done {
        // Startup probes end with the start; the others begin with it, when the next status is written.
        return;
    }
    let outcome = network::check(world, &object, container, &probe);
    if !outcome.ok {
        let message = format!("{} probe failed: {}", kind.title(), outcome.message);
        report(world, &object, container, Severity::Warning, ("Unhealthy", &message));
    }
    conclude(world, uid, (container, kind), &probe, outcome.ok);
    go_on(world, uid, (container, kind), every, outcome.ok);
}

/// Counts an outcome; a result that changes is told to the pod's worker.
fn conclude(world: &mut World, uid: &str, (container, kind): (&ArcStr, Kind), probe: &Json, ok: bool) {
    let threshold = |field: &str, default: i64| probe.get(field).as_i64().unwrap_or(default);
    let enough = if ok { threshold("successThreshold", 1) } else { threshold("failureThreshold", 3) };
    let changed = change(world, uid, container, kind, |w| {
        w.in_a_row = if w.last == Some(ok) { w.in_a_row + 1 } else { 1 };
        w.last = Some(ok);
        if w.in_a_row < enough {
            return false;
        }
        let changed = w.result != Some(ok);
        w.result = Some(ok);
        if kind == Kind::Startup || kind == Kind::Liveness && !ok {
            w.on_hold = true;
            w.in_a_row = 0;
        }
        changed
    });
    if changed != Some(true) {
        return;
    }
    let now = world.now;
    if kind == Kind::Readiness {
        status::write(world, uid, false);
    }
    sync::request(world, uid, now);
}

/// Schedules the next probe, or lets the worker rest.
fn go_on(world: &mut World, uid: &str, (container, kind): (&ArcStr, Kind), every: Duration, ok: bool) {
    let Some(w) = world.kubelet.pods.get(uid).and_then(|p| worker(p, container, kind)).cloned() else { return };
    if w.on_hold || w.due.is_some() {
        return;
    }
    if ok && w.result == Some(true) {
        let epoch = world.network.epoch();
        change(world, uid, container, kind, |w| w.rests_on = Some(epoch));
        return;
    }
    let at = next_tick(w.base, every, world.now, SimTime::ZERO);
    schedule(world, uid, container, kind, at);
}

/// Wakes the workers whose result rests on another state of the network than the present one.
pub fn wake(world: &mut World) {
    let epoch = world.network.epoch();
    let resting: Vec<(ArcStr, ArcStr, Kind, SimTime)> = world
        .kubelet
        .pods
        .values()
        .filter(|p| !p.probes.is_empty() && p.stage == Stage::Syncing)
        .flat_map(|p| {
            p.probes.iter().filter(|w| w.rests_on.is_some_and(|e| e != epoch)).map(|w| (p.uid.clone(), w.container.clone(), w.kind, w.base))
        })
        .collect();
    for (uid, container, kind, base) in resting {
        let Some((_, Some(object))) = look(world, &uid) else { continue };
        let at = next_tick(base, period(&object, &container, kind), world.now, SimTime::ZERO);
        schedule(world, &uid, &container, kind, at);
    }
}

/// Ends a pod's workers.
pub fn stop(world: &mut World, uid: &str) {
    let workers = edit(world, uid, |pod| std::mem::take(&mut pod.probes)).unwrap_or_default();
    for ticket in workers.into_iter().filter_map(|w| w.due) {
        world.queue.cancel(ticket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_follow_the_worker_s_own_clock() {
        let t = SimTime::from_secs;
        let ten = Duration::from_secs(10);
        assert_eq!(next_tick(t(103), ten, t(103), SimTime::ZERO), t(113));
        assert_eq!(next_tick(t(103), ten, t(112), SimTime::ZERO), t(113));
        assert_eq!(next_tick(t(103), ten, t(113), SimTime::ZERO), t(123));
        assert_eq!(next_tick(t(103), ten, t(104), t(140)), t(143));
    }
}
