//! Repeated lines of logs and events folded, as AIOpsLab's `LOG_TRIM` does it: blocks of 1 to N lines that are alike but for their times
//! and follow each other are shown once, as the last of them.
//!
//! The strict dialect keeps AIOpsLab's letter. Its blocks begin at every Nth line of what is left, wherever a repeat begins; blocks without
//! times are never alike; times of different lengths or at different places differ; what ends the last line is lost. The forgiving one
//! finds a repeat wherever it begins.

use super::grammar::Dialect;
use regex::Regex;
use std::ops::Range;
use std::sync::OnceLock;

/// What AIOpsLab takes for times: ISO 8601, `2025-Sep-24 …`, syslog's `Wed Sep 24 …`, times of day, ages such as `10m5s`.
const TIMES: &str = r"(?x)
    \d{4}-\d{2}-\d{2}[T\x20]\d{2}:\d{2}:\d{2}(?:[.,]\d+)?(?:Z|[+-]\d{2}:?\d{2})?
    | \d{4}-[A-Z][a-z]{2}-\d{2}[\x20T]\d{2}:\d{2}:\d{2}(?:\.\d+)?
    | (?:[A-Z][a-z]{2}\x20)?[A-Z][a-z]{2}\x20{1,2}\d{1,2}\x20\d{2}:\d{2}:\d{2}(?:\x20\d{4})?
    | \b\d{2}:\d{2}:\d{2}(?:[.,]\d+)?\b
    | \b(?:\d+d)?(?:\d+h)?(?:\d+m)?\d+[smhd]\b";

/// The same to the letter.
const STRICT_TIMES: &str = r"(?x)
    \d{4}-\d{2}-\d{2}[\x20T]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})?
    | \d{4}-[A-Z][a-z]{2}-\d{2}\x20\d{2}:\d{2}:\d{2}(?:\.\d+)?
    | \b\d{2}:\d{2}:\d{2}\b
    | \b\d+m(?:\d+s)?\b
    | \b\d+s\b
    | [A-Z][a-z]{2}\x20[A-Z][a-z]{2}\x20\d{2}\x20\d{2}:\d{2}:\d{2}\x20\d{4}";

/// Commands whose output is folded.
const COMMANDS: &str =
    r"\b(?:kubectl|k)\b.*\b(?:logs|events?|describe)\b|\bkubectl\b.*\bget\b.*\s(?:-w|--watch)\b|\bdocker\b.*\b(?:logs|events)\b";

/// The same to the letter: options before the verb make it another command.
const STRICT_COMMANDS: &str = r"\b(?:kubectl\s+(?:logs|get\s+events|describe|get\s+\S+\s+-w)|docker\s+(?:logs|events))\b";

/// A pattern of these, for the dialects.
fn pattern(which: [&'static str; 2], dialect: Dialect, known: &'static [OnceLock<Option<Regex>>; 2]) -> Option<&'static Regex> {
    let at = usize::from(dialect == Dialect::Strict);
    known[at].get_or_init(|| Regex::new(which[at]).ok()).as_ref()
}

fn times(dialect: Dialect) -> Option<&'static Regex> {
    static KNOWN: [OnceLock<Option<Regex>>; 2] = [OnceLock::new(), OnceLock::new()];
    pattern([TIMES, STRICT_TIMES], dialect, &KNOWN)
}

/// Whether a command prints logs, events or descriptions.
pub fn is_repetitive(command: &str, dialect: Dialect) -> bool {
    static KNOWN: [OnceLock<Option<Regex>>; 2] = [OnceLock::new(), OnceLock::new()];
    pattern([COMMANDS, STRICT_COMMANDS], dialect, &KNOWN).is_some_and(|found| found.is_match(command))
}

/// A text without repeats of blocks of up to `most` lines; with 0 the text itself.
pub fn fold(text: &str, most: usize, dialect: Dialect) -> String {
    match times(dialect) {
        Some(times) if most > 0 && dialect == Dialect::Strict => fold_blocks(text, most, times),
        Some(times) if most > 0 => fold_anywhere(text, most, times),
        _ => text.to_owned(),
    }
}

fn fold_anywhere(text: &str, most: usize, times: &Regex) -> String {
    let mut lines: Vec<(&str, String)> = text.lines().map(|line| (line, times.replace_all(line, "T").into_owned())).collect();
    for size in 1..=most.min(lines.len() / 2) {
        let mut kept: Vec<(&str, String)> = Vec::with_capacity(lines.len());
        for line in lines {
            kept.push(line);
            let (end, alike) = (kept.len(), |a: &[(&str, String)], b: &[(&str, String)]| a.iter().zip(b).all(|(a, b)| a.1 == b.1));
            if end >= 2 * size && alike(&kept[end - 2 * size..end - size], &kept[end - size..end]) {
                kept.drain(end - 2 * size..end - size);
            }
        }
        lines = kept;
    }
    let mut folded = lines.iter().map(|(line, _)| *line).collect::<Vec<_>>().join("\n");
    if text.ends_with('\n') {
        folded.push('\n');
    }
    folded
}

