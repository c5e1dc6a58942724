//! Traces, derived: the spans that a Jaeger process has received from requests of the load and from those made by hand.
//!
//! A trace is a walk with its spans; what Jaeger keeps in memory is never stored. A search walks requests from the latest
//! backwards until it has what it was asked for.
//!
//! Not modelled: Jaeger's memory limit, spans that are lost on the way, half a trace of a request that is still under way.

use super::api::rbac;
use super::history::RunId;
use super::http::{Visit, parameter};
use super::network::{self, Origin, Peer, Reach, Transport};
use super::programs;
use super::store::Kind;
use super::traffic::{Flow, PATIENCE, Regime};
use super::walk::Span as Walked;
use super::world::World;
use crate::app::Endpoint;
use crate::cluster::{ApiError, HttpOrigin, HttpReply, HttpRequest, Identity, TracesQuery};
use crate::object::Object;
use crate::rng::Key as RandomKey;
use crate::telemetry::{self, Facts, Operations, Process, Span, SpanKind, Tag, Trace, TraceQuery, Traces};
use crate::time::SimTime;
use crate::workload::Arrival;
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Clients send their spans in batches about once a second, so the load's very last requests are not found yet.
const BATCH: Duration = Duration::from_secs(1);

/// Requests that one search looks at, at most.
const LOOKED_AT: usize = 100_000;

/// The API of Jaeger's query service; `None` for other paths.
pub(super) fn api(world: &World, jaeger: RunId, request: &HttpRequest) -> Option<HttpReply> {
    let named = |name: &str| parameter(&request.path, name);
    let (status, json) = telemetry::api(&Derived { world, jaeger }, &request.path, &named, world.now)?;
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    let body = json.to_compact().into_bytes();
    Some(HttpReply { status, headers, body, took: Duration::from_millis(3), peer: (String::new(), 0) })
}

/// The traces that an application's Jaeger holds: one of its namespace, else the first that the asker may reach and that answers.
///
/// # Errors
/// That there is none, or why the last one could not be asked.
pub(super) fn traces(world: &World, who: &Identity, query: &TracesQuery) -> Result<Vec<Trace>, ApiError> {
    let found = |namespace: Option<&str>| -> Vec<(&Object, u16)> {
        let services = world.store.list(Kind::SERVICE, namespace);
        services.filter_map(|service| Some((service, TracesQuery::port_of(service)?))).collect()
    };
    let mut places = found(Some(&query.namespace));
    if places.is_empty() {
        places = found(None);
    }
    let mut refusal = query.no_jaeger();
    for (service, port) in places {
        match jaeger_behind(world, who, service, port) {
            Ok(jaeger) => return Ok(of_services(&Derived { world, jaeger }, query)),
            Err(error) => refusal = ApiError { message: format!("Jaeger cannot be asked: {}", error.message), ..error },
        }
    }
    Err(refusal)
}

/// The process to which the API server's proxy leads.
fn jaeger_behind(world: &World, who: &Identity, service: &Object, port: u16) -> Result<RunId, ApiError> {
    rbac::authorize_proxy(world, who, world.store.resource(Kind::SERVICE), service)?;
    let host = format!("{}.{}.svc.cluster.local", service.name(), service.namespace());
    let from = Origin::from(&HttpOrigin::Workstation);
    match network::connect(world, &from, &host, port, Transport::Tcp, 0).reach {
        Reach::Peer(Peer::Process { run, .. }) => Ok(run),
        _ => {
            let text = format!("no endpoints available for service \"http:{}:{port}\"", service.name());
            Err(ApiError::new(503, "ServiceUnavailable", text))
        }
    }
}

/// One search for each service, as of Jaeger's API.
fn of_services(traces: &dyn Traces, query: &TracesQuery) -> Vec<Trace> {
    let services = match &query.service {
        Some(service) => vec![service.clone()],
        None => traces.operations().into_keys().collect(),
    };
    let search = |service: ArcStr| {
        let (from, until, limit) = (query.since, query.until, query.limit);
        traces.search(&TraceQuery { service, operation: None, tags: Vec::new(), from, until, shortest: None, longest: None, limit })
    };
    telemetry::merged(services.into_iter().flat_map(search))
}

/// The traces of a Jaeger process.
struct Derived<'w> {
    world: &'w World,
    jaeger: RunId,
}

