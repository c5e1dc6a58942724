//! `kubectl patch`.

use super::builder::{Builder, FILENAME, Info};
use super::command::{Call, Command};
use super::failure::{Failure, quote};
use super::flags::Flag;
use super::manifest;
use super::mutation::{self, DRY_RUN, DryRun, LOCAL, RECORD, Writer};
use super::printing::{PRINT, Printer};
use crate::cluster::PatchKind;
use crate::object::schema::schema;
use crate::object::{Json, Object, patch};

static FLAGS: &[Flag] = &[
    Flag::text("patch", "The patch, as JSON or YAML.").short('p'),
    Flag::text("patch-file", "File with the patch."),
    Flag::text("type", "How the patch is meant: json, merge or strategic.").default("strategic"),
    Flag::text("subresource", "Patch this part of the object: status, scale."),
    Flag::text("field-manager", "In whose name the fields are owned.").default("kubectl-patch"),
];

/// The command.
pub static COMMAND: Command = Command::leaf(
    "kubectl patch",
    "(-f FILENAME | TYPE NAME) [-p PATCH|--patch-file FILE]",
    "Update fields of a resource",
    &[FLAGS, FILENAME, PRINT, DRY_RUN, LOCAL, RECORD],
    run,
);

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let mut writer = Writer::of(call)?;
    let local = call.flags.on("local");
    check(call, writer.dry_run)?;
    let (kind, patch) = patch_of(call)?;
    let subresource = call.flags.text("subresource");
    let args = call.args.clone();
    let found = Builder::new(call)
        .continue_on_error()
        .local(local)
        .files(call, call.namespace_given)
        .subresource(&subresource)
        .types_or_names(call, false, &args)
        .fetch(call)?;
    writer.subresource = mutation::subresource(&subresource)?;
    let mut failures = Vec::new();
    let infos = found.flat();
    for info in &infos {
        if let Err(failure) = patch_one(call, &writer, local, info, (kind, &patch)) {
            failures.push(failure);
        }
    }
    let nothing = infos.is_empty() && found.failures.is_empty();
    failures.extend(found.failures);
    Failure::all(failures)?;
    if nothing { Err("no objects passed to patch".into()) } else { Ok(()) }
}

fn check(call: &Call<'_, '_>, dry_run: DryRun) -> Result<(), Failure> {
    let (patch, file) = (call.flags.text("patch"), call.flags.text("patch-file"));
    let kind = call.flags.text("type");
    let local = call.flags.on("local");
    if !patch.is_empty() && !file.is_empty() {
        return Err("cannot specify --patch and --patch-file together".into());
    }
    if patch.is_empty() && file.is_empty() {
        return Err("must specify --patch or --patch-file containing the contents of the patch".into());
    }
    if local && !call.args.is_empty() {
        return Err("cannot specify --local and server resources".into());
    }
    if local && dry_run == DryRun::Server {
        return Err("cannot specify --local and --dry-run=server - did you mean --dry-run=client?".into());
    }
    if !kind.is_empty() && kind_of(&kind).is_none() {
        return Err(format!("--type must be one of [json merge strategic], not {}", quote(&kind)).into());
    }
    Ok(())
}

fn kind_of(name: &str) -> Option<PatchKind> {
    match name.to_lowercase().as_str() {
        "json" => Some(PatchKind::Json),
        "merge" => Some(PatchKind::Merge),
        "strategic" => Some(PatchKind::Strategic),
        _ => None,
    }
}

/// The patch, with text that is no JSON read as YAML.
fn patch_of(call: &mut Call<'_, '_>) -> Result<(PatchKind, Json), Failure> {
    let kind = kind_of(&call.flags.text("type")).unwrap_or(PatchKind::Strategic);
    let (given, file) = (call.flags.text("patch"), call.flags.text("patch-file"));
    let text = if file.is_empty() {
        given.clone()
    } else {
        let content = call.cx.files.read(&file);
        let content = content.ok_or_else(|| format!("unable to read patch file: open {file}: no such file or directory"))?;
        String::from_utf8_lossy(&content).into_owned()
    };
    if let Ok(patch) = Json::parse(&text) {
        return Ok((kind, patch));
    }
    if text.trim_start().starts_with('{') && text.matches('{').count() > text.matches('}').count() {
        return Err(malformed("unexpected end of JSON input"));
    }
    let wrong = |message: String| {
        let message = message.trim_start_matches("error converting YAML to JSON: ").to_owned();
        format!("unable to parse {}: {message}", quote(&given))
    };
    manifest::parse(&text).map(|patch| (kind, patch)).map_err(|message| wrong(message).into())
}

fn malformed(message: &str) -> Failure {
    crate::cluster::ApiError::new(400, "BadRequest", message).into()
}

fn patch_one(call: &mut Call<'_, '_>, writer: &Writer, local: bool, info: &Info, (kind, patch): (PatchKind, &Json)) -> Result<(), Failure> {
    let mut printer = Printer::of(call, DryRun::None)?;
    let patched: Object = if local || writer.dry_run == DryRun::Client {
        apply_locally(info, kind, patch)?
    } else {
        writer.patch(call, info, kind, patch.clone())?
    };
    let operation = if patched == info.object { "patched (no change)" } else { "patched" };
    printer.print(call, &patched, operation)
}

/// What the patch makes of the object as it was read: without the server's defaults and checks.
fn apply_locally(info: &Info, kind: PatchKind, patch: &Json) -> Result<Object, Failure> {
    let patched = match kind {
        PatchKind::Json => patch::json::apply(&info.object, patch),
        PatchKind::Merge => Ok(patch::merge::apply(&info.object, patch)),
        _ => {
            let r = &info.resource;
            let unknown = || {
                let version = r.api_version();
                format!("strategic merge patch is not supported for {version}, Kind={} locally, try --type merge", r.kind)
            };
            patch::strategic::apply(&info.object, patch, schema().of_kind(r).ok_or_else(unknown)?)
        }
    };
    patched.map(Object).map_err(|error| error.to_string().into())
}
