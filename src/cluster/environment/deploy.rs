//! Making an environment's namespaces and raising its application, so that doing it again after being cut off anywhere is harmless.

use super::emptying::empty;
use super::rights::{agent_objects, grant};
use super::stores::belongs_to;
use super::{EnvironmentError, LABEL, Place};
use crate::app::App;
use crate::cluster::deploy::{applied, is_available, kind_of, rounds};
use crate::cluster::{ApiError, ApiRequest, Cluster, Identity, Options, PatchKind};
use crate::object;
use crate::object::{Json, Object, ResourceRef, resource};
use arcstr::ArcStr;
use std::time::Duration;

/// In whose name manifests are applied: what a user of `kubectl apply` leaves behind.
const MANAGER: ArcStr = arcstr::literal!("kubectl-client-side-apply");

/// How long a Deployment may be unable to create pods before a deploy is given up: quotas and admission do not mend themselves.
const REFUSED_FOR: Duration = Duration::from_secs(15);

pub(super) fn namespaces() -> &'static ResourceRef {
    resource::builtin_named("", "namespaces").expect("Namespaces are in the table of built-in kinds")
}

pub(super) fn deployments() -> &'static ResourceRef {
    resource::builtin_named("apps", "deployments").expect("Deployments are in the table of built-in kinds")
}

/// Applies an object on the server's side, as its only owner.
///
/// # Errors
/// The API server's answer.
pub fn apply(cluster: &mut dyn Cluster, namespace: &str, manifest: &Json) -> Result<Object, ApiError> {
    let kind = kind_of(manifest)?;
    let namespace = kind.namespaced.then_some(namespace);
    let name = manifest.at(&["metadata", "name"]).text().to_owned();
    let options = Options { field_manager: Some(MANAGER), force: true, ..Options::default() };
    let request = ApiRequest::patch(kind, namespace, &name, PatchKind::Apply, applied(manifest, namespace)).options(options);
    Ok(cluster.api(&Identity::operator(), &request)?.into_object())
}

/// Makes our own namespace, where lease, record and journal live; the first thing that is made.
///
/// # Errors
/// One of that name exists without our label, or the API server's answer.
pub fn ensure_own_namespace(cluster: &mut dyn Cluster, place: &Place) -> Result<(), EnvironmentError> {
    ensure_namespace(cluster, place, &place.own, "restricted")
}

/// Makes the application's namespace and the agent's account and rights.
///
/// # Errors
/// One of its objects exists without our label, or the API server's answer.
pub fn ensure_namespaces(cluster: &mut dyn Cluster, place: &Place, app: &App) -> Result<(), EnvironmentError> {
    ensure_own_namespace(cluster, place)?;
    ensure_application_namespace(cluster, place)?;
    let volumes: Vec<String> = app
        .manifests
        .iter()
        .filter(|object| object.get("kind").text() == "PersistentVolume")
        .map(|object| object.at(&["metadata", "name"]).text().to_owned())
        .collect();
    for object in agent_objects(place, &volumes) {
        let what = format!("{} {}", object.get("kind").text(), object.at(&["metadata", "name"]).text());
        apply(cluster, &place.own, &object).map_err(EnvironmentError::api(format!("creating the agent's {what}")))?;
    }
    Ok(())
}

/// Makes the application's namespace.
///
/// # Errors
/// One of that name exists without our label, or the API server's answer.
pub(super) fn ensure_application_namespace(cluster: &mut dyn Cluster, place: &Place) -> Result<(), EnvironmentError> {
    // Pods that reach the node's files or processes are refused: the agent may create pods here.
    ensure_namespace(cluster, place, &place.namespace, "baseline")
}

/// Makes the namespace of the helpers on nodes, where privileged pods may run.
///
/// # Errors
/// One of that name exists without our label, or the API server's answer.
pub fn ensure_nodes_namespace(cluster: &mut dyn Cluster, place: &Place) -> Result<(), EnvironmentError> {
    ensure_namespace(cluster, place, &place.nodes(), "privileged")
}

