//! Controllers: loops that move the cluster towards what objects ask for.
//!
//! Each loop is a function over a key, as Kubernetes' own are: a change puts the keys it concerns on the queue, a key is
//! due once at a time, and a loop that fails puts its key back after a growing delay. Loops are level-triggered: they
//! look at what is there, never at what changed.
//! Not modelled: leader election, API server throttling of controllers, HorizontalPodAutoscaler (there is no metrics API).

mod conditions;
pub mod events;
pub mod pods;
pub mod selector;
pub mod volumes;

mod accounts;
mod cron_job;
mod daemon_set;
mod deployment;
mod disruption;
mod endpoints;
mod garbage;
mod job;
mod md5;
mod namespaces;
mod node_lifecycle;
mod replica_set;
mod revisions;
mod stateful_set;

use super::queue::Ticket;
use super::store::{Change, Key, Kind};
use super::world::{Event, World};
use crate::cluster::{ApiError, Identity};
use crate::time::SimTime;
use arcstr::ArcStr;
use imbl::OrdMap;
use std::time::Duration;

/// The loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the controller of its name")]
pub enum Loop {
    Deployment,
    ReplicaSet,
    ReplicationController,
    Claim,
    Volume,
    Endpoints,
    EndpointSlice,
    Garbage,
    Namespace,
    Accounts,
    Node,
    Disruption,
    StatefulSet,
    DaemonSet,
    Job,
    CronJob,
}

/// State that lives with the world.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Keys on the queue, and when they are due.
    due: OrdMap<(Loop, Key), (SimTime, Ticket)>,
    /// How often in a row a key has failed.
    failures: OrdMap<(Loop, Key), u32>,
    /// Pods that are to leave a tainted node, and when.
    evictions: OrdMap<Key, SimTime>,
    /// The event recorder's memory.
    pub events: events::State,
}

/// Work on the queue.
#[derive(Clone, Debug)]
pub enum Work {
    /// Synchronises a key.
    Sync(Loop, Key),
}

/// Time from a change to the controllers that watch it.
const INFORMER_DELAY: Duration = Duration::from_millis(4);
/// First and longest delay of a key that fails (client-go's item exponential rate limiter).
const RETRY: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1000));

/// What became of a synchronisation.
type Outcome = Result<(), ApiError>;

/// Takes note of a change.
pub fn on_change(world: &mut World, change: &Change) {
    match change.key.kind {
        Kind::EVENT | Kind::LEASE => return,
        Kind::DEPLOYMENT => enqueue(world, Loop::Deployment, change.key.clone()),
        Kind::REPLICA_SET => {
            enqueue(world, Loop::ReplicaSet, change.key.clone());
            deployment::on_replica_set(world, change);
        }
        Kind::REPLICATION_CONTROLLER => enqueue(world, Loop::ReplicationController, change.key.clone()),
        Kind::POD => on_pod(world, change),
        Kind::PVC | Kind::PV => volumes::on_change(world, change),
        Kind::SERVICE | Kind::ENDPOINTS | Kind::ENDPOINT_SLICE => endpoints::on_change(world, change),
        Kind::NAMESPACE => {
            namespaces::on_change(world, change);
            accounts::on_change(world, change);
        }
        Kind::SERVICE_ACCOUNT | Kind::CONFIG_MAP => accounts::on_change(world, change),
        Kind::STATEFUL_SET => enqueue(world, Loop::StatefulSet, change.key.clone()),
        Kind::DAEMON_SET => enqueue(world, Loop::DaemonSet, change.key.clone()),
        Kind::JOB => {
            job::on_job(world, change);
            cron_job::on_change(world, change);
        }
        Kind::CRON_JOB => cron_job::on_change(world, change),
        Kind::NODE => {
            node_lifecycle::on_change(world, change);
            daemon_set::on_change(world, change);
        }
        Kind::PDB => disruption::on_change(world, change),
        _ => {}
    }
    garbage::on_change(world, change);
}

