//! `kubectl diff`: what applying files would change.

use super::apply::patcher::{Patcher, modified};
use super::apply::{SERVER_SIDE, manager, warn_if_deleting};
use super::builder::{Builder, FILENAME, Info, SELECTOR};
use super::command::{Call, Command};
use super::failure::Failure;
use super::flags::Flag;
use super::mutation::{self, DryRun, Writer};
use super::output::yaml;
use super::unified_diff::hunks;
use crate::cluster::{ApiRequest, PatchKind};
use crate::object::{Json, Object};
use crate::rng::Key;

static FLAGS: &[Flag] = &[
    Flag::int("concurrency", "1", "How many objects to compare at once."),
    Flag::text("field-manager", "In whose name the fields are owned.").default("kubectl-client-side-apply"),
    Flag::switch("prune", "Show what pruning would delete."),
    Flag::list("prune-allowlist", "Kinds that --prune may delete, GROUP/VERSION/KIND."),
    Flag::switch("show-managed-fields", "Compare managedFields too."),
];

/// The command.
pub static COMMAND: Command = Command::leaf(
    "kubectl diff",
    "-f FILENAME",
    "Diff the live version against a would-be applied version",
    &[FLAGS, SERVER_SIDE, FILENAME, SELECTOR],
    run,
);

/// Failures end with 2, since 1 says that there are differences.
fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    match differences(call) {
        Ok(true) => Err(Failure::Exit(1)),
        Ok(false) => Ok(()),
        Err(cut @ Failure::Exit(_)) => Err(cut),
        Err(failure) => {
            let (message, code) = failure.report();
            Err(Failure::Program { message, code: code + 1 })
        }
    }
}

/// One object: the name of its file, and its text now and after.
struct Compared {
    file: String,
    live: String,
    merged: String,
}

fn differences(call: &mut Call<'_, '_>) -> Result<bool, Failure> {
    if !call.args.is_empty() {
        return Err(Failure::usage(call, format!("Unexpected args: [{}]", call.args.join(" "))));
    }
    mutation::require_files(call)?;
    let server_side = call.flags.on("server-side");
    if call.flags.on("force-conflicts") && !server_side {
        return Err("--force-conflicts only works with --server-side".into());
    }
    if call.flags.on("prune") {
        return Err("--prune is not available here".into());
    }
    let labels = call.flags.text("selector");
    let found = Builder::new(call).files(call, call.namespace_given).labels(&labels).fetch(call)?;
    let infos = found.flat();
    Failure::all(found.failures)?;
    let writer =
        Writer { manager: manager(call).into(), dry_run: DryRun::Server, force: call.flags.on("force-conflicts"), ..Writer::default() };
    let mut compared = Vec::new();
    for info in infos {
        compared.push(compare(call, &writer, info)?);
    }
    compared.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(print(call, &compared))
}

fn compare(call: &mut Call<'_, '_>, writer: &Writer, mut info: Info) -> Result<Compared, Failure> {
    let local = info.object.clone();
    let live = match call.api(&ApiRequest::get(&info.resource, info.scope(), &info.name)) {
        Ok(reply) => Some(reply.into_object()),
        Err(failure) if failure.is_not_found() => None,
        Err(failure) => return Err(failure),
    };
    let mut merged = match &live {
        _ if call.flags.on("server-side") => writer.patch(call, &info, PatchKind::Apply, local.0)?,
        None => {
            let scope = info.scope().map(str::to_owned);
            writer.create(call, &info.resource, scope.as_deref(), local.0)?
        }
        Some(live) => {
            info.object = live.clone();
            Patcher { writer, lock: true, replace: false }.patch(call, &mut info, &modified(&local, false))?;
            info.object.clone()
        }
    };
    if let Some(live) = &live {
        warn_if_deleting(call, live);
    }
    let mut live = live;
    if !call.flags.on("show-managed-fields") {
        merged.remove_at(&["metadata", "managedFields"]);
        if let Some(live) = &mut live {
            live.remove_at(&["metadata", "managedFields"]);
        }
    }
    if merged.kind() == "Secret" && merged.api_version() == "v1" {
        mask(live.as_mut(), &mut merged);
    }
    let text = |object: &Object| {
        let mut text = String::new();
        yaml::write(object, &mut text);
        text
    };
    let r = &info.resource;
    let group = if r.group.is_empty() { String::new() } else { format!("{}.", r.group) };
    let file = format!("{group}{}.{}.{}.{}", r.version, r.kind, info.namespace, info.name);
    Ok(Compared { file, live: live.as_ref().map(text).unwrap_or_default(), merged: text(&merged) })
}

/// Hides the data of Secrets; what differs stays visible as different.
fn mask(live: Option<&mut Object>, merged: &mut Object) {
    let empty = Json::Null;
    let before = live.as_ref().map_or(&empty, |live| live.get("data")).clone();
    let after = merged.get("data").clone();
    let differs = |key: &str| !before.get(key).is_null() && !after.get(key).is_null() && before.get(key) != after.get(key);
    for (key, _) in after.entries() {
        merged.set_at(&["data", key], if differs(key) { "*** (after)" } else { "***" });
    }
    if let Some(live) = live {
        for (key, _) in before.entries() {
            live.set_at(&["data", key], if differs(key) { "*** (before)" } else { "***" });
        }
    }
}

/// Prints what `diff -u -N` prints for the two folders; whether anything differs.
fn print(call: &mut Call<'_, '_>, compared: &[Compared]) -> bool {
    let now = call.now();
    let mut digits = Key::new(now.as_nanos()).part("kubectl diff").stream();
    let folder = |prefix: &str, digits: u64| format!("/tmp/{prefix}-{digits}");
    let (from, to) = (folder("LIVE", digits.below(1 << 32)), folder("MERGED", digits.below(1 << 32)));
    let time = now.timestamp().strftime("%Y-%m-%d %H:%M:%S.%9f +0000").to_string();
    let mut any = false;
    for Compared { file, live, merged } in compared {
        let text = hunks(live, merged);
        if text.is_empty() {
            continue;
        }
        any = true;
        call.say(format!("diff -u -N {from}/{file} {to}/{file}"));
        call.say(format!("--- {from}/{file}\t{time}"));
        call.say(format!("+++ {to}/{file}\t{time}"));
        call.print(&text);
    }
    any
}