fn ensure_namespace(cluster: &mut dyn Cluster, place: &Place, name: &str, level: &str) -> Result<(), EnvironmentError> {
    let labels = object! { LABEL => &place.namespace, "pod-security.kubernetes.io/enforce" => level };
    let manifest = object! { "apiVersion" => "v1", "kind" => "Namespace", "metadata" => object! { "name" => name, "labels" => &labels } };
    let give_up = cluster.now() + Duration::from_secs(120);
    loop {
        let current = match cluster.api(&Identity::operator(), &ApiRequest::get(namespaces(), None, name)) {
            Ok(reply) => reply.into_object(),
            Err(error) if error.code == 404 => {
                let created = cluster.api(&Identity::operator(), &ApiRequest::create(namespaces(), None, manifest.clone()));
                match created {
                    Err(error) if error.code != 409 => {
                        return Err(EnvironmentError::api(format!("creating namespace {name}"))(error));
                    }
                    _ => continue,
                }
            }
            Err(error) => return Err(EnvironmentError::api(format!("reading namespace {name}"))(error)),
        };
        if current.label(LABEL) != Some(place.namespace.as_str()) {
            return Err(EnvironmentError::Foreign { what: format!("namespace {name}"), namespace: place.namespace.to_string() });
        }
        if !current.is_terminating() {
            let same = labels.entries().all(|(key, value)| current.label(key) == value.as_str());
            let patch = object! { "metadata" => object! { "labels" => &labels } };
            let request = ApiRequest::patch(namespaces(), None, name, PatchKind::Merge, patch);
            if !same {
                cluster.api(&Identity::operator(), &request).map_err(EnvironmentError::api(format!("labelling namespace {name}")))?;
            }
            return Ok(());
        }
        if cluster.now() >= give_up {
            let why = "an earlier one is still being deleted".to_owned();
            return Err(EnvironmentError::NotReady { namespace: name.to_owned(), seconds: 120, why });
        }
        let until = cluster.now() + Duration::from_millis(250);
        cluster.wait(until, &[]);
    }
}

/// Applies the application's objects and waits until every Deployment is available: first those that the others need when they start.
/// Stores begin on emptied volumes, whatever an earlier application left there.
///
/// # Errors
/// The API server's answer, or what is not ready within `bound`.
pub fn raise(cluster: &mut dyn Cluster, place: &Place, app: &App, strict: bool, bound: Duration) -> Result<(), EnvironmentError> {
    let give_up = cluster.now() + bound;
    apply_own(cluster, place, &grant(place))?;
    let [first, last] = rounds(app, strict);
    let (servers, rest): (Vec<Json>, Vec<Json>) = first.into_iter().partition(|object| object.get("kind").text() == "Deployment");
    for object in &rest {
        apply_own(cluster, place, object)?;
    }
    empty(cluster, place, (app, strict), &app.stores.iter().collect::<Vec<_>>())?;
    for round in [servers, last] {
        for object in &round {
            apply_own(cluster, place, object)?;
        }
        wait_available(cluster, &place.namespace, give_up, bound)?;
    }
    Ok(())
}

/// Applies an object of the application's, unless a cluster-scoped one of its name is not ours.
pub(super) fn apply_own(cluster: &mut dyn Cluster, place: &Place, manifest: &Json) -> Result<(), EnvironmentError> {
    let (kind, name) = (manifest.get("kind").text().to_owned(), manifest.at(&["metadata", "name"]).text().to_owned());
    let doing = || EnvironmentError::api(format!("applying {kind} {name}"));
    let resource = kind_of(manifest).map_err(doing())?;
    if !resource.namespaced {
        match cluster.api(&Identity::operator(), &ApiRequest::get(resource, None, &name)) {
            Ok(reply) if reply.clone().into_object().label(LABEL) != Some(place.namespace.as_str()) => {
                return Err(EnvironmentError::Foreign { what: format!("{kind} {name}"), namespace: place.namespace.to_string() });
            }
            Err(error) if error.code != 404 => return Err(doing()(error)),
            _ => {}
        }
    }
    apply(cluster, &place.namespace, manifest).map(drop).map_err(doing())
}

/// Waits until every Deployment of a namespace is available.
///
/// # Errors
/// What is missing at `give_up`, or as soon as pods are refused for [`REFUSED_FOR`].
pub fn wait_available(
    cluster: &mut dyn Cluster,
    namespace: &str,
    give_up: crate::time::SimTime,
    bound: Duration,
) -> Result<(), EnvironmentError> {
    wait_for(cluster, (namespace, None), give_up, bound)
}