fn on_pod(world: &mut World, change: &Change) {
    replica_set::on_pod(world, change);
    deployment::on_pod(world, change);
    volumes::on_change(world, change);
    endpoints::on_change(world, change);
    node_lifecycle::on_change(world, change);
    disruption::on_change(world, change);
    stateful_set::on_pod(world, change);
    daemon_set::on_change(world, change);
    job::on_pod(world, change);
}

/// Does a piece of work that is due.
pub fn handle(world: &mut World, work: Work) {
    let Work::Sync(which, key) = work;
    world.controllers.due.remove(&(which, key.clone()));
    let outcome = match which {
        Loop::Deployment => deployment::sync(world, &key),
        Loop::ReplicaSet | Loop::ReplicationController => replica_set::sync(world, &key),
        Loop::Claim => volumes::sync_claim(world, &key),
        Loop::Volume => volumes::sync_volume(world, &key),
        Loop::Endpoints => endpoints::sync(world, &key),
        Loop::EndpointSlice => endpoints::sync_slices(world, &key),
        Loop::Garbage => garbage::sync(world, &key),
        Loop::Namespace => namespaces::sync(world, &key),
        Loop::Accounts => accounts::sync(world, &key),
        Loop::Node => node_lifecycle::sync(world, &key),
        Loop::Disruption => disruption::sync(world, &key),
        Loop::StatefulSet => stateful_set::sync(world, &key),
        Loop::DaemonSet => daemon_set::sync(world, &key),
        Loop::Job => job::sync(world, &key),
        Loop::CronJob => cron_job::sync(world, &key),
    };
    match outcome {
        Ok(()) => {
            world.controllers.failures.remove(&(which, key));
        }
        Err(_) => retry(world, which, key),
    }
}

/// Puts a key on a loop's queue after the informers' delay.
pub fn enqueue(world: &mut World, which: Loop, key: Key) {
    enqueue_after(world, which, key, INFORMER_DELAY);
}

/// Puts a key on a loop's queue; of several instants the earliest counts, since the loop then asks again for a later one.
pub fn enqueue_after(world: &mut World, which: Loop, key: Key, after: Duration) {
    let at = world.now + after;
    let slot = (which, key);
    if let Some((due, ticket)) = world.controllers.due.get(&slot).copied() {
        if due <= at {
            return;
        }
        world.queue.cancel(ticket);
    }
    let ticket = world.schedule(at, Event::Controller(Work::Sync(which, slot.1.clone())));
    world.controllers.due.insert(slot, (at, ticket));
}

fn retry(world: &mut World, which: Loop, key: Key) {
    let slot = (which, key);
    let failures = world.controllers.failures.get(&slot).copied().unwrap_or(0);
    world.controllers.failures.insert(slot.clone(), failures + 1);
    let delay = RETRY.0.saturating_mul(1_u32.checked_shl(failures.min(20)).unwrap_or(u32::MAX)).min(RETRY.1);
    enqueue_after(world, which, slot.1, delay);
}

/// A node's kubelet stopped: its lease will not be renewed any more.
pub fn on_kubelet_stopped(world: &mut World, node: &str) {
    node_lifecycle::on_stopped(world, node);
}

/// A node's kubelet runs again.
pub fn on_kubelet_started(world: &mut World, node: &str) {
    node_lifecycle::on_started(world, node);
}

/// In whose name a controller of kube-controller-manager writes.
pub fn identity(controller: &str) -> Identity {
    Identity {
        user: ArcStr::from(format!("system:serviceaccount:kube-system:{controller}")),
        groups: vec![
            arcstr::literal!("system:serviceaccounts"),
            arcstr::literal!("system:serviceaccounts:kube-system"),
            arcstr::literal!("system:authenticated"),
        ],
    }
}

impl State {
    /// Gives keys the names of an episode. Recorders forget: what they remember of a settled cluster is too old to matter.
    pub(in crate::cluster::sim) fn rename(&mut self, names: &super::rename::Renaming) {
        self.due = self.due.iter().map(|((which, key), due)| ((*which, names.key(key)), *due)).collect();
        self.failures = self.failures.iter().map(|((which, key), count)| ((*which, names.key(key)), *count)).collect();
        self.evictions = self.evictions.iter().map(|(key, at)| (names.key(key), *at)).collect();
        self.events = events::State::default();
    }
}
