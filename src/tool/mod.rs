//! What the agent acts with: the tool table, the action grammar, and the commands of its shell.

pub mod grammar;
pub mod table;

pub mod logs;
pub mod metrics;
pub mod shell_tool;
pub mod traces;

pub mod observation;
pub mod prompt;

pub mod kubectl;
pub mod refusal;
pub mod repeats;
