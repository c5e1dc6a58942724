//! Load: which regime the traffic is in.

/// State that lives with the world.
#[derive(Clone, Debug, Default)]
pub struct State {}
