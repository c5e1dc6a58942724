//! Nodes: what a kubelet reports about its own, heartbeats, addresses, images, stopping and starting.
//!
//! Heartbeats cost nothing: [`project`] computes a node's heartbeat times and its lease's renewal when they are read.

use super::pod::Stage;
use super::{Work, sync, tick};
use crate::app::Reference;
use crate::cluster::Identity;
use crate::cluster::sim::controllers::events::{self, Severity, Source};
use crate::cluster::sim::queue::Ticket;
use crate::cluster::sim::store::{Change, Key, Kind};
use crate::cluster::sim::world::{Event, World};
use crate::object;
use crate::object::{Json, Object};
use crate::rng::Key as RandomKey;
use crate::time::SimTime;
use arcstr::ArcStr;
use imbl::OrdSet;
use std::time::Duration;

/// Interval of lease renewals, and of status reports when nothing changes.
const LEASE_EVERY: Duration = Duration::from_secs(10);
const REPORT_EVERY: Duration = Duration::from_secs(300);

/// One node.
#[derive(Clone, Debug)]
pub struct Node {
    /// When its kubelet last started.
    started_at: SimTime,
    /// When its kubelet stopped, while it is stopped.
    stopped_at: Option<SimTime>,
    /// Last octets of pod IPs given out so far.
    addresses: u32,
    /// Images on the node.
    images: OrdSet<ArcStr>,
    /// Pods whose containers have changed since the last relist.
    changed: OrdSet<ArcStr>,
    /// The next relist, if one is needed.
    relist: Option<Ticket>,
}

/// A node to register.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    /// Name, which is also its host name.
    pub name: ArcStr,
    /// Address.
    pub address: ArcStr,
    /// Range of pod addresses, `10.244.1.0/24`.
    pub pod_cidr: ArcStr,
    /// Processors.
    pub cpu: u32,
    /// Memory in KiB.
    pub memory_kib: u64,
    /// Further labels.
    pub labels: Vec<(ArcStr, ArcStr)>,
}

/// Registers a node, as its kubelet does at its first start.
pub fn register_node(world: &mut World, spec: &NodeSpec) {
    let now = world.now.rfc3339();
    let mut stream = RandomKey::new(world.seed).part("node").part(&spec.name).stream();
    let machine = format!("{:016x}{:016x}", stream.bits(), stream.bits());
    let mut labels = object! {
        "beta.kubernetes.io/arch" => "amd64", "beta.kubernetes.io/os" => "linux", "kubernetes.io/arch" => "amd64",
        "kubernetes.io/hostname" => &spec.name, "kubernetes.io/os" => "linux",
    };
    for (key, value) in &spec.labels {
        labels.set(key, value);
    }
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        object! {
            "type" => kind, "status" => status, "reason" => reason, "message" => message,
            "lastHeartbeatTime" => now.as_str(), "lastTransitionTime" => now.as_str(),
        }
    };
    let conditions = vec![
        condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ];
    let amounts = |memory: u64, disk: &str| {
        object! {
            "cpu" => spec.cpu.to_string(), "memory" => format!("{memory}Ki"), "ephemeral-storage" => disk, "pods" => "110",
            "hugepages-1Gi" => "0", "hugepages-2Mi" => "0",
        }
    };
    let node = object! {
        "apiVersion" => "v1", "kind" => "Node",
        "metadata" => object! {
            "name" => &spec.name, "labels" => labels,
            "annotations" => object! { "node.alpha.kubernetes.io/ttl" => "0", "volumes.kubernetes.io/controller-managed-attach-detach" => "true" },
        },
        "spec" => object! { "podCIDR" => &spec.pod_cidr, "podCIDRs" => Json::from(vec![Json::from(&spec.pod_cidr)]) },
    };
    let status = object! {
        "addresses" => Json::from(vec![
            object! { "type" => "InternalIP", "address" => &spec.address },
            object! { "type" => "Hostname", "address" => &spec.name },
        ]),
        "allocatable" => amounts(spec.memory_kib.saturating_sub(102_400), "94990448394"), "capacity" => amounts(spec.memory_kib, "103070148Ki"),
        "conditions" => Json::from(conditions), "daemonEndpoints" => object! { "kubeletEndpoint" => object! { "Port" => 10250 } },
        "images" => Json::from(vec![]),
        "nodeInfo" => object! {
            "architecture" => "amd64", "bootID" => stream.uuid(), "machineID" => machine.as_str(), "systemUUID" => machine.as_str(),
            "containerRuntimeVersion" => "containerd://1.7.27", "kernelVersion" => "6.1.0-37-amd64", "kubeProxyVersion" => "",
            "kubeletVersion" => "v1.34.4", "operatingSystem" => "linux", "osImage" => "Debian GNU/Linux 12 (bookworm)",
        },
    };
    let key = Key::new(Kind::NODE, "", spec.name.clone());
    if world.create(&Identity::operator(), Kind::NODE, "", node).is_ok() {
        let _ = world.set_status(&key, |s| *s = status);
    }
}

