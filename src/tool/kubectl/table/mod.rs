//! The tables of `kubectl get`: which columns a kind has and what stands in them.
//!
//! A real kubectl lets the API server make these tables; here they are made from the objects, by the same rules. Cells are
//! appended to one text as they are computed, so that printing costs little more than the text itself.

mod cluster;
mod extension;
mod network;
mod pods;
mod policy;
mod storage;
mod workloads;

pub use cluster::{name_and_age, roles as node_roles};
pub use extension::of_definition;
pub use network::{host_port, load_balancer};
pub use pods::status as pod_status;
pub use storage::{access_modes, storage_class_of};

use super::output::tabs::{TABLE, align};
use super::output::terminal;
use crate::object::{Json, Object, ResourceType};
use crate::time::SimTime;
use std::fmt::Write;

/// A column's header; `wide` columns show with `-o wide` only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Header, in capitals.
    pub name: std::borrow::Cow<'static, str>,
    /// Whether it needs `-o wide`.
    pub wide: bool,
}

/// Fills the cells of one object's row, wide ones too when [`Cells::wide`] says so.
pub type Fill = fn(&Object, &mut Cells);

/// How a kind is printed.
#[derive(Debug, Clone)]
pub enum Layout {
    /// A built-in kind.
    BuiltIn {
        /// Headers; those that start with `*` are wide.
        columns: &'static [&'static str],
        /// The cells.
        fill: Fill,
    },
    /// A custom resource: its definition's printer columns.
    Custom(extension::Custom),
}

/// The cells of a table under construction.
#[derive(Debug)]
pub struct Cells {
    /// Present time, for ages.
    pub now: SimTime,
    /// Whether wide columns are wanted.
    pub wide: bool,
    /// `deployment.apps/`, when names show their kind.
    prefix: String,
    text: String,
    ends: Vec<usize>,
    tabs: bool,
}

impl Cells {
    /// Ends a cell whose text was appended by [`Cells::write`].
    pub fn end(&mut self) {
        let start = self.ends.last().copied().unwrap_or(0);
        let cell = &self.text[start..];
        if cell.bytes().any(|b| matches!(b, b'\n' | b'\r' | 0xc | 0x1b | b'\t' | 0xb)) {
            let cut = cell.find(['\n', '\r', '\u{c}']);
            let mut shown = terminal(&cell[..cut.unwrap_or(cell.len())]);
            if cut.is_some() {
                shown.push_str("...");
            }
            self.tabs |= shown.contains(['\t', '\u{b}']);
            self.text.truncate(start);
            self.text.push_str(&shown);
        }
        self.ends.push(self.text.len());
    }

    /// Appends to the present cell.
    pub fn write(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// One cell.
    pub fn text(&mut self, text: &str) {
        self.text.push_str(text);
        self.end();
    }

    /// One cell; `<none>` when empty.
    pub fn text_or_none(&mut self, text: &str) {
        self.text(if text.is_empty() { "<none>" } else { text });
    }

    /// One cell with a number.
    pub fn number(&mut self, n: i64) {
        let _ = write!(self.text, "{n}");
        self.end();
    }

    /// One cell, `a/b`.
    pub fn ratio(&mut self, a: i64, b: i64) {
        let _ = write!(self.text, "{a}/{b}");
        self.end();
    }

    /// The cell with the object's name.
    pub fn name(&mut self, object: &Object) {
        let Cells { text, prefix, .. } = self;
        text.push_str(prefix);
        text.push_str(object.name());
        self.end();
    }

    /// The cell with a name that differs from the object's.
    pub fn named(&mut self, name: &str) {
        let Cells { text, prefix, .. } = self;
        text.push_str(prefix);
        text.push_str(name);
        self.end();
    }

    /// One cell with the time since `at`.
    pub fn since(&mut self, at: &Json) {
        let Cells { text, now, .. } = self;
        write_age(at, *now, text);
        self.end();
    }

    /// The cell with the object's age.
    pub fn age(&mut self, object: &Object) {
        self.since(object.meta().get("creationTimestamp"));
    }

    /// Two wide cells: names and images of containers.
    pub fn containers(&mut self, containers: &Json) {
        for field in ["name", "image"] {
            for (at, container) in containers.items().iter().enumerate() {
                if at > 0 {
                    self.text.push(',');
                }
                self.text.push_str(container.get(field).text());
            }
            self.end();
        }
    }

    /// One cell with a map of labels: `a=b,c=d`, or `<none>`.
    pub fn labels(&mut self, labels: &Json) {
        let before = self.text.len();
        write_labels(labels, &mut self.text);
        if self.text.len() == before {
            self.text.push_str("<none>");
        }
        self.end();
    }

    /// One cell with a label selector in object form.
    pub fn selector(&mut self, selector: &Json) {
        self.text(&selector_text(selector));
    }

    /// One cell, `True` or `False`-like in Go's lower case.
    pub fn bool(&mut self, value: bool) {
        self.text(if value { "true" } else { "false" });
    }
}

/// `a=b,c=d`, sorted as texts: `a.b=c` stands before `a=b`.
pub fn write_labels(labels: &Json, out: &mut String) {
    let Some(map) = labels.as_map() else { return };
    let keys = || map.iter().map(|(key, _)| key.as_str());
    let nested = keys().zip(keys().skip(1)).any(|(a, b)| b.starts_with(a));
    let mut entries: Vec<(&str, &str)> = map.iter().map(|(key, value)| (key.as_str(), value.text())).collect();
    if nested {
        entries.sort_by(|a, b| a.0.bytes().chain([b'=']).cmp(b.0.bytes().chain([b'='])));
    }
    for (at, (key, value)) in entries.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(key);
        out.push('=');
        out.push_str(value);
    }
}

