//! The kubelets: pods on nodes, from volumes to exit codes.
//!
//! Each pod has a worker that synchronises it: it writes the pod's status from what the runtime knows, decides what is to be
//! done, and does it step by step ([`sync`], [`actions`], [`start`], [`stop`]). A synchronisation runs when the API object
//! changes, when the runtime's state changes (seen by a relist once a second, hence the second or so between an exit and its
//! consequences), when a probe's result changes, and 10 to 15 seconds after one that failed. Nothing runs for a pod that is
//! as it should be.
//!
//! Not modelled: static pods, resource managers, user namespaces, image garbage collection, disk and PID pressure, log
//! rotation by the kubelet, updates of mounted ConfigMaps in running containers, in-place resize.

mod actions;
mod backoff;
mod images;
mod launch;
mod nodes;
mod pod;
mod probes;
mod start;
mod status;
mod stop;
mod sync;
mod volumes;

pub use nodes::{
    NodeSpec, about_node, is_node_running, lease_renewed_at, nodes_with_image, preload, project, register_node, start_node, stop_node,
    stopped_at,
};
pub use pod::{Container, Instance, Pod, Stage};
pub use probes::ProbeOutcome;

use super::history::RunId;
use super::lazy::Lazy;
use super::store::{Change, Key, Kind};
use super::world::World;
use crate::object::Object;
use crate::rng::Key as RandomKey;
use crate::time::SimTime;
use arcstr::ArcStr;
use imbl::OrdMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// State that lives with the world.
#[derive(Clone, Debug, Default)]
pub struct State {
    nodes: OrdMap<ArcStr, nodes::Node>,
    pods: OrdMap<ArcStr, Arc<Pod>>,
    /// The pod that a run belongs to.
    runs: OrdMap<RunId, ArcStr>,
    /// Environments made of Services, by namespace and whether its own Services are in them.
    service_env: OrdMap<(ArcStr, bool), Lazy<BTreeMap<ArcStr, ArcStr>>>,
}

/// Work on the queue. Pods are named by their uid.
#[derive(Clone, Debug)]
pub enum Work {
    /// Synchronise a pod.
    Sync(ArcStr),
    /// Go on with a pod's synchronisation.
    Step(ArcStr),
    /// The runtime's relist on a node.
    Relist(ArcStr),
    /// A container that is being stopped is dead: pod, instance, exit code, reason.
    Dead(ArcStr, ArcStr, i32, ArcStr),
    /// Memory over the limit kills a run.
    OutOfMemory(RunId),
    /// What is left of a terminated pod is gone.
    Cleaned(ArcStr),
    /// A probe is due: pod, container, kind.
    Probe(ArcStr, ArcStr, probes::Kind),
    /// A pod's `activeDeadlineSeconds` have passed.
    Deadline(ArcStr),
}

/// Takes note of a change.
pub fn on_change(world: &mut World, change: &Change) {
    match (change.key.kind, &change.before, &change.after) {
        (Kind::POD, before, Some(pod)) if !pod.spec().get("nodeName").is_empty() => sync::on_pod(world, before.as_ref(), pod),
        (Kind::POD, Some(pod), None) => stop::on_removed(world, pod),
        (Kind::NODE, ..) => nodes::on_node(world, change),
        (Kind::SERVICE, ..) => launch::on_service(world, change),
        _ => {}
    }
}

/// Does a piece of work that is due.
pub fn handle(world: &mut World, work: Work) {
    match work {
        Work::Sync(uid) => sync::begin(world, &uid),
        Work::Step(uid) => sync::step(world, &uid),
        Work::Relist(node) => nodes::relist(world, &node),
        Work::Dead(uid, id, code, reason) => stop::on_dead(world, &uid, &id, code, &reason),
        Work::OutOfMemory(run) => start::out_of_memory(world, run),
        Work::Cleaned(uid) => stop::on_cleaned(world, &uid),
        Work::Probe(uid, container, kind) => probes::run(world, &uid, &container, kind),
        Work::Deadline(uid) => sync::on_deadline(world, &uid),
    }
}

