//! Disturbing a live cluster: by Chaos Mesh's objects where its kinds are served, else by helpers of our own on the nodes.
//!
//! Helpers are asked by way of the outpost, at their nodes' own addresses, so neither a stopped kubelet nor the API server's proxy to it is
//! in the way. A name is ended everywhere it can have been begun: recovery does not know where that was.

use super::LiveCluster;
use super::outpost::OutpostPod;
use crate::cluster::disturbance::{DisturbError, Disturbance};
use crate::cluster::environment::{apply, ensure_nodes_namespace};
use crate::cluster::outpost::nodes::{self, Deed, Disturb, Relieve, TIME_TO_LIVE};
use crate::cluster::outpost::{TOKEN_HEADER, chaos};
use crate::cluster::{ApiError, ApiRequest, Cluster, HttpRequest, Identity, Options, Right};
use crate::object::{Object, ResourceRef, resource};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long helpers may take to be there, Chaos Mesh to do or undo what it is told, and a helper to answer.
const HELPERS_WITHIN: Duration = Duration::from_secs(120);
const CHAOS_WITHIN: Duration = Duration::from_secs(60);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What is to be done, by the node on which it is done.
type Plan = BTreeMap<String, Vec<Deed>>;

impl OutpostPod {
    pub(super) fn disturb(&self, cluster: &mut LiveCluster, name: &str, what: &Disturbance) -> Result<(), DisturbError> {
        self.relieve(cluster, name)?;
        if let Some(kind) = chaos_kind(cluster, &self.place, what)? {
            return self.inject(cluster, name, what, &kind);
        }
        let plan = plan(cluster, what)?;
        self.require_rights(cluster, what)?;
        let failed = |why: String| DisturbError::Failed { what: what.to_string(), why };
        let helpers = self.ensure_helpers(cluster, &plan).map_err(&failed)?;
        for (node, deeds) in plan {
            let helper = helpers.get(&node).ok_or_else(|| failed(format!("no helper runs on node {node}")))?;
            let asked = Disturb { name: name.to_owned(), deeds, time_to_live_s: TIME_TO_LIVE.as_secs() };
            if let Err((status, why)) = self.ask(cluster, helper, "/v1/disturb", &asked) {
                // The other half, if there is one, must not stay; the first error is what is reported.
                let _ = self.relieve(cluster, name);
                let what = what.to_string();
                return Err(match status {
                    410 => DisturbError::NoTarget { what, why },
                    501 => DisturbError::MissingRights { what, rights: format!("{why} (node {node})") },
                    _ => DisturbError::Failed { what, why },
                });
            }
        }
        Ok(())
    }

    pub(super) fn relieve(&self, cluster: &mut LiveCluster, name: &str) -> Result<(), DisturbError> {
        let failed = |why: String| DisturbError::Failed { what: name.to_owned(), why };
        for kind in chaos_kinds(cluster).map_err(|error| failed(error.to_string()))? {
            self.withdraw(cluster, name, &kind).map_err(&failed)?;
        }
        let asked = Relieve { name: Some(name.to_owned()) };
        for (node, helper) in self.helpers(cluster).map_err(|error| failed(error.to_string()))? {
            let answer = self.ask(cluster, &helper, "/v1/relieve", &asked);
            answer.map_err(|(_, why)| failed(format!("the helper on node {node}: {why}")))?;
        }
        Ok(())
    }

    /// Ends everything that an earlier process may have left in force.
    pub(super) fn relieve_all(&self, cluster: &mut LiveCluster) {
        let helpers = self.helpers(cluster).unwrap_or_default();
        for (node, helper) in helpers {
            if let Err((_, why)) = self.ask(cluster, &helper, "/v1/relieve", &Relieve { name: None }) {
                tracing::warn!(%node, %why, "a node helper cannot be asked");
            }
        }
    }

