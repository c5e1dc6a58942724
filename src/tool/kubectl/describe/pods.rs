//! Pods, their containers, and pod templates.

use super::sheet::{Sheet, date, joined, or_none, shown};
use super::{Scene, volumes};
use crate::cluster::Options;
use crate::object::{Json, Object, Quantity};
use crate::tool::kubectl::failure::{Failure, quote};
use crate::tool::kubectl::table::{age, selector_text};

/// A pod.
pub fn pod(scene: &mut Scene<'_, '_, '_>, pod: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    let (spec, status) = (pod.spec(), pod.status());
    heading(scene, pod, sheet);
    sheet.field(0, "IP", status.get("podIP").text());
    let ips = status.get("podIPs").items();
    if ips.is_empty() {
        sheet.field(0, "IPs", "<none>");
    } else {
        sheet.line(0, "IPs:");
        for ip in ips {
            sheet.field(1, "IP", ip.get("ip").text());
        }
    }
    controlled_by(pod, sheet);
    if !status.get("nominatedNodeName").is_empty() {
        sheet.field(0, "NominatedNodeName", status.get("nominatedNodeName").text());
    }
    if !spec.get("resources").is_null() {
        sheet.line(0, "Resources:");
        resources(spec.get("resources"), sheet, 1);
    }
    let kinds = [
        ("Init Containers", "initContainers", "initContainerStatuses"),
        ("Containers", "containers", "containerStatuses"),
        ("Ephemeral Containers", "ephemeralContainers", "ephemeralContainerStatuses"),
    ];
    for (label, field, statuses) in kinds {
        if field == "containers" || !spec.get(field).is_empty() {
            containers(label, spec.get(field), Some((pod, status.get(statuses))), sheet, "");
        }
    }
    conditions(pod, sheet);
    volumes::of_pod(scene, spec.get("volumes"), sheet, "");
    let qos = status.get("qosClass").text();
    sheet.field(0, "QoS Class", if qos.is_empty() { crate::object::qos::class_of(pod) } else { qos });
    placement(spec, sheet, "");
    let mirror = pod.annotation("kubernetes.io/config.mirror");
    let events = scene.events_about(pod, "", mirror.unwrap_or(pod.uid()));
    scene.write_these_events(events, sheet);
    Ok(())
}

fn heading(scene: &Scene<'_, '_, '_>, pod: &Object, sheet: &mut Sheet) {
    let (spec, status) = (pod.spec(), pod.status());
    sheet.field(0, "Name", pod.name());
    sheet.field(0, "Namespace", pod.namespace());
    if let Some(priority) = spec.get("priority").as_i64() {
        sheet.field(0, "Priority", priority);
    }
    let named = [
        ("Priority Class Name", "priorityClassName"),
        ("Runtime Class Name", "runtimeClassName"),
        ("Service Account", "serviceAccountName"),
    ];
    for (title, field) in named {
        if !spec.get(field).is_empty() {
            sheet.field(0, title, spec.get(field).text());
        }
    }
    match spec.get("nodeName").text() {
        "" => sheet.field(0, "Node", "<none>"),
        node => sheet.field(0, "Node", format_args!("{node}/{}", status.get("hostIP").text())),
    }
    if !status.get("startTime").is_null() {
        sheet.field(0, "Start Time", date(status.get("startTime")));
    }
    sheet.metadata(pod);
    let phase = status.get("phase").text();
    if pod.is_terminating() && !matches!(phase, "Failed" | "Succeeded") {
        sheet.field(0, "Status", format_args!("Terminating (lasts {})", age(pod.meta().get("deletionTimestamp"), scene.now)));
        let grace = pod.meta().get("deletionGracePeriodSeconds").as_i64().unwrap_or(0);
        sheet.field(0, "Termination Grace Period", format_args!("{grace}s"));
    } else {
        sheet.field(0, "Status", phase);
    }
    for (title, field) in [("Reason", "reason"), ("Message", "message")] {
        if !status.get(field).is_empty() {
            sheet.field(0, title, status.get(field).text());
        }
    }
    seccomp(spec.get("securityContext"), sheet, 0, 0);
}

