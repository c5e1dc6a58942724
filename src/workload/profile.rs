//! How many requests come when: a rate, steps to other rates, bursts that come back.
//!
//! A [`Profile`] is cut into [`Pace`]s, stretches with one rate, each made from the one before: whoever follows a load knows the present
//! pace and when the next one begins, however many there will be.

use super::Arrivals;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How many requests come when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Requests per second over all endpoints, from the start to the first step.
    pub rate_per_s: f64,
    /// How arrivals are spaced.
    pub arrivals: Arrivals,
    /// Changes of the rate, in order of time.
    pub steps: Vec<Step>,
    /// Bursts on top of that.
    pub bursts: Option<Bursts>,
}

/// From an instant on, another rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// When, counted from the start of the load.
    pub at: Duration,
    /// Requests per second.
    pub rate_per_s: f64,
}

/// Bursts: stretches of another rate that come back.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bursts {
    /// When the first one begins, counted from the start of the load.
    pub first: Duration,
    /// From the begin of one to that of the next; longer than `lasts`.
    pub every: Duration,
    /// How long each is.
    pub lasts: Duration,
    /// What comes meanwhile.
    pub height: Height,
}

/// How high a burst is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Height {
    /// Requests per second, whatever comes otherwise.
    Rate(f64),
    /// So many times what comes otherwise.
    Factor(f64),
}

/// A stretch of a load with one rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Since when, counted from the start of the load.
    pub from: Duration,
    /// Until when; `None` for ever.
    pub until: Option<Duration>,
    /// Requests per second over all endpoints.
    pub rate_per_s: f64,
    /// How many arrivals a constant load would have had more at its start, had it always had this rate: see [`super::Process::ahead`].
    pub ahead: i128,
}

/// A rate in millionths per second; nothing that is no number is a rate.
pub fn micro(rate_per_s: f64) -> u64 {
    libm::round(rate_per_s.max(0.0) * 1e6) as u64
}

impl Profile {
    /// One rate for ever.
    pub fn steady(rate_per_s: f64, arrivals: Arrivals) -> Profile {
        Profile { rate_per_s, arrivals, steps: Vec::new(), bursts: None }
    }

    /// The pace that a load starts with.
    pub fn start(&self) -> Pace {
        self.pace(Duration::ZERO, 0)
    }

    /// The pace that follows one of this profile.
    pub fn after(&self, pace: &Pace) -> Option<Pace> {
        let from = pace.until?;
        let nanos = i128::try_from(from.as_nanos()).unwrap_or(i128::MAX);
        let slower = i128::from(micro(pace.rate_per_s)) - i128::from(micro(self.rate_at(from)));
        Some(self.pace(from, pace.ahead.saturating_add(nanos.saturating_mul(slower))))
    }

    /// The greatest rate that ever comes.
    pub fn peak(&self) -> f64 {
        let bases = std::iter::once(self.rate_per_s).chain(self.steps.iter().map(|step| step.rate_per_s));
        bases.map(|base| self.bursts.map_or(base, |bursts| bursts.rate(base).max(base))).fold(0.0, f64::max)
    }

    /// Requests per second at an instant, counted from the start of the load.
    pub fn rate_at(&self, at: Duration) -> f64 {
        let base = self.base_at(at);
        self.bursts.filter(|bursts| bursts.lasts_at(at)).map_or(base, |bursts| bursts.rate(base))
    }

    fn base_at(&self, at: Duration) -> f64 {
        self.steps.iter().rev().find(|step| step.at <= at).map_or(self.rate_per_s, |step| step.rate_per_s)
    }

    fn pace(&self, from: Duration, ahead: i128) -> Pace {
        let base = self.base_at(from);
        let step = self.steps.iter().map(|step| step.at).find(|at| *at > from);
        let edge = self.bursts.filter(|bursts| micro(bursts.rate(base)) != micro(base)).map(|bursts| bursts.edge_after(from));
        let until = step.into_iter().chain(edge).min();
        Pace { from, until, rate_per_s: self.rate_at(from), ahead }
    }
}

