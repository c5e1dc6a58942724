//! What programs count themselves: requests by operation and status, and their durations.
//!
//! Counts are those of the requests that arrived, exactly: a request whose outcome leaves open what it does inside (which instance it
//! meets, whether a cache has a key) counts with its expectation, rounded down. Durations are those of a bounded sample of walks
//! of each flow, taken in the first seconds of a regime, in the first minute and after that, so they cost the same at any rate.
//!
//! Not modelled: requests that are under way (a request counts when it arrives), requests that a check of parameters turns away.

use super::super::graph::Work;
use super::super::history::RunId;
use super::super::traffic::Regime;
use super::super::world::World;
use super::load::{Counts, Load, Stretch};
use super::work::counted;
use crate::rng::Key as RandomKey;
use crate::telemetry::{BOUNDS, SpanKind};
use crate::time::SimTime;
use crate::workload::Arrival;
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::time::Duration;

/// When the phases of a regime begin, in seconds: caches fill, programs warm up.
const PHASES_S: [f64; 3] = [0.0, 10.0, 60.0];

/// Walks of each flow in each phase.
const SAMPLE: u64 = 16;

/// What is counted: operation and status.
pub type Name = (ArcStr, ArcStr);

/// What an operation has counted.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// By status.
    pub by_status: BTreeMap<ArcStr, f64>,
    /// All.
    pub all: f64,
    /// Requests that took at most as long as each bound of the histogram.
    pub buckets: [f64; BOUNDS.len()],
    /// Their durations, added.
    pub seconds: f64,
}

/// Durations of one phase: the share at most as long as each bound, and the mean.
#[derive(Clone, Copy, Debug, Default)]
struct Durations {
    shares: [f64; BOUNDS.len()],
    mean: f64,
}

/// A request made by hand, at one of the operations that it reached.
struct ByHand {
    at: SimTime,
    run: RunId,
    operation: ArcStr,
    status: ArcStr,
    took: f64,
}

/// What a program counts: flow, vertex, process, name, and how often by one request.
type PerRequest = (usize, usize, RunId, Name, f64);

/// What is needed to say what programs have counted at any instant.
pub struct Requests {
    /// Durations by regime, flow, phase and vertex.
    durations: BTreeMap<(usize, usize, usize, usize), Durations>,
    /// For each regime what is counted: flow, vertex, name, and how often by one request.
    names: Vec<Vec<PerRequest>>,
    by_hand: Vec<ByHand>,
}

impl Requests {
    /// Looks at what the load has done up to an instant; `timed` when durations are wanted.
    pub fn of(world: &World, load: &Load<'_>, until: SimTime, timed: bool) -> Requests {
        let mut requests = Requests { durations: BTreeMap::new(), names: Vec::new(), by_hand: by_hand(world, until) };
        for (at, stretch) in load.stretches.iter().enumerate() {
            requests.names.push(names(stretch));
            if timed {
                requests.sample(world.seed, at, stretch, until);
            }
        }
        requests
    }

    fn sample(&mut self, seed: u64, at: usize, stretch: &Stretch<'_>, until: SimTime) {
        let phases = PHASES_S.iter().enumerate().take_while(|(_, from)| stretch.seconds(until) > **from);
        for (phase, from) in phases {
            for index in 0..stretch.flows.len() {
                for (vertex, found) in durations(seed, stretch, index, (phase, *from)) {
                    self.durations.insert((at, index, phase, vertex), found);
                }
            }
        }
    }

    /// What a process has counted by an instant.
    pub fn counted(&self, load: &Load<'_>, counts: &Counts, (asked, at): (RunId, SimTime)) -> BTreeMap<(RunId, ArcStr), Counted> {
        let mut all: BTreeMap<(RunId, ArcStr), Counted> = BTreeMap::new();
        for (stretch_at, ((stretch, arrived), names)) in load.arrivals(counts).zip(&self.names).enumerate() {
            for (flow, vertex, run, (operation, status), per) in names.iter().filter(|(_, _, run, _, _)| *run == asked) {
                let Some(count) = arrived.get(*flow) else { continue };
                let slot = all.entry((*run, operation.clone())).or_default();
                *slot.by_status.entry(status.clone()).or_default() += *count as f64 * per;
                slot.all += *count as f64 * per;
                let mut before = *count;
                for phase in (0..PHASES_S.len()).rev() {
                    let Some(found) = self.durations.get(&(stretch_at, *flow, phase, *vertex)) else { continue };
                    let earlier = if phase == 0 { 0 } else { arrived_before(stretch, *flow, phase, at) };
                    let here = before.saturating_sub(earlier) as f64 * per;
                    slot.buckets.iter_mut().zip(found.shares).for_each(|(bucket, share)| *bucket += here * share);
                    slot.seconds += here * found.mean;
                    before = before.min(earlier);
                }
            }
        }
        for request in self.by_hand.iter().filter(|request| request.run == asked && request.at < at) {
            let slot = all.entry((request.run, request.operation.clone())).or_default();
            *slot.by_status.entry(request.status.clone()).or_default() += 1.0;
            slot.all += 1.0;
            slot.seconds += request.took;
            for (bucket, _) in slot.buckets.iter_mut().zip(BOUNDS).filter(|(_, bound)| request.took <= *bound) {
                *bucket += 1.0;
            }
        }
        all
    }
}

