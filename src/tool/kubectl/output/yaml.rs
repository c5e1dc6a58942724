//! YAML text as kubectl writes it: block style, lists not indented, long plain and quoted texts folded at 80 columns.
//!
//! The rules for when a text needs quotes and which quotes are those of Go's yaml.v2, a YAML 1.1 library: `"on"`, `"1"`
//! and dates are double-quoted, texts with indicators single-quoted, texts with line feeds become block scalars.

use super::values::general;
use crate::object::{Json, Map};
use std::cmp::Ordering;

const WIDTH: usize = 80;

/// Appends `value` as one document.
pub fn write(value: &Json, out: &mut String) {
    let mut emitter = Emitter { out, column: 0, indent: None, whitespace: true, indention: true };
    emitter.node(value, Place::Root);
    if emitter.column > 0 {
        emitter.out.push('\n');
    }
}

/// What a node stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Sequence,
    Mapping,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

/// The state of libyaml's emitter that decides about line breaks and blanks.
struct Emitter<'a> {
    out: &'a mut String,
    column: usize,
    indent: Option<usize>,
    whitespace: bool,
    indention: bool,
}

impl Emitter<'_> {
    fn put(&mut self, c: char) {
        self.out.push(c);
        self.column = if c == '\n' { 0 } else { self.column + 1 };
    }

    fn indicator(&mut self, text: &str, after_blank: bool, is_blank: bool, is_indention: bool) {
        if after_blank && !self.whitespace {
            self.put(' ');
        }
        self.out.push_str(text);
        self.column += text.chars().count();
        self.whitespace = is_blank;
        self.indention = self.indention && is_indention;
    }

    fn write_indent(&mut self) {
        let indent = self.indent.unwrap_or(0);
        if !self.indention || self.column > indent || (self.column == indent && !self.whitespace) {
            self.put('\n');
        }
        while self.column < indent {
            self.put(' ');
        }
        self.whitespace = true;
        self.indention = true;
    }

    fn deeper(&self, flow: bool, same: bool) -> Option<usize> {
        match self.indent {
            None => Some(if flow { 2 } else { 0 }),
            Some(indent) => Some(if same { indent } else { indent + 2 }),
        }
    }

    fn node(&mut self, value: &Json, place: Place) {
        match value {
            Json::Obj(map) if map.is_empty() => self.indicator("{}", true, false, false),
            Json::Arr(items) if items.is_empty() => self.indicator("[]", true, false, false),
            Json::Obj(map) => self.mapping(map),
            Json::Arr(items) => self.sequence(items, place),
            Json::Null => self.bare("null"),
            Json::Bool(b) => self.bare(if *b { "true" } else { "false" }),
            Json::Int(n) => self.bare(&n.to_string()),
            Json::Float(x) => self.bare(&float(*x)),
            Json::Str(text) => self.scalar(text, false),
        }
    }

    fn mapping(&mut self, map: &Map) {
        let outer = self.indent;
        self.indent = self.deeper(false, false);
        let mut entries: Vec<_> = map.iter().collect();
        if !entries.is_sorted_by(|a, b| key_order(a.0, b.0) != Ordering::Greater) {
            entries.sort_by(|a, b| key_order(a.0, b.0));
        }
        for (key, value) in entries {
            self.write_indent();
            if key.contains(is_break) || key.len() > 128 {
                self.indicator("?", true, false, true);
                self.scalar(key, false);
                self.write_indent();
                self.indicator(":", true, false, true);
            } else {
                self.scalar(key, true);
                self.indicator(":", false, false, false);
            }
            self.node(value, Place::Mapping);
        }
        self.indent = outer;
    }

    fn sequence(&mut self, items: &[Json], place: Place) {
        let outer = self.indent;
        self.indent = self.deeper(false, place == Place::Mapping && !self.indention);
        for item in items {
            self.write_indent();
            self.indicator("-", true, false, true);
            self.node(item, Place::Sequence);
        }
        self.indent = outer;
    }

    fn bare(&mut self, text: &str) {
        if !self.whitespace {
            self.put(' ');
        }
        self.out.push_str(text);
        self.column += text.len();
        self.whitespace = false;
        self.indention = false;
    }

    fn scalar(&mut self, text: &str, key: bool) {
        let style = style_of(text, key);
        let outer = self.indent;
        self.indent = self.deeper(true, false);
        match style {
            Style::Plain => self.plain(text, !key),
            Style::Single => self.single(text, !key),
            Style::Double => self.double(text, !key),
            Style::Literal => self.literal(text),
        }
        self.indent = outer;
    }

    /// Breaks the line instead of writing a blank, when the line is long enough and the next character is no blank.
    fn fold(&mut self, text: &str, at: usize, allowed: bool) -> bool {
        let fold = allowed && self.column > WIDTH && !text[at + 1..].starts_with(' ');
        if fold {
            self.write_indent();
        } else {
            self.put(' ');
        }
        fold
    }

    fn plain(&mut self, text: &str, breaks: bool) {
        if !self.whitespace {
            self.put(' ');
        }
        let mut spaces = false;
        for (at, c) in text.char_indices() {
            if c == ' ' {
                self.fold(text, at, breaks && !spaces);
                spaces = true;
            } else {
                self.put(c);
                spaces = false;
                self.indention = false;
            }
        }
        self.whitespace = false;
        self.indention = false;
    }

    fn single(&mut self, text: &str, breaks: bool) {
        self.indicator("'", true, false, false);
        let mut spaces = false;
        for (at, c) in text.char_indices() {
            if c == ' ' {
                self.fold(text, at, breaks && !spaces && at > 0 && at + 1 < text.len());
                spaces = true;
                continue;
            }
            if c == '\'' {
                self.put('\'');
            }
            self.put(c);
            spaces = false;
            self.indention = false;
        }
        self.indicator("'", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    fn double(&mut self, text: &str, breaks: bool) {
        self.indicator("\"", true, false, false);
        let mut spaces = false;
        let all = text.starts_with('\u{feff}');
        for (at, c) in text.char_indices() {
            if all || !printable(c) || is_break(c) || c == '"' || c == '\\' {
                let escape = escaped(c);
                self.out.push_str(&escape);
                self.column += escape.len();
                spaces = false;
            } else if c == ' ' {
                if breaks && !spaces && self.column > WIDTH && at > 0 && at + 1 < text.len() {
                    self.write_indent();
                    if text[at + 1..].starts_with(' ') {
                        self.put('\\');
                    }
                } else {
                    self.put(' ');
                }
                spaces = true;
            } else {
                self.put(c);
                spaces = false;
            }
        }
        self.indicator("\"", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    fn literal(&mut self, text: &str) {
        self.indicator("|", true, false, false);
        if text.starts_with([' ', '\n']) {
            self.indicator("2", false, false, false);
        }
        let bare = text.trim_end_matches('\n');
        match text.len() - bare.len() {
            0 => self.indicator("-", false, false, false),
            1 if !bare.is_empty() => {}
            _ => self.indicator("+", false, false, false),
        }
        self.put('\n');
        self.indention = true;
        self.whitespace = true;
        let mut breaks = true;
        for c in text.chars() {
            if is_break(c) {
                self.put('\n');
                self.indention = true;
                breaks = true;
            } else {
                if breaks {
                    self.write_indent();
                }
                self.put(c);
                self.indention = false;
                breaks = false;
            }
        }
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What YAML 1.1 may print as it is, by yaml.v2's table (a tab may not).
fn printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

fn escaped(c: char) -> String {
    let named = match c {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        c if (c as u32) <= 0xff => return format!("\\x{:02X}", c as u32),
        c if (c as u32) <= 0xffff => return format!("\\u{:04X}", c as u32),
        c => return format!("\\U{:08X}", c as u32),
    };
    format!("\\{named}")
}

/// What about a text decides how it can be written.
#[derive(Default)]
struct Shape {
    plain: bool,
    single: bool,
    block: bool,
}

fn shape(text: &str) -> Shape {
    if text.is_empty() {
        return Shape { plain: true, single: true, block: false };
    }
    let mut shape = Shape { plain: !text.starts_with("---") && !text.starts_with("..."), single: true, block: true };
    let (mut previous_space, mut previous_break, mut after_blank) = (false, false, true);
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, c)| *c);
        let before_blank = next.is_none_or(|n| n == ' ' || n == '\t');
        let first_indicator = matches!(c, '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`');
        let indicator = match c {
            _ if at == 0 && first_indicator => true,
            '?' | '-' if at == 0 => before_blank,
            ':' => before_blank,
            '#' => after_blank,
            _ => false,
        };
        shape.plain &= !indicator;
        if !printable(c) || c == '\u{feff}' {
            shape = Shape::default();
        }
        if c == ' ' {
            shape.plain &= at > 0 && next.is_some();
            shape.block &= next.is_some();
            if previous_break {
                shape.plain = false;
                shape.single = false;
            }
        } else if is_break(c) {
            shape.plain = false;
            if previous_space {
                shape = Shape::default();
            }
        }
        previous_space = c == ' ';
        previous_break = is_break(c);
        after_blank = c == ' ' || c == '\t' || is_break(c);
    }
    shape
}

fn style_of(text: &str, key: bool) -> Style {
    let shape = shape(text);
    let multiline = text.contains(is_break);
    if text.contains('\n') {
        return if shape.block && !key { Style::Literal } else { Style::Double };
    }
    if !resolves_to_text(text) || (key && multiline) {
        return Style::Double;
    }
    match shape {
        Shape { plain: true, .. } => Style::Plain,
        Shape { single: true, .. } => Style::Single,
        _ => Style::Double,
    }
}

/// Whether a plain scalar would be read back as a text.
fn resolves_to_text(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    match first {
        'y' | 'Y' | 'n' | 'N' | 't' | 'T' | 'f' | 'F' | 'o' | 'O' | '~' => !matches!(
            text,
            "y" | "Y"
                | "yes"
                | "Yes"
                | "YES"
                | "true"
                | "True"
                | "TRUE"
                | "on"
                | "On"
                | "ON"
                | "n"
                | "N"
                | "no"
                | "No"
                | "NO"
                | "false"
                | "False"
                | "FALSE"
                | "off"
                | "Off"
                | "OFF"
                | "~"
                | "null"
                | "Null"
                | "NULL"
        ),
        '.' => !matches!(text, ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF") && !is_float(text),
        '+' | '-' | '0'..='9' => {
            let infinite = matches!(text, "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF");
            let plain = text.replace('_', "");
            !infinite && !is_timestamp(text) && !is_int(&plain) && !is_float(&plain) && !is_base60(text)
        }
        _ => true,
    }
}

fn is_int(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    let Ok(value) = u128::from_str_radix(body, radix) else { return false };
    if body.starts_with('+') {
        return false;
    }
    match text.chars().next() {
        Some('-') => value <= 1 << 63,
        Some('+') => value < 1 << 63,
        _ => value < 1 << 64,
    }
}

/// yaml.v2's pattern for floats: digits, perhaps a fraction, perhaps an exponent.
fn is_float(text: &str) -> bool {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = body.split_once(['e', 'E']).map_or((body, None), |(m, e)| (m, Some(e)));
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    let exponent_fits = exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)));
    mantissa_fits && exponent_fits && body.parse::<f64>().is_ok_and(f64::is_finite)
}

