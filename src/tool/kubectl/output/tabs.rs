//! Columns aligned by blanks, as Go's `text/tabwriter` aligns them.
//!
//! Cells end with a tab; what follows the last tab of a line belongs to no column. A column is a block of neighbouring lines
//! that have a cell there. kubectl's tables remember the widths of earlier blocks; `describe` does not.

/// How to align.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Narrowest column.
    pub min_width: usize,
    /// Blanks between columns.
    pub padding: usize,
    /// Whether a column stays as wide as it was in an earlier block.
    pub remember: bool,
}

/// Tables of `get`, `top`, `events`, `api-resources`.
pub const TABLE: Layout = Layout { min_width: 6, padding: 3, remember: true };
/// `describe`.
pub const DESCRIBE: Layout = Layout { min_width: 0, padding: 2, remember: false };

struct Line<'t> {
    cells: Vec<(&'t str, usize)>,
    ended: bool,
}

/// Aligns a text whose cells are separated by tabs.
pub fn align(text: &str, layout: Layout) -> String {
    let mut aligner = Aligner { layout, widths: Vec::new(), remembered: Vec::new(), out: String::with_capacity(text.len() * 2) };
    let mut lines: Vec<Line<'_>> = Vec::new();
    for raw in text.split_inclusive(['\n', '\u{c}']) {
        let body = raw.trim_end_matches(['\n', '\u{c}']);
        let ended = body.len() < raw.len();
        let cells: Vec<(&str, usize)> = body.split(['\t', '\u{b}']).map(|cell| (cell, cell.chars().count())).collect();
        let flush = cells.len() == 1 || raw.ends_with('\u{c}');
        lines.push(Line { cells, ended });
        if flush {
            aligner.format(&lines);
            lines.clear();
        }
    }
    aligner.format(&lines);
    aligner.out
}

struct Aligner {
    layout: Layout,
    widths: Vec<usize>,
    remembered: Vec<usize>,
    out: String,
}

impl Aligner {
    fn format(&mut self, lines: &[Line<'_>]) {
        let column = self.widths.len();
        let (mut done, mut at) = (0, 0);
        while at < lines.len() {
            if column + 1 >= lines[at].cells.len() {
                at += 1;
                continue;
            }
            self.write(&lines[done..at]);
            let end = lines[at..].iter().position(|line| column + 1 >= line.cells.len()).map_or(lines.len(), |n| at + n);
            let widest = lines[at..end].iter().map(|line| line.cells[column].1 + self.layout.padding).max().unwrap_or(0);
            let mut width = widest.max(self.layout.min_width);
            if self.layout.remember {
                width = self.recall(column, width);
            }
            self.widths.push(width);
            self.format(&lines[at..end]);
            self.widths.pop();
            done = end;
            at = end;
        }
        self.write(&lines[done..]);
    }

    fn recall(&mut self, column: usize, width: usize) -> usize {
        if self.remembered.len() < column {
            self.remembered.extend_from_slice(&self.widths[self.remembered.len()..column]);
        }
        match self.remembered.get_mut(column) {
            None => {
                self.remembered.push(width);
                width
            }
            Some(before) => {
                *before = width.max(*before);
                *before
            }
        }
    }

    fn write(&mut self, lines: &[Line<'_>]) {
        for line in lines {
            for (column, (cell, width)) in line.cells.iter().enumerate() {
                self.out.push_str(cell);
                for _ in *width..self.widths.get(column).copied().unwrap_or(0) {
                    self.out.push(' ');
                }
            }
            if line.ended {
                self.out.push('\n');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, layout: Layout, aligned: &str) {
        assert_eq!(align(text, layout), aligned);
    }

    #[test]
    fn aligns_columns() {
        check("NAME\tREADY\tAGE\nweb\t1/1\t5s\n", TABLE, "NAME   READY   AGE\nweb    1/1     5s\n");
        check("A\tB\tC\nx\ty\t\n", TABLE, "A     B     C\nx     y     \n");
        check("Name:\tx\nNamespace:\tshop\n", DESCRIBE, "Name:       x\nNamespace:  shop\n");
    }

    #[test]
    fn a_line_without_a_cell_ends_the_block() {
        check("Long name:\tx\nplain\nN:\ty\n", DESCRIBE, "Long name:  x\nplain\nN:  y\n");
        check("aaaaaaaaaa\tb\nplain\nc\td\n", TABLE, "aaaaaaaaaa   b\nplain\nc            d\n");
        check("a\tb\tc\nd\te\nffff\tgggg\th\n", DESCRIBE, "a     b  c\nd     e\nffff  gggg  h\n");
    }
}
