//! Rewards: deltas whose sum over an episode is its score, less what was spent.
//!
//! Sparse: 0 at every step, and the grade's score, in [0, 1], at the end. Shaped: besides, the change of a potential, a share of the
//! baseline's workloads that are ready (Ng, Harada, Russell, ICML 1999, with a discount of 1); the potential counts from where the
//! episode began and is 0 at its end, so the shaping terms sum to zero and no policy's score changes. Costs are opt-in.

use crate::object;
use crate::object::Json;
use serde::{Deserialize, Serialize};

/// What an episode pays. `"sparse"` and `"shaped"` are the two usual ones; weights left out are 0.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, try_from = "Written", into = "Written")]
pub struct RewardConfig {
    /// Weight of the potential, the share of the workloads that are ready.
    pub progress: f64,
    /// Cost of each step.
    pub step_cost: f64,
    /// Cost of each step whose action was no valid call.
    pub invalid_cost: f64,
    /// Cost of each virtual minute.
    pub minute_cost: f64,
    /// Cost of each fall of the share of ready workloads, by how much it fell.
    pub disruption_cost: f64,
}

/// A configuration as written: a name, or weights.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Name(String),
    Weights(Weights),
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Weights {
    progress: f64,
    step_cost: f64,
    invalid_cost: f64,
    minute_cost: f64,
    disruption_cost: f64,
}

/// Weight of the potential in `"shaped"`.
const PROGRESS_WEIGHT: f64 = 0.5;

impl TryFrom<Written> for RewardConfig {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let weights = match written {
            Written::Name(name) if name == "sparse" => Weights::default(),
            Written::Name(name) if name == "shaped" => Weights { progress: PROGRESS_WEIGHT, ..Weights::default() },
            Written::Name(name) => return Err(format!("reward is {name:?}; it must be \"sparse\", \"shaped\" or a table of weights")),
            Written::Weights(weights) => weights,
        };
        let Weights { progress, step_cost, invalid_cost, minute_cost, disruption_cost } = weights;
        let all = [
            ("progress", progress),
            ("step_cost", step_cost),
            ("invalid_cost", invalid_cost),
            ("minute_cost", minute_cost),
            ("disruption_cost", disruption_cost),
        ];
        match all.iter().find(|(_, weight)| !(0.0..=100.0).contains(weight)) {
            Some((name, weight)) => Err(format!("{name} is {weight}; it must be 0 to 100")),
            None => Ok(RewardConfig { progress, step_cost, invalid_cost, minute_cost, disruption_cost }),
        }
    }
}

impl From<RewardConfig> for Written {
    fn from(config: RewardConfig) -> Self {
        let RewardConfig { progress, step_cost, invalid_cost, minute_cost, disruption_cost } = config;
        if config == RewardConfig::default() {
            return Written::Name("sparse".to_owned());
        }
        if config == RewardConfig::shaped() {
            return Written::Name("shaped".to_owned());
        }
        Written::Weights(Weights { progress, step_cost, invalid_cost, minute_cost, disruption_cost })
    }
}

impl RewardConfig {
    /// The score at the end, and progress on the way.
    pub fn shaped() -> Self {
        RewardConfig { progress: PROGRESS_WEIGHT, ..RewardConfig::default() }
    }

    /// Whether it asks for the share of ready workloads.
    pub fn needs_health(&self) -> bool {
        self.progress > 0.0 || self.disruption_cost > 0.0
    }
}

/// The terms of one step's reward; the same at every step.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Components {
    /// The grade's score; 0 before the end.
    pub score: f64,
    /// The change of the potential.
    pub progress: f64,
    /// What the step cost.
    pub step: f64,
    /// What an invalid action cost.
    pub invalid: f64,
    /// What the time cost.
    pub time: f64,
    /// What a fall of the share of ready workloads cost.
    pub disruption: f64,
}

impl Components {
    /// Their sum: the step's reward.
    pub fn total(&self) -> f64 {
        self.score + self.progress + self.step + self.invalid + self.time + self.disruption
    }

