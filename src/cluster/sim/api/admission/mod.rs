//! Admission: what the server's plug-ins change and refuse, in the order in which they run.
//!
//! Not modelled: webhooks and admission policies that users configure, NodeRestriction, RuntimeClass, TaintNodesByCondition.

mod limits;
mod pods;
pub mod quota;
mod security;

use super::errors;
use super::write::Notes;
use crate::cluster::sim::store::{Key, Kind};
use crate::cluster::sim::world::World;
use crate::cluster::{ApiError, Identity};
use crate::object::{Object, Quantity};

/// Plug-ins that change a new object.
///
/// # Errors
/// The plug-in's refusal.
pub fn mutate(world: &mut World, _who: &Identity, kind: Kind, object: &mut Object) -> Result<(), ApiError> {
    namespace_lifecycle(world, kind, object)?;
    match kind {
        Kind::POD => {
            limits::set_defaults(world, object);
            pods::service_account(world, object)?;
            pods::tolerations(object);
            pods::priority(world, object)?;
        }
        Kind::PVC => {
            default_storage_class(world, object);
            add_finalizer(object, "kubernetes.io/pvc-protection");
        }
        Kind::PV => add_finalizer(object, "kubernetes.io/pv-protection"),
        _ => {}
    }
    Ok(())
}

/// Plug-ins that look at a new object as it will be stored.
///
/// # Errors
/// The plug-in's refusal.
pub fn validate_create(world: &World, kind: Kind, object: &Object, notes: &mut Notes) -> Result<(), ApiError> {
    match kind {
        Kind::POD => {
            limits::check_pod(world, object)?;
            security::check_pod(world, object, notes)?;
        }
        Kind::PVC => limits::check_claim(world, object)?,
        _ => security::warn_about_template(world, kind, object, notes),
    }
    quota::check(world, kind, None, object)
}

/// Plug-ins that change an updated object.
pub fn mutate_update(kind: Kind, object: &mut Object) {
    if kind == Kind::POD {
        pods::tolerations(object);
    }
}

/// Plug-ins that look at an updated object as it will be stored.
///
/// # Errors
/// The plug-in's refusal.
pub fn validate_update(world: &World, kind: Kind, (old, new): (&Object, &Object), notes: &mut Notes) -> Result<(), ApiError> {
    if !old.is_terminating() && kind == Kind::PVC {
        limits::check_claim(world, new)?;
        claim_resize(world, old, new)?;
    }
    if kind != Kind::POD && old.spec() != new.spec() {
        security::warn_about_template(world, kind, new, notes);
    }
    quota::check(world, kind, Some(old), new)
}

fn namespace_lifecycle(world: &World, kind: Kind, object: &Object) -> Result<(), ApiError> {
    let name = object.namespace();
    if name.is_empty() {
        return Ok(());
    }
    let resource = world.store.resource(Kind::NAMESPACE);
    match world.store.get(&Key::new(Kind::NAMESPACE, "", name)) {
        None => Err(ApiError::not_found(resource, name)),
        Some(namespace) if namespace.is_terminating() => {
            let why = format!("unable to create new content in namespace {name} because it is being terminated");
            let mut error = errors::forbidden(world.store.resource(kind), object.name(), &why);
            let message = format!("namespace {name} is being terminated");
            let cause = crate::object! { "reason" => "NamespaceTerminating", "message" => message, "field" => "metadata.namespace" };
            error.details.set("causes", crate::array![cause]);
            Err(error)
        }
        Some(_) => Ok(()),
    }
}

/// Namespaces that may not be deleted.
///
/// # Errors
/// 403 for those.
pub fn check_deletion(world: &World, key: &Key) -> Result<(), ApiError> {
    if key.kind == Kind::NAMESPACE && matches!(key.name.as_str(), "default" | "kube-system" | "kube-public") {
        return Err(errors::forbidden(world.store.resource(key.kind), &key.name, "this namespace may not be deleted"));
    }
    Ok(())
}

fn add_finalizer(object: &mut Object, name: &str) {
    let finalizers = object.get_mut("metadata").get_mut("finalizers");
    if !finalizers.items().iter().any(|f| f.text() == name) {
        finalizers.push(name);
    }
}

/// A claim may grow only where its class lets volumes expand.
fn claim_resize(world: &World, old: &Object, new: &Object) -> Result<(), ApiError> {
    let size = |claim: &Object| Quantity::of(claim.spec().at(&["resources", "requests", "storage"])).unwrap_or(Quantity::ZERO);
    if size(new) <= size(old) {
        return Ok(());
    }
    let resource = world.store.resource(Kind::PVC);
    if old.status().get("phase").text() != "Bound" {
        return Err(errors::forbidden(resource, new.name(), "Only bound persistent volume claims can be expanded"));
    }
    let class = new.spec().get("storageClassName").text();
    let expands =
        world.store.get(&Key::new(Kind::STORAGE_CLASS, "", class)).is_some_and(|class| class.get("allowVolumeExpansion").is_true());
    if expands {
        return Ok(());
    }
    let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";
    Err(errors::forbidden(resource, new.name(), why))
}

/// A claim that names no class gets the default one.
fn default_storage_class(world: &World, claim: &mut Object) {
    const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
    if !claim.spec().get("storageClassName").is_null() {
        return;
    }
    let defaults = world.store.list(Kind::STORAGE_CLASS, None).filter(|class| class.annotation(DEFAULT) == Some("true"));
    if let Some(class) = defaults.max_by_key(|class| class.meta().get("creationTimestamp").text()) {
        let name = class.name().to_owned();
        claim.set_at(&["spec", "storageClassName"], name);
    }
}
