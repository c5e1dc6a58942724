//! What is wrong with a name that the user typed, in Kubernetes' words, and the splitting of `KEY=VALUE` arguments.

use super::failure::quote;

const QUALIFIED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and \
                         end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
                         '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// Letters, digits, `-`, `_` and `.`, with a letter or digit at both ends.
fn is_qualified(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    text.bytes().all(inner) && edge(text.as_bytes().first()) && edge(text.as_bytes().last())
}

/// What is wrong with the value of a label.
pub fn label_value(value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if value.len() > 63 {
        faults.push("must be no more than 63 characters".to_owned());
    }
    if !value.is_empty() && !is_qualified(value) {
        faults.push(format!(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end \
             with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
             '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        ));
    }
    faults
}

/// What is wrong with the key of a label, a taint or an annotation.
pub fn qualified_name(text: &str) -> Vec<String> {
    let regex = format!(
        "{QUALIFIED} (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
    );
    let mut faults = Vec::new();
    let parts: Vec<&str> = text.split('/').collect();
    let name = match parts.as_slice() {
        [name] => name,
        ["", name] => {
            faults.push("prefix part must be non-empty".to_owned());
            name
        }
        [prefix, name] => {
            if prefix.len() > 253 {
                faults.push("prefix part must be no more than 253 characters".to_owned());
            }
            if !is_dns_subdomain(prefix) {
                faults.push(format!("prefix part {SUBDOMAIN}"));
            }
            name
        }
        _ => return vec![format!("a qualified name {regex} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')")],
    };
    if name.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        faults.push("name part must be no more than 63 characters".to_owned());
    }
    if !is_qualified(name) {
        faults.push(format!("name part {regex}"));
    }
    faults
}

/// Whether a text is a DNS-1123 subdomain.
pub fn is_dns_subdomain(text: &str) -> bool {
    let label = |l: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !l.is_empty() && l.bytes().all(inner) && !l.starts_with('-') && !l.ends_with('-')
    };
    !text.is_empty() && text.len() <= 253 && text.split('.').all(label)
}

/// What is wrong with the name of an environment variable.
pub fn env_name(name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if name.is_empty() || !name.bytes().all(inner) || name.starts_with(|c: char| c.is_ascii_digit()) {
        faults.push(
            "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start \
             with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is \
             '[-._a-zA-Z][-._a-zA-Z0-9]*')"
                .to_owned(),
        );
    }
    faults.extend(dotted(name));
    faults
}

/// What is wrong with the key of a ConfigMap or Secret.
pub fn config_key(key: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if key.len() > 253 {
        faults.push("must be no more than 253 characters".to_owned());
    }
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        faults.push(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or \
             'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                .to_owned(),
        );
    }
    faults.extend(dotted(key));
    faults
}

/// Names that a file system would take for folders.
fn dotted(name: &str) -> Option<String> {
    match name {
        "." => Some("must not be '.'".to_owned()),
        ".." => Some("must not be '..'".to_owned()),
        _ => name.starts_with("..").then(|| "must not start with '..'".to_owned()),
    }
}

/// What is wrong with the name of a port.
pub fn port_name(name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if name.len() > 15 {
        faults.push("must be no more than 15 characters".to_owned());
    }
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        faults.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !name.bytes().any(|b| b.is_ascii_lowercase()) {
        faults.push("must contain at least one letter (a-z)".to_owned());
    }
    if name.contains("--") {
        faults.push("must not contain consecutive hyphens".to_owned());
    }
    if name.starts_with('-') || name.ends_with('-') {
        faults.push("must not begin or end with a hyphen".to_owned());
    }
    faults
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
            let faults = label_value(value);
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
