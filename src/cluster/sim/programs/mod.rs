//! What runs in containers: start-up, listeners, exits.

use super::world::World;

/// State that lives with the world.
#[derive(Clone, Debug, Default)]
pub struct State {}

/// Work on the queue.
#[derive(Clone, Debug)]
pub enum Work {}

/// Does a piece of work that is due.
pub fn handle(_world: &mut World, work: Work) {
    match work {}
}
