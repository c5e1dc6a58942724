//! Jaeger's HTTP API: the query service, whose traces are derived, and the admin port.

use crate::cluster::sim::history::RunId;
use crate::cluster::sim::traces;
use crate::cluster::sim::world::World;
use crate::cluster::{HttpReply, HttpRequest};
use std::time::Duration;

/// Health and metrics are served here.
const ADMIN_PORT: u16 = 14269;

/// Answers an HTTP request to the query port or the admin port.
pub(super) fn http(world: &World, run: RunId, request: &HttpRequest) -> HttpReply {
    if request.port != ADMIN_PORT
        && let Some(reply) = traces::api(world, run, request)
    {
        return reply;
    }
    let path = request.path.split('?').next().unwrap_or("");
    let json = |status: u16, body: &str| (status, "application/json", body.to_owned());
    let (status, kind, body) = match (request.port, path) {
        (ADMIN_PORT, "/" | "/status") => json(200, r#"{"status":"Server available"}"#),
        (ADMIN_PORT, _) => (404, "text/plain; charset=utf-8", "404 page not found\n".to_owned()),
        (_, "/" | "/search") => (
            200,
            "text/html; charset=utf-8",
            "<!doctype html><html lang=\"en\"><head><title>Jaeger UI</title></head><body></body></html>\n".to_owned(),
        ),
        _ => (404, "text/plain; charset=utf-8", "404 page not found\n".to_owned()),
    };
    let headers = vec![("Content-Type".to_owned(), kind.to_owned())];
    HttpReply { status, headers, body: body.into_bytes(), took: Duration::from_micros(400), peer: (String::new(), 0) }
}
