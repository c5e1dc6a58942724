//! Jaeger's part, all in one: takes spans (its agent's compact Thrift, OTLP as JSON) and answers its query API.
//!
//! Thrift's binary protocol, gRPC and the page of its UI are not there.

use super::http::{Answer, Asked};
use super::place::now;
use super::role::{Role, locked};
use super::{otlp, thrift};
use crate::app::rules::parameter;
use crate::telemetry::{Operations, Span, Tag, Trace, TraceQuery, Traces, api};
use arcstr::ArcStr;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

/// Health and metrics are served here.
const ADMIN_PORT: u16 = 14269;

/// Traces that are kept; the oldest goes first.
const TRACES_MOST: usize = 50_000;

/// What it keeps.
#[derive(Debug, Default)]
pub struct Memory {
    traces: BTreeMap<u64, Trace>,
    order: VecDeque<u64>,
    received: u64,
}

/// What it holds while it runs.
pub type State = Mutex<Memory>;

impl Memory {
    /// Takes spans of several traces.
    pub fn take(&mut self, spans: Vec<(u64, Span)>) {
        for (id, span) in spans {
            self.received += 1;
            let order = &mut self.order;
            let trace = self.traces.entry(id).or_insert_with(|| {
                order.push_back(id);
                Trace { id, spans: Vec::new() }
            });
            let at = trace.spans.partition_point(|s| s.start <= span.start);
            trace.spans.insert(at, span);
        }
        while self.order.len() > TRACES_MOST {
            if let Some(oldest) = self.order.pop_front() {
                self.traces.remove(&oldest);
            }
        }
    }
}

impl Traces for Memory {
    fn operations(&self) -> Operations {
        let mut found = Operations::new();
        for span in self.traces.values().flat_map(|t| &t.spans) {
            let kind = span.tags.iter().find_map(|(key, tag)| match tag {
                Tag::Text(text) if key == "span.kind" => Some(text.as_str()),
                _ => None,
            });
            let kind = match kind {
                Some("server") => "server",
                Some("client") => "client",
                _ => "internal",
            };
            found.entry(span.process.service.clone()).or_default().entry(span.operation.clone()).or_insert(kind);
        }
        found
    }

    fn search(&self, query: &TraceQuery) -> Vec<Trace> {
        let mut found: Vec<&Trace> = self.traces.values().filter(|trace| query.fits(trace)).collect();
        found.sort_by_key(|trace| trace.spans.first().map(|s| s.start));
        let surplus = found.len().saturating_sub(query.limit);
        found.into_iter().skip(surplus).cloned().collect()
    }

    fn by_id(&self, id: u64) -> Option<Trace> {
        self.traces.get(&id).cloned()
    }

    fn dependencies(&self) -> BTreeMap<(ArcStr, ArcStr), i64> {
        let mut calls: BTreeMap<(ArcStr, ArcStr), i64> = BTreeMap::new();
        for trace in self.traces.values() {
            let by_id: BTreeMap<u64, &Span> = trace.spans.iter().map(|s| (s.id, s)).collect();
            for span in &trace.spans {
                let parent = span.parent.and_then(|id| by_id.get(&id)).filter(|p| p.process.service != span.process.service);
                if let Some(parent) = parent {
                    *calls.entry((parent.process.service.clone(), span.process.service.clone())).or_default() += 1;
                }
            }
        }
        calls
    }
}

/// Takes a datagram to the agent. What is none of its own is dropped, as the agent does.
pub fn receive(role: &Role, bytes: &[u8]) {
    if let Some(spans) = thrift::decode(bytes) {
        locked(&role.state.jaeger).take(spans);
    }
}

/// Answers a request.
pub fn answer(role: &Arc<Role>, port: u16, asked: &Asked) -> Answer {
    let path = asked.path.split('?').next().unwrap_or("");
    let missing = || Answer::new(404, "text/plain; charset=utf-8", "404 page not found\n");
    match (port, asked.method.as_str(), path) {
        (ADMIN_PORT, _, "/" | "/status") => Answer::new(200, "application/json", r#"{"status":"Server available"}"#),
        (ADMIN_PORT, _, "/metrics") => {
            let received = locked(&role.state.jaeger).received;
            let text = format!("# TYPE jaeger_collector_spans_received_total counter\njaeger_collector_spans_received_total {received}\n");
            Answer::new(200, "text/plain; version=0.0.4; charset=utf-8", text)
        }
        (_, "POST", "/v1/traces") => match otlp::decode(&asked.text()) {
            Some(spans) => {
                locked(&role.state.jaeger).take(spans);
                Answer::new(200, "application/json", "{}")
            }
            None => Answer::new(400, "application/json", r#"{"code":3,"message":"not OTLP as JSON"}"#),
        },
        (ADMIN_PORT, ..) => missing(),
        (_, "GET", "/" | "/search") => {
            let page = "<!doctype html><html lang=\"en\"><head><title>Jaeger UI</title></head><body></body></html>\n";
            Answer::new(200, "text/html; charset=utf-8", page)
        }
        _ => {
            let named = |name: &str| parameter(&asked.path, name);
            match api(&*locked(&role.state.jaeger), &asked.path, &named, now()) {
                Some((status, json)) => Answer::new(status, "application/json", json.to_compact()),
                None => missing(),
            }
        }
    }
}