/// A label selector in object form as one line; `<none>` when it selects everything or is absent.
pub fn selector_text(selector: &Json) -> String {
    match crate::object::Selector::from_object(selector) {
        Ok(crate::object::Selector::Nothing) => "<none>".to_owned(),
        Ok(selector) if selector.is_everything() => "<none>".to_owned(),
        Ok(selector) => selector.to_string(),
        Err(_) => "<error>".to_owned(),
    }
}

/// The time since `at` in words; `<unknown>` when there is none.
pub fn age(at: &Json, now: SimTime) -> String {
    let mut out = String::new();
    write_age(at, now, &mut out);
    out
}

fn write_age(at: &Json, now: SimTime, out: &mut String) {
    match at.as_str().and_then(SimTime::parse_rfc3339) {
        Some(at) => write_human(seconds_between(at, now), out),
        None => out.push_str("<unknown>"),
    }
}

/// Whole seconds from `from` to `to`, rounded towards zero, as Go's `int(d.Seconds())`.
pub fn seconds_between(from: SimTime, to: SimTime) -> i64 {
    let nanos = i128::from(to.as_nanos()) - i128::from(from.as_nanos());
    i64::try_from(nanos / 1_000_000_000).unwrap_or(0)
}

/// A span of so many seconds in two or three digits: `43s`, `5m30s`, `3h`, `2d4h`.
pub fn human(seconds: i64) -> String {
    let mut out = String::new();
    write_human(seconds, &mut out);
    out
}

fn write_human(seconds: i64, out: &mut String) {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let mut two = |big: i64, unit: &str, small: i64, small_unit: &str| {
        let _ = write!(out, "{big}{unit}");
        if small != 0 {
            let _ = write!(out, "{small}{small_unit}");
        }
    };
    match seconds {
        i64::MIN..=-2 => out.push_str("<invalid>"),
        -1 => out.push_str("0s"),
        0..120 => two(seconds, "s", 0, ""),
        _ if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => two(minutes, "m", 0, ""),
        _ if hours < 8 => two(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => two(hours, "h", 0, ""),
        _ if hours < 24 * 8 => two(hours / 24, "d", hours % 24, "h"),
        _ if hours < 24 * 365 * 2 => two(hours / 24, "d", 0, ""),
        _ if hours < 24 * 365 * 8 => two(hours / 24 / 365, "y", hours / 24 % 365, "d"),
        _ => two(hours / 24 / 365, "y", 0, ""),
    }
}

/// What the flags ask of a table.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `-o wide`.
    pub wide: bool,
    /// Leave the header line out.
    pub no_headers: bool,
    /// Put a column with the namespace first.
    pub namespace: bool,
    /// Put the kind before names.
    pub kind: bool,
    /// `-L`: labels with columns of their own.
    pub label_columns: Vec<String>,
    /// `--show-labels`.
    pub show_labels: bool,
}

/// The layout of a built-in kind; of other kinds, names and creation times.
pub fn layout_of(resource: &ResourceType) -> Layout {
    let (columns, fill) = workloads::layout(resource)
        .or_else(|| network::layout(resource))
        .or_else(|| storage::layout(resource))
        .or_else(|| cluster::layout(resource))
        .or_else(|| policy::layout(resource))
        .unwrap_or((&["NAME", "CREATED AT"], created_at));
    Layout::BuiltIn { columns, fill }
}

fn created_at(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.text(object.meta().get("creationTimestamp").text());
}

