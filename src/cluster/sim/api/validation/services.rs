//! Services.

use super::containers::port_number_or_name;
use super::path::Path;
use super::{FieldErrors, complain, internal, meta, one_of};
use crate::cluster::sim::api::errors::Cause;
use crate::object::{Json, Object, names};
use std::collections::BTreeSet;
use std::net::IpAddr;

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

pub(super) fn check(service: &Object, errors: &mut FieldErrors) {
    let (spec, path) = (service.spec(), Path::new("spec"));
    let headless = spec.get("clusterIP").text() == "None";
    let kind = spec.get("type").text();
    if spec.get("ports").is_empty() && !headless && kind != "ExternalName" {
        errors.required(path.child("ports"), "");
    }
    if headless && matches!(kind, "LoadBalancer" | "NodePort") {
        let text = format!("may not be set to 'None' for {kind} services");
        errors.invalid(path.child("clusterIPs").index(0), "None", &text);
    }
    if kind == "ExternalName" {
        external_name(spec, &path, errors);
    }
    let ports = path.child("ports");
    let mut taken = BTreeSet::new();
    for (at, port) in spec.get("ports").items().iter().enumerate() {
        let many = spec.get("ports").items().len() > 1;
        check_port(port, many, &mut taken, &ports.index(at), errors);
    }
    meta::labels(spec.get("selector"), &path.child("selector"), errors);
    let affinity = spec.get("sessionAffinity").text();
    one_of(affinity, &["ClientIP", "None"], &path.child("sessionAffinity"), errors);
    session(spec, &path.child("sessionAffinityConfig"), errors);
    cluster_ips(spec, &path.child("clusterIPs"), errors);
    for (at, ip) in spec.get("externalIPs").items().iter().enumerate() {
        address(ip.text(), &path.child("externalIPs").index(at), errors);
    }
    one_of(kind, &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"], &path.child("type"), errors);
    unique_ports(spec, kind, &ports, errors);
    if !spec.get("loadBalancerSourceRanges").is_empty() && kind != "LoadBalancer" {
        errors.forbidden(path.child("LoadBalancerSourceRanges"), "may only be used when `type` is 'LoadBalancer'");
    }
    if !spec.get("allocateLoadBalancerNodePorts").is_null() && kind != "LoadBalancer" {
        errors.forbidden(path.child("allocateLoadBalancerNodePorts"), "may only be used when `type` is 'LoadBalancer'");
    }
    traffic(spec, kind, &path, errors);
}

fn external_name(spec: &Json, path: &Path, errors: &mut FieldErrors) {
    for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if !spec.get(field).is_empty() {
            errors.forbidden(path.child(field), "may not be set for ExternalName services");
        }
    }
    let name = spec.get("externalName").text().trim_end_matches('.');
    if name.is_empty() {
        errors.required(path.child("externalName"), "");
    } else {
        complain(names::dns1123_subdomain(name), name, &path.child("externalName"), errors);
    }
}

fn check_port<'a>(port: &'a Json, many: bool, taken: &mut BTreeSet<&'a str>, path: &Path, errors: &mut FieldErrors) {
    let name = port.get("name").text();
    if name.is_empty() {
        if many {
            errors.required(path.child("name"), "");
        }
    } else {
        complain(names::dns1123_label(name), name, &path.child("name"), errors);
        if !taken.insert(name) {
            errors.duplicate(path.child("name"), name);
        }
    }
    let number = port.get("port").as_i64().unwrap_or(0);
    for complaint in names::port_number(number) {
        errors.invalid(path.child("port"), number, &complaint);
    }
    one_of(port.get("protocol").text(), &PROTOCOLS, &path.child("protocol"), errors);
    port_number_or_name(port.get("targetPort"), &path.child("targetPort"), errors);
    let protocol = port.get("appProtocol");
    if !protocol.is_null() {
        complain(names::qualified_name(protocol.text()), protocol.text(), &path.child("appProtocol"), errors);
    }
}

fn session(spec: &Json, path: &Path, errors: &mut FieldErrors) {
    let config = spec.get("sessionAffinityConfig");
    match spec.get("sessionAffinity").text() {
        "ClientIP" => {
            let seconds = config.at(&["clientIP", "timeoutSeconds"]).as_i64().unwrap_or(0);
            if !(1..=86400).contains(&seconds) {
                let field = path.child("clientIP");
                errors.invalid(field.child("timeoutSeconds"), seconds, "must be greater than 0 and less than 86400");
            }
        }
        "None" if !config.is_null() => errors.forbidden(path, "must not be set when session affinity is None"),
        _ => {}
    }
}

