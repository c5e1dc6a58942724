//! Options of a session: as written in JSON, checked once.

use crate::cluster::environment::LiveConfig;
use crate::object::Json;
use crate::problem::Problem;
use crate::reward::RewardConfig;
use crate::tool::observation::OBSERVATION_LIMIT;
use crate::workload::{Arrivals, Load, LoadError, Profile, RATES};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// Where episodes take place.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClusterChoice {
    /// On the simulated cluster in this process.
    #[default]
    Sim,
    /// On a live cluster.
    Live(Box<LiveConfig>),
}

/// The load of episodes where it is not the problem's own.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum LoadChoice {
    /// Requests per second for ever, as a Poisson process.
    Rate(f64),
    /// Steps and bursts, as a problem's table `[load]` writes them; what is left out is as in the application.
    Load(Load),
}

impl LoadChoice {
    /// How many requests come when in episodes of a problem.
    ///
    /// # Errors
    /// Bursts by a factor would be higher than a load can be.
    pub(super) fn profile(&self, problem: &Problem) -> Result<Profile, LoadError> {
        let usual = problem.load.as_ref().map_or(problem.app.load.rate_per_s, |load| load.rate_per_s);
        match self {
            LoadChoice::Rate(rate) => Ok(Profile::steady(*rate, Arrivals::Poisson)),
            LoadChoice::Load(load) => load.resolve(usual),
        }
    }
}

impl<'de> Deserialize<'de> for LoadChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = LoadChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("requests per second, or a mapping with rate_per_s, arrivals, steps, bursts")
            }

            fn visit_f64<E>(self, rate: f64) -> Result<LoadChoice, E> {
                Ok(LoadChoice::Rate(rate))
            }

            fn visit_i64<E>(self, rate: i64) -> Result<LoadChoice, E> {
                Ok(LoadChoice::Rate(rate as f64))
            }

            fn visit_u64<E>(self, rate: u64) -> Result<LoadChoice, E> {
                Ok(LoadChoice::Rate(rate as f64))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<LoadChoice, A::Error> {
                Load::deserialize(MapAccessDeserializer::new(map)).map(LoadChoice::Load)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Options of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Steps until the episode is cut off, 1 to 10000.
    pub max_steps: u32,
    /// Thinking time before each step's tool, in virtual seconds, 0 to 3600.
    pub step_seconds: f64,
    /// Requests per second on the application, 0 to 1000000, or a load with steps and bursts; `None` for the problem's own.
    pub load_rps: Option<LoadChoice>,
    /// Repeats of blocks of up to so many lines are left out of logs, events and descriptions, 0 to 100; 0 for none.
    pub log_trim: u32,
    /// Characters that one observation shows at most, 1000 to 900000; of longer ones the middle is left out, and a notice says how much.
    pub observation_limit: u32,
    /// AIOpsLab's own answer keys, grammar and names.
    pub strict: bool,
    /// What is paid.
    pub reward: RewardConfig,
    /// Who plays, for the trajectory's header.
    pub agent: Option<String>,
    /// Where.
    pub cluster: ClusterChoice,
    /// Ready episodes that the process may keep for further resets of the same problem, options and seed, 0 to 10000; the one unused for
    /// longest goes first, and 0 keeps and uses none. Changes nothing but the time that a reset takes, so it is not recorded.
    #[serde(skip_serializing)]
    pub ready_episodes: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            max_steps: 30,
            step_seconds: 10.0,
            load_rps: None,
            log_trim: 0,
            observation_limit: OBSERVATION_LIMIT as u32,
            strict: false,
            reward: RewardConfig::default(),
            agent: None,
            cluster: ClusterChoice::Sim,
            ready_episodes: 128,
        }
    }
}

/// An option that is out of range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OptionsError(String);

impl Options {
    /// Reads options from JSON; those left out have their defaults.
    ///
    /// # Errors
    /// An unknown option, a value of the wrong type or out of range.
    pub fn parse(text: &str) -> Result<Options, OptionsError> {
        let options: Options = serde_json::from_str(text).map_err(|error| OptionsError(format!("options: {error}")))?;
        options.check()?;
        Ok(options)
    }

