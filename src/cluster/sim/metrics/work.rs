//! What one request of a flow does, in expectation: which operations it reaches and how they end, which calls and requests to stores
//! it makes.
//!
//! This is the walk ([`super::super::walk`]) with every draw replaced by its distribution, conditional on the request's outcome as
//! there; where a request of an outcome always does the same, the numbers are whole and equal to what walks show.

use super::super::graph::attempts::Attempts;
use super::super::graph::{Act, CallAct, Dist, Ended, Graph, Outcome, Sequence, StoreAct, StoreWay, Visits, Way, Work};
use super::super::history::RunId;
use crate::app::rules;
use arcstr::ArcStr;
use std::collections::BTreeMap;

/// What one request does.
#[derive(Clone, Debug, Default)]
pub struct Doing {
    /// Operations: vertex and outcome, and how often.
    pub served: BTreeMap<(usize, Outcome), f64>,
    /// Calls and requests to stores that operations made and that somebody worked on, by vertex.
    pub made: BTreeMap<usize, f64>,
    /// Exchanges between processes; `None` is outside.
    pub exchanged: BTreeMap<(Option<RunId>, RunId), f64>,
    /// Requests to stores: process and its own cost, and how often.
    pub asked: Vec<(RunId, Option<f64>, f64)>,
    /// What is done for keys that caches miss while they fill.
    pub fills: Vec<Fill>,
}

/// What is done for each key that a filling cache misses.
#[derive(Clone, Debug)]
pub struct Fill {
    /// How many keys a request of the flow asks for.
    pub wanted: f64,
    /// Keys that a request to the cache fetches, over all keys.
    pub share: f64,
    /// Requests that the cache had served when the regime began.
    pub served: f64,
    /// Requests per second to the cache.
    pub rate: f64,
    /// What is done.
    pub doing: Box<Doing>,
}

impl Fill {
    /// Keys missed, by one request in the mean, until so many seconds after the regime's begin, times those seconds' requests per second.
    pub fn missed(&self, seconds: f64) -> f64 {
        let per_second = self.share * self.rate;
        let cold = libm::exp(-self.served * self.share);
        let span = if per_second > 0.0 { (1.0 - libm::exp(-per_second * seconds)) / per_second } else { seconds };
        self.wanted * cold * span
    }
}

/// What a request of an entry with an outcome does.
pub fn doing(graph: &Graph, visits: &Visits, (entry, outcome): (usize, Outcome), lost: f64) -> Doing {
    let mut expected = Expected { graph, visits, doing: Doing::default() };
    let Some(entry) = graph.entries.get(entry) else { return expected.doing };
    // Those whose users give up are worked on like all the others, if they get past the first queue.
    let given_up = outcome == graph.given_up();
    let outcomes = if given_up { entry.dist.iter().collect() } else { vec![(outcome, 1.0)] };
    let passing = if given_up { 1.0 - lost } else { 1.0 };
    for (outcome, share) in outcomes {
        let total: f64 = entry.ways.iter().map(|(_, dist)| dist.of(outcome)).sum();
        for (way, dist) in &entry.ways {
            let p = if total > 0.0 { share * dist.of(outcome) / total } else { 0.0 };
            if let Way::Served { vertex, .. } = way
                && p > 0.0
            {
                expected.exchange(None, *vertex, p);
                expected.serve(*vertex, outcome, p * passing);
                expected.lose(*vertex, p * (1.0 - passing));
            }
        }
    }
    expected.doing
}

struct Expected<'g> {
    graph: &'g Graph,
    visits: &'g Visits,
    doing: Doing,
}

/// The shares of a distribution's outcomes by weights, as [`Dist::pick`] draws them.
fn shares(dist: &Dist, weight: impl Fn(Outcome, f64) -> f64) -> Vec<(Outcome, f64)> {
    if let Some(only) = dist.only() {
        return vec![(only, 1.0)];
    }
    let weighted: Vec<(Outcome, f64)> = dist.iter().map(|(o, p)| (o, weight(o, p))).filter(|(_, w)| *w > 0.0).collect();
    let total: f64 = weighted.iter().map(|(_, w)| w).sum();
    weighted.into_iter().map(|(o, w)| (o, w / total)).collect()
}

