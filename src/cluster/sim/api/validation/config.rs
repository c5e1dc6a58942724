//! ConfigMaps, Secrets, limit ranges, quotas and nodes.

use super::path::Path;
use super::scheduling::EFFECTS;
use super::{FieldErrors, complain, immutable};
use crate::cluster::sim::api::errors::Cause;
use crate::cluster::sim::store::Kind;
use crate::object::pod_resources::amounts;
use crate::object::{Json, Object, Quantity, decode, names};
use std::collections::BTreeSet;

const LARGEST: usize = 1024 * 1024;

pub(super) fn check_data(kind: Kind, object: &Object, errors: &mut FieldErrors) {
    let data = Path::new("data");
    let mut size = 0;
    for field in ["data", "binaryData"] {
        let path = Path::new(field);
        for (key, value) in object.get(field).entries() {
            complain(names::config_map_key(key), key, &path.key(key), errors);
            if field == "data" && !object.get("binaryData").get(key).is_null() {
                errors.invalid(data.key(key), key, "duplicate of key present in binaryData");
            }
            size += if kind == Kind::SECRET { value.text().len() / 4 * 3 } else { value.text().len() };
        }
    }
    if size > LARGEST {
        errors.too_long(if kind == Kind::SECRET { "data" } else { "" }, LARGEST);
    }
    if kind == Kind::SECRET {
        check_secret_type(object, &data, errors);
    }
}

fn check_secret_type(secret: &Object, data: &Path, errors: &mut FieldErrors) {
    let has = |key: &str| !secret.get("data").get(key).is_null();
    let mut json = |key: &str| {
        let bytes = decode::from_base64(secret.get("data").get(key).text()).unwrap_or_default();
        let parsed = std::str::from_utf8(&bytes).ok().and_then(|t| Json::parse(t).ok());
        if !has(key) {
            errors.required(data.key(key), "");
        } else if parsed.is_none() {
            errors.invalid(data.key(key), "<secret contents redacted>", "invalid character in JSON");
        }
    };
    match secret.get("type").text() {
        "kubernetes.io/dockercfg" => json(".dockercfg"),
        "kubernetes.io/dockerconfigjson" => json(".dockerconfigjson"),
        "kubernetes.io/service-account-token" => {
            let key = "kubernetes.io/service-account.name";
            if secret.annotation(key).unwrap_or("").is_empty() {
                let meta = Path::new("metadata");
                errors.required(meta.child("annotations").key(key), "");
            }
        }
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            errors.required(data.key("username"), "");
            errors.required(data.key("password"), "");
        }
        "kubernetes.io/ssh-auth" if !has("ssh-privatekey") => errors.required(data.key("ssh-privatekey"), ""),
        "kubernetes.io/tls" => {
            for key in ["tls.crt", "tls.key"] {
                if !has(key) {
                    errors.required(data.key(key), "");
                }
            }
        }
        _ => {}
    }
}

pub(super) fn on_data_update(kind: Kind, old: &Object, new: &Object, errors: &mut FieldErrors) {
    if kind == Kind::SECRET {
        immutable(old.get("type"), new.get("type"), &Path::new("type"), errors);
    }
    if old.get("immutable").is_true() {
        let text = "field is immutable when `immutable` is set";
        if !new.get("immutable").is_true() {
            errors.forbidden("immutable", text);
        }
        for field in ["data", "binaryData"] {
            if old.get(field) != new.get(field) {
                errors.forbidden(field, text);
            }
        }
    }
}

