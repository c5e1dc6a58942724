//! memcached's part: its text protocol over keys in memory.
//!
//! Values of up to 1 MiB, expiry, `gets`/`cas`, arithmetic, `stats`. The binary and the meta protocol are not there.

use super::place::now;
use super::role::{Role, locked};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// The largest value.
const VALUE_MOST: usize = 1 << 20;

/// Everything a server keeps, in bytes; the oldest goes first.
const HELD_MOST: usize = 64 << 20;

#[derive(Clone, Debug, Default)]
struct Item {
    flags: u32,
    /// In seconds since the epoch; zero for never.
    expires: u64,
    cas: u64,
    value: Vec<u8>,
}

/// What a server keeps.
#[derive(Debug, Default)]
pub struct Cache {
    items: BTreeMap<String, Item>,
    order: BTreeMap<u64, String>,
    held: usize,
    cas: u64,
    counts: BTreeMap<&'static str, u64>,
}

/// What a server holds while it runs.
pub type State = Mutex<Cache>;

/// A command with the block of data that follows some.
struct Asked<'a> {
    words: Vec<&'a str>,
    block: Vec<u8>,
}

impl Cache {
    fn get(&mut self, key: &str, at: u64) -> Option<&Item> {
        let gone = self.items.get(key).is_some_and(|i| i.expires != 0 && i.expires <= at);
        if gone {
            self.remove(key);
        }
        self.items.get(key)
    }

    fn remove(&mut self, key: &str) -> Option<Item> {
        let item = self.items.remove(key)?;
        self.order.remove(&item.cas);
        self.held -= key.len() + item.value.len();
        Some(item)
    }

