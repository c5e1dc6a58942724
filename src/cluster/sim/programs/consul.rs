//! Consul's memory: which instances of which services are registered, and its HTTP API.
//!
//! Nobody deregisters and there is no health check, so what died stays registered; what restarts loses everything.
//!
//! Not modelled: key-value store, sessions, ACLs, blocking queries over HTTP (they answer at once), DNS answers.

use crate::cluster::sim::history::RunId;
use crate::cluster::sim::network;
use crate::cluster::sim::world::World;
use crate::cluster::{HttpReply, HttpRequest};
use crate::object::Json;
use crate::{array, object};
use arcstr::ArcStr;
use imbl::Vector;
use std::time::Duration;

/// An instance of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Its own identity.
    pub id: ArcStr,
    /// Service.
    pub name: ArcStr,
    /// IP.
    pub address: ArcStr,
    /// Port.
    pub port: u16,
}

/// What one Consul process knows.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    registrations: Vector<Registration>,
    /// Raft's index, which rises with every change.
    index: u64,
}

impl Registry {
    /// The addresses of the instances of a service, in order of registration.
    pub fn addresses(&self, service: &str) -> Vec<ArcStr> {
        let of = self.registrations.iter().filter(|r| r.name == service);
        of.map(|r| ArcStr::from(format!("{}:{}", r.address, r.port))).collect()
    }

    /// Every instance, in order of registration.
    pub fn registrations(&self) -> impl Iterator<Item = &Registration> {
        self.registrations.iter()
    }
}

/// Registers an instance; one with the same id is replaced.
pub fn register(world: &mut World, consul: RunId, registration: Registration) {
    let Some(registry) = world.programs.registries.get_mut(&consul) else { return };
    registry.registrations.retain(|r| r.id != registration.id);
    let line = format!("agent: Synced service: service={}", registration.id);
    registry.registrations.push_back(registration);
    registry.index += 1;
    log(world, consul, "INFO", &line);
    network::review(world);
}

fn deregister(world: &mut World, consul: RunId, id: &str) -> bool {
    let Some(registry) = world.programs.registries.get_mut(&consul) else { return false };
    let before = registry.registrations.len();
    registry.registrations.retain(|r| r.id != id);
    if registry.registrations.len() == before {
        return false;
    }
    registry.index += 1;
    log(world, consul, "INFO", &format!("agent: Deregistered service: service={id}"));
    network::review(world);
    true
}

fn log(world: &mut World, consul: RunId, level: &str, line: &str) {
    let text = format!("{:.3} [{level}] {}{line}", world.now.timestamp(), if level.len() == 4 { " " } else { "" });
    world.history.write(consul, world.now, text);
}

