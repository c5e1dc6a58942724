//! Custom kinds: what a CustomResourceDefinition makes the server serve.
//!
//! Not modelled: conversion between versions (the storage version alone is served), CEL rules, defaults and validation by OpenAPI schema
//! beyond the pruning of unknown fields.

use crate::cluster::sim::store::{Key, Kind, Store};
use crate::object::{Json, NULL, Object, ResourceType};
use crate::{array, object};
use std::sync::Arc;

/// The entry of `spec.versions` that serves a custom kind; null when there is none.
pub fn version_of<'a>(store: &'a Store, resource: &ResourceType) -> &'a Json {
    let key = Key::new(Kind::CRD, "", format!("{}.{}", resource.plural, resource.group));
    let versions = store.get(&key).map_or(&NULL, |crd| crd.spec().get("versions"));
    versions.find("name", &resource.version).unwrap_or(&NULL)
}

/// The kind that a CustomResourceDefinition describes.
pub fn resource_of(crd: &Object) -> Option<ResourceType> {
    let spec = crd.spec();
    let names = spec.get("names");
    let words = |list: &Json| list.items().iter().map(|w| w.text().to_owned()).collect();
    let version = spec.get("versions").items().iter().find(|v| v.get("storage").is_true())?;
    Some(ResourceType {
        group: spec.get("group").text().to_owned(),
        version: version.get("name").text().to_owned(),
        kind: names.get("kind").text().to_owned(),
        plural: names.get("plural").text().to_owned(),
        singular: names.get("singular").text().to_owned(),
        short_names: words(names.get("shortNames")),
        namespaced: spec.get("scope").text() == "Namespaced",
        categories: words(names.get("categories")),
        verbs: ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"].map(str::to_owned).to_vec(),
    })
}

/// Serves the kind of a new CustomResourceDefinition and says so in its status.
pub fn establish(store: &mut Store, now: &str, crd: &mut Object) {
    let Some(resource) = resource_of(crd) else { return };
    let known = store.resources().iter().any(|r| r.plural == resource.plural && r.group == resource.group);
    if !known {
        store.serve(Arc::new(resource));
    }
    let condition = |kind: &str, reason: &str, message: &str| {
        object! { "type" => kind, "status" => "True", "reason" => reason, "message" => message, "lastTransitionTime" => now }
    };
    let conditions = array![
        condition("NamesAccepted", "NoConflicts", "no conflicts found"),
        condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
    ];
    let names = crd.spec().get("names").clone();
    crd.set_at(&["status", "acceptedNames"], names);
    crd.set_at(&["status", "conditions"], conditions);
}

/// Drops the fields that a custom kind's schema does not know; returns their paths.
pub fn prune(store: &Store, resource: &ResourceType, object: &mut Object) -> Vec<String> {
    let schema = version_of(store, resource).at(&["schema", "openAPIV3Schema"]).clone();
    let mut unknown = Vec::new();
    if !schema.is_null() {
        prune_value(&mut object.0, &schema, &mut String::new(), &mut unknown);
    }
    unknown
}

fn prune_value(value: &mut Json, schema: &Json, path: &mut String, unknown: &mut Vec<String>) {
    if schema.get("x-kubernetes-preserve-unknown-fields").is_true() && schema.get("properties").is_null() {
        return;
    }
    match value {
        Json::Obj(map) => {
            let keys: Vec<_> = map.iter().map(|(key, _)| key.clone()).collect();
            for key in keys {
                let root = path.is_empty();
                if root && matches!(key.as_str(), "apiVersion" | "kind" | "metadata") {
                    continue;
                }
                let length = path.len();
                path.push_str(if root { "" } else { "." });
                path.push_str(&key);
                let known = schema.get("properties").get(&key);
                let below = if known.is_null() { schema.get("additionalProperties") } else { known };
                if !below.is_null() && below.as_bool() != Some(false) {
                    prune_value(value.get_mut(&key), below, path, unknown);
                } else if !schema.get("x-kubernetes-preserve-unknown-fields").is_true() {
                    unknown.push(path.clone());
                    value.remove(&key);
                }
                path.truncate(length);
            }
        }
        Json::Arr(_) => {
            for (at, item) in value.items_mut().iter_mut().enumerate() {
                let length = path.len();
                path.push_str(&format!("[{at}]"));
                prune_value(item, schema.get("items"), path, unknown);
                path.truncate(length);
            }
        }
        _ => {}
    }
}
