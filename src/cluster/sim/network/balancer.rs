//! Clients that find their servers in a registry: what they know and the connections they hold.
//!
//! Shaped after grpc-go 1.10 with a round-robin balancer fed from Consul's blocking queries: every known address gets one
//! connection; a call without a live one fails at once; a lost one is dialled again after 1 s, 1.6 s, 2.56 s … (±20 %,
//! at most 120 s); registrations that were dropped are forgotten, those that are stale are dialled for ever. What a client
//! knows survives the registry's absence.
//!
//! Not modelled: HTTP/2 keepalive (the clients modelled have none), the client's idle time-out.

use super::super::history::{Complaint, RunId};
use super::super::programs;
use super::super::store::{Key, Kind};
use super::super::world::{Event, World};
use super::rules::{self, RETRANSMIT_LIMIT, next_retransmission};
use super::{Connection, Origin, Reach, Transport, Work, connect};
use crate::app::Follow;
use crate::app::rules::Pauses;
use crate::rng::Key as RandomKey;
use crate::time::SimTime;
use arcstr::ArcStr;
use imbl::OrdMap;
use std::sync::Arc;
use std::time::Duration;

/// The followers of all runs, by run and service.
pub(super) type Followers = OrdMap<(RunId, ArcStr), Follower>;

/// What one client knows of one service.
#[derive(Clone, Debug)]
pub(super) struct Follower {
    follow: Arc<Follow>,
    /// The registry's `host:port`.
    registry: (ArcStr, u16),
    /// The registry's process that it watches; `None` while it cannot reach one.
    watching: Option<RunId>,
    /// Addresses that it knows, with the connection to each.
    links: OrdMap<ArcStr, Link>,
}

/// A connection to one address.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Link {
    /// Established.
    Up {
        /// The process at the other end.
        peer: RunId,
        /// Since when packets get lost.
        stalled: Option<SimTime>,
    },
    /// Not established.
    Down {
        /// When the first attempt to (re)connect was made.
        since: SimTime,
        /// When the next attempt that can succeed is made, once there is something to connect to.
        due: Option<SimTime>,
    },
}

/// A client's view of a service at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Picture {
    /// It knows no address.
    NoAddress,
    /// It knows addresses and has a connection to none.
    NoConnection,
    /// Its live connections: the process at the other end, and whether packets get through.
    Live(Vec<(RunId, bool)>),
}

/// A run follows a service from now on. Everything else (the registry's absence, the lines that are written then) happens by itself.
pub fn follow(world: &mut World, run: RunId, registry: (&str, u16), follow: Arc<Follow>) {
    let registry = (ArcStr::from(registry.0), registry.1);
    let key = (run, follow.name.clone());
    world.network.followers.insert(key, Follower { follow, registry, watching: None, links: OrdMap::new() });
    super::review(world);
}

/// What a run sees of a service that it follows.
pub fn picture(world: &World, run: RunId, service: &ArcStr) -> Picture {
    let Some(follower) = world.network.followers.get(&(run, service.clone())) else { return Picture::NoAddress };
    let live: Vec<_> = follower
        .links
        .values()
        .filter_map(|link| match link {
            Link::Up { peer, stalled } => Some((*peer, stalled.is_none())),
            Link::Down { .. } => None,
        })
        .collect();
    match (follower.links.is_empty(), live.is_empty()) {
        (true, _) => Picture::NoAddress,
        (_, true) => Picture::NoConnection,
        _ => Picture::Live(live),
    }
}

/// Looks at every client's registrations and connections again; returns whether one has changed.
pub(super) fn review(world: &mut World) -> bool {
    let mut moved = false;
    let keys: Vec<_> = world.network.followers.keys().cloned().collect();
    for key in keys {
        let alive = world.history.run(key.0).is_some_and(|run| run.end.is_none());
        let Some(mut follower) = world.network.followers.get(&key).cloned() else { continue };
        if !alive {
            world.network.followers.remove(&key);
            moved = true;
            continue;
        }
        let before = (follower.links.clone(), follower.watching);
        let from = origin(world, key.0);
        watch(world, key.0, &from, &mut follower);
        learn(world, key.0, &mut follower);
        let addresses: Vec<_> = follower.links.keys().cloned().collect();
        for address in addresses {
            if let Some(link) = follower.links.get(&address).cloned() {
                let next = examine(world, &key, &from, &address, &link);
                if next != link {
                    follower.links.insert(address, next);
                }
            }
        }
        let links_moved = before.0 != follower.links;
        moved |= links_moved;
        if links_moved || before.1 != follower.watching {
            world.network.followers.insert(key, follower);
        }
    }
    moved
}

/// Where a run's calls come from.
pub fn origin(world: &World, run: RunId) -> Origin {
    match world.history.run(run) {
        Some(run) => Origin::Pod { namespace: run.launch.namespace.clone(), pod: run.launch.pod.clone() },
        None => Origin::Workstation,
    }
}

/// Keeps up the connection to the registry, or looks for another; complains while there is none.
fn watch(world: &mut World, run: RunId, from: &Origin, follower: &mut Follower) {
    let (host, port) = &follower.registry;
    let ended = |run: RunId| world.history.run(run).is_none_or(|run| run.end.is_some());
    if follower.watching.is_some_and(|registry| !ended(registry)) {
        return;
    }
    let connection = connect(world, from, host, *port, Transport::Tcp, run.0);
    follower.watching = connection.run();
    let error = connection
        .dial_error(host, "i/o timeout")
        .map(|error| format!("Get \"http://{host}:{port}/v1/health/service/{}?passing=1\": {error}", follower.follow.name));
    let open = world.history.open_complaint(run, &follower.follow.name);
    if open.as_deref() == error.as_deref() {
        return;
    }
    world.history.settle_complaint(run, &follower.follow.name, world.now);
    if let (Some(error), Some(line)) = (error, &follower.follow.on_failure) {
        let (about, line, every) = (follower.follow.name.clone(), line.clone(), follower.follow.retry);
        world.history.complain(Complaint { run, about, line, error: error.into(), every, from: world.now, until: None });
    }
}

