//! What an environment consists of now, and how that differs from its record.

use super::{EnvironmentError, Place, Record};
use crate::cluster::{ApiRequest, Cluster, Identity, Options};
use crate::object::{Json, Object, ResourceRef, ResourceType};
use std::collections::BTreeMap;

/// Kinds whose objects come and go by themselves or say nothing about what was asked for.
const PASSING: &[&str] = &["events", "endpoints", "endpointslices", "leases", "controllerrevisions", "bindings", "podmetrics"];

/// Annotations that controllers write.
const CONTROLLERS: &[&str] =
    &["deployment.kubernetes.io/", "pv.kubernetes.io/", "volume.kubernetes.io/", "volume.beta.kubernetes.io/", "endpoints.kubernetes.io/"];

/// An object of an environment, where it is.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its kind.
    pub resource: ResourceRef,
    /// Itself.
    pub object: Object,
}

/// What differs from the record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// It was there and is not.
    Gone(String),
    /// It is another than it was.
    Changed(String),
    /// It was not there.
    Added(String),
}

impl Difference {
    /// `group/plural/name`.
    pub fn key(&self) -> &str {
        match self {
            Difference::Gone(key) | Difference::Changed(key) | Difference::Added(key) => key,
        }
    }
}

/// `group/plural/name`: cluster-scoped and namespaced kinds have different plurals, so that is unique in a place.
pub fn key_of(resource: &ResourceType, name: &str) -> String {
    format!("{}/{}/{name}", resource.group, resource.plural)
}

/// Every object of an environment that somebody asked for: in the application's namespace, and at the cluster's scope those with our label
/// or in the record.
///
/// # Errors
/// The API server's answer.
pub fn survey(cluster: &mut dyn Cluster, place: &Place, record: &Record) -> Result<BTreeMap<String, Part>, EnvironmentError> {
    let failed = |doing: &str| EnvironmentError::api(format!("{doing} of namespace {}", place.namespace));
    let kinds: Vec<ResourceRef> =
        cluster.resources().map_err(failed("discovering the kinds"))?.iter().filter(|kind| is_kept(kind)).cloned().collect();
    let request = |kind: &ResourceRef| {
        let namespace = kind.namespaced.then_some(place.namespace.as_str());
        let label_selector = if kind.namespaced { String::new() } else { place.selector() };
        ApiRequest::list(kind, namespace).options(Options { label_selector, ..Options::default() })
    };
    let requests: Vec<ApiRequest> = kinds.iter().map(request).collect();
    let mut found = BTreeMap::new();
    for (kind, reply) in kinds.iter().zip(cluster.api_many(&Identity::operator(), &requests)) {
        let items = match reply {
            Ok(reply) => reply.into_items(),
            // A kind that discovery names and the server does not list, such as one of an aggregated API that is down.
            Err(error) if matches!(error.code, 403..=405 | 503) && !is_own(kind) => continue,
            Err(error) => return Err(failed("listing the objects")(error)),
        };
        for object in items.into_iter().filter(|object| is_asked_for(kind, object)) {
            found.insert(key_of(kind, object.name()), Part { resource: kind.clone(), object });
        }
    }
    // An object whose label somebody took off is still ours.
    for key in record.objects.keys().filter(|key| !found.contains_key(*key)).cloned().collect::<Vec<_>>() {
        let mut parts = key.splitn(3, '/');
        let (group, plural, name) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let Some(kind) = kinds.iter().find(|kind| !kind.namespaced && kind.group == group && kind.plural == plural) else { continue };
        if let Ok(reply) = cluster.api(&Identity::operator(), &ApiRequest::get(kind, None, name)) {
            found.insert(key, Part { resource: kind.clone(), object: reply.into_object() });
        }
    }
    Ok(found)
}

fn is_own(kind: &ResourceType) -> bool {
    matches!(kind.group.as_str(), "" | "apps")
}

