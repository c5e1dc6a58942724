//! How much of a text an observation shows: the beginning and the end, with an exact notice between them.

/// Most characters of one observation, unless told otherwise.
pub const OBSERVATION_LIMIT: usize = 48 * 1024;

/// A text of at most about `limit` characters: when it is longer, its first three quarters and last quarter of the limit, cut at line ends
/// where one is near, and between them how much is left out, where it stands and how to see it.
pub fn cut(text: &str, limit: usize) -> String {
    // A character has a byte at least.
    if text.len() <= limit {
        return text.to_owned();
    }
    let count = text.chars().count();
    if count <= limit {
        return text.to_owned();
    }
    let head = line_end_before(text, place(text, limit / 4 * 3));
    let tail = line_start_after(text, place(text, count - limit / 4));
    let (first, left_out, last) = (&text[..head], &text[head..tail], &text[tail..]);
    let from = 1 + first.matches('\n').count();
    let until = from + left_out.trim_end_matches('\n').matches('\n').count();
    let lines = text.lines().count();
    let place = if from == until { format!("line {from}") } else { format!("lines {from} to {until}") };
    let gap = if first.is_empty() || first.ends_with('\n') { "" } else { "\n" };
    format!(
        "{first}{gap}[... {} of {count} characters are left out here, in {place} of {lines}: print a part of them, as \
         `| sed -n {from},{until}p` does, or raise observation_limit above {limit} ...]\n{last}",
        left_out.chars().count(),
    )
}

/// Where the character of this number begins.
fn place(text: &str, character: usize) -> usize {
    text.char_indices().nth(character).map_or(text.len(), |(at, _)| at)
}

/// The last line end at or before `at`, when one lies within the last quarter before it; else `at`.
fn line_end_before(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map(|feed| feed + 1).filter(|feed| *feed >= at / 4 * 3).unwrap_or(at)
}

/// The first line start at or after `at`, when one lies within half of what is left; else `at`.
fn line_start_after(text: &str, at: usize) -> usize {
    if text[..at].ends_with('\n') {
        return at;
    }
    let rest = &text[at..];
    rest.find('\n').map(|feed| feed + 1).filter(|feed| *feed < rest.len() / 2).map_or(at, |feed| at + feed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown before and after the notice, and its numbers: characters left out and in all, first and last line, lines.
    fn noticed(shown: &str) -> (&str, &str, Vec<usize>) {
        let (first, rest) = shown.split_once("[... ").expect("a notice");
        let (notice, last) = rest.split_once(" ...]\n").expect("its end");
        let (what, _) = notice.split_once(": ").expect("advice");
        let numbers = what.split(' ').filter_map(|word| word.parse().ok()).collect();
        (first, last, numbers)
    }

    #[test]
    fn short_texts_stay() {
        assert_eq!(cut("", 10), "");
        assert_eq!(cut("a\nb\n", 4), "a\nb\n");
        assert_eq!(cut("\u{e9}\u{e9}\u{e9}", 3), "\u{e9}\u{e9}\u{e9}", "characters count, not bytes");
    }

    #[test]
    fn long_texts_lose_their_middle_and_every_number_is_exact() {
        for limit in [400, 401, 777, 3000, 9000] {
            let text: String = (1..=1000).map(|i| format!("line {i} \u{fc}ber\n")).collect();
            let shown = cut(&text, limit);
            let (first, last, numbers) = noticed(&shown);
            let [left_out, all, from, until, lines] = numbers[..] else { panic!("{shown}") };
            assert_eq!((all, lines), (text.chars().count(), 1000));
            assert_eq!(first.chars().count() + left_out + last.chars().count(), all);
            let missing: String = text.lines().skip(from - 1).take(until + 1 - from).map(|line| format!("{line}\n")).collect();
            assert_eq!(format!("{first}{missing}{last}"), text, "the lines named are those that are missing");
            assert!(shown.contains(&format!("`| sed -n {from},{until}p`")), "{shown}");
            assert!(shown.chars().count() < limit + 250);
        }
    }

    #[test]
    fn one_endless_line_and_wide_characters() {
        let shown = cut(&"\u{e9}".repeat(10_000), 401);
        let (first, last, numbers) = noticed(&shown);
        assert_eq!((first.chars().count(), last.chars().count()), (301, 100), "a line feed sets the notice off");
        assert_eq!(numbers, [9600, 10_000, 1, 1]);
        assert!(shown.contains("in line 1 of 1: "), "{shown}");
        assert!(cut(&"x".repeat(10_000_000), OBSERVATION_LIMIT).len() < OBSERVATION_LIMIT + 300);
        let flags = "\u{1f1e9}\u{1f1ea}\n".repeat(5000);
        assert!(cut(&flags, 1000).contains(" of 15000 characters are left out here"));
    }
}