/// A process ended by itself.
pub fn exited(world: &mut World, run: RunId, code: i32) {
    let Some(uid) = world.kubelet.runs.get(&run).cloned() else { return };
    let id =
        world.kubelet.pods.get(&uid).and_then(|p| p.containers.iter().find(|c| c.current.run == Some(run)).map(|c| c.current.id.clone()));
    if let Some(id) = id {
        stop::on_dead(world, &uid, &id, code, if code == 0 { "Completed" } else { "Error" });
    }
}

/// The kernel kills a run that needs more memory than its container may have.
pub fn out_of_memory(world: &mut World, run: RunId) {
    start::out_of_memory(world, run);
}

/// The present run of a container; `None` while it does not run.
pub fn run_of(world: &World, namespace: &str, pod: &str, container: &str) -> Option<RunId> {
    let object = world.store.get(&Key::new(Kind::POD, namespace, pod))?;
    let record = world.kubelet.pods.get(object.uid())?;
    record.container(container).filter(|c| c.current.is_running())?.current.run
}

/// The latest run of a container, ended or not, or the one before it: what `kubectl logs` reads.
pub fn run_for_logs(world: &World, namespace: &str, pod: &str, container: &str, previous: bool) -> Option<RunId> {
    let object = world.store.get(&Key::new(Kind::POD, namespace, pod))?;
    let found = world.kubelet.pods.get(object.uid())?.container(container)?;
    if previous { found.previous.as_ref()?.run } else { found.current.run }
}

/// What the kubelet knows about a pod.
pub fn pod<'a>(world: &'a World, uid: &str) -> Option<&'a Pod> {
    world.kubelet.pods.get(uid).map(AsRef::as_ref)
}

/// Looks again at every probe whose outcome rested on a network that has changed since.
pub fn on_network_change(world: &mut World) {
    probes::wake(world);
}

/// Kills a run because it needs more memory than its container may have.
pub fn kill_for_memory(world: &mut World, run: RunId) {
    start::out_of_memory(world, run);
}

/// Changes the record of a pod.
fn edit<R>(world: &mut World, uid: &str, change: impl FnOnce(&mut Pod) -> R) -> Option<R> {
    world.kubelet.pods.get_mut(uid).map(|pod| change(Arc::make_mut(pod)))
}

/// The record of a pod and its API object, if it still has one.
fn look(world: &World, uid: &str) -> Option<(Arc<Pod>, Option<Object>)> {
    let record = world.kubelet.pods.get(uid)?.clone();
    let object = world.store.get(&record.key).filter(|o| o.uid() == uid).cloned();
    Some((record, object))
}

/// A random stream of a pod's own; each call gives another one.
fn draw(world: &mut World, uid: &str, purpose: &str) -> crate::rng::Stream {
    let number = edit(world, uid, |pod| {
        pod.draws += 1;
        pod.draws
    });
    RandomKey::new(world.seed).part("kubelet").part(uid).part(purpose).number(number.unwrap_or(0)).stream()
}

/// A duration drawn from a lognormal distribution.
fn drawn(world: &mut World, uid: &str, purpose: &str, mean_s: f64, cv: f64) -> Duration {
    Duration::from_secs_f64(draw(world, uid, purpose).lognormal(mean_s, cv).clamp(0.001, 30.0))
}

/// The first instant not before `at` on a clock that ticks every second with a phase of its own for each node and purpose.
fn tick(world: &World, node: &str, purpose: &str, at: SimTime) -> SimTime {
    const SECOND: u64 = 1_000_000_000;
    let phase = RandomKey::new(world.seed).part("tick").part(purpose).part(node).value() % SECOND;
    let behind = (at.as_nanos() + SECOND - phase) % SECOND;
    if behind == 0 { at } else { at + Duration::from_nanos(SECOND - behind) }
}

impl State {
    /// Gives pods, containers and addresses the names of an episode.
    pub(in crate::cluster::sim) fn rename(&mut self, names: &Arc<super::rename::Renaming>) {
        let pods = self.pods.iter().map(|(uid, pod)| (names.text(uid), Arc::new(pod.renamed(names))));
        self.pods = pods.collect();
        self.runs = self.runs.iter().map(|(run, uid)| (*run, names.text(uid))).collect();
        super::rename::each(&mut self.service_env, |env| *env = env.later(names));
        super::rename::each(&mut self.nodes, |node| node.shift_addresses(names.shift));
    }
}
