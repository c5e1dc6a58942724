//! `kubectl apply`: makes objects what files say, by a three-way merge with what was applied before, or on the server.
//!
//! Not modelled: pruning, sets of applied objects, `--overwrite=false`, moving the ownership of fields from client-side to server-side
//! apply.

mod last_applied;
pub mod patcher;

use super::builder::{Builder, FILENAME, Info, SELECTOR};
use super::command::{Call, Command};
use super::delete::DELETION;
use super::failure::{Failure, quote};
use super::flags::Flag;
use super::mutation::{self, ALL, DRY_RUN, DryRun, LAST_APPLIED, RECORD, VALIDATE, Writer};
use super::printing::{PRINT, Printer};
use crate::cluster::{ApiRequest, PatchKind};
use crate::object;
use crate::object::{Json, Object};
use patcher::Patcher;

static FLAGS: &[Flag] = &[
    Flag::text("field-manager", "In whose name the fields are owned.").default("kubectl-client-side-apply"),
    Flag::switch("openapi-patch", "Merge by the server's schema.").default("true"),
    Flag::switch("overwrite", "Take the files' values where the live object differs.").default("true"),
    Flag::switch("prune", "Delete objects that were applied before and are in no file; with -l or --all."),
    Flag::list("prune-allowlist", "Kinds that --prune may delete, GROUP/VERSION/KIND."),
    Flag::text("subresource", "Apply to this part of the object; with --server-side."),
    Flag::switch("wait", "Wait until deleted objects are gone."),
];

/// `--server-side` and `--force-conflicts`.
pub static SERVER_SIDE: &[Flag] = &[
    Flag::switch("force-conflicts", "Take fields over from other managers; with --server-side."),
    Flag::switch("server-side", "Apply on the server."),
];

/// The command.
pub static COMMAND: Command = Command::leaf(
    "kubectl apply",
    "(-f FILENAME | -k DIRECTORY)",
    "Apply a configuration to a resource by file name or stdin",
    &[FLAGS, SERVER_SIDE, ALL, DELETION, FILENAME, PRINT, DRY_RUN, VALIDATE, SELECTOR, RECORD],
    run,
)
.subcommands(&[&last_applied::VIEW]);

const CONFLICTS: &str = "Please review the fields above--they currently have other managers. Here
are the ways you can resolve this warning:
* If you intend to manage all of these fields, please re-run the apply
  command with the `--force-conflicts` flag.
* If you do not intend to manage all of the fields, please edit your
  manifest to remove references to the fields that should keep their
  current managers.
* You may co-own fields by updating your manifest to match the existing
  value; in this case, you'll become the manager if the other manager(s)
  stop managing the field (remove it from their configuration).
See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts";

/// The manager of fields: as given, or by the kind of apply.
pub fn manager(call: &Call<'_, '_>) -> String {
    let server_side = call.flags.on("server-side");
    if server_side && !call.flags.changed("field-manager") { "kubectl".to_owned() } else { call.flags.text("field-manager") }
}

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    if !call.args.is_empty() {
        return Err(Failure::usage(call, format!("Unexpected args: [{}]", call.args.join(" "))));
    }
    let mut writer = Writer::of(call)?;
    writer.manager = manager(call).into();
    mutation::require_files(call)?;
    writer.validation = Some(mutation::validation(call)?);
    writer.force = call.flags.on("force-conflicts");
    check(call, writer.dry_run)?;
    writer.subresource = mutation::subresource(&call.flags.text("subresource"))?;
    let mut printer = Printer::of(call, writer.dry_run)?;
    let labels = call.flags.text("selector");
    let found = Builder::new(call).continue_on_error().files(call, call.namespace_given).labels(&labels).fetch(call)?;
    let infos = found.flat();
    let mut failures = found.failures;
    if infos.is_empty() && failures.is_empty() {
        return Err("no objects passed to apply".into());
    }
    let mut applied = Vec::new();
    for mut info in infos {
        match apply(call, &writer, &mut info) {
            Ok(operation) if !printer.prints_objects() => {
                failures.extend(printer.print(call, &info.object, operation).err());
            }
            Ok(_) => applied.push(info.object),
            Err(failure) => failures.push(failure),
        }
    }
    Failure::all(failures)?;
    match applied.as_slice() {
        [] => Ok(()),
        [one] => printer.print(call, one, ""),
        many => {
            let items: Json = many.iter().map(|object| object.0.clone()).collect();
            let list = object! { "apiVersion" => "v1", "kind" => "List", "metadata" => object! {}, "items" => items };
            printer.print(call, &Object(list), "")
        }
    }
}

