//! What a regime is: who asks for what when, how that ends, and how busy everybody is meanwhile.
//!
//! Everything about past requests derives from it.

use super::flow::{Compiled, Load, Pressure, System};
use super::graph::{Ended, Graph, Outcome, Visits};
use super::walk::{Ask, Walked, walk};
use super::world::World;
use crate::app::{App, Endpoint};
use crate::rng::Key as RandomKey;
use crate::time::SimTime;
use crate::workload::{Arrival, Arrivals, Pace, Process, WHOLE, Workload, micro};
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a user waits for an answer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How the traffic on an application behaves while nothing changes.
#[derive(Clone, Debug)]
pub struct Regime {
    /// Since when.
    pub from: SimTime,
    /// Until when; `None` while it lasts.
    pub until: Option<SimTime>,
    /// What it is.
    pub plan: Arc<Plan>,
}

/// What a regime is.
#[derive(Debug)]
pub struct Plan {
    /// Namespace of the application.
    pub namespace: ArcStr,
    /// The application.
    pub app: Arc<App>,
    /// The endpoints under load, in the order of the graph's entries.
    pub endpoints: Vec<Endpoint>,
    /// Call trees, with the calls that are late.
    pub graph: Arc<Graph>,
    /// Call trees as they resolve, whatever the load.
    pub resolved: Arc<Graph>,
    /// Since when they do: what caches had served then is in them.
    pub resolved_at: SimTime,
    /// Requests, by endpoint and outcome.
    pub flows: Vec<Flow>,
    /// Requests per second to each vertex and cache.
    pub visits: Visits,
    /// The processes and nodes that this takes.
    pub network: Arc<Compiled>,
    /// How busy they are.
    pub load: Load,
    /// What a request loses to others.
    pub pressure: Arc<Pressure>,
}

/// The requests to one endpoint that end in one way.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The endpoint, as a place among the graph's entries.
    pub entry: usize,
    /// How they end.
    pub outcome: Outcome,
    /// Of those whose users give up, the share that never gets past the first queue.
    pub lost: f64,
    /// When they arrive.
    pub process: Process,
}

/// Requests per second of each endpoint of a workload that has this rate.
pub(super) fn rates(workload: &Workload, rate_per_s: f64) -> Vec<f64> {
    let total: f64 = workload.mix.iter().map(|(_, weight)| weight.max(0.0)).sum();
    let share = |weight: f64| if total > 0.0 { weight.max(0.0) / total } else { 0.0 };
    workload.mix.iter().map(|(_, weight)| share(*weight) * rate_per_s).collect()
}

/// What a regime is made of.
pub(super) struct Making<'a> {
    pub namespace: &'a ArcStr,
    pub app: &'a Arc<App>,
    pub workload: &'a Workload,
    pub pace: Pace,
    /// Names the arrivals' randomness, and when they began.
    pub stream: (u64, SimTime),
    pub graph: Arc<Graph>,
    pub network: Arc<Compiled>,
    pub resolved_at: SimTime,
    pub system: &'a System,
}

