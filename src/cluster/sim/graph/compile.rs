//! From programs and connections to a [`Graph`].

use super::super::history::RunId;
use super::super::network::rules::{Path, between};
use super::super::network::{self, Connection, Origin, Peer, Picture, Reach, StoreLink, Transport, Wire};
use super::super::programs;
use super::super::world::World;
use super::ends::{Ends, asked, suffixes};
use super::{
    Act, CallAct, Dist, Ended, Entry, Graph, Lateness, MissAct, Outcome, Root, Sequence, StoreAct, StoreWay, Time, Vertex, Way, Work,
};
use crate::app::rules::{self, patience};
use crate::app::{Call, Callee, Clients, Instance, Step, StoreCall, Unconnected};
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use xxhash_rust::xxh3::Xxh3;

/// Call trees of `roots`, as requests from `from` to `host:port` would meet them at this instant.
pub fn compile(world: &World, from: &Origin, host: &str, port: u16, roots: &[Root]) -> Graph {
    let connections = network::routes(world, from, host, port, Transport::Tcp);
    let mut builder = Builder::new(world);
    let entries: Vec<Entry> = roots.iter().map(|root| builder.entry(root, &connections)).collect();
    builder.finish(entries)
}

/// The call tree of one root, as a request on this connection meets it.
pub fn compile_to(world: &World, connection: &Connection, root: &Root) -> Graph {
    let mut builder = Builder::new(world);
    let entry = builder.entry(root, std::slice::from_ref(connection));
    builder.finish(vec![entry])
}

struct Builder<'w> {
    world: &'w World,
    ends: Ends,
    known: BTreeMap<(RunId, ArcStr), usize>,
    sinks: BTreeMap<RunId, Option<RunId>>,
    /// Names the operation whose calls are being made, and how many it has made.
    caller: (u64, u64),
    hash: Xxh3,
    dials: bool,
    slow: bool,
}

impl<'w> Builder<'w> {
    fn new(world: &'w World) -> Self {
        let ends = Ends { table: vec![Ended::Served], vertices: Vec::new() };
        let (known, sinks, caller) = (BTreeMap::new(), BTreeMap::new(), (0, 0));
        Builder { world, ends, known, sinks, caller, hash: Xxh3::new(), dials: false, slow: false }
    }

    fn finish(mut self, entries: Vec<Entry>) -> Graph {
        for ended in &self.ends.table {
            self.hash.update(format!("{ended:?}").as_bytes());
        }
        self.ends.table.push(Ended::GivenUp);
        let vertices = self.ends.vertices.into_iter().flatten().collect();
        Graph { vertices, entries, ends: self.ends.table, fingerprint: self.hash.digest(), dials: self.dials, slow: self.slow }
    }

    /// Takes a way into the fingerprint. What an outcome stands for is taken in when the graph is finished.
    fn note(&mut self, way: &Way) {
        let (kind, number, path) = match way {
            Way::Served { vertex, path } => (0, *vertex as u64, Some(path)),
            Way::Fails { outcome, .. } => (1, u64::from(outcome.ended), None),
            Way::Hangs { outcome } => (2, u64::from(outcome.ended), None),
        };
        self.number(kind);
        self.number(number);
        if let Some(path) = path.filter(|path| !path.is_clear()) {
            self.path(path);
        }
    }

    fn number(&mut self, number: u64) {
        self.hash.update(&number.to_le_bytes());
    }

    fn path(&mut self, path: &Path) {
        self.number(path.latency.as_nanos() as u64);
        self.number(path.jitter.as_nanos() as u64);
        self.number(path.loss.to_bits());
        self.number(u64::from(path.cut));
    }

    fn entry(&mut self, root: &Root, connections: &[Connection]) -> Entry {
        self.hash.update(root.path.as_bytes());
        let ways: Vec<Way> = connections.iter().map(|connection| self.entry_way(root, connection)).collect();
        let (count, at) = (ways.len() as f64, arcstr::literal!("entry"));
        let mut entry = Entry { root: root.clone(), ways: Vec::with_capacity(ways.len()), dist: Dist::default() };
        for way in ways {
            self.note(&way);
            let dist = self.ends.way_dist(&way, (&at, Clients::Go));
            dist.iter().for_each(|(o, p)| entry.dist.add(o, p / count));
            entry.ways.push((way, dist));
        }
        entry
    }

