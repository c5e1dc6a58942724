//! HTTP from a client's side: `curl` to anything in the cluster, and the requests of graders.
//!
//! A request that a person or agent makes is remembered as a visit, so that it shows in logs and traces like any other; a
//! grader's probe leaves no trace.
//!
//! Not modelled: TLS handshakes (a port that speaks TLS answers as if the client did), keep-alive, redirects, what a request
//! writes to databases.

use super::flow::Pressure;
use super::graph::{Ended, Graph, Outcome, Root, compile_to};
use super::history::RunId;
use super::network::{self, Connection, Origin, Peer, Reach, Transport, Wire};
use super::programs;
use super::traffic::{self, PATIENCE};
use super::walk::{Answer, Ask, Walked, walk};
use super::world::{Event, World};
pub use crate::app::rules::parameter;
use crate::app::rules::split_path as split;
use crate::app::{Handler, Instance};
use crate::cluster::{ConnectError, HttpOrigin, HttpReply, HttpRequest, ProbeReply, ProbeRequest};
use crate::object;
use crate::rng::Key as RandomKey;
use crate::time::SimTime;
use arcstr::ArcStr;
use std::sync::Arc;
use std::time::Duration;

/// A request made by hand.
#[derive(Clone, Debug)]
pub struct Visit {
    /// When.
    pub at: SimTime,
    /// What it met.
    pub graph: Arc<Graph>,
    /// What it lost to others.
    pub pressure: Arc<Pressure>,
    /// How it ended.
    pub outcome: Outcome,
    /// Names its randomness.
    pub key: u64,
    /// How long the client waited.
    pub patience: Duration,
    /// Path with query.
    pub path: ArcStr,
}

impl Visit {
    /// The request again.
    pub fn walk(&self, spans: bool, lines: bool) -> Walked {
        let key = RandomKey::new(self.key);
        walk(&self.graph, 0, self.at, &Ask { outcome: Some(self.outcome), spans, lines, ..Ask::client(key, self.patience, &self.pressure) })
    }
}

/// Makes a request.
///
/// # Errors
/// When no answer comes, and why.
pub fn http(world: &mut World, from: &HttpOrigin, asked: &HttpRequest) -> Result<HttpReply, ConnectError> {
    request(world, &Origin::from(from), asked)
}

/// Makes a request from anywhere.
///
/// # Errors
/// When no answer comes, and why.
pub fn request(world: &mut World, from: &Origin, request: &HttpRequest) -> Result<HttpReply, ConnectError> {
    let session = world.draw("http").bits();
    let connection = network::connect(world, from, &request.host, request.port, Transport::Tcp, session);
    let (address, port) = (connection.address.to_string(), request.port);
    let soon = Duration::from_micros(900);
    match &connection.reach {
        Reach::NoName | Reach::NoResolver => Err(ConnectError::NameNotFound { host: request.host.clone() }),
        Reach::Refused => Err(ConnectError::Refused { address, port, took: soon }),
        Reach::Silence => Err(ConnectError::TimedOut { address, port, took: request.timeout, connected: false }),
        Reach::Peer(Peer::ApiServer) => Ok(reply(api_server(request), soon, (address, port))),
        Reach::Peer(Peer::Kubelet(_)) => Ok(reply((401, "text/plain; charset=utf-8", "Unauthorized".to_owned()), soon, (address, port))),
        Reach::Peer(Peer::Process { run, socket, .. }) => {
            let (run, wire) = (*run, socket.wire.clone());
            process(world, run, &wire, &connection, request)
        }
    }
}

fn reply(answer: (u16, &str, String), took: Duration, peer: (String, u16)) -> HttpReply {
    let (status, kind, body) = answer;
    let headers = vec![("Content-Type".to_owned(), kind.to_owned()), ("Content-Length".to_owned(), body.len().to_string())];
    HttpReply { status, headers, body: body.into_bytes(), took, peer }
}

