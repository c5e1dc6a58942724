//! The action grammar: from an agent's text to one tool call.
//!
//! Two dialects. [`Dialect::Strict`] is AIOpsLab's own parser, error texts and quirks included, so that its agents and
//! results carry over. [`Dialect::Forgiving`] reads what agents mean: language tags, several fences, no fence, any quotes,
//! keywords, JSON tool calls. Neither ever fails on a text otherwise than with an observation that says what to write.

mod forgiving;
mod python;
mod strict;

use crate::object::{Json, Map};

/// Which grammar reads the agent's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// AIOpsLab's parser, with its quirks.
    Strict,
    /// Reads what the agent means.
    #[default]
    Forgiving,
}

/// A call of a tool, as the agent wrote it; nothing is checked against the tool's parameters yet.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Call {
    /// Tool.
    pub name: String,
    /// Arguments by position.
    pub args: Vec<Json>,
    /// Arguments by name, in the order written.
    pub kwargs: Vec<(String, Json)>,
}

impl Call {
    /// A call with arguments by name, as a tool-calling model makes it.
    pub fn named(name: impl Into<String>, arguments: &Map) -> Self {
        let kwargs = arguments.iter().map(|(key, value)| (key.to_string(), value.clone())).collect();
        Call { name: name.into(), args: Vec::new(), kwargs }
    }
}

/// Why a text is no action: the observation that the agent gets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(pub String);

/// Longest text that is read; longer ones are refused rather than searched.
pub const TEXT_LIMIT: usize = 256 * 1024;

/// Reads one action.
///
/// # Errors
/// The observation to give instead of a tool's answer.
pub fn parse(text: &str, dialect: Dialect) -> Result<Call, ParseError> {
    if text.len() > TEXT_LIMIT {
        return Err(ParseError(format!(
            "Error parsing response: the text has {} bytes; at most {TEXT_LIMIT} are read. Send one API call.",
            text.len()
        )));
    }
    match dialect {
        Dialect::Strict => strict::parse(text),
        Dialect::Forgiving => forgiving::parse(text),
    }
}
