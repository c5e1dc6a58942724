//! Merge patches (RFC 7386) and the differences that make them.

use crate::object::{Json, Map};

/// Applies a merge patch.
#[must_use]
pub fn apply(document: &Json, patch: &Json) -> Json {
    let Json::Obj(fields) = patch else { return patch.clone() };
    let mut out = if matches!(document, Json::Obj(_)) { document.clone() } else { Json::from(Map::new()) };
    for (key, value) in fields.iter() {
        if value.is_null() {
            out.remove(key);
        } else {
            let merged = apply(out.get(key), value);
            if merged != *out.get(key) {
                out.set(key, merged);
            }
        }
    }
    out
}

/// The merge patch that leads from `from` to `to`.
#[must_use]
pub fn diff(from: &Json, to: &Json) -> Json {
    let mut patch = Map::new();
    for (key, after) in to.entries() {
        let before = from.as_map().and_then(|m| m.get(key));
        match (before, after) {
            (Some(before), after) if before == after => {}
            (Some(Json::Obj(_)), Json::Obj(_)) => {
                let inner = diff(from.get(key), after);
                if !inner.is_empty() {
                    patch.insert(key.clone(), inner);
                }
            }
            _ => drop(patch.insert(key.clone(), after.clone())),
        }
    }
    for (key, _) in from.entries().filter(|(key, _)| to.as_map().is_none_or(|m| !m.contains_key(key))) {
        patch.insert(key.clone(), Json::Null);
    }
    Json::from(patch)
}

/// The merge patch of `kubectl apply`: additions and changes from `current` to `modified`, deletions from `original` to `modified`.
#[must_use]
pub fn three_way(original: &Json, modified: &Json, current: &Json) -> Json {
    let changes = keep(&diff(current, modified), false);
    let deletions = keep(&diff(original, modified), true);
    apply_keeping_nulls(&changes, &deletions)
}

/// The part of a merge patch that deletes (`nulls`), or the part that does not.
fn keep(patch: &Json, nulls: bool) -> Json {
    let mut out = Map::new();
    for (key, value) in patch.entries() {
        match value {
            Json::Null if nulls => drop(out.insert(key.clone(), Json::Null)),
            Json::Obj(_) => {
                let inner = keep(value, nulls);
                if !inner.is_empty() || value.is_empty() && !nulls {
                    out.insert(key.clone(), inner);
                }
            }
            value if !nulls && !value.is_null() => drop(out.insert(key.clone(), value.clone())),
            _ => {}
        }
    }
    Json::from(out)
}

fn apply_keeping_nulls(patch: &Json, more: &Json) -> Json {
    let (Json::Obj(_), Json::Obj(fields)) = (patch, more) else { return more.clone() };
    let mut out = patch.clone();
    for (key, value) in fields.iter() {
        let merged = apply_keeping_nulls(out.get(key), value);
        out.set(key, merged);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text).expect("json")
    }

    #[test]
    fn the_rfcs_examples() {
        let cases = [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"["a"]"#, r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
            (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
        ];
        for (document, patch, expect) in cases {
            assert_eq!(apply(&json(document), &json(patch)).to_compact(), expect, "{patch}");
        }
    }

    #[test]
    fn three_ways_keep_what_others_set() {
        let original = json(r#"{"spec":{"a":1,"b":1}}"#);
        let modified = json(r#"{"spec":{"a":2}}"#);
        let current = json(r#"{"spec":{"a":1,"b":1,"c":1},"status":{}}"#);
        assert_eq!(three_way(&original, &modified, &current).to_compact(), r#"{"spec":{"a":2,"b":null}}"#);
    }
}
