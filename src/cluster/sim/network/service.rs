//! What kube-proxy does: from an address to the pods behind it.
//!
//! Not modelled: load balancers, topology hints, a kube-proxy that lags behind the API server.

use super::super::kubelet;
use super::super::store::{Key, Kind};
use super::super::world::World;
use super::address::{Owner, owner};
use super::rules::{End, path_to};
use super::{Connection, Origin, Peer, Reach, Transport, policy, socket};
use crate::object::{Json, Object};
use crate::rng::Key as RandomKey;
use arcstr::ArcStr;

/// The port of the API server itself.
const API_PORT: u16 = 6443;

/// One address behind a Service's port.
struct Backend {
    address: ArcStr,
    port: u16,
    node: Option<ArcStr>,
}

/// Every way in which a connection to an IP can go, each as likely as the others.
pub(super) fn ways(world: &World, from: &Origin, address: &ArcStr, port: u16, transport: Transport) -> Vec<Connection> {
    match owner(world, address) {
        Owner::Service(key) => through_service(world, from, (address, port), &key, transport),
        Owner::Unallocated => vec![Connection::failed(address.clone(), port, Reach::Silence)],
        Owner::Node(node) => match node_port(world, port, transport) {
            Some((key, service_port)) => {
                let ways = through_service(world, from, (address, service_port), &key, transport);
                ways.into_iter().map(|way| Connection { port, ..way }).collect()
            }
            None => vec![to_endpoint(world, from, (address, port), &Owner::Node(node), transport)],
        },
        target => vec![to_endpoint(world, from, (address, port), &target, transport)],
    }
}

fn through_service(world: &World, from: &Origin, dialled: (&ArcStr, u16), key: &Key, transport: Transport) -> Vec<Connection> {
    let failed = |reach| vec![Connection::failed(dialled.0.clone(), dialled.1, reach)];
    // Ports and policies hold no names.
    let Some(service) = world.store.peek(key) else { return failed(Reach::Silence) };
    // A port that a cluster IP does not have is refused at once, as the ruleset of kube-proxy in nftables mode does.
    let Some(port) = service_port(service, dialled.1, transport) else { return failed(Reach::Refused) };
    let mut backends = backends(world, key, port);
    if backends.is_empty() {
        return failed(Reach::Refused);
    }
    if service.spec().get("internalTrafficPolicy").text() == "Local" {
        let here = End::of(world, from).node;
        backends.retain(|backend| backend.node.is_some() && backend.node == here);
        if backends.is_empty() {
            return failed(Reach::Silence);
        }
    }
    if service.spec().get("sessionAffinity").text() == "ClientIP" {
        let client = RandomKey::new(world.seed).part("affinity").part(world.store.uid(key).unwrap_or_default()).part(&format!("{from:?}"));
        let at = client.stream().below(backends.len() as u64) as usize;
        backends = vec![backends.swap_remove(at)];
    }
    let way = |backend: Backend| {
        let target = owner(world, &backend.address);
        let way = to_endpoint(world, from, (&backend.address, backend.port), &target, transport);
        Connection { address: dialled.0.clone(), port: dialled.1, endpoint: Some((backend.address, backend.port)), ..way }
    };
    backends.into_iter().map(way).collect()
}

/// The entry of `spec.ports` for a port.
fn service_port(service: &Object, port: u16, transport: Transport) -> Option<&Json> {
    let protocol = |p: &Json| p.get("protocol").as_str().unwrap_or("TCP") == transport.as_str();
    service.spec().get("ports").items().iter().find(|p| p.get("port").as_i64() == Some(i64::from(port)) && protocol(p))
}

/// The Service and its port behind a node port.
fn node_port(world: &World, port: u16, transport: Transport) -> Option<(Key, u16)> {
    world.store.list_keyed(Kind::SERVICE, None).find_map(|(key, service)| {
        let ports = service.spec().get("ports").items().iter();
        let mut matching = ports.filter(|p| p.get("protocol").as_str().unwrap_or("TCP") == transport.as_str());
        let entry = matching.find(|p| p.get("nodePort").as_i64() == Some(i64::from(port)))?;
        Some((key.clone(), u16::try_from(entry.get("port").as_i64()?).ok()?))
    })
}

/// The endpoints that kube-proxy sends to: the ready ones; when there is none, those that serve while they terminate.
fn backends(world: &World, service: &Key, port: &Json) -> Vec<Backend> {
    let (mut ready, mut terminating) = (Vec::new(), Vec::new());
    for slice in slices_of(world, service.clone()) {
        let Some(number) = slice_port(slice, port) else { continue };
        for endpoint in slice.get("endpoints").items() {
            let conditions = endpoint.get("conditions");
            let list = if conditions.get("ready").as_bool().unwrap_or(true) {
                &mut ready
            } else if conditions.get("serving").is_true() && conditions.get("terminating").is_true() {
                &mut terminating
            } else {
                continue;
            };
            if let Some(address) = endpoint.get("addresses").nth(0).as_text() {
                list.push(Backend { address: address.clone(), port: number, node: endpoint.get("nodeName").as_text().cloned() });
            }
        }
    }
    if ready.is_empty() { terminating } else { ready }
}

