//! An episode in progress: its cluster, its agent's shell, its record.

use super::options::Options;
use super::reset::{self, ResetError};
use super::worlds::Worlds;
use super::{grade_json, prompt};
use crate::cluster::deploy::is_available;
use crate::cluster::{ApiRequest, Cluster, Identity, Unsupported};
use crate::fault::Undo;
use crate::object;
use crate::object::{Json, resource};
use crate::problem::{Problem, Registry};
use crate::reward::{Components, Meter, Spent};
use crate::rng::Key;
use crate::shell::Shell;
use crate::task::{Baseline, Check, Grade, Task, grade_answer, grade_mitigation};
use crate::time::SimTime;
use crate::tool::grammar::{Call, parse};
use crate::tool::observation::cut;
use crate::tool::repeats::{fold, is_repetitive};
use crate::tool::shell_tool::workstation;
use crate::tool::table::{self, Reply, Tool, ToolContext};
use crate::trajectory::{Action, Recorder};
use arcstr::ArcStr;
use std::sync::Arc;
use std::time::Duration;

/// What a trainer may know after a step. The same fields always; nothing that tells the answer before the end.
#[derive(Debug, Clone, PartialEq)]
pub struct Info {
    /// Problem.
    pub problem_id: String,
    /// Its task.
    pub task: &'static str,
    /// Steps so far.
    pub step: u32,
    /// Virtual seconds since the first observation.
    pub sim_time_s: f64,
    /// Whether the last action was a call of a tool with fitting arguments.
    pub valid_action: bool,
    /// Whether the problem was solved; `None` until the end.
    pub success: Option<bool>,
    /// The grade; null until the end.
    pub grade: Json,
    /// Terms of the last step's reward.
    pub reward_components: Components,
    /// `submitted` or `max_steps`; `None` until the end.
    pub terminated_reason: Option<&'static str>,
}

impl Info {
    /// As Python sees it.
    pub fn to_json(&self) -> Json {
        object! {
            "problem_id" => &self.problem_id,
            "task" => self.task,
            "step" => self.step,
            "sim_time_s" => self.sim_time_s,
            "valid_action" => self.valid_action,
            "success" => self.success,
            "grade" => &self.grade,
            "reward_components" => self.reward_components.to_json(),
            "terminated_reason" => self.terminated_reason,
        }
    }
}

/// What a step returns.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What the agent sees.
    pub observation: String,
    /// The step's reward.
    pub reward: f64,
    /// Whether a submission ended the episode.
    pub terminated: bool,
    /// Whether the step limit did.
    pub truncated: bool,
    /// What the trainer may know.
    pub info: Info,
}

/// An episode.
pub(super) struct Episode {
    problem: Arc<Problem>,
    options: Options,
    seed: u64,
    cluster: Box<dyn Cluster>,
    shell: Shell,
    tools: Arc<Vec<Tool>>,
    baseline: Arc<Baseline>,
    undo: Option<Arc<Undo>>,
    first_observation: Arc<str>,
    started: SimTime,
    /// When the last observation was taken; thinking time counts from there.
    replied: SimTime,
    meter: Meter,
    actions: imbl::Vector<Arc<Action>>,
    recorder: Recorder,
    info: Info,
}

impl Episode {
    /// Begins an episode.
    pub(super) fn begin(
        worlds: &mut Worlds,
        registry: &Registry,
        problem: &Arc<Problem>,
        options: &Options,
        seed: u64,
    ) -> Result<Episode, ResetError> {
        let begun = reset::begin(worlds, registry, problem, options, seed)?;
        let problem = &begun.stage.problem;
        let started = begun.stage.cluster.now();
        let observation = prompt::first_observation(problem);
        let mut header = object! {
            "library" => env!("CARGO_PKG_VERSION"),
            "problem_id" => &problem.id,
            "problem_digest" => format!("{:016x}", problem.digest),
            "seed" => seed.to_string(),
            "options" => options.to_json(),
            "cluster" => begun.stage.kind,
            "agent" => options.agent.as_deref(),
            "observation" => &*observation,
        };
        if !begun.stage.description.is_null() {
            header.set("live", &begun.stage.description);
        }
        let info = Info {
            problem_id: problem.id.to_string(),
            task: problem.task.as_str(),
            step: 0,
            sim_time_s: 0.0,
            valid_action: true,
            success: None,
            grade: Json::Null,
            reward_components: Components::default(),
            terminated_reason: None,
        };
        let mut episode = Episode {
            problem: problem.clone(),
            options: options.clone(),
            seed,
            shell: workstation(started, Key::new(seed).part("shell").value()),
            tools: Arc::new(prompt::tools(problem.task)),
            cluster: begun.stage.cluster,
            baseline: begun.baseline,
            undo: begun.undo.map(Arc::new),
            first_observation: observation.into(),
            started,
            replied: started,
            meter: Meter::new(options.reward, 0.0),
            actions: imbl::Vector::new(),
            recorder: Recorder::new(header),
            info,
        };
        let share = episode.ready_share();
        episode.meter = Meter::new(options.reward, share);
        Ok(episode)
    }

