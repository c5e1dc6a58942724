//! Jaeger's JSON: traces as its query service prints them, and its search parameters.

use super::trace::{Process, Span, Tag, Trace, TraceQuery};
use crate::object::{Json, Map};
use crate::time::SimTime;
use crate::{array, object};
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How far back Jaeger searches unless told otherwise.
const LOOKBACK: Duration = Duration::from_secs(48 * 3600);

/// How many traces Jaeger returns unless told otherwise.
const LIMIT: usize = 100;

/// The envelope of every answer.
pub fn answer(data: Json, total: usize) -> Json {
    object! { "data" => data, "errors" => Json::Null, "limit" => 0, "offset" => 0, "total" => total }
}

/// The envelope of a failure.
pub fn failure(code: u16, message: &str) -> Json {
    let error = object! { "code" => i64::from(code), "msg" => message };
    object! { "data" => Json::Null, "errors" => array![error], "limit" => 0, "offset" => 0, "total" => 0 }
}

/// The operations of every service, with the kind of their spans.
pub type Operations = BTreeMap<ArcStr, BTreeMap<ArcStr, &'static str>>;

/// Traces that a Jaeger holds.
pub trait Traces {
    /// The operations of every service that has sent spans.
    fn operations(&self) -> Operations;
    /// Traces that fit, oldest first.
    fn search(&self, query: &TraceQuery) -> Vec<Trace>;
    /// The trace of an id.
    fn by_id(&self, id: u64) -> Option<Trace>;
    /// Who calls whom how often.
    fn dependencies(&self) -> BTreeMap<(ArcStr, ArcStr), i64>;
}

/// The API of the query service: status and answer; `None` for other paths.
pub fn api(traces: &dyn Traces, path: &str, parameter: &dyn Fn(&str) -> Option<String>, now: SimTime) -> Option<(u16, Json)> {
    let path = path.split(['?', '#']).next().unwrap_or("").trim_end_matches('/');
    Some(match path.strip_prefix("/api/")?.split('/').collect::<Vec<_>>().as_slice() {
        ["services"] => listed(traces.operations().keys().map(Json::from).collect()),
        ["services", service, "operations"] => listed(names(&traces.operations(), service, |name, _| Json::from(name))),
        ["operations"] => match parameter("service") {
            Some(service) => {
                let entry = |name: &ArcStr, kind: &str| object! { "name" => name, "spanKind" => kind };
                listed(names(&traces.operations(), &service, entry))
            }
            None => (400, failure(400, "parameter 'service' is required")),
        },
        ["traces"] => match parse_search(parameter, now) {
            Ok(query) => {
                let found: Json = traces.search(&query).iter().map(trace_json).collect();
                (200, answer(found, 0))
            }
            Err(message) => (400, failure(400, &message)),
        },
        ["traces", id] => {
            match u64::from_str_radix(id.get(id.len().saturating_sub(16)..).unwrap_or(id), 16).ok().and_then(|id| traces.by_id(id)) {
                Some(trace) => (200, answer(array![trace_json(&trace)], 0)),
                None => (404, failure(404, "trace not found")),
            }
        }
        ["dependencies"] => {
            let edge =
                |((parent, child), count): ((ArcStr, ArcStr), i64)| object! { "parent" => parent, "child" => child, "callCount" => count };
            listed(traces.dependencies().into_iter().map(edge).collect())
        }
        _ => return None,
    })
}

fn listed(items: Vec<Json>) -> (u16, Json) {
    let total = items.len();
    (200, answer(Json::from(items), total))
}

fn names(all: &Operations, service: &str, entry: impl Fn(&ArcStr, &str) -> Json) -> Vec<Json> {
    all.get(service).into_iter().flatten().map(|(name, kind)| entry(name, kind)).collect()
}

/// Reads the parameters of `/api/traces`.
///
/// # Errors
/// Jaeger's own words for what is wrong.
pub fn parse_search(parameter: &dyn Fn(&str) -> Option<String>, now: SimTime) -> Result<TraceQuery, String> {
    let given = |name: &str| parameter(name).filter(|value| !value.is_empty());
    let service = given("service").ok_or("parameter 'service' is required")?;
    let until = match given("end") {
        Some(text) => micros(&text, "end")?,
        None => now,
    };
    let from = match given("start") {
        Some(text) => micros(&text, "start")?,
        None => until - LOOKBACK,
    };
    let limit = match given("limit") {
        Some(text) => {
            text.parse().map_err(|_| format!("unable to parse param 'limit': strconv.ParseInt: parsing {text:?}: invalid syntax"))?
        }
        None => LIMIT,
    };
    let length = |name: &str| {
        given(name)
            .map(|text| duration(&text).ok_or(format!("unable to parse param '{name}': time: invalid duration {text:?}")))
            .transpose()
    };
    let (shortest, longest) = (length("minDuration")?, length("maxDuration")?);
    let mut tags = Vec::new();
    if let Some(text) = given("tags") {
        let json = Json::parse(&text).map_err(|_| "malformed 'tags' parameter, cannot unmarshal JSON")?;
        tags.extend(
            json.entries()
                .map(|(key, value)| (key.clone(), ArcStr::from(value.as_str().map_or_else(|| value.to_compact(), str::to_owned)))),
        );
    }
    if let Some((key, value)) = given("tag").as_deref().and_then(|t| t.split_once(':')) {
        tags.push((key.into(), value.into()));
    }
    Ok(TraceQuery { service: service.into(), operation: given("operation").map(ArcStr::from), tags, from, until, shortest, longest, limit })
}

