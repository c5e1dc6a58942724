//! The client libraries that a program uses: how failures of its calls and of its requests to stores read, and what the libraries do about them.

use super::program::Protocol;
use super::rules::{self, NotOpen, patience};
use super::template::{LogFormat, LogLine};
use arcstr::{ArcStr, literal};
use std::time::Duration;

/// Client libraries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clients {
    /// Go: grpc-go, mgo, gomemcache.
    #[default]
    Go,
    /// C++: Thrift behind a pool of connections, mongoc, libmemcached, redis-plus-plus.
    Thrift,
    /// Lua in nginx: Thrift, whose errors nginx writes to its own log.
    Lua,
}

/// How long mongoc looks for a server (`serverSelectionTimeoutMS`).
const SELECTION: Duration = Duration::from_secs(30);

/// What a caller notices of a callee that it could not connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unconnected {
    /// The error.
    pub error: ArcStr,
    /// What the library writes by itself.
    pub line: Option<LogLine>,
}

impl Clients {
    /// An error of a callee as its caller sees it. gRPC wraps errors that are none of its own; an exception that a Thrift service declares arrives as it is.
    pub fn across(self, error: &ArcStr) -> ArcStr {
        match self {
            Clients::Go => rules::across(error),
            Clients::Thrift | Clients::Lua => error.clone(),
        }
    }

    /// The caller's own time was over.
    pub fn deadline(self) -> ArcStr {
        match self {
            Clients::Go => rules::DEADLINE,
            Clients::Thrift => literal!("THRIFT_EAGAIN (timed out)"),
            Clients::Lua => literal!("TSocket: timeout"),
        }
    }

    /// The connection broke with the call in flight.
    pub fn closing(self) -> ArcStr {
        match self {
            Clients::Go => rules::CLOSING,
            Clients::Thrift => literal!("No more data to read."),
            Clients::Lua => literal!("TSocket: closed"),
        }
    }

    /// The server has no such operation.
    pub fn unimplemented(self, operation: &str) -> ArcStr {
        match self {
            Clients::Go => rules::unimplemented(operation),
            Clients::Thrift | Clients::Lua => format!("Invalid method name: '{operation}'").into(),
        }
    }

    /// No connection to a callee at an address.
    pub fn unconnected(self, why: &NotOpen, host: &str, port: u16) -> Unconnected {
        let what = match why {
            NotOpen::Refused(_) => "Connection refused",
            NotOpen::TimedOut(_) => "timed out",
            NotOpen::NoName(_) | NotOpen::NoResolver => "Name or service not known",
        };
        match self {
            Clients::Go => Unconnected { error: why.dial_error(host, port).into(), line: None },
            Clients::Thrift => {
                let step = match why {
                    NotOpen::NoName(_) | NotOpen::NoResolver => "getaddrinfo()",
                    _ => "connect()",
                };
                let text = format!(
                    "Thrift: {{time_c}} TSocket::open() {step} <Host: {host} Port: {port}>: {what}\n[{{time_boost}}] <error>: (ClientPool.h:114:Pop) Failed to connect {host}-client"
                );
                let line = LogLine::new(LogFormat::Plain, &text);
                Unconnected { error: format!("Failed to connect to {host}").into(), line: Some(line) }
            }
            Clients::Lua => {
                let what = match why {
                    NotOpen::NoName(_) | NotOpen::NoResolver => format!("{host} could not be resolved (3: Host not found)"),
                    _ => what.to_lowercase(),
                };
                Unconnected { error: format!("TSocket: Could not connect to {host}:{port} ({what})").into(), line: None }
            }
        }
    }

    /// The error of a store's client that has no connection, and after how long it gives up.
    pub fn store_error(self, why: &NotOpen, protocol: Protocol, host: &str, port: u16) -> (ArcStr, Duration) {
        let soon = Duration::from_micros(300);
        match (self, protocol, why) {
            (Clients::Go, ..) => why.store_error(protocol, host, port),
            (_, Protocol::Mongo, _) => (no_suitable_servers(Some(why), host, port), SELECTION),
            (_, Protocol::Memcached, NotOpen::NoName(_) | NotOpen::NoResolver) => (literal!("HOSTNAME LOOKUP FAILURE"), soon),
            (_, Protocol::Memcached, NotOpen::TimedOut(_)) => (literal!("A TIMEOUT OCCURRED"), patience(protocol)),
            (_, Protocol::Memcached, NotOpen::Refused(_)) => (literal!("CONNECTION FAILURE"), soon),
            (_, _, NotOpen::TimedOut(_)) => (literal!("Failed to connect to Redis: Connection timed out"), patience(protocol)),
            (_, _, NotOpen::Refused(_)) => (literal!("Failed to connect to Redis: Connection refused"), soon),
            (..) => (format!("Failed to connect to Redis: {host}: Name or service not known").into(), soon),
        }
    }

