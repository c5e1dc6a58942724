//! Wrong configuration: a file of a ConfigMap is changed, and who reads it at its start is restarted.

use super::FaultError;
use super::edit::{self, Step, Undo, unexpected};
use crate::cluster::{ApiRequest, Cluster, PatchKind, Right};
use crate::object;
use crate::object::{Json, Object, ResourceRef, resource};
use serde::Deserialize;
use std::time::Duration;

/// A text in a file of a ConfigMap is replaced.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetConfig {
    /// ConfigMap.
    pub configmap: String,
    /// The file: a key of its data.
    pub key: String,
    /// The text.
    pub from: String,
    /// What stands in its place.
    pub to: String,
    /// The Deployment that reads the file and is rolled out again.
    pub deployment: String,
    /// Deployments whose pods are replaced: they look for the first one when they start.
    #[serde(default)]
    pub clients: Vec<String>,
}

/// Longest wait for pods that have read the new file.
const ROLLOUT_MAX: Duration = Duration::from_secs(120);

/// The annotation by which `kubectl rollout restart` changes a template.
const RESTARTED: [&str; 5] = ["spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt"];

fn configmaps() -> &'static ResourceRef {
    resource::builtin_named("", "configmaps").expect("ConfigMaps are in the table of built-in kinds")
}

/// The rights that it needs.
pub(super) fn rights(namespace: &str) -> Vec<Right> {
    let right = |verb, group, resource| Right { verb, group, resource, namespace: Some(namespace.into()) };
    vec![
        right("get", "", "configmaps"),
        right("patch", "", "configmaps"),
        right("get", "apps", "deployments"),
        right("patch", "apps", "deployments"),
        right("list", "", "pods"),
        right("delete", "", "pods"),
    ]
}

impl SetConfig {
    fn file(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<String, FaultError> {
        let object = edit::send(cluster, "get", ApiRequest::get(configmaps(), Some(namespace), &self.configmap), "kubectl")?;
        let file = object.at(&["data", &self.key]);
        file.as_str().map(str::to_owned).ok_or_else(|| unexpected(self.what(), format!("a key {:?}", self.key), "none"))
    }

    fn what(&self) -> String {
        format!("configmap {:?}", self.configmap)
    }

    fn patch(&self, text: &str) -> Json {
        object! { "data" => object! { self.key.as_str() => text } }
    }

    pub(super) fn inject(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<Undo, FaultError> {
        let before = self.file(cluster, namespace)?;
        if !before.contains(&self.from) {
            return Err(unexpected(self.what(), format!("{:?} in {}", self.from, self.key), before));
        }
        let after = before.replacen(&self.from, &self.to, 1);
        let request = ApiRequest::patch(configmaps(), Some(namespace), &self.configmap, PatchKind::Merge, self.patch(&after));
        edit::send(cluster, "patch", request, "kubectl-patch")?;
        edit::restart(cluster, namespace, &self.deployment)?;
        self.await_rollout(cluster, namespace)?;
        for client in &self.clients {
            edit::replace_pods(cluster, namespace, client)?;
        }
        Ok(self.undo(&before))
    }

    /// Waits until every pod has read the new file: who looks for them before would find an old one.
    fn await_rollout(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<(), FaultError> {
        let until = cluster.now() + ROLLOUT_MAX;
        loop {
            match self.prove(cluster, namespace) {
                Ok(()) => return Ok(()),
                Err(error) if cluster.now() >= until => return Err(error),
                Err(_) => {}
            }
            let next = cluster.now() + Duration::from_millis(500);
            cluster.wait(next, &[]);
        }
    }

    fn undo(&self, before: &str) -> Undo {
        let back = self.patch(before);
        let mut commands = vec![
            format!("patch configmap {} --type=merge -p {}", self.configmap, edit::shell_word(&back.to_compact())),
            format!("rollout restart deployment {}", self.deployment),
            format!("rollout status deployment {} --timeout=60s", self.deployment),
        ];
        commands.extend(self.clients.iter().map(|client| format!("rollout restart deployment {client}")));
        let mut steps = vec![Step::Patch { resource: configmaps(), name: self.configmap.clone(), kind: PatchKind::Merge, patch: back }];
        steps.push(Step::Replace(self.deployment.clone()));
        steps.extend(self.clients.iter().cloned().map(Step::Replace));
        let name = self.clients.last().unwrap_or(&self.deployment);
        Undo { steps, commands, ..Undo::of("deployment", name) }
    }

    pub(super) fn prove(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<(), FaultError> {
        let file = self.file(cluster, namespace)?;
        if !file.contains(&self.to) {
            return Err(unexpected(self.what(), format!("{:?} in {}", self.to, self.key), file));
        }
        let now = edit::deployment(cluster, namespace, &self.deployment)?;
        edit::observed(&now)?;
        let asked = now.at(&RESTARTED).clone();
        let pods = edit::pods_of(cluster, namespace, &now)?;
        let read = |pod: &Object| *pod.at(&RESTARTED[2..]) == asked;
        match (pods.iter().filter(|pod| !read(pod)).count(), pods.is_empty()) {
            (0, false) => Ok(()),
            (old, _) => {
                let what = format!("pods of deployment {:?}", self.deployment);
                Err(unexpected(what, "only ones that were started since", format!("{old} of {} older", pods.len())))
            }
        }
    }
}
