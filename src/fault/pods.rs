//! Pods that are changed in place: their Deployment knows nothing of it.

use super::FaultError;
use super::edit::{self, Step, Undo, unexpected};
use crate::cluster::{ApiRequest, Cluster, PatchKind, Right};
use crate::object::{Json, Object};
use crate::{array, object};
use serde::Deserialize;

/// The image of a container is replaced in the running pods of a Deployment by one that lacks their program, which is how Chaos Mesh makes
/// a pod fail. The pods keep name, node and address; new pods are whole.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodImage {
    /// Deployment.
    pub deployment: String,
    /// Container.
    pub container: String,
    /// The image.
    pub image: String,
}

impl PodImage {
    fn patch(&self, image: &str) -> Json {
        object! { "spec" => object! { "containers" => array![object! { "name" => self.container.as_str(), "image" => image }] } }
    }

    fn image_of<'a>(&self, pod: &'a Object) -> Option<&'a str> {
        pod.at(&["spec", "containers"]).find("name", &self.container).map(|container| container.get("image").text())
    }

    pub(super) fn inject(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<Undo, FaultError> {
        let deployment = edit::deployment(cluster, namespace, &self.deployment)?;
        let old = edit::container(&deployment, &self.container)?.1.get("image").text().to_owned();
        let pods = edit::pods_of(cluster, namespace, &deployment)?;
        if pods.is_empty() {
            return Err(unexpected(format!("pods of deployment {:?}", self.deployment), "at least one", "none"));
        }
        let mut undo = Undo::of("deployment", &self.deployment);
        for pod in &pods {
            let request = ApiRequest::patch(edit::pods(), Some(namespace), pod.name(), PatchKind::Strategic, self.patch(&self.image));
            edit::send(cluster, "patch", request, "kubectl-set")?;
            let (name, patch) = (pod.name().to_owned(), self.patch(&old));
            undo.steps.push(Step::Patch { resource: edit::pods(), name, kind: PatchKind::Strategic, patch });
            undo.commands.push(format!("set image pod/{} {}={}", pod.name(), self.container, edit::shell_word(&old)));
        }
        Ok(undo)
    }

    pub(super) fn prove(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<(), FaultError> {
        let deployment = edit::deployment(cluster, namespace, &self.deployment)?;
        let pods = edit::pods_of(cluster, namespace, &deployment)?;
        let what = |pod: &Object| format!("pod {:?}", pod.name());
        if pods.is_empty() {
            return Err(unexpected(format!("pods of deployment {:?}", self.deployment), "at least one", "none"));
        }
        for pod in &pods {
            if self.image_of(pod) != Some(self.image.as_str()) {
                return Err(unexpected(what(pod), format!("image {:?}", self.image), format!("{:?}", self.image_of(pod))));
            }
            let state = pod.at(&["status", "containerStatuses"]).find("name", &self.container).cloned().unwrap_or_default();
            if !state.at(&["state", "running"]).is_null() {
                return Err(unexpected(what(pod), "a container that does not run", state.get("state").to_compact()));
            }
        }
        Ok(())
    }
}

/// The rights that these recipes need.
pub(super) fn rights(namespace: &str) -> Vec<Right> {
    let right = |verb, group, resource| Right { verb, group, resource, namespace: Some(namespace.into()) };
    vec![right("get", "apps", "deployments"), right("list", "", "pods"), right("patch", "", "pods")]
}
