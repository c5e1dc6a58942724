//! Consul without a network: which instances of which services are registered, and its HTTP API.
//!
//! Nobody deregisters and there is no health check, so what died stays registered; what restarts loses everything. The simulator's
//! Consul and the testbed's share it.
//!
//! Not modelled: key-value store, sessions, ACLs, checks; queries that block are their caller's business.

use crate::object::Json;
use crate::{array, object};
use arcstr::ArcStr;
use imbl::Vector;

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
    /// How often anything changed.
    changes: u64,
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

/// A request to the HTTP API.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Method.
    pub method: &'a str,
    /// Path with query.
    pub path: &'a str,
    /// Body.
    pub body: &'a [u8],
}

/// An answer of the HTTP API.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
    /// What the agent's log says about it, when something changed.
    pub change: Option<String>,
}

impl Registry {
    /// Raft's index, which rises with every change.
    pub fn index(&self) -> u64 {
        self.changes.max(1) + 12
    }

    /// Registers an instance; one with the same id is replaced. What the log says about it.
    pub fn register(&mut self, registration: Registration) -> String {
        self.registrations.retain(|r| r.id != registration.id);
        let line = format!("agent: Synced service: service={}", registration.id);
        self.registrations.push_back(registration);
        self.changes += 1;
        line
    }

    /// Forgets an instance; what the log says about it, if it was there.
    pub fn deregister(&mut self, id: &str) -> Option<String> {
        let before = self.registrations.len();
        self.registrations.retain(|r| r.id != id);
        (self.registrations.len() != before).then(|| {
            self.changes += 1;
            format!("agent: Deregistered service: service={id}")
        })
    }

    /// Gives every instance an id and an address of another world.
    pub fn rename(&mut self, text: &dyn Fn(&ArcStr) -> ArcStr) {
        for registration in self.registrations.iter_mut() {
            registration.id = text(&registration.id);
            registration.address = text(&registration.address);
        }
    }

    /// Answers a request to the agent on a machine of this name and node id.
    pub fn answer(&mut self, request: Asked<'_>, host: &str, id: &str) -> Answer {
        let (path, query) = request.path.split_once('?').unwrap_or((request.path, ""));
        let node = Node { name: host.into(), id: id.into() };
        let mut change = None;
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let (status, body) = match (request.method, &parts[..]) {
            ("GET", ["v1", "catalog", "services"]) => (200, services(self)),
            ("GET", ["v1", "catalog", "service", name]) => (200, node.instances(self, name, &Node::catalog_entry)),
            ("GET", ["v1", "health", "service", name]) => (200, node.instances(self, name, &Node::health_entry)),
            ("GET", ["v1", "health", "state", _]) => (200, array![node.serf_check()].to_compact()),
            ("GET", ["v1", "agent", "services"]) => (200, node.agent_services(self)),
            ("GET", ["v1", "agent", "service", id]) => match self.registrations.iter().find(|r| r.id == *id) {
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
            ("PUT", ["v1", "agent", "service", "register"]) => self.register_body(request.body, &mut change),
            ("PUT", ["v1", "agent", "service", "deregister", id]) => match self.deregister(id) {
                Some(line) => {
                    change = Some(line);
                    (200, String::new())
                }
                None => (404, format!("Unknown service ID {id:?}. Ensure that the service ID is passed, not the service name.")),
            },
            ("GET", [""]) => (301, "<a href=\"/ui/\">Moved Permanently</a>.\n\n".to_owned()),
            ("GET", ["ui", ..]) => {
                (200, "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Consul by HashiCorp</title></head><body></body></html>\n".to_owned())
            }
            ("GET" | "PUT", ["v1", "agent" | "catalog" | "health" | "status", ..]) => {
                (405, format!("method {} not allowed", request.method))
            }
            _ => (404, "Invalid URL path: not a recognized HTTP API endpoint".to_owned()),
        };
        let body = if query.split('&').any(|q| q == "pretty" || q.starts_with("pretty=")) { pretty(&body) } else { body };
        Answer { headers: headers(status, &body, (request.path, self.index())), status, body, change }
    }

    fn register_body(&mut self, body: &[u8], change: &mut Option<String>) -> (u16, String) {
        let Ok(parsed) = Json::parse(&String::from_utf8_lossy(body)) else {
            return (400, "Request decode failed: EOF".to_owned());
        };
        let name = parsed.get("Name").text();
        if name.is_empty() {
            return (400, "Missing service name".to_owned());
        }
        let id = if parsed.get("ID").text().is_empty() { name } else { parsed.get("ID").text() };
        let port = parsed.get("Port").as_i64().and_then(|p| u16::try_from(p).ok()).unwrap_or(0);
        let address = parsed.get("Address").text().into();
        *change = Some(self.register(Registration { id: id.into(), name: name.into(), address, port }));
        (200, String::new())
    }
}

/// A line of the agent's log at `now`.
pub fn log_line(now: crate::time::SimTime, level: &str, text: &str) -> String {
    format!("{:.3} [{level}] {}{text}", now.timestamp(), if level.len() == 4 { " " } else { "" })
}

fn headers(status: u16, body: &str, (path, index): (&str, u64)) -> Vec<(String, String)> {
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
    headers
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_instances_stay_and_ids_replace() {
        let mut registry = Registry::default();
        let instance = |id: &str, ip: &str| Registration { id: id.into(), name: "srv-geo".into(), address: ip.into(), port: 8083 };
        registry.register(instance("a", "10.244.1.5"));
        registry.register(instance("b", "10.244.1.9"));
        assert_eq!(registry.addresses("srv-geo"), ["10.244.1.5:8083", "10.244.1.9:8083"]);
        assert!(registry.addresses("srv-rate").is_empty());
        assert_eq!(services(&registry), r#"{"consul":[],"srv-geo":[]}"#);
        assert!(pretty("[{\"a\":1}]").contains("\n        \"a\": 1"));
    }
}
