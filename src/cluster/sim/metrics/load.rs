//! What the load asks of every process: requests, CPU time and bytes, as sums of counts of arrivals with what one request costs.

use super::super::graph::{Graph, Work};
use super::super::history::RunId;
use super::super::programs;
use super::super::traffic::{Flow, Regime};
use super::super::world::World;
use super::work::{Doing, doing, planned};
use crate::app::{Behaviour, Cpu};
use crate::time::SimTime;
use crate::workload::WHOLE;
use std::collections::BTreeMap;

/// What is spent on requests.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Dose {
    /// CPU time in milliseconds.
    pub cpu_ms: f64,
    /// Bytes and packets that come in.
    pub received: (f64, f64),
    /// Bytes and packets that go out.
    pub sent: (f64, f64),
}

impl Dose {
    /// Adds another one so many times.
    pub fn add(&mut self, more: &Dose, times: f64) {
        self.cpu_ms += more.cpu_ms * times;
        self.received = (self.received.0 + more.received.0 * times, self.received.1 + more.received.1 * times);
        self.sent = (self.sent.0 + more.sent.0 * times, self.sent.1 + more.sent.1 * times);
    }
}

/// A flow of a regime.
pub struct Flowing<'w> {
    /// The flow.
    pub flow: &'w Flow,
    /// Requests per second.
    pub rate: f64,
    /// What one of them does.
    pub doing: Doing,
}

/// What a regime asks of one process.
#[derive(Default)]
pub struct Asked {
    /// Requests per second.
    pub rate: f64,
    /// For one request of each flow.
    doses: Vec<Dose>,
    /// For one key that is missed: flow, fill, and what it costs.
    fills: Vec<(usize, usize, Dose)>,
}

/// A regime of the load.
pub struct Stretch<'w> {
    /// The regime.
    pub regime: &'w Regime,
    /// Its flows.
    pub flows: Vec<Flowing<'w>>,
    asked: BTreeMap<RunId, Asked>,
    /// Arrivals of each flow in the whole regime, when it is over.
    all: Option<Vec<u64>>,
}

/// How many requests of every flow of every regime have arrived.
pub struct Counts {
    at: SimTime,
    flows: Vec<Vec<u64>>,
}

impl Counts {
    /// By when.
    pub fn at(&self) -> SimTime {
        self.at
    }
}

/// The regimes of a namespace.
pub struct Load<'w> {
    /// The world that it is put on.
    pub world: &'w World,
    /// Oldest first.
    pub stretches: Vec<Stretch<'w>>,
}

impl<'w> Load<'w> {
    /// The load on the application in a namespace, up to an instant.
    pub fn of(world: &'w World, namespace: &str, until: SimTime) -> Load<'w> {
        let regimes = world.history.regimes(namespace).filter(|regime| regime.from < until);
        Load { world, stretches: regimes.map(|regime| Stretch::new(world, regime, until)).collect() }
    }

    /// Arrivals by an instant.
    pub fn counts(&self, at: SimTime) -> Counts {
        let of = |stretch: &Stretch<'_>| match (&stretch.all, stretch.regime.until) {
            (Some(all), Some(until)) if until <= at => all.clone(),
            _ => stretch.arrived(at),
        };
        Counts { at, flows: self.stretches.iter().map(of).collect() }
    }

    /// What a process has spent on requests by then, regime by regime, with the seconds that each has lasted and its requests per second.
    pub fn spent<'l>(&'l self, run: RunId, counts: &'l Counts) -> impl Iterator<Item = (Dose, f64, f64)> + 'l {
        self.stretches.iter().zip(&counts.flows).filter_map(move |(stretch, arrived)| {
            let asked = stretch.asked.get(&run)?;
            let seconds = stretch.seconds(counts.at);
            Some((stretch.dose(asked, arrived, seconds), seconds, asked.rate))
        })
    }

