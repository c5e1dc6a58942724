//! The first observation: the task, the tools, the instructions, in AIOpsLab's order.

use crate::problem::Problem;
use crate::task::Task;
use crate::tool::prompt::{api_docs, instructions};
use crate::tool::table::{Tool, common};

/// The tools of a task, in the order in which prompts list them.
pub(super) fn tools(task: Task) -> Vec<Tool> {
    let mut tools = common();
    tools.push(task.submit_tool());
    tools
}

/// The whole first observation.
pub(super) fn first_observation(problem: &Problem) -> String {
    let task = problem.task;
    let description = task.description(&problem.app, &problem.app.namespace);
    format!("{description}\n\n{}\n\n{}", api_docs(&tools(task)), instructions(task.submit_examples()))
}
