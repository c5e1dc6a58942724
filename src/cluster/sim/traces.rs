//! Traces, derived: the spans that a Jaeger process has received from requests of the load and from those made by hand.
//!
//! A trace is a walk with its spans; what Jaeger keeps in memory is never stored. A search walks requests from the latest
//! backwards until it has what it was asked for.
//!
//! Not modelled: Jaeger's memory limit, spans that are lost on the way, half a trace of a request that is still under way.

use super::history::RunId;
use super::http::{Visit, parameter};
use super::programs;
use super::traffic::{Flow, PATIENCE, Regime};
use super::walk::{Span as Walked, SpanKind};
use super::world::World;
use crate::app::Endpoint;
use crate::cluster::{HttpReply, HttpRequest};
use crate::object::Json;
use crate::rng::Key as RandomKey;
use crate::telemetry::{Process, Span, Tag, Trace, TraceQuery, answer, failure, parse_search, trace_json};
use crate::time::SimTime;
use crate::workload::Arrival;
use crate::{array, object};
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Requests that one search looks at, at most.
const LOOKED_AT: usize = 100_000;

/// The API of Jaeger's query service; `None` for other paths.
pub(super) fn api(world: &World, jaeger: RunId, request: &HttpRequest) -> Option<HttpReply> {
    let path = request.path.split(['?', '#']).next().unwrap_or("").trim_end_matches('/');
    let named = |name: &str| parameter(&request.path, name);
    let (status, json) = match path.strip_prefix("/api/")?.split('/').collect::<Vec<_>>().as_slice() {
        ["services"] => listed(operations(world, jaeger).keys().map(Json::from).collect()),
        ["services", service, "operations"] => listed(names(&operations(world, jaeger), service, |name, _| Json::from(name))),
        ["operations"] => match named("service") {
            Some(service) => {
                let entry = |name: &ArcStr, kind: SpanKind| object! { "name" => name, "spanKind" => kind_text(kind) };
                listed(names(&operations(world, jaeger), &service, entry))
            }
            None => (400, failure(400, "parameter 'service' is required")),
        },
        ["traces"] => match parse_search(&named, world.now) {
            Ok(query) => {
                let found: Json = search(world, jaeger, &query).iter().map(trace_json).collect();
                (200, answer(found, 0))
            }
            Err(message) => (400, failure(400, &message)),
        },
        ["traces", id] => match u64::from_str_radix(id, 16).ok().and_then(|id| by_id(world, jaeger, id)) {
            Some(trace) => (200, answer(array![trace_json(&trace)], 0)),
            None => (404, failure(404, "trace not found")),
        },
        ["dependencies"] => listed(dependencies(world, jaeger)),
        _ => return None,
    };
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    let body = json.to_compact().into_bytes();
    Some(HttpReply { status, headers, body, took: Duration::from_millis(3), peer: (String::new(), 0) })
}

fn listed(items: Vec<Json>) -> (u16, Json) {
    let total = items.len();
    (200, answer(Json::from(items), total))
}

fn kind_text(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::HttpServer | SpanKind::RpcServer => "server",
        SpanKind::RpcClient | SpanKind::Store => "client",
    }
}

type Operations = BTreeMap<ArcStr, BTreeMap<ArcStr, SpanKind>>;

fn names(all: &Operations, service: &str, entry: impl Fn(&ArcStr, SpanKind) -> Json) -> Vec<Json> {
    all.get(service).into_iter().flatten().map(|(name, kind)| entry(name, *kind)).collect()
}

/// Requests looked at for lists of names: enough to meet every kind of request.
const SAMPLE: usize = 2_000;

/// The operations of every service that has sent spans.
fn operations(world: &World, jaeger: RunId) -> Operations {
    let mut found = Operations::new();
    visit(world, jaeger, (SimTime::ZERO, world.now), SAMPLE, &mut |seen| {
        for span in seen.spans.iter().filter(|span| span.sink == Some(jaeger)) {
            found.entry(span.service.clone()).or_default().entry(span.operation.clone()).or_insert(span.kind);
        }
        true
    });
    found
}

