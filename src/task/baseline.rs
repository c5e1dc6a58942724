//! [`Baseline`]: what an application consists of before anything is broken. A repair may add to it but not take from it.

use super::stores::Kept;
use crate::app::Store;
use crate::cluster::{ApiError, ApiRequest, Cluster, Identity};
use crate::object::{Json, Object, ResourceRef, resource};
use std::collections::{BTreeMap, BTreeSet};

/// Kinds that run pods.
pub const WORKLOADS: [(&str, &str); 3] = [("apps", "deployments"), ("apps", "statefulsets"), ("apps", "daemonsets")];

/// A Deployment, StatefulSet or DaemonSet.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// `deployments` …
    pub kind: &'static str,
    /// Name.
    pub name: String,
    /// Replicas asked for; for a DaemonSet, pods that should run.
    pub replicas: i64,
    /// `spec.selector.matchLabels`.
    pub selector: BTreeMap<String, String>,
}

impl Workload {
    /// The workload that an object describes.
    pub fn of(kind: &'static str, object: &Object) -> Self {
        let replicas = match kind {
            "daemonsets" => object.status().get("desiredNumberScheduled").as_i64().unwrap_or(0),
            _ => object.spec().get("replicas").as_i64().unwrap_or(1),
        };
        let labels = object.at(&["spec", "selector", "matchLabels"]);
        let selector = labels.entries().map(|(key, value)| (key.to_string(), value.text().to_owned())).collect();
        Workload { kind, name: object.name().to_owned(), replicas, selector }
    }

    /// `deployment geo`
    pub fn title(&self) -> String {
        format!("{} {}", self.kind.trim_end_matches('s'), self.name)
    }
}

/// An application before anything is broken.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Baseline {
    /// Workloads in order of kind and name.
    pub workloads: Vec<Workload>,
    /// Names of Services.
    pub services: BTreeSet<String>,
    /// Names of ConfigMaps.
    pub config_maps: BTreeSet<String>,
    /// Names of Secrets.
    pub secrets: BTreeSet<String>,
    /// Claims and the volumes that they are bound to.
    pub claims: BTreeMap<String, String>,
    /// Nodes on which pods can be placed.
    pub schedulable_nodes: BTreeSet<String>,
    /// Where the stores' data is, and what they hold.
    pub stores: Vec<Kept>,
}

/// Reads a collection in the operator's name.
///
/// # Errors
/// The API server's answer.
pub fn list(cluster: &mut dyn Cluster, group: &str, plural: &str, namespace: Option<&str>) -> Result<Vec<Object>, ApiError> {
    let kind: &ResourceRef = resource::builtin_named(group, plural)
        .ok_or_else(|| ApiError::new(404, "NotFound", format!("no kind {plural:?} in group {group:?}")))?;
    Ok(cluster.api(&Identity::operator(), &ApiRequest::list(kind, namespace))?.into_items())
}

/// Whether pods can be placed on a node: ready and not cordoned.
pub fn is_schedulable(node: &Object) -> bool {
    let ready = node.condition("Ready").is_some_and(|condition| condition.get("status").text() == "True");
    ready && !node.spec().get("unschedulable").is_true()
}

impl Baseline {
    /// Records the application in `namespace` with its stores, which are asked on a copy of the cluster where there can be one: programs
    /// leave traces.
    ///
    /// # Errors
    /// When the API server refuses a read, or a store does not answer.
    pub fn record(cluster: &mut dyn Cluster, namespace: &str, stores: &[Store]) -> Result<Baseline, ApiError> {
        let mut copy = cluster.fork();
        let asked = match &mut copy {
            Ok(copy) => &mut **copy,
            Err(_) => &mut *cluster,
        };
        let stores = stores.iter().map(|store| Kept::record(asked, namespace, store)).collect::<Result<_, _>>()?;
        let mut workloads = Vec::new();
        for (group, plural) in WORKLOADS {
            workloads.extend(list(cluster, group, plural, Some(namespace))?.iter().map(|object| Workload::of(plural, object)));
        }
        let names = |objects: Vec<Object>| objects.iter().map(|object| object.name().to_owned()).collect();
        let claims = list(cluster, "", "persistentvolumeclaims", Some(namespace))?;
        let volume = |claim: &Object| (claim.name().to_owned(), claim.spec().get("volumeName").text().to_owned());
        let nodes = list(cluster, "", "nodes", None)?;
        Ok(Baseline {
            workloads,
            services: names(list(cluster, "", "services", Some(namespace))?),
            config_maps: names(list(cluster, "", "configmaps", Some(namespace))?),
            secrets: names(list(cluster, "", "secrets", Some(namespace))?),
            claims: claims.iter().map(volume).collect(),
            schedulable_nodes: nodes.iter().filter(|node| is_schedulable(node)).map(|node| node.name().to_owned()).collect(),
            stores,
        })
    }

    /// The labels of a pod template, as a JSON map, match a workload's selector.
    pub fn selects(workload: &Workload, labels: &Json) -> bool {
        !workload.selector.is_empty() && workload.selector.iter().all(|(key, value)| labels.get(key).as_str() == Some(value))
    }
}
