//! JSON patches (RFC 6902), with the behaviour and the words of the library that API server and kubectl use.
//!
//! Known differences from the RFC that are kept: `replace` of an absent map field adds it, negative indices count from the end.

use super::PatchError;
use crate::object::{Json, Map};
use std::sync::Arc;

/// Applies the operations of `patch` to `document`, all or nothing.
///
/// # Errors
/// Saying which operation cannot be applied.
pub fn apply(document: &Json, patch: &Json) -> Result<Json, PatchError> {
    let Json::Arr(operations) = patch else {
        let kind = match patch {
            Json::Obj(_) => "object",
            Json::Str(_) => "string",
            Json::Bool(_) => "bool",
            _ => "number",
        };
        return Err(PatchError::Malformed(format!(
            "error decoding patch: json: cannot unmarshal {kind} into Go value of type []handlers.jsonPatchOp"
        )));
    };
    let mut document = document.clone();
    for operation in operations.iter() {
        one(&mut document, operation).map_err(PatchError::Failed)?;
    }
    Ok(document)
}

fn one(document: &mut Json, operation: &Json) -> Result<(), String> {
    let kind = operation.get("op").text();
    let path = operation.get("path").as_str().ok_or_else(|| format!("{kind} operation failed to decode path: missing value"))?;
    let value = operation.get("value");
    let source = || operation.get("from").as_str().ok_or_else(|| format!("{kind} operation failed to decode from: missing value"));
    match kind {
        "add" => {
            let missing = format!("add operation does not apply: doc is missing path: \"{path}\": missing value");
            let (parent, key) = find(document, path).ok_or(missing)?;
            add(parent, &key, value.clone()).map_err(|e| format!("error in add for path: '{path}': {e}"))
        }
        "remove" => {
            let missing = format!("remove operation does not apply: doc is missing path: \"{path}\": missing value");
            let (parent, key) = find(document, path).ok_or(missing)?;
            remove(parent, &key).map(drop).map_err(|e| format!("error in remove for path: '{path}': {e}"))
        }
        "replace" if path.is_empty() => {
            *document = value.clone();
            Ok(())
        }
        "replace" => replace(document, path, value),
        "move" => {
            let from = source()?;
            let missing = format!("move operation does not apply: doc is missing from path: {from}: missing value");
            let (parent, key) = find(document, from).ok_or(missing)?;
            let value = remove(parent, &key).map_err(|e| format!("error in move for path: '{key}': {e}"))?;
            put(document, path, value, "move")
        }
        "copy" => {
            let from = source()?;
            let missing = format!("copy operation does not apply: doc is missing from path: {from}: missing value");
            let (parent, key) = find(document, from).ok_or(missing)?;
            let value = read(parent, &key).map_err(|e| format!("error in copy for from: '{from}': {e}"))?;
            put(document, path, value.unwrap_or_default(), "copy")
        }
        "test" => test(document, path, value),
        other => Err(format!("Unexpected kind: {other}")),
    }
}

fn put(document: &mut Json, path: &str, value: Json, kind: &str) -> Result<(), String> {
    let missing = format!("{kind} operation does not apply: doc is missing destination path: {path}: missing value");
    let (parent, key) = find(document, path).ok_or(missing)?;
    add(parent, &key, value).map_err(|e| format!("error in {kind} for path: '{path}': {e}"))
}

fn replace(document: &mut Json, path: &str, value: &Json) -> Result<(), String> {
    let missing = format!("replace operation does not apply: doc is missing path: {path}: missing value");
    let (parent, key) = find(document, path).ok_or(missing)?;
    if read(parent, &key).is_err() {
        return Err(format!("replace operation does not apply: doc is missing key: {path}: missing value"));
    }
    match parent {
        Json::Arr(items) => {
            let at = index(&key, items.len()).map_err(|e| format!("error in remove for path: '{path}': {e}"))?;
            if let Some(slot) = Arc::make_mut(items).get_mut(at) {
                *slot = value.clone();
            }
        }
        parent => drop(parent.map_mut().insert(key, value.clone())),
    }
    Ok(())
}

fn test(document: &mut Json, path: &str, value: &Json) -> Result<(), String> {
    let failed = || format!("testing value {path} failed: test failed");
    if path.is_empty() {
        return if document == value { Ok(()) } else { Err(failed()) };
    }
    let missing = format!("test operation does not apply: is missing path: {path}: missing value");
    let (parent, key) = find(document, path).ok_or(missing)?;
    let found = read(parent, &key).map_err(|e| format!("error in test for path: '{path}': {e}"))?;
    if found.unwrap_or_default() == *value { Ok(()) } else { Err(failed()) }
}

