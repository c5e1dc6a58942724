//! Load on an application: who asks for what, how often.

mod arrivals;
pub mod generator;

pub use arrivals::{Arrival, Process, WHOLE};

use arcstr::ArcStr;

/// A workload: arrivals per second and the mix of endpoints.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// Requests per second, over all endpoints.
    pub rate_per_s: f64,
    /// How arrivals are spaced.
    pub arrivals: Arrivals,
    /// Endpoint name and weight; weights are positive and need not sum to one.
    pub mix: Vec<(ArcStr, f64)>,
}

/// How arrivals are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// Evenly: the count of any window is the rate times its length, within one.
    Constant,
    /// As a Poisson process.
    Poisson,
}
