//! Pods that fit nowhere.

use super::FaultError;
use super::edit::{self, Undo, unexpected};
use crate::cluster::Cluster;
use crate::object::Object;
use serde::Deserialize;

/// A Deployment is deleted and created again with a node selector that no node matches.
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

impl NodeSelector {
    pub(super) fn strict(&self) -> Self {
        NodeSelector { value: self.strict_value.clone().unwrap_or_else(|| self.value.clone()), ..self.clone() }
    }

    pub(super) fn inject(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<Undo, FaultError> {
        let before = edit::deployment(cluster, namespace, &self.deployment)?;
        let selector = ["spec", "template", "spec", "nodeSelector"];
        let old = before.at(&selector).clone();
        edit::made_anew(cluster, namespace, &before, |changed| {
            changed.at_mut(&selector).set(&self.key, self.value.as_str());
        })?;
        Ok(Undo::of_field(&self.deployment, "/spec/template/spec/nodeSelector", &old))
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
