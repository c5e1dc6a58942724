//! Load: which regime the traffic is in, and which requests arrive when.
//!
//! While nothing changes, the traffic on an application is in one [`Regime`]: its compiled call trees and, for every endpoint and
//! every way in which its requests end, a process of arrivals. A regime costs nothing while it lasts; the next one starts when
//! calls resolve differently. The history keeps all of them, and everything about past requests derives from it.
//!
//! A request that makes a process end is the one thing that load does to the cluster by itself; its instant is known when its
//! regime starts and is put on the queue.
//!
//! A workload whose rate changes is one load with another regime after every change ([`Pace`]); the next change, and no later one, is on
//! the queue. Arrivals go on in the same stream, so no instant and no request is lost or counted twice.
//!
//! How busy processes are follows from the regime's network ([`super::flow`]): in a settled system from its rates alone. Where a backlog
//! grows or is worked off, the transient is integrated ahead and cut into regimes, each as long as nothing changes noticeably.
//!
//! Not modelled: requests in flight when a regime ends, what users' writes add to databases, what a backlog asks of others when it is worked
//! off (requests count when they arrive).

use super::exhaustion;
use super::flow::{self, Compiled, Pressure, System};
use super::graph::{Graph, Root, compile};
use super::history::RunId;
use super::network::{Connection, Origin, Transport, routes};
pub use super::plan::{Flow, PATIENCE, Plan, Regime, Tally, tally};
use super::plan::{Making, rates};
use super::programs;
use super::rename::Names;
use super::store::{Key, Kind};
use super::walk::Walked;
use super::world::{Event, World};
use crate::app::{App, Endpoint};
use crate::cluster::WorkloadError;
use crate::rng::Key as RandomKey;
use crate::time::SimTime;
use crate::workload::{Arrival, Pace, Workload};
use arcstr::ArcStr;
use imbl::OrdMap;
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

/// What was asked for.
#[derive(Clone, Debug)]
struct Load {
    app: Arc<App>,
    workload: Workload,
    /// The present rate.
    pace: Pace,
    since: SimTime,
    key: u64,
    /// Where users come in.
    doors: Vec<Connection>,
}

/// A load that was started on an application.
#[derive(Clone, Debug)]
struct Drive {
    load: Load,
    regime: Regime,
    /// Backlogs, and what callers have seen, when the regime began.
    system: System,
    /// How long the regime lasts if nothing else happens, and what comes then.
    next: Option<(Duration, System)>,
}

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

    /// What requests lose to others at present.
    pub fn pressure(&self) -> Arc<Pressure> {
        let mut busy = self.drives.values().map(|drive| &drive.regime.plan.pressure);
        match (busy.next(), busy.next()) {
            (None, _) => Arc::default(),
            (Some(only), None) => only.clone(),
            _ => {
                let mut all = Pressure::default();
                self.drives.values().for_each(|drive| all.add(&drive.regime.plan.pressure));
                Arc::new(all)
            }
        }
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
    let before = world.traffic.drives.remove(namespace);
    if let Some(drive) = &before {
        close(world, drive);
    }
    world.traffic.started += 1;
    let key = RandomKey::new(world.seed).part("load").part(namespace).number(world.traffic.started).value();
    let namespace = ArcStr::from(namespace);
    let graph = Arc::new(resolve(world, &namespace, &app, workload));
    let doors = doors(world, &namespace, &app);
    let load = Load { app, workload: workload.clone(), pace: workload.profile.start(), since: world.now, key, doors };
    let network = Arc::new(network_of(world, &load, &graph));
    // What is queued stays queued under another load.
    let left = before.map(|drive| drive.state(world.now).moved(&drive.regime.plan.network, &network));
    let system = System::new(&network.net, left.unwrap_or_else(|| flow::State::idle(&network.net)));
    expect_change(world, &namespace, &load);
    let parts = (graph, network, world.now);
    enter(world, namespace, load, parts, system);
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
        let doors = doors(world, &namespace, &drive.load.app);
        let plan = &drive.regime.plan;
        let parts = (plan.resolved.clone(), plan.network.clone(), plan.resolved_at);
        let load = Load { since: world.now, key, doors, ..drive.load };
        expect_change(world, &namespace, &load);
        enter(world, namespace, load, parts, drive.system);
    }
}

/// Looks whether calls resolve differently now; where they do, a new regime starts. With `anew` unset, connections between services are
/// as they were, and only where users come in is looked at.
pub(super) fn reconsider(world: &mut World, anew: bool) {
    let namespaces: Vec<_> = world.traffic.drives.keys().cloned().collect();
    for namespace in namespaces {
        let Some(drive) = world.traffic.drives.get(&namespace).cloned() else { continue };
        let doors = doors(world, &namespace, &drive.load.app);
        if !anew && doors == drive.load.doors && !drive.regime.plan.graph.dials {
            continue;
        }
        let graph = resolve(world, &namespace, &drive.load.app, &drive.load.workload);
        if graph.fingerprint == drive.regime.plan.graph.fingerprint {
            let load = Load { doors, ..drive.load };
            world.traffic.drives.insert(namespace, Drive { load, ..drive });
            continue;
        }
        close(world, &drive);
        let graph = Arc::new(graph);
        change(world, namespace, &drive, Load { doors, ..drive.load.clone() }, graph);
    }
}

