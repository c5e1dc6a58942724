//! Faults: what is broken in an application, as recipes over [`Cluster`] operations.
//!
//! The set of kinds is closed; one file holds a family of kinds. A recipe names the rights it needs, injects, proves that it
//! took effect and carries its undo as data, from which the oracle's repair is worded too. A change looks like one that a
//! user made with kubectl: same requests, same field managers, no annotation, label or name of ours.

mod accounts;
mod below;
mod config;
mod edit;
mod image;
mod pods;
mod redeploy;
mod replicas;
mod routing;
mod scheduling;
mod symptom;

pub use accounts::{Access, Account, DropUser, Login, RevokeRole, Role};
pub use below::{ContainerKill, NetworkDelay, NetworkLoss, NetworkPartition, NodeStop, PodKill};
pub use config::SetConfig;
pub use edit::{Step, Undo, attempt, ready_pod};
pub use image::{SetCommand, SetImage};
pub use pods::PodImage;
pub use redeploy::Redeploy;
pub use replicas::Scale;
pub use routing::TargetPort;
pub use scheduling::NodeSelector;
pub use symptom::{Observation, Symptom, observe};

use crate::cluster::{ApiError, Cluster, DisturbError, Right};
use serde::Deserialize;

/// A fault.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// A Deployment runs another image.
    SetImage(SetImage),
    /// A container runs another program.
    SetCommand(SetCommand),
    /// A file of a ConfigMap says something else.
    SetConfig(SetConfig),
    /// A Deployment has another number of replicas.
    Scale(Scale),
    /// A Service sends to a port on which nobody listens.
    TargetPort(TargetPort),
    /// A Deployment's pods fit on no node.
    NodeSelector(NodeSelector),
    /// A user of a store loses a role.
    RevokeRole(RevokeRole),
    /// A user of a store is dropped.
    DropUser(DropUser),
    /// The application is deployed again beside its old volumes.
    Redeploy(Redeploy),
    /// A Deployment's running pods get an image without their program.
    PodImage(PodImage),
    /// A Deployment's pods are deleted without grace.
    PodKill(PodKill),
    /// A container of a Deployment's pods is killed.
    ContainerKill(ContainerKill),
    /// Packets of a Deployment's pods get lost.
    NetworkLoss(NetworkLoss),
    /// Packets of a Deployment's pods are late.
    NetworkDelay(NetworkDelay),
    /// The pods of two Deployments cannot reach each other.
    NetworkPartition(NetworkPartition),
    /// The kubelets of a Deployment's nodes stop.
    NodeStop(NodeStop),
}

/// Why a fault could not be injected or did not take effect.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FaultError {
    /// The API server refused.
    #[error("cannot {doing} {what}: {error}")]
    Api {
        /// The request's verb.
        doing: &'static str,
        /// The object.
        what: String,
        /// Its answer.
        error: ApiError,
    },
    /// The cluster does not let us.
    #[error("fault {fault} needs rights that are missing: {}", missing.join(", "))]
    MissingRights {
        /// The fault's kind.
        fault: &'static str,
        /// The rights.
        missing: Vec<String>,
    },
    /// The cluster could not be disturbed, or a disturbance goes on.
    #[error(transparent)]
    Disturb(DisturbError),
    /// The object is not as the recipe expects it.
    #[error("{what}: expected {expected}, found {found}")]
    Unexpected {
        /// The object.
        what: String,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
}

impl FaultError {
    /// The error of a fault whose disturbance failed.
    fn disturb(fault: &'static str, error: DisturbError) -> FaultError {
        match error {
            DisturbError::MissingRights { rights, .. } => FaultError::MissingRights { fault, missing: vec![rights] },
            other => FaultError::Disturb(other),
        }
    }
}