/// The EndpointSlices of a Service.
pub fn slices<'a>(world: &'a World, service: &Object) -> impl Iterator<Item = &'a Object> + use<'a> {
    slices_of(world, Key::of(Kind::SERVICE, service))
}

fn slices_of(world: &World, service: Key) -> impl Iterator<Item = &Object> {
    let keys = world.network.addresses.slices_of(service);
    keys.filter_map(|key| world.store.get(&key))
}

/// The number that a slice has for a Service's port: ports are matched by name and protocol.
fn slice_port(slice: &Object, port: &Json) -> Option<u16> {
    let same = |p: &&Json| {
        p.get("name").text() == port.get("name").text()
            && p.get("protocol").as_str().unwrap_or("TCP") == port.get("protocol").as_str().unwrap_or("TCP")
    };
    slice.get("ports").items().iter().find(same).and_then(|p| u16::try_from(p.get("port").as_i64()?).ok())
}

/// The last leg: to what has the address itself.
fn to_endpoint(world: &World, from: &Origin, to: (&ArcStr, u16), target: &Owner, transport: Transport) -> Connection {
    let (address, port) = to;
    let mut way = Connection::failed(address.clone(), port, Reach::Silence);
    match target {
        Owner::Pod(key) => {
            way.path = path_to(world, from, || End::pod(world, &key.namespace, &key.name));
            let from_itself = matches!(from, Origin::Pod { namespace, pod } if *namespace == key.namespace && *pod == key.name);
            if !way.path.cut && (from_itself || policy::allows(world, from, key, port, transport)) {
                way.reach = socket::reach_pod(world, key, port, transport, from_itself);
            }
        }
        Owner::Node(node) => {
            way.path = path_to(world, from, || End { pod: None, node: Some(node.clone()) });
            if !way.path.cut && policy::lets_out(world, from, address, port, transport) {
                way.reach = reach_node(world, node, port, transport);
            }
        }
        Owner::ApiServer if policy::lets_out(world, from, address, port, transport) => {
            way.reach = if port == API_PORT && transport == Transport::Tcp { Reach::Peer(Peer::ApiServer) } else { Reach::Refused };
        }
        Owner::Loopback => way.reach = reach_loopback(world, from, port, transport),
        Owner::Service(_) | Owner::ApiServer | Owner::Unallocated | Owner::Nothing => {}
    }
    way
}

fn reach_loopback(world: &World, from: &Origin, port: u16, transport: Transport) -> Reach {
    match from {
        Origin::Pod { namespace, pod } => {
            socket::reach_pod(world, &Key::new(Kind::POD, namespace.clone(), pod.clone()), port, transport, true)
        }
        Origin::Node(node) => reach_node(world, node, port, transport),
        Origin::Workstation => Reach::Refused,
    }
}

/// What listens on a node: the kubelet, the API server on a control plane, pods on its network, host ports.
fn reach_node(world: &World, node: &ArcStr, port: u16, transport: Transport) -> Reach {
    let Some(object) = world.store.get(&Key::new(Kind::NODE, "", node.clone())) else { return Reach::Silence };
    let control_plane = object.label("node-role.kubernetes.io/control-plane").is_some();
    match port {
        10250 if transport == Transport::Tcp && kubelet::is_node_running(world, node) => return Reach::Peer(Peer::Kubelet(node.clone())),
        API_PORT if transport == Transport::Tcp && control_plane => return Reach::Peer(Peer::ApiServer),
        _ => {}
    }
    let there = |pod: &Object| pod.spec().get("nodeName").as_text() == Some(node);
    for (key, pod) in world.store.list_by(Kind::POD, None, there) {
        let inner = if pod.spec().get("hostNetwork").is_true() { Some(port) } else { host_port(pod, port, transport) };
        if let Some(inner) = inner
            && let peer @ Reach::Peer(_) = socket::reach_pod(world, key, inner, transport, true)
        {
            return peer;
        }
    }
    if transport == Transport::Udp { Reach::Silence } else { Reach::Refused }
}

/// The container port to which a pod's host port leads.
fn host_port(pod: &Object, port: u16, transport: Transport) -> Option<u16> {
    let ports = pod.spec().get("containers").items().iter().flat_map(|container| container.get("ports").items());
    let mut matching = ports.filter(|p| p.get("protocol").as_str().unwrap_or("TCP") == transport.as_str());
    let entry = matching.find(|p| p.get("hostPort").as_i64() == Some(i64::from(port)))?;
    u16::try_from(entry.get("containerPort").as_i64()?).ok()
}
