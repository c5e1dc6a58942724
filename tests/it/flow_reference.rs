//! A discrete-event simulation of a flow network: every request, every job, every time-out. The reference that the flow is held against.
//!
//! Jobs on a node share its cores evenly, each with one core at most; an operation works on the CPU first and then does its parts in
//! order.

use aiopslab::cluster::sim::flow::{Call, Moments, Net, Part};
use aiopslab::rng::{Key, Stream};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

/// What was measured for one entry in a window.
#[derive(Debug, Default, Clone)]
pub struct Measured {
    /// Times of requests that were answered, in seconds, sorted.
    pub times: Vec<f64>,
    /// Requests that were not.
    pub failed: usize,
}

impl Measured {
    /// Share of requests that were not answered in time.
    pub fn error_share(&self) -> f64 {
        self.failed as f64 / (self.failed + self.times.len()).max(1) as f64
    }

    /// Mean time of those that were.
    pub fn mean(&self) -> f64 {
        self.times.iter().sum::<f64>() / self.times.len().max(1) as f64
    }

    /// A quantile of it.
    pub fn quantile(&self, p: f64) -> f64 {
        self.times.get(((self.times.len() as f64 - 1.0) * p) as usize).copied().unwrap_or(0.0)
    }
}

/// A time by its order in a heap.
#[derive(Clone, Copy, PartialEq, Debug)]
struct At(f64);

impl Eq for At {}

impl PartialOrd for At {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for At {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// The next request of an entry.
    Arrival(usize),
    /// The first job of a node may be done; valid for one version of it.
    Done(usize, u64),
    /// A task goes on with its next part.
    Next(u64),
    /// An attempt has taken too long.
    Timeout(u64, u32),
    /// A task begins.
    Begin(u64),
    /// A retry is due.
    Again(u64),
}

/// What a task is: an operation at work, or an entry's request.
struct Task {
    entry: usize,
    operation: Option<usize>,
    parent: Option<u64>,
    child: Option<u64>,
    part: usize,
    /// Attempts of the present call so far.
    attempt: u32,
    began: f64,
    /// Nobody waits for it any more.
    abandoned: bool,
    working: bool,
    failed: bool,
    /// Slots that it holds: a connection of its caller's, a worker of its process.
    connection: Option<usize>,
    worker: Option<usize>,
}

struct Pool {
    free: usize,
    /// Tasks that wait, first come first served.
    queue: VecDeque<u64>,
}

struct Node {
    cores: f64,
    /// How much each job has been given since the beginning.
    given: f64,
    since: f64,
    jobs: BinaryHeap<Reverse<(At, u64)>>,
    count: usize,
    version: u64,
}

/// A simulation under way.
pub struct Simulation<'n> {
    net: &'n Net,
    rates: Vec<f64>,
    stream: Stream,
    now: f64,
    events: BinaryHeap<Reverse<(At, u64, Event)>>,
    sequence: u64,
    tasks: BTreeMap<u64, Task>,
    next_task: u64,
    nodes: Vec<Node>,
    pools: Vec<Pool>,
    measured: Vec<Measured>,
    since: f64,
}

impl<'n> Simulation<'n> {
    /// An idle network.
    pub fn new(net: &'n Net, seed: u64) -> Self {
        let node = |cores: &f64| Node { cores: *cores, given: 0.0, since: 0.0, jobs: BinaryHeap::new(), count: 0, version: 0 };
        let mut simulation = Simulation {
            net,
            rates: net.entries.iter().map(|e| e.rate).collect(),
            stream: Key::new(seed).stream(),
            now: 0.0,
            events: BinaryHeap::new(),
            sequence: 0,
            tasks: BTreeMap::new(),
            next_task: 0,
            nodes: net.nodes.iter().map(node).collect(),
            pools: net.pools.iter().map(|slots| Pool { free: *slots as usize, queue: VecDeque::new() }).collect(),
            measured: vec![Measured::default(); net.entries.len()],
            since: 0.0,
        };
        for entry in 0..net.entries.len() {
            simulation.arrive_next(entry);
        }
        simulation
    }

    /// Changes an entry's rate.
    pub fn set_rate(&mut self, entry: usize, rate: f64) {
        self.rates[entry] = rate;
    }

    /// Runs until `until`; requests that ended since the last call, by entry.
    pub fn run(&mut self, until: f64) -> Vec<Measured> {
        while let Some(Reverse((at, _, _))) = self.events.peek() {
            if at.0 > until {
                break;
            }
            let Some(Reverse((at, _, event))) = self.events.pop() else { break };
            self.now = at.0;
            self.handle(event);
        }
        self.now = until;
        self.since = until;
        let mut measured = std::mem::replace(&mut self.measured, vec![Measured::default(); self.net.entries.len()]);
        measured.iter_mut().for_each(|m| m.times.sort_by(f64::total_cmp));
        measured
    }

