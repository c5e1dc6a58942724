//! Rewards: deltas whose sum over an episode is its score.
//!
//! Sparse: 0 at every step, and the grade's score, in [0, 1], at the end. Shaped: besides, the change of a potential, half the
//! share of the baseline's workloads that are ready (Ng, Harada, Russell, ICML 1999, with a discount of 1); the potential is 0 at the
//! start and at the end of an episode, so the shaping terms sum to zero and no policy's score changes.

use crate::object;
use crate::object::Json;
use serde::{Deserialize, Serialize};

/// Which reward an episode pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RewardKind {
    /// The score at the end.
    #[default]
    Sparse,
    /// The score at the end, and progress on the way.
    Shaped,
}

/// Weight of the shaping potential.
const PROGRESS_WEIGHT: f64 = 0.5;

/// The terms of one step's reward; the same at every step.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Components {
    /// The grade's score; 0 before the end.
    pub score: f64,
    /// The change of the potential; 0 unless shaped.
    pub progress: f64,
}

impl Components {
    /// Their sum: the step's reward.
    pub fn total(&self) -> f64 {
        self.score + self.progress
    }

    /// The terms by name.
    pub fn to_json(&self) -> Json {
        object! { "score" => self.score, "progress" => self.progress }
    }
}

/// Keeps the potential between the steps of an episode.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Meter {
    kind: RewardKind,
    potential: f64,
}

impl Meter {
    /// A meter at the start of an episode, where the potential is 0.
    pub fn new(kind: RewardKind) -> Self {
        Meter { kind, potential: 0.0 }
    }

    /// Whether it asks for the share of ready workloads.
    pub fn needs_health(&self) -> bool {
        self.kind == RewardKind::Shaped
    }

    /// The terms of a step after which `ready_share` of the workloads, in [0, 1], are ready.
    pub fn step(&mut self, ready_share: f64) -> Components {
        let potential = if self.needs_health() { PROGRESS_WEIGHT * ready_share } else { 0.0 };
        let progress = potential - self.potential;
        self.potential = potential;
        Components { score: 0.0, progress }
    }

    /// The terms of the last step.
    pub fn end(&mut self, score: f64) -> Components {
        let progress = -self.potential;
        self.potential = 0.0;
        Components { score, progress }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shaping_sums_to_zero() {
        for kind in [RewardKind::Sparse, RewardKind::Shaped] {
            let mut meter = Meter::new(kind);
            let mut sum = 0.0;
            for share in [0.9, 0.95, 0.2, 1.0] {
                sum += meter.step(share).total();
            }
            sum += meter.end(1.0).total();
            assert!((sum - 1.0).abs() < 1e-12, "{kind:?}: {sum}");
        }
    }

    #[test]
    fn sparse_pays_nothing_on_the_way() {
        assert_eq!(Meter::new(RewardKind::Sparse).step(0.7).total(), 0.0);
    }
}