fn process(world: &mut World, run: RunId, wire: &Wire, connection: &Connection, request: &HttpRequest) -> Result<HttpReply, ConnectError> {
    let peer = (connection.address.to_string(), request.port);
    let soon = Duration::from_millis(1) + connection.path.latency;
    let closed = |took| Err(ConnectError::Closed { address: peer.0.clone(), port: peer.1, took });
    match wire {
        Wire::Http { .. } => {}
        Wire::Mongo { .. } => {
            let text = "It looks like you are trying to access MongoDB over HTTP on the native driver port.\r\n";
            return Ok(reply((200, "text/plain", text.to_owned()), soon, peer));
        }
        Wire::Grpc | Wire::Memcached | Wire::Other(_) => return closed(soon),
    }
    if let Some(answer) = programs::http(world, run, request) {
        return Ok(HttpReply { took: answer.took + connection.path.latency, peer, ..answer });
    }
    let Some(instance) = programs::instance(world, run) else { return closed(soon) };
    let asked = instance.asked(&request.path, &request.body);
    let (path, _) = split(&asked);
    let Some(handler) = instance.program.handler(&request.method, path).cloned() else {
        return Ok(error_reply(&instance, (404, "404 page not found"), soon, peer));
    };
    let parameter = |name: &str| parameter(&asked, name);
    if let Some(check) = handler.checks.iter().find(|check| !check.rule.holds(&parameter)) {
        return Ok(error_reply(&instance, (check.status, &check.body), soon, peer));
    }
    let root = Root { method: request.method.as_str().into(), path: path.into() };
    let graph = compile_to(world, connection, &root);
    let late = &world.traffic.pressure().late;
    let graph = Arc::new(if late.is_empty() { graph } else { graph.delayed(late) });
    let walked = visit(world, &graph, request);
    answer(&instance, &handler, walked, request, peer)
}

/// Walks the request, remembers it, and lets it have its consequences.
fn visit(world: &mut World, graph: &Arc<Graph>, request: &HttpRequest) -> Walked {
    let key = world.draw("visit").bits();
    let pressure = world.traffic.pressure();
    let ask = Ask { lines: true, ..Ask::client(RandomKey::new(key), request.timeout, &pressure) };
    let walked = walk(graph, 0, world.now, &ask);
    if let Some(crash) = &walked.crash {
        let (run, lines, code) = (crash.run, crash.lines.clone(), crash.code);
        world.schedule(crash.at, Event::Network(network::Work::End { run, lines, code }));
    }
    world.history.visit(Visit {
        at: world.now,
        graph: graph.clone(),
        pressure,
        outcome: walked.outcome,
        key,
        patience: request.timeout,
        path: request.path.as_str().into(),
    });
    walked
}

fn answer(
    instance: &Instance,
    handler: &Handler,
    walked: Walked,
    request: &HttpRequest,
    peer: (String, u16),
) -> Result<HttpReply, ConnectError> {
    let took = walked.took;
    match walked.answer {
        Answer::Served(_) => {
            let body = instance.body(handler, &request.path);
            let mut headers: Vec<_> = handler.reply.headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            headers.push(("Content-Length".to_owned(), body.len().to_string()));
            Ok(HttpReply { status: handler.reply.status, headers, body: body.into_bytes(), took, peer })
        }
        Answer::Status(status, error) => Ok(error_reply(instance, (status, &error), took, peer)),
        Answer::Refused(_) => Err(ConnectError::Closed { address: peer.0, port: peer.1, took }),
        Answer::Nothing => Err(ConnectError::TimedOut { address: peer.0, port: peer.1, took, connected: true }),
    }
}

/// An answer that says what is wrong, as Go's `http.Error` or a Lua script sends it.
fn error_reply(instance: &Instance, (status, text): (u16, &str), took: Duration, peer: (String, u16)) -> HttpReply {
    let body = format!("{}\n", text.trim_end_matches('\n'));
    let mut headers: Vec<_> = instance.error_headers().iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    headers.push(("Content-Length".to_owned(), body.len().to_string()));
    HttpReply { status, headers, body: body.into_bytes(), took, peer }
}

