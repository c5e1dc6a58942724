//! Load: which regime the traffic is in, and which requests arrive when.
//!
//! While nothing changes, the traffic on an application is in one [`Regime`]: its compiled call trees and, for every endpoint and
//! every way in which its requests end, a process of arrivals. A regime costs nothing while it lasts; the next one starts when
//! calls resolve differently. The history keeps all of them, and everything about past requests derives from it.
//!
//! A request that makes a process end is the one thing that load does to the cluster by itself; its instant is known when its
//! regime starts and is put on the queue.
//!
//! Not modelled: queueing and overload, requests in flight when a regime ends, what users' writes add to databases.

use super::graph::{Ended, Graph, Outcome, Root, Visits, compile};
use super::history::RunId;
use super::network::{Connection, Origin, Transport, routes};
use super::programs;
use super::rename::Names;
use super::store::{Key, Kind};
use super::walk::{Ask, Walked, walk};
use super::world::{Event, World};
use crate::app::{App, Endpoint};
use crate::cluster::WorkloadError;
use crate::rng::Key as RandomKey;
use crate::time::SimTime;
use crate::workload::{Arrival, Arrivals, Process, WHOLE, Workload};
use arcstr::ArcStr;
use imbl::OrdMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// State that lives with the world.
#[derive(Clone, Debug, Default)]
pub struct State {
    drives: OrdMap<ArcStr, Drive>,
    /// Requests that caches served in regimes that are over.
    served: OrdMap<(RunId, ArcStr), f64>,
    started: u64,
}

/// A load that was started on an application.
#[derive(Clone, Debug)]
struct Drive {
    app: Arc<App>,
    workload: Workload,
    since: SimTime,
    key: u64,
    /// Where users come in.
    doors: Vec<Connection>,
    regime: Regime,
}

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
    /// Call trees.
    pub graph: Arc<Graph>,
    /// Requests, by endpoint and outcome.
    pub flows: Vec<Flow>,
    /// Requests per second to each vertex and cache.
    pub visits: Visits,
}

/// The requests to one endpoint that end in one way.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The endpoint, as a place among the graph's entries.
    pub entry: usize,
    /// How they end.
    pub outcome: Outcome,
    /// When they arrive.
    pub process: Process,
}

/// How long a user waits for an answer.
pub const PATIENCE: Duration = Duration::from_secs(10);

impl State {
    /// Requests that a cache has served by now.
    pub fn warmth(&self, store: RunId, label: &ArcStr, now: SimTime) -> f64 {
        let current = self.drives.values().flat_map(|drive| {
            let span = now.since(drive.regime.from).as_secs_f64();
            drive.regime.plan.visits.caches.iter().map(move |(run, name, rate)| (run, name, rate * span))
        });
        let live: f64 = current.filter(|(run, name, _)| **run == store && *name == label).map(|(_, _, served)| served).sum();
        live + self.served.get(&(store, label.clone())).copied().unwrap_or(0.0)
    }

    /// Whether the application in a namespace is under load.
    pub fn is_driven(&self, namespace: &str) -> bool {
        self.drives.contains_key(namespace)
    }
}

/// The application that lives in a namespace: the one whose own it is, else one whose entry stands there.
pub fn app_in(world: &World, namespace: &str) -> Option<Arc<App>> {
    let has_entry = |app: &&Arc<App>| world.store.get(&Key::new(Kind::SERVICE, namespace, app.entry.service.clone())).is_some();
    let apps = &world.catalog.apps;
    apps.iter().find(|app| app.namespace == namespace).or_else(|| apps.iter().find(has_entry)).cloned()
}

/// Starts, changes or stops the load on the application in a namespace.
///
/// # Errors
/// When there is no application or it lacks an endpoint of the mix.
pub fn drive(world: &mut World, namespace: &str, workload: Option<&Workload>) -> Result<(), WorkloadError> {
    let app = app_in(world, namespace).ok_or_else(|| WorkloadError::NoApp(namespace.to_owned()))?;
    let Some(workload) = workload else {
        if let Some(drive) = world.traffic.drives.remove(namespace) {
            close(world, &drive);
        }
        return Ok(());
    };
    let unknown = workload.mix.iter().find(|(name, _)| app.endpoint(name).is_none());
    if let Some((endpoint, _)) = unknown {
        let known: Vec<_> = app.endpoints.iter().map(|e| e.name.as_str()).collect();
        return Err(WorkloadError::NoEndpoint { endpoint: endpoint.to_string(), known: known.join(", ") });
    }
    if let Some(drive) = world.traffic.drives.remove(namespace) {
        close(world, &drive);
    }
    world.traffic.started += 1;
    let key = RandomKey::new(world.seed).part("load").part(namespace).number(world.traffic.started).value();
    let namespace = ArcStr::from(namespace);
    let graph = Arc::new(resolve(world, &namespace, &app, workload));
    let plan = Arc::new(planned(&namespace, &app, workload, (key, world.now), graph));
    let regime = Regime { from: world.now, until: None, plan };
    let doors = doors(world, &namespace, &app);
    let drive = Drive { app, workload: workload.clone(), since: world.now, key, doors, regime };
    begin(world, namespace, drive);
    Ok(())
}

