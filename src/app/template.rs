//! Templates of texts and of log lines.
//!
//! `{name}` in a text stands for a value; braces around anything but a name that begins with a small letter are themselves, so JSON needs no
//! escaping. A [`LogLine`] is a template in one of the formats that the programs write.

use crate::time::SimTime;
use arcstr::ArcStr;

/// A text with places for values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(ArcStr),
    Value(ArcStr),
}

impl Template {
    /// Reads a text. Never fails: what is no place for a value is text.
    ///
    /// ```
    /// use aiopslab::app::Template;
    /// let t = Template::parse(r#"{"url": "{mongo}"}"#);
    /// assert_eq!(t.fill(&|name| (name == "mongo").then(|| "mongodb-geo:27017".into())), r#"{"url": "mongodb-geo:27017"}"#);
    /// ```
    pub fn parse(text: &str) -> Template {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            let (before, from) = rest.split_at(at);
            plain.push_str(before);
            match place(from) {
                Some(name) => {
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain).into()));
                    }
                    parts.push(Part::Value(name.into()));
                    rest = &from[name.len() + 2..];
                }
                None => {
                    plain.push('{');
                    rest = &from[1..];
                }
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain.into()));
        }
        Template(parts)
    }

    /// The names of the values.
    pub fn names(&self) -> impl Iterator<Item = &ArcStr> {
        self.0.iter().filter_map(|part| match part {
            Part::Value(name) => Some(name),
            Part::Text(_) => None,
        })
    }

    /// The text with its values; a value that is not known is left empty.
    pub fn fill(&self, value: &dyn Fn(&str) -> Option<ArcStr>) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Value(name) => out.push_str(&value(name).unwrap_or_default()),
            }
        }
        out
    }
}

/// The name in `{name}` at the start of `text`.
fn place(text: &str) -> Option<&str> {
    let name = &text[1..text[1..].find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.')))? + 1];
    (name.starts_with(|c: char| c.is_ascii_lowercase()) && text[1 + name.len()..].starts_with('}')).then_some(name)
}

/// How a program lays out its log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// As it is; `{time}` and its kin may stand in it.
    #[default]
    Plain,
    /// zerolog's console writer with colours: `LEVEL FILE:LINE > MESSAGE`.
    Zerolog,
    /// zerolog's JSON: `LEVEL MESSAGE`.
    ZerologJson,
    /// Go's standard logger: `2006/01/02 15:04:05 MESSAGE`.
    GoStandard,
    /// Boost.Log as DeathStarBench sets it up: `LEVEL (FILE:LINE:FUNCTION) MESSAGE`.
    Boost,
}

/// One line (or several, with line feeds in it) that a program writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    format: LogFormat,
    template: Template,
}

impl LogLine {
    /// A line in a format.
    pub fn new(format: LogFormat, text: &str) -> LogLine {
        LogLine { format, template: Template::parse(text) }
    }

    /// The names of the values in it, those of the clock left out.
    pub fn names(&self) -> impl Iterator<Item = &ArcStr> {
        self.template.names().filter(|name| clock(name, SimTime::ZERO).is_none())
    }

    /// The line as written at `now`. Texts of several lines keep their line feeds; the last has none.
    pub fn render(&self, now: SimTime, value: &dyn Fn(&str) -> Option<ArcStr>) -> String {
        let text = self.template.fill(&|name| clock(name, now).or_else(|| value(name)));
        match self.format {
            LogFormat::Plain => text,
            LogFormat::Zerolog => zerolog(&text, now),
            LogFormat::ZerologJson => zerolog_json(&text, now),
            LogFormat::Boost => boost(&text, now),
            LogFormat::GoStandard => format!("{} {text}", now.timestamp().strftime("%Y/%m/%d %H:%M:%S")),
        }
    }
}

/// Values that only depend on the time.
fn clock(name: &str, now: SimTime) -> Option<ArcStr> {
    let stamp = || now.timestamp();
    Some(match name {
        "time" => now.rfc3339().into(),
        "time_milli" => format!("{:.3}", stamp()).into(),
        "time_offset" => stamp().strftime("%Y-%m-%dT%H:%M:%S.%3f+00:00").to_string().into(),
        "time_unix" => format!("{}.{:06}", now.as_secs(), now.as_nanos() % 1_000_000_000 / 1000).into(),
        "time_go" => stamp().strftime("%Y/%m/%d %H:%M:%S").to_string().into(),
        "time_slash" => stamp().strftime("%Y/%m/%d %H:%M:%S").to_string().into(),
        "time_pg" => stamp().strftime("%Y-%m-%d %H:%M:%S.%3f").to_string().into(),
        "time_c" => stamp().strftime("%a %b %e %H:%M:%S %Y").to_string().into(),
        "time_boost" => stamp().strftime("%Y-%b-%d %H:%M:%S.%6f").to_string().into(),
        "time_redis" => stamp().strftime("%d %b %Y %H:%M:%S.%3f").to_string().into(),
        _ => return None,
    })
}

