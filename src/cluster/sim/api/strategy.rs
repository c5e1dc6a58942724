//! What the server itself sets per kind: initial status, generation, and which part of an object a write may touch.

use super::write::Notes;
use super::{custom, services};
use crate::cluster::ApiError;
use crate::cluster::sim::store::{Kind, Store};
use crate::cluster::sim::world::World;
use crate::object::decode;
use crate::object::schema::schema;
use crate::object::{Json, Object, ResourceType, qos};
use crate::{array, object};

/// Kinds whose objects count their generations.
const COUNTING: [&str; 26] = [
    "pods",
    "podtemplates",
    "replicationcontrollers",
    "deployments",
    "replicasets",
    "statefulsets",
    "daemonsets",
    "jobs",
    "cronjobs",
    "poddisruptionbudgets",
    "networkpolicies",
    "ingresses",
    "ingressclasses",
    "endpointslices",
    "priorityclasses",
    "customresourcedefinitions",
    "flowschemas",
    "prioritylevelconfigurations",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
    "deviceclasses",
    "resourceslices",
    "servicecidrs",
    "ipaddresses",
];

const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

fn counts_generations(kind: Kind, resource: &ResourceType) -> bool {
    kind.is_custom() || COUNTING.contains(&resource.plural.as_str())
}

/// Whether the kind has a status that is written apart from the rest.
pub fn has_status(store: &Store, kind: Kind, resource: &ResourceType) -> bool {
    if kind.is_custom() {
        return !custom::version_of(store, resource).at(&["subresources", "status"]).is_null();
    }
    schema().of_kind(resource).is_some_and(|ty| schema().get(ty).field("status").is_some()) && kind != Kind::EVENT
}

/// An object as the server prints it: empty parts out, parts without `omitempty` in.
pub fn normalize(resource: &ResourceType, object: &mut Object) {
    if let Some(ty) = schema().of_kind(resource) {
        let mut normal = decode::normalize(object, ty);
        normal.set("apiVersion", resource.api_version());
        normal.set("kind", resource.kind.as_str());
        object.0 = normal;
    }
}

/// What conversion does to every object that is sent.
pub fn convert(kind: Kind, object: &mut Object) {
    if kind == Kind::SECRET {
        let texts = object.remove("stringData");
        for (key, text) in texts.entries() {
            object.set_at(&["data", key], decode::to_base64(text.text().as_bytes()));
        }
    }
}

/// Takes off a new object the status that its sender may not set.
pub fn reset_status(store: &Store, kind: Kind, resource: &ResourceType, object: &mut Object) {
    if kind != Kind::NODE && has_status(store, kind, resource) {
        object.remove("status");
    }
}

/// Sets what a new object starts with.
///
/// # Errors
/// When the server cannot give the object what it needs.
pub fn prepare_for_create(world: &mut World, kind: Kind, resource: &ResourceType, object: &mut Object) -> Result<(), ApiError> {
    if counts_generations(kind, resource) {
        object.set_at(&["metadata", "generation"], 1);
    }
    match kind {
        Kind::POD => {
            let mut status = object! { "phase" => "Pending", "qosClass" => qos::class_of(object) };
            if !object.spec().get("schedulingGates").is_empty() {
                let gated = object! {
                    "type" => "PodScheduled", "status" => "False", "reason" => "SchedulingGated",
                    "message" => "Scheduling is blocked due to non-empty scheduling gates",
                    "lastProbeTime" => Json::Null, "lastTransitionTime" => Json::Null,
                };
                status.set("conditions", array![gated]);
            }
            object.set("status", status);
        }
        Kind::NAMESPACE => {
            object.set("status", object! { "phase" => "Active" });
            let kept = object.spec().get("finalizers").items().iter().any(|f| f.text() == "kubernetes");
            if !kept {
                object.get_mut("spec").get_mut("finalizers").push("kubernetes");
            }
        }
        Kind::PV => {
            let now = world.now.rfc3339();
            object.set("status", object! { "phase" => "Pending", "lastPhaseTransitionTime" => now });
        }
        Kind::SERVICE => services::allocate(world, None, object)?,
        Kind::JOB => job_selector(object),
        Kind::DAEMON_SET => object.set_at(&["metadata", "annotations", TEMPLATE_GENERATION], "1"),
        _ => {}
    }
    Ok(())
}

