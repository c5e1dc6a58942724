//! Defaults: the fields the server fills in, kind by kind.
//!
//! Not modelled: defaults of volume sources that no node here can mount (iSCSI, RBD, Azure, ScaleIO).

pub mod pod;
mod workloads;

use crate::cluster::sim::store::Kind;
use crate::object::{Json, Object, ResourceType};
use crate::{array, object};

/// Puts `value` under `key` unless something stands there.
fn unless_set(json: &mut Json, key: &str, value: impl Into<Json>) {
    let found = json.get(key);
    if found.is_null() || found.as_str() == Some("") {
        json.set(key, value);
    }
}

/// Fills in the defaults of a kind.
pub fn apply(kind: Kind, resource: &ResourceType, object: &mut Object) {
    match kind {
        Kind::POD => pod::pod(object),
        Kind::DEPLOYMENT => workloads::deployment(object),
        Kind::REPLICA_SET => workloads::replica_set(object),
        Kind::STATEFUL_SET => workloads::stateful_set(object),
        Kind::DAEMON_SET => workloads::daemon_set(object),
        Kind::JOB => workloads::job(object),
        Kind::CRON_JOB => workloads::cron_job(object),
        Kind::HPA => workloads::autoscaler(object),
        Kind::SERVICE => service(object),
        Kind::SECRET => unless_set(object, "type", "Opaque"),
        Kind::NAMESPACE => namespace(object),
        Kind::PV => persistent_volume(object),
        Kind::PVC => {
            let spec = object.get_mut("spec");
            unless_set(spec, "volumeMode", "Filesystem");
            unless_set(object.get_mut("status"), "phase", "Pending");
        }
        Kind::ENDPOINTS => endpoints(object),
        Kind::ENDPOINT_SLICE => endpoint_slice(object),
        Kind::LIMIT_RANGE => limit_range(object),
        Kind::NETWORK_POLICY => network_policy(object),
        Kind::ROLE_BINDING | Kind::CLUSTER_ROLE_BINDING => role_binding(object),
        Kind::STORAGE_CLASS => {
            unless_set(object, "reclaimPolicy", "Delete");
            unless_set(object, "volumeBindingMode", "Immediate");
        }
        Kind::PRIORITY_CLASS => unless_set(object, "preemptionPolicy", "PreemptLowerPriority"),
        Kind::CRD => custom_resource_definition(object),
        Kind::NODE => node(object),
        _ => others(resource, object),
    }
}

fn others(resource: &ResourceType, object: &mut Object) {
    match resource.plural.as_str() {
        "replicationcontrollers" => workloads::replication_controller(object),
        "podtemplates" if !object.get("template").is_null() => pod::template(object.get_mut("template")),
        _ => {}
    }
}

