//! Forms of names: DNS labels and subdomains, qualified names, label values, ports, and the server's words for what breaks them.
//!
//! Every check returns the list of complaints, empty when the text is fine.

const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";

/// Complaints about a text.
pub type Complaints = Vec<String>;

fn longest(most: usize) -> String {
    format!("must be no more than {most} characters")
}

/// `… (e.g. 'x',  or 'y', regex used for validation is '…')`.
fn regex_error(words: &str, regex: &str, examples: &[&str]) -> String {
    let mut text = format!("{words} (e.g. ");
    for (at, example) in examples.iter().enumerate() {
        if at > 0 {
            text.push_str(" or ");
        }
        text.push_str(&format!("'{example}', "));
    }
    if examples.is_empty() {
        return format!("{words} (regex used for validation is '{regex}')");
    }
    format!("{text}regex used for validation is '{regex}')")
}

fn framed(text: &str, edge: fn(u8) -> bool, inner: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    match bytes {
        [] => false,
        [first, .., last] => edge(*first) && edge(*last) && bytes.iter().all(|b| inner(*b)),
        [only] => edge(*only),
    }
}

fn lower(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

fn is_label(text: &str) -> bool {
    framed(text, lower, |b| lower(b) || b == b'-')
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

fn is_qualified_part(text: &str) -> bool {
    framed(text, |b| b.is_ascii_alphanumeric(), |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// A DNS label (RFC 1123).
pub fn dns1123_label(text: &str) -> Complaints {
    let mut errors = Vec::new();
    if text.len() > 63 {
        errors.push(longest(63));
    }
    if !is_label(text) {
        errors.push(if is_subdomain(text) {
            "must not contain dots".to_owned()
        } else {
            let words = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character";
            regex_error(words, LABEL, &["my-name", "123-abc"])
        });
    }
    errors
}

/// A DNS subdomain (RFC 1123).
pub fn dns1123_subdomain(text: &str) -> Complaints {
    let mut errors = Vec::new();
    if text.len() > 253 {
        errors.push(longest(253));
    }
    if !is_subdomain(text) {
        let words = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
        errors.push(regex_error(words, &format!("{LABEL}(\\.{LABEL})*"), &["example.com"]));
    }
    errors
}

/// A DNS label (RFC 1035): starts with a letter.
pub fn dns1035_label(text: &str) -> Complaints {
    let mut errors = Vec::new();
    if text.len() > 63 {
        errors.push(longest(63));
    }
    if !is_label(text) || !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        let words = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character";
        errors.push(regex_error(words, "[a-z]([-a-z0-9]*[a-z0-9])?", &["my-name", "abc-123"]));
    }
    errors
}

/// A name that is a segment of a path.
pub fn path_segment(text: &str) -> Complaints {
    if text == "." || text == ".." {
        return vec![format!("may not be '{text}'")];
    }
    let bad = ['/', '%'].iter().filter(|c| text.contains(**c));
    bad.map(|c| format!("may not contain '{c}'")).collect()
}

/// A label key: a name with an optional prefix.
pub fn qualified_name(text: &str) -> Complaints {
    let words = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
    let examples = ["MyName", "my.name", "123-abc"];
    let mut errors = Vec::new();
    let parts: Vec<&str> = text.split('/').collect();
    let name = match parts[..] {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                errors.push("prefix part must be non-empty".to_owned());
            } else {
                errors.extend(dns1123_subdomain(prefix).into_iter().map(|e| format!("prefix part {e}")));
            }
            name
        }
        _ => {
            let words = regex_error(words, QUALIFIED, &examples);
            return vec![format!("a qualified name {words} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')")];
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        errors.push(format!("name part {}", longest(63)));
    }
    if !is_qualified_part(name) {
        errors.push(format!("name part {}", regex_error(words, QUALIFIED, &examples)));
    }
    errors
}

/// A label value.
pub fn label_value(text: &str) -> Complaints {
    let mut errors = Vec::new();
    if text.len() > 63 {
        errors.push(longest(63));
    }
    if !text.is_empty() && !is_qualified_part(text) {
        let words = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
        errors.push(regex_error(words, &format!("({QUALIFIED})?"), &["MyValue", "my_value", "12345"]));
    }
    errors
}

/// A port number.
pub fn port_number(port: i64) -> Complaints {
    in_range(port, 1, 65535)
}

/// A number in an inclusive range.
pub fn in_range(value: i64, least: i64, most: i64) -> Complaints {
    if (least..=most).contains(&value) { Vec::new() } else { vec![format!("must be between {least} and {most}, inclusive")] }
}

/// A port's name (IANA service name).
pub fn port_name(text: &str) -> Complaints {
    let mut errors = Vec::new();
    if text.len() > 15 {
        errors.push(longest(15));
    }
    if text.is_empty() || !text.bytes().all(|b| lower(b) || b == b'-') {
        errors.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !text.bytes().any(|b| b.is_ascii_lowercase()) {
        errors.push("must contain at least one letter (a-z)".to_owned());
    }
    if text.contains("--") {
        errors.push("must not contain consecutive hyphens".to_owned());
    }
    if text.starts_with('-') || text.ends_with('-') {
        errors.push("must not begin or end with a hyphen".to_owned());
    }
    errors
}

/// The name of an environment variable: printable ASCII without `=`.
pub fn env_var_name(text: &str) -> Complaints {
    let mut errors = Vec::new();
    if text.is_empty() {
        errors.push("environment variable name must be non-empty".to_owned());
    }
    if text.bytes().any(|b| !(b' '..=b'~').contains(&b) || b == b'=') {
        errors.push("a valid environment variable name must consist only of printable ASCII characters other than '='".to_owned());
    }
    errors
}

/// A key of a ConfigMap or Secret.
pub fn config_map_key(text: &str) -> Complaints {
    let mut errors = Vec::new();
    if text.len() > 253 {
        errors.push(longest(253));
    }
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        let words = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        errors.push(regex_error(words, "[-._a-zA-Z0-9]+", &["key.name", "KEY_NAME", "key-name"]));
    }
    if text == "." || text == ".." {
        errors.push(format!("must not be '{text}'"));
    } else if text.starts_with("..") {
        errors.push("must not start with '..'".to_owned());
    }
    errors
}

/// `25%`.
pub fn percent(text: &str) -> Complaints {
    let digits = text.strip_suffix('%').unwrap_or("");
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Vec::new();
    }
    let words = "a valid percent string must be a numeric string followed by an ending '%'";
    vec![regex_error(words, "[0-9]+%", &["1%", "93%"])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_the_servers() {
        let check = |got: Complaints, expect: &[&str]| assert_eq!(got, expect);
        check(dns1123_label("geo"), &[]);
        check(dns1123_label("a.b"), &["must not contain dots"]);
        check(
            dns1123_label("Geo"),
            &["a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an \
               alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"],
        );
        check(
            dns1123_subdomain("Geo_1"),
            &[
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with \
               an alphanumeric character (e.g. 'example.com', regex used for validation is \
               '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            ],
        );
        check(label_value(""), &[]);
        check(
            label_value("a b"),
            &["a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
               an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
               '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"],
        );
        check(qualified_name("app.kubernetes.io/name"), &[]);
        assert!(!qualified_name("a/b/c").is_empty() && !qualified_name("/x").is_empty() && !qualified_name("").is_empty());
        check(port_number(0), &["must be between 1 and 65535, inclusive"]);
        check(port_name("http"), &[]);
        check(port_name("80"), &["must contain at least one letter (a-z)"]);
        assert!(percent("25%").is_empty() && !percent("25").is_empty());
    }
}
