//! Requests that recipes share, and their undo as data.

use super::FaultError;
use crate::cluster::{ApiRequest, Body, Cluster, Identity, Options, PatchKind, Subresource};
use crate::object::{Json, Object, ResourceRef, resource};
use crate::{array, object};

/// What undoes a fault.
#[derive(Debug, Clone, PartialEq)]
pub struct Undo {
    /// Kind of the object, as kubectl takes it: `deployment`, `service`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The patch that puts back what was there; null when no object was changed.
    pub patch: Json,
    /// How to read the patch.
    pub patch_kind: PatchKind,
    /// Names of the disturbances to relieve.
    pub disturbances: Vec<String>,
    /// The kubectl commands that do the same as far as a user can, without namespace; what the oracle types.
    pub commands: Vec<String>,
}

impl Undo {
    /// Puts back a field of a Deployment by a JSON patch; one that was not there is taken out.
    pub(super) fn of_field(deployment: &str, path: &str, old: &Json) -> Undo {
        let operation = if old.is_empty() {
            object! { "op" => "remove", "path" => path }
        } else {
            object! { "op" => "replace", "path" => path, "value" => old }
        };
        let patch = array![operation];
        let command = format!("patch deployment {deployment} --type=json -p {}", shell_word(&patch.to_compact()));
        Undo {
            kind: "deployment",
            name: deployment.to_owned(),
            patch,
            patch_kind: PatchKind::Json,
            disturbances: Vec::new(),
            commands: vec![command],
        }
    }

    /// Puts back what was there.
    ///
    /// # Errors
    /// When the API server refuses, or a disturbance goes on.
    pub fn apply(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<(), FaultError> {
        for name in &self.disturbances {
            cluster.relieve(name).map_err(FaultError::Disturb)?;
        }
        if self.patch.is_null() {
            return Ok(());
        }
        let kind = if self.kind == "service" { services() } else { deployments() };
        let request = ApiRequest::patch(kind, Some(namespace), &self.name, self.patch_kind, self.patch.clone());
        send(cluster, "patch", request, "kubectl-patch").map(|_| ())
    }

    /// The commands that a user would type for it, each with the namespace, and the wait for the rollout behind them.
    pub fn commands(&self, namespace: &str) -> Vec<String> {
        let mut commands: Vec<String> = self.commands.iter().map(|command| format!("kubectl {command} -n {namespace}")).collect();
        if self.kind == "deployment" {
            commands.push(format!("kubectl rollout status deployment/{} -n {namespace} --timeout=60s", self.name));
        }
        commands
    }
}

pub(super) fn deployments() -> &'static ResourceRef {
    resource::builtin_named("apps", "deployments").expect("Deployments are in the table of built-in kinds")
}

pub(super) fn services() -> &'static ResourceRef {
    resource::builtin_named("", "services").expect("Services are in the table of built-in kinds")
}

/// Sends a request in the operator's name under a field manager of kubectl's.
pub(super) fn send(
    cluster: &mut dyn Cluster,
    doing: &'static str,
    request: ApiRequest,
    manager: &'static str,
) -> Result<Object, FaultError> {
    let what = format!("{} {:?}", request.resource.singular, request.name.as_deref().unwrap_or(""));
    let writes = !matches!(request.body, Body::None);
    let options = Options { field_manager: writes.then(|| manager.into()), ..request.options.clone() };
    let reply = cluster.api(&Identity::operator(), &request.options(options));
    reply.map(|reply| reply.into_object()).map_err(|error| FaultError::Api { doing, what, error })
}

pub(super) fn deployment(cluster: &mut dyn Cluster, namespace: &str, name: &str) -> Result<Object, FaultError> {
    send(cluster, "get", ApiRequest::get(deployments(), Some(namespace), name), "kubectl")
}

/// Changes a Deployment by a patch.
pub(super) fn patch_deployment(
    cluster: &mut dyn Cluster,
    namespace: &str,
    name: &str,
    (kind, patch): (PatchKind, Json),
    manager: &'static str,
) -> Result<Object, FaultError> {
    send(cluster, "patch", ApiRequest::patch(deployments(), Some(namespace), name, kind, patch), manager)
}

/// Sets the number of replicas as `kubectl scale` does.
pub(super) fn scale(cluster: &mut dyn Cluster, namespace: &str, name: &str, replicas: i64) -> Result<Object, FaultError> {
    let patch = crate::object! { "spec" => crate::object! { "replicas" => replicas } };
    let request = ApiRequest::patch(deployments(), Some(namespace), name, PatchKind::Merge, patch).subresource(Subresource::Scale);
    send(cluster, "scale", request, "kubectl")
}

/// The container of a Deployment's pods, and its place.
pub(super) fn container<'a>(deployment: &'a Object, name: &str) -> Result<(usize, &'a Json), FaultError> {
    let containers = deployment.at(&["spec", "template", "spec", "containers"]);
    let found = containers.items().iter().enumerate().find(|(_, container)| container.get("name").as_str() == Some(name));
    found.ok_or_else(|| FaultError::Unexpected {
        what: format!("deployment {:?}", deployment.name()),
        expected: format!("a container {name:?}"),
        found: containers.items().iter().map(|container| container.get("name").text()).collect::<Vec<_>>().join(", "),
    })
}

/// The error of an object that is not as the recipe left it.
pub(super) fn unexpected(what: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> FaultError {
    FaultError::Unexpected { what: what.into(), expected: expected.into(), found: found.into() }
}

/// Whether the Deployment controller has acted on the latest change.
pub(super) fn observed(deployment: &Object) -> Result<(), FaultError> {
    let (wanted, seen) = (deployment.generation(), deployment.status().get("observedGeneration").as_i64().unwrap_or(0));
    if seen >= wanted {
        return Ok(());
    }
    Err(unexpected(format!("deployment {:?}", deployment.name()), format!("generation {wanted} to be observed"), seen.to_string()))
}

/// The pods of a Deployment, by its selector.
pub(super) fn pods_of(cluster: &mut dyn Cluster, namespace: &str, deployment: &Object) -> Result<Vec<Object>, FaultError> {
    let labels: Vec<String> =
        deployment.at(&["spec", "selector", "matchLabels"]).entries().map(|(key, value)| format!("{key}={}", value.text())).collect();
    let pods = resource::builtin_named("", "pods").expect("Pods are in the table of built-in kinds");
    let options = Options { label_selector: labels.join(","), ..Options::default() };
    let reply = cluster.api(&Identity::operator(), &ApiRequest::list(pods, Some(namespace)).options(options));
    let all = reply.map_err(|error| FaultError::Api { doing: "list", what: format!("pods of {:?}", deployment.name()), error })?;
    Ok(all.into_items().into_iter().filter(|pod| !pod.is_terminating()).collect())
}

/// A word as a shell takes it: quoted when it has to be.
pub(super) fn shell_word(text: &str) -> String {
    let plain =
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '=' | ',' | '@'));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