fn check(call: &Call<'_, '_>, dry_run: DryRun) -> Result<(), Failure> {
    let on = |flag| call.flags.on(flag);
    let (server_side, force, prune) = (on("server-side"), on("force"), on("prune"));
    let selected = !call.flags.text("selector").is_empty();
    let words = if on("force-conflicts") && !server_side {
        "--force-conflicts only works with --server-side"
    } else if dry_run == DryRun::Client && server_side {
        "--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)"
    } else if server_side && force {
        "--force cannot be used with --server-side"
    } else if dry_run == DryRun::Server && force {
        "--dry-run=server cannot be used with --force"
    } else if on("all") && selected {
        "cannot set --all and --selector at the same time"
    } else if prune && force {
        "--force cannot be used with --prune"
    } else if prune && !on("all") && !selected {
        "all resources selected for prune without explicitly passing --all. To prune all resources, pass the --all flag. If you did not \
         mean to prune all resources, specify a label selector"
    } else if prune {
        "--prune is not available here; delete what is too much with kubectl delete"
    } else if !call.flags.text("subresource").is_empty() && !server_side {
        "--subresource can only be specified for --server-side"
    } else {
        return Ok(());
    };
    Err(words.into())
}

/// Applies one object; `info` holds it as it is then, and the answer says what became of it.
fn apply(call: &mut Call<'_, '_>, writer: &Writer, info: &mut Info) -> Result<&'static str, Failure> {
    let generated = info.object.meta().get("generateName").text();
    if info.name.is_empty() && !generated.is_empty() {
        return Err(format!("from {generated}: cannot use generate name with apply").into());
    }
    if call.flags.on("server-side") {
        return apply_on_server(call, writer, info);
    }
    let modified = patcher::modified(&info.object, true);
    let read = if info.name.is_empty() {
        Err("resource name may not be empty".into())
    } else {
        call.api(&ApiRequest::get(&info.resource, info.scope(), &info.name))
    };
    match read {
        Err(failure) if failure.is_not_found() => create(call, writer, info, modified),
        Err(failure) => {
            let what = format!("retrieving current configuration of:\n{}\nfrom server for:", patcher::described(info));
            Err(failure.of_source(&what, &info.source))
        }
        Ok(reply) => {
            info.object = reply.into_object();
            update(call, writer, info, &modified)
        }
    }
}

fn create(call: &mut Call<'_, '_>, writer: &Writer, info: &mut Info, modified: Object) -> Result<&'static str, Failure> {
    info.object = Object(without_nulls(&modified));
    if writer.dry_run != DryRun::Client {
        let scope = info.scope().map(str::to_owned);
        let created = writer.create(call, &info.resource, scope.as_deref(), info.object.0.clone());
        info.object = created.map_err(|failure| failure.of_source("creating", &info.source))?;
    }
    Ok("created")
}

/// The value without null fields; nulls in lists stay.
fn without_nulls(value: &Json) -> Json {
    match value {
        Json::Obj(map) => {
            let kept = map.iter().filter(|(_, value)| !value.is_null());
            Json::from(kept.map(|(key, value)| (key.clone(), without_nulls(value))).collect::<crate::object::Map>())
        }
        Json::Arr(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

fn update(call: &mut Call<'_, '_>, writer: &Writer, info: &mut Info, modified: &Object) -> Result<&'static str, Failure> {
    if writer.dry_run == DryRun::Client {
        return Ok("configured");
    }
    if info.object.annotation(LAST_APPLIED).is_none() {
        call.complain(format!(
            "Warning: resource {}/{} is missing the {LAST_APPLIED} annotation which is required by kubectl apply. kubectl apply should only be \
             used on resources created declaratively by either kubectl create --save-config or kubectl apply. The missing annotation will be \
             patched automatically.",
            info.resource.plural, info.name
        ));
    }
    let patcher = Patcher { writer, lock: false, replace: call.flags.on("force") };
    let changed = patcher.patch(call, info, modified)?;
    warn_if_deleting(call, &info.object);
    Ok(if changed { "configured" } else { "unchanged" })
}

/// Says that an object is on its way out.
pub fn warn_if_deleting(call: &mut Call<'_, '_>, object: &Object) {
    if object.is_terminating() {
        call.complain(format!("Warning: Detected changes to resource {} which is currently being deleted.", object.name()));
    }
}

fn apply_on_server(call: &mut Call<'_, '_>, writer: &Writer, info: &mut Info) -> Result<&'static str, Failure> {
    let sent = writer.patch(call, info, PatchKind::Apply, info.object.0.clone());
    info.object = sent.map_err(|failure| if failure.is_conflict() { format!("{failure}\n{CONFLICTS}").into() } else { failure })?;
    warn_if_deleting(call, &info.object);
    Ok("serverside-applied")
}

/// `Name: "web", Namespace: "shop"` as part of an error.
pub(super) fn quoted_name(info: &Info) -> String {
    format!("Name: {}, Namespace: {}", quote(&info.name), quote(&info.namespace))
}