fn address(text: &str, path: &Path, errors: &mut FieldErrors) {
    match text.parse::<IpAddr>() {
        Err(_) => errors.invalid(path, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
        Ok(ip) if ip.is_unspecified() => errors.invalid(path, text, "may not be unspecified (0.0.0.0 or ::)"),
        Ok(ip) if ip.is_loopback() => errors.invalid(path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        Ok(_) => {}
    }
}

fn cluster_ips(spec: &Json, path: &Path, errors: &mut FieldErrors) {
    if spec.get("type").text() == "ExternalName" {
        return;
    }
    let (first, list) = (spec.get("clusterIP").text(), spec.get("clusterIPs"));
    if !first.is_empty() && list.nth(0).text() != first {
        errors.invalid(path, list, "first value must match `clusterIP`");
    }
    for (at, ip) in list.items().iter().enumerate() {
        let text = ip.text();
        if text == "None" && at == 0 {
            if list.items().len() > 1 {
                errors.invalid(path, list, "'None' must be the first and only value");
            }
        } else if text.parse::<IpAddr>().is_err() {
            errors.invalid(path.index(at), text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
        }
    }
    if list.items().len() > 2 {
        errors.invalid(path, list, "may only hold up to 2 values");
    }
}

fn unique_ports(spec: &Json, kind: &str, ports: &Path, errors: &mut FieldErrors) {
    let list = spec.get("ports").items();
    let number = |port: &Json, field: &str| port.get(field).as_i64().unwrap_or(0);
    if kind == "ClusterIP" {
        for (at, _) in list.iter().enumerate().filter(|(_, p)| number(p, "nodePort") != 0) {
            errors.forbidden(ports.index(at).child("nodePort"), "may not be used when `type` is 'ClusterIP'");
        }
    }
    let mut taken = BTreeSet::new();
    for (at, port) in list.iter().enumerate() {
        let node = number(port, "nodePort");
        if node != 0 && !taken.insert((port.get("protocol").text(), node)) {
            errors.duplicate(ports.index(at).child("nodePort"), node);
        }
    }
    let mut taken = BTreeSet::new();
    for (at, port) in list.iter().enumerate() {
        if !taken.insert((port.get("protocol").text(), number(port, "port"))) {
            let bare = crate::object! { "protocol" => port.get("protocol"), "port" => port.get("port") };
            errors.shown(Cause::Duplicate, ports.index(at), &internal::compact(&bare, "core.ServicePort"), "");
        }
    }
}

fn traffic(spec: &Json, kind: &str, path: &Path, errors: &mut FieldErrors) {
    let open = matches!(kind, "NodePort" | "LoadBalancer") || kind == "ClusterIP" && !spec.get("externalIPs").is_empty();
    let external = spec.get("externalTrafficPolicy").text();
    if open {
        one_of(external, &["Cluster", "Local"], &path.child("externalTrafficPolicy"), errors);
    } else if !external.is_empty() {
        errors.invalid(path.child("externalTrafficPolicy"), external, "may only be set for externally-accessible services");
    }
    let health = spec.get("healthCheckNodePort").as_i64().unwrap_or(0);
    if health != 0 && !(kind == "LoadBalancer" && external == "Local") {
        let text = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.invalid(path.child("healthCheckNodePort"), health, text);
    }
    let internal = spec.get("internalTrafficPolicy");
    if !internal.is_null() {
        one_of(internal.text(), &["Cluster", "Local"], &path.child("internalTrafficPolicy"), errors);
    }
}

/// The first cluster IP stays for as long as the Service has one.
pub(super) fn on_update(old: &Object, new: &Object, errors: &mut FieldErrors) {
    let (before, after) = (old.spec(), new.spec());
    let external = |spec: &Json| spec.get("type").text() == "ExternalName";
    let (had, has) = (before.get("clusterIPs").nth(0), after.get("clusterIPs").nth(0));
    if !external(before) && !external(after) && !had.is_null() && had != has {
        errors.invalid(Path::new("spec").child("clusterIPs").index(0), after.get("clusterIPs"), "may not change once set");
    }
}