fn micros(text: &str, name: &str) -> Result<SimTime, String> {
    let value: u64 =
        text.parse().map_err(|_| format!("unable to parse param '{name}': strconv.ParseInt: parsing {text:?}: invalid syntax"))?;
    Ok(SimTime::from_nanos(value.saturating_mul(1000)))
}

/// Go's durations of one unit: `100us`, `1.5ms`, `2s`.
fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    number.parse::<f64>().ok().filter(|x| (0.0..1e9).contains(x)).map(|x| Duration::from_secs_f64(x * scale))
}

/// A trace as the query service prints it.
pub fn trace_json(trace: &Trace) -> Json {
    let mut processes: Vec<&Span> = Vec::new();
    let id = format!("{:016x}", trace.id);
    let mut spans = Vec::with_capacity(trace.spans.len());
    for span in &trace.spans {
        let at = processes.iter().position(|s| s.process == span.process).unwrap_or_else(|| {
            processes.push(span);
            processes.len() - 1
        });
        spans.push(span_json(&id, span, at + 1));
    }
    let process = |(at, span): (usize, &&Span)| {
        let tags: Json = span.process.tags.iter().map(|(key, value)| tag_json(key, &Tag::Text(value.clone()))).collect();
        (ArcStr::from(format!("p{}", at + 1)), object! { "serviceName" => &span.process.service, "tags" => tags })
    };
    let processes: Map = processes.iter().enumerate().map(process).collect();
    object! { "traceID" => id, "spans" => spans, "processes" => processes, "warnings" => Json::Null }
}

fn span_json(trace: &str, span: &Span, process: usize) -> Json {
    let reference = |parent: u64| object! { "refType" => "CHILD_OF", "traceID" => trace, "spanID" => format!("{parent:016x}") };
    let micros = |nanos: u128| i64::try_from(nanos / 1000).unwrap_or(i64::MAX);
    let log = |error: &ArcStr| {
        let fields = array![tag_json("event", &Tag::Text("error".into())), tag_json("message", &Tag::Text(error.clone()))];
        object! { "timestamp" => micros(u128::from((span.start + span.took).as_nanos())), "fields" => fields }
    };
    object! {
        "traceID" => trace,
        "spanID" => format!("{:016x}", span.id),
        "operationName" => &span.operation,
        "references" => span.parent.into_iter().map(reference).collect::<Json>(),
        "startTime" => micros(u128::from(span.start.as_nanos())),
        "duration" => micros(span.took.as_nanos()),
        "tags" => span.tags.iter().map(|(key, tag)| tag_json(key, tag)).collect::<Json>(),
        "logs" => span.error.iter().map(log).collect::<Json>(),
        "processID" => format!("p{process}"),
        "warnings" => Json::Null,
    }
}

/// Reads a trace as the query service prints it; `None` when it is none. The ids of 128 bits of newer clients are cut to their last 64.
pub fn parse_trace(json: &Json) -> Option<Trace> {
    let id = parse_id(json.get("traceID").text())?;
    let process = |(name, process): (&ArcStr, &Json)| {
        let tag = |tag: &Json| Some((tag.get("key").as_text()?.clone(), ArcStr::from(parse_tag(tag)?.text())));
        let tags = process.get("tags").items().iter().filter_map(tag).collect();
        Some((name.clone(), Arc::new(Process { service: process.get("serviceName").as_text()?.clone(), tags })))
    };
    let processes: BTreeMap<ArcStr, Arc<Process>> = json.get("processes").entries().filter_map(process).collect();
    let spans: Vec<Span> = json.get("spans").items().iter().filter_map(|span| parse_span(span, &processes)).collect();
    (!spans.is_empty()).then(|| Trace { id, spans: parents_first(spans) })
}

fn parse_id(text: &str) -> Option<u64> {
    u64::from_str_radix(text.get(text.len().saturating_sub(16)..)?, 16).ok()
}

fn parse_span(json: &Json, processes: &BTreeMap<ArcStr, Arc<Process>>) -> Option<Span> {
    let micros = |name: &str| json.get(name).as_i64().and_then(|value| u64::try_from(value).ok());
    let logged = |log: &Json| {
        let fields = log.get("fields");
        let is_error = fields.find("key", "event").is_some_and(|event| event.get("value").text() == "error");
        fields.find("key", "message").filter(|_| is_error).and_then(|message| message.get("value").as_text().cloned())
    };
    Some(Span {
        id: parse_id(json.get("spanID").text())?,
        parent: json.get("references").items().iter().find_map(|reference| parse_id(reference.get("spanID").text())),
        operation: json.get("operationName").as_text()?.clone(),
        start: SimTime::from_nanos(micros("startTime")?.saturating_mul(1000)),
        took: Duration::from_micros(micros("duration")?),
        tags: json.get("tags").items().iter().filter_map(|tag| Some((tag.get("key").as_text()?.clone(), parse_tag(tag)?))).collect(),
        error: json.get("logs").items().iter().find_map(logged),
        process: processes.get(json.get("processID").text())?.clone(),
    })
}

