//! Services and what stands behind them.

use super::Scene;
use super::sheet::{Sheet, date, joined, labels_line, or_none, shown};
use crate::cluster::Options;
use crate::object::{Json, Object};
use crate::tool::kubectl::failure::Failure;
use crate::tool::kubectl::table::{host_port, load_balancer};

/// The EndpointSlices of a Service.
fn slices(scene: &mut Scene<'_, '_, '_>, namespace: &str, service: &str) -> Result<Vec<Object>, Failure> {
    let options = Options { label_selector: format!("kubernetes.io/service-name={service}"), ..Options::default() };
    scene.try_list("discovery.k8s.io", "endpointslices", Some(namespace), options)
}

/// The ready addresses of EndpointSlices at ports of a name, at most three of them.
fn addresses(slices: &[Object], port_name: &str) -> String {
    if slices.is_empty() {
        return "<none>".to_owned();
    }
    let (mut list, mut more, mut count): (Vec<String>, bool, usize) = (Vec::new(), false, 0);
    for slice in slices {
        let all_ports = slice.get("ports").items();
        let named: Vec<Option<&Json>> = match all_ports {
            [] => vec![None],
            ports => ports.iter().filter(|port| port.get("name").text() == port_name).map(Some).collect(),
        };
        for port in named {
            for endpoint in slice.get("endpoints").items() {
                more |= list.len() == 3;
                if endpoint.at(&["conditions", "ready"]).as_bool() == Some(false) {
                    continue;
                }
                if !more {
                    let address = endpoint.get("addresses").nth(0).text();
                    let number = port.map(|port| port.get("port").as_i64().unwrap_or(0));
                    list.push(number.map_or_else(|| address.to_owned(), |number| host_port(address, number)));
                }
                count += 1;
            }
        }
    }
    let shown = list.join(",");
    if more { format!("{shown} + {} more...", i64::try_from(count).unwrap_or(0) - 3) } else { shown }
}

/// A Service.
pub fn service(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    let spec = object.spec();
    let slices = slices(scene, object.namespace(), object.name()).unwrap_or_default();
    sheet.head(object);
    sheet.field(0, "Selector", labels_line(spec.get("selector")));
    sheet.field(0, "Type", spec.get("type").text());
    if !spec.get("ipFamilyPolicy").is_null() {
        sheet.field(0, "IP Family Policy", spec.get("ipFamilyPolicy").text());
    }
    sheet.field(0, "IP Families", or_none(&joined(spec.get("ipFamilies"), ",")));
    sheet.field(0, "IP", spec.get("clusterIP").text());
    sheet.field(0, "IPs", or_none(&joined(spec.get("clusterIPs"), ",")));
    let optional = [
        ("External IPs", joined(spec.get("externalIPs"), ",")),
        ("Desired LoadBalancer IP", spec.get("loadBalancerIP").text().to_owned()),
        ("External Name", spec.get("externalName").text().to_owned()),
        ("LoadBalancer Ingress", ingress_points(object.status().at(&["loadBalancer", "ingress"]))),
    ];
    for (title, text) in optional.iter().filter(|(_, text)| !text.is_empty()) {
        sheet.field(0, title, text);
    }
    for port in spec.get("ports").items() {
        let (name, protocol) = (port.get("name").text(), port.get("protocol").text());
        let shown_name = if name.is_empty() { "<unset>" } else { name };
        sheet.field(0, "Port", format_args!("{shown_name}\t{}/{protocol}", port.get("port").as_i64().unwrap_or(0)));
        sheet.field(0, "TargetPort", format_args!("{}/{protocol}", shown(port.get("targetPort"), "0")));
        if let Some(node_port) = port.get("nodePort").as_i64().filter(|n| *n != 0) {
            sheet.field(0, "NodePort", format_args!("{shown_name}\t{node_port}/{protocol}"));
        }
        sheet.field(0, "Endpoints", addresses(&slices, name));
    }
    sheet.field(0, "Session Affinity", spec.get("sessionAffinity").text());
    let optional = [
        ("External Traffic Policy", shown(spec.get("externalTrafficPolicy"), "")),
        ("Internal Traffic Policy", shown(spec.get("internalTrafficPolicy"), "")),
        ("HealthCheck NodePort", shown(spec.get("healthCheckNodePort"), "")),
        ("LoadBalancer Source Ranges", joined(spec.get("loadBalancerSourceRanges"), ",")),
        ("Traffic Distribution", shown(spec.get("trafficDistribution"), "")),
    ];
    for (title, text) in optional.iter().filter(|(_, text)| !text.is_empty() && text != "0") {
        sheet.field(0, title, text);
    }
    scene.write_events(object, sheet);
    Ok(())
}

