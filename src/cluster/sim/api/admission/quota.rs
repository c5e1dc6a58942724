//! ResourceQuota: what a namespace has used, and the refusal of what would exceed it.
//!
//! Usage is counted off the objects whenever one of a namespace with a quota is written, which stands in for the quota controller.
//! Not modelled: scopes other than (Not)Terminating and (Not)BestEffort, quotas per storage class.

use crate::cluster::ApiError;
use crate::cluster::sim::api::errors;
use crate::cluster::sim::store::{Key, Kind};
use crate::cluster::sim::world::World;
use crate::object::pod_resources::{Amounts, add, amounts, total};
use crate::object::{Json, Map, Object, Quantity, qos};
use std::collections::BTreeMap;

/// Names that count pods.
fn about_pods(name: &str) -> bool {
    const NAMES: [&str; 11] = [
        "cpu",
        "memory",
        "ephemeral-storage",
        "requests.cpu",
        "requests.memory",
        "requests.ephemeral-storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
        "pods",
        "count/pods",
    ];
    NAMES.contains(&name) || name.starts_with("hugepages-") || name.starts_with("requests.hugepages-")
}

/// What one object uses.
fn usage(world: &World, kind: Kind, object: &Object) -> Amounts {
    let one = Quantity::from_int(1);
    let resource = world.store.resource(kind);
    let mut used = Amounts::from([(format!("count/{}", resource.qualified_plural()), one)]);
    match kind {
        Kind::POD => pod_usage(world, object, &mut used),
        Kind::SERVICE => {
            used.insert("services".into(), one);
            let ports = i64::try_from(object.spec().get("ports").items().len()).unwrap_or(0);
            match object.spec().get("type").text() {
                "NodePort" => drop(used.insert("services.nodeports".into(), Quantity::from_int(ports))),
                "LoadBalancer" => {
                    used.insert("services.loadbalancers".into(), one);
                    used.insert("services.nodeports".into(), Quantity::from_int(ports));
                }
                _ => {}
            }
        }
        Kind::PVC => {
            used.insert("persistentvolumeclaims".into(), one);
            if let Some(size) = Quantity::of(object.spec().at(&["resources", "requests", "storage"])) {
                used.insert("requests.storage".into(), size);
            }
        }
        Kind::CONFIG_MAP | Kind::SECRET | Kind::RESOURCE_QUOTA => drop(used.insert(resource.plural.clone(), one)),
        _ if resource.plural == "replicationcontrollers" => drop(used.insert(resource.plural.clone(), one)),
        _ => {}
    }
    used
}

fn pod_usage(world: &World, pod: &Object, used: &mut Amounts) {
    let finished = matches!(pod.status().get("phase").text(), "Failed" | "Succeeded");
    let due = crate::time::SimTime::parse_rfc3339(pod.meta().get("deletionTimestamp").text());
    if finished || due.is_some_and(|due| due < world.now) {
        return;
    }
    used.insert("pods".into(), Quantity::from_int(1));
    for (name, amount) in total(pod, "requests") {
        used.insert(format!("requests.{name}"), amount);
        if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-") {
            used.insert(name, amount);
        }
    }
    for (name, amount) in total(pod, "limits") {
        used.insert(format!("limits.{name}"), amount);
    }
}

/// Whether a quota's scopes cover an object.
fn covers(quota: &Object, kind: Kind, object: &Object) -> bool {
    let terminating = !object.spec().get("activeDeadlineSeconds").is_null();
    let best_effort = qos::class_of(object) == "BestEffort";
    quota.spec().get("scopes").items().iter().all(|scope| {
        kind == Kind::POD
            && match scope.text() {
                "Terminating" => terminating,
                "NotTerminating" => !terminating,
                "BestEffort" => best_effort,
                "NotBestEffort" => !best_effort,
                _ => true,
            }
    })
}

fn quotas(world: &World, namespace: &str) -> Vec<(Key, Object)> {
    world.store.list_keyed(Kind::RESOURCE_QUOTA, Some(namespace)).map(|(k, o)| (k.clone(), o.clone())).collect()
}

fn pretty(amounts: &Amounts) -> String {
    amounts.iter().map(|(name, amount)| format!("{name}={amount}")).collect::<Vec<_>>().join(",")
}

