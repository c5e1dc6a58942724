//! Deploying an application: its manifests, as `kubectl apply` would create them, in any cluster.

use super::{ApiError, ApiRequest, Cluster, Identity, Options};
use crate::app::App;
use crate::object;
use crate::object::{Json, Object, ResourceRef, resource};
use std::time::Duration;

/// The annotation in which `kubectl apply` keeps what it applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Longest wait for Deployments to become available.
const READY_WITHIN: Duration = Duration::from_secs(300);

/// Creates the application's namespace and objects. Deployments that the others need when they start go first, and are waited for, so
/// that nothing crashes for want of them.
///
/// # Errors
/// The API server's answer, or which Deployment did not become available in time.
pub fn deploy(cluster: &mut dyn Cluster, app: &App, strict: bool) -> Result<(), ApiError> {
    let namespace = object! { "apiVersion" => "v1", "kind" => "Namespace", "metadata" => object! { "name" => &app.namespace } };
    create(cluster, &app.namespace, &namespace)?;
    for round in rounds(app, strict) {
        for object in &round {
            create(cluster, &app.namespace, object)?;
        }
        wait_available(cluster, &app.namespace)?;
    }
    Ok(())
}

/// The objects to deploy in two rounds: Deployments that the others need when they start, with everything that is no Deployment, then the rest.
pub(super) fn rounds(app: &App, strict: bool) -> [Vec<Json>; 2] {
    let (first, last) = objects(app, strict).into_iter().partition(|object| {
        let name = object.at(&["metadata", "name"]).text();
        object.get("kind").text() != "Deployment" || app.first.iter().any(|f| f == name)
    });
    [first, last]
}

/// The kind of a manifest's object.
pub(super) fn kind_of(manifest: &Json) -> Result<&'static ResourceRef, ApiError> {
    let (api_version, kind) = (manifest.get("apiVersion").text(), manifest.get("kind").text());
    resource::builtin_kind(api_version, kind)
        .ok_or_else(|| ApiError::new(404, "NotFound", format!("the server does not serve kind {kind:?} of {api_version:?}")))
}

/// The objects to deploy; in strict mode AIOpsLab's own replace ours of the same kind and name.
pub(super) fn objects(app: &App, strict: bool) -> Vec<Json> {
    let key = |object: &Json| (object.get("kind").text().to_owned(), object.at(&["metadata", "name"]).text().to_owned());
    let theirs: &[Json] = if strict { &app.strict_manifests } else { &[] };
    let ours = app.manifests.iter().map(|own| theirs.iter().find(|object| key(object) == key(own)).unwrap_or(own));
    let added = theirs.iter().filter(|object| !app.manifests.iter().any(|own| key(own) == key(object)));
    // Objects that are added must exist before the Deployments that use them.
    added.chain(ours).cloned().collect()
}

fn create(cluster: &mut dyn Cluster, namespace: &str, manifest: &Json) -> Result<Object, ApiError> {
    let kind = kind_of(manifest)?;
    let namespace = kind.namespaced.then_some(namespace);
    let options = Options { field_manager: Some(arcstr::literal!("kubectl-client-side-apply")), ..Options::default() };
    let request = ApiRequest::create(kind, namespace, applied(manifest, namespace)).options(options);
    Ok(cluster.api(&Identity::operator(), &request)?.into_object())
}

/// The manifest with the annotation that a later `kubectl apply` compares with.
pub(super) fn applied(manifest: &Json, namespace: Option<&str>) -> Json {
    let mut object = manifest.clone();
    if let Some(namespace) = namespace {
        object.set_at(&["metadata", "namespace"], namespace);
    }
    if !matches!(object.at(&["metadata", "annotations"]), Json::Obj(_)) {
        object.set_at(&["metadata", "annotations"], object! {});
    }
    let text = format!("{}\n", object.to_compact());
    object.set_at(&["metadata", "annotations", LAST_APPLIED], text);
    object
}

fn wait_available(cluster: &mut dyn Cluster, namespace: &str) -> Result<(), ApiError> {
    let kind = resource::builtin_named("apps", "deployments").ok_or_else(|| ApiError::new(404, "NotFound", "no Deployments are served"))?;
    let give_up = cluster.now() + READY_WITHIN;
    loop {
        let deployments = cluster.api(&Identity::operator(), &ApiRequest::list(kind, Some(namespace)))?.into_items();
        let Some(late) = deployments.iter().find(|d| !is_available(d)) else { return Ok(()) };
        if cluster.now() >= give_up {
            let text = format!("deployment {} is not available after {} s", late.name(), READY_WITHIN.as_secs());
            return Err(ApiError::new(504, "Timeout", text));
        }
        let until = cluster.now() + Duration::from_secs(1);
        cluster.wait(until, &[]);
    }
}

/// Whether every wanted replica is available.
pub fn is_available(deployment: &Object) -> bool {
    let wanted = deployment.spec().get("replicas").as_i64().unwrap_or(1);
    deployment.status().get("availableReplicas").as_i64().unwrap_or(0) >= wanted
}