fn parse_tag(json: &Json) -> Option<Tag> {
    let value = json.get("value");
    Some(match json.get("type").text() {
        "bool" => Tag::Bool(value.as_bool()?),
        "int64" => Tag::Int(value.as_i64()?),
        "float64" => Tag::Float(value.as_f64()?),
        _ => Tag::Text(value.as_text().cloned().unwrap_or_else(|| value.to_compact().into())),
    })
}

/// Jaeger prints spans in the order in which they came in. Of those that wait for no parent each keeps its place.
fn parents_first(mut waiting: Vec<Span>) -> Vec<Span> {
    let mut sorted: Vec<Span> = Vec::with_capacity(waiting.len());
    let mut open: std::collections::BTreeSet<u64> = waiting.iter().map(|span| span.id).collect();
    while !waiting.is_empty() {
        let before = waiting.len();
        let mut later = Vec::new();
        for span in waiting {
            if span.parent.is_some_and(|parent| open.contains(&parent)) {
                later.push(span);
            } else {
                open.remove(&span.id);
                sorted.push(span);
            }
        }
        waiting = later;
        if waiting.len() == before {
            // Spans that are each other's parents: as they came.
            sorted.append(&mut waiting);
        }
    }
    sorted
}

/// Traces that several searches found, each once, oldest first.
pub fn merged(found: impl IntoIterator<Item = Trace>) -> Vec<Trace> {
    let by_id: BTreeMap<u64, Trace> = found.into_iter().map(|trace| (trace.id, trace)).collect();
    let mut traces: Vec<Trace> = by_id.into_values().collect();
    traces.sort_by_key(|trace| trace.spans.first().map(|span| span.start));
    traces
}

fn tag_json(key: &str, tag: &Tag) -> Json {
    let (kind, value) = match tag {
        Tag::Text(text) => ("string", Json::from(text)),
        Tag::Int(number) => ("int64", Json::from(*number)),
        Tag::Float(number) => ("float64", Json::from(*number)),
        Tag::Bool(value) => ("bool", Json::from(*value)),
    };
    object! { "key" => key, "type" => kind, "value" => value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_are_read_as_jaeger_reads_them() {
        let now = SimTime::from_secs(1_000_000);
        let check = |pairs: &[(&str, &str)]| {
            let found = |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            parse_search(&found, now)
        };
        assert_eq!(check(&[]), Err("parameter 'service' is required".to_owned()));
        let plain = check(&[("service", "geo"), ("lookback", "1h")]).expect("valid");
        assert_eq!((plain.limit, plain.from, plain.until), (100, now - LOOKBACK, now));
        let full = check(&[("service", "geo"), ("limit", "5"), ("minDuration", "1.5ms"), ("tags", r#"{"error":"true"}"#), ("start", "7")])
            .expect("valid");
        assert_eq!((full.limit, full.shortest, full.tags.len()), (5, Some(Duration::from_micros(1500)), 1));
        assert!(check(&[("service", "geo"), ("limit", "x")]).is_err_and(|e| e.starts_with("unable to parse param 'limit'")));
        assert!(check(&[("service", "geo"), ("minDuration", "5")]).is_err());
    }
    #[test]
    fn a_trace_is_read_as_it_is_printed() {
        let process = |service: &str| Arc::new(Process { service: service.into(), tags: vec![("ip".into(), "10.244.1.7".into())] });
        let span = |id, parent, service: &str, error: Option<&str>| Span {
            id,
            parent,
            operation: "HTTP GET /hotels".into(),
            start: SimTime::from_nanos(1_795_592_783_560_888_000 + id * 1000),
            took: Duration::from_micros(185),
            tags: vec![
                ("sampler.param".into(), Tag::Float(0.5)),
                ("http.status_code".into(), Tag::Int(500)),
                ("error".into(), Tag::Bool(true)),
                ("component".into(), Tag::Text("net/http".into())),
            ],
            error: error.map(ArcStr::from),
            process: process(service),
        };
        let spans =
            vec![span(7, None, "frontend", Some("no \"peer\", at all")), span(8, Some(7), "search", None), span(9, Some(8), "geo", None)];
        let trace = Trace { id: 0xfeed_0000_0000_0007, spans };
        assert_eq!(parse_trace(&trace_json(&trace)), Some(trace.clone()));
        let mut reversed = trace.clone();
        reversed.spans.reverse();
        assert_eq!(parse_trace(&trace_json(&reversed)), Some(trace.clone()));
        assert_eq!(parse_trace(&object! { "traceID" => "x" }), None);
        let mut long = trace_json(&trace);
        long.set("traceID", "0123456789abcdeffeed000000000007");
        assert_eq!(parse_trace(&long).map(|trace| trace.id), Some(trace.id));
        assert_eq!(merged([trace.clone(), trace.clone()]), [trace]);
    }
}
