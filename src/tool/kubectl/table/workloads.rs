//! Tables of workloads: what runs pods.

use super::{Cells, Fill, human, pods, seconds_between};
use crate::object::{Json, Object, ResourceType};
use crate::time::SimTime;

/// Columns and cells of a workload kind.
pub fn layout(resource: &ResourceType) -> Option<(&'static [&'static str], Fill)> {
    Some(match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => (pods::COLUMNS, pods::fill),
        ("apps", "deployments") => {
            (&["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "*CONTAINERS", "*IMAGES", "*SELECTOR"], deployment)
        }
        ("apps", "replicasets") => (REPLICAS, replica_set),
        ("", "replicationcontrollers") => (REPLICAS, replication_controller),
        ("apps", "statefulsets") => (&["NAME", "READY", "AGE", "*CONTAINERS", "*IMAGES"], stateful_set),
        ("apps", "daemonsets") => (DAEMON_SETS, daemon_set),
        ("batch", "jobs") => (&["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE", "*CONTAINERS", "*IMAGES", "*SELECTOR"], job),
        ("batch", "cronjobs") => (CRON_JOBS, cron_job),
        ("", "podtemplates") => (&["NAME", "CONTAINERS", "IMAGES", "POD LABELS"], pod_template),
        ("apps", "controllerrevisions") => (&["NAME", "CONTROLLER", "REVISION", "AGE"], controller_revision),
        ("autoscaling", "scales") => (&["NAME", "DESIRED", "AVAILABLE", "AGE"], scale),
        _ => return None,
    })
}

const REPLICAS: &[&str] = &["NAME", "DESIRED", "CURRENT", "READY", "AGE", "*CONTAINERS", "*IMAGES", "*SELECTOR"];
const DAEMON_SETS: &[&str] =
    &["NAME", "DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE", "NODE SELECTOR", "AGE", "*CONTAINERS", "*IMAGES", "*SELECTOR"];
const CRON_JOBS: &[&str] =
    &["NAME", "SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST SCHEDULE", "AGE", "*CONTAINERS", "*IMAGES", "*SELECTOR"];

fn number(object: &Json, path: &[&str]) -> i64 {
    object.at(path).as_i64().unwrap_or(0)
}

fn template_containers(object: &Object) -> &Json {
    object.at(&["spec", "template", "spec", "containers"])
}

fn deployment(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.ratio(number(object, &["status", "readyReplicas"]), number(object, &["spec", "replicas"]));
    cells.number(number(object, &["status", "updatedReplicas"]));
    cells.number(number(object, &["status", "availableReplicas"]));
    cells.age(object);
    if cells.wide {
        cells.containers(template_containers(object));
        let selector = super::selector_text(object.spec().get("selector"));
        cells.text(if selector == "<none>" { "" } else { &selector });
    }
}

fn replicas(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.number(number(object, &["spec", "replicas"]));
    cells.number(number(object, &["status", "replicas"]));
    cells.number(number(object, &["status", "readyReplicas"]));
    cells.age(object);
    if cells.wide {
        cells.containers(template_containers(object));
    }
}

fn replica_set(object: &Object, cells: &mut Cells) {
    replicas(object, cells);
    if cells.wide {
        cells.selector(object.spec().get("selector"));
    }
}

fn replication_controller(object: &Object, cells: &mut Cells) {
    replicas(object, cells);
    if cells.wide {
        cells.labels(object.spec().get("selector"));
    }
}

fn stateful_set(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.ratio(number(object, &["status", "readyReplicas"]), number(object, &["spec", "replicas"]));
    cells.age(object);
    if cells.wide {
        cells.containers(template_containers(object));
    }
}

fn daemon_set(object: &Object, cells: &mut Cells) {
    cells.name(object);
    for field in ["desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled", "numberAvailable"] {
        cells.number(number(object, &["status", field]));
    }
    cells.labels(object.at(&["spec", "template", "spec", "nodeSelector"]));
    cells.age(object);
    if cells.wide {
        cells.containers(template_containers(object));
        cells.selector(object.spec().get("selector"));
    }
}

/// STATUS of a job.
pub fn job_status(job: &Object) -> &'static str {
    let holds = |kind: &str| job.condition(kind).is_some_and(|c| c.get("status").text() == "True");
    match () {
        () if holds("Complete") => "Complete",
        () if holds("Failed") => "Failed",
        () if job.is_terminating() => "Terminating",
        () if holds("Suspended") => "Suspended",
        () if holds("FailureTarget") => "FailureTarget",
        () if holds("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

fn job(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.text(job_status(object));
    let succeeded = number(object, &["status", "succeeded"]);
    let parallelism = number(object, &["spec", "parallelism"]);
    match object.spec().get("completions").as_i64() {
        Some(completions) => cells.ratio(succeeded, completions),
        None if parallelism > 1 => cells.text(&format!("{succeeded}/1 of {parallelism}")),
        None => cells.ratio(succeeded, 1),
    }
    let time = |field: &str| object.status().get(field).as_str().and_then(SimTime::parse_rfc3339);
    match time("startTime") {
        Some(start) => cells.text(&human(seconds_between(start, time("completionTime").unwrap_or(cells.now)))),
        None => cells.text(""),
    }
    cells.age(object);
    if cells.wide {
        cells.containers(template_containers(object));
        cells.selector(object.spec().get("selector"));
    }
}

fn cron_job(object: &Object, cells: &mut Cells) {
    let spec = object.spec();
    cells.name(object);
    cells.text(spec.get("schedule").text());
    cells.text(spec.get("timeZone").as_str().unwrap_or("<none>"));
    cells.text(match spec.get("suspend").as_bool() {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    });
    cells.number(i64::try_from(object.status().get("active").items().len()).unwrap_or(0));
    match object.status().get("lastScheduleTime") {
        Json::Null => cells.text("<none>"),
        at => cells.since(at),
    }
    cells.age(object);
    if cells.wide {
        cells.containers(spec.at(&["jobTemplate", "spec", "template", "spec", "containers"]));
        cells.selector(spec.at(&["jobTemplate", "spec", "selector"]));
    }
}

fn pod_template(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.containers(object.at(&["template", "spec", "containers"]));
    cells.labels(object.at(&["template", "metadata", "labels"]));
}

fn controller_revision(object: &Object, cells: &mut Cells) {
    cells.name(object);
    match object.controller() {
        Some(owner) => {
            let kind = owner.get("kind").text().to_lowercase();
            let group = owner.get("apiVersion").text().rsplit_once('/').map_or(String::new(), |(group, _)| format!(".{group}"));
            cells.text(&format!("{kind}{group}/{}", owner.get("name").text()));
        }
        None => cells.text("<none>"),
    }
    cells.number(number(object, &["revision"]));
    cells.age(object);
}

fn scale(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.number(number(object, &["spec", "replicas"]));
    cells.number(number(object, &["status", "replicas"]));
    cells.age(object);
}
