//! The text of `diff -u`: which lines of two texts differ, in hunks with three lines of context.
//!
//! Pure functions. The choice between equally short edits is GNU diff's: lines that the other text lacks are set aside,
//! Myers' bidirectional search finds the rest, and each run of changes then slides down as far as it can.
//!
//! Not modelled: GNU diff's short cuts for large inputs, which give up on the shortest edit.

use std::collections::BTreeMap;

/// Lines of context around a change.
const CONTEXT: usize = 3;

/// The hunks that `diff -u` prints for two texts, without the two header lines; empty when they are equal.
pub fn hunks(old: &str, new: &str) -> String {
    let (old, new) = (lines(old), lines(new));
    let (deleted, inserted) = changes(&old, &new);
    let mut out = String::new();
    for group in groups(&edits(&deleted, &inserted)) {
        print_hunk(&mut out, &old, &new, group);
    }
    out
}

/// The lines of a text, each with its line feed.
fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// A maximal run of differing lines: `old[from.0..to.0]` became `new[from.1..to.1]`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Edit {
    from: (usize, usize),
    to: (usize, usize),
}

/// The runs of flagged lines of both sides, in order.
fn edits(deleted: &[bool], inserted: &[bool]) -> Vec<Edit> {
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    while i < deleted.len() || j < inserted.len() {
        let from = (i, j);
        i += run(deleted, i);
        j += run(inserted, j);
        if from != (i, j) {
            found.push(Edit { from, to: (i, j) });
        }
        i += 1;
        j += 1;
    }
    found
}

/// How many flags are set from `at` on without a gap.
fn run(flags: &[bool], at: usize) -> usize {
    flags.iter().skip(at).take_while(|flag| **flag).count()
}

/// Edits so near each other that their contexts touch belong to one hunk.
fn groups(edits: &[Edit]) -> Vec<&[Edit]> {
    let near = |a: &Edit, b: &Edit| b.from.0 - a.to.0 <= 2 * CONTEXT;
    edits.chunk_by(near).collect()
}

fn print_hunk(out: &mut String, old: &[&str], new: &[&str], edits: &[Edit]) {
    let (Some(first), Some(last)) = (edits.first(), edits.last()) else { return };
    let lead = CONTEXT.min(first.from.0);
    let tail = CONTEXT.min(old.len() - last.to.0);
    let (start_old, start_new) = (first.from.0 - lead, first.from.1 - lead);
    let (end_old, end_new) = (last.to.0 + tail, last.to.1 + tail);
    out.push_str(&format!("@@ -{} +{} @@\n", range(start_old, end_old), range(start_new, end_new)));
    let mut at = start_old;
    for edit in edits {
        print_lines(out, ' ', old.get(at..edit.from.0));
        print_lines(out, '-', old.get(edit.from.0..edit.to.0));
        print_lines(out, '+', new.get(edit.from.1..edit.to.1));
        at = edit.to.0;
    }
    print_lines(out, ' ', old.get(at..end_old));
}

fn print_lines(out: &mut String, mark: char, lines: Option<&[&str]>) {
    for line in lines.unwrap_or_default() {
        out.push(mark);
        out.push_str(line);
        if !line.ends_with('\n') {
            out.push_str("\n\\ No newline at end of file\n");
        }
    }
}

/// `start,count` with lines counted from one; an empty range names the line before it.
fn range(start: usize, end: usize) -> String {
    match end - start {
        0 => format!("{start},0"),
        1 => format!("{}", start + 1),
        count => format!("{},{count}", start + 1),
    }
}

/// Which lines of each side have no partner on the other.
fn changes(old: &[&str], new: &[&str]) -> (Vec<bool>, Vec<bool>) {
    let mut classes = BTreeMap::new();
    let mut number = |lines: &[&str]| -> Vec<usize> {
        lines
            .iter()
            .map(|line| {
                let next = classes.len();
                *classes.entry((*line).to_owned()).or_insert(next)
            })
            .collect()
    };
    let (old, new) = (number(old), number(new));
    let mut search = Search::new(&old, &new);
    search.compare((0, search.x.len()), (0, search.y.len()));
    let (mut deleted, mut inserted) = (search.deleted, search.inserted);
    slide(&old, &mut deleted, &inserted);
    slide(&new, &mut inserted, &deleted);
    (deleted, inserted)
}