fn is_kept(kind: &ResourceType) -> bool {
    let at_cluster_scope = matches!(kind.plural.as_str(), "persistentvolumes" | "storageclasses" | "priorityclasses");
    kind.allows("list") && kind.allows("delete") && !PASSING.contains(&kind.plural.as_str()) && (kind.namespaced || at_cluster_scope)
}

/// Whether somebody asked for an object, rather than a controller.
fn is_asked_for(kind: &ResourceType, object: &Object) -> bool {
    let automatic = matches!((kind.plural.as_str(), object.name()), ("serviceaccounts", "default") | ("configmaps", "kube-root-ca.crt"));
    !automatic && object.controller().is_none() && !object.is_terminating()
}

/// Digests of the parts.
pub fn digests(parts: &BTreeMap<String, Part>) -> BTreeMap<String, String> {
    parts.iter().map(|(key, part)| (key.clone(), digest_of(&part.object))).collect()
}

/// How the parts differ from the record, in order of their keys.
pub fn differences(record: &Record, parts: &BTreeMap<String, Part>) -> Vec<Difference> {
    let mut found = Vec::new();
    for (key, digest) in &record.objects {
        match parts.get(key) {
            None => found.push(Difference::Gone(key.clone())),
            Some(part) if digest_of(&part.object) != *digest => found.push(Difference::Changed(key.clone())),
            Some(_) => {}
        }
    }
    found.extend(parts.keys().filter(|key| !record.objects.contains_key(*key)).map(|key| Difference::Added(key.clone())));
    found.sort_by(|a, b| a.key().cmp(b.key()));
    found
}

/// A digest of what was asked for in an object: without status, what the server and controllers write, and what is allocated.
pub fn digest_of(object: &Object) -> String {
    format!("{:016x}", crate::rng::Key::new(0).part(&asked_for(object).to_compact()).value())
}

fn asked_for(object: &Object) -> Json {
    let mut json = object.0.clone();
    json.remove("status");
    for field in ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink", "finalizers"] {
        json.remove_at(&["metadata", field]);
    }
    if matches!(json.at(&["metadata", "annotations"]), Json::Obj(_)) {
        let annotations = json.at_mut(&["metadata", "annotations"]).map_mut();
        annotations.retain(|key, _| !CONTROLLERS.iter().any(|prefix| key.starts_with(prefix)));
        if annotations.is_empty() {
            json.remove_at(&["metadata", "annotations"]);
        }
    }
    match json.get("kind").text() {
        "Service" => {
            for field in ["clusterIP", "clusterIPs", "healthCheckNodePort"] {
                json.remove_at(&["spec", field]);
            }
            for port in json.at_mut(&["spec", "ports"]).items_mut() {
                port.remove("nodePort");
            }
        }
        "PersistentVolumeClaim" => drop(json.remove_at(&["spec", "volumeName"])),
        "PersistentVolume" => drop(json.remove_at(&["spec", "claimRef"])),
        "ServiceAccount" => drop(json.remove("secrets")),
        _ => {}
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{array, object};

    fn service(cluster_ip: &str, port: i64, uid: &str) -> Object {
        Object(object! {
            "apiVersion" => "v1", "kind" => "Service",
            "metadata" => object! { "name" => "x", "uid" => uid, "annotations" => object! { "endpoints.kubernetes.io/last" => uid } },
            "spec" => object! { "clusterIP" => cluster_ip, "ports" => array![object! { "port" => port, "nodePort" => 30000 + port }] },
            "status" => object! { "loadBalancer" => object! {} },
        })
    }

    #[test]
    fn only_what_was_asked_for_counts() {
        let same = |a: &Object, b: &Object| digest_of(a) == digest_of(b);
        assert!(same(&service("10.0.0.1", 80, "a"), &service("10.0.0.2", 80, "b")));
        assert!(!same(&service("10.0.0.1", 80, "a"), &service("10.0.0.1", 81, "a")));
        let mut labelled = service("10.0.0.1", 80, "a");
        labelled.set_at(&["metadata", "labels"], object! { "x" => "y" });
        assert!(!same(&service("10.0.0.1", 80, "a"), &labelled));
    }
}
