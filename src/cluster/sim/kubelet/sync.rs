//! A pod's worker: when a pod is synchronised, and the steps of a synchronisation.

use super::pod::{Pod, Reason, Stage, Step};
use super::{Work, actions, draw, drawn, edit, images, look, nodes, probes, start, status, stop, tick, volumes};
use crate::cluster::sim::controllers::events::{self, Severity, Source};
use crate::cluster::sim::store::{Key, Kind};
use crate::cluster::sim::world::{Event, World};
use crate::object::{Json, Object};
use crate::time::SimTime;
use arcstr::ArcStr;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Time from the write of a pod to its worker.
const WATCH_DELAY: Duration = Duration::from_millis(10);
/// Delay of the next synchronisation after one that failed, in seconds.
const RETRY_S: (f64, f64) = (10.0, 15.0);
/// Interval at which the worker looks whether the volumes are mounted.
const MOUNT_POLL: Duration = Duration::from_millis(300);

/// How a step ended.
pub enum Flow {
    /// Go on at once.
    Next,
    /// Go on after a while.
    After(Duration),
    /// Something else goes on with it.
    Parked,
}

/// Whether two values are equal; parts that are shared count without being looked at.
fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Obj(a), Json::Obj(b)) => Arc::ptr_eq(a, b) || a == b,
        _ => a == b,
    }
}

/// Takes note of a pod that is bound to a node.
pub fn on_pod(world: &mut World, before: Option<&Object>, pod: &Object) {
    let uid = ArcStr::from(pod.uid());
    let at = world.now + WATCH_DELAY;
    if !world.kubelet.pods.contains_key(&uid) {
        let node = ArcStr::from(pod.spec().get("nodeName").text());
        let record = Pod::new(Key::of(Kind::POD, pod), uid.clone(), node);
        world.kubelet.pods.insert(uid.clone(), Arc::new(record));
        request(world, &uid, at);
        return;
    }
    let concerns = |b: &Object| {
        let meta = ["labels", "annotations", "deletionTimestamp", "deletionGracePeriodSeconds"];
        !same(b.spec(), pod.spec())
            || meta.iter().any(|f| !same(b.meta().get(f), pod.meta().get(f)))
            || b.status().get("phase") != pod.status().get("phase") && !is_live(pod)
    };
    if before.is_none_or(concerns) {
        if pod.is_terminating() {
            abandon_mounting(world, &uid);
        }
        request(world, &uid, at);
    }
}

fn is_live(pod: &Object) -> bool {
    matches!(pod.status().get("phase").text(), "" | "Pending" | "Running")
}

/// A pod that is to go need not wait for volumes that cannot be mounted.
fn abandon_mounting(world: &mut World, uid: &str) {
    let ticket = edit(world, uid, |pod| {
        let waits = pod.busy && pod.plan.front() == Some(&Step::Mount);
        if !waits {
            return None;
        }
        pod.plan.clear();
        pod.busy = false;
        pod.next_step.take()
    });
    if let Some(Some(ticket)) = ticket {
        world.queue.cancel(ticket);
    }
}

/// Asks for a synchronisation at an instant, or as soon as the present one is done.
pub fn request(world: &mut World, uid: &str, at: SimTime) {
    let Some(pod) = world.kubelet.pods.get(uid) else { return };
    if pod.stage == Stage::Terminated {
        return;
    }
    if pod.busy {
        edit(world, uid, |pod| pod.pending = true);
        return;
    }
    if let Some((due, ticket)) = pod.due {
        if due <= at {
            return;
        }
        world.queue.cancel(ticket);
    }
    let at = at.max(world.now);
    let ticket = world.schedule(at, Event::Kubelet(Work::Sync(uid.into())));
    edit(world, uid, |pod| pod.due = Some((at, ticket)));
}

/// Synchronises a pod: status first, then what is to be done.
pub fn begin(world: &mut World, uid: &str) {
    edit(world, uid, |pod| pod.due = None);
    let Some((record, object)) = look(world, uid) else { return };
    if !nodes::is_node_running(world, &record.node) || record.stage != Stage::Syncing {
        return;
    }
    if record.busy {
        edit(world, uid, |pod| pod.pending = true);
        return;
    }
    // The worker waits for a view of the runtime that is newer than its last synchronisation.
    if let Some(fresh) = record.synced_at.map(|at| tick(world, &record.node, "relist", at)).filter(|fresh| *fresh > world.now) {
        request(world, uid, fresh);
        return;
    }
    let Some(object) = object else { return stop::terminate(world, uid) };
    let ends = object.is_terminating() || record.verdict.is_some();
    let phase = status::write(world, uid, false);
    if ends || matches!(phase, "Succeeded" | "Failed") {
        return stop::terminate(world, uid);
    }
    if record.synced_at.is_none() {
        watch_deadline(world, uid, &object);
    }
    let mounted = record.mounted;
    edit(world, uid, |pod| {
        pod.busy = true;
        pod.failed = false;
        pod.plan = if mounted { VecDeque::from([Step::Act]) } else { VecDeque::from([Step::Mount, Step::Act]) };
    });
    if mounted {
        step(world, uid);
    } else {
        let extra = drawn(world, uid, "mount", 0.02, 0.5);
        wait(world, uid, MOUNT_POLL + extra);
    }
}