/// Refuses an object with which a quota would be exceeded. `old` is what it replaces.
///
/// # Errors
/// 403.
pub(super) fn check(world: &World, kind: Kind, old: Option<&Object>, new: &Object) -> Result<(), ApiError> {
    let namespace = new.namespace();
    if namespace.is_empty() || old.is_some() && kind == Kind::POD {
        return Ok(());
    }
    for (_, quota) in quotas(world, namespace) {
        if !covers(&quota, kind, new) {
            continue;
        }
        let hard = amounts(quota.status().get("hard"));
        let refuse = |why: String| Err(errors::forbidden(world.store.resource(kind), new.name(), &why));
        if kind == Kind::POD
            && let Some(missing) = missing_amounts(&hard, new)
        {
            return refuse(format!("failed quota: {}: must specify {missing}", quota.name()));
        }
        let mut wanted = usage(world, kind, new);
        for (name, amount) in old.map(|old| usage(world, kind, old)).unwrap_or_default() {
            if let Some(slot) = wanted.get_mut(&name) {
                *slot = slot.minus(amount);
            }
        }
        wanted.retain(|name, amount| hard.contains_key(name) && !amount.is_zero() && !amount.is_negative());
        let used = amounts(quota.status().get("used"));
        let exceeds = |name: &String| {
            let sum = used.get(name).copied().unwrap_or(Quantity::ZERO).plus(wanted.get(name).copied().unwrap_or(Quantity::ZERO));
            hard.get(name).is_some_and(|most| sum > *most)
        };
        let over: Vec<String> = wanted.keys().filter(|name| exceeds(name)).cloned().collect();
        if !over.is_empty() {
            let mask = |all: &Amounts| -> Amounts { all.iter().filter(|(n, _)| over.contains(n)).map(|(n, a)| (n.clone(), *a)).collect() };
            let (wanted, used, hard) = (pretty(&mask(&wanted)), pretty(&mask(&used)), pretty(&mask(&hard)));
            return refuse(format!("exceeded quota: {}, requested: {wanted}, used: {used}, limited: {hard}", quota.name()));
        }
    }
    Ok(())
}

/// CPU and memory that a quota counts must be named by every container.
fn missing_amounts(hard: &Amounts, pod: &Object) -> Option<String> {
    const NAMED: [&str; 6] = ["cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory"];
    if !pod.spec().get("resources").is_null() {
        return None;
    }
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let spec = pod.spec();
    for container in spec.get("containers").items().iter().chain(spec.get("initContainers").items()) {
        for name in NAMED.into_iter().filter(|name| hard.contains_key(*name)) {
            let (part, resource) = match name.split_once('.') {
                Some((part, resource)) => (part, resource),
                None => ("requests", name),
            };
            if container.at(&["resources", part, resource]).is_null() {
                missing.entry(name).or_default().push(container.get("name").text());
            }
        }
    }
    let mut parts = Vec::new();
    for (name, mut containers) in missing {
        containers.sort_unstable();
        parts.push(format!("{name} for: {}", containers.join(",")));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Counts anew what the quotas of a namespace have used, after an object of `kind` was written there.
pub fn recount(world: &mut World, kind: Kind, namespace: &str) {
    if namespace.is_empty() || kind == Kind::EVENT {
        return;
    }
    for (key, quota) in quotas(world, namespace) {
        let hard = amounts(quota.spec().get("hard"));
        let mut used: Amounts = hard.iter().map(|(name, amount)| (name.clone(), Quantity::ZERO.with_format(amount.format()))).collect();
        let kinds = counted_kinds(world, &hard);
        for kind in kinds {
            let objects = world.store.list(kind, Some(namespace)).filter(|object| covers(&quota, kind, object));
            let mut sum = Amounts::new();
            objects.for_each(|object| add(&mut sum, &usage(world, kind, object)));
            for (name, amount) in sum {
                if let Some(slot) = used.get_mut(&name) {
                    *slot = amount;
                }
            }
        }
        let list = |all: &Amounts| Json::from(all.iter().map(|(name, amount)| (name.as_str(), Json::from(*amount))).collect::<Map>());
        let mut counted = quota.clone();
        counted.set("status", crate::object! { "hard" => quota.spec().get("hard"), "used" => list(&used) });
        if counted != quota {
            world.store.put(key, counted);
        }
    }
}

/// The kinds that a quota counts.
fn counted_kinds(world: &World, hard: &Amounts) -> Vec<Kind> {
    let mut kinds = Vec::new();
    let wanted = |plural: &str, qualified: &str| {
        hard.keys().any(|name| {
            name == plural
                || name.strip_prefix("count/") == Some(qualified)
                || plural == "pods" && about_pods(name)
                || plural == "services" && name.starts_with("services.")
                || plural == "persistentvolumeclaims" && name == "requests.storage"
        })
    };
    for resource in world.store.resources() {
        if resource.namespaced && wanted(&resource.plural, &resource.qualified_plural()) {
            kinds.extend(world.store.kind_of(&resource));
        }
    }
    kinds
}
