//! The one resolution of reality: whether a call from here to there works, and with whom.
//!
//! [`connect`] is asked by everyone: start-up dependencies, load, probes, `curl`, exec and graders. It follows a packet:
//! name → addresses ([`dns`]), address → Service → endpoint ([`service`]), endpoint → pod → socket, with NetworkPolicies
//! ([`policy`]) and disturbances ([`rules`]) on the way. Who a gRPC client talks to is decided by its own connections
//! ([`balancer`]), which are kept here because they outlive what they were made from.
//!
//! Nothing here draws time or chance: what several answers are possible for is listed by [`routes`], and `connect` picks one
//! of them by the caller's session.
//!
//! Not modelled: IPv6, external networks (every name and address outside the cluster is unknown), conntrack expiry, CoreDNS's
//! cache, bandwidth.

pub mod address;
pub mod balancer;
pub mod dns;
pub mod policy;
pub mod pool;
mod probe;
pub mod rules;
pub mod service;
mod socket;

pub use balancer::{Picture, follow, origin, picture};
pub use pool::{StoreLink, store_link};
pub use probe::check;
pub use rules::{Effect, Place, Rule, RuleId};
pub use socket::{Socket, Wire};

use super::history::RunId;
use super::store::{Change, Kind};
use super::world::{Event, World};
use crate::app::rules::NotOpen;
use crate::rng::Key as RandomKey;
use crate::time::SimTime;
use arcstr::ArcStr;
use imbl::{OrdMap, Vector};
use std::time::Duration;

/// State that lives with the world.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Rises when something changes that the outcome of a call can depend on.
    epoch: u64,
    /// Whether a review is on the queue already.
    reviewing: bool,
    /// Whether the traffic must be resolved again whatever the review finds.
    anew: bool,
    addresses: address::Index,
    sockets: OrdMap<RunId, Vector<Socket>>,
    rules: rules::Rules,
    followers: balancer::Followers,
    pools: pool::Pools,
}

impl State {
    /// Rises when something changes that the outcome of a call can depend on; equal epochs resolve every call alike.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }
}

/// Work on the queue.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Look at every client's connections again.
    Review,
    /// A client dials an address again, or a packet that was lost is sent again.
    Dial {
        /// The client.
        run: RunId,
        /// The service that it follows.
        service: ArcStr,
        /// The address.
        address: ArcStr,
    },
    /// A request of the load makes a process end, unless its regime is over.
    Crash {
        /// The application's namespace.
        namespace: ArcStr,
        /// When the regime began.
        regime: SimTime,
    },
    /// A transient of the load has come on, unless its regime is over.
    Flow {
        /// The application's namespace.
        namespace: ArcStr,
        /// When the regime began.
        regime: SimTime,
    },
    /// The rate of a load changes, unless that load is over.
    Pace {
        /// The application's namespace.
        namespace: ArcStr,
        /// Names the load.
        load: u64,
    },
    /// A process reaches the limit of its memory under the load, unless its regime is over.
    Exhausted {
        /// The application's namespace.
        namespace: ArcStr,
        /// When the regime began.
        regime: SimTime,
        /// The process.
        run: RunId,
    },
    /// A request made by hand makes a process end.
    End {
        /// The process.
        run: RunId,
        /// What it writes last.
        lines: Vec<String>,
        /// Its exit code.
        code: i32,
    },
}

/// From where a call is made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A pod.
    Pod {
        /// Namespace.
        namespace: ArcStr,
        /// Name.
        pod: ArcStr,
    },
    /// A node: its kubelet, or a process on its network.
    Node(ArcStr),
    /// The operator's machine, for which ClusterIPs and cluster DNS work as on a node.
    Workstation,
}

impl Origin {
    /// A pod.
    pub fn pod(namespace: &str, pod: &str) -> Self {
        Origin::Pod { namespace: namespace.into(), pod: pod.into() }
    }
}

