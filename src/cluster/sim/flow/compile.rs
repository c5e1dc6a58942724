//! From a graph of calls to the network that it is for processes and nodes.
//!
//! Walks already draw how long work, hops and stores take when nobody else is there; a network adds what is lost to others. So an
//! operation's own times are waits, and its CPU time is counted with them.
//!
//! Not modelled: what caches cost others while they warm up (their misses are
//! in single walks and in counts of CPU time).

use super::super::graph::{Act, CallAct, Graph, Outcome, Sequence, StoreAct, StoreWay, Time, Way, Work};
use super::super::history::RunId;
use super::super::plan::PATIENCE;
use super::super::programs;
use super::super::store::{Key, Kind};
use super::super::world::World;
use super::net::{Call, Entry, Moments, Net, Operation, Part, Station};
use super::pressure::pace;
use super::solve::State;
use crate::app::Program;
use crate::object::quantity::Quantity;
use arcstr::ArcStr;
use std::collections::BTreeMap;

/// Coefficient of variation of an operation's CPU time. Requests of one kind differ by a factor of two or three.
const DEMAND_CV: f64 = 1.0;

/// A network and what its parts are in the cluster.
#[derive(Debug)]
pub struct Compiled {
    /// The network.
    pub net: Net,
    /// The process of each station.
    pub runs: Vec<RunId>,
    /// Names each call, so that it is recognised after the graph has changed: the caller, what it was asked for, and which of its calls.
    pub calls: Vec<(RunId, ArcStr, usize)>,
    /// The key of each call in graphs; 0 for requests of users.
    pub keys: Vec<u64>,
    /// Whose each pool is.
    pub pools: Vec<Holder>,
}

/// Whose a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The workers of a process.
    Process(RunId),
    /// The connections for a call, by its key.
    Call(u64),
}

/// What the load at `rates` (requests per second of each entry of a graph, with `visits` to each vertex) asks of processes and nodes.
pub fn compile(world: &World, graph: &Graph, rates: &[f64], visits: &[f64]) -> Compiled {
    let compiler = Compiler {
        world,
        graph,
        visits,
        compiled: Compiled { net: Net::default(), runs: Vec::new(), calls: Vec::new(), keys: Vec::new(), pools: Vec::new() },
        nodes: BTreeMap::new(),
        stations: BTreeMap::new(),
        places: BTreeMap::new(),
        stores: BTreeMap::new(),
        made: Vec::new(),
        pace: pace(rates.iter().sum()),
        caller: (RunId(0), ArcStr::new(), 0),
    };
    compiler.compile(rates)
}

impl State {
    /// The state of one network in another one of the same processes: what is known of each is taken over.
    #[must_use]
    pub fn moved(&self, from: &Compiled, to: &Compiled) -> State {
        let mut state = State::idle(&to.net);
        for (run, backlog) in to.runs.iter().zip(&mut state.backlog) {
            let known = from.runs.iter().position(|other| other == run).and_then(|at| self.backlog.get(at));
            *backlog = known.copied().unwrap_or(0.0);
        }
        for (call, seen) in to.calls.iter().zip(&mut state.seen) {
            let known = from.calls.iter().position(|other| other == call).and_then(|at| self.seen.get(at));
            *seen = known.copied().unwrap_or(*seen);
        }
        for (pool, waiting) in to.pools.iter().zip(&mut state.waiting) {
            let known = from.pools.iter().position(|other| other == pool).and_then(|at| self.waiting.get(at));
            *waiting = known.copied().unwrap_or(0.0);
        }
        state
    }
}

struct Compiler<'w> {
    world: &'w World,
    graph: &'w Graph,
    visits: &'w [f64],
    compiled: Compiled,
    nodes: BTreeMap<ArcStr, usize>,
    stations: BTreeMap<RunId, usize>,
    /// Operation of each vertex; `None` while it is being made.
    places: BTreeMap<usize, Option<usize>>,
    /// Operation of each store and cost, in thousandths of a millisecond.
    stores: BTreeMap<(RunId, u64), usize>,
    /// Operations as they were made: those who are called first.
    made: Vec<Operation>,
    /// Time that work takes over what the data say.
    pace: f64,
    caller: (RunId, ArcStr, usize),
}

