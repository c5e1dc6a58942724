//! Names: what CoreDNS answers and what a resolver asks it.
//!
//! Not modelled: names outside the cluster (none exists), CoreDNS's cache, search domains of nodes, IPv6.

use super::super::store::{Key, Kind};
use super::super::world::World;
use super::{Origin, Reach, Transport, service};
use crate::object::Object;
use arcstr::ArcStr;
use std::net::Ipv4Addr;

/// The address of the cluster's DNS Service.
pub const SERVER: &str = "10.96.0.10";

/// The cluster's domain.
pub const DOMAIN: &str = "cluster.local";

/// How often a chain of ExternalName Services is followed.
const CHAIN_MAX: usize = 8;

/// A record in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An address of a name.
    Address {
        /// The name that has it.
        name: ArcStr,
        /// IPv4 address.
        address: ArcStr,
    },
    /// Another name for a name.
    Alias {
        /// The name that was asked for.
        name: ArcStr,
        /// The name it stands for.
        target: ArcStr,
    },
}

/// What the name server answers to a question about one full name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Records; none when the name exists but has no address.
    Records(Vec<Record>),
    /// NXDOMAIN.
    NoName,
    /// No server answers.
    NoServer,
}

/// Addresses of a host name as a process at `from` resolves it. An address stands for itself.
///
/// # Errors
/// [`Reach::NoName`] when no name of the search path exists, [`Reach::NoResolver`] when no server answers.
pub fn lookup(world: &World, from: &Origin, host: &str) -> Result<Vec<ArcStr>, Reach> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.parse::<Ipv4Addr>().is_ok() {
        return Ok(vec![host.into()]);
    }
    if let Some(address) = from_hosts_file(world, from, host) {
        return Ok(vec![address]);
    }
    if !has_server(world, from) {
        return Err(Reach::NoResolver);
    }
    for name in candidates(world, from, host) {
        match answer(world, &name) {
            Answer::NoServer => return Err(Reach::NoResolver),
            Answer::NoName => {}
            Answer::Records(records) => {
                let address = |record: &Record| match record {
                    Record::Address { address, .. } => Some(address.clone()),
                    Record::Alias { .. } => None,
                };
                let addresses: Vec<_> = records.iter().filter_map(address).collect();
                if !addresses.is_empty() {
                    return Ok(addresses);
                }
            }
        }
    }
    Err(Reach::NoName)
}

/// `/etc/hosts`: localhost, the pod's own name, `hostAliases`.
fn from_hosts_file(world: &World, from: &Origin, host: &str) -> Option<ArcStr> {
    if host.eq_ignore_ascii_case("localhost") {
        return Some(arcstr::literal!("127.0.0.1"));
    }
    match from {
        Origin::Pod { namespace, pod } => {
            let key = Key::new(Kind::POD, namespace.clone(), pod.clone());
            let spec = world.store.peek(&key)?.spec();
            let own = spec.get("hostname").as_str().unwrap_or(pod);
            if host != own && spec.get("hostAliases").is_empty() {
                return None;
            }
            let object = world.store.get(&key)?;
            if host == own {
                return object.status().get("podIP").as_text().cloned();
            }
            let aliases = object.spec().get("hostAliases").items().iter();
            aliases
                .filter(|a| a.get("hostnames").items().iter().any(|n| n.as_str() == Some(host)))
                .find_map(|a| a.get("ip").as_text().cloned())
        }
        _ => {
            let node = world.store.peek(&Key::new(Kind::NODE, ArcStr::new(), host))?;
            super::address::node_address(node).map(ArcStr::from)
        }
    }
}

/// The names that a resolver tries for `host`, in order: with fewer than five dots the search path first.
pub fn candidates(world: &World, from: &Origin, host: &str) -> Vec<String> {
    if let Some(full) = host.strip_suffix('.') {
        return vec![full.to_owned()];
    }
    let (search, dots_min) = search_path(world, from);
    let searched = search.iter().map(|domain| format!("{host}.{domain}"));
    if host.matches('.').count() >= dots_min {
        std::iter::once(host.to_owned()).chain(searched).collect()
    } else {
        searched.chain(std::iter::once(host.to_owned())).collect()
    }
}

/// The search path of `/etc/resolv.conf` and its `ndots`.
pub fn search_path(world: &World, from: &Origin) -> (Vec<String>, usize) {
    let cluster = |namespace: &str| (vec![format!("{namespace}.svc.{DOMAIN}"), format!("svc.{DOMAIN}"), DOMAIN.to_owned()], 5);
    match from {
        Origin::Node(_) => (Vec::new(), 1),
        Origin::Workstation => cluster("default"),
        Origin::Pod { namespace, pod } => {
            let Some(object) = world.store.peek(&Key::new(Kind::POD, namespace.clone(), pod.clone())) else { return cluster(namespace) };
            let spec = object.spec();
            let on_node = spec.get("hostNetwork").is_true();
            let (mut search, mut dots) = match spec.get("dnsPolicy").text() {
                "None" | "Default" => (Vec::new(), 1),
                "ClusterFirst" | "" if on_node => (Vec::new(), 1),
                _ => cluster(namespace),
            };
            let config = spec.get("dnsConfig");
            search.extend(config.get("searches").items().iter().map(|s| s.text().to_owned()));
            if let Some(option) = config.get("options").find("name", "ndots") {
                dots = option.get("value").text().parse().unwrap_or(dots);
            }
            (search, dots)
        }
    }
}