/// `[2026-Sep-24 12:00:00.123456] <error>: (FILE:LINE:FUNCTION) MESSAGE`.
fn boost(text: &str, now: SimTime) -> String {
    let (level, rest) = text.split_once(' ').unwrap_or(("info", text));
    format!("[{}] <{level}>: {rest}", now.timestamp().strftime("%Y-%b-%d %H:%M:%S.%6f"))
}

/// Appends a level in the colour that zerolog's console writer gives it.
fn push_level(line: &mut String, level: &str) {
    let colour = match level {
        "TRC" => "34",
        "DBG" => return line.push_str(level),
        "INF" => "32",
        "WRN" => "33",
        "ERR" | "FTL" | "PNC" => "31",
        _ => "1",
    };
    ["\u{1b}[", colour, "m", level, "\u{1b}[0m"].iter().for_each(|part| line.push_str(part));
}

fn zerolog(text: &str, now: SimTime) -> String {
    let (head, message) = text.split_once(" > ").unwrap_or((text.trim_end_matches(" >"), ""));
    let (level, caller) = head.split_once(' ').unwrap_or(("INF", head));
    let mut line = String::with_capacity(text.len() + 80);
    ["\u{1b}[90m", &now.rfc3339(), "\u{1b}[0m "].iter().for_each(|part| line.push_str(part));
    push_level(&mut line, level);
    [" \u{1b}[1m", caller, "\u{1b}[0m\u{1b}[36m >\u{1b}[0m"].iter().for_each(|part| line.push_str(part));
    if !message.is_empty() {
        [" \u{1b}[1m", message, "\u{1b}[0m"].iter().for_each(|part| line.push_str(part));
    }
    line
}

fn zerolog_json(text: &str, now: SimTime) -> String {
    let (level, message) = text.split_once(' ').unwrap_or(("info", text));
    format!(r#"{{"level":{level:?},"time":"{}","message":{}}}"#, now.rfc3339(), crate::object::Json::from(message).to_compact())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_are_places() {
        let check = |text: &str, names: &[&str]| {
            let got: Vec<_> = Template::parse(text).names().map(|n| n.to_string()).collect();
            assert_eq!(got, names, "{text}");
        };
        check("{a} {b_c}{d}", &["a", "b_c", "d"]);
        check(r#"{"a":{},"b":{"c":"{d}"}}"#, &["d"]);
        check("{A} {1} {} { a } {a", &[]);
        check("{address.lon} {hotelId}", &["address.lon", "hotelId"]);
    }

    #[test]
    fn formats() {
        let now = SimTime::from_nanos(1_768_471_200_123_000_000);
        let check = |format: LogFormat, text: &str, expect: &str| {
            let got = LogLine::new(format, text).render(now, &|n| (n == "mongo").then(|| "mongodb-geo:27017".into()));
            assert_eq!(got, expect);
        };
        check(
            LogFormat::Zerolog,
            "INF cmd/geo/main.go:36 > Read database URL: {mongo}",
            "\u{1b}[90m2026-01-15T10:00:00Z\u{1b}[0m \u{1b}[32mINF\u{1b}[0m \u{1b}[1mcmd/geo/main.go:36\u{1b}[0m\u{1b}[36m >\u{1b}[0m \u{1b}[1mRead database URL: mongodb-geo:27017\u{1b}[0m",
        );
        check(
            LogFormat::ZerologJson,
            "info Tune: setGCPercent to 100",
            r#"{"level":"info","time":"2026-01-15T10:00:00Z","message":"Tune: setGCPercent to 100"}"#,
        );
        check(LogFormat::GoStandard, "grpc/lb/consul: x", "2026/01/15 10:00:00 grpc/lb/consul: x");
        check(
            LogFormat::Plain,
            "{time_milli} {time_unix} {time_offset}",
            "2026-01-15T10:00:00.123Z 1768471200.123000 2026-01-15T10:00:00.123+00:00",
        );
    }
}
