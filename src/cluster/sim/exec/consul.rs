//! The `consul` command line: what it reads from the agent over HTTP.
//!
//! Not modelled: commands that change Consul, and those of servers with peers.

use super::Session;
use crate::cluster::client::Net;
use crate::cluster::{ConnectError, HttpRequest};
use crate::object::Json;
use crate::shell::{Finished, Request, Vfs};
use std::time::Duration;

/// Runs `consul`.
pub(super) fn cli(session: &mut Session<'_>, request: &Request, _files: &mut Vfs) -> Finished {
    let words: Vec<&str> = request.args.iter().map(String::as_str).filter(|w| !w.starts_with('-')).collect();
    match &words[..] {
        ["version"] => Finished::ok(
            "Consul v1.22.0\nBuild Date 2025-10-24T14:14:55Z\nProtocol 2 spoken by default, understands 2 to 3 (agent will automatically use protocol >2 when speaking to compatible agents)\n",
        ),
        [] if request.args.iter().any(|a| a == "--version" || a == "-version") => Finished::ok("Consul v1.22.0\n"),
        ["members"] => match get(session, "/v1/agent/members") {
            Ok(members) => Finished::ok(members_table(&members)),
            Err(message) => Finished::fail(1, format!("Error retrieving members: {message}\n")),
        },
        ["catalog", "services"] => match get(session, "/v1/catalog/services") {
            Ok(services) => Finished::ok(services.entries().map(|(name, _)| format!("{name}\n")).collect::<String>()),
            Err(message) => Finished::fail(1, format!("Error listing services: {message}\n")),
        },
        ["catalog", "nodes"] => match get(session, "/v1/catalog/nodes") {
            Ok(nodes) => {
                let node = nodes.nth(0);
                let (name, id) = (node.get("Node").text(), node.get("ID").text());
                let short: String = id.chars().take(8).collect();
                let width = name.len().max(4);
                Finished::ok(format!("{:width$}  ID        Address    DC\n{name:width$}  {short}  127.0.0.1  dc1\n", "Node"))
            }
            Err(message) => Finished::fail(1, format!("Error listing nodes: {message}\n")),
        },
        ["info"] => Finished::ok("agent:\n\tcheck_monitors = 0\n\tcheck_ttls = 0\nbuild:\n\tversion = 1.22.0\n"),
        ["agent"] => Finished::fail(
            1,
            "==> Error starting agent: Failed to start Consul server: Failed to start RPC layer: listen tcp 127.0.0.1:8300: bind: address already in use\n",
        ),
        _ => Finished::fail(
            127,
            "Usage: consul [--version] [--help] <command> [<args>]\n\nAvailable commands are:\n    agent          Runs a Consul agent\n    catalog        Interact with the catalog\n    info           Provides debugging information for operators.\n    members        Lists the members of a Consul cluster\n    version        Prints the Consul version\n",
        ),
    }
}

fn get(session: &mut Session<'_>, path: &str) -> Result<Json, String> {
    let request = HttpRequest {
        method: "GET".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: 8500,
        path: path.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout: Duration::from_secs(30),
    };
    match session.http(&request) {
        Ok(reply) => {
            session.spend(reply.took);
            Json::parse(&String::from_utf8_lossy(&reply.body)).map_err(|e| e.to_string())
        }
        Err(ConnectError::Refused { .. }) => {
            Err(format!("Get \"http://127.0.0.1:8500{path}\": dial tcp 127.0.0.1:8500: connect: connection refused"))
        }
        Err(error) => Err(format!("Get \"http://127.0.0.1:8500{path}\": {error}")),
    }
}

fn members_table(members: &Json) -> String {
    let mut text = String::new();
    for member in members.items() {
        let name = member.get("Name").text();
        let width = name.len().max(4);
        text.push_str(&format!("{:width$}  Address         Status  Type    Build   Protocol  DC   Partition  Segment\n", "Node"));
        text.push_str(&format!("{name:width$}  127.0.0.1:8301  alive   server  1.22.0  2         dc1  default    <all>\n"));
    }
    text
}
