//! An episode, from reset to grade. Start reading here.
//!
//! [`Session::reset`]: a settled, healthy baseline → fault → the symptom can be observed → first observation.
//! [`Session::step`]: thinking time passes → parse → run the tool, whose own cost and waits pass inside it → observe → on submission
//! grade → reward → record. An observation is never stale.
//!
//! A session is a function of problem, options, seed and actions; [`Session::snapshot`] is exactly those, and
//! [`Session::restore`] plays them again.

mod episode;
mod options;
mod oracle;
mod prompt;
mod ready;
mod reset;
mod snapshot;
mod worlds;

pub use episode::{Info, Step};
pub use options::{ClusterChoice, Options, OptionsError};
pub use prompt::tools as tools_of;
pub use reset::ResetError;
pub use snapshot::{SnapshotError, replay};

use crate::object::Json;
use crate::problem::{Problem, Registry};
use crate::tool::grammar::Dialect;
use crate::tool::table::Tool;
use crate::trajectory::Action;
use episode::Episode;
use std::sync::Arc;
use worlds::Worlds;

/// A problem being played, one episode after another.
pub struct Session {
    registry: Arc<Registry>,
    problem: Arc<Problem>,
    options: Options,
    episode: Option<Episode>,
    worlds: Worlds,
    /// The cluster was left; the last episode can be read and no longer played.
    left: bool,
}

/// Why a session did nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SessionError {
    /// No episode was begun.
    #[error("no episode was begun; reset first")]
    NotBegun,
    /// The episode is over.
    #[error("the episode is over; reset first")]
    Over,
    /// The cluster of this session cannot be copied.
    #[error(transparent)]
    Unsupported(#[from] crate::cluster::Unsupported),
    /// The environment on a live cluster was lost, or cannot be put back.
    #[error(transparent)]
    Environment(#[from] crate::cluster::environment::EnvironmentError),
}

impl Session {
    /// A session of a problem; no episode is begun yet.
    pub fn new(registry: Arc<Registry>, problem: Arc<Problem>, options: Options) -> Self {
        Session { registry, problem, options, episode: None, worlds: Worlds::default(), left: false }
    }

    /// Begins an episode and returns its first observation.
    ///
    /// # Errors
    /// The cluster cannot be used, the baseline was not healthy, the fault did not take effect, or no symptom could be observed. On the
    /// simulated cluster the session is as before; on a live one there is no episode.
    pub fn reset(&mut self, seed: u64) -> Result<(String, Info), ResetError> {
        if !matches!(self.options.cluster, ClusterChoice::Sim) {
            // The cluster of the last episode is the one of the next, so that one is over now, whatever comes.
            self.episode = None;
        }
        let begin = || Episode::begin(&mut self.worlds, &self.registry, &self.problem, &self.options, seed);
        let episode = ready::or_begin(&self.registry, &self.problem, &self.options, seed, begin)?;
        self.left = false;
        let first = (episode.first_observation().to_owned(), episode.info());
        self.episode = Some(episode);
        Ok(first)
    }

    /// Plays one step.
    ///
    /// # Errors
    /// No episode is in progress.
    pub fn step(&mut self, action: Action) -> Result<Step, SessionError> {
        let episode = self.episode.as_mut().ok_or(SessionError::NotBegun)?;
        if episode.is_over() || self.left {
            return Err(SessionError::Over);
        }
        self.worlds.check()?;
        Ok(episode.step(action))
    }

    /// Ends the episode and leaves the cluster as configured; on a simulated one nothing is left to do. Doing it twice does nothing.
    ///
    /// # Errors
    /// What could not be put back on a live cluster; its lease is given back all the same.
    pub fn close(&mut self) -> Result<(), SessionError> {
        self.left = !matches!(self.options.cluster, ClusterChoice::Sim);
        Ok(self.worlds.close()?)
    }

    /// Whether an episode was begun.
    pub fn has_begun(&self) -> bool {
        self.episode.is_some()
    }

    /// Whether an episode was begun and is not over.
    pub fn in_progress(&self) -> bool {
        !self.left && self.episode.as_ref().is_some_and(|episode| !episode.is_over())
    }

    /// An independent copy in the middle of the episode.
    ///
    /// # Errors
    /// On a cluster that cannot be copied.
    pub fn fork(&self) -> Result<Session, SessionError> {
        let episode = self.episode.as_ref().map(Episode::fork).transpose()?;
        Ok(Session {
            registry: self.registry.clone(),
            problem: self.problem.clone(),
            options: self.options.clone(),
            episode,
            worlds: Worlds::default(),
            left: self.left,
        })
    }

    /// The tools of the problem's task.
    pub fn tools(&self) -> Vec<Tool> {
        prompt::tools(self.problem.task)
    }

    /// The task and the instructions of the present episode, as its first observation has them.
    pub fn prompts(&self) -> (String, String) {
        prompt::parts(self.episode.as_ref().map_or(&*self.problem, |episode| &**episode.problem()))
    }

    /// The problem.
    pub fn problem(&self) -> &Arc<Problem> {
        &self.problem
    }

    /// A digest of everything that can influence the future; 0 before the first episode.
    pub fn state_hash(&self) -> u128 {
        self.episode.as_ref().map_or(0, Episode::state_hash)
    }

    /// The lines recorded so far.
    ///
    /// # Errors
    /// [`SessionError::NotBegun`].
    pub fn trajectory(&self) -> Result<String, SessionError> {
        self.episode.as_ref().map(Episode::recorded).ok_or(SessionError::NotBegun)
    }

    /// Actions that solve the present episode.
    ///
    /// # Errors
    /// [`SessionError::NotBegun`].
    pub fn oracle_actions(&self) -> Result<Vec<String>, SessionError> {
        let episode = self.episode.as_ref().ok_or(SessionError::NotBegun)?;
        Ok(oracle::actions(episode.problem(), episode, self.options.dialect()))
    }
}

impl Options {
    /// The grammar that reads the agent's texts.
    pub fn dialect(&self) -> Dialect {
        if self.strict { Dialect::Strict } else { Dialect::Forgiving }
    }
}

/// A grade as recorded and shown.
pub(crate) fn grade_json(grade: &crate::task::Grade) -> Json {
    let check = |c: &crate::task::Check| crate::object! { "name" => &c.name, "passed" => c.passed, "saw" => &c.saw };
    crate::object! {
        "success" => grade.success,
        "valid" => grade.valid,
        "score" => grade.score,
        "checks" => grade.checks.iter().map(check).collect::<Json>(),
        "results" => &grade.results,
    }
}
