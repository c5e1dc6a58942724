//! Pods: the spec that pods and pod templates share.

use super::path::Path;
use super::{FieldErrors, complain, containers, meta, one_of, scheduling, volumes};
use crate::object::{Json, Object, names};

/// What restartPolicy may be.
pub(super) const RESTART_POLICIES: [&str; 3] = ["Always", "OnFailure", "Never"];

pub(super) fn check(pod: &Object, errors: &mut FieldErrors) {
    let spec = Path::new("spec");
    check_spec(pod.spec(), &spec, errors);
    for list in ["containers", "initContainers"] {
        for (at, container) in pod.spec().get(list).items().iter().enumerate() {
            let image = container.get("image").text();
            if image.trim() != image {
                let (list, image_path) = (spec.child(list), "image");
                errors.invalid(list.index(at).child(image_path), image, "must not have leading or trailing whitespace");
            }
        }
    }
}

/// A template of pods; `spec.template` and the like.
pub(super) fn check_template(template: &Json, path: &Path, errors: &mut FieldErrors) {
    meta::labels(template.at(&["metadata", "labels"]), &path.child("labels"), errors);
    meta::annotations(template.at(&["metadata", "annotations"]), &path.child("annotations"), errors);
    let spec = path.child("spec");
    check_spec(template.get("spec"), &spec, errors);
    if !template.at(&["spec", "ephemeralContainers"]).is_empty() {
        errors.forbidden(spec.child("ephemeralContainers"), "ephemeral containers not allowed in pod template");
    }
}

pub(super) fn check_spec(spec: &Json, path: &Path, errors: &mut FieldErrors) {
    let volumes = volumes::check(spec.get("volumes"), &path.child("volumes"), errors);
    containers::check_all(spec, &volumes, path, errors);
    host_network(spec, path, errors);
    one_of(spec.get("restartPolicy").text(), &RESTART_POLICIES, &path.child("restartPolicy"), errors);
    let dns = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    one_of(spec.get("dnsPolicy").text(), &dns, &path.child("dnsPolicy"), errors);
    meta::labels(spec.get("nodeSelector"), &path.child("nodeSelector"), errors);
    security_context(spec.get("securityContext"), &path.child("securityContext"), errors);
    for (at, secret) in spec.get("imagePullSecrets").items().iter().enumerate() {
        if secret.get("name").text().is_empty() {
            errors.required(path.child("imagePullSecrets").index(at).child("name"), "");
        }
    }
    scheduling::affinity(spec.get("affinity"), &path.child("affinity"), errors);
    dns_config(spec, &path.child("dnsConfig"), errors);
    scheduling::topology_spread(spec.get("topologySpreadConstraints"), &path.child("topologySpreadConstraints"), errors);
    for field in ["serviceAccountName", "nodeName"] {
        let text = spec.get(field).text();
        if !text.is_empty() {
            complain(names::dns1123_subdomain(text), text, &path.child(field), errors);
        }
    }
    if let Some(seconds) = spec.get("activeDeadlineSeconds").as_i64() {
        for complaint in names::in_range(seconds, 1, i64::from(i32::MAX)) {
            errors.invalid(path.child("activeDeadlineSeconds"), seconds, &complaint);
        }
    }
    for field in ["hostname", "subdomain"] {
        let text = spec.get(field).text();
        if !text.is_empty() {
            complain(names::dns1123_label(text), text, &path.child(field), errors);
        }
    }
    scheduling::tolerations(spec.get("tolerations"), &path.child("tolerations"), errors);
    host_aliases(spec.get("hostAliases"), &path.child("hostAliases"), errors);
    for field in ["priorityClassName", "runtimeClassName"] {
        let text = spec.get(field).text();
        if !text.is_empty() {
            complain(names::dns1123_subdomain(text), text, &path.child(field), errors);
        }
    }
    let preemption = spec.get("preemptionPolicy");
    if !preemption.is_null() {
        one_of(preemption.text(), &["PreemptLowerPriority", "Never"], &path.child("preemptionPolicy"), errors);
    }
}

/// With host networking container ports must be host ports.
fn host_network(spec: &Json, path: &Path, errors: &mut FieldErrors) {
    if !spec.get("hostNetwork").is_true() {
        return;
    }
    let list = path.child("containers");
    for (at, container) in spec.get("containers").items().iter().enumerate() {
        for (place, port) in container.get("ports").items().iter().enumerate() {
            let (own, host) = (port.get("containerPort").as_i64(), port.get("hostPort").as_i64().unwrap_or(0));
            if host != 0 && own != Some(host) {
                let at = list.index(at);
                let ports = at.child("ports");
                errors.invalid(ports.index(place).child("hostPort"), host, "must match `containerPort` when `hostNetwork` is true");
            }
        }
    }
}

fn security_context(context: &Json, path: &Path, errors: &mut FieldErrors) {
    for field in ["runAsUser", "runAsGroup", "fsGroup"] {
        if let Some(id) = context.get(field).as_i64() {
            for complaint in names::in_range(id, 0, i64::from(i32::MAX)) {
                errors.invalid(path.child(field), id, &complaint);
            }
        }
    }
    for (at, group) in context.get("supplementalGroups").items().iter().enumerate() {
        let id = group.as_i64().unwrap_or(0);
        for complaint in names::in_range(id, 0, i64::from(i32::MAX)) {
            errors.invalid(path.child("supplementalGroups").index(at), id, &complaint);
        }
    }
    let policy = context.get("fsGroupChangePolicy");
    if !policy.is_null() {
        one_of(policy.text(), &["Always", "OnRootMismatch"], &path.child("fsGroupChangePolicy"), errors);
    }
}

fn dns_config(spec: &Json, path: &Path, errors: &mut FieldErrors) {
    let config = spec.get("dnsConfig");
    let servers = config.get("nameservers").items();
    if spec.get("dnsPolicy").text() == "None" {
        if config.is_null() {
            return errors.required(path, "must provide `dnsConfig` when `dnsPolicy` is None");
        }
        if servers.is_empty() {
            return errors.required(path.child("nameservers"), "must provide at least one DNS nameserver when `dnsPolicy` is None");
        }
    }
    if servers.len() > 3 {
        errors.invalid(path.child("nameservers"), config.get("nameservers"), "must not have more than 3 nameservers");
    }
    for (at, server) in servers.iter().enumerate() {
        if server.text().parse::<std::net::IpAddr>().is_err() {
            let text = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            errors.invalid(path.child("nameservers").index(at), server, text);
        }
    }
    let searches = config.get("searches").items();
    if searches.len() > 32 {
        errors.invalid(path.child("searches"), config.get("searches"), "must not have more than 32 search paths");
    }
    for (at, option) in config.get("options").items().iter().enumerate() {
        if option.get("name").text().is_empty() {
            errors.required(path.child("options").index(at), "must not be empty");
        }
    }
}

fn host_aliases(aliases: &Json, path: &Path, errors: &mut FieldErrors) {
    for (at, alias) in aliases.items().iter().enumerate() {
        let path = path.index(at);
        if alias.get("ip").text().parse::<std::net::IpAddr>().is_err() {
            errors.invalid(path.child("ip"), alias.get("ip").text(), "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
        }
        for (place, host) in alias.get("hostnames").items().iter().enumerate() {
            complain(names::dns1123_subdomain(host.text()), host.text(), &path.child("hostnames").index(place), errors);
        }
    }
}
