//! An application that is deployed anew beside volumes of its former self.

use super::FaultError;
use super::edit::{self, Step, Undo, unexpected};
use crate::cluster::{ApiError, ApiRequest, Cluster, Identity, PatchKind, Right};
use crate::object::{Json, Object, ResourceRef, resource};
use crate::{array, object};
use serde::Deserialize;
use std::time::Duration;

/// The application's namespace is deleted and everything in it created again, but its volumes are left as they are: Released, and bound to
/// claims that are gone, so that the new claims find none.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redeploy {
    /// A Deployment whose pods need a claim; by it the fault is proved.
    pub deployment: String,
}

/// What a user deploys, in the order in which it can be created.
const KINDS: &[(&str, &str)] = &[
    ("", "serviceaccounts"),
    ("rbac.authorization.k8s.io", "roles"),
    ("rbac.authorization.k8s.io", "rolebindings"),
    ("", "resourcequotas"),
    ("", "limitranges"),
    ("", "configmaps"),
    ("", "secrets"),
    ("", "persistentvolumeclaims"),
    ("", "services"),
    ("apps", "deployments"),
    ("apps", "statefulsets"),
    ("apps", "daemonsets"),
];

/// Longest wait for the namespace to be gone, and how long it stays away.
const GONE_WITHIN: Duration = Duration::from_secs(180);
const AWAY: Duration = Duration::from_secs(15);

/// Longest wait for the new namespace to be ready for pods.
const READY_WITHIN: Duration = Duration::from_secs(30);

