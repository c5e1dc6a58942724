//! The garbage collector: dependents of objects that are gone, and deletions that wait for dependents or leave them.
//!
//! Not modelled: owners of other clusters' kinds (an owner whose kind is not served counts as there).

use super::{Loop, Outcome, enqueue, identity};
use crate::cluster::Propagation;
use crate::cluster::sim::store::{Change, Key, Kind};
use crate::cluster::sim::world::World;
use crate::object::{Json, Object};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// Kinds that nothing depends on.
fn never_owns(kind: Kind) -> bool {
    matches!(kind, Kind::EVENT | Kind::ENDPOINTS | Kind::ENDPOINT_SLICE | Kind::LEASE)
}

/// Puts what a change concerns on the queue.
pub fn on_change(world: &mut World, change: &Change) {
    match (&change.before, &change.after) {
        (Some(gone), None) => {
            if !never_owns(change.key.kind) {
                for (key, _) in dependents(world, gone) {
                    enqueue(world, Loop::Garbage, key);
                }
            }
            wake_owners(world, gone);
        }
        (before, Some(object)) => {
            let marked = object.is_terminating() && !before.as_ref().is_some_and(Object::is_terminating);
            if marked && (has_finalizer(object, FOREGROUND) || has_finalizer(object, ORPHAN)) {
                enqueue(world, Loop::Garbage, change.key.clone());
            }
            if before.is_none() && owners(object).any(|owner| !is_there(world, object.namespace(), owner)) {
                enqueue(world, Loop::Garbage, change.key.clone());
            }
        }
        (None, None) => {}
    }
}

/// Owners that wait for their dependents look again when one of them is gone.
fn wake_owners(world: &mut World, gone: &Object) {
    let keys: Vec<Key> = owners(gone).filter_map(|owner| owner_key(world, gone.namespace(), owner)).collect();
    for key in keys {
        if world.store.get(&key).is_some_and(|o| has_finalizer(o, FOREGROUND)) {
            enqueue(world, Loop::Garbage, key);
        }
    }
}

fn has_finalizer(object: &Object, name: &str) -> bool {
    object.meta().get("finalizers").items().iter().any(|f| f.text() == name)
}

fn owners(object: &Object) -> impl Iterator<Item = &Json> {
    object.owners().iter()
}

/// Objects whose owner references name an object, by uid.
fn dependents(world: &World, owner: &Object) -> Vec<(Key, bool)> {
    let uid = owner.uid();
    let found = world.store.owned_by(uid).filter_map(|(key, object)| {
        let reference = owners(object).find(|r| r.get("uid").text() == uid)?;
        Some((key.clone(), reference.get("blockOwnerDeletion").is_true()))
    });
    found.collect()
}

fn owner_key(world: &World, namespace: &str, owner: &Json) -> Option<Key> {
    let version = owner.get("apiVersion").text();
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    let kind = world.store.kind_named(group, owner.get("kind").text())?;
    Some(Key::new(kind, if world.store.resource(kind).namespaced { namespace } else { "" }, owner.get("name").text()))
}

/// Whether the owner that a reference names is there; one of an unknown kind counts as there.
fn is_there(world: &World, namespace: &str, owner: &Json) -> bool {
    let Some(key) = owner_key(world, namespace, owner) else { return true };
    world.store.get(&key).is_some_and(|o| o.uid() == owner.get("uid").text())
}

/// Looks at one object: its own deletion if that waits, else whether its owners are gone.
pub fn sync(world: &mut World, key: &Key) -> Outcome {
    let Some(object) = world.store.get(key).cloned() else { return Ok(()) };
    if object.is_terminating() && has_finalizer(&object, ORPHAN) {
        return orphan(world, key, &object);
    }
    if object.is_terminating() && has_finalizer(&object, FOREGROUND) {
        return foreground(world, key, &object);
    }
    collect(world, key, &object)
}

fn remove_finalizer(world: &mut World, key: &Key, name: &str) -> Outcome {
    world.update(key, |object| {
        let finalizers = object.at_mut(&["metadata", "finalizers"]);
        finalizers.items_mut().retain(|f| f.text() != name);
        if finalizers.is_empty() {
            object.remove_at(&["metadata", "finalizers"]);
        }
    })?;
    Ok(())
}

/// Takes references to some owners off an object.
fn drop_references(world: &mut World, key: &Key, uids: &[String]) -> Outcome {
    world.update(key, |object| {
        let references = object.at_mut(&["metadata", "ownerReferences"]);
        references.items_mut().retain(|r| !uids.iter().any(|uid| uid == r.get("uid").text()));
        if references.is_empty() {
            object.remove_at(&["metadata", "ownerReferences"]);
        }
    })?;
    Ok(())
}

fn orphan(world: &mut World, key: &Key, object: &Object) -> Outcome {
    for (dependent, _) in dependents(world, object) {
        drop_references(world, &dependent, &[object.uid().to_owned()])?;
    }
    remove_finalizer(world, key, ORPHAN)
}

fn foreground(world: &mut World, key: &Key, object: &Object) -> Outcome {
    let dependents = dependents(world, object);
    for (dependent, _) in &dependents {
        enqueue(world, Loop::Garbage, dependent.clone());
    }
    if dependents.iter().any(|(_, blocks)| *blocks) { Ok(()) } else { remove_finalizer(world, key, FOREGROUND) }
}

/// Deletes an object none of whose owners is left, or takes references to owners that are gone off it.
fn collect(world: &mut World, key: &Key, object: &Object) -> Outcome {
    if object.is_terminating() {
        return Ok(());
    }
    let (mut solid, mut gone, mut waiting) = (0, Vec::new(), false);
    for owner in owners(object) {
        let found = owner_key(world, object.namespace(), owner).and_then(|k| world.store.get(&k).cloned());
        match found.filter(|o| o.uid() == owner.get("uid").text()) {
            Some(o) if o.is_terminating() && has_finalizer(&o, FOREGROUND) => waiting = true,
            Some(_) => solid += 1,
            None if is_there(world, object.namespace(), owner) => solid += 1,
            None => gone.push(owner.get("uid").text().to_owned()),
        }
    }
    if solid > 0 {
        return if gone.is_empty() { Ok(()) } else { drop_references(world, key, &gone) };
    }
    if gone.is_empty() && !waiting {
        return Ok(());
    }
    let policy = if has_finalizer(object, ORPHAN) {
        Propagation::Orphan
    } else if has_finalizer(object, FOREGROUND) || waiting && !dependents(world, object).is_empty() {
        Propagation::Foreground
    } else {
        Propagation::Background
    };
    match world.delete(&identity("generic-garbage-collector"), key, None, Some(policy)) {
        Err(error) if error.code != 404 => Err(error),
        _ => Ok(()),
    }
}