/// Goes on with other calls or another rate: what is queued stays queued.
fn change(world: &mut World, namespace: ArcStr, drive: &Drive, load: Load, graph: Arc<Graph>) {
    let network = Arc::new(network_of(world, &load, &graph));
    let state = drive.state(world.now).moved(&drive.regime.plan.network, &network);
    let system = System::new(&network.net, state);
    let parts = (graph, network, world.now);
    enter(world, namespace, load, parts, system);
}

/// Puts the next change of a load's rate on the queue.
fn expect_change(world: &mut World, namespace: &ArcStr, load: &Load) {
    if let Some(until) = load.pace.until {
        let work = super::network::Work::Pace { namespace: namespace.clone(), load: load.key };
        world.schedule(load.since + until, Event::Network(work));
    }
}

/// The rate of a load changes, unless that load is over.
pub(super) fn next_pace(world: &mut World, namespace: &str, key: u64) {
    let Some(drive) = world.traffic.drives.get(namespace).filter(|drive| drive.load.key == key).cloned() else { return };
    let is_due = drive.load.pace.until.is_some_and(|until| drive.load.since + until <= world.now);
    let Some(pace) = drive.load.workload.profile.after(&drive.load.pace).filter(|_| is_due) else { return };
    let namespace = drive.regime.plan.namespace.clone();
    close(world, &drive);
    let load = Load { pace, ..drive.load.clone() };
    expect_change(world, &namespace, &load);
    // Caches have become warmer meanwhile.
    let graph = Arc::new(resolve(world, &namespace, &load.app, &load.workload));
    change(world, namespace, &drive, load, graph);
}

/// The processes and nodes that a load takes.
fn network_of(world: &World, load: &Load, graph: &Graph) -> Compiled {
    let rates = rates(&load.workload, load.pace.rate_per_s);
    let visits = graph.visits(&rates);
    flow::compile(world, graph, &rates, &visits.vertices)
}

/// Starts a regime now.
fn enter(
    world: &mut World,
    namespace: ArcStr,
    load: Load,
    (graph, network, resolved_at): (Arc<Graph>, Arc<Compiled>, SimTime),
    system: System,
) {
    let (app, workload, pace, stream) = (&load.app, &load.workload, load.pace, (load.key, load.since));
    let next = flow::following(&network.net, &system).map(|(seconds, next)| (Duration::from_secs_f64(seconds), next));
    let plan = Making { namespace: &namespace, app, workload, pace, stream, graph, network, resolved_at, system: &system }.plan();
    let regime = Regime { from: world.now, until: None, plan: Arc::new(plan) };
    world.history.begin_regime(&namespace, regime.clone());
    if let Some((_, walked)) = first_crash(world.seed, &regime)
        && let Some(crash) = walked.crash
    {
        let work = super::network::Work::Crash { namespace: namespace.clone(), regime: regime.from };
        world.schedule(crash.at, Event::Network(work));
    }
    for (run, at) in exhaustion::ahead(world, &regime) {
        let work = super::network::Work::Exhausted { namespace: namespace.clone(), regime: regime.from, run };
        world.schedule(at, Event::Network(work));
    }
    if let Some((lasts, _)) = &next {
        let work = super::network::Work::Flow { namespace: namespace.clone(), regime: regime.from };
        world.schedule(regime.from + *lasts, Event::Network(work));
    }
    world.traffic.drives.insert(namespace, Drive { load, regime, system, next });
}

/// A transient has come to where it differs noticeably from how its regime began.
pub(super) fn flow_on(world: &mut World, namespace: &str, regime: SimTime) {
    let Some(drive) = world.traffic.drives.get(namespace).filter(|drive| drive.regime.from == regime).cloned() else { return };
    let Some((_, system)) = drive.next.clone() else { return };
    close(world, &drive);
    let plan = &drive.regime.plan;
    let parts = (plan.resolved.clone(), plan.network.clone(), plan.resolved_at);
    enter(world, plan.namespace.clone(), drive.load, parts, system);
}

/// A process has reached the limit of its memory.
pub(super) fn exhausted(world: &mut World, namespace: &str, regime: SimTime, run: RunId) {
    if world.traffic.drives.get(namespace).is_some_and(|drive| drive.regime.from == regime) {
        exhaustion::reached(world, run);
    }
}

impl Drive {
    /// Backlogs, and what callers have seen, at an instant of the regime.
    fn state(&self, at: SimTime) -> flow::State {
        let mut system = self.system.clone();
        system.advance(&self.regime.plan.network.net, at.since(self.regime.from).as_secs_f64());
        system.state
    }
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
    /// What requests lose to others.
    pub pressure: Arc<Pressure>,
}

/// The endpoints of the application in a namespace, resolved; `None` when there is no application.
pub fn entrance(world: &World, namespace: &str) -> Option<Entrance> {
    let app = app_in(world, namespace)?;
    let roots: Vec<Root> = app.endpoints.iter().map(root).collect();
    let host = entry_host(world, namespace, &app);
    let (graph, pressure) = (compile(world, &Origin::Workstation, &host, app.entry.port, &roots), world.traffic.pressure());
    let graph = if pressure.late.is_empty() { graph } else { graph.delayed(&pressure.late) };
    Some(Entrance { app, graph, pressure })
}
