//! Defaults: the fields the server fills in.

use crate::cluster::sim::store::Kind;
use crate::object::{Object, ResourceType};

/// Fills in the defaults of a kind.
pub fn apply(_kind: Kind, _resource: &ResourceType, _object: &mut Object) {}
