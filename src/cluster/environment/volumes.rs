//! Volumes that outlived their claims.

use super::difference::Part;
use super::{EnvironmentError, Place};
use crate::cluster::{ApiRequest, Cluster, Identity, PatchKind};
use crate::object;
use crate::object::Json;
use std::collections::BTreeMap;

/// Gives volumes that are bound to claims which are gone to the new claims of the same names, which would wait for ever; returns their
/// names. Bound by the new claim's uid, they need not wait until the controller looks for volumes again.
///
/// # Errors
/// The API server's answer.
pub(super) fn rebind(cluster: &mut dyn Cluster, place: &Place, parts: &BTreeMap<String, Part>) -> Result<Vec<String>, EnvironmentError> {
    let mut bound = Vec::new();
    for volume in parts.values().filter(|part| part.resource.plural == "persistentvolumes") {
        let of = volume.object.at(&["spec", "claimRef"]);
        if of.get("namespace").text() != place.namespace {
            continue;
        }
        let Some(claim) = parts.get(&format!("/persistentvolumeclaims/{}", of.get("name").text())) else { continue };
        let (name, held) = (volume.object.name(), claim.object.spec().get("volumeName").text());
        let known = of.get("uid").text();
        if known.is_empty() || known == claim.object.uid() || !(held.is_empty() || held == name) {
            continue;
        }
        let reference = object! { "uid" => claim.object.uid(), "resourceVersion" => Json::Null };
        let patch = object! { "spec" => object! { "claimRef" => reference } };
        let request = ApiRequest::patch(&volume.resource, None, name, PatchKind::Merge, patch);
        cluster.api(&Identity::operator(), &request).map_err(EnvironmentError::api(format!("giving volume {name} to its new claim")))?;
        bound.push(name.to_owned());
    }
    Ok(bound)
}
