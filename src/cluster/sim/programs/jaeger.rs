//! Jaeger's HTTP API, as far as it can answer honestly.
//!
//! Not modelled: traces. Spans are derived from the history of traffic, which the query API will read once metrics and
//! traces join the simulated cluster's telemetry; until then its search says so instead of showing an empty store.

use crate::cluster::{HttpReply, HttpRequest};
use std::time::Duration;

/// Answers an HTTP request to the query port or the admin port.
pub(super) fn http(request: &HttpRequest) -> HttpReply {
    let path = request.path.split('?').next().unwrap_or("");
    let json = |status: u16, body: &str| (status, "application/json", body.to_owned());
    let (status, kind, body) = match (request.port, path) {
        (14269, "/" | "/status") => json(200, r#"{"status":"Server available"}"#),
        (14269, _) => (404, "text/plain; charset=utf-8", "404 page not found\n".to_owned()),
        (_, "/" | "/search") => (
            200,
            "text/html; charset=utf-8",
            "<!doctype html><html lang=\"en\"><head><title>Jaeger UI</title></head><body></body></html>\n".to_owned(),
        ),
        (_, p) if p.starts_with("/api/") => json(
            501,
            r#"{"data":null,"total":0,"limit":0,"offset":0,"errors":[{"code":501,"msg":"trace queries are not part of this simulated cluster yet"}]}"#,
        ),
        _ => (404, "text/plain; charset=utf-8", "404 page not found\n".to_owned()),
    };
    let headers = vec![("Content-Type".to_owned(), kind.to_owned())];
    HttpReply { status, headers, body: body.into_bytes(), took: Duration::from_micros(400), peer: (String::new(), 0) }
}