fn seccomp(context: &Json, sheet: &mut Sheet, level: usize, deeper: usize) {
    let profile = context.get("seccompProfile");
    if profile.is_null() {
        return;
    }
    sheet.field(level, "SeccompProfile", profile.get("type").text());
    if profile.get("type").text() == "Localhost" {
        sheet.field(deeper, "LocalhostProfile", profile.get("localhostProfile").text());
    }
}

/// `Controlled By:`, when there is a controller.
pub fn controlled_by(object: &Object, sheet: &mut Sheet) {
    if let Some(owner) = object.controller() {
        sheet.field(0, "Controlled By", format_args!("{}/{}", owner.get("kind").text(), owner.get("name").text()));
    }
}

fn conditions(pod: &Object, sheet: &mut Sheet) {
    let gates = pod.spec().get("readinessGates").items();
    if !gates.is_empty() {
        sheet.line(0, "Readiness Gates:\n  Type\tStatus");
        for gate in gates {
            let kind = gate.get("conditionType").text();
            let status = pod.condition(kind).map_or("<none>", |c| c.get("status").text());
            sheet.line(1, format_args!("{kind} \t{status} "));
        }
    }
    let conditions = pod.status().get("conditions").items();
    if !conditions.is_empty() {
        sheet.line(0, "Conditions:\n  Type\tStatus");
        for condition in conditions {
            sheet.line(1, format_args!("{} \t{} ", condition.get("type").text(), condition.get("status").text()));
        }
    }
}

/// Where the pod may run.
fn placement(spec: &Json, sheet: &mut Sheet, indent: &str) {
    sheet.labels("", &format!("{indent}Node-Selectors"), spec.get("nodeSelector"));
    tolerations(spec.get("tolerations"), sheet, indent);
    if indent.is_empty() {
        spread(spec.get("topologySpreadConstraints"), sheet, indent);
    }
}

fn tolerations(tolerations: &Json, sheet: &mut Sheet, indent: &str) {
    sheet.part(0, format_args!("{indent}Tolerations:\t"));
    let mut sorted: Vec<&Json> = tolerations.items().iter().collect();
    sorted.sort_by_key(|t| t.get("key").text());
    if sorted.is_empty() {
        return sheet.raw("<none>\n");
    }
    for (at, toleration) in sorted.into_iter().enumerate() {
        let (key, value, effect) = (toleration.get("key").text(), toleration.get("value").text(), toleration.get("effect").text());
        let mut text = key.to_owned();
        if !value.is_empty() {
            text.push_str(&format!("={value}"));
        }
        if !effect.is_empty() {
            text.push_str(&format!(":{effect}"));
        }
        if toleration.get("operator").text() == "Exists" && value.is_empty() {
            text.push_str(if key.is_empty() && effect.is_empty() { "op=Exists" } else { " op=Exists" });
        }
        if let Some(seconds) = toleration.get("tolerationSeconds").as_i64() {
            text.push_str(&format!(" for {seconds}s"));
        }
        sheet.line(0, format_args!("{}{text}", if at > 0 { "\t" } else { "" }));
    }
}

fn spread(constraints: &Json, sheet: &mut Sheet, indent: &str) {
    let mut sorted: Vec<&Json> = constraints.items().iter().collect();
    sorted.sort_by_key(|c| c.get("topologyKey").text());
    for (at, constraint) in sorted.into_iter().enumerate() {
        let lead = if at == 0 { format!("{indent}Topology Spread Constraints:\t") } else { format!("{indent}\t") };
        let skew = constraint.get("maxSkew").as_i64().unwrap_or(0);
        let selector = match constraint.get("labelSelector") {
            Json::Null => String::new(),
            selector => format!(" for selector {}", selector_text(selector)),
        };
        let (key, unsatisfiable) = (constraint.get("topologyKey").text(), constraint.get("whenUnsatisfiable").text());
        sheet.line(0, format_args!("{lead}{key}:{unsatisfiable} when max skew {skew} is exceeded{selector}"));
    }
}

