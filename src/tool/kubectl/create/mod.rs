//! `kubectl create`: from files, and by generators of objects.

pub mod config;
mod generators;
pub mod policies;
mod roles;
pub mod services;
mod token;
pub mod workloads;

use super::builder::{Builder, FILENAME, Info, SELECTOR};
use super::command::{Call, Command};
use super::failure::Failure;
use super::flags::Flag;
use super::mutation::{self, DRY_RUN, DryRun, RECORD, SAVE_CONFIG, VALIDATE, Writer};
use super::printing::{PRINT, Printer};
use crate::object::{Json, Object};

static FLAGS: &[Flag] = &[
    Flag::switch("edit", "Edit the object first."),
    Flag::text("raw", "URI to send the file to."),
    Flag::switch("windows-line-endings", "Line endings with --edit."),
];
static MANAGER: &[Flag] = &[Flag::text("field-manager", "In whose name the fields are owned.").default("kubectl-create")];

/// The command.
pub static COMMAND: Command = Command::leaf(
    "kubectl create",
    "-f FILENAME",
    "Create a resource from a file or from stdin",
    &[FLAGS, FILENAME, VALIDATE, SAVE_CONFIG, DRY_RUN, SELECTOR, MANAGER, PRINT, RECORD],
    run,
)
.subcommands(generators::COMMANDS);

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    if !call.args.is_empty() {
        return Err(Failure::usage(call, format!("Unexpected args: [{}]", call.args.join(" "))));
    }
    let mut writer = Writer::of(call)?;
    writer.validation = Some(mutation::validation(call)?);
    let mut printer = Printer::of(call, writer.dry_run)?;
    mutation::require_files(call)?;
    if call.flags.on("edit") {
        return Err("--edit is interactive and not available here; write the object to a file and use create -f".into());
    }
    if call.flags.changed("raw") {
        return Err("--raw is not available here; use create -f".into());
    }
    let labels = call.flags.text("selector");
    let found = Builder::new(call).continue_on_error().files(call, call.namespace_given).labels(&labels).fetch(call)?;
    let infos = found.flat();
    let mut failures = found.failures;
    let nothing = infos.is_empty() && failures.is_empty();
    for info in infos {
        if let Err(failure) = create_one(call, &writer, &mut printer, info) {
            failures.push(failure);
        }
    }
    Failure::all(failures)?;
    if nothing { Err("no objects passed to create".into()) } else { Ok(()) }
}

fn create_one(call: &mut Call<'_, '_>, writer: &Writer, printer: &mut Printer, mut info: Info) -> Result<(), Failure> {
    mutation::save_config(&mut info.object, call.flags.on("save-config"));
    if writer.dry_run != DryRun::Client {
        let scope = info.scope().map(str::to_owned);
        let created = writer.create(call, &info.resource, scope.as_deref(), info.object.0.clone());
        info.object = created.map_err(|failure| failure.of_source("creating", &info.source))?;
    }
    printer.print(call, &info.object, "created")
}

/// The name that a generator gets: the only argument before `--`.
fn name_of(call: &Call<'_, '_>) -> Result<String, Failure> {
    let count = call.dash_at.unwrap_or(call.args.len());
    match call.args.first() {
        Some(name) if count == 1 => Ok(name.clone()),
        _ => Err(Failure::usage(call, format!("exactly one NAME is required, got {count}"))),
    }
}

/// Creates the object that `make` gives for the name; `failed` stands before the server's refusal, if anything does.
fn generate(
    call: &mut Call<'_, '_>,
    failed: &str,
    make: impl FnOnce(&mut Call<'_, '_>, &str) -> Result<Json, Failure>,
) -> Result<(), Failure> {
    let name = name_of(call)?;
    let mut writer = Writer::of(call)?;
    let mut printer = Printer::of(call, writer.dry_run)?;
    writer.validation = Some(mutation::validation(call)?);
    let mut object = Object(make(call, &name)?);
    let mapper = call.mapper()?;
    let resource = mapper.kind(object.api_version(), object.kind()).ok_or_else(mutation::no_such_path)?;
    if call.namespace_given && resource.namespaced {
        object.set_at(&["metadata", "namespace"], call.namespace.as_str());
    }
    if call.flags.knows("save-config") {
        mutation::save_config(&mut object, call.flags.on("save-config"));
    }
    if writer.dry_run != DryRun::Client {
        let namespace = call.namespace.clone();
        let created = writer.create(call, &resource, Some(&namespace), object.0);
        object = created.map_err(|failure| if failed.is_empty() { failure } else { format!("{failed} {failure}").into() })?;
    }
    printer.print(call, &object, "created")
}
