//! The scheduler: which node a pod goes to.
//!
//! Pods without a node wait in an active set (by priority, then age); one is scheduled in each cycle: filters in Kubernetes'
//! order, then scores. A pod that fits nowhere waits until something changes that the filters it failed on look at, or five
//! minutes; retries follow at once, as the queue pops from back-off when nothing else waits.
//! Not modelled: preemption (its messages are), several profiles, extenders, dynamic resources, volume limits, nominated nodes.

mod affinity;
mod filters;
mod pending;
mod resources;
mod scores;
mod spread;
mod volumes;

use super::controllers::events::{self, Severity};
use super::queue::Ticket;
use super::store::{Change, Key, Kind};
use super::world::{Event, World};
use crate::object;
use crate::object::{Json, Object};
use crate::rng::Key as RandomKey;
use crate::time::SimTime;
use arcstr::ArcStr;
use imbl::OrdMap;
use std::cmp::Reverse;
use std::time::Duration;

pub use affinity::{node_fits, tolerates, untolerated};
pub use resources::Usage;
pub use volumes::{claim_names, reaches};

/// State that lives with the world.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Pods to schedule, first first.
    active: OrdMap<(Reverse<i64>, u64), Key>,
    /// Pods put into the active set so far.
    entered: u64,
    /// Pods that fit nowhere at present.
    waiting: OrdMap<Key, Waiting>,
    /// What is in use on each node.
    usage: OrdMap<ArcStr, Usage>,
    /// The next cycle.
    cycle: Option<(SimTime, Ticket)>,
}

#[derive(Clone, Debug)]
struct Waiting {
    /// Filters that it failed on.
    failed: filters::Set,
    /// When it is tried again for no reason at all.
    flush: Ticket,
}

/// Work on the queue.
#[derive(Clone, Debug)]
pub enum Work {
    /// Schedule the first pod of the active set.
    Cycle,
    /// A pod has waited for so long that it is tried again.
    Flush(Key),
}

/// Time from a pod's creation to its first cycle, and the length of a cycle.
const WATCH_DELAY: Duration = Duration::from_millis(5);
const CYCLE: Duration = Duration::from_millis(3);
/// Time after which a pod that fits nowhere is tried again, and the interval at which the scheduler looks for such pods.
const FLUSH_AFTER: Duration = Duration::from_secs(300);
const FLUSH_EVERY: u64 = 30;
/// The name of the default scheduler.
pub const NAME: &str = "default-scheduler";

/// Takes note of a change.
pub fn on_change(world: &mut World, change: &Change) {
    if change.key.kind == Kind::POD {
        resources::account(world, change.before.as_ref(), change.after.as_ref());
        match change.after.as_ref().filter(|pod| is_ours(pod)) {
            Some(_) if change.before.is_none() => activate(world, &change.key, WATCH_DELAY),
            Some(pod) => pending::on_update(world, change.before.as_ref(), pod, &change.key),
            None => forget(world, &change.key),
        }
    }
    if !world.scheduler.waiting.is_empty() {
        pending::on_change(world, change);
    }
}

/// Whether a pod is this scheduler's to place.
fn is_ours(pod: &Object) -> bool {
    let spec = pod.spec();
    let name = spec.get("schedulerName").as_str().unwrap_or(NAME);
    spec.get("nodeName").is_empty() && name == NAME && !pod.is_terminating() && spec.get("schedulingGates").is_empty()
}

fn forget(world: &mut World, key: &Key) {
    if let Some(waiting) = world.scheduler.waiting.remove(key) {
        world.queue.cancel(waiting.flush);
    }
}

/// Puts a pod into the active set.
fn activate(world: &mut World, key: &Key, after: Duration) {
    forget(world, key);
    let priority = world.store.get(key).and_then(|p| p.spec().get("priority").as_i64()).unwrap_or(0);
    let state = &mut world.scheduler;
    if state.active.values().any(|k| k == key) {
        return;
    }
    state.entered += 1;
    state.active.insert((Reverse(priority), state.entered), key.clone());
    let at = world.now + after;
    if world.scheduler.cycle.is_none() {
        schedule_cycle(world, at);
    }
}

fn schedule_cycle(world: &mut World, at: SimTime) {
    let ticket = world.schedule(at, Event::Scheduler(Work::Cycle));
    world.scheduler.cycle = Some((at, ticket));
}

