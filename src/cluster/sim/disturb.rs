//! Disturbances in force: what was done below the API, by name, and how it ends.
//!
//! Loss and partition are rules of the network, stopped nodes are the kubelets' state; this part remembers which of them go
//! together under a name. A pod's network goes with the pod, and its disturbances with it; so does what a disturbance does between two
//! pods when one of them goes. A container that is killed again and again is armed anew at each of its runs.
//!
//! Not modelled: what a stopped kubelet's node does to `exec`, `logs` and port-forwards (a real one hangs).

use super::history::RunId;
use super::kubelet;
use super::network::rules::{self, Direction, Effect, Place, Rule, RuleId};
use super::store::{Change, Key, Kind};
use super::world::{Event, World};
use crate::cluster::{DisturbError, Disturbance};
use arcstr::ArcStr;
use imbl::OrdMap;

/// State that lives with the world.
#[derive(Clone, Debug, Default)]
pub struct State {
    held: OrdMap<ArcStr, Held>,
}

/// A disturbance in force.
#[derive(Clone, Debug)]
struct Held {
    what: Disturbance,
    rule: Option<RuleId>,
    /// The run that will be killed next.
    armed: Option<RunId>,
}

/// Work on the queue.
#[derive(Clone, Debug)]
pub enum Work {
    /// A run is killed, if it still runs and the disturbance of this name is still in force.
    Kill(ArcStr, RunId),
}

/// Begins a disturbance under a name; one that is in force under it ends first.
pub fn disturb(world: &mut World, name: &str, what: &Disturbance) -> Result<(), DisturbError> {
    relieve(world, name);
    let missing = |why: String| DisturbError::NoTarget { what: what.to_string(), why };
    let rule = match what {
        Disturbance::ContainerKill { namespace, pod, container, again_after } => {
            require_pod(world, namespace, pod).map_err(missing)?;
            let run = kubelet::run_of(world, namespace, pod, container);
            let run = run.ok_or_else(|| missing(format!("container {container} does not run")))?;
            kubelet::exited(world, run, KILLED);
            if again_after.is_none() {
                return Ok(());
            }
            None
        }
        Disturbance::NetworkLoss { namespace, pod, share } => {
            require_pod(world, namespace, pod).map_err(missing)?;
            Some(around(namespace, pod, None, Effect::Loss(*share)))
        }
        Disturbance::NetworkDelay { namespace, pod, latency, jitter } => {
            require_pod(world, namespace, pod).map_err(missing)?;
            let effect = Effect::Delay { latency: *latency, jitter: *jitter };
            Some(Rule { direction: Direction::Leaving, ..around(namespace, pod, None, effect) })
        }
        Disturbance::NetworkPartition { namespace, pod, from } => {
            require_pod(world, namespace, pod).map_err(missing)?;
            if let Some(other) = from {
                require_pod(world, namespace, other).map_err(missing)?;
            }
            Some(around(namespace, pod, from.as_ref(), Effect::Partition))
        }
        Disturbance::NodeStop { node } => {
            if world.store.get(&Key::new(Kind::NODE, "", node.clone())).is_none() {
                return Err(missing("there is no such node".to_owned()));
            }
            kubelet::stop_node(world, node);
            None
        }
    };
    let rule = rule.map(|rule| rules::install(world, rule));
    world.disturbances.held.insert(name.into(), Held { what: what.clone(), rule, armed: None });
    Ok(())
}

/// Exit code of a process that SIGKILL ended.
const KILLED: i32 = 137;

fn require_pod(world: &World, namespace: &ArcStr, pod: &ArcStr) -> Result<(), String> {
    let found = world.store.get(&Key::new(Kind::POD, namespace.clone(), pod.clone()));
    if found.is_some() { Ok(()) } else { Err(format!("there is no pod {namespace}/{pod}")) }
}

fn around(namespace: &ArcStr, pod: &ArcStr, other: Option<&ArcStr>, effect: Effect) -> Rule {
    let place = |pod: &ArcStr| Place::Pod { namespace: namespace.clone(), pod: pod.clone() };
    Rule { at: place(pod), with: other.map_or(Place::Anywhere, place), direction: Direction::Both, effect }
}

/// Ends a disturbance; nothing happens when there is none of this name.
pub fn relieve(world: &mut World, name: &str) {
    let Some(held) = world.disturbances.held.remove(name) else { return };
    if let Some(rule) = held.rule {
        rules::remove(world, rule);
    }
    if let Disturbance::NodeStop { node } = &held.what {
        let still = world.disturbances.held.values().any(|other| other.what == held.what);
        if !still {
            kubelet::start_node(world, node);
        }
    }
}

/// Whether a disturbance is in force under this name.
pub fn is_disturbed(world: &World, name: &str) -> bool {
    world.disturbances.held.contains_key(name)
}

/// Takes note of a change: what was done to a pod's network ends with the pod, and a container that has come back may be killed again.
pub fn on_change(world: &mut World, change: &Change) {
    if change.key.kind != Kind::POD || world.disturbances.held.is_empty() {
        return;
    }
    if change.after.is_some() {
        return arm(world, change);
    }
    let gone = |namespace: &ArcStr, pod: &ArcStr| *namespace == change.key.namespace && *pod == change.key.name;
    let over = world.disturbances.held.iter().filter(|(_, held)| match &held.what {
        Disturbance::NetworkLoss { namespace, pod, .. }
        | Disturbance::NetworkDelay { namespace, pod, .. }
        | Disturbance::ContainerKill { namespace, pod, .. } => gone(namespace, pod),
        Disturbance::NetworkPartition { namespace, pod, from } => {
            gone(namespace, pod) || from.as_ref().is_some_and(|other| gone(namespace, other))
        }
        Disturbance::NodeStop { .. } => false,
    });
    let over: Vec<ArcStr> = over.map(|(name, _)| name.clone()).collect();
    over.iter().for_each(|name| relieve(world, name));
}

/// Sees to it that a run that has begun in a changed pod is killed after its time.
fn arm(world: &mut World, change: &Change) {
    let mut due = Vec::new();
    for (name, held) in &world.disturbances.held {
        if let Disturbance::ContainerKill { namespace, pod, container, again_after: Some(after) } = &held.what
            && *namespace == change.key.namespace
            && *pod == change.key.name
            && let Some(run) = kubelet::run_of(world, namespace, pod, container)
            && held.armed != Some(run)
        {
            due.push((name.clone(), run, *after));
        }
    }
    for (name, run, after) in due {
        if let Some(held) = world.disturbances.held.get_mut(&name) {
            held.armed = Some(run);
        }
        world.schedule(world.now + after, Event::Disturbance(Work::Kill(name, run)));
    }
}

/// Does what is due.
pub fn handle(world: &mut World, work: Work) {
    let Work::Kill(name, run) = work;
    if world.disturbances.held.get(&name).is_some_and(|held| held.armed == Some(run)) {
        kubelet::exited(world, run, KILLED);
    }
}
