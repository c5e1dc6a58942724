//! Tables of the cluster itself: nodes, namespaces, events, leases and other machinery.

use super::{Cells, Fill, human};
use crate::object::{Json, Object, ResourceType};

/// Columns and cells of such a kind.
pub fn layout(resource: &ResourceType) -> Option<(&'static [&'static str], Fill)> {
    Some(match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "nodes") => (NODES, node),
        ("", "namespaces") => (&["NAME", "STATUS", "AGE"], namespace),
        ("" | "events.k8s.io", "events") => (EVENTS, event),
        ("", "componentstatuses") => (&["NAME", "STATUS", "MESSAGE", "ERROR"], component_status),
        ("coordination.k8s.io", "leases") => (&["NAME", "HOLDER", "AGE"], lease),
        ("node.k8s.io", "runtimeclasses") => (&["NAME", "HANDLER", "AGE"], runtime_class),
        ("certificates.k8s.io", "certificatesigningrequests") => {
            (&["NAME", "AGE", "SIGNERNAME", "REQUESTOR", "REQUESTEDDURATION", "CONDITION"], signing_request)
        }
        ("flowcontrol.apiserver.k8s.io", "flowschemas") => {
            (&["NAME", "PRIORITYLEVEL", "MATCHINGPRECEDENCE", "DISTINGUISHERMETHOD", "AGE", "MISSINGPL"], flow_schema)
        }
        ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations") => {
            (&["NAME", "TYPE", "NOMINALCONCURRENCYSHARES", "QUEUES", "HANDSIZE", "QUEUELENGTHLIMIT", "AGE"], priority_level)
        }
        ("apiregistration.k8s.io", "apiservices") => (&["NAME", "SERVICE", "AVAILABLE", "AGE"], api_service),
        ("resource.k8s.io", "deviceclasses" | "resourceclaimtemplates") => (&["NAME", "AGE"], name_and_age),
        ("resource.k8s.io", "resourceclaims") => (&["NAME", "STATE", "AGE"], resource_claim),
        ("resource.k8s.io", "resourceslices") => (&["NAME", "NODE", "DRIVER", "POOL", "AGE"], resource_slice),
        _ => return None,
    })
}

const NODES: &[&str] =
    &["NAME", "STATUS", "ROLES", "AGE", "VERSION", "*INTERNAL-IP", "*EXTERNAL-IP", "*OS-IMAGE", "*KERNEL-VERSION", "*CONTAINER-RUNTIME"];
const EVENTS: &[&str] = &["LAST SEEN", "TYPE", "REASON", "OBJECT", "*SUBOBJECT", "*SOURCE", "MESSAGE", "*FIRST SEEN", "*COUNT", "*NAME"];

/// The roles of a node, sorted.
pub fn roles(node: &Object) -> Vec<String> {
    let role = |(key, value): (&arcstr::ArcStr, &Json)| match key.strip_prefix("node-role.kubernetes.io/") {
        Some(role) => Some(role.to_owned()).filter(|role| !role.is_empty()),
        None if key == "kubernetes.io/role" => Some(value.text().to_owned()).filter(|role| !role.is_empty()),
        None => None,
    };
    let mut roles: Vec<String> = node.meta().get("labels").entries().filter_map(role).collect();
    roles.sort();
    roles.dedup();
    roles
}

fn node(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.write(match object.condition("Ready").map(|c| c.get("status").text()) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    });
    if object.spec().get("unschedulable").is_true() {
        cells.write(",SchedulingDisabled");
    }
    cells.end();
    cells.text_or_none(&roles(object).join(","));
    cells.age(object);
    let info = object.status().get("nodeInfo");
    cells.text(info.get("kubeletVersion").text());
    if !cells.wide {
        return;
    }
    for kind in ["InternalIP", "ExternalIP"] {
        let address = object.status().get("addresses").find("type", kind).map(|a| a.get("address").text());
        cells.text(address.unwrap_or("<none>"));
    }
    for field in ["osImage", "kernelVersion", "containerRuntimeVersion"] {
        let text = info.get(field).text();
        cells.text(if text.is_empty() { "<unknown>" } else { text });
    }
}

fn namespace(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.text(object.status().get("phase").text());
    cells.age(object);
}

/// The two generations of the event API name the same facts differently.
fn either<'e>(event: &'e Json, core: &str, new: &str) -> &'e Json {
    let value = event.get(core);
    if value.is_null() { event.get(new) } else { value }
}

fn event(object: &Object, cells: &mut Cells) {
    let first = match either(object, "firstTimestamp", "deprecatedFirstTimestamp") {
        Json::Null => object.get("eventTime"),
        at => at,
    };
    let last = match (object.at(&["series", "lastObservedTime"]), either(object, "lastTimestamp", "deprecatedLastTimestamp")) {
        (Json::Null, Json::Null) => first,
        (Json::Null, at) => at,
        (at, _) => at,
    };
    let target = either(object, "involvedObject", "regarding");
    cells.since(last);
    cells.text(object.get("type").text());
    cells.text(object.get("reason").text());
    cells.write(&target.get("kind").text().to_lowercase());
    if !target.get("name").text().is_empty() {
        cells.write("/");
        cells.write(target.get("name").text());
    }
    cells.end();
    let message = either(object, "message", "note").text().trim();
    if !cells.wide {
        return cells.text(message);
    }
    cells.text(target.get("fieldPath").text());
    cells.text(&event_source(object));
    cells.text(message);
    cells.since(first);
    let count = either(object, "count", "deprecatedCount").as_i64().filter(|n| *n != 0);
    cells.number(object.at(&["series", "count"]).as_i64().or(count).unwrap_or(1));
    cells.name(object);
}

