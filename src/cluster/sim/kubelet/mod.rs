//! The kubelets: pods on nodes, from volumes to exit codes.

use super::history::{RunEnd, RunId};
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

/// A process ended by itself.
pub fn exited(world: &mut World, run: RunId, code: i32) {
    let reason = if code == 0 { arcstr::literal!("Completed") } else { arcstr::literal!("Error") };
    world.history.end(run, RunEnd { at: world.now, exit_code: code, reason });
    super::programs::ended(world, run);
}
