//! How a command fails, and the text and exit code that kubectl gives for it.

use super::command::Call;
use crate::cluster::ApiError;
use std::fmt;

/// Why a command did not succeed.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// Everything was said already; only the exit code is left.
    Exit(i32),
    /// A reason, printed as `error: REASON`.
    Text(String),
    /// A line that is printed as it is, with an exit code of its own (a program that `exec` ran).
    Program {
        /// What is printed.
        message: String,
        /// Exit code.
        code: i32,
    },
    /// The API server's refusal.
    Api(ApiError),
    /// Several failures, one line each.
    Many(Vec<Failure>),
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Failure::Api(error)
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Failure::Text(text)
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Self {
        Failure::Text(text.to_owned())
    }
}

impl fmt::Display for Failure {
    /// The bare message, as Go's `err.Error()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Exit(_) => f.write_str("exit"),
            Failure::Text(message) | Failure::Program { message, .. } => f.write_str(message),
            Failure::Api(error) => f.write_str(&error.message),
            Failure::Many(failures) => match failures.as_slice() {
                [one] => write!(f, "{one}"),
                many => {
                    let mut seen: Vec<String> = Vec::new();
                    for text in many.iter().map(ToString::to_string) {
                        if !seen.contains(&text) {
                            seen.push(text);
                        }
                    }
                    if seen.len() == 1 { f.write_str(&seen[0]) } else { write!(f, "[{}]", seen.join(", ")) }
                }
            },
        }
    }
}

impl Failure {
    /// A wrong use of a command: the message and where its help is.
    pub fn usage(call: &Call<'_, '_>, message: impl fmt::Display) -> Self {
        Failure::Text(format!("{message}\nSee '{} -h' for help and examples", call.path))
    }

    /// All of `failures` as one; `Ok` when there are none.
    ///
    /// # Errors
    /// When there is at least one.
    pub fn all(failures: Vec<Failure>) -> Result<(), Failure> {
        let mut flat = Vec::new();
        for failure in failures {
            match failure {
                Failure::Many(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Ok(()),
            1 => Err(flat.remove(0)),
            _ => Err(Failure::Many(flat)),
        }
    }

    /// Whether this is the API server's `NotFound`.
    pub fn is_not_found(&self) -> bool {
        self.reason() == Some("NotFound")
    }

    /// Whether this is the API server's `AlreadyExists`.
    pub fn already_exists(&self) -> bool {
        self.reason() == Some("AlreadyExists")
    }

    /// Whether this is the API server's `Conflict`.
    pub fn is_conflict(&self) -> bool {
        self.reason() == Some("Conflict")
    }

    /// The API server's reason.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Failure::Api(error) => Some(&error.reason),
            _ => None,
        }
    }

    /// Puts `error when VERB "SOURCE": ` before the message, as commands do for objects that come from a file.
    #[must_use]
    pub fn of_source(self, verb: &str, source: &str) -> Self {
        match self {
            failure if source.is_empty() => failure,
            Failure::Api(mut error) => {
                error.message = format!("error when {verb} {}: {}", quote(source), error.message);
                Failure::Api(error)
            }
            other => Failure::Text(format!("error when {verb} {}: {other}", quote(source))),
        }
    }

    /// What goes to standard error (with its line feed) and the exit code.
    pub fn report(&self) -> (String, i32) {
        let (mut text, code) = match self {
            Failure::Exit(code) => (String::new(), *code),
            Failure::Program { message, code } => (message.clone(), *code),
            Failure::Text(message) if message.starts_with("error: ") => (message.clone(), 1),
            Failure::Text(message) => (format!("error: {message}"), 1),
            Failure::Api(error) if error.reason == "Invalid" => (invalid(error), 1),
            Failure::Api(error) => (of_server(error), 1),
            Failure::Many(failures) => match failures.as_slice() {
                [one] => return one.report(),
                many => (many.iter().map(|failure| format!("{}\n", failure.standard())).collect(), 1),
            },
        };
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        (text, code)
    }

    /// The message as it stands among several.
    fn standard(&self) -> String {
        match self {
            Failure::Api(error) => of_server(error),
            other => other.to_string(),
        }
    }
}

fn of_server(error: &ApiError) -> String {
    match error.reason.as_str() {
        "Unauthorized" => format!("error: You must be logged in to the server ({})", error.message),
        "" => format!("Error from server: {}", error.message),
        reason => format!("Error from server ({reason}): {}", error.message),
    }
}

/// The text of a 422: the object, then its causes.
fn invalid(error: &ApiError) -> String {
    let details = &error.details;
    if details.is_null() {
        let tail = if error.message.is_empty() { String::new() } else { format!(": {}", error.message) };
        return format!("The request is invalid{tail}");
    }
    let (kind, name) = (details.get("kind").text(), details.get("name").text());
    let mut causes: Vec<String> = Vec::new();
    for cause in details.get("causes").items() {
        let text = format!("{}: {}", cause.get("field").text(), cause.get("message").text());
        if !causes.contains(&text) {
            causes.push(text);
        }
    }
    let mut head = "The request is invalid".to_owned();
    if !kind.is_empty() || !name.is_empty() {
        head = format!("The {kind} {} is invalid", quote(name));
    } else if !error.message.is_empty() && causes.is_empty() {
        head = format!("{head}: {}", error.message);
    }
    match causes.as_slice() {
        [] => head,
        [one] => format!("{head}: {one}\n"),
        many => format!("{head}: \n{}", many.iter().map(|c| format!("* {c}\n")).collect::<String>()),
    }
}

/// A text as Go's `%q` prints it.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\u{b}' => out.push_str("\\v"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{array, object};

    fn check(failure: Failure, text: &str) {
        assert_eq!(failure.report(), (text.to_owned(), 1));
    }

    #[test]
    fn words_every_form() {
        check("no".into(), "error: no\n");
        check("error: no".into(), "error: no\n");
        check(ApiError::new(404, "NotFound", "pods \"x\" not found").into(), "Error from server (NotFound): pods \"x\" not found\n");
        check(ApiError::new(401, "Unauthorized", "Unauthorized").into(), "error: You must be logged in to the server (Unauthorized)\n");
        let two = Failure::Many(vec!["a".into(), ApiError::new(404, "NotFound", "b").into()]);
        check(two, "a\nError from server (NotFound): b\n");
        let mut error = ApiError::new(422, "Invalid", "whole message");
        check(error.clone().into(), "The request is invalid: whole message\n");
        error.details =
            object! { "kind" => "Service", "name" => "web", "causes" => array![object! { "field" => "spec", "message" => "bad" }] };
        check(error.clone().into(), "The Service \"web\" is invalid: spec: bad\n");
        let causes = array![object! { "field" => "a", "message" => "x" }, object! { "field" => "b", "message" => "y" }];
        error.details.set("causes", causes);
        check(error.into(), "The Service \"web\" is invalid: \n* a: x\n* b: y\n");
    }

    #[test]
    fn names_the_source() {
        let failure = Failure::from(ApiError::new(409, "AlreadyExists", "pods \"x\" already exists")).of_source("creating", "STDIN");
        check(failure, "Error from server (AlreadyExists): error when creating \"STDIN\": pods \"x\" already exists\n");
    }
}
