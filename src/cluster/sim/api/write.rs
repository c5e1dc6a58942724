//! Writes: creation and replacement, from a decoded object to the store.
//!
//! [`World::create`], [`World::update`], [`World::set_status`] and [`World::delete`] are what controllers, scheduler and
//! kubelets call; requests from outside arrive here through `handle`.

use super::deletion::Deletion;
use super::{admission, apply, custom, defaults, errors, rbac, strategy, validation};
use crate::cluster::sim::store::{Key, Kind};
use crate::cluster::sim::world::World;
use crate::cluster::{ApiError, Identity, Propagation};
use crate::object::{Json, Object, ResourceRef};
use arcstr::ArcStr;

/// Longest name to which `generateName` may be cut before its suffix.
const GENERATE_NAME_LONGEST: usize = 58;
/// How often the server draws another suffix when the name is taken.
const GENERATE_NAME_TRIES: usize = 8;

/// What a write collects on its way.
#[derive(Default)]
pub struct Notes {
    /// `Warning` headers.
    pub warnings: Vec<ArcStr>,
    /// Who is noted as the manager of a new object's fields; nobody for the cluster's own parts.
    pub manager: Option<ArcStr>,
}

/// Which part of an object a write replaces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Everything but the status.
    Main,
    /// The status.
    Status,
}

impl World {
    /// Creates an object: defaults, admission, validation, name, uid, creationTimestamp.
    ///
    /// # Errors
    /// The API server's answer when the object is refused.
    pub fn create(&mut self, who: &Identity, kind: Kind, namespace: &str, object: impl Into<Object>) -> Result<Object, ApiError> {
        create(self, who, (kind, namespace), object.into(), &mut Notes::default())
    }

    /// Changes an object other than its status; nothing is written when nothing changed. No validation: for the cluster's own parts.
    ///
    /// # Errors
    /// 404 when there is no such object.
    pub fn update(&mut self, key: &Key, change: impl FnOnce(&mut Json)) -> Result<Object, ApiError> {
        let old = existing(self, key)?;
        let resource = self.store.resource(key.kind).clone();
        let mut new = old.clone();
        change(&mut new);
        if strategy::has_status(&self.store, key.kind, &resource) {
            strategy::keep(&old, &mut new, "status");
        }
        strategy::set_generation(key.kind, &resource, &old, &mut new);
        Ok(commit(self, key, &old, new))
    }

    /// Changes an object's status; nothing is written when nothing changed.
    ///
    /// # Errors
    /// 404 when there is no such object.
    pub fn set_status(&mut self, key: &Key, change: impl FnOnce(&mut Json)) -> Result<Object, ApiError> {
        let old = existing(self, key)?;
        let mut new = old.clone();
        change(new.get_mut("status"));
        if new != old {
            strategy::prepare_status(self, key.kind, &old, &mut new);
        }
        Ok(commit(self, key, &old, new))
    }

    /// Changes annotations along with the status, as controllers do over the status subresource: that is no new generation.
    ///
    /// # Errors
    /// 404 when there is no such object.
    pub fn annotate(&mut self, key: &Key, annotation: &str, value: &str) -> Result<Object, ApiError> {
        let old = existing(self, key)?;
        let mut new = old.clone();
        new.set_at(&["metadata", "annotations", annotation], value);
        Ok(commit(self, key, &old, new))
    }

    /// Assigns a pod to a node (`pods/binding`), which sets its condition PodScheduled.
    ///
    /// # Errors
    /// 409 when the pod has a node, is being deleted, or is gated.
    pub fn bind(&mut self, pod: &Key, node: &str) -> Result<Object, ApiError> {
        super::subresources::bind(self, pod, node)
    }

    /// Deletes an object, gracefully where its kind knows grace.
    ///
    /// # Errors
    /// 404 when there is no such object.
    pub fn delete(
        &mut self,
        who: &Identity,
        key: &Key,
        grace_s: Option<i64>,
        propagation: Option<Propagation>,
    ) -> Result<Object, ApiError> {
        super::deletion::delete(self, who, key, &Deletion { grace_s, propagation, ..Deletion::default() })
    }
}

/// The object at a key, or 404.
pub fn existing(world: &World, key: &Key) -> Result<Object, ApiError> {
    world.store.get(key).cloned().ok_or_else(|| ApiError::not_found(world.store.resource(key.kind), &key.name))
}

/// Stores a changed object, unless nothing changed; deletes it when its deletion waited for the last finalizer.
pub fn commit(world: &mut World, key: &Key, old: &Object, new: Object) -> Object {
    if new == *old {
        return new;
    }
    if super::deletion::completes(old, &new) {
        super::deletion::remove(world, key);
        return new;
    }
    put(world, key.clone(), new)
}

/// Writes to the store and tells what is derived from it.
pub fn put(world: &mut World, key: Key, object: Object) -> Object {
    if rbac::is_policy(key.kind) {
        world.api.forget_policy();
    }
    let (kind, namespace) = (key.kind, key.namespace.clone());
    let stored = world.store.put(key, object);
    admission::quota::recount(world, kind, &namespace);
    stored
}

