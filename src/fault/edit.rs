//! Requests that recipes share, and their undo as data.

use super::FaultError;
use crate::cluster::{ApiRequest, Body, Cluster, ExecOutput, ExecRequest, Identity, Options, PatchKind, Propagation, Subresource};
use crate::object::{Json, Object, ResourceRef, resource};
use crate::{array, object};
use std::time::Duration;

/// What undoes a fault.
#[derive(Debug, Clone, PartialEq)]
pub struct Undo {
    /// Kind of the object that has to converge afterwards, as kubectl takes it: `deployment`, `service`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Names of the disturbances to relieve.
    pub disturbances: Vec<String>,
    /// What is done after that, in order.
    pub steps: Vec<Step>,
    /// The kubectl commands that do the same as far as a user can, without namespace; what the oracle types.
    pub commands: Vec<String>,
}

/// One request of an [`Undo`].
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// An object is patched. One that is gone needs no repair any more.
    Patch {
        /// Its kind.
        resource: &'static ResourceRef,
        /// Its name.
        name: String,
        /// How to read the patch.
        kind: PatchKind,
        /// The patch.
        patch: Json,
    },
    /// A program is run in a pod of a Deployment.
    Run {
        /// The Deployment.
        deployment: String,
        /// The program and its arguments.
        argv: Vec<String>,
    },
    /// The pods of a Deployment are replaced.
    Replace(String),
}

impl Step {
    fn apply(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<(), FaultError> {
        match self {
            Step::Patch { resource, name, kind, patch } => {
                let namespace = resource.namespaced.then_some(namespace);
                let request = ApiRequest::patch(resource, namespace, name, *kind, patch.clone());
                match send(cluster, "patch", request, "kubectl-patch") {
                    Err(FaultError::Api { error, .. }) if error.code == 404 => Ok(()),
                    other => other.map(drop),
                }
            }
            Step::Run { deployment, argv } => run(cluster, namespace, deployment, argv).map(drop),
            Step::Replace(deployment) => replace_pods(cluster, namespace, deployment),
        }
    }
}

impl Undo {
    /// The undo of what changes no object, or nothing that can be put back.
    pub(super) fn of(kind: &'static str, name: &str) -> Undo {
        Undo { kind, name: name.to_owned(), disturbances: Vec::new(), steps: Vec::new(), commands: Vec::new() }
    }

    /// Puts a Deployment back by a patch, and the command that does so.
    pub(super) fn of_deployment(name: &str, kind: PatchKind, patch: Json, command: String) -> Undo {
        let steps = vec![Step::Patch { resource: deployments(), name: name.to_owned(), kind, patch }];
        Undo { steps, commands: vec![command], ..Undo::of("deployment", name) }
    }

    /// Puts back a field of a Deployment by a JSON patch; one that was not there is taken out.
    pub(super) fn of_field(deployment: &str, path: &str, old: &Json) -> Undo {
        let operation = if old.is_empty() {
            object! { "op" => "remove", "path" => path }
        } else {
            object! { "op" => "replace", "path" => path, "value" => old }
        };
        let patch = array![operation];
        let command = format!("patch deployment {deployment} --type=json -p {}", shell_word(&patch.to_compact()));
        Undo::of_deployment(deployment, PatchKind::Json, patch, command)
    }

    /// Puts back what was there.
    ///
    /// # Errors
    /// When the API server refuses, or a disturbance goes on.
    pub fn apply(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<(), FaultError> {
        for name in &self.disturbances {
            cluster.relieve(name).map_err(FaultError::Disturb)?;
        }
        self.steps.iter().try_for_each(|step| step.apply(cluster, namespace))
    }

    /// The commands that a user would type for it, each with the namespace, and the wait for the rollout behind them.
    pub fn commands(&self, namespace: &str) -> Vec<String> {
        let placed = |command: &String| match command.split_once(" -- ") {
            Some((kubectl, program)) => format!("kubectl {kubectl} -n {namespace} -- {program}"),
            None => format!("kubectl {command} -n {namespace}"),
        };
        let mut commands: Vec<String> = self.commands.iter().map(placed).collect();
        if self.kind == "deployment" {
            commands.push(format!("kubectl rollout status deployment/{} -n {namespace} --timeout=60s", self.name));
        }
        commands
    }
}

pub(super) fn deployments() -> &'static ResourceRef {
    resource::builtin_named("apps", "deployments").expect("Deployments are in the table of built-in kinds")
}

pub(super) fn pods() -> &'static ResourceRef {
    resource::builtin_named("", "pods").expect("Pods are in the table of built-in kinds")
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
    let options = Options { label_selector: labels.join(","), ..Options::default() };
    let reply = cluster.api(&Identity::operator(), &ApiRequest::list(pods(), Some(namespace)).options(options));
    let all = reply.map_err(|error| FaultError::Api { doing: "list", what: format!("pods of {:?}", deployment.name()), error })?;
    Ok(all.into_items().into_iter().filter(|pod| !pod.is_terminating()).collect())
}

