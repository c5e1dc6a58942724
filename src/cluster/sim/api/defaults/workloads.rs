//! Defaults of the kinds that run pods.

use super::{pod, unless_set};
use crate::object::Json;
use crate::{array, object};

pub(super) fn deployment(object: &mut Json) {
    let spec = object.get_mut("spec");
    pod::template(spec.get_mut("template"));
    unless_set(spec, "replicas", 1);
    let strategy = spec.get_mut("strategy");
    unless_set(strategy, "type", "RollingUpdate");
    if strategy.get("type").text() == "RollingUpdate" {
        let update = strategy.get_mut("rollingUpdate");
        unless_set(update, "maxUnavailable", "25%");
        unless_set(update, "maxSurge", "25%");
    }
    unless_set(spec, "revisionHistoryLimit", 10);
    unless_set(spec, "progressDeadlineSeconds", 600);
}

pub(super) fn replica_set(object: &mut Json) {
    let spec = object.get_mut("spec");
    if !spec.get("template").is_null() {
        pod::template(spec.get_mut("template"));
    }
    unless_set(spec, "replicas", 1);
}

pub(super) fn replication_controller(object: &mut Json) {
    replica_set(object);
    let labels = object.at(&["spec", "template", "metadata", "labels"]).clone();
    if labels.is_null() {
        return;
    }
    if object.at(&["spec", "selector"]).is_empty() {
        object.set_at(&["spec", "selector"], &labels);
    }
    if object.at(&["metadata", "labels"]).is_empty() {
        object.set_at(&["metadata", "labels"], labels);
    }
}

pub(super) fn stateful_set(object: &mut Json) {
    let spec = object.get_mut("spec");
    pod::template(spec.get_mut("template"));
    unless_set(spec, "podManagementPolicy", "OrderedReady");
    let strategy = spec.get_mut("updateStrategy");
    if strategy.get("type").text().is_empty() {
        strategy.set("type", "RollingUpdate");
        unless_set(strategy, "rollingUpdate", object! {});
    }
    if strategy.get("type").text() == "RollingUpdate" && !strategy.get("rollingUpdate").is_null() {
        unless_set(strategy.get_mut("rollingUpdate"), "partition", 0);
    }
    let retention = spec.get_mut("persistentVolumeClaimRetentionPolicy");
    unless_set(retention, "whenDeleted", "Retain");
    unless_set(retention, "whenScaled", "Retain");
    unless_set(spec, "replicas", 1);
    unless_set(spec, "revisionHistoryLimit", 10);
    if !spec.get("volumeClaimTemplates").is_empty() {
        for claim in spec.get_mut("volumeClaimTemplates").items_mut() {
            unless_set(claim, "apiVersion", "v1");
            unless_set(claim, "kind", "PersistentVolumeClaim");
            unless_set(claim.get_mut("spec"), "volumeMode", "Filesystem");
            unless_set(claim.get_mut("status"), "phase", "Pending");
        }
    }
}

pub(super) fn daemon_set(object: &mut Json) {
    let spec = object.get_mut("spec");
    pod::template(spec.get_mut("template"));
    let strategy = spec.get_mut("updateStrategy");
    unless_set(strategy, "type", "RollingUpdate");
    if strategy.get("type").text() == "RollingUpdate" {
        let update = strategy.get_mut("rollingUpdate");
        unless_set(update, "maxUnavailable", 1);
        unless_set(update, "maxSurge", 0);
    }
    unless_set(spec, "revisionHistoryLimit", 10);
}

fn job_spec(spec: &mut Json) {
    pod::template(spec.get_mut("template"));
    if spec.get("completions").is_null() && spec.get("parallelism").is_null() {
        spec.set("completions", 1);
    }
    unless_set(spec, "parallelism", 1);
    let limit = if spec.get("backoffLimitPerIndex").is_null() { 6 } else { i64::from(i32::MAX) };
    unless_set(spec, "backoffLimit", limit);
    unless_set(spec, "completionMode", "NonIndexed");
    unless_set(spec, "suspend", false);
    let replacement = if spec.get("podFailurePolicy").is_null() { "TerminatingOrFailed" } else { "Failed" };
    unless_set(spec, "podReplacementPolicy", replacement);
    unless_set(spec, "manualSelector", false);
}

pub(super) fn job(object: &mut Json) {
    job_spec(object.get_mut("spec"));
    let labels = object.at(&["spec", "template", "metadata", "labels"]).clone();
    if !labels.is_null() && object.at(&["metadata", "labels"]).is_empty() {
        object.set_at(&["metadata", "labels"], labels);
    }
}

pub(super) fn cron_job(object: &mut Json) {
    let spec = object.get_mut("spec");
    pod::template(spec.at_mut(&["jobTemplate", "spec", "template"]));
    unless_set(spec, "concurrencyPolicy", "Allow");
    unless_set(spec, "suspend", false);
    unless_set(spec, "successfulJobsHistoryLimit", 3);
    unless_set(spec, "failedJobsHistoryLimit", 1);
}

pub(super) fn autoscaler(object: &mut Json) {
    let spec = object.get_mut("spec");
    unless_set(spec, "minReplicas", 1);
    if spec.get("metrics").is_empty() {
        let target = object! { "type" => "Utilization", "averageUtilization" => 80 };
        spec.set("metrics", array![object! { "type" => "Resource", "resource" => object! { "name" => "cpu", "target" => target } }]);
    }
    if spec.get("behavior").is_null() {
        return;
    }
    let policy = |kind: &str, value: i64| object! { "type" => kind, "value" => value, "periodSeconds" => 15 };
    let up = spec.at_mut(&["behavior", "scaleUp"]);
    unless_set(up, "stabilizationWindowSeconds", 0);
    unless_set(up, "selectPolicy", "Max");
    unless_set(up, "policies", array![policy("Pods", 4), policy("Percent", 100)]);
    let down = spec.at_mut(&["behavior", "scaleDown"]);
    unless_set(down, "selectPolicy", "Max");
    unless_set(down, "policies", array![policy("Percent", 100)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_gets_what_kubectl_shows() {
        let mut json = object! { "spec" => object! { "template" => object! { "spec" => object! {} } } };
        deployment(&mut json);
        let spec = json.get("spec");
        assert_eq!(
            spec.get("strategy").to_compact(),
            r#"{"rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"},"type":"RollingUpdate"}"#
        );
        assert_eq!(spec.get("progressDeadlineSeconds").as_i64(), Some(600));
        assert!(spec.at(&["template", "spec", "enableServiceLinks"]).is_null(), "pods only");
        assert!(!spec.at(&["template", "spec", "securityContext"]).is_null());
    }
}