/// A pod template.
pub fn template(scene: &mut Scene<'_, '_, '_>, template: &Json, sheet: &mut Sheet) {
    sheet.line(0, "Pod Template:");
    if template.is_null() {
        return sheet.part(1, "<unset>");
    }
    let spec = template.get("spec");
    sheet.labels("", "  Labels", template.at(&["metadata", "labels"]));
    if !template.at(&["metadata", "annotations"]).is_empty() {
        sheet.annotations("  Annotations", template.at(&["metadata", "annotations"]));
    }
    if !spec.get("serviceAccountName").is_empty() {
        sheet.field(1, "Service Account", spec.get("serviceAccountName").text());
    }
    if !spec.get("initContainers").is_empty() {
        containers("Init Containers", spec.get("initContainers"), None, sheet, "  ");
    }
    containers("Containers", spec.get("containers"), None, sheet, "  ");
    volumes::of_pod(scene, spec.get("volumes"), sheet, "  ");
    spread(spec.get("topologySpreadConstraints"), sheet, "  ");
    if !spec.get("priorityClassName").is_empty() {
        sheet.field(1, "Priority Class Name", spec.get("priorityClassName").text());
    }
    placement(spec, sheet, "  ");
}

/// Containers; `pod` has their statuses where there are some.
fn containers(label: &str, containers: &Json, pod: Option<(&Object, &Json)>, sheet: &mut Sheet, indent: &str) {
    sheet.line(0, format_args!("{indent}{label}:{}", if containers.is_empty() { " <none>" } else { "" }));
    for container in containers.items() {
        let name = container.get("name").text();
        let status = pod.and_then(|(_, statuses)| statuses.find("name", name));
        sheet.line(1, format_args!("{}{name}:", if indent.is_empty() { "" } else { " " }));
        basics(container, status, sheet);
        command(container, sheet);
        if let Some(status) = status {
            state("State", status.get("state"), sheet);
            if !status.at(&["lastState", "terminated"]).is_null() {
                state("Last State", status.get("lastState"), sheet);
            }
            sheet.field(2, "Ready", if status.get("ready").is_true() { "True" } else { "False" });
            sheet.field(2, "Restart Count", status.get("restartCount").as_i64().unwrap_or(0));
        }
        resources(container.get("resources"), sheet, 2);
        for (title, field) in [("Liveness", "livenessProbe"), ("Readiness", "readinessProbe"), ("Startup", "startupProbe")] {
            if !container.get(field).is_null() {
                sheet.field(2, title, probe(container.get(field)));
            }
        }
        environment_sources(container, sheet);
        environment(container, pod.map(|(pod, _)| pod), sheet);
        mounts(container, sheet);
    }
}

fn basics(container: &Json, status: Option<&Json>, sheet: &mut Sheet) {
    if let Some(status) = status {
        sheet.field(2, "Container ID", status.get("containerID").text());
    }
    sheet.field(2, "Image", container.get("image").text());
    if let Some(status) = status {
        sheet.field(2, "Image ID", status.get("imageID").text());
    }
    for (one, many, field) in [("Port", "Ports", "containerPort"), ("Host Port", "Host Ports", "hostPort")] {
        let port = |port: &Json| {
            let text = format!("{}/{}", port.get(field).as_i64().unwrap_or(0), port.get("protocol").text());
            let name = port.get("name").text();
            if name.is_empty() { text } else { format!("{text} ({name})") }
        };
        let ports = container.get("ports").items().iter().map(port).collect::<Vec<_>>().join(", ");
        sheet.field(2, if ports.contains(',') { many } else { one }, or_none(&ports));
    }
    seccomp(container.get("securityContext"), sheet, 2, 3);
}

fn command(container: &Json, sheet: &mut Sheet) {
    for (title, field) in [("Command:", "command"), ("Args:", "args")] {
        let words = container.get(field).items();
        if words.is_empty() {
            continue;
        }
        sheet.line(2, title);
        for line in words.iter().flat_map(|word| word.text().split('\n')) {
            sheet.line(3, line);
        }
    }
}

fn state(title: &str, state: &Json, sheet: &mut Sheet) {
    let (running, waiting, ended) = (state.get("running"), state.get("waiting"), state.get("terminated"));
    if !running.is_null() {
        sheet.field(2, title, "Running");
        sheet.field(3, "Started", date(running.get("startedAt")));
    } else if !waiting.is_null() || ended.is_null() {
        sheet.field(2, title, "Waiting");
        if !waiting.get("reason").is_empty() {
            sheet.field(3, "Reason", waiting.get("reason").text());
        }
    } else {
        sheet.field(2, title, "Terminated");
        for (title, field) in [("Reason", "reason"), ("Message", "message")] {
            if !ended.get(field).is_empty() {
                sheet.field(3, title, ended.get(field).text());
            }
        }
        sheet.field(3, "Exit Code", ended.get("exitCode").as_i64().unwrap_or(0));
        if let Some(signal) = ended.get("signal").as_i64().filter(|signal| *signal > 0) {
            sheet.field(3, "Signal", signal);
        }
        sheet.field(3, "Started", date(ended.get("startedAt")));
        sheet.field(3, "Finished", date(ended.get("finishedAt")));
    }
}