/// Takes note of a node: one that joins has a kubelet.
pub fn on_node(world: &mut World, change: &Change) {
    let Some(node) = change.after.as_ref() else {
        world.kubelet.nodes.remove(&change.key.name);
        return;
    };
    if !world.kubelet.nodes.contains_key(&change.key.name) {
        let images = node.status().get("images").items().iter().flat_map(|i| i.get("names").items());
        let fresh = Node {
            started_at: world.now,
            stopped_at: None,
            addresses: 1,
            images: images.filter_map(|n| n.as_text().cloned()).collect(),
            changed: OrdSet::new(),
            relist: None,
        };
        world.kubelet.nodes.insert(change.key.name.clone(), fresh);
    }
}

/// Whether a node's kubelet runs.
pub fn is_node_running(world: &World, node: &str) -> bool {
    match world.kubelet.nodes.get(node) {
        Some(found) => found.stopped_at.is_none(),
        None => world.store.get(&Key::new(Kind::NODE, "", node)).is_some(),
    }
}

/// When a node's kubelet stopped, while it is stopped.
pub fn stopped_at(world: &World, node: &str) -> Option<SimTime> {
    world.kubelet.nodes.get(node)?.stopped_at
}

/// Stops a node's kubelet; containers go on running.
pub fn stop_node(world: &mut World, node: &str) {
    let now = world.now;
    if let Some(found) = world.kubelet.nodes.get_mut(node)
        && found.stopped_at.is_none()
    {
        found.stopped_at = Some(now);
        crate::cluster::sim::controllers::on_kubelet_stopped(world, node);
    }
}

/// Starts a node's kubelet again: it looks at every pod anew and has forgotten its back-offs.
pub fn start_node(world: &mut World, node: &str) {
    let now = world.now;
    let Some(found) = world.kubelet.nodes.get_mut(node) else { return };
    if found.stopped_at.take().is_none() {
        return;
    }
    found.started_at = now;
    events::forget_host(world, node);
    report_start(world, node);
    let uids: Vec<ArcStr> = world.kubelet.pods.values().filter(|p| p.node == node).map(|p| p.uid.clone()).collect();
    for uid in uids {
        let stage = super::edit(world, &uid, |pod| {
            pod.restart_backoff.clear();
            pod.pull_backoff.clear();
            pod.reasons.clear();
            pod.due = None;
            pod.stage
        });
        match stage {
            Some(Stage::Syncing) => sync::request(world, &uid, now + Duration::from_millis(500)),
            Some(Stage::Terminating | Stage::Cleaning) => super::stop::resume(world, &uid),
            _ => {}
        }
    }
    if world.kubelet.nodes.get(node).is_some_and(|n| !n.changed.is_empty()) {
        schedule_relist(world, node);
    }
    crate::cluster::sim::controllers::on_kubelet_started(world, node);
}

fn report_start(world: &mut World, node: &str) {
    let Some(object) = world.store.get(&Key::new(Kind::NODE, "", node)).cloned() else { return };
    let about = about_node(&object);
    let source = Source::kubelet(node);
    events::record_ref(world, &source, about, Severity::Normal, ("Starting", "Starting kubelet."));
}

/// The reference that kubelets use for their node: its uid is its name.
pub fn about_node(node: &Object) -> Json {
    object! { "kind" => "Node", "name" => node.name(), "uid" => node.name() }
}

/// When a node's lease was last renewed.
pub fn lease_renewed_at(world: &World, node: &str) -> Option<SimTime> {
    let found = world.kubelet.nodes.get(node)?;
    Some(last_period(found.started_at, found.stopped_at.unwrap_or(world.now), LEASE_EVERY))
}

/// A Node or its Lease as it reads now, with the heartbeats that time alone has brought.
pub fn project(world: &World, kind: Kind, object: &Object) -> Object {
    let until = world.kubelet.nodes.get(object.name()).and_then(|n| n.stopped_at).unwrap_or(world.now);
    let mut read = object.clone();
    if kind == Kind::LEASE {
        let written = SimTime::parse_rfc3339(object.spec().get("renewTime").text());
        let renewed = lease_renewed_at(world, object.name()).or_else(|| written.map(|at| last_period(at, until, LEASE_EVERY)));
        if let Some(at) = renewed {
            read.set_at(&["spec", "renewTime"], at.rfc3339_micro());
        }
        return read;
    }
    for condition in read.at_mut(&["status", "conditions"]).items_mut() {
        let Some(last) = SimTime::parse_rfc3339(condition.get("lastHeartbeatTime").text()) else { continue };
        if condition.get("reason").text() != "NodeStatusUnknown" && last < until {
            condition.set("lastHeartbeatTime", last_period(last, until, REPORT_EVERY).rfc3339());
        }
    }
    read
}

