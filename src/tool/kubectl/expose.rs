//! `kubectl expose`.

use super::builder::{Builder, FILENAME, Info};
use super::command::{Call, Command};
use super::create::policies::int_or_text;
use super::failure::Failure;
use super::flags::Flag;
use super::mutation::{self, DRY_RUN, DryRun, RECORD, SAVE_CONFIG, Writer};
use super::overrides::{self, OVERRIDES};
use super::pods::go_type;
use super::printing::{PRINT, Printer};
use crate::object;
use crate::object::{Json, Object};

static FLAGS: &[Flag] = &[
    Flag::text("cluster-ip", "The IP; None for a headless Service; by the server unless given."),
    Flag::text("external-ip", "Another IP at which the Service is reached."),
    Flag::text("labels", "Labels of the Service.").short('l'),
    Flag::text("load-balancer-ip", "IP of the load balancer."),
    Flag::text("name", "Name of the Service; that of the object unless given."),
    Flag::text("port", "Port of the Service; as the object says unless given."),
    Flag::text("protocol", "Protocol; TCP unless given."),
    Flag::text("selector", "Labels of the pods; as the object says unless given."),
    Flag::text("session-affinity", "None or ClientIP."),
    Flag::text("target-port", "Name or number of the container's port."),
    Flag::text("type", "ClusterIP, NodePort, LoadBalancer or ExternalName."),
    Flag::text("field-manager", "In whose name the fields are owned.").default("kubectl-expose"),
];

/// The command.
pub static COMMAND: Command = Command::leaf(
    "kubectl expose",
    "(-f FILENAME | TYPE NAME) [--port=port] [--protocol=TCP|UDP|SCTP] [--target-port=number-or-name] [--name=name] \
     [--external-ip=external-ip-of-service] [--type=type]",
    "Take a replication controller, service, deployment or pod and expose it as a new Kubernetes service",
    &[FLAGS, FILENAME, OVERRIDES, PRINT, DRY_RUN, SAVE_CONFIG, RECORD],
    run,
);

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let writer = Writer::of(call)?;
    let mut printer = Printer::of(call, writer.dry_run)?;
    let args = call.args.clone();
    let found = Builder::new(call).continue_on_error().files(call, call.namespace_given).types_or_names(call, false, &args).fetch(call)?;
    let infos = found.flat();
    let mut failures = found.failures;
    for info in infos {
        if let Err(failure) = expose(call, &writer, &mut printer, &info) {
            failures.push(failure);
        }
    }
    Failure::all(failures)
}

fn expose(call: &mut Call<'_, '_>, writer: &Writer, printer: &mut Printer, info: &Info) -> Result<(), Failure> {
    if !can_be_exposed(info) {
        return Err(format!("cannot expose a {}", super::rollout::group_kind(info)).into());
    }
    let mut service = Object(service(call, &info.object)?);
    overrides::apply(call, &mut service)?;
    if writer.dry_run == DryRun::Client {
        if call.namespace_given {
            service.set_at(&["metadata", "namespace"], call.namespace.as_str());
        }
        return printer.print(call, &service, "exposed");
    }
    mutation::save_config(&mut service, call.flags.on("save-config"));
    let resource = call.mapper()?.resolve("services")?;
    let namespace = call.namespace.clone();
    let created = writer.create(call, &resource, Some(&namespace), service.0)?;
    printer.print(call, &created, "exposed")
}

fn can_be_exposed(info: &Info) -> bool {
    matches!(
        (info.resource.group.as_str(), info.resource.kind.as_str()),
        ("", "ReplicationController" | "Service" | "Pod") | ("apps", "Deployment" | "ReplicaSet")
    )
}

/// The Service that exposes `object` as the flags say.
fn service(call: &Call<'_, '_>, object: &Object) -> Result<Json, Failure> {
    let flag = |name| call.flags.text(name);
    let mut selector = flag("selector");
    if selector.is_empty() {
        selector = selector_of(object).map_err(|why| format!("couldn't retrieve selectors via --selector flag or introspection: {why}"))?;
    }
    let ports = ports(&flag("port"), object, flag("cluster-ip") == "None")?;
    let mut labels = flag("labels");
    if labels.is_empty() {
        labels = equalities(object.meta().get("labels"));
    }
    let selector = parse_labels(&selector)?;
    let mut metadata = object! { "name" => name_of(call, object) };
    if !labels.is_empty() {
        metadata.set("labels", parse_labels(&labels)?);
    }
    let mut spec = object! { "selector" => selector };
    let entries = port_entries(&ports, &flag("protocol"), object, &flag("target-port"))?;
    if !entries.is_empty() {
        spec.set("ports", Json::from(entries));
    }
    for (name, field) in [("type", "type"), ("cluster-ip", "clusterIP")] {
        if !flag(name).is_empty() {
            spec.set(field, flag(name));
        }
    }
    if !flag("external-ip").is_empty() {
        spec.get_mut("externalIPs").push(flag("external-ip"));
    }
    if flag("type") == "LoadBalancer" && !flag("load-balancer-ip").is_empty() {
        spec.set("loadBalancerIP", flag("load-balancer-ip"));
    }
    match flag("session-affinity").as_str() {
        "" => {}
        affinity @ ("None" | "ClientIP") => spec.set("sessionAffinity", affinity),
        other => return Err(format!("unknown session affinity: {other}").into()),
    }
    let status = object! { "loadBalancer" => object! {} };
    Ok(object! { "apiVersion" => "v1", "kind" => "Service", "metadata" => metadata, "spec" => spec, "status" => status })
}

