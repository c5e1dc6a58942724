//! How a piece of work can end, and how likely each end is.

use arcstr::ArcStr;
use std::sync::OnceLock;

/// How a piece of work ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It succeeded.
    Served,
    /// It failed.
    Failed {
        /// The error's text.
        error: ArcStr,
        /// The call that failed.
        at: ArcStr,
    },
    /// No answer ever comes.
    Hung {
        /// The call that waits.
        at: ArcStr,
    },
    /// The user gave up before the answer came: the system is too slow.
    GivenUp,
    /// The entry could not be reached: no program of the application saw the request.
    Unreachable {
        /// What the client sees.
        error: ArcStr,
        /// Whether it waits until its own time-out.
        silent: bool,
    },
    /// An answer that is not the handler's own: no such path.
    Answered {
        /// Status.
        status: u16,
        /// Body.
        body: ArcStr,
    },
}

/// An end with what went with it. Small, so that distributions over it are cheap to combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outcome {
    /// Which end, as a place in the graph's table; 0 is [`Ended::Served`].
    pub ended: u16,
    /// Whether a line is written on the way.
    pub noisy: bool,
    /// Whether a process ends because of it.
    pub crash: bool,
}

impl Outcome {
    /// Success, in silence.
    pub const SERVED: Outcome = Outcome { ended: 0, noisy: false, crash: false };

    /// Whether it succeeded.
    pub fn served(self) -> bool {
        self.ended == 0
    }

    /// This followed by (or together with) another: the first failure counts, traces of both remain.
    #[must_use]
    pub fn with(self, next: Outcome) -> Outcome {
        Outcome {
            ended: if self.served() { next.ended } else { self.ended },
            noisy: self.noisy || next.noisy,
            crash: self.crash || next.crash,
        }
    }
}

/// A distribution over outcomes, sorted by outcome.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Dist(Vec<(Outcome, f64)>);

impl Dist {
    /// The distribution that has one outcome only.
    pub fn certain(outcome: Outcome) -> Self {
        Dist(vec![(outcome, 1.0)])
    }

    /// That of doing nothing: success, in silence.
    pub fn nothing() -> &'static Dist {
        static NOTHING: OnceLock<Dist> = OnceLock::new();
        NOTHING.get_or_init(|| Dist::certain(Outcome::SERVED))
    }

    /// Adds to the probability of an outcome.
    pub fn add(&mut self, outcome: Outcome, p: f64) {
        if p <= 0.0 {
            return;
        }
        match self.0.binary_search_by(|(other, _)| other.cmp(&outcome)) {
            Ok(at) => self.0[at].1 += p,
            Err(at) => self.0.insert(at, (outcome, p)),
        }
    }

    /// Outcomes with their probabilities.
    pub fn iter(&self) -> impl Iterator<Item = (Outcome, f64)> + '_ {
        self.0.iter().copied()
    }

    /// The only outcome, when there is one only.
    pub fn only(&self) -> Option<Outcome> {
        match self.0.as_slice() {
            [(outcome, _)] => Some(*outcome),
            _ => None,
        }
    }

    /// The part of it whose outcomes fit; what is left out is missing from the sum.
    #[must_use]
    pub fn only_those(&self, fits: &impl Fn(Outcome) -> bool) -> Dist {
        Dist(self.0.iter().filter(|(outcome, _)| fits(*outcome)).copied().collect())
    }

    /// All of its probability; 1 unless something was left out.
    pub fn sum(&self) -> f64 {
        self.0.iter().map(|(_, p)| p).sum()
    }

    /// Probability of an outcome.
    pub fn of(&self, outcome: Outcome) -> f64 {
        self.0.binary_search_by(|(other, _)| other.cmp(&outcome)).map_or(0.0, |at| self.0[at].1)
    }

    /// Probability that the work succeeds.
    pub fn success(&self) -> f64 {
        self.iter().filter(|(o, _)| o.served()).map(|(_, p)| p).sum()
    }

    /// Probability that `state`, followed by this, is `target`.
    pub fn completes(&self, state: Outcome, target: Outcome) -> f64 {
        self.iter().filter(|(o, _)| state.with(*o) == target).map(|(_, p)| p).sum()
    }

    /// This, then `rest`; a failure ends it unless `all` is done in any case.
    #[must_use]
    pub fn then(&self, rest: &Dist, all: bool) -> Dist {
        let mut both = Dist::default();
        for (first, p) in self.iter() {
            if first.served() || all {
                rest.iter().for_each(|(next, q)| both.add(first.with(next), p * q));
            } else {
                both.add(first, p);
            }
        }
        both
    }

    /// The distribution of a function of the outcome.
    #[must_use]
    pub fn map(&self, f: impl Fn(Outcome) -> Outcome) -> Dist {
        let mut mapped = Dist::default();
        self.iter().for_each(|(o, p)| mapped.add(f(o), p));
        mapped
    }

    /// Picks an outcome by weights that `weight` gives; the likeliest when all are zero.
    pub fn pick(&self, stream: &mut crate::rng::Stream, weight: impl Fn(Outcome, f64) -> f64) -> Outcome {
        if let Some(only) = self.only() {
            return only;
        }
        let total: f64 = self.iter().map(|(o, p)| weight(o, p)).sum();
        let mut left = stream.unit() * total;
        let mut last = Outcome::SERVED;
        for (outcome, p) in self.iter() {
            let w = weight(outcome, p);
            if w > 0.0 || total == 0.0 {
                last = outcome;
                left -= w;
                if left < 0.0 {
                    break;
                }
            }
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: Outcome = Outcome { ended: 1, noisy: true, crash: false };

    fn half() -> Dist {
        let mut dist = Dist::certain(Outcome::SERVED).map(|o| o);
        dist = Dist(dist.0.iter().map(|(o, _)| (*o, 0.5)).collect());
        dist.add(FAILED, 0.5);
        dist
    }

    #[test]
    fn sequences_stop_at_the_first_failure() {
        let other = Outcome { ended: 2, noisy: false, crash: false };
        let rest = Dist::certain(other);
        let sequence = half().then(&rest, false);
        assert_eq!((sequence.of(FAILED), sequence.of(other)), (0.5, 0.5));
        let together = half().then(&Dist::certain(Outcome { noisy: true, ..Outcome::SERVED }), true);
        assert_eq!(together.of(Outcome { noisy: true, ..Outcome::SERVED }), 0.5);
        assert_eq!(together.success(), 0.5);
    }

    #[test]
    fn picks_follow_weights() {
        let mut stream = crate::rng::Key::new(1).stream();
        let picks = (0..1000).filter(|_| half().pick(&mut stream, |_, p| p).served()).count();
        assert!((420..580).contains(&picks), "{picks}");
        assert_eq!(half().pick(&mut stream, |o, p| if o.served() { 0.0 } else { p }), FAILED);
    }
}
