//! Repeated lines of logs and events folded, as AIOpsLab's `LOG_TRIM` does it: blocks of 1 to N lines that are alike but for their times
//! and follow each other are shown once, as the last of them.

use regex::Regex;
use std::sync::OnceLock;

/// What AIOpsLab takes for times: ISO 8601, `2025-Sep-24 …`, syslog's `Sep 24 …`, times of day, ages such as `10m5s`.
const TIMES: &str = r"(?x)
    \d{4}-\d{2}-\d{2}[T\x20]\d{2}:\d{2}:\d{2}(?:[.,]\d+)?(?:Z|[+-]\d{2}:?\d{2})?
    | \d{4}-[A-Z][a-z]{2}-\d{2}[\x20T]\d{2}:\d{2}:\d{2}(?:\.\d+)?
    | [A-Z][a-z]{2}\x20{1,2}\d{1,2}\x20\d{2}:\d{2}:\d{2}
    | \b\d{2}:\d{2}:\d{2}(?:[.,]\d+)?\b
    | \b(?:\d+d)?(?:\d+h)?(?:\d+m)?\d+[smhd]\b";

/// Commands whose output is folded.
const COMMANDS: &str =
    r"\b(?:kubectl|k)\b.*\b(?:logs|events?|describe)\b|\bkubectl\b.*\bget\b.*\s(?:-w|--watch)\b|\bdocker\b.*\b(?:logs|events)\b";

fn times() -> Option<&'static Regex> {
    static TIME: OnceLock<Option<Regex>> = OnceLock::new();
    TIME.get_or_init(|| Regex::new(TIMES).ok()).as_ref()
}

/// Whether a command prints logs, events or descriptions.
pub fn is_repetitive(command: &str) -> bool {
    static COMMAND: OnceLock<Option<Regex>> = OnceLock::new();
    COMMAND.get_or_init(|| Regex::new(COMMANDS).ok()).as_ref().is_some_and(|found| found.is_match(command))
}

/// A text without repeats of blocks of up to `most` lines; with 0 the text itself.
pub fn fold(text: &str, most: usize) -> String {
    let Some(times) = times().filter(|_| most > 0) else { return text.to_owned() };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_shown_once_as_the_last() {
        let check = |text: &str, most: usize, expect: &str| assert_eq!(fold(text, most), expect, "{text}");
        check("a\na\nb\n", 0, "a\na\nb\n");
        check("12:00:01 x\n12:00:02 x\n12:00:03 y\n", 1, "12:00:02 x\n12:00:03 y\n");
        check("a 10m5s\nb\na 30s\nb", 1, "a 10m5s\nb\na 30s\nb");
        check("a 10m5s\nb\na 30s\nb", 2, "a 30s\nb");
        check("2025-09-24T10:00:00Z e\n2025-09-24T10:00:01.5Z e\n", 3, "2025-09-24T10:00:01.5Z e\n");
        check("", 3, "");
    }

    #[test]
    fn commands_that_print_logs() {
        for (command, expect) in [
            ("kubectl logs geo -n x", true),
            ("kubectl get events", true),
            ("kubectl describe pod x", true),
            ("kubectl get pods -w", true),
            ("docker logs x", true),
            ("kubectl get pods", false),
        ] {
            assert_eq!(is_repetitive(command), expect, "{command}");
        }
    }
}
