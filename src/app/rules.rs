//! Rules of clients and servers that the simulator's walks and the testbed both follow: how errors read, when connections are tried
//! again, how long clients wait, what a failed call does to its caller.

use super::catalog::Instance;
use super::clients::{Clients, Unconnected};
use super::program::{Handler, OnError, Protocol, StoreCall, Then};
use crate::rng::Stream;
use crate::time::SimTime;
use arcstr::ArcStr;
use std::borrow::Cow;
use std::time::Duration;

/// A client knows no address of the service.
pub const NO_ADDRESS: ArcStr = arcstr::literal!("rpc error: code = Unavailable desc = there is no address available");
/// A client knows addresses and has a connection to none.
pub const NO_CONNECTION: ArcStr = arcstr::literal!("rpc error: code = Unavailable desc = there is no connection available");
/// The connection broke with the call in flight.
pub const CLOSING: ArcStr = arcstr::literal!("rpc error: code = Unavailable desc = transport is closing");
/// The caller's own time was over.
pub const DEADLINE: ArcStr = arcstr::literal!("rpc error: code = DeadlineExceeded desc = context deadline exceeded");
/// The caller's client went away.
pub const CANCELLED: ArcStr = arcstr::literal!("rpc error: code = Canceled desc = context canceled");
/// MongoDB's driver found no server in time.
pub const NO_SERVERS: ArcStr = arcstr::literal!("no reachable servers");

/// The error of a call for an operation that its server does not have.
pub fn unimplemented(operation: &str) -> ArcStr {
    let service = operation.trim_start_matches('/').split('/').next().unwrap_or_default();
    format!("rpc error: code = Unimplemented desc = unknown service {service}").into()
}

/// gRPC's name for how a call ended.
pub fn status_of(error: Option<&str>) -> &str {
    let code = |error| {
        let rest = str::strip_prefix(error, "rpc error: code = ")?;
        rest.split(' ').next()
    };
    error.map_or("OK", |error| code(error).unwrap_or("Unknown"))
}

/// An error of a callee as its caller sees it: gRPC wraps errors that are none of its own.
pub fn across(error: &ArcStr) -> ArcStr {
    if error.starts_with("rpc error:") { error.clone() } else { format!("rpc error: code = Unknown desc = {error}").into() }
}

/// Why a connection cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotOpen {
    /// Nobody listens at this address.
    Refused(ArcStr),
    /// Nothing comes back from this address.
    TimedOut(ArcStr),
    /// The name does not resolve; who was asked.
    NoName(ArcStr),
    /// Nobody answers for names.
    NoResolver,
}

impl NotOpen {
    /// The text of Go's `net.OpError`; `address` is that of `host`.
    pub fn dial_error(&self, host: &str, port: u16) -> String {
        match self {
            NotOpen::Refused(address) => format!("dial tcp {address}:{port}: connect: connection refused"),
            NotOpen::TimedOut(address) => format!("dial tcp {address}:{port}: i/o timeout"),
            NotOpen::NoName(_) | NotOpen::NoResolver => format!("dial tcp: {}", self.lookup_error(host)),
        }
    }

    /// The text of Go's `net.DNSError`.
    pub fn lookup_error(&self, host: &str) -> String {
        match self {
            NotOpen::NoName(server) => format!("lookup {host} on {server}:53: no such host"),
            _ => format!("lookup {host}: i/o timeout"),
        }
    }

    /// The error of a store's client, and after how long it gives up.
    pub fn store_error(&self, protocol: Protocol, host: &str, port: u16) -> (ArcStr, Duration) {
        match (self, protocol) {
            (NotOpen::NoName(_) | NotOpen::NoResolver, Protocol::Memcached) => {
                (arcstr::literal!("memcache: no servers configured or available"), Duration::ZERO)
            }
            (NotOpen::TimedOut(address), Protocol::Memcached) => {
                (format!("memcache: connect timeout to {address}:{port}").into(), patience(protocol))
            }
            (_, Protocol::Mongo) => (NO_SERVERS, Duration::from_secs(10)),
            (NotOpen::TimedOut(_), _) => (self.dial_error(host, port).into(), patience(protocol)),
            _ => (self.dial_error(host, port).into(), Duration::from_micros(300)),
        }
    }
}

/// How long a client of a store waits for an answer before it gives up.
pub fn patience(protocol: Protocol) -> Duration {
    match protocol {
        // The applications set two seconds (`GetMemCTimeout 2`); mgo's own default is a minute.
        Protocol::Memcached => Duration::from_secs(2),
        Protocol::Mongo => Duration::from_secs(60),
        _ => Duration::from_secs(30),
    }
}

/// The error of a dial at start-up that found nobody in time.
pub fn unreachable(protocol: Protocol) -> ArcStr {
    match protocol {
        Protocol::Mongo => NO_SERVERS,
        _ => arcstr::literal!("i/o timeout"),
    }
}

/// Pauses between attempts to open a connection again: 1 s, 1.6 s, 2.56 s … (±20 %, at most 120 s), as grpc-go makes them.
#[derive(Clone, Debug)]
pub struct Pauses(f64);

impl Default for Pauses {
    fn default() -> Self {
        Pauses(1.0)
    }
}

impl Pauses {
    /// The next pause.
    pub fn next(&mut self, stream: &mut Stream) -> Duration {
        let pause = Duration::from_secs_f64(self.0 * stream.range(0.8, 1.2));
        self.0 = (self.0 * 1.6).min(120.0);
        pause
    }
}

/// What a failed call does to its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Its own operation fails with the same error.
    Fail,
    /// It goes on.
    GoOn,
    /// The process ends with this code.
    Exit(i32),
}

