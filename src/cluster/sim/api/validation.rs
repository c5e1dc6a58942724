//! Validation: which objects are refused with 422, and why.

use crate::cluster::ApiError;
use crate::cluster::sim::store::Kind;
use crate::cluster::sim::world::World;
use crate::object::{Object, ResourceType};

/// Checks a new object.
///
/// # Errors
/// 422 with the fields that are refused.
pub fn on_create(_world: &World, _kind: Kind, _resource: &ResourceType, _object: &Object) -> Result<(), ApiError> {
    Ok(())
}

/// Checks a changed object.
///
/// # Errors
/// 422 with the fields that are refused.
pub fn on_update(_world: &World, _kind: Kind, _resource: &ResourceType, _change: (&Object, &Object)) -> Result<(), ApiError> {
    Ok(())
}
