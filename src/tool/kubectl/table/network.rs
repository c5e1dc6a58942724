//! Tables of what connects pods.

use super::{Cells, Fill};
use crate::object::{Json, Object, ResourceType};

/// Columns and cells of a networking kind.
pub fn layout(resource: &ResourceType) -> Option<(&'static [&'static str], Fill)> {
    Some(match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "services") => (&["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE", "*SELECTOR"], service),
        ("", "endpoints") => (&["NAME", "ENDPOINTS", "AGE"], endpoints),
        ("discovery.k8s.io", "endpointslices") => (&["NAME", "ADDRESSTYPE", "PORTS", "ENDPOINTS", "AGE"], endpoint_slice),
        ("networking.k8s.io", "ingresses") => (&["NAME", "CLASS", "HOSTS", "ADDRESS", "PORTS", "AGE"], ingress),
        ("networking.k8s.io", "ingressclasses") => (&["NAME", "CONTROLLER", "PARAMETERS", "AGE"], ingress_class),
        ("networking.k8s.io", "networkpolicies") => (&["NAME", "POD-SELECTOR", "AGE"], network_policy),
        ("networking.k8s.io", "servicecidrs") => (&["NAME", "CIDRS", "AGE"], service_cidr),
        ("networking.k8s.io", "ipaddresses") => (&["NAME", "PARENTREF"], ip_address),
        _ => return None,
    })
}

/// The addresses that a load balancer gave, sorted.
pub fn load_balancer(status: &Json) -> String {
    let address = |ingress: &Json| {
        let (ip, host) = (ingress.get("ip").text(), ingress.get("hostname").text());
        if ip.is_empty() { host.to_owned() } else { ip.to_owned() }
    };
    let mut found: Vec<String> = status.at(&["loadBalancer", "ingress"]).items().iter().map(address).filter(|a| !a.is_empty()).collect();
    found.sort();
    found.dedup();
    found.join(",")
}

fn joined(items: &Json) -> String {
    items.items().iter().map(Json::text).collect::<Vec<_>>().join(",")
}