/// Answers an HTTP request.
pub(super) fn http(world: &mut World, consul: RunId, request: &HttpRequest) -> HttpReply {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let registry = world.programs.registries.get(&consul).cloned().unwrap_or_default();
    let host = super::launch(world, consul).map(|l| super::host_name(&l)).unwrap_or_default();
    let node = Node { name: host, id: super::uuid(world, consul), index: registry.index.max(1) + 12 };
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let (status, body) = match (request.method.as_str(), &parts[..]) {
        ("GET", ["v1", "catalog", "services"]) => (200, services(&registry)),
        ("GET", ["v1", "catalog", "service", name]) => (200, node.instances(&registry, name, &Node::catalog_entry)),
        ("GET", ["v1", "health", "service", name]) => (200, node.instances(&registry, name, &Node::health_entry)),
        ("GET", ["v1", "health", "state", _]) => (200, array![node.serf_check()].to_compact()),
        ("GET", ["v1", "agent", "services"]) => (200, node.agent_services(&registry)),
        ("GET", ["v1", "agent", "service", id]) => match registry.registrations.iter().find(|r| r.id == *id) {
            Some(found) => (200, agent_service(found).to_compact()),
            None => (404, format!("unknown service ID: {id}")),
        },
        ("GET", ["v1", "agent", "checks"]) => (200, "{}".to_owned()),
        ("GET", ["v1", "agent", "members"]) => (200, array![node.member()].to_compact()),
        ("GET", ["v1", "agent", "self"]) => (200, node.itself().to_compact()),
        ("GET", ["v1", "catalog", "nodes"]) => (200, array![node.description()].to_compact()),
        ("GET", ["v1", "catalog", "datacenters"]) => (200, r#"["dc1"]"#.to_owned()),
        ("GET", ["v1", "status", "leader"]) => (200, r#""127.0.0.1:8300""#.to_owned()),
        ("GET", ["v1", "status", "peers"]) => (200, r#"["127.0.0.1:8300"]"#.to_owned()),
        ("PUT", ["v1", "agent", "service", "register"]) => register_body(world, consul, &request.body),
        ("PUT", ["v1", "agent", "service", "deregister", id]) => match deregister(world, consul, id) {
            true => (200, String::new()),
            false => (404, format!("Unknown service ID {id:?}. Ensure that the service ID is passed, not the service name.")),
        },
        ("GET", [""]) => (301, "<a href=\"/ui/\">Moved Permanently</a>.\n\n".to_owned()),
        ("GET", ["ui", ..]) => {
            (200, "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Consul by HashiCorp</title></head><body></body></html>\n".to_owned())
        }
        ("GET" | "PUT", ["v1", "agent" | "catalog" | "health" | "status", ..]) => (405, format!("method {} not allowed", request.method)),
        _ => (404, "Invalid URL path: not a recognized HTTP API endpoint".to_owned()),
    };
    let body = if query.split('&').any(|q| q == "pretty" || q.starts_with("pretty=")) { pretty(&body) } else { body };
    reply(status, body, (&request.path, node.index))
}

fn reply(status: u16, body: String, (path, index): (&str, u64)) -> HttpReply {
    let json = body.starts_with(['{', '[', '"']);
    let mut headers = vec![
        ("Content-Type".to_owned(), if json { "application/json" } else { "text/plain; charset=utf-8" }.to_owned()),
        ("Vary".to_owned(), "Accept-Encoding".to_owned()),
        ("X-Consul-Default-Acl-Policy".to_owned(), "allow".to_owned()),
    ];
    if json && path.contains("/v1/") {
        headers.push(("X-Consul-Index".to_owned(), index.to_string()));
        headers.push(("X-Consul-Knownleader".to_owned(), "true".to_owned()));
        headers.push(("X-Consul-Lastcontact".to_owned(), "0".to_owned()));
    }
    if status == 301 {
        headers.push(("Location".to_owned(), "/ui/".to_owned()));
    }
    let took = Duration::from_micros(600);
    HttpReply { status, headers, body: body.into_bytes(), took, peer: (String::new(), 0) }
}

/// JSON with four spaces, as Consul prints it when asked for `pretty`.
fn pretty(body: &str) -> String {
    let Ok(value) = serde_json::from_str::<serde_json::Value>(body) else { return body.to_owned() };
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, serde_json::ser::PrettyFormatter::with_indent(b"    "));
    match serde::Serialize::serialize(&value, &mut serializer) {
        Ok(()) => String::from_utf8_lossy(&out).into_owned(),
        Err(_) => body.to_owned(),
    }
}

fn register_body(world: &mut World, consul: RunId, body: &[u8]) -> (u16, String) {
    let Ok(parsed) = Json::parse(&String::from_utf8_lossy(body)) else {
        return (400, "Request decode failed: EOF".to_owned());
    };
    let name = parsed.get("Name").text();
    if name.is_empty() {
        return (400, "Missing service name".to_owned());
    }
    let id = if parsed.get("ID").text().is_empty() { name } else { parsed.get("ID").text() };
    let port = parsed.get("Port").as_i64().and_then(|p| u16::try_from(p).ok()).unwrap_or(0);
    register(world, consul, Registration { id: id.into(), name: name.into(), address: parsed.get("Address").text().into(), port });
    (200, String::new())
}

fn services(registry: &Registry) -> String {
    let mut all = object! { "consul" => array![] };
    for registration in &registry.registrations {
        all.set(&registration.name, array![]);
    }
    all.to_compact()
}

/// The one node of a Consul in development mode.
struct Node {
    name: ArcStr,
    id: ArcStr,
    index: u64,
}

impl Node {
    fn instances(&self, registry: &Registry, service: &str, entry: &dyn Fn(&Node, &Registration) -> Json) -> String {
        let of = registry.registrations.iter().filter(|r| r.name == service);
        of.map(|r| entry(self, r)).collect::<Json>().to_compact()
    }

    fn description(&self) -> Json {
        object! {
            "ID" => &self.id, "Node" => &self.name, "Address" => "127.0.0.1", "Datacenter" => "dc1",
            "TaggedAddresses" => object! { "lan" => "127.0.0.1", "lan_ipv4" => "127.0.0.1", "wan" => "127.0.0.1", "wan_ipv4" => "127.0.0.1" },
            "Meta" => object! { "consul-network-segment" => "", "consul-version" => "1.22.0" },
            "CreateIndex" => 13, "ModifyIndex" => 15,
        }
    }

    fn catalog_entry(&self, registration: &Registration) -> Json {
        let mut entry = self.description();
        entry.set("ServiceKind", "");
        entry.set("ServiceID", &registration.id);
        entry.set("ServiceName", &registration.name);
        entry.set("ServiceTags", array![]);
        entry.set("ServiceAddress", &registration.address);
        entry.set("ServiceWeights", object! { "Passing" => 1, "Warning" => 1 });
        entry.set("ServiceMeta", object! {});
        entry.set("ServicePort", i64::from(registration.port));
        entry.set("ServiceEnableTagOverride", false);
        entry
    }

    fn health_entry(&self, registration: &Registration) -> Json {
        let mut service = agent_service(registration);
        service.remove("Datacenter");
        object! { "Node" => self.description(), "Service" => service, "Checks" => array![self.serf_check()] }
    }

    fn serf_check(&self) -> Json {
        object! {
            "Node" => &self.name, "CheckID" => "serfHealth", "Name" => "Serf Health Status", "Status" => "passing", "Notes" => "",
            "Output" => "Agent alive and reachable", "ServiceID" => "", "ServiceName" => "", "ServiceTags" => array![], "Type" => "",
            "Interval" => "", "Timeout" => "", "ExposedPort" => 0, "Definition" => object! {}, "CreateIndex" => 13, "ModifyIndex" => 13,
        }
    }

    fn agent_services(&self, registry: &Registry) -> String {
        let mut all = object! {};
        for registration in &registry.registrations {
            all.set(&registration.id, agent_service(registration));
        }
        all.to_compact()
    }

    fn member(&self) -> Json {
        object! {
            "Name" => &self.name, "Addr" => "127.0.0.1", "Port" => 8301, "Status" => 1,
            "Tags" => object! { "dc" => "dc1", "id" => &self.id, "port" => "8300", "role" => "consul", "build" => "1.22.0", "raft_vsn" => "3" },
            "ProtocolMin" => 1, "ProtocolMax" => 5, "ProtocolCur" => 2, "DelegateMin" => 2, "DelegateMax" => 5, "DelegateCur" => 4,
        }
    }

    fn itself(&self) -> Json {
        object! {
            "Config" => object! {
                "Datacenter" => "dc1", "PrimaryDatacenter" => "dc1", "NodeName" => &self.name, "NodeID" => &self.id, "Server" => true,
                "Revision" => "", "Version" => "1.22.0",
            },
            "Member" => self.member(),
        }
    }
}

fn agent_service(registration: &Registration) -> Json {
    object! {
        "ID" => &registration.id, "Service" => &registration.name, "Tags" => array![], "Meta" => object! {},
        "Port" => i64::from(registration.port), "Address" => &registration.address,
        "Weights" => object! { "Passing" => 1, "Warning" => 1 }, "EnableTagOverride" => false, "Datacenter" => "dc1",
    }
}

impl Registry {
    /// Gives addresses the names of an episode.
    pub(super) fn rename(&mut self, names: &super::super::rename::Renaming) {
        for registration in self.registrations.iter_mut() {
            registration.id = names.text(&registration.id);
            registration.address = names.text(&registration.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_instances_stay_and_ids_replace() {
        let mut registry = Registry::default();
        let instance = |id: &str, ip: &str| Registration { id: id.into(), name: "srv-geo".into(), address: ip.into(), port: 8083 };
        registry.registrations.push_back(instance("a", "10.244.1.5"));
        registry.registrations.push_back(instance("b", "10.244.1.9"));
        assert_eq!(registry.addresses("srv-geo"), ["10.244.1.5:8083", "10.244.1.9:8083"]);
        assert!(registry.addresses("srv-rate").is_empty());
        assert_eq!(services(&registry), r#"{"consul":[],"srv-geo":[]}"#);
        assert!(pretty("[{\"a\":1}]").contains("\n        \"a\": 1"));
    }
}
