//! Which pods belong to a workload, which of them stands for it, and which container stands for a pod.

use super::command::Call;
use super::failure::{Failure, quote};
use super::mutation;
use crate::cluster::{ApiRequest, Interest, Options, Woken};
use crate::object::{Json, Object, ResourceRef};
use arcstr::ArcStr;
use std::cmp::Ordering;

/// The annotation that names a pod's default container.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// Which pod comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As `logs` takes them: running, ready, ready for longest.
    ForLogs,
    /// As `exec` takes them: running, ready, not on its way out.
    ForExec,
}

/// Go's name for the type of an object: `*v1.Deployment`.
pub fn go_type(object: &Object) -> String {
    let version = object.api_version().rsplit('/').next().unwrap_or_default().to_owned();
    format!("*{version}.{}", object.kind())
}

/// The label selector with which a workload or Service chooses its pods, as a text.
///
/// # Errors
/// When it has none.
pub fn selector_of(object: &Object) -> Result<String, String> {
    let selector = object.at(&["spec", "selector"]);
    match object.kind() {
        "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Deployment" | "Job" => Ok(selector_text(selector)),
        "ReplicationController" => Ok(equalities(selector)),
        "Service" if selector.is_empty() => Err(format!("invalid service '{}': Service is defined without a selector", object.name())),
        "Service" => Ok(equalities(selector)),
        _ => Err(format!("selector for {} not implemented", go_type(object))),
    }
}

fn equalities(labels: &Json) -> String {
    labels.entries().map(|(key, value)| format!("{key}={}", value.text())).collect::<Vec<_>>().join(",")
}