fn is_base60(text: &str) -> bool {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = body.split(':');
    let head = parts.next().unwrap_or("");
    let fits_head = head.starts_with(|c: char| c.is_ascii_digit()) && head.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let rest: Vec<&str> = parts.collect();
    let Some((last, middle)) = rest.split_last() else { return false };
    let sixty = |t: &str| match t.as_bytes() {
        [a] => a.is_ascii_digit(),
        [a, b] => (b'0'..=b'5').contains(a) && b.is_ascii_digit(),
        _ => false,
    };
    let (whole, fraction) = last.split_once('.').map_or((*last, ""), |(w, f)| (w, f));
    fits_head && middle.iter().all(|t| sixty(t)) && sixty(whole) && fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_')
}

/// Whether yaml.v2 takes the text for a date or a time.
fn is_timestamp(text: &str) -> bool {
    let Some((date, rest)) = text.split_at_checked(text.find(['T', 't', ' ']).unwrap_or(text.len())) else { return false };
    let fields: Vec<&str> = date.split('-').collect();
    let [year, month, day] = fields.as_slice() else { return false };
    let number = |t: &str, longest: usize| {
        let fits = !t.is_empty() && t.len() <= longest && t.bytes().all(|b| b.is_ascii_digit());
        if fits { t.parse::<i16>().ok() } else { None }
    };
    let (Some(y), Some(m), Some(d)) = (number(year, 4), number(month, 2), number(day, 2)) else { return false };
    let (Ok(m), Ok(d)) = (i8::try_from(m), i8::try_from(d)) else { return false };
    if year.len() != 4 || jiff::civil::Date::new(y, m, d).is_err() {
        return false;
    }
    let Some(separator) = rest.chars().next() else { return true };
    let time = &rest[1..];
    let Some(end) = time.find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.').or(Some(time.len())) else { return false };
    let (clock, zone) = time.split_at(end);
    let zone_fits = match separator {
        ' ' => zone.is_empty(),
        _ => zone == "Z" || is_zone(zone),
    };
    let parts: Vec<&str> = clock.split(':').collect();
    let [hour, minute, second] = parts.as_slice() else { return false };
    let (second, fraction) = second.split_once('.').unwrap_or((second, "0"));
    let below = |t: &str, limit: i16| number(t, 2).is_some_and(|n| n < limit);
    zone_fits && below(hour, 24) && below(minute, 60) && below(second, 60) && !fraction.is_empty() && !fraction.contains('.')
}

