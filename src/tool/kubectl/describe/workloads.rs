//! Controllers of pods.

use super::sheet::{Sheet, capital_bool, date, labels_line, shown};
use super::{Scene, pods};
use crate::cluster::Options;
use crate::object::{Json, Object, Selector};
use crate::time::SimTime;
use crate::tool::kubectl::failure::Failure;
use crate::tool::kubectl::table::{human, seconds_between, selector_text};

fn number(object: &Json, path: &[&str]) -> i64 {
    object.at(path).as_i64().unwrap_or(0)
}

/// A selector in object form as text; empty when it selects nothing or everything.
fn selector(object: &Object) -> Result<String, Failure> {
    match Selector::from_object(object.spec().get("selector")).map_err(Failure::Text)? {
        Selector::Nothing => Ok(String::new()),
        selector => Ok(selector.to_string()),
    }
}

/// Conditions with type, status and reason.
fn conditions(object: &Object, sheet: &mut Sheet) {
    let conditions = object.status().get("conditions").items();
    if conditions.is_empty() {
        return;
    }
    sheet.line(0, "Conditions:\n  Type\tStatus\tReason");
    sheet.line(1, "----\t------\t------");
    for condition in conditions {
        let text = |field: &str| condition.get(field).text();
        sheet.line(1, format_args!("{} \t{}\t{}", text("type"), text("status"), text("reason")));
    }
}

/// A ReplicationController.
pub fn replication_controller(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    let mut selector = String::new();
    crate::tool::kubectl::table::write_labels(object.spec().get("selector"), &mut selector);
    let counts = pods::counts(scene, object, selector)?;
    sheet.field(0, "Name", object.name());
    sheet.field(0, "Namespace", object.namespace());
    sheet.field(0, "Selector", labels_line(object.spec().get("selector")));
    sheet.metadata(object);
    replicas(object, sheet);
    sheet.field(0, "Pods Status", counts);
    pods::template(scene, object.spec().get("template"), sheet);
    conditions(object, sheet);
    scene.write_events(object, sheet);
    Ok(())
}

fn replicas(object: &Object, sheet: &mut Sheet) {
    let (current, desired) = (number(object, &["status", "replicas"]), number(object, &["spec", "replicas"]));
    sheet.field(0, "Replicas", format_args!("{current} current / {desired} desired"));
}

/// A ReplicaSet.
pub fn replica_set(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    let labels = selector(object)?;
    let counts = pods::counts(scene, object, labels).unwrap_or_else(|failure| format!("error in fetching pods: {failure}"));
    sheet.field(0, "Name", object.name());
    sheet.field(0, "Namespace", object.namespace());
    sheet.field(0, "Selector", selector_text(object.spec().get("selector")));
    sheet.metadata(object);
    pods::controlled_by(object, sheet);
    replicas(object, sheet);
    sheet.field(0, "Pods Status", counts);
    pods::template(scene, object.spec().get("template"), sheet);
    conditions(object, sheet);
    scene.write_events(object, sheet);
    Ok(())
}

/// A Deployment.
pub fn deployment(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    let selector = selector(object)?;
    let (spec, status) = (object.spec(), object.status());
    sheet.field(0, "Name", object.name());
    sheet.field(0, "Namespace", object.namespace());
    sheet.field(0, "CreationTimestamp", date(object.meta().get("creationTimestamp")));
    sheet.metadata(object);
    sheet.field(0, "Selector", &selector);
    let count = |field: &str| status.get(field).as_i64().unwrap_or(0);
    sheet.field(
        0,
        "Replicas",
        format_args!(
            "{} desired | {} updated | {} total | {} available | {} unavailable",
            number(object, &["spec", "replicas"]),
            count("updatedReplicas"),
            count("replicas"),
            count("availableReplicas"),
            count("unavailableReplicas")
        ),
    );
    sheet.field(0, "StrategyType", spec.at(&["strategy", "type"]).text());
    sheet.field(0, "MinReadySeconds", number(object, &["spec", "minReadySeconds"]));
    let rolling = spec.at(&["strategy", "rollingUpdate"]);
    if !rolling.is_null() {
        let (unavailable, surge) = (shown(rolling.get("maxUnavailable"), "0"), shown(rolling.get("maxSurge"), "0"));
        sheet.field(0, "RollingUpdateStrategy", format_args!("{unavailable} max unavailable, {surge} max surge"));
    }
    pods::template(scene, spec.get("template"), sheet);
    conditions(object, sheet);
    let (old, new) = replica_sets(scene, object, selector);
    if !old.is_empty() || new.is_some() {
        sheet.field(0, "OldReplicaSets", replica_sets_line(&old));
        sheet.field(0, "NewReplicaSet", replica_sets_line(new.as_slice()));
    }
    scene.write_events(object, sheet);
    Ok(())
}

