//! A load as data files and options write it, and what is wrong with it.

use super::{Arrivals, Bursts, Height, Profile, Step};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A table `[load]`, or the option `load_rps` as a mapping. What is left out is as usual.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Requests per second until the first step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_s: Option<f64>,
    /// How arrivals are spaced; as a Poisson process when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<Arrivals>,
    /// Changes of the rate, in order of time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<WrittenStep>,
    /// Bursts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bursts: Option<WrittenBursts>,
}

/// A change of the rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenStep {
    /// When, in seconds since the load's start.
    pub at_s: f64,
    /// Requests per second from then on.
    pub rate_per_s: f64,
}

/// Bursts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenBursts {
    /// Seconds from the begin of one to that of the next.
    pub every_s: f64,
    /// Seconds that each lasts.
    pub for_s: f64,
    /// When the first begins, in seconds since the load's start; after `every_s` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_s: Option<f64>,
    /// Requests per second meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_s: Option<f64>,
    /// Instead: so many times what comes otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
}

/// What is wrong with a load, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    /// Fields and places in lists, from the outside in.
    pub path: Vec<String>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for LoadError {}

/// Requests per second that a load may have.
pub const RATES: RangeInclusive<f64> = 0.0..=1.0e6;

/// Steps that a load may have.
const STEPS: usize = 1000;

/// The latest step, and the longest pause between bursts, in seconds.
const LATEST_S: f64 = 1.0e7;

/// Bursts come at most every second and are at least this long.
const SHORTEST_S: f64 = 0.1;

fn wrong(path: &[&str], message: impl Into<String>) -> LoadError {
    LoadError { path: path.iter().map(|part| (*part).to_owned()).collect(), message: message.into() }
}

/// A value within bounds.
fn within(path: &[&str], title: &str, value: f64, bounds: RangeInclusive<f64>) -> Result<f64, LoadError> {
    if bounds.contains(&value) {
        return Ok(value);
    }
    Err(wrong(path, format!("{title} is {value}; it must be {} to {}", bounds.start(), bounds.end())))
}

impl Load {
    /// The profile that this says, on an application whose usual rate is `usual`.
    ///
    /// # Errors
    /// What is out of range or contradicts itself.
    pub fn resolve(&self, usual: f64) -> Result<Profile, LoadError> {
        let rate_per_s = within(&["rate_per_s"], "rate_per_s", self.rate_per_s.unwrap_or(usual), RATES)?;
        let steps = self.steps()?;
        let bursts = self.bursts.map(|bursts| bursts.resolve()).transpose()?;
        let profile = Profile { rate_per_s, arrivals: self.arrivals.unwrap_or(Arrivals::Poisson), steps, bursts };
        let peak = profile.peak();
        if !RATES.contains(&peak) {
            let most = RATES.end();
            return Err(wrong(&["bursts", "factor"], format!("bursts.factor makes {peak} requests per second; there can be {most}")));
        }
        Ok(profile)
    }

    fn steps(&self) -> Result<Vec<Step>, LoadError> {
        if self.steps.len() > STEPS {
            return Err(wrong(&["steps"], format!("there are {} steps; there can be {STEPS}", self.steps.len())));
        }
        let mut before = 0.0;
        let mut steps = Vec::with_capacity(self.steps.len());
        for (index, step) in self.steps.iter().enumerate() {
            let (at, place) = (format!("steps[{index}].at_s"), index.to_string());
            let path = ["steps", place.as_str(), "at_s"];
            let seconds = within(&path, &at, step.at_s, 0.0..=LATEST_S)?;
            if seconds <= before {
                let why = if index == 0 {
                    "the rate from the start is rate_per_s".to_owned()
                } else {
                    format!("steps stand in order of time, and the one before is at {before}")
                };
                return Err(wrong(&path, format!("{at} is {seconds}; {why}")));
            }
            before = seconds;
            let rate = ["steps", place.as_str(), "rate_per_s"];
            let rate_per_s = within(&rate, &format!("steps[{index}].rate_per_s"), step.rate_per_s, RATES)?;
            steps.push(Step { at: Duration::from_secs_f64(seconds), rate_per_s });
        }
        Ok(steps)
    }
}