/// AIOpsLab's passes: what one leaves, whole blocks included, are the lines of the next.
fn fold_blocks(text: &str, most: usize, times: &Regex) -> String {
    let mut lines: Vec<String> = split_lines(text).into_iter().map(str::to_owned).collect();
    for size in 1..=most {
        let mut kept: Vec<(String, Vec<Range<usize>>)> = Vec::with_capacity(lines.len());
        for block in lines.chunks(size).map(|block| block.join("\n")) {
            let spans: Vec<Range<usize>> = times.find_iter(&block).map(|found| found.range()).collect();
            match kept.last_mut() {
                Some((last, before)) if !spans.is_empty() && is_same(last, before, &block, &spans) => (*last, *before) = (block, spans),
                _ => kept.push((block, spans)),
            }
        }
        lines = kept.into_iter().map(|(block, _)| block).collect();
    }
    lines.join("\n")
}

/// Whether two blocks with their times are the same but for these.
fn is_same(a: &str, in_a: &[Range<usize>], b: &str, in_b: &[Range<usize>]) -> bool {
    let masked = |text: &str, spans: &[Range<usize>]| {
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for span in spans {
            out.push_str(text.get(done..span.start).unwrap_or_default());
            // Digits, colons and letters of ASCII: as many characters as bytes.
            out.extend(std::iter::repeat_n(' ', span.len()));
            done = span.end;
        }
        out.push_str(text.get(done..).unwrap_or_default());
        out
    };
    let starts = |text: &str, spans: &[Range<usize>]| spans.iter().map(|s| text[..s.start].chars().count()).collect::<Vec<_>>();
    in_a.len() == in_b.len() && starts(a, in_a) == starts(b, in_b) && masked(a, in_a) == masked(b, in_b)
}

/// Lines as Python's `splitlines` finds them.
fn split_lines(text: &str) -> Vec<&str> {
    let ends = ['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let Some(at) = rest.find(ends) else {
            lines.push(rest);
            break;
        };
        let (line, after) = rest.split_at(at);
        lines.push(line);
        let mut after = after.chars();
        if after.next() == Some('\r') && after.as_str().starts_with('\n') {
            after.next();
        }
        rest = after.as_str();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_shown_once_as_the_last() {
        let check = |text: &str, most: usize, expect: &str| assert_eq!(fold(text, most, Dialect::Forgiving), expect, "{text}");
        check("a\na\nb\n", 0, "a\na\nb\n");
        check("12:00:01 x\n12:00:02 x\n12:00:03 y\n", 1, "12:00:02 x\n12:00:03 y\n");
        check("a 10m5s\nb\na 30s\nb", 1, "a 10m5s\nb\na 30s\nb");
        check("a 10m5s\nb\na 30s\nb", 2, "a 30s\nb");
        check("2025-09-24T10:00:00Z e\n2025-09-24T10:00:01.5Z e\n", 3, "2025-09-24T10:00:01.5Z e\n");
        check("x\n12:00:01 a\n12:00:01 b\n12:00:02 a\n12:00:02 b\n", 2, "x\n12:00:02 a\n12:00:02 b\n");
        check("", 3, "");
    }

    #[test]
    fn the_strict_dialect_is_aiopslabs_to_the_letter() {
        let check = |text: &str, most: usize, expect: &str| assert_eq!(fold(text, most, Dialect::Strict), expect, "{text}");
        let json = |second: &str, message: &str| {
            format!("{{\"level\":\"info\",\"time\":\"2025-09-25T04:36:{second}Z\",\"message\":\"{message}\"}}\n")
        };
        // AIOpsLab's own examples.
        check(&format!("{}{}", json("33", "foo"), json("34", "foo")), 2, json("34", "foo").trim_end());
        let other = format!("{}{}", json("33", "foo"), json("33", "bar"));
        check(&other, 2, other.trim_end());
        check(
            "2025-09-25T04:36:33Z INF > New session\n2025-09-25T04:36:34Z INF > New session\n2025-09-25T04:36:35Z INF > Generating\n",
            3,
            "2025-09-25T04:36:34Z INF > New session\n2025-09-25T04:36:35Z INF > Generating",
        );
        check("no logs\nno logs\n", 0, "no logs\nno logs\n");
        // Lines without times, and times of other lengths, are never alike.
        check("same\nsame\n", 3, "same\nsame");
        check("a 9s\na 10s\n", 1, "a 9s\na 10s");
        check("Back-off 5m\nBack-off 6m\n", 1, "Back-off 6m");
        // Blocks begin at every second line, wherever the repeat does.
        check("12:00:01 a\n12:00:01 b\n12:00:02 a\n12:00:02 b", 2, "12:00:02 a\n12:00:02 b");
        let shifted = "x\n12:00:01 a\n12:00:01 b\n12:00:02 a\n12:00:02 b";
        check(shifted, 2, shifted);
        check("Wed Sep 24 18:41:09 2025 x\r\nWed Sep 24 18:41:10 2025 x\r\n", 1, "Wed Sep 24 18:41:10 2025 x");
    }

    #[test]
    fn commands_that_print_logs() {
        for (command, forgiving, strict) in [
            ("kubectl logs geo -n x", true, true),
            ("kubectl get events", true, true),
            ("kubectl describe pod x", true, true),
            ("kubectl get pods -w", true, true),
            ("docker logs x", true, true),
            ("kubectl -n x logs geo", true, false),
            ("kubectl get pods", false, false),
            ("ls; kubectl   get  events -A | tail", true, true),
        ] {
            assert_eq!(is_repetitive(command, Dialect::Forgiving), forgiving, "{command}");
            assert_eq!(is_repetitive(command, Dialect::Strict), strict, "{command}");
        }
    }
}
