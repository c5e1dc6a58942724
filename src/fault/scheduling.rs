//! Pods that fit nowhere.

use super::FaultError;
use super::edit::{self, Undo, unexpected};
use crate::cluster::{ApiRequest, Cluster, Options, Propagation};
use crate::object::{Json, Object};
use serde::Deserialize;
use std::time::Duration;

/// A Deployment is deleted and applied again with a node selector that no node matches. It is not patched, since a rolling update
/// would keep the old pods until the new ones run.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSelector {
    /// Deployment.
    pub deployment: String,
    /// Label of nodes.
    pub key: String,
    /// A value that no node has.
    pub value: String,
    /// The value that AIOpsLab uses.
    pub strict_value: Option<String>,
}

/// Longest wait for the deletion of a Deployment.
const DELETION_MAX: Duration = Duration::from_secs(60);

impl NodeSelector {
    pub(super) fn strict(&self) -> Self {
        NodeSelector { value: self.strict_value.clone().unwrap_or_else(|| self.value.clone()), ..self.clone() }
    }

    pub(super) fn inject(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<Undo, FaultError> {
        let before = edit::deployment(cluster, namespace, &self.deployment)?;
        let selector = ["spec", "template", "spec", "nodeSelector"];
        let old = before.at(&selector).clone();
        let mut changed = as_applied(&before);
        changed.at_mut(&selector).set(&self.key, self.value.as_str());
        let mut delete = ApiRequest::delete(edit::deployments(), Some(namespace), &self.deployment);
        delete.options = Options { propagation: Some(Propagation::Background), ..Options::default() };
        edit::send(cluster, "delete", delete, "kubectl")?;
        self.await_deletion(cluster, namespace, &before)?;
        let create = ApiRequest::create(edit::deployments(), Some(namespace), changed);
        edit::send(cluster, "create", create, "kubectl-create")?;
        Ok(Undo::of_field(&self.deployment, "/spec/template/spec/nodeSelector", &old))
    }

    fn await_deletion(&self, cluster: &mut dyn Cluster, namespace: &str, before: &Object) -> Result<(), FaultError> {
        let until = cluster.now() + DELETION_MAX;
        while cluster.now() < until {
            let pods = edit::pods_of(cluster, namespace, before)?;
            if pods.is_empty() && edit::deployment(cluster, namespace, &self.deployment).is_err() {
                return Ok(());
            }
            let next = cluster.now() + Duration::from_millis(500);
            cluster.wait(next, &[]);
        }
        Err(unexpected(format!("deployment {:?}", self.deployment), "deletion", "it is still there"))
    }

    pub(super) fn prove(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<(), FaultError> {
        let now = edit::deployment(cluster, namespace, &self.deployment)?;
        edit::observed(&now)?;
        let pods = edit::pods_of(cluster, namespace, &now)?;
        let placed: Vec<&str> = pods.iter().filter(|pod| !pod.spec().get("nodeName").is_empty()).map(Object::name).collect();
        let what = format!("pods of deployment {:?}", self.deployment);
        match (pods.len(), placed.is_empty()) {
            (0, _) => Err(unexpected(what, "at least one", "none")),
            (_, true) => Ok(()),
            (_, false) => Err(unexpected(what, "none on a node", placed.join(", "))),
        }
    }
}

/// The object as a user's manifest has it: without status and what the server sets.
fn as_applied(object: &Object) -> Json {
    let mut manifest = object.0.clone();
    manifest.remove("status");
    for field in ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"] {
        manifest.remove_at(&["metadata", field]);
    }
    manifest.remove_at(&["metadata", "annotations", "deployment.kubernetes.io/revision"]);
    if manifest.at(&["metadata", "annotations"]).is_empty() {
        manifest.remove_at(&["metadata", "annotations"]);
    }
    manifest
}
