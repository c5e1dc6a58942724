//! Topology spread constraints and affinity between pods.
//!
//! Not modelled: `minDomains`, `nodeAffinityPolicy`, `nodeTaintsPolicy`, `matchLabelKeys`.

use super::filters::{Filter, Refusal};
use crate::cluster::sim::controllers::selector::selects;
use crate::cluster::sim::store::{Key, Kind};
use crate::cluster::sim::world::World;
use crate::object::{Json, Object};
use std::collections::BTreeMap;

/// Pods by the value of a topology label.
type Domains = BTreeMap<String, i64>;

/// What the constraints of a pod count.
pub struct Counts<'a> {
    pod: &'a Object,
    /// Hard spread constraints with the pods in each domain.
    spread: Vec<(&'a Json, Domains)>,
    /// Required affinity terms with the matching pods in each domain.
    near: Vec<(&'a Json, Domains)>,
    /// Required anti-affinity terms with the matching pods in each domain.
    apart: Vec<(&'a Json, Domains)>,
    /// Domains from which pods that run already keep this one: label key, value.
    kept_out: Vec<(String, String)>,
}

fn required<'a>(pod: &'a Object, kind: &str) -> &'a [Json] {
    pod.spec().at(&["affinity", kind, "requiredDuringSchedulingIgnoredDuringExecution"]).items()
}

fn is_placed(pod: &Object) -> bool {
    !pod.spec().get("nodeName").is_empty() && !matches!(pod.status().get("phase").text(), "Succeeded" | "Failed")
}

/// Whether a pod affinity term of `owner` is about `other`.
pub fn term_is_about(world: &World, owner: &Object, term: &Json, other: &Object) -> bool {
    let (names, by_label) = (term.get("namespaces").items(), term.get("namespaceSelector"));
    let listed = names.iter().any(|n| n.text() == other.namespace());
    let own = names.is_empty() && by_label.is_null() && owner.namespace() == other.namespace();
    let labelled = || {
        let namespace = world.store.get(&Key::new(Kind::NAMESPACE, "", other.namespace()));
        namespace.is_some_and(|n| selects(by_label, n.meta().get("labels")))
    };
    (listed || own || labelled()) && selects(term.get("labelSelector"), other.meta().get("labels"))
}

impl<'a> Counts<'a> {
    /// Counts for a pod.
    pub fn of(world: &World, pod: &'a Object, nodes: &[&Object]) -> Self {
        let hard = |c: &&Json| c.get("whenUnsatisfiable").text() != "ScheduleAnyway";
        let constraints = pod.spec().get("topologySpreadConstraints").items().iter().filter(hard);
        let spread = constraints.map(|c| (c, domains(world, pod, c, nodes, Matching::Spread))).collect();
        let terms = |kind: &str| -> Vec<(&'a Json, Domains)> {
            required(pod, kind).iter().map(|t| (t, domains(world, pod, t, nodes, Matching::Affinity))).collect()
        };
        Counts { pod, spread, near: terms("podAffinity"), apart: terms("podAntiAffinity"), kept_out: kept_out(world, pod, nodes) }
    }

    /// Why a node does not do, if it does not.
    pub fn refuse(&self, node: &Object) -> Option<Refusal> {
        self.refuse_spread(node).or_else(|| self.refuse_affinity(node))
    }

    fn refuse_spread(&self, node: &Object) -> Option<Refusal> {
        for (constraint, counts) in &self.spread {
            let Some(value) = node.label(constraint.get("topologyKey").text()) else {
                let reason = "node(s) didn't match pod topology spread constraints (missing required label)";
                return Some(Refusal::for_good(Filter::PodTopologySpread, reason));
            };
            let own = i64::from(selects(constraint.get("labelSelector"), self.pod.meta().get("labels")));
            let here = counts.get(value).copied().unwrap_or(0);
            let least = counts.values().copied().min().unwrap_or(0);
            if here + own - least > constraint.get("maxSkew").as_i64().unwrap_or(1) {
                return Some(Refusal::new(Filter::PodTopologySpread, "node(s) didn't match pod topology spread constraints"));
            }
        }
        None
    }

    fn refuse_affinity(&self, node: &Object) -> Option<Refusal> {
        let count = |(term, counts): &(&Json, Domains)| {
            node.label(term.get("topologyKey").text()).and_then(|value| counts.get(value)).copied().unwrap_or(0)
        };
        let has_label = |(term, _): &(&Json, Domains)| node.label(term.get("topologyKey").text()).is_some();
        let alone = self.near.iter().all(|(_, counts)| counts.values().all(|n| *n == 0));
        // The first of a group that is to be together may go anywhere.
        let first = alone && self.near.iter().all(|(term, _)| selects(term.get("labelSelector"), self.pod.meta().get("labels")));
        if !self.near.is_empty() && !self.near.iter().all(|t| has_label(t) && (first || count(t) > 0)) {
            return Some(Refusal::for_good(Filter::InterPodAffinity, "node(s) didn't match pod affinity rules"));
        }
        if self.apart.iter().any(|t| count(t) > 0) {
            return Some(Refusal::new(Filter::InterPodAffinity, "node(s) didn't match pod anti-affinity rules"));
        }
        if self.kept_out.iter().any(|(key, value)| node.label(key) == Some(value)) {
            return Some(Refusal::new(Filter::InterPodAffinity, "node(s) didn't satisfy existing pods anti-affinity rules"));
        }
        None
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Matching {
    Spread,
    Affinity,
}

/// Matching pods by the value of the term's topology label.
fn domains(world: &World, pod: &Object, term: &Json, nodes: &[&Object], matching: Matching) -> Domains {
    let key = term.get("topologyKey").text();
    let mut counts: Domains = nodes.iter().filter_map(|n| n.label(key)).map(|value| (value.to_owned(), 0)).collect();
    let namespace = (matching == Matching::Spread).then(|| pod.namespace());
    for (_, other) in world.store.list_by(Kind::POD, namespace, is_placed) {
        let matches = match matching {
            Matching::Spread => !other.is_terminating() && selects(term.get("labelSelector"), other.meta().get("labels")),
            Matching::Affinity => term_is_about(world, pod, term, other),
        };
        let value = nodes.iter().find(|n| n.name() == other.spec().get("nodeName").text()).and_then(|n| n.label(key));
        if let Some(value) = value.filter(|_| matches) {
            *counts.entry(value.to_owned()).or_insert(0) += 1;
        }
    }
    counts
}

fn kept_out(world: &World, pod: &Object, nodes: &[&Object]) -> Vec<(String, String)> {
    let mut domains = Vec::new();
    let has_terms = |p: &Object| is_placed(p) && !p.spec().get("affinity").is_null();
    for (_, other) in world.store.list_by(Kind::POD, None, has_terms) {
        for term in required(other, "podAntiAffinity").iter().filter(|t| term_is_about(world, other, t, pod)) {
            let key = term.get("topologyKey").text();
            let node = nodes.iter().find(|n| n.name() == other.spec().get("nodeName").text());
            if let Some(value) = node.and_then(|n| n.label(key)) {
                domains.push((key.to_owned(), value.to_owned()));
            }
        }
    }
    domains
}