/// Waits until every Deployment of a namespace is available, or every one of those named.
pub(super) fn wait_for(
    cluster: &mut dyn Cluster,
    (namespace, names): (&str, Option<&[ArcStr]>),
    give_up: crate::time::SimTime,
    bound: Duration,
) -> Result<(), EnvironmentError> {
    loop {
        let list = ApiRequest::list(deployments(), Some(namespace));
        let mut all = cluster.api(&Identity::operator(), &list).map_err(EnvironmentError::api("reading the Deployments"))?.into_items();
        all.retain(|deployment| names.is_none_or(|names| names.iter().any(|name| *name == deployment.name())));
        let late = match all.iter().find(|d| !is_settled(d)) {
            Some(late) => Some(late),
            None => unready(cluster, namespace, &all)?,
        };
        let Some(late) = late else { return Ok(()) };
        let now = cluster.now();
        let refused = all.iter().find_map(|deployment| refusal(deployment, now));
        if now >= give_up || refused.is_some() {
            let why = refused.unwrap_or_else(|| why_late(cluster, namespace, late));
            return Err(EnvironmentError::NotReady { namespace: namespace.to_owned(), seconds: bound.as_secs(), why });
        }
        let interest = crate::cluster::Interest::Objects { resource: deployments().clone(), namespace: Some(namespace.into()), name: None };
        let pods = crate::cluster::Interest::Objects {
            resource: resource::builtin_named("", "pods").expect("pods are in the table of built-in kinds").clone(),
            namespace: Some(namespace.into()),
            name: None,
        };
        cluster.wait(give_up.min(now + Duration::from_secs(5)), &[interest, pods]);
    }
}

/// Whether a Deployment's latest change is seen and every replica is new, ready and available.
fn is_settled(deployment: &Object) -> bool {
    let wanted = deployment.spec().get("replicas").as_i64().unwrap_or(1);
    let count = |field: &str| deployment.status().get(field).as_i64().unwrap_or(0);
    is_available(deployment)
        && count("observedGeneration") >= deployment.generation()
        && ["replicas", "updatedReplicas", "readyReplicas"].iter().all(|field| count(field) == wanted)
}

/// A Deployment that lacks ready pods. Its status lags behind when pods are deleted, so they are counted.
fn unready<'a>(cluster: &mut dyn Cluster, namespace: &str, all: &'a [Object]) -> Result<Option<&'a Object>, EnvironmentError> {
    let pods = resource::builtin_named("", "pods").expect("pods are in the table of built-in kinds");
    let pods = cluster.api(&Identity::operator(), &ApiRequest::list(pods, Some(namespace)));
    let pods = pods.map_err(EnvironmentError::api("reading the pods"))?.into_items();
    let is_ready = |pod: &Object| pod.condition("Ready").is_some_and(|condition| condition.get("status").text() == "True");
    let ready = |deployment: &Object| {
        let own = pods.iter().filter(|pod| !pod.is_terminating() && belongs_to(pod, deployment.name()) && is_ready(pod));
        i64::try_from(own.count()).unwrap_or(i64::MAX)
    };
    Ok(all.iter().find(|deployment| ready(deployment) < deployment.spec().get("replicas").as_i64().unwrap_or(1)))
}

/// Why a Deployment's pods are refused, when they have been for long enough.
fn refusal(deployment: &Object, now: crate::time::SimTime) -> Option<String> {
    let condition = deployment.condition("ReplicaFailure").filter(|c| c.get("status").text() == "True")?;
    let since = crate::time::SimTime::parse_rfc3339(condition.get("lastTransitionTime").text())?;
    (now.since(since) >= REFUSED_FOR).then(|| format!("deployment {}: {}", deployment.name(), condition.get("message").text()))
}

/// What a Deployment waits for, in the words of its pods.
fn why_late(cluster: &mut dyn Cluster, namespace: &str, late: &Object) -> String {
    let name = late.name();
    let pods = resource::builtin_named("", "pods").map(|kind| ApiRequest::list(kind, Some(namespace)));
    let items =
        pods.and_then(|list| cluster.api(&Identity::operator(), &list).ok()).map(crate::cluster::ApiReply::into_items).unwrap_or_default();
    let own = items.iter().filter(|pod| pod.name().starts_with(&format!("{name}-")));
    let waiting = own.flat_map(|pod| {
        let states = pod.at(&["status", "containerStatuses"]).items();
        let reasons = states.iter().filter_map(|s| s.at(&["state", "waiting"]).as_map().map(|_| s.at(&["state", "waiting"]).clone()));
        let held = reasons.map(|w| format!("pod {}: {} {}", pod.name(), w.get("reason").text(), w.get("message").text()));
        let unplaced = pod.condition("PodScheduled").filter(|c| c.get("status").text() == "False");
        held.chain(unplaced.map(|c| format!("pod {}: {}", pod.name(), c.get("message").text()))).collect::<Vec<_>>()
    });
    let reasons: Vec<String> = waiting.map(|text| text.trim().to_owned()).collect();
    if reasons.is_empty() { format!("deployment {name} is not available: {}", late.status().to_compact()) } else { reasons.join("; ") }
}
