//! Containers: images, ports, environment, mounts, probes, resources.

use super::path::Path;
use super::volumes::Volumes;
use super::{FieldErrors, complain, internal, non_negative, one_of};
use crate::cluster::sim::api::errors::Cause;
use crate::object::{Json, Quantity, names};
use std::collections::BTreeSet;

const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

/// The containers of all three lists.
pub(super) fn check_all(spec: &Json, volumes: &Volumes, path: &Path, errors: &mut FieldErrors) {
    let grace = spec.get("terminationGracePeriodSeconds").as_i64();
    let list = path.child("containers");
    let containers = spec.get("containers").items();
    if containers.is_empty() {
        errors.required(list, "");
    }
    let mut taken = BTreeSet::new();
    for (at, container) in containers.iter().enumerate() {
        let path = list.index(at);
        common(container, volumes, &path, errors);
        unique_name(container, &mut taken, &path, errors);
        lifecycle(container, grace, &path, errors);
        probes(container, &path, errors);
    }
    host_ports(containers, &list, errors);
    init_containers(spec, volumes, (&mut taken, grace), &path.child("initContainers"), errors);
    ephemeral(spec, volumes, &mut taken, &path.child("ephemeralContainers"), errors);
}

fn unique_name<'a>(container: &'a Json, taken: &mut BTreeSet<&'a str>, path: &Path, errors: &mut FieldErrors) {
    let name = container.get("name").text();
    if !taken.insert(name) {
        errors.duplicate(path.child("name"), name);
    }
}

fn init_containers<'a>(
    spec: &'a Json,
    volumes: &Volumes,
    (taken, grace): (&mut BTreeSet<&'a str>, Option<i64>),
    list: &Path,
    errors: &mut FieldErrors,
) {
    for (at, container) in spec.get("initContainers").items().iter().enumerate() {
        let path = list.index(at);
        common(container, volumes, &path, errors);
        let policy = container.get("restartPolicy");
        let restartable = policy.text() == "Always";
        if !policy.is_null() && !restartable {
            errors.not_supported(path.child("restartPolicy"), policy.text(), &["Always"]);
        }
        if !container.get("name").text().is_empty() {
            unique_name(container, taken, &path, errors);
        }
        if restartable {
            lifecycle(container, grace, &path, errors);
            probes(container, &path, errors);
            continue;
        }
        for field in ["lifecycle", PROBES[0], PROBES[1], PROBES[2]] {
            if !container.get(field).is_null() {
                errors.forbidden(path.child(field), "may not be set for init containers without restartPolicy=Always");
            }
        }
    }
}

fn ephemeral<'a>(spec: &'a Json, volumes: &Volumes, taken: &mut BTreeSet<&'a str>, list: &Path, errors: &mut FieldErrors) {
    for (at, container) in spec.get("ephemeralContainers").items().iter().enumerate() {
        let path = list.index(at);
        common(container, volumes, &path, errors);
        unique_name(container, taken, &path, errors);
        let target = container.get("targetContainerName").text();
        if !target.is_empty() && spec.get("containers").find("name", target).is_none() {
            errors.not_found(path.child("targetContainerName"), target);
        }
        for field in ["ports", PROBES[0], PROBES[1], PROBES[2], "lifecycle"] {
            if !container.get(field).is_empty() {
                errors.forbidden(path.child(field), "cannot be set for an Ephemeral Container");
            }
        }
        if !container.get("resources").is_empty() {
            errors.forbidden(path.child("resources"), "cannot be set for an Ephemeral Container");
        }
    }
}

fn common(container: &Json, volumes: &Volumes, path: &Path, errors: &mut FieldErrors) {
    let name = container.get("name").text();
    if name.is_empty() {
        errors.required(path.child("name"), "");
    } else {
        complain(names::dns1123_label(name), name, &path.child("name"), errors);
    }
    if container.get("image").text().is_empty() {
        errors.required(path.child("image"), "");
    }
    let policy = container.get("terminationMessagePolicy").text();
    one_of(policy, &["File", "FallbackToLogsOnError"], &path.child("terminationMessagePolicy"), errors);
    ports(container.get("ports"), &path.child("ports"), errors);
    environment(container.get("env"), &path.child("env"), errors);
    environment_sources(container.get("envFrom"), &path.child("envFrom"), errors);
    mounts(container, volumes, &path.child("volumeMounts"), errors);
    let policy = container.get("imagePullPolicy").text();
    one_of(policy, &["Always", "IfNotPresent", "Never"], &path.child("imagePullPolicy"), errors);
    resources(container.get("resources"), &path.child("resources"), errors);
    security(container.get("securityContext"), &path.child("securityContext"), errors);
}