fn service(object: &mut Object) {
    let spec = object.get_mut("spec");
    unless_set(spec, "sessionAffinity", "None");
    match spec.get("sessionAffinity").text() {
        "None" => drop(spec.remove("sessionAffinityConfig")),
        "ClientIP" if spec.at(&["sessionAffinityConfig", "clientIP", "timeoutSeconds"]).is_null() => {
            spec.set_at(&["sessionAffinityConfig", "clientIP", "timeoutSeconds"], 10800);
        }
        _ => {}
    }
    unless_set(spec, "type", "ClusterIP");
    let ports = spec.get("ports").items().len();
    for at in 0..ports {
        if let Some(port) = spec.get_mut("ports").items_mut().get_mut(at) {
            unless_set(port, "protocol", "TCP");
            let target = port.get("targetPort");
            if target.is_null() || target.as_i64() == Some(0) || target.as_str() == Some("") {
                let number = port.get("port").clone();
                port.set("targetPort", number);
            }
        }
    }
    let kind = spec.get("type").text().to_owned();
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") || kind == "ClusterIP" && !spec.get("externalIPs").is_empty() {
        unless_set(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
        unless_set(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        unless_set(spec, "allocateLoadBalancerNodePorts", true);
    }
}

fn namespace(object: &mut Object) {
    let name = object.name().to_owned();
    if !name.is_empty() {
        object.set_at(&["metadata", "labels", "kubernetes.io/metadata.name"], name);
    }
    unless_set(object.get_mut("status"), "phase", "Active");
}

fn persistent_volume(object: &mut Object) {
    let spec = object.get_mut("spec");
    unless_set(spec, "persistentVolumeReclaimPolicy", "Retain");
    unless_set(spec, "volumeMode", "Filesystem");
    if !spec.get("hostPath").is_null() {
        unless_set(spec.get_mut("hostPath"), "type", "");
    }
    unless_set(object.get_mut("status"), "phase", "Pending");
}

fn endpoints(object: &mut Object) {
    let count = object.get("subsets").items().len();
    for at in 0..count {
        let Some(subset) = object.get_mut("subsets").items_mut().get_mut(at) else { continue };
        if !subset.get("ports").is_empty() {
            subset.get_mut("ports").items_mut().iter_mut().for_each(|port| unless_set(port, "protocol", "TCP"));
        }
    }
}

fn endpoint_slice(object: &mut Object) {
    if object.get("ports").is_empty() {
        return;
    }
    for port in object.get_mut("ports").items_mut() {
        unless_set(port, "name", "");
        unless_set(port, "protocol", "TCP");
    }
}

/// A limit stands in for a missing default, a default for a missing default request, a minimum for that.
fn limit_range(object: &mut Object) {
    if object.spec().get("limits").is_empty() {
        return;
    }
    let fill = |item: &mut Json, from: &str, to: &str| {
        let source = item.get(from).clone();
        for (name, amount) in source.entries().filter(|(name, _)| !name.is_empty()) {
            if item.at(&[to, name]).is_null() {
                item.set_at(&[to, name], amount);
            }
        }
    };
    for item in object.get_mut("spec").get_mut("limits").items_mut() {
        if item.get("type").text() == "Container" {
            fill(item, "max", "default");
            fill(item, "default", "defaultRequest");
            fill(item, "min", "defaultRequest");
        }
    }
}

fn network_policy(object: &mut Object) {
    let spec = object.get_mut("spec");
    if spec.get("policyTypes").is_empty() {
        let mut types = array!["Ingress"];
        if !spec.get("egress").is_empty() {
            types.push("Egress");
        }
        spec.set("policyTypes", types);
    }
    for direction in ["ingress", "egress"] {
        if spec.get(direction).is_empty() {
            continue;
        }
        for rule in spec.get_mut(direction).items_mut() {
            if !rule.get("ports").is_empty() {
                rule.get_mut("ports").items_mut().iter_mut().for_each(|port| unless_set(port, "protocol", "TCP"));
            }
        }
    }
}

fn role_binding(object: &mut Object) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    unless_set(object.get_mut("roleRef"), "apiGroup", GROUP);
    if !object.get("subjects").is_empty() {
        for subject in object.get_mut("subjects").items_mut() {
            if matches!(subject.get("kind").text(), "User" | "Group") {
                unless_set(subject, "apiGroup", GROUP);
            }
        }
    }
}

fn custom_resource_definition(object: &mut Object) {
    let spec = object.get_mut("spec");
    let kind = spec.at(&["names", "kind"]).text().to_owned();
    let names = spec.get_mut("names");
    unless_set(names, "singular", kind.to_lowercase());
    if !kind.is_empty() {
        unless_set(names, "listKind", format!("{kind}List"));
    }
    unless_set(spec, "conversion", object! { "strategy" => "None" });
    if object.status().get("storedVersions").is_empty() {
        let stored = object.spec().get("versions").items().iter().find(|v| v.get("storage").is_true());
        let stored: Json = stored.map(|v| v.get("name").clone()).into_iter().collect();
        object.set_at(&["status", "storedVersions"], stored);
    }
}

fn node(object: &mut Object) {
    let status = object.status();
    if status.get("allocatable").is_null() && !status.get("capacity").is_null() {
        let capacity = status.get("capacity").clone();
        object.set_at(&["status", "allocatable"], capacity);
    }
}
