//! Ready episodes: what a reset came to, kept for the next reset of the same problem, options and seed.
//!
//! One collection serves all sessions and threads of the process. Training plays a seed many times, and an episode is a function of
//! problem, options and seed, so a copy of what the first reset came to is what another reset would come to: the same bytes. A copy shares
//! everything with the original until one of them changes it.

use super::episode::Episode;
use super::options::{ClusterChoice, Options};
use super::reset::ResetError;
use crate::app::Catalog;
use crate::problem::{Problem, Registry};
use std::sync::{Arc, Mutex, PoisonError};

/// An episode at its first observation.
struct Ready {
    catalog: Arc<Catalog>,
    problem: Arc<Problem>,
    options: Options,
    seed: u64,
    episode: Episode,
}

/// Ready episodes, the one used last at the end. They are at most a few hundred, and nearly always told apart by seed.
static KEPT: Mutex<Vec<Ready>> = Mutex::new(Vec::new());

impl Ready {
    fn is_of(&self, registry: &Registry, problem: &Arc<Problem>, options: &Options, seed: u64) -> bool {
        let same_world = || Arc::ptr_eq(&self.catalog, registry.catalog()) && is_same(&self.problem, problem);
        self.seed == seed && same_world() && self.options == *options
    }
}

/// Whether two problems are the same to the byte: an id says little, since a user's file may hold another problem under it.
fn is_same(a: &Arc<Problem>, b: &Arc<Problem>) -> bool {
    Arc::ptr_eq(a, b) || (a.id == b.id && Arc::ptr_eq(&a.app, &b.app) && a.source == b.source)
}

/// The episode that `begin` begins, or a copy of it when it is ready.
///
/// # Errors
/// Those of `begin`.
pub(super) fn or_begin(
    registry: &Registry,
    problem: &Arc<Problem>,
    options: &Options,
    seed: u64,
    begin: impl FnOnce() -> Result<Episode, ResetError>,
) -> Result<Episode, ResetError> {
    let most = options.ready_episodes as usize;
    if most == 0 || options.cluster != ClusterChoice::Sim {
        return begin();
    }
    if let Some(copy) = copy(registry, problem, options, seed) {
        return Ok(copy);
    }
    let episode = begin()?;
    if let Ok(copy) = episode.fork() {
        let catalog = registry.catalog().clone();
        keep(Ready { catalog, problem: problem.clone(), options: options.clone(), seed, episode: copy }, most);
    }
    Ok(episode)
}

fn copy(registry: &Registry, problem: &Arc<Problem>, options: &Options, seed: u64) -> Option<Episode> {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let at = kept.iter().rposition(|ready| ready.is_of(registry, problem, options, seed))?;
    let found = kept.remove(at);
    let copy = found.episode.fork().ok();
    kept.push(found);
    copy
}

fn keep(ready: Ready, most: usize) {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    // Two threads may have begun the same one at once; the copy that was used last goes last.
    kept.push(ready);
    let surplus = kept.len().saturating_sub(most);
    let dropped: Vec<Ready> = kept.drain(..surplus).collect();
    drop(kept);
    drop(dropped);
}
