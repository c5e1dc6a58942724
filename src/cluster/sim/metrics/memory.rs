//! Memory of a container: the program's own, what connections and buffers take under load, and pages of files.
//!
//! What leaks and what requests in progress take comes on top ([`super::super::exhaustion`]).
//!
//! Not modelled: garbage collections one by one, what documents of databases take beyond the data's numbers.

use super::super::exhaustion;
use super::Subject;
use crate::app;
use crate::rng::Key as RandomKey;
use crate::time::SimTime;

/// Requests per second at which two thirds of a program's growth under load are reached.
const GROWTH_RPS: f64 = 10.0;

/// The same for connections and buffers.
const BUFFER_RPS: f64 = 25.0;

/// Seconds in which memory grows when load begins, and in which it is given back when load ends.
const GROWS_S: f64 = 30.0;
const SHRINKS_S: f64 = 600.0;

/// Memory wanders by about this share of itself.
const WANDER: f64 = 0.012;

/// In so many seconds.
const WANDER_S: u64 = 60;

/// Memory at an instant, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    /// The program's own.
    pub rss: f64,
    /// Pages of files, in use or not.
    pub cache: f64,
    /// Pages of files that are mapped.
    pub mapped: f64,
    /// What cannot be taken away.
    pub working_set: f64,
    /// All.
    pub usage: f64,
}

/// The memory of a run.
pub(super) fn used(subject: &Subject<'_>) -> Memory {
    let Some(program) = subject.program() else { return Memory::default() };
    let needs = program.memory;
    let levels = subject.load.levels(subject.run.id, subject.at);
    let (start, growth) = (needs.start as f64, needs.working.saturating_sub(needs.start) as f64);
    // Without requests to wait for, a program has what it needs when its start is over.
    let asked = !program.operations.is_empty() || !program.handlers.is_empty() || program.cpu.request_ms > 0.0;
    let own = if asked { follow(&levels, subject, start, |rate| start + growth * saturation(rate, GROWTH_RPS)) } else { start + growth };
    let buffers = follow(&levels, subject, 0.0, |rate| needs.load as f64 * saturation(rate, BUFFER_RPS));
    let rss = own * (1.0 + wander(subject, "rss")) + exhaustion::grown(subject.load.world, subject.run.id, &needs, subject.at);
    let kernel = buffers * (1.0 + wander(subject, "buffers"));
    let active = needs.cache as f64;
    let cold = active * 0.4;
    let working_set = bounded(rss + kernel + active, subject);
    Memory { rss: rss.min(working_set), cache: active + cold, mapped: active * 0.55, working_set, usage: working_set + cold }
}

/// What a program has of its own and for connections and buffers, so long after its start under a load of `rate` requests per second.
pub fn base(needs: &app::Memory, rate: f64, age: f64) -> f64 {
    let start = needs.start as f64;
    settled(needs, rate) + (start - settled(needs, rate)) * libm::exp(-age / GROWS_S)
}

/// The same when it has settled.
pub fn settled(needs: &app::Memory, rate: f64) -> f64 {
    let growth = needs.working.saturating_sub(needs.start) as f64;
    needs.start as f64 + growth * saturation(rate, GROWTH_RPS) + needs.load as f64 * saturation(rate, BUFFER_RPS)
}

/// A limit holds: pages of files go first.
fn bounded(working_set: f64, subject: &Subject<'_>) -> f64 {
    subject.run.launch.memory_limit.map_or(working_set, |limit| working_set.min(limit as f64))
}

fn saturation(rate: f64, scale: f64) -> f64 {
    1.0 - libm::exp(-rate / scale)
}

/// An amount that follows the load with delay: up soon, down late.
fn follow(levels: &[(SimTime, f64)], subject: &Subject<'_>, start: f64, target: impl Fn(f64) -> f64) -> f64 {
    let (began, at) = (subject.run.started_at, subject.at);
    let mut value = start;
    for (index, (from, rate)) in levels.iter().enumerate() {
        let until = levels.get(index + 1).map_or(at, |(next, _)| *next).min(at);
        let seconds = until.since((*from).max(began)).as_secs_f64();
        let wanted = target(*rate);
        let pace = if wanted > value { GROWS_S } else { SHRINKS_S };
        value = wanted + (value - wanted) * libm::exp(-seconds / pace);
    }
    value
}

/// A slow random walk between its own values at whole minutes.
fn wander(subject: &Subject<'_>, what: &str) -> f64 {
    let key = RandomKey::new(subject.seed).part("memory").part(what).number(subject.run.id.0);
    let nanos = subject.at.as_nanos();
    let cell = nanos / (WANDER_S * 1_000_000_000);
    let within = (nanos % (WANDER_S * 1_000_000_000)) as f64 / (WANDER_S as f64 * 1e9);
    let value = |cell: u64| key.clone().number(cell).stream().range(-WANDER, WANDER);
    value(cell) * (1.0 - within) + value(cell + 1) * within
}

/// Threads of a process, typical for its kind.
pub fn threads(behaviour: app::Behaviour) -> f64 {
    match behaviour {
        app::Behaviour::Service => 9.0,
        app::Behaviour::Mongo => 33.0,
        app::Behaviour::Memcached => 10.0,
        app::Behaviour::Consul | app::Behaviour::Jaeger => 12.0,
        app::Behaviour::Redis => 5.0,
        app::Behaviour::Command | app::Behaviour::Pause => 1.0,
    }
}