/// Who calls whom how often, in the requests that were looked at.
fn dependencies(world: &World, jaeger: RunId) -> Vec<Json> {
    let mut calls: BTreeMap<(ArcStr, ArcStr), i64> = BTreeMap::new();
    visit(world, jaeger, (SimTime::ZERO, world.now), SAMPLE, &mut |seen| {
        for span in &seen.spans {
            let parent = span.parent.and_then(|at| seen.spans.get(at)).filter(|parent| parent.service != span.service);
            if let Some(parent) = parent {
                *calls.entry((parent.service.clone(), span.service.clone())).or_default() += 1;
            }
        }
        true
    });
    calls.into_iter().map(|((parent, child), count)| object! { "parent" => parent, "child" => child, "callCount" => count }).collect()
}

/// The traces that a Jaeger process finds, oldest first.
pub fn search(world: &World, jaeger: RunId, query: &TraceQuery) -> Vec<Trace> {
    let mut found = Vec::new();
    visit(world, jaeger, (query.from, query.until), LOOKED_AT, &mut |seen| {
        if seen.spans.iter().any(|span| span.service == query.service) {
            found.extend(trace(world, jaeger, &seen).filter(|trace| query.fits(trace)));
        }
        found.len() < query.limit
    });
    found.reverse();
    found
}

fn by_id(world: &World, jaeger: RunId, id: u64) -> Option<Trace> {
    let mut found = None;
    visit(world, jaeger, (SimTime::ZERO, world.now), LOOKED_AT, &mut |seen| {
        if seen.trace == id {
            found = trace(world, jaeger, &seen);
        }
        found.is_none()
    });
    found
}

/// A request that is over.
struct Seen<'a> {
    trace: u64,
    spans: Vec<Walked>,
    source: Source<'a>,
}

/// Where a request came from.
enum Source<'a> {
    Load(&'a Endpoint),
    Hand(&'a Visit),
}

impl Seen<'_> {
    /// Path with query.
    fn url(&self) -> ArcStr {
        match self.source {
            Source::Load(endpoint) => endpoint.draw(&mut RandomKey::new(self.trace).part("parameters").stream()).into(),
            Source::Hand(visit) => visit.path.clone(),
        }
    }
}

/// Shows requests that are over, latest first, until `more` says stop.
fn visit<'a>(world: &'a World, jaeger: RunId, window: (SimTime, SimTime), most: usize, more: &mut dyn FnMut(Seen<'a>) -> bool) {
    let Some(run) = world.history.run(jaeger) else { return };
    let (from, until) = (window.0.max(run.started_at), window.1.min(world.now));
    let mut left = most;
    let mut by_hand = world.history.visits().rev().filter(|visit| visit.at >= from && visit.at < until).peekable();
    let seen_by_hand = |visit: &'a Visit| {
        let trace = RandomKey::new(visit.key).part("trace").value();
        Seen { trace, spans: visit.walk(true, false).spans, source: Source::Hand(visit) }
    };
    let mut regimes: Vec<&Regime> = world.history.driven().flat_map(|namespace| world.history.regimes(namespace)).collect();
    regimes.sort_by_key(|regime| regime.from);
    for regime in regimes.into_iter().rev() {
        let (start, end) = (regime.from.max(from), regime.until.unwrap_or(until).min(until));
        for (flow, arrival) in latest_first(regime, start, end) {
            while let Some(visit) = by_hand.next_if(|visit| visit.at >= arrival.at) {
                if !more(seen_by_hand(visit)) {
                    return;
                }
            }
            let Some(endpoint) = regime.plan.endpoints.get(flow.entry) else { continue };
            let walked = regime.request(world.seed, flow, arrival, true, false);
            left = left.saturating_sub(1);
            let seen = Seen { trace: id_of(world, regime, endpoint, arrival), spans: walked.spans, source: Source::Load(endpoint) };
            let over = arrival.at + walked.took.min(PATIENCE) <= world.now;
            if left == 0 || (over && !more(seen)) {
                return;
            }
        }
    }
    for visit in by_hand {
        if !more(seen_by_hand(visit)) {
            return;
        }
    }
}

/// The arrivals of all flows of a regime in a window, latest first.
fn latest_first(regime: &Regime, from: SimTime, until: SimTime) -> impl Iterator<Item = (&Flow, Arrival)> {
    let mut heads: Vec<_> = regime.plan.flows.iter().map(|flow| (flow, flow.process.window(from, until, true).peekable())).collect();
    std::iter::from_fn(move || {
        let at = |(_, head): &mut (&Flow, std::iter::Peekable<Box<dyn Iterator<Item = Arrival>>>)| head.peek().map(|arrival| arrival.at);
        let times: Vec<_> = heads.iter_mut().map(at).collect();
        let latest = times.iter().enumerate().filter_map(|(index, at)| Some(((*at)?, index))).max()?.1;
        let (flow, head) = heads.get_mut(latest)?;
        Some((*flow, head.next()?))
    })
}

