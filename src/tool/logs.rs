//! `get_logs`: the log of a service's first pod, found by the label that the application's manifests give it.

use super::grammar::Dialect;
use super::table::{Reply, ToolContext};
use crate::cluster::{ApiRequest, LogQuery, Options, TelemetryQuery, TelemetryReply};
use crate::object::{Json, Object, resource};

const NOT_THERE: &str = "Error: Your service/namespace does not exist. Use kubectl to check.";

/// Which label names a service in which namespace, as in AIOpsLab.
const LABELS: &[(&str, &str)] =
    &[("test-social-network", "app"), ("test-hotel-reservation", "io.kompose.service"), ("astronomy-shop", "app.kubernetes.io/name")];

/// Labels that name a service by convention, tried in other namespaces.
const USUAL_LABELS: &[&str] = &["io.kompose.service", "app.kubernetes.io/name", "app", "service"];

/// The handler of `get_logs`.
pub fn get_logs(context: &mut ToolContext<'_>, arguments: &[Json]) -> Reply {
    let (namespace, service) = (arguments.first().map_or("", Json::text), arguments.get(1).map_or("", Json::text));
    let text = if namespace == "docker" {
        "Error: Your service does not exist. Use docker to check.".to_owned()
    } else {
        first_pod(context, namespace, service).and_then(|pod| log(context, namespace, &pod)).unwrap_or_else(|| NOT_THERE.to_owned())
    };
    Reply::Observation(text)
}

fn first_pod(context: &mut ToolContext<'_>, namespace: &str, service: &str) -> Option<Object> {
    if !service.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) || service.is_empty() {
        return None;
    }
    let known = LABELS.iter().find(|(ns, _)| *ns == namespace).map(|(_, label)| std::slice::from_ref(label));
    let labels = match (known, context.dialect) {
        (Some(label), _) => label,
        (None, Dialect::Strict) => &[],
        (None, Dialect::Forgiving) => USUAL_LABELS,
    };
    labels.iter().find_map(|label| {
        let options = Options { label_selector: format!("{label}={service}"), ..Options::default() };
        let pods = ApiRequest::list(resource::builtin_named("", "pods")?, Some(namespace)).options(options);
        context.cluster.api(context.who, &pods).ok()?.into_items().into_iter().next()
    })
}

fn log(context: &mut ToolContext<'_>, namespace: &str, pod: &Object) -> Option<String> {
    let query = LogQuery { namespace: namespace.into(), pod: pod.name().into(), ..LogQuery::default() };
    match context.cluster.telemetry(context.who, &TelemetryQuery::Logs(query)) {
        Ok(TelemetryReply::Logs(text)) => Some(text),
        Ok(_) | Err(_) => None,
    }
}
