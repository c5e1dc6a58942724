//! Replacing and patching objects on behalf of a caller.

use super::call::Call;
use super::write::{self, Part};
use super::{admission, defaults, errors, rbac, strategy, validation};
use crate::cluster::sim::world::World;
use crate::cluster::{ApiError, Body, PatchKind};
use crate::object::patch::{PatchError, go_print, json, merge, strategic};
use crate::object::{Json, Object};

/// PUT.
///
/// # Errors
/// The API server's answer when the update is refused.
pub fn replace(world: &mut World, call: &mut Call) -> Result<Object, ApiError> {
    let Body::Object(body) = &call.request.body else { return Err(errors::bad_request("the request has no body")) };
    let sent = call.decode(world, Object(body.clone()))?;
    let key = call.key();
    match world.store.get(&key).cloned() {
        Some(old) => finish(world, call, &old, sent),
        None if strategy::creates_on_update(&call.resource) => {
            rbac::authorize_creation(world, call.who, call.request, &call.resource)?;
            call.notes.manager = Some(super::apply::manager_of(call));
            let namespace = key.namespace.clone();
            write::create(world, call.who, (call.kind, &namespace), sent, &mut call.notes)
        }
        None if !sent.uid().is_empty() => Err(gone_uid(call, &sent)),
        None => Err(ApiError::not_found(&call.resource, &key.name)),
    }
}

/// 409 for an update that names the uid of an object that is no more.
fn gone_uid(call: &Call, sent: &Object) -> ApiError {
    let place = match (call.resource.group.as_str(), call.resource.plural.as_str()) {
        ("", "services") => "services/specs",
        ("", "endpoints") => "services/endpoints",
        ("", "nodes") => "minions",
        (_, plural) => plural,
    };
    let key = call.key();
    let path = if key.namespace.is_empty() { key.name.to_string() } else { format!("{}/{}", key.namespace, key.name) };
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{place}/{path}, ResourceVersion: 0, \
         AdditionalErrorMsg: Precondition failed: UID in precondition: {}, UID in object meta: ",
        sent.uid()
    );
    errors::conflict(&call.resource, &key.name, &why)
}

/// PATCH.
///
/// # Errors
/// The API server's answer when the patch is refused.
pub fn patch(world: &mut World, call: &mut Call) -> Result<Object, ApiError> {
    let Body::Patch(form, patch) = &call.request.body else { return Err(errors::bad_request("the request has no patch")) };
    let key = call.key();
    if *form == PatchKind::Apply {
        return super::apply::apply(world, call, patch);
    }
    let old = write::existing(world, &key)?;
    let new = patched(world, call, &old, (*form, patch))?;
    finish(world, call, &old, new)
}

/// The object that a patch makes of another one, read as the server reads it.
///
/// # Errors
/// The API server's answer when the patch does not fit.
pub fn patched(world: &World, call: &mut Call, old: &Json, (form, patch): (PatchKind, &Json)) -> Result<Object, ApiError> {
    let ty = call.schema();
    let result = match form {
        PatchKind::Json => json::apply(old, patch),
        PatchKind::Merge | PatchKind::Apply => Ok(merge::apply(old, patch)),
        PatchKind::Strategic => match ty {
            Some(ty) => strategic::apply(old, patch, ty),
            None => return Err(unsupported_media_type()),
        },
    };
    let new = result.map_err(|error| match error {
        PatchError::Malformed(text) => errors::bad_request(text),
        PatchError::Failed(_) => ApiError::new(422, "Invalid", "the server rejected our request due to an error in our request"),
        PatchError::Other(text) => ApiError::new(500, "", text),
    })?;
    let shown = || if form == PatchKind::Strategic { go_print(patch) } else { new.to_compact() };
    let refuse = |why: &str| {
        let mut causes = errors::FieldErrors::default();
        causes.invalid("patch", shown(), why);
        causes.into_result("", "", "").err().unwrap_or_else(errors::no_such_path)
    };
    let read = call
        .read(world, Object(new.clone()))
        .map_err(|error| refuse(if form == PatchKind::Strategic { &error.converter } else { &error.json }))?;
    let (object, unknown) = read;
    call.note_unknown(&unknown).map_err(|text| refuse(&text))?;
    Ok(object)
}

