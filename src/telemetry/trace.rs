//! Traces: spans of one request, and which of many traces are asked for.

use crate::time::SimTime;
use arcstr::{ArcStr, literal};
use std::sync::Arc;
use std::time::Duration;

/// The spans of one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// Its id.
    pub id: u64,
    /// Its spans, parents before children.
    pub spans: Vec<Span>,
}

/// One span.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Its id.
    pub id: u64,
    /// The span that it is part of.
    pub parent: Option<u64>,
    /// Operation.
    pub operation: ArcStr,
    /// Start.
    pub start: SimTime,
    /// Duration.
    pub took: Duration,
    /// Tags, in the order in which they were set.
    pub tags: Vec<(ArcStr, Tag)>,
    /// The error that it was logged with.
    pub error: Option<ArcStr>,
    /// Who recorded it.
    pub process: Arc<Process>,
}

/// A process that records spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The service's name.
    pub service: ArcStr,
    /// Tags of the process.
    pub tags: Vec<(ArcStr, ArcStr)>,
}

/// The value of a tag.
#[derive(Clone, Debug, PartialEq)]
pub enum Tag {
    /// A text.
    Text(ArcStr),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A truth value.
    Bool(bool),
}

impl Tag {
    /// The value as searches compare it.
    pub fn text(&self) -> String {
        match self {
            Tag::Text(text) => text.to_string(),
            Tag::Int(number) => number.to_string(),
            Tag::Float(number) => number.to_string(),
            Tag::Bool(value) => value.to_string(),
        }
    }
}

/// What a span stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// An HTTP request, served.
    HttpServer,
    /// A call, served.
    RpcServer,
    /// A call, made.
    RpcClient,
    /// A request to a store.
    Store,
}

impl SpanKind {
    /// The value of the tag `span.kind`.
    pub fn text(self) -> &'static str {
        match self {
            SpanKind::HttpServer | SpanKind::RpcServer => "server",
            SpanKind::RpcClient | SpanKind::Store => "client",
        }
    }

    fn shared_text(self) -> ArcStr {
        match self {
            SpanKind::HttpServer | SpanKind::RpcServer => literal!("server"),
            SpanKind::RpcClient | SpanKind::Store => literal!("client"),
        }
    }
}

/// What the client library of a program knows of a span, beyond its times.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// What it stands for.
    pub kind: SpanKind,
    /// Operation.
    pub operation: &'a str,
    /// Path with query, of an HTTP request.
    pub url: Option<ArcStr>,
    /// Status, of an HTTP request.
    pub status: Option<u16>,
    /// Whether it failed.
    pub failed: bool,
    /// The sampler's share, on a trace's first span.
    pub sampled: Option<f64>,
    /// Further tags.
    pub more: &'a [(ArcStr, ArcStr)],
}

impl Facts<'_> {
    /// The tags that Jaeger's client libraries set; those of the sampler on the first span alone.
    pub fn tags(&self) -> Vec<(ArcStr, Tag)> {
        let mut tags: Vec<(ArcStr, Tag)> = Vec::with_capacity(8);
        let mut set = |key: ArcStr, tag: Tag| tags.push((key, tag));
        if let Some(ratio) = self.sampled {
            set(literal!("sampler.type"), Tag::Text(literal!("probabilistic")));
            set(literal!("sampler.param"), Tag::Float(ratio));
        }
        set(literal!("span.kind"), Tag::Text(self.kind.shared_text()));
        match self.kind {
            SpanKind::HttpServer => {
                set(literal!("http.method"), Tag::Text(self.operation.split(' ').nth(1).unwrap_or("GET").into()));
                set(literal!("http.url"), Tag::Text(self.url.clone().unwrap_or_default()));
                set(literal!("component"), Tag::Text(literal!("net/http")));
                set(literal!("http.status_code"), Tag::Int(self.status.map_or(0, i64::from)));
            }
            SpanKind::RpcServer | SpanKind::RpcClient => set(literal!("component"), Tag::Text(literal!("gRPC"))),
            SpanKind::Store => {}
        }
        if self.failed {
            set(literal!("error"), Tag::Bool(true));
        }
        set(literal!("internal.span.format"), Tag::Text(literal!("jaeger")));
        tags.extend(self.more.iter().map(|(key, value)| (key.clone(), Tag::Text(value.clone()))));
        tags
    }
}

/// Which traces are asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceQuery {
    /// A service that takes part.
    pub service: ArcStr,
    /// An operation of that service.
    pub operation: Option<ArcStr>,
    /// Tags that one of its spans has.
    pub tags: Vec<(ArcStr, ArcStr)>,
    /// Begun at or after this instant.
    pub from: SimTime,
    /// Begun before this instant.
    pub until: SimTime,
    /// The span lasted at least so long.
    pub shortest: Option<Duration>,
    /// The span lasted at most so long.
    pub longest: Option<Duration>,
    /// At most so many, the latest ones.
    pub limit: usize,
}

impl TraceQuery {
    /// Whether a trace is one of those asked for: one span must fit in everything, as in Jaeger's own memory store.
    pub fn fits(&self, trace: &Trace) -> bool {
        trace.spans.iter().any(|span| self.span_fits(span))
    }

    fn span_fits(&self, span: &Span) -> bool {
        let tagged = |(key, value): &(ArcStr, ArcStr)| {
            let own = span.tags.iter().any(|(k, v)| k == key && v.text() == value.as_str());
            let of_process = span.process.tags.iter().any(|(k, v)| k == key && v == value);
            let logged = span.error.as_ref().is_some_and(|e| (key == "event" && value == "error") || (key == "message" && value == e));
            own || of_process || logged
        };
        span.process.service == self.service
            && self.operation.as_ref().is_none_or(|operation| *operation == span.operation)
            && self.shortest.is_none_or(|least| span.took >= least)
            && self.longest.is_none_or(|most| span.took <= most)
            && (self.from..self.until).contains(&span.start)
            && self.tags.iter().all(tagged)
    }
}