impl Compiler<'_> {
    fn compile(mut self, rates: &[f64]) -> Compiled {
        for (entry, rate) in self.graph.entries.iter().zip(rates) {
            let targets = self.targets(&entry.ways);
            self.caller = (RunId(0), entry.root.path.clone(), 0);
            let reached = targets.len() as f64 / entry.ways.len().max(1) as f64;
            let (id, succeeds, hop) = (self.number(), entry.dist.success(), Moments::ZERO);
            let timeout = PATIENCE.as_secs_f64();
            let call = Call { id, targets, pool: None, reached, succeeds, hop, timeout, retries: 0, pause: 0.0, needed: true };
            self.compiled.net.entries.push(Entry { rate: *rate, call });
        }
        // Callers before those whom they call.
        let last = self.made.len().saturating_sub(1);
        self.made.reverse();
        self.compiled.net.operations = self.made;
        self.compiled.net.each_call_mut(&mut |call| call.targets.iter_mut().for_each(|at| *at = last - *at));
        self.compiled.net.calls = self.compiled.calls.len();
        self.compiled
    }

    fn number(&mut self) -> usize {
        self.compiled.calls.push(self.caller.clone());
        self.compiled.keys.push(0);
        self.caller.2 += 1;
        self.compiled.calls.len() - 1
    }

    fn name(&mut self, call: usize, key: u64) {
        if let Some(slot) = self.compiled.keys.get_mut(call) {
            *slot = key;
        }
    }

    /// The pool of a holder whose slots are limited.
    fn pool(&mut self, holder: Holder, slots: Option<u32>) -> Option<usize> {
        self.compiled.net.pools.push(f64::from(slots?));
        self.compiled.pools.push(holder);
        Some(self.compiled.pools.len() - 1)
    }

    /// The operations that answer, as far as a process works on the request.
    fn targets<D>(&mut self, ways: &[(Way, D)]) -> Vec<usize> {
        let served = ways.iter().filter_map(|(way, _)| match way {
            Way::Served { vertex, .. } => Some(*vertex),
            _ => None,
        });
        served.collect::<Vec<_>>().into_iter().filter_map(|vertex| self.operation(vertex)).collect()
    }

    fn operation(&mut self, vertex: usize) -> Option<usize> {
        if let Some(known) = self.places.get(&vertex) {
            return *known;
        }
        let found = self.graph.vertices.get(vertex)?;
        self.places.insert(vertex, None);
        let (name, own) = match &found.work {
            Work::Handler(handler) => (&handler.path, handler.cpu_ms),
            Work::Operation(operation) => (&operation.name, operation.cpu_ms),
        };
        let outer = std::mem::replace(&mut self.caller, (found.run, name.clone(), 0));
        let body = self.sequence(&found.body);
        self.caller = outer;
        let rate = self.rate_of(found.run);
        let demand = Moments::of(found.instance.program.cpu.request(rate, own) / 1e3, DEMAND_CV);
        let station = self.station(found.run, &found.instance.program);
        self.made.push(Operation { station, demand, included: true, body });
        let at = self.made.len() - 1;
        self.places.insert(vertex, Some(at));
        Some(at)
    }

    /// A time, as long as work takes on machines that are this awake.
    fn moments(&self, time: &Time) -> Moments {
        let (mean, cv) = time.mean_and_cv();
        Moments::of(mean.as_secs_f64() * self.pace, cv)
    }

    /// Requests per second to all operations of a process.
    fn rate_of(&self, run: RunId) -> f64 {
        let of_run = self.graph.vertices.iter().zip(self.visits).filter(|(vertex, _)| vertex.run == run);
        of_run.map(|(_, rate)| rate).sum()
    }

    fn station(&mut self, run: RunId, program: &Program) -> usize {
        if let Some(known) = self.stations.get(&run) {
            return *known;
        }
        let name = self.world.history.run(run).map(|run| run.launch.node.clone()).unwrap_or_default();
        let node = self.node(&name);
        let threads = self.compiled.net.nodes.get(node).copied().unwrap_or(1.0);
        let limit = limit(self.world, run).unwrap_or(f64::INFINITY);
        let pool = self.pool(Holder::Process(run), program.pool);
        self.compiled.net.stations.push(Station { node, threads, limit, cancels: program.cancels, pool });
        self.compiled.runs.push(run);
        let at = self.compiled.runs.len() - 1;
        self.stations.insert(run, at);
        at
    }

    fn node(&mut self, name: &ArcStr) -> usize {
        if let Some(known) = self.nodes.get(name) {
            return *known;
        }
        let object = self.world.store.get(&Key::new(Kind::NODE, "", name.clone()));
        let cores = object.and_then(|node| cores(Quantity::of(node.status().at(&["capacity", "cpu"])))).unwrap_or(1.0);
        self.compiled.net.nodes.push(cores.max(0.1));
        self.nodes.insert(name.clone(), self.compiled.net.nodes.len() - 1);
        self.compiled.net.nodes.len() - 1
    }

    fn sequence(&mut self, sequence: &Sequence) -> Vec<Part> {
        sequence.acts.iter().map(|act| self.part(act)).collect()
    }

    fn part(&mut self, act: &Act) -> Part {
        match act {
            Act::Compute(time) => Part::Wait(self.moments(time)),
            Act::Call(call) => Part::Call(self.call(call)),
            Act::Store(store) => self.store(store),
            Act::Parallel { branches, .. } => Part::Together(branches.iter().map(|branch| self.sequence(branch)).collect()),
        }
    }

    fn call(&mut self, act: &CallAct) -> Call {
        let targets = self.targets(&act.ways);
        let reached = targets.len() as f64 / act.ways.len().max(1) as f64;
        let id = self.number();
        self.name(id, act.key);
        Call {
            id,
            targets,
            pool: self.pool(Holder::Call(act.key), act.pool),
            reached,
            succeeds: act.attempt.success(),
            hop: self.moments(&act.hop),
            timeout: act.timeout.map_or(f64::INFINITY, |timeout| timeout.as_secs_f64()),
            retries: act.retries,
            pause: 0.0,
            needed: matches!(act.on_error.then, crate::app::Then::Fail | crate::app::Then::Exit(_)),
        }
    }

    fn store(&mut self, act: &StoreAct) -> Part {
        let (StoreWay::Served(_), Some(run)) = (&act.way, act.store) else { return Part::Wait(Moments::ZERO) };
        let Some(target) = self.store_operation(run, act.cpu_ms) else { return Part::Wait(self.moments(&act.time)) };
        let id = self.number();
        self.name(id, act.key);
        let request = Call {
            id,
            targets: vec![target],
            pool: self.pool(Holder::Call(act.key), act.pool),
            reached: 1.0,
            succeeds: 1.0,
            hop: self.moments(&act.time),
            timeout: f64::INFINITY,
            retries: 0,
            pause: 0.0,
            needed: false,
        };
        // A cache that can fill soon has; one that cannot stays as it is.
        let lasts = |miss: &&super::super::graph::MissAct| miss.chance > 1e-3 && miss.body.dist().only() != Some(Outcome::SERVED);
        let Some(miss) = act.miss.as_ref().filter(lasts) else { return Part::Call(request) };
        let body = self.sequence(&miss.body);
        Part::Sometimes { share: 1.0, body: vec![Part::Call(request), Part::Sometimes { share: miss.chance, body }] }
    }

    /// What a request to a store costs when there are many; few make no queue.
    fn store_operation(&mut self, run: RunId, own: Option<f64>) -> Option<usize> {
        let instance = programs::instance(self.world, run)?;
        let cost = instance.program.cpu.request(f64::INFINITY, own);
        let key = (run, libm::round(cost * 1e3) as u64);
        if let Some(known) = self.stores.get(&key) {
            return Some(*known);
        }
        let station = self.station(run, &instance.program);
        self.made.push(Operation { station, demand: Moments::of(cost / 1e3, DEMAND_CV), included: true, body: Vec::new() });
        self.stores.insert(key, self.made.len() - 1);
        Some(self.made.len() - 1)
    }
}

fn cores(quantity: Option<Quantity>) -> Option<f64> {
    Some(quantity?.milli_value() as f64 / 1e3)
}

/// The CPU limit of a container, in cores.
fn limit(world: &World, run: RunId) -> Option<f64> {
    let launch = &world.history.run(run)?.launch;
    let pod = world.store.get(&Key::new(Kind::POD, launch.namespace.clone(), launch.pod.clone()))?;
    let container = pod.spec().get("containers").find("name", &launch.container)?;
    cores(Quantity::of(container.at(&["resources", "limits", "cpu"])))
}
