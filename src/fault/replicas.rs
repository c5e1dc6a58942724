//! Wrong numbers of replicas.

use super::FaultError;
use super::edit::{self, Undo, unexpected};
use crate::cluster::{Cluster, PatchKind};
use crate::object;
use serde::Deserialize;

/// A Deployment is scaled, as `kubectl scale` does it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Deployment.
    pub deployment: String,
    /// Number of replicas.
    pub replicas: u32,
}

impl Scale {
    pub(super) fn inject(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<Undo, FaultError> {
        let before = edit::deployment(cluster, namespace, &self.deployment)?;
        let old = before.spec().get("replicas").as_i64().unwrap_or(1);
        if old == i64::from(self.replicas) {
            return Err(unexpected(format!("deployment {:?}", self.deployment), format!("other than {old} replicas"), old.to_string()));
        }
        edit::scale(cluster, namespace, &self.deployment, i64::from(self.replicas))?;
        let back = object! { "spec" => object! { "replicas" => old } };
        let command = format!("scale deployment {} --replicas={old}", self.deployment);
        Ok(Undo::of_deployment(&self.deployment, PatchKind::Merge, back, command))
    }

    pub(super) fn prove(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<(), FaultError> {
        let now = edit::deployment(cluster, namespace, &self.deployment)?;
        edit::observed(&now)?;
        let (wanted, replicas) = (i64::from(self.replicas), now.spec().get("replicas").as_i64().unwrap_or(1));
        let pods = edit::pods_of(cluster, namespace, &now)?.len();
        if replicas == wanted && pods == self.replicas as usize {
            return Ok(());
        }
        Err(unexpected(format!("deployment {:?}", self.deployment), format!("{wanted} replicas"), format!("{replicas} and {pods} pods")))
    }
}