    fn set(&mut self, key: &str, mut item: Item) {
        self.remove(key);
        self.cas += 1;
        item.cas = self.cas;
        self.held += key.len() + item.value.len();
        self.order.insert(self.cas, key.to_owned());
        self.items.insert(key.to_owned(), item);
        while self.held > HELD_MOST {
            let Some((_, oldest)) = self.order.pop_first() else { return };
            self.remove(&oldest);
            self.count("evictions");
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Answers a command; `None` ends the connection.
    fn answer(&mut self, asked: &Asked<'_>, at: u64) -> Option<Vec<u8>> {
        let text = |text: &str| Some(format!("{text}\r\n").into_bytes());
        match asked.words.as_slice() {
            [verb @ ("get" | "gets"), keys @ ..] if !keys.is_empty() => Some(self.find(keys, *verb == "gets", at)),
            [verb @ ("set" | "add" | "replace" | "append" | "prepend" | "cas"), key, flags, ttl, _, rest @ ..] => {
                let answer = self.store(verb, (key, flags, ttl, rest), &asked.block, at);
                if rest.contains(&"noreply") { Some(Vec::new()) } else { text(answer) }
            }
            ["delete", key, ..] => text(if self.remove(key).is_some() { "DELETED" } else { "NOT_FOUND" }),
            [verb @ ("incr" | "decr"), key, by, ..] => text(&self.step(key, by, *verb == "incr", at)),
            ["touch", key, ttl, ..] => {
                let expires = deadline(ttl, at);
                match self.items.get_mut(*key) {
                    Some(item) => {
                        item.expires = expires;
                        text("TOUCHED")
                    }
                    None => text("NOT_FOUND"),
                }
            }
            ["flush_all", ..] => {
                (self.items, self.order, self.held) = Default::default();
                self.count("cmd_flush");
                text("OK")
            }
            ["version"] => text("VERSION 1.6.39"),
            ["verbosity", ..] => text("OK"),
            ["quit"] => None,
            _ => text("ERROR"),
        }
    }

    fn find(&mut self, keys: &[&str], with_cas: bool, at: u64) -> Vec<u8> {
        let mut out = Vec::new();
        for key in keys {
            self.count("cmd_get");
            let found = self.get(key, at).cloned();
            self.count(if found.is_some() { "get_hits" } else { "get_misses" });
            if let Some(item) = found {
                let cas = if with_cas { format!(" {}", item.cas) } else { String::new() };
                out.extend_from_slice(format!("VALUE {key} {} {}{cas}\r\n", item.flags, item.value.len()).as_bytes());
                out.extend_from_slice(&item.value);
                out.extend_from_slice(b"\r\n");
            }
        }
        out.extend_from_slice(b"END\r\n");
        out
    }

    fn store(&mut self, verb: &str, (key, flags, ttl, rest): (&str, &str, &str, &[&str]), block: &[u8], at: u64) -> &'static str {
        self.count("cmd_set");
        let old = self.get(key, at).cloned();
        let fits = match (verb, &old) {
            ("add", Some(_)) | ("replace" | "append" | "prepend", None) => return "NOT_STORED",
            ("cas", None) => return "NOT_FOUND",
            ("cas", Some(old)) => rest.first().and_then(|c| c.parse().ok()) == Some(old.cas),
            _ => true,
        };
        if !fits {
            return "EXISTS";
        }
        let old = old.unwrap_or_default();
        let value = match verb {
            "append" => [&old.value, block].concat(),
            "prepend" => [block, &old.value].concat(),
            _ => block.to_vec(),
        };
        self.set(key, Item { flags: flags.parse().unwrap_or(0), expires: deadline(ttl, at), cas: 0, value });
        "STORED"
    }

    fn step(&mut self, key: &str, by: &str, up: bool, at: u64) -> String {
        let Some(item) = self.get(key, at).cloned() else { return "NOT_FOUND".to_owned() };
        let number = String::from_utf8_lossy(&item.value).trim().parse::<u64>();
        let (Ok(number), Ok(by)) = (number, by.parse::<u64>()) else {
            return "CLIENT_ERROR cannot increment or decrement non-numeric value".to_owned();
        };
        let next = if up { number.wrapping_add(by) } else { number.saturating_sub(by) };
        self.set(key, Item { value: next.to_string().into_bytes(), ..item });
        next.to_string()
    }

    /// The lines of `stats`.
    fn stats(&self, started: u64, at: u64) -> Vec<u8> {
        let mut out = String::new();
        let count = |name: &str| self.counts.get(name).copied().unwrap_or(0);
        let mut line = |name: &str, value: String| out.push_str(&format!("STAT {name} {value}\r\n"));
        line("pid", "1".to_owned());
        line("uptime", at.saturating_sub(started).to_string());
        line("time", at.to_string());
        line("version", "1.6.39".to_owned());
        for name in ["curr_connections", "total_connections", "cmd_get", "cmd_set", "cmd_flush", "get_hits", "get_misses"] {
            line(name, count(name).to_string());
        }
        line("limit_maxbytes", HELD_MOST.to_string());
        line("bytes", self.held.to_string());
        line("curr_items", self.items.len().to_string());
        line("evictions", count("evictions").to_string());
        out.push_str("END\r\n");
        out.into_bytes()
    }
}

/// The second at which something with this time to live expires; what is longer than 30 days is a time of its own.
fn deadline(ttl: &str, at: u64) -> u64 {
    match ttl.parse::<i64>() {
        Ok(0) | Err(_) => 0,
        Ok(seconds) if seconds < 0 => 1,
        Ok(seconds) if seconds > 30 * 86_400 => seconds.unsigned_abs(),
        Ok(seconds) => at + seconds.unsigned_abs(),
    }
}

/// Serves a client.
pub async fn serve(role: &Arc<Role>, stream: TcpStream) {
    let started = role.metrics.started().as_secs();
    let count = |role: &Role, by: i64| {
        let mut cache = locked(&role.state.memcached);
        let open = cache.counts.entry("curr_connections").or_default();
        *open = open.saturating_add_signed(by);
        if by > 0 {
            cache.count("total_connections");
        }
    };
    count(role, 1);
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(64 << 10).read_until(b'\n', &mut line).await {
            Ok(n) if n > 0 => {}
            _ => break,
        }
        let text = String::from_utf8_lossy(&line).into_owned();
        let words: Vec<&str> = text.split_whitespace().collect();
        let storing = matches!(words.first(), Some(&("set" | "add" | "replace" | "append" | "prepend" | "cas")));
        let mut block = Vec::new();
        if storing {
            let length = words.get(4).and_then(|n| n.parse::<usize>().ok());
            let Some(length) = length.filter(|n| *n <= VALUE_MOST) else {
                let _ = writer.write_all(b"SERVER_ERROR object too large for cache\r\n").await;
                break;
            };
            block.resize(length + 2, 0);
            if reader.read_exact(&mut block).await.is_err() {
                break;
            }
            block.truncate(length);
        }
        let at = now().as_secs();
        let answer = match words.as_slice() {
            ["stats", ..] => Some(locked(&role.state.memcached).stats(started, at)),
            _ => locked(&role.state.memcached).answer(&Asked { words, block }, at),
        };
        match answer {
            Some(answer) if writer.write_all(&answer).await.is_ok() => {}
            _ => break,
        }
    }
    count(role, -1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_the_text_protocol() {
        let mut cache = Cache::default();
        let mut check = |command: &str, block: &str, at: u64, expect: &str| {
            let asked = Asked { words: command.split_whitespace().collect(), block: block.as_bytes().to_vec() };
            let got = cache.answer(&asked, at).map(|a| String::from_utf8_lossy(&a).into_owned());
            assert_eq!(got.as_deref(), Some(expect), "{command}");
        };
        check("get a", "", 1, "END\r\n");
        check("set a 7 0 3", "abc", 1, "STORED\r\n");
        check("get a b", "", 1, "VALUE a 7 3\r\nabc\r\nEND\r\n");
        check("add a 0 0 1", "x", 1, "NOT_STORED\r\n");
        check("append a 7 0 1", "d", 1, "STORED\r\n");
        check("gets a", "", 1, "VALUE a 7 4 2\r\nabcd\r\nEND\r\n");
        check("cas a 0 0 1 1", "x", 1, "EXISTS\r\n");
        check("set n 0 10 1", "5", 1, "STORED\r\n");
        check("incr n 6", "", 2, "11\r\n");
        check("decr n 20", "", 2, "0\r\n");
        check("get n", "", 11, "END\r\n");
        check("delete a", "", 11, "DELETED\r\n");
        check("delete a", "", 11, "NOT_FOUND\r\n");
        check("set q 0 0 1 noreply", "x", 11, "");
        check("flush_all", "", 11, "OK\r\n");
        check("get q", "", 11, "END\r\n");
        check("nonsense", "", 11, "ERROR\r\n");
    }
}
