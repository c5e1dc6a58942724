//! What a Service is given: cluster IPs, IP families and node ports.
//!
//! Not modelled: dual-stack clusters (this one has IPv4 only), IPAddress objects of allocated cluster IPs.

use super::errors::FieldErrors;
use crate::array;
use crate::cluster::ApiError;
use crate::cluster::sim::store::{Key, Kind};
use crate::cluster::sim::world::World;
use crate::object::{Json, Object};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// First address of the range of Services.
const RANGE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 0);
/// Bits of the range that are fixed.
const PREFIX: u32 = 16;
/// First and last node port.
const NODE_PORTS: (i64, i64) = (30000, 32767);

/// Whether the Service has a cluster IP (or none on purpose).
fn wants_ip(service: &Object) -> bool {
    service.spec().get("type").text() != "ExternalName"
}

fn wants_node_ports(service: &Object) -> bool {
    matches!(service.spec().get("type").text(), "NodePort" | "LoadBalancer")
}

/// Gives a new Service (`old` is `None`) or a changed one what it needs.
///
/// # Errors
/// 422 for an address or a port that is taken or out of range.
pub fn allocate(world: &mut World, old: Option<&Object>, service: &mut Object) -> Result<(), ApiError> {
    if let Some(old) = old {
        carry_over(old, service);
    }
    families(old, service);
    let mut errors = FieldErrors::default();
    if wants_ip(service) {
        cluster_ip(world, old, service, &mut errors);
    } else if old.is_some_and(wants_ip) {
        let spec = service.get_mut("spec");
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            spec.remove(field);
        }
    }
    if wants_node_ports(service) {
        node_ports(world, service, &mut errors);
    }
    errors.into_result("", "Service", service.name())
}

/// An update that leaves out what was allocated keeps it.
fn carry_over(old: &Object, service: &mut Object) {
    if wants_ip(old) && wants_ip(service) {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            let had = old.spec().get(field);
            if service.spec().get(field).is_empty() && !had.is_empty() {
                service.set_at(&["spec", field], had);
            }
        }
        if old.spec().get("clusterIPs") == service.spec().get("clusterIPs")
            && old.spec().get("clusterIP") != service.spec().get("clusterIP")
        {
            let ip = service.spec().get("clusterIP").clone();
            service.set_at(&["spec", "clusterIPs"], array![ip]);
        }
    }
    // A policy for traffic from outside goes with the type that had it, unless the update changes it.
    let policy = old.spec().get("externalTrafficPolicy");
    let outward = service.spec().get("type").text() == "ClusterIP" && !service.spec().get("externalIPs").is_empty();
    if !wants_node_ports(service) && !outward && policy == service.spec().get("externalTrafficPolicy") {
        service.get_mut("spec").remove("externalTrafficPolicy");
    }
    if wants_node_ports(old) && wants_node_ports(service) {
        let before = old.spec().get("ports").clone();
        let used: BTreeSet<i64> = ports(&before).into_iter().chain(ports(service.spec().get("ports"))).collect();
        let kept: BTreeSet<i64> = used.into_iter().filter(|p| ports(service.spec().get("ports")).contains(p)).collect();
        for port in service.get_mut("spec").get_mut("ports").items_mut() {
            if port.get("nodePort").as_i64().unwrap_or(0) == 0 {
                let same = before.items().iter().find(|b| b.get("name").text() == port.get("name").text());
                if let Some(number) = same.and_then(|b| b.get("nodePort").as_i64()).filter(|n| !kept.contains(n)) {
                    port.set("nodePort", number);
                }
            }
        }
    } else if wants_node_ports(old) && !service.spec().get("ports").is_empty() {
        for port in service.get_mut("spec").get_mut("ports").items_mut() {
            let had = old.spec().get("ports").items().iter().any(|b| b.get("nodePort") == port.get("nodePort"));
            if had {
                port.remove("nodePort");
            }
        }
    }
}

fn ports(list: &Json) -> Vec<i64> {
    list.items().iter().filter_map(|p| p.get("nodePort").as_i64()).filter(|n| *n != 0).collect()
}

fn families(old: Option<&Object>, service: &mut Object) {
    if !wants_ip(service) {
        return;
    }
    let spec = service.spec();
    let free = spec.get("clusterIP").text() == "None" && spec.get("selector").is_empty();
    if spec.get("ipFamilyPolicy").is_empty() {
        let had = old.map(|o| o.spec().get("ipFamilyPolicy").clone()).filter(|p| !p.is_empty());
        let policy = had.unwrap_or_else(|| Json::from(if free { "RequireDualStack" } else { "SingleStack" }));
        service.set_at(&["spec", "ipFamilyPolicy"], policy);
    }
    if service.spec().get("ipFamilies").is_empty() {
        let both = free && service.spec().get("ipFamilyPolicy").text() != "SingleStack";
        service.set_at(&["spec", "ipFamilies"], if both { array!["IPv4", "IPv6"] } else { array!["IPv4"] });
    }
}

