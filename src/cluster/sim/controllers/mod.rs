//! Controllers: loops that move the cluster towards what objects ask for.

use super::store::Change;
use super::world::World;

/// State that lives with the world.
#[derive(Clone, Debug, Default)]
pub struct State {}

/// Work on the queue.
#[derive(Clone, Debug)]
pub enum Work {}

/// Takes note of a change.
pub fn on_change(_world: &mut World, _change: &Change) {}

/// Does a piece of work that is due.
pub fn handle(_world: &mut World, work: Work) {
    match work {}
}
