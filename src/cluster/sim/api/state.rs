//! What the API server keeps besides the objects: the policy read off them, built when first asked for.

use super::rbac::Policy;
use crate::cluster::sim::store::Store;
use std::sync::{Arc, OnceLock};

/// State that lives with the world. None of it can influence the future: it is derived from the objects.
#[derive(Clone, Debug, Default)]
pub struct State {
    policy: Arc<OnceLock<Policy>>,
}

impl State {
    /// The policy that the objects amount to.
    pub fn policy(&self, store: &Store) -> &Policy {
        self.policy.get_or_init(|| Policy::of(store))
    }

    /// Forgets the policy: its objects changed.
    pub fn forget_policy(&mut self) {
        self.policy = Arc::default();
    }
}
