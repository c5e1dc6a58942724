//! The API server: one request in, an object, a list or a `Status` out.

pub mod admission;
pub mod defaults;
pub mod deletion;
pub mod errors;
pub mod strategy;
pub mod validation;
pub mod write;

use super::store::{Key, Kind};
use super::world::World;
use crate::cluster::{ApiError, ApiReply, ApiRequest, Body, Identity, PatchKind, ReplyBody, Verb};
use crate::object::{Json, Object};
use deletion::Deletion;
use write::Notes;

/// Answers one request in the name of `who`.
///
/// # Errors
/// Kubernetes' own `Status`.
pub fn handle(world: &mut World, who: &Identity, request: &ApiRequest) -> Result<ApiReply, ApiError> {
    let kind = world.store.kind_of(&request.resource).ok_or_else(errors::no_such_path)?;
    let mut notes = Notes::default();
    let body = match request.verb {
        Verb::Get => ReplyBody::Object(write::existing(world, &key_of(kind, request))?),
        Verb::List => list(world, kind, request)?,
        Verb::Create => create(world, who, kind, request, &mut notes)?,
        Verb::Update => update(world, kind, request)?,
        Verb::Patch => patch(world, kind, request)?,
        Verb::Delete => ReplyBody::Object(deletion::delete(world, who, &key_of(kind, request), &deletion_of(request))?),
        Verb::DeleteCollection => delete_collection(world, who, kind, request)?,
        #[allow(unreachable_patterns, reason = "watches are served by the clock")]
        _ => return Err(errors::method_not_allowed()),
    };
    Ok(ApiReply { body, warnings: notes.warnings })
}

fn key_of(kind: Kind, request: &ApiRequest) -> Key {
    let namespace = if request.resource.namespaced { request.namespace.clone().unwrap_or_default() } else { Default::default() };
    Key { kind, namespace, name: request.name.clone().unwrap_or_default() }
}

fn deletion_of(request: &ApiRequest) -> Deletion {
    let options = &request.options;
    Deletion { grace_s: options.grace_period_s, propagation: options.propagation, uid: options.uid.clone() }
}

fn list(world: &World, kind: Kind, request: &ApiRequest) -> Result<ReplyBody, ApiError> {
    let items = world.store.list(kind, request.namespace.as_deref()).cloned().collect();
    Ok(ReplyBody::List { resource_version: world.store.revision().to_string().into(), items })
}

fn create(world: &mut World, who: &Identity, kind: Kind, request: &ApiRequest, notes: &mut Notes) -> Result<ReplyBody, ApiError> {
    let Body::Object(object) = &request.body else { return Err(errors::bad_request("the request has no body")) };
    let namespace = request.namespace.as_deref().unwrap_or_default();
    write::create(world, who, kind, namespace, Object(object.clone()), notes).map(ReplyBody::Object)
}

fn update(world: &mut World, kind: Kind, request: &ApiRequest) -> Result<ReplyBody, ApiError> {
    let Body::Object(object) = &request.body else { return Err(errors::bad_request("the request has no body")) };
    world.update(&key_of(kind, request), |json| *json = object.clone()).map(ReplyBody::Object)
}

fn patch(world: &mut World, kind: Kind, request: &ApiRequest) -> Result<ReplyBody, ApiError> {
    let Body::Patch(form, patch) = &request.body else { return Err(errors::bad_request("the request has no patch")) };
    let PatchKind::Merge = form else { return Err(errors::bad_request("this form of patch is not served yet")) };
    world.update(&key_of(kind, request), |json| merge(json, patch)).map(ReplyBody::Object)
}

fn merge(target: &mut Json, patch: &Json) {
    let Json::Obj(fields) = patch else {
        *target = patch.clone();
        return;
    };
    for (key, value) in fields.iter() {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.get_mut(key), value);
        }
    }
}

fn delete_collection(world: &mut World, who: &Identity, kind: Kind, request: &ApiRequest) -> Result<ReplyBody, ApiError> {
    let keys: Vec<Key> = world.store.list_keyed(kind, request.namespace.as_deref()).map(|(key, _)| key.clone()).collect();
    let mut items = Vec::with_capacity(keys.len());
    for key in keys {
        items.push(deletion::delete(world, who, &key, &deletion_of(request))?);
    }
    Ok(ReplyBody::List { resource_version: world.store.revision().to_string().into(), items })
}
