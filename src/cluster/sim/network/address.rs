//! What an IP address belongs to, and which EndpointSlices are a Service's.
//!
//! Not modelled: IPv6, more than one address of a pod, load balancers' addresses.

use super::super::store::{Change, Key, Kind};
use super::super::world::World;
use crate::object::Object;
use arcstr::ArcStr;
use imbl::{OrdMap, OrdSet};
use std::net::Ipv4Addr;

/// Pods and Services by address, kept in step with the store.
#[derive(Clone, Debug, Default)]
pub struct Index {
    pods: OrdMap<ArcStr, Key>,
    services: OrdMap<ArcStr, Key>,
    /// EndpointSlices by Service: namespace, Service, slice.
    slices: OrdSet<(ArcStr, ArcStr, ArcStr)>,
}

/// What an address belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A pod with a network of its own.
    Pod(Key),
    /// A Service, by its cluster IP or one of its external IPs.
    Service(Key),
    /// A node, and the pods on its network.
    Node(ArcStr),
    /// The API server, on a machine that is no node.
    ApiServer,
    /// The range of cluster IPs, but no Service has it.
    Unallocated,
    /// The caller itself.
    Loopback,
    /// Nothing that is known.
    Nothing,
}

/// The range that cluster IPs are taken from: 10.96.0.0/16.
const SERVICE_RANGE: (Ipv4Addr, u32) = (Ipv4Addr::new(10, 96, 0, 0), 16);

/// Whether `ip` lies in the block `base/bits`.
pub(super) fn within(ip: Ipv4Addr, base: Ipv4Addr, bits: u32) -> bool {
    let mask = u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0);
    u32::from(ip) & mask == u32::from(base) & mask
}

/// Whether `ip` lies in the block `cidr`; false for anything that is no IPv4 block.
pub(super) fn in_cidr(ip: &str, cidr: &str) -> bool {
    let Some((base, bits)) = cidr.split_once('/') else { return false };
    match (ip.parse(), base.parse(), bits.parse()) {
        (Ok(ip), Ok(base), Ok(bits)) => within(ip, base, bits),
        _ => false,
    }
}

impl Index {
    fn table(&mut self, kind: Kind) -> &mut OrdMap<ArcStr, Key> {
        if kind == Kind::POD { &mut self.pods } else { &mut self.services }
    }

    fn put(&mut self, key: &Key, object: &Object) {
        let table = self.table(key.kind);
        for address in addresses_of(key.kind, object) {
            table.insert(address, key.clone());
        }
    }

    /// Keys of the EndpointSlices of a Service, in order of their names.
    pub(super) fn slices_of(&self, service: Key) -> impl Iterator<Item = Key> + use<'_> {
        let Key { namespace, name, .. } = service;
        let from = (namespace.clone(), name.clone(), ArcStr::new());
        let of_service = self.slices.range(from..).take_while(move |slice| slice.0 == namespace && slice.1 == name);
        of_service.map(|slice| Key { kind: Kind::ENDPOINT_SLICE, namespace: slice.0.clone(), name: slice.2.clone() })
    }

    fn note_slice(&mut self, change: &Change) {
        let service = |slice: &Object| slice.meta().get("labels").get("kubernetes.io/service-name").as_text().cloned();
        let (before, after) = (change.before.as_ref().and_then(service), change.after.as_ref().and_then(service));
        if before == after {
            return;
        }
        let entry = |service: ArcStr| (change.key.namespace.clone(), service, change.key.name.clone());
        if let Some(service) = before {
            self.slices.remove(&entry(service));
        }
        if let Some(service) = after {
            self.slices.insert(entry(service));
        }
    }

    fn take(&mut self, key: &Key, object: &Object) {
        let table = self.table(key.kind);
        for address in addresses_of(key.kind, object) {
            if table.get(&address) == Some(key) {
                table.remove(&address);
            }
        }
    }
}

