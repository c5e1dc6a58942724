//! How ends combine: of ways, of calls with time-outs and attempts, of work in order.

use super::attempts;
use super::{CallAct, Dist, Ended, MissAct, Outcome, StoreWay, Vertex, Way, Work};
use crate::app::{Clients, OnError, Then};
use arcstr::ArcStr;
use std::time::Duration;

/// Packets of one small request and its answer.
pub const PACKETS: u32 = 2;

/// Whose call it is: where it stands, and the libraries with which it is made.
pub type Caller<'a> = (&'a ArcStr, Clients);

/// The table of ends, and the vertices as far as they are built.
#[derive(Default)]
pub struct Ends {
    /// Ends, by [`Outcome::ended`].
    pub table: Vec<Ended>,
    /// `None` while a vertex is being built.
    pub vertices: Vec<Option<Vertex>>,
}

impl Ends {
    /// The outcome that ends so, in silence.
    pub fn end(&mut self, ended: Ended) -> Outcome {
        let at = self.table.iter().position(|known| *known == ended).unwrap_or_else(|| {
            self.table.push(ended);
            self.table.len() - 1
        });
        Outcome { ended: u16::try_from(at).unwrap_or(u16::MAX), ..Outcome::SERVED }
    }

    /// A call fails so.
    pub fn failed(&mut self, error: impl Into<ArcStr>, at: &ArcStr) -> Outcome {
        self.end(Ended::Failed { error: error.into(), at: at.clone() })
    }

    /// How a way ends for a caller that waits for a limited time.
    pub fn timed(&mut self, timeout: Option<Duration>, way: &Way, (at, clients): Caller<'_>) -> Dist {
        let dist = self.way_dist(way, (at, clients));
        let Some(timeout) = timeout else { return dist };
        let late = match way {
            Way::Served { path, .. } => path.later_than(timeout),
            _ => 0.0,
        };
        let expired = self.failed(clients.deadline(), at);
        let mut timed = Dist::default();
        for (outcome, p) in dist.iter() {
            if matches!(self.table.get(usize::from(outcome.ended)), Some(Ended::Hung { .. })) {
                timed.add(Outcome { noisy: outcome.noisy, ..expired }, p);
            } else {
                timed.add(outcome, p * (1.0 - late));
                timed.add(Outcome { noisy: outcome.noisy, ..expired }, p * late);
            }
        }
        timed
    }

    /// How a way ends, before any rule of the caller's.
    pub fn way_dist(&mut self, way: &Way, (at, clients): Caller<'_>) -> Dist {
        match way {
            Way::Fails { outcome, .. } | Way::Hangs { outcome } => Dist::certain(*outcome),
            Way::Served { vertex, path } => {
                let hung = self.end(Ended::Hung { at: at.clone() });
                let Some(Some(callee)) = self.vertices.get(*vertex) else { return Dist::certain(hung) };
                let (reached, is_call) = (callee.body.dist().clone(), matches!(callee.work, Work::Operation(_)));
                let lost = path.hang_chance(PACKETS as i32);
                let mut dist = Dist::default();
                dist.add(hung, lost);
                for (outcome, p) in reached.iter() {
                    let seen = if is_call { self.across(outcome, clients) } else { outcome };
                    dist.add(seen, p * (1.0 - lost));
                }
                dist
            }
        }
    }

    /// An outcome of a callee as its caller sees it.
    fn across(&mut self, outcome: Outcome, clients: Clients) -> Outcome {
        let wrapped = match self.table.get(usize::from(outcome.ended)) {
            Some(Ended::Failed { error, at }) => Some((clients.across(error), at.clone())),
            _ => None,
        };
        match wrapped {
            Some((error, at)) => Outcome { ended: self.failed(error, &at).ended, ..outcome },
            None => outcome,
        }
    }

    /// How a call can end with all its attempts and the caller's rule.
    pub fn all(&mut self, act: &CallAct) -> Dist {
        self.with_rule(&attempts::all(act), &act.on_error, (&act.at, act.clients))
    }

    /// How attempts end that come too late for the caller because of queues: whatever else the callee does goes on.
    pub fn expired(&mut self, ways: &[(Way, Dist)], (at, clients): Caller<'_>) -> Dist {
        let expired = self.failed(clients.deadline(), at);
        let served = || ways.iter().filter(|(way, _)| matches!(way, Way::Served { .. }));
        let count = served().count().max(1) as f64;
        let mut dist = Dist::default();
        for (outcome, p) in served().flat_map(|(_, dist)| dist.iter()) {
            dist.add(Outcome { ended: expired.ended, ..outcome }, p / count);
        }
        dist
    }

    /// Outcomes after the caller's rule for errors.
    fn with_rule(&mut self, dist: &Dist, rule: &OnError, at: Caller<'_>) -> Dist {
        let mut ruled = Dist::default();
        for (outcome, p) in dist.iter() {
            let outcome = self.ruled(outcome, rule, at);
            ruled.add(outcome, p);
        }
        ruled
    }

    /// An outcome after the caller's rule for errors.
    pub fn ruled(&mut self, outcome: Outcome, rule: &OnError, (at, clients): Caller<'_>) -> Outcome {
        if outcome.served() {
            return outcome;
        }
        let hung = matches!(self.table.get(usize::from(outcome.ended)), Some(Ended::Hung { .. }));
        let noisy = outcome.noisy || rule.log.is_some();
        match rule.then {
            Then::Exit(_) if !hung => {
                let closing = self.failed(clients.closing(), at);
                Outcome { ended: closing.ended, noisy: outcome.noisy, crash: true }
            }
            Then::Ignore if !hung => Outcome { ended: 0, noisy, ..outcome },
            _ => Outcome { noisy, ..outcome },
        }
    }
}

/// How a request to a store can end.
pub fn asked(way: &StoreWay, miss: Option<&MissAct>) -> Dist {
    match (way, miss) {
        (StoreWay::Fails { outcome, .. }, _) => Dist::certain(*outcome),
        (StoreWay::Served(_), None) => Dist::certain(Outcome::SERVED),
        (StoreWay::Served(_), Some(miss)) => {
            let mut dist = Dist::default();
            dist.add(Outcome::SERVED, 1.0 - miss.chance);
            miss.body.dist().iter().for_each(|(o, p)| dist.add(o, p * miss.chance));
            dist
        }
    }
}

/// Distributions of the work from each part on, one longer than the parts.
pub fn suffixes<'d>(parts: impl DoubleEndedIterator<Item = &'d Dist>, all: bool) -> Vec<Dist> {
    let mut rest = vec![Dist::certain(Outcome::SERVED)];
    for part in parts.rev() {
        let next = rest.last().map(|after| part.then(after, all)).unwrap_or_default();
        rest.push(next);
    }
    rest.reverse();
    rest
}