    /// All that a process has spent on requests by then.
    pub fn total(&self, run: RunId, counts: &Counts) -> Dose {
        let mut total = Dose::default();
        self.spent(run, counts).for_each(|(dose, _, _)| total.add(&dose, 1.0));
        total
    }

    /// Since when a process gets how many requests per second, up to an instant.
    pub fn levels(&self, run: RunId, until: SimTime) -> Vec<(SimTime, f64)> {
        let mut levels = vec![(SimTime::ZERO, 0.0)];
        for stretch in self.stretches.iter().filter(|stretch| stretch.regime.from < until) {
            levels.push((stretch.regime.from, stretch.asked.get(&run).map_or(0.0, |asked| asked.rate)));
            if let Some(end) = stretch.regime.until.filter(|end| *end < until) {
                levels.push((end, 0.0));
            }
        }
        levels
    }

    /// Every regime with the arrivals of each of its flows.
    pub fn arrivals<'l>(&'l self, counts: &'l Counts) -> impl Iterator<Item = (&'l Stretch<'w>, &'l [u64])> + 'l {
        self.stretches.iter().zip(counts.flows.iter().map(Vec::as_slice))
    }
}

impl<'w> Stretch<'w> {
    fn new(world: &'w World, regime: &'w Regime, until: SimTime) -> Stretch<'w> {
        let plan = &regime.plan;
        let flowing = |flow: &'w Flow| {
            let share = flow.process.share.1.saturating_sub(flow.process.share.0) as f64 / WHOLE as f64;
            let rate = flow.process.rate_micro as f64 * 1e-6 * share;
            let mut does = doing(&plan.graph, &plan.visits, (flow.entry, flow.outcome), flow.lost);
            // Caches went on filling in the regimes before that had the same call trees.
            let before = regime.from.since(plan.resolved_at).as_secs_f64();
            does.fills.iter_mut().for_each(|fill| fill.served += fill.rate * before);
            Flowing { flow, rate, doing: does }
        };
        let flows: Vec<Flowing<'w>> = plan.flows.iter().map(flowing).collect();
        let asked = ask(world, &plan.graph, &flows);
        let mut stretch = Stretch { regime, flows, asked, all: None };
        stretch.all = regime.until.filter(|end| *end <= until).map(|end| stretch.arrived(end));
        stretch
    }

    /// Arrivals of each flow by an instant.
    fn arrived(&self, at: SimTime) -> Vec<u64> {
        let until = self.regime.until.map_or(at, |end| end.min(at));
        self.flows.iter().map(|flowing| flowing.flow.process.count(self.regime.from, until.max(self.regime.from))).collect()
    }

    /// For how long it has lasted at an instant.
    pub fn seconds(&self, at: SimTime) -> f64 {
        self.regime.until.map_or(at, |end| end.min(at)).since(self.regime.from).as_secs_f64()
    }

    fn dose(&self, asked: &Asked, arrived: &[u64], seconds: f64) -> Dose {
        let mut total = Dose::default();
        for (dose, count) in asked.doses.iter().zip(arrived) {
            total.add(dose, *count as f64);
        }
        for (flow, fill, dose) in &asked.fills {
            if let Some(flowing) = self.flows.get(*flow)
                && let Some(fill) = flowing.doing.fills.get(*fill)
            {
                total.add(dose, fill.missed(seconds) * flowing.rate);
            }
        }
        total
    }
}