impl Expected<'_> {
    fn exchange(&mut self, from: Option<usize>, to: usize, p: f64) {
        let run = |vertex: usize| self.graph.vertices.get(vertex).map(|v| v.run);
        let Some(to) = run(to) else { return };
        *self.doing.exchanged.entry((from.and_then(run), to)).or_default() += p;
        if let Some(from) = from {
            *self.doing.made.entry(from).or_default() += p;
        }
    }

    fn serve(&mut self, vertex: usize, outcome: Outcome, p: f64) {
        let Some(found) = self.graph.vertices.get(vertex) else { return };
        *self.doing.served.entry((vertex, outcome)).or_default() += p;
        self.sequence(&found.body, outcome, p, vertex);
    }

    fn sequence(&mut self, sequence: &Sequence, target: Outcome, p: f64, vertex: usize) {
        let mut states = vec![(Outcome::SERVED, p)];
        for (index, act) in sequence.acts.iter().enumerate() {
            let (next, mut after) = (sequence.after(index), Vec::with_capacity(states.len()));
            for (state, weight) in states {
                let fits = |o: Outcome, p: f64| {
                    let then = state.with(o);
                    p * if o.served() { next.completes(then, target) } else { f64::from(u8::from(then == target)) }
                };
                for (part, share) in shares(act.dist(), fits) {
                    self.act(act, part, weight * share, vertex);
                    if part.served() {
                        after.push((state.with(part), weight * share));
                    }
                }
            }
            states = after;
        }
    }

    fn act(&mut self, act: &Act, outcome: Outcome, p: f64, vertex: usize) {
        match act {
            Act::Compute(_) => {}
            Act::Call(call) => self.call(call, outcome, p, vertex),
            Act::Store(store) => self.store(store, outcome, p, vertex),
            Act::Parallel { branches, rest } => {
                let mut states = vec![(Outcome::SERVED, p)];
                for (index, branch) in branches.iter().enumerate() {
                    let next = rest.get(index + 1).unwrap_or_else(|| Dist::nothing());
                    let mut after = Vec::with_capacity(states.len());
                    for (state, weight) in states {
                        for (part, share) in shares(branch.dist(), |o, p| p * next.completes(state.with(o), outcome)) {
                            self.sequence(branch, part, weight * share, vertex);
                            after.push((state.with(part), weight * share));
                        }
                    }
                    states = after;
                }
            }
        }
    }

    fn call(&mut self, act: &CallAct, outcome: Outcome, p: f64, vertex: usize) {
        let fits = |o: Outcome| self.graph.becomes(o, &act.on_error, outcome);
        if act.retries == 0 && act.late.share <= 0.0 {
            for (last, share) in shares(&act.attempt, |o, p| if fits(o) { p } else { 0.0 }) {
                self.attempt(act, last, p * share, vertex);
            }
            return;
        }
        for (attempt, times) in Attempts::new(act, fits).expected() {
            if attempt.late {
                self.late_attempt(act, attempt.outcome, p * times, vertex);
            } else {
                self.attempt(act, attempt.outcome, p * times, vertex);
            }
        }
    }

    /// An attempt that queues make too late for the caller.
    fn late_attempt(&mut self, act: &CallAct, outcome: Outcome, p: f64, vertex: usize) {
        let served = || act.ways.iter().filter_map(|(way, _)| if let Way::Served { vertex, .. } = way { Some(*vertex) } else { None });
        let share = p / served().count().max(1) as f64;
        for callee in served() {
            let Some(found) = self.graph.vertices.get(callee) else { continue };
            let share = share * (1.0 - act.late.unsent);
            self.exchange(Some(vertex), callee, share);
            self.lose(callee, share * act.late.lost);
            let alike = |o: Outcome, p: f64| if (o.noisy, o.crash) == (outcome.noisy, outcome.crash) { p } else { 0.0 };
            for (inner, part) in shares(found.body.dist(), alike) {
                self.serve(callee, inner, share * (1.0 - act.late.lost) * part);
            }
        }
    }

    /// Requests that wait in a process's queue until their callers give up: it drops them, or has not come to them.
    fn lose(&mut self, vertex: usize, p: f64) {
        if p > 0.0 && self.graph.vertices.get(vertex).is_some_and(|found| found.instance.program.cancels) {
            *self.doing.served.entry((vertex, self.graph.given_up())).or_default() += p;
        }
    }

    fn attempt(&mut self, act: &CallAct, outcome: Outcome, p: f64, vertex: usize) {
        let total: f64 = act.ways.iter().map(|(_, dist)| dist.of(outcome)).sum();
        for (way, dist) in &act.ways {
            let (Way::Served { vertex: callee, .. }, share) = (way, dist.of(outcome) / total) else { continue };
            let Some(found) = self.graph.vertices.get(*callee).filter(|_| total > 0.0 && share > 0.0) else { continue };
            let graph = self.graph;
            for (inner, part) in shares(found.body.dist(), |o, p| if graph.crosses_as(o, outcome) { p } else { 0.0 }) {
                // What does not cross was lost on the wire, or too late.
                if graph.crosses_as(inner, outcome) {
                    self.exchange(Some(vertex), *callee, p * share * part);
                    self.serve(*callee, inner, p * share * part);
                }
            }
        }
    }

    fn store(&mut self, act: &StoreAct, outcome: Outcome, p: f64, vertex: usize) {
        let (StoreWay::Served(_), Some(store)) = (&act.way, act.store) else { return };
        self.doing.asked.push((store, act.cpu_ms, p));
        *self.doing.made.entry(vertex).or_default() += p;
        if let Some(caller) = self.graph.vertices.get(vertex) {
            *self.doing.exchanged.entry((Some(caller.run), store)).or_default() += p;
        }
        let Some(miss) = &act.miss else { return };
        let wanted = f64::from(miss.wanted());
        if miss.body.dist().only() == Some(Outcome::SERVED) {
            let same = |(run, label, _): &&(RunId, ArcStr, f64)| *run == store && *label == miss.label;
            let rate = self.visits.caches.iter().filter(same).map(|(_, _, rate)| rate).sum();
            let mut below = Expected { graph: self.graph, visits: self.visits, doing: Doing::default() };
            below.sequence(&miss.body, Outcome::SERVED, 1.0, vertex);
            let share = miss.per_request / miss.keys.max(1.0);
            self.doing.fills.push(Fill { wanted: wanted * p, share, served: miss.served, rate, doing: Box::new(below.doing) });
            return;
        }
        let cold = miss.cold(miss.served);
        let hit = (1.0 - miss.chance) * f64::from(u8::from(outcome.served() && !outcome.noisy));
        let missed = miss.chance * miss.body.dist().of(outcome);
        if missed > 0.0 {
            let none = (0..miss.wanted()).fold(1.0, |all, _| all * (1.0 - cold));
            let keys = wanted * cold + none;
            self.sequence(&miss.body, outcome, p * missed / (hit + missed) * keys, vertex);
        }
    }
}