impl Redeploy {
    pub(super) fn inject(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<Undo, FaultError> {
        let space = edit::send(cluster, "get", ApiRequest::get(namespaces(), None, namespace), "kubectl")?;
        let mut manifests = Vec::new();
        for (group, plural) in KINDS {
            let kind = builtin(group, plural);
            let found = listed(cluster, kind, Some(namespace))?;
            manifests.extend(found.iter().filter(|object| is_deployed(plural, object)).map(|object| (kind, manifest(plural, object))));
        }
        let volumes: Vec<String> = listed(cluster, volumes(), None)?
            .iter()
            .filter(|volume| volume.at(&["spec", "claimRef", "namespace"]).text() == namespace)
            .map(|volume| volume.name().to_owned())
            .collect();
        if volumes.is_empty() {
            return Err(unexpected("volumes", format!("some that namespace {namespace} claims"), "none"));
        }
        edit::send(cluster, "delete", ApiRequest::delete(namespaces(), None, namespace), "kubectl")?;
        await_absence(cluster, namespace)?;
        let until = cluster.now() + AWAY;
        cluster.wait(until, &[]);
        let manager = "kubectl-client-side-apply";
        edit::send(cluster, "create", ApiRequest::create(namespaces(), None, manifest("namespaces", &space)), manager)?;
        await_account(cluster, namespace)?;
        for (kind, manifest) in manifests {
            edit::send(cluster, "create", ApiRequest::create(kind, Some(namespace), manifest), manager)?;
        }
        Ok(undo(&self.deployment, &volumes))
    }

    /// The Deployment's pods wait for claims that have no volume.
    pub(super) fn prove(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<(), FaultError> {
        let deployment = edit::deployment(cluster, namespace, &self.deployment)?;
        let claims = deployment.at(&["spec", "template", "spec", "volumes"]);
        let claims: Vec<&str> = claims.items().iter().filter_map(|v| v.at(&["persistentVolumeClaim", "claimName"]).as_str()).collect();
        let claim = claims.first().ok_or_else(|| unexpected(format!("deployment {:?}", self.deployment), "a claim", "none"))?;
        let kind = builtin("", "persistentvolumeclaims");
        let found = edit::send(cluster, "get", ApiRequest::get(kind, Some(namespace), claim), "kubectl")?;
        let phase = found.status().get("phase").text();
        let pods = edit::pods_of(cluster, namespace, &deployment)?;
        let placed = pods.iter().any(|pod| !pod.spec().get("nodeName").is_empty());
        if phase == "Pending" && !pods.is_empty() && !placed {
            return Ok(());
        }
        Err(unexpected(format!("claim {claim:?}"), "to be pending, with a pod that waits for it", phase))
    }
}

/// The way back: volumes that are nobody's, which the new claims find.
fn undo(deployment: &str, names: &[String]) -> Undo {
    let patch = || array![object! { "op" => "remove", "path" => "/spec/claimRef" }];
    let step = |name: &String| Step::Patch { resource: volumes(), name: name.clone(), kind: PatchKind::Json, patch: patch() };
    let command = |name: &String| format!("patch persistentvolume {name} --type=json -p {}", edit::shell_word(&patch().to_compact()));
    let (steps, commands) = (names.iter().map(step).collect(), names.iter().map(command).collect());
    Undo { steps, commands, ..Undo::of("deployment", deployment) }
}

/// Whether a user deployed it, and no controller.
fn is_deployed(plural: &str, object: &Object) -> bool {
    let name = object.name();
    let made = match plural {
        "serviceaccounts" => name == "default",
        "configmaps" => name == "kube-root-ca.crt",
        "secrets" => object.get("type").text() == "kubernetes.io/service-account-token",
        _ => false,
    };
    !made && object.controller().is_none()
}

/// The object as a manifest has it, without what binds it to what is gone.
fn manifest(plural: &str, object: &Object) -> Json {
    let mut manifest = edit::as_applied(object);
    match plural {
        "namespaces" => drop(manifest.remove("spec")),
        "persistentvolumeclaims" => {
            manifest.remove_at(&["spec", "volumeName"]);
            for annotation in [
                "pv.kubernetes.io/bind-completed",
                "pv.kubernetes.io/bound-by-controller",
                "volume.kubernetes.io/storage-provisioner",
                "volume.beta.kubernetes.io/storage-provisioner",
            ] {
                manifest.remove_at(&["metadata", "annotations", annotation]);
            }
        }
        "services" if object.spec().get("clusterIP").text() != "None" => {
            manifest.remove_at(&["spec", "clusterIP"]);
            manifest.remove_at(&["spec", "clusterIPs"]);
        }
        _ => {}
    }
    manifest
}

fn await_absence(cluster: &mut dyn Cluster, namespace: &str) -> Result<(), FaultError> {
    let until = cluster.now() + GONE_WITHIN;
    while edit::send(cluster, "get", ApiRequest::get(namespaces(), None, namespace), "kubectl").is_ok() {
        if cluster.now() >= until {
            return Err(unexpected(format!("namespace {namespace:?}"), "deletion", "it is still there"));
        }
        let next = cluster.now() + Duration::from_millis(500);
        cluster.wait(next, &[]);
    }
    Ok(())
}

/// Waits for the service account that pods run as.
fn await_account(cluster: &mut dyn Cluster, namespace: &str) -> Result<(), FaultError> {
    let until = cluster.now() + READY_WITHIN;
    loop {
        match edit::send(cluster, "get", ApiRequest::get(builtin("", "serviceaccounts"), Some(namespace), "default"), "kubectl") {
            Err(FaultError::Api { error, .. }) if error.code == 404 && cluster.now() < until => {
                let next = cluster.now() + Duration::from_millis(200);
                cluster.wait(next, &[]);
            }
            other => return other.map(drop),
        }
    }
}

fn listed(cluster: &mut dyn Cluster, kind: &ResourceRef, namespace: Option<&str>) -> Result<Vec<Object>, FaultError> {
    let reply = cluster.api(&Identity::operator(), &ApiRequest::list(kind, namespace));
    let failed = |error: ApiError| FaultError::Api { doing: "list", what: kind.plural.to_string(), error };
    Ok(reply.map_err(failed)?.into_items())
}

fn builtin(group: &str, plural: &str) -> &'static ResourceRef {
    resource::builtin_named(group, plural).expect("it is in the table of built-in kinds")
}

fn namespaces() -> &'static ResourceRef {
    builtin("", "namespaces")
}

fn volumes() -> &'static ResourceRef {
    builtin("", "persistentvolumes")
}

/// The rights that it needs.
pub(super) fn rights(namespace: &str) -> Vec<Right> {
    let global = |verb, resource| Right { verb, group: "", resource, namespace: None };
    let mut rights = vec![global("get", "namespaces"), global("delete", "namespaces"), global("create", "namespaces")];
    rights.extend([global("list", "persistentvolumes"), global("patch", "persistentvolumes")]);
    for (group, resource) in KINDS {
        for verb in ["list", "create"] {
            rights.push(Right { verb, group, resource, namespace: Some(namespace.into()) });
        }
    }
    rights
}