fn ports(ports: &Json, path: &Path, errors: &mut FieldErrors) {
    let mut taken = BTreeSet::new();
    for (at, port) in ports.items().iter().enumerate() {
        let path = path.index(at);
        let name = port.get("name").text();
        if !name.is_empty() {
            let complaints = names::port_name(name);
            if complaints.is_empty() && !taken.insert(name) {
                errors.duplicate(path.child("name"), name);
            }
            complain(complaints, name, &path.child("name"), errors);
        }
        let number = port.get("containerPort").as_i64().unwrap_or(0);
        if number == 0 {
            errors.required(path.child("containerPort"), "");
        } else {
            for complaint in names::port_number(number) {
                errors.invalid(path.child("containerPort"), number, &complaint);
            }
        }
        let host = port.get("hostPort").as_i64().unwrap_or(0);
        if host != 0 {
            for complaint in names::port_number(host) {
                errors.invalid(path.child("hostPort"), host, &complaint);
            }
        }
        one_of(port.get("protocol").text(), &["SCTP", "TCP", "UDP"], &path.child("protocol"), errors);
    }
}

fn host_ports(containers: &[Json], list: &Path, errors: &mut FieldErrors) {
    let mut taken = BTreeSet::new();
    for (at, container) in containers.iter().enumerate() {
        for (place, port) in container.get("ports").items().iter().enumerate() {
            let number = port.get("hostPort").as_i64().unwrap_or(0);
            let text = format!("{}/{}/{number}", port.get("protocol").text(), port.get("hostIP").text());
            if number != 0 && !taken.insert(text.clone()) {
                let at = list.index(at);
                let ports = at.child("ports");
                errors.duplicate(ports.index(place).child("hostPort"), text);
            }
        }
    }
}

fn environment(variables: &Json, path: &Path, errors: &mut FieldErrors) {
    for (at, variable) in variables.items().iter().enumerate() {
        let path = path.index(at);
        let name = variable.get("name").text();
        if name.is_empty() {
            errors.required(path.child("name"), "");
        } else {
            complain(names::env_var_name(name), name, &path.child("name"), errors);
        }
        if !variable.get("valueFrom").is_null() {
            value_from(variable, &path.child("valueFrom"), errors);
        }
    }
}

