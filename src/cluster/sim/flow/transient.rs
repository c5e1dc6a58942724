//! From one settled state to the next: backlogs that grow or are worked off, callers that notice and try again.

use super::net::Net;
use super::pool::PoolLoad;
use super::solve::{Going, Load, State, StationLoad};

/// The tick of the integration, in seconds, and the longest step while little changes.
pub const TICK_S: f64 = 0.1;
const STRIDE_S: f64 = 1.6;

/// Less than this share of change in a step is little.
const CALM: f64 = 0.02;

/// How a system is at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It stays as it is while nothing from outside changes.
    Settled,
    /// Nothing changes for those who wait, since they all give up, but the backlog grows for ever.
    Growing,
    /// It is on its way.
    Moving,
}

/// From this share of attempts that come too late on, all do.
const HOPELESS: f64 = 1.0 - 1e-3;

/// The longest that a transient is integrated ahead, in seconds.
const AHEAD_S: f64 = 60.0;

/// So many rounds find the waits for pools that hold each other up, at most.
const POOLS_SETTLE: usize = 50;

/// A slowdown that changes by this share is noticed.
const NOTICED: f64 = 0.15;

/// How long it takes a system that moves to differ noticeably from how it is, or to settle, and how it is then; `None` for one that stays.
pub fn following(net: &Net, system: &System) -> Option<(f64, System)> {
    if system.phase() != Phase::Moving {
        return None;
    }
    let (mut next, mut seconds, mut step) = (system.clone(), 0.0, TICK_S);
    loop {
        seconds += step;
        step = next.stride(net, step);
        if next.phase() != Phase::Moving || seconds >= AHEAD_S || next.differs(system) {
            return Some((seconds, next));
        }
    }
}

/// A network with its state and its load.
#[derive(Clone, Debug, PartialEq)]
pub struct System {
    /// What lasts.
    pub state: State,
    /// What follows from it.
    pub load: Load,
}

impl System {
    /// A network whose load begins, with what is left of the time before.
    pub fn new(net: &Net, state: State) -> System {
        let mut system = System { load: Load::idle(net), state };
        system.load.update(net, &system.state);
        // What is cancelled, and what passes, depends on slowdowns and growth, of which the first guesses are those of an idle system.
        if !net.pools.is_empty() {
            // The wait for a pool's slots depends on how long they are held, which is known when others have settled.
            for _ in 0..POOLS_SETTLE {
                let before: f64 = system.load.pools.iter().map(|pool| pool.felt + pool.wait.mean).sum();
                system.load.update(net, &system.state);
                let after: f64 = system.load.pools.iter().map(|pool| pool.felt + pool.wait.mean).sum();
                if (after - before).abs() <= 1e-6 * after {
                    break;
                }
            }
        }
        if system.load.late.iter().any(|late| *late > 1e-9) || system.load.stations.iter().any(|station| station.growth != 0.0) {
            system.load.update(net, &system.state);
            system.load.update(net, &system.state);
        }
        system
    }

    /// How the system is.
    pub fn phase(&self) -> Phase {
        let apart =
            |(now, seen): (&Going, &Going)| (now.attempts - seen.attempts).abs() > 1e-4 || (now.through - seen.through).abs() > 1e-4;
        let lag = self.load.calls.iter().zip(&self.state.seen).any(apart);
        let moving = |(load, backlog): (&StationLoad, &f64)| {
            load.growth > 1e-3 * (1.0 + load.rate) || (*backlog > 0.0 && load.growth.abs() > 1e-3 * (1.0 + load.rate))
        };
        let filling = |(load, waiting): (&PoolLoad, &f64)| {
            load.growth > 1e-3 * (1.0 + load.rate) || (*waiting > 0.0 && load.growth.abs() > 1e-3 * (1.0 + load.rate))
        };
        let grows =
            self.load.stations.iter().zip(&self.state.backlog).any(moving) || self.load.pools.iter().zip(&self.state.waiting).any(filling);
        match (lag, grows) {
            (false, false) => Phase::Settled,
            (false, true) if self.hopeless() => Phase::Growing,
            _ => Phase::Moving,
        }
    }

    /// Whether no backlog is worked off and everybody who waits for it gives up.
    fn hopeless(&self) -> bool {
        let worked_off = self.load.stations.iter().zip(&self.state.backlog).any(|(load, backlog)| *backlog > 0.0 && load.growth < 0.0);
        let undecided = self.load.late.iter().any(|late| (1e-6..HOPELESS).contains(late));
        !worked_off && !undecided && self.load.late.iter().any(|late| *late >= HOPELESS)
    }

    /// Whether users or processes could tell this from another instant of the same system.
    fn differs(&self, other: &System) -> bool {
        let slower = |(now, then): (&StationLoad, &StationLoad)| (now.slowdown / then.slowdown - 1.0).abs() > NOTICED;
        let going = |(now, then): (&f64, &f64)| (now - then).abs() > 0.02;
        self.load.stations.iter().zip(&other.load.stations).any(slower) || self.load.late.iter().zip(&other.load.late).any(going)
    }

    /// Lets a tick pass.
    pub fn tick(&mut self, net: &Net, seconds: f64) {
        for (backlog, load) in self.state.backlog.iter_mut().zip(&self.load.stations) {
            *backlog = (*backlog + load.growth * seconds).max(0.0);
            if *backlog < 1e-6 {
                *backlog = 0.0;
            }
        }
        for (waiting, load) in self.state.waiting.iter_mut().zip(&self.load.pools) {
            *waiting = (*waiting + load.growth * seconds).max(0.0);
            if *waiting < 1e-6 {
                *waiting = 0.0;
            }
        }
        let (seen, now) = (&mut self.state.seen, &self.load.calls);
        net.each_call(&mut |call| {
            let lag = call.timeout + call.pause;
            if let (Some(seen), Some(now)) = (seen.get_mut(call.id), now.get(call.id)) {
                let share = if lag.is_finite() { (seconds / lag.max(seconds)).min(1.0) } else { 1.0 };
                seen.attempts += (now.attempts - seen.attempts) * share;
                seen.through += (now.through - seen.through) * share;
            }
        });
        self.load.update(net, &self.state);
    }

    /// Lets a tick pass and says how long the next may be: twice as long while little changes, a tick again when much does.
    fn stride(&mut self, net: &Net, step: f64) -> f64 {
        let before: f64 = self.load.stations.iter().map(|load| load.slowdown).fold(0.0, f64::max);
        self.tick(net, step);
        let after: f64 = self.load.stations.iter().map(|load| load.slowdown).fold(0.0, f64::max);
        let lag = self.load.calls.iter().zip(&self.state.seen).any(|(now, seen)| (now.through - seen.through).abs() > CALM);
        if lag || (after / before - 1.0).abs() > CALM { TICK_S } else { (step * 2.0).min(STRIDE_S) }
    }

    /// Lets time pass, tick by tick while it matters, and returns what is left when it has settled before.
    pub fn advance(&mut self, net: &Net, mut seconds: f64) -> f64 {
        let mut step = TICK_S;
        while seconds > 1e-9 {
            match self.phase() {
                Phase::Settled => return seconds,
                Phase::Growing => {
                    self.tick(net, seconds);
                    return 0.0;
                }
                Phase::Moving => {
                    let taken = step.min(seconds);
                    step = self.stride(net, taken);
                    seconds -= taken;
                }
            }
        }
        0.0
    }
}
