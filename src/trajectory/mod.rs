//! Trajectories: append-only JSON lines, one header, one line a step, one closing line.
//!
//! A recorder only ever appends, so what was written stays valid when the process dies; a file that was cut loads up to the cut.

use crate::object;
use crate::object::Json;
use imbl::Vector;
use std::sync::Arc;

/// Version of the lines' schema; rises when a field changes its meaning.
pub const SCHEMA: i64 = 1;

/// What an agent did in a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// It wrote a text.
    Text(String),
    /// It called a tool by name.
    Tool {
        /// Tool.
        name: String,
        /// Arguments by name.
        arguments: Json,
    },
}

impl Action {
    /// As recorded: a text, or `{"name", "arguments"}`.
    pub fn to_json(&self) -> Json {
        match self {
            Action::Text(text) => Json::from(text),
            Action::Tool { name, arguments } => object! { "name" => name, "arguments" => arguments },
        }
    }

    /// Reads what [`Action::to_json`] wrote.
    pub fn from_json(json: &Json) -> Option<Action> {
        match json {
            Json::Str(text) => Some(Action::Text(text.to_string())),
            Json::Obj(_) => Some(Action::Tool { name: json.get("name").as_str()?.to_owned(), arguments: json.get("arguments").clone() }),
            _ => None,
        }
    }
}

/// Writes an episode's lines.
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    lines: Vector<Arc<str>>,
}

impl Recorder {
    /// A recorder whose first line is `header`.
    pub fn new(mut header: Json) -> Self {
        header.set("type", "header");
        header.set("schema", SCHEMA);
        let mut recorder = Recorder::default();
        recorder.append(&header);
        recorder
    }

    /// Appends a step.
    pub fn step(&mut self, mut step: Json) {
        step.set("type", "step");
        self.append(&step);
    }

    /// Appends the closing line.
    pub fn close(&mut self, mut closing: Json) {
        closing.set("type", "closing");
        self.append(&closing);
    }

    fn append(&mut self, line: &Json) {
        self.lines.push_back(format!("{}\n", line.to_compact()).into());
    }

    /// All lines so far.
    pub fn text(&self) -> String {
        self.lines.iter().map(AsRef::as_ref).collect()
    }
}

/// A trajectory that was read back.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The header.
    pub header: Json,
    /// The steps.
    pub steps: Vec<Json>,
    /// The closing line; `None` when the file was cut or the episode went on.
    pub closing: Option<Json>,
}

/// Why a text is no trajectory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrajectoryError {
    /// The first line is no header.
    #[error("the trajectory does not begin with a header line")]
    NoHeader,
    /// The header is of a schema that this version does not read.
    #[error("the trajectory has schema {found}; this version reads schema {SCHEMA}")]
    Schema {
        /// What it has.
        found: String,
    },
    /// A line before the last one is no record.
    #[error("line {line} of the trajectory is no record: {reason}")]
    Line {
        /// Number, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// Reads a trajectory; a last line that was cut is left out.
///
/// # Errors
/// A missing header, another schema, or a malformed line before the last.
pub fn read(text: &str) -> Result<Recorded, TrajectoryError> {
    let lines: Vec<&str> = text.lines().collect();
    let mut records = Vec::with_capacity(lines.len());
    for (at, line) in lines.iter().enumerate() {
        match Json::parse(line) {
            Ok(record) => records.push(record),
            Err(_) if at + 1 == lines.len() => break,
            Err(error) => return Err(TrajectoryError::Line { line: at + 1, reason: error.to_string() }),
        }
    }
    let mut records = records.into_iter();
    let header = records.next().filter(|r| r.get("type").text() == "header").ok_or(TrajectoryError::NoHeader)?;
    if header.get("schema").as_i64() != Some(SCHEMA) {
        return Err(TrajectoryError::Schema { found: header.get("schema").to_compact() });
    }
    let (mut steps, mut closing) = (Vec::new(), None);
    for (at, record) in records.enumerate() {
        match record.get("type").text() {
            "step" if closing.is_none() => steps.push(record),
            "closing" if closing.is_none() => closing = Some(record),
            other => return Err(TrajectoryError::Line { line: at + 2, reason: format!("a record of type {other:?} cannot stand here") }),
        }
    }
    Ok(Recorded { header, steps, closing })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded() -> String {
        let mut recorder = Recorder::new(object! { "problem_id" => "p" });
        recorder.step(object! { "action" => Action::Text("a\nb".to_owned()).to_json() });
        recorder.close(object! { "success" => true });
        recorder.text()
    }

    #[test]
    fn what_was_written_reads_back() {
        let read = read(&recorded()).expect("well-formed");
        assert_eq!(read.header.get("problem_id").text(), "p");
        assert_eq!(Action::from_json(read.steps[0].get("action")), Some(Action::Text("a\nb".to_owned())));
        assert!(read.closing.expect("closed").get("success").is_true());
    }

    #[test]
    fn every_cut_loads_up_to_the_cut() {
        let text = recorded();
        let header = text.find('\n').expect("lines") + 1;
        for end in header..text.len() {
            let cut = read(&text[..end]).expect("loads");
            assert!(cut.steps.len() <= 1);
        }
        assert_eq!(read(&text[..header - 2]), Err(TrajectoryError::NoHeader));
    }

    #[test]
    fn malformed_lines_are_named() {
        let check = |text: &str, expect: &str| assert_eq!(read(text).expect_err("malformed").to_string(), expect);
        check("", "the trajectory does not begin with a header line");
        check("{\"type\":\"header\",\"schema\":9}\n", "the trajectory has schema 9; this version reads schema 1");
        check(
            "{\"type\":\"header\",\"schema\":1}\n{\"type\":\"x\"}\n",
            "line 2 of the trajectory is no record: a record of type \"x\" cannot stand here",
        );
        assert!(
            read("{\"type\":\"header\",\"schema\":1}\nno\n{}\n")
                .expect_err("malformed")
                .to_string()
                .starts_with("line 2 of the trajectory")
        );
    }
}
