//! The engine: the state of a simulated cluster, its clock, and the loop that advances it.
//!
//! A write appends a change to the watch log; [`World::settle`] hands each change once to those who watch, who put work on
//! the queue; [`World::run`] takes the work off in order of (time, sequence). Cloning a `World` forks the cluster.

use super::store::{Change, Key, Store};
use super::{api, controllers, digest, disturb, history, kubelet, network, programs, queue::Queue, scheduler, traffic};
use crate::app::Catalog;
use crate::cluster::Woken;
use crate::rng::{Key as RandomKey, Stream};
use crate::time::SimTime;
use std::sync::Arc;

/// Work that is due at an instant.
#[derive(Clone, Debug)]
pub enum Event {
    /// A controller's.
    Controller(controllers::Work),
    /// The scheduler's.
    Scheduler(scheduler::Work),
    /// A kubelet's.
    Kubelet(kubelet::Work),
    /// That of something that runs in a container.
    Program(programs::Work),
    /// The network's.
    Network(network::Work),
    /// A disturbance's.
    Disturbance(disturb::Work),
}

/// A simulated cluster. Every part is persistent or shared, so a clone is a handful of reference counts.
#[derive(Clone)]
pub struct World {
    /// The present instant.
    pub now: SimTime,
    /// The episode's seed; every random draw is keyed by it.
    pub seed: u64,
    /// API objects.
    pub store: Store,
    /// Work to come.
    pub queue: Queue<Event>,
    /// Changes handed out so far.
    pub(super) seen: u64,
    /// Draws made so far for names and uids.
    pub(super) drawn: u64,
    /// What the API server derives from the objects.
    pub api: api::state::State,
    /// Controllers.
    pub controllers: controllers::State,
    /// Scheduler.
    pub scheduler: scheduler::State,
    /// Kubelets of all nodes.
    pub kubelet: kubelet::State,
    /// Connections, registrations, network rules.
    pub network: network::State,
    /// What runs in containers.
    pub programs: programs::State,
    /// What was done below the API.
    pub disturbances: disturb::State,
    /// The load at present.
    pub traffic: traffic::State,
    /// What happened.
    pub history: history::History,
    /// Images and apps that are known.
    pub catalog: Arc<Catalog>,
    /// Digests of what is shared with other worlds.
    pub(super) digests: digest::Known,
}

impl World {
    /// An empty cluster at `now`.
    pub fn new(now: SimTime, seed: u64, catalog: Arc<Catalog>) -> Self {
        World {
            now,
            seed,
            store: Store::default(),
            queue: Queue::default(),
            seen: 0,
            drawn: 0,
            api: api::state::State::default(),
            controllers: controllers::State::default(),
            scheduler: scheduler::State::default(),
            kubelet: kubelet::State::default(),
            network: network::State::default(),
            programs: programs::State::default(),
            disturbances: disturb::State::default(),
            traffic: traffic::State::default(),
            history: history::History::default(),
            catalog,
            digests: digest::Known::default(),
        }
    }

    /// A new random stream for names and uids; each call gives another one.
    pub fn draw(&mut self, purpose: &str) -> Stream {
        self.drawn += 1;
        RandomKey::new(self.seed).part(purpose).number(self.drawn).stream()
    }

    /// Puts work on the queue.
    pub fn schedule(&mut self, at: SimTime, event: Event) -> super::queue::Ticket {
        self.queue.put(at.max(self.now), event)
    }

    /// Hands every change that has not been seen yet to those who watch. Returns whether `interested` held for one of them.
    pub fn settle(&mut self, interested: &mut dyn FnMut(&Change) -> bool) -> bool {
        let mut woken = false;
        while let Some(change) = self.store.next_change() {
            self.seen += 1;
            controllers::on_change(self, &change);
            scheduler::on_change(self, &change);
            kubelet::on_change(self, &change);
            network::on_change(self, &change);
            disturb::on_change(self, &change);
            woken |= interested(&change);
        }
        woken
    }

    /// Lets time pass until `until`, or until a change for which `interested` holds.
    pub fn run(&mut self, until: SimTime, interested: &mut dyn FnMut(&Change) -> bool) -> Woken {
        if self.settle(interested) {
            return Woken::Change;
        }
        while let Some((at, event)) = self.queue.pop(until) {
            self.now = self.now.max(at);
            self.handle(event);
            if self.settle(interested) {
                return Woken::Change;
            }
        }
        self.now = self.now.max(until);
        Woken::Time
    }

    /// Lets time pass until `until`.
    pub fn run_until(&mut self, until: SimTime) {
        self.run(until, &mut |_| false);
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Controller(work) => controllers::handle(self, work),
            Event::Scheduler(work) => scheduler::handle(self, work),
            Event::Kubelet(work) => kubelet::handle(self, work),
            Event::Program(work) => programs::handle(self, work),
            Event::Network(work) => network::handle(self, work),
            Event::Disturbance(work) => disturb::handle(self, work),
        }
    }

    /// Makes this a baseline, from which episodes are forked under other names.
    pub(super) fn settle_names(&mut self, names: &super::rename::Names) {
        self.store.settle(names);
        self.seen = self.store.cursor();
    }

    /// The object at a key, as stored.
    pub fn object(&self, key: &Key) -> Option<&crate::object::Object> {
        self.store.get(key)
    }
}
