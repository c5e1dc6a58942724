//! Nobody gives rights that he lacks: the check of a Role or binding that somebody writes.
//!
//! Not modelled: its place before validation and defaults; here an object that is invalid is refused as such.

use super::rbac::{Attributes, Rule, has, rules_of};
use super::{errors, write};
use crate::cluster::sim::store::{Key, Kind};
use crate::cluster::sim::world::World;
use crate::cluster::{ApiError, Identity};
use crate::object::{Object, ResourceType};
use arcstr::ArcStr;
use std::collections::{BTreeMap, BTreeSet};

/// A right of one verb on one resource, or on a path.
type Right = Rule;

/// Refuses a Role or binding that gives more than its writer has. `before` is what it replaces, `name` the one that the request names.
///
/// # Errors
/// 403; 404 when the role of a binding is not there.
pub fn check(
    world: &World,
    who: &Identity,
    (resource, kind, name): (&ResourceType, Kind, &str),
    (before, object): (Option<&Object>, &Object),
) -> Result<(), ApiError> {
    if who.is_operator() || before.is_some_and(|before| plain(before) == plain(object)) {
        return Ok(());
    }
    let policy = world.api.policy(&world.store);
    let attributes = |verb: &'static str, plural: &str, name: &str| Attributes {
        verb: verb.into(),
        group: resource.group.as_str().into(),
        resource: plural.into(),
        namespace: object.namespace().into(),
        name: name.into(),
    };
    let (excused, rules) = match kind {
        Kind::ROLE | Kind::CLUSTER_ROLE => (attributes("escalate", resource.plural.as_str(), name), rules_of(object)),
        _ => {
            let (role_kind, role) = (object.at(&["roleRef", "kind"]).text(), object.at(&["roleRef", "name"]).text());
            let (key, plural) = match role_kind {
                "ClusterRole" => (Key::new(Kind::CLUSTER_ROLE, "", role), "clusterroles"),
                _ => (Key::new(Kind::ROLE, object.namespace(), role), "roles"),
            };
            let wanted = attributes("bind", plural, role);
            if policy.decide(who, &wanted).is_ok() {
                return Ok(());
            }
            (wanted, rules_of(&write::existing(world, &key)?))
        }
    };
    if policy.decide(who, &excused).is_ok() {
        return Ok(());
    }
    let own = policy.rules_for(who, object.namespace());
    let missing: Vec<Right> = rules.iter().flat_map(broken_down).filter(|right| !own.iter().any(|rule| covers(rule, right))).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let why = format!(
        "user {} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        errors::quote(&who.user),
        quoted(&who.groups),
        described(missing)
    );
    Err(errors::forbidden(resource, object.name(), &why))
}

/// An object without what the garbage collector changes.
fn plain(object: &Object) -> Object {
    let mut object = object.clone();
    for field in ["ownerReferences", "finalizers", "managedFields", "resourceVersion"] {
        object.remove_at(&["metadata", field]);
    }
    object
}

fn broken_down(rule: &Rule) -> Vec<Right> {
    let one = |item: &ArcStr| vec![item.clone()];
    let mut rights = Vec::new();
    for verb in &rule.verbs {
        for group in &rule.groups {
            for resource in &rule.resources {
                let names: Vec<Vec<ArcStr>> = if rule.names.is_empty() { vec![Vec::new()] } else { rule.names.iter().map(one).collect() };
                rights.extend(names.into_iter().map(|names| Rule {
                    verbs: one(verb),
                    groups: one(group),
                    resources: one(resource),
                    names,
                    urls: Vec::new(),
                }));
            }
        }
        let on_paths =
            |url: &ArcStr| Rule { verbs: one(verb), groups: Vec::new(), resources: Vec::new(), names: Vec::new(), urls: one(url) };
        rights.extend(rule.urls.iter().map(on_paths));
    }
    rights
}

fn covers(rule: &Rule, right: &Right) -> bool {
    let resource = |wanted: &ArcStr| {
        let part = wanted.split_once('/').map(|(_, part)| format!("*/{part}"));
        has(&rule.resources, wanted) || part.is_some_and(|part| rule.resources.iter().any(|item| *item == part))
    };
    let url =
        |wanted: &ArcStr| rule.urls.iter().any(|own| own == wanted || own.strip_suffix('*').is_some_and(|start| wanted.starts_with(start)));
    right.verbs.iter().all(|verb| has(&rule.verbs, verb))
        && right.groups.iter().all(|group| has(&rule.groups, group))
        && right.resources.iter().all(resource)
        && right.urls.iter().all(url)
        && (rule.names.is_empty() || (!right.names.is_empty() && right.names.iter().all(|name| rule.names.contains(name))))
}

/// What is missing, verbs on one resource together, a line each in order.
fn described(missing: Vec<Right>) -> String {
    let mut joined: BTreeMap<[Vec<ArcStr>; 4], Vec<ArcStr>> = BTreeMap::new();
    for right in missing {
        joined.entry([right.groups, right.resources, right.urls, right.names]).or_default().extend(right.verbs);
    }
    let line = |([groups, resources, urls, names], verbs): (&[Vec<ArcStr>; 4], &Vec<ArcStr>)| {
        let parts =
            [("APIGroups", groups), ("Resources", resources), ("NonResourceURLs", urls), ("ResourceNames", names), ("Verbs", verbs)];
        let shown = parts.iter().filter(|(_, items)| !items.is_empty()).map(|(name, items)| format!("{name}:{}", quoted(items)));
        format!("{{{}}}", shown.collect::<Vec<_>>().join(", "))
    };
    joined.iter().map(line).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join("\n")
}

/// A list as Go's `%q` prints it.
fn quoted(items: &[ArcStr]) -> String {
    format!("[{}]", items.iter().map(|item| errors::quote(item)).collect::<Vec<_>>().join(" "))
}