fn ingress_points(points: &Json) -> String {
    let point = |point: &Json| match (point.get("ip").text(), point.get("ipMode").text()) {
        ("", _) => point.get("hostname").text().to_owned(),
        (ip, "") => ip.to_owned(),
        (ip, mode) => format!("{ip} ({mode})"),
    };
    points.items().iter().map(point).collect::<Vec<_>>().join(", ")
}

/// Endpoints.
pub fn endpoints(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    sheet.head(object);
    sheet.line(0, "Subsets:");
    for subset in object.get("subsets").items() {
        for (title, field) in [("Addresses", "addresses"), ("NotReadyAddresses", "notReadyAddresses")] {
            let ips: Vec<&str> = subset.get(field).items().iter().map(|address| address.get("ip").text()).collect();
            sheet.field(1, title, or_none(&ips.join(",")));
        }
        if !subset.get("ports").is_empty() {
            sheet.line(1, "Ports:");
            sheet.line(2, "Name\tPort\tProtocol");
            sheet.line(2, "----\t----\t--------");
            for port in subset.get("ports").items() {
                let name = port.get("name").text();
                let name = if name.is_empty() { "<unset>" } else { name };
                sheet.line(2, format_args!("{name}\t{}\t{}", port.get("port").as_i64().unwrap_or(0), port.get("protocol").text()));
            }
        }
        sheet.line(0, "");
    }
    scene.write_events(object, sheet);
    Ok(())
}

/// An EndpointSlice.
pub fn endpoint_slice(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    sheet.head(object);
    sheet.field(0, "AddressType", object.get("addressType").text());
    if object.get("ports").is_empty() {
        sheet.line(0, "Ports: <unset>");
    } else {
        sheet.line(0, "Ports:");
        sheet.line(1, "Name\tPort\tProtocol");
        sheet.line(1, "----\t----\t--------");
        for port in object.get("ports").items() {
            let name = port.get("name").text();
            let name = if name.is_empty() { "<unset>" } else { name };
            sheet.line(1, format_args!("{name}\t{}\t{}", shown(port.get("port"), "<unset>"), port.get("protocol").text()));
        }
    }
    if object.get("endpoints").is_empty() {
        sheet.line(0, "Endpoints: <none>");
    } else {
        sheet.line(0, "Endpoints:");
    }
    for endpoint in object.get("endpoints").items() {
        sheet.field(1, "- Addresses", or_none(&joined(endpoint.get("addresses"), ", ")));
        sheet.line(2, "Conditions:");
        sheet.field(3, "Ready", shown(endpoint.at(&["conditions", "ready"]), "<unset>"));
        sheet.field(2, "Hostname", shown(endpoint.get("hostname"), "<unset>"));
        let target = endpoint.get("targetRef");
        if !target.is_null() {
            sheet.field(2, "TargetRef", format_args!("{}/{}", target.get("kind").text(), target.get("name").text()));
        }
        sheet.field(2, "NodeName", shown(endpoint.get("nodeName"), "<unset>"));
        sheet.field(2, "Zone", shown(endpoint.get("zone"), "<unset>"));
    }
    scene.write_events(object, sheet);
    Ok(())
}

/// What an Ingress sends requests to.
fn backend(scene: &mut Scene<'_, '_, '_>, namespace: &str, backend: &Json) -> String {
    let (service, resource) = (backend.get("service"), backend.get("resource"));
    if !service.is_null() {
        let (name, port) = (service.get("name").text(), service.get("port"));
        let number = port.get("number").as_i64().filter(|n| *n != 0);
        let title = format!("{name}:{}", number.map_or_else(|| port.get("name").text().to_owned(), |n| n.to_string()));
        let found = slices(scene, namespace, name).and_then(|slices| Ok((slices, scene.read("", "services", Some(namespace), name)?)));
        let (slices, object) = match found {
            Ok(found) => found,
            Err(failure) => return format!("{title} (<error: {failure}>)"),
        };
        let fits = |candidate: &&Json| match number {
            Some(number) => candidate.get("port").as_i64() == Some(number),
            None => !port.get("name").is_empty() && candidate.get("name").text() == port.get("name").text(),
        };
        let port_name = object.spec().get("ports").items().iter().rfind(fits).map_or("", |port| port.get("name").text());
        return format!("{title} ({})", addresses(&slices, port_name));
    }
    if !resource.is_null() {
        let group = shown(resource.get("apiGroup"), "<none>");
        return format!("APIGroup: {group}, Kind: {}, Name: {}", resource.get("kind").text(), resource.get("name").text());
    }
    String::new()
}

