//! `kubectl create role` and `create clusterrole`: which rules the flags mean.

use super::generate;
use super::policies::{PATH_VERBS, RESOURCE_VERBS, RoleArguments, role};
use crate::object;
use crate::object::Json;
use crate::tool::kubectl::command::Call;
use crate::tool::kubectl::failure::{Failure, quote};

/// Verbs that make sense on these (group, resource) only.
const SPECIAL_VERBS: &[(&str, &[(&str, &str)])] = &[
    ("use", &[("policy", "podsecuritypolicies"), ("extensions", "podsecuritypolicies")]),
    ("bind", &[("rbac.authorization.k8s.io", "roles"), ("rbac.authorization.k8s.io", "clusterroles")]),
    ("escalate", &[("rbac.authorization.k8s.io", "roles"), ("rbac.authorization.k8s.io", "clusterroles")]),
    ("impersonate", &[("", "users"), ("", "serviceaccounts"), ("", "groups"), ("authentication.k8s.io", "userextras")]),
];

/// `kubectl create role`.
pub(super) fn run_role(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    generate(call, "", |call, name| {
        let verbs = verbs(call);
        if verbs.is_empty() {
            return Err("at least one verb must be specified".into());
        }
        let resources = call.flags.list("resource");
        warn_of_verbs(call, &verbs);
        if resources.is_empty() {
            return Err("at least one resource must be specified".into());
        }
        let resources = resolve(call, &verbs, &resources)?;
        let args = RoleArguments { verbs, resources, resource_names: once(call.flags.list("resource-name")), ..RoleArguments::default() };
        Ok(role("Role", name, &args))
    })
}

/// `kubectl create clusterrole`.
pub(super) fn run_cluster_role(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    generate(call, "", |call, name| {
        let verbs = verbs(call);
        let (resources, paths) = (call.flags.list("resource"), once(call.flags.list("non-resource-url")));
        let resource_names = once(call.flags.list("resource-name"));
        let aggregation = call.flags.list("aggregation-rule");
        if !aggregation.is_empty() {
            if !(paths.is_empty() && verbs.is_empty() && resources.is_empty() && resource_names.is_empty()) {
                return Err("aggregation rule must be specified without nonResourceURLs, verbs, resources or resourceNames".into());
            }
            return aggregated(name, &aggregation);
        }
        if verbs.is_empty() {
            return Err("at least one verb must be specified".into());
        }
        if resources.is_empty() && paths.is_empty() {
            return Err("one of resource or nonResourceURL must be specified".into());
        }
        let mut resolved = Vec::new();
        if !resources.is_empty() {
            warn_of_verbs(call, &verbs);
            resolved = resolve(call, &verbs, &resources)?;
        }
        if !paths.is_empty() {
            check_paths(&verbs, &paths)?;
        }
        let args = RoleArguments { verbs, resources: resolved, resource_names, non_resource_urls: paths };
        Ok(role("ClusterRole", name, &args))
    })
}

fn aggregated(name: &str, pairs: &[String]) -> Result<Json, Failure> {
    let mut labels = object! {};
    for pair in pairs {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("malformed pair, expect string=string, got {pair}"))?;
        labels.set(key, value);
    }
    Ok(object! {
        "apiVersion" => "rbac.authorization.k8s.io/v1", "kind" => "ClusterRole", "metadata" => object! { "name" => name },
        "aggregationRule" => object! { "clusterRoleSelectors" => crate::array![object! { "matchLabels" => labels }] },
        "rules" => Json::Null,
    })
}

fn once(list: Vec<String>) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for item in list {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}

fn verbs(call: &Call<'_, '_>) -> Vec<String> {
    let given = call.flags.list("verb");
    if given.iter().any(|verb| verb == "*") { vec!["*".to_owned()] } else { once(given) }
}

fn warn_of_verbs(call: &mut Call<'_, '_>, verbs: &[String]) {
    for verb in verbs.iter().filter(|verb| !RESOURCE_VERBS.contains(&verb.as_str())) {
        call.complain(format!("Warning: '{verb}' is not a standard resource verb"));
    }
}

fn check_paths(verbs: &[String], paths: &[String]) -> Result<(), Failure> {
    if let Some(verb) = verbs.iter().find(|verb| !PATH_VERBS.contains(&verb.as_str())) {
        return Err(format!("invalid verb: '{verb}' for nonResourceURL").into());
    }
    for path in paths.iter().filter(|path| *path != "*") {
        if !path.starts_with('/') {
            return Err("nonResourceURL should start with /".into());
        }
        if path.trim_end_matches('*').contains('*') || path.ends_with("**") {
            return Err("nonResourceURL only supports wildcard matches when '*' is at the end".into());
        }
    }
    Ok(())
}

/// `pods,deployments.apps/scale` as (group, plural with subresource).
fn resolve(call: &mut Call<'_, '_>, verbs: &[String], words: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let mapper = call.mapper()?;
    let mut resources = Vec::new();
    for word in words {
        let (kind, subresource) = word.split_once('/').map_or((word.as_str(), None), |(kind, sub)| (kind, Some(sub)));
        let (name, group) = kind.split_once('.').unwrap_or((kind, ""));
        if name.is_empty() {
            return Err("resource must be specified if apiGroup/subresource specified".into());
        }
        if name == "*" && group.is_empty() && subresource.is_none() {
            return Ok(vec![(String::new(), "*".to_owned())]);
        }
        let found = mapper.resolve(kind).ok();
        let (plural, group) = match &found {
            Some(resource) => (resource.plural.clone(), resource.group.clone()),
            None => (name.to_owned(), group.to_owned()),
        };
        if name != "*" {
            check_verbs(verbs, &plural, &group, found.is_some())?;
        }
        resources.push((group, subresource.map_or(plural.clone(), |sub| format!("{plural}/{sub}"))));
    }
    Ok(resources)
}

fn check_verbs(verbs: &[String], plural: &str, group: &str, exists: bool) -> Result<(), Failure> {
    let mut known = exists;
    for verb in verbs {
        let Some((_, allowed)) = SPECIAL_VERBS.iter().find(|(special, _)| special == verb) else { continue };
        if !allowed.contains(&(group, plural)) {
            return Err(format!("can not perform '{verb}' on '{plural}' in group '{group}'").into());
        }
        known = true;
    }
    if known {
        return Ok(());
    }
    let place = if group.is_empty() { String::new() } else { format!(" in group {}", quote(group)) };
    Err(Failure::Program { message: format!("the server doesn't have a resource type {}{place}", quote(plural)), code: 1 })
}
