//! `kubectl replace`.

use super::builder::{Builder, FILENAME, Found, Info};
use super::command::{Call, Command};
use super::delete::{DELETION, Deletion, cascade, delete, gone};
use super::failure::Failure;
use super::flags::Flag;
use super::mutation::{self, DRY_RUN, DryRun, RECORD, SAVE_CONFIG, VALIDATE, Writer};
use super::printing::{PRINT, Printer};
use crate::cluster::ApiRequest;

static FLAGS: &[Flag] = &[
    Flag::text("field-manager", "In whose name the fields are owned.").default("kubectl-replace"),
    Flag::text("raw", "URI to send the file to."),
    Flag::text("subresource", "Replace this part of the object: status, scale."),
    Flag::switch("wait", "Wait until deleted objects are gone, with --force."),
];

/// The command.
pub static COMMAND: Command = Command::leaf(
    "kubectl replace",
    "-f FILENAME",
    "Replace a resource by file name or stdin",
    &[FLAGS, DELETION, FILENAME, PRINT, DRY_RUN, VALIDATE, SAVE_CONFIG, RECORD],
    run,
);

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let mut writer = Writer { dry_run: DryRun::None, ..Writer::default() };
    writer.validation = Some(mutation::validation(call)?);
    writer = Writer { validation: writer.validation, ..Writer::of(call)? };
    let mut printer = Printer::of(call, writer.dry_run)?;
    let deletion = deletion(call)?;
    mutation::require_files(call)?;
    check(call, &writer, &deletion)?;
    let found = targets(call)?;
    if call.flags.on("force") {
        return replace_by_force(call, &writer, &mut printer, &deletion, found);
    }
    writer.subresource = mutation::subresource(&call.flags.text("subresource"))?;
    let infos = found.flat();
    let mut failures = found.failures;
    for info in infos {
        if let Err(failure) = replace(call, &writer, &mut printer, info) {
            failures.push(failure);
        }
    }
    Failure::all(failures)
}

fn targets(call: &mut Call<'_, '_>) -> Result<Found, Failure> {
    Builder::new(call).continue_on_error().files(call, call.namespace_given).fetch(call)
}

fn deletion(call: &mut Call<'_, '_>) -> Result<Deletion, Failure> {
    let cascade = cascade(call)?;
    let given = call.flags.int("grace-period");
    Ok(Deletion {
        cascade,
        grace_period: if given == 0 { 1 } else { given },
        wait: given == 0 || call.flags.on("wait"),
        timeout: call.flags.nanos("timeout"),
        names: call.flags.text("output") == "name",
        ..Deletion::background()
    })
}

fn check(call: &Call<'_, '_>, writer: &Writer, deletion: &Deletion) -> Result<(), Failure> {
    let force = call.flags.on("force");
    if deletion.grace_period >= 0 && !force {
        return Err("--grace-period must have --force specified".into());
    }
    if deletion.timeout != 0 && !force {
        return Err("--timeout must have --force specified".into());
    }
    if force && writer.dry_run != DryRun::None {
        return Err("--dry-run can not be used when --force is set".into());
    }
    if call.flags.changed("raw") {
        return Err("--raw is not available here; use replace -f".into());
    }
    Ok(())
}

fn replace(call: &mut Call<'_, '_>, writer: &Writer, printer: &mut Printer, mut info: Info) -> Result<(), Failure> {
    mutation::save_config(&mut info.object, call.flags.on("save-config"));
    if writer.dry_run != DryRun::Client {
        // Whatever its present version, unless the file names one.
        if info.object.resource_version().is_empty()
            && let Ok(reply) = call.api(&ApiRequest::get(&info.resource, info.scope(), &info.name))
        {
            info.object.set_at(&["metadata", "resourceVersion"], reply.into_object().resource_version());
        }
        let replaced = writer.replace(call, &info, info.object.0.clone());
        info.object = replaced.map_err(|failure| failure.of_source("replacing", &info.source))?;
    }
    printer.print(call, &info.object, "replaced")
}

/// Deletes the objects, waits until they are gone, and creates them.
fn replace_by_force(
    call: &mut Call<'_, '_>,
    writer: &Writer,
    printer: &mut Printer,
    deletion: &Deletion,
    found: Found,
) -> Result<(), Failure> {
    let infos = found.flat();
    delete(call, deletion, found)?;
    let five_minutes = 300 * 1_000_000_000;
    let until = mutation::from_now(call, if deletion.timeout == 0 { five_minutes } else { deletion.timeout });
    for info in &infos {
        gone(call, info, None, until).map_err(|failure| match failure {
            cut @ Failure::Exit(_) => cut,
            failure if failure.reason().is_some() => failure,
            _ => "timed out waiting for the condition".into(),
        })?;
    }
    let mut failures = Vec::new();
    let nothing = infos.is_empty();
    for mut info in infos {
        mutation::save_config(&mut info.object, call.flags.on("save-config"));
        let scope = info.scope().map(str::to_owned);
        let created = writer.create(call, &info.resource, scope.as_deref(), info.object.0.clone());
        let printed = created.and_then(|object| printer.print(call, &object, "replaced"));
        failures.extend(printed.err());
    }
    Failure::all(failures)?;
    if nothing { Err("no objects passed to replace".into()) } else { Ok(()) }
}