fn name_of(call: &Call<'_, '_>, object: &Object) -> String {
    let name = call.flags.text("name");
    if name.is_empty() { object.name().chars().take(63).collect() } else { name }
}

fn equalities(labels: &Json) -> String {
    labels.entries().map(|(key, value)| format!("{key}={}", value.text())).collect::<Vec<_>>().join(",")
}

fn selector_of(object: &Object) -> Result<String, String> {
    let selector = object.at(&["spec", "selector"]);
    match object.kind() {
        "Pod" if object.meta().get("labels").is_empty() => Err("the pod has no labels and cannot be exposed".to_owned()),
        "Pod" => Ok(equalities(object.meta().get("labels"))),
        "Service" if selector.is_empty() => Err("the service has no pod selector set".to_owned()),
        "Service" | "ReplicationController" => Ok(equalities(selector)),
        _ if !selector.get("matchExpressions").is_empty() => Err(format!(
            "couldn't convert expressions - \"{}\" to map-based selector format",
            selector.get("matchExpressions").to_compact()
        )),
        "Deployment" | "ReplicaSet" => Ok(equalities(selector.get("matchLabels"))),
        _ => Err(format!("cannot extract pod selector from {}", go_type(object))),
    }
}

/// The (port, protocol) pairs that the object's containers or the Service itself have.
fn own_ports(object: &Object) -> Vec<(String, String)> {
    let protocol = |port: &Json| match port.get("protocol").text() {
        "" => "TCP".to_owned(),
        protocol => protocol.to_owned(),
    };
    let number = |port: &Json, field: &str| port.get(field).as_i64().unwrap_or(0).to_string();
    if object.kind() == "Service" {
        return object.at(&["spec", "ports"]).items().iter().map(|port| (number(port, "port"), protocol(port))).collect();
    }
    let path: &[&str] = if object.kind() == "Pod" { &["spec", "containers"] } else { &["spec", "template", "spec", "containers"] };
    let ports = object.at(path).items().iter().flat_map(|container| container.get("ports").items());
    ports.map(|port| (number(port, "containerPort"), protocol(port))).collect()
}

fn ports(given: &str, object: &Object, headless: bool) -> Result<Vec<String>, Failure> {
    if !given.is_empty() {
        return Ok(given.split(',').map(str::to_owned).collect());
    }
    let mut ports: Vec<String> = Vec::new();
    for (port, _) in own_ports(object) {
        if !ports.contains(&port) {
            ports.push(port);
        }
    }
    if ports.is_empty() && !headless {
        return Err("couldn't find port via --port flag or introspection".into());
    }
    Ok(ports)
}

fn port_entries(ports: &[String], protocol: &str, object: &Object, target: &str) -> Result<Vec<Json>, Failure> {
    let own = own_ports(object);
    let mut entries = Vec::new();
    for (at, text) in ports.iter().enumerate() {
        let wrong = || format!("strconv.Atoi: parsing {}: invalid syntax", super::failure::quote(text));
        let port: i64 = text.parse().map_err(|_| wrong())?;
        let name = if ports.len() > 1 { format!("port-{}", at + 1) } else { String::new() };
        let mut protocols: Vec<&str> = own.iter().filter(|(p, _)| p == text).map(|(_, protocol)| protocol.as_str()).collect();
        protocols.dedup();
        let several = protocol.is_empty() && protocols.len() > 1;
        if !protocol.is_empty() || protocols.is_empty() {
            protocols = vec![if protocol.is_empty() { "TCP" } else { protocol }];
        }
        for protocol in protocols {
            let mut entry = object! { "port" => port, "protocol" => protocol };
            let name = if several { format!("port-{}-{}", at + 1, protocol.to_lowercase()) } else { name.clone() };
            if !name.is_empty() {
                entry.set("name", name);
            }
            entry.set("targetPort", if target.is_empty() { Json::Int(port) } else { int_or_text(target) });
            entries.push(entry);
        }
    }
    Ok(entries)
}

/// `a=b,c=d` as labels.
///
/// # Errors
/// kubectl's text for anything else.
pub fn parse_labels(text: &str) -> Result<Json, String> {
    let mut labels = object! {};
    for part in text.split(',') {
        let halves: Vec<&str> = part.split('=').collect();
        match halves.as_slice() {
            ["", _] => return Err("unexpected empty label key".to_owned()),
            [key, value] => labels.set(key, *value),
            _ => return Err(format!("unexpected label spec: {part}")),
        }
    }
    Ok(labels)
}