fn wait(world: &mut World, uid: &str, span: Duration) {
    let ticket = world.schedule(world.now + span, Event::Kubelet(Work::Step(uid.into())));
    edit(world, uid, |pod| pod.next_step = Some(ticket));
}

/// Goes on with a synchronisation until it waits or ends.
pub fn step(world: &mut World, uid: &str) {
    edit(world, uid, |pod| pod.next_step = None);
    loop {
        let Some(record) = world.kubelet.pods.get(uid).cloned() else { return };
        if !record.busy {
            return;
        }
        if !nodes::is_node_running(world, &record.node) {
            // A kubelet that goes on looks at every pod anew.
            edit(world, uid, |pod| {
                pod.plan.clear();
                (pod.busy, pod.pending) = (false, false);
            });
            return;
        }
        let Some(next) = edit(world, uid, |pod| pod.plan.pop_front()).flatten() else { return finish(world, uid) };
        match perform(world, uid, &record, next) {
            Flow::Next => {}
            Flow::After(span) => return wait(world, uid, span),
            Flow::Parked => return,
        }
    }
}

fn perform(world: &mut World, uid: &str, record: &Pod, step: Step) -> Flow {
    let Some(object) = world.store.get(&record.key).filter(|o| o.uid() == uid).cloned() else {
        edit(world, uid, |pod| pod.plan.clear());
        return Flow::Next;
    };
    match step {
        Step::Mount => mount(world, uid, record, &object),
        Step::Act => {
            probes::add(world, uid, &object);
            let plan = actions::plan(&object, record);
            edit(world, uid, |pod| pod.plan.extend(plan));
            Flow::Next
        }
        Step::Kill { container, message } => {
            stop::kill(world, uid, &container, &message, None);
            Flow::Next
        }
        Step::AwaitStopped => {
            let stopping = record.containers.iter().any(|c| c.current.stopping && c.current.is_running());
            if stopping {
                edit(world, uid, |pod| pod.plan.push_front(Step::AwaitStopped));
                return Flow::Parked;
            }
            Flow::Next
        }
        Step::Sandbox => start::sandbox(world, uid, record, &object),
        Step::Start(container, since) => start::attempt(world, uid, &object, &container, since),
        Step::Pulled(container) => images::pulled(world, uid, &object, &container),
        Step::Create(container) => start::create(world, uid, &object, &container),
        Step::StopSandbox => {
            edit(world, uid, |pod| {
                if let Some(sandbox) = pod.sandbox.as_mut() {
                    sandbox.ready = false;
                }
            });
            Flow::Next
        }
    }
}

fn mount(world: &mut World, uid: &str, record: &Pod, object: &Object) -> Flow {
    match volumes::mount(world, object) {
        Ok(()) => {
            edit(world, uid, |pod| {
                pod.mounted = true;
                pod.mount_failures = 0;
            });
            Flow::Next
        }
        Err(message) => {
            events::record(world, &Source::kubelet(&record.node), object, Severity::Warning, ("FailedMount", &message));
            let failures = record.mount_failures;
            edit(world, uid, |pod| {
                pod.mount_failures = failures + 1;
                pod.plan.push_front(Step::Mount);
            });
            Flow::After(volumes::retry_delay(failures))
        }
    }
}

fn finish(world: &mut World, uid: &str) {
    let now = world.now;
    let ended = edit(world, uid, |pod| {
        pod.busy = false;
        pod.synced_at = Some(now);
        (pod.failed, std::mem::take(&mut pod.pending), pod.node.clone())
    });
    let Some((failed, pending, node)) = ended else { return };
    if pending {
        request(world, uid, now);
    } else if failed {
        let delay = draw(world, uid, "retry").range(RETRY_S.0, RETRY_S.1);
        let at = tick(world, &node, "sync", now + Duration::from_secs_f64(delay));
        request(world, uid, at);
    }
}

/// Lets the kubelet end a pod: phase `Failed`, with a reason and a message.
pub fn condemn(world: &mut World, uid: &str, reason: &str, message: &str) {
    edit(world, uid, |pod| {
        pod.verdict.get_or_insert_with(|| Reason::new(reason, message));
    });
    let now = world.now;
    request(world, uid, now);
}

fn watch_deadline(world: &mut World, uid: &str, object: &Object) {
    let seconds = object.spec().get("activeDeadlineSeconds").as_i64().and_then(|s| u64::try_from(s).ok());
    if let Some(seconds) = seconds {
        world.schedule(world.now + Duration::from_secs(seconds), Event::Kubelet(Work::Deadline(uid.into())));
    }
}

/// A pod that has been active for too long fails.
pub fn on_deadline(world: &mut World, uid: &str) {
    let Some((record, Some(object))) = look(world, uid) else { return };
    if record.stage != Stage::Syncing || record.verdict.is_some() || !is_live(&object) {
        return;
    }
    let message = "Pod was active on the node longer than the specified deadline";
    events::record(world, &Source::kubelet(&record.node), &object, Severity::Normal, ("DeadlineExceeded", message));
    condemn(world, uid, "DeadlineExceeded", message);
}
