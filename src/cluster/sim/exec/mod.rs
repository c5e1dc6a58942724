//! Programs run by `kubectl exec`.

use super::history::RunId;
use super::world::World;
use std::time::Duration;

/// Runs the command line of a container whose program is a tool of the userland.
pub(super) fn run_command(_world: &mut World, _run: RunId) {}

/// Runs an initialisation script of a MongoDB container; returns how long that takes.
pub(super) fn initialise(_world: &mut World, _run: RunId, _path: &str, _after: Duration) -> Duration {
    Duration::ZERO
}
