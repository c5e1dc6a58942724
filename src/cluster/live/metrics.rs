//! Metrics of a namespace: from the Prometheus that is found on the cluster, through the API server's service proxy, else what the kubelets'
//! cAdvisor says at this moment.
//!
//! Both are asked with the environment's own rights: who may reach a kubelet through the API server may run commands in any pod of its node,
//! which an agent may not.

use super::line::{Answer, Line};
use super::request::{Query, path, segment};
use crate::cluster::{ApiError, ApiRequest, MetricsQuery};
use crate::object::{Json, Object, resource};
use crate::telemetry::{Series, parse_exposition};
use crate::time::SimTime;
use arcstr::ArcStr;

/// Prometheus' usual port.
const PORT: i64 = 9090;

/// Samples of one series that Prometheus gives at most.
const MOST: usize = 11_000;

/// The metrics that were asked for.
pub(super) async fn metrics(line: &Line, query: &MetricsQuery) -> Result<Vec<Series>, ApiError> {
    let services = resource::builtin_named("", "services").ok_or_else(|| unserved("services"))?;
    let found = line.api(&ApiRequest::list(services, None)).await.map(crate::cluster::ApiReply::into_items).unwrap_or_default();
    for place in found.iter().filter_map(proxy) {
        // One that does not answer, or does not watch this namespace, is none.
        if let Ok(series) = range(line, &place, query).await
            && !series.is_empty()
        {
            return Ok(series);
        }
    }
    at_present(line, query).await
}

fn unserved(what: &str) -> ApiError {
    ApiError::new(404, "NotFound", format!("the cluster serves no {what}"))
}

/// The path under which the API server leads to a Prometheus.
fn proxy(service: &Object) -> Option<String> {
    let ports = service.spec().get("ports").items();
    let number = |port: &Json| port.get("port").as_i64();
    let named = service.name().contains("prometheus");
    let port = ports.iter().filter_map(number).find(|port| *port == PORT || (named && *port == 80)).filter(|_| named)?;
    let base = path(resource::builtin_named("", "services")?, Some(service.namespace()), None, None);
    Some(format!("{base}/http:{}:{port}/proxy", segment(service.name())))
}

/// A range query.
async fn range(line: &Line, place: &str, query: &MetricsQuery) -> Result<Vec<Series>, ApiError> {
    let instants = query.instants();
    let (Some(first), Some(last)) = (instants.get(instants.len().saturating_sub(MOST)), instants.last()) else { return Ok(Vec::new()) };
    let seconds = |at: &SimTime| format!("{}.{:03}", at.as_secs(), at.as_nanos() / 1_000_000 % 1000);
    let mut asked = Query::default();
    asked.add("query", &selector(query));
    asked.add("start", &seconds(first));
    asked.add("end", &seconds(last));
    asked.add("step", &format!("{:.3}", query.step.as_secs_f64().max(0.001)));
    let answer = line.get(&format!("{place}/api/v1/query_range{}", asked.into_text())).await?;
    let json = body(&answer)?;
    Ok(json.at(&["data", "result"]).items().iter().map(matrix).filter(|series| !series.samples.is_empty()).collect())
}

/// What to select: names and namespace.
fn selector(query: &MetricsQuery) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let names = if query.names.is_empty() { ".+".to_owned() } else { query.names.iter().map(|n| quoted(n)).collect::<Vec<_>>().join("|") };
    format!("{{__name__=~\"{names}\",namespace=\"{}\"}}", quoted(&query.namespace))
}

fn matrix(json: &Json) -> Series {
    let (mut name, mut labels) = (ArcStr::new(), Vec::new());
    for (key, value) in json.get("metric").entries() {
        match key.as_str() {
            "__name__" => name = value.text().into(),
            _ => labels.push((ArcStr::from(key.as_str()), ArcStr::from(value.text()))),
        }
    }
    labels.sort();
    let sample = |pair: &Json| {
        let at = SimTime::from_nanos((pair.nth(0).as_f64()? * 1e9) as u64);
        Some((at, pair.nth(1).text().parse().ok()?))
    };
    Series { name, labels, samples: json.get("values").items().iter().filter_map(sample).collect() }
}

/// What every kubelet says now.
async fn at_present(line: &Line, query: &MetricsQuery) -> Result<Vec<Series>, ApiError> {
    let nodes = resource::builtin_named("", "nodes").ok_or_else(|| unserved("nodes"))?;
    let mut all = Vec::new();
    for node in line.api(&ApiRequest::list(nodes, None)).await?.into_items() {
        let uri = format!("{}/proxy/metrics/cadvisor", path(nodes, None, Some(node.name()), None));
        let answer = line.get(&uri).await?;
        if answer.status != 200 {
            body(&answer)?;
        }
        let of_namespace = |series: &Series| series.label("namespace") == query.namespace && query.wants(&series.name);
        let found = parse_exposition(&String::from_utf8_lossy(&answer.body), query.until);
        all.extend(found.into_iter().filter(of_namespace).map(|series| with_instance(series, node.name())));
    }
    Ok(all)
}

fn with_instance(mut series: Series, node: &str) -> Series {
    series.labels.push((arcstr::literal!("instance"), node.into()));
    series.labels.sort();
    series
}

/// The JSON of an answer; of refusals the message.
fn body(answer: &Answer) -> Result<Json, ApiError> {
    let text = String::from_utf8_lossy(&answer.body);
    let json = Json::parse(&text).unwrap_or_default();
    if answer.status == 200 {
        return Ok(json);
    }
    let said = [json.get("message").text(), json.get("error").text()].into_iter().find(|text| !text.is_empty());
    let said = said.map_or_else(|| text.trim().chars().take(200).collect(), str::to_owned);
    let (code, reason) = if answer.status == 403 { (403, "Forbidden") } else { (answer.status, "ServiceUnavailable") };
    Err(ApiError::new(code, reason, format!("metrics cannot be read: {said}")))
}
