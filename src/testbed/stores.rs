//! Clients of stores: memcached and Redis by their own protocols, MongoDB over [`Line`]s.
//!
//! A memcached client keeps the address that it resolved at its start and opens its connections again; a session of MongoDB is
//! broken for good when its server ends. Of other stores only the connection is made.

use super::line::{Line, open};
use super::redis::encode;
use super::role::{Role, locked};
use super::serve::{At, Failed, react, rest, steps, together};
use super::start::{access, connect, credentials, log_in};
use crate::app::mongo::AUTHENTICATION_FAILED;
use crate::app::rules::{NotOpen, draw_keys, keyspace, patience, quoted_keys};
use crate::app::{Access, Miss, Outcome, Protocol, StoreCall, Unconnected};
use crate::object;
use crate::telemetry::SpanKind;
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// Connections that a program keeps, by setting.
#[derive(Default)]
pub struct Pools {
    addresses: Mutex<BTreeMap<usize, Vec<IpAddr>>>,
    idle: Mutex<BTreeMap<usize, Vec<BufReader<TcpStream>>>>,
    lines: Mutex<BTreeMap<usize, Arc<Line>>>,
}

/// Asks a store.
pub async fn ask(role: &Arc<Role>, call: &StoreCall, at: At) -> Result<(), Failed> {
    let keys = match (at.key, keyspace(call)) {
        (Some(key), _) => vec![key],
        (None, Some(space)) => role.draw(|stream| draw_keys(stream, space)),
        (None, None) => Vec::new(),
    };
    let span = match (&call.span, at.span) {
        (Some(name), Some(parent)) => Some(role.tracer.open(role, name, SpanKind::Store, Some(parent)).with_tags(&call.tags)),
        _ => None,
    };
    let began = Instant::now();
    let went = match timeout(patience(call.protocol), once(role, call, &keys)).await {
        Ok(went) => went,
        Err(_) => Err(arcstr::literal!("i/o timeout")),
    };
    if went.is_ok() {
        rest(role, call.time, began).await;
    }
    if let Some(span) = span {
        role.tracer.close(span, None);
    }
    match (went, &call.miss) {
        (Err(error), _) => react(role, (&call.on_error, None), &error, &quoted_keys(&keys)),
        (Ok(missing), Some(miss)) if !missing.is_empty() => fetch(role, call, (miss, &missing), at).await,
        (Ok(_), _) => Ok(()),
    }
}

/// Fetches what a cache does not have, all at once, and puts it there.
async fn fetch(role: &Arc<Role>, call: &StoreCall, (miss, missing): (&Miss, &[u64]), at: At) -> Result<(), Failed> {
    together(missing.iter().map(|key| steps(role, &miss.steps, At { key: Some(*key), ..at })).collect()).await?;
    let ttl = miss.ttl.map_or(0, |ttl| ttl.as_secs());
    for key in missing {
        let name = cache_key(role, call, *key);
        let value = format!("{{\"key\":{key}}}");
        let command = match call.protocol {
            Protocol::Redis if ttl > 0 => encode(&["SET", &name, &value, "EX", &ttl.to_string()]),
            Protocol::Redis => encode(&["SET", &name, &value]),
            _ => format!("set {name} 0 {ttl} {}\r\n{value}\r\n", value.len()).into_bytes(),
        };
        // A cache that cannot be written is met again by the next request.
        let _ = exchange(role, call, &command).await;
    }
    Ok(())
}

/// The name of a key in a cache.
fn cache_key(role: &Role, call: &StoreCall, key: u64) -> String {
    format!("{}-{}-{key}", role.instance.program.name, call.span.as_deref().unwrap_or("cache"))
}

/// One request; the keys that a cache does not have.
async fn once(role: &Arc<Role>, call: &StoreCall, keys: &[u64]) -> Result<Vec<u64>, ArcStr> {
    match call.protocol {
        Protocol::Mongo => mongo(role, call, keys).await.map(|()| Vec::new()),
        Protocol::Memcached | Protocol::Redis => {
            let names: Vec<String> = keys.iter().map(|key| cache_key(role, call, *key)).collect();
            let command = match (call.protocol, names.is_empty()) {
                (Protocol::Redis, true) => encode(&["PING"]),
                (Protocol::Redis, false) => encode(&std::iter::once("MGET").chain(names.iter().map(String::as_str)).collect::<Vec<_>>()),
                (_, true) => b"version\r\n".to_vec(),
                (_, false) => format!("get {}\r\n", names.join(" ")).into_bytes(),
            };
            let found = exchange(role, call, &command).await?;
            let is_there = |(at, name): (usize, &String)| match call.protocol {
                Protocol::Redis => found.get(at).is_some_and(|f| !f.is_empty()),
                _ => found.contains(name),
            };
            let missing = names.iter().enumerate().filter(|(at, name)| !is_there((*at, name))).filter_map(|(at, _)| keys.get(at));
            Ok(missing.copied().collect())
        }
        _ => connect(role, call.target, patience(call.protocol)).await.map(|_| Vec::new()).map_err(|why| why_not(role, call, &why)),
    }
}

fn why_not(role: &Role, call: &StoreCall, why: &NotOpen) -> ArcStr {
    let (host, port) = role.instance.address(call.target).unwrap_or(("", 0));
    role.instance.program.clients.store_error(why, call.protocol, host, port).0
}

