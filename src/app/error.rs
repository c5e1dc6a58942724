//! Errors in application data: which file, which line, which field, and what was probably meant.

use crate::workload::LoadError;
use std::fmt;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// An error in a data file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataError {
    /// File, relative to the folder of environments.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// The field, or the text that the error is about; may be empty.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

impl DataError {
    /// An error at a byte range of a file's text.
    pub fn at(file: &str, text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let start = span.start.min(text.len());
        let before = text.get(..start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(1, |l| l.chars().count() + 1);
        let field = text.get(span).map(str::trim).unwrap_or("").trim_matches(['"', '\'']);
        let field = field.lines().next().unwrap_or("").chars().take(60).collect();
        DataError { file: file.to_owned(), line, column, field, message: message.into(), suggestion: None }
    }

    /// An error about a whole file.
    pub fn file(file: &str, message: impl Into<String>) -> Self {
        DataError { file: file.to_owned(), line: 1, column: 1, field: String::new(), message: message.into(), suggestion: None }
    }

    /// An error about the value at a path of fields and places in lists of a TOML file.
    pub fn within(file: &str, text: &str, path: &[&str], message: impl Into<String>) -> Self {
        Self::at(file, text, span_of(text, path), message)
    }

    /// An error in a table that describes a load.
    pub fn load(file: &str, text: &str, table: &str, error: &LoadError) -> Self {
        let path: Vec<&str> = std::iter::once(table).chain(error.path.iter().map(String::as_str)).collect();
        Self::within(file, text, &path, format!("{table}.{error}"))
    }

    /// Adds the nearest of the names that would have been right.
    #[must_use]
    pub fn suggest<'a>(mut self, wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.suggestion = nearest(wrong, names).map(str::to_owned);
        self
    }

    /// The error of a TOML parser, with a suggestion for an unknown field or variant.
    pub fn toml(file: &str, text: &str, error: &toml::de::Error) -> Self {
        let span = error.span().unwrap_or(0..0);
        let message = error.message();
        let quoted: Vec<_> = message.split('`').skip(1).step_by(2).collect();
        let mut found = Self::at(file, text, span, message);
        if let Some((wrong, right)) = quoted.split_first().filter(|_| message.starts_with("unknown ")) {
            found.field = (*wrong).to_owned();
            let names = message.split_once(", expected").map_or(0, |(_, list)| list.len());
            found = found.suggest(wrong, right.iter().copied());
            // The list of all fields is long and the suggestion says more.
            if found.suggestion.is_some() && names > 80 {
                found.message = message.split(", expected").next().unwrap_or(message).to_owned();
            }
        }
        found
    }
}

/// Where a value stands in a TOML file: as far along its path as there is something.
fn span_of(text: &str, path: &[&str]) -> Range<usize> {
    let Ok(document) = DeTable::parse(text) else { return 0..0 };
    let mut span = 0..0;
    let mut value: Option<&DeValue<'_>> = None;
    for part in path {
        let next = match value {
            None => document.get_ref().get(*part),
            Some(DeValue::Table(table)) => table.get(*part),
            Some(DeValue::Array(list)) => part.parse::<usize>().ok().and_then(|at| list.get(at)),
            Some(_) => None,
        };
        let Some(next) = next else { break };
        (span, value) = (next.span(), Some(next.get_ref()));
    }
    span
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        if !self.field.is_empty() && !self.message.contains(&self.field) {
            write!(f, " (at `{}`)", self.field)?;
        }
        self.suggestion.as_ref().map_or(Ok(()), |s| write!(f, "; did you mean `{s}`?"))
    }
}

impl std::error::Error for DataError {}

/// The name that is nearest to a wrong one, if one is near enough to be meant.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let best = names.into_iter().map(|name| (edits(wrong, name), name)).min_by_key(|(d, _)| *d)?;
    let length = wrong.chars().count().max(best.1.chars().count());
    (best.0 <= (length / 3).max(1)).then_some(best.1)
}

/// Insertions, deletions, substitutions and swaps of neighbours that lead from one text to the other.
pub fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // The first row and column count how many characters stand before.
    let mut rows: Vec<Vec<usize>> = (0..=a.len()).map(|i| (i..=i + b.len()).collect()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested_and_far_ones_are_not() {
        let names = ["listen", "serve", "settings", "srv-geo"];
        let check = |wrong: &str, expect: Option<&str>| assert_eq!(nearest(wrong, names), expect, "{wrong}");
        check("lisen", Some("listen"));
        check("sreve", Some("serve"));
        check("setings", Some("settings"));
        check("srv-goe", Some("srv-geo"));
        check("endpoint", None);
        check("", None);
    }

    #[test]
    fn values_are_found_by_their_path() {
        let text = "a = 1\n[load]\nsteps = [{ at = 1 }, { at = 22 }]\n[load.bursts]\nx = 3\n";
        let check = |path: &[&str], expect: &str| assert_eq!(&text[span_of(text, path)], expect, "{path:?}");
        check(&["a"], "1");
        check(&["load", "steps", "1", "at"], "22");
        check(&["load", "steps", "0"], "{ at = 1 }");
        check(&["load", "bursts", "x"], "3");
        check(&["load", "steps", "7", "at"], "[{ at = 1 }, { at = 22 }]");
        check(&["nothing"], "");
    }

    #[test]
    fn lines_and_columns_count_from_one() {
        let error = DataError::at("a.toml", "x = 1\nyy = 2\n", 6..8, "unknown field");
        assert_eq!((error.line, error.column, error.field.as_str()), (2, 1, "yy"));
        assert_eq!(error.to_string(), "a.toml:2:1: unknown field (at `yy`)");
    }
}