impl Fault {
    /// The kind's name in problem files.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::SetImage(_) => "set-image",
            Fault::SetCommand(_) => "set-command",
            Fault::SetConfig(_) => "set-config",
            Fault::Scale(_) => "scale",
            Fault::TargetPort(_) => "target-port",
            Fault::NodeSelector(_) => "node-selector",
            Fault::RevokeRole(_) => "revoke-role",
            Fault::DropUser(_) => "drop-user",
            Fault::Redeploy(_) => "redeploy",
            Fault::PodImage(_) => "pod-image",
            Fault::PodKill(_) => "pod-kill",
            Fault::ContainerKill(_) => "container-kill",
            Fault::NetworkLoss(_) => "network-loss",
            Fault::NetworkDelay(_) => "network-delay",
            Fault::NetworkPartition(_) => "network-partition",
            Fault::NodeStop(_) => "node-stop",
        }
    }

    /// The object that the fault changes: a Deployment or a Service.
    pub fn target(&self) -> &str {
        match self {
            Fault::SetImage(fault) => &fault.deployment,
            Fault::SetCommand(fault) => &fault.deployment,
            Fault::SetConfig(fault) => &fault.deployment,
            Fault::Scale(fault) => &fault.deployment,
            Fault::TargetPort(fault) => &fault.service,
            Fault::NodeSelector(fault) => &fault.deployment,
            Fault::RevokeRole(fault) => &fault.account.deployment,
            Fault::DropUser(fault) => &fault.account.deployment,
            Fault::Redeploy(fault) => &fault.deployment,
            Fault::PodImage(fault) => &fault.deployment,
            Fault::PodKill(fault) => &fault.deployment,
            Fault::ContainerKill(fault) => &fault.deployment,
            Fault::NetworkLoss(fault) => &fault.deployment,
            Fault::NetworkDelay(fault) => &fault.deployment,
            Fault::NetworkPartition(fault) => &fault.deployment,
            Fault::NodeStop(fault) => &fault.deployment,
        }
    }

    /// The fault with AIOpsLab's own names, where ours are neutral.
    #[must_use]
    pub fn strict(&self) -> Fault {
        match self {
            Fault::SetImage(fault) => Fault::SetImage(fault.strict()),
            Fault::NodeSelector(fault) => Fault::NodeSelector(fault.strict()),
            other => other.clone(),
        }
    }

    /// The rights that injecting and undoing it needs.
    pub fn rights(&self, namespace: &str) -> Vec<Right> {
        let right = |verb, group, resource| Right { verb, group, resource, namespace: Some(namespace.into()) };
        let anew = || ["get", "delete", "create", "patch"].into_iter().map(|verb| right(verb, "apps", "deployments")).collect();
        match self {
            Fault::SetCommand(fault) if fault.anew => anew(),
            Fault::SetImage(_) | Fault::SetCommand(_) => vec![right("get", "apps", "deployments"), right("patch", "apps", "deployments")],
            Fault::SetConfig(_) => config::rights(namespace),
            Fault::Scale(_) => vec![right("get", "apps", "deployments"), right("patch", "apps", "deployments/scale")],
            Fault::TargetPort(_) => vec![right("get", "", "services"), right("patch", "", "services")],
            Fault::NodeSelector(_) => anew(),
            Fault::RevokeRole(_) | Fault::DropUser(_) => accounts::rights(namespace),
            Fault::Redeploy(_) => redeploy::rights(namespace),
            Fault::PodImage(_) => pods::rights(namespace),
            Fault::PodKill(_)
            | Fault::ContainerKill(_)
            | Fault::NetworkLoss(_)
            | Fault::NetworkDelay(_)
            | Fault::NetworkPartition(_)
            | Fault::NodeStop(_) => below::rights(self.kind(), namespace),
        }
    }

    /// Injects the fault and returns what undoes it.
    ///
    /// # Errors
    /// When the API server refuses or the object is not as expected; nothing was changed then.
    pub fn inject(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<Undo, FaultError> {
        let missing: Vec<String> = self.rights(namespace).iter().filter(|right| !cluster.can(right)).map(ToString::to_string).collect();
        if !missing.is_empty() {
            return Err(FaultError::MissingRights { fault: self.kind(), missing });
        }
        match self {
            Fault::SetImage(fault) => fault.inject(cluster, namespace),
            Fault::SetCommand(fault) => fault.inject(cluster, namespace),
            Fault::SetConfig(fault) => fault.inject(cluster, namespace),
            Fault::Scale(fault) => fault.inject(cluster, namespace),
            Fault::TargetPort(fault) => fault.inject(cluster, namespace),
            Fault::NodeSelector(fault) => fault.inject(cluster, namespace),
            Fault::RevokeRole(fault) => fault.inject(cluster, namespace),
            Fault::DropUser(fault) => fault.inject(cluster, namespace),
            Fault::Redeploy(fault) => fault.inject(cluster, namespace),
            Fault::PodImage(fault) => fault.inject(cluster, namespace),
            Fault::PodKill(fault) => fault.inject(cluster, namespace),
            Fault::ContainerKill(fault) => fault.inject(cluster, namespace),
            Fault::NetworkLoss(fault) => fault.inject(cluster, namespace),
            Fault::NetworkDelay(fault) => fault.inject(cluster, namespace),
            Fault::NetworkPartition(fault) => fault.inject(cluster, namespace),
            Fault::NodeStop(fault) => fault.inject(cluster, namespace),
        }
    }

    /// Proves that the fault is in effect at this instant.
    ///
    /// # Errors
    /// What was expected and what was found.
    pub fn prove(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<(), FaultError> {
        match self {
            Fault::SetImage(fault) => fault.prove(cluster, namespace),
            Fault::SetCommand(fault) => fault.prove(cluster, namespace),
            Fault::SetConfig(fault) => fault.prove(cluster, namespace),
            Fault::Scale(fault) => fault.prove(cluster, namespace),
            Fault::TargetPort(fault) => fault.prove(cluster, namespace),
            Fault::NodeSelector(fault) => fault.prove(cluster, namespace),
            Fault::RevokeRole(fault) => fault.prove(cluster, namespace),
            Fault::DropUser(fault) => fault.prove(cluster, namespace),
            Fault::Redeploy(fault) => fault.prove(cluster, namespace),
            Fault::PodImage(fault) => fault.prove(cluster, namespace),
            Fault::PodKill(fault) => fault.prove(cluster, namespace),
            Fault::ContainerKill(fault) => fault.prove(cluster, namespace),
            Fault::NetworkLoss(fault) => fault.prove(cluster, namespace),
            Fault::NetworkDelay(fault) => fault.prove(cluster, namespace),
            Fault::NetworkPartition(fault) => fault.prove(cluster, namespace),
            Fault::NodeStop(fault) => fault.prove(cluster, namespace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        fault: Vec<Fault>,
    }

    #[test]
    fn kinds_are_written_as_tables() {
        let text = r#"
            [[fault]]
            set-image = { deployment = "geo", container = "c", image = "a:1", strict_image = "b:2" }
            [[fault]]
            scale = { deployment = "user", replicas = 0 }
            [[fault]]
            set-command = { deployment = "profile", container = "c", command = ["geo"] }
            [[fault]]
            target-port = { service = "user-service", port = 9090, target_port = 9999 }
            [[fault]]
            node-selector = { deployment = "user", key = "disktype", value = "ssd" }
            [[fault]]
            pod-kill = { deployment = "user" }
            [[fault]]
            container-kill = { deployment = "geo", container = "hotel-reserv-geo" }
            [[fault]]
            network-loss = { deployment = "user", share = 0.99 }
            [[fault]]
            network-partition = { deployment = "user", from = "mongodb-user" }
            [[fault]]
            node-stop = { deployment = "frontend" }
            [[fault]]
            revoke-role = { account = { deployment = "mongodb-geo", user = "admin", password = "admin", database = "geo-db", collection = "geo" }, role = "readWrite", by = { user = "admin", password = "admin" }, readers = ["geo"] }
            [[fault]]
            drop-user = { account = { deployment = "mongodb-geo", user = "admin", password = "admin", database = "geo-db", collection = "geo" }, roles = [{ role = "readWrite", db = "geo-db" }], by = { user = "root", password = "root" }, readers = ["geo"] }
            [[fault]]
            redeploy = { deployment = "mongodb-geo" }
            [[fault]]
            pod-image = { deployment = "user", container = "hotel-reserv-user", image = "registry.k8s.io/pause:3.10" }
            [[fault]]
            network-delay = { deployment = "user", latency_s = 10.0 }
            [[fault]]
            set-config = { configmap = "db", key = "mongod.conf", from = "mode: disabled", to = "mode: requireTLS", deployment = "db", clients = ["web"] }
        "#;
        let file: File = toml::from_str(text).expect("valid");
        let kinds: Vec<_> = file.fault.iter().map(|f| (f.kind(), f.target())).collect();
        assert_eq!(
            kinds,
            [
                ("set-image", "geo"),
                ("scale", "user"),
                ("set-command", "profile"),
                ("target-port", "user-service"),
                ("node-selector", "user"),
                ("pod-kill", "user"),
                ("container-kill", "geo"),
                ("network-loss", "user"),
                ("network-partition", "user"),
                ("node-stop", "frontend"),
                ("revoke-role", "mongodb-geo"),
                ("drop-user", "mongodb-geo"),
                ("redeploy", "mongodb-geo"),
                ("pod-image", "user"),
                ("network-delay", "user"),
                ("set-config", "db"),
            ]
        );
        assert!(matches!(file.fault[0].strict(), Fault::SetImage(SetImage { image, .. }) if image == "b:2"));
        assert!(toml::from_str::<File>("[[fault]]\nscale = { deployment = \"x\", replica = 0 }").is_err(), "unknown fields are refused");
        assert!(toml::from_str::<File>("[[fault]]\nexplode = {}").is_err(), "unknown kinds are refused");
    }
}