    /// Plays one step.
    pub(super) fn step(&mut self, action: Action) -> Step {
        // On a live cluster the agent's own time has passed already; only what is left of the step's is waited for.
        let before = self.replied;
        let thought = before + Duration::from_secs_f64(self.options.step_seconds);
        self.cluster.wait(thought, &[]);
        let (reply, valid) = self.act(&action);
        self.info.step += 1;
        self.info.valid_action = valid;
        let truncated = self.info.step >= self.options.max_steps;
        let limit = self.options.observation_limit as usize;
        let (observation, end) = match reply {
            Reply::Observation(text) if truncated => (cut(&text, limit), Some(("max_steps", no_submission()))),
            Reply::Observation(text) => (cut(&text, limit), None),
            Reply::Submission(answer) => {
                ("Your solution was submitted; the episode is over.".to_owned(), Some(("submitted", self.grade(&answer))))
            }
        };
        self.replied = self.cluster.now();
        self.info.sim_time_s = self.replied.since(self.started).as_secs_f64();
        let spent = Spent { seconds: self.replied.since(before).as_secs_f64(), valid, ready_share: self.ready_share() };
        self.info.reward_components = self.meter.step(spent, end.as_ref().map(|(_, grade)| grade.score));
        if let Some((reason, grade)) = &end {
            self.info.terminated_reason = Some(reason);
            self.info.success = Some(grade.success);
            self.info.grade = grade_json(grade);
        }
        let ended_by = end.map(|(reason, _)| reason);
        let step = Step {
            observation,
            reward: self.info.reward_components.total(),
            terminated: ended_by == Some("submitted"),
            truncated: ended_by == Some("max_steps"),
            info: self.info.clone(),
        };
        self.record(&action, &step);
        self.actions.push_back(Arc::new(action));
        step
    }

    /// Parses the action and runs its tool; whether it was a valid call.
    fn act(&mut self, action: &Action) -> (Reply, bool) {
        let dialect = self.options.dialect();
        let call = match action {
            Action::Text(text) => match parse(text, dialect) {
                Ok(call) => call,
                Err(error) => return (Reply::Observation(error.0), false),
            },
            Action::Tool { name, arguments: Json::Obj(arguments) } => Call::named(name.as_str(), arguments),
            Action::Tool { name, arguments } => {
                let text = format!("Error: the arguments of {name} must be an object of names and values, not {}", arguments.to_compact());
                return (Reply::Observation(text), false);
            }
        };
        let (tools, who) = (Arc::clone(&self.tools), Identity::agent());
        let mut context = ToolContext { cluster: &mut *self.cluster, who: &who, shell: &mut self.shell, dialect };
        let folds = match call.name.as_str() {
            "get_logs" => true,
            "exec_shell" => {
                call.args.first().into_iter().chain(call.kwargs.iter().map(|(_, value)| value)).any(|a| is_repetitive(a.text(), dialect))
            }
            _ => false,
        };
        match table::run(&tools, &call, &mut context) {
            Ok(Reply::Observation(text)) if folds => (Reply::Observation(fold(&text, self.options.log_trim as usize, dialect)), true),
            Ok(reply) => (reply, true),
            Err(text) => (Reply::Observation(text), false),
        }
    }

