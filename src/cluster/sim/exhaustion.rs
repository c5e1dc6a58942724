//! Memory that grows: what requests in progress take, what leaks, and when a container's limit is reached.
//!
//! Everything is a function of the regimes of the load, so while one lasts the instant at which a limit is reached is known: it is put on the
//! queue when the regime begins, and nothing ticks. A restart begins anew.
//!
//! Not modelled: memory that fragments, a node that runs out of memory, swap, processes that slow down before they are killed.

use super::history::RunId;
use super::kubelet;
use super::metrics::memory::{base, settled};
use super::programs;
use super::traffic::{Plan, Regime};
use super::world::World;
use crate::app::Memory;
use crate::time::SimTime;
use std::time::Duration;

/// What a process gets, and has in progress, in one regime.
#[derive(Clone, Copy, Debug, Default)]
struct Going {
    /// Requests per second.
    rate: f64,
    /// Requests in progress when the regime began.
    held: f64,
    /// By how many they grow per second.
    growth: f64,
}

impl Going {
    fn of(plan: &Plan, run: RunId) -> Going {
        let Some(station) = plan.network.runs.iter().position(|other| *other == run) else { return Going::default() };
        let here = plan.network.net.operations.iter().zip(&plan.load.operations).filter(|(operation, _)| operation.station == station);
        let (mut rate, mut held) = (0.0, 0.0);
        for (_, load) in here {
            rate += load.rate;
            // Whoever cancels holds nothing of what nobody waits for.
            held += load.rate * load.time.mean.min(load.budget());
        }
        Going { rate, held, growth: plan.load.stations.get(station).map_or(0.0, |load| load.growth) }
    }

    fn held_after(&self, seconds: f64) -> f64 {
        (self.held + self.growth * seconds).max(0.0)
    }
}

/// Bytes that a process has by an instant beyond what its kind needs: leaked, and for requests in progress.
pub fn grown(world: &World, run: RunId, needs: &Memory, at: SimTime) -> f64 {
    let Some(found) = world.history.any_run(run).filter(|_| needs.grows()) else { return 0.0 };
    let began = found.started_at;
    let (mut requests, mut held) = (0.0, 0.0);
    for regime in world.history.regimes(&found.launch.namespace).filter(|regime| regime.from <= at) {
        let (from, until) = (regime.from.max(began), regime.until.map_or(at, |until| until.min(at)));
        let lasts = regime.until.is_none_or(|end| end > at);
        if from >= until && !lasts {
            continue;
        }
        let going = Going::of(&regime.plan, run);
        requests += going.rate * until.since(from).as_secs_f64();
        held = if lasts { going.held_after(at.since(regime.from).as_secs_f64()) } else { 0.0 };
    }
    let alive = at.since(began).as_secs_f64();
    requests * needs.leak_request as f64 + alive * needs.leak_second as f64 + held * needs.request as f64
}

/// The processes whose memory reaches their limit in a regime that begins now, if it lasts, and when.
pub(super) fn ahead(world: &World, regime: &Regime) -> Vec<(RunId, SimTime)> {
    let plan = &regime.plan;
    plan.network.runs.iter().filter_map(|run| Some((*run, limit_reached(world, plan, *run)?))).collect()
}

/// When a process reaches its limit, if the present regime lasts.
fn limit_reached(world: &World, plan: &Plan, run: RunId) -> Option<SimTime> {
    let needs = programs::needs(world, run).filter(Memory::grows)?;
    let found = world.history.run(run)?;
    let limit = found.launch.memory_limit? as f64;
    let going = Going::of(plan, run);
    let slope = going.rate * needs.leak_request as f64 + needs.leak_second as f64 + going.growth * needs.request as f64;
    let now = grown(world, run, &needs, world.now);
    let needed = |seconds: f64| {
        let age = world.now.since(found.started_at).as_secs_f64() + seconds;
        base(&needs, going.rate, age) + now + slope * seconds
    };
    if needed(0.0) >= limit {
        return Some(world.now);
    }
    // What it needs by itself lies between what it starts with and what it settles at, so the instant lies between two closed forms.
    let [latest, earliest] = [needs.start as f64, settled(&needs, going.rate)].map(|own| (limit - own - now) / slope);
    let (mut low, mut high) = (earliest.max(0.0), latest.max(0.0));
    if slope <= 0.0 {
        // Nothing but its own growth.
        (low, high) = (0.0, 600.0);
        if needed(high) < limit {
            return None;
        }
    }
    if high > HORIZON_S {
        return None;
    }
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        if needed(middle) < limit {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(world.now + Duration::from_secs_f64(high))
}

/// How far ahead limits are looked for, in seconds: a month.
const HORIZON_S: f64 = 30.0 * 86_400.0;

/// A process has reached its limit.
pub(super) fn reached(world: &mut World, run: RunId) {
    kubelet::out_of_memory(world, run);
}