    pub(super) fn is_disturbed(&self, cluster: &mut LiveCluster, name: &str) -> Result<bool, DisturbError> {
        let failed = |why: String| DisturbError::Failed { what: name.to_owned(), why };
        for kind in chaos_kinds(cluster).map_err(|error| failed(error.to_string()))? {
            let read = ApiRequest::get(&kind, Some(&self.place.nodes()), &chaos::name(name));
            match cluster.api(&Identity::operator(), &read) {
                Ok(reply) if chaos::is_injected(&reply.clone().into_object()) => return Ok(true),
                Err(error) if error.code != 404 => return Err(failed(error.to_string())),
                _ => {}
            }
        }
        for (node, helper) in self.helpers(cluster).map_err(|error| failed(error.to_string()))? {
            let held = self.ask(cluster, &helper, "/v1/held", &());
            if held.map_err(|(_, why)| failed(format!("the helper on node {node}: {why}")))?.iter().any(|held| held == name) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn require_rights(&self, cluster: &mut LiveCluster, what: &Disturbance) -> Result<(), DisturbError> {
        let own = |verb, group, resource| Right { verb, group, resource, namespace: Some(self.place.nodes().into()) };
        let needed = [
            Right { verb: "create", group: "", resource: "namespaces", namespace: None },
            own("patch", "", "secrets"),
            own("patch", "apps", "daemonsets"),
            own("list", "", "pods"),
        ];
        let missing: Vec<String> = needed.iter().filter(|right| !cluster.can(right)).map(ToString::to_string).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(DisturbError::MissingRights { what: what.to_string(), rights: missing.join(", ") })
    }

    /// Makes the helpers where they are not there, and waits for those on the plan's nodes; their addresses by node.
    fn ensure_helpers(&self, cluster: &mut LiveCluster, plan: &Plan) -> Result<BTreeMap<String, String>, String> {
        let there = |helpers: &BTreeMap<String, String>| plan.keys().all(|node| helpers.contains_key(node));
        let known = self.helpers(cluster).map_err(|error| error.to_string())?;
        if there(&known) {
            return Ok(known);
        }
        ensure_nodes_namespace(cluster, &self.place).map_err(|error| error.to_string())?;
        for manifest in nodes::objects(&self.place, &self.image, &self.token) {
            apply(cluster, &self.place.nodes(), &manifest).map_err(|error| error.to_string())?;
        }
        let give_up = cluster.now() + HELPERS_WITHIN;
        loop {
            let found = self.helpers(cluster).map_err(|error| error.to_string())?;
            if there(&found) {
                return Ok(found);
            }
            if cluster.now() >= give_up {
                let missing: Vec<&str> = plan.keys().filter(|node| !found.contains_key(*node)).map(String::as_str).collect();
                return Err(format!("no helper runs on {} within {} s", missing.join(", "), HELPERS_WITHIN.as_secs()));
            }
            let until = cluster.now() + Duration::from_millis(250);
            cluster.wait(until, &[]);
        }
    }

    /// The addresses of helpers that answer, or did when their kubelet last looked, by node.
    fn helpers(&self, cluster: &mut LiveCluster) -> Result<BTreeMap<String, String>, ApiError> {
        let options = Options { label_selector: nodes::SELECTOR.to_owned(), ..Options::default() };
        let request = ApiRequest::list(kind_of("pods")?, Some(&self.place.nodes())).options(options);
        let pods = match cluster.api(&Identity::operator(), &request) {
            Ok(reply) => reply.into_items(),
            // Who may not look there cannot have made any.
            Err(error) if error.code == 403 => Vec::new(),
            Err(error) => return Err(error),
        };
        // A container that has started is asked: on a node that fell silent no pod counts as ready.
        let started = |pod: &Object| {
            let statuses = pod.at(&["status", "containerStatuses"]).items();
            statuses.iter().any(|status| status.get("started").is_true() && !status.at(&["state", "running"]).is_null())
        };
        let answers = pods.iter().filter(|pod| !pod.is_terminating() && started(pod) && was_ready(pod));
        Ok(answers.map(|pod| (pod.spec().get("nodeName").text().to_owned(), pod.status().get("hostIP").text().to_owned())).collect())
    }

    /// Asks a helper; what is in force on its node afterwards, or the status and text of its refusal (status 0 when there is no answer).
    fn ask<Q: Serialize>(&self, cluster: &LiveCluster, host: &str, path: &str, question: &Q) -> Result<Vec<String>, (u16, String)> {
        let request = HttpRequest {
            method: "POST".to_owned(),
            host: host.to_owned(),
            port: nodes::port(&self.place),
            path: path.to_owned(),
            headers: vec![(TOKEN_HEADER.to_owned(), self.token.clone()), ("content-type".to_owned(), "application/json".to_owned())],
            body: serde_json::to_vec(question).map_err(|error| (0, error.to_string()))?,
            timeout: ANSWER_WITHIN,
        };
        let reply = self.outpost(&cluster.shared).http(&request).map_err(|error| (0, error.to_string()))?;
        if reply.status != 200 {
            return Err((reply.status, String::from_utf8_lossy(&reply.body).trim().chars().take(400).collect()));
        }
        serde_json::from_slice(&reply.body).map_err(|error| (0, error.to_string()))
    }

    /// Disturbs by an object of Chaos Mesh.
    fn inject(&self, cluster: &mut LiveCluster, name: &str, what: &Disturbance, kind: &ResourceRef) -> Result<(), DisturbError> {
        let failed = |why: String| DisturbError::Failed { what: what.to_string(), why };
        let Some((_, object)) = chaos::manifest(&self.place, name, what) else { return Err(failed("there is no kind for it".to_owned())) };
        let right = Right { verb: "create", group: chaos::GROUP, resource: plural_of(kind), namespace: Some(self.place.nodes().into()) };
        if !cluster.can(&right) {
            return Err(DisturbError::MissingRights { what: what.to_string(), rights: right.to_string() });
        }
        ensure_nodes_namespace(cluster, &self.place).map_err(|error| failed(error.to_string()))?;
        let create = ApiRequest::create(kind, Some(&self.place.nodes()), object);
        cluster.api(&Identity::operator(), &create).map_err(|error| failed(error.to_string()))?;
        let read = ApiRequest::get(kind, Some(&self.place.nodes()), &chaos::name(name));
        let give_up = cluster.now() + CHAOS_WITHIN;
        loop {
            let now = cluster.api(&Identity::operator(), &read).map_err(|error| failed(error.to_string()))?.into_object();
            if chaos::is_injected(&now) {
                return Ok(());
            }
            if cluster.now() >= give_up {
                let status = now.status().to_compact();
                let _ = self.relieve(cluster, name);
                return Err(failed(format!("Chaos Mesh did not inject it within {} s: {status}", CHAOS_WITHIN.as_secs())));
            }
            let until = cluster.now() + Duration::from_millis(250);
            cluster.wait(until, &[]);
        }
    }

    /// Deletes a disturbance's object of Chaos Mesh and waits until it is gone, which is when its effect is.
    fn withdraw(&self, cluster: &mut LiveCluster, name: &str, kind: &ResourceRef) -> Result<(), String> {
        let (space, object) = (self.place.nodes(), chaos::name(name));
        let give_up = cluster.now() + CHAOS_WITHIN;
        loop {
            match cluster.api(&Identity::operator(), &ApiRequest::delete(kind, Some(&space), &object)) {
                Err(error) if error.code == 404 => return Ok(()),
                Err(error) => return Err(error.to_string()),
                Ok(_) if cluster.now() >= give_up => return Err(format!("{} {object} is still being deleted", kind.singular)),
                Ok(_) => {}
            }
            let until = cluster.now() + Duration::from_millis(250);
            cluster.wait(until, &[]);
        }
    }
}

/// Whether a helper was ready, or is on a node that fell silent after it was.
fn was_ready(pod: &Object) -> bool {
    let statuses = pod.at(&["status", "containerStatuses"]).items();
    statuses.iter().any(|status| status.get("ready").is_true())
}

fn kind_of(plural: &str) -> Result<&'static ResourceRef, ApiError> {
    resource::builtin_named("", plural).ok_or_else(|| ApiError::new(404, "NotFound", format!("no {plural}")))
}

/// The kinds of Chaos Mesh that the cluster serves.
fn chaos_kinds(cluster: &mut LiveCluster) -> Result<Vec<ResourceRef>, ApiError> {
    let all = cluster.resources()?;
    Ok(all.iter().filter(|kind| kind.group == chaos::GROUP && chaos::KINDS.contains(&kind.plural.as_str())).cloned().collect())
}

/// The kind by which Chaos Mesh does this, where it is served.
fn chaos_kind(
    cluster: &mut LiveCluster,
    place: &crate::cluster::environment::Place,
    what: &Disturbance,
) -> Result<Option<ResourceRef>, DisturbError> {
    let failed = |error: ApiError| DisturbError::Failed { what: what.to_string(), why: error.to_string() };
    let Some((plural, _)) = chaos::manifest(place, "", what) else { return Ok(None) };
    Ok(chaos_kinds(cluster).map_err(failed)?.into_iter().find(|kind| kind.plural == plural))
}

fn plural_of(kind: &ResourceRef) -> &'static str {
    chaos::KINDS.into_iter().find(|plural| *plural == kind.plural).unwrap_or_default()
}

