//! Traces of an application, out of the Jaeger that is found on the cluster, asked through the API server's service proxy.

use super::line::{Answer, Line};
use super::request::{Query, path, segment};
use crate::cluster::{ApiError, ApiReply, ApiRequest, TracesQuery};
use crate::object::{Json, resource};
use crate::telemetry::{Trace, merged, parse_trace};

/// The service of Jaeger's traces of itself.
const JAEGER_ITSELF: &str = "jaeger";

/// The traces that were asked for.
///
/// A Jaeger of the application's namespace comes first; of the others, the first that answers.
pub(super) async fn traces(line: &Line, query: &TracesQuery) -> Result<Vec<Trace>, ApiError> {
    let services = resource::builtin_named("", "services").ok_or_else(|| query.no_jaeger())?;
    let own = line.api(&ApiRequest::list(services, Some(&query.namespace))).await?;
    let mut places = proxies(own);
    if places.is_empty() {
        // Somebody who may not look around has only the application's namespace.
        places = line.api(&ApiRequest::list(services, None)).await.map(proxies).unwrap_or_default();
    }
    let mut refusal = query.no_jaeger();
    for place in places {
        match search(line, &place, query).await {
            Ok(found) => return Ok(found),
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

/// Paths under which the API server leads to a query service.
fn proxies(reply: ApiReply) -> Vec<String> {
    let place = |service: &crate::object::Object| {
        let port = TracesQuery::port_of(service)?;
        let kind = resource::builtin_named("", "services")?;
        let base = path(kind, Some(service.namespace()), None, None);
        Some(format!("{base}/http:{}:{port}/proxy", segment(service.name())))
    };
    reply.into_items().iter().filter_map(place).collect()
}

async fn search(line: &Line, place: &str, query: &TracesQuery) -> Result<Vec<Trace>, ApiError> {
    use futures::{StreamExt, TryStreamExt};
    let services: Vec<String> = match &query.service {
        Some(service) => vec![service.to_string()],
        None => {
            let all = data(line.get(&format!("{place}/api/services")).await?)?;
            all.items().iter().map(Json::text).filter(|name| !name.starts_with(JAEGER_ITSELF)).map(str::to_owned).collect()
        }
    };
    let uris = services.iter().map(|service| {
        let mut asked = Query::default();
        asked.add("service", service);
        asked.add("start", &(query.since.as_nanos() / 1000).to_string());
        asked.add("end", &(query.until.as_nanos() / 1000).to_string());
        asked.add("limit", &query.limit.to_string());
        format!("{place}/api/traces{}", asked.into_text())
    });
    let uris: Vec<String> = uris.collect();
    let found: Vec<Json> =
        futures::stream::iter(&uris).map(|uri| async move { data(line.get(uri).await?) }).buffered(super::AT_ONCE).try_collect().await?;
    Ok(merged(found.iter().flat_map(Json::items).filter_map(parse_trace)))
}

/// The data of an answer of Jaeger; of the API server's own refusals the message.
fn data(answer: Answer) -> Result<Json, ApiError> {
    let text = String::from_utf8_lossy(&answer.body);
    let json = Json::parse(&text).unwrap_or_default();
    if answer.status == 200 && !json.is_null() {
        return Ok(json.get("data").clone());
    }
    let said = [json.get("message").text(), json.get("errors").nth(0).get("msg").text()].into_iter().find(|text| !text.is_empty());
    let said = said.map_or_else(|| text.trim().chars().take(200).collect(), str::to_owned);
    let (code, reason) = match answer.status {
        403 => (403, "Forbidden"),
        200 => (502, "BadGateway"),
        code => (code, "ServiceUnavailable"),
    };
    Err(ApiError::new(code, reason, format!("Jaeger cannot be asked: {said}")))
}
