//! [`Line`]: one identity's connection to the API server. Every request has a bound; reads are tried again when the server is busy.

#![allow(clippy::disallowed_types, reason = "bounds on a live cluster are wall-clock time")]

use super::connect::chain;
use super::request;
use crate::cluster::{ApiError, ApiReply, ApiRequest, Identity, Verb};
use arcstr::ArcStr;
use http::Request;
use kube::Client;
use kube::client::Body;
use std::time::{Duration, Instant};

/// Longest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 64 << 20;

/// Pause before a read is tried again, doubling.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// A connection to the API server in one identity's name.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) client: Client,
    /// Longest wait for one request, all attempts together.
    pub(super) bound: Duration,
    /// Acts as somebody else, by impersonation.
    pub(super) acting_as: Option<Identity>,
}

/// An answer of the server, whatever its status.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) warnings: Vec<ArcStr>,
    pub(super) body: Vec<u8>,
    retry_after: Option<Duration>,
}

impl Line {
    /// One request of the trait's kind.
    pub(super) async fn api(&self, asked: &ApiRequest) -> Result<ApiReply, ApiError> {
        let may_repeat = matches!(asked.verb, Verb::Get | Verb::List);
        let answer = self.ask(may_repeat, || request::http_request(asked, self.acting_as.as_ref())).await?;
        request::reply(asked, answer.status, answer.warnings, &answer.body)
    }

    /// A `GET` of a path with query.
    pub(super) async fn get(&self, uri: &str) -> Result<Answer, ApiError> {
        self.ask(true, || self.request("GET", uri, Vec::new())).await
    }

    /// A `POST` of bytes to a path with query; never tried again.
    pub(super) async fn post(&self, uri: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Result<Answer, ApiError> {
        let build = || {
            let mut request = self.request("POST", uri, body.clone())?;
            for (name, text) in headers {
                let name = http::HeaderName::try_from(*name).map_err(bad_request)?;
                request.headers_mut().insert(name, http::HeaderValue::try_from(*text).map_err(bad_request)?);
            }
            Ok(request)
        };
        self.ask(false, build).await
    }

    /// A request with this line's impersonation.
    pub(super) fn request(&self, method: &str, uri: &str, body: Vec<u8>) -> Result<Request<Body>, ApiError> {
        let mut builder = Request::builder().method(method).uri(uri);
        if let Some(who) = &self.acting_as {
            builder = builder.header("Impersonate-User", who.user.as_str());
            for group in &who.groups {
                builder = builder.header("Impersonate-Group", group.as_str());
            }
        }
        builder.body(body.into()).map_err(bad_request)
    }

    async fn ask(&self, may_repeat: bool, build: impl Fn() -> Result<Request<Body>, ApiError>) -> Result<Answer, ApiError> {
        let give_up = Instant::now() + self.bound;
        let mut pause = FIRST_PAUSE;
        loop {
            let left = give_up.saturating_duration_since(Instant::now());
            let outcome = match tokio::time::timeout(left, self.once(build()?)).await {
                Ok(outcome) => outcome,
                Err(_) => return Err(too_slow(self.bound)),
            };
            // A server that is throttling has not acted on the request, so that may always be repeated.
            let wait = match &outcome {
                Ok(answer) if answer.status == 429 => answer.retry_after.unwrap_or(pause),
                Ok(answer) if matches!(answer.status, 503 | 504) && may_repeat => answer.retry_after.unwrap_or(pause),
                Err(_) if may_repeat => pause,
                _ => return outcome,
            };
            if Instant::now() + wait >= give_up {
                return outcome;
            }
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
    }

    async fn once(&self, request: Request<Body>) -> Result<Answer, ApiError> {
        let response = self.client.send(request).await.map_err(|error| unreachable(&chain(&error)))?;
        let status = response.status().as_u16();
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let retry_after = header("Retry-After").and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let warnings = response.headers().get_all("Warning").iter().filter_map(|value| warning(value.to_str().ok()?)).collect();
        let body = collect(response.into_body()).await?;
        Ok(Answer { status, warnings, body, retry_after })
    }
}

async fn collect(body: Body) -> Result<Vec<u8>, ApiError> {
    use futures::StreamExt;
    let mut stream = http_body_util::BodyDataStream::new(body);
    let mut bytes = Vec::new();
    while let Some(part) = stream.next().await {
        let part = part.map_err(|error| unreachable(&chain(&error)))?;
        bytes.extend_from_slice(&part);
        if bytes.len() > ANSWER_LIMIT {
            return Err(ApiError::new(
                413,
                "RequestEntityTooLarge",
                format!("the API server's answer is longer than {ANSWER_LIMIT} bytes"),
            ));
        }
    }
    Ok(bytes)
}

/// The text of a `Warning` header: `299 - "text"`.
fn warning(header: &str) -> Option<ArcStr> {
    let quoted = header.splitn(3, ' ').nth(2)?.trim();
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    Some(inner.replace("\\\"", "\"").replace("\\\\", "\\").into())
}

fn bad_request(error: impl std::fmt::Display) -> ApiError {
    ApiError::new(400, "BadRequest", format!("the request cannot be sent: {error}"))
}

/// The server could not be reached at all.
pub(super) fn unreachable(why: &str) -> ApiError {
    ApiError::new(503, "ServiceUnavailable", format!("Unable to connect to the server: {why}"))
}

/// The server did not answer within the bound.
pub(super) fn too_slow(bound: Duration) -> ApiError {
    let text = format!("Unable to connect to the server: no answer within {} s (request_timeout_s)", bound.as_secs_f64());
    ApiError::new(504, "Timeout", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_read() {
        let check = |header: &str, expect: Option<&str>| assert_eq!(warning(header).as_deref(), expect, "{header}");
        check(r#"299 - "v1 Endpoints is deprecated""#, Some("v1 Endpoints is deprecated"));
        check(r#"299 - "unknown field \"spec.x\"""#, Some(r#"unknown field "spec.x""#));
        check("299", None);
    }
}
