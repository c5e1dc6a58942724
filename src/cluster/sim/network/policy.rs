//! NetworkPolicies: which pods may talk to which.
//!
//! Semantics of the API: a pod that no policy selects for a direction is open in it; otherwise some rule of some policy must
//! allow. Traffic from the pod's own node (kubelet probes) always passes. Policies act on connections that are open already,
//! too (the API leaves that to the network plugin).

use super::super::store::{Key, Kind};
use super::super::world::World;
use super::address::in_cidr;
use super::{Origin, Transport};
use crate::object::{Json, Object};

/// The other side of a packet, as a policy sees it.
struct Other<'a> {
    pod: Option<&'a Object>,
    address: &'a str,
}

/// The port a packet goes to, as a policy sees it.
struct To<'a> {
    port: u16,
    transport: Transport,
    /// The pod that has the port, for ports by name.
    pod: Option<&'a Object>,
}

/// The address under which the operator's machine appears.
const WORKSTATION: &str = "172.18.0.1";

/// Whether policies let a connection from `from` to a port of the pod `to` through, both at its start and at its end.
pub(super) fn allows(world: &World, from: &Origin, to: &Key, port: u16, transport: Transport) -> bool {
    if world.store.list(Kind::NETWORK_POLICY, None).next().is_none() {
        return true;
    }
    let Some(target) = world.store.get(to) else { return true };
    let goal = To { port, transport, pod: Some(target) };
    let source = match from {
        Origin::Pod { namespace, pod } => world.store.get(&Key::new(Kind::POD, namespace.clone(), pod.clone())),
        Origin::Node(node) if target.spec().get("nodeName").as_str() == Some(node) => return true,
        _ => None,
    };
    let address = source.map_or(WORKSTATION, |pod| pod.status().get("podIP").text());
    let leaves = source.is_none_or(|pod| {
        let other = Other { pod: Some(target), address: target.status().get("podIP").text() };
        passes(world, pod, "Egress", &other, &goal)
    });
    leaves && passes(world, target, "Ingress", &Other { pod: source, address }, &goal)
}

/// Whether policies let a packet from `from` out to an address that is no pod's.
pub(super) fn lets_out(world: &World, from: &Origin, address: &str, port: u16, transport: Transport) -> bool {
    let Origin::Pod { namespace, pod } = from else { return true };
    let Some(source) = world.store.get(&Key::new(Kind::POD, namespace.clone(), pod.clone())) else { return true };
    passes(world, source, "Egress", &Other { pod: None, address }, &To { port, transport, pod: None })
}

fn passes(world: &World, pod: &Object, direction: &str, other: &Other<'_>, to: &To<'_>) -> bool {
    let (rules, peers) = if direction == "Ingress" { ("ingress", "from") } else { ("egress", "to") };
    let mut open = true;
    for policy in world.store.list(Kind::NETWORK_POLICY, Some(pod.namespace())) {
        let spec = policy.spec();
        if !applies(spec, direction) || !selects(spec.get("podSelector"), pod.meta().get("labels")) {
            continue;
        }
        open = false;
        let allowed = spec
            .get(rules)
            .items()
            .iter()
            .any(|rule| port_matches(rule.get("ports"), to) && peer_matches(world, pod.namespace(), rule.get(peers), other));
        if allowed {
            return true;
        }
    }
    open
}

/// Whether a policy governs a direction: `policyTypes`, or by default Ingress always and Egress when it has such rules.
fn applies(spec: &Json, direction: &str) -> bool {
    match spec.get("policyTypes").items() {
        [] => direction == "Ingress" || !spec.get("egress").is_null(),
        types => types.iter().any(|t| t.as_str() == Some(direction)),
    }
}

fn port_matches(ports: &Json, to: &To<'_>) -> bool {
    let matches = |entry: &Json| {
        if entry.get("protocol").as_str().unwrap_or("TCP") != to.transport.as_str() {
            return false;
        }
        let number = match entry.get("port") {
            Json::Null => return true,
            Json::Str(name) => match to.pod.and_then(|pod| named_port(pod, name)) {
                Some(number) => number,
                None => return false,
            },
            number => number.as_i64().unwrap_or(-1),
        };
        let end = entry.get("endPort").as_i64().unwrap_or(number);
        (number..=end).contains(&i64::from(to.port))
    };
    ports.items().is_empty() || ports.items().iter().any(matches)
}

/// The number of a container port by its name.
pub(super) fn named_port(pod: &Object, name: &str) -> Option<i64> {
    let containers = pod.spec().get("containers").items().iter();
    containers.flat_map(|c| c.get("ports").items()).find(|p| p.get("name").as_str() == Some(name))?.get("containerPort").as_i64()
}

fn peer_matches(world: &World, namespace: &str, peers: &Json, other: &Other<'_>) -> bool {
    peers.items().is_empty() || peers.items().iter().any(|peer| one_peer_matches(world, namespace, peer, other))
}

fn one_peer_matches(world: &World, namespace: &str, peer: &Json, other: &Other<'_>) -> bool {
    let block = peer.get("ipBlock");
    if !block.is_null() {
        let excepted = block.get("except").items().iter().any(|cidr| in_cidr(other.address, cidr.text()));
        return in_cidr(other.address, block.get("cidr").text()) && !excepted;
    }
    let Some(pod) = other.pod else { return false };
    let here = match peer.get("namespaceSelector") {
        Json::Null => pod.namespace() == namespace,
        selector => {
            let key = Key::new(Kind::NAMESPACE, "", pod.namespace());
            world.store.get(&key).is_some_and(|ns| selects(selector, ns.meta().get("labels")))
        }
    };
    here && selects(peer.get("podSelector"), pod.meta().get("labels"))
}

/// Whether a `LabelSelector` selects labels; an empty or absent one selects everything.
pub(super) fn selects(selector: &Json, labels: &Json) -> bool {
    let equal = selector.get("matchLabels").entries().all(|(key, value)| labels.get(key) == value);
    equal
        && selector.get("matchExpressions").items().iter().all(|expression| {
            let value = labels.get(expression.get("key").text());
            let listed = expression.get("values").items().contains(value);
            match expression.get("operator").text() {
                "In" => !value.is_null() && listed,
                "NotIn" => value.is_null() || !listed,
                "Exists" => !value.is_null(),
                "DoesNotExist" => value.is_null(),
                _ => false,
            }
        })
}
