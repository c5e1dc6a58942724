//! The objects of `create configmap` and `create secret …`: sources of data in, object out.

use crate::object;
use crate::object::decode::to_base64;
use crate::object::{Json, Map, names};
use crate::tool::kubectl::failure::quote;
use crate::tool::kubectl::{Files, pairs};

/// Where the entries of a ConfigMap or Secret come from.
#[derive(Debug, Clone, Default)]
pub struct Sources<'a> {
    /// `--from-file`: `PATH` or `KEY=PATH`.
    pub files: &'a [String],
    /// `--from-literal`: `KEY=VALUE`.
    pub literals: &'a [String],
    /// `--from-env-file`.
    pub env_files: &'a [String],
}

/// One entry: key and content.
type Entry = (String, Vec<u8>);

impl Sources<'_> {
    /// Refuses sources that kubectl does not mix.
    ///
    /// # Errors
    /// kubectl's text.
    pub fn check(&self) -> Result<(), String> {
        let others = !self.files.is_empty() || !self.literals.is_empty();
        if others && !self.env_files.is_empty() {
            return Err("from-env-file cannot be combined with from-file or from-literal".to_owned());
        }
        Ok(())
    }

    fn entries_of_files(&self, files: &mut dyn Files) -> Result<Vec<Entry>, String> {
        let mut entries = Vec::new();
        for source in self.files {
            let (key, path) = file_source(source)?;
            if let Some(listed) = files.list(&path) {
                if source.contains('=') {
                    return Err("cannot give a key name for a directory path".to_owned());
                }
                for file in listed {
                    if let Some(content) = files.read(&file) {
                        entries.push((base_name(&file).to_owned(), content));
                    }
                }
            } else {
                let content = files.read(&path).ok_or_else(|| format!("error reading {path}: no such file or directory"))?;
                entries.push((key, content));
            }
        }
        Ok(entries)
    }

    fn entries_of_literals(&self) -> Result<Vec<Entry>, String> {
        let split = |literal: &String| match literal.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.as_bytes().to_vec())),
            _ => Err(format!("invalid literal source {literal}, expected key=value")),
        };
        self.literals.iter().map(split).collect()
    }

    fn entries_of_env_files(&self, files: &mut dyn Files, what: &str) -> Result<Vec<Entry>, String> {
        let mut entries = Vec::new();
        for path in self.env_files {
            if files.list(path).is_some() {
                return Err(format!("env {what} file cannot be a directory"));
            }
            let content = files.read(path).ok_or_else(|| format!("error reading {path}: no such file or directory"))?;
            entries.extend(env_file(path, &content)?);
        }
        Ok(entries)
    }
}

/// The key and the path of a `--from-file`.
fn file_source(source: &str) -> Result<(String, String), String> {
    match source.matches('=').count() {
        0 => Ok((base_name(source).to_owned(), source.to_owned())),
        1 => match source.split_once('=').unwrap_or_default() {
            ("", path) => Err(format!("key name for file path {path} missing")),
            (key, "") => Err(format!("file path for key name {key} missing")),
            (key, path) => Ok((key.to_owned(), path.to_owned())),
        },
        _ => Err("key names or file paths cannot contain '='".to_owned()),
    }
}

fn base_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

/// The `KEY=VALUE` lines of a file; comments and empty lines are passed over, a key without a value gets an empty one.
fn env_file(path: &str, content: &[u8]) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    for (at, line) in content.split(|b| *b == b'\n').enumerate() {
        let line = std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line))
            .map_err(|_| format!("env file {path} contains invalid utf8 bytes at line {}: {line:?}", at + 1))?;
        let line = if at == 0 { line.trim_start_matches('\u{feff}') } else { line }.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        if let Some(fault) = pairs::env_name(key) {
            return Err(format!("{} is not a valid key name: {fault}", quote(key)));
        }
        entries.push((key.to_owned(), value.as_bytes().to_vec()));
    }
    Ok(entries)
}

/// A ConfigMap of the given sources: text under `data`, anything else under `binaryData`.
///
/// # Errors
/// kubectl's text for a source that cannot be read or a key that is invalid or taken.
pub fn config_map(name: &str, sources: &Sources<'_>, files: &mut dyn Files) -> Result<Json, String> {
    sources.check()?;
    let mut entries = sources.entries_of_files(files)?;
    entries.extend(sources.entries_of_literals()?);
    entries.extend(sources.entries_of_env_files(files, "config")?);
    let (mut data, mut binary) = (Map::new(), Map::new());
    for (key, content) in entries {
        let faults = names::config_map_key(&key);
        if !faults.is_empty() {
            return Err(format!("{} is not a valid key name for a ConfigMap: {}", quote(&key), faults.join(",")));
        }
        for (field, taken) in [("Data", &data), ("BinaryData", &binary)] {
            if taken.contains_key(&key) {
                return Err(format!("cannot add key {key:?}, another key by that name already exists in {field} for ConfigMap {name:?}"));
            }
        }
        match String::from_utf8(content) {
            Ok(text) => data.insert(key, Json::from(text)),
            Err(bytes) => binary.insert(key, Json::from(to_base64(bytes.as_bytes()))),
        };
    }
    let mut object = object! { "apiVersion" => "v1", "kind" => "ConfigMap", "metadata" => object! { "name" => name } };
    for (field, entries) in [("data", data), ("binaryData", binary)] {
        if !entries.is_empty() {
            object.set(field, Json::from(entries));
        }
    }
    Ok(object)
}

