//! The API server: one request in, an object, a list or a `Status` out.
//!
//! A write goes through `rbac` (may the caller?), `call` (decoding), `defaults`, `admission`, `strategy` (what the server itself sets),
//! `validation` and ends in `write::put`. Reads never change the world. A dry run is a request to a fork that is thrown away.

pub mod admission;
pub mod apply;
pub mod bootstrap;
pub mod call;
pub mod custom;
pub mod defaults;
pub mod deletion;
pub mod errors;
pub mod escalation;
pub mod rbac;
pub mod reviews;
pub mod services;
pub mod state;
pub mod strategy;
pub mod subresources;
pub mod update;
pub mod validation;
pub mod write;

use super::controllers::events;
use super::kubelet;
use super::metrics;
use super::store::{Key, Kind};
use super::world::World;
use crate::cluster::{ApiError, ApiReply, ApiRequest, Body, Identity, ReplyBody, Verb};
use crate::object::{FieldSelector, Object, ResourceType, Selector};
use call::Call;
use deletion::Deletion;
use write::Notes;

/// Answers one request in the name of `who`.
///
/// # Errors
/// Kubernetes' own `Status`.
pub fn handle(world: &mut World, who: &Identity, request: &ApiRequest) -> Result<ApiReply, ApiError> {
    let kind = world.store.kind_of(&request.resource).ok_or_else(errors::no_such_path)?;
    let mut call = Call { who, request, kind, resource: world.store.resource(kind).clone(), notes: Notes::default() };
    rbac::authorize(world, who, request, &call.resource)?;
    if let Some(text) = deprecation(kind, &call.resource) {
        call.notes.warnings.push(text.into());
    }
    let body = match request.verb {
        _ if call.resource.group == metrics::server::GROUP => metrics::server::answer(world, &call)?,
        Verb::Get => get(world, &call)?,
        Verb::List => list(world, &mut call)?,
        _ if request.options.dry_run => try_write(world, &mut call)?,
        _ => write_to(world, &mut call)?,
    };
    Ok(ApiReply { body, warnings: call.notes.warnings })
}

/// The warning that comes with every use of a kind that is going away.
fn deprecation(kind: Kind, resource: &ResourceType) -> Option<&'static str> {
    match kind {
        Kind::ENDPOINTS => Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
        _ if resource.plural == "componentstatuses" => Some("v1 ComponentStatus is deprecated in v1.19+"),
        _ => None,
    }
}

/// Does everything but keep it; what comes of it has the version that is stored, or none.
fn try_write(world: &World, call: &mut Call) -> Result<ReplyBody, ApiError> {
    let version = world.store.get(&call.key()).map(|stored| stored.resource_version().to_owned());
    let mut body = write_to(&mut world.clone(), call)?;
    if let ReplyBody::Object(object) = &mut body
        && !object.resource_version().is_empty()
    {
        match version {
            Some(version) => object.set_at(&["metadata", "resourceVersion"], version),
            None => drop(object.remove_at(&["metadata", "resourceVersion"])),
        }
    }
    Ok(body)
}

fn write_to(world: &mut World, call: &mut Call) -> Result<ReplyBody, ApiError> {
    if rbac::is_policy(call.kind) && !call.who.is_operator() && matches!(call.request.verb, Verb::Create | Verb::Update | Verb::Patch) {
        check_policy(world, call)?;
    }
    written(world, call)
}

/// Refuses a Role or binding, as it would be after the request, that gives more than the caller has.
fn check_policy(world: &World, call: &Call) -> Result<(), ApiError> {
    let mut tried = Call { resource: call.resource.clone(), notes: Notes::default(), ..*call };
    let ReplyBody::Object(object) = written(&mut world.clone(), &mut tried)? else { return Ok(()) };
    let key = call.key();
    let before = world.store.get(&key);
    escalation::check(world, call.who, (&call.resource, call.kind, &key.name), (before, &object))
}

fn written(world: &mut World, call: &mut Call) -> Result<ReplyBody, ApiError> {
    let object = match (call.request.verb, call.request.subresource) {
        (Verb::Create, None) => create(world, call)?,
        (Verb::Create, Some(part)) => subresources::create(world, call, part)?,
        (Verb::Update, None) => update::replace(world, call)?,
        (Verb::Patch, None) => update::patch(world, call)?,
        (Verb::Update | Verb::Patch, Some(_)) => subresources::change(world, call)?,
        (Verb::Delete, None) => deletion::delete(world, call.who, &call.key(), &deletion_of(call.request))?,
        (Verb::DeleteCollection, None) => return delete_collection(world, call),
        _ => return Err(errors::method_not_allowed()),
    };
    Ok(ReplyBody::Object(object))
}

