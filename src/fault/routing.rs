//! Wrong routes: a Service that sends to where nobody listens.

use super::FaultError;
use super::edit::{self, Step, Undo, unexpected};
use crate::cluster::{ApiRequest, Cluster, PatchKind};
use crate::object::{Json, Object};
use crate::{array, object};
use serde::Deserialize;

/// A port of a Service sends to another port of its pods.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetPort {
    /// Service.
    pub service: String,
    /// The Service's port.
    pub port: u16,
    /// The pods' port.
    pub target_port: u16,
}

impl TargetPort {
    fn service(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<Object, FaultError> {
        edit::send(cluster, "get", ApiRequest::get(edit::services(), Some(namespace), &self.service), "kubectl")
    }

    fn port<'a>(&self, service: &'a Object) -> Result<(usize, &'a Json), FaultError> {
        let ports = service.spec().get("ports");
        let found = ports.items().iter().enumerate().find(|(_, port)| port.get("port").as_i64() == Some(i64::from(self.port)));
        found.ok_or_else(|| unexpected(format!("service {:?}", self.service), format!("a port {}", self.port), ports.to_compact()))
    }

    pub(super) fn inject(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<Undo, FaultError> {
        let before = self.service(cluster, namespace)?;
        let (at, port) = self.port(&before)?;
        let old = port.get("targetPort").clone();
        let replace =
            |value: Json| array![object! { "op" => "replace", "path" => format!("/spec/ports/{at}/targetPort"), "value" => value }];
        let request = |patch| ApiRequest::patch(edit::services(), Some(namespace), &self.service, PatchKind::Json, patch);
        edit::send(cluster, "patch", request(replace(Json::from(i64::from(self.target_port)))), "kubectl-patch")?;
        let back = replace(old);
        let command = format!("patch service {} --type=json -p {}", self.service, edit::shell_word(&back.to_compact()));
        let steps = vec![Step::Patch { resource: edit::services(), name: self.service.clone(), kind: PatchKind::Json, patch: back }];
        Ok(Undo { steps, commands: vec![command], ..Undo::of("service", &self.service) })
    }

    pub(super) fn prove(&self, cluster: &mut dyn Cluster, namespace: &str) -> Result<(), FaultError> {
        let now = self.service(cluster, namespace)?;
        let target = self.port(&now)?.1.get("targetPort").as_i64();
        if target == Some(i64::from(self.target_port)) {
            return Ok(());
        }
        Err(unexpected(format!("service {:?}", self.service), format!("target port {}", self.target_port), format!("{target:?}")))
    }
}
