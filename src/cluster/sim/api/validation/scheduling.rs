//! What says where pods may run: tolerations, affinity, topology spread.

use super::path::Path;
use super::{FieldErrors, complain, meta, one_of};
use crate::object::{Json, names};

/// Effects of taints.
pub(super) const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

pub(super) fn tolerations(tolerations: &Json, path: &Path, errors: &mut FieldErrors) {
    for (at, toleration) in tolerations.items().iter().enumerate() {
        let path = path.index(at);
        let text = |field: &str| toleration.get(field).text();
        let (key, operator, effect, value) = (text("key"), text("operator"), text("effect"), text("value"));
        if !key.is_empty() {
            complain(names::qualified_name(key), key, &path.child("key"), errors);
        } else if operator != "Exists" {
            let text = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.invalid(path.child("operator"), operator, text);
        }
        if !toleration.get("tolerationSeconds").is_null() && effect != "NoExecute" {
            errors.invalid(path.child("effect"), effect, "effect must be 'NoExecute' when `tolerationSeconds` is set");
        }
        match operator {
            "" | "Equal" => {
                let complaints = names::label_value(value);
                if !complaints.is_empty() {
                    errors.invalid(path.child("operator"), value, &complaints.join(";"));
                }
            }
            "Exists" if !value.is_empty() => {
                errors.invalid(path.child("operator"), value, "value must be empty when `operator` is 'Exists'");
            }
            "Exists" => {}
            other => errors.not_supported(path.child("operator"), other, &["Equal", "Exists"]),
        }
        if !effect.is_empty() && !EFFECTS.contains(&effect) {
            errors.not_supported(path.child("effect"), effect, &EFFECTS);
        }
    }
}

pub(super) fn affinity(affinity: &Json, path: &Path, errors: &mut FieldErrors) {
    let node = path.child("nodeAffinity");
    let required = affinity.at(&["nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"]);
    if !required.is_null() {
        node_selector(required, &node.child("requiredDuringSchedulingIgnoredDuringExecution"), errors);
    }
    let preferred = node.child("preferredDuringSchedulingIgnoredDuringExecution");
    let terms = affinity.at(&["nodeAffinity", "preferredDuringSchedulingIgnoredDuringExecution"]);
    for (at, term) in terms.items().iter().enumerate() {
        let path = preferred.index(at);
        weight(term, &path, errors);
        node_term(term.get("preference"), &path.child("preference"), errors);
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        pod_affinity(affinity.get(kind), &path.child(kind), errors);
    }
}

fn weight(term: &Json, path: &Path, errors: &mut FieldErrors) {
    let weight = term.get("weight").as_i64().unwrap_or(0);
    if !(1..=100).contains(&weight) {
        errors.invalid(path.child("weight"), weight, "must be in the range 1-100");
    }
}

/// A node selector: at least one term.
pub(super) fn node_selector(selector: &Json, path: &Path, errors: &mut FieldErrors) {
    let terms = path.child("nodeSelectorTerms");
    if selector.get("nodeSelectorTerms").is_empty() {
        return errors.required(terms, "must have at least one node selector term");
    }
    for (at, term) in selector.get("nodeSelectorTerms").items().iter().enumerate() {
        node_term(term, &terms.index(at), errors);
    }
}

fn node_term(term: &Json, path: &Path, errors: &mut FieldErrors) {
    let list = path.child("matchExpressions");
    for (at, expression) in term.get("matchExpressions").items().iter().enumerate() {
        let path = list.index(at);
        let values = expression.get("values");
        match expression.get("operator").text() {
            "In" | "NotIn" if values.is_empty() => {
                errors.required(path.child("values"), "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                errors.forbidden(path.child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
            }
            "Gt" | "Lt" if values.items().len() != 1 => {
                errors.required(path.child("values"), "must be specified single value when `operator` is 'Lt' or 'Gt'");
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
            other => errors.invalid(path.child("operator"), other, "not a valid selector operator"),
        }
        let key = expression.get("key").text();
        complain(names::qualified_name(key), key, &path.child("key"), errors);
        for (place, value) in values.items().iter().enumerate() {
            complain(names::label_value(value.text()), value.text(), &path.child("values").index(place), errors);
        }
    }
    let fields = path.child("matchFields");
    for (at, field) in term.get("matchFields").items().iter().enumerate() {
        let (path, key) = (fields.index(at), field.get("key").text());
        if key != "metadata.name" {
            errors.invalid(path.child("key"), key, "not a valid field selector key");
        }
    }
}

fn pod_affinity(affinity: &Json, path: &Path, errors: &mut FieldErrors) {
    let required = path.child("requiredDuringSchedulingIgnoredDuringExecution");
    for (at, term) in affinity.get("requiredDuringSchedulingIgnoredDuringExecution").items().iter().enumerate() {
        pod_term(term, &required.index(at), errors);
    }
    let preferred = path.child("preferredDuringSchedulingIgnoredDuringExecution");
    for (at, term) in affinity.get("preferredDuringSchedulingIgnoredDuringExecution").items().iter().enumerate() {
        let path = preferred.index(at);
        weight(term, &path, errors);
        pod_term(term.get("podAffinityTerm"), &path.child("podAffinityTerm"), errors);
    }
}

fn pod_term(term: &Json, path: &Path, errors: &mut FieldErrors) {
    meta::selector(term.get("labelSelector"), &path.child("labelSelector"), errors);
    meta::selector(term.get("namespaceSelector"), &path.child("namespaceSelector"), errors);
    let key = term.get("topologyKey").text();
    if key.is_empty() {
        return errors.required(path.child("topologyKey"), "can not be empty");
    }
    complain(names::qualified_name(key), key, &path.child("topologyKey"), errors);
}

pub(super) fn topology_spread(constraints: &Json, list: &Path, errors: &mut FieldErrors) {
    for (at, constraint) in constraints.items().iter().enumerate() {
        let path = list.index(at);
        let skew = constraint.get("maxSkew").as_i64().unwrap_or(0);
        if skew <= 0 {
            errors.invalid(path.child("maxSkew"), skew, "must be greater than zero");
        }
        if constraint.get("topologyKey").text().is_empty() {
            errors.required(path.child("topologyKey"), "can not be empty");
        }
        let action = constraint.get("whenUnsatisfiable").text();
        one_of(action, &["DoNotSchedule", "ScheduleAnyway"], &path.child("whenUnsatisfiable"), errors);
        let same = |other: &&Json| {
            other.get("topologyKey") == constraint.get("topologyKey")
                && other.get("whenUnsatisfiable") == constraint.get("whenUnsatisfiable")
        };
        if constraints.items().iter().take(at).any(|other| same(&other)) {
            let text = format!("{{{}, {action}}}", constraint.get("topologyKey").text());
            errors.duplicate(path.child("{topologyKey, whenUnsatisfiable}"), text);
        }
        meta::selector(constraint.get("labelSelector"), &path.child("labelSelector"), errors);
    }
}
