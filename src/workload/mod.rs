//! Load on an application: who asks for what, how often.

mod arrivals;
pub mod generator;
mod profile;
mod written;

pub use arrivals::{Arrival, Process, WHOLE};
pub use profile::{Bursts, Height, Pace, Profile, Step, micro};
pub use written::{Load, LoadError, RATES, WrittenBursts, WrittenStep};

use arcstr::ArcStr;
use serde::{Deserialize, Serialize};

/// A workload: how many requests come when, and the mix of endpoints.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// How many requests come when, over all endpoints.
    pub profile: Profile,
    /// Endpoint name and weight; weights are positive and need not sum to one.
    pub mix: Vec<(ArcStr, f64)>,
}

impl Workload {
    /// One rate for ever.
    pub fn steady(rate_per_s: f64, arrivals: Arrivals, mix: Vec<(ArcStr, f64)>) -> Workload {
        Workload { profile: Profile::steady(rate_per_s, arrivals), mix }
    }
}

/// How arrivals are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// Evenly: the count of any window is the rate times its length, within one.
    Constant,
    /// As a Poisson process.
    Poisson,
}