/// Does a piece of work that is due.
pub fn handle(world: &mut World, work: Work) {
    match work {
        Work::Cycle => {
            world.scheduler.cycle = None;
            let first = world.scheduler.active.get_min().map(|(at, _)| *at);
            if let Some(key) = first.and_then(|at| world.scheduler.active.remove(&at)) {
                run_cycle(world, &key);
            }
            if !world.scheduler.active.is_empty() {
                let at = world.now + CYCLE;
                schedule_cycle(world, at);
            }
        }
        Work::Flush(key) => activate(world, &key, Duration::ZERO),
    }
}

/// One attempt to place a pod.
fn run_cycle(world: &mut World, key: &Key) {
    let Some(pod) = world.store.get(key).filter(|p| is_ours(p)).cloned() else { return };
    match filters::feasible(world, &pod) {
        Ok(nodes) => {
            let chosen = choose(world, &pod, &nodes);
            let Some(chosen) = chosen else { return };
            match volumes::prepare(world, &pod, &chosen) {
                Ok(()) => bind(world, &pod, key, &chosen),
                Err(()) => activate(world, key, Duration::from_millis(500)),
            }
        }
        Err(rejection) => reject(world, &pod, key, rejection),
    }
}

/// The feasible node with the highest score; ties are broken by a draw.
fn choose(world: &World, pod: &Object, nodes: &[ArcStr]) -> Option<ArcStr> {
    if let [only] = nodes {
        return Some(only.clone());
    }
    let scores = scores::of(world, pod, nodes);
    let best = scores.iter().copied().max()?;
    let tied: Vec<&ArcStr> = nodes.iter().zip(&scores).filter(|(_, s)| **s == best).map(|(n, _)| n).collect();
    let mut stream = RandomKey::new(world.seed).part("scheduler").part(pod.uid()).stream();
    tied.get(stream.below(tied.len() as u64) as usize).map(|n| (*n).clone())
}

/// A pod's `PodScheduled` condition as of now.
fn condition(world: &World, pod: &Object, status: &str) -> Json {
    object! {
        "type" => "PodScheduled", "status" => status, "lastProbeTime" => Json::Null, "lastTransitionTime" => world.now.rfc3339(),
        "observedGeneration" => pod.generation(),
    }
}

fn set_condition(status: &mut Json, condition: Json) {
    let conditions = status.get_mut("conditions");
    let kept: Vec<Json> = conditions.items().iter().filter(|c| c.get("type") != condition.get("type")).cloned().collect();
    *conditions = kept.into_iter().chain([condition]).collect();
}

fn bind(world: &mut World, pod: &Object, key: &Key, node: &ArcStr) {
    if world.bind(key, node).is_err() {
        return;
    }
    let message = format!("Successfully assigned {}/{} to {node}", key.namespace, key.name);
    events::record_series(world, NAME, pod, Severity::Normal, ("Scheduled", "Binding", &message));
}

fn reject(world: &mut World, pod: &Object, key: &Key, rejection: filters::Rejection) {
    let message = rejection.message.as_str();
    events::record_series(world, NAME, pod, Severity::Warning, ("FailedScheduling", "Scheduling", message));
    let mut unschedulable = condition(world, pod, "False");
    unschedulable.set("reason", if rejection.is_error { "SchedulerError" } else { "Unschedulable" });
    unschedulable.set("message", message);
    let old = pod.condition("PodScheduled").cloned().unwrap_or_default();
    if old.get("status") == unschedulable.get("status") && !old.get("lastTransitionTime").is_null() {
        unschedulable.set("lastTransitionTime", old.get("lastTransitionTime"));
    }
    let _ = world.set_status(key, |status| set_condition(status, unschedulable));
    let due = world.now + FLUSH_AFTER;
    let due = SimTime::from_secs(due.as_secs().div_ceil(FLUSH_EVERY) * FLUSH_EVERY);
    let flush = world.schedule(due, Event::Scheduler(Work::Flush(key.clone())));
    world.scheduler.waiting.insert(key.clone(), Waiting { failed: rejection.failed, flush });
}

impl State {
    /// Gives pods the names of an episode.
    pub(in crate::cluster::sim) fn rename(&mut self, names: &super::rename::Renaming) {
        self.active = self.active.iter().map(|(place, key)| (*place, names.key(key))).collect();
        self.waiting = self.waiting.iter().map(|(key, waiting)| (names.key(key), waiting.clone())).collect();
    }
}
