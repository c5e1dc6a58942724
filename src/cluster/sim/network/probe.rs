//! What a kubelet's probe of a container meets, in the kubelet's words.
//!
//! Not modelled: redirects, headers that a probe sets, lines that a probed server writes about it.

use super::super::kubelet::ProbeOutcome;
use super::super::world::World;
use super::super::{exec, http};
use super::policy::named_port;
use super::{Connection, Origin, Peer, Reach, Transport, Wire, connect};
use crate::cluster::{ConnectError, ExecRequest, HttpRequest};
use crate::object::{Json, Object};
use std::time::Duration;

/// Asks a container's probe from the kubelet of its node. The world is only looked at: requests and commands run in a fork.
pub fn check(world: &World, pod: &Object, container: &str, probe: &Json) -> ProbeOutcome {
    let timeout = Duration::from_secs(probe.get("timeoutSeconds").as_i64().and_then(|s| u64::try_from(s).ok()).unwrap_or(1).max(1));
    let asked = Asked { world, pod, from: Origin::Node(pod.spec().get("nodeName").text().into()), timeout };
    let result = if !probe.get("httpGet").is_null() {
        asked.http(probe.get("httpGet"))
    } else if !probe.get("tcpSocket").is_null() {
        asked.tcp(probe.get("tcpSocket"))
    } else if !probe.get("grpc").is_null() {
        asked.grpc(probe.get("grpc"))
    } else if !probe.get("exec").is_null() {
        asked.exec(container, probe.get("exec"))
    } else {
        Ok(())
    };
    match result {
        Ok(()) => ProbeOutcome { ok: true, message: String::new() },
        Err(message) => ProbeOutcome { ok: false, message },
    }
}

struct Asked<'a> {
    world: &'a World,
    pod: &'a Object,
    from: Origin,
    timeout: Duration,
}

impl Asked<'_> {
    fn host<'a>(&'a self, handler: &'a Json) -> &'a str {
        handler.get("host").as_str().filter(|host| !host.is_empty()).unwrap_or(self.pod.status().get("podIP").text())
    }

    fn port(&self, handler: &Json) -> Result<u16, String> {
        let port = handler.get("port");
        let number = port.as_i64().or_else(|| named_port(self.pod, port.text())).or_else(|| port.text().parse().ok());
        let number = number.ok_or_else(|| format!("strconv.Atoi: parsing {:?}: invalid syntax", port.text()))?;
        u16::try_from(number).map_err(|_| format!("invalid port number: {number}"))
    }

    fn connect(&self, host: &str, port: u16) -> Connection {
        connect(self.world, &self.from, host, port, Transport::Tcp, 0)
    }

    fn tcp(&self, handler: &Json) -> Result<(), String> {
        let (host, port) = (self.host(handler), self.port(handler)?);
        self.connect(host, port).dial_error(host, "i/o timeout").map_or(Ok(()), Err)
    }

    fn http(&self, handler: &Json) -> Result<(), String> {
        let (host, port) = (self.host(handler), self.port(handler)?);
        let secure = handler.get("scheme").text().eq_ignore_ascii_case("https");
        let path = handler.get("path").text().trim_start_matches('/');
        let failed = |why: &str| Err(format!("Get \"{}://{host}:{port}/{path}\": {why}", if secure { "https" } else { "http" }));
        let late = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
        let connection = self.connect(host, port);
        match &connection.reach {
            Reach::Silence => return failed(late),
            Reach::Peer(Peer::Process { socket, .. }) => match &socket.wire {
                Wire::Http { tls } if secure && !tls => return failed("http: server gave HTTP response to HTTPS client"),
                Wire::Http { .. } | Wire::Mongo { .. } if !secure => {}
                Wire::Grpc => return failed(&malformed(r"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00@\x00")),
                Wire::Memcached => return failed(&malformed("ERROR")),
                _ => return failed("EOF"),
            },
            Reach::Peer(_) => {}
            _ => return failed(&connection.dial_error(host, "i/o timeout").unwrap_or_default()),
        }
        let request = HttpRequest {
            method: "GET".to_owned(),
            host: host.to_owned(),
            port,
            path: format!("/{path}"),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: self.timeout,
        };
        match http::request(&mut self.world.clone(), &self.from, &request) {
            Ok(reply) if (200..400).contains(&reply.status) => Ok(()),
            Ok(reply) => Err(format!("HTTP probe failed with statuscode: {}", reply.status)),
            Err(ConnectError::TimedOut { .. }) => failed(late),
            Err(_) => failed("EOF"),
        }
    }

    fn grpc(&self, handler: &Json) -> Result<(), String> {
        let (host, port) = (self.pod.status().get("podIP").text(), self.port(handler)?);
        let seconds = self.timeout.as_secs();
        match self.connect(host, port).reach {
            Reach::Peer(Peer::Process { socket, run, .. }) if socket.wire == Wire::Grpc => {
                let instance = super::super::programs::instance(self.world, run);
                let health = instance.is_some_and(|i| i.program.operation("/grpc.health.v1.Health/Check").is_some());
                let missing = "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): unknown service grpc.health.v1.Health";
                if health { Ok(()) } else { Err(missing.to_owned()) }
            }
            _ => Err(format!("timeout: failed to connect service \"{host}:{port}\" within {seconds}s: context deadline exceeded")),
        }
    }
}

impl Asked<'_> {
    fn exec(&self, container: &str, handler: &Json) -> Result<(), String> {
        let argv: Vec<String> = handler.get("command").items().iter().map(|word| word.text().to_owned()).collect();
        let text = argv.join(" ");
        let (namespace, pod) = (self.pod.namespace().into(), self.pod.name().into());
        let request = ExecRequest { namespace, pod, container: Some(container.into()), argv, stdin: Vec::new() };
        match exec::exec(&mut self.world.clone(), &request) {
            Ok(done) if done.took > self.timeout => Err(format!("command timed out: {text:?} timed out after {}s", self.timeout.as_secs())),
            Ok(done) if done.exit_code == 0 => Ok(()),
            Ok(done) => Err([done.stdout, done.stderr].iter().map(|out| String::from_utf8_lossy(out)).collect()),
            Err(error) => Err(error.message),
        }
    }
}

fn malformed(start: &str) -> String {
    format!("net/http: HTTP/1.x transport connection broken: malformed HTTP response \"{start}\"")
}
