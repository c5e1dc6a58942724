//! Metadata: names, labels, annotations, owners, and what an update may not change.

use super::path::Path;
use super::{FieldErrors, complain, immutable};
use crate::cluster::sim::store::Kind;
use crate::object::{Json, Object, ResourceType, names};

const ANNOTATIONS_LARGEST: usize = 256 * 1024;

/// Complaints about an object's name, by kind.
fn name_complaints(kind: Kind, resource: &ResourceType, name: &str) -> Vec<String> {
    match kind {
        Kind::NAMESPACE | Kind::STATEFUL_SET => names::dns1123_label(name),
        Kind::SERVICE => names::dns1035_label(name),
        Kind::ROLE | Kind::ROLE_BINDING | Kind::CLUSTER_ROLE | Kind::CLUSTER_ROLE_BINDING | Kind::CONTROLLER_REVISION => {
            names::path_segment(name)
        }
        Kind::CRON_JOB => {
            let mut complaints = names::dns1123_subdomain(name);
            if name.len() > 52 {
                complaints.push("must be no more than 52 characters".to_owned());
            }
            complaints
        }
        _ if resource.plural == "flowschemas" || resource.plural == "prioritylevelconfigurations" => names::path_segment(name),
        _ => names::dns1123_subdomain(name),
    }
}

pub(super) fn on_create(kind: Kind, resource: &ResourceType, object: &Object, errors: &mut FieldErrors) {
    let meta = Path::new("metadata");
    let prefix = object.meta().get("generateName").text();
    if !prefix.is_empty() {
        let masked = prefix.strip_suffix('-').map(|start| format!("{start}a"));
        complain(name_complaints(kind, resource, masked.as_deref().unwrap_or(prefix)), prefix, &meta.child("generateName"), errors);
    }
    let name = object.name();
    if name.is_empty() {
        errors.required(meta.child("name"), "name or generateName is required");
    } else if kind != Kind::EVENT {
        complain(name_complaints(kind, resource, name), name, &meta.child("name"), errors);
    }
    common(object.meta(), &meta, errors);
}

pub(super) fn on_update(old: &Object, new: &Object, errors: &mut FieldErrors) {
    let path = Path::new("metadata");
    let (before, after) = (old.meta(), new.meta());
    common(after, &path, errors);
    let count = |object: &Object| object.meta().get("finalizers").items().len();
    if old.is_terminating() && count(new) > 0 {
        let had: Vec<&Json> = before.get("finalizers").items().iter().collect();
        let fresh: Vec<&str> = after.get("finalizers").items().iter().filter(|f| !had.contains(f)).map(Json::text).collect();
        if !fresh.is_empty() {
            let shown = fresh.iter().map(|f| format!("{f:?}")).collect::<Vec<_>>().join(", ");
            let list = format!("no new finalizers can be added if the object is being deleted, found new finalizers []string{{{shown}}}");
            errors.forbidden(path.child("finalizers"), &list);
        }
    }
    for field in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp"] {
        immutable(before.get(field), after.get(field), &path.child(field), errors);
    }
}

fn common(meta: &Json, path: &Path, errors: &mut FieldErrors) {
    labels(meta.get("labels"), &path.child("labels"), errors);
    annotations(meta.get("annotations"), &path.child("annotations"), errors);
    owners(meta.get("ownerReferences"), &path.child("ownerReferences"), errors);
    for (at, finalizer) in meta.get("finalizers").items().iter().enumerate() {
        let (text, list) = (finalizer.text(), path.child("finalizers"));
        complain(names::qualified_name(text), text, &list, errors);
        if !text.contains('/') && !matches!(text, "orphan" | "foregroundDeletion" | "kubernetes") {
            errors.invalid(list.index(at), text, "name is neither a standard finalizer name nor is it fully qualified");
        }
    }
}

/// Labels of any map: of metadata, of selectors.
pub(super) fn labels(labels: &Json, path: &Path, errors: &mut FieldErrors) {
    for (key, value) in labels.entries() {
        complain(names::qualified_name(key), key, path, errors);
        complain(names::label_value(value.text()), value.text(), path, errors);
    }
}

pub(super) fn annotations(annotations: &Json, path: &Path, errors: &mut FieldErrors) {
    let mut size = 0;
    for (key, value) in annotations.entries() {
        complain(names::qualified_name(&key.to_lowercase()), key, path, errors);
        size += key.len() + value.text().len();
    }
    if size > ANNOTATIONS_LARGEST {
        errors.too_long(path, ANNOTATIONS_LARGEST);
    }
}

fn owners(owners: &Json, path: &Path, errors: &mut FieldErrors) {
    let mut controllers = 0;
    for (at, owner) in owners.items().iter().enumerate() {
        let path = path.index(at);
        for (field, text) in [("apiVersion", "version must not be empty"), ("kind", ""), ("name", ""), ("uid", "")] {
            if owner.get(field).text().is_empty() {
                let detail = if text.is_empty() { "must not be empty" } else { text };
                errors.invalid(path.child(field), owner.get(field).text(), detail);
            }
        }
        controllers += usize::from(owner.get("controller").is_true());
    }
    if controllers > 1 {
        errors.invalid(path, owners, "Only one reference can have Controller set to true");
    }
}

/// A label selector in object form.
pub(super) fn selector(selector: &Json, path: &Path, errors: &mut FieldErrors) {
    labels(selector.get("matchLabels"), &path.child("matchLabels"), errors);
    let list = path.child("matchExpressions");
    for (at, expression) in selector.get("matchExpressions").items().iter().enumerate() {
        let path = list.index(at);
        let values = expression.get("values");
        match expression.get("operator").text() {
            "In" | "NotIn" if values.is_empty() => {
                errors.required(path.child("values"), "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                errors.forbidden(path.child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.invalid(path.child("operator"), other, "not a valid selector operator"),
        }
        let key = expression.get("key").text();
        complain(names::qualified_name(key), key, &path.child("key"), errors);
        for (place, value) in values.items().iter().enumerate() {
            complain(names::label_value(value.text()), value.text(), &path.child("values").index(place), errors);
        }
    }
}
