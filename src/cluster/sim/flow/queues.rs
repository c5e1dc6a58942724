//! What a request loses to others on each process.

use super::super::graph::Time;
use super::super::history::RunId;
use super::compile::Compiled;
use super::solve::Load;
use crate::rng::Stream;
use std::collections::BTreeMap;
use std::time::Duration;

/// What is lost is left out while it is less than this share of a request's CPU time: nobody could tell.
const NOTICEABLE: f64 = 0.02;

/// Time lost to others by a request to each process; a process that is not busy is left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Queues(BTreeMap<RunId, Time>);

impl Queues {
    /// Those of a load.
    pub fn of(compiled: &Compiled, load: &Load) -> Queues {
        let mut sums: BTreeMap<RunId, (f64, f64, f64)> = BTreeMap::new();
        for (operation, loaded) in compiled.net.operations.iter().zip(&load.operations) {
            let Some(run) = compiled.runs.get(operation.station) else { continue };
            if loaded.rate > 0.0 && loaded.queued.mean > NOTICEABLE * operation.demand.mean {
                let (rate, mean, square) = sums.entry(*run).or_default();
                *rate += loaded.rate;
                *mean += loaded.rate * loaded.queued.mean;
                *square += loaded.rate * loaded.queued.square();
            }
        }
        let time = |(run, (rate, mean, square)): (RunId, (f64, f64, f64))| {
            let mean = mean / rate;
            (run, Time::with(mean, (square / rate - mean * mean).max(0.0)))
        };
        Queues(sums.into_iter().map(time).collect())
    }

    /// Whether no process is busy.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes over those of another load.
    pub fn extend(&mut self, other: &Queues) {
        self.0.extend(other.0.iter().map(|(run, time)| (*run, *time)));
    }

    /// What one request loses.
    pub fn draw(&self, run: RunId, stream: &mut Stream) -> Duration {
        self.0.get(&run).map_or(Duration::ZERO, |time| time.draw(stream))
    }
}
