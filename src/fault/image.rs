//! Wrong images and wrong programs: a container runs something else than it should.

use super::FaultError;
use super::edit::{self, Undo, unexpected};
use crate::cluster::{Cluster, PatchKind};
use crate::object::{Json, Object};
use crate::{array, object};
use serde::Deserialize;

/// A container's image is replaced, as `kubectl set image` does it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetImage {
    /// Deployment.
    pub deployment: String,
    /// Container.
    pub container: String,
    /// The image.
    pub image: String,
    /// The image that AIOpsLab uses, where its name gives the fault away.
    pub strict_image: Option<String>,
}

impl SetImage {
    pub(super) fn strict(&self) -> Self {
        SetImage { image: self.strict_image.clone().unwrap_or_else(|| self.image.clone()), ..self.clone() }
    }

    pub(super) fn inject(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<Undo, FaultError> {
        let before = edit::deployment(cluster, namespace, &self.deployment)?;
        let (_, container) = edit::container(&before, &self.container)?;
        let old = container.get("image").text().to_owned();
        let patch = |image: &str| in_container(object! { "name" => self.container.as_str(), "image" => image });
        edit::patch_deployment(cluster, namespace, &self.deployment, (PatchKind::Strategic, patch(&self.image)), "kubectl-set")?;
        let command = format!("set image deployment/{} {}={}", self.deployment, self.container, edit::shell_word(&old));
        Ok(Undo::of_deployment(&self.deployment, PatchKind::Strategic, patch(&old), command))
    }

    pub(super) fn prove(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<(), FaultError> {
        let now = edit::deployment(cluster, namespace, &self.deployment)?;
        edit::observed(&now)?;
        let (_, container) = edit::container(&now, &self.container)?;
        let image = container.get("image").text();
        if image != self.image {
            return Err(unexpected(format!("deployment {:?}", self.deployment), format!("image {:?}", self.image), format!("{image:?}")));
        }
        only_new_pods(cluster, namespace, &now, &self.container, |container| container.get("image").text() == self.image)
    }
}

/// A container's command is replaced.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetCommand {
    /// Deployment.
    pub deployment: String,
    /// Container.
    pub container: String,
    /// The command.
    pub command: Vec<String>,
    /// Whether the Deployment is deleted and created again, as AIOpsLab does it, instead of patched.
    #[serde(default)]
    pub anew: bool,
}

impl SetCommand {
    fn value(&self) -> Json {
        self.command.iter().map(Json::from).collect()
    }

    pub(super) fn inject(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<Undo, FaultError> {
        let before = edit::deployment(cluster, namespace, &self.deployment)?;
        let (at, container) = edit::container(&before, &self.container)?;
        let old = container.get("command").clone();
        if self.anew {
            edit::made_anew(cluster, namespace, &before, |changed| {
                let containers = changed.at_mut(&["spec", "template", "spec", "containers"]);
                if let Some(container) = containers.items_mut().get_mut(at) {
                    container.set("command", self.value());
                }
            })?;
        } else {
            let patch = in_container(object! { "name" => self.container.as_str(), "command" => self.value() });
            edit::patch_deployment(cluster, namespace, &self.deployment, (PatchKind::Strategic, patch), "kubectl-edit")?;
        }
        Ok(Undo::of_field(&self.deployment, &format!("/spec/template/spec/containers/{at}/command"), &old))
    }

    pub(super) fn prove(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<(), FaultError> {
        let now = edit::deployment(cluster, namespace, &self.deployment)?;
        edit::observed(&now)?;
        let wanted = self.value();
        only_new_pods(cluster, namespace, &now, &self.container, |container| *container.get("command") == wanted)
    }
}

/// A strategic patch of one container of a Deployment's pods.
fn in_container(container: Json) -> Json {
    object! { "spec" => object! { "template" => object! { "spec" => object! { "containers" => array![container] } } } }
}

/// That the Deployment has pods and every one of them is as the change made it.
fn only_new_pods(
    cluster: &mut dyn Cluster,
    namespace: &str,
    deployment: &Object,
    container: &str,
    changed: impl Fn(&Json) -> bool,
) -> Result<(), FaultError> {
    let pods = edit::pods_of(cluster, namespace, deployment)?;
    let old: Vec<&str> = pods
        .iter()
        .filter(|pod| !pod.at(&["spec", "containers"]).find("name", container).is_some_and(&changed))
        .map(Object::name)
        .collect();
    let what = format!("pods of deployment {:?}", deployment.name());
    if pods.is_empty() {
        return Err(unexpected(what, "at least one", "none"));
    }
    if old.is_empty() { Ok(()) } else { Err(unexpected(what, "only changed ones", format!("{} as before", old.join(", ")))) }
}
