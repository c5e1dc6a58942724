//! How the load bears on a single request: what it loses to others on each process, and how awake everybody is.

use super::super::graph::{Lateness, Time};
use super::super::history::RunId;
use super::compile::Compiled;
use super::solve::Load;
use crate::rng::Stream;
use std::collections::BTreeMap;
use std::time::Duration;

/// What is lost is left out while it is less than this share of a request's CPU time: nobody could tell.
const NOTICEABLE: f64 = 0.02;

/// Time lost to others by a request to each process; a process that is not busy is left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Pressure {
    /// Time that work takes, over what the data say, which were measured at [`MEASURED`] requests per second.
    pub pace: f64,
    queues: BTreeMap<RunId, Time>,
    /// What calls wait for connections of their callers, by their keys.
    connections: BTreeMap<u64, Time>,
    /// How often calls are late, by their keys in graphs; of users, nothing.
    pub late: BTreeMap<u64, Lateness>,
}

/// The rate at which times were measured, in requests per second.
const MEASURED: f64 = 5.0;

/// How much longer everything takes on idle machines, whose cores sleep, than on machines that are always awake: from the medians of the
/// recorded application at 10 and at 50 requests per second (4.22 and 3.34 ms on `/hotels`, 2.19 and 1.64 ms on `/recommendations`).
const ASLEEP: f64 = 0.74;

/// Requests per second from which on cores hardly sleep.
const AWAKE: f64 = 50.0;

/// Time that work takes under a load of `rate` requests per second, relative to that at which it was measured.
pub(super) fn pace(rate: f64) -> f64 {
    let of = |rate: f64| 1.0 + ASLEEP * libm::exp(-rate / AWAKE);
    of(rate) / of(MEASURED)
}

impl Default for Pressure {
    fn default() -> Self {
        Pressure { pace: pace(0.0), queues: BTreeMap::new(), connections: BTreeMap::new(), late: BTreeMap::new() }
    }
}

impl Pressure {
    /// That of a load.
    pub fn of(compiled: &Compiled, load: &Load) -> Pressure {
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
        let rate = compiled.net.entries.iter().map(|entry| entry.rate).sum();
        let queues = sums.into_iter().map(time).collect();
        Pressure { pace: pace(rate), queues, connections: connections(compiled, load), late: late(compiled, load) }
    }

    /// Whether a process is so busy that a single request could tell.
    pub fn queues(&self) -> bool {
        !self.queues.is_empty() || !self.connections.is_empty()
    }

    /// Adds that of another load.
    pub fn add(&mut self, other: &Pressure) {
        self.pace = self.pace.min(other.pace);
        self.late.extend(other.late.iter().map(|(call, late)| (*call, *late)));
        self.connections.extend(other.connections.iter().map(|(call, time)| (*call, *time)));
        self.queues.extend(other.queues.iter().map(|(run, time)| (*run, *time)));
    }

    /// What a call waits for a connection where queues are `stretch` times as long.
    pub fn connection(&self, call: u64, stream: &mut Stream, stretch: f64) -> Duration {
        self.connections.get(&call).map_or(Duration::ZERO, |time| time.draw_paced(stream, stretch))
    }

    /// What one request loses where queues are `stretch` times as long.
    pub fn draw(&self, run: RunId, stream: &mut Stream, stretch: f64) -> Duration {
        self.queues.get(&run).map_or(Duration::ZERO, |time| time.draw_paced(stream, stretch))
    }
}

/// Waits for connections that are shorter than this, in seconds, are left out.
const SHORT: f64 = 1e-6;

fn connections(compiled: &Compiled, load: &Load) -> BTreeMap<u64, Time> {
    let mut all = BTreeMap::new();
    compiled.net.each_call(&mut |call| {
        let wait = call.pool.and_then(|at| load.pools.get(at)).map(|pool| pool.wait);
        if let (Some(wait), Some(key)) = (wait.filter(|wait| wait.mean > SHORT), compiled.keys.get(call.id)) {
            all.insert(*key, Time::with(wait.mean, wait.variance));
        }
    });
    all
}

/// Calls that are late less often than this are on time.
const RARE: f64 = 1e-6;

fn late(compiled: &Compiled, load: &Load) -> BTreeMap<u64, Lateness> {
    let mut all = BTreeMap::new();
    compiled.net.each_call(&mut |call| {
        let key = compiled.keys.get(call.id).copied().unwrap_or(0);
        let share = call.reached * load.late.get(call.id).copied().unwrap_or(0.0);
        if key != 0 && share > RARE {
            let of = |all: &[f64]| all.get(call.id).copied().unwrap_or(0.0);
            all.insert(key, Lateness { share, again: call.reached * of(&load.again), unsent: of(&load.unsent), lost: of(&load.lost) });
        }
    });
    all
}