impl Making<'_> {
    /// The regime's plan.
    pub fn plan(mut self) -> Plan {
        let rates = rates(self.workload, self.pace.rate_per_s);
        let endpoints = self.workload.mix.iter().filter_map(|(name, _)| self.app.endpoint(name).cloned()).collect();
        let load = self.system.load.clone();
        let pressure = Arc::new(Pressure::of(&self.network, &load));
        let resolved = self.graph.clone();
        if !pressure.late.is_empty() {
            self.graph = Arc::new(resolved.delayed(&pressure.late));
        }
        let visits = self.graph.visits(&rates);
        let flows = self.flows();
        let (namespace, app) = (self.namespace.clone(), self.app.clone());
        Plan {
            namespace,
            app,
            endpoints,
            graph: self.graph,
            resolved,
            resolved_at: self.resolved_at,
            flows,
            visits,
            network: self.network,
            load,
            pressure,
        }
    }

    /// The arrivals of each endpoint by how they end: shares of one stream.
    fn flows(&self) -> Vec<Flow> {
        let total: f64 = self.workload.mix.iter().map(|(_, weight)| weight.max(0.0)).sum();
        let bound = |share: f64| libm::round(share.clamp(0.0, 1.0) * WHOLE as f64) as u64;
        let (rate_micro, ahead) = (micro(self.pace.rate_per_s), self.pace.ahead);
        let (mut flows, mut done) = (Vec::new(), 0.0);
        for (at, (entry, (name, weight))) in self.graph.entries.iter().zip(&self.workload.mix).enumerate() {
            let share = if total > 0.0 { weight.max(0.0) / total } else { 0.0 };
            let (late, lost) = self.late(at);
            let mut from = done;
            let in_time = entry.dist.iter().map(|(outcome, p)| (outcome, p * (1.0 - late)));
            for (outcome, p) in in_time.chain((late > 0.0).then_some((self.graph.given_up(), late))) {
                let until = from + share * p;
                let (arrivals, origin) = (self.workload.profile.arrivals, self.stream.1);
                let (key, share) = (self.key(name, outcome), (bound(from), bound(until)));
                let process = Process { arrivals, key, origin, rate_micro, ahead, share };
                let lost = if outcome == self.graph.given_up() { lost } else { 0.0 };
                flows.push(Flow { entry: at, outcome, lost, process });
                from = until;
            }
            done += share;
        }
        flows
    }

    /// The share of an endpoint's users who give up, and of those the share whose requests never get past the first queue; less than one in a
    /// hundred million is nobody.
    fn late(&self, entry: usize) -> (f64, f64) {
        let Some(call) = self.network.net.entries.get(entry).map(|entry| &entry.call) else { return (0.0, 0.0) };
        let of = |all: &[f64]| all.get(call.id).copied().unwrap_or(0.0);
        let late = call.reached * of(&self.system.load.late);
        (if late < 1e-8 { 0.0 } else { late }, of(&self.system.load.lost))
    }

    fn key(&self, name: &ArcStr, outcome: Outcome) -> u64 {
        match self.workload.profile.arrivals {
            Arrivals::Constant => self.stream.0,
            Arrivals::Poisson => {
                let end = self.graph.end(outcome);
                // A place in the table of ends is no part of the name: the table depends on what else can happen.
                let named = if outcome == self.graph.given_up() { "given up".to_owned() } else { format!("{outcome:?} {end:?}") };
                RandomKey::new(self.stream.0).part(name).part(&named).value()
            }
        }
    }
}

impl Regime {
    /// The request that an arrival of a flow is.
    pub fn request(&self, seed: u64, flow: &Flow, arrival: Arrival, spans: bool, lines: bool) -> Walked {
        let plan = &self.plan;
        let name = plan.endpoints.get(flow.entry).map_or("", |e| e.name.as_str());
        let key = RandomKey::new(seed).part("walk").part(&plan.namespace).part(name).number(arrival.id);
        let warming = Some((&plan.visits, plan.resolved_at));
        let (outcome, pressure) = (Some(flow.outcome), Some(&*plan.pressure));
        let ask = Ask { key, outcome, patience: PATIENCE, warming, pressure, lost: flow.lost, spans, lines };
        walk(&plan.graph, flow.entry, arrival.at, &ask)
    }
}

/// How many requests of the load arrived in a window, by endpoint and outcome, as users saw it: `None` for success, else the error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// The endpoint.
    pub endpoint: ArcStr,
    /// The error; `None` for requests that succeeded.
    pub error: Option<ArcStr>,
    /// How many.
    pub count: u64,
}

/// Counts the requests of the load on the application in a namespace that arrived in a window. What is counted is what logs and traces
/// of the same window show, and the counts of two windows add up to that of both.
pub fn tally(world: &World, namespace: &str, from: SimTime, until: SimTime) -> Vec<Tally> {
    let mut counts: BTreeMap<(ArcStr, Option<ArcStr>), u64> = BTreeMap::new();
    for regime in world.history.regimes(namespace) {
        let (start, end) = (regime.from.max(from), regime.until.unwrap_or(until).min(until));
        for flow in regime.plan.flows.iter().filter(|_| start < end) {
            let Some(endpoint) = regime.plan.endpoints.get(flow.entry) else { continue };
            let error = match regime.plan.graph.end(flow.outcome) {
                Ended::Served => None,
                Ended::Failed { error, .. } | Ended::Unreachable { error, .. } => Some(error.clone()),
                Ended::Hung { .. } | Ended::GivenUp => Some(arcstr::literal!("context deadline exceeded")),
                Ended::Answered { body, .. } => Some(body.clone()),
            };
            *counts.entry((endpoint.name.clone(), error)).or_default() += flow.process.count(start, end);
        }
    }
    let counted = counts.into_iter().filter(|(_, count)| *count > 0);
    counted.map(|((endpoint, error), count)| Tally { endpoint, error, count }).collect()
}