/// `kubelet, node-1`: who reports an event.
pub fn event_source(event: &Json) -> String {
    let source = either(event, "source", "deprecatedSource");
    let or = |a: &str, b: &str| if a.is_empty() { b.to_owned() } else { a.to_owned() };
    let controller = either(event, "reportingComponent", "reportingController").text();
    let component = or(source.get("component").text(), controller);
    let instance = or(source.get("host").text(), event.get("reportingInstance").text());
    if instance.is_empty() { component } else { format!("{component}, {instance}") }
}

fn component_status(object: &Object, cells: &mut Cells) {
    cells.name(object);
    let condition = object.get("conditions").find("type", "Healthy");
    cells.text(match condition.map(|c| c.get("status").text()) {
        Some("True") => "Healthy",
        Some(_) => "Unhealthy",
        None => "Unknown",
    });
    cells.text(condition.map_or("", |c| c.get("message").text()));
    cells.text(condition.map_or("", |c| c.get("error").text()));
}

fn lease(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.text(object.spec().get("holderIdentity").text());
    cells.age(object);
}

fn runtime_class(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.text(object.get("handler").text());
    cells.age(object);
}

fn signing_request(object: &Object, cells: &mut Cells) {
    let (spec, status) = (object.spec(), object.status());
    cells.name(object);
    cells.age(object);
    cells.text_or_none(spec.get("signerName").text());
    cells.text(spec.get("username").text());
    match spec.get("expirationSeconds").as_i64() {
        Some(seconds) => cells.text(&human(seconds)),
        None => cells.text("<none>"),
    }
    let has = |kind: &str| object.condition(kind).is_some();
    cells.write(if has("Denied") {
        "Denied"
    } else if has("Approved") {
        "Approved"
    } else {
        "Pending"
    });
    if has("Failed") {
        cells.write(",Failed");
    }
    if !status.get("certificate").is_empty() {
        cells.write(",Issued");
    }
    cells.end();
}

fn flow_schema(object: &Object, cells: &mut Cells) {
    let spec = object.spec();
    cells.name(object);
    cells.text(spec.at(&["priorityLevelConfiguration", "name"]).text());
    cells.number(spec.get("matchingPrecedence").as_i64().unwrap_or(0));
    cells.text(spec.at(&["distinguisherMethod", "type"]).as_str().unwrap_or("<none>"));
    cells.age(object);
    cells.text(object.condition("Dangling").map_or("?", |c| c.get("status").text()));
}

fn priority_level(object: &Object, cells: &mut Cells) {
    let spec = object.spec();
    cells.name(object);
    cells.text(spec.get("type").text());
    let limited = spec.get("limited");
    let queuing = limited.at(&["limitResponse", "queuing"]);
    for value in [limited.get("nominalConcurrencyShares"), queuing.get("queues"), queuing.get("handSize"), queuing.get("queueLengthLimit")]
    {
        match value.as_i64() {
            Some(n) => cells.number(n),
            None => cells.text("<none>"),
        }
    }
    cells.age(object);
}

fn api_service(object: &Object, cells: &mut Cells) {
    cells.name(object);
    match object.spec().get("service") {
        Json::Null => cells.text("Local"),
        service => cells.text(&format!("{}/{}", service.get("namespace").text(), service.get("name").text())),
    }
    let (status, reason) = object.condition("Available").map_or(("Unknown", ""), |c| (c.get("status").text(), c.get("reason").text()));
    cells.write(status);
    if status != "True" && !reason.is_empty() {
        cells.write(&format!(" ({reason})"));
    }
    cells.end();
    cells.age(object);
}

/// The row of kinds that have nothing else to show.
pub fn name_and_age(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.age(object);
}

fn resource_claim(object: &Object, cells: &mut Cells) {
    cells.name(object);
    let (deleted, allocated) = (object.is_terminating(), !object.status().get("allocation").is_null());
    let reserved = !object.status().get("reservedFor").is_empty();
    let states = [("deleted", deleted), ("pending", !deleted && !allocated), ("allocated", allocated), ("reserved", allocated && reserved)];
    cells.text(&states.iter().filter(|(_, holds)| *holds).map(|(name, _)| *name).collect::<Vec<_>>().join(","));
    cells.age(object);
}

fn resource_slice(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.text(object.spec().get("nodeName").text());
    cells.text(object.spec().get("driver").text());
    cells.text(object.spec().at(&["pool", "name"]).text());
    cells.age(object);
}
