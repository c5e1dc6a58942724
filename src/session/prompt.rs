//! The first observation: the task, the tools, the instructions, in AIOpsLab's order.

use crate::problem::Problem;
use crate::task::Task;
use crate::tool::prompt::{api_docs, instructions};
use crate::tool::table::{Tool, common};

/// The tools of a task, in the order in which prompts list them.
pub fn tools(task: Task) -> Vec<Tool> {
    let mut tools = common();
    tools.push(task.submit_tool());
    tools
}

/// The task and the instructions, between which the first observation has the tools.
pub(super) fn parts(problem: &Problem) -> (String, String) {
    let task = problem.task;
    (task.description(&problem.app, &problem.app.namespace), instructions(task.submit_examples()))
}

/// The whole first observation.
pub(super) fn first_observation(problem: &Problem) -> String {
    let (description, instructions) = parts(problem);
    format!("{description}\n\n{}\n\n{instructions}", api_docs(&tools(problem.task)))
}