    fn at(&mut self, time: f64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((At(time), self.sequence, event)));
    }

    fn draw(&mut self, moments: Moments) -> f64 {
        if moments.mean <= 0.0 {
            return 0.0;
        }
        self.stream.lognormal(moments.mean, moments.scv().sqrt())
    }

    fn arrive_next(&mut self, entry: usize) {
        let gap = self.stream.exponential(1.0 / self.rates[entry]);
        self.at(self.now + gap, Event::Arrival(entry));
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrival(entry) => {
                self.arrive_next(entry);
                let task = self.task(entry, None, None);
                self.attempt(task);
            }
            Event::Begin(task) => self.begin(task),
            Event::Next(task) => self.next(task),
            Event::Again(task) => {
                if self.tasks.get(&task).is_some_and(|t| !t.abandoned) {
                    self.attempt(task);
                }
            }
            Event::Timeout(task, attempt) => self.timeout(task, attempt),
            Event::Done(node, version) => self.done(node, version),
        }
    }

    fn task(&mut self, entry: usize, operation: Option<usize>, parent: Option<u64>) -> u64 {
        self.next_task += 1;
        let (part, attempt, child, began) = (0, 0, None, self.now);
        let (abandoned, working, failed, connection, worker) = (false, false, false, None, None);
        let task = Task { entry, operation, parent, child, part, attempt, began, abandoned, working, failed, connection, worker };
        self.tasks.insert(self.next_task, task);
        self.next_task
    }

    /// The call that a task is at.
    fn call_of(&self, task: u64) -> Option<&'n Call> {
        let net = self.net;
        let task = self.tasks.get(&task)?;
        match task.operation {
            None => net.entries.get(task.entry).map(|e| &e.call),
            Some(operation) => match &net.operations[operation].body[task.part] {
                Part::Call(call) => Some(call),
                _ => None,
            },
        }
    }

    /// One attempt of the call that a task is at.
    fn attempt(&mut self, task: u64) {
        let Some(call) = self.call_of(task) else { return };
        let entry = self.tasks[&task].entry;
        let turn = {
            let task = self.tasks.get_mut(&task).expect("there");
            task.attempt += 1;
            task.attempt
        };
        let target = call.targets[self.stream.below(call.targets.len() as u64) as usize];
        let child = self.task(entry, Some(target), Some(task));
        self.tasks.get_mut(&task).expect("there").child = Some(child);
        match call.pool {
            Some(pool) => self.queue(pool, child),
            None => self.send(child, call.hop),
        }
        if call.timeout.is_finite() {
            self.at(self.now + call.timeout, Event::Timeout(task, turn));
        }
    }

    fn send(&mut self, child: u64, hop: Moments) {
        // The whole hop passes on the way there.
        let hop = self.draw(hop);
        self.at(self.now + hop, Event::Begin(child));
    }

    /// A task waits for a slot, and gets one if there is one.
    fn queue(&mut self, pool: usize, task: u64) {
        self.pools[pool].queue.push_back(task);
        self.grant(pool);
    }

    fn grant(&mut self, at: usize) {
        while self.pools[at].free > 0 {
            let Some(id) = self.pools[at].queue.pop_front() else { return };
            let Some(task) = self.tasks.get(&id) else { continue };
            let operation = &self.net.operations[task.operation.expect("an operation")];
            let begins = self.net.stations[operation.station].pool == Some(at);
            // Whoever was given up before it was sent is not; a server that cancels drops it.
            if task.abandoned && (!begins || self.net.stations[operation.station].cancels) {
                self.tasks.remove(&id);
                continue;
            }
            self.pools[at].free -= 1;
            if begins {
                self.tasks.get_mut(&id).expect("there").worker = Some(at);
                self.work(id);
            } else {
                let hop = task.parent.and_then(|parent| self.call_of(parent)).map_or(Moments::ZERO, |call| call.hop);
                self.tasks.get_mut(&id).expect("there").connection = Some(at);
                self.send(id, hop);
            }
        }
    }

    fn release(&mut self, slot: Option<usize>) {
        if let Some(at) = slot {
            self.pools[at].free += 1;
            self.grant(at);
        }
    }

    fn begin(&mut self, id: u64) {
        let Some(task) = self.tasks.get(&id) else { return };
        let operation = &self.net.operations[task.operation.expect("an operation")];
        if task.abandoned && self.net.stations[operation.station].cancels {
            self.tasks.remove(&id);
            return;
        }
        match self.net.stations[operation.station].pool {
            Some(pool) => self.queue(pool, id),
            None => self.work(id),
        }
    }

    fn work(&mut self, id: u64) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let operation = &self.net.operations[task.operation.expect("an operation")];
        let station = &self.net.stations[operation.station];
        task.working = true;
        let work = self.draw(operation.demand);
        self.advance(station.node);
        let node = &mut self.nodes[station.node];
        node.count += 1;
        let finish = node.given + work;
        node.jobs.push(Reverse((At(finish), id)));
        self.plan(station.node);
    }

    /// Gives every job on a node its share of the time since the last change.
    fn advance(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if node.count > 0 {
            node.given += (self.now - node.since) * (node.cores / node.count as f64).min(1.0);
        }
        node.since = self.now;
    }

    fn plan(&mut self, at: usize) {
        // Jobs that were cancelled are dropped when they come up.
        while let Some(Reverse((_, task))) = self.nodes[at].jobs.peek() {
            if self.tasks.get(task).is_some_and(|t| t.working) {
                break;
            }
            self.nodes[at].jobs.pop();
        }
        let node = &mut self.nodes[at];
        node.version += 1;
        if let Some(Reverse((finish, _))) = node.jobs.peek() {
            let rate = (node.cores / node.count as f64).min(1.0);
            let (time, version) = (self.now + (finish.0 - node.given).max(0.0) / rate, node.version);
            self.at(time, Event::Done(at, version));
        }
    }

    fn done(&mut self, at: usize, version: u64) {
        if self.nodes[at].version != version {
            return;
        }
        self.advance(at);
        if let Some(Reverse((_, task))) = self.nodes[at].jobs.pop() {
            self.nodes[at].count -= 1;
            self.tasks.get_mut(&task).expect("there").working = false;
            self.plan(at);
            self.parts(task);
        }
    }

    /// A task goes on after a part.
    fn next(&mut self, id: u64) {
        if let Some(task) = self.tasks.get_mut(&id) {
            task.part += 1;
            self.parts(id);
        }
    }

    /// A task does its parts from the present one on.
    fn parts(&mut self, id: u64) {
        loop {
            let Some(task) = self.tasks.get(&id) else { return };
            let operation = &self.net.operations[task.operation.expect("an operation")];
            match operation.body.get(task.part) {
                _ if task.failed => return self.end(id),
                None => return self.end(id),
                Some(Part::Wait(moments)) => {
                    let wait = self.draw(*moments);
                    return self.at(self.now + wait, Event::Next(id));
                }
                Some(Part::Call(_)) => {
                    self.tasks.get_mut(&id).expect("there").attempt = 0;
                    return self.attempt(id);
                }
                Some(Part::Sometimes { .. } | Part::Together(_)) => {
                    // Not simulated.
                    self.tasks.get_mut(&id).expect("there").part += 1;
                }
            }
        }
    }

    /// An operation has its answer.
    fn end(&mut self, id: u64) {
        let Some(task) = self.tasks.remove(&id) else { return };
        self.release(task.worker);
        self.release(task.connection);
        let Some(parent) = task.parent.filter(|parent| !task.abandoned && self.tasks.contains_key(parent)) else { return };
        self.answered(parent, !task.failed);
    }

    /// An attempt of a task's call has ended in time, or has been given up.
    fn answered(&mut self, id: u64, success: bool) {
        let Some(call) = self.call_of(id) else { return };
        let task = self.tasks.get_mut(&id).expect("there");
        task.child = None;
        if !success && task.attempt <= call.retries {
            return self.at(self.now + call.pause, Event::Again(id));
        }
        if task.operation.is_some() {
            task.failed |= !success && call.needed;
            task.part += 1;
            return self.parts(id);
        }
        let task = self.tasks.remove(&id).expect("there");
        if success {
            self.measured[task.entry].times.push(self.now - task.began);
        } else {
            self.measured[task.entry].failed += 1;
        }
    }

    fn timeout(&mut self, id: u64, attempt: u32) {
        let Some(task) = self.tasks.get(&id).filter(|t| t.attempt == attempt) else { return };
        let Some(child) = task.child else { return };
        self.abandon(child);
        self.answered(id, false);
    }

    /// Nobody waits for a task any more.
    fn abandon(&mut self, id: u64) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.abandoned = true;
        let connection = task.connection.take();
        let (operation, child, working) = (task.operation.expect("an operation"), task.child, task.working);
        let station = &self.net.stations[self.net.operations[operation].station];
        self.release(connection);
        if !station.cancels {
            return;
        }
        let worker = self.tasks.get(&id).and_then(|task| task.worker);
        if working {
            self.advance(station.node);
            self.nodes[station.node].count -= 1;
            self.tasks.remove(&id);
            self.plan(station.node);
        } else if child.is_some() || worker.is_some() {
            self.tasks.remove(&id);
        }
        self.release(worker);
        if let Some(child) = child {
            self.abandon(child);
        }
    }
}