/// The ReplicaSets of a Deployment: old ones, and the one with its template.
fn replica_sets(scene: &mut Scene<'_, '_, '_>, deployment: &Object, label_selector: String) -> (Vec<Object>, Option<Object>) {
    let options = Options { label_selector, ..Options::default() };
    let mut owned = scene.list("apps", "replicasets", Some(deployment.namespace()), options);
    owned.retain(|set| set.controller().is_some_and(|owner| owner.get("uid").text() == deployment.uid()));
    owned.sort_by(|a, b| (a.created_at(), a.name()).cmp(&(b.created_at(), b.name())));
    let template = |object: &Object| {
        let mut template = object.spec().get("template").clone();
        template.remove_at(&["metadata", "labels", "pod-template-hash"]);
        template.remove_at(&["metadata", "creationTimestamp"]);
        template
    };
    let wanted = template(deployment);
    let new = owned.iter().position(|set| template(set) == wanted).map(|at| owned.remove(at));
    (owned, new)
}

fn replica_sets_line(sets: &[Object]) -> String {
    let line = |set: &Object| {
        let (current, desired) = (number(set, &["status", "replicas"]), number(set, &["spec", "replicas"]));
        format!("{} ({current}/{desired} replicas created)", set.name())
    };
    match sets {
        [] => "<none>".to_owned(),
        sets => sets.iter().map(line).collect::<Vec<_>>().join(", "),
    }
}

/// A StatefulSet.
pub fn stateful_set(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    let selector = selector(object)?;
    let counts = pods::counts(scene, object, selector.clone())?;
    let spec = object.spec();
    sheet.field(0, "Name", object.name());
    sheet.field(0, "Namespace", object.namespace());
    sheet.field(0, "CreationTimestamp", date(object.meta().get("creationTimestamp")));
    sheet.field(0, "Selector", selector);
    sheet.metadata(object);
    let (desired, total) = (number(object, &["spec", "replicas"]), number(object, &["status", "replicas"]));
    sheet.field(0, "Replicas", format_args!("{desired} desired | {total} total"));
    sheet.field(0, "Update Strategy", spec.at(&["updateStrategy", "type"]).text());
    let rolling = spec.at(&["updateStrategy", "rollingUpdate"]);
    if let Some(partition) = rolling.get("partition").as_i64() {
        sheet.field(1, "Partition", partition);
        if !rolling.get("maxUnavailable").is_null() {
            sheet.field(1, "MaxUnavailable", shown(rolling.get("maxUnavailable"), ""));
        }
    }
    sheet.field(0, "Pods Status", counts);
    pods::template(scene, spec.get("template"), sheet);
    claim_templates(spec.get("volumeClaimTemplates"), sheet);
    scene.write_events(object, sheet);
    Ok(())
}

fn claim_templates(templates: &Json, sheet: &mut Sheet) {
    if templates.is_empty() {
        return sheet.field(0, "Volume Claims", "<none>");
    }
    sheet.line(0, "Volume Claims:");
    for template in templates.items() {
        let claim = Object(template.clone());
        sheet.field(1, "Name", claim.name());
        sheet.field(1, "StorageClass", crate::tool::kubectl::table::storage_class_of(&claim));
        sheet.labels("  ", "Labels", claim.meta().get("labels"));
        sheet.labels("  ", "Annotations", claim.meta().get("annotations"));
        sheet.field(1, "Capacity", shown(claim.spec().at(&["resources", "requests", "storage"]), "<default>"));
        sheet.field(1, "Access Modes", shown(claim.spec().get("accessModes"), "[]"));
    }
}

/// A DaemonSet.
pub fn daemon_set(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    let selector = selector(object)?;
    let counts = pods::counts(scene, object, selector.clone())?;
    sheet.field(0, "Name", object.name());
    sheet.field(0, "Namespace", object.namespace());
    sheet.field(0, "Selector", selector);
    sheet.field(0, "Node-Selector", labels_line(object.at(&["spec", "template", "spec", "nodeSelector"])));
    sheet.metadata(object);
    let lines = [
        ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
        ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
        ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
        ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
        ("Number of Nodes Misscheduled", "numberMisscheduled"),
    ];
    for (title, field) in lines {
        sheet.line(0, format_args!("{title}: {}", number(object, &["status", field])));
    }
    sheet.field(0, "Pods Status", counts);
    pods::template(scene, object.spec().get("template"), sheet);
    scene.write_events(object, sheet);
    Ok(())
}

