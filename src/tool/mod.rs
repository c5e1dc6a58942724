//! What the agent acts with: the tool table, the action grammar, and the commands of its shell.

pub mod grammar;
pub mod table;

mod csv;
pub mod logs;
pub mod metrics;
pub mod shell_tool;
pub mod traces;
mod window;

pub mod observation;
pub mod prompt;

pub mod kubectl;
pub mod refusal;
pub mod repeats;
