//! Problems as data: a family is one file under `envs/problems`, a problem is the family at one target and task, with an id.
//!
//! Two types: [`written`](self) is the file as it stands, [`Problem`] is what runs and cannot be wrong. [`Registry`] finds
//! problems and suites by name.

mod registry;
mod written;

pub use registry::{Registry, RegistryError};

use crate::app::App;
use crate::fault::Fault;
use crate::task::{Condition, Expected, Task};
use crate::workload::Profile;
use arcstr::ArcStr;
use std::sync::Arc;

/// A problem, resolved.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Id, `misconfig_app_hotel_res-mitigation-1`.
    pub id: ArcStr,
    /// Application it plays on.
    pub app: Arc<App>,
    /// What the agent has to do.
    pub task: Task,
    /// What an episode is about, without the answer.
    pub description: ArcStr,
    /// `easy`, `medium` or `hard`.
    pub difficulty: ArcStr,
    /// Words to select it by.
    pub tags: Vec<ArcStr>,
    /// What is broken; `None` for a healthy episode.
    pub fault: Option<Fault>,
    /// Endpoints on which users notice it; any of the application's when empty.
    pub symptom: Vec<ArcStr>,
    /// Which answers are right.
    pub expected: Expected,
    /// What a repair is graded by, besides the baseline.
    pub condition: Condition,
    /// Seconds between the first observable symptom and the first observation: the bounds of a uniform draw.
    pub delay_s: [f64; 2],
    /// The load of its episodes; `None` for the application's own.
    pub load: Option<Profile>,
    /// A digest of the family's file, the application's data apart; a snapshot of another one is refused.
    pub digest: u64,
    /// The family's file: its path and text, from which the problem can be read again.
    pub source: Arc<(ArcStr, ArcStr)>,
}
