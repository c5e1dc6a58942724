//! `redis-cli`, as far as a Redis without data can answer.
//!
//! Not modelled: the data itself; commands that read or write keys say so.

use super::Session;
use crate::app::Behaviour;
use crate::cluster::sim::network::Reach;
use crate::cluster::sim::programs;
use crate::shell::{Finished, Request, Vfs};
use std::time::Duration;

/// Runs `redis-cli`.
pub(super) fn cli(session: &mut Session<'_>, request: &Request, _files: &mut Vfs) -> Finished {
    let (mut host, mut port) = ("127.0.0.1".to_owned(), 6379_u16);
    let mut words = request.args.iter().peekable();
    while let Some(word) = words.next_if(|w| w.starts_with('-')) {
        match word.as_str() {
            "-h" => host = words.next().cloned().unwrap_or_default(),
            "-p" => port = words.next().and_then(|p| p.parse().ok()).unwrap_or(port),
            "-a" | "-n" | "-u" | "--user" | "--pass" => drop(words.next()),
            "--version" | "-v" => return Finished::ok("redis-cli 7.4.1\n"),
            _ => {}
        }
    }
    let command: Vec<String> = words.map(|w| w.to_lowercase()).collect();
    session.spend(Duration::from_millis(4));
    let connection = session.connect(&host, port);
    let redis =
        connection.run().filter(|run| programs::instance(session.world, *run).is_some_and(|i| i.program.behaviour == Behaviour::Redis));
    let failed = |why: &str| Finished::fail(1, format!("Could not connect to Redis at {host}:{port}: {why}\n"));
    match (&connection.reach, redis) {
        (Reach::Peer(_), Some(_)) => {}
        (Reach::Peer(_), None) => return Finished::fail(1, "Error: Protocol error, got \"H\" as reply type byte\n"),
        (Reach::Refused, _) => return failed("Connection refused"),
        (Reach::Silence, _) => {
            session.spend(Duration::from_secs(127));
            return failed("Connection timed out");
        }
        _ => return failed("Name or service not known"),
    }
    match command.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["ping"] => Finished::ok("PONG\n"),
        ["dbsize"] => Finished::ok("(integer) 0\n"),
        ["info", ..] => {
            Finished::ok("# Server\r\nredis_version:7.4.1\r\nredis_mode:standalone\r\nprocess_id:1\r\ntcp_port:6379\r\n\r\n# Keyspace\r\n")
        }
        ["role"] => Finished::ok("1) \"master\"\n2) (integer) 0\n3) (empty array)\n"),
        _ => Finished::fail(
            1,
            format!("(error) ERR {} is not part of this simulated server\n", command.first().map_or("this command", String::as_str)),
        ),
    }
}