fn id_of(world: &World, regime: &Regime, endpoint: &Endpoint, arrival: Arrival) -> u64 {
    RandomKey::new(world.seed).part("trace").part(&regime.plan.namespace).part(&endpoint.name).number(arrival.id).value()
}

/// The share of its requests that a program traces.
fn sample_ratio(world: &World, run: RunId) -> f64 {
    let instance = programs::instance(world, run);
    instance.and_then(|instance| instance.named("sample_ratio")?.parse().ok()).unwrap_or(1.0)
}

/// A walk's spans as Jaeger has them; `None` when it has none, or the trace was not sampled.
fn trace(world: &World, jaeger: RunId, seen: &Seen<'_>) -> Option<Trace> {
    let root = seen.spans.first()?;
    let ratio = sample_ratio(world, root.run);
    if RandomKey::new(seen.trace).part("sampled").stream().unit() >= ratio {
        return None;
    }
    let name = |at: usize| if at == 0 { seen.trace } else { RandomKey::new(seen.trace).number(at as u64).value() };
    let mut processes: BTreeMap<RunId, Arc<Process>> = BTreeMap::new();
    let mut kept = Vec::with_capacity(seen.spans.len());
    for (at, span) in seen.spans.iter().enumerate().filter(|(_, span)| span.sink == Some(jaeger)) {
        let process = processes.entry(span.run).or_insert_with(|| process(world, span)).clone();
        let url = (span.kind == SpanKind::HttpServer).then(|| seen.url());
        let tags = tags(span, url, (at == 0).then_some(ratio));
        let (id, parent, operation) = (name(at), span.parent.map(name), span.operation.clone());
        kept.push(Span { id, parent, operation, start: span.start, took: span.took, tags, error: span.error.clone(), process });
    }
    (!kept.is_empty()).then_some(Trace { id: seen.trace, spans: kept })
}

fn process(world: &World, span: &Walked) -> Arc<Process> {
    let launch = world.history.run(span.run).map(|run| run.launch.clone());
    let (host, ip) = launch.map_or_else(Default::default, |l| (l.pod.clone(), l.pod_ip.clone()));
    let client = RandomKey::new(world.seed).part("tracer").number(span.run.0).value();
    let tags = [("client-uuid", format!("{client:x}").into()), ("hostname", host), ("ip", ip), ("jaeger.version", "Go-2.11.2".into())];
    Arc::new(Process { service: span.service.clone(), tags: tags.map(|(key, value)| (ArcStr::from(key), value)).into() })
}

/// The tags of a span; those of the sampler on the root alone.
fn tags(span: &Walked, url: Option<ArcStr>, sampled: Option<f64>) -> Vec<(ArcStr, Tag)> {
    let mut tags: Vec<(ArcStr, Tag)> = Vec::with_capacity(8);
    let mut set = |key: &str, tag: Tag| tags.push((key.into(), tag));
    if let Some(ratio) = sampled {
        set("sampler.type", Tag::Text("probabilistic".into()));
        set("sampler.param", Tag::Float(ratio));
    }
    set("span.kind", Tag::Text(kind_text(span.kind).into()));
    match span.kind {
        SpanKind::HttpServer => {
            set("http.method", Tag::Text(span.operation.split(' ').nth(1).unwrap_or("GET").into()));
            set("http.url", Tag::Text(url.unwrap_or_default()));
            set("component", Tag::Text("net/http".into()));
            set("http.status_code", Tag::Int(span.status.map_or(0, i64::from)));
        }
        SpanKind::RpcServer | SpanKind::RpcClient => set("component", Tag::Text("gRPC".into())),
        SpanKind::Store => {}
    }
    if span.error.is_some() {
        set("error", Tag::Bool(true));
    }
    set("internal.span.format", Tag::Text("jaeger".into()));
    tags.extend(span.tags.iter().map(|(key, value)| (key.clone(), Tag::Text(value.clone()))));
    tags
}
