//! Tasks: what an agent is asked, what answers are accepted, and how what it did is graded.
//!
//! Grades are structured and deterministic. Answers are compared with accepted sets ([`answer`]); a mitigation is graded by
//! Checks that read the cluster ([`mitigation`]), never by what the fault changed. A Check says what it saw.

pub mod answer;
pub mod baseline;
pub mod health;
pub mod mitigation;
pub mod names;
pub mod stores;

pub use answer::{Expected, grade_answer};
pub use baseline::Baseline;
pub use mitigation::{Condition, grade_mitigation};

use crate::app::App;
use crate::object::Json;
use crate::tool::table::{Parameter, ParameterKind, Reply, Tool, ToolContext};
use serde::{Deserialize, Serialize};

/// What an agent is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Say whether something is wrong.
    Detection,
    /// Say where.
    Localization,
    /// Say what kind of fault it is.
    Analysis,
    /// Repair it.
    Mitigation,
}

/// Every task, in AIOpsLab's order.
pub const TASKS: [Task; 4] = [Task::Detection, Task::Localization, Task::Analysis, Task::Mitigation];

/// System levels of the analysis task.
pub const SYSTEM_LEVELS: &[&str] = &["Hardware", "Operating System", "Virtualization", "Application"];

/// Fault types of the analysis task.
pub const FAULT_TYPES: &[&str] =
    &["Misconfiguration", "Code Defect", "Authentication Issue", "Network/Storage Issue", "Operation Error", "Dependency Problem"];

/// One graded condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What it asks for.
    pub name: String,
    /// Whether it holds.
    pub passed: bool,
    /// What it saw.
    pub saw: String,
}

impl Check {
    /// A check and what it saw.
    pub fn new(name: impl Into<String>, passed: bool, saw: impl Into<String>) -> Self {
        Check { name: name.into(), passed, saw: saw.into() }
    }
}

/// What an answer or a repair is worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grade {
    /// Whether everything asked for holds.
    pub success: bool,
    /// In [0, 1].
    pub score: f64,
    /// Whether the answer had the form the task asks for.
    pub valid: bool,
    /// The conditions.
    pub checks: Vec<Check>,
    /// AIOpsLab's results for the same, by its own keys.
    pub results: Json,
}

impl Grade {
    /// A grade of checks that all have to hold.
    pub fn of(checks: Vec<Check>, results: Json) -> Self {
        let success = !checks.is_empty() && checks.iter().all(|check| check.passed);
        Grade { success, score: if success { 1.0 } else { 0.0 }, valid: true, checks, results }
    }

    /// The grade of an answer without the form that the task asks for.
    pub fn invalid(saw: impl Into<String>, results: Json) -> Self {
        let checks = vec![Check::new("the answer has the form that the task asks for", false, saw)];
        Grade { success: false, score: 0.0, valid: false, checks, results }
    }
}

impl Task {
    /// The name in ids and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Task::Detection => "detection",
            Task::Localization => "localization",
            Task::Analysis => "analysis",
            Task::Mitigation => "mitigation",
        }
    }

    /// The task of a name.
    pub fn named(name: &str) -> Option<Task> {
        TASKS.into_iter().find(|task| task.as_str() == name)
    }

    /// The class of the task's actions in AIOpsLab, as Python's messages name it.
    fn owner(self) -> &'static str {
        match self {
            Task::Detection => "DetectionActions",
            Task::Localization => "LocalizationActions",
            Task::Analysis => "AnalysisActions",
            Task::Mitigation => "MitigationActions",
        }
    }

    /// `submit`, as the task takes it.
    pub fn submit_tool(self) -> Tool {
        let parameter = |name, kind, doc| vec![Parameter { name, kind, doc, default: None }];
        let (doc, parameters) = match self {
            Task::Detection => {
                ("Submits whether anomalies are present.", parameter("has_anomaly", ParameterKind::Text, "\"Yes\" or \"No\"."))
            }
            Task::Localization => (
                "Submits the components that are the root cause.",
                parameter("faulty_components", ParameterKind::TextList, "Their names; an empty list when nothing is faulty."),
            ),
            Task::Analysis => (
                "Submits the result of the root cause analysis.",
                parameter(
                    "analysis",
                    ParameterKind::TextMap,
                    "A dictionary with the keys \"system_level\" and \"fault_type\"; None when nothing is faulty.",
                ),
            ),
            Task::Mitigation => ("Submits the repair: tells that the service has been brought back to health.", Vec::new()),
        };
        Tool { name: "submit", owner: self.owner(), doc, returns: "Nothing: the episode ends.", parameters, handler: submit }
    }

    /// Calls of `submit` as the instructions show them.
    pub fn submit_examples(self) -> &'static [&'static str] {
        match self {
            Task::Detection => &["submit(\"Yes\")"],
            Task::Localization => &["submit([\"service1\", \"service2\"])", "submit([])"],
            Task::Analysis => &[
                "submit({\"system_level\": \"your_system_level_analysis\", \"fault_type\": \"your_fault_type_analysis\"})",
                "submit(None)",
            ],
            Task::Mitigation => &["submit()"],
        }
    }

    /// The task description: the role, the service, and what to submit.
    pub fn description(self, app: &App, namespace: &str) -> String {
        let duty = match self {
            Task::Detection => "to detect whether the service described below has anomalies",
            Task::Localization => "to find which components of the service described below are the root cause of its anomalies",
            Task::Analysis => "to analyse the root cause of the anomalies of the service described below",
            Task::Mitigation => "to mitigate the anomalies of the service described below: bring it back to health",
        };
        let operations: String = app.operations.iter().map(|operation| format!("\n- {operation}")).collect();
        format!(
            "You are an expert DevOps engineer whose duty it is {duty}.\n\n\
             Service Details:\n\
             Service Name: {}\n\
             Namespace: {namespace}\n\
             Description: {}\n\
             Supported Operations:{operations}\n\n{}",
            app.title,
            app.description,
            self.submission()
        )
    }

    fn submission(self) -> String {
        match self {
            Task::Detection => "Begin by looking at the service: its pods, logs, events and configuration. Then submit one of:\n\
                 - \"Yes\" when you find an anomaly,\n\
                 - \"No\" when you find none."
                .to_owned(),
            Task::Localization => {
                "Begin by looking at the service: its pods, logs, events and configuration. Then submit a list with the names \
                 of the components that are the root cause, or an empty list when nothing is faulty."
                    .to_owned()
            }
            Task::Analysis => format!(
                "Begin by looking at the service: its pods, logs, events and configuration. Then submit a dictionary with two keys:\n\
                 1. system_level: the level at which the fault lies; one of {}\n\
                 2. fault_type: the type of the fault; one of {}\n\
                 or None when nothing is faulty.",
                SYSTEM_LEVELS.join(", "),
                FAULT_TYPES.join(", ")
            ),
            Task::Mitigation => {
                "Begin by looking at the service: its pods, logs, events and configuration. Then repair it, by any of the APIs you \
                 have, so that its users are served again and nothing else is lost. When you are done, call submit() without arguments."
                    .to_owned()
            }
        }
    }
}

fn submit(_context: &mut ToolContext<'_>, arguments: &[Json]) -> Reply {
    Reply::Submission(arguments.first().cloned().unwrap_or_default())
}