fn value_from(variable: &Json, path: &Path, errors: &mut FieldErrors) {
    const FIELDS: [&str; 9] = [
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    ];
    let source = variable.get("valueFrom");
    let mut count = 0;
    if !source.get("fieldRef").is_null() {
        count += 1;
        field_reference(source.get("fieldRef"), &FIELDS, &path.child("fieldRef"), errors);
    }
    if !source.get("resourceFieldRef").is_null() {
        count += 1;
        resource_reference(source.get("resourceFieldRef"), false, &path.child("resourceFieldRef"), errors);
    }
    for kind in ["configMapKeyRef", "secretKeyRef"] {
        let reference = source.get(kind);
        if !reference.is_null() {
            count += 1;
            let path = path.child(kind);
            let name = reference.get("name").text();
            complain(names::dns1123_subdomain(name), name, &path.child("name"), errors);
            let key = reference.get("key").text();
            if key.is_empty() {
                errors.required(path.child("key"), "");
            } else {
                complain(names::config_map_key(key), key, &path.child("key"), errors);
            }
        }
    }
    if count == 0 {
        errors.invalid(path, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`");
    } else if !variable.get("value").text().is_empty() {
        errors.invalid(path, "", "may not be specified when `value` is not empty");
    } else if count > 1 {
        errors.invalid(path, "", "may not have more than one field specified at a time");
    }
}

/// A reference to a field of the pod; `metadata.labels['x']` and annotations go everywhere.
pub(super) fn field_reference(reference: &Json, allowed: &[&str], path: &Path, errors: &mut FieldErrors) {
    let field = reference.get("fieldPath").text();
    if field.is_empty() {
        return errors.required(path.child("fieldPath"), "");
    }
    if let Some((start, rest)) = field.split_once("['") {
        let key = rest.strip_suffix("']").unwrap_or(rest);
        match start {
            "metadata.annotations" => complain(names::qualified_name(&key.to_lowercase()), key, path, errors),
            "metadata.labels" => complain(names::qualified_name(key), key, path, errors),
            _ => errors.invalid(path, start, "does not support subscript"),
        }
        return;
    }
    const KNOWN: [&str; 11] = [
        "metadata.annotations",
        "metadata.labels",
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    ];
    if !KNOWN.contains(&field) && !matches!(field, "spec.restartPolicy" | "status.phase") {
        let text = format!("error converting fieldPath: field label not supported: {field}");
        errors.invalid(path.child("fieldPath"), field, &text);
    } else if !allowed.contains(&field) {
        errors.not_supported(path.child("fieldPath"), field, allowed);
    }
}

/// A reference to a container's requests or limits.
pub(super) fn resource_reference(reference: &Json, names_container: bool, path: &Path, errors: &mut FieldErrors) {
    const RESOURCES: [&str; 6] =
        ["limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory"];
    let resource = reference.get("resource").text();
    if names_container && reference.get("containerName").text().is_empty() {
        errors.required(path.child("containerName"), "");
    } else if resource.is_empty() {
        errors.required(path.child("resource"), "");
    } else if !RESOURCES.contains(&resource) && !resource.contains(".hugepages-") {
        errors.not_supported(path.child("resource"), resource, &RESOURCES);
    }
}

fn environment_sources(sources: &Json, list: &Path, errors: &mut FieldErrors) {
    for (at, source) in sources.items().iter().enumerate() {
        let path = list.index(at);
        let prefix = source.get("prefix").text();
        if !prefix.is_empty() {
            complain(names::env_var_name(prefix), prefix, &path.child("prefix"), errors);
        }
        let mut count = 0;
        for kind in ["configMapRef", "secretRef"] {
            if source.get(kind).is_null() {
                continue;
            }
            count += 1;
            let name = source.get(kind).get("name").text();
            let path = path.child(kind);
            if name.is_empty() {
                errors.required(path.child("name"), "");
            } else {
                complain(names::dns1123_subdomain(name), name, &path.child("name"), errors);
            }
        }
        match count {
            0 => errors.invalid(list, "", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => errors.invalid(list, "", "may not have more than one field specified at a time"),
        }
    }
}

fn mounts(container: &Json, volumes: &Volumes, list: &Path, errors: &mut FieldErrors) {
    let mut taken = BTreeSet::new();
    for (at, mount) in container.get("volumeMounts").items().iter().enumerate() {
        let path = list.index(at);
        let (name, place) = (mount.get("name").text(), mount.get("mountPath").text());
        if name.is_empty() {
            errors.required(path.child("name"), "");
        }
        if !volumes.contains(name) {
            errors.not_found(path.child("name"), name);
        }
        if place.is_empty() {
            errors.required(path.child("mountPath"), "");
        }
        if !taken.insert(place) {
            errors.invalid(path.child("mountPath"), place, "must be unique");
        }
        for field in ["subPath", "subPathExpr"] {
            local_path(mount.get(field).text(), &list.child(field), errors);
        }
        if !mount.get("subPath").text().is_empty() && !mount.get("subPathExpr").text().is_empty() {
            let text = mount.get("subPathExpr").text();
            errors.invalid(path.child("subPathExpr"), text, "subPathExpr and subPath are mutually exclusive");
        }
    }
}

/// A path that stays below where it starts.
pub(super) fn local_path(text: &str, path: &Path, errors: &mut FieldErrors) {
    if text.starts_with('/') {
        errors.invalid(path, text, "must be a relative path");
    }
    if text.split('/').any(|part| part == "..") {
        errors.invalid(path, text, "must not contain '..'");
    }
}

fn probes(container: &Json, path: &Path, errors: &mut FieldErrors) {
    for name in PROBES {
        let probe = container.get(name);
        if probe.is_null() {
            continue;
        }
        let path = path.child(name);
        handler(probe, &["exec", "httpGet", "tcpSocket", "grpc"], None, &path, errors);
        for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
            non_negative(probe.get(field), &path.child(field), errors);
        }
        if let Some(seconds) = probe.get("terminationGracePeriodSeconds").as_i64() {
            if name == "readinessProbe" {
                errors.invalid(path.child("terminationGracePeriodSeconds"), seconds, "must not be set for readinessProbes");
            } else if seconds <= 0 {
                errors.invalid(path.child("terminationGracePeriodSeconds"), seconds, "must be greater than 0");
            }
        }
        let successes = probe.get("successThreshold").as_i64().unwrap_or(1);
        if name != "readinessProbe" && successes != 1 {
            errors.invalid(path.child("successThreshold"), successes, "must be 1");
        }
    }
}

fn lifecycle(container: &Json, grace: Option<i64>, path: &Path, errors: &mut FieldErrors) {
    let lifecycle = path.child("lifecycle");
    for hook in ["postStart", "preStop"] {
        let action = container.at(&["lifecycle", hook]);
        if !action.is_null() {
            handler(action, &["exec", "httpGet", "tcpSocket", "sleep"], grace, &lifecycle.child(hook), errors);
        }
    }
}

fn handler(handler: &Json, kinds: &[&str], grace: Option<i64>, path: &Path, errors: &mut FieldErrors) {
    let mut count = 0;
    for kind in kinds.iter().filter(|kind| !handler.get(kind).is_null()) {
        let (action, path) = (handler.get(kind), path.child(kind));
        count += 1;
        if count > 1 {
            errors.forbidden(path, "may not specify more than 1 handler type");
            continue;
        }
        match *kind {
            "exec" if action.get("command").is_empty() => errors.required(path.child("command"), ""),
            "httpGet" => http_get(action, &path, errors),
            "tcpSocket" | "grpc" => port_number_or_name(action.get("port"), &path.child("port"), errors),
            "sleep" => {
                let seconds = action.get("seconds").as_i64().unwrap_or(0);
                if let Some(grace) = grace.filter(|grace| !(0..=*grace).contains(&seconds)) {
                    let text = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
                    errors.invalid(path, seconds, &text);
                }
            }
            _ => {}
        }
    }
    if count == 0 {
        errors.required(path, "must specify a handler type");
    }
}

fn http_get(action: &Json, path: &Path, errors: &mut FieldErrors) {
    if action.get("path").text().is_empty() {
        errors.required(path.child("path"), "");
    }
    port_number_or_name(action.get("port"), &path.child("port"), errors);
    let scheme = action.get("scheme").text();
    if !matches!(scheme, "HTTP" | "HTTPS") {
        errors.not_supported(path.child("scheme"), scheme, &["HTTP", "HTTPS"]);
    }
    for header in action.get("httpHeaders").items() {
        let name = header.get("name").text();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            let text = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')";
            errors.invalid(path.child("httpHeaders"), name, text);
        }
    }
}

/// A port by number or by name.
pub(super) fn port_number_or_name(port: &Json, path: &Path, errors: &mut FieldErrors) {
    match port.as_str() {
        Some(name) => complain(names::port_name(name), name, path, errors),
        None => {
            let number = port.as_i64().unwrap_or(0);
            for complaint in names::port_number(number) {
                errors.invalid(path, number, &complaint);
            }
        }
    }
}

/// Names of resources that a container may ask for, without a prefix.
fn is_standard(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-")
}

fn resource_name(name: &str, path: &Path, errors: &mut FieldErrors) {
    complain(names::qualified_name(name), name, path, errors);
    if name.contains('/') {
        return;
    }
    const QUOTA: [&str; 8] = ["pods", "services", "secrets", "configmaps", "storage", "requests.cpu", "requests.memory", "limits.cpu"];
    if !is_standard(name) && !QUOTA.contains(&name) {
        errors.invalid(path, name, "must be a standard resource type or fully qualified");
    }
    if !is_standard(name) {
        errors.invalid(path, name, "must be a standard resource for containers");
    }
}

/// Requests and limits.
pub(super) fn resources(resources: &Json, path: &Path, errors: &mut FieldErrors) {
    for part in ["limits", "requests"] {
        let list = path.child(part);
        for (name, value) in resources.get(part).entries() {
            let path = list.key(name);
            resource_name(name, &path, errors);
            let Some(amount) = Quantity::of(value) else { continue };
            if amount.is_negative() {
                errors.invalid(path, amount, "must be greater than or equal to 0");
            }
            let whole = name.contains('/') || name.starts_with("hugepages-");
            if whole && !amount.is_whole() {
                errors.invalid(path, amount, "must be an integer");
            }
            let limit = Quantity::of(resources.at(&["limits", name])).filter(|_| part == "requests");
            match limit {
                Some(limit) if whole && amount != limit => {
                    errors.invalid(list, amount, &format!("must be equal to {name} limit of {limit}"))
                }
                Some(limit) if amount > limit => {
                    errors.invalid(list, amount, &format!("must be less than or equal to {name} limit of {limit}"));
                }
                None if part == "requests" && whole => {
                    errors.required(path_of(path, "limits"), "Limit must be set for non overcommitable resources");
                }
                _ => {}
            }
        }
    }
}

/// The sibling `name` of a list of amounts, from the path of one of its entries.
fn path_of(entry: Path, name: &str) -> String {
    let text = entry.to_string();
    let start = text.rsplit_once(".requests").map_or(text.as_str(), |(start, _)| start);
    format!("{start}.{name}")
}

fn security(context: &Json, path: &Path, errors: &mut FieldErrors) {
    for field in ["runAsUser", "runAsGroup"] {
        if let Some(id) = context.get(field).as_i64() {
            for complaint in names::in_range(id, 0, i64::from(i32::MAX)) {
                errors.invalid(path.child(field), id, &complaint);
            }
        }
    }
    if context.get("allowPrivilegeEscalation").as_bool() == Some(false) {
        let text = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        if context.get("privileged").is_true() {
            errors.shown(Cause::Invalid, path, &internal::compact(context, "core.SecurityContext"), text);
        }
        if context.at(&["capabilities", "add"]).items().iter().any(|c| matches!(c.text(), "SYS_ADMIN" | "CAP_SYS_ADMIN")) {
            let text = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.shown(Cause::Invalid, path, &internal::compact(context, "core.SecurityContext"), text);
        }
    }
}
