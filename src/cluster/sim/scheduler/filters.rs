//! Filters: on which nodes a pod can run, and the text that says why it cannot.

use super::resources::{self, Amounts, Usage};
use super::{affinity, spread, volumes};
use crate::cluster::sim::store::Kind;
use crate::cluster::sim::world::World;
use crate::object::Object;
use arcstr::ArcStr;
use std::collections::{BTreeMap, BTreeSet};

/// A filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the plug-in of its name")]
pub enum Filter {
    NodeUnschedulable,
    TaintToleration,
    NodeAffinity,
    NodePorts,
    NodeResourcesFit,
    VolumeRestrictions,
    VolumeBinding,
    VolumeZone,
    PodTopologySpread,
    InterPodAffinity,
}

/// Filters that a pod failed on.
pub type Set = BTreeSet<Filter>;

/// Why a node does not do.
pub struct Refusal {
    /// The filter.
    pub filter: Filter,
    /// Its reasons.
    pub reasons: Vec<String>,
    /// Whether taking pods away from the node would not help either.
    pub final_: bool,
}

impl Refusal {
    /// A refusal that taking pods away could resolve.
    pub fn new(filter: Filter, reason: &str) -> Self {
        Refusal { filter, reasons: vec![reason.to_owned()], final_: false }
    }

    /// A refusal for good.
    pub fn for_good(filter: Filter, reason: &str) -> Self {
        Refusal { final_: true, ..Refusal::new(filter, reason) }
    }
}

/// Why a pod fits nowhere.
pub struct Rejection {
    /// The text of condition and event.
    pub message: String,
    /// Filters that it failed on.
    pub failed: Set,
    /// Whether the attempt met an error instead of a verdict.
    pub is_error: bool,
}

/// The nodes on which a pod can run.
///
/// # Errors
/// The rejection when there is none.
pub fn feasible(world: &World, pod: &Object) -> Result<Vec<ArcStr>, Rejection> {
    let nodes: Vec<&Object> = world.store.list(Kind::NODE, None).collect();
    if nodes.is_empty() {
        return Err(Rejection { message: "no nodes available to schedule pods".to_owned(), failed: Set::new(), is_error: false });
    }
    let claims = volumes::claims(world, pod).map_err(|why| Rejection {
        message: format!("0/{} nodes are available: {why}. not found", nodes.len()),
        failed: Set::from([Filter::VolumeBinding]),
        is_error: false,
    })?;
    let wanted = resources::of_pod(pod, false);
    let spread = spread::Counts::of(world, pod, &nodes);
    let empty = Usage::default();
    let mut fits = Vec::new();
    let mut refusals = Vec::new();
    for node in &nodes {
        let usage = world.scheduler.usage.get(node.name()).unwrap_or(&empty);
        let verdict = by_node(pod, node)
            .or_else(|| by_ports(pod, usage))
            .or_else(|| by_resources(&wanted, node, usage))
            .or_else(|| volumes::refuse(world, &claims, node))
            .or_else(|| spread.refuse(node));
        match verdict {
            None => fits.push(node.name().into()),
            Some(refusal) => refusals.push(refusal),
        }
    }
    if fits.is_empty() { Err(rejection(pod, nodes.len(), &refusals)) } else { Ok(fits) }
}

/// Filters that look at the node alone.
fn by_node(pod: &Object, node: &Object) -> Option<Refusal> {
    if node.spec().get("unschedulable").is_true() {
        let taint = crate::object! { "key" => "node.kubernetes.io/unschedulable", "effect" => "NoSchedule" };
        if !pod.spec().get("tolerations").items().iter().any(|t| affinity::tolerates(t, &taint)) {
            return Some(Refusal::for_good(Filter::NodeUnschedulable, "node(s) were unschedulable"));
        }
    }
    if affinity::untolerated(pod, node, &["NoSchedule", "NoExecute"]).next().is_some() {
        return Some(Refusal::for_good(Filter::TaintToleration, "node(s) had untolerated taint(s)"));
    }
    if !affinity::node_fits(pod, node) {
        return Some(Refusal::for_good(Filter::NodeAffinity, "node(s) didn't match Pod's node affinity/selector"));
    }
    None
}

fn by_ports(pod: &Object, usage: &Usage) -> Option<Refusal> {
    let any = "0.0.0.0";
    let taken = |(ip, protocol, port): &(ArcStr, ArcStr, i64)| {
        let clashes = |(i, p, n): &(ArcStr, ArcStr, i64)| p == protocol && n == port && (i == ip || i == any || ip == any);
        usage.ports.iter().any(|(slot, count)| *count > 0 && clashes(slot))
    };
    let clash = resources::host_ports(pod).iter().any(taken);
    clash.then(|| Refusal::new(Filter::NodePorts, "node(s) didn't have free ports for the requested pod ports"))
}

fn by_resources(wanted: &Amounts, node: &Object, usage: &Usage) -> Option<Refusal> {
    let (offered, pods) = resources::of_node(node);
    let (mut reasons, mut final_) = (Vec::new(), false);
    if usage.pods + 1 > pods {
        reasons.push("Too many pods".to_owned());
    }
    let mut look = |name: &str, wanted: i64, offered: i64, used: i64| {
        if wanted > 0 && wanted > offered - used {
            reasons.push(format!("Insufficient {name}"));
            final_ |= wanted > offered;
        }
    };
    look("cpu", wanted.cpu_m, offered.cpu_m, usage.requested.cpu_m);
    look("memory", wanted.memory, offered.memory, usage.requested.memory);
    look("ephemeral-storage", wanted.ephemeral, offered.ephemeral, usage.requested.ephemeral);
    for (name, amount) in &wanted.extended {
        let of = |map: &Amounts| map.extended.get(name).copied().unwrap_or(0);
        look(name, *amount, of(&offered), of(&usage.requested));
    }
    (!reasons.is_empty()).then_some(Refusal { filter: Filter::NodeResourcesFit, reasons, final_ })
}

/// `0/3 nodes are available: 1 …, 2 …. no new claims to deallocate, preemption: …`.
fn rejection(pod: &Object, nodes: usize, refusals: &[Refusal]) -> Rejection {
    let reasons = refusals.iter().flat_map(|r| r.reasons.iter().map(String::as_str));
    let preempted =
        |r: &Refusal| if r.final_ { "Preemption is not helpful for scheduling" } else { "No preemption victims found for incoming pod" };
    let preemption = if pod.spec().get("preemptionPolicy").text() == "Never" {
        "not eligible due to preemptionPolicy=Never.".to_owned()
    } else {
        format!("0/{nodes} nodes are available: {}.", counted(refusals.iter().map(preempted)))
    };
    Rejection {
        message: format!("0/{nodes} nodes are available: {}. no new claims to deallocate, preemption: {preemption}", counted(reasons)),
        failed: refusals.iter().map(|r| r.filter).collect(),
        is_error: false,
    }
}

/// Reasons with how often each occurs, sorted as texts.
fn counted<'a>(reasons: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_insert(0) += 1;
    }
    let mut texts: Vec<String> = counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    texts.sort();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_and_sorted_as_texts() {
        assert_eq!(counted(["b", "a", "b"].into_iter()), "1 a, 2 b");
        assert_eq!(counted(std::iter::repeat_n("b", 10).chain(["c"])), "1 c, 10 b");
    }
}
