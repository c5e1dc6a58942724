//! Defaults of pods and pod templates.

use super::unless_set;
use crate::object;
use crate::object::Json;

/// A pod: what templates get, and what only pods get.
pub fn pod(pod: &mut Json) {
    let spec = pod.get_mut("spec");
    pod_spec(spec);
    for list in ["containers", "initContainers"] {
        let host_network = spec.get("hostNetwork").is_true();
        each(spec, list, |container| {
            requests_from_limits(container);
            if host_network {
                each(container, "ports", |port| {
                    if port.get("hostPort").as_i64().unwrap_or(0) == 0 {
                        let number = port.get("containerPort").clone();
                        port.set("hostPort", number);
                    }
                });
            }
        });
    }
    unless_set(spec, "enableServiceLinks", true);
}

/// A pod template.
pub fn template(template: &mut Json) {
    pod_spec(template.get_mut("spec"));
}

/// Runs `change` on every element of the list `key`, if there is one.
fn each(json: &mut Json, key: &str, mut change: impl FnMut(&mut Json)) {
    if !json.get(key).is_empty() {
        json.get_mut(key).items_mut().iter_mut().for_each(&mut change);
    }
}

fn pod_spec(spec: &mut Json) {
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        each(spec, list, container);
    }
    each(spec, "volumes", volume);
    unless_set(spec, "dnsPolicy", "ClusterFirst");
    unless_set(spec, "restartPolicy", "Always");
    unless_set(spec, "securityContext", object! {});
    unless_set(spec, "terminationGracePeriodSeconds", 30);
    unless_set(spec, "schedulerName", "default-scheduler");
    let (account, old) = (spec.get("serviceAccountName").clone(), spec.get("serviceAccount").clone());
    if !account.is_empty() && account != old {
        spec.set("serviceAccount", account);
    } else if account.is_empty() && !old.is_empty() {
        spec.set("serviceAccountName", old);
    }
}

fn container(container: &mut Json) {
    if container.get("imagePullPolicy").text().is_empty() {
        let policy = if image_tag(container.get("image").text()) == "latest" { "Always" } else { "IfNotPresent" };
        container.set("imagePullPolicy", policy);
    }
    unless_set(container, "terminationMessagePath", "/dev/termination-log");
    unless_set(container, "terminationMessagePolicy", "File");
    if container.get("resources").is_null() {
        container.set("resources", object! {});
    }
    each(container, "ports", |port| unless_set(port, "protocol", "TCP"));
    each(container, "env", |variable| {
        if !variable.at(&["valueFrom", "fieldRef"]).is_null() {
            unless_set(variable.get_mut("valueFrom").get_mut("fieldRef"), "apiVersion", "v1");
        }
        if !variable.at(&["valueFrom", "resourceFieldRef"]).is_null() {
            unless_set(variable.get_mut("valueFrom").get_mut("resourceFieldRef"), "divisor", "0");
        }
    });
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if !container.get(name).is_null() {
            probe(container.get_mut(name));
        }
    }
    for hook in ["postStart", "preStop"] {
        if !container.at(&["lifecycle", hook, "httpGet"]).is_null() {
            http_get(container.at_mut(&["lifecycle", hook, "httpGet"]));
        }
    }
}

fn probe(probe: &mut Json) {
    for (field, value) in [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)] {
        if probe.get(field).as_i64().unwrap_or(0) == 0 {
            probe.set(field, value);
        }
    }
    if !probe.get("httpGet").is_null() {
        http_get(probe.get_mut("httpGet"));
    }
    if !probe.get("grpc").is_null() {
        unless_set(probe.get_mut("grpc"), "service", "");
    }
}

fn http_get(action: &mut Json) {
    unless_set(action, "path", "/");
    unless_set(action, "scheme", "HTTP");
}

fn volume(volume: &mut Json) {
    if volume.entries().all(|(key, _)| key == "name") {
        volume.set("emptyDir", object! {});
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if !volume.get(source).is_null() {
            unless_set(volume.get_mut(source), "defaultMode", 420);
        }
    }
    if !volume.get("hostPath").is_null() {
        unless_set(volume.get_mut("hostPath"), "type", "");
    }
    let field_reference = |item: &mut Json| {
        if !item.get("fieldRef").is_null() {
            unless_set(item.get_mut("fieldRef"), "apiVersion", "v1");
        }
    };
    if !volume.get("downwardAPI").is_null() {
        each(volume.get_mut("downwardAPI"), "items", field_reference);
    }
    if !volume.get("projected").is_null() {
        each(volume.get_mut("projected"), "sources", |source| {
            if !source.get("serviceAccountToken").is_null() {
                unless_set(source.get_mut("serviceAccountToken"), "expirationSeconds", 3600);
            }
            if !source.get("downwardAPI").is_null() {
                each(source.get_mut("downwardAPI"), "items", field_reference);
            }
        });
    }
    if !volume.at(&["ephemeral", "volumeClaimTemplate", "spec"]).is_null() {
        unless_set(volume.at_mut(&["ephemeral", "volumeClaimTemplate", "spec"]), "volumeMode", "Filesystem");
    }
}

fn requests_from_limits(container: &mut Json) {
    let limits = container.at(&["resources", "limits"]).clone();
    for (name, amount) in limits.entries() {
        if container.at(&["resources", "requests", name]).is_null() {
            container.set_at(&["resources", "requests", name], amount);
        }
    }
}

/// The tag of an image reference: `latest` when it has neither tag nor digest, empty when it has only a digest.
pub fn image_tag(image: &str) -> &str {
    let (name, digest) = image.split_once('@').map_or((image, false), |(name, _)| (name, true));
    let last = name.rsplit('/').next().unwrap_or(name);
    match last.split_once(':') {
        Some((_, tag)) => tag,
        None if digest => "",
        None => "latest",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array;

    #[test]
    fn a_pod_gets_what_kubectl_shows() {
        let mut json = object! { "spec" => object! {
            "containers" => array![object! {
                "name" => "a", "image" => "redis", "ports" => array![object! { "containerPort" => 1 }],
                "resources" => object! { "limits" => object! { "cpu" => "1" } },
                "readinessProbe" => object! { "httpGet" => object! { "port" => 80 } },
            }],
            "volumes" => array![object! { "name" => "v" }, object! { "name" => "c", "configMap" => object! { "name" => "m" } }],
        } };
        pod(&mut json);
        assert_eq!(
            json.get("spec").to_compact(),
            r#"{"containers":[{"image":"redis","imagePullPolicy":"Always","name":"a","ports":[{"containerPort":1,"protocol":"TCP"}],"readinessProbe":{"failureThreshold":3,"httpGet":{"path":"/","port":80,"scheme":"HTTP"},"periodSeconds":10,"successThreshold":1,"timeoutSeconds":1},"resources":{"limits":{"cpu":"1"},"requests":{"cpu":"1"}},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"dnsPolicy":"ClusterFirst","enableServiceLinks":true,"restartPolicy":"Always","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30,"volumes":[{"emptyDir":{},"name":"v"},{"configMap":{"defaultMode":420,"name":"m"},"name":"c"}]}"#
        );
    }

    #[test]
    fn tags_are_read_off_images() {
        let cases =
            [("a", "latest"), ("a:1", "1"), ("h:5000/a", "latest"), ("h:5000/a:2", "2"), ("a@sha256:00", ""), ("a:3@sha256:00", "3")];
        for (image, tag) in cases {
            assert_eq!(image_tag(image), tag, "{image}");
        }
    }
}