/// What the flows of a regime ask of every process: first how often, then what that costs at this rate.
fn ask(world: &World, graph: &Graph, flows: &[Flowing<'_>]) -> BTreeMap<RunId, Asked> {
    let mut asked: BTreeMap<RunId, Asked> = BTreeMap::new();
    for flowing in flows {
        for ((vertex, _), per) in &flowing.doing.served {
            if let Some(vertex) = graph.vertices.get(*vertex) {
                asked.entry(vertex.run).or_default().rate += flowing.rate * per;
            }
        }
        for (store, _, per) in &flowing.doing.asked {
            asked.entry(*store).or_default().rate += flowing.rate * per;
        }
        for (store, _, _) in flowing.doing.fills.iter().flat_map(|fill| &fill.doing.asked) {
            asked.entry(*store).or_default();
        }
    }
    let rates: BTreeMap<RunId, f64> = asked.iter().map(|(run, asked)| (*run, asked.rate)).collect();
    let costs = Costs { world, graph, rates };
    for asked in asked.values_mut() {
        asked.doses = vec![Dose::default(); flows.len()];
    }
    for (at, flowing) in flows.iter().enumerate() {
        for (run, dose) in costs.of(&flowing.doing) {
            if let Some(slot) = asked.entry(run).or_default().doses.get_mut(at) {
                slot.add(&dose, 1.0);
            }
        }
        for (index, fill) in flowing.doing.fills.iter().enumerate() {
            for (run, dose) in costs.of(&fill.doing) {
                asked.entry(run).or_default().fills.push((at, index, dose));
            }
        }
    }
    asked
}

struct Costs<'a> {
    world: &'a World,
    graph: &'a Graph,
    rates: BTreeMap<RunId, f64>,
}

impl Costs<'_> {
    fn cpu(&self, run: RunId, cpu: &Cpu, own: Option<f64>) -> f64 {
        cpu.request(self.rates.get(&run).copied().unwrap_or(0.0), own)
    }

    fn of(&self, doing: &Doing) -> BTreeMap<RunId, Dose> {
        let mut doses: BTreeMap<RunId, Dose> = BTreeMap::new();
        for (vertex, visits) in visits(doing) {
            let Some(found) = self.graph.vertices.get(vertex) else { continue };
            let own = match &found.work {
                Work::Handler(handler) => handler.cpu_ms,
                Work::Operation(operation) => operation.cpu_ms,
            };
            let (cpu, calls) = (found.instance.program.cpu, planned(&found.body));
            let made = doing.made.get(&vertex).copied().unwrap_or(0.0);
            let times = if calls == 0 { visits } else { visits * (1.0 - cpu.calls) + cpu.calls * made / calls as f64 };
            doses.entry(found.run).or_default().cpu_ms += times * self.cpu(found.run, &cpu, own);
        }
        for (store, own, times) in &doing.asked {
            let Some(instance) = programs::instance(self.world, *store) else { continue };
            doses.entry(*store).or_default().cpu_ms += times * self.cpu(*store, &instance.program.cpu, *own);
        }
        for ((from, to), times) in &doing.exchanged {
            let behaviour = programs::instance(self.world, *to).map_or(Behaviour::Service, |instance| instance.program.behaviour);
            let (request, answer) = sizes(behaviour, from.is_none());
            let received = Dose { received: request, sent: answer, ..Dose::default() };
            doses.entry(*to).or_default().add(&received, *times);
            if let Some(from) = from {
                let sent = Dose { received: answer, sent: request, ..Dose::default() };
                doses.entry(*from).or_default().add(&sent, *times);
            }
        }
        doses
    }
}

fn visits(doing: &Doing) -> BTreeMap<usize, f64> {
    let mut visits = BTreeMap::new();
    doing.served.iter().for_each(|((vertex, _), per)| *visits.entry(*vertex).or_default() += per);
    visits
}

/// What Ethernet, IP and TCP put around a packet's content.
const HEADERS: f64 = 66.0;

/// Packets each way of a small exchange: the message, and the other one's acknowledgement.
const PACKETS: f64 = 2.0;

/// Bytes and packets of a request and of its answer, by who answers.
fn sizes(behaviour: Behaviour, outside: bool) -> ((f64, f64), (f64, f64)) {
    let (request, answer) = match behaviour {
        Behaviour::Memcached => (70.0, 420.0),
        Behaviour::Redis => (60.0, 180.0),
        Behaviour::Mongo => (260.0, 640.0),
        _ if outside => (210.0, 1450.0),
        _ => (190.0, 330.0),
    };
    ((request + PACKETS * HEADERS, PACKETS), (answer + PACKETS * HEADERS, PACKETS))
}
