//! Scores: which of the feasible nodes is best. The plug-ins of the default profile with their weights.
//!
//! Not modelled: preferred affinity that pods on nodes have for the new one, the zone part of default spreading.

use super::{affinity, resources, spread};
use crate::cluster::sim::controllers::selector::{is_subset, selects};
use crate::cluster::sim::kubelet;
use crate::cluster::sim::store::{Key, Kind};
use crate::cluster::sim::world::World;
use crate::object::{Json, Object};
use arcstr::ArcStr;

const BEST: i64 = 100;
const WEIGHT_TAINTS: i64 = 3;
const WEIGHT_AFFINITY: i64 = 2;
const WEIGHT_SPREAD: i64 = 2;
const WEIGHT_PODS: i64 = 2;

/// The score of each node.
pub fn of(world: &World, pod: &Object, nodes: &[ArcStr]) -> Vec<i64> {
    let objects: Vec<&Object> = nodes.iter().filter_map(|n| world.store.get(&Key::new(Kind::NODE, "", n.clone()))).collect();
    let taints = objects.iter().map(|n| untolerated_preferences(pod, n)).collect();
    let preferences = objects.iter().map(|n| affinity::preference(pod, n)).collect();
    let peers = spread_counts(world, pod, &objects);
    let pods = objects.iter().map(|n| pod_preference(world, pod, n)).collect();
    let parts = [
        (WEIGHT_TAINTS, normalized(taints, true)),
        (WEIGHT_AFFINITY, normalized(preferences, false)),
        (WEIGHT_SPREAD, spread_scores(&peers)),
        (WEIGHT_PODS, spanned(pods)),
        (1, objects.iter().map(|n| resource_score(world, pod, n)).collect()),
        (1, objects.iter().map(|n| image_score(world, pod, n, objects.len())).collect()),
    ];
    (0..nodes.len()).map(|at| parts.iter().map(|(weight, scores)| weight * scores.get(at).copied().unwrap_or(0)).sum()).collect()
}

/// Scores scaled so that the greatest becomes 100; `reverse` turns them around.
fn normalized(scores: Vec<i64>, reverse: bool) -> Vec<i64> {
    let most = scores.iter().copied().max().unwrap_or(0);
    let scale = |score: i64| if most == 0 { 0 } else { BEST * score / most };
    scores.into_iter().map(|s| if reverse { BEST - scale(s) } else { scale(s) }).collect()
}

/// Scores scaled so that the least becomes 0 and the greatest 100.
fn spanned(scores: Vec<i64>) -> Vec<i64> {
    let (least, most) = (scores.iter().copied().min().unwrap_or(0), scores.iter().copied().max().unwrap_or(0));
    scores.into_iter().map(|s| if most == least { 0 } else { BEST * (s - least) / (most - least) }).collect()
}

fn untolerated_preferences(pod: &Object, node: &Object) -> i64 {
    i64::try_from(affinity::untolerated(pod, node, &["PreferNoSchedule"]).count()).unwrap_or(i64::MAX)
}

/// Pods of the same group on each node: those that the pod's soft constraints select, or else its owner's and Services' pods.
fn spread_counts(world: &World, pod: &Object, nodes: &[&Object]) -> Vec<i64> {
    let soft: Vec<&Json> = pod
        .spec()
        .get("topologySpreadConstraints")
        .items()
        .iter()
        .filter(|c| c.get("whenUnsatisfiable").text() == "ScheduleAnyway")
        .collect();
    let labels = pod.meta().get("labels");
    let services: Vec<&Json> = world
        .store
        .list_by(Kind::SERVICE, Some(pod.namespace()), move |s| {
            let selector = s.spec().get("selector");
            !selector.is_empty() && is_subset(selector, labels)
        })
        .map(|(_, s)| s.spec().get("selector"))
        .collect();
    let owner = pod.controller().map(|c| c.get("uid").text());
    let is_sibling = |other: &Object| owner.is_some_and(|uid| other.controller().is_some_and(|c| c.get("uid").text() == uid));
    let peer = |other: &Object| {
        let labels = other.meta().get("labels");
        !other.is_terminating()
            && match soft.is_empty() {
                true => !services.is_empty() && services.iter().all(|s| is_subset(s, labels)),
                false => soft.iter().any(|c| selects(c.get("labelSelector"), labels)),
            }
    };
    let peers = world.store.list_by(Kind::POD, Some(pod.namespace()), &peer).map(|(_, other)| other);
    // Without constraints, pods of the same owner count as well.
    let siblings = owner.filter(|_| soft.is_empty()).into_iter();
    let siblings = siblings.flat_map(|uid| world.store.list_claimable(Kind::POD, pod.namespace(), uid));
    let siblings = siblings.filter(|other| is_sibling(other) && !other.is_terminating() && !peer(other));
    let placed: Vec<&str> = peers.chain(siblings).map(|other| other.spec().get("nodeName").text()).collect();
    nodes.iter().map(|n| i64::try_from(placed.iter().filter(|p| **p == n.name()).count()).unwrap_or(i64::MAX)).collect()
}