    fn entry_way(&mut self, root: &Root, connection: &Connection) -> Way {
        let soon = Duration::from_micros(400);
        let unreachable = |error: String, silent| Ended::Unreachable { error: error.into(), silent };
        match &connection.reach {
            Reach::Peer(Peer::Process { run, socket, .. }) if matches!(socket.wire, Wire::Http { tls: false }) => {
                let handler = programs::instance(self.world, *run)
                    .and_then(|instance| Some((instance.program.handler(&root.method, &root.path)?.clone(), instance)));
                let Some((handler, instance)) = handler else {
                    let ended = Ended::Answered { status: 404, body: arcstr::literal!("404 page not found\n") };
                    return Way::Fails { outcome: self.ends.end(ended), after: soon };
                };
                self.served(*run, instance, Work::Handler(handler), connection.path)
            }
            Reach::Peer(_) => Way::Fails { outcome: self.ends.end(unreachable("EOF".to_owned(), false)), after: soon },
            Reach::Silence => {
                let error = connection.dial_error("", "i/o timeout").unwrap_or_default();
                Way::Hangs { outcome: self.ends.end(unreachable(error, true)) }
            }
            Reach::Refused | Reach::NoName | Reach::NoResolver => {
                let error = connection.dial_error("", "i/o timeout").unwrap_or_default();
                Way::Fails { outcome: self.ends.end(unreachable(error, false)), after: soon }
            }
        }
    }

    /// A process works on it: its vertex, built when it is new.
    fn served(&mut self, run: RunId, instance: Arc<Instance>, work: Work, path: Path) -> Way {
        self.slow |= !path.is_clear();
        let asked = work.clone();
        let (name, steps) = match &asked {
            Work::Handler(handler) => (handler.path.clone(), &handler.steps),
            Work::Operation(operation) => (operation.name.clone(), &operation.steps),
        };
        if let Some(vertex) = self.known.get(&(run, name.clone())) {
            return Way::Served { vertex: *vertex, path };
        }
        let vertex = self.ends.vertices.len();
        let sink = self.sink(run, &instance);
        self.number(run.0);
        self.number(sink.map_or(0, |sink| sink.0));
        self.hash.update(name.as_bytes());
        self.known.insert((run, name.clone()), vertex);
        self.ends.vertices.push(None);
        let outer = std::mem::replace(&mut self.caller, (call_key(run, &name), 0));
        let body = self.sequence(run, &instance, steps);
        self.caller = outer;
        self.ends.vertices[vertex] = Some(Vertex { run, instance, work, sink, body });
        Way::Served { vertex, path }
    }

    /// The process that collects a run's spans: programs that send any have a setting `jaeger` with its address.
    fn sink(&mut self, run: RunId, instance: &Instance) -> Option<RunId> {
        if let Some(known) = self.sinks.get(&run) {
            return *known;
        }
        let reached = instance.program.setting("jaeger").and_then(|setting| instance.address(setting)).and_then(|(host, port)| {
            network::connect(self.world, &network::origin(self.world, run), host, port, Transport::Udp, run.0).run()
        });
        self.sinks.insert(run, reached);
        reached
    }

    fn sequence(&mut self, run: RunId, instance: &Arc<Instance>, steps: &[Step]) -> Sequence {
        let acts: Vec<Act> = steps.iter().map(|step| self.act(run, instance, step)).collect();
        let rest = suffixes(acts.iter().map(Act::dist), false);
        Sequence { acts, rest }
    }

    fn call_key(&mut self) -> u64 {
        self.caller.1 += 1;
        self.caller.0.wrapping_add(self.caller.1)
    }

    fn act(&mut self, run: RunId, instance: &Arc<Instance>, step: &Step) -> Act {
        match step {
            Step::Compute(span) => Act::Compute(Time::new(*span)),
            Step::Call(call) => Act::Call(Box::new(self.call(run, instance, call))),
            Step::Store(call) => Act::Store(Box::new(self.store(run, instance, call))),
            Step::Parallel(parts) => {
                let branches: Vec<Sequence> = parts.iter().map(|part| self.sequence(run, instance, part)).collect();
                let rest = suffixes(branches.iter().map(Sequence::dist), true);
                Act::Parallel { branches, rest }
            }
        }
    }