/// Arrivals of a flow before a phase began.
fn arrived_before(stretch: &Stretch<'_>, flow: usize, phase: usize, at: SimTime) -> u64 {
    let from = stretch.regime.from;
    let begin = from + Duration::from_secs_f64(PHASES_S.get(phase).copied().unwrap_or(0.0));
    let end = stretch.regime.until.map_or(begin, |end| end.min(begin)).min(at);
    stretch.flows.get(flow).map_or(0, |flowing| flowing.flow.process.count(from, end.max(from)))
}

/// What the flows of a regime make programs count.
fn names(stretch: &Stretch<'_>) -> Vec<PerRequest> {
    let graph = &stretch.regime.plan.graph;
    let mut names = Vec::new();
    for (index, flowing) in stretch.flows.iter().enumerate() {
        let method = graph.entries.get(flowing.flow.entry).map_or("", |entry| entry.root.method.as_str());
        for ((vertex, outcome), per) in &flowing.doing.served {
            let whole = libm::round(*per);
            let per = if (per - whole).abs() < 1e-9 { whole } else { *per };
            if let (Some(found), Some(name)) = (graph.vertices.get(*vertex), counted(graph, method, *vertex, *outcome)) {
                names.push((index, *vertex, found.run, name, per));
            }
        }
    }
    names
}

/// Durations of a flow's requests at every vertex, from walks spread over a phase.
fn durations(seed: u64, stretch: &Stretch<'_>, index: usize, (phase, from): (usize, f64)) -> BTreeMap<usize, Durations> {
    let mut took: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    let Some(flowing) = stretch.flows.get(index) else { return BTreeMap::new() };
    let length = PHASES_S.get(phase + 1).map_or(60.0, |next| next - from);
    let key = RandomKey::new(seed).part("durations").part(&stretch.regime.plan.namespace).number(phase as u64);
    for walk in 0..SAMPLE {
        let at = stretch.regime.from + Duration::from_secs_f64(from + length * (walk as f64 + 0.5) / SAMPLE as f64);
        let id = key.clone().number(index as u64).number(walk).value();
        let walked = stretch.regime.request(seed, flowing.flow, Arrival { at, id }, true, false);
        for span in walked.spans.iter().filter(|span| matches!(span.kind, SpanKind::HttpServer | SpanKind::RpcServer)) {
            if let Some(vertex) = vertex_of(stretch.regime, span.run, &span.operation, span.kind) {
                took.entry(vertex).or_default().push(span.took.as_secs_f64());
            }
        }
    }
    let of = |(vertex, took): (usize, Vec<f64>)| {
        let n = took.len().max(1) as f64;
        let shares = BOUNDS.map(|bound| took.iter().filter(|seconds| **seconds <= bound).count() as f64 / n);
        (vertex, Durations { shares, mean: took.iter().sum::<f64>() / n })
    };
    took.into_iter().map(of).collect()
}

fn vertex_of(regime: &Regime, run: RunId, operation: &ArcStr, kind: SpanKind) -> Option<usize> {
    regime.plan.graph.vertices.iter().position(|vertex| {
        vertex.run == run
            && match &vertex.work {
                Work::Operation(own) => kind == SpanKind::RpcServer && own.name == *operation,
                Work::Handler(own) => kind == SpanKind::HttpServer && operation.ends_with(own.path.as_str()),
            }
    })
}

/// Requests made by hand, at every operation that they reached.
fn by_hand(world: &World, until: SimTime) -> Vec<ByHand> {
    let mut found = Vec::new();
    for visit in world.history.visits().filter(|visit| visit.at < until) {
        let method = visit.graph.entries.first().map_or("", |entry| entry.root.method.as_str());
        for span in visit.walk(true, false).spans {
            let (operation, status) = match (span.kind, span.status) {
                (SpanKind::HttpServer, Some(status)) => {
                    let path = visit.graph.entries.first().map_or("", |entry| entry.root.path.as_str());
                    (ArcStr::from(format!("{method} {path}")), ArcStr::from(status.to_string()))
                }
                (SpanKind::RpcServer, _) => (span.operation.clone(), crate::app::rules::status_of(span.error.as_deref()).into()),
                _ => continue,
            };
            found.push(ByHand { at: visit.at, run: span.run, operation, status, took: span.took.as_secs_f64() });
        }
    }
    found
}
