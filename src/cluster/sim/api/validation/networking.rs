//! Network policies and ingresses.

use super::containers::port_number_or_name;
use super::path::Path;
use super::{FieldErrors, complain, meta};
use crate::object::{Json, Object, names};
use std::net::IpAddr;

pub(super) fn check_policy(policy: &Object, errors: &mut FieldErrors) {
    let (spec, path) = (policy.spec(), Path::new("spec"));
    meta::selector(spec.get("podSelector"), &path.child("podSelector"), errors);
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        let list = path.child(direction);
        for (at, rule) in spec.get(direction).items().iter().enumerate() {
            let path = list.index(at);
            for (place, port) in rule.get("ports").items().iter().enumerate() {
                policy_port(port, &path.child("ports").index(place), errors);
            }
            for (place, peer) in rule.get(peers).items().iter().enumerate() {
                policy_peer(peer, &path.child(peers).index(place), errors);
            }
        }
    }
    for (at, kind) in spec.get("policyTypes").items().iter().enumerate() {
        if !matches!(kind.text(), "Ingress" | "Egress") {
            errors.not_supported(path.child("policyTypes").index(at), kind.text(), &["Ingress", "Egress"]);
        }
    }
}

fn policy_port(port: &Json, path: &Path, errors: &mut FieldErrors) {
    let protocol = port.get("protocol").text();
    if !matches!(protocol, "" | "TCP" | "UDP" | "SCTP") {
        errors.not_supported(path.child("protocol"), protocol, &["TCP", "UDP", "SCTP"]);
    }
    let (first, last) = (port.get("port"), port.get("endPort").as_i64());
    if !first.is_null() {
        port_number_or_name(first, &path.child("port"), errors);
    }
    match (first.as_i64(), last) {
        (Some(first), Some(last)) if last < first => {
            errors.invalid(path.child("endPort"), first, "must be greater than or equal to `port`");
        }
        (None, Some(last)) if first.is_null() => {
            errors.invalid(path.child("endPort"), last, "may not be specified when `port` is not specified")
        }
        (None, Some(last)) => errors.invalid(path.child("endPort"), last, "may not be specified when `port` is non-numeric"),
        _ => {}
    }
}

fn policy_peer(peer: &Json, path: &Path, errors: &mut FieldErrors) {
    let mut count = 0;
    for field in ["podSelector", "namespaceSelector"] {
        if !peer.get(field).is_null() {
            count += 1;
            meta::selector(peer.get(field), &path.child(field), errors);
        }
    }
    let block = peer.get("ipBlock");
    if !block.is_null() {
        let path = path.child("ipBlock");
        range(block.get("cidr").text(), &path.child("cidr"), errors);
        for (at, except) in block.get("except").items().iter().enumerate() {
            range(except.text(), &path.child("except").index(at), errors);
        }
    }
    if count == 0 && block.is_null() {
        errors.required(path, "must specify a peer");
    } else if count > 0 && !block.is_null() {
        errors.forbidden(path, "may not specify both ipBlock and another peer");
    }
}

/// A range of addresses.
fn range(text: &str, path: &Path, errors: &mut FieldErrors) {
    if text.is_empty() {
        return errors.required(path, "");
    }
    let good = text.split_once('/').is_some_and(|(ip, bits)| {
        let most = match ip.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        bits.parse::<u8>().is_ok_and(|bits| bits <= most)
    });
    if !good {
        errors.invalid(path, text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
    }
}

pub(super) fn check_ingress(ingress: &Object, errors: &mut FieldErrors) {
    let (spec, path) = (ingress.spec(), Path::new("spec"));
    if spec.get("rules").is_empty() && spec.get("defaultBackend").is_null() {
        errors.invalid(path, spec.get("rules"), "either `defaultBackend` or `rules` must be specified");
    }
    if !spec.get("defaultBackend").is_null() {
        backend(spec.get("defaultBackend"), &path.child("defaultBackend"), errors);
    }
    let rules = path.child("rules");
    for (at, rule) in spec.get("rules").items().iter().enumerate() {
        let path = rules.index(at);
        let host = rule.get("host").text();
        if host.parse::<IpAddr>().is_ok() {
            errors.invalid(path.child("host"), host, "must be a DNS name, not an IP address");
        } else if !host.is_empty() {
            let bare = host.strip_prefix("*.").unwrap_or(host);
            complain(names::dns1123_subdomain(bare), host, &path.child("host"), errors);
        }
        let http = path.child("http");
        let paths = http.child("paths");
        if !rule.get("http").is_null() && rule.at(&["http", "paths"]).is_empty() {
            errors.required(paths, "");
        }
        for (place, entry) in rule.at(&["http", "paths"]).items().iter().enumerate() {
            ingress_path(entry, &paths.index(place), errors);
        }
    }
    let class = spec.get("ingressClassName").text();
    if !class.is_empty() {
        complain(names::dns1123_subdomain(class), class, &path.child("ingressClassName"), errors);
    }
}

fn ingress_path(entry: &Json, path: &Path, errors: &mut FieldErrors) {
    let text = entry.get("path").text();
    match entry.get("pathType").text() {
        "" => return errors.required(path.child("pathType"), "pathType must be specified"),
        "Exact" | "Prefix" => {
            if !text.starts_with('/') {
                errors.invalid(path.child("path"), text, "must be an absolute path");
            }
        }
        "ImplementationSpecific" => {
            if !text.is_empty() && !text.starts_with('/') {
                errors.invalid(path.child("path"), text, "must be an absolute path");
            }
        }
        other => errors.not_supported(path.child("pathType"), other, &["Exact", "ImplementationSpecific", "Prefix"]),
    }
    backend(entry.get("backend"), &path.child("backend"), errors);
}

fn backend(backend: &Json, path: &Path, errors: &mut FieldErrors) {
    let (service, resource) = (backend.get("service"), backend.get("resource"));
    if !service.is_null() && !resource.is_null() {
        return errors.invalid(path, "", "cannot set both resource and service backends");
    }
    if service.is_null() && resource.is_null() {
        return errors.required(path, "");
    }
    if service.is_null() {
        return;
    }
    let below = path.child("service");
    let name = service.get("name").text();
    if name.is_empty() {
        errors.required(below.child("name"), "");
    } else {
        complain(names::dns1035_label(name), name, &below.child("name"), errors);
    }
    let (port, path) = (service.get("port"), below.child("port"));
    match (port.get("name").text(), port.get("number").as_i64().unwrap_or(0)) {
        ("", 0) => errors.required(path, "port name or number is required"),
        ("", number) => {
            for complaint in names::port_number(number) {
                errors.invalid(path.child("number"), number, &complaint);
            }
        }
        (name, 0) => complain(names::port_name(name), name, &path.child("name"), errors),
        _ => errors.invalid(path, "", "cannot set both port name & port number"),
    }
}
