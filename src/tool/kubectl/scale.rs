//! `kubectl scale`.

use super::builder::{Builder, FILENAME, Info, SELECTOR};
use super::command::{Call, Command};
use super::failure::{Failure, quote};
use super::flags::Flag;
use super::mutation::{self, ALL, DRY_RUN, DryRun, RECORD, Writer};
use super::printing::{PRINT, Printer};
use crate::cluster::{ApiRequest, PatchKind, Subresource, Woken};
use crate::object;
use crate::object::Object;
use std::time::Duration;

static FLAGS: &[Flag] = &[
    Flag::int("current-replicas", "-1", "Scale only if the present size is this; -1 for no condition."),
    Flag::int("replicas", "0", "The new number of replicas. Required."),
    Flag::text("resource-version", "Scale only if this is the present version."),
    Flag::duration("timeout", "0s", "How long to wait until the size is reached (1s, 2m, 3h); 0 for not at all."),
];

/// The command.
pub static COMMAND: Command = Command::leaf(
    "kubectl scale",
    "[--resource-version=version] [--current-replicas=count] --replicas=COUNT (-f FILENAME | TYPE NAME)",
    "Set a new size for a deployment, replica set, or replication controller",
    &[FLAGS, ALL, FILENAME, PRINT, DRY_RUN, SELECTOR, RECORD],
    run,
);

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    mutation::require(call, &["replicas"])?;
    let dry_run = DryRun::of(call)?;
    let mut printer = Printer::of(call, dry_run)?;
    let replicas = call.flags.int("replicas");
    if replicas < 0 {
        return Err("The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0".into());
    }
    if call.flags.int("current-replicas") < -1 {
        return Err("The --current-replicas must specify an integer of -1 or greater".into());
    }
    let (args, labels, all) = (call.args.clone(), call.flags.text("selector"), call.flags.on("all"));
    let found = Builder::new(call)
        .continue_on_error()
        .files(call, call.namespace_given)
        .labels(&labels)
        .types_or_names(call, all, &args)
        .fetch(call)?;
    let infos = found.flat();
    let version = call.flags.text("resource-version");
    if !version.is_empty() && infos.len() > 1 {
        return Err("cannot use --resource-version with multiple resources".into());
    }
    if infos.is_empty() {
        let words = match Failure::all(found.failures) {
            Ok(()) => "no objects passed to scale".to_owned(),
            Err(failure) => format!("no objects passed to scale {failure}"),
        };
        return Err(words.into());
    }
    for info in &infos {
        if dry_run != DryRun::Client {
            scale(call, dry_run, info, replicas)?;
        }
        printer.print(call, &info.object, "scaled")?;
    }
    Failure::all(found.failures)
}

fn scale(call: &mut Call<'_, '_>, dry_run: DryRun, info: &Info, replicas: i64) -> Result<(), Failure> {
    let writer = Writer { dry_run, subresource: Some(Subresource::Scale), ..Writer::default() };
    let (size, version) = (call.flags.int("current-replicas"), call.flags.text("resource-version"));
    if size == -1 && version.is_empty() {
        writer.patch(call, info, PatchKind::Merge, object! { "spec" => object! { "replicas" => replicas } })?;
    } else {
        let mut scale = read(call, info)?;
        let present = scale.at(&["spec", "replicas"]).as_i64().unwrap_or(0);
        if size != -1 && present != size {
            return Err(format!("Expected replicas to be {size}, was {present}").into());
        }
        if !version.is_empty() && scale.resource_version() != version {
            return Err(format!("Expected resource version to be {version}, was {}", scale.resource_version()).into());
        }
        scale.set_at(&["spec", "replicas"], replicas);
        writer.replace(call, info, scale.0)?;
    }
    let timeout = call.flags.nanos("timeout");
    if timeout == 0 || dry_run != DryRun::None { Ok(()) } else { reached(call, info, replicas, timeout) }
}

fn read(call: &mut Call<'_, '_>, info: &Info) -> Result<Object, Failure> {
    let request = ApiRequest::get(&info.resource, info.scope(), &info.name).subresource(Subresource::Scale);
    Ok(call.api(&request)?.into_object())
}

/// Waits until the size is reached, looking once a second.
fn reached(call: &mut Call<'_, '_>, info: &Info, replicas: i64, timeout: i64) -> Result<(), Failure> {
    let until = mutation::from_now(call, timeout);
    loop {
        let scale = read(call, info)?;
        let wanted = scale.at(&["spec", "replicas"]).as_i64().unwrap_or(0);
        if wanted != replicas || scale.at(&["status", "replicas"]).as_i64().unwrap_or(0) == replicas {
            return Ok(());
        }
        let next = call.now() + Duration::from_secs(1);
        if next > until {
            return Err(format!("timed out waiting for {} to be synced", quote(&info.name)).into());
        }
        let woken = mutation::wait(call, next, &[])?;
        debug_assert_eq!(woken, Woken::Time);
    }
}
