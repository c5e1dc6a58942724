//! The objects of `create service …` and `create ingress`: arguments in, object out.

use crate::object;
use crate::object::{Json, names};
use regex::Regex;
use std::sync::LazyLock;

/// What `create service TYPE` was told.
#[derive(Debug, Clone, Default)]
pub struct ServiceArguments<'a> {
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`.
    pub kind: &'a str,
    /// `--tcp`: `PORT` or `PORT:TARGET`.
    pub tcp: &'a [String],
    /// `--clusterip`.
    pub cluster_ip: &'a str,
    /// `--node-port`.
    pub node_port: i64,
    /// `--external-name`.
    pub external_name: &'a str,
}

/// A Service that selects pods by `app=NAME`.
///
/// # Errors
/// kubectl's text for arguments that do not go together or are no ports.
pub fn service(name: &str, args: &ServiceArguments<'_>) -> Result<Json, String> {
    if args.cluster_ip == "None" && args.kind != "ClusterIP" {
        return Err("ClusterIP=None can only be used with ClusterIP service type".to_owned());
    }
    if args.cluster_ip != "None" && args.tcp.is_empty() && args.kind != "ExternalName" {
        return Err("at least one tcp port specifier must be provided".to_owned());
    }
    if args.kind == "ExternalName" && !names::dns1123_subdomain(args.external_name).is_empty() {
        return Err(format!("invalid service external name {}", args.external_name));
    }
    let mut spec = object! { "type" => args.kind, "selector" => object! { "app" => name } };
    for pair in args.tcp {
        let (port, target) = ports(pair)?;
        let mut entry = object! { "name" => pair.replace(':', "-"), "port" => port, "targetPort" => target, "protocol" => "TCP" };
        if args.node_port != 0 {
            entry.set("nodePort", args.node_port);
        }
        spec.get_mut("ports").push(entry);
    }
    if !args.external_name.is_empty() {
        spec.set("externalName", args.external_name);
    }
    if !args.cluster_ip.is_empty() {
        spec.set("clusterIP", args.cluster_ip);
    }
    Ok(object! {
        "apiVersion" => "v1", "kind" => "Service",
        "metadata" => object! { "name" => name, "labels" => object! { "app" => name } },
        "spec" => spec,
        "status" => object! { "loadBalancer" => object! {} },
    })
}

/// Splits `PORT` or `PORT:TARGET`.
fn ports(pair: &str) -> Result<(i64, Json), String> {
    let mut parts = pair.split(':');
    let first = parts.next().unwrap_or_default();
    let port = parse_port(first)?;
    let Some(target) = parts.next() else { return Ok((port, Json::Int(port))) };
    match target.parse::<i64>() {
        Ok(number) if (1..=65535).contains(&number) => Ok((port, Json::Int(number))),
        Ok(_) => Err("must be between 1 and 65535, inclusive".to_owned()),
        Err(_) => match names::port_name(target) {
            faults if faults.is_empty() => Ok((port, Json::from(target))),
            faults => Err(faults.join(",")),
        },
    }
}

/// A port number that may be zero, with the words of Go's `strconv.ParseUint`.
fn parse_port(text: &str) -> Result<i64, String> {
    let fault = |why: &str| format!("strconv.ParseUint: parsing {text:?}: {why}");
    match text.parse::<u64>() {
        Ok(port) if port <= 65535 => Ok(port as i64),
        Ok(_) => Err(fault("value out of range")),
        Err(_) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => Err(fault("value out of range")),
        Err(_) => Err(fault("invalid syntax")),
    }
}

/// What `create ingress` was told.
#[derive(Debug, Clone, Default)]
pub struct IngressArguments<'a> {
    /// `--class`.
    pub class: &'a str,
    /// `--default-backend`: `SERVICE:PORT`.
    pub default_backend: &'a str,
    /// `--rule`: `HOST/PATH=SERVICE:PORT[,tls[=SECRET]]`.
    pub rules: &'a [String],
    /// `--annotation`: `KEY=VALUE`.
    pub annotations: &'a [String],
}

/// `HOST/PATH=SERVICE:PORT`; what follows is not checked.
static RULE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[A-Za-z0-9_*.\-]*/.*=[A-Za-z0-9_\-]+:[A-Za-z0-9_\-]+").ok());

/// An Ingress of rules.
///
/// # Errors
/// kubectl's text for a rule, an annotation or a backend that cannot be read.
pub fn ingress(name: &str, args: &IngressArguments<'_>) -> Result<Json, String> {
    check_ingress(args)?;
    let mut metadata = object! { "name" => name };
    for annotation in args.annotations {
        let (key, value) = annotation.split_once('=').unwrap_or((annotation, ""));
        metadata.get_mut("annotations").set(key, value);
    }
    let mut spec = object! {};
    if !args.class.is_empty() {
        spec.set("ingressClassName", args.class);
    }
    if !args.default_backend.is_empty() {
        spec.set("defaultBackend", backend(args.default_backend));
    }
    let tls = ingress_tls(args.rules);
    if !tls.is_empty() {
        spec.set("tls", tls);
    }
    let rules = ingress_rules(args.rules);
    if !rules.is_empty() {
        spec.set("rules", rules);
    }
    Ok(object! {
        "apiVersion" => "networking.k8s.io/v1", "kind" => "Ingress",
        "metadata" => metadata, "spec" => spec, "status" => object! { "loadBalancer" => object! {} },
    })
}

fn check_ingress(args: &IngressArguments<'_>) -> Result<(), String> {
    if args.default_backend.is_empty() && args.rules.is_empty() {
        return Err("not enough information provided: every ingress has to either specify a default-backend (which catches all \
                    traffic) or a list of rules (which catch specific paths)"
            .to_owned());
    }
    let valid = |rule: &str| RULE.as_ref().is_some_and(|pattern| pattern.is_match(rule));
    if let Some(rule) = args.rules.iter().find(|rule| !valid(rule)) {
        return Err(format!("rule {rule} is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]"));
    }
    if let Some(annotation) = args.annotations.iter().find(|a| !a.contains('=')) {
        return Err(format!("annotation {annotation} is invalid and should be in format key=[value]"));
    }
    if !args.default_backend.is_empty() && args.default_backend.split(':').count() != 2 {
        return Err("default-backend should be in format servicename:serviceport".to_owned());
    }
    Ok(())
}

fn ingress_tls(rules: &[String]) -> Json {
    let mut entries: Vec<Json> = Vec::new();
    let mut hosts: Vec<&str> = Vec::new();
    for rule in rules {
        let parts: Vec<&str> = rule.split(',').collect();
        let &[_, tls] = parts.as_slice() else { continue };
        let host = rule.split('/').next().unwrap_or_default();
        if hosts.contains(&host) {
            continue;
        }
        let secret = tls.split('=').nth(1).unwrap_or_default();
        hosts.push(host);
        if let Some(entry) = entries.iter_mut().find(|e| e.get("secretName").text() == secret) {
            entry.get_mut("hosts").push(host);
            continue;
        }
        let mut entry = object! {};
        if !host.is_empty() {
            entry.get_mut("hosts").push(host);
        }
        if !secret.is_empty() {
            entry.set("secretName", secret);
        }
        if !entry.is_empty() {
            entries.push(entry);
        }
    }
    Json::from(entries)
}

fn ingress_rules(rules: &[String]) -> Json {
    let mut entries: Vec<Json> = Vec::new();
    for rule in rules {
        let bare = rule.split(',').next().unwrap_or_default();
        let (host, rest) = bare.split_once('/').unwrap_or((bare, ""));
        let mut parts = rest.split('=');
        let path = format!("/{}", parts.next().unwrap_or_default());
        let service = parts.next().unwrap_or_default();
        let (path, kind) = path.strip_suffix('*').map_or((path.as_str(), "Exact"), |prefix| (prefix, "Prefix"));
        let entry = object! { "path" => path, "pathType" => kind, "backend" => backend(service) };
        if let Some(same) = entries.iter_mut().find(|e| e.get("host").text() == host) {
            same.at_mut(&["http", "paths"]).push(entry);
            continue;
        }
        let mut rule = object! {};
        if !host.is_empty() {
            rule.set("host", host);
        }
        rule.at_mut(&["http", "paths"]).push(entry);
        entries.push(rule);
    }
    Json::from(entries)
}

fn backend(service: &str) -> Json {
    let mut parts = service.split(':');
    let name = parts.next().unwrap_or_default();
    let port = parts.next().unwrap_or_default();
    let port = port.parse::<i32>().map_or_else(|_| object! { "name" => port }, |number| object! { "number" => number });
    object! { "service" => object! { "name" => name, "port" => port } }
}