/// Myers' search for the shortest edit, over the lines that occur on both sides.
struct Search {
    /// Kept lines of the old text: class of content and place.
    x: Vec<(usize, usize)>,
    /// Kept lines of the new text.
    y: Vec<(usize, usize)>,
    deleted: Vec<bool>,
    inserted: Vec<bool>,
    /// Furthest x on each diagonal from the start, and from the end.
    forward: Vec<isize>,
    backward: Vec<isize>,
}

impl Search {
    fn new(old: &[usize], new: &[usize]) -> Self {
        let keep = |own: &[usize], other: &[usize]| -> (Vec<(usize, usize)>, Vec<bool>) {
            let dropped: Vec<bool> = own.iter().map(|class| !other.contains(class)).collect();
            let kept = own.iter().copied().zip(0..).filter(|(class, _)| other.contains(class)).collect();
            (kept, dropped)
        };
        let ((x, deleted), (y, inserted)) = (keep(old, new), keep(new, old));
        let diagonals = x.len() + y.len() + 3;
        Search { x, y, deleted, inserted, forward: vec![0; diagonals], backward: vec![0; diagonals] }
    }

    fn same(&self, x: isize, y: isize) -> bool {
        let class = |side: &[(usize, usize)], at: isize| usize::try_from(at).ok().and_then(|at| side.get(at)).map(|l| l.0);
        class(&self.x, x).is_some() && class(&self.x, x) == class(&self.y, y)
    }

    /// Flags the lines of both ranges that are not part of a longest common sequence.
    fn compare(&mut self, (mut x0, mut x1): (usize, usize), (mut y0, mut y1): (usize, usize)) {
        while x0 < x1 && y0 < y1 && self.x[x0].0 == self.y[y0].0 {
            (x0, y0) = (x0 + 1, y0 + 1);
        }
        while x0 < x1 && y0 < y1 && self.x[x1 - 1].0 == self.y[y1 - 1].0 {
            (x1, y1) = (x1 - 1, y1 - 1);
        }
        if x0 == x1 {
            for (_, place) in &self.y[y0..y1] {
                self.inserted[*place] = true;
            }
        } else if y0 == y1 {
            for (_, place) in &self.x[x0..x1] {
                self.deleted[*place] = true;
            }
        } else {
            let (x, y) = self.middle((x0 as isize, x1 as isize), (y0 as isize, y1 as isize));
            self.compare((x0, x), (y0, y));
            self.compare((x, x1), (y, y1));
        }
    }

    /// A point that some shortest path through the ranges passes.
    fn middle(&mut self, x: (isize, isize), y: (isize, isize)) -> (usize, usize) {
        let zero = self.y.len() as isize + 1;
        let at = |diagonal: isize| (diagonal + zero) as usize;
        let (low, high) = (x.0 - y.1, x.1 - y.0);
        let (start, end) = (x.0 - y.0, x.1 - y.1);
        let odd = (start - end) % 2 != 0;
        let (mut f, mut b) = ((start, start), (end, end));
        self.forward[at(start)] = x.0;
        self.backward[at(end)] = x.1;
        loop {
            f = widen(f, (low, high), |diagonal| self.forward[at(diagonal)] = -1);
            for d in (f.0..=f.1).rev().step_by(2) {
                let (below, above) = (self.forward[at(d - 1)], self.forward[at(d + 1)]);
                let mut reach = if below < above { above } else { below + 1 };
                while reach < x.1 && reach - d < y.1 && self.same(reach, reach - d) {
                    reach += 1;
                }
                self.forward[at(d)] = reach;
                if odd && b.0 <= d && d <= b.1 && self.backward[at(d)] <= reach {
                    return (reach as usize, (reach - d) as usize);
                }
            }
            b = widen(b, (low, high), |diagonal| self.backward[at(diagonal)] = isize::MAX);
            for d in (b.0..=b.1).rev().step_by(2) {
                let (below, above) = (self.backward[at(d - 1)], self.backward[at(d + 1)]);
                let mut reach = if below < above { below } else { above - 1 };
                while x.0 < reach && y.0 < reach - d && self.same(reach - 1, reach - d - 1) {
                    reach -= 1;
                }
                self.backward[at(d)] = reach;
                if !odd && f.0 <= d && d <= f.1 && reach <= self.forward[at(d)] {
                    return (reach as usize, (reach - d) as usize);
                }
            }
        }
    }
}