impl Bursts {
    fn rate(&self, base: f64) -> f64 {
        match self.height {
            Height::Rate(rate) => rate,
            Height::Factor(factor) => base * factor,
        }
    }

    /// How far into a period an instant is; `None` before the first burst.
    fn into(&self, at: Duration) -> Option<Duration> {
        let since = at.checked_sub(self.first)?.as_nanos();
        let within = since % self.every.as_nanos().max(1);
        Some(Duration::from_nanos(u64::try_from(within).unwrap_or(u64::MAX)))
    }

    fn lasts_at(&self, at: Duration) -> bool {
        self.into(at).is_some_and(|within| within < self.lasts)
    }

    /// When the next burst begins or ends.
    fn edge_after(&self, at: Duration) -> Duration {
        match self.into(at) {
            None => self.first,
            Some(within) if within < self.lasts => at + (self.lasts - within),
            Some(within) => at + self.every.saturating_sub(within).max(Duration::from_nanos(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paces(profile: &Profile, most: usize) -> Vec<(f64, f64)> {
        let next = |pace: &Pace| profile.after(pace);
        let all = std::iter::successors(Some(profile.start()), next).take(most);
        all.map(|pace| (pace.from.as_secs_f64(), pace.rate_per_s)).collect()
    }

    fn secs(secs: f64) -> Duration {
        Duration::from_secs_f64(secs)
    }

    fn profile(steps: &[(f64, f64)], bursts: Option<(f64, f64, f64, Height)>) -> Profile {
        Profile {
            steps: steps.iter().map(|(at, rate_per_s)| Step { at: secs(*at), rate_per_s: *rate_per_s }).collect(),
            bursts: bursts.map(|(first, every, lasts, height)| Bursts {
                first: secs(first),
                every: secs(every),
                lasts: secs(lasts),
                height,
            }),
            ..Profile::steady(10.0, Arrivals::Poisson)
        }
    }

    #[test]
    fn a_profile_is_cut_where_its_rate_changes() {
        let check = |profile: &Profile, expect: &[(f64, f64)]| assert_eq!(paces(profile, expect.len().max(5)), expect, "{profile:?}");
        check(&profile(&[], None), &[(0.0, 10.0)]);
        check(&profile(&[(5.0, 20.0), (9.0, 0.0)], None), &[(0.0, 10.0), (5.0, 20.0), (9.0, 0.0)]);
        let bursts = |height| profile(&[(25.0, 20.0)], Some((10.0, 10.0, 2.0, height)));
        let rates = [(0.0, 10.0), (10.0, 30.0), (12.0, 10.0), (20.0, 30.0), (22.0, 10.0), (25.0, 20.0), (30.0, 60.0), (32.0, 20.0)];
        check(&bursts(Height::Factor(3.0)), &rates);
        // A step into the middle of a burst; from there on bursts are as high as what comes otherwise, and change nothing.
        let flat = profile(&[(11.0, 20.0)], Some((0.0, 10.0, 2.0, Height::Rate(20.0))));
        check(&flat, &[(0.0, 20.0), (2.0, 10.0), (10.0, 20.0), (11.0, 20.0)]);
        assert_eq!(bursts(Height::Factor(3.0)).peak(), 60.0);
        assert_eq!(bursts(Height::Rate(5.0)).peak(), 20.0);
    }

    #[test]
    fn rates_at_instants_are_those_of_the_paces() {
        let profile = profile(&[(7.0, 3.0), (33.3, 50.0)], Some((1.5, 4.0, 1.25, Height::Factor(2.0))));
        let mut pace = profile.start();
        for _ in 0..60 {
            assert_eq!(profile.rate_at(pace.from), pace.rate_per_s, "{pace:?}");
            let until = pace.until.expect("bursts never end");
            assert!(until > pace.from);
            assert_eq!(profile.rate_at(until - Duration::from_nanos(1)), pace.rate_per_s, "{pace:?}");
            pace = profile.after(&pace).expect("another one");
        }
    }
}
