//! Prometheus' text format, as programs and kubelets expose their metrics in it.

use super::Series;
use crate::time::SimTime;
use arcstr::ArcStr;

/// The series of a text, each with its value at `at`. Lines that are none are passed over.
pub fn parse_exposition(text: &str, at: SimTime) -> Vec<Series> {
    text.lines().filter_map(|line| series(line.trim(), at)).collect()
}

fn series(line: &str, at: SimTime) -> Option<Series> {
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (Vec::new(), rest),
    };
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Series { name: name.into(), labels, samples: vec![(at, value)] })
}

/// Labels up to the closing brace, sorted by name, and what follows.
fn labels(mut rest: &str) -> Option<(Vec<(ArcStr, ArcStr)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            labels.sort();
            return Some((labels, after));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let (value, after) = unquoted(quoted)?;
        labels.push((name.into(), value.into()));
        rest = after;
    }
}

/// A text up to its closing quote, and what follows.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(match letters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, labels and value.
    type Read<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);

    #[test]
    fn lines_are_read() {
        let check = |line: &str, expect: Option<Read<'_>>| {
            let found = parse_exposition(line, SimTime::ZERO);
            let found =
                found.first().map(|s| (s.name.as_str(), s.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect(), s.samples[0].1));
            assert_eq!(found, expect.map(|(name, labels, value)| (name, labels.to_vec(), value)), "{line}");
        };
        check("up 1", Some(("up", &[], 1.0)));
        check("a{pod=\"x\",container=\"y\"} 2.5e3 1700000000000", Some(("a", &[("container", "y"), ("pod", "x")], 2500.0)));
        check("a{text=\"q\\\"uo\\\\te\\n, }\",} -1", Some(("a", &[("text", "q\"uo\\te\n, }")], -1.0)));
        check("# HELP a is a", None);
        check("a{broken=\"x} 1", None);
        check("a{x=\"y\"} word", None);
        check("", None);
    }
}
