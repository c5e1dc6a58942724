//! Open ports, and which of them a packet to a pod meets.

use super::super::store::Key;
use super::super::world::World;
use super::{Peer, Reach, Transport};
use crate::app::Protocol;
use arcstr::ArcStr;

/// A port that a process listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Port.
    pub port: u16,
    /// TCP or UDP.
    pub transport: Transport,
    /// What is spoken on it.
    pub wire: Wire,
    /// Whether only the pod itself reaches it (bound to 127.0.0.1).
    pub loopback_only: bool,
}

impl Socket {
    /// A TCP socket on all addresses.
    pub fn tcp(port: u16, wire: Wire) -> Self {
        Socket { port, transport: Transport::Tcp, wire, loopback_only: false }
    }
}

/// What is spoken on a socket. A client that speaks something else gets a connection and no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wire {
    /// HTTP/1.1; `tls` when it is HTTPS.
    Http {
        /// HTTPS.
        tls: bool,
    },
    /// gRPC over cleartext HTTP/2.
    Grpc,
    /// MongoDB's wire protocol.
    Mongo {
        /// Whether clients without TLS are refused.
        tls_required: bool,
    },
    /// memcached's text protocol.
    Memcached,
    /// Another protocol, by its name.
    Other(ArcStr),
}

impl Wire {
    /// Whether a client that speaks a protocol, without TLS, gets sense out of it.
    pub fn answers(&self, protocol: Protocol) -> bool {
        match (self, protocol) {
            (_, Protocol::Raw) => true,
            (Wire::Http { tls }, Protocol::Http) | (Wire::Mongo { tls_required: tls }, Protocol::Mongo) => !tls,
            (Wire::Grpc, Protocol::Grpc) | (Wire::Memcached, Protocol::Memcached) => true,
            (Wire::Other(name), Protocol::Thrift) => name == "thrift",
            (Wire::Other(name), Protocol::Redis) => name == "redis",
            (Wire::Other(name), Protocol::Postgres) => name == "postgres",
            (Wire::Other(name), Protocol::Dns) => name == "dns",
            _ => false,
        }
    }
}

/// What a connection to a pod's port meets.
pub(super) fn reach_pod(world: &World, pod: &Key, port: u16, transport: Transport, from_itself: bool) -> Reach {
    let Some(uid) = world.store.uid(pod) else { return Reach::Silence };
    let accepts = |socket: &&Socket| socket.port == port && socket.transport == transport && (from_itself || !socket.loopback_only);
    // Ports tell more processes apart than pods do, and are quicker to compare.
    for (id, sockets) in world.network.sockets.iter().rev() {
        let Some(socket) = sockets.iter().find(accepts) else { continue };
        if world.history.run(*id).is_some_and(|run| run.end.is_none() && run.launch.pod_uid == uid) {
            let (namespace, pod) = (pod.namespace.clone(), pod.name.clone());
            return Reach::Peer(Peer::Process { namespace, pod, run: *id, socket: socket.clone() });
        }
    }
    // UDP has no refusal that clients notice; the ICMP answer is ignored by the ones that matter here (trace agents, resolvers).
    if transport == Transport::Udp { Reach::Silence } else { Reach::Refused }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_sense_out_of_their_own_protocol_only() {
        let check = |wire: Wire, protocol, expect| assert_eq!(wire.answers(protocol), expect, "{wire:?} {protocol:?}");
        check(Wire::Mongo { tls_required: false }, Protocol::Mongo, true);
        check(Wire::Mongo { tls_required: true }, Protocol::Mongo, false);
        check(Wire::Http { tls: true }, Protocol::Http, false);
        check(Wire::Grpc, Protocol::Http, false);
        check(Wire::Other("redis".into()), Protocol::Redis, true);
        check(Wire::Other("redis".into()), Protocol::Postgres, false);
        check(Wire::Memcached, Protocol::Raw, true);
    }
}
