//! Admission: what the server's plug-ins change and refuse.

use super::errors;
use crate::cluster::sim::store::{Key, Kind};
use crate::cluster::sim::world::World;
use crate::cluster::{ApiError, Identity};
use crate::object::Object;

/// Plug-ins that change a new object.
///
/// # Errors
/// The plug-in's refusal.
pub fn mutate(world: &mut World, _who: &Identity, kind: Kind, object: &mut Object) -> Result<(), ApiError> {
    namespace_lifecycle(world, kind, object)
}

/// Plug-ins that look at a new object as it will be stored.
///
/// # Errors
/// The plug-in's refusal.
pub fn validate_create(_world: &World, _who: &Identity, _kind: Kind, _object: &Object) -> Result<(), ApiError> {
    Ok(())
}

/// Plug-ins that change an updated object.
///
/// # Errors
/// The plug-in's refusal.
pub fn mutate_update(_world: &mut World, _who: &Identity, _kind: Kind, _change: (&Object, &mut Object)) -> Result<(), ApiError> {
    Ok(())
}

/// Plug-ins that look at an updated object as it will be stored.
///
/// # Errors
/// The plug-in's refusal.
pub fn validate_update(_world: &World, _who: &Identity, _kind: Kind, _change: (&Object, &Object)) -> Result<(), ApiError> {
    Ok(())
}

fn namespace_lifecycle(world: &World, kind: Kind, object: &Object) -> Result<(), ApiError> {
    let name = object.namespace();
    if name.is_empty() {
        return Ok(());
    }
    let resource = world.store.resource(Kind::NAMESPACE);
    match world.store.get(&Key::new(Kind::NAMESPACE, "", name)) {
        None => Err(ApiError::not_found(resource, name)),
        Some(namespace) if namespace.is_terminating() => {
            let why = format!("unable to create new content in namespace {name} because it is being terminated");
            Err(errors::forbidden(world.store.resource(kind), object.name(), &why))
        }
        Some(_) => Ok(()),
    }
}
