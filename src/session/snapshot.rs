//! Snapshots and replays: a session is a function of problem, options, seed and actions, so those are all that is kept.

use super::options::{ClusterChoice, Options, OptionsError};
use super::{ResetError, Session};
use crate::object;
use crate::object::Json;
use crate::problem::{Registry, RegistryError};
use crate::trajectory::{self, Action, TrajectoryError};
use std::sync::Arc;

/// Version of the snapshot's form and of what a replay of it means.
const VERSION: &str = concat!("aiopslab-snapshot-1/", env!("CARGO_PKG_VERSION"));

/// Why a snapshot or trajectory was not played again. The session is as before.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// There is nothing to snapshot.
    #[error("no episode was begun; reset first")]
    NotBegun,
    /// The episode takes place on a cluster whose state is nobody's to repeat.
    #[error("an episode on a live cluster cannot be snapshot or restored: its state cannot be played again")]
    Unsupported,
    /// It is no snapshot.
    #[error("this is no snapshot: {0}")]
    Malformed(String),
    /// It is of another version.
    #[error("the snapshot is of version {found:?}; this library restores {VERSION:?}")]
    Version {
        /// What it has.
        found: String,
    },
    /// It is of another problem than the session's, or the problem's file has changed.
    #[error("the snapshot is of problem {found}; this session plays {own}")]
    Problem {
        /// Problem and digest of the snapshot.
        found: String,
        /// Those of the session.
        own: String,
    },
    /// The replay ended in another state.
    #[error("the replay ends in state {replayed:032x}, but {recorded:032x} was recorded")]
    State {
        /// What was recorded.
        recorded: u128,
        /// What the replay came to.
        replayed: u128,
    },
    /// The problem is not known.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The options are wrong.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The episode could not be begun.
    #[error(transparent)]
    Reset(#[from] ResetError),
    /// The trajectory cannot be read.
    #[error(transparent)]
    Trajectory(#[from] TrajectoryError),
}

impl Session {
    /// The episode as a recipe, with the state's hash.
    ///
    /// # Errors
    /// [`SnapshotError::NotBegun`].
    pub fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        let episode = self.episode.as_ref().ok_or(SnapshotError::NotBegun)?;
        if !episode.is_reproducible() {
            return Err(SnapshotError::Unsupported);
        }
        let recipe = object! {
            "version" => VERSION,
            "problem" => self.signature(),
            "file" => &self.problem.source.0,
            "text" => &self.problem.source.1,
            "options" => self.options.to_json(),
            "seed" => episode.seed().to_string(),
            "actions" => episode.actions().map(Action::to_json).collect::<Json>(),
            "state_hash" => format!("{:032x}", self.state_hash()),
        };
        Ok(recipe.to_compact().into_bytes())
    }

    /// Plays a snapshot's recipe and takes its place.
    ///
    /// # Errors
    /// Another version, problem or end state; the session is as before.
    pub fn restore(&mut self, snapshot: &[u8]) -> Result<(), SnapshotError> {
        let recipe: Json = serde_json::from_slice(snapshot).map_err(|error| SnapshotError::Malformed(error.to_string()))?;
        let found = recipe.get("version").text();
        if found != VERSION {
            return Err(SnapshotError::Version { found: found.to_owned() });
        }
        if recipe.get("problem").text() != self.signature() {
            return Err(SnapshotError::Problem { found: recipe.get("problem").text().to_owned(), own: self.signature() });
        }
        let missing = |field: &str| SnapshotError::Malformed(format!("field {field:?} is missing or wrong"));
        let recorded = u128::from_str_radix(recipe.get("state_hash").text(), 16).map_err(|_| missing("state_hash"))?;
        let options = Options::parse(&recipe.get("options").to_compact())?;
        if options.cluster != ClusterChoice::Sim {
            return Err(SnapshotError::Unsupported);
        }
        let seed = recipe.get("seed").text().parse().map_err(|_| missing("seed"))?;
        let actions = recipe.get("actions").items().iter().map(Action::from_json).collect::<Option<Vec<_>>>();
        let mut played = Session::new(self.registry.clone(), self.problem.clone(), options);
        play(&mut played, seed, actions.ok_or_else(|| missing("actions"))?)?;
        let replayed = played.state_hash();
        if replayed != recorded {
            return Err(SnapshotError::State { recorded, replayed });
        }
        *self = played;
        Ok(())
    }

    /// A session that goes on where a snapshot was taken. The problem is read from the snapshot itself, so that it need not be one of
    /// the registry's; the registry gives the applications.
    ///
    /// # Errors
    /// As [`Session::restore`], and when the problem cannot be read.
    pub fn resume(registry: &Arc<Registry>, snapshot: &[u8]) -> Result<Session, SnapshotError> {
        let recipe: Json = serde_json::from_slice(snapshot).map_err(|error| SnapshotError::Malformed(error.to_string()))?;
        let id = recipe.get("problem").text().split(' ').next().unwrap_or("");
        let problem = registry.problem_of(recipe.get("file").text(), recipe.get("text").text(), id)?;
        let mut session = Session::new(registry.clone(), problem, Options::default());
        session.restore(snapshot)?;
        Ok(session)
    }

    fn signature(&self) -> String {
        format!("{} {:016x}", self.problem.id, self.problem.digest)
    }
}

fn play(session: &mut Session, seed: u64, actions: Vec<Action>) -> Result<(), SnapshotError> {
    session.reset(seed)?;
    for action in actions {
        if session.step(action).is_err() {
            return Err(SnapshotError::Malformed("it goes on after the end of its episode".to_owned()));
        }
    }
    Ok(())
}

/// Plays a trajectory's actions again and returns the new recording.
///
/// # Errors
/// The trajectory cannot be read, or its problem is not known or has changed.
pub fn replay(registry: &Arc<Registry>, text: &str) -> Result<String, SnapshotError> {
    let recorded = trajectory::read(text)?;
    let header = &recorded.header;
    let problem = registry.problem(header.get("problem_id").text())?;
    let own = format!("{:016x}", problem.digest);
    if header.get("problem_digest").text() != own {
        let found = format!("{} {}", problem.id, header.get("problem_digest").text());
        return Err(SnapshotError::Problem { found, own: format!("{} {own}", problem.id) });
    }
    let missing = |field: &str| SnapshotError::Malformed(format!("field {field:?} of the trajectory is missing or wrong"));
    let options = Options::parse(&header.get("options").to_compact())?;
    let seed = header.get("seed").text().parse().map_err(|_| missing("seed"))?;
    let actions = recorded.steps.iter().map(|step| Action::from_json(step.get("action"))).collect::<Option<Vec<_>>>();
    let mut session = Session::new(registry.clone(), problem, options);
    play(&mut session, seed, actions.ok_or_else(|| missing("action"))?)?;
    session.trajectory().map_err(|_| SnapshotError::NotBegun)
}