    fn call(&mut self, run: RunId, instance: &Arc<Instance>, call: &Call) -> CallAct {
        let at = match &call.to {
            Callee::Registered { name, .. } => ArcStr::from(format!("{name}{}", call.operation)),
            Callee::Address(setting) => ArcStr::from(format!("{}{}", instance.setting(*setting), call.operation)),
        };
        let clients = instance.program.clients;
        let mut unconnected = None;
        let ways = match &call.to {
            Callee::Registered { name, .. } => self.registered((run, clients), name, call, &at),
            Callee::Address(setting) => self.addressed((run, instance), *setting, call, (&at, &mut unconnected)),
        };
        let (mut attempt, mut with_dist) = (Dist::default(), Vec::with_capacity(ways.len()));
        let count = ways.len().max(1) as f64;
        for way in ways {
            self.note(&way);
            let dist = self.ends.timed(call.timeout, &way, (&at, clients));
            dist.iter().for_each(|(o, p)| attempt.add(o, p / count));
            with_dist.push((way, dist));
        }
        let key = self.call_key();
        let mut act = CallAct {
            key,
            at,
            unconnected,
            clients,
            span: call.span.clone(),
            timeout: call.timeout,
            retries: call.retries,
            pool: call.pool,
            on_error: call.on_error.clone(),
            hop: Time::new(instance.program.hop),
            ways: with_dist,
            attempt,
            late: Lateness::default(),
            expired: Dist::default(),
            dist: Dist::default(),
        };
        act.dist = self.ends.all(&act);
        act
    }

    fn registered(&mut self, (run, clients): (RunId, Clients), name: &ArcStr, call: &Call, at: &ArcStr) -> Vec<Way> {
        let at_once = Duration::from_micros(40);
        let unavailable = |builder: &mut Self, error: ArcStr| {
            let outcome = builder.ends.failed(error, at);
            vec![Way::Fails { outcome, after: at_once }]
        };
        match network::picture(self.world, run, name) {
            Picture::NoAddress => unavailable(self, rules::NO_ADDRESS),
            Picture::NoConnection => unavailable(self, rules::NO_CONNECTION),
            Picture::Live(peers) => {
                let way = |(peer, flows): (RunId, bool)| {
                    let path = between(self.world, run, peer);
                    self.slow |= !flows;
                    if flows {
                        self.operation(peer, (call, clients), path, at)
                    } else {
                        Way::Hangs { outcome: self.ends.end(Ended::Hung { at: at.clone() }) }
                    }
                };
                peers.into_iter().map(way).collect()
            }
        }
    }

    fn operation(&mut self, peer: RunId, (call, clients): (&Call, Clients), path: Path, at: &ArcStr) -> Way {
        let instance = programs::instance(self.world, peer);
        let found = instance.and_then(|instance| Some((instance.program.operation(&call.operation)?.clone(), instance)));
        match found {
            Some((operation, instance)) => self.served(peer, instance, Work::Operation(operation), path),
            None => {
                let outcome = self.ends.failed(clients.unimplemented(&call.operation), at);
                Way::Fails { outcome, after: Duration::from_micros(500) }
            }
        }
    }

    fn addressed(
        &mut self,
        (run, instance): (RunId, &Instance),
        setting: usize,
        call: &Call,
        (at, unconnected): (&ArcStr, &mut Option<Unconnected>),
    ) -> Vec<Way> {
        self.dials = true;
        let Some((host, port)) = instance.address(setting) else {
            let outcome = self.ends.failed(instance.no_address(setting), at);
            return vec![Way::Fails { outcome, after: Duration::ZERO }];
        };
        let from = network::origin(self.world, run);
        let connections = network::routes(self.world, &from, host, port, Transport::Tcp);
        let clients = instance.program.clients;
        *unconnected = connections.iter().find_map(|connection| Some(clients.unconnected(&connection.not_open()?, host, port)));
        connections.iter().map(|connection| self.addressed_way(connection, host, (call, clients), at)).collect()
    }

