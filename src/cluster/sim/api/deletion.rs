//! Deletion: grace periods, finalizers, propagation, preconditions.

use super::write::{existing, put};
use super::{admission, errors, rbac};
use crate::array;
use crate::cluster::sim::store::{Key, Kind};
use crate::cluster::sim::world::World;
use crate::cluster::{ApiError, Identity, Propagation};
use crate::object::{Json, Object};
use crate::time::SimTime;
use arcstr::ArcStr;
use std::time::Duration;

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// How to delete (`DeleteOptions`).
#[derive(Clone, Debug, Default)]
pub struct Deletion {
    /// `gracePeriodSeconds`.
    pub grace_s: Option<i64>,
    /// `propagationPolicy`.
    pub propagation: Option<Propagation>,
    /// Only the object with this uid.
    pub uid: Option<ArcStr>,
}

/// Where the deletion of an object stands after asking for it.
enum Grace {
    /// The kind knows no grace, or there is none left.
    None,
    /// A graceful deletion is under way already and this request changes nothing.
    Pending,
    /// The object was marked; seconds until the kubelet must be done.
    Marked(i64),
}

/// Deletes an object; returns it as it was left, or as it last stood.
///
/// # Errors
/// 404, 409 for preconditions.
pub fn delete(world: &mut World, _who: &Identity, key: &Key, deletion: &Deletion) -> Result<Object, ApiError> {
    admission::check_deletion(world, key)?;
    let old = existing(world, key)?;
    if let Some(uid) = deletion.uid.as_ref().filter(|uid| uid.as_str() != old.uid()) {
        let why = format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
            old.uid()
        );
        return Err(errors::conflict(world.store.resource(key.kind), &key.name, &why));
    }
    let mut new = old.clone();
    let grace = ask_for_grace(world.now, key.kind, &mut new, deletion);
    if matches!(grace, Grace::Pending) {
        return Ok(old);
    }
    set_propagation(key.kind, &mut new, deletion.propagation);
    let waits = !new.meta().get("finalizers").is_empty();
    if waits && matches!(grace, Grace::None) {
        mark_as_deleting(world.now, &mut new);
    }
    if key.kind == Kind::NAMESPACE {
        return Ok(delete_namespace(world, key, &old, new));
    }
    let left = if new == old { old } else { put(world, key.clone(), new) };
    let seconds = if let Grace::Marked(seconds) = grace { seconds } else { 0 };
    if !waits && seconds == 0 {
        remove(world, key);
    }
    Ok(left)
}

/// Removes an object from the store.
pub fn remove(world: &mut World, key: &Key) {
    if rbac::is_policy(key.kind) {
        world.api.forget_policy();
    }
    world.store.remove(key);
    admission::quota::recount(world, key.kind, &key.namespace);
}

/// Whether an update took the last finalizer off an object whose deletion has no grace left.
pub fn completes(old: &Object, new: &Object) -> bool {
    let no_grace = old.meta().get("deletionGracePeriodSeconds").as_i64().unwrap_or(0) == 0;
    old.is_terminating() && no_grace && new.meta().get("finalizers").is_empty() && new.at(&["spec", "finalizers"]).is_empty()
}

fn ask_for_grace(now: SimTime, kind: Kind, object: &mut Object, deletion: &Deletion) -> Grace {
    if kind != Kind::POD {
        return Grace::None;
    }
    let asked = deletion.grace_s.map(|s| if s < 0 { 1 } else { s });
    if object.is_terminating() {
        return shorten_grace(now, object, asked);
    }
    let done = matches!(object.status().get("phase").text(), "Failed" | "Succeeded");
    let seconds = if object.spec().get("nodeName").text().is_empty() || done {
        0
    } else {
        asked.or_else(|| object.spec().get("terminationGracePeriodSeconds").as_i64()).unwrap_or(0)
    };
    let seconds = if seconds < 0 { 1 } else { seconds };
    set_deletion(object, now + Duration::from_secs(seconds.unsigned_abs()), seconds);
    bump_generation(object);
    Grace::Marked(seconds)
}

fn shorten_grace(now: SimTime, object: &mut Object, asked: Option<i64>) -> Grace {
    let had = object.meta().get("deletionGracePeriodSeconds").as_i64().unwrap_or(0);
    if had == 0 {
        return Grace::None;
    }
    let Some(mut seconds) = asked.filter(|s| *s < had) else { return Grace::Pending };
    let due = SimTime::parse_rfc3339(object.meta().get("deletionTimestamp").text()).unwrap_or(now);
    let mut at = due - Duration::from_secs(had.unsigned_abs()) + Duration::from_secs(seconds.unsigned_abs());
    if at < now {
        at = now;
        if seconds != 0 {
            seconds = 1;
        }
    }
    set_deletion(object, at, seconds);
    Grace::Marked(seconds)
}

fn set_deletion(object: &mut Object, at: SimTime, seconds: i64) {
    let meta = object.get_mut("metadata");
    meta.set("deletionTimestamp", at.rfc3339());
    meta.set("deletionGracePeriodSeconds", seconds);
}

fn mark_as_deleting(now: SimTime, object: &mut Object) {
    if !object.is_terminating() {
        bump_generation(object);
        set_deletion(object, now, 0);
    }
    object.set_at(&["metadata", "deletionGracePeriodSeconds"], 0);
}

fn bump_generation(object: &mut Object) {
    let generation = object.generation();
    if generation > 0 {
        object.set_at(&["metadata", "generation"], generation + 1);
    }
}

fn set_propagation(kind: Kind, object: &mut Object, propagation: Option<Propagation>) {
    if kind == Kind::EVENT {
        return;
    }
    let wanted = match propagation {
        Some(Propagation::Orphan) => Some(ORPHAN),
        Some(Propagation::Foreground) => Some(FOREGROUND),
        Some(Propagation::Background) => None,
        None => return,
    };
    let had = object.meta().get("finalizers").clone();
    let mut finalizers = array![];
    for finalizer in had.items().iter().filter(|f| !matches!(f.text(), ORPHAN | FOREGROUND)) {
        finalizers.push(finalizer);
    }
    if let Some(wanted) = wanted {
        finalizers.push(wanted);
    }
    if finalizers == had {
        return;
    }
    let meta = object.get_mut("metadata");
    if finalizers.is_empty() {
        meta.remove("finalizers");
    } else {
        meta.set("finalizers", finalizers);
    }
}

/// A namespace becomes Terminating; the namespace controller empties it and takes `spec.finalizers` off.
fn delete_namespace(world: &mut World, key: &Key, old: &Object, mut new: Object) -> Object {
    if !new.is_terminating() {
        set_deletion(&mut new, world.now, 0);
        new.get_mut("metadata").remove("deletionGracePeriodSeconds");
    }
    new.set_at(&["status", "phase"], Json::from("Terminating"));
    if new == *old { new } else { put(world, key.clone(), new) }
}
