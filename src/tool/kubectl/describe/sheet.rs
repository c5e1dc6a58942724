//! The text of a description under construction: lines with tabs between names and values, aligned at the end.

use crate::object::{Json, Object};
use crate::time::SimTime;
use crate::tool::kubectl::events::interval;
use crate::tool::kubectl::output::sorting::{Swappable, sort};
use crate::tool::kubectl::output::tabs::{DESCRIBE, align};
use crate::tool::kubectl::output::terminal;
use std::fmt::{Display, Write};

/// Longer annotations get lines of their own and are cut.
const ANNOTATION_LEN_MAX: usize = 140;
const SKIPPED_ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A description under construction.
#[derive(Debug, Default)]
pub struct Sheet {
    text: String,
    /// Levels added to every line: a description within a description.
    nested: usize,
}

impl Sheet {
    /// The aligned text.
    pub fn finish(self) -> String {
        align(&terminal(&self.text), DESCRIBE)
    }

    /// The text with its tabs.
    pub fn unaligned(self) -> String {
        terminal(&self.text)
    }

    /// Appends without indentation.
    pub fn raw(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Appends with two blanks a level.
    pub fn part(&mut self, level: usize, text: impl Display) {
        for _ in 0..level + self.nested {
            self.text.push_str("  ");
        }
        let _ = write!(self.text, "{text}");
    }

    /// Appends a line.
    pub fn line(&mut self, level: usize, text: impl Display) {
        self.part(level, text);
        self.text.push('\n');
    }

    /// Appends `Name:` and a value.
    pub fn field(&mut self, level: usize, name: &str, value: impl Display) {
        self.part(level, name);
        let _ = writeln!(self.text, ":\t{value}");
    }

    /// Goes deeper by so many levels until [`Sheet::leave`].
    pub fn enter(&mut self, levels: usize) {
        self.nested += levels;
    }

    /// Comes back from [`Sheet::enter`].
    pub fn leave(&mut self, levels: usize) {
        self.nested = self.nested.saturating_sub(levels);
    }

    /// `Labels:` and one `key=value` a line.
    pub fn labels(&mut self, indent: &str, title: &str, labels: &Json) {
        self.part(0, format_args!("{indent}{title}:\t"));
        let mut any = false;
        for (key, value) in labels.entries() {
            if any {
                self.part(0, format_args!("{indent}\t"));
            }
            let _ = writeln!(self.text, "{key}={}", value.text());
            any = true;
        }
        if !any {
            self.text.push_str("<none>\n");
        }
    }

    /// `Annotations:` and one a line, long ones cut.
    pub fn annotations(&mut self, title: &str, annotations: &Json) {
        self.part(0, format_args!("{title}:\t"));
        let mut any = false;
        for (key, value) in annotations.entries().filter(|(key, _)| key.as_str() != SKIPPED_ANNOTATION) {
            if any {
                self.part(0, "\t");
            }
            any = true;
            let value = value.text().strip_suffix('\n').unwrap_or(value.text());
            if value.len() + key.len() + 2 <= ANNOTATION_LEN_MAX && !value.contains('\n') {
                let _ = writeln!(self.text, "{key}: {value}");
                continue;
            }
            let _ = writeln!(self.text, "{key}:");
            for line in value.split('\n') {
                let cut = shorten(line, ANNOTATION_LEN_MAX - 2);
                self.part(0, format_args!("\t  {cut}\n"));
            }
        }
        if !any {
            self.text.push_str("<none>\n");
        }
    }

    /// Name, namespace, labels and annotations.
    pub fn head(&mut self, object: &Object) {
        self.field(0, "Name", object.name());
        self.field(0, "Namespace", object.namespace());
        self.metadata(object);
    }

    /// Labels and annotations.
    pub fn metadata(&mut self, object: &Object) {
        self.labels("", "Labels", object.meta().get("labels"));
        self.annotations("Annotations", object.meta().get("annotations"));
    }

    /// A table of events in order of their last time.
    pub fn events(&mut self, events: Vec<Object>, now: SimTime) {
        if events.is_empty() {
            self.line(0, "Events:\t<none>");
            return;
        }
        self.line(0, "Events:\n  Type\tReason\tAge\tFrom\tMessage");
        self.line(1, "----\t------\t----\t----\t-------");
        for event in by_last_timestamp(events) {
            let component = event.get("source").get("component").text();
            let source = if component.is_empty() { event.get("reportingComponent").text() } else { component };
            let (kind, reason) = (event.get("type").text(), event.get("reason").text());
            let message = event.get("message").text().trim();
            self.line(1, format_args!("{kind}\t{reason}\t{}\t{source}\t{message}", interval(&event, now)));
        }
    }
}

struct ByLastTimestamp(Vec<(Option<SimTime>, Object)>);

impl Swappable for ByLastTimestamp {
    fn less(&self, a: usize, b: usize) -> bool {
        self.0[a].0 < self.0[b].0
    }
    fn swap(&mut self, a: usize, b: usize) {
        self.0.swap(a, b);
    }
}

fn by_last_timestamp(events: Vec<Object>) -> Vec<Object> {
    let time = |event: &Object| event.get("lastTimestamp").as_str().and_then(SimTime::parse_rfc3339);
    let mut timed = ByLastTimestamp(events.into_iter().map(|event| (time(&event), event)).collect());
    let count = timed.0.len();
    sort(&mut timed, count);
    timed.0.into_iter().map(|(_, event)| event).collect()
}

/// At most `limit` bytes of a text, with `...` when it was longer.
pub fn shorten(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", &text[..end])
}

/// `Mon, 02 Jan 2006 15:04:05 +0000`, as descriptions print times; Go's zero time when absent.
pub fn date(at: &Json) -> String {
    match at.as_str().and_then(SimTime::parse_rfc3339) {
        Some(at) => at.timestamp().strftime("%a, %d %b %Y %H:%M:%S +0000").to_string(),
        None => "Mon, 01 Jan 0001 00:00:00 +0000".to_owned(),
    }
}

/// `text`, or `<none>` when it is empty.
pub fn or_none(text: &str) -> &str {
    if text.is_empty() { "<none>" } else { text }
}

/// A value as Go's `%v`; an absent one as `absent`.
pub fn shown(value: &Json, absent: &str) -> String {
    match value {
        Json::Null => absent.to_owned(),
        Json::Str(text) => text.to_string(),
        other => crate::tool::kubectl::output::values::plain(other),
    }
}

/// The texts of an array, joined.
pub fn joined(items: &Json, separator: &str) -> String {
    items.items().iter().map(|item| shown(item, "")).collect::<Vec<_>>().join(separator)
}

/// `True`, `False`, or `<unset>`.
pub fn capital_bool(value: &Json) -> &'static str {
    match value.as_bool() {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    }
}

/// `a=b,c=d`, or `<none>`.
pub fn labels_line(labels: &Json) -> String {
    let mut out = String::new();
    crate::tool::kubectl::table::write_labels(labels, &mut out);
    or_none(&out).to_owned()
}
