//! Clients that find their servers by themselves: registrations they know of and the connections they hold.

use super::super::world::World;

/// The balancers of all clients.
#[derive(Clone, Debug, Default)]
pub(super) struct Balancers {}

/// Looks at every client's registrations and connections again.
pub(super) fn review(_world: &mut World) {}
