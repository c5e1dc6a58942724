//! Redis' part: strings, lists, hashes and sets in memory over its own protocol (RESP 2), and the client that `redis-cli` is.
//!
//! One database; no persistence, scripts, streams, publish and subscribe. Commands that are not there are refused as Redis does.

use super::place::now;
use super::role::{Role, locked};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// The largest text.
const MOST: usize = 16 << 20;

/// What a key stands for.
#[derive(Clone, Debug)]
enum Value {
    Text(String),
    List(VecDeque<String>),
    Hash(BTreeMap<String, String>),
    Set(BTreeSet<String>),
}

/// What a server keeps: values and when they expire, in milliseconds since the epoch.
#[derive(Debug, Default)]
pub struct Keys {
    values: BTreeMap<String, (Value, Option<u64>)>,
    commands: u64,
}

/// What a server holds while it runs.
pub type State = Mutex<Keys>;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+OK`.
    Simple(String),
    /// `-ERR …`.
    Error(String),
    /// `:1`.
    Int(i64),
    /// A text, or nothing.
    Bulk(Option<String>),
    /// Several.
    Array(Vec<Reply>),
}

impl Reply {
    fn ok() -> Reply {
        Reply::Simple("OK".to_owned())
    }

    fn texts(all: impl IntoIterator<Item = String>) -> Reply {
        Reply::Array(all.into_iter().map(|t| Reply::Bulk(Some(t))).collect())
    }

    /// The bytes on the wire.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Reply::Simple(text) => out.extend_from_slice(format!("+{text}\r\n").as_bytes()),
            Reply::Error(text) => out.extend_from_slice(format!("-{text}\r\n").as_bytes()),
            Reply::Int(number) => out.extend_from_slice(format!(":{number}\r\n").as_bytes()),
            Reply::Bulk(None) => out.extend_from_slice(b"$-1\r\n"),
            Reply::Bulk(Some(text)) => out.extend_from_slice(format!("${}\r\n{text}\r\n", text.len()).as_bytes()),
            Reply::Array(all) => {
                out.extend_from_slice(format!("*{}\r\n", all.len()).as_bytes());
                all.iter().for_each(|reply| reply.encode(out));
            }
        }
    }

    /// As `redis-cli` shows it to a person.
    pub fn shown(&self, indent: &str) -> String {
        match self {
            Reply::Simple(text) => text.clone(),
            Reply::Error(text) => format!("(error) {text}"),
            Reply::Int(number) => format!("(integer) {number}"),
            Reply::Bulk(None) => "(nil)".to_owned(),
            Reply::Bulk(Some(text)) => format!("{text:?}"),
            Reply::Array(all) if all.is_empty() => "(empty array)".to_owned(),
            Reply::Array(all) => {
                let width = all.len().to_string().len();
                let item = |(at, reply): (usize, &Reply)| {
                    let lead = if at == 0 { "" } else { indent };
                    format!("{lead}{:width$}) {}", at + 1, reply.shown(&format!("{indent}{}", " ".repeat(width + 2))))
                };
                all.iter().enumerate().map(item).collect::<Vec<_>>().join("\n")
            }
        }
    }

    /// As `redis-cli` writes it to a file or pipe.
    pub fn raw(&self) -> String {
        match self {
            Reply::Simple(text) | Reply::Error(text) | Reply::Bulk(Some(text)) => text.clone(),
            Reply::Int(number) => number.to_string(),
            Reply::Bulk(None) => String::new(),
            Reply::Array(all) => all.iter().map(Reply::raw).collect::<Vec<_>>().join("\n"),
        }
    }
}

/// A command as a client sends it.
pub fn encode(words: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    Reply::texts(words.iter().map(|w| (*w).to_owned())).encode(&mut out);
    out
}

type Reading<'a, T> = std::pin::Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// Reads an answer.
///
/// # Errors
/// When the connection ends or what comes is none.
pub fn read_reply<'a, R: AsyncBufRead + Unpin + Send>(stream: &'a mut R, depth: usize) -> Reading<'a, Reply> {
    Box::pin(async move {
        let wrong = || io::Error::from(io::ErrorKind::InvalidData);
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (sign, rest) = line.trim_end().split_at_checked(1).ok_or_else(wrong)?;
        let count = || rest.parse::<i64>().map_err(|_| wrong());
        Ok(match sign {
            "+" => Reply::Simple(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Int(count()?),
            "$" => match usize::try_from(count()?) {
                Err(_) => Reply::Bulk(None),
                Ok(length) if length > MOST => return Err(wrong()),
                Ok(length) => {
                    let mut text = vec![0; length + 2];
                    stream.read_exact(&mut text).await?;
                    text.truncate(length);
                    Reply::Bulk(Some(String::from_utf8_lossy(&text).into_owned()))
                }
            },
            "*" if depth < 8 => {
                let mut all = Vec::new();
                for _ in 0..count()?.clamp(0, 1 << 20) {
                    all.push(read_reply(stream, depth + 1).await?);
                }
                Reply::Array(all)
            }
            // A command typed by hand.
            _ if depth == 0 => Reply::texts(line.split_whitespace().map(str::to_owned)),
            _ => return Err(wrong()),
        })
    })
}

/// The texts of an answer; what is not there is empty.
///
/// # Errors
/// When the connection ends, or the server refuses.
pub async fn values(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<String>> {
    match read_reply(stream, 0).await? {
        Reply::Error(text) => Err(io::Error::other(text)),
        Reply::Array(all) => Ok(all.iter().map(Reply::raw).collect()),
        one => Ok(vec![one.raw()]),
    }
}

impl Keys {
    fn get(&mut self, key: &str, at: u64) -> Option<&mut Value> {
        if self.values.get(key).is_some_and(|(_, expires)| expires.is_some_and(|e| e <= at)) {
            self.values.remove(key);
        }
        self.values.get_mut(key).map(|(value, _)| value)
    }

    fn put(&mut self, key: &str, value: Value) {
        self.values.insert(key.to_owned(), (value, None));
    }

    /// Answers a command.
    fn answer(&mut self, words: &[&str], at: u64) -> Reply {
        self.commands += 1;
        let Some((verb, args)) = words.split_first() else { return Reply::Error("ERR unknown command".to_owned()) };
        let verb = verb.to_ascii_lowercase();
        let found = self.server(&verb, args, at).or_else(|| self.texts(&verb, args, at)).or_else(|| self.collections(&verb, args, at));
        found.unwrap_or_else(|| {
            let shown: Vec<String> = args.iter().map(|a| format!("'{a}'")).collect();
            Reply::Error(format!("ERR unknown command '{verb}', with args beginning with: {}", shown.join(" ")))
        })
    }

    fn server(&mut self, verb: &str, args: &[&str], at: u64) -> Option<Reply> {
        Some(match (verb, args) {
            ("ping", []) => Reply::Simple("PONG".to_owned()),
            ("ping" | "echo", [text]) => Reply::Bulk(Some((*text).to_owned())),
            ("select" | "auth" | "client" | "config", _)
                if verb != "config" || args.first().is_some_and(|a| a.eq_ignore_ascii_case("set")) =>
            {
                Reply::ok()
            }
            ("config", ["GET" | "get", name]) => Reply::texts([(*name).to_owned(), String::new()]),
            ("command", _) => Reply::Array(Vec::new()),
            ("dbsize", []) => Reply::Int(self.values.len() as i64),
            ("flushall" | "flushdb", _) => {
                self.values.clear();
                Reply::ok()
            }
            ("role", []) => Reply::Array(vec![Reply::Bulk(Some("master".to_owned())), Reply::Int(0), Reply::Array(Vec::new())]),
            ("keys", [pattern]) => {
                let plain = pattern.trim_end_matches('*');
                let fits = |k: &&String| if pattern.ends_with('*') { k.starts_with(plain) } else { *k == pattern };
                Reply::texts(self.values.keys().filter(fits).cloned().collect::<Vec<_>>())
            }
            ("del" | "unlink", keys) => Reply::Int(keys.iter().filter(|k| self.values.remove(**k).is_some()).count() as i64),
            ("exists", keys) => Reply::Int(keys.iter().filter(|k| self.get(k, at).is_some()).count() as i64),
            ("type", [key]) => Reply::Simple(self.get(key, at).map_or("none", |v| v.kind()).to_owned()),
            ("ttl", [key]) => match self.values.get(*key) {
                None => Reply::Int(-2),
                Some((_, None)) => Reply::Int(-1),
                Some((_, Some(expires))) => Reply::Int((expires.saturating_sub(at) / 1000) as i64),
            },
            ("expire", [key, seconds]) => match (self.values.get_mut(*key), seconds.parse::<u64>()) {
                (Some(held), Ok(seconds)) => {
                    held.1 = Some(at + seconds * 1000);
                    Reply::Int(1)
                }
                _ => Reply::Int(0),
            },
            ("info", _) => {
                let keys = self.values.len();
                let keyspace = if keys == 0 { String::new() } else { format!("db0:keys={keys},expires=0,avg_ttl=0\r\n") };
                let stats = format!("# Stats\r\ntotal_commands_processed:{}\r\n\r\n", self.commands);
                let server = "# Server\r\nredis_version:7.4.1\r\nredis_mode:standalone\r\nprocess_id:1\r\ntcp_port:6379\r\n\r\n";
                Reply::Bulk(Some(format!("{server}{stats}# Keyspace\r\n{keyspace}")))
            }
            _ => return None,
        })
    }

    fn texts(&mut self, verb: &str, args: &[&str], at: u64) -> Option<Reply> {
        Some(match (verb, args) {
            ("get", [key]) => match self.get(key, at) {
                None => Reply::Bulk(None),
                Some(Value::Text(text)) => Reply::Bulk(Some(text.clone())),
                Some(_) => wrong_kind(),
            },
            ("mget", keys) => Reply::Array(
                keys.iter()
                    .map(|key| match self.get(key, at) {
                        Some(Value::Text(text)) => Reply::Bulk(Some(text.clone())),
                        _ => Reply::Bulk(None),
                    })
                    .collect(),
            ),
            ("set", [key, value, options @ ..]) => {
                let lower: Vec<String> = options.iter().map(|o| o.to_ascii_lowercase()).collect();
                let there = self.get(key, at).is_some();
                if (lower.iter().any(|o| o == "nx") && there) || (lower.iter().any(|o| o == "xx") && !there) {
                    return Some(Reply::Bulk(None));
                }
                let after = |name: &str, unit: u64| {
                    let place = lower.iter().position(|o| o == name)?;
                    Some(at + lower.get(place + 1)?.parse::<u64>().ok()? * unit)
                };
                let expires = after("ex", 1000).or_else(|| after("px", 1));
                self.values.insert((*key).to_owned(), (Value::Text((*value).to_owned()), expires));
                Reply::ok()
            }
            ("setex", [key, seconds, value]) => {
                let expires = seconds.parse::<u64>().ok().map(|s| at + s * 1000);
                self.values.insert((*key).to_owned(), (Value::Text((*value).to_owned()), expires));
                Reply::ok()
            }
            ("incr" | "decr", [key]) => self.step(key, if verb == "incr" { 1 } else { -1 }, at),
            ("incrby", [key, by]) => self.step(key, by.parse().unwrap_or(0), at),
            ("append", [key, more]) => {
                let mut text = match self.get(key, at) {
                    Some(Value::Text(text)) => text.clone(),
                    None => String::new(),
                    Some(_) => return Some(wrong_kind()),
                };
                text.push_str(more);
                let length = text.len() as i64;
                self.put(key, Value::Text(text));
                Reply::Int(length)
            }
            _ => return None,
        })
    }

    fn step(&mut self, key: &str, by: i64, at: u64) -> Reply {
        let number = match self.get(key, at) {
            None => Some(0),
            Some(Value::Text(text)) => text.parse::<i64>().ok(),
            Some(_) => return wrong_kind(),
        };
        match number.and_then(|n| n.checked_add(by)) {
            None => Reply::Error("ERR value is not an integer or out of range".to_owned()),
            Some(next) => {
                self.put(key, Value::Text(next.to_string()));
                Reply::Int(next)
            }
        }
    }

    fn collections(&mut self, verb: &str, args: &[&str], at: u64) -> Option<Reply> {
        let (key, rest) = args.split_first()?;
        let empty = match verb {
            "lpush" | "rpush" | "lrange" | "llen" | "lpop" | "rpop" => Value::List(VecDeque::new()),
            "hset" | "hget" | "hgetall" | "hdel" | "hlen" => Value::Hash(BTreeMap::new()),
            "sadd" | "smembers" | "srem" | "scard" | "sismember" => Value::Set(BTreeSet::new()),
            _ => return None,
        };
        if self.get(key, at).is_none() {
            self.put(key, empty.clone());
        }
        let value = self.get(key, at)?;
        if value.kind() != empty.kind() {
            return Some(wrong_kind());
        }
        let reply = value.apply(verb, rest);
        if value.is_empty() {
            self.values.remove(*key);
        }
        Some(reply)
    }
}

fn wrong_kind() -> Reply {
    Reply::Error("WRONGTYPE Operation against a key holding the wrong kind of value".to_owned())
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "string",
            Value::List(_) => "list",
            Value::Hash(_) => "hash",
            Value::Set(_) => "set",
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Value::Text(_) => false,
            Value::List(all) => all.is_empty(),
            Value::Hash(all) => all.is_empty(),
            Value::Set(all) => all.is_empty(),
        }
    }

    fn apply(&mut self, verb: &str, args: &[&str]) -> Reply {
        let owned = |t: &&str| (*t).to_owned();
        match (self, verb, args) {
            (Value::List(all), "lpush", more) => {
                more.iter().for_each(|t| all.push_front(owned(t)));
                Reply::Int(all.len() as i64)
            }
            (Value::List(all), "rpush", more) => {
                all.extend(more.iter().map(owned));
                Reply::Int(all.len() as i64)
            }
            (Value::List(all), "lpop", []) => Reply::Bulk(all.pop_front()),
            (Value::List(all), "rpop", []) => Reply::Bulk(all.pop_back()),
            (Value::List(all), "llen", []) => Reply::Int(all.len() as i64),
            (Value::List(all), "lrange", [from, to]) => {
                let place = |text: &str| text.parse::<i64>().map_or(0, |n| if n < 0 { n + all.len() as i64 } else { n });
                let (from, to) = (place(from).max(0), place(to));
                let chosen = all.iter().enumerate().filter(|(at, _)| (from..=to).contains(&(*at as i64)));
                Reply::texts(chosen.map(|(_, t)| t.clone()).collect::<Vec<_>>())
            }
            (Value::Hash(all), "hset", pairs) => {
                let fresh = pairs.chunks_exact(2).filter(|p| all.insert(p[0].to_owned(), p[1].to_owned()).is_none()).count();
                Reply::Int(fresh as i64)
            }
            (Value::Hash(all), "hget", [field]) => Reply::Bulk(all.get(*field).cloned()),
            (Value::Hash(all), "hlen", []) => Reply::Int(all.len() as i64),
            (Value::Hash(all), "hdel", fields) => Reply::Int(fields.iter().filter(|f| all.remove(**f).is_some()).count() as i64),
            (Value::Hash(all), "hgetall", []) => Reply::texts(all.iter().flat_map(|(k, v)| [k.clone(), v.clone()]).collect::<Vec<_>>()),
            (Value::Set(all), "sadd", more) => Reply::Int(more.iter().filter(|t| all.insert(owned(t))).count() as i64),
            (Value::Set(all), "srem", more) => Reply::Int(more.iter().filter(|t| all.remove(**t)).count() as i64),
            (Value::Set(all), "scard", []) => Reply::Int(all.len() as i64),
            (Value::Set(all), "sismember", [one]) => Reply::Int(i64::from(all.contains(*one))),
            (Value::Set(all), "smembers", []) => Reply::texts(all.iter().cloned().collect::<Vec<_>>()),
            _ => Reply::Error(format!("ERR wrong number of arguments for '{verb}' command")),
        }
    }
}

/// Serves a client.
pub async fn serve(role: &Arc<Role>, stream: TcpStream) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    while let Ok(command) = read_reply(&mut reader, 0).await {
        let Reply::Array(words) = command else { return };
        let words: Vec<String> = words.iter().map(Reply::raw).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if words.is_empty() {
            continue;
        }
        let quits = words.first().is_some_and(|w| w.eq_ignore_ascii_case("quit"));
        let reply = if quits { Reply::ok() } else { locked(&role.state.redis).answer(&words, now().as_nanos() / 1_000_000) };
        let mut bytes = Vec::new();
        reply.encode(&mut bytes);
        if writer.write_all(&bytes).await.is_err() || quits {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_how_they_are_shown() {
        let mut keys = Keys::default();
        let mut check = |line: &str, at: u64, expect: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(keys.answer(&words, at).shown(""), expect, "{line}");
        };
        check("PING", 0, "PONG");
        check("set a 1 EX 2", 0, "OK");
        check("incr a", 1, "(integer) 2");
        check("get a", 1, "\"2\"");
        check("lpush l x y", 1, "(integer) 2");
        check("lrange l 0 -1", 1, "1) \"y\"\n2) \"x\"");
        check("get l", 1, "(error) WRONGTYPE Operation against a key holding the wrong kind of value");
        check("rpop l", 1, "\"x\"");
        check("lpop l", 1, "\"y\"");
        check("exists l", 1, "(integer) 0");
        check("hset h f v g w", 1, "(integer) 2");
        check("hgetall h", 1, "1) \"f\"\n2) \"v\"\n3) \"g\"\n4) \"w\"");
        check("keys h*", 1, "1) \"h\"");
        check("set b 1 NX", 1, "OK");
        check("set b 2 NX", 1, "(nil)");
        check("smembers none", 1, "(empty array)");
        check("what is it", 1, "(error) ERR unknown command 'what', with args beginning with: 'is' 'it'");
        assert_eq!(encode(&["GET", "a"]), b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
    }
}
