//! `kubectl version`.
//!
//! Not modelled: the warning about a server that is too far from the client's version.

use super::command::{Call, Command};
use super::failure::Failure;
use super::flags::Flag;
use super::output::json::{FieldOrder, ordered};
use super::output::yaml;
use crate::object;
use crate::object::Json;

static FLAGS: &[Flag] =
    &[Flag::switch("client", "Only the client's version; needs no server."), Flag::text("output", "Format: yaml, json.").short('o')];

/// `kubectl version`.
pub static COMMAND: Command = Command::leaf("kubectl version", "[flags]", "Print the client and server version information", &[FLAGS], run);

/// The version of Kubernetes, as the client and the server tell it.
pub const VERSION: &str = "v1.34.4";
const KUSTOMIZE: &str = "v5.7.1";

const BUILD: &[&str] = &[
    "major",
    "minor",
    "emulationMajor",
    "emulationMinor",
    "minCompatibilityMajor",
    "minCompatibilityMinor",
    "gitVersion",
    "gitCommit",
    "gitTreeState",
    "buildDate",
    "goVersion",
    "compiler",
    "platform",
];
const ORDER: FieldOrder =
    &[("", &["clientVersion", "kustomizeVersion", "serverVersion"]), ("clientVersion", BUILD), ("serverVersion", BUILD)];

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let client_only = call.flags.on("client");
    if !call.args.is_empty() && !client_only {
        return Err(format!("extra arguments: [{}]", call.args.join(" ")).into());
    }
    let mut versions = object! { "clientVersion" => build(), "kustomizeVersion" => KUSTOMIZE };
    if !client_only {
        versions.set("serverVersion", server(&call.cx.cluster.version()));
    }
    let mut text = String::new();
    match call.flags.text("output").as_str() {
        "" => {
            text.push_str(&format!("Client Version: {VERSION}\nKustomize Version: {KUSTOMIZE}\n"));
            if !client_only {
                text.push_str(&format!("Server Version: {}\n", versions.at(&["serverVersion", "gitVersion"]).text()));
            }
        }
        "json" => {
            ordered(&versions, ORDER, 2, &mut text);
            text.push('\n');
        }
        "yaml" => {
            yaml::write(&versions, &mut text);
            text.push('\n');
        }
        _ => return Err("--output must be 'yaml' or 'json'".into()),
    }
    call.print(&text);
    Ok(())
}

/// How a program that was built from the sources describes itself.
fn build() -> Json {
    object! {
        "major" => "1",
        "minor" => "34",
        "gitVersion" => VERSION,
        "gitCommit" => "$Format:%H$",
        "gitTreeState" => "",
        "buildDate" => "1970-01-01T00:00:00Z",
        "goVersion" => "go1.26.8",
        "compiler" => "gc",
        "platform" => "linux/amd64",
    }
}

/// What the server says of itself, the answer to `/version`; `asked` is null for the version that the client has.
pub fn server(asked: &Json) -> Json {
    if !asked.is_null() {
        return asked.clone();
    }
    let mut version = build();
    for (field, value) in
        [("emulationMajor", "1"), ("emulationMinor", "34"), ("minCompatibilityMajor", "1"), ("minCompatibilityMinor", "33")]
    {
        version.set(field, value);
    }
    version
}

/// The answer to `/version`, as the server sends it.
pub fn server_text(asked: &Json) -> String {
    let mut text = String::new();
    ordered(&server(asked), &[("", BUILD)], 2, &mut text);
    text
}