    /// The error of MongoDB's driver when a server that listens does not speak with it, and after how long it gives up.
    pub fn unspoken(self, host: &str, port: u16) -> (ArcStr, Duration) {
        match self {
            Clients::Go => (rules::NO_SERVERS, Duration::from_secs(10)),
            Clients::Thrift | Clients::Lua => (no_suitable_servers(None, host, port), SELECTION),
        }
    }

    /// The error of a dial at start-up that found nobody in time; `why` is `None` when somebody listens and does not speak with it.
    pub fn unreachable(self, protocol: Protocol, why: Option<&NotOpen>, host: &str, port: u16) -> ArcStr {
        match (self, protocol) {
            (Clients::Go, _) => rules::unreachable(protocol),
            (_, Protocol::Mongo) => no_suitable_servers(why, host, port),
            (..) => literal!("Connection timed out"),
        }
    }

    /// Whether a connection to such a store stays broken once its server has ended: a session of mgo does.
    pub fn stays_broken(self, protocol: Protocol) -> bool {
        self == Clients::Go && protocol == Protocol::Mongo
    }
}

fn no_suitable_servers(why: Option<&NotOpen>, host: &str, port: u16) -> ArcStr {
    let reason = match why {
        None => format!("connection closed calling ismaster on '{host}:{port}'"),
        Some(NotOpen::Refused(_)) => format!("connection refused calling ismaster on '{host}:{port}'"),
        Some(NotOpen::TimedOut(_)) => format!("connection timeout calling ismaster on '{host}:{port}'"),
        Some(NotOpen::NoName(_) | NotOpen::NoResolver) => format!("Failed to resolve '{host}'"),
    };
    format!("No suitable servers found: `serverSelectionTimeoutMS` expired: [{reason}]").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SimTime;

    #[test]
    fn every_library_words_a_refused_connection_in_its_way() {
        let refused = NotOpen::Refused("10.96.1.2".into());
        let check = |clients: Clients, why: &NotOpen, error: &str, line: &str| {
            let found = clients.unconnected(why, "user-service", 9090);
            let written = found.line.map(|line| line.render(SimTime::ZERO, &|_| None)).unwrap_or_default();
            assert_eq!((found.error.as_str(), written.as_str()), (error, line), "{clients:?}");
        };
        check(Clients::Go, &refused, "dial tcp 10.96.1.2:9090: connect: connection refused", "");
        check(Clients::Lua, &refused, "TSocket: Could not connect to user-service:9090 (connection refused)", "");
        check(
            Clients::Thrift,
            &refused,
            "Failed to connect to user-service",
            "Thrift: Thu Jan  1 00:00:00 1970 TSocket::open() connect() <Host: user-service Port: 9090>: Connection refused\n[1970-Jan-01 00:00:00.000000] <error>: (ClientPool.h:114:Pop) Failed to connect user-service-client",
        );
    }

    #[test]
    fn stores_fail_in_the_words_of_their_drivers() {
        let refused = NotOpen::Refused("10.96.1.2".into());
        let no_name = NotOpen::NoName("10.96.0.10".into());
        let check = |protocol, why: &NotOpen, expect: &str| assert_eq!(Clients::Thrift.store_error(why, protocol, "user-db", 1).0, expect);
        check(
            Protocol::Mongo,
            &refused,
            "No suitable servers found: `serverSelectionTimeoutMS` expired: [connection refused calling ismaster on 'user-db:1']",
        );
        check(Protocol::Mongo, &no_name, "No suitable servers found: `serverSelectionTimeoutMS` expired: [Failed to resolve 'user-db']");
        check(Protocol::Memcached, &refused, "CONNECTION FAILURE");
        check(Protocol::Redis, &refused, "Failed to connect to Redis: Connection refused");
        check(Protocol::Redis, &no_name, "Failed to connect to Redis: user-db: Name or service not known");
        assert_eq!(Clients::Go.store_error(&refused, Protocol::Mongo, "user-db", 1).0, "no reachable servers");
    }
}
