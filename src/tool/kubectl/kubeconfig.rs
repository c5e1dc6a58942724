//! Kubeconfig files: which cluster, user and namespace kubectl works with.
//!
//! Of a context only its namespace has an effect here, and whether it is usable at all.
//!
//! Not modelled: servers that cannot be reached and wrong credentials (whatever a cluster entry or `--server` says, it is the one
//! cluster), exec plugins, paths of certificates.

use super::command::Call;
use super::failure::{Failure, quote};
use super::manifest;
use super::output::yaml;
use crate::object;
use crate::object::Json;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Entries by name.
pub type Entries = BTreeMap<String, Json>;

const CLUSTER: &[&str] = &[
    "server",
    "tls-server-name",
    "insecure-skip-tls-verify",
    "certificate-authority",
    "certificate-authority-data",
    "proxy-url",
    "disable-compression",
    "extensions",
];
const USER: &[&str] = &[
    "client-certificate",
    "client-certificate-data",
    "client-key",
    "client-key-data",
    "token",
    "tokenFile",
    "as",
    "as-uid",
    "as-groups",
    "as-user-extra",
    "username",
    "password",
    "auth-provider",
    "exec",
    "extensions",
];
const CONTEXT: &[&str] = &["cluster", "user", "namespace", "extensions"];

/// A kind of entry: the list's name, an entry's name, its fields, and those that are written even when empty.
#[derive(Debug)]
pub struct Section {
    /// `clusters`.
    pub list: &'static str,
    /// `cluster`.
    pub entry: &'static str,
    /// Fields of an entry.
    pub fields: &'static [&'static str],
    required: &'static [&'static str],
}

/// Clusters.
pub static CLUSTERS: Section = Section { list: "clusters", entry: "cluster", fields: CLUSTER, required: &["server"] };
/// Users.
pub static USERS: Section = Section { list: "users", entry: "user", fields: USER, required: &[] };
/// Contexts.
pub static CONTEXTS: Section = Section { list: "contexts", entry: "context", fields: CONTEXT, required: &["cluster", "user"] };

/// One kubeconfig.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kubeconfig {
    /// Clusters by name.
    pub clusters: Entries,
    /// Users by name.
    pub users: Entries,
    /// Contexts by name.
    pub contexts: Entries,
    /// Name of the current context; may be empty.
    pub current: String,
}

impl Section {
    /// An entry with known fields only, the empty ones left out.
    fn cleaned(&self, entry: &Json) -> Json {
        let mut out = object! {};
        for field in self.fields {
            let value = entry.get(field);
            let is_empty = match value {
                Json::Null | Json::Bool(false) => true,
                Json::Str(text) => text.is_empty(),
                Json::Arr(items) => items.is_empty(),
                Json::Obj(map) => map.is_empty(),
                _ => false,
            };
            if !is_empty {
                out.set(field, value.clone());
            } else if self.required.contains(field) {
                out.set(field, "");
            }
        }
        out
    }

    fn read(&self, file: &Json) -> Result<Entries, String> {
        let list = match file.get(self.list) {
            Json::Null => &[][..],
            Json::Arr(items) => items,
            other => {
                let kind = if other.as_str().is_some() { "string" } else { "object" };
                let slice = format!("[]v1.Named{}", if self.list == "users" { "AuthInfo".to_owned() } else { capitalized(self.entry) });
                return Err(format!("json: cannot unmarshal {kind} into Go struct field Config.{} of type {slice}", self.list));
            }
        };
        let mut entries = Entries::new();
        for item in list {
            // The first entry of a name counts.
            entries.entry(item.get("name").text().to_owned()).or_insert_with(|| self.cleaned(item.get(self.entry)));
        }
        Ok(entries)
    }

    fn write(&self, entries: &Entries) -> Json {
        if entries.is_empty() {
            return Json::Null;
        }
        let item = |(name, entry): (&String, &Json)| {
            let mut item = object! { "name" => name.as_str() };
            item.set(self.entry, self.cleaned(entry));
            item
        };
        Json::from(entries.iter().map(item).collect::<Vec<_>>())
    }
}

fn capitalized(word: &str) -> String {
    word.get(..1).unwrap_or_default().to_uppercase() + word.get(1..).unwrap_or_default()
}

impl Kubeconfig {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// kubectl's words for a malformed file.
    pub fn parse(text: &str) -> Result<Kubeconfig, String> {
        let file = manifest::parse(text).map_err(|why| why.replace("error converting YAML to JSON: ", ""))?;
        Ok(Kubeconfig {
            clusters: CLUSTERS.read(&file)?,
            users: USERS.read(&file)?,
            contexts: CONTEXTS.read(&file)?,
            current: file.get("current-context").text().to_owned(),
        })
    }

