//! From one settled state to the next: backlogs that grow or are worked off, callers that notice and try again.

use super::net::{Call, Net};
use super::pool::PoolLoad;
use super::solve::{Going, Load, State, StationLoad};

/// The first step of the integration, and the longest, in seconds.
pub const TICK_S: f64 = 0.1;
const STRIDE_S: f64 = 5.0;

/// The error that a step may make in a backlog, as a share of it, and in the share of calls that succeed.
const ERROR: f64 = 0.01;

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
    let (mut next, mut seconds) = (system.clone(), 0.0);
    loop {
        // Not far beyond where it differs noticeably.
        let taken = next.step.min(next.noticed_in(system).max(TICK_S));
        seconds += taken;
        next.stride(net, taken);
        if next.phase() != Phase::Moving || seconds >= AHEAD_S || next.differs(system) {
            return Some((seconds, next));
        }
    }
}

/// The share of a change in how a call goes that its callers have noticed after so many seconds.
fn follows(call: &Call, seconds: f64) -> f64 {
    let lag = call.timeout + call.pause;
    if lag.is_finite() && lag > 0.0 { -libm::expm1(-seconds / lag) } else { 1.0 }
}

/// A network with its state and its load.
#[derive(Clone, Debug, PartialEq)]
pub struct System {
    /// What lasts.
    pub state: State,
    /// What follows from it.
    pub load: Load,
    /// How long the next step of its integration may be, in seconds.
    step: f64,
}

impl System {
    /// A network whose load begins, with what is left of the time before.
    pub fn new(net: &Net, state: State) -> System {
        let mut system = System { load: Load::idle(net), state, step: TICK_S };
        system.load.update(net, &system.state);
        // What is cancelled, and what passes, depends on slowdowns and growth, of which the first guesses are those of an idle system.
        if !net.pools.is_empty() {
            // The wait for a pool's slots depends on how long they are held, which is known when others have settled.
            for _ in 0..POOLS_SETTLE {
                let before: f64 = system.load.pools.iter().map(|pool| pool.wait.mean).sum();
                system.load.update(net, &system.state);
                let after: f64 = system.load.pools.iter().map(|pool| pool.wait.mean).sum();
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

    /// In how many seconds some slowdown differs noticeably from what it was, if backlogs go on as they do.
    fn noticed_in(&self, other: &System) -> f64 {
        let pairs = self.load.stations.iter().zip(&other.load.stations);
        let each = pairs.filter(|(now, _)| now.growth != 0.0 && now.used > 0.0).map(|(now, then)| {
            let change = if now.growth > 0.0 { NOTICED } else { -NOTICED };
            1.01 * (then.slowdown * (1.0 + change) - now.slowdown) * now.used / now.growth
        });
        each.filter(|seconds| *seconds > 0.0).fold(f64::INFINITY, f64::min)
    }

    /// Lets a tick pass.
    fn tick(&mut self, net: &Net, seconds: f64) {
        let empty = |amount: f64| if amount < 1e-6 { 0.0 } else { amount };
        for (backlog, load) in self.state.backlog.iter_mut().zip(&self.load.stations) {
            *backlog = empty(*backlog + load.growth * seconds);
        }
        for (waiting, load) in self.state.waiting.iter_mut().zip(&self.load.pools) {
            *waiting = empty(*waiting + load.growth * seconds);
        }
        let (seen, now) = (&mut self.state.seen, &self.load.calls);
        net.each_call(&mut |call| {
            if let (Some(seen), Some(now)) = (seen.get_mut(call.id), now.get(call.id)) {
                let share = follows(call, seconds);
                seen.attempts += (now.attempts - seen.attempts) * share;
                seen.through += (now.through - seen.through) * share;
            }
        });
        self.load.update(net, &self.state);
    }

    /// Lets a step pass, and finds how long the next may be so that its error is small: that of a step is how much what drives it has changed
    /// in it.
    fn stride(&mut self, net: &Net, step: f64) {
        let growths: Vec<f64> = self.growths().collect();
        let going: Vec<f64> = self.load.calls.iter().map(|call| call.through).collect();
        self.tick(net, step);
        let amounts = self.state.backlog.iter().chain(&self.state.waiting);
        let queued = self.growths().zip(growths).zip(amounts).map(|((now, then), amount)| (now - then).abs() * step / 2.0 / (1.0 + amount));
        let mut error = queued.fold(0.0, f64::max);
        net.each_call(&mut |call| {
            if let (Some(now), Some(then)) = (self.load.calls.get(call.id), going.get(call.id)) {
                error = error.max((now.through - then).abs() * follows(call, step) / 2.0);
            }
        });
        self.step = (step * libm::sqrt(ERROR / error.max(1e-9)).clamp(0.3, 2.5)).clamp(TICK_S, STRIDE_S);
    }

    fn growths(&self) -> impl Iterator<Item = f64> {
        self.load.stations.iter().map(|load| load.growth).chain(self.load.pools.iter().map(|load| load.growth))
    }

    /// Lets time pass, tick by tick while it matters, and returns what is left when it has settled before.
    pub fn advance(&mut self, net: &Net, mut seconds: f64) -> f64 {
        while seconds > 1e-9 {
            match self.phase() {
                Phase::Settled => return seconds,
                Phase::Growing => {
                    self.tick(net, seconds);
                    return 0.0;
                }
                Phase::Moving => {
                    let taken = self.step.min(seconds);
                    self.stride(net, taken);
                    seconds -= taken;
                }
            }
        }
        0.0
    }
}