/// Runs a program in a ready pod of a Deployment; it has to end well.
pub(super) fn run(cluster: &mut dyn Cluster, namespace: &str, deployment: &str, argv: &[String]) -> Result<ExecOutput, FaultError> {
    let what = || format!("{} in a pod of deployment {deployment:?}", argv.first().map_or("", String::as_str));
    let output = attempt(cluster, namespace, deployment, argv)?;
    if output.exit_code == 0 {
        return Ok(output);
    }
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let said = String::from_utf8_lossy(&said).trim().chars().take(400).collect::<String>();
    Err(unexpected(what(), "exit code 0", format!("{}: {said}", output.exit_code)))
}

/// Runs a program in a ready pod of a Deployment, however it ends. The time that it takes passes.
///
/// # Errors
/// That no pod is ready, or that the program cannot be run in it.
pub fn attempt(cluster: &mut dyn Cluster, namespace: &str, deployment: &str, argv: &[String]) -> Result<ExecOutput, FaultError> {
    let pod = ready_pod(cluster, namespace, deployment)?;
    let request =
        ExecRequest { namespace: namespace.into(), pod: pod.name().into(), container: None, argv: argv.to_vec(), stdin: Vec::new() };
    let output = cluster.exec(&Identity::operator(), &request);
    let output = output.map_err(|error| FaultError::Api { doing: "run a program in", what: format!("pod {:?}", pod.name()), error })?;
    let until = cluster.now() + output.took;
    cluster.wait(until, &[]);
    Ok(output)
}

/// A ready pod of a Deployment.
///
/// # Errors
/// That there is none.
pub fn ready_pod(cluster: &mut dyn Cluster, namespace: &str, deployment: &str) -> Result<Object, FaultError> {
    let object = self::deployment(cluster, namespace, deployment)?;
    let ready = |pod: &Object| pod.condition("Ready").is_some_and(|condition| condition.get("status").text() == "True");
    let pod = pods_of(cluster, namespace, &object)?.into_iter().find(ready);
    pod.ok_or_else(|| unexpected(format!("pods of deployment {deployment:?}"), "a ready one", "none"))
}

/// Rolls a Deployment out again, as `kubectl rollout restart` does.
pub(super) fn restart(cluster: &mut dyn Cluster, namespace: &str, name: &str) -> Result<Object, FaultError> {
    let at = crate::object! { "kubectl.kubernetes.io/restartedAt" => cluster.now().rfc3339() };
    let template = crate::object! { "metadata" => crate::object! { "annotations" => at } };
    let patch = crate::object! { "spec" => crate::object! { "template" => template } };
    patch_deployment(cluster, namespace, name, (PatchKind::Strategic, patch), "kubectl-rollout")
}

/// Deletes the pods of a Deployment, which makes new ones.
pub(super) fn replace_pods(cluster: &mut dyn Cluster, namespace: &str, deployment: &str) -> Result<(), FaultError> {
    let object = self::deployment(cluster, namespace, deployment)?;
    for pod in pods_of(cluster, namespace, &object)? {
        match send(cluster, "delete", ApiRequest::delete(pods(), Some(namespace), pod.name()), "kubectl") {
            Err(FaultError::Api { error, .. }) if error.code == 404 => {}
            other => drop(other?),
        }
    }
    Ok(())
}

/// Longest wait for the deletion of a Deployment.
const DELETION_MAX: Duration = Duration::from_secs(60);

/// Deletes a Deployment, waits until it and its pods are gone, and creates it anew, changed. It is not patched, since a rolling update
/// would keep the old pods until the new ones run, and its history would tell what it was.
pub(super) fn made_anew(
    cluster: &mut dyn Cluster,
    namespace: &str,
    before: &Object,
    change: impl FnOnce(&mut Json),
) -> Result<(), FaultError> {
    let mut changed = as_applied(before);
    change(&mut changed);
    let mut delete = ApiRequest::delete(deployments(), Some(namespace), before.name());
    delete.options = Options { propagation: Some(Propagation::Background), ..Options::default() };
    send(cluster, "delete", delete, "kubectl")?;
    let until = cluster.now() + DELETION_MAX;
    while !pods_of(cluster, namespace, before)?.is_empty() || deployment(cluster, namespace, before.name()).is_ok() {
        if cluster.now() >= until {
            return Err(unexpected(format!("deployment {:?}", before.name()), "deletion", "it is still there"));
        }
        let next = cluster.now() + Duration::from_millis(500);
        cluster.wait(next, &[]);
    }
    send(cluster, "create", ApiRequest::create(deployments(), Some(namespace), changed), "kubectl-create").map(drop)
}

/// The object as a user's manifest has it: without status and what the server sets.
pub(super) fn as_applied(object: &Object) -> Json {
    let mut manifest = object.0.clone();
    manifest.remove("status");
    for field in ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink", "finalizers"] {
        manifest.remove_at(&["metadata", field]);
    }
    manifest.remove_at(&["metadata", "annotations", "deployment.kubernetes.io/revision"]);
    if manifest.at(&["metadata", "annotations"]).is_empty() {
        manifest.remove_at(&["metadata", "annotations"]);
    }
    manifest
}

/// A word as a shell takes it: quoted when it has to be.
pub(super) fn shell_word(text: &str) -> String {
    let plain =
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '=' | ',' | '@'));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