/// What a caller does about a failed call; one that got no answer at all (`hung`) leaves it no choice.
pub fn reaction(rule: &OnError, hung: bool) -> Reaction {
    match rule.then {
        Then::Exit(code) if !hung => Reaction::Exit(code),
        Then::Ignore if !hung => Reaction::GoOn,
        _ => Reaction::Fail,
    }
}

impl Handler {
    /// The body of its answer when a step failed with this error.
    pub fn error_text(&self, error: &ArcStr) -> ArcStr {
        let filled = |body: &super::Template| body.fill(&|name| (name == "error").then(|| error.clone())).into();
        self.error_body.as_ref().map_or_else(|| error.clone(), filled)
    }
}

impl Instance {
    /// What the program writes over a failed call: what the rule says, after what the library writes when there was no connection.
    pub fn complaint(&self, (rule, lost): (&OnError, Option<&Unconnected>), now: SimTime, error: &ArcStr, keys: &ArcStr) -> Option<String> {
        let value = |name: &str| match name {
            "error" => Some(error.clone()),
            "keys" => Some(keys.clone()),
            _ => self.named(name).cloned(),
        };
        let own = lost.and(rule.unconnected.as_ref()).or(rule.log.as_ref());
        let lines = [lost.and_then(|lost| lost.line.as_ref()), own];
        lines.into_iter().flatten().map(|line| line.render(now, &value)).reduce(|all, line| format!("{all}\n{line}"))
    }

    /// The path and query of a request as its handlers see them. Lua's read what a form posts; Go's do not.
    pub fn asked<'a>(&self, path: &'a str, body: &[u8]) -> Cow<'a, str> {
        match std::str::from_utf8(body).map(str::trim) {
            Ok(form) if self.program.clients == Clients::Lua && form.contains('=') && !form.starts_with(['{', '[']) => {
                let joint = if path.contains('?') { '&' } else { '?' };
                Cow::Owned(format!("{path}{joint}{form}"))
            }
            _ => Cow::Borrowed(path),
        }
    }

    /// The headers of an answer that says what is wrong.
    pub fn error_headers(&self) -> &'static [(&'static str, &'static str)] {
        match self.program.clients {
            Clients::Lua => &[("Server", "openresty/1.15.8.1rc1"), ("Content-Type", "text/plain")],
            Clients::Go | Clients::Thrift => &[("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff")],
        }
    }

    /// The body of a handler's answer when its steps succeeded, for a request with this path and query.
    pub fn body(&self, handler: &Handler, path: &str) -> String {
        let mut body = handler.reply.body.render(&self.program.documents, &|name| parameter(path, name));
        if matches!(handler.reply.body, super::answer::Body::Text(_)) {
            for (setting, value) in self.program.settings.iter().zip(&self.settings) {
                body = body.replace(&format!("{{{}}}", setting.name), value);
            }
        }
        body
    }

    /// The error of a call to a setting that holds no address.
    pub fn no_address(&self, setting: usize) -> ArcStr {
        format!("dial tcp: address {}: missing port in address", self.setting(setting)).into()
    }
}

/// How many keys a request to a store asks for, of how many; `None` when it asks for none.
pub fn keyspace(call: &StoreCall) -> Option<(u32, u64)> {
    let whole = |x: f64, most: f64| libm::round(x.clamp(1.0, most.max(1.0)));
    call.miss.as_ref().map(|miss| (whole(miss.per_request, miss.keys) as u32, whole(miss.keys, 1e9) as u64))
}

/// The different keys that a request asks for.
pub fn draw_keys(stream: &mut Stream, (wanted, all): (u32, u64)) -> Vec<u64> {
    let count = wanted as usize;
    let mut keys: Vec<u64> = Vec::with_capacity(count);
    while keys.len() < count {
        let key = 1 + stream.below(all.max(u64::from(wanted)));
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

/// Keys as lines quote them.
pub fn quoted_keys(keys: &[u64]) -> ArcStr {
    keys.iter().map(u64::to_string).collect::<Vec<_>>().join(" ").into()
}

/// Path and query.
pub fn split_path(path: &str) -> (&str, &str) {
    let path = path.split('#').next().unwrap_or(path);
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    (if path.is_empty() { "/" } else { path }, query)
}

/// A parameter of a query, decoded; the first of its name counts, as in Go.
pub fn parameter(path: &str, name: &str) -> Option<String> {
    let pairs = split_path(path).1.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(key, value)| (decode(key), decode(value))).find(|(key, _)| key == name).map(|(_, value)| value)
}

fn decode(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    let hex = |b: u8| char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    while let [byte, after @ ..] = rest {
        rest = after;
        match (byte, after) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, left @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high * 16 + low);
                    rest = left;
                }
                _ => bytes.push(b'%'),
            },
            _ => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let check = |path: &str, name: &str, expect: Option<&str>| assert_eq!(parameter(path, name).as_deref(), expect, "{path} {name}");
        check("/hotels?inDate=2015-04-09&lat=38.0", "lat", Some("38.0"));
        check("/hotels?a=%41%zz+b&a=2", "a", Some("A%zz b"));
        check("/hotels?a", "a", Some(""));
        check("/hotels", "a", None);
        check("/x?a=1#b=2", "b", None);
        check("/x?a=%4", "a", Some("%4"));
    }

    #[test]
    fn pauses_grow_to_two_minutes() {
        let mut stream = crate::rng::Key::new(1).stream();
        let mut pauses = Pauses::default();
        let all: Vec<f64> = (0..20).map(|_| pauses.next(&mut stream).as_secs_f64()).collect();
        assert!((0.8..1.2).contains(&all[0]) && (1.28..1.92).contains(&all[1]) && all[19] <= 144.0 && all[19] >= 96.0, "{all:?}");
    }
}
