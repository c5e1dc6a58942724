//! Roles and bindings, disruption budgets, autoscalers, priority classes, definitions of custom kinds.

use super::path::Path;
use super::workloads::{at_most_all, number_or_percent};
use super::{FieldErrors, complain, immutable, internal, meta};
use crate::cluster::sim::api::errors::Cause;
use crate::cluster::sim::store::Kind;
use crate::object::{Json, Object, names};

const RBAC: &str = "rbac.authorization.k8s.io";

pub(super) fn check_role(kind: Kind, role: &Object, errors: &mut FieldErrors) {
    for (at, rule) in role.get("rules").items().iter().enumerate() {
        let rules = Path::new("rules");
        let path = rules.index(at);
        if rule.get("verbs").is_empty() {
            errors.required(path.child("verbs"), "verbs must contain at least one value");
        }
        let urls = rule.get("nonResourceURLs");
        if !urls.is_empty() {
            if kind == Kind::ROLE {
                errors.invalid(path.child("nonResourceURLs"), urls, "namespaced rules cannot apply to non-resource URLs");
            }
            if ["apiGroups", "resources", "resourceNames"].iter().any(|field| !rule.get(field).is_empty()) {
                let text = "rules cannot apply to both regular resources and non-resource URLs";
                errors.invalid(path.child("nonResourceURLs"), urls, text);
            }
            continue;
        }
        if rule.get("apiGroups").items().is_empty() {
            errors.required(path.child("apiGroups"), "resource rules must supply at least one api group");
        }
        if rule.get("resources").is_empty() {
            errors.required(path.child("resources"), "resource rules must supply at least one resource");
        }
    }
}