impl Traces for Derived<'_> {
    fn operations(&self) -> Operations {
        operations(self.world, self.jaeger)
    }

    fn search(&self, query: &TraceQuery) -> Vec<Trace> {
        search(self.world, self.jaeger, query)
    }

    fn by_id(&self, id: u64) -> Option<Trace> {
        by_id(self.world, self.jaeger, id)
    }

    fn dependencies(&self) -> BTreeMap<(ArcStr, ArcStr), i64> {
        dependencies(self.world, self.jaeger)
    }
}

/// Requests looked at for lists of names: enough to meet every kind of request.
const SAMPLE: usize = 2_000;

/// The operations of every service that has sent spans.
fn operations(world: &World, jaeger: RunId) -> Operations {
    let mut found = Operations::new();
    visit(world, jaeger, (SimTime::ZERO, world.now), SAMPLE, &mut |seen| {
        for span in seen.spans.iter().filter(|span| span.sink == Some(jaeger)) {
            found.entry(span.service.clone()).or_default().entry(span.operation.clone()).or_insert(span.kind.text());
        }
        true
    });
    found
}

/// Who calls whom how often, in the requests that were looked at.
fn dependencies(world: &World, jaeger: RunId) -> BTreeMap<(ArcStr, ArcStr), i64> {
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
    calls
}

/// The traces that a Jaeger process finds, oldest first.
pub fn search(world: &World, jaeger: RunId, query: &TraceQuery) -> Vec<Trace> {
    let (mut found, mut senders) = (Vec::new(), Senders::new());
    visit(world, jaeger, (query.from, query.until), LOOKED_AT, &mut |seen| {
        if seen.spans.iter().any(|span| span.service == query.service) {
            found.extend(trace(world, jaeger, &seen, &mut senders).filter(|trace| query.fits(trace)));
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
            found = trace(world, jaeger, &seen, &mut Senders::new());
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
        let (start, end) = (regime.from.max(from), regime.until.unwrap_or(until).min(until).min(world.now - BATCH));
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
        let times = heads.iter_mut().enumerate().filter_map(|(index, (_, head))| Some((head.peek()?.at, index)));
        let latest = times.max()?.1;
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
fn trace(world: &World, jaeger: RunId, seen: &Seen<'_>, senders: &mut Senders) -> Option<Trace> {
    let root = seen.spans.first()?;
    let ratio = senders.entry(root.run).or_insert_with(|| sender(world, root)).1;
    if RandomKey::new(seen.trace).part("sampled").stream().unit() >= ratio {
        return None;
    }
    let name = |at: usize| if at == 0 { seen.trace } else { RandomKey::new(seen.trace).number(at as u64).value() };
    let mut kept = Vec::with_capacity(seen.spans.len());
    for (at, span) in seen.spans.iter().enumerate().filter(|(_, span)| span.sink == Some(jaeger)) {
        let process = senders.entry(span.run).or_insert_with(|| sender(world, span)).0.clone();
        let url = (span.kind == SpanKind::HttpServer).then(|| seen.url());
        let tags = tags(span, url, (at == 0).then_some(ratio));
        let (id, parent, operation) = (name(at), span.parent.map(name), span.operation.clone());
        kept.push(Span { id, parent, operation, start: span.start, took: span.took, tags, error: span.error.clone(), process });
    }
    (!kept.is_empty()).then_some(Trace { id: seen.trace, spans: kept })
}

/// Processes that send spans, each as Jaeger has it and with the share of its requests that it traces.
type Senders = BTreeMap<RunId, (Arc<Process>, f64)>;

fn sender(world: &World, span: &Walked) -> (Arc<Process>, f64) {
    (process(world, span), sample_ratio(world, span.run))
}

fn process(world: &World, span: &Walked) -> Arc<Process> {
    let launch = world.history.run(span.run).map(|run| run.launch.clone());
    let (host, ip) = launch.map_or_else(Default::default, |l| (l.pod.clone(), l.pod_ip.clone()));
    let client = RandomKey::new(world.seed).part("tracer").number(span.run.0).value();
    let tags = [("client-uuid", format!("{client:x}").into()), ("hostname", host), ("ip", ip), ("jaeger.version", "Go-2.11.2".into())];
    Arc::new(Process { service: span.service.clone(), tags: tags.map(|(key, value)| (ArcStr::from(key), value)).into() })
}

/// The tags of a span.
fn tags(span: &Walked, url: Option<ArcStr>, sampled: Option<f64>) -> Vec<(ArcStr, Tag)> {
    let (kind, operation, status, failed) = (span.kind, span.operation.as_str(), span.status, span.error.is_some());
    Facts { kind, operation, url, status, failed, sampled, more: &span.tags }.tags()
}
