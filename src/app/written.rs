//! Application data as it is written in TOML. These types only mirror the files; [`super::resolve`] checks what they say.
//!
//! Unknown fields are errors. Whatever refers to something else is a [`Spanned`] text, so that an error can name its line.

use crate::workload::Load;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use toml::Spanned;

/// A text with its place in the file.
pub(super) type Text = Spanned<String>;

/// One file.
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub app: Option<Spanned<App>>,
    /// Its own load, besides the rate.
    #[serde(default)]
    pub load: Load,
    #[serde(default)]
    pub endpoint: Vec<Endpoint>,
    /// Documents by name: a JSON file beside this one.
    #[serde(default)]
    pub documents: BTreeMap<String, Text>,
    #[serde(default)]
    pub store: Vec<Store>,
    #[serde(default)]
    pub program: BTreeMap<String, Spanned<Program>>,
    #[serde(default)]
    pub image: BTreeMap<String, Spanned<Image>>,
    /// Sets of tools that images share, by name.
    #[serde(default)]
    pub tools: BTreeMap<String, Vec<String>>,
    /// Registry hosts that exist.
    #[serde(default)]
    pub registries: Vec<String>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct App {
    pub title: String,
    pub namespace: String,
    pub description: String,
    pub operations: Vec<String>,
    pub entry: Entry,
    pub rate_per_s: f64,
    /// Deployments that the others need when they start.
    #[serde(default)]
    pub first: Vec<Text>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub service: Text,
    pub port: u16,
}

