//! The functions that templates can call.

use super::super::values::{plain, type_name};
use super::printf::sprintf;
use crate::object::{Json, decode};
use std::cmp::Ordering;

/// Their names.
pub const NAMES: &[&str] = &[
    "and",
    "base64decode",
    "call",
    "eq",
    "exists",
    "ge",
    "gt",
    "html",
    "index",
    "js",
    "le",
    "len",
    "lt",
    "ne",
    "not",
    "or",
    "print",
    "printf",
    "println",
    "slice",
    "urlquery",
];

/// Why a call failed.
pub enum Fault {
    /// The wrong number of arguments.
    Arity(String),
    /// The function's own complaint.
    Call(String),
}

fn arity(name: &str, args: &[Option<Json>], least: usize, most: usize) -> Result<(), Fault> {
    let got = args.len();
    if got >= least && got <= most {
        return Ok(());
    }
    let wanted = if most == usize::MAX { format!("at least {least}") } else { least.to_string() };
    Err(Fault::Arity(format!("wrong number of args for {name}: want {wanted} got {got}")))
}

/// Calls a function; `None` is Go's invalid value.
pub fn call(name: &str, args: &[Option<Json>]) -> Result<Option<Json>, Fault> {
    let value = |at: usize| args.get(at).cloned().flatten().unwrap_or_default();
    let values = || args.iter().map(|arg| arg.clone().unwrap_or_default()).collect::<Vec<Json>>();
    let many = usize::MAX;
    Ok(Some(match name {
        "and" | "or" => {
            arity(name, args, 1, many)?;
            return Ok(args.last().cloned().flatten());
        }
        "not" => {
            arity(name, args, 1, 1)?;
            Json::Bool(!super::Value { json: args[0].clone(), boxed: false }.truth())
        }
        "len" => {
            arity(name, args, 1, 1)?;
            length(args[0].as_ref()).map_err(Fault::Call)?
        }
        "index" => {
            arity(name, args, 1, many)?;
            return index(args).map_err(Fault::Call);
        }
        "slice" => {
            arity(name, args, 1, many)?;
            slice(&value(0), &values()[1..]).map_err(Fault::Call)?
        }
        "print" => Json::from(print(&values())),
        "println" => Json::from(format!("{}\n", values().iter().map(plain).collect::<Vec<_>>().join(" "))),
        "printf" => {
            arity(name, args, 1, many)?;
            Json::from(sprintf(value(0).text(), &values()[1..]))
        }
        "html" => Json::from(html(&print(&values()))),
        "js" => Json::from(script(&print(&values()))),
        "urlquery" => Json::from(query(&print(&values()))),
        "eq" => {
            arity(name, args, 1, many)?;
            Json::Bool(equal(&args[0], &args[1..]).map_err(Fault::Call)?)
        }
        "ne" => {
            arity(name, args, 2, 2)?;
            Json::Bool(!equal(&args[0], &args[1..]).map_err(Fault::Call)?)
        }
        "lt" | "le" | "gt" | "ge" => {
            arity(name, args, 2, 2)?;
            let order = compare(&value(0), &value(1)).map_err(Fault::Call)?;
            Json::Bool(match name {
                "lt" => order == Ordering::Less,
                "le" => order != Ordering::Greater,
                "gt" => order == Ordering::Greater,
                _ => order != Ordering::Less,
            })
        }
        "exists" => Json::Bool(matches!(index(args), Ok(Some(found)) if !found.is_null())),
        "base64decode" => {
            arity(name, args, 1, 1)?;
            let bytes = decode::from_base64(value(0).text()).map_err(|why| Fault::Call(format!("base64 decode failed: {why}")))?;
            Json::from(String::from_utf8_lossy(&bytes).into_owned())
        }
        _ => return Err(Fault::Call("not available here".to_owned())),
    }))
}

fn length(value: Option<&Json>) -> Result<Json, String> {
    match value {
        Some(Json::Str(text)) => Ok(Json::from(text.len())),
        Some(Json::Arr(items)) => Ok(Json::from(items.len())),
        Some(Json::Obj(map)) => Ok(Json::from(map.len())),
        None | Some(Json::Null) => Err("len of nil pointer".to_owned()),
        Some(other) => Err(format!("len of type {}", type_name(other))),
    }
}