pub(super) fn check_limit_range(range: &Object, errors: &mut FieldErrors) {
    let mut taken = BTreeSet::new();
    for (at, item) in range.spec().get("limits").items().iter().enumerate() {
        let (spec, kind) = (Path::new("spec"), item.get("type").text());
        let list = spec.child("limits");
        let path = list.index(at);
        if kind.is_empty() {
            errors.required(path.child("type"), "");
        } else if !taken.insert(kind) {
            errors.duplicate(path.child("type"), kind);
        }
        if kind == "Pod" {
            for field in ["default", "defaultRequest"] {
                if !item.get(field).is_empty() {
                    errors.forbidden(path.child(field), "may not be specified when `type` is 'Pod'");
                }
            }
        }
        let part = |name: &str| amounts(item.get(name));
        let (min, max, default, request) = (part("min"), part("max"), part("default"), part("defaultRequest"));
        let names: BTreeSet<&String> = min.keys().chain(max.keys()).chain(default.keys()).chain(request.keys()).collect();
        for name in names {
            let mut order = |(low, low_words): (Option<&Quantity>, &str), (high, high_words): (Option<&Quantity>, &str), field: &str| {
                if let (Some(low), Some(high)) = (low, high)
                    && low > high
                {
                    let shown = if field == "defaultRequest" || field == "min" { low } else { high };
                    let text = format!("{low_words} value {low} is greater than {high_words} value {high}");
                    errors.invalid(path.child(field).key(name), *shown, &text);
                }
            };
            order((min.get(name), "min"), (max.get(name), "max"), "min");
            order((min.get(name), "min"), (request.get(name), "default request"), "defaultRequest");
            order((request.get(name), "default request"), (max.get(name), "max"), "defaultRequest");
            order((request.get(name), "default request"), (default.get(name), "default limit"), "defaultRequest");
            order((min.get(name), "min"), (default.get(name), "default"), "default");
            order((default.get(name), "default"), (max.get(name), "max"), "default");
        }
    }
}

pub(super) fn check_quota(quota: &Object, errors: &mut FieldErrors) {
    let spec = Path::new("spec");
    let hard = spec.child("hard");
    for (name, value) in quota.spec().get("hard").entries() {
        let path = hard.key(name);
        complain(names::qualified_name(name), name, &path, errors);
        let known = [
            "cpu",
            "memory",
            "storage",
            "pods",
            "services",
            "replicationcontrollers",
            "resourcequotas",
            "secrets",
            "configmaps",
            "persistentvolumeclaims",
            "services.nodeports",
            "services.loadbalancers",
            "ephemeral-storage",
        ];
        let plain = !name.contains('/') && !name.contains('.');
        if plain && !known.contains(&name.as_str()) && !name.starts_with("hugepages-") {
            errors.invalid(path, name, "must be a standard resource for quota");
        }
        let Some(amount) = Quantity::of(value) else { continue };
        if amount.is_negative() {
            errors.invalid(path, amount, "must be greater than or equal to 0");
        }
        let counted = !matches!(name.rsplit('.').next(), Some("cpu" | "memory" | "storage" | "ephemeral-storage"));
        if counted && plain && !amount.is_whole() {
            errors.invalid(path, amount, "must be an integer");
        }
    }
    let scopes = ["Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity"];
    for scope in quota.spec().get("scopes").items() {
        if !scopes.contains(&scope.text()) {
            errors.invalid(spec.child("scopes"), quota.spec().get("scopes"), "unsupported scope");
        }
    }
}

pub(super) fn check_node(node: &Object, errors: &mut FieldErrors) {
    let mut taken = BTreeSet::new();
    for (at, taint) in node.spec().get("taints").items().iter().enumerate() {
        let meta = Path::new("metadata");
        let list = meta.child("taints");
        let path = list.index(at);
        let text = |field: &str| taint.get(field).text();
        complain(names::qualified_name(text("key")), text("key"), &path.child("key"), errors);
        let complaints = names::label_value(text("value"));
        if !complaints.is_empty() {
            errors.invalid(path.child("value"), text("value"), &complaints.join(";"));
        }
        super::one_of(text("effect"), &EFFECTS, &path.child("effect"), errors);
        if !taken.insert((text("key"), text("effect"))) {
            errors.add(Cause::Duplicate, path, taint, "taints must be unique by key and effect pair");
        }
    }
}
