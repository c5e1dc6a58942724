//! OpenTelemetry's traces as JSON: what goes to `/v1/traces`, both ways.

use crate::object::Json;
use crate::telemetry::{Process, Span, Tag};
use crate::time::SimTime;
use crate::{array, object};
use arcstr::ArcStr;
use std::sync::Arc;
use std::time::Duration;

fn attribute(key: &str, tag: &Tag) -> Json {
    let value = match tag {
        Tag::Text(text) => object! { "stringValue" => text },
        Tag::Int(n) => object! { "intValue" => n.to_string() },
        Tag::Float(x) => object! { "doubleValue" => *x },
        Tag::Bool(b) => object! { "boolValue" => *b },
    };
    object! { "key" => key, "value" => value }
}

/// Whether a tag stands in a field of its own.
fn implied(key: &str) -> bool {
    matches!(key, "span.kind" | "error")
}

/// The spans of a process, each with its trace.
pub fn encode(process: &Process, spans: &[(u64, Span)]) -> Json {
    let mut of = vec![attribute("service.name", &Tag::Text(process.service.clone()))];
    of.extend(process.tags.iter().map(|(key, value)| attribute(key, &Tag::Text(value.clone()))));
    let one = |(trace, span): &(u64, Span)| {
        let is_server = span.tags.iter().any(|(key, tag)| key == "span.kind" && *tag == Tag::Text("server".into()));
        let mut json = object! {
            "traceId" => format!("{trace:032x}"), "spanId" => format!("{:016x}", span.id), "name" => &span.operation,
            "kind" => if is_server { 2 } else { 3 },
            "startTimeUnixNano" => span.start.as_nanos().to_string(),
            "endTimeUnixNano" => (span.start + span.took).as_nanos().to_string(),
            "attributes" => span.tags.iter().filter(|(key, _)| !implied(key)).map(|(key, tag)| attribute(key, tag)).collect::<Json>(),
        };
        if let Some(parent) = span.parent {
            json.set("parentSpanId", format!("{parent:016x}"));
        }
        if let Some(error) = &span.error {
            json.set("status", object! { "code" => 2, "message" => error });
        }
        json
    };
    let scope = object! { "scope" => object! { "name" => "aiopslab" }, "spans" => spans.iter().map(one).collect::<Json>() };
    object! { "resourceSpans" => array![object! { "resource" => object! { "attributes" => Json::from(of) }, "scopeSpans" => array![scope] }] }
}

fn tag(attribute: &Json) -> (ArcStr, Tag) {
    let value = attribute.get("value");
    let whole = |json: &Json| json.as_i64().or_else(|| json.text().parse().ok());
    let tag = match (value.get("boolValue").as_bool(), whole(value.get("intValue")), value.get("doubleValue").as_f64()) {
        (Some(b), ..) => Tag::Bool(b),
        (_, Some(n), _) => Tag::Int(n),
        (.., Some(x)) => Tag::Float(x),
        _ => Tag::Text(value.get("stringValue").text().into()),
    };
    (attribute.get("key").text().into(), tag)
}

/// The last 64 bits of an id.
fn id(text: &str) -> Option<u64> {
    u64::from_str_radix(text.get(text.len().saturating_sub(16)..)?, 16).ok().filter(|id| *id != 0)
}

fn read_span(json: &Json, process: &Arc<Process>) -> Option<(u64, Span)> {
    let nanos = |key: &str| json.get(key).as_i64().and_then(|n| u64::try_from(n).ok()).or_else(|| json.get(key).text().parse().ok());
    let (start, end) = (nanos("startTimeUnixNano")?, nanos("endTimeUnixNano")?);
    let mut tags: Vec<(ArcStr, Tag)> = json.get("attributes").items().iter().map(tag).collect();
    if !tags.iter().any(|(key, _)| key == "span.kind") {
        let kind = match json.get("kind").as_i64() {
            Some(2) => "server",
            Some(3) => "client",
            _ => "internal",
        };
        tags.push(("span.kind".into(), Tag::Text(kind.into())));
    }
    let failed = json.at(&["status", "code"]).as_i64() == Some(2);
    if failed && !tags.iter().any(|(key, _)| key == "error") {
        tags.push(("error".into(), Tag::Bool(true)));
    }
    let span = Span {
        id: id(json.get("spanId").text())?,
        parent: id(json.get("parentSpanId").text()),
        operation: json.get("name").text().into(),
        start: SimTime::from_nanos(start),
        took: Duration::from_nanos(end.saturating_sub(start)),
        tags,
        error: failed.then(|| json.at(&["status", "message"]).text().into()),
        process: process.clone(),
    };
    Some((id(json.get("traceId").text())?, span))
}

/// The spans in a request's body, each with its trace; `None` when it is no OTLP.
pub fn decode(text: &str) -> Option<Vec<(u64, Span)>> {
    let json = Json::parse(text).ok()?;
    json.as_map()?;
    let mut found = Vec::new();
    for resource in json.get("resourceSpans").items() {
        let all: Vec<(ArcStr, Tag)> = resource.at(&["resource", "attributes"]).items().iter().map(tag).collect();
        let (names, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|(key, _)| key == "service.name");
        let service = names.first().map(|(_, tag)| ArcStr::from(tag.text())).unwrap_or_default();
        let tags = rest.into_iter().map(|(key, tag)| (key, ArcStr::from(tag.text()))).collect();
        let process = Arc::new(Process { service, tags });
        let spans = resource.get("scopeSpans").items().iter().flat_map(|scope| scope.get("spans").items());
        found.extend(spans.filter_map(|span| read_span(span, &process)));
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let process = Arc::new(Process { service: "geo".into(), tags: vec![("ip".into(), "10.0.0.1".into())] });
        let tags = vec![
            ("n".into(), Tag::Int(3)),
            ("x".into(), Tag::Float(0.5)),
            ("span.kind".into(), Tag::Text("server".into())),
            ("error".into(), Tag::Bool(true)),
        ];
        let start = SimTime::from_nanos(1_768_471_200_123_456_789);
        let (operation, took, error) = ("/geo.Geo/Nearby".into(), Duration::from_nanos(66_001), Some("rpc error".into()));
        let span = Span { id: 7, parent: Some(u64::MAX), operation, start, took, tags, error, process: process.clone() };
        let spans = vec![(9, span)];
        assert_eq!(decode(&encode(&process, &spans).to_compact()), Some(spans));
        assert_eq!(decode("[]"), None);
        assert_eq!(decode("{}"), Some(Vec::new()));
    }
}
