//! Pods that fit nowhere: which changes give them another chance.

use super::filters::Filter;
use super::{activate, is_ours};
use crate::cluster::sim::store::{Change, Key, Kind};
use crate::cluster::sim::world::World;
use crate::object::Object;
use std::time::Duration;

/// Time from a change to the attempt that it gives rise to.
const REACTION: Duration = Duration::from_millis(20);

/// A pod that waits was changed itself: it is tried again if that can matter.
pub fn on_update(world: &mut World, before: Option<&Object>, pod: &Object, key: &Key) {
    let was_ours = before.is_some_and(is_ours);
    let differs = before.is_none_or(|b| b.spec() != pod.spec() || b.meta().get("labels") != pod.meta().get("labels"));
    if !was_ours || differs && world.scheduler.waiting.contains_key(key) {
        activate(world, key, REACTION);
    }
}

/// Tries the waiting pods again whose filters look at what has changed.
pub fn on_change(world: &mut World, change: &Change) {
    let waiting = world.scheduler.waiting.iter();
    let due: Vec<Key> =
        waiting.filter(|(key, w)| **key != change.key && w.failed.iter().any(|f| matters(*f, change))).map(|(k, _)| k.clone()).collect();
    for key in due {
        activate(world, &key, REACTION);
    }
}

fn matters(filter: Filter, change: &Change) -> bool {
    let (before, after) = (change.before.as_ref(), change.after.as_ref());
    match change.key.kind {
        Kind::NODE => node_matters(before, after),
        Kind::POD => pod_matters(filter, before, after),
        Kind::PVC | Kind::PV | Kind::STORAGE_CLASS => {
            let differs = before.map(|o| (o.spec(), o.status().get("phase"))) != after.map(|o| (o.spec(), o.status().get("phase")));
            matches!(filter, Filter::VolumeBinding | Filter::VolumeZone | Filter::VolumeRestrictions) && after.is_some() && differs
        }
        Kind::NAMESPACE => filter == Filter::InterPodAffinity,
        _ => false,
    }
}

fn node_matters(before: Option<&Object>, after: Option<&Object>) -> bool {
    let view = |o: &Object| {
        let spec = o.spec();
        (
            o.meta().get("labels").clone(),
            spec.get("taints").clone(),
            spec.get("unschedulable").clone(),
            o.status().get("allocatable").clone(),
        )
    };
    after.is_some() && before.map(view) != after.map(view)
}

fn pod_matters(filter: Filter, before: Option<&Object>, after: Option<&Object>) -> bool {
    let placed = |o: &Object| !o.spec().get("nodeName").is_empty();
    let done = |o: &Object| matches!(o.status().get("phase").text(), "Succeeded" | "Failed");
    let freed = before.is_some_and(|b| placed(b) && !done(b)) && after.is_none_or(done);
    match filter {
        Filter::NodePorts | Filter::NodeResourcesFit | Filter::VolumeRestrictions => freed,
        Filter::PodTopologySpread | Filter::InterPodAffinity => {
            let joined = after.is_some_and(placed) && !before.is_some_and(placed);
            let relabelled = before.zip(after).is_some_and(|(b, a)| b.meta().get("labels") != a.meta().get("labels"));
            freed || joined || relabelled
        }
        _ => false,
    }
}