/// Limits and requests.
pub fn resources(resources: &Json, sheet: &mut Sheet, level: usize) {
    for (title, field) in [("Limits:", "limits"), ("Requests:", "requests")] {
        if resources.get(field).is_empty() {
            continue;
        }
        sheet.line(level, title);
        for (name, quantity) in resources.get(field).entries() {
            sheet.field(level + 1, name, shown(quantity, "0"));
        }
    }
}

/// A probe in one line.
fn probe(probe: &Json) -> String {
    let number = |field: &str| probe.get(field).as_i64().unwrap_or(0);
    let attributes = format!(
        "delay={}s timeout={}s period={}s #success={} #failure={}",
        number("initialDelaySeconds"),
        number("timeoutSeconds"),
        number("periodSeconds"),
        number("successThreshold"),
        number("failureThreshold")
    );
    let (exec, http, tcp, grpc) = (probe.get("exec"), probe.get("httpGet"), probe.get("tcpSocket"), probe.get("grpc"));
    if !exec.is_null() {
        return format!("exec [{}] {attributes}", joined(exec.get("command"), " "));
    }
    if !http.is_null() {
        let host = http.get("host").text();
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let (port, path) = (shown(http.get("port"), "0"), http.get("path").text());
        let slash = if path.is_empty() || path.starts_with('/') { "" } else { "/" };
        let scheme = http.get("scheme").text().to_lowercase();
        return format!("http-get {scheme}://{host}:{port}{slash}{} {attributes}", escaped_path(path));
    }
    if !tcp.is_null() {
        return format!("tcp-socket {}:{} {attributes}", tcp.get("host").text(), shown(tcp.get("port"), "0"));
    }
    if !grpc.is_null() {
        return format!("grpc <pod>:{} {} {attributes}", grpc.get("port").as_i64().unwrap_or(0), grpc.get("service").text());
    }
    format!("unknown {attributes}")
}

