//! `kubectl set image`.

use super::{MANAGER, Words, about, change_all, pod_spec_path, targets};
use crate::object::{Json, Object};
use crate::tool::kubectl::builder::{FILENAME, SELECTOR, has_files};
use crate::tool::kubectl::command::{Call, Command};
use crate::tool::kubectl::failure::{Failure, quote};
use crate::tool::kubectl::mutation::{ALL, DRY_RUN, DryRun, LOCAL, RECORD, Writer};
use crate::tool::kubectl::pairs;
use crate::tool::kubectl::printing::{PRINT, Printer};

/// The command.
pub static COMMAND: Command = Command::leaf(
    "kubectl set image",
    "(-f FILENAME | TYPE NAME) CONTAINER_NAME_1=CONTAINER_IMAGE_1 ... CONTAINER_NAME_N=CONTAINER_IMAGE_N",
    "Update the image of a pod template",
    &[ALL, LOCAL, FILENAME, PRINT, DRY_RUN, MANAGER, SELECTOR, RECORD],
    run,
);

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let writer = Writer::of(call)?;
    Printer::of(call, writer.dry_run)?;
    let (resources, changes) = pairs::resources_and_pairs(&call.args, "image")?;
    let (images, _) = pairs::parse_pairs(&changes, "image", false)?;
    let infos = targets(call, &resources)?.objects()?;
    check(call, &writer, &resources, &images)?;
    let words = Words { done: "image updated", failed: "failed to patch image update to pod template:" };
    let mut missing = Vec::new();
    let failures = change_all(call, &writer, infos, &words, |call, object| {
        missing.extend(set_images(call, object, &images)?);
        Ok(())
    });
    missing.extend(failures);
    Failure::all(missing)
}

fn check(call: &Call<'_, '_>, writer: &Writer, resources: &[String], images: &[(String, String)]) -> Result<(), Failure> {
    let mut failures: Vec<Failure> = Vec::new();
    if call.flags.on("all") && !call.flags.text("selector").is_empty() {
        failures.push("cannot set --all and --selector at the same time".into());
    }
    if resources.is_empty() && !has_files(&call.flags) {
        failures.push("one or more resources must be specified as <resource> <name> or <resource>/<name>".into());
    }
    if images.is_empty() {
        failures.push("at least one image update is required".into());
    } else if images.len() > 1 && images.iter().any(|(name, _)| name == "*") {
        failures.push("all containers are already specified by *, but saw more than one container_name=container_image pairs".into());
    }
    if call.flags.on("local") && writer.dry_run == DryRun::Server {
        failures.push("cannot specify --local and --dry-run=server - did you mean --dry-run=client?".into());
    }
    Failure::all(failures)
}

/// Sets the images; containers that are not there are reported, the others are set all the same.
fn set_images(call: &mut Call<'_, '_>, object: &mut Object, images: &[(String, String)]) -> Result<Vec<Failure>, Vec<Failure>> {
    let path = pod_spec_path(object).map_err(|why| vec![about(object, call, &why)])?;
    let spec = object.at_mut(path);
    let mut missing = Vec::new();
    for (name, image) in images {
        let found = set_image(spec, "initContainers", name, image) | set_image(spec, "containers", name, image);
        if !found {
            missing.push(Failure::from(format!("error: unable to find container named {}", quote(name))));
        }
    }
    Ok(missing)
}

fn set_image(spec: &mut Json, field: &str, name: &str, image: &str) -> bool {
    if !spec.get(field).items().iter().any(|c| name == "*" || c.get("name").text() == name) {
        return false;
    }
    for container in spec.get_mut(field).items_mut() {
        if name == "*" || container.get("name").text() == name {
            container.set("image", image);
        }
    }
    true
}
