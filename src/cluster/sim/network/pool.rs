//! Connections that programs hold to their stores.
//!
//! They outlive the Service through which they were made. A MongoDB session of mgo keeps the socket that it was opened with, so
//! it is broken for good when that server ends, whoever takes its place; a memcached client keeps the address that it resolved
//! at its start and dials it again.
//!
//! Not modelled: pools of several connections that differ, idle connections that are closed.

use super::super::history::RunId;
use super::super::programs;
use super::super::world::World;
use super::balancer::origin;
use super::{Connection, Peer, Reach, Transport, connect, rules};
use crate::app::rules::NO_SERVERS;
use crate::app::{Clients, Instance, Protocol, Step};
use arcstr::ArcStr;
use imbl::OrdMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The connections of all runs that serve.
pub(super) type Pools = OrdMap<RunId, Arc<Vec<Held>>>;

/// A connection that a run holds to a store.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held {
    /// The setting with the store's `host:port`.
    setting: usize,
    protocol: Protocol,
    clients: Clients,
    host: ArcStr,
    port: u16,
    /// The address that it was opened to, once one was found.
    address: Option<ArcStr>,
    link: StoreLink,
}

/// How a run's connection to a store stands.
#[derive(Clone, Debug, PartialEq)]
pub enum StoreLink {
    /// Open, to this process.
    Open(RunId, rules::Path),
    /// A request fails with this error, after this time.
    Broken(ArcStr, Duration),
}

/// How the connection of a run to the store of a setting stands; `None` when its program asks no store there.
pub fn store_link(world: &World, run: RunId, setting: usize) -> Option<StoreLink> {
    world.network.pools.get(&run)?.iter().find(|held| held.setting == setting).map(|held| held.link.clone())
}

/// Looks at every connection to a store again; returns whether one has changed.
pub(super) fn review(world: &mut World) -> bool {
    let mut moved = false;
    let ended = |world: &World, run: RunId| world.history.run(run).is_none_or(|run| run.end.is_some());
    let gone: Vec<_> = world.network.pools.keys().filter(|run| ended(world, **run)).copied().collect();
    for run in gone {
        world.network.pools.remove(&run);
    }
    let serving: Vec<_> = world.network.sockets.keys().filter(|run| !ended(world, **run)).copied().collect();
    for run in serving {
        let held = match world.network.pools.get(&run) {
            Some(held) => held.clone(),
            None => Arc::new(programs::instance(world, run).map(|instance| stores_of(&instance)).unwrap_or_default()),
        };
        let examined: Vec<Held> = held.iter().map(|held| examine(world, run, held.clone())).collect();
        let changed = examined != *held;
        moved |= changed;
        if changed || !world.network.pools.contains_key(&run) {
            world.network.pools.insert(run, Arc::new(examined));
        }
    }
    moved
}

/// The stores that a program asks while it serves.
fn stores_of(instance: &Instance) -> Vec<Held> {
    let mut targets = BTreeMap::new();
    let program = &instance.program;
    let bodies = program.operations.iter().map(|o| &o.steps).chain(program.handlers.iter().map(|h| &h.steps));
    bodies.for_each(|steps| collect(steps, &mut targets));
    let open = |(setting, protocol): (usize, Protocol)| {
        let (host, port) = instance.address(setting)?;
        let link = StoreLink::Broken(NO_SERVERS, Duration::ZERO);
        Some(Held { setting, protocol, clients: program.clients, host: host.into(), port, address: None, link })
    };
    targets.into_iter().filter_map(open).collect()
}

fn collect(steps: &[Step], targets: &mut BTreeMap<usize, Protocol>) {
    for step in steps {
        match step {
            Step::Compute(_) | Step::Call(_) => {}
            Step::Store(call) => {
                targets.insert(call.target, call.protocol);
                if let Some(miss) = &call.miss {
                    collect(&miss.steps, targets);
                }
            }
            Step::Parallel(branches) => branches.iter().for_each(|branch| collect(branch, targets)),
        }
    }
}

fn examine(world: &World, run: RunId, mut held: Held) -> Held {
    let from = origin(world, run);
    let host = held.address.clone().unwrap_or_else(|| held.host.clone());
    held.link = match &held.link {
        StoreLink::Open(store, _) if alive(world, *store) => StoreLink::Open(*store, rules::between(world, run, *store)),
        StoreLink::Open(..) if held.clients.stays_broken(held.protocol) => {
            StoreLink::Broken(arcstr::literal!("EOF"), Duration::from_micros(50))
        }
        StoreLink::Broken(error, _) if held.protocol == Protocol::Mongo && error == "EOF" => return held,
        _ => {
            let connection = connect(world, &from, &host, held.port, Transport::Tcp, run.0);
            if held.address.is_none() && !connection.address.is_empty() {
                held.address = Some(connection.address.clone());
            }
            link_of(&connection, &held)
        }
    };
    held
}

fn alive(world: &World, run: RunId) -> bool {
    world.history.run(run).is_some_and(|run| run.end.is_none()) && world.network.sockets.contains_key(&run)
}

fn link_of(connection: &Connection, held: &Held) -> StoreLink {
    match (connection.not_open(), &connection.reach, held.protocol) {
        (_, Reach::Peer(Peer::Process { run, socket, .. }), protocol) if socket.wire.answers(protocol) => {
            StoreLink::Open(*run, connection.path)
        }
        (Some(why), ..) => {
            let (error, after) = held.clients.store_error(&why, held.protocol, &held.host, connection.port);
            StoreLink::Broken(error, after)
        }
        (None, _, Protocol::Mongo) => {
            let (error, after) = held.clients.unspoken(&held.host, connection.port);
            StoreLink::Broken(error, after)
        }
        (None, ..) => StoreLink::Broken(arcstr::literal!("EOF"), Duration::from_millis(1)),
    }
}

impl Held {
    /// Gives the address the name of an episode.
    pub(super) fn rename(&mut self, names: &super::super::rename::Renaming) {
        self.address = self.address.as_ref().map(|address| names.text(address));
    }
}
