//! How much of a text an observation shows: the beginning and the end, with an exact notice between them.

/// Most bytes of one observation.
pub const OBSERVATION_LIMIT: usize = 48 * 1024;

/// A text of at most about `limit` bytes: when it is longer, its first three quarters and last quarter of the limit, cut at
/// line ends where one is near, and between them how many bytes and lines are left out.
pub fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let head = line_end_before(text, limit / 4 * 3);
    let tail = line_start_after(text, text.len() - limit / 4);
    let (first, left_out, last) = (&text[..head], &text[head..tail], &text[tail..]);
    let lines = left_out.matches('\n').count();
    let gap = if first.is_empty() || first.ends_with('\n') { "" } else { "\n" };
    format!("{first}{gap}[... {} bytes in {lines} lines left out of {} bytes ...]\n{last}", left_out.len(), text.len())
}

/// The last line end at or before `at`, when one lies within the last quarter before it; else the character boundary.
fn line_end_before(text: &str, at: usize) -> usize {
    let at = boundary(text, at);
    text[..at].rfind('\n').map(|feed| feed + 1).filter(|feed| *feed >= at / 4 * 3).unwrap_or(at)
}

/// The first line start at or after `at`, when one lies within half of what is left; else the character boundary.
fn line_start_after(text: &str, at: usize) -> usize {
    let at = boundary(text, at);
    let rest = &text[at..];
    rest.find('\n').map(|feed| feed + 1).filter(|feed| *feed < rest.len() / 2).map_or(at, |feed| at + feed)
}

/// The largest character boundary at or before `at`.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_stay() {
        assert_eq!(cut("", 10), "");
        assert_eq!(cut("a\nb\n", 4), "a\nb\n");
    }

    #[test]
    fn long_texts_lose_their_middle() {
        let text: String = (0..1000).map(|i| format!("line {i}\n")).collect();
        let shown = cut(&text, 400);
        assert!(shown.len() < 500, "{}", shown.len());
        assert!(shown.starts_with("line 0\n") && shown.ends_with("line 999\n"), "{shown}");
        let notice = shown.lines().find(|l| l.starts_with("[...")).expect("a notice");
        assert!(notice.ends_with(&format!("lines left out of {} bytes ...]", text.len())), "{notice}");
    }

    #[test]
    fn one_endless_line_and_wide_characters() {
        let shown = cut(&"\u{e9}".repeat(10_000), 401);
        assert!(shown.contains("bytes in 0 lines left out of 20000 bytes"), "{shown}");
        assert!(cut(&"x".repeat(10_000_000), OBSERVATION_LIMIT).len() < OBSERVATION_LIMIT + 200);
    }
}