    fn addressed_way(&mut self, connection: &Connection, host: &str, (call, clients): (&Call, Clients), at: &ArcStr) -> Way {
        match (&connection.reach, connection.run()) {
            (_, Some(peer)) => self.operation(peer, (call, clients), connection.path, at),
            (Reach::Silence, _) => {
                self.slow = true;
                Way::Hangs { outcome: self.ends.end(Ended::Hung { at: at.clone() }) }
            }
            _ => {
                let error = match connection.not_open() {
                    Some(why) => clients.unconnected(&why, host, connection.port).error,
                    None => clients.closing(),
                };
                Way::Fails { outcome: self.ends.failed(error, at), after: Duration::from_micros(400) }
            }
        }
    }

    fn store(&mut self, run: RunId, instance: &Arc<Instance>, call: &StoreCall) -> StoreAct {
        let at = ArcStr::from(format!("{} {:?}", instance.setting(call.target), call.protocol));
        let (way, store) = self.store_way((run, instance.program.clients), call, &at);
        self.number(store.map_or(0, |store| store.0));
        match &way {
            StoreWay::Served(path) if path.is_clear() => self.number(1),
            StoreWay::Served(path) => self.path(path),
            StoreWay::Fails { outcome, error, .. } => {
                self.number(u64::from(outcome.ended));
                self.hash.update(error.as_bytes());
            }
        }
        let (span, tags, on_error) = (call.span.clone(), call.tags.clone(), call.on_error.clone());
        let keyspace = rules::keyspace(call);
        let (time, cpu_ms) = (Time::new(call.time), call.cpu_ms);
        let (key, pool) = (self.call_key(), call.pool);
        let mut act = StoreAct { key, pool, span, tags, time, cpu_ms, on_error, keyspace, store, way, miss: None, dist: Dist::default() };
        if let StoreWay::Served(_) = act.way {
            act.miss = self.miss(run, instance, call, store);
        }
        act.dist = asked(&act.way, act.miss.as_ref());
        act
    }

    fn store_way(&mut self, (run, clients): (RunId, Clients), call: &StoreCall, at: &ArcStr) -> (StoreWay, Option<RunId>) {
        let fails = |builder: &mut Self, error: ArcStr, after: Duration| {
            let failed = builder.ends.failed(error.clone(), at);
            StoreWay::Fails { error, outcome: builder.ends.ruled(failed, &call.on_error, (at, clients)), after }
        };
        match network::store_link(self.world, run, call.target) {
            None => (fails(self, rules::NO_SERVERS, Duration::ZERO), None),
            Some(StoreLink::Broken(error, after)) => {
                self.slow |= after > Duration::from_millis(500);
                (fails(self, error, after), None)
            }
            Some(StoreLink::Open(_, path)) if path.cut => {
                self.slow = true;
                (fails(self, arcstr::literal!("i/o timeout"), patience(call.protocol)), None)
            }
            Some(StoreLink::Open(store, path)) => {
                self.slow |= !path.is_clear();
                let what = call.collection.as_ref().map_or(("", ""), |(database, collection)| (database.as_str(), collection.as_str()));
                match programs::access(self.world, store, call.credentials.as_ref(), what, call.needs) {
                    Ok(()) => (StoreWay::Served(path), Some(store)),
                    Err(error) => (fails(self, error, Duration::from_micros(300)), Some(store)),
                }
            }
        }
    }

    fn miss(&mut self, run: RunId, instance: &Arc<Instance>, call: &StoreCall, store: Option<RunId>) -> Option<MissAct> {
        let (miss, store) = (call.miss.as_ref()?, store?);
        let label = ArcStr::from(format!("{}/{}", instance.program.name, call.span.as_deref().unwrap_or("cache")));
        let served = self.world.traffic.warmth(store, &label, self.world.now);
        let body = self.sequence(run, instance, &miss.steps);
        let mut act = MissAct { label, keys: miss.keys, per_request: miss.per_request, body, served, chance: 0.0 };
        let cold = act.cold(served);
        act.chance = 1.0 - (0..act.wanted()).fold(1.0, |all_there, _| all_there * (1.0 - cold));
        // How cold a cache is matters to outcomes only when a miss does not go well; then it stays as cold as it is.
        if act.body.dist().only() != Some(Outcome::SERVED) {
            self.hash.update(&act.chance.to_bits().to_le_bytes());
        }
        Some(act)
    }
}

/// Names the calls of an operation, the same whenever it is compiled.
fn call_key(run: RunId, operation: &str) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&run.0.to_le_bytes());
    hash.update(operation.as_bytes());
    hash.digest()
}