impl WrittenBursts {
    fn resolve(&self) -> Result<Bursts, LoadError> {
        let every = within(&["bursts", "every_s"], "bursts.every_s", self.every_s, 1.0..=LATEST_S)?;
        let lasts = within(&["bursts", "for_s"], "bursts.for_s", self.for_s, SHORTEST_S..=LATEST_S)?;
        if lasts >= every {
            let message = format!("bursts.for_s is {lasts}; it must be less than every_s, {every}, or the load is never anything else");
            return Err(wrong(&["bursts", "for_s"], message));
        }
        let first = within(&["bursts", "first_s"], "bursts.first_s", self.first_s.unwrap_or(every), 0.0..=LATEST_S)?;
        let height = match (self.rate_per_s, self.factor) {
            (Some(rate), None) => Height::Rate(within(&["bursts", "rate_per_s"], "bursts.rate_per_s", rate, RATES)?),
            (None, Some(factor)) => Height::Factor(within(&["bursts", "factor"], "bursts.factor", factor, RATES)?),
            (Some(_), Some(_)) => return Err(wrong(&["bursts", "factor"], "bursts have rate_per_s or factor, not both")),
            (None, None) => return Err(wrong(&["bursts"], "bursts lack how high they are: rate_per_s or factor")),
        };
        let time = Duration::from_secs_f64;
        Ok(Bursts { first: time(first), every: time(every), lasts: time(lasts), height })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Load {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn what_is_left_out_is_as_usual() {
        assert_eq!(read("{}").resolve(10.0), Ok(Profile::steady(10.0, Arrivals::Poisson)));
        let load = read(r#"{"rate_per_s": 5, "arrivals": "constant", "bursts": {"every_s": 60, "for_s": 5, "factor": 4}}"#);
        let profile = load.resolve(10.0).expect("right");
        assert_eq!((profile.rate_per_s, profile.arrivals), (5.0, Arrivals::Constant));
        let (minute, five) = (Duration::from_secs(60), Duration::from_secs(5));
        assert_eq!(profile.bursts, Some(Bursts { first: minute, every: minute, lasts: five, height: Height::Factor(4.0) }));
    }

    #[test]
    fn wrong_loads_say_where_and_what() {
        let check = |text: &str, path: &str, message: &str| {
            let error = read(text).resolve(10.0).expect_err(text);
            assert_eq!((error.path.join(".").as_str(), error.message.as_str()), (path, message), "{text}");
        };
        check(r#"{"rate_per_s": -1}"#, "rate_per_s", "rate_per_s is -1; it must be 0 to 1000000");
        let step = |at: f64, rate: f64| format!(r#"{{"at_s": {at}, "rate_per_s": {rate}}}"#);
        let steps = |all: &[String]| format!(r#"{{"steps": [{}]}}"#, all.join(","));
        check(&steps(&[step(0.0, 1.0)]), "steps.0.at_s", "steps[0].at_s is 0; the rate from the start is rate_per_s");
        check(
            &steps(&[step(9.0, 1.0), step(9.0, 2.0)]),
            "steps.1.at_s",
            "steps[1].at_s is 9; steps stand in order of time, and the one before is at 9",
        );
        check(&steps(&[step(9.0, 2e6)]), "steps.0.rate_per_s", "steps[0].rate_per_s is 2000000; it must be 0 to 1000000");
        let bursts = |text: &str| format!(r#"{{"bursts": {{{text}}}}}"#);
        check(&bursts(r#""every_s": 5, "for_s": 1"#), "bursts", "bursts lack how high they are: rate_per_s or factor");
        check(
            &bursts(r#""every_s": 5, "for_s": 1, "factor": 2, "rate_per_s": 9"#),
            "bursts.factor",
            "bursts have rate_per_s or factor, not both",
        );
        check(
            &bursts(r#""every_s": 5, "for_s": 5, "factor": 2"#),
            "bursts.for_s",
            "bursts.for_s is 5; it must be less than every_s, 5, or the load is never anything else",
        );
        check(
            &bursts(r#""every_s": 5, "for_s": 1, "factor": 200000"#),
            "bursts.factor",
            "bursts.factor makes 2000000 requests per second; there can be 1000000",
        );
        check(&bursts(r#""every_s": 0.2, "for_s": 0.1, "factor": 2"#), "bursts.every_s", "bursts.every_s is 0.2; it must be 1 to 10000000");
    }

    #[test]
    fn what_is_written_reads_back() {
        let load = read(r#"{"steps": [{"at_s": 1.5, "rate_per_s": 2}], "bursts": {"every_s": 9, "for_s": 1, "rate_per_s": 7}}"#);
        let text = serde_json::to_string(&load).expect("JSON");
        assert_eq!(read(&text), load);
        let unknown = serde_json::from_str::<Load>(r#"{"rate": 1}"#).expect_err("unknown").to_string();
        assert!(unknown.starts_with("unknown field `rate`, expected one of `rate_per_s`, `arrivals`"), "{unknown}");
    }
}
