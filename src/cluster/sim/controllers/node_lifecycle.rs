//! The node lifecycle and taint eviction controllers: nodes whose kubelets are silent, and what becomes of their pods.
//!
//! A node's silence is a matter of time, so nothing is done while kubelets run: when one stops, the instant at which its
//! lease will have been too old for the monitor is put on the queue.
//! Not modelled: zones and their eviction rates, disk and memory pressure, nodes that are shut down.

use super::events::{self, Severity, Source};
use super::{Loop, Outcome, enqueue, enqueue_after, identity};
use crate::cluster::Propagation;
use crate::cluster::sim::kubelet;
use crate::cluster::sim::store::{Change, Key, Kind};
use crate::cluster::sim::world::World;
use crate::object;
use crate::object::{Json, Object};
use crate::rng::Key as RandomKey;
use crate::time::SimTime;
use std::time::Duration;

/// Age of a lease from which on its node counts as silent, and the interval at which the monitor looks.
const SILENT_AFTER: Duration = Duration::from_secs(50);
const MONITOR_EVERY: Duration = Duration::from_secs(5);
/// Time from the node's condition to the taint that evicts, and from the end of the silence to the end of that taint.
const EVICTION_TAINT_AFTER: Duration = Duration::from_millis(200);
const EVICTION_TAINT_ENDS_AFTER: Duration = Duration::from_millis(2_800);
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Puts a node on the queue whose taints or pods may need a hand.
pub fn on_change(world: &mut World, change: &Change) {
    match (change.key.kind, &change.before, &change.after) {
        (Kind::NODE, before, Some(node)) => {
            let view = |o: &Object| (o.spec().get("unschedulable").clone(), o.spec().get("taints").clone());
            if before.as_ref().map(view) != Some(view(node)) {
                enqueue(world, Loop::Node, change.key.clone());
            }
        }
        (Kind::POD, before, Some(pod)) => {
            let placed = |o: &Object| !o.spec().get("nodeName").is_empty();
            if placed(pod) && !before.as_ref().is_some_and(placed) {
                let node = Key::new(Kind::NODE, "", pod.spec().get("nodeName").text());
                if world.store.get(&node).is_some_and(|n| evicting_taint(n).is_some()) {
                    enqueue(world, Loop::Node, node);
                }
            }
        }
        _ => {}
    }
}

/// A kubelet stopped: its node is looked at again when its lease is too old.
pub fn on_stopped(world: &mut World, node: &str) {
    let Some(renewed) = kubelet::lease_renewed_at(world, node) else { return };
    let phase = RandomKey::new(world.seed).part("node-monitor").value() % (MONITOR_EVERY.as_nanos() as u64);
    let due = (renewed + SILENT_AFTER).as_nanos();
    let period = MONITOR_EVERY.as_nanos() as u64;
    let behind = (due + period - phase) % period;
    let at = SimTime::from_nanos(due + if behind == 0 { 0 } else { period - behind });
    enqueue_after(world, Loop::Node, Key::new(Kind::NODE, "", node), at - world.now);
}

/// A kubelet runs again: it reports its node's state.
pub fn on_started(world: &mut World, node: &str) {
    enqueue_after(world, Loop::Node, Key::new(Kind::NODE, "", node), Duration::from_millis(500));
}

fn taint<'a>(node: &'a Object, key: &str, effect: &str) -> Option<&'a Json> {
    node.spec().get("taints").items().iter().find(|t| t.get("key").text() == key && t.get("effect").text() == effect)
}

fn evicting_taint(node: &Object) -> Option<&Json> {
    node.spec().get("taints").items().iter().find(|t| t.get("effect").text() == "NoExecute")
}

fn set_taint(world: &mut World, key: &Key, (name, effect): (&str, &str), wanted: bool) -> Outcome {
    let Some(node) = world.store.get(key) else { return Ok(()) };
    if taint(node, name, effect).is_some() == wanted {
        return Ok(());
    }
    let now = world.now.rfc3339();
    world.update(key, |n| {
        let taints = n.at_mut(&["spec", "taints"]);
        if wanted {
            taints.push(object! { "key" => name, "effect" => effect, "timeAdded" => now });
        } else {
            taints.items_mut().retain(|t| t.get("key").text() != name || t.get("effect").text() != effect);
            if taints.is_empty() {
                n.remove_at(&["spec", "taints"]);
            }
        }
    })?;
    Ok(())
}

