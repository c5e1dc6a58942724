//! The one resolution of reality: whether a call from here to there works, and with whom.

use super::store::Change;
use super::world::World;

/// State that lives with the world.
#[derive(Clone, Debug, Default)]
pub struct State {}

/// Takes note of a change.
pub fn on_change(_world: &mut World, _change: &Change) {}
