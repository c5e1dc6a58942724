//! JSON text as Go's `encoding/json` writes it.

use crate::object::Json;
use std::fmt::Write;

/// Indented by four spaces, as `-o json` prints.
pub fn indented(value: &Json, out: &mut String) {
    write_value(value, Some(0), out);
}

/// Without white space.
pub fn compact(value: &Json, out: &mut String) {
    write_value(value, None, out);
}

/// The order of fields where Go writes a struct and not a map: for the object below each key (`""` for the whole), its fields.
/// Fields that are not listed follow in alphabetical order.
pub type FieldOrder = &'static [(&'static str, &'static [&'static str])];

/// Indented by `indent` spaces, with fields in the order of Go's structs.
pub fn ordered(value: &Json, order: FieldOrder, indent: usize, out: &mut String) {
    write_ordered(value, &Below { order, indent, depth: 0, key: "" }, out);
}

/// Where in a value [`ordered`] is.
struct Below<'k> {
    order: FieldOrder,
    indent: usize,
    depth: usize,
    key: &'k str,
}

impl<'k> Below<'k> {
    fn deeper(&self, key: &'k str) -> Below<'k> {
        Below { depth: self.depth + 1, key, ..*self }
    }

    fn line(&self, depth: usize, out: &mut String) {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', depth * self.indent));
    }
}

fn write_ordered(value: &Json, at: &Below<'_>, out: &mut String) {
    let mut first = true;
    let mut separate = |out: &mut String| {
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        at.line(at.depth + 1, out);
    };
    match value {
        Json::Arr(items) if !items.is_empty() => {
            out.push('[');
            for item in items.iter() {
                separate(out);
                write_ordered(item, &at.deeper(at.key), out);
            }
            at.line(at.depth, out);
            out.push(']');
        }
        Json::Obj(map) if !map.is_empty() => {
            let fields = at.order.iter().find(|(key, _)| *key == at.key).map_or(&[][..], |(_, fields)| fields);
            let rank = |key: &str| fields.iter().position(|field| *field == key).unwrap_or(fields.len());
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| rank(key));
            out.push('{');
            for (key, item) in entries {
                separate(out);
                string(key, out);
                out.push_str(": ");
                write_ordered(item, &at.deeper(key), out);
            }
            at.line(at.depth, out);
            out.push('}');
        }
        plain => write_value(plain, None, out),
    }
}

fn line(depth: usize, out: &mut String) {
    out.push('\n');
    for _ in 0..depth {
        out.push_str("    ");
    }
}

fn write_value(value: &Json, depth: Option<usize>, out: &mut String) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Json::Int(n) => {
            let _ = write!(out, "{n}");
        }
        Json::Float(x) => float(*x, out),
        Json::Str(text) => string(text, out),
        Json::Arr(items) if items.is_empty() => out.push_str("[]"),
        Json::Obj(map) if map.is_empty() => out.push_str("{}"),
        Json::Arr(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                separate(at, depth, out);
                write_value(item, depth.map(|d| d + 1), out);
            }
            close(']', depth, out);
        }
        Json::Obj(map) => {
            out.push('{');
            for (at, (key, item)) in map.iter().enumerate() {
                separate(at, depth, out);
                string(key, out);
                out.push_str(if depth.is_some() { ": " } else { ":" });
                write_value(item, depth.map(|d| d + 1), out);
            }
            close('}', depth, out);
        }
    }
}

fn separate(at: usize, depth: Option<usize>, out: &mut String) {
    if at > 0 {
        out.push(',');
    }
    if let Some(depth) = depth {
        line(depth + 1, out);
    }
}

fn close(bracket: char, depth: Option<usize>, out: &mut String) {
    if let Some(depth) = depth {
        line(depth, out);
    }
    out.push(bracket);
}

/// A text in quotes; `<`, `>`, `&` and line separators are escaped, as Go does for HTML's sake.
pub fn string(text: &str, out: &mut String) {
    out.push('"');
    let mut plain = 0;
    for (at, c) in text.char_indices() {
        let escape = match c {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => "",
            _ => continue,
        };
        out.push_str(&text[plain..at]);
        plain = at + c.len_utf8();
        if escape.is_empty() {
            let _ = write!(out, "\\u{:04x}", c as u32);
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// A float as `encoding/json` writes it: shortest digits, an exponent only far from one.
fn float(x: f64, out: &mut String) {
    let size = x.abs();
    if x != 0.0 && !(1e-6..1e21).contains(&size) {
        out.push_str(&exponential(x, 1));
    } else {
        let _ = write!(out, "{x}");
    }
}

/// `1e+06`: shortest digits and an exponent of at least `digits` digits, signed.
pub fn exponential(x: f64, digits: usize) -> String {
    let text = format!("{x:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, number) = exponent.strip_prefix('-').map_or(('+', exponent), |number| ('-', number));
    format!("{mantissa}e{sign}{number:0>digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, pretty: &str) {
        let mut out = String::new();
        indented(&Json::parse(text).expect("json"), &mut out);
        assert_eq!(out, pretty);
    }

    #[test]
    fn writes_as_go_does() {
        check("{}", "{}");
        check(
            "{\"b\":[1,{\"x\":null}],\"a\":\"<a&b>\\u0001\\n\",\"c\":[]}",
            "{\n    \"a\": \"\\u003ca\\u0026b\\u003e\\u0001\\n\",\n    \"b\": [\n        1,\n        {\n            \"x\": null\n        }\n    ],\n    \"c\": []\n}",
        );
        check("[0.5,1e21,1e-7,3.0,true]", "[\n    0.5,\n    1e+21,\n    1e-7,\n    3,\n    true\n]");
    }
}