pub(super) fn check_binding(kind: Kind, binding: &Object, errors: &mut FieldErrors) {
    let (reference, path) = (binding.get("roleRef"), Path::new("roleRef"));
    let group = reference.get("apiGroup").text();
    if group != RBAC {
        errors.not_supported(path.child("apiGroup"), group, &[RBAC]);
    }
    let kinds: &[&str] = if kind == Kind::ROLE_BINDING { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    let role = reference.get("kind").text();
    if !kinds.contains(&role) {
        errors.not_supported(path.child("kind"), role, kinds);
    }
    let name = reference.get("name").text();
    if name.is_empty() {
        errors.required(path.child("name"), "");
    } else {
        complain(names::path_segment(name), name, &path.child("name"), errors);
    }
    let subjects = Path::new("subjects");
    for (at, subject) in binding.get("subjects").items().iter().enumerate() {
        check_subject(kind, subject, &subjects.index(at), errors);
    }
}

fn check_subject(kind: Kind, subject: &Json, path: &Path, errors: &mut FieldErrors) {
    let text = |field: &str| subject.get(field).text();
    if text("name").is_empty() {
        errors.required(path.child("name"), "");
    }
    match text("kind") {
        "ServiceAccount" => {
            if !text("name").is_empty() {
                complain(names::dns1123_subdomain(text("name")), text("name"), &path.child("name"), errors);
            }
            if !text("apiGroup").is_empty() {
                errors.not_supported(path.child("apiGroup"), text("apiGroup"), &[""]);
            }
            if kind == Kind::CLUSTER_ROLE_BINDING && text("namespace").is_empty() {
                errors.required(path.child("namespace"), "");
            }
        }
        "User" | "Group" if text("apiGroup") != RBAC => errors.not_supported(path.child("apiGroup"), text("apiGroup"), &[RBAC]),
        "User" | "Group" => {}
        other => errors.not_supported(path.child("kind"), other, &["ServiceAccount", "User", "Group"]),
    }
}

pub(super) fn on_binding_update(old: &Object, new: &Object, errors: &mut FieldErrors) {
    if old.get("roleRef") != new.get("roleRef") {
        let shown = internal::compact(new.get("roleRef"), "rbac.RoleRef");
        errors.shown(Cause::Invalid, "roleRef", &shown, "cannot change roleRef");
    }
}

pub(super) fn check_budget(budget: &Object, errors: &mut FieldErrors) {
    let (spec, path) = (budget.spec(), Path::new("spec"));
    if !spec.get("minAvailable").is_null() && !spec.get("maxUnavailable").is_null() {
        let shown = internal::compact(spec, "policy.PodDisruptionBudgetSpec");
        errors.shown(Cause::Invalid, path, &shown, "minAvailable and maxUnavailable cannot be both set");
    }
    for field in ["minAvailable", "maxUnavailable"] {
        number_or_percent(spec.get(field), &path.child(field), errors);
        at_most_all(spec.get(field), &path.child(field), errors);
    }
    meta::selector(spec.get("selector"), &path.child("selector"), errors);
    let policy = spec.get("unhealthyPodEvictionPolicy");
    if !policy.is_null() && !matches!(policy.text(), "AlwaysAllow" | "IfHealthyBudget") {
        errors.not_supported(path.child("unhealthyPodEvictionPolicy"), policy.text(), &["AlwaysAllow", "IfHealthyBudget"]);
    }
}

pub(super) fn check_autoscaler(scaler: &Object, errors: &mut FieldErrors) {
    let (spec, path) = (scaler.spec(), Path::new("spec"));
    let (least, most) = (spec.get("minReplicas").as_i64(), spec.get("maxReplicas").as_i64().unwrap_or(0));
    if let Some(least) = least.filter(|n| *n < 1) {
        errors.invalid(path.child("minReplicas"), least, "must be greater than or equal to 1");
    }
    if most < 1 {
        errors.invalid(path.child("maxReplicas"), most, "must be greater than 0");
    }
    if least.is_some_and(|least| most < least) {
        errors.invalid(path.child("maxReplicas"), most, "must be greater than or equal to `minReplicas`");
    }
    let (target, below) = (spec.get("scaleTargetRef"), path.child("scaleTargetRef"));
    for field in ["kind", "name"] {
        let text = target.get(field).text();
        if text.is_empty() {
            errors.required(below.child(field), "");
        } else {
            complain(names::path_segment(text), text, &below.child(field), errors);
        }
    }
    let version = target.get("apiVersion").text();
    if !version.contains('/') {
        errors.invalid(below.child("apiVersion"), version, "apiVersion must specify API group");
    }
    let metrics = path.child("metrics");
    for (at, metric) in spec.get("metrics").items().iter().enumerate() {
        let (kind, path) = (metric.get("type").text(), metrics.index(at));
        let kinds = ["ContainerResource", "External", "Object", "Pods", "Resource"];
        super::one_of(kind, &kinds, &path.child("type"), errors);
        let mut source = kind.chars();
        let field: String = source.next().map(|c| c.to_ascii_lowercase()).into_iter().chain(source).collect();
        if kinds.contains(&kind) && metric.get(&field).is_null() {
            errors.required(path.child(&field), "must populate information for the given metric source");
        }
    }
}

pub(super) fn check_priority_class(class: &Object, errors: &mut FieldErrors) {
    const SYSTEM: [&str; 2] = ["system-cluster-critical", "system-node-critical"];
    if class.name().starts_with("system-") {
        if !SYSTEM.contains(&class.name()) {
            let text = format!(
                "priority class names with 'system-' prefix are reserved for system use only. error: {} is not a known system priority class",
                class.name()
            );
            errors.forbidden("metadata.name", &text);
        }
    } else if class.get("value").as_i64().unwrap_or(0) > 1_000_000_000 {
        errors.forbidden("value", "maximum allowed value of a user defined priority is 1000000000");
    }
}

pub(super) fn on_priority_class_update(old: &Object, new: &Object, errors: &mut FieldErrors) {
    if old.get("value") != new.get("value") {
        errors.forbidden("value", "may not be changed in an update.");
    }
    immutable(old.get("preemptionPolicy"), new.get("preemptionPolicy"), &Path::new("preemptionPolicy"), errors);
}

pub(super) fn check_definition(crd: &Object, errors: &mut FieldErrors) {
    let (spec, path) = (crd.spec(), Path::new("spec"));
    let (plural, group) = (spec.at(&["names", "plural"]).text(), spec.get("group").text());
    if crd.name() != format!("{plural}.{group}") {
        errors.invalid("metadata.name", crd.name(), "must be spec.names.plural+\".\"+spec.group");
    }
    if group.is_empty() {
        errors.required(path.child("group"), "");
    } else {
        complain(names::dns1123_subdomain(group), group, &path.child("group"), errors);
        if !group.contains('.') {
            errors.invalid(path.child("group"), group, "should be a domain with at least one dot");
        }
    }
    super::one_of(spec.get("scope").text(), &["Cluster", "Namespaced"], &path.child("scope"), errors);
    let versions = spec.get("versions").items();
    if versions.iter().filter(|v| v.get("storage").is_true()).count() != 1 {
        errors.invalid(path.child("versions"), spec.get("versions"), "must have exactly one version marked as storage version");
    }
    for (at, version) in versions.iter().enumerate() {
        if version.at(&["schema", "openAPIV3Schema"]).is_null() {
            let list = path.child("versions");
            let at = list.index(at);
            let schema = at.child("schema");
            errors.required(schema.child("openAPIV3Schema"), "schemas are required");
        }
    }
    let below = path.child("names");
    for field in ["plural", "kind"] {
        if spec.get("names").get(field).text().is_empty() {
            errors.required(below.child(field), "");
        }
    }
}
