//! Which kinds the cluster serves: aggregated discovery, as kubectl asks for it.

use super::line::{Line, unreachable};
use crate::cluster::ApiError;
use crate::object::{Json, ResourceRef, ResourceType};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What aggregated discovery is asked with.
const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

/// Every kind in its group's preferred version, and kinds that only another version has.
pub(super) async fn resources(line: &Line) -> Result<Vec<ResourceRef>, ApiError> {
    let mut found = Vec::new();
    for path in ["/api", "/apis"] {
        let mut request = line.request("GET", path, Vec::new())?;
        request.headers_mut().insert("Accept", http::HeaderValue::from_static(ACCEPT));
        let ask = async {
            let response = line.client.send(request).await.map_err(|error| error.to_string())?;
            let status = response.status().as_u16();
            let body = response.into_body().collect_bytes().await.map_err(|error| error.to_string())?;
            Ok::<_, String>((status, String::from_utf8_lossy(&body).into_owned()))
        };
        let (status, text) =
            tokio::time::timeout(line.bound, ask).await.map_err(|_| super::line::too_slow(line.bound))?.map_err(|why| unreachable(&why))?;
        let answer = Json::parse(&text).unwrap_or_default();
        if status != 200 {
            return Err(super::request::error_of(status, &answer));
        }
        found.extend(answer.get("items").items().iter().flat_map(group));
    }
    Ok(found)
}

fn group(group: &Json) -> Vec<ResourceRef> {
    let name = group.at(&["metadata", "name"]).text();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    let mut found = Vec::new();
    for version in group.get("versions").items() {
        for resource in version.get("resources").items() {
            let plural = resource.get("resource").text();
            if known.insert(plural) {
                found.push(Arc::new(resource_type(name, version.get("version").text(), resource)));
            }
        }
    }
    found
}

fn resource_type(group: &str, version: &str, resource: &Json) -> ResourceType {
    let texts = |field: &str| resource.get(field).items().iter().map(|text| text.text().to_owned()).collect();
    let kind = resource.at(&["responseKind", "kind"]).text();
    // Servers that name none, such as metrics-server, mean the kind.
    let singular = Some(resource.get("singularResource").text()).filter(|name| !name.is_empty());
    ResourceType {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        plural: resource.get("resource").text().to_owned(),
        singular: singular.map_or_else(|| kind.to_lowercase(), str::to_owned),
        short_names: texts("shortNames"),
        namespaced: resource.get("scope").text() == "Namespaced",
        categories: texts("categories"),
        verbs: texts("verbs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_version_comes_first() {
        let text = r#"{"metadata":{"name":"autoscaling"},"versions":[
            {"version":"v2","resources":[{"resource":"horizontalpodautoscalers","responseKind":{"kind":"HorizontalPodAutoscaler"},"scope":"Namespaced","singularResource":"horizontalpodautoscaler","verbs":["get"],"shortNames":["hpa"],"categories":["all"]}]},
            {"version":"v1","resources":[{"resource":"horizontalpodautoscalers","responseKind":{"kind":"HorizontalPodAutoscaler"},"scope":"Namespaced"}]}]}"#;
        let found = group(&Json::parse(text).expect("JSON"));
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].api_version().as_str(), found[0].short_names[0].as_str(), found[0].namespaced),
            ("autoscaling/v2", "hpa", true)
        );
    }
}