    /// As [`Kubeconfig::parse`]; the text that was read last is remembered, since nearly all commands read the same.
    fn parse_again(text: &str) -> Result<Kubeconfig, String> {
        static LAST: Mutex<Option<(String, Kubeconfig)>> = Mutex::new(None);
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, file)) = &*last
            && known == text
        {
            return Ok(file.clone());
        }
        let file = Kubeconfig::parse(text)?;
        *last = Some((text.to_owned(), file.clone()));
        Ok(file)
    }

    /// As a file holds it.
    pub fn to_json(&self) -> Json {
        object! {
            "kind" => "Config",
            "apiVersion" => "v1",
            "clusters" => CLUSTERS.write(&self.clusters),
            "users" => USERS.write(&self.users),
            "contexts" => CONTEXTS.write(&self.contexts),
            "current-context" => self.current.as_str(),
        }
    }

    /// The entries of a section.
    pub fn entries(&mut self, section: &Section) -> &mut Entries {
        match section.list {
            "clusters" => &mut self.clusters,
            "users" => &mut self.users,
            _ => &mut self.contexts,
        }
    }

    /// The kubeconfig that the command works with; an empty one when there is none.
    ///
    /// # Errors
    /// A malformed file.
    pub fn load(call: &mut Call<'_, '_>) -> Result<Kubeconfig, Failure> {
        let mut merged = Kubeconfig::default();
        for path in paths(call) {
            let Some(content) = call.cx.files.read(&path) else { continue };
            let file = Kubeconfig::parse_again(&String::from_utf8_lossy(&content))
                .map_err(|why| format!("error loading config file {}: {why}", quote(&path)))?;
            for (into, from) in
                [(&mut merged.clusters, file.clusters), (&mut merged.users, file.users), (&mut merged.contexts, file.contexts)]
            {
                for (name, entry) in from {
                    into.entry(name).or_insert(entry);
                }
            }
            if merged.current.is_empty() {
                merged.current = file.current;
            }
        }
        Ok(merged)
    }

    /// Writes the kubeconfig back.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, call: &mut Call<'_, '_>) -> Result<(), Failure> {
        let path = default_path(call);
        let mut text = String::new();
        yaml::write(&self.to_json(), &mut text);
        call.cx.files.write(&path, text.as_bytes()).map_err(|why| format!("open {path}: {}", why.to_lowercase()).into())
    }

    /// The namespace of a context; `None` when it says none, or when there is no such context.
    pub fn namespace(&self, context: &str) -> Option<String> {
        let namespace = self.contexts.get(context)?.get("namespace").text();
        (!namespace.is_empty()).then(|| namespace.to_owned())
    }

    /// The address of the server of a context.
    pub fn server(&self, context: &str) -> String {
        let cluster = self.contexts.get(context).map_or("", |context| context.get("cluster").text());
        self.clusters.get(cluster).map_or("", |cluster| cluster.get("server").text()).to_owned()
    }
}

fn paths(call: &Call<'_, '_>) -> Vec<String> {
    let explicit = call.flags.text("kubeconfig");
    let list = if explicit.is_empty() { call.cx.kubeconfig.split(':').map(str::to_owned).collect() } else { vec![explicit] };
    list.into_iter().filter(|path| !path.is_empty()).collect()
}

/// The file that changes go to: the first that exists, or else the last.
pub fn default_path(call: &mut Call<'_, '_>) -> String {
    let paths = paths(call);
    let existing = paths.iter().find(|path| call.cx.files.read(path).is_some());
    existing.or(paths.last()).cloned().unwrap_or_default()
}

/// The name of the user that the command works as, according to the kubeconfig.
///
/// # Errors
/// A malformed file.
pub fn user(call: &mut Call<'_, '_>) -> Result<String, Failure> {
    let given = ["user", "context"].map(|flag| call.flags.text(flag));
    let config = Kubeconfig::load(call)?;
    let [user, context] = given;
    let context = config.contexts.get(if context.is_empty() { &config.current } else { &context });
    Ok(if user.is_empty() { context.map_or("", |context| context.get("user").text()).to_owned() } else { user })
}

/// What kubectl says when its kubeconfig names no server.
const NO_SERVER: &str = "The connection to the server localhost:8080 was refused - did you specify the right host or port?";

/// Takes namespace and user from the kubeconfig and the flags that choose among its entries.
///
/// A machine without a kubeconfig works with the cluster as it is.
///
/// # Errors
/// When what is chosen is not there.
pub fn choose(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let explicit = call.flags.text("kubeconfig");
    if !explicit.is_empty() && call.cx.files.read(&explicit).is_none() {
        return Err(format!("stat {explicit}: no such file or directory").into());
    }
    if paths(call).iter().all(|path| call.cx.files.read(path).is_none()) {
        return Ok(());
    }
    let config = Kubeconfig::load(call)?;
    let chosen = |flag: &'static str| Some(call.flags.text(flag)).filter(|name| !name.is_empty());
    if let Some(user) = chosen("user").filter(|user| !config.users.contains_key(user)) {
        return Err(format!("auth info {} does not exist", quote(&user)).into());
    }
    let context = chosen("context").unwrap_or_else(|| config.current.clone());
    if !context.is_empty() && !config.contexts.contains_key(&context) {
        let message = format!("Error in configuration: context was not found for specified context: {context}");
        return Err(Failure::Program { message, code: 1 });
    }
    if let Some(cluster) = chosen("cluster").filter(|cluster| !config.clusters.contains_key(cluster)) {
        return Err(format!("no server found for cluster {}", quote(&cluster)).into());
    }
    if chosen("cluster").is_none() && chosen("server").is_none() && config.server(&context).is_empty() {
        return Err(Failure::Program { message: NO_SERVER.to_owned(), code: 1 });
    }
    if let Some(namespace) = config.namespace(&context) {
        call.namespace = namespace;
    }
    Ok(())
}
