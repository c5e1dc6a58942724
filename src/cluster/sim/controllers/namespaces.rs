//! The namespace controller: what is in a namespace that is being deleted goes, pods first.
//!
//! The controller waits five seconds after every change of the namespace, so a deletion takes five seconds for each round:
//! pods, everything else, claims whose protection was slower.

use super::{Loop, Outcome, enqueue_after, identity};
use crate::cluster::Propagation;
use crate::cluster::sim::store::{Change, Key, Kind};
use crate::cluster::sim::world::World;
use crate::object;
use crate::object::{Json, Object};
use std::collections::BTreeMap;
use std::time::Duration;

/// Time from a change of a namespace to the controller's look at it.
const GRACE: Duration = Duration::from_secs(5);
/// Time that one round over all kinds takes.
const ROUND: Duration = Duration::from_millis(550);
/// Guess at the time that finalizers take, in seconds.
const FINALIZERS_S: i64 = 15;

const CONDITIONS: [(&str, &str, &str); 5] = [
    ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
    ("NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
    ("NamespaceDeletionContentFailure", "ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
    ("NamespaceContentRemaining", "ContentRemoved", "All content successfully removed"),
    ("NamespaceFinalizersRemaining", "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
];

/// Puts a namespace that is being deleted on the queue.
pub fn on_change(world: &mut World, change: &Change) {
    if change.after.as_ref().is_some_and(Object::is_terminating) {
        enqueue_after(world, Loop::Namespace, change.key.clone(), GRACE);
    }
}

/// What is left of a kind after a round.
#[derive(Default)]
struct Left {
    /// Objects by kind.
    kinds: BTreeMap<String, usize>,
    /// Objects by finalizer.
    finalizers: BTreeMap<String, usize>,
}

/// One round of a namespace's deletion.
pub fn sync(world: &mut World, key: &Key) -> Outcome {
    let Some(namespace) = world.store.get(key).filter(|n| n.is_terminating()).cloned() else { return Ok(()) };
    let grace = grace_of_pods(world, &key.name);
    let mut left = Left::default();
    delete_kind(world, key, Kind::POD, &mut left);
    if !left.kinds.is_empty() {
        set_conditions(world, key, &namespace, &Left::default())?;
        return again(world, key, grace.max(1));
    }
    for resource in world.store.resources().iter().filter(|r| r.namespaced && r.allows("deletecollection")) {
        if let Some(kind) = world.store.kind_of(resource).filter(|k| *k != Kind::POD) {
            delete_kind(world, key, kind, &mut left);
        }
    }
    set_conditions(world, key, &namespace, &left)?;
    if !left.kinds.is_empty() {
        return again(world, key, FINALIZERS_S);
    }
    world.update(key, |n| n.set_at(&["spec", "finalizers"], Json::from(Vec::new())))?;
    Ok(())
}

fn again(world: &mut World, key: &Key, estimate_s: i64) -> Outcome {
    let wait = Duration::from_secs(u64::try_from(estimate_s / 2 + 1).unwrap_or(1));
    enqueue_after(world, Loop::Namespace, key.clone(), wait + ROUND);
    Ok(())
}

fn grace_of_pods(world: &World, namespace: &str) -> i64 {
    let pods = world.store.list(Kind::POD, Some(namespace)).filter(|p| !super::pods::is_finished(p));
    pods.filter_map(|p| p.spec().get("terminationGracePeriodSeconds").as_i64()).max().unwrap_or(0)
}

fn delete_kind(world: &mut World, key: &Key, kind: Kind, left: &mut Left) {
    let keys: Vec<Key> = world.store.list_keyed(kind, Some(&key.name)).map(|(k, _)| k.clone()).collect();
    for at in keys {
        let _ = world.delete(&identity("namespace-controller"), &at, None, Some(Propagation::Background));
        let Some(object) = world.store.get(&at) else { continue };
        let resource = world.store.resource(kind);
        *left.kinds.entry(format!("{}.{}", resource.plural, resource.group)).or_insert(0) += 1;
        for finalizer in object.meta().get("finalizers").items() {
            *left.finalizers.entry(finalizer.text().to_owned()).or_insert(0) += 1;
        }
    }
}

fn set_conditions(world: &mut World, key: &Key, namespace: &Object, left: &Left) -> Outcome {
    let listed = |map: &BTreeMap<String, usize>, middle: &str| {
        let texts: Vec<String> = map.iter().map(|(name, n)| format!("{name} {middle} {n} resource instances")).collect();
        texts.join(", ")
    };
    let trouble = |kind: &str| match kind {
        "NamespaceContentRemaining" if !left.kinds.is_empty() => {
            Some(("SomeResourcesRemain", format!("Some resources are remaining: {}", listed(&left.kinds, "has"))))
        }
        "NamespaceFinalizersRemaining" if !left.finalizers.is_empty() => {
            let text = listed(&left.finalizers, "in");
            Some(("SomeFinalizersRemain", format!("Some content in the namespace has finalizers remaining: {text}")))
        }
        _ => None,
    };
    let old = namespace.status().get("conditions").clone();
    let conditions = CONDITIONS.iter().map(|(kind, reason, message)| {
        let found = trouble(kind);
        let (status, reason, message) = match &found {
            Some((reason, message)) => ("True", *reason, message.as_str()),
            None => ("False", *reason, *message),
        };
        let before = old.find("type", kind).filter(|c| c.get("status").text() == status).map(|c| c.get("lastTransitionTime").clone());
        object! {
            "type" => *kind, "status" => status, "reason" => reason, "message" => message,
            "lastTransitionTime" => before.unwrap_or_else(|| Json::from(world.now.rfc3339())),
        }
    });
    let conditions: Json = conditions.collect();
    world.set_status(key, |s| s.set("conditions", conditions))?;
    Ok(())
}