fn is_zone(zone: &str) -> bool {
    let bytes = zone.as_bytes();
    matches!(bytes, [b'+' | b'-', a, b, b':', c, d] if [a, b, c, d].iter().all(|x| x.is_ascii_digit()))
}

fn float(x: f64) -> String {
    match x {
        x if x.is_nan() => ".nan".to_owned(),
        f64::INFINITY => ".inf".to_owned(),
        f64::NEG_INFINITY => "-.inf".to_owned(),
        x => general(x),
    }
}

/// The order in which yaml.v2 writes keys: numbers in texts by value, letters after everything else.
fn key_order(a: &str, b: &str) -> Ordering {
    let (left, right): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    for (i, (&ca, &cb)) in left.iter().zip(&right).enumerate() {
        if ca == cb {
            continue;
        }
        match (ca.is_alphabetic(), cb.is_alphabetic()) {
            (true, true) => return ca.cmp(&cb),
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            (false, false) => return digit_order(&left, &right, i),
        }
    }
    left.len().cmp(&right.len())
}

fn digit_order(left: &[char], right: &[char], i: usize) -> Ordering {
    let zero = left[i] == '0' || right[i] == '0';
    let before = left[..i].iter().rev().take_while(|c| c.is_numeric());
    let start = i64::from(zero && before.into_iter().any(|c| *c != '0'));
    let number = |text: &[char]| {
        let digits = text[i..].iter().take_while(|c| c.is_ascii_digit());
        digits.fold((start, 0usize), |(n, len), c| (n.wrapping_mul(10).wrapping_add(i64::from(*c as u32) - 48), len + 1))
    };
    let (a, b) = (number(left), number(right));
    a.0.cmp(&b.0).then(a.1.cmp(&b.1)).then(left[i].cmp(&right[i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, yaml: &str) {
        let mut out = String::new();
        write(&Json::parse(json).expect("json"), &mut out);
        assert_eq!(out, yaml, "{json}");
    }

    #[test]
    fn lays_out_maps_and_lists() {
        check(
            r#"{"metadata":{"labels":{"b":"x","a":"y"},"name":"n"},"list":[{"x":1,"y":[1,2]},[["a"],{}],[]],"empty":{},"nil":null}"#,
            "empty: {}\nlist:\n- x: 1\n  \"y\":\n  - 1\n  - 2\n- - - a\n  - {}\n- []\nmetadata:\n  labels:\n    a: \"y\"\n    b: x\n  name: \"n\"\nnil: null\n",
        );
        check(r#"["a",{"b":1}]"#, "- a\n- b: 1\n");
        check(r#""plain""#, "plain\n");
        check("3", "3\n");
    }

    #[test]
    fn quotes_what_would_be_read_as_something_else() {
        for text in [
            "1",
            "1.5",
            "1e3",
            "0x1F",
            "0755",
            "1_000",
            "true",
            "off",
            "y",
            "null",
            "~",
            "",
            "2024-01-02",
            "2024-01-02T03:04:05Z",
            "1:30",
            ".5",
            "08",
        ] {
            check(&format!("{{\"k\":\"{text}\"}}"), &format!("k: \"{text}\"\n"));
        }
        for text in [
            "1.2.3",
            "10.0.0.1",
            "1a",
            "100m",
            "2024-13-01",
            "yes sir",
            "a:b",
            "a#b",
            "-x",
            "?x",
            "=",
            "k8s.io/x",
            "1:99",
            "0.0.0.0/0",
            "-",
        ] {
            let quoted = if text == "-" { "'-'".to_owned() } else { text.to_owned() };
            check(&format!("{{\"k\":\"{text}\"}}"), &format!("k: {quoted}\n"));
        }
        for text in ["a: b", "a #b", "*", "@x", "[x]", "{x", "- x", " x", "x ", "x:", "%x", "`x"] {
            check(&format!("{{\"k\":\"{text}\"}}"), &format!("k: '{text}'\n"));
        }
        check(r#"{"k":"it's: so"}"#, "k: 'it''s: so'\n");
        check(r#"{"k":"a\tb"}"#, "k: \"a\\tb\"\n");
        check(r#"{"k":"\u00e9\ud83d\ude00"}"#, "k: \"é\\U0001F600\"\n");
        check("{\"k\":[0.5,1000000.0,100000.0,1e-5,12345678.9]}", "k:\n- 0.5\n- 1e+06\n- 100000\n- 1e-05\n- 1.23456789e+07\n");
    }

    #[test]
    fn writes_block_scalars() {
        check(r#"{"k":"a\nb\n"}"#, "k: |\n  a\n  b\n");
        check(r#"{"k":"a\n\n b"}"#, "k: |-\n  a\n\n   b\n");
        check(r#"{"k":"a\n\n"}"#, "k: |+\n  a\n\n");
        check(r#"{"k":" a\nb\n","l":1}"#, "k: |2\n   a\n  b\nl: 1\n");
        check(r#"{"k":"a \nb"}"#, "k: \"a \\nb\"\n");
        check(r#"{"x":{"y":["a\nb\n"]}}"#, "x:\n  \"y\":\n  - |\n    a\n    b\n");
    }

    #[test]
    fn folds_long_lines() {
        let words = "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: 3 No preemption victims found.";
        check(
            &format!("{{\"status\":{{\"message\":\"{words}\"}}}}"),
            "status:\n  message: '0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are\n    available: 3 No preemption victims found.'\n",
        );
    }

    #[test]
    fn orders_keys_as_people_count() {
        check(r#"{"a10":1,"a2":1,"ab":1,"a-b":1,"a":1}"#, "a: 1\na-b: 1\na2: 1\na10: 1\nab: 1\n");
    }
}