/// Whether what the loads do says nothing that is renamed, so that forks can take it over as it is.
pub(super) fn is_nameless(world: &World, names: &Names) -> bool {
    world.traffic.drives.values().all(|drive| names.within(&format!("{:?}", drive.regime.plan.graph)).next().is_none())
}

/// Gives the loads of a fresh fork arrivals of their own, from now on. Under other names, calls go as they did.
pub(super) fn rekey(world: &mut World) {
    let drives: Vec<_> = world.traffic.drives.iter().map(|(namespace, drive)| (namespace.clone(), drive.clone())).collect();
    for (namespace, drive) in drives {
        world.history.end_regime(&namespace, world.now);
        let key = RandomKey::new(world.seed).part("load").part(&namespace).number(world.traffic.started).value();
        let plan = planned(&namespace, &drive.app, &drive.workload, (key, world.now), drive.regime.plan.graph.clone());
        let regime = Regime { from: world.now, until: None, plan: Arc::new(plan) };
        let doors = doors(world, &namespace, &drive.app);
        begin(world, namespace, Drive { since: world.now, key, doors, regime, ..drive });
    }
}

/// Looks whether calls resolve differently now; where they do, a new regime starts. With `anew` unset, connections between services are
/// as they were, and only where users come in is looked at.
pub(super) fn reconsider(world: &mut World, anew: bool) {
    let namespaces: Vec<_> = world.traffic.drives.keys().cloned().collect();
    for namespace in namespaces {
        let Some(drive) = world.traffic.drives.get(&namespace).cloned() else { continue };
        let doors = doors(world, &namespace, &drive.app);
        if !anew && doors == drive.doors && !drive.regime.plan.graph.dials {
            continue;
        }
        let graph = resolve(world, &namespace, &drive.app, &drive.workload);
        if graph.fingerprint == drive.regime.plan.graph.fingerprint {
            world.traffic.drives.insert(namespace, Drive { doors, ..drive });
            continue;
        }
        close(world, &drive);
        let plan = planned(&namespace, &drive.app, &drive.workload, (drive.key, drive.since), Arc::new(graph));
        let regime = Regime { from: world.now, until: None, plan: Arc::new(plan) };
        begin(world, namespace, Drive { regime, doors, ..drive });
    }
}

fn begin(world: &mut World, namespace: ArcStr, drive: Drive) {
    world.history.begin_regime(&namespace, drive.regime.clone());
    if let Some((_, walked)) = first_crash(world.seed, &drive.regime)
        && let Some(crash) = walked.crash
    {
        let work = super::network::Work::Crash { namespace: namespace.clone(), regime: drive.regime.from };
        world.schedule(crash.at, Event::Network(work));
    }
    world.traffic.drives.insert(namespace, drive);
}

/// Ends a regime: what caches served in it is added up.
fn close(world: &mut World, drive: &Drive) {
    let span = world.now.since(drive.regime.from).as_secs_f64();
    for (run, label, rate) in &drive.regime.plan.visits.caches {
        *world.traffic.served.entry((*run, label.clone())).or_insert(0.0) += rate * span;
    }
    world.history.end_regime(&drive.regime.plan.namespace, world.now);
}

/// The call trees of an application's endpoints as users meet them now.
fn resolve(world: &World, namespace: &str, app: &App, workload: &Workload) -> Graph {
    let endpoints = workload.mix.iter().filter_map(|(name, _)| app.endpoint(name));
    let roots: Vec<Root> = endpoints.map(root).collect();
    let host = entry_host(world, namespace, app);
    compile(world, &Origin::Workstation, &host, app.entry.port, &roots)
}

/// Every way in which a user's connection to the entry can go.
fn doors(world: &World, namespace: &str, app: &App) -> Vec<Connection> {
    routes(world, &Origin::Workstation, &entry_host(world, namespace, app), app.entry.port, Transport::Tcp)
}

fn root(endpoint: &Endpoint) -> Root {
    Root { method: endpoint.method.clone(), path: endpoint.path.clone() }
}

/// Users come by the entry's address, which needs no name server of the cluster.
fn entry_host(world: &World, namespace: &str, app: &App) -> ArcStr {
    let service = world.store.get(&Key::new(Kind::SERVICE, namespace, app.entry.service.clone()));
    let address = service.and_then(|service| service.spec().get("clusterIP").as_text().cloned()).filter(|ip| ip != "None");
    address.unwrap_or_else(|| format!("{}.{namespace}.svc.cluster.local", app.entry.service).into())
}