/// What helpers have to know of a pod.
struct Target {
    node: String,
    uid: String,
    addresses: Vec<String>,
    object: Object,
}

fn target(cluster: &mut LiveCluster, what: &Disturbance, namespace: &str, pod: &str) -> Result<Target, DisturbError> {
    let missing = |why: String| DisturbError::NoTarget { what: what.to_string(), why };
    let failed = |error: &ApiError| DisturbError::Failed { what: what.to_string(), why: error.to_string() };
    let read = kind_of("pods").map(|kind| ApiRequest::get(kind, Some(namespace), pod)).map_err(|error| failed(&error))?;
    let object = match cluster.api(&Identity::operator(), &read) {
        Ok(reply) => reply.into_object(),
        Err(error) if error.code == 404 => return Err(missing(format!("there is no pod {namespace}/{pod}"))),
        Err(error) => return Err(failed(&error)),
    };
    let node = object.spec().get("nodeName").text().to_owned();
    if node.is_empty() {
        return Err(missing(format!("pod {namespace}/{pod} is on no node")));
    }
    let on_host = object.spec().get("hostNetwork").is_true();
    if on_host && !matches!(what, Disturbance::ContainerKill { .. }) {
        let why = format!("pod {namespace}/{pod} is on its node's network");
        return Err(DisturbError::Unsupported { what: what.to_string(), why });
    }
    let addresses = object.at(&["status", "podIPs"]).items().iter().map(|ip| ip.get("ip").text().to_owned()).collect();
    Ok(Target { node, uid: object.uid().to_owned(), addresses, object })
}