fn external_ip(service: &Object) -> String {
    let spec = service.spec();
    let external = joined(spec.get("externalIPs"));
    match spec.get("type").text() {
        "ClusterIP" | "NodePort" => {
            if external.is_empty() {
                "<none>".to_owned()
            } else {
                external
            }
        }
        "LoadBalancer" => match (load_balancer(service.status()), external) {
            (given, external) if given.is_empty() && external.is_empty() => "<pending>".to_owned(),
            (given, external) if external.is_empty() => given,
            (given, external) if given.is_empty() => external,
            (given, external) => format!("{given},{external}"),
        },
        "ExternalName" => spec.get("externalName").text().to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

fn service(object: &Object, cells: &mut Cells) {
    let spec = object.spec();
    cells.name(object);
    cells.text(spec.get("type").text());
    cells.text(spec.get("clusterIPs").nth(0).as_str().unwrap_or("<none>"));
    cells.text(&external_ip(object));
    for (at, port) in spec.get("ports").items().iter().enumerate() {
        if at > 0 {
            cells.write(",");
        }
        cells.write(&port.get("port").as_i64().unwrap_or(0).to_string());
        if let Some(node_port) = port.get("nodePort").as_i64().filter(|n| *n > 0) {
            cells.write(&format!(":{node_port}"));
        }
        cells.write("/");
        cells.write(port.get("protocol").text());
    }
    if spec.get("ports").is_empty() {
        cells.write("<none>");
    }
    cells.end();
    cells.age(object);
    if cells.wide {
        cells.labels(spec.get("selector"));
    }
}

/// At most three of some items, and how many more there are.
fn with_more(items: &[String], shown: usize, none: &str) -> String {
    if items.is_empty() {
        return none.to_owned();
    }
    let head = items[..items.len().min(shown)].join(",");
    if items.len() > shown { format!("{head} + {} more...", items.len() - shown) } else { head }
}

/// An address with a port; IPv6 in brackets.
pub fn host_port(ip: &str, port: i64) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

/// The addresses of Endpoints with their ports, at most three of them; `port` chooses the ports of that name.
pub fn endpoints_text(endpoints: &Object, port: Option<&str>) -> String {
    let subsets = endpoints.get("subsets").items();
    if subsets.is_empty() {
        return "<none>".to_owned();
    }
    let mut list = Vec::new();
    for subset in subsets {
        let ips = || subset.get("addresses").items().iter().map(|address| address.get("ip").text());
        if subset.get("ports").is_empty() {
            list.extend(ips().map(str::to_owned));
        }
        for candidate in subset.get("ports").items() {
            if port.is_none_or(|name| candidate.get("name").text() == name) {
                let number = candidate.get("port").as_i64().unwrap_or(0);
                list.extend(ips().map(|ip| host_port(ip, number)));
            }
        }
    }
    with_more(&list, 3, "")
}

fn endpoints(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.text(&endpoints_text(object, None));
    cells.age(object);
}

fn endpoint_slice(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.text(object.get("addressType").text());
    let port = |port: &Json| match (port.get("port").as_i64(), port.get("name").as_str()) {
        (Some(number), _) => number.to_string(),
        (None, Some(name)) => name.to_owned(),
        (None, None) => "*".to_owned(),
    };
    let ports: Vec<String> = object.get("ports").items().iter().map(port).collect();
    cells.text(&with_more(&ports, 3, "<unset>"));
    let addresses = object.get("endpoints").items().iter().flat_map(|e| e.get("addresses").items());
    let addresses: Vec<String> = addresses.map(|a| a.text().to_owned()).collect();
    cells.text(&with_more(&addresses, 3, "<unset>"));
    cells.age(object);
}

fn hosts(rules: &[Json]) -> String {
    let (mut list, mut more) = (Vec::new(), false);
    for rule in rules {
        more |= list.len() == 3;
        let host = rule.get("host").text();
        if !more && !host.is_empty() {
            list.push(host);
        }
    }
    match list.is_empty() {
        true => "*".to_owned(),
        false if more => format!("{} + {} more...", list.join(","), rules.len() - 3),
        false => list.join(","),
    }
}

fn ingress(object: &Object, cells: &mut Cells) {
    let spec = object.spec();
    cells.name(object);
    cells.text(spec.get("ingressClassName").as_str().unwrap_or("<none>"));
    cells.text(&hosts(spec.get("rules").items()));
    cells.text(&load_balancer(object.status()));
    cells.text(if spec.get("tls").is_empty() { "80" } else { "80, 443" });
    cells.age(object);
}

fn ingress_class(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.text(object.spec().get("controller").text());
    match object.spec().get("parameters") {
        Json::Null => cells.text("<none>"),
        parameters => {
            let group = parameters.get("apiGroup").as_str().map_or(String::new(), |group| format!(".{group}"));
            cells.text(&format!("{}{group}/{}", parameters.get("kind").text(), parameters.get("name").text()));
        }
    }
    cells.age(object);
}

fn network_policy(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.selector(object.spec().get("podSelector"));
    cells.age(object);
}

fn service_cidr(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.text(&joined(object.spec().get("cidrs")));
    cells.age(object);
}

fn ip_address(object: &Object, cells: &mut Cells) {
    cells.name(object);
    let parent = object.spec().get("parentRef");
    if parent.is_null() {
        return cells.text("<none>");
    }
    let mut text = parent.get("resource").text().to_lowercase();
    for (field, separator) in [("group", "."), ("namespace", "/"), ("name", "/")] {
        let part = parent.get(field).text();
        if !part.is_empty() || field == "name" {
            text.push_str(separator);
            text.push_str(part);
        }
    }
    cells.text(&text);
}
