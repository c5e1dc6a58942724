//! Manifests: YAML documents and JSON objects from files and standard input.

use super::command::Call;
use super::failure::{Failure, quote};
use super::mutation;
use crate::cluster::FieldValidation;
use crate::object::Json;
use serde_saphyr::options::DuplicateKeyPolicy;

/// One object of a file.
#[derive(Debug, Clone)]
pub struct Document {
    /// The object as written.
    pub object: Json,
    /// The file; `STDIN` for standard input.
    pub source: String,
}

/// What was read for one `-f`.
#[derive(Debug, Default)]
pub struct Files {
    /// How many files there were.
    pub files: usize,
    /// Their documents, in order; a file that is malformed ends with its error.
    pub documents: Vec<Result<Document, Failure>>,
}

const EXTENSIONS: [&str; 3] = [".json", ".yaml", ".yml"];

/// Reads what `-f path` names: `-`, a file, or a directory.
///
/// # Errors
/// When there is no such file, or no manifest in a directory.
pub fn read(call: &mut Call<'_, '_>, path: &str, recursive: bool) -> Result<Files, Failure> {
    let mut files = Files::default();
    if path == "-" {
        let text = String::from_utf8_lossy(call.cx.stdin).into_owned();
        files.files = 1;
        files.documents = documents(&text, "STDIN", is_validated(call));
        return Ok(files);
    }
    if path.starts_with("http://") || path.starts_with("https://") {
        return Err(format!("unable to read URL {}: this machine has no access to it", quote(path)).into());
    }
    if let Some(content) = call.cx.files.read(path) {
        files.files = 1;
        files.documents = documents(&String::from_utf8_lossy(&content), path, is_validated(call));
        return Ok(files);
    }
    if call.cx.files.list(path).is_none() {
        return Err(format!("the path {} does not exist", quote(path)).into());
    }
    walk(call, path, recursive, &mut files);
    if files.files == 0 {
        return Err(format!("error reading [{path}]: recognized file extensions are [{}]", EXTENSIONS.join(" ")).into());
    }
    Ok(files)
}

fn walk(call: &mut Call<'_, '_>, folder: &str, recursive: bool, files: &mut Files) {
    for path in call.cx.files.list(folder).unwrap_or_default() {
        match call.cx.files.read(&path) {
            Some(content) if EXTENSIONS.iter().any(|extension| path.ends_with(extension)) => {
                files.files += 1;
                files.documents.extend(documents(&String::from_utf8_lossy(&content), &path, is_validated(call)));
            }
            Some(_) => {}
            None if recursive => walk(call, &path, recursive, files),
            None => {}
        }
    }
}

/// The objects of a text, which is JSON or YAML with `---` between documents.
///
/// A command that checks what it sends (`validated`) has words of its own for an object without a kind.
pub fn documents(text: &str, source: &str, validated: bool) -> Vec<Result<Document, Failure>> {
    let mut found = Vec::new();
    for part in split(text) {
        match parse(&part) {
            Ok(Json::Null) => {}
            Ok(object) => found.push(checked(object, source, validated)),
            Err(message) => {
                found.push(Err(format!("error parsing {source}: {message}").into()));
                break;
            }
        }
    }
    found
}

/// The documents of a text, without their separators.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for line in text.trim_start_matches('\u{feff}').split_inclusive('\n') {
        let bare = line.trim_end();
        if bare == "---" || bare.starts_with("--- ") && !bare[4..].contains(':') {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push_str(line);
        }
    }
    parts
}

/// One document as JSON; null when it is empty.
///
/// # Errors
/// kubectl's message for malformed text, without the source.
pub fn parse(text: &str) -> Result<Json, String> {
    if text.trim_start().starts_with('{')
        && let Ok(object) = Json::parse(text)
    {
        return Ok(object);
    }
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Json::Null);
    }
    // YAML 1.1 as kubectl reads it: the last of equal keys counts, and `0644` is octal.
    let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::LastWins, legacy_octal_numbers: true };
    serde_saphyr::from_str_with_options::<Json>(text, options).map_err(|error| {
        let words = error.to_string();
        let first = words.lines().next().unwrap_or_default().trim_start_matches("error: ");
        // The parser names line and column itself; kubectl names the line only, and not the first one.
        let bare = first.strip_prefix("line ").and_then(|rest| rest.split_once(": ")).map_or(first, |(_, bare)| bare);
        match error.location().map_or(1, |at| at.line()) {
            1 => format!("error converting YAML to JSON: yaml: {bare}"),
            line => format!("error converting YAML to JSON: yaml: line {line}: {bare}"),
        }
    })
}

/// Whether the command checks the objects that it sends.
fn is_validated(call: &Call<'_, '_>) -> bool {
    call.flags.knows("validate") && mutation::validation(call).is_ok_and(|validation| validation != FieldValidation::Ignore)
}

/// What is wrong with an object that is to be checked.
fn unset(object: &Json) -> Option<&'static str> {
    let lacks = |field: &str| object.get(field).text().is_empty();
    match (lacks("apiVersion"), lacks("kind")) {
        _ if object.as_map().is_none() => Some("invalid object to validate"),
        (true, true) => Some("[apiVersion not set, kind not set]"),
        (true, false) => Some("apiVersion not set"),
        (false, true) => Some("kind not set"),
        (false, false) => None,
    }
}

fn checked(object: Json, source: &str, validated: bool) -> Result<Document, Failure> {
    if let Some(what) = unset(&object).filter(|_| validated) {
        let advice = "if you choose to ignore these errors, turn validation off with --validate=false";
        return Err(format!("error validating {}: error validating data: {what}; {advice}", quote(source)).into());
    }
    let undecodable = |why: String| Failure::from(format!("unable to decode {}: {why}", quote(source)));
    if object.as_map().is_none() {
        return Err(undecodable("json: cannot unmarshal string into Go value of type unstructured.detector".to_owned()));
    }
    if object.get("kind").text().is_empty() {
        return Err(undecodable(format!("Object 'Kind' is missing in '{}'", object.to_compact())));
    }
    Ok(Document { object, source: source.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_yaml_as_kubectl_does() {
        let check = |text: &str, expect: Result<&str, &str>| {
            let got = parse(text).map(|json| json.to_compact());
            assert_eq!(got.as_deref().map_err(String::as_str), expect, "{text}");
        };
        check("a: yes\nb: Off\nc: 0644\nd: 1_000\ne: \"yes\"\nf: ~", Ok(r#"{"a":true,"b":false,"c":420,"d":1000,"e":"yes","f":null}"#));
        check("a: 1\na: 2", Ok(r#"{"a":2}"#));
        check("a: &x {k: v}\nb:\n  <<: *x\n  l: w", Ok(r#"{"a":{"k":"v"},"b":{"k":"v","l":"w"}}"#));
        check("a: b: c", Err("error converting YAML to JSON: yaml: mapping values are not allowed in this context"));
        check("a: 1\nb: c: d", Err("error converting YAML to JSON: yaml: line 2: mapping values are not allowed in this context"));
    }
}
