//! What the agent acts with: the tool table, the action grammar, and the commands of its shell.

pub mod kubectl;
