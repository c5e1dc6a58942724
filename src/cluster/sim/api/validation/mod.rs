//! Validation: which objects are refused with 422, and why, in the server's order and words.
//!
//! Not modelled: volume sources that no node here can mount, Windows pods, device claims, pod resize, CSI objects, flow control, admission
//! policies, certificates, CEL and declarative rules of custom kinds.

mod config;
mod containers;
mod internal;
mod meta;
mod networking;
mod path;
mod pod;
mod pod_update;
mod policy;
mod scheduling;
mod services;
mod storage;
mod volumes;
mod workloads;

use super::errors::FieldErrors;
use crate::cluster::ApiError;
use crate::cluster::sim::store::Kind;
use crate::object::{Json, Object, ResourceType};
use path::Path;

/// Checks a new object.
///
/// # Errors
/// 422 with the fields that are refused.
pub fn on_create(kind: Kind, resource: &ResourceType, object: &Object) -> Result<(), ApiError> {
    let mut errors = FieldErrors::default();
    meta::on_create(kind, resource, object, &mut errors);
    check(kind, resource, object, &mut errors);
    errors.into_result(&resource.group, &resource.kind, object.name())
}

/// Checks a changed object.
///
/// # Errors
/// 422 with the fields that are refused.
pub fn on_update(kind: Kind, resource: &ResourceType, (old, new): (&Object, &Object)) -> Result<(), ApiError> {
    let mut errors = FieldErrors::default();
    meta::on_update(old, new, &mut errors);
    match kind {
        Kind::POD => pod_update::check(old, new, &mut errors),
        Kind::SERVICE => {
            services::on_update(old, new, &mut errors);
            check(kind, resource, new, &mut errors);
        }
        Kind::PVC => storage::on_claim_update(old, new, &mut errors),
        Kind::PV => storage::on_volume_update(old, new, &mut errors),
        Kind::CONFIG_MAP | Kind::SECRET => {
            config::on_data_update(kind, old, new, &mut errors);
            check(kind, resource, new, &mut errors);
        }
        Kind::ROLE_BINDING | Kind::CLUSTER_ROLE_BINDING => {
            check(kind, resource, new, &mut errors);
            policy::on_binding_update(old, new, &mut errors);
        }
        Kind::STORAGE_CLASS => storage::on_class_update(old, new, &mut errors),
        Kind::PRIORITY_CLASS => policy::on_priority_class_update(old, new, &mut errors),
        _ => {
            check(kind, resource, new, &mut errors);
            workloads::on_update(kind, old, new, &mut errors);
        }
    }
    errors.into_result(&resource.group, &resource.kind, new.name())
}

/// What holds for new and changed objects alike.
fn check(kind: Kind, resource: &ResourceType, object: &Object, errors: &mut FieldErrors) {
    match kind {
        Kind::POD => pod::check(object, errors),
        Kind::DEPLOYMENT | Kind::REPLICA_SET | Kind::STATEFUL_SET | Kind::DAEMON_SET | Kind::JOB | Kind::CRON_JOB => {
            workloads::check(kind, object, errors);
        }
        Kind::SERVICE => services::check(object, errors),
        Kind::PVC => storage::check_claim(object.spec(), &Path::new("spec"), errors),
        Kind::PV => storage::check_volume(object, errors),
        Kind::STORAGE_CLASS => storage::check_class(object, errors),
        Kind::CONFIG_MAP | Kind::SECRET => config::check_data(kind, object, errors),
        Kind::LIMIT_RANGE => config::check_limit_range(object, errors),
        Kind::RESOURCE_QUOTA => config::check_quota(object, errors),
        Kind::NODE => config::check_node(object, errors),
        Kind::ROLE | Kind::CLUSTER_ROLE => policy::check_role(kind, object, errors),
        Kind::ROLE_BINDING | Kind::CLUSTER_ROLE_BINDING => policy::check_binding(kind, object, errors),
        Kind::PDB => policy::check_budget(object, errors),
        Kind::HPA => policy::check_autoscaler(object, errors),
        Kind::PRIORITY_CLASS => policy::check_priority_class(object, errors),
        Kind::CRD => policy::check_definition(object, errors),
        Kind::NETWORK_POLICY => networking::check_policy(object, errors),
        _ if resource.plural == "ingresses" => networking::check_ingress(object, errors),
        _ => {}
    }
}

/// A number that must not be negative.
fn non_negative(value: &Json, path: &Path, errors: &mut FieldErrors) {
    if let Some(number) = value.as_i64().filter(|n| *n < 0) {
        errors.invalid(path, number, "must be greater than or equal to 0");
    }
}

/// Complaints about a text, one refusal each.
fn complain(complaints: Vec<String>, value: &str, path: &Path, errors: &mut FieldErrors) {
    for complaint in complaints {
        errors.invalid(path, value, &complaint);
    }
}

/// A text that must be one of a list (in the list's order); absent is another matter.
fn one_of(value: &str, allowed: &[&str], path: &Path, errors: &mut FieldErrors) {
    if value.is_empty() {
        errors.required(path, "");
    } else if !allowed.contains(&value) {
        errors.not_supported(path, value, allowed);
    }
}

/// A field that must stay as it is.
fn immutable(old: &Json, new: &Json, path: &Path, errors: &mut FieldErrors) {
    if old != new {
        errors.invalid(path, new, "field is immutable");
    }
}

#[cfg(test)]
mod tests;