    fn check(&self) -> Result<(), OptionsError> {
        let wrong = |what: String| Err(OptionsError(what));
        if !(1..=10_000).contains(&self.max_steps) {
            return wrong(format!("max_steps is {}; it must be 1 to 10000", self.max_steps));
        }
        if !(0.0..=3600.0).contains(&self.step_seconds) {
            return wrong(format!("step_seconds is {}; it must be 0 to 3600", self.step_seconds));
        }
        if self.ready_episodes > 10_000 {
            return wrong(format!("ready_episodes is {}; it must be 0 to 10000", self.ready_episodes));
        }
        if self.log_trim > 100 {
            return wrong(format!("log_trim is {}; it must be 0 to 100", self.log_trim));
        }
        if !(1000..=900_000).contains(&self.observation_limit) {
            return wrong(format!("observation_limit is {}; it must be 1000 to 900000", self.observation_limit));
        }
        if let ClusterChoice::Live(config) = &self.cluster {
            config.check().map_err(OptionsError)?;
        }
        match &self.load_rps {
            Some(LoadChoice::Rate(rate)) if !RATES.contains(rate) => wrong(format!("load_rps is {rate}; it must be 0 to 1000000")),
            Some(LoadChoice::Load(load)) => load.resolve(0.0).map(|_| ()).or_else(|error| wrong(format!("load_rps.{error}"))),
            _ => Ok(()),
        }
    }

    /// As recorded.
    pub fn to_json(&self) -> Json {
        let text = serde_json::to_string(self).unwrap_or_default();
        Json::parse(&text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_reads_back() {
        let options = Options { max_steps: 3, load_rps: Some(LoadChoice::Rate(7.5)), reward: RewardConfig::shaped(), ..Options::default() };
        assert_eq!(Options::parse(&options.to_json().to_compact()), Ok(options));
        let costs =
            Options { reward: RewardConfig { step_cost: 0.01, ..RewardConfig::default() }, agent: Some("a".into()), ..Options::default() };
        assert_eq!(Options::parse(&costs.to_json().to_compact()), Ok(costs));
        let text = r#"{"load_rps":{"steps":[{"at_s":60.0,"rate_per_s":40.0}],"bursts":{"every_s":90.0,"for_s":5.0,"factor":3.0}}}"#;
        let shaped = Options::parse(text).expect("right");
        assert_eq!(Options::parse(&shaped.to_json().to_compact()), Ok(shaped));
        assert_eq!(Options::parse("{}"), Ok(Options::default()));
    }

    #[test]
    fn wrong_options_say_what_is_right() {
        let check = |text: &str, expect: &str| {
            let error = Options::parse(text).expect_err("wrong").to_string();
            assert!(error.contains(expect), "{error}");
        };
        check(r#"{"max_steps": 0}"#, "max_steps is 0; it must be 1 to 10000");
        check(r#"{"max_steps": -1}"#, "invalid value");
        check(r#"{"observation_limit": 10}"#, "observation_limit is 10; it must be 1000 to 900000");
        check(r#"{"log_trim": 101}"#, "log_trim is 101; it must be 0 to 100");
        check(r#"{"step_seconds": -0.5}"#, "step_seconds is -0.5; it must be 0 to 3600");
        check(r#"{"load_rps": 1e9}"#, "load_rps is 1000000000; it must be 0 to 1000000");
        check(r#"{"load_rps": "much"}"#, "expected requests per second, or a mapping with rate_per_s, arrivals, steps, bursts");
        check(r#"{"load_rps": {"step": []}}"#, "unknown field `step`, expected one of `rate_per_s`, `arrivals`, `steps`, `bursts`");
        check(r#"{"load_rps": {"steps": [{"at_s": 0, "rate_per_s": 1}]}}"#, "load_rps.steps[0].at_s is 0; the rate from the start is");
        check(r#"{"load_rps": {"arrivals": "even"}}"#, "unknown variant `even`, expected `constant` or `poisson`");
        check(r#"{"cluster": {"live": {"cpu_scale": 2}}}"#, "cluster.cpu_scale is 2; it must be above 0 and at most 1");
        check(r#"{"cluster": {"live": {"kubeconf": "x"}}}"#, "unknown field `kubeconf`, expected one of");
        check(r#"{"cluster": "moon"}"#, "unknown variant `moon`");
        check(r#"{"speed": 1}"#, "unknown field `speed`, expected one of");
    }
}