/// A Job.
pub fn job(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    let (spec, status) = (object.spec(), object.status());
    sheet.field(0, "Name", object.name());
    sheet.field(0, "Namespace", object.namespace());
    sheet.field(0, "Selector", selector(object).unwrap_or_else(|failure| format!("Failed to get selector: {failure}")));
    sheet.metadata(object);
    pods::controlled_by(object, sheet);
    let optional = |sheet: &mut Sheet, title: &str, value: &Json| {
        if !value.is_null() {
            sheet.field(0, title, shown(value, ""));
        }
    };
    optional(sheet, "Parallelism", spec.get("parallelism"));
    sheet.field(0, "Completions", shown(spec.get("completions"), "<unset>"));
    optional(sheet, "Completion Mode", spec.get("completionMode"));
    optional(sheet, "Suspend", spec.get("suspend"));
    optional(sheet, "Backoff Limit", spec.get("backoffLimit"));
    optional(sheet, "TTL Seconds After Finished", spec.get("ttlSecondsAfterFinished"));
    for (title, field) in [("Start Time", "startTime"), ("Completed At", "completionTime")] {
        if !status.get(field).is_null() {
            sheet.field(0, title, date(status.get(field)));
        }
    }
    let time = |field: &str| status.get(field).as_str().and_then(SimTime::parse_rfc3339);
    if let (Some(start), Some(end)) = (time("startTime"), time("completionTime")) {
        sheet.field(0, "Duration", human(seconds_between(start, end)));
    }
    if let Some(seconds) = spec.get("activeDeadlineSeconds").as_i64() {
        sheet.field(0, "Active Deadline Seconds", format_args!("{seconds}s"));
    }
    let count = |field: &str| status.get(field).as_i64().unwrap_or(0);
    let ready = status.get("ready").as_i64().map_or(String::new(), |ready| format!(" ({ready} Ready)"));
    let (active, succeeded, failed) = (count("active"), count("succeeded"), count("failed"));
    sheet.field(0, "Pods Statuses", format_args!("{active} Active{ready} / {succeeded} Succeeded / {failed} Failed"));
    if spec.get("completionMode").text() == "Indexed" {
        sheet.field(0, "Completed Indexes", capped_indexes(status.get("completedIndexes").text()));
    }
    pods::template(scene, spec.get("template"), sheet);
    scene.write_events(object, sheet);
    Ok(())
}

/// A list of indexes, cut at the first comma after fifty characters.
fn capped_indexes(indexes: &str) -> String {
    match indexes.get(50..).and_then(|rest| rest.find(',')) {
        _ if indexes.is_empty() => "<none>".to_owned(),
        Some(comma) => format!("{}...", &indexes[..50 + comma + 1]),
        None => indexes.to_owned(),
    }
}

/// A CronJob.
pub fn cron_job(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    let (spec, status) = (object.spec(), object.status());
    sheet.head(object);
    sheet.field(0, "Schedule", spec.get("schedule").text());
    sheet.field(0, "Concurrency Policy", spec.get("concurrencyPolicy").text());
    sheet.field(0, "Suspend", capital_bool(spec.get("suspend")));
    sheet.field(0, "Successful Job History Limit", shown(spec.get("successfulJobsHistoryLimit"), "<unset>"));
    sheet.field(0, "Failed Job History Limit", shown(spec.get("failedJobsHistoryLimit"), "<unset>"));
    match spec.get("startingDeadlineSeconds").as_i64() {
        Some(seconds) => sheet.field(0, "Starting Deadline Seconds", format_args!("{seconds}s")),
        None => sheet.field(0, "Starting Deadline Seconds", "<unset>"),
    }
    let job = spec.at(&["jobTemplate", "spec"]);
    match job.get("selector") {
        Json::Null => sheet.field(0, "Selector", "<unset>"),
        selector => sheet.field(0, "Selector", selector_text(selector)),
    }
    sheet.field(0, "Parallelism", shown(job.get("parallelism"), "<unset>"));
    sheet.field(0, "Completions", shown(job.get("completions"), "<unset>"));
    if let Some(seconds) = job.get("activeDeadlineSeconds").as_i64() {
        sheet.field(0, "Active Deadline Seconds", format_args!("{seconds}s"));
    }
    pods::template(scene, job.get("template"), sheet);
    match status.get("lastScheduleTime") {
        Json::Null => sheet.field(0, "Last Schedule Time", "<unset>"),
        at => sheet.field(0, "Last Schedule Time", date(at)),
    }
    let active: Vec<&str> = status.get("active").items().iter().map(|job| job.get("name").text()).collect();
    sheet.field(0, "Active Jobs", if active.is_empty() { "<none>".to_owned() } else { active.join(", ") });
    scene.write_events(object, sheet);
    Ok(())
}