/// A Job without a selector of its own gets one by its uid.
fn job_selector(job: &mut Object) {
    if job.spec().get("manualSelector").is_true() {
        return;
    }
    let (name, uid) = (job.name().to_owned(), job.uid().to_owned());
    let labels = [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ];
    for (key, value) in labels {
        job.set_at(&["spec", "template", "metadata", "labels", key], value);
    }
    job.set_at(&["spec", "selector", "matchLabels", "batch.kubernetes.io/controller-uid"], uid);
    // A Job without labels reads as if it had its template's: the default is taken after the selector was made.
    if job.meta().get("labels").is_empty() {
        let labels = job.at(&["spec", "template", "metadata", "labels"]).clone();
        job.set_at(&["metadata", "labels"], labels);
    }
}

/// Keeps what an update of the main part may not change, and counts generations.
///
/// # Errors
/// When the server cannot give the object what it needs.
pub fn prepare_for_update(
    world: &mut World,
    kind: Kind,
    resource: &ResourceType,
    (old, new): (&Object, &mut Object),
) -> Result<(), ApiError> {
    if has_status(&world.store, kind, resource) {
        keep(old, new, "status");
    }
    match kind {
        Kind::NAMESPACE => new.set_at(&["spec", "finalizers"], old.spec().get("finalizers")),
        Kind::SERVICE => services::allocate(world, Some(old), new)?,
        Kind::DAEMON_SET => {
            let had = old.annotation(TEMPLATE_GENERATION).and_then(|t| t.parse::<i64>().ok()).unwrap_or(1);
            let changed = old.spec().get("template") != new.spec().get("template");
            new.set_at(&["metadata", "annotations", TEMPLATE_GENERATION], (had + i64::from(changed)).to_string());
        }
        Kind::SECRET if new.get("type").text().is_empty() => new.set("type", old.get("type")),
        _ => {}
    }
    set_generation(kind, resource, old, new);
    Ok(())
}

/// Sets `field` of `new` to what it is in `old`.
pub fn keep(old: &Object, new: &mut Object, field: &str) {
    match old.as_map().and_then(|m| m.get(field)) {
        Some(value) => new.set(field, value),
        None => drop(new.remove(field)),
    }
}

/// Bumps the generation when what the object asks for changed.
pub fn set_generation(kind: Kind, resource: &ResourceType, old: &Object, new: &mut Object) {
    let generation = old.generation();
    if !counts_generations(kind, resource) {
        return;
    }
    let content = |object: &Object| -> Json {
        let mut rest = object.0.clone();
        for field in ["metadata", "status"] {
            rest.remove(field);
        }
        rest
    };
    let mut changed = content(old) != content(new);
    if kind == Kind::DEPLOYMENT {
        changed |= old.meta().get("annotations") != new.meta().get("annotations");
    }
    let wanted = generation + i64::from(changed);
    if new.generation() != wanted {
        new.set_at(&["metadata", "generation"], wanted);
    }
}

/// What a status write does besides: the time of a volume's last change of phase.
pub fn prepare_status(world: &World, kind: Kind, old: &Object, new: &mut Object) {
    const FIELD: &str = "lastPhaseTransitionTime";
    if kind == Kind::PV && old.status().get("phase") != new.status().get("phase") && old.status().get(FIELD) == new.status().get(FIELD) {
        new.set_at(&["status", FIELD], world.now.rfc3339());
    }
}

/// Warnings about a new object.
pub fn warnings_on_create(_kind: Kind, _object: &Object, _notes: &mut Notes) {}

/// Whether a PUT of an object that is not there creates it.
pub fn creates_on_update(resource: &ResourceType) -> bool {
    const CREATED: [&str; 9] =
        ["runtimeclasses", "rolebindings", "clusterrolebindings", "roles", "clusterroles", "leases", "limitranges", "events", "endpoints"];
    CREATED.contains(&resource.plural.as_str()) || resource.plural == "services" && resource.group.is_empty()
}

/// Whether an update must name the resourceVersion that it replaces.
pub fn needs_resource_version(kind: Kind, resource: &ResourceType) -> bool {
    const NAMED: [&str; 10] = [
        "runtimeclasses",
        "poddisruptionbudgets",
        "csidrivers",
        "csistoragecapacities",
        "volumeattachments",
        "csinodes",
        "leases",
        "validatingadmissionpolicies",
        "mutatingwebhookconfigurations",
        "validatingwebhookconfigurations",
    ];
    kind.is_custom() || NAMED.contains(&resource.plural.as_str())
}