/// A Secret of the given sources.
///
/// # Errors
/// kubectl's text for a source that cannot be read or a key that is invalid or taken.
pub fn secret(name: &str, kind: &str, sources: &Sources<'_>, files: &mut dyn Files) -> Result<Json, String> {
    sources.check()?;
    let mut entries = sources.entries_of_literals()?;
    entries.extend(sources.entries_of_files(files)?);
    entries.extend(sources.entries_of_env_files(files, "secret")?);
    secret_of(name, kind, entries)
}

fn secret_of(name: &str, kind: &str, entries: Vec<Entry>) -> Result<Json, String> {
    let mut data = Map::new();
    for (key, content) in entries {
        let faults = names::config_map_key(&key);
        if !faults.is_empty() {
            return Err(format!("{} is not valid key name for a Secret {}", quote(&key), faults.join(";")));
        }
        if data.contains_key(&key) {
            return Err(format!("cannot add key {key}, another key by that name already exists"));
        }
        data.insert(key, Json::from(to_base64(&content)));
    }
    let mut object = object! { "apiVersion" => "v1", "kind" => "Secret", "metadata" => object! { "name" => name } };
    if !data.is_empty() {
        object.set("data", Json::from(data));
    }
    if !kind.is_empty() {
        object.set("type", kind);
    }
    Ok(object)
}

/// What `create secret docker-registry` was told.
#[derive(Debug, Clone, Default)]
pub struct RegistryArguments<'a> {
    /// `--docker-server`.
    pub server: &'a str,
    /// `--docker-username`.
    pub username: &'a str,
    /// `--docker-password`.
    pub password: &'a str,
    /// `--docker-email`.
    pub email: &'a str,
    /// `--from-file`.
    pub files: &'a [String],
}

/// A Secret with which an image registry is logged in to.
///
/// # Errors
/// kubectl's text for missing arguments or a file that cannot be read.
pub fn registry_secret(name: &str, args: &RegistryArguments<'_>, files: &mut dyn Files) -> Result<Json, String> {
    const KEY: &str = ".dockerconfigjson";
    const KIND: &str = "kubernetes.io/dockerconfigjson";
    if !args.files.is_empty() {
        let named = |file: &String| if file.contains('=') { file.clone() } else { format!("{KEY}={file}") };
        let named: Vec<String> = args.files.iter().map(named).collect();
        return secret(name, KIND, &Sources { files: &named, ..Sources::default() }, files);
    }
    if args.username.is_empty() || args.password.is_empty() || args.server.is_empty() {
        return Err(
            "either --from-file or the combination of --docker-username, --docker-password and --docker-server is required".to_owned()
        );
    }
    let text = |value: &str| Json::from(value).to_compact();
    let mut fields = format!("\"username\":{},\"password\":{}", text(args.username), text(args.password));
    if !args.email.is_empty() {
        fields.push_str(&format!(",\"email\":{}", text(args.email)));
    }
    let login = to_base64(format!("{}:{}", args.username, args.password).as_bytes());
    let content = format!("{{\"auths\":{{{}:{{{fields},\"auth\":{}}}}}}}", text(args.server), text(&login));
    secret_of(name, KIND, vec![(KEY.to_owned(), content.into_bytes())])
}

/// A Secret with a certificate and its key. Whether the two belong together is not checked.
///
/// # Errors
/// kubectl's text for missing arguments, files that cannot be read, and files without PEM data.
pub fn tls_secret(name: &str, cert: &str, key: &str, files: &mut dyn Files) -> Result<Json, String> {
    if cert.is_empty() || key.is_empty() {
        return Err("key and cert must be specified".to_owned());
    }
    let mut read = |path: &str| files.read(path).ok_or_else(|| format!("Cannot read file {path}, open {path}: no such file or directory"));
    let (cert, key) = (read(cert)?, read(key)?);
    for (content, what) in [(&cert, "certificate"), (&key, "key")] {
        if !String::from_utf8_lossy(content).contains("-----BEGIN ") {
            return Err(format!("tls: failed to find any PEM data in {what} input"));
        }
    }
    secret_of(name, "kubernetes.io/tls", vec![("tls.crt".to_owned(), cert), ("tls.key".to_owned(), key)])
}
