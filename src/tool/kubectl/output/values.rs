//! Values as Go's `fmt` prints them: `%v`, `%#v` and the `%g` of floats.

use super::json::exponential;
use crate::object::Json;
use crate::tool::kubectl::failure::quote;
use std::fmt::Write;

/// A float as Go's `%v` and `%g` with the shortest digits: with an exponent below 1e-4 and from 1e6 on.
pub fn general(x: f64) -> String {
    let exponent: i32 = format!("{x:e}").split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    if x != 0.0 && !(-4..6).contains(&exponent) { exponential(x, 2) } else { format!("{x}") }
}

/// A value as `%v` prints it: `map[a:1 b:[x y]]`, `<nil>`.
pub fn plain(value: &Json) -> String {
    let mut out = String::new();
    write_plain(value, &mut out);
    out
}

fn write_plain(value: &Json, out: &mut String) {
    match value {
        Json::Null => out.push_str("<nil>"),
        Json::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Json::Int(n) => {
            let _ = write!(out, "{n}");
        }
        Json::Float(x) => out.push_str(&general(*x)),
        Json::Str(text) => out.push_str(text),
        Json::Arr(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                write_plain(item, out);
            }
            out.push(']');
        }
        Json::Obj(map) => {
            out.push_str("map[");
            for (at, (key, item)) in map.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                let _ = write!(out, "{key}:");
                write_plain(item, out);
            }
            out.push(']');
        }
    }
}

/// A value as `%#v` prints it: `map[string]interface {}{"a":1}`.
pub fn source(value: &Json) -> String {
    match value {
        Json::Null => "interface {}(nil)".to_owned(),
        Json::Str(text) => quote(text),
        Json::Arr(items) => {
            let items: Vec<String> = items.iter().map(source).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Json::Obj(map) => {
            let entries: Vec<String> = map.iter().map(|(key, item)| format!("{}:{}", quote(key), source(item))).collect();
            format!("map[string]interface {{}}{{{}}}", entries.join(", "))
        }
        scalar => plain(scalar),
    }
}

/// The name of a value's Go type after decoding JSON.
pub fn type_name(value: &Json) -> &'static str {
    match value {
        Json::Null => "<nil>",
        Json::Bool(_) => "bool",
        Json::Int(_) => "int64",
        Json::Float(_) => "float64",
        Json::Str(_) => "string",
        Json::Arr(_) => "[]interface {}",
        Json::Obj(_) => "map[string]interface {}",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_go_does() {
        let value = Json::parse(r#"{"b":[1,"x",null],"a":{"c":1.5}}"#).expect("json");
        assert_eq!(plain(&value), "map[a:map[c:1.5] b:[1 x <nil>]]");
        assert_eq!(
            source(&value),
            r#"map[string]interface {}{"a":map[string]interface {}{"c":1.5}, "b":[]interface {}{1, "x", interface {}(nil)}}"#
        );
        for (x, text) in
            [(0.0, "0"), (0.5, "0.5"), (1e5, "100000"), (1e6, "1e+06"), (1234567.0, "1.234567e+06"), (1e-4, "0.0001"), (1e-5, "1e-05")]
        {
            assert_eq!(general(x), text);
        }
    }
}