    /// The terms by name.
    pub fn to_json(&self) -> Json {
        object! {
            "score" => self.score,
            "progress" => self.progress,
            "step" => self.step,
            "invalid" => self.invalid,
            "time" => self.time,
            "disruption" => self.disruption,
        }
    }
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spent {
    /// Virtual seconds it took.
    pub seconds: f64,
    /// Whether its action was a valid call.
    pub valid: bool,
    /// Share of the workloads that are ready after it, in [0, 1].
    pub ready_share: f64,
}

/// Keeps what the terms of the next step depend on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Meter {
    config: RewardConfig,
    /// The potential after the last step, counted from the beginning.
    potential: f64,
    /// The share of ready workloads in the beginning.
    first_share: f64,
    /// The share after the last step.
    share: f64,
}

impl Meter {
    /// A meter at the beginning of an episode, where `ready_share` of the workloads are ready.
    pub fn new(config: RewardConfig, ready_share: f64) -> Self {
        Meter { config, potential: 0.0, first_share: ready_share, share: ready_share }
    }

    /// The terms of a step; with `score`, of the last one.
    pub fn step(&mut self, spent: Spent, score: Option<f64>) -> Components {
        let config = &self.config;
        let potential = if score.is_some() { 0.0 } else { config.progress * (spent.ready_share - self.first_share) };
        let fall = (self.share - spent.ready_share).max(0.0);
        let cost = |weight: f64, amount: f64| if weight * amount > 0.0 { -weight * amount } else { 0.0 };
        let components = Components {
            score: score.unwrap_or(0.0),
            progress: if config.progress > 0.0 { potential - self.potential } else { 0.0 },
            step: cost(config.step_cost, 1.0),
            invalid: cost(config.invalid_cost, if spent.valid { 0.0 } else { 1.0 }),
            time: cost(config.minute_cost, spent.seconds / 60.0),
            disruption: cost(config.disruption_cost, fall),
        };
        self.potential = potential;
        self.share = spent.ready_share;
        components
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(ready_share: f64) -> Spent {
        Spent { seconds: 30.0, valid: true, ready_share }
    }

    #[test]
    fn shaping_sums_to_zero() {
        for config in [RewardConfig::default(), RewardConfig::shaped()] {
            let mut meter = Meter::new(config, 0.95);
            let mut sum = 0.0;
            for share in [0.95, 0.2, 1.0] {
                sum += meter.step(spent(share), None).total();
            }
            sum += meter.step(spent(1.0), Some(1.0)).total();
            assert!((sum - 1.0).abs() < 1e-12, "{config:?}: {sum}");
        }
    }

    #[test]
    fn sparse_pays_nothing_on_the_way_and_shaped_pays_changes() {
        assert_eq!(Meter::new(RewardConfig::default(), 0.9).step(spent(0.7), None), Components::default());
        let mut meter = Meter::new(RewardConfig::shaped(), 0.9);
        assert_eq!(meter.step(spent(0.9), None).progress, 0.0);
        assert!((meter.step(spent(1.0), None).progress - 0.05).abs() < 1e-12);
    }

    #[test]
    fn costs_are_what_was_spent() {
        let config =
            RewardConfig { step_cost: 0.01, invalid_cost: 0.02, minute_cost: 0.1, disruption_cost: 1.0, ..RewardConfig::default() };
        let components = Meter::new(config, 1.0).step(Spent { seconds: 30.0, valid: false, ready_share: 0.9 }, None);
        assert!((components.total() + 0.01 + 0.02 + 0.05 + 0.1).abs() < 1e-12, "{components:?}");
        assert_eq!(components.to_json().entries().count(), 6);
    }

    #[test]
    fn written_as_a_name_or_as_weights() {
        let read = |text: &str| serde_json::from_str::<RewardConfig>(text).map_err(|e| e.to_string());
        assert_eq!(read("\"sparse\""), Ok(RewardConfig::default()));
        assert_eq!(read("\"shaped\""), Ok(RewardConfig::shaped()));
        let costs = RewardConfig { step_cost: 0.5, ..RewardConfig::default() };
        assert_eq!(read("{\"step_cost\": 0.5}"), Ok(costs));
        for config in [RewardConfig::default(), RewardConfig::shaped(), costs] {
            assert_eq!(read(&serde_json::to_string(&config).expect("written")), Ok(config));
        }
        assert!(read("\"dense\"").is_err_and(|e| e.contains("it must be \"sparse\", \"shaped\"")));
        assert!(read("{\"step_cost\": -1}").is_err_and(|e| e.contains("step_cost is -1; it must be 0 to 100")));
        assert!(read("{\"speed\": 1}").is_err());
    }
}