/// The addresses under which an object is indexed. A pod that ended, and one on its node's network, has none of its own.
fn addresses_of(kind: Kind, object: &Object) -> Vec<ArcStr> {
    if kind == Kind::POD {
        let ended = matches!(object.status().get("phase").text(), "Succeeded" | "Failed");
        let own = !ended && !object.spec().get("hostNetwork").is_true();
        return object.status().get("podIP").as_text().filter(|_| own).cloned().into_iter().collect();
    }
    let external = object.spec().get("externalIPs").items().iter();
    let cluster = object.spec().get("clusterIP").as_text().filter(|ip| !ip.is_empty() && *ip != "None");
    cluster.into_iter().chain(external.filter_map(|ip| ip.as_text())).cloned().collect()
}

/// Takes note of a change; returns whether an address came, went or changed hands.
pub(super) fn on_change(index: &mut Index, change: &Change) -> bool {
    let kind = change.key.kind;
    if kind == Kind::ENDPOINT_SLICE {
        index.note_slice(change);
        return false;
    }
    if kind != Kind::POD && kind != Kind::SERVICE {
        return false;
    }
    let before = change.before.as_ref().map(|o| addresses_of(kind, o)).unwrap_or_default();
    let after = change.after.as_ref().map(|o| addresses_of(kind, o)).unwrap_or_default();
    if before == after {
        return false;
    }
    if let Some(object) = &change.before {
        index.take(&change.key, object);
    }
    if let Some(object) = &change.after {
        index.put(&change.key, object);
    }
    true
}

/// What `address` belongs to.
pub fn owner(world: &World, address: &str) -> Owner {
    let index = &world.network.addresses;
    if let Some(key) = index.pods.get(address) {
        return Owner::Pod(key.clone());
    }
    if let Some(key) = index.services.get(address) {
        return Owner::Service(key.clone());
    }
    if let Some((key, _)) = world.store.list_by(Kind::NODE, None, |node| node_address(node) == Some(address)).next() {
        return Owner::Node(key.name.clone());
    }
    if is_api_server(world, address) {
        return Owner::ApiServer;
    }
    match address.parse::<Ipv4Addr>() {
        Ok(ip) if ip.is_loopback() => Owner::Loopback,
        Ok(ip) if within(ip, SERVICE_RANGE.0, SERVICE_RANGE.1) => Owner::Unallocated,
        _ => Owner::Nothing,
    }
}

/// Whether an address is one that the API server publishes for itself, in the endpoints of the Service `kubernetes`.
fn is_api_server(world: &World, address: &str) -> bool {
    let of_api = |slice: &Object| slice.label("kubernetes.io/service-name") == Some("kubernetes");
    let mut slices = world.store.list_by(Kind::ENDPOINT_SLICE, Some("default"), of_api);
    slices.any(|(_, slice)| {
        slice.get("endpoints").items().iter().any(|e| e.get("addresses").items().iter().any(|a| a.as_str() == Some(address)))
    })
}

/// A node's internal address.
pub fn node_address(node: &Object) -> Option<&str> {
    node.status().get("addresses").find("type", "InternalIP").and_then(|a| a.get("address").as_str())
}

impl Index {
    /// Gives pods and addresses the names of an episode.
    pub(super) fn rename(&mut self, names: &super::super::rename::Renaming) {
        let renamed = |index: &OrdMap<ArcStr, Key>| index.iter().map(|(ip, key)| (names.text(ip), names.key(key))).collect();
        self.pods = renamed(&self.pods);
        self.services = renamed(&self.services);
        let slice = |(namespace, service, slice): &(ArcStr, ArcStr, ArcStr)| (namespace.clone(), service.clone(), names.text(slice));
        self.slices = self.slices.iter().map(slice).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::in_cidr;

    #[test]
    fn blocks() {
        let check = |ip, cidr, expect| assert_eq!(in_cidr(ip, cidr), expect, "{ip} {cidr}");
        check("10.96.0.1", "10.96.0.0/12", true);
        check("10.111.255.255", "10.96.0.0/12", true);
        check("10.112.0.0", "10.96.0.0/12", false);
        check("1.2.3.4", "0.0.0.0/0", true);
        check("1.2.3.4", "1.2.3.4/32", true);
        check("1.2.3.5", "1.2.3.4/32", false);
        check("1.2.3.4", "1.2.3.4", false);
        check("fd00::1", "fd00::/8", false);
    }
}
