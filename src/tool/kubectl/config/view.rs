//! `kubectl config view`.

use crate::object::Json;
use crate::tool::kubectl::command::{Call, Command};
use crate::tool::kubectl::discovery::no_arguments;
use crate::tool::kubectl::failure::Failure;
use crate::tool::kubectl::flags::Flag;
use crate::tool::kubectl::kubeconfig::Kubeconfig;
use crate::tool::kubectl::output::json::{FieldOrder, ordered};
use crate::tool::kubectl::output::{OUTPUT, Printer};

static FLAGS: &[Flag] = &[
    Flag::switch("flatten", "Put the content of certificate files into the output."),
    Flag::switch("merge", "Merge all kubeconfig files.").default("true"),
    Flag::switch("minify", "Only what the current context uses."),
    Flag::text("output", "Format: json, yaml, go-template, jsonpath.").short('o').default("yaml"),
    Flag::switch("raw", "Show certificates, keys and tokens."),
];

/// `kubectl config view`.
pub static COMMAND: Command = Command::leaf(
    "kubectl config view",
    "[flags]",
    "Display merged kubeconfig settings or a specified kubeconfig file",
    &[FLAGS, OUTPUT],
    run,
);

const ORDER: FieldOrder = &[
    ("", &["kind", "apiVersion", "clusters", "users", "contexts", "current-context"]),
    ("clusters", &["name", "cluster"]),
    ("users", &["name", "user"]),
    ("contexts", &["name", "context"]),
    (
        "cluster",
        &["server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority", "certificate-authority-data", "proxy-url"],
    ),
    ("context", &["cluster", "user", "namespace", "extensions"]),
    (
        "user",
        &[
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
        ],
    ),
];

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    no_arguments(call)?;
    if !call.flags.on("merge") && call.flags.text("kubeconfig").is_empty() {
        return Err("if merge==false a precise file must be specified".into());
    }
    let is_json = call.flags.text("output").eq_ignore_ascii_case("json");
    let mut printer = if is_json { None } else { Some(Printer::of_flags(call, "")?) };
    let mut config = Kubeconfig::load(call)?;
    if call.flags.on("minify") {
        let context = call.flags.text("context");
        if !context.is_empty() {
            config.current = context;
        }
        minify(&mut config)?;
    }
    if !call.flags.on("flatten") && !call.flags.on("raw") {
        redact(&mut config);
    }
    let (object, mut text) = (config.to_json(), String::new());
    let printed = match &mut printer {
        Some(printer) => printer.print(&object, &mut text),
        None => {
            ordered(&object, ORDER, 4, &mut text);
            text.push('\n');
            Ok(())
        }
    };
    call.print(&text);
    printed
}

/// Leaves only what the current context uses.
fn minify(config: &mut Kubeconfig) -> Result<(), Failure> {
    if config.current.is_empty() {
        return Err("current-context must exist in order to minify".into());
    }
    let current = config.current.clone();
    let context = config.contexts.get(&current).cloned().ok_or_else(|| format!("cannot locate context {current}"))?;
    config.contexts.retain(|name, _| *name == current);
    for (entries, entry) in [(&mut config.clusters, "cluster"), (&mut config.users, "user")] {
        let used = context.get(entry).text();
        if !used.is_empty() && !entries.contains_key(used) {
            return Err(format!("cannot locate {entry} {used}").into());
        }
        entries.retain(|name, _| name == used);
    }
    Ok(())
}

fn redact(config: &mut Kubeconfig) {
    let hide = |entry: &mut Json, fields: &[&str], words: &str| {
        for field in fields.iter().filter(|field| !entry.get(field).text().is_empty()).collect::<Vec<_>>() {
            entry.set(field, words);
        }
    };
    for user in config.users.values_mut() {
        hide(user, &["client-certificate-data", "client-key-data"], "DATA+OMITTED");
        hide(user, &["token", "password"], "REDACTED");
    }
    for cluster in config.clusters.values_mut() {
        hide(cluster, &["certificate-authority-data"], "DATA+OMITTED");
    }
}