/// The last instant not after `until` that is a whole number of periods after `start`.
fn last_period(start: SimTime, until: SimTime, every: Duration) -> SimTime {
    let periods = (until - start).as_secs() / every.as_secs().max(1);
    start + every * u32::try_from(periods).unwrap_or(u32::MAX)
}

/// A node's address.
pub fn address(world: &World, node: &str) -> ArcStr {
    let found = world.store.get(&Key::new(Kind::NODE, "", node));
    let address = found.and_then(|n| n.status().get("addresses").find("type", "InternalIP")).and_then(|a| a.get("address").as_text());
    address.cloned().unwrap_or_default()
}

/// Gives out the next pod address of a node's range that is free.
pub fn allocate_ip(world: &mut World, node: &str) -> ArcStr {
    let range = world.store.get(&Key::new(Kind::NODE, "", node)).map(|n| n.spec().get("podCIDR").text().to_owned()).unwrap_or_default();
    let network = range.rsplit_once('.').map_or("10.244.0", |(network, _)| network).to_owned();
    let taken: Vec<ArcStr> = world
        .kubelet
        .pods
        .values()
        .filter(|p| p.node == node && p.stage != Stage::Terminated)
        .filter_map(|p| p.sandbox.as_ref().map(|s| s.ip.clone()))
        .collect();
    let Some(found) = world.kubelet.nodes.get_mut(node) else { return ArcStr::new() };
    for _ in 0..254 {
        found.addresses = found.addresses % 254 + 1;
        let candidate = format!("{network}.{}", found.addresses);
        if found.addresses > 1 && !taken.iter().any(|ip| *ip == candidate) {
            return candidate.into();
        }
    }
    ArcStr::new()
}

/// Whether an image is on a node.
pub fn has_image(world: &World, node: &str, reference: &Reference) -> bool {
    world.kubelet.nodes.get(node).is_some_and(|n| n.images.contains(reference.to_string().as_str()))
}

/// Puts an image on a node, as if it had been pulled before; a malformed name is passed over.
pub fn preload(world: &mut World, node: &str, image: &str) {
    if let Some(reference) = Reference::parse(image) {
        add_image(world, node, &reference);
    }
}

/// The nodes on which an image is.
pub fn nodes_with_image(world: &World, image: &str) -> Vec<ArcStr> {
    let Some(name) = Reference::parse(image).map(|r| r.to_string()) else { return Vec::new() };
    world.kubelet.nodes.iter().filter(|(_, n)| n.images.contains(name.as_str())).map(|(node, _)| node.clone()).collect()
}

/// Puts an image on a node.
pub fn add_image(world: &mut World, node: &str, reference: &Reference) {
    if let Some(found) = world.kubelet.nodes.get_mut(node) {
        found.images.insert(reference.to_string().into());
    }
}

/// Notes that a pod's containers have changed; the next relist tells its worker.
pub fn touch(world: &mut World, uid: &str) {
    let Some(node) = world.kubelet.pods.get(uid).map(|p| p.node.clone()) else { return };
    let Some(found) = world.kubelet.nodes.get_mut(&node) else { return };
    found.changed.insert(uid.into());
    if found.relist.is_none() && found.stopped_at.is_none() {
        schedule_relist(world, &node);
    }
}

fn schedule_relist(world: &mut World, node: &str) {
    let at = tick(world, node, "relist", world.now + Duration::from_nanos(1));
    let ticket = world.schedule(at, Event::Kubelet(Work::Relist(node.into())));
    if let Some(found) = world.kubelet.nodes.get_mut(node) {
        found.relist = Some(ticket);
    }
}

/// The runtime's relist: workers of pods with changes are told.
pub fn relist(world: &mut World, node: &str) {
    let Some(found) = world.kubelet.nodes.get_mut(node) else { return };
    found.relist = None;
    if found.stopped_at.is_some() {
        return;
    }
    let changed = std::mem::take(&mut found.changed);
    let now = world.now;
    for uid in changed {
        sync::request(world, &uid, now);
    }
}

impl Node {
    /// Goes on with pod addresses that many further up.
    pub(super) fn shift_addresses(&mut self, by: u32) {
        self.addresses += by;
    }
}