/// An Ingress.
pub fn ingress(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    let (spec, namespace) = (object.spec(), object.namespace());
    sheet.field(0, "Name", object.name());
    sheet.labels("", "Labels", object.meta().get("labels"));
    sheet.field(0, "Namespace", namespace);
    sheet.field(0, "Address", load_balancer(object.status()));
    sheet.field(0, "Ingress Class", shown(spec.get("ingressClassName"), "<none>"));
    let default = match spec.get("defaultBackend") {
        Json::Null => "<default>".to_owned(),
        default => backend(scene, namespace, default),
    };
    sheet.field(0, "Default backend", &default);
    if !spec.get("tls").is_empty() {
        sheet.line(0, "TLS:");
    }
    for tls in spec.get("tls").items() {
        let hosts = joined(tls.get("hosts"), ",");
        match tls.get("secretName").text() {
            "" => sheet.line(1, format_args!("SNI routes {hosts}")),
            secret => sheet.line(1, format_args!("{secret} terminates {hosts}")),
        }
    }
    sheet.line(0, "Rules:\n  Host\tPath\tBackends");
    sheet.line(1, "----\t----\t--------");
    let mut any = false;
    for rule in spec.get("rules").items().iter().filter(|rule| !rule.get("http").is_null()) {
        any = true;
        let host = rule.get("host").text();
        sheet.line(1, format_args!("{}\t", if host.is_empty() { "*" } else { host }));
        for path in rule.at(&["http", "paths"]).items() {
            let target = backend(scene, namespace, path.get("backend"));
            sheet.line(2, format_args!("\t{} \t{target}", path.get("path").text()));
        }
    }
    if !any {
        sheet.line(1, format_args!("*\t*\t{default}"));
    }
    sheet.annotations("Annotations", object.meta().get("annotations"));
    scene.write_events(object, sheet);
    Ok(())
}

/// An IngressClass.
pub fn ingress_class(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    sheet.field(0, "Name", object.name());
    sheet.metadata(object);
    sheet.field(0, "Controller", object.spec().get("controller").text());
    let parameters = object.spec().get("parameters");
    if !parameters.is_null() {
        sheet.line(0, "Parameters:");
        if !parameters.get("apiGroup").is_null() {
            sheet.field(1, "APIGroup", parameters.get("apiGroup").text());
        }
        sheet.field(1, "Kind", parameters.get("kind").text());
        sheet.field(1, "Name", parameters.get("name").text());
    }
    scene.write_events(object, sheet);
    Ok(())
}

/// A ServiceCIDR.
pub fn service_cidr(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    sheet.field(0, "Name", object.name());
    sheet.metadata(object);
    sheet.field(0, "CIDRs", joined(object.spec().get("cidrs"), ", "));
    let conditions = object.status().get("conditions").items();
    if !conditions.is_empty() {
        sheet.line(0, "Status:");
        full_conditions(conditions, sheet);
    }
    scene.write_events(object, sheet);
    Ok(())
}

/// Conditions with type, status, time, reason and message.
pub fn full_conditions(conditions: &[Json], sheet: &mut Sheet) {
    sheet.line(0, "Conditions:");
    sheet.line(1, "Type\tStatus\tLastTransitionTime\tReason\tMessage");
    sheet.line(1, "----\t------\t------------------\t------\t-------");
    for condition in conditions {
        let text = |field: &str| condition.get(field).text();
        let at = date(condition.get("lastTransitionTime"));
        sheet.line(1, format_args!("{}\t{}\t{at}\t{}\t{}", text("type"), text("status"), text("reason"), text("message")));
    }
}

/// An IPAddress.
pub fn ip_address(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    sheet.field(0, "Name", object.name());
    sheet.metadata(object);
    let parent = object.spec().get("parentRef");
    if !parent.is_null() {
        sheet.line(0, "Parent Reference:");
        for (title, field) in [("Group", "group"), ("Resource", "resource"), ("Namespace", "namespace"), ("Name", "name")] {
            sheet.field(1, title, parent.get(field).text());
        }
    }
    scene.write_events(object, sheet);
    Ok(())
}