/// Whether a resolver at `from` reaches a name server that knows the cluster's names.
fn has_server(world: &World, from: &Origin) -> bool {
    if let Origin::Pod { namespace, pod } = from
        && let Some(object) = world.store.peek(&Key::new(Kind::POD, namespace.clone(), pod.clone()))
        && object.spec().get("dnsPolicy").as_str() == Some("None")
    {
        let servers = object.spec().at(&["dnsConfig", "nameservers"]);
        if !servers.items().iter().any(|server| server.as_str() == Some(SERVER)) {
            return false;
        }
    }
    // A cluster without the Service has no CoreDNS to break: its names resolve.
    let key = Key::new(Kind::SERVICE, arcstr::literal!("kube-system"), arcstr::literal!("kube-dns"));
    let Some(dns) = world.store.get(&key) else { return true };
    let address = dns.spec().get("clusterIP").as_text().cloned().unwrap_or_default();
    let ways = service::ways(world, from, &address, 53, Transport::Udp);
    ways.iter().any(|way| way.peer().is_some())
}

/// What the name server answers to a question about a full name (without a final dot).
pub fn query(world: &World, from: &Origin, name: &str) -> Answer {
    if has_server(world, from) { answer(world, name) } else { Answer::NoServer }
}

/// What a name server that is reached answers.
fn answer(world: &World, name: &str) -> Answer {
    let mut name: ArcStr = name.to_ascii_lowercase().trim_end_matches('.').into();
    let mut records = Vec::new();
    for _ in 0..CHAIN_MAX {
        match cluster_name(world, &name) {
            Some(Found::Addresses(addresses)) => {
                records.extend(addresses.into_iter().map(|address| Record::Address { name: name.clone(), address }));
                return Answer::Records(records);
            }
            Some(Found::Alias(target)) => {
                records.push(Record::Alias { name, target: target.clone() });
                name = target;
            }
            None => break,
        }
    }
    if records.is_empty() { Answer::NoName } else { Answer::Records(records) }
}

enum Found {
    Addresses(Vec<ArcStr>),
    Alias(ArcStr),
}

/// Looks a name of the cluster's domain up.
fn cluster_name(world: &World, name: &str) -> Option<Found> {
    let path = name.strip_suffix(DOMAIN)?.strip_suffix('.')?;
    let labels: Vec<&str> = path.split('.').collect();
    match labels.as_slice() {
        [service, namespace, "svc"] => service_name(world, namespace, service),
        [host, service, namespace, "svc"] => endpoint_name(world, namespace, service, host),
        [address, namespace, "pod"] => pod_name(world, namespace, address),
        // A domain that exists has no address of its own.
        [namespace, "svc"] if world.store.get(&Key::new(Kind::NAMESPACE, "", *namespace)).is_some() => Some(Found::Addresses(Vec::new())),
        ["svc" | "pod"] => Some(Found::Addresses(Vec::new())),
        _ => None,
    }
}

fn service_name(world: &World, namespace: &str, name: &str) -> Option<Found> {
    let service = world.store.get(&Key::new(Kind::SERVICE, namespace, name))?;
    if service.spec().get("type").text() == "ExternalName" {
        return service.spec().get("externalName").as_text().map(|target| Found::Alias(target.trim_end_matches('.').into()));
    }
    let address = service.spec().get("clusterIP").as_text()?;
    if address != "None" {
        return Some(Found::Addresses(vec![address.clone()]));
    }
    let addresses: Vec<_> = published(world, service).filter_map(|e| e.get("addresses").nth(0).as_text().cloned()).collect();
    // A headless Service without endpoints does not exist for CoreDNS.
    if addresses.is_empty() { None } else { Some(Found::Addresses(addresses)) }
}

/// The endpoints under a headless Service's name: the ready ones, or all with `publishNotReadyAddresses`.
fn published<'a>(world: &'a World, service: &'a Object) -> impl Iterator<Item = &'a crate::object::Json> {
    let all = service.spec().get("publishNotReadyAddresses").is_true();
    let endpoints = service::slices(world, service).flat_map(|slice| slice.get("endpoints").items());
    endpoints.filter(move |e| all || e.at(&["conditions", "ready"]).as_bool().unwrap_or(true))
}

/// `HOST.SERVICE.NAMESPACE.svc`: an endpoint by its host name, or by its address with dashes.
fn endpoint_name(world: &World, namespace: &str, service: &str, host: &str) -> Option<Found> {
    let service = world.store.get(&Key::new(Kind::SERVICE, namespace, service))?;
    let named = |endpoint: &&crate::object::Json| match endpoint.get("hostname").as_str() {
        Some(name) => name == host,
        None => endpoint.get("addresses").nth(0).text().replace('.', "-") == host,
    };
    let addresses: Vec<_> = published(world, service).filter(named).filter_map(|e| e.get("addresses").nth(0).as_text().cloned()).collect();
    if addresses.is_empty() { None } else { Some(Found::Addresses(addresses)) }
}

/// `1-2-3-4.NAMESPACE.pod`: CoreDNS answers for any address in a namespace that exists (`pods insecure`).
fn pod_name(world: &World, namespace: &str, address: &str) -> Option<Found> {
    world.store.get(&Key::new(Kind::NAMESPACE, "", namespace))?;
    let address = address.replace('-', ".");
    address.parse::<Ipv4Addr>().ok().map(|ip| Found::Addresses(vec![ip.to_string().into()]))
}