fn cluster_ip(world: &mut World, old: Option<&Object>, service: &mut Object, errors: &mut FieldErrors) {
    let wanted = service.spec().get("clusterIP").text().to_owned();
    if !wanted.is_empty() {
        if service.spec().get("clusterIPs").is_empty() {
            service.set_at(&["spec", "clusterIPs"], array![wanted.as_str()]);
        }
        let held = old.is_some_and(|o| o.spec().get("clusterIP").text() == wanted);
        if wanted != "None" && !held {
            claim(world, &wanted, service, errors);
        }
        return;
    }
    let taken = taken_ips(world);
    let size = 1_u64 << (32 - PREFIX);
    let mut stream = world.draw("cluster-ip");
    // The server keeps the first addresses for those who ask for them; at most 256 in a range of this size.
    let free = std::iter::repeat_with(|| 257 + stream.below(size - 258)).map(|n| Ipv4Addr::from(u32::from(RANGE) + n as u32));
    let ip = free.map(|ip| ip.to_string()).find(|ip| !taken.contains(ip)).unwrap_or_default();
    service.set_at(&["spec", "clusterIP"], ip.as_str());
    service.set_at(&["spec", "clusterIPs"], array![ip]);
}

fn claim(world: &World, wanted: &str, service: &Object, errors: &mut FieldErrors) {
    let list = service.spec().get("clusterIPs").clone();
    let mut refuse = |why: &str| errors.invalid("spec.clusterIPs", list.clone(), &format!("failed to allocate IP {wanted}: {why}"));
    match wanted.parse::<Ipv4Addr>() {
        Ok(ip) if u32::from(ip) >> (32 - PREFIX) != u32::from(RANGE) >> (32 - PREFIX) => {
            refuse("the provided network does not match the current range");
        }
        Ok(_) if taken_ips(world).contains(wanted) => refuse("provided IP is already allocated"),
        _ => {}
    }
}

fn taken_ips(world: &World) -> BTreeSet<String> {
    world.store.list(Kind::SERVICE, None).map(|s| s.spec().get("clusterIP").text().to_owned()).collect()
}

fn node_ports(world: &mut World, service: &mut Object, errors: &mut FieldErrors) {
    let key = Key::of(Kind::SERVICE, service);
    let mut taken = BTreeSet::new();
    for (other, object) in world.store.list_keyed(Kind::SERVICE, None) {
        if *other != key {
            taken.extend(ports(object.spec().get("ports")));
            taken.extend(object.spec().get("healthCheckNodePort").as_i64());
        }
    }
    let held: Vec<i64> = world.store.get(&key).map(|s| ports(s.spec().get("ports"))).unwrap_or_default();
    let (low, high) = NODE_PORTS;
    for (at, number) in service.spec().get("ports").items().iter().enumerate().filter_map(|(i, p)| Some((i, p.get("nodePort").as_i64()?))) {
        let field = format!("spec.ports[{at}].nodePort");
        if number == 0 || held.contains(&number) {
        } else if !(low..=high).contains(&number) {
            errors.invalid(field, number, &format!("provided port is not in the valid range. The range of valid ports is {low}-{high}"));
        } else if taken.contains(&number) {
            errors.invalid(field, number, "provided port is already allocated");
        }
        taken.insert(number);
    }
    if !errors.is_empty() || service.spec().get("allocateLoadBalancerNodePorts").as_bool() == Some(false) {
        return;
    }
    let mut stream = world.draw("node-port");
    // The first ports are kept for those who ask for them, as the server does.
    let mut next = || {
        let span = (high - low - 85).unsigned_abs();
        let free = std::iter::repeat_with(|| low + 86 + i64::try_from(stream.below(span)).unwrap_or(0)).find(|n| !taken.contains(n));
        let number = free.unwrap_or(low);
        taken.insert(number);
        number
    };
    if !service.spec().get("ports").is_empty() {
        for port in service.get_mut("spec").get_mut("ports").items_mut() {
            if port.get("nodePort").as_i64().unwrap_or(0) == 0 {
                port.set("nodePort", next());
            }
        }
    }
    let spec = service.spec();
    let local = spec.get("type").text() == "LoadBalancer" && spec.get("externalTrafficPolicy").text() == "Local";
    if local && spec.get("healthCheckNodePort").as_i64().unwrap_or(0) == 0 {
        let number = next();
        service.set_at(&["spec", "healthCheckNodePort"], number);
    }
}