fn get(world: &World, call: &Call) -> Result<ReplyBody, ApiError> {
    let object = match call.request.subresource {
        Some(part) => subresources::read(world, call, part)?,
        None => write::existing(world, &call.key()).map_err(|error| nowhere(world, call).unwrap_or(error))?,
    };
    if !is_kept(world, &call.key(), &object) {
        return Err(ApiError::not_found(&call.resource, &call.key().name));
    }
    Ok(ReplyBody::Object(as_read(world, &call.key(), object)))
}

/// The answer to a read in a namespace that does not exist.
fn nowhere(world: &World, call: &Call) -> Option<ApiError> {
    let namespace = call.request.namespace.as_deref().filter(|n| call.resource.namespaced && !n.is_empty())?;
    let missing = world.store.get(&Key::new(Kind::NAMESPACE, "", namespace)).is_none();
    missing.then(|| ApiError::not_found(world.store.resource(Kind::NAMESPACE), namespace))
}

fn create(world: &mut World, call: &mut Call) -> Result<Object, ApiError> {
    let Body::Object(body) = &call.request.body else { return Err(errors::bad_request("the request has no body")) };
    let object = call.decode(world, Object(body.clone()))?;
    if reviews::is_review(&call.resource) {
        return reviews::answer(world, call.who, &call.resource, object);
    }
    let namespace = call.request.namespace.clone().unwrap_or_default();
    call.notes.manager = Some(apply::manager_of(call));
    write::create(world, call.who, (call.kind, &namespace), object, &mut call.notes)
}

fn deletion_of(request: &ApiRequest) -> Deletion {
    let options = &request.options;
    Deletion { grace_s: options.grace_period_s, propagation: options.propagation, uid: options.uid.clone() }
}

/// What changes by the clock alone is computed when read.
fn as_read(world: &World, key: &Key, object: Object) -> Object {
    match key.kind {
        Kind::NODE => kubelet::project(world, key.kind, &object),
        Kind::LEASE if key.namespace == "kube-node-lease" => kubelet::project(world, key.kind, &object),
        Kind::LEASE => bootstrap::project(world, key, object),
        _ => object,
    }
}

/// Whether an object is still there: Events expire by the clock alone.
fn is_kept(world: &World, key: &Key, object: &Object) -> bool {
    key.kind != Kind::EVENT || !events::expired(object, world.now)
}

/// Keys and objects that a collection request is about.
fn selected(world: &World, call: &Call) -> Result<Vec<(Key, Object)>, ApiError> {
    let options = &call.request.options;
    let namespace = call.request.namespace.as_deref().filter(|_| call.resource.namespaced);
    let all = world.store.list_keyed(call.kind, namespace).filter(|(key, object)| is_kept(world, key, object));
    let (labels, fields) = (&options.label_selector, &options.field_selector);
    if labels.is_empty() && fields.is_empty() {
        return Ok(all.map(|(key, object)| (key.clone(), object.clone())).collect());
    }
    let labels = Selector::parse(labels).map_err(errors::bad_request)?;
    let fields = FieldSelector::for_kind(fields, &call.resource).map_err(errors::bad_request)?;
    let chosen = all.filter(|(_, object)| labels.matches(object.meta().get("labels")) && fields.matches(object));
    Ok(chosen.map(|(key, object)| (key.clone(), object.clone())).collect())
}

fn list(world: &World, call: &mut Call) -> Result<ReplyBody, ApiError> {
    let items = selected(world, call)?.into_iter().map(|(key, object)| as_read(world, &key, object)).collect();
    Ok(ReplyBody::List { resource_version: world.store.revision().to_string().into(), items })
}

fn delete_collection(world: &mut World, call: &Call) -> Result<ReplyBody, ApiError> {
    if call.kind == Kind::NAMESPACE {
        return Err(errors::method_not_allowed());
    }
    let mut items = Vec::new();
    for (key, _) in selected(world, call)? {
        items.push(deletion::delete(world, call.who, &key, &deletion_of(call.request))?);
    }
    Ok(ReplyBody::List { resource_version: world.store.revision().to_string().into(), items })
}
