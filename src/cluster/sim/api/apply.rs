//! Server-side apply and the managers of fields.

use super::call::Call;
use super::errors;
use crate::cluster::ApiError;
use crate::cluster::sim::world::World;
use crate::object::{Json, Object};

/// Server-side apply.
///
/// # Errors
/// Until it is built.
pub fn apply(_world: &mut World, _call: &mut Call, _patch: &Json) -> Result<Object, ApiError> {
    Err(errors::bad_request("server-side apply is not built yet"))
}

/// Notes who wrote which fields.
pub fn track_update(_world: &World, _call: &Call, _old: &Object, _new: &mut Object) {}
