//! Kinds without a describer of their own: every field, names made readable.

use super::Scene;
use super::sheet::Sheet;
use crate::object::{Json, Object};
use crate::tool::kubectl::failure::Failure;
use crate::tool::kubectl::output::values::plain;

const SKIPPED: [&str; 5] =
    [".metadata.managedFields", ".metadata.name", ".metadata.namespace", ".metadata.labels", ".metadata.annotations"];

/// Any object.
pub fn any(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    sheet.head(object);
    content(object, "", 0, sheet);
    scene.write_events(object, sheet);
    Ok(())
}

fn content(map: &Json, path: &str, level: usize, sheet: &mut Sheet) {
    for (field, value) in map.entries() {
        let here = format!("{path}.{field}");
        if SKIPPED.contains(&here.as_str()) {
            continue;
        }
        let title = label(field);
        match value {
            Json::Obj(_) => {
                sheet.line(level, format_args!("{title}:"));
                content(value, &here, level + 1, sheet);
            }
            Json::Arr(items) => {
                sheet.line(level, format_args!("{title}:"));
                for item in items.iter() {
                    match item {
                        Json::Obj(_) => content(item, &here, level + 1, sheet),
                        other => sheet.line(level + 1, plain(other)),
                    }
                }
            }
            other => sheet.field(level, &title, plain(other)),
        }
    }
}

/// `holderIdentity` as `Holder Identity`.
fn label(field: &str) -> String {
    if field.chars().any(|c| !c.is_alphabetic() && c != '-') {
        return field.to_owned();
    }
    let word = |part: String| match part.to_uppercase() {
        upper if ["API", "URL", "UID", "OSB", "GUID"].contains(&upper.as_str()) => upper,
        _ => title_case(&part),
    };
    camel_parts(field).into_iter().map(word).collect::<Vec<_>>().join(" ")
}

fn title_case(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// The words of a name in camel case: `vimRPCPlugin` is `vim`, `RPC`, `Plugin`.
fn camel_parts(name: &str) -> Vec<String> {
    let class = |c: char| (c.is_lowercase(), c.is_uppercase(), c.is_numeric());
    let mut runs: Vec<String> = Vec::new();
    for c in name.chars() {
        match runs.last_mut() {
            Some(run) if run.chars().last().map(class) == Some(class(c)) => run.push(c),
            _ => runs.push(c.to_string()),
        }
    }
    for at in 1..runs.len() {
        let lower = runs[at].starts_with(char::is_lowercase);
        if lower
            && runs[at - 1].starts_with(char::is_uppercase)
            && let Some(last) = runs[at - 1].pop()
        {
            runs[at].insert(0, last);
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fields() {
        for (field, title) in [
            ("holderIdentity", "Holder Identity"),
            ("apiVersion", "API Version"),
            ("uid", "UID"),
            ("vimRPCPlugin", "Vim RPC Plugin"),
            ("podIPs", "Pod I Ps"),
            ("kubernetes.io/x", "kubernetes.io/x"),
            ("x509", "x509"),
        ] {
            assert_eq!(label(field), title);
        }
    }
}
