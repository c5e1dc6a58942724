//! What breaks below the API: killed pods and containers, lossy, late and cut networks, stopped nodes.
//!
//! Recipes name Deployments; which pods and nodes that means is resolved at injection. What is in force afterwards is named after
//! namespace, kind and pod or node, so that it can be proved and ended by anyone who knows the recipe. A kill is over in an instant:
//! nothing is left to undo, and its proof is the trace it left.
//!
//! What a user could do about it with kubectl: a pod's network goes with the pod, so loss and partition end when the pod is replaced. A
//! client that lost packets on an open connection may cling to it for as long as Linux sends them again, a quarter of an hour, so those
//! that a recipe names as callers are replaced too. A
//! stopped node has no such repair; its pods can only be moved away, by force, since no kubelet is there to confirm their end. The node
//! itself comes back when the disturbance is relieved.

use super::FaultError;
use super::edit::{self, Undo, unexpected};
use crate::cluster::{ApiRequest, Cluster, Disturbance, Identity, Options, Propagation, Right};
use crate::object::{Object, ResourceRef, resource};
use crate::time::SimTime;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::time::Duration;

/// All pods of a Deployment are deleted without grace, as `kubectl delete pod --force` does it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodKill {
    /// Deployment.
    pub deployment: String,
}

/// The first process of a container is killed in all pods of a Deployment, once or again and again.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerKill {
    /// Deployment.
    pub deployment: String,
    /// Container; the first one when it is not named.
    pub container: Option<String>,
    /// Seconds after which it is killed again whenever it has come back, for as long as the pod is there; only once when absent.
    pub again_after_s: Option<u32>,
}

/// Packets of all pods of a Deployment get lost.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkLoss {
    /// Deployment.
    pub deployment: String,
    /// Probability, above 0 and at most 1.
    pub share: f64,
    /// Deployments that keep connections to it; a repair with kubectl replaces their pods as well.
    #[serde(default)]
    pub callers: Vec<String>,
}

/// What all pods of a Deployment send arrives late.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkDelay {
    /// Deployment.
    pub deployment: String,
    /// By how much.
    pub latency_s: f64,
    /// Give or take, evenly; at most the latency.
    #[serde(default)]
    pub jitter_s: f64,
    /// Deployments that keep connections to it; a repair with kubectl replaces their pods as well.
    #[serde(default)]
    pub callers: Vec<String>,
}

/// No packet passes between the pods of two Deployments, or between one's and anybody.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkPartition {
    /// Deployment.
    pub deployment: String,
    /// The other Deployment; everybody when it is not named.
    pub from: Option<String>,
    /// Deployments that keep connections to it; a repair with kubectl replaces their pods as well. The other one is among them.
    #[serde(default)]
    pub callers: Vec<String>,
}

/// The kubelets of the nodes on which a Deployment's pods are stop.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeStop {
    /// Deployment.
    pub deployment: String,
}

/// A disturbance and its name.
type Named = (String, Disturbance);

/// Longest wait for killed pods to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(30);

