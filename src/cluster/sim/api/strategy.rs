//! What the server itself sets per kind: initial status, generation, immutable parts on update.

use super::write::Notes;
use crate::cluster::ApiError;
use crate::cluster::sim::store::Kind;
use crate::cluster::sim::world::World;
use crate::object::{Object, ResourceType};
use crate::{array, object};

/// Kinds whose objects count their generations.
fn counts_generations(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::POD
            | Kind::DEPLOYMENT
            | Kind::REPLICA_SET
            | Kind::STATEFUL_SET
            | Kind::DAEMON_SET
            | Kind::JOB
            | Kind::CRON_JOB
            | Kind::PDB
            | Kind::NETWORK_POLICY
            | Kind::ENDPOINT_SLICE
            | Kind::PRIORITY_CLASS
            | Kind::CRD
    ) || kind.is_custom()
}

/// Sets what a new object starts with.
///
/// # Errors
/// When the server cannot give the object what it needs.
pub fn prepare_for_create(_world: &mut World, kind: Kind, object: &mut Object) -> Result<(), ApiError> {
    if counts_generations(kind) {
        object.set_at(&["metadata", "generation"], 1);
    }
    match kind {
        Kind::POD => {
            let class = crate::object::qos::class_of(object);
            object.set("status", object! { "phase" => "Pending", "qosClass" => class });
        }
        Kind::NAMESPACE => {
            object.set("status", object! { "phase" => "Active" });
            object.set("spec", object! { "finalizers" => array!["kubernetes"] });
        }
        Kind::PV | Kind::PVC => object.set("status", object! { "phase" => "Pending" }),
        _ => {}
    }
    Ok(())
}

/// Bumps the generation when the spec changed or deletion begins.
pub fn set_generation(kind: Kind, old: &Object, new: &mut Object) {
    if counts_generations(kind) && old.spec() != new.spec() {
        new.set_at(&["metadata", "generation"], old.generation() + 1);
    }
}

/// Warnings about a new object.
pub fn warnings_on_create(_kind: Kind, _object: &Object, _notes: &mut Notes) {}

/// Whether the kind has a status of its own path.
pub fn has_status(resource: &ResourceType) -> bool {
    !matches!(
        resource.plural.as_str(),
        "configmaps"
            | "secrets"
            | "serviceaccounts"
            | "endpoints"
            | "events"
            | "roles"
            | "rolebindings"
            | "clusterroles"
            | "clusterrolebindings"
    )
}