/// Creates an object of a kind in a namespace.
///
/// # Errors
/// The API server's answer when the object is refused.
pub fn create(
    world: &mut World,
    who: &Identity,
    (kind, namespace): (Kind, &str),
    mut object: Object,
    notes: &mut Notes,
) -> Result<Object, ApiError> {
    let resource = world.store.resource(kind).clone();
    let namespace = if resource.namespaced { namespace } else { "" };
    strategy::reset_status(&world.store, kind, &resource, &mut object);
    strategy::normalize(&resource, &mut object);
    let generated = identify(world, &resource, namespace, &mut object)?;
    defaults::apply(kind, &resource, &mut object);
    admission::mutate(world, who, kind, &mut object)?;
    // A name is generated after the plug-ins that change objects, whose refusals therefore name the prefix.
    if generated {
        name_by_prefix(world, &mut object);
    }
    strategy::prepare_for_create(world, kind, &resource, &mut object)?;
    validation::on_create(kind, &resource, &object)?;
    admission::validate_create(world, kind, &object, notes)?;
    let mut key = Key::of(kind, &object);
    let mut tries = 1;
    while world.store.get(&key).is_some() {
        if !generated || tries == GENERATE_NAME_TRIES {
            let mut error = errors::already_exists(&resource, &key.name);
            if world.store.get(&key).is_some_and(Object::is_terminating) {
                error.message = format!("object is being deleted: {}", error.message);
            }
            return Err(error);
        }
        tries += 1;
        name_by_prefix(world, &mut object);
        key = Key::of(kind, &object);
    }
    strategy::warnings_on_create(kind, &object, notes);
    if let Some(manager) = &notes.manager {
        apply::track_create(world, &resource, manager, &mut object);
    }
    if kind == Kind::CRD {
        let now = world.now.rfc3339();
        custom::establish(&mut world.store, &now, &mut object);
    }
    Ok(put(world, key, object))
}

/// What is said about an object of another namespace than the request's.
pub const NAMESPACE_DIFFERS: &str = "the namespace of the provided object does not match the namespace sent on the request";

/// Gives a new object its system metadata; returns whether the name was generated.
fn identify(world: &mut World, resource: &ResourceRef, namespace: &str, object: &mut Object) -> Result<bool, ApiError> {
    object.set("apiVersion", resource.api_version());
    object.set("kind", resource.kind.as_str());
    if !object.meta().get("resourceVersion").text().is_empty() {
        return Err(errors::bad_request("resourceVersion should not be set on objects to be created"));
    }
    let own = object.namespace().to_owned();
    if !own.is_empty() && own != namespace {
        let text = if resource.namespaced {
            NAMESPACE_DIFFERS.to_owned()
        } else {
            "namespace should not be set on cluster-scoped objects".to_owned()
        };
        return Err(errors::bad_request(text));
    }
    let now = world.now.rfc3339();
    let uid = world.draw("uid").uuid();
    let meta = object.get_mut("metadata");
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion", "generation"] {
        meta.remove(field);
    }
    if !namespace.is_empty() {
        meta.set("namespace", namespace);
    }
    meta.set("creationTimestamp", now);
    meta.set("uid", uid);
    let generated = object.name().is_empty() && !object.meta().get("generateName").text().is_empty();
    if generated {
        let prefix = object.meta().get("generateName").clone();
        object.set_at(&["metadata", "name"], prefix);
    }
    Ok(generated)
}

fn name_by_prefix(world: &mut World, object: &mut Object) {
    let prefix = object.meta().get("generateName").text();
    let prefix: String = prefix.chars().take(GENERATE_NAME_LONGEST).collect();
    let suffix = world.draw("name").name_suffix(5);
    object.set_at(&["metadata", "name"], format!("{prefix}{suffix}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Catalog;
    use crate::object;
    use crate::time::SimTime;
    use std::sync::Arc;

    fn world() -> World {
        let mut world = World::new(SimTime::from_secs(1_767_225_600), 1, Arc::new(Catalog::default()));
        let namespace = object! { "metadata" => object! { "name" => "default" } };
        world.create(&Identity::operator(), Kind::NAMESPACE, "", namespace).expect("created");
        world
    }

    #[test]
    fn an_object_is_created_changed_and_deleted() {
        let mut world = world();
        let me = Identity::operator();
        let pod = object! { "metadata" => object! { "generateName" => "geo-" }, "spec" => object! {
            "nodeName" => "node-1", "containers" => crate::array![object! { "name" => "geo", "image" => "hotel:1" }],
        } };
        let pod = world.create(&me, Kind::POD, "default", pod).expect("created");
        assert!(pod.name().len() == 9 && pod.uid().len() == 36 && pod.generation() == 1);
        assert_eq!(pod.meta().get("creationTimestamp").text(), "2026-01-01T00:00:00Z");
        let key = Key::of(Kind::POD, &pod);
        let before = world.store.revision();
        world.set_status(&key, |status| status.set("phase", "Pending")).expect("there");
        assert_eq!(world.store.revision(), before, "nothing changed, nothing written");
        world.update(&key, |json| json.set_at(&["spec", "nodeName"], "node-2")).expect("there");
        assert_eq!(world.store.revision(), before + 1);
        let marked = world.delete(&me, &key, None, None).expect("there");
        assert_eq!(marked.meta().get("deletionTimestamp").text(), "2026-01-01T00:00:30Z");
        assert!(world.store.get(&key).is_some(), "the kubelet must finish it");
        world.delete(&me, &key, Some(0), None).expect("there");
        assert!(world.store.get(&key).is_none());
        assert_eq!(world.delete(&me, &key, None, None).expect_err("gone").code, 404);
    }

    #[test]
    fn a_finalizer_keeps_an_object_until_it_is_taken_off() {
        let mut world = world();
        let me = Identity::operator();
        let map = object! { "metadata" => object! { "name" => "x", "finalizers" => crate::array!["example.com/hold"] } };
        let key = Key::of(Kind::CONFIG_MAP, &world.create(&me, Kind::CONFIG_MAP, "default", map).expect("created"));
        world.delete(&me, &key, None, None).expect("there");
        assert!(world.store.get(&key).is_some_and(Object::is_terminating));
        world.update(&key, |json| drop(json.remove_at(&["metadata", "finalizers"]))).expect("there");
        assert!(world.store.get(&key).is_none());
    }
}
