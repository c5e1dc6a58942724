//! `kubectl apply view-last-applied`.

use crate::object::Json;
use crate::tool::kubectl::builder::{Builder, FILENAME, SELECTOR};
use crate::tool::kubectl::command::{Call, Command};
use crate::tool::kubectl::failure::Failure;
use crate::tool::kubectl::flags::Flag;
use crate::tool::kubectl::mutation::{ALL, LAST_APPLIED};
use crate::tool::kubectl::output::yaml;

static FLAGS: &[Flag] = &[Flag::text("output", "Format: yaml or json.").short('o').default("yaml")];

/// The command.
pub static VIEW: Command = Command::leaf(
    "kubectl apply view-last-applied",
    "(TYPE [NAME | -l label] | TYPE/NAME | -f FILENAME)",
    "View the latest last-applied-configuration annotations of a resource/object",
    &[FLAGS, ALL, FILENAME, SELECTOR],
    run,
);

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let format = call.flags.text("output");
    if !matches!(format.as_str(), "json" | "yaml") {
        let words = format!("Unexpected -o output mode: {format}, the flag 'output' must be one of yaml|json");
        return Err(Failure::usage(call, words));
    }
    let (args, labels, all) = (call.args.clone(), call.flags.text("selector"), call.flags.on("all"));
    let found = Builder::new(call)
        .files(call, call.namespace_given)
        .types_or_names(call, false, &args)
        .select_all(all)
        .labels(&labels)
        .latest()
        .fetch(call)?
        .objects()?;
    let mut texts = Vec::new();
    for info in &found {
        match info.object.annotation(LAST_APPLIED) {
            Some(text) => texts.push(text.to_owned()),
            None => {
                let name = &info.name;
                return Err(format!("no last-applied-configuration annotation found on resource: {name}").into());
            }
        }
    }
    for text in texts {
        let object = Json::parse(&text).map_err(|error| error.to_string())?;
        if format == "json" {
            call.say(serde_json::to_string_pretty(&object).unwrap_or_default());
        } else {
            yaml::write(&object, &mut call.out.stdout);
        }
    }
    Ok(())
}
