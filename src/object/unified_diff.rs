//! Unified differences of texts, line for line as Go's difflib (after Python's) finds them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// A run of lines that both texts have: place in the first, place in the second, length.
type Match = (usize, usize, usize);

struct Matcher<'a> {
    a: &'a [&'a str],
    b: &'a [&'a str],
    /// Places of every line in `b`, but for lines that are everywhere.
    places: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> Matcher<'a> {
    fn new(a: &'a [&'a str], b: &'a [&'a str]) -> Self {
        let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, line) in b.iter().enumerate() {
            places.entry(line).or_default().push(at);
        }
        if b.len() >= 200 {
            let most = b.len() / 100 + 1;
            places.retain(|_, at| at.len() <= most);
        }
        Matcher { a, b, places }
    }

    /// The longest run within the bounds; the earliest of the longest ones.
    fn longest(&self, (a_low, a_high): (usize, usize), (b_low, b_high): (usize, usize)) -> Match {
        let mut best = (a_low, b_low, 0);
        let mut lengths: BTreeMap<usize, usize> = BTreeMap::new();
        for at in a_low..a_high {
            let mut next = BTreeMap::new();
            for place in self.places.get(self.a[at]).into_iter().flatten().filter(|p| **p >= b_low && **p < b_high) {
                let length = place.checked_sub(1).and_then(|p| lengths.get(&p)).copied().unwrap_or(0) + 1;
                next.insert(*place, length);
                if length > best.2 {
                    best = (at + 1 - length, place + 1 - length, length);
                }
            }
            lengths = next;
        }
        while best.0 > a_low && best.1 > b_low && self.a[best.0 - 1] == self.b[best.1 - 1] {
            best = (best.0 - 1, best.1 - 1, best.2 + 1);
        }
        while best.0 + best.2 < a_high && best.1 + best.2 < b_high && self.a[best.0 + best.2] == self.b[best.1 + best.2] {
            best.2 += 1;
        }
        best
    }

    fn matches(&self) -> BTreeSet<Match> {
        let mut found = BTreeSet::new();
        let mut pending = vec![((0, self.a.len()), (0, self.b.len()))];
        while let Some((a, b)) = pending.pop() {
            let best = self.longest(a, b);
            if best.2 > 0 {
                found.insert(best);
                pending.push(((a.0, best.0), (b.0, best.1)));
                pending.push(((best.0 + best.2, a.1), (best.1 + best.2, b.1)));
            }
        }
        found
    }

    /// Stretches that are equal or not, in order.
    fn stretches(&self) -> Vec<Stretch> {
        let mut all = Vec::new();
        let (mut a, mut b) = (0, 0);
        for (i, j, length) in self.matches().into_iter().chain([(self.a.len(), self.b.len(), 0)]) {
            if a < i || b < j {
                all.push(Stretch { equal: false, a: (a, i), b: (b, j) });
            }
            if length > 0 {
                match all.last_mut().filter(|last| last.equal && last.a.1 == i && last.b.1 == j) {
                    Some(last) => (last.a.1, last.b.1) = (i + length, j + length),
                    None => all.push(Stretch { equal: true, a: (i, i + length), b: (j, j + length) }),
                }
            }
            (a, b) = (i + length, j + length);
        }
        all
    }
}

#[derive(Clone, Copy)]
struct Stretch {
    equal: bool,
    a: (usize, usize),
    b: (usize, usize),
}

/// Groups of stretches with `context` equal lines around what differs.
fn groups(mut all: Vec<Stretch>, context: usize) -> Vec<Vec<Stretch>> {
    if let Some(first) = all.first_mut().filter(|s| s.equal) {
        first.a.0 = first.a.0.max(first.a.1.saturating_sub(context));
        first.b.0 = first.b.0.max(first.b.1.saturating_sub(context));
    }
    if let Some(last) = all.last_mut().filter(|s| s.equal) {
        last.a.1 = last.a.1.min(last.a.0 + context);
        last.b.1 = last.b.1.min(last.b.0 + context);
    }
    let mut groups = Vec::new();
    let mut group = Vec::new();
    for stretch in all {
        if stretch.equal && stretch.a.1 - stretch.a.0 > 2 * context {
            let head = Stretch { a: (stretch.a.0, stretch.a.0 + context), b: (stretch.b.0, stretch.b.0 + context), ..stretch };
            group.push(head);
            groups.push(std::mem::take(&mut group));
            group.push(Stretch { a: (stretch.a.1 - context, stretch.a.1), b: (stretch.b.1 - context, stretch.b.1), ..stretch });
        } else {
            group.push(stretch);
        }
    }
    if group.iter().any(|s| !s.equal) {
        groups.push(group);
    }
    groups
}

/// `start,length` of a hunk's head.
fn range(start: usize, stop: usize) -> String {
    match stop - start {
        1 => (start + 1).to_string(),
        0 => format!("{start},0"),
        length => format!("{},{length}", start + 1),
    }
}

/// The hunks that lead from `a` to `b`, with `context` lines around them; no file names.
pub fn unified(a: &str, b: &str, context: usize) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (a.split('\n').collect(), b.split('\n').collect());
    let mut out = String::new();
    for group in groups(Matcher::new(&a, &b).stretches(), context) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let _ = writeln!(out, "@@ -{} +{} @@", range(first.a.0, last.a.1), range(first.b.0, last.b.1));
        for stretch in &group {
            let mut lines = |mark: char, lines: &[&str]| lines.iter().for_each(|line| out.push_str(&format!("{mark}{line}\n")));
            if stretch.equal {
                lines(' ', &a[stretch.a.0..stretch.a.1]);
            } else {
                lines('-', &a[stretch.a.0..stretch.a.1]);
                lines('+', &b[stretch.b.0..stretch.b.1]);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hunks_are_difflibs() {
        let a = "1\n2\n3\n4\n5\n6\n7\n8\n9";
        assert_eq!(unified(a, "1\n2\n3\n4\nx\n6\n7\n8\n9", 3), "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n");
        assert_eq!(unified(a, a, 3), "");
        assert_eq!(unified("a", "a\nb", 3), "@@ -1 +1,2 @@\n a\n+b\n");
        let far = "0\n2\n3\n4\n5\n6\n7\n8\nx";
        assert_eq!(unified(a, far, 1), "@@ -1,2 +1,2 @@\n-1\n+0\n 2\n@@ -8,2 +8,2 @@\n 8\n-9\n+x\n");
    }
}