fn index(args: &[Option<Json>]) -> Result<Option<Json>, String> {
    let Some((first, keys)) = args.split_first() else { return Ok(None) };
    let mut value = first.clone().ok_or("index of untyped nil")?;
    for key in keys {
        let key = key.clone().unwrap_or_default();
        value = match (&value, &key) {
            (Json::Arr(items), Json::Int(n)) => {
                let at = usize::try_from(*n).ok().filter(|at| *at < items.len());
                items[at.ok_or("reflect: slice index out of range")?].clone()
            }
            (Json::Str(text), Json::Int(n)) => {
                let byte = usize::try_from(*n).ok().and_then(|at| text.as_bytes().get(at).copied());
                Json::Int(i64::from(byte.ok_or("reflect: string index out of range")?))
            }
            (Json::Obj(map), Json::Str(name)) => match map.get(name) {
                Some(found) => found.clone(),
                None => return Ok(None),
            },
            (Json::Arr(_) | Json::Str(_), key) => return Err(format!("cannot index slice/array with type {}", type_name(key))),
            (Json::Obj(_), key) => return Err(format!("value has type {}; should be string", type_name(key))),
            (Json::Null, _) => return Err("index of nil pointer".to_owned()),
            (other, _) => return Err(format!("can't index item of type {}", type_name(other))),
        };
    }
    Ok(Some(value))
}

fn slice(value: &Json, bounds: &[Json]) -> Result<Json, String> {
    let length = match value {
        Json::Str(text) => text.len(),
        Json::Arr(items) => items.len(),
        other => return Err(format!("can't slice item of type {}", type_name(other))),
    };
    let bound = |at: usize, absent: usize| match bounds.get(at).map(Json::as_i64) {
        None => Ok(absent),
        Some(Some(n)) if n >= 0 && n as usize <= length => Ok(n as usize),
        Some(Some(n)) => Err(format!("index out of range: {n}")),
        Some(None) => Err("cannot index slice/array with type string".to_owned()),
    };
    let (start, end) = (bound(0, 0)?, bound(1, length)?);
    if start > end {
        return Err(format!("invalid slice index: {start} > {end}"));
    }
    Ok(match value {
        Json::Str(text) => Json::from(text.get(start..end).unwrap_or_default()),
        other => other.items()[start..end].iter().cloned().collect(),
    })
}

/// Values one after the other, with a blank between two that are no texts.
fn print(values: &[Json]) -> String {
    let mut out = String::new();
    for (at, value) in values.iter().enumerate() {
        let text = |v: &Json| matches!(v, Json::Str(_));
        if at > 0 && !text(value) && !text(&values[at - 1]) {
            out.push(' ');
        }
        out.push_str(&plain(value));
    }
    out
}

fn equal(first: &Option<Json>, others: &[Option<Json>]) -> Result<bool, String> {
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        let same = match (first, other) {
            (Some(Json::Int(a)), Some(Json::Int(b))) => a == b,
            (Some(Json::Float(a)), Some(Json::Float(b))) => a == b,
            (Some(Json::Str(a)), Some(Json::Str(b))) => a == b,
            (Some(Json::Bool(a)), Some(Json::Bool(b))) => a == b,
            (None | Some(Json::Null), None | Some(Json::Null)) => true,
            (None | Some(Json::Null), _) | (_, None | Some(Json::Null)) => false,
            (Some(a @ (Json::Arr(_) | Json::Obj(_))), Some(_)) | (Some(_), Some(a @ (Json::Arr(_) | Json::Obj(_)))) => {
                return Err(format!("non-comparable type {}: {}", plain(a), type_name(a)));
            }
            _ => return Err("incompatible types for comparison".to_owned()),
        };
        if same {
            return Ok(true);
        }
    }
    Ok(false)
}

fn compare(a: &Json, b: &Json) -> Result<Ordering, String> {
    match (a, b) {
        (Json::Int(a), Json::Int(b)) => Ok(a.cmp(b)),
        (Json::Float(a), Json::Float(b)) => a.partial_cmp(b).ok_or_else(|| "invalid type for comparison".to_owned()),
        (Json::Str(a), Json::Str(b)) => Ok(a.as_str().cmp(b.as_str())),
        (Json::Int(_) | Json::Float(_) | Json::Str(_), Json::Int(_) | Json::Float(_) | Json::Str(_)) => {
            Err("incompatible types for comparison".to_owned())
        }
        _ => Err("invalid type for comparison".to_owned()),
    }
}

fn html(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn script(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", c as u32)),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out
}

fn query(text: &str) -> String {
    let byte = |b: u8| match b {
        b' ' => "+".to_owned(),
        b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(byte).collect()
}