/// What the API server answers to a request without a client certificate.
fn api_server(request: &HttpRequest) -> (u16, &'static str, String) {
    let (path, _) = split(&request.path);
    let authorized = request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let status = |code: u16, reason: &str, message: &str| {
        let mut status = object! { "kind" => "Status", "apiVersion" => "v1", "metadata" => object! {}, "status" => "Failure",
        "message" => message, "reason" => reason, "code" => i64::from(code) };
        if code == 403 {
            status.set("details", object! {});
        }
        (code, "application/json", serde_json::to_string_pretty(&status).unwrap_or_default())
    };
    match path {
        _ if authorized => status(401, "Unauthorized", "Unauthorized"),
        "/healthz" | "/livez" | "/readyz" => (200, "text/plain; charset=utf-8", "ok".to_owned()),
        "/version" | "/version/" => {
            let version = object! { "major" => "1", "minor" => "34", "gitVersion" => "v1.34.4", "platform" => "linux/amd64" };
            (200, "application/json", serde_json::to_string_pretty(&version).unwrap_or_default())
        }
        _ => {
            let verb = request.method.to_ascii_lowercase();
            status(403, "Forbidden", &format!("forbidden: User \"system:anonymous\" cannot {verb} path \"{path}\""))
        }
    }
}

/// Requests of graders at the present instant. They leave no trace.
pub fn probe(world: &World, requests: &[ProbeRequest]) -> Vec<ProbeReply> {
    let mut graphs: Vec<(ArcStr, Option<traffic::Entrance>)> = Vec::new();
    let mut replies = Vec::with_capacity(requests.len());
    for request in requests {
        if !graphs.iter().any(|(namespace, _)| *namespace == request.namespace) {
            graphs.push((request.namespace.clone(), traffic::entrance(world, &request.namespace)));
        }
        let entrance = graphs.iter().find(|(namespace, _)| *namespace == request.namespace).and_then(|(_, found)| found.as_ref());
        replies.push(probe_one(world, request, entrance));
    }
    replies
}

fn probe_one(world: &World, request: &ProbeRequest, entrance: Option<&traffic::Entrance>) -> ProbeReply {
    let failed = |error: &str| ProbeReply { status: 0, latency: Duration::ZERO, error: error.to_owned() };
    let Some(entrance) = entrance else { return failed("no application lives in the namespace") };
    let Some(entry) = entrance.app.endpoints.iter().position(|e| e.name == request.endpoint) else { return failed("no such endpoint") };
    let key = RandomKey::new(world.seed).part("probe").part(&request.namespace).part(&request.endpoint);
    let key = key.number(request.index).number(world.now.as_nanos());
    let walked = walk(&entrance.graph, entry, world.now, &Ask::client(key, PATIENCE, &entrance.pressure));
    let (status, error) = match walked.answer {
        Answer::Served(vertex) => (entrance.graph.reply_status(vertex), ArcStr::new()),
        Answer::Status(status, error) => (status, error),
        Answer::Refused(error) => (0, error),
        Answer::Nothing => (0, arcstr::literal!("context deadline exceeded (Client.Timeout exceeded while awaiting headers)")),
    };
    ProbeReply { status, latency: walked.took, error: error.trim_end().to_owned() }
}

/// The share of requests to each endpoint of an application's own mix that users see succeed at present: answered in time, and not by an
/// error.
pub fn success_shares(world: &World, namespace: &str) -> Vec<(ArcStr, f64)> {
    let Some(entrance) = traffic::entrance(world, namespace) else { return Vec::new() };
    let graph = &entrance.graph;
    let good = |outcome: Outcome| match graph.end(outcome) {
        Ended::Served => true,
        Ended::Answered { status, .. } => *status < 400,
        _ => false,
    };
    let share = |at: usize| graph.entries.get(at).map_or(0.0, |e| e.dist.iter().filter(|(o, _)| good(*o)).map(|(_, p)| p).sum());
    entrance.app.endpoints.iter().enumerate().map(|(at, endpoint)| (endpoint.name.clone(), share(at))).collect()
}