fn unsupported_media_type() -> ApiError {
    let kinds = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
    let text = format!("the body of the request was in an unknown format - accepted media types include: {kinds}");
    ApiError::new(415, "UnsupportedMediaType", text)
}

/// Takes a changed object through admission and validation to the store.
///
/// # Errors
/// The API server's answer when the change is refused.
pub fn finish(world: &mut World, call: &mut Call, old: &Object, new: Object) -> Result<Object, ApiError> {
    let mut new = prepare(world, call, old, new)?;
    super::apply::track_update(world, call, old, &mut new);
    Ok(write::commit(world, &call.key(), old, new))
}

/// As [`finish`], with the managers of fields set by `managers`.
///
/// # Errors
/// The API server's answer when the change is refused.
pub fn finish_with(
    world: &mut World,
    call: &mut Call,
    old: &Object,
    new: Object,
    managers: impl FnOnce(&mut Object),
) -> Result<Object, ApiError> {
    let mut new = prepare(world, call, old, new)?;
    managers(&mut new);
    Ok(write::commit(world, &call.key(), old, new))
}

/// Admission, defaults and validation of a change.
fn prepare(world: &mut World, call: &mut Call, old: &Object, mut new: Object) -> Result<Object, ApiError> {
    if new.namespace().is_empty() && !old.namespace().is_empty() {
        new.set_at(&["metadata", "namespace"], old.meta().get("namespace"));
    }
    check_identity(call, old, &new)?;
    for field in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "resourceVersion"] {
        if field == "uid" && !new.uid().is_empty() {
            continue;
        }
        match old.meta().as_map().and_then(|m| m.get(field)) {
            Some(value) if field != "deletionTimestamp" || !value.is_null() => new.set_at(&["metadata", field], value),
            _ if field == "deletionTimestamp" => {}
            _ => drop(new.remove_at(&["metadata", field])),
        }
    }
    defaults::apply(call.kind, &call.resource, &mut new);
    match call.part() {
        Part::Status => {
            let status = new.get("status").clone();
            new = old.clone();
            new.set("status", status);
            strategy::prepare_status(world, call.kind, old, &mut new);
        }
        Part::Main => {
            admission::mutate_update(call.kind, &mut new);
            strategy::prepare_for_update(world, call.kind, &call.resource, (old, &mut new))?;
        }
    }
    validation::on_update(call.kind, &call.resource, (old, &new))?;
    if call.part() == Part::Main {
        admission::validate_update(world, call.kind, (old, &new), &mut call.notes)?;
    }
    Ok(new)
}

/// Name, namespace, uid and resourceVersion must be those of the object that is replaced.
fn check_identity(call: &Call, old: &Object, new: &Object) -> Result<(), ApiError> {
    let key = call.key();
    if new.name() != key.name {
        let text = format!("the name of the object ({}) does not match the name on the URL ({})", new.name(), key.name);
        return Err(errors::bad_request(text));
    }
    if new.namespace() != key.namespace {
        return Err(errors::bad_request(super::write::NAMESPACE_DIFFERS));
    }
    let patch = matches!(call.request.body, Body::Patch(..));
    if !patch && !new.uid().is_empty() && new.uid() != old.uid() {
        let why = format!("Precondition failed: UID in precondition: {}, UID in object meta: {}", new.uid(), old.uid());
        return Err(errors::conflict(&call.resource, &key.name, &why));
    }
    let version = new.resource_version();
    if version.is_empty() && strategy::needs_resource_version(call.kind, &call.resource) && !patch {
        let mut causes = errors::FieldErrors::default();
        causes.invalid("metadata.resourceVersion", 0, "must be specified for an update");
        causes.into_result(&call.resource.group, &call.resource.kind, &key.name)?;
    }
    if !version.is_empty() && version != old.resource_version() {
        return Err(errors::stale(&call.resource, &key.name));
    }
    Ok(())
}