impl From<&crate::cluster::HttpOrigin> for Origin {
    fn from(origin: &crate::cluster::HttpOrigin) -> Self {
        match origin {
            crate::cluster::HttpOrigin::Workstation => Origin::Workstation,
            crate::cluster::HttpOrigin::Pod { namespace, pod } => Origin::Pod { namespace: namespace.clone(), pod: pod.clone() },
        }
    }
}

/// The transport of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// As `protocol` fields spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Tcp => "TCP",
            Transport::Udp => "UDP",
        }
    }
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A process in a container.
    Process {
        /// Namespace of its pod.
        namespace: ArcStr,
        /// Pod.
        pod: ArcStr,
        /// The container's run.
        run: RunId,
        /// The socket.
        socket: Socket,
    },
    /// The API server.
    ApiServer,
    /// The kubelet of a node.
    Kubelet(ArcStr),
}

/// How far a call gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// A peer accepts the connection.
    Peer(Peer),
    /// Answered by a refusal at once.
    Refused,
    /// No answer at all: the client waits until its own time-out.
    Silence,
    /// The name does not exist.
    NoName,
    /// No name server answers.
    NoResolver,
}

/// One way in which a call can go.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// The IP that the client dials; empty when the name did not resolve.
    pub address: ArcStr,
    /// The port that the client dials.
    pub port: u16,
    /// The address behind it, when a Service stands between: `IP:port`.
    pub endpoint: Option<(ArcStr, u16)>,
    /// How far it gets.
    pub reach: Reach,
    /// What disturbances do to packets on the way there and back.
    pub path: rules::Path,
}

impl Connection {
    fn failed(address: impl Into<ArcStr>, port: u16, reach: Reach) -> Self {
        Connection { address: address.into(), port, endpoint: None, reach, path: rules::Path::default() }
    }

    /// The peer, when one accepts.
    pub fn peer(&self) -> Option<&Peer> {
        match &self.reach {
            Reach::Peer(peer) => Some(peer),
            _ => None,
        }
    }

    /// The run that answers, when a process accepts.
    pub fn run(&self) -> Option<RunId> {
        match &self.reach {
            Reach::Peer(Peer::Process { run, .. }) => Some(*run),
            _ => None,
        }
    }

    /// The text of Go's `net.OpError` for this connection: `dial tcp IP:PORT: connect: connection refused`. `None` when it is accepted.
    pub fn dial_error(&self, host: &str, timed_out: &str) -> Option<String> {
        match (self.not_open()?, timed_out) {
            (NotOpen::TimedOut(address), text) => Some(format!("dial tcp {address}:{}: {text}", self.port)),
            (why, _) => Some(why.dial_error(host, self.port)),
        }
    }

    /// Why it is not accepted, if it is not.
    pub fn not_open(&self) -> Option<NotOpen> {
        match self.reach {
            Reach::Peer(_) => None,
            Reach::Refused => Some(NotOpen::Refused(self.address.clone())),
            Reach::Silence => Some(NotOpen::TimedOut(self.address.clone())),
            Reach::NoName => Some(NotOpen::NoName(dns::SERVER.into())),
            Reach::NoResolver => Some(NotOpen::NoResolver),
        }
    }
}

/// Every way in which a call from `from` to `host:port` can go at this instant, each as likely as the others. Never empty.
pub fn routes(world: &World, from: &Origin, host: &str, port: u16, transport: Transport) -> Vec<Connection> {
    let addresses = match dns::lookup(world, from, host) {
        Ok(addresses) => addresses,
        Err(reach) => return vec![Connection::failed("", port, reach)],
    };
    let mut ways = Vec::with_capacity(addresses.len());
    for address in addresses {
        ways.extend(service::ways(world, from, &address, port, transport));
    }
    if ways.is_empty() {
        ways.push(Connection::failed("", port, Reach::NoName));
    }
    ways
}