/// Calls and requests to stores in a piece of work when all goes well.
pub fn planned(sequence: &Sequence) -> usize {
    let of = |act: &Act| match act {
        Act::Compute(_) => 0,
        Act::Call(_) | Act::Store(_) => 1,
        Act::Parallel { branches, .. } => branches.iter().map(planned).sum(),
    };
    sequence.acts.iter().map(of).sum()
}

/// The name and status under which a program counts an operation that ended so; `None` when it never answers.
pub fn counted(graph: &Graph, method: &str, vertex: usize, outcome: Outcome) -> Option<(ArcStr, ArcStr)> {
    let found = graph.vertices.get(vertex)?;
    let error = match graph.end(outcome) {
        Ended::Hung { .. } => return None,
        Ended::GivenUp => Some(&rules::CANCELLED),
        Ended::Served | Ended::Answered { .. } => None,
        Ended::Failed { error, .. } | Ended::Unreachable { error, .. } => Some(error),
    };
    Some(match &found.work {
        Work::Handler(handler) => {
            let status = if error.is_some() { handler.error_status } else { handler.reply.status };
            (format!("{method} {}", handler.path).into(), status.to_string().into())
        }
        Work::Operation(operation) => (operation.name.clone(), rules::status_of(error.map(ArcStr::as_str)).into()),
    })
}
