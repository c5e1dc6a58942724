//! `KEY=VALUE` arguments: told apart from resources, and taken apart.

use super::failure::quote;
use crate::object::names;

/// What is wrong with the name of an environment variable that the user typed; kubectl is stricter than the API server.
pub fn env_name(name: &str) -> Option<String> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let fits = !name.is_empty() && name.bytes().all(inner) && !name.starts_with(|c: char| c.is_ascii_digit());
    let form = "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a \
                digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is \
                '[-._a-zA-Z][-._a-zA-Z0-9]*')";
    match name {
        _ if !fits => Some(form.to_owned()),
        "." => Some("must not be '.'".to_owned()),
        ".." => Some("must not be '..'".to_owned()),
        _ => name.starts_with("..").then(|| "must not start with '..'".to_owned()),
    }
}

/// Parts arguments into resources, which come first, and `KEY=VALUE` or `KEY-` pairs.
///
/// # Errors
/// kubectl's text when a resource comes after a pair.
pub fn resources_and_pairs(args: &[String], what: &str) -> Result<(Vec<String>, Vec<String>), String> {
    let (mut resources, mut pairs) = (Vec::new(), Vec::new());
    for arg in args {
        if (arg.contains('=') && !arg.starts_with('=')) || (arg.ends_with('-') && arg != "-") {
            pairs.push(arg.clone());
        } else if pairs.is_empty() {
            resources.push(arg.clone());
        } else {
            return Err(format!("all resources must be specified before {what} changes: {arg}"));
        }
    }
    Ok((resources, pairs))
}

/// New pairs and keys to remove.
pub type Changes = (Vec<(String, String)>, Vec<String>);

/// Reads `KEY=VALUE` and, if `removals` are allowed, `KEY-`. A later value of a key replaces an earlier one.
///
/// # Errors
/// kubectl's text for everything that is neither.
pub fn parse_pairs(args: &[String], what: &str, removals: bool) -> Result<Changes, String> {
    let (mut new, mut removed, mut invalid) = (Vec::new(), Vec::new(), Vec::new());
    for arg in args {
        match arg.split_once('=') {
            Some((key, value)) if !key.is_empty() => put(&mut new, key, value),
            _ if removals && arg.ends_with('-') && arg != "-" => removed.push(arg.trim_end_matches('-').to_owned()),
            _ => invalid.push(arg.as_str()),
        }
    }
    if invalid.is_empty() { Ok((new, removed)) } else { Err(format!("invalid {what} format: {}", invalid.join(", "))) }
}

/// Reads labels: as [`parse_pairs`], but with valid values only.
///
/// # Errors
/// kubectl's text for everything that is no label.
pub fn parse_labels(args: &[String]) -> Result<Changes, String> {
    let (mut new, mut removed) = (Vec::new(), Vec::new());
    for arg in args {
        if arg.contains('=') {
            let parts: Vec<&str> = arg.split('=').collect();
            let &[key, value] = parts.as_slice() else { return Err(format!("invalid label spec: {arg}")) };
            let faults = names::label_value(value);
            if !faults.is_empty() {
                return Err(format!("invalid label value: {}: {}", quote(arg), faults.join(";")));
            }
            put(&mut new, key, value);
        } else if let Some(key) = arg.strip_suffix('-') {
            removed.push(key.to_owned());
        } else {
            return Err(format!("unknown label spec: {arg}"));
        }
    }
    if removed.iter().any(|key| new.iter().any(|(k, _)| k == key)) {
        return Err("can not both modify and remove a label in the same command".to_owned());
    }
    Ok((new, removed))
}

fn put(pairs: &mut Vec<(String, String)>, key: &str, value: &str) {
    match pairs.iter_mut().find(|(k, _)| k == key) {
        Some((_, slot)) => value.clone_into(slot),
        None => pairs.push((key.to_owned(), value.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(args: &[&str]) -> Vec<String> {
        args.iter().map(|arg| (*arg).to_owned()).collect()
    }

    #[test]
    fn parts_arguments() {
        let (resources, pairs) = resources_and_pairs(&owned(&["pod", "x", "a=b", "c-"]), "label").expect("fine");
        assert_eq!((resources, pairs), (owned(&["pod", "x"]), owned(&["a=b", "c-"])));
        let wrong = resources_and_pairs(&owned(&["pod", "a=b", "x"]), "label").expect_err("late");
        assert_eq!(wrong, "all resources must be specified before label changes: x");
        assert_eq!(parse_pairs(&owned(&["a=b=c", "d-"]), "annotation", true), Ok((vec![("a".into(), "b=c".into())], owned(&["d"]))));
        assert_eq!(parse_pairs(&owned(&["x", "y"]), "image", false), Err("invalid image format: x, y".to_owned()));
    }

    #[test]
    fn words_what_is_wrong_with_labels() {
        let check = |args: &[&str], expect: &str| assert_eq!(parse_labels(&owned(args)).expect_err("wrong"), expect);
        check(&["a=b=c"], "invalid label spec: a=b=c");
        check(&["a=b", "a-"], "can not both modify and remove a label in the same command");
        check(
            &["a=-b"],
            "invalid label value: \"a=-b\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
             and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation \
             is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        );
        assert_eq!(parse_labels(&owned(&["a=", "b-"])), Ok((vec![("a".into(), String::new())], owned(&["b"]))));
    }
}
