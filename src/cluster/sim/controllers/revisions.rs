//! ControllerRevisions: the templates that a StatefulSet or DaemonSet has had.

use super::deployment::sets::template_hash;
use super::pods::{controller_reference, is_controlled_by};
use super::{Outcome, identity};
use crate::cluster::ApiError;
use crate::cluster::sim::store::{Key, Kind};
use crate::cluster::sim::world::World;
use crate::object;
use crate::object::{Json, Object};

/// The data of a revision: a patch that replaces the template.
fn data_of(template: &Json) -> Json {
    let mut patch = template.clone();
    patch.set("$patch", "replace");
    object! { "spec" => object! { "template" => patch } }
}

/// The template of a revision.
pub fn template_of(revision: &Object) -> Json {
    let mut template = revision.at(&["data", "spec", "template"]).clone();
    template.remove("$patch");
    template
}

/// Revisions of an owner, oldest first.
pub fn of(world: &World, owner: &Object) -> Vec<Object> {
    let ours = |r: &&Object| is_controlled_by(r, owner.uid());
    let mut found: Vec<Object> = world.store.list(Kind::CONTROLLER_REVISION, Some(owner.namespace())).filter(ours).cloned().collect();
    found.sort_by_key(|r| (r.get("revision").as_i64().unwrap_or(0), r.name().to_owned()));
    found
}

/// The hash in a revision's name.
pub fn hash_of<'a>(owner: &Object, revision: &'a Object) -> &'a str {
    revision.name().strip_prefix(owner.name()).and_then(|rest| rest.strip_prefix('-')).unwrap_or_default()
}

/// The revision of the owner's present template; made when there is none, moved to the end when an old one fits.
///
/// # Errors
/// The API server's answer.
pub fn current(world: &mut World, owner: &Object, controller: &str, label: &str) -> Result<Object, ApiError> {
    let data = data_of(owner.spec().get("template"));
    let known = of(world, owner);
    let last = known.last().and_then(|r| r.get("revision").as_i64()).unwrap_or(0);
    if let Some(found) = known.iter().find(|r| *r.get("data") == data) {
        if found.get("revision").as_i64() == Some(last) {
            return Ok(found.clone());
        }
        return world.update(&Key::of(Kind::CONTROLLER_REVISION, found), |r| r.set("revision", last + 1));
    }
    let hash = template_hash(owner.spec().get("template"), owner.status().get("collisionCount").as_i64().filter(|n| *n > 0));
    let mut labels = owner.spec().at(&["template", "metadata", "labels"]).clone();
    labels.set(label, hash.as_str());
    let mut metadata = object! {
        "name" => format!("{}-{hash}", owner.name()), "labels" => labels,
        "ownerReferences" => Json::from(vec![controller_reference(owner)]),
    };
    if !owner.meta().get("annotations").is_empty() {
        metadata.set("annotations", owner.meta().get("annotations"));
    }
    let revision = object! { "metadata" => metadata, "data" => data, "revision" => last + 1 };
    world.create(&identity(controller), Kind::CONTROLLER_REVISION, owner.namespace(), revision)
}

/// Deletes the oldest revisions that nobody uses beyond the owner's limit.
pub fn clean_up(world: &mut World, owner: &Object, controller: &str, used: &[String]) -> Outcome {
    let limit = owner.spec().get("revisionHistoryLimit").as_i64().unwrap_or(10);
    let idle: Vec<Object> = of(world, owner).into_iter().filter(|r| !used.iter().any(|n| n == r.name())).collect();
    let surplus = idle.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    for revision in idle.iter().take(surplus) {
        world.delete(&identity(controller), &Key::of(Kind::CONTROLLER_REVISION, revision), None, None)?;
    }
    Ok(())
}