/// A path as Go's `url.URL` prints it.
fn escaped_path(path: &str) -> String {
    let kept = |b: u8| b.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@!'()*".contains(&b);
    path.bytes().map(|b| if kept(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn environment_sources(container: &Json, sheet: &mut Sheet) {
    let sources = container.get("envFrom").items();
    if sources.is_empty() {
        return;
    }
    sheet.line(2, "Environment Variables from:");
    for source in sources {
        let known = [("ConfigMap", source.get("configMapRef")), ("Secret", source.get("secretRef"))];
        let (from, reference) = known.into_iter().find(|(_, r)| !r.is_null()).unwrap_or(("", &crate::object::NULL));
        let (name, optional) = (reference.get("name").text(), reference.get("optional").is_true());
        let prefix = source.get("prefix").text();
        let with = if prefix.is_empty() { String::new() } else { format!(" with prefix '{prefix}'") };
        sheet.line(3, format_args!("{name}\t{from}{with}\tOptional: {optional}"));
    }
}

fn environment(container: &Json, pod: Option<&Object>, sheet: &mut Sheet) {
    let variables = container.get("env").items();
    sheet.line(2, if variables.is_empty() { "Environment:\t<none>" } else { "Environment:" });
    for variable in variables {
        let name = variable.get("name").text();
        let from = variable.get("valueFrom");
        if from.is_null() {
            for (at, line) in variable.get("value").text().split('\n').enumerate() {
                let lead = if at == 0 { format!("{name}:") } else { String::new() };
                sheet.line(3, format_args!("{lead}\t{line}"));
            }
            continue;
        }
        let (field, resource) = (from.get("fieldRef"), from.get("resourceFieldRef"));
        if !field.is_null() {
            let path = field.get("fieldPath").text();
            let value = pod.map_or("", |pod| pod_field(pod, path));
            sheet.field(3, name, format_args!("{value} ({}:{path})", field.get("apiVersion").text()));
        } else if !resource.is_null() {
            sheet.field(3, name, format_args!("{} ({})", resource_field(resource, container), resource.get("resource").text()));
        } else {
            key_reference(name, from, sheet);
        }
    }
}

fn key_reference(name: &str, from: &Json, sheet: &mut Sheet) {
    let known = [("in secret", from.get("secretKeyRef")), ("of config map", from.get("configMapKeyRef"))];
    let Some((what, reference)) = known.into_iter().find(|(_, r)| !r.is_null()) else { return };
    let (key, of, optional) = (reference.get("key").text(), reference.get("name").text(), reference.get("optional").is_true());
    sheet.field(3, name, format_args!("<set to the key '{key}' {what} '{of}'>\tOptional: {optional}"));
}

/// The fields of a pod that kubectl resolves.
fn pod_field<'p>(pod: &'p Object, path: &str) -> &'p str {
    match path {
        "metadata.name" => pod.name(),
        "metadata.namespace" => pod.namespace(),
        _ => "",
    }
}

/// A container's own limit or request in units of the divisor.
fn resource_field(reference: &Json, container: &Json) -> String {
    let resource = reference.get("resource").text();
    let Some((kind, name)) = resource.split_once('.') else { return String::new() };
    let known = matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
    if !known || !matches!(kind, "limits" | "requests") {
        return String::new();
    }
    let amount = Quantity::of(container.at(&["resources", kind, name])).unwrap_or(Quantity::ZERO);
    let divisor = Quantity::of(reference.get("divisor")).filter(|d| !d.is_zero()).unwrap_or(Quantity::from_int(1));
    let ceiling = |a: i64, b: i64| if b == 0 { 0 } else { a.div_euclid(b) + i64::from(a.rem_euclid(b) != 0) };
    let count = match name {
        "cpu" => ceiling(amount.milli_value(), divisor.milli_value()),
        _ => ceiling(amount.value(), divisor.value()),
    };
    if count == 0 && matches!(resource, "limits.cpu" | "limits.memory") { "node allocatable".to_owned() } else { count.to_string() }
}

fn mounts(container: &Json, sheet: &mut Sheet) {
    let none = container.get("volumeMounts").is_empty();
    sheet.line(2, if none { "Mounts:\t<none>" } else { "Mounts:" });
    let mut mounts: Vec<&Json> = container.get("volumeMounts").items().iter().collect();
    mounts.sort_by_key(|mount| mount.get("mountPath").text());
    for mount in mounts {
        let mut flags = if mount.get("readOnly").is_true() { "ro" } else { "rw" }.to_owned();
        if !mount.get("subPath").is_empty() {
            flags.push_str(&format!(",path={}", quote(mount.get("subPath").text())));
        }
        sheet.line(3, format_args!("{} from {} ({flags})", mount.get("mountPath").text(), mount.get("name").text()));
    }
    let mut devices: Vec<&Json> = container.get("volumeDevices").items().iter().collect();
    if devices.is_empty() {
        return;
    }
    devices.sort_by_key(|device| device.get("devicePath").text());
    sheet.line(2, if none { "Devices:\t<none>" } else { "Devices:" });
    for device in devices {
        sheet.line(3, format_args!("{} from {}", device.get("devicePath").text(), device.get("name").text()));
    }
}

/// How many of a controller's pods are in each phase.
pub fn counts(scene: &mut Scene<'_, '_, '_>, object: &Object, label_selector: String) -> Result<String, Failure> {
    let options = Options { label_selector, ..Options::default() };
    let pods = scene.try_list("", "pods", Some(object.namespace()), options)?;
    let owned = |pod: &&Object| pod.controller().is_some_and(|owner| owner.get("uid").text() == object.uid());
    let owned: Vec<&Object> = pods.iter().filter(owned).collect();
    let in_phase = |phase: &str| owned.iter().filter(|pod| pod.status().get("phase").text() == phase).count();
    Ok(format!(
        "{} Running / {} Waiting / {} Succeeded / {} Failed",
        in_phase("Running"),
        in_phase("Pending"),
        in_phase("Succeeded"),
        in_phase("Failed")
    ))
}