fn spread_scores(counts: &[i64]) -> Vec<i64> {
    let (least, most) = (counts.iter().copied().min().unwrap_or(0), counts.iter().copied().max().unwrap_or(0));
    counts.iter().map(|n| if most == 0 { BEST } else { BEST * (most + least - n) / most }).collect()
}

/// The sum of the weights of preferred pod (anti-)affinity terms that a node satisfies.
fn pod_preference(world: &World, pod: &Object, node: &Object) -> i64 {
    let sum = |kind: &str, sign: i64| -> i64 {
        let terms = pod.spec().at(&["affinity", kind, "preferredDuringSchedulingIgnoredDuringExecution"]).items();
        terms.iter().map(|t| sign * t.get("weight").as_i64().unwrap_or(0) * matching(world, pod, t.get("podAffinityTerm"), node)).sum()
    };
    if pod.spec().get("affinity").is_null() { 0 } else { sum("podAffinity", 1) + sum("podAntiAffinity", -1) }
}

fn matching(world: &World, pod: &Object, term: &Json, node: &Object) -> i64 {
    let key = term.get("topologyKey").text();
    let Some(value) = node.label(key) else { return 0 };
    let here = |other: &&Object| {
        let at = world.store.get(&Key::new(Kind::NODE, "", other.spec().get("nodeName").text()));
        at.is_some_and(|n| n.label(key) == Some(value)) && spread::term_is_about(world, pod, term, other)
    };
    i64::try_from(world.store.list(Kind::POD, None).filter(here).count()).unwrap_or(i64::MAX)
}

/// Least allocated plus balanced allocation of processors and memory.
fn resource_score(world: &World, pod: &Object, node: &Object) -> i64 {
    let (offered, _) = resources::of_node(node);
    let usage = world.scheduler.usage.get(node.name()).cloned().unwrap_or_default();
    let assumed = resources::of_pod(pod, true);
    let exact = resources::of_pod(pod, false);
    let free = |offered: i64, wanted: i64| if offered <= 0 || wanted > offered { 0 } else { (offered - wanted) * BEST / offered };
    let least =
        (free(offered.cpu_m, usage.assumed.cpu_m + assumed.cpu_m) + free(offered.memory, usage.assumed.memory + assumed.memory)) / 2;
    let fraction = |wanted: i64, offered: i64| if offered <= 0 { 1.0 } else { (wanted as f64 / offered as f64).min(1.0) };
    let cpu = fraction(usage.requested.cpu_m + exact.cpu_m, offered.cpu_m);
    let memory = fraction(usage.requested.memory + exact.memory, offered.memory);
    // The standard deviation of two values is half their distance.
    let balanced = ((1.0 - libm::fabs(cpu - memory) / 2.0) * BEST as f64) as i64;
    least + balanced
}

/// Images that are on the node already, by size.
fn image_score(world: &World, pod: &Object, node: &Object, nodes: usize) -> i64 {
    const LEAST: i64 = 23 << 20;
    const MOST: i64 = 1000 << 20;
    let containers = pod.spec().get("containers").items();
    let mut sum = 0;
    for image in containers.iter().map(|c| c.get("image").text()) {
        let Some(known) = world.catalog.image(image) else { continue };
        let holders = kubelet::nodes_with_image(world, image);
        if holders.iter().any(|n| n == node.name()) {
            let size = i64::try_from(known.size_bytes).unwrap_or(0);
            sum += size * i64::try_from(holders.len()).unwrap_or(0) / i64::try_from(nodes.max(1)).unwrap_or(1);
        }
    }
    let most = MOST * i64::try_from(containers.len().max(1)).unwrap_or(1);
    BEST * (sum.clamp(LEAST, most) - LEAST) / (most - LEAST)
}