/// The connection that a call from `from` to `host:port` gets. `session` picks among equally likely ones: the same session
/// meets the same one as long as nothing changes.
pub fn connect(world: &World, from: &Origin, host: &str, port: u16, transport: Transport, session: u64) -> Connection {
    let mut ways = routes(world, from, host, port, transport);
    let at = match ways.len() {
        1 => 0,
        many => RandomKey::new(world.seed).part("connection").part(host).number(session).stream().below(many as u64) as usize,
    };
    ways.swap_remove(at)
}

/// Time that a packet takes there and back between two pods, without what [`rules`] add.
pub const ROUND_TRIP: Duration = Duration::from_micros(120);

/// A process opens a port. Its sockets close with its run, when [`closed`] is called.
pub fn listen(world: &mut World, run: RunId, socket: Socket) {
    let sockets = world.network.sockets.entry(run).or_default();
    if !sockets.contains(&socket) {
        sockets.push_back(socket);
        review(world);
    }
}

/// The sockets that a run has open.
pub fn sockets(world: &World, run: RunId) -> impl Iterator<Item = &Socket> {
    world.network.sockets.get(&run).into_iter().flatten()
}

/// A run ended, or its process closed what it listened on.
pub fn closed(world: &mut World, run: RunId) {
    world.network.sockets.remove(&run);
    review(world);
}

/// Something changed that calls depend on (sockets, registrations, credentials, rules): connections and traffic are looked at
/// again at this instant, after everything else that is due now.
pub fn review(world: &mut World) {
    world.network.anew = true;
    look_again(world);
}

/// As [`review`], for what can only matter to calls by way of connections.
fn look_again(world: &mut World) {
    world.network.epoch += 1;
    if !world.network.reviewing {
        world.network.reviewing = true;
        world.schedule(world.now, Event::Network(Work::Review));
    }
}

/// Takes note of a change.
pub fn on_change(world: &mut World, change: &Change) {
    if address::on_change(&mut world.network.addresses, change) || matters(change) {
        look_again(world);
    }
}

/// Whether a change of an object can change how a call goes.
fn matters(change: &Change) -> bool {
    let (before, after) = (change.before.as_deref(), change.after.as_deref());
    let differs = |paths: &[&[&str]]| paths.iter().any(|path| before.map(|o| o.at(path)) != after.map(|o| o.at(path)));
    match change.key.kind {
        Kind::SERVICE | Kind::NETWORK_POLICY => differs(&[&["spec"]]),
        Kind::ENDPOINT_SLICE => differs(&[&["endpoints"], &["ports"]]),
        Kind::POD => differs(&[&["metadata", "labels"]]),
        Kind::NAMESPACE => differs(&[&["metadata", "labels"]]),
        _ => false,
    }
}

/// Does a piece of work that is due.
pub fn handle(world: &mut World, work: Work) {
    match work {
        Work::Review => {
            world.network.reviewing = false;
            let moved = balancer::review(world);
            super::programs::on_network_change(world);
            let moved = pool::review(world) || moved;
            let anew = std::mem::take(&mut world.network.anew) || moved;
            super::traffic::reconsider(world, anew);
            super::kubelet::on_network_change(world);
        }
        Work::Dial { .. } => look_again(world),
        Work::End { run, lines, code } => super::programs::crash(world, run, &lines, code),
        Work::Crash { namespace, regime } => super::traffic::crash(world, &namespace, regime),
        Work::Flow { namespace, regime } => super::traffic::flow_on(world, &namespace, regime),
        Work::Pace { namespace, load } => super::traffic::next_pace(world, &namespace, load),
        Work::Exhausted { namespace, regime, run } => super::traffic::exhausted(world, &namespace, regime, run),
    }
}

impl State {
    /// Gives addresses the names of an episode.
    pub(in crate::cluster::sim) fn rename(&mut self, names: &super::rename::Renaming) {
        self.addresses.rename(names);
        super::rename::each(&mut self.followers, |follower| follower.rename(names));
        super::rename::each(&mut self.pools, |held| std::sync::Arc::make_mut(held).iter_mut().for_each(|held| held.rename(names)));
    }
}
