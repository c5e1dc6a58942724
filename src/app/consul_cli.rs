//! The `consul` command line: what it reads from the agent over HTTP.
//!
//! Not modelled: commands that change Consul, and those of servers with peers.

use crate::object::Json;

/// What a command printed, and its exit code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Printed {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// Exit code.
    pub code: i32,
}

impl Printed {
    fn ok(out: impl Into<String>) -> Printed {
        Printed { out: out.into(), ..Printed::default() }
    }

    fn fail(code: i32, err: impl Into<String>) -> Printed {
        Printed { err: err.into(), code, ..Printed::default() }
    }
}

/// Runs a command line; `get` asks the agent for a path of its API.
pub fn run(args: &[String], get: &mut dyn FnMut(&str) -> Result<Json, String>) -> Printed {
    let words: Vec<&str> = args.iter().map(String::as_str).filter(|w| !w.starts_with('-')).collect();
    match &words[..] {
        ["version"] => Printed::ok(
            "Consul v1.22.0\nBuild Date 2025-10-24T14:14:55Z\nProtocol 2 spoken by default, understands 2 to 3 (agent will automatically use protocol >2 when speaking to compatible agents)\n",
        ),
        [] if args.iter().any(|a| a == "--version" || a == "-version") => Printed::ok("Consul v1.22.0\n"),
        ["members"] => match get("/v1/agent/members") {
            Ok(members) => Printed::ok(members_table(&members)),
            Err(message) => Printed::fail(1, format!("Error retrieving members: {message}\n")),
        },
        ["catalog", "services"] => match get("/v1/catalog/services") {
            Ok(services) => Printed::ok(services.entries().map(|(name, _)| format!("{name}\n")).collect::<String>()),
            Err(message) => Printed::fail(1, format!("Error listing services: {message}\n")),
        },
        ["catalog", "nodes"] => match get("/v1/catalog/nodes") {
            Ok(nodes) => {
                let node = nodes.nth(0);
                let (name, id) = (node.get("Node").text(), node.get("ID").text());
                let short: String = id.chars().take(8).collect();
                let width = name.len().max(4);
                Printed::ok(format!("{:width$}  ID        Address    DC\n{name:width$}  {short}  127.0.0.1  dc1\n", "Node"))
            }
            Err(message) => Printed::fail(1, format!("Error listing nodes: {message}\n")),
        },
        ["info"] => Printed::ok("agent:\n\tcheck_monitors = 0\n\tcheck_ttls = 0\nbuild:\n\tversion = 1.22.0\n"),
        ["agent"] => Printed::fail(
            1,
            "==> Error starting agent: Failed to start Consul server: Failed to start RPC layer: listen tcp 127.0.0.1:8300: bind: address already in use\n",
        ),
        _ => Printed::fail(
            127,
            "Usage: consul [--version] [--help] <command> [<args>]\n\nAvailable commands are:\n    agent          Runs a Consul agent\n    catalog        Interact with the catalog\n    info           Provides debugging information for operators.\n    members        Lists the members of a Consul cluster\n    version        Prints the Consul version\n",
        ),
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