/// One diagonal more on each side, or one less where the edge of the grid is reached.
fn widen((mut min, mut max): (isize, isize), (low, high): (isize, isize), mut clear: impl FnMut(isize)) -> (isize, isize) {
    if min > low {
        min -= 1;
        clear(min - 1);
    } else {
        min += 1;
    }
    if max < high {
        max += 1;
        clear(max + 1);
    } else {
        max -= 1;
    }
    (min, max)
}

/// Moves each run of changed lines as far down as its content allows, so that runs merge and insertions end a block; a run
/// that could stand beside a change of the other side stands there.
fn slide(lines: &[usize], changed: &mut [bool], other: &[bool]) {
    let flag = |flags: &[bool], at: usize| flags.get(at).copied().unwrap_or(false);
    let before = |flags: &[bool], at: usize| at > 0 && flag(flags, at - 1);
    let (mut i, mut j) = (0, 0);
    loop {
        while i < lines.len() && !changed[i] {
            j += run(other, j) + 1;
            i += 1;
        }
        if i == lines.len() {
            return;
        }
        let mut start = i;
        i += run(changed, i);
        j += run(other, j);
        let mut beside;
        loop {
            let length = i - start;
            while start > 0 && lines[start - 1] == lines[i - 1] {
                start -= 1;
                changed[start] = true;
                i -= 1;
                changed[i] = false;
                while before(changed, start) {
                    start -= 1;
                }
                j = back(other, j);
            }
            beside = if before(other, j) { i } else { lines.len() };
            while i < lines.len() && lines[start] == lines[i] {
                changed[start] = false;
                start += 1;
                changed[i] = true;
                i += 1;
                i += run(changed, i);
                j += 1;
                while flag(other, j) {
                    beside = i;
                    j += 1;
                }
            }
            if length == i - start {
                break;
            }
        }
        while beside < i {
            start -= 1;
            changed[start] = true;
            i -= 1;
            changed[i] = false;
            j = back(other, j);
        }
    }
}

/// One unchanged line back on the other side.
fn back(other: &[bool], mut j: usize) -> usize {
    loop {
        if j == 0 {
            return 0;
        }
        j -= 1;
        if !other.get(j).copied().unwrap_or(false) {
            return j;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(old: &str, new: &str, expect: &str) {
        assert_eq!(hunks(old, new), expect);
    }

    /// Recorded from GNU diff 3.8.
    #[test]
    fn prints_what_gnu_diff_prints() {
        check("a\n", "a\n", "");
        check("", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n");
        check("a\n", "", "@@ -1 +0,0 @@\n-a\n");
        check("a\nb\nc\n", "a\nx\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n");
        check("a", "b\n", "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n");
        check("k:\n- a\nk:\n- b\n", "k:\n- a\nk:\n- c\nk:\n- b\n", "@@ -1,4 +1,6 @@\n k:\n - a\n k:\n+- c\n+k:\n - b\n");
        let long: String = (0..30).map(|n| format!("{n}\n")).collect();
        let edited = long.replace("\n4\n", "\nfour\n").replace("\n25\n", "\n");
        check(&long, &edited, "@@ -2,7 +2,7 @@\n 1\n 2\n 3\n-4\n+four\n 5\n 6\n 7\n@@ -23,7 +23,6 @@\n 22\n 23\n 24\n-25\n 26\n 27\n 28\n");
    }
}