/// Brings a node's conditions, taints and pods up to date.
pub fn sync(world: &mut World, key: &Key) -> Outcome {
    let Some(node) = world.store.get(key).cloned() else { return Ok(()) };
    let unschedulable = node.spec().get("unschedulable").is_true();
    set_taint(world, key, (UNSCHEDULABLE, "NoSchedule"), unschedulable)?;
    let running = kubelet::is_node_running(world, &key.name);
    let lease = kubelet::lease_renewed_at(world, &key.name);
    let silent = !running && lease.is_some_and(|at| world.now - at >= SILENT_AFTER);
    let known = node.condition("Ready").is_some_and(|c| c.get("status").text() != "Unknown");
    if silent && known {
        fall_silent(world, key)?;
    } else if running && !known {
        speak_again(world, key)?;
    }
    if silent {
        set_taint(world, key, (UNREACHABLE, "NoSchedule"), true)?;
        if known {
            enqueue_after(world, Loop::Node, key.clone(), EVICTION_TAINT_AFTER);
        } else {
            set_taint(world, key, (UNREACHABLE, "NoExecute"), true)?;
        }
    } else if running {
        set_taint(world, key, (UNREACHABLE, "NoSchedule"), false)?;
        end_eviction(world, key, &node)?;
    }
    evict(world, key)
}

fn end_eviction(world: &mut World, key: &Key, node: &Object) -> Outcome {
    let spoke = node.condition("Ready").and_then(|c| SimTime::parse_rfc3339(c.get("lastTransitionTime").text()));
    if taint(node, UNREACHABLE, "NoExecute").is_none() {
        return Ok(());
    }
    let ready = node.condition("Ready").is_some_and(|c| c.get("status").text() == "True");
    let due = spoke.filter(|_| ready).map(|at| at + EVICTION_TAINT_ENDS_AFTER);
    match due.filter(|at| *at <= world.now) {
        Some(_) => set_taint(world, key, (UNREACHABLE, "NoExecute"), false),
        None => {
            let wait = due.map_or(EVICTION_TAINT_ENDS_AFTER, |at| at - world.now);
            enqueue_after(world, Loop::Node, key.clone(), wait);
            Ok(())
        }
    }
}

fn fall_silent(world: &mut World, key: &Key) -> Outcome {
    let now = world.now.rfc3339();
    world.set_status(key, |status| {
        for condition in status.get_mut("conditions").items_mut() {
            condition.set("status", "Unknown");
            condition.set("reason", "NodeStatusUnknown");
            condition.set("message", "Kubelet stopped posting node status.");
            condition.set("lastTransitionTime", now.as_str());
        }
    })?;
    report_node(world, key, "node-controller", "NodeNotReady");
    let pods: Vec<Object> = on_node(world, &key.name);
    for pod in pods.iter().filter(|p| super::pods::is_ready(p)) {
        let now = world.now.rfc3339();
        let _ = world.set_status(&Key::of(Kind::POD, pod), |status| {
            if let Some(ready) = status.get_mut("conditions").find_mut("type", "Ready") {
                ready.set("status", "False");
                ready.set("lastTransitionTime", now);
            }
        });
        events::record(world, &Source::component("node-controller"), pod, Severity::Warning, ("NodeNotReady", "Node is not ready"));
    }
    Ok(())
}