/// A store whose users, roles and data belong to the application's baseline.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Store {
    pub deployment: Text,
    /// The program whose output is the same as long as they are.
    pub fingerprint: Vec<String>,
    /// The program that says what it holds, users and roles apart, a line each; `NAME: at least N ...` for what may grow.
    #[serde(default)]
    pub holds: Vec<String>,
    /// The folder with all of it.
    pub data: String,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Endpoint {
    pub name: Text,
    pub weight: f64,
    #[serde(default)]
    pub draw: Vec<Draw>,
    #[serde(default)]
    pub query: Vec<(String, Text)>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Draw {
    pub name: Text,
    pub int: Option<[i64; 2]>,
    pub decimal: Option<[i64; 2]>,
    pub choice: Option<Vec<(String, f64)>>,
    pub repeat: Option<Text>,
    pub after: Option<Text>,
    #[serde(default)]
    pub relative: bool,
    pub width: Option<usize>,
    pub places: Option<u32>,
    pub times: Option<usize>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Image {
    pub repositories: Vec<Text>,
    #[serde(default)]
    pub tags: Vec<String>,
    /// Another image, whose entries stand where this one has none.
    pub like: Option<Text>,
    pub entrypoint: Option<Vec<String>>,
    pub cmd: Option<Vec<String>>,
    pub env: Option<Vec<(String, String)>>,
    pub workdir: Option<String>,
    pub uid: Option<u32>,
    pub user: Option<String>,
    pub shell: Option<Text>,
    pub os: Option<String>,
    /// Sets of tools.
    pub tools: Option<Vec<Text>>,
    /// Folder of the tools.
    pub tools_in: Option<String>,
    /// Path of an executable and the program behind it.
    #[serde(default)]
    pub programs: BTreeMap<String, Text>,
    /// Path of an entry point that runs its arguments, and the command that it puts before those that name none.
    #[serde(default)]
    pub wrappers: BTreeMap<String, String>,
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    pub size_mb: Option<f64>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Program {
    pub service: Option<String>,
    pub behaviour: Option<Text>,
    pub log: Option<Text>,
    /// The libraries with which it calls others.
    pub clients: Option<Text>,
    pub hangs_up: Option<Spanned<Or<Line>>>,
    #[serde(default)]
    pub settings: BTreeMap<String, Setting>,
    #[serde(default)]
    pub start: Vec<Spanned<Or<Start>>>,
    #[serde(default)]
    pub operation: Vec<Operation>,
    #[serde(default)]
    pub http: Vec<Http>,
    pub memory_mib: Memory,
    #[serde(default)]
    pub leak: Leak,
    pub cpu: Option<Spanned<Cpu>>,
    pub on_term: Option<Spanned<OnTerm>>,
    /// Whether it drops work whose caller no longer waits.
    #[serde(default)]
    pub cancels: bool,
    /// The most requests that it works on at once.
    pub pool: Option<u32>,
    pub hop_ms: Option<f64>,
    pub hop_cv: Option<f64>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Memory {
    pub start: f64,
    pub working: f64,
    #[serde(default)]
    pub load: f64,
    #[serde(default)]
    pub cache: f64,
    #[serde(default)]
    pub request: f64,
}

/// Bytes that are never given back.
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Leak {
    #[serde(default)]
    pub request: u64,
    #[serde(default)]
    pub second: u64,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Cpu {
    #[serde(default)]
    pub idle_m: f64,
    #[serde(default)]
    pub request_ms: f64,
    #[serde(default)]
    pub wake_ms: f64,
    pub calls: Option<f64>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct OnTerm {
    pub exit: Option<i32>,
    pub after_ms: Option<u64>,
    #[serde(default)]
    pub ignore: bool,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Setting {
    pub file: Option<Text>,
    /// The flag that names the file.
    pub config: Option<Text>,
    pub key: Option<String>,
    pub port: Option<String>,
    pub env: Option<String>,
    pub argument: Option<usize>,
    pub flag: Option<String>,
    pub switch: Option<String>,
    pub value: Option<String>,
    #[serde(default)]
    pub default: String,
}

/// A line in another format than the program's own.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    pub json: Option<Text>,
    pub plain: Option<Text>,
    pub go: Option<Text>,
}

/// What happens when a step fails.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Failure {
    #[serde(default)]
    pub log: Vec<Spanned<Or<Line>>>,
    pub exit: Option<i32>,
    #[serde(default)]
    pub again: bool,
}

/// A step of start-up: exactly one of the verbs, with what belongs to it.
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    pub json: Option<Text>,
    pub plain: Option<Text>,
    pub go: Option<Text>,
    pub sleep_ms: Option<f64>,
    pub need: Option<Vec<Text>>,
    pub resolve: Option<Text>,
    pub dial: Option<Text>,
    pub query: Option<Text>,
    pub seed: Option<Text>,
    pub listen: Option<Vec<Listen>>,
    pub register: Option<Text>,
    pub follow: Option<Text>,
    pub serve: Option<bool>,
    pub exit: Option<i32>,
    pub exit_with: Option<Text>,
    pub repeat: Option<Text>,
    // What belongs to the verbs.
    pub times: Option<Text>,
    pub every_ms: Option<f64>,
    pub cv: Option<f64>,
    pub protocol: Option<Text>,
    pub timeout_s: Option<f64>,
    pub overrun_ms: Option<f64>,
    pub retry_ms: Option<f64>,
    pub user: Option<String>,
    pub password: Option<String>,
    pub database: Option<String>,
    pub collection: Option<String>,
    pub documents: Option<Text>,
    pub key: Option<String>,
    pub needs: Option<Text>,
    pub command: Option<Text>,
    pub time_ms: Option<f64>,
    pub insert_ms: Option<f64>,
    pub lookup_ms: Option<f64>,
    #[serde(rename = "in")]
    pub registry: Option<Text>,
    pub port: Option<Spanned<toml::Value>>,
    pub unreachable: Option<Failure>,
    pub denied: Option<Failure>,
    pub lost: Option<Failure>,
    pub failed: Option<Failure>,
    pub failed_line: Option<Spanned<Or<Line>>>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Listen {
    pub port: Spanned<toml::Value>,
    pub protocol: Text,
    #[serde(default)]
    pub udp: bool,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Operation {
    pub name: String,
    pub span: Option<String>,
    pub cpu_ms: Option<Spanned<f64>>,
    pub steps: Vec<Spanned<Step>>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Http {
    #[serde(default)]
    pub methods: Vec<String>,
    pub path: String,
    #[serde(default)]
    pub exact: bool,
    pub span: Option<Text>,
    #[serde(default)]
    pub check: Vec<Check>,
    pub cpu_ms: Option<Spanned<f64>>,
    #[serde(default)]
    pub steps: Vec<Spanned<Step>>,
    pub reply: Reply,
    pub error_status: Option<u16>,
    pub error_body: Option<String>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Check {
    pub present: Option<Vec<String>>,
    pub parameter: Option<String>,
    pub one_of: Option<Vec<String>>,
    pub parameters: Option<Vec<String>>,
    pub like: Option<String>,
    pub body: Text,
    pub status: Option<u16>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Reply {
    pub status: Option<u16>,
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    pub text: Option<String>,
    pub cases: Option<Vec<Case>>,
    pub select: Option<Select>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub known: Option<Text>,
    pub unknown: Option<Text>,
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    pub text: String,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Select {
    pub from: Text,
    pub keep: Keep,
    #[serde(default)]
    pub join: Vec<Join>,
    pub item: String,
    pub body: String,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Keep {
    pub nearest: Option<(String, String)>,
    pub within_km: Option<f64>,
    pub limit: Option<usize>,
    pub greatest: Option<String>,
    pub least: Option<String>,
    pub by: Option<Text>,
    #[serde(default)]
    pub ways: BTreeMap<String, Keep>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Join {
    pub documents: Text,
    pub left: String,
    pub right: String,
    pub order: Option<String>,
}

/// A step of an operation: exactly one of the verbs, with what belongs to it.
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    pub compute_ms: Option<f64>,
    pub call: Option<Text>,
    pub address: Option<Text>,
    pub store: Option<Text>,
    pub parallel: Option<Vec<Vec<Spanned<Step>>>>,
    // What belongs to the verbs.
    pub cv: Option<f64>,
    #[serde(rename = "in")]
    pub registry: Option<Text>,
    pub op: Option<Text>,
    pub span: Option<Text>,
    pub timeout_s: Option<f64>,
    pub retries: Option<u32>,
    /// The most of these that are under way at once.
    pub pool: Option<u32>,
    pub protocol: Option<Text>,
    pub database: Option<String>,
    pub collection: Option<String>,
    pub needs: Option<Text>,
    pub user: Option<String>,
    pub password: Option<String>,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    pub time_ms: Option<f64>,
    pub cpu_ms: Option<Spanned<f64>>,
    pub miss: Option<Box<Miss>>,
    pub failed: Option<Failed>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Miss {
    pub keys: f64,
    pub per_request: f64,
    pub ttl_s: Option<f64>,
    #[serde(default)]
    pub steps: Vec<Spanned<Step>>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Failed {
    pub log: Option<Spanned<Or<Line>>>,
    pub unconnected: Option<Spanned<Or<Line>>>,
    #[serde(default)]
    pub ignore: bool,
    pub exit: Option<i32>,
}

/// A plain text, or a table that says more.
#[derive(Debug)]
pub(super) enum Or<T> {
    Text(String),
    Table(Box<T>),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Or<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OrVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OrVisitor<T> {
            type Value = Or<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a table")
            }
            fn visit_str<E>(self, text: &str) -> Result<Or<T>, E> {
                Ok(Or::Text(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Or<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|t| Or::Table(Box::new(t)))
            }
        }
        deserializer.deserialize_any(OrVisitor(PhantomData))
    }
}