/// Takes over what the registry has.
fn learn(world: &World, run: RunId, follower: &mut Follower) {
    let Some(registry) = follower.watching else { return };
    let registered = programs::registrations(world, registry, &follower.follow.name);
    let dropped: Vec<_> = follower.links.keys().filter(|address| !registered.contains(address)).cloned().collect();
    for address in dropped {
        follower.links.remove(&address);
    }
    for address in registered {
        if !follower.links.contains_key(&address) {
            // The blocking query's answer travels, then the first dial.
            let key = RandomKey::new(world.seed).part("learn").number(run.0).part(&address).number(world.now.as_nanos());
            let since = world.now + Duration::from_micros(2_000 + key.stream().below(20_000));
            follower.links.insert(address, Link::Down { since, due: None });
        }
    }
}

/// What becomes of one connection now.
fn examine(world: &mut World, key: &(RunId, ArcStr), from: &Origin, address: &ArcStr, link: &Link) -> Link {
    let Some((ip, port)) = split(address) else { return link.clone() };
    let connection = connect(world, from, ip, port, Transport::Tcp, key.0.0);
    match *link {
        Link::Up { peer, stalled } => match examine_live(world, key.0, &connection, (peer, stalled)) {
            Verdict::Lost => lost(world, key, from, address),
            Verdict::Flows => Link::Up { peer, stalled: None },
            Verdict::Stalls { since, look_again } => {
                dial_at(world, key, address, look_again);
                Link::Up { peer, stalled: Some(since) }
            }
        },
        Link::Down { since, .. } if connection.peer().is_none() => Link::Down { since, due: None },
        Link::Down { since, due } => {
            let next = next_attempt(world.seed, key.0, address, since, due.unwrap_or(world.now));
            match connection.run().filter(|_| next <= world.now) {
                Some(peer) => Link::Up { peer, stalled: None },
                None => {
                    if due.is_none() {
                        dial_at(world, key, address, next);
                    }
                    Link::Down { since, due: Some(next) }
                }
            }
        }
    }
}

/// What a look at an established connection finds.
enum Verdict {
    /// It is broken, and both ends know.
    Lost,
    /// Packets get through.
    Flows,
    /// Packets get lost, or are not sent again before then.
    Stalls { since: SimTime, look_again: SimTime },
}

fn examine_live(world: &World, from: RunId, connection: &Connection, (peer, stalled): (RunId, Option<SimTime>)) -> Verdict {
    let ended = world.history.run(peer).is_none_or(|run| run.end.is_some());
    let same = connection.run() == Some(peer);
    // A pod that was deleted without grace has no address any more, but its network is there until its processes have ended.
    if !ended && stalled.is_none() && is_ending(world, peer) && !rules::between(world, from, peer).cut {
        return Verdict::Flows;
    }
    match (&connection.reach, stalled) {
        // A process that ends says so, unless nothing got through when it did.
        (_, None) if ended => Verdict::Lost,
        (Reach::Silence, _) => {
            let since = stalled.unwrap_or(world.now);
            let look_again = since + RETRANSMIT_LIMIT;
            if world.now >= look_again { Verdict::Lost } else { Verdict::Stalls { since, look_again } }
        }
        (_, Some(since)) => {
            let look_again = since + next_retransmission(world.now - since);
            match (look_again > world.now, same) {
                (true, _) => Verdict::Stalls { since, look_again },
                (false, true) => Verdict::Flows,
                (false, false) => Verdict::Lost,
            }
        }
        (_, None) if same => Verdict::Flows,
        (_, None) => Verdict::Lost,
    }
}

/// Whether a run's pod is gone from the API.
fn is_ending(world: &World, run: RunId) -> bool {
    let Some(launch) = world.history.run(run).map(|run| &run.launch) else { return true };
    let key = Key::new(Kind::POD, launch.namespace.clone(), launch.pod.clone());
    world.store.uid(&key).is_none_or(|uid| uid != launch.pod_uid)
}

fn dial_at(world: &mut World, key: &(RunId, ArcStr), address: &ArcStr, at: SimTime) {
    world.schedule(at, Event::Network(Work::Dial { run: key.0, service: key.1.clone(), address: address.clone() }));
}

/// A connection broke now: it is dialled again at once, then with growing pauses.
fn lost(world: &mut World, key: &(RunId, ArcStr), from: &Origin, address: &ArcStr) -> Link {
    // The first attempt is made a moment later; nothing can listen again so soon.
    let since = world.now + Duration::from_millis(1);
    examine(world, key, from, address, &Link::Down { since, due: None })
}

/// The first attempt to connect at or after `after`, when attempts began at `since`.
fn next_attempt(seed: u64, run: RunId, address: &str, since: SimTime, after: SimTime) -> SimTime {
    let mut stream = RandomKey::new(seed).part("reconnect").number(run.0).part(address).number(since.as_nanos()).stream();
    let (mut at, mut pauses) = (since, Pauses::default());
    while at < after {
        at += pauses.next(&mut stream);
    }
    at
}

fn split(address: &str) -> Option<(&str, u16)> {
    let (ip, port) = address.rsplit_once(':')?;
    Some((ip, port.parse().ok()?))
}

impl Follower {
    /// Gives addresses the names of an episode.
    pub(super) fn rename(&mut self, names: &super::super::rename::Renaming) {
        self.links = self.links.iter().map(|(address, link)| (names.text(address), link.clone())).collect();
    }
}