fn speak_again(world: &mut World, key: &Key) -> Outcome {
    let now = world.now.rfc3339();
    let texts = |kind: &str| match kind {
        "MemoryPressure" => ("False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        "DiskPressure" => ("False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        "PIDPressure" => ("False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        _ => ("True", "KubeletReady", "kubelet is posting ready status"),
    };
    world.set_status(key, |status| {
        for condition in status.get_mut("conditions").items_mut() {
            let (value, reason, message) = texts(condition.get("type").clone().text());
            condition.set("status", value);
            condition.set("reason", reason);
            condition.set("message", message);
            condition.set("lastTransitionTime", now.as_str());
            condition.set("lastHeartbeatTime", now.as_str());
        }
    })?;
    for reason in ["NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID", "NodeReady"] {
        report_node(world, key, "kubelet", reason);
    }
    Ok(())
}

/// `Node NAME status is now: REASON`.
fn report_node(world: &mut World, key: &Key, component: &str, reason: &str) {
    let Some(node) = world.store.get(key).cloned() else { return };
    let message = format!("Node {} status is now: {reason}", key.name);
    let source = if component == "kubelet" { Source::kubelet(&key.name) } else { Source::component(component) };
    let about = if component == "kubelet" {
        kubelet::about_node(&node)
    } else {
        object! { "apiVersion" => "v1", "kind" => "Node", "name" => node.name(), "uid" => node.uid() }
    };
    events::record_ref(world, &source, about, Severity::Normal, (reason, &message));
}

fn on_node(world: &World, node: &str) -> Vec<Object> {
    let there = |p: &Object| p.spec().get("nodeName").text() == node && !p.is_terminating();
    world.store.list_by(Kind::POD, None, there).map(|(_, pod)| pod.clone()).collect()
}

/// When a pod must leave a node with `NoExecute` taints; `None` when it tolerates them for ever.
fn leaves_at(pod: &Object, node: &Object) -> Option<SimTime> {
    let mut earliest: Option<SimTime> = None;
    for taint in node.spec().get("taints").items().iter().filter(|t| t.get("effect").text() == "NoExecute") {
        let added = SimTime::parse_rfc3339(taint.get("timeAdded").text()).unwrap_or(SimTime::ZERO);
        let matching = pod.spec().get("tolerations").items().iter().filter(|t| crate::cluster::sim::scheduler::tolerates(t, taint));
        let mut patience: Option<Option<u64>> = None;
        for toleration in matching {
            let seconds = toleration.get("tolerationSeconds").as_i64().map(|s| u64::try_from(s).unwrap_or(0));
            patience = Some(match (patience, seconds) {
                (None | Some(None), seconds) => seconds,
                (Some(Some(least)), Some(seconds)) => Some(least.min(seconds)),
                (Some(least), None) => least,
            });
        }
        let at = match patience {
            Some(None) => continue,
            Some(Some(seconds)) => added + Duration::from_secs(seconds),
            None => added,
        };
        earliest = Some(earliest.map_or(at, |e| e.min(at)));
    }
    earliest
}

/// Deletes the pods whose patience with a node's taints is over, and looks again when the next one's is.
fn evict(world: &mut World, key: &Key) -> Outcome {
    let Some(node) = world.store.get(key).cloned() else { return Ok(()) };
    let tainted = evicting_taint(&node).is_some();
    let mut next: Option<SimTime> = None;
    for pod in on_node(world, &key.name) {
        let slot = Key::of(Kind::POD, &pod);
        let due = if tainted { leaves_at(&pod, &node) } else { None };
        let waited = world.controllers.evictions.contains_key(&slot);
        match due {
            Some(at) if at <= world.now => evict_pod(world, &slot, &pod)?,
            Some(at) => {
                world.controllers.evictions.insert(slot, at);
                next = Some(next.map_or(at, |n| n.min(at)));
            }
            None if waited => {
                world.controllers.evictions.remove(&slot);
                report_eviction(world, &pod, "Cancelling deletion of Pod");
            }
            None => {}
        }
    }
    if let Some(at) = next {
        enqueue_after(world, Loop::Node, key.clone(), at - world.now);
    }
    Ok(())
}

fn report_eviction(world: &mut World, pod: &Object, what: &str) {
    let message = format!("{what} {}/{}", pod.namespace(), pod.name());
    events::record(world, &Source::component("taint-eviction-controller"), pod, Severity::Normal, ("TaintManagerEviction", &message));
}

fn evict_pod(world: &mut World, key: &Key, pod: &Object) -> Outcome {
    world.controllers.evictions.remove(key);
    report_eviction(world, pod, "Marking for deletion Pod");
    let target = object! {
        "type" => "DisruptionTarget", "status" => "True", "reason" => "DeletionByTaintManager", "lastProbeTime" => Json::Null,
        "message" => "Taint manager: deleting due to NoExecute taint", "lastTransitionTime" => world.now.rfc3339(),
        "observedGeneration" => pod.generation(),
    };
    world.set_status(key, |s| {
        if s.get("conditions").find("type", "DisruptionTarget").is_none() {
            s.get_mut("conditions").push(target);
        }
    })?;
    world.delete(&identity("taint-eviction-controller"), key, None, Some(Propagation::Background))?;
    Ok(())
}