/// The container that a path's last part stands in, and that part.
fn find<'a>(document: &'a mut Json, path: &str) -> Option<(&'a mut Json, String)> {
    let mut parts: Vec<String> = path.split('/').map(|p| p.replace("~1", "/").replace("~0", "~")).collect();
    if parts.len() < 2 {
        return None;
    }
    let last = parts.pop()?;
    let mut at = document;
    for part in &parts[1..] {
        at = match at {
            Json::Obj(map) => Arc::make_mut(map).get_mut(part)?,
            Json::Arr(items) => {
                let place = index(part, items.len()).ok()?;
                Arc::make_mut(items).get_mut(place)?
            }
            _ => return None,
        };
    }
    matches!(at, Json::Obj(_) | Json::Arr(_)).then_some((at, last))
}

/// The place that an index text names in a list of `length`.
fn index(key: &str, length: usize) -> Result<usize, String> {
    let at: i64 = key.parse().map_err(|_| format!("strconv.Atoi: parsing {key:?}: invalid syntax"))?;
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let place = if at < 0 { at + length } else { at };
    match usize::try_from(place) {
        Ok(place) if at < length => Ok(place),
        _ => Err(format!("Unable to access invalid index: {at}: invalid index referenced")),
    }
}

fn read(parent: &Json, key: &str) -> Result<Option<Json>, String> {
    match parent {
        Json::Arr(items) => Ok(items.get(index(key, items.len())?).cloned()),
        parent => Ok(parent.as_map().and_then(|m| m.get(key)).cloned()),
    }
}

fn add(parent: &mut Json, key: &str, value: Json) -> Result<(), String> {
    match parent {
        Json::Arr(items) if key == "-" => Arc::make_mut(items).push(value),
        Json::Arr(items) => {
            if key.parse::<i64>().is_err() {
                return Err(format!("value was not a proper array index: '{key}': strconv.Atoi: parsing {key:?}: invalid syntax"));
            }
            let at = index(key, items.len() + 1)?;
            Arc::make_mut(items).insert(at, value);
        }
        parent => drop(parent.map_mut().insert(key, value)),
    }
    Ok(())
}

fn remove(parent: &mut Json, key: &str) -> Result<Json, String> {
    match parent {
        Json::Arr(items) => {
            let at = index(key, items.len())?;
            Ok(Arc::make_mut(items).remove(at))
        }
        parent => {
            let absent = || format!("Unable to remove nonexistent key: {key}: missing value");
            let map: &mut Map = parent.map_mut();
            map.remove(key).ok_or_else(absent)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(document: &str, patch: &str) -> Result<String, String> {
        let parse = |t: &str| Json::parse(t).expect("json");
        apply(&parse(document), &parse(patch)).map(|j| j.to_compact()).map_err(|e| e.to_string())
    }

    #[test]
    fn operations_apply() {
        let cases = [
            (r#"{"a":1}"#, r#"[{"op":"add","path":"/b","value":[1]}]"#, r#"{"a":1,"b":[1]}"#),
            (r#"{"a":[1,3]}"#, r#"[{"op":"add","path":"/a/1","value":2}]"#, r#"{"a":[1,2,3]}"#),
            (r#"{"a":[1]}"#, r#"[{"op":"add","path":"/a/-","value":2}]"#, r#"{"a":[1,2]}"#),
            (r#"{"a":[1,2]}"#, r#"[{"op":"remove","path":"/a/0"}]"#, r#"{"a":[2]}"#),
            (r#"{"a":[1,2]}"#, r#"[{"op":"replace","path":"/a/-1","value":3}]"#, r#"{"a":[1,3]}"#),
            (r#"{"a":1}"#, r#"[{"op":"replace","path":"/b","value":2}]"#, r#"{"a":1,"b":2}"#),
            (r#"{"a":{"x/y":1}}"#, r#"[{"op":"remove","path":"/a/x~1y"}]"#, r#"{"a":{}}"#),
            (r#"{"a":1}"#, r#"[{"op":"move","from":"/a","path":"/b"}]"#, r#"{"b":1}"#),
            (r#"{"a":[1]}"#, r#"[{"op":"copy","from":"/a/0","path":"/b"},{"op":"test","path":"/b","value":1}]"#, r#"{"a":[1],"b":1}"#),
        ];
        for (document, patch, expect) in cases {
            assert_eq!(run(document, patch).as_deref(), Ok(expect), "{patch}");
        }
    }

    #[test]
    fn what_does_not_apply_is_said() {
        let cases = [
            (r#"[{"op":"test","path":"/a","value":2}]"#, "testing value /a failed: test failed"),
            (r#"[{"op":"remove","path":"/x"}]"#, "error in remove for path: '/x': Unable to remove nonexistent key: x: missing value"),
            (r#"[{"op":"add","path":"/x/y","value":1}]"#, "add operation does not apply: doc is missing path: \"/x/y\": missing value"),
            (r#"[{"op":"replace","path":"/b/7","value":1}]"#, "replace operation does not apply: doc is missing key: /b/7: missing value"),
            (r#"[{"op":"spin","path":"/a"}]"#, "Unexpected kind: spin"),
            (r#"{"op":"add"}"#, "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
        ];
        for (patch, expect) in cases {
            assert_eq!(run(r#"{"a":1,"b":[1]}"#, patch).expect_err(patch), expect);
        }
    }
}
