//! Jaeger's JSON: traces as its query service prints them, and its search parameters.

use super::trace::{Span, Tag, Trace, TraceQuery};
use crate::object::{Json, Map};
use crate::time::SimTime;
use crate::{array, object};
use arcstr::ArcStr;
use std::collections::BTreeMap;
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
}