    /// Grades an answer, or the cluster: on a copy of it where there can be one, so that grading costs the agent nothing.
    fn grade(&mut self, answer: &Json) -> Grade {
        if self.problem.task != Task::Mitigation {
            let namespace = &self.problem.app.namespace;
            return grade_answer(self.problem.task, &self.problem.expected, answer, namespace, self.options.dialect());
        }
        let (app, condition) = (&self.problem.app, &self.problem.condition);
        let endpoints: Vec<ArcStr> = app.endpoints.iter().map(|endpoint| endpoint.name.clone()).collect();
        let mut copy = self.cluster.fork();
        let cluster = match &mut copy {
            Ok(copy) => &mut **copy,
            Err(_) => &mut *self.cluster,
        };
        grade_mitigation(cluster, &app.namespace, &self.baseline, condition, &endpoints)
    }

    /// Share of the application's Deployments whose wanted replicas are available.
    fn ready_share(&mut self) -> f64 {
        if !self.options.reward.needs_health() {
            return 0.0;
        }
        let Some(deployments) = resource::builtin_named("apps", "deployments") else { return 0.0 };
        let list = ApiRequest::list(deployments, Some(&self.problem.app.namespace));
        let items = self.cluster.api(&Identity::operator(), &list).map(crate::cluster::ApiReply::into_items).unwrap_or_default();
        let wanted = self.baseline.workloads.iter().filter(|w| w.kind == "deployments").count().max(1);
        let ready = items.iter().filter(|d| is_available(d) && d.spec().get("replicas").as_i64() != Some(0)).count();
        (ready as f64 / wanted as f64).min(1.0)
    }

    fn record(&mut self, action: &Action, step: &Step) {
        let info = &step.info;
        self.recorder.step(object! {
            "step" => info.step,
            "sim_time_s" => info.sim_time_s,
            "action" => action.to_json(),
            "observation" => &step.observation,
            "reward" => step.reward,
            "reward_components" => info.reward_components.to_json(),
            "valid_action" => info.valid_action,
        });
        if info.terminated_reason.is_some() {
            self.recorder.close(object! {
                "terminated_reason" => info.terminated_reason,
                "success" => info.success,
                "grade" => &info.grade,
                "steps" => info.step,
                "sim_time_s" => info.sim_time_s,
                "state_hash" => format!("{:032x}", self.state_hash()),
            });
        }
    }

    /// An independent copy.
    pub(super) fn fork(&self) -> Result<Episode, Unsupported> {
        Ok(Episode {
            problem: self.problem.clone(),
            options: self.options.clone(),
            seed: self.seed,
            cluster: self.cluster.fork()?,
            shell: self.shell.clone(),
            tools: self.tools.clone(),
            baseline: self.baseline.clone(),
            undo: self.undo.clone(),
            first_observation: self.first_observation.clone(),
            started: self.started,
            replied: self.replied,
            meter: self.meter,
            actions: self.actions.clone(),
            recorder: self.recorder.clone(),
            info: self.info.clone(),
        })
    }

    /// A digest of everything that can influence the future.
    pub(super) fn state_hash(&self) -> u128 {
        let mut hash = xxhash_rust::xxh3::Xxh3::new();
        hash.update(&self.cluster.state_hash().unwrap_or(0).to_le_bytes());
        hash.update(&self.shell.digest().to_le_bytes());
        hash.update(&self.info.step.to_le_bytes());
        hash.update(&[u8::from(self.is_over())]);
        hash.digest128()
    }

    pub(super) fn is_over(&self) -> bool {
        self.info.terminated_reason.is_some()
    }

    pub(super) fn info(&self) -> Info {
        self.info.clone()
    }

    pub(super) fn first_observation(&self) -> &str {
        &self.first_observation
    }

    pub(super) fn recorded(&self) -> String {
        self.recorder.text()
    }

    pub(super) fn undo(&self) -> Option<&Undo> {
        self.undo.as_deref()
    }

    /// The problem under the names that it has in this episode.
    pub(super) fn problem(&self) -> &Arc<Problem> {
        &self.problem
    }

    /// Whether the episode can be copied and played again.
    pub(super) fn is_reproducible(&self) -> bool {
        self.cluster.state_hash().is_some()
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn actions(&self) -> impl Iterator<Item = &Action> {
        self.actions.iter().map(|action| &**action)
    }
}

fn no_submission() -> Grade {
    let check = Check::new("a solution was submitted", false, "the steps were used up first");
    Grade::of(vec![check], object! {})
}
