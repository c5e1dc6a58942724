//! Disturbances: what is done to nodes, networks and processes below the Kubernetes API.

use arcstr::ArcStr;
use std::fmt;
use std::time::Duration;

/// Something done below the API.
#[derive(Debug, Clone, PartialEq)]
pub enum Disturbance {
    /// The first process of a container is killed (SIGKILL). Done once, nothing is left to relieve.
    ContainerKill {
        /// Namespace of the pod.
        namespace: ArcStr,
        /// Pod.
        pod: ArcStr,
        /// Container.
        container: ArcStr,
        /// How long it lives before it is killed again, for as long as the pod is there; only once when `None`.
        again_after: Option<Duration>,
    },
    /// Packets that leave or enter a pod are lost with a probability.
    NetworkLoss {
        /// Namespace of the pod.
        namespace: ArcStr,
        /// Pod.
        pod: ArcStr,
        /// Probability, 0 to 1.
        share: f64,
    },
    /// Packets that leave a pod are late.
    NetworkDelay {
        /// Namespace of the pod.
        namespace: ArcStr,
        /// Pod.
        pod: ArcStr,
        /// By how much.
        latency: Duration,
        /// Give or take, evenly.
        jitter: Duration,
    },
    /// No packet passes between a pod and another one (every other end when `None`).
    NetworkPartition {
        /// Namespace of both pods.
        namespace: ArcStr,
        /// Pod.
        pod: ArcStr,
        /// The other pod.
        from: Option<ArcStr>,
    },
    /// A node's kubelet stops; what runs on the node goes on.
    NodeStop {
        /// Node.
        node: ArcStr,
    },
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Disturbance::ContainerKill { namespace, pod, container, again_after } => {
                let again = if again_after.is_some() { " again and again" } else { "" };
                write!(f, "killing container {container} of pod {namespace}/{pod}{again}")
            }
            Disturbance::NetworkLoss { namespace, pod, share } => write!(f, "losing {share} of the packets of pod {namespace}/{pod}"),
            Disturbance::NetworkDelay { namespace, pod, latency, .. } => {
                write!(f, "delaying what pod {namespace}/{pod} sends by {} s", latency.as_secs_f64())
            }
            Disturbance::NetworkPartition { namespace, pod, from: Some(other) } => {
                write!(f, "cutting pod {namespace}/{pod} off from pod {other}")
            }
            Disturbance::NetworkPartition { namespace, pod, from: None } => write!(f, "cutting pod {namespace}/{pod} off"),
            Disturbance::NodeStop { node } => write!(f, "stopping the kubelet of node {node}"),
        }
    }
}

/// Why a cluster was not disturbed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DisturbError {
    /// This cluster cannot do it at all.
    #[error("{what} is not possible here: {why}")]
    Unsupported {
        /// The disturbance.
        what: String,
        /// What is missing.
        why: String,
    },
    /// A right is missing.
    #[error("{what} needs rights that are missing: {rights}")]
    MissingRights {
        /// The disturbance.
        what: String,
        /// The rights.
        rights: String,
    },
    /// What it is done to does not exist.
    #[error("{what}: {why}")]
    NoTarget {
        /// The disturbance.
        what: String,
        /// What is not there.
        why: String,
    },
    /// It was tried and failed.
    #[error("{what} failed: {why}")]
    Failed {
        /// The disturbance, or its name when it is ended.
        what: String,
        /// Why.
        why: String,
    },
}
