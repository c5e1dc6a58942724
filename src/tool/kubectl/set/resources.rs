//! `kubectl set resources`.

use super::{MANAGER, Words, about, change_all, each_container, pod_spec_path, targets};
use crate::object::{Json, Quantity};
use crate::tool::kubectl::builder::{FILENAME, SELECTOR};
use crate::tool::kubectl::command::{Call, Command};
use crate::tool::kubectl::create::policies::resource_list;
use crate::tool::kubectl::failure::Failure;
use crate::tool::kubectl::flags::Flag;
use crate::tool::kubectl::mutation::{ALL, DRY_RUN, DryRun, LOCAL, RECORD, Writer};
use crate::tool::kubectl::printing::{PRINT, Printer};

static FLAGS: &[Flag] = &[
    Flag::text("containers", "Names of the containers; may use *.").short('c').default("*"),
    Flag::text("limits", "Limits, cpu=100m,memory=256Mi."),
    Flag::text("requests", "Requests, cpu=100m,memory=256Mi."),
];

/// The command.
pub static COMMAND: Command = Command::leaf(
    "kubectl set resources",
    "(-f FILENAME | TYPE NAME)  ([--limits=LIMITS & --requests=REQUESTS]",
    "Update resource requests/limits on objects with pod templates",
    &[FLAGS, ALL, LOCAL, FILENAME, PRINT, DRY_RUN, MANAGER, SELECTOR, RECORD],
    run,
);

/// A quantity in its canonical form.
///
/// # Errors
/// When it is none.
pub fn quantity(text: &str) -> Result<String, String> {
    Quantity::parse(text).map(|quantity| quantity.to_string()).map_err(|error| error.to_string())
}

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let writer = Writer::of(call)?;
    Printer::of(call, writer.dry_run)?;
    let args = call.args.clone();
    let infos = targets(call, &args)?.objects()?;
    if call.flags.on("local") && writer.dry_run == DryRun::Server {
        return Err("cannot specify --local and --dry-run=server - did you mean --dry-run=client?".into());
    }
    if call.flags.on("all") && !call.flags.text("selector").is_empty() {
        return Err("cannot set --all and --selector at the same time".into());
    }
    let (limits, requests) = (call.flags.text("limits"), call.flags.text("requests"));
    if limits.is_empty() && requests.is_empty() {
        return Err("you must specify an update to requests or limits (in the form of --requests/--limits)".into());
    }
    let list = |text: &str| if text.is_empty() { Ok(Json::Null) } else { resource_list(text, quantity) };
    let (limits, requests) = (list(&limits)?, list(&requests)?);
    let pattern = call.flags.text("containers");
    let words = Words { done: "resource requirements updated", failed: "failed to patch resources update to pod template" };
    let failures = change_all(call, &writer, infos, &words, |call, object| {
        let path = pod_spec_path(object).map_err(|why| vec![about(object, call, &why)])?;
        let changed = each_container(object.at_mut(path), &pattern, |container| {
            for (field, list) in [("limits", &limits), ("requests", &requests)] {
                for (resource, amount) in list.entries() {
                    container.set_at(&["resources", field, resource], amount);
                }
            }
        });
        if changed == 0 { Err(vec![format!("error: unable to find container named {pattern}").into()]) } else { Ok(()) }
    });
    Failure::all(failures)
}