fn planned(namespace: &ArcStr, app: &Arc<App>, workload: &Workload, stream: (u64, SimTime), graph: Arc<Graph>) -> Plan {
    let total: f64 = workload.mix.iter().map(|(_, weight)| weight.max(0.0)).sum();
    let rate_micro = libm::round(workload.rate_per_s.max(0.0) * 1e6) as u64;
    let (mut flows, mut rates, mut done) = (Vec::new(), Vec::new(), 0.0);
    let bound = |share: f64| libm::round(share.clamp(0.0, 1.0) * WHOLE as f64) as u64;
    for (at, (entry, (name, weight))) in graph.entries.iter().zip(&workload.mix).enumerate() {
        let share = if total > 0.0 { weight.max(0.0) / total } else { 0.0 };
        rates.push(share * workload.rate_per_s);
        let mut from = done;
        for (outcome, p) in entry.dist.iter() {
            let until = from + share * p;
            let key = match workload.arrivals {
                Arrivals::Constant => stream.0,
                Arrivals::Poisson => RandomKey::new(stream.0).part(name).part(&format!("{outcome:?} {:?}", graph.end(outcome))).value(),
            };
            let process = Process { arrivals: workload.arrivals, key, origin: stream.1, rate_micro, share: (bound(from), bound(until)) };
            flows.push(Flow { entry: at, outcome, process });
            from = until;
        }
        done += share;
    }
    let visits = graph.visits(&rates);
    let endpoints = workload.mix.iter().filter_map(|(name, _)| app.endpoint(name).cloned()).collect();
    Plan { namespace: namespace.clone(), app: app.clone(), endpoints, graph, flows, visits }
}

impl Regime {
    /// The request that an arrival of a flow is.
    pub fn request(&self, seed: u64, flow: &Flow, arrival: Arrival, spans: bool, lines: bool) -> Walked {
        let plan = &self.plan;
        let name = plan.endpoints.get(flow.entry).map_or("", |e| e.name.as_str());
        let key = RandomKey::new(seed).part("walk").part(&plan.namespace).part(name).number(arrival.id);
        let warming = Some((&plan.visits, self.from));
        walk(&plan.graph, flow.entry, arrival.at, &Ask { key, outcome: Some(flow.outcome), patience: PATIENCE, warming, spans, lines })
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
                Ended::Hung { .. } => Some(arcstr::literal!("context deadline exceeded")),
                Ended::Answered { body, .. } => Some(body.clone()),
            };
            *counts.entry((endpoint.name.clone(), error)).or_default() += flow.process.count(start, end);
        }
    }
    let counted = counts.into_iter().filter(|(_, count)| *count > 0);
    counted.map(|((endpoint, error), count)| Tally { endpoint, error, count }).collect()
}

/// How far ahead a request that ends a process is looked for; regimes do not last that long without any change.
const HORIZON: Duration = Duration::from_secs(24 * 3600);

/// The first request of a regime that makes a process end.
fn first_crash(seed: u64, regime: &Regime) -> Option<(Arrival, Walked)> {
    let crashing = regime.plan.flows.iter().filter(|flow| flow.outcome.crash);
    let firsts = crashing.filter_map(|flow| Some((flow.process.first(regime.from, regime.from + HORIZON)?, flow)));
    let (arrival, flow) = firsts.min_by_key(|(arrival, _)| *arrival)?;
    Some((arrival, regime.request(seed, flow, arrival, false, false)))
}

/// A request that makes a process end has done so.
pub(super) fn crash(world: &mut World, namespace: &str, regime: SimTime) {
    let current = world.traffic.drives.get(namespace).filter(|drive| drive.regime.from == regime);
    let Some(crash) = current.and_then(|drive| first_crash(world.seed, &drive.regime)).and_then(|(_, walked)| walked.crash) else { return };
    programs::crash(world, crash.run, &crash.lines, crash.code);
}

/// An application's own endpoints as users meet them now.
pub struct Entrance {
    /// The application.
    pub app: Arc<App>,
    /// Call trees, one entry for each of its endpoints in order.
    pub graph: Graph,
}

/// The endpoints of the application in a namespace, resolved; `None` when there is no application.
pub fn entrance(world: &World, namespace: &str) -> Option<Entrance> {
    let app = app_in(world, namespace)?;
    let roots: Vec<Root> = app.endpoints.iter().map(root).collect();
    let host = entry_host(world, namespace, &app);
    let graph = compile(world, &Origin::Workstation, &host, app.entry.port, &roots);
    Some(Entrance { app, graph })
}