async fn mongo(role: &Arc<Role>, call: &StoreCall, keys: &[u64]) -> Result<(), ArcStr> {
    let line = session(role, call).await?;
    let (database, collection) = call.collection.as_ref().map_or(("", ""), |(d, c)| (d.as_str(), c.as_str()));
    let verb = if call.needs == Access::Read { "find" } else { "insert" };
    let quoted = format!("{{ {verb}: \"{collection}\", $db: \"{database}\" }}");
    match access(&line, call.credentials.as_ref(), (database, call.needs), &quoted).await {
        Outcome::Done => {}
        Outcome::Denied(error) | Outcome::Unreachable(error) => return Err(error),
        Outcome::Lost => return Err(arcstr::literal!("EOF")),
    }
    if call.needs == Access::Read {
        let key = keys.first().map(u64::to_string).unwrap_or_default();
        let command = object! { "find" => collection, "filter" => object! { "hotelId" => key }, "limit" => 1 };
        let asked = object! { "mongo" => "command", "db" => database, "command" => command };
        line.ask(asked).await.map_err(|_| arcstr::literal!("EOF"))?;
    }
    Ok(())
}

/// The session with a server: that of the start-up, for good, or one that is opened when it is first needed.
async fn session(role: &Arc<Role>, call: &StoreCall) -> Result<Arc<Line>, ArcStr> {
    let clients = role.instance.program.clients;
    let kept = locked(&role.sessions).get(&call.target).cloned();
    if let Some(line) = kept {
        match line.is_closed() {
            false => return Ok(line),
            true if clients.stays_broken(call.protocol) => return Err(arcstr::literal!("EOF")),
            true => {}
        }
    }
    let (host, port) = role.instance.address(call.target).unwrap_or(("", 0));
    let stream = connect(role, call.target, Duration::from_secs(10)).await.map_err(|why| why_not(role, call, &why))?;
    let line = Line::over(stream);
    let who = call.credentials.clone().or_else(|| credentials(role, call.target));
    match log_in(&line, who.as_ref()).await {
        Some(true) => {
            locked(&role.sessions).insert(call.target, line.clone());
            Ok(line)
        }
        Some(false) => Err(AUTHENTICATION_FAILED),
        None => Err(clients.unspoken(host, port).0),
    }
}

/// A connection for calls to the program at a setting's address.
pub async fn line(role: &Arc<Role>, setting: usize) -> Result<Arc<Line>, Unconnected> {
    let kept = locked(&role.pools.lines).get(&setting).filter(|line| !line.is_closed()).cloned();
    if let Some(line) = kept {
        return Ok(line);
    }
    let Some((host, port)) = role.instance.address(setting) else {
        return Err(Unconnected { error: role.instance.no_address(setting), line: None });
    };
    let clients = role.instance.program.clients;
    let stream = connect(role, setting, Duration::from_secs(20)).await.map_err(|why| clients.unconnected(&why, host, port))?;
    let line = Line::over(stream);
    locked(&role.pools.lines).insert(setting, line.clone());
    Ok(line)
}

/// Sends a command to a cache on one of its connections and reads the answer: the names of memcached's values, Redis' values.
async fn exchange(role: &Arc<Role>, call: &StoreCall, command: &[u8]) -> Result<Vec<String>, ArcStr> {
    let kept = locked(&role.pools.idle).entry(call.target).or_default().pop();
    if let Some(mut stream) = kept
        && let Ok(found) = converse(&mut stream, call.protocol, command).await
    {
        give_back(role, call, stream);
        return Ok(found);
    }
    let mut stream = BufReader::new(open_cache(role, call).await.map_err(|why| why_not(role, call, &why))?);
    let found = converse(&mut stream, call.protocol, command).await.map_err(|_| arcstr::literal!("EOF"))?;
    give_back(role, call, stream);
    Ok(found)
}

fn give_back(role: &Role, call: &StoreCall, stream: BufReader<TcpStream>) {
    let mut idle = locked(&role.pools.idle);
    let kept = idle.entry(call.target).or_default();
    // As many as the Go client keeps.
    if kept.len() < 512 {
        kept.push(stream);
    }
}

async fn open_cache(role: &Arc<Role>, call: &StoreCall) -> Result<TcpStream, NotOpen> {
    let (host, port) = role.instance.address(call.target).unwrap_or(("", 0));
    let known = locked(&role.pools.addresses).get(&call.target).cloned();
    let addresses = match known {
        Some(addresses) => addresses,
        None => {
            let found = role.place.names.lookup(host).await?;
            locked(&role.pools.addresses).insert(call.target, found.clone());
            found
        }
    };
    open(&addresses, port, patience(call.protocol)).await
}

async fn converse(stream: &mut BufReader<TcpStream>, protocol: Protocol, command: &[u8]) -> io::Result<Vec<String>> {
    stream.get_mut().write_all(command).await?;
    let mut found = Vec::new();
    if protocol == Protocol::Redis {
        return super::redis::values(stream).await;
    }
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["VALUE", name, _, length, ..] => {
                let length: usize = length.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
                let mut value = vec![0; length.min(1 << 20) + 2];
                stream.read_exact(&mut value).await?;
                found.push((*name).to_owned());
            }
            ["END" | "STORED" | "NOT_STORED" | "VERSION", ..] => return Ok(found),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}
