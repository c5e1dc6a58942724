//! The oracle: actions that are known to solve an episode.

use super::episode::Episode;
use crate::problem::Problem;
use crate::task::Task;
use crate::tool::grammar::Dialect;

/// Actions that solve the episode, the last one a submission.
pub(super) fn actions(problem: &Problem, episode: &Episode, dialect: Dialect) -> Vec<String> {
    let mut actions = Vec::new();
    if let (Task::Mitigation, Some(undo)) = (problem.task, episode.undo()) {
        actions.extend(undo.commands(&problem.app.namespace).iter().map(|command| format!("exec_shell({})", quoted(command))));
    }
    actions.push(problem.expected.right_answer(problem.task));
    actions.into_iter().map(|action| fenced(action, dialect)).collect()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The strict grammar wants a fenced block.
fn fenced(action: String, dialect: Dialect) -> String {
    match dialect {
        Dialect::Strict => format!("```\n{action}\n```"),
        Dialect::Forgiving => action,
    }
}