/// Appends the table of `objects`; nothing when there are none.
pub fn print(resource: &ResourceType, layout: &Layout, objects: &[Object], options: &Options, now: SimTime, out: &mut String) {
    if objects.is_empty() {
        return;
    }
    let prefix = if options.kind { format!("{}/", kind_name(resource)) } else { String::new() };
    let columns = columns(layout, options);
    let mut cells = Cells {
        now,
        wide: options.wide,
        prefix,
        text: String::with_capacity(objects.len() * 96),
        ends: Vec::with_capacity((objects.len() + 1) * columns.len()),
        tabs: false,
    };
    if !options.no_headers {
        for column in &columns {
            cells.text(column);
        }
    }
    for object in objects {
        fill_row(layout, object, options, columns.len(), &mut cells);
    }
    write_aligned(&cells, columns.len(), out);
}

/// `deployment.apps`: the kind in lower case, with its group.
fn kind_name(resource: &ResourceType) -> String {
    let kind = resource.kind.to_lowercase();
    if resource.group.is_empty() { kind } else { format!("{kind}.{}", resource.group) }
}

fn columns(layout: &Layout, options: &Options) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    if options.namespace {
        names.push("NAMESPACE".to_owned());
    }
    match layout {
        Layout::BuiltIn { columns, .. } => {
            let shown = columns.iter().filter(|c| options.wide || !c.starts_with('*'));
            names.extend(shown.map(|c| c.trim_start_matches('*').to_owned()));
        }
        Layout::Custom(custom) => names.extend(custom.headers(options.wide)),
    }
    let last = |label: &String| label.rsplit('/').next().unwrap_or(label).to_uppercase();
    names.extend(options.label_columns.iter().map(last));
    if options.show_labels {
        names.push("LABELS".to_owned());
    }
    names
}

fn fill_row(layout: &Layout, object: &Object, options: &Options, width: usize, cells: &mut Cells) {
    let end = cells.ends.len() + width;
    if options.namespace {
        cells.text(object.namespace());
    }
    match layout {
        Layout::BuiltIn { fill, .. } => fill(object, cells),
        Layout::Custom(custom) => custom.fill(object, cells),
    }
    for label in &options.label_columns {
        cells.text(object.label(label).unwrap_or_default());
    }
    if options.show_labels {
        cells.labels(object.meta().get("labels"));
    }
    debug_assert_eq!(cells.ends.len(), end, "a row of another width than its header");
}

fn write_aligned(cells: &Cells, width: usize, out: &mut String) {
    if width < 2 || cells.tabs {
        return write_slowly(cells, width, out);
    }
    let ascii = cells.text.is_ascii();
    let mut widths = vec![TABLE.min_width; width];
    let mut start = 0;
    for (at, end) in cells.ends.iter().enumerate() {
        let length = if ascii { end - start } else { cells.text[start..*end].chars().count() };
        let column = &mut widths[at % width];
        *column = (*column).max(length + TABLE.padding);
        start = *end;
    }
    out.reserve(cells.ends.len() / width * (widths.iter().sum::<usize>() + 1));
    start = 0;
    for (at, end) in cells.ends.iter().enumerate() {
        let cell = &cells.text[start..*end];
        start = *end;
        out.push_str(cell);
        if at % width + 1 == width {
            out.push('\n');
            continue;
        }
        let length = if ascii { cell.len() } else { cell.chars().count() };
        let mut blanks = widths[at % width] - length;
        while blanks > 0 {
            let part = blanks.min(BLANKS.len());
            out.push_str(&BLANKS[..part]);
            blanks -= part;
        }
    }
}

const BLANKS: &str = "                                                                ";

/// For texts with tabs in them, which begin columns of their own.
fn write_slowly(cells: &Cells, width: usize, out: &mut String) {
    let mut text = String::new();
    let mut start = 0;
    for (at, end) in cells.ends.iter().enumerate() {
        text.push_str(&cells.text[start..*end]);
        text.push(if (at + 1) % width.max(1) == 0 { '\n' } else { '\t' });
        start = *end;
    }
    out.push_str(&align(&text, TABLE));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_spans_of_time() {
        let cases = [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (599, "9m59s"),
            (600, "10m"),
            (10799, "179m"),
            (10800, "3h"),
            (10860, "3h1m"),
            (28800, "8h"),
            (172_799, "47h"),
            (172_800, "2d"),
            (180_000, "2d2h"),
            (691_200, "8d"),
            (63_072_000, "2y"),
            (63_158_400, "2y1d"),
            (252_288_000, "8y"),
        ];
        for (seconds, text) in cases {
            assert_eq!(human(seconds), text, "{seconds}");
        }
    }
}
