//! Manifests: YAML documents and JSON objects from files and standard input.

use super::command::Call;
use super::failure::{Failure, quote};
use crate::object::Json;

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
        files.documents = documents(&text, "STDIN");
        return Ok(files);
    }
    if path.starts_with("http://") || path.starts_with("https://") {
        return Err(format!("unable to read URL {}: this machine has no access to it", quote(path)).into());
    }
    if let Some(content) = call.cx.files.read(path) {
        files.files = 1;
        files.documents = documents(&String::from_utf8_lossy(&content), path);
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
                files.documents.extend(documents(&String::from_utf8_lossy(&content), &path));
            }
            Some(_) => {}
            None if recursive => walk(call, &path, recursive, files),
            None => {}
        }
    }
}

/// The objects of a text, which is JSON or YAML with `---` between documents.
pub fn documents(text: &str, source: &str) -> Vec<Result<Document, Failure>> {
    let mut found = Vec::new();
    for part in split(text) {
        match parse(&part) {
            Ok(Json::Null) => {}
            Ok(object) => found.push(checked(object, source)),
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
    serde_saphyr::from_str::<Json>(text).map_err(|error| {
        let line = error.location().map_or(1, |at| at.line());
        let words = error.to_string();
        let first = words.lines().next().unwrap_or_default().to_owned();
        format!("error converting YAML to JSON: yaml: line {line}: {first}")
    })
}

fn checked(object: Json, source: &str) -> Result<Document, Failure> {
    let undecodable = |why: String| Failure::from(format!("unable to decode {}: {why}", quote(source)));
    if object.as_map().is_none() {
        return Err(undecodable("json: cannot unmarshal string into Go value of type unstructured.detector".to_owned()));
    }
    if object.get("kind").text().is_empty() {
        return Err(undecodable(format!("Object 'Kind' is missing in '{}'", object.to_compact())));
    }
    if object.get("apiVersion").text().is_empty() {
        return Err(undecodable(format!("Object 'apiVersion' is missing in '{}'", object.to_compact())));
    }
    Ok(Document { object, source: source.to_owned() })
}