/// What is to be done on which node. A partition between two pods is made at both: behind a Service's address each end knows the other by
/// its own address only in what it receives.
fn plan(cluster: &mut LiveCluster, what: &Disturbance) -> Result<Plan, DisturbError> {
    let mut plan = Plan::new();
    match what {
        Disturbance::ContainerKill { namespace, pod, container, again_after } => {
            let target = target(cluster, what, namespace, pod)?;
            let status = target.object.at(&["status", "containerStatuses"]).find("name", container).cloned().unwrap_or_default();
            let id = status.get("containerID").text().rsplit("//").next().unwrap_or_default().to_owned();
            if id.is_empty() || status.at(&["state", "running"]).is_null() {
                return Err(DisturbError::NoTarget { what: what.to_string(), why: format!("container {container} does not run") });
            }
            plan.entry(target.node).or_default().push(Deed::Kill {
                pod_uid: target.uid,
                container_id: id,
                again_after_s: again_after.map(|span| span.as_secs()),
            });
        }
        Disturbance::NetworkLoss { namespace, pod, share } => {
            let target = target(cluster, what, namespace, pod)?;
            plan.entry(target.node).or_default().push(Deed::Loss { pod_uid: target.uid, share: *share });
        }
        Disturbance::NetworkDelay { namespace, pod, latency, jitter } => {
            let target = target(cluster, what, namespace, pod)?;
            let milliseconds = |span: &Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
            let deed = Deed::Delay { pod_uid: target.uid, latency_ms: milliseconds(latency), jitter_ms: milliseconds(jitter) };
            plan.entry(target.node).or_default().push(deed);
        }
        Disturbance::NetworkPartition { namespace, pod, from } => {
            let one = target(cluster, what, namespace, pod)?;
            let Some(other) = from else {
                plan.entry(one.node).or_default().push(Deed::Partition { pod_uid: one.uid, peers: Vec::new() });
                return Ok(plan);
            };
            let other = target(cluster, what, namespace, other)?;
            if one.addresses.is_empty() || other.addresses.is_empty() {
                return Err(DisturbError::NoTarget { what: what.to_string(), why: "a pod has no address yet".to_owned() });
            }
            for (here, there) in [(&one, &other), (&other, &one)] {
                let deed = Deed::Partition { pod_uid: here.uid.clone(), peers: there.addresses.clone() };
                plan.entry(here.node.clone()).or_default().push(deed);
            }
        }
        Disturbance::NodeStop { node } => {
            let failed = |error: ApiError| DisturbError::Failed { what: what.to_string(), why: error.to_string() };
            match cluster.api(&Identity::operator(), &ApiRequest::get(kind_of("nodes").map_err(failed)?, None, node)) {
                Ok(_) => {}
                Err(error) if error.code == 404 => {
                    return Err(DisturbError::NoTarget { what: what.to_string(), why: "there is no such node".to_owned() });
                }
                Err(error) => return Err(failed(error)),
            }
            plan.entry(node.to_string()).or_default().push(Deed::StopKubelet);
        }
    }
    Ok(plan)
}