/// A LabelSelector as the text of a query.
pub fn selector_text(selector: &Json) -> String {
    let mut parts: Vec<String> = Vec::new();
    let labels = equalities(selector.get("matchLabels"));
    if !labels.is_empty() {
        parts.push(labels);
    }
    for expression in selector.get("matchExpressions").items() {
        let key = expression.get("key").text();
        let values = || expression.get("values").items().iter().map(Json::text).collect::<Vec<_>>().join(",");
        parts.push(match expression.get("operator").text() {
            "In" => format!("{key} in ({})", values()),
            "NotIn" => format!("{key} notin ({})", values()),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    parts.join(",")
}

/// The pods of a workload, best first; waits up to `nanos` for the first one to appear.
///
/// # Errors
/// When none appears, or the API server refuses.
pub fn pods_of(call: &mut Call<'_, '_>, workload: &Object, nanos: i64, order: Order) -> Result<Vec<Object>, Failure> {
    let selector = selector_of(workload)?;
    let pods = kind(call)?;
    let namespace = workload.namespace().to_owned();
    let request = ApiRequest::list(&pods, Some(&namespace)).options(Options { label_selector: selector, ..Options::default() });
    let until = mutation::from_now(call, nanos);
    loop {
        let mut found = call.api(&request)?.into_items();
        if !found.is_empty() {
            sort(&mut found, order);
            return Ok(found);
        }
        let interest = Interest::Objects { resource: pods.clone(), namespace: Some(ArcStr::from(namespace.as_str())), name: None };
        if mutation::wait(call, until, &[interest])? == Woken::Time {
            return Err("timed out waiting for the condition".into());
        }
    }
}

/// The kind Pod.
///
/// # Errors
/// When discovery fails.
pub fn kind(call: &mut Call<'_, '_>) -> Result<ResourceRef, Failure> {
    call.mapper()?.resolve("pods")
}

/// Sorts pods, best first; equal ones keep their order.
pub fn sort(pods: &mut [Object], order: Order) {
    match order {
        Order::ForLogs => pods.sort_by(for_logs),
        Order::ForExec => pods.sort_by(for_exec),
    }
}

fn unassigned(pod: &Object) -> bool {
    pod.at(&["spec", "nodeName"]).text().is_empty()
}

fn phase_rank(pod: &Object) -> u8 {
    match pod.at(&["status", "phase"]).text() {
        "Pending" => 2,
        "Unknown" => 1,
        _ => 0,
    }
}

/// Whether a pod is ready.
pub fn is_ready(pod: &Object) -> bool {
    pod.condition("Ready").is_some_and(|c| c.get("status").text() == "True")
}

fn ready_since(pod: &Object) -> &str {
    pod.condition("Ready").map_or("", |c| c.get("lastTransitionTime").text())
}

fn restarts(pod: &Object) -> i64 {
    let counts = pod.at(&["status", "containerStatuses"]).items().iter().map(|c| c.get("restartCount").as_i64().unwrap_or(0));
    counts.max().unwrap_or(0)
}

/// Earlier first, a missing time last.
fn by_time(a: &str, b: &str) -> Ordering {
    match (a.is_empty(), b.is_empty()) {
        (false, false) => a.cmp(b),
        (missing_a, missing_b) => missing_a.cmp(&missing_b),
    }
}

fn created(pod: &Object) -> &str {
    pod.meta().get("creationTimestamp").text()
}

fn for_logs(a: &Object, b: &Object) -> Ordering {
    let both_ready = is_ready(a) && is_ready(b);
    unassigned(a)
        .cmp(&unassigned(b))
        .then_with(|| phase_rank(a).cmp(&phase_rank(b)))
        .then_with(|| is_ready(b).cmp(&is_ready(a)))
        .then_with(|| if both_ready { by_time(ready_since(a), ready_since(b)) } else { Ordering::Equal })
        .then_with(|| restarts(b).cmp(&restarts(a)))
        .then_with(|| by_time(created(a), created(b)))
}

fn for_exec(a: &Object, b: &Object) -> Ordering {
    // kubectl sorts by how dispensable a pod is, and turns the order round.
    let both_ready = is_ready(a) && is_ready(b);
    let deleted = |pod: &Object| pod.meta().get("deletionTimestamp").text().to_owned();
    unassigned(a)
        .cmp(&unassigned(b))
        .then_with(|| active_rank(b).cmp(&active_rank(a)))
        .then_with(|| is_ready(b).cmp(&is_ready(a)))
        .then_with(|| a.is_terminating().cmp(&b.is_terminating()))
        .then_with(|| deleted(b).cmp(&deleted(a)))
        .then_with(|| if both_ready { by_time(ready_since(a), ready_since(b)) } else { Ordering::Equal })
        .then_with(|| restarts(a).cmp(&restarts(b)))
        .then_with(|| by_time(created(a), created(b)))
}

/// Running before unknown before everything else.
fn active_rank(pod: &Object) -> u8 {
    match pod.at(&["status", "phase"]).text() {
        "Running" => 2,
        "Unknown" => 1,
        _ => 0,
    }
}

fn named<'p>(pod: &'p Object, field: &str) -> impl Iterator<Item = &'p str> {
    pod.at(&["spec", field]).items().iter().map(|c| c.get("name").text())
}

/// Names of init containers, containers and ephemeral containers, in this order.
pub fn all_containers(pod: &Object) -> Vec<String> {
    let fields = ["initContainers", "containers", "ephemeralContainers"];
    fields.into_iter().flat_map(|field| named(pod, field)).map(str::to_owned).collect()
}

/// Whether the pod has a container of this name.
pub fn has_container(pod: &Object, name: &str) -> bool {
    all_containers(pod).iter().any(|c| c == name)
}

fn choice(pod: &Object) -> String {
    let mut names: Vec<String> = named(pod, "containers").map(str::to_owned).collect();
    names.extend(named(pod, "ephemeralContainers").map(|name| format!("{name} (ephem)")));
    names.extend(named(pod, "initContainers").map(|name| format!("{name} (init)")));
    names.join(", ")
}

/// The pod's first container, with the note that it was chosen if there are others.
fn first_container(pod: &Object) -> (String, Option<String>) {
    let first = named(pod, "containers").next().unwrap_or_default().to_owned();
    let note = (all_containers(pod).len() > 1).then(|| format!("Defaulted container {} out of: {}", quote(&first), choice(pod)));
    (first, note)
}

/// The container that `exec` takes.
pub fn default_container(call: &mut Call<'_, '_>, pod: &Object, quiet: bool) -> String {
    if let Some(name) = pod.annotation(DEFAULT_CONTAINER).filter(|name| has_container(pod, name)) {
        return name.to_owned();
    }
    let (name, note) = first_container(pod);
    if let Some(note) = note.filter(|_| !quiet) {
        call.complain(note);
    }
    name
}

/// The container that `logs` takes.
pub fn default_log_container(call: &mut Call<'_, '_>, pod: &Object, quiet: bool) -> String {
    match pod.annotation(DEFAULT_CONTAINER) {
        Some(name) if has_container(pod, name) => return name.to_owned(),
        Some(name) if !name.is_empty() => call.complain(format!("Default container name {} not found in pod {}", quote(name), pod.name())),
        _ => {}
    }
    let (name, note) = first_container(pod);
    if let Some(note) = note.filter(|_| !quiet) {
        call.complain(note);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Object {
        Object(Json::parse(text).expect("valid"))
    }

    #[test]
    fn finds_selectors() {
        let check = |text: &str, expect: Result<&str, &str>| {
            assert_eq!(selector_of(&object(text)).as_deref(), expect.map_err(str::to_owned).as_ref().copied());
        };
        check(r#"{"kind":"Deployment","spec":{"selector":{"matchLabels":{"b":"c","a":"b"}}}}"#, Ok("a=b,b=c"));
        check(
            r#"{"kind":"Job","spec":{"selector":{"matchExpressions":[{"key":"x","operator":"In","values":["a","b"]},
                {"key":"y","operator":"Exists"},{"key":"z","operator":"DoesNotExist"}]}}}"#,
            Ok("x in (a,b),y,!z"),
        );
        check(r#"{"kind":"Service","metadata":{"name":"s"},"spec":{}}"#, Err("invalid service 's': Service is defined without a selector"));
        check(r#"{"kind":"ConfigMap","apiVersion":"v1"}"#, Err("selector for *v1.ConfigMap not implemented"));
    }

    #[test]
    fn puts_the_best_pod_first() {
        let pod = |name: &str, phase: &str, ready: &str, at: &str| {
            object(&format!(
                r#"{{"metadata":{{"name":"{name}","creationTimestamp":"{at}"}},"spec":{{"nodeName":"n"}},
                    "status":{{"phase":"{phase}","conditions":[{{"type":"Ready","status":"{ready}","lastTransitionTime":"{at}"}}]}}}}"#
            ))
        };
        let mut pods = vec![
            pod("pending", "Pending", "False", "1"),
            pod("young", "Running", "True", "3"),
            pod("sick", "Running", "False", "1"),
            pod("old", "Running", "True", "2"),
        ];
        for order in [Order::ForLogs, Order::ForExec] {
            sort(&mut pods, order);
            let names: Vec<&str> = pods.iter().map(Object::name).collect();
            assert_eq!(names, ["old", "young", "sick", "pending"], "{order:?}");
        }
    }
}