impl PodKill {
    pub(super) fn inject(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<Undo, FaultError> {
        let victims = some_pods(cluster, namespace, &self.deployment)?;
        for pod in &victims {
            let mut delete = ApiRequest::delete(edit::pods(), Some(namespace), pod.name());
            delete.options = Options {
                grace_period_s: Some(0),
                propagation: Some(Propagation::Background),
                uid: Some(pod.uid().into()),
                ..Options::default()
            };
            match edit::send(cluster, "delete", delete, "kubectl") {
                Err(FaultError::Api { error, .. }) if error.code == 404 => {}
                other => drop(other?),
            }
        }
        let until = cluster.now() + GONE_WITHIN;
        loop {
            let deployment = edit::deployment(cluster, namespace, &self.deployment)?;
            let left = edit::pods_of(cluster, namespace, &deployment)?;
            if !left.iter().any(|pod| victims.iter().any(|victim| victim.uid() == pod.uid())) {
                return Ok(nothing_left(&self.deployment, Vec::new()));
            }
            if cluster.now() >= until {
                return Err(unexpected(format!("pods of deployment {:?}", self.deployment), "to be gone", "some are there"));
            }
            let next = cluster.now() + Duration::from_millis(200);
            cluster.wait(next, &[]);
        }
    }

    /// The pods are younger than their ReplicaSet, which made its first ones at once.
    pub(super) fn prove(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<(), FaultError> {
        let replica_sets = builtin("apps", "replicasets");
        for pod in some_pods(cluster, namespace, &self.deployment)? {
            let owner = pod.controller().map(|owner| owner.get("name").text().to_owned()).unwrap_or_default();
            let set = edit::send(cluster, "get", ApiRequest::get(replica_sets, Some(namespace), &owner), "kubectl")?;
            let (born, made) = (created(&pod), created(&set));
            if born < made + Duration::from_secs(2) {
                return Err(unexpected(format!("pod {:?}", pod.name()), "one that replaced another", "the first one"));
            }
        }
        Ok(())
    }
}

impl ContainerKill {
    fn container(&self, pod: &Object) -> Result<String, FaultError> {
        let containers = pod.at(&["spec", "containers"]).items();
        let names: Vec<&str> = containers.iter().map(|container| container.get("name").text()).collect();
        let found = match &self.container {
            Some(name) => names.iter().find(|other| **other == name.as_str()),
            None => names.first(),
        };
        let expected = || format!("a container {:?}", self.container.as_deref().unwrap_or_default());
        found.map(|name| (*name).to_owned()).ok_or_else(|| unexpected(format!("pod {:?}", pod.name()), expected(), names.join(", ")))
    }

    fn wanted(&self, namespace: &str, pod: &Object) -> Result<Named, FaultError> {
        let container = self.container(pod)?.into();
        let again_after = self.again_after_s.map(|seconds| Duration::from_secs(seconds.into()));
        let what = Disturbance::ContainerKill { namespace: namespace.into(), pod: pod.name().into(), container, again_after };
        Ok((name_of(namespace, "container-kill", &[pod.name()]), what))
    }

    pub(super) fn inject(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<Undo, FaultError> {
        let pods = some_pods(cluster, namespace, &self.deployment)?;
        let wanted = pods.iter().map(|pod| self.wanted(namespace, pod)).collect::<Result<Vec<_>, _>>()?;
        begin(cluster, "container-kill", &wanted)?;
        match self.again_after_s {
            Some(_) => Ok(replacing(&self.deployment, pods.iter(), wanted)),
            None => Ok(nothing_left(&self.deployment, Vec::new())),
        }
    }

    pub(super) fn prove(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<(), FaultError> {
        for pod in some_pods(cluster, namespace, &self.deployment)? {
            if self.again_after_s.is_some() {
                let wanted = self.wanted(namespace, &pod)?;
                in_force(cluster, "container-kill", &[wanted])?;
            }
            let name = self.container(&pod)?;
            let status = pod.at(&["status", "containerStatuses"]).find("name", &name).cloned().unwrap_or_default();
            let killed = |state: &str| status.at(&[state, "terminated", "exitCode"]).as_i64() == Some(137);
            if !killed("state") && !killed("lastState") {
                let found = status.get("state").to_compact();
                return Err(unexpected(format!("container {name:?} of pod {:?}", pod.name()), "one that was killed", found));
            }
        }
        Ok(())
    }
}

impl NetworkLoss {
    fn wanted(&self, namespace: &str, pod: &Object) -> Named {
        let what = Disturbance::NetworkLoss { namespace: namespace.into(), pod: pod.name().into(), share: self.share };
        (name_of(namespace, "network-loss", &[pod.name()]), what)
    }

    pub(super) fn inject(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<Undo, FaultError> {
        if !(self.share > 0.0 && self.share <= 1.0) {
            return Err(unexpected("network-loss", "a share above 0 and at most 1", self.share.to_string()));
        }
        let pods = some_pods(cluster, namespace, &self.deployment)?;
        let wanted: Vec<_> = pods.iter().map(|pod| self.wanted(namespace, pod)).collect();
        let callers = pods_of_all(cluster, namespace, self.callers.iter())?;
        begin(cluster, "network-loss", &wanted)?;
        Ok(replacing(&self.deployment, pods.iter().chain(&callers), wanted))
    }

    pub(super) fn prove(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<(), FaultError> {
        let pods = some_pods(cluster, namespace, &self.deployment)?;
        let wanted: Vec<_> = pods.iter().map(|pod| self.wanted(namespace, pod)).collect();
        in_force(cluster, "network-loss", &wanted)
    }
}

impl NetworkDelay {
    fn wanted(&self, namespace: &str, pod: &Object) -> Named {
        let [latency, jitter] = [self.latency_s, self.jitter_s].map(Duration::from_secs_f64);
        let what = Disturbance::NetworkDelay { namespace: namespace.into(), pod: pod.name().into(), latency, jitter };
        (name_of(namespace, "network-delay", &[pod.name()]), what)
    }

    /// Refuses what is no delay.
    fn check(&self) -> Result<(), FaultError> {
        if self.latency_s > 0.0 && self.latency_s <= 3600.0 && (0.0..=self.latency_s).contains(&self.jitter_s) {
            return Ok(());
        }
        let expected = "a latency above 0 and at most an hour, with a jitter of at most as much";
        Err(unexpected("network-delay", expected, format!("{} and {}", self.latency_s, self.jitter_s)))
    }

    pub(super) fn inject(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<Undo, FaultError> {
        self.check()?;
        let pods = some_pods(cluster, namespace, &self.deployment)?;
        let wanted: Vec<_> = pods.iter().map(|pod| self.wanted(namespace, pod)).collect();
        let callers = pods_of_all(cluster, namespace, self.callers.iter())?;
        begin(cluster, "network-delay", &wanted)?;
        Ok(replacing(&self.deployment, pods.iter().chain(&callers), wanted))
    }

    pub(super) fn prove(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<(), FaultError> {
        self.check()?;
        let pods = some_pods(cluster, namespace, &self.deployment)?;
        let wanted: Vec<_> = pods.iter().map(|pod| self.wanted(namespace, pod)).collect();
        in_force(cluster, "network-delay", &wanted)
    }
}

impl NetworkPartition {
    fn wanted(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<(Vec<Object>, Vec<Named>), FaultError> {
        let pods = some_pods(cluster, namespace, &self.deployment)?;
        let others = match &self.from {
            Some(other) => some_pods(cluster, namespace, other)?.iter().map(|pod| Some(pod.name().to_owned())).collect(),
            None => vec![None],
        };
        let mut wanted = Vec::new();
        for pod in &pods {
            for other in &others {
                let (pod, from) = (pod.name(), other.as_deref());
                let what = Disturbance::NetworkPartition { namespace: namespace.into(), pod: pod.into(), from: from.map(Into::into) };
                wanted.push((name_of(namespace, "network-partition", &[pod, from.unwrap_or("everybody")]), what));
            }
        }
        Ok((pods, wanted))
    }

    pub(super) fn inject(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<Undo, FaultError> {
        let (pods, wanted) = self.wanted(cluster, namespace)?;
        let callers = pods_of_all(cluster, namespace, self.from.iter().chain(&self.callers))?;
        begin(cluster, "network-partition", &wanted)?;
        Ok(replacing(&self.deployment, pods.iter().chain(&callers), wanted))
    }

    pub(super) fn prove(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<(), FaultError> {
        let (_, wanted) = self.wanted(cluster, namespace)?;
        in_force(cluster, "network-partition", &wanted)
    }
}

impl NodeStop {
    fn wanted(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<Vec<Named>, FaultError> {
        let pods = some_pods(cluster, namespace, &self.deployment)?;
        let nodes: BTreeSet<String> = pods.iter().map(|pod| pod.spec().get("nodeName").text().to_owned()).collect();
        let placed = nodes.into_iter().filter(|node| !node.is_empty());
        let wanted: Vec<_> =
            placed.map(|node| (name_of(namespace, "node-stop", &[&node]), Disturbance::NodeStop { node: node.into() })).collect();
        if wanted.is_empty() {
            return Err(unexpected(format!("pods of deployment {:?}", self.deployment), "some on a node", "none"));
        }
        Ok(wanted)
    }

    pub(super) fn inject(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<Undo, FaultError> {
        let wanted = self.wanted(cluster, namespace)?;
        let stopped: BTreeSet<&str> = wanted
            .iter()
            .filter_map(|(_, what)| if let Disturbance::NodeStop { node } = what { Some(node.as_str()) } else { None })
            .collect();
        let all = cluster.api(&Identity::operator(), &ApiRequest::list(edit::pods(), Some(namespace)));
        let all = all.map_err(|error| FaultError::Api { doing: "list", what: "pods".to_owned(), error })?.into_items();
        let moved = all.iter().filter(|pod| stopped.contains(pod.spec().get("nodeName").text()) && pod.controller().is_some());
        let commands = moved.map(|pod| format!("delete pod {} --force --grace-period=0", pod.name())).collect();
        begin(cluster, "node-stop", &wanted)?;
        let undo = nothing_left(&self.deployment, commands);
        Ok(Undo { disturbances: wanted.into_iter().map(|(name, _)| name).collect(), ..undo })
    }

    /// The nodes' kubelets are stopped, and the cluster has noticed.
    pub(super) fn prove(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<(), FaultError> {
        let wanted = self.wanted(cluster, namespace)?;
        in_force(cluster, "node-stop", &wanted)?;
        for (_, what) in &wanted {
            let Disturbance::NodeStop { node } = what else { continue };
            let found = edit::send(cluster, "get", ApiRequest::get(builtin("", "nodes"), None, node), "kubectl")?;
            let ready = found.condition("Ready").map(|ready| ready.get("status").text().to_owned()).unwrap_or_default();
            if ready == "True" {
                return Err(unexpected(format!("node {node:?}"), "not to be ready", "it is"));
            }
        }
        Ok(())
    }
}

/// The rights on API objects that these recipes need, by kind; what a disturbance itself needs is the cluster's own matter.
pub(super) fn rights(kind: &'static str, namespace: &str) -> Vec<Right> {
    let right = |verb, group, resource| Right { verb, group, resource, namespace: Some(namespace.into()) };
    let mut rights = vec![right("get", "apps", "deployments"), right("list", "", "pods")];
    match kind {
        "pod-kill" => rights.extend([right("delete", "", "pods"), right("get", "apps", "replicasets")]),
        "node-stop" => rights.push(Right { verb: "get", group: "", resource: "nodes", namespace: None }),
        _ => {}
    }
    rights
}

fn builtin(group: &str, plural: &str) -> &'static ResourceRef {
    resource::builtin_named(group, plural).expect("it is in the table of built-in kinds")
}

fn created(object: &Object) -> SimTime {
    SimTime::parse_rfc3339(object.meta().get("creationTimestamp").text()).unwrap_or(SimTime::ZERO)
}

/// The pods of a Deployment, of which there must be one.
fn some_pods(cluster: &mut dyn Cluster, namespace: &str, deployment: &str) -> Result<Vec<Object>, FaultError> {
    let object = edit::deployment(cluster, namespace, deployment)?;
    let pods = edit::pods_of(cluster, namespace, &object)?;
    if pods.is_empty() {
        return Err(unexpected(format!("pods of deployment {deployment:?}"), "at least one", "none"));
    }
    Ok(pods)
}

fn pods_of_all<'a>(
    cluster: &mut dyn Cluster,
    namespace: &str,
    deployments: impl Iterator<Item = &'a String>,
) -> Result<Vec<Object>, FaultError> {
    let mut all = Vec::new();
    for deployment in deployments {
        all.extend(some_pods(cluster, namespace, deployment)?);
    }
    Ok(all)
}

/// The name of a disturbance; no two environments of a cluster share one.
fn name_of(namespace: &str, kind: &str, parts: &[&str]) -> String {
    format!("{namespace}/{kind}/{}", parts.join("/"))
}

/// Begins all of them, or none.
fn begin(cluster: &mut dyn Cluster, fault: &'static str, wanted: &[Named]) -> Result<(), FaultError> {
    for (at, (name, what)) in wanted.iter().enumerate() {
        if let Err(error) = cluster.disturb(name, what) {
            for (begun, _) in wanted.iter().take(at + 1) {
                // The error that is reported is the first one; what cannot be relieved now is relieved by the next reset.
                let _ = cluster.relieve(begun);
            }
            return Err(FaultError::disturb(fault, error));
        }
    }
    Ok(())
}

fn in_force(cluster: &mut dyn Cluster, fault: &'static str, wanted: &[Named]) -> Result<(), FaultError> {
    for (name, what) in wanted {
        if !cluster.is_disturbed(name).map_err(|error| FaultError::disturb(fault, error))? {
            return Err(unexpected(what.to_string(), "to be in force", "it is not"));
        }
    }
    Ok(())
}

fn nothing_left(deployment: &str, commands: Vec<String>) -> Undo {
    Undo { commands, ..Undo::of("deployment", deployment) }
}

/// The undo of what is repaired by replacing pods.
fn replacing<'a>(deployment: &str, pods: impl Iterator<Item = &'a Object>, wanted: Vec<Named>) -> Undo {
    let commands = vec![format!("delete pod {}", pods.map(Object::name).collect::<Vec<_>>().join(" "))];
    Undo { disturbances: wanted.into_iter().map(|(name, _)| name).collect(), ..nothing_left(deployment, commands) }
}
