//! Tables of volumes, configuration and what they are made of.

use super::{Cells, Fill};
use crate::object::{Json, Object, ResourceType};

/// Columns and cells of a storage or configuration kind.
pub fn layout(resource: &ResourceType) -> Option<(&'static [&'static str], Fill)> {
    Some(match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "persistentvolumes") => (VOLUMES, volume),
        ("", "persistentvolumeclaims") => (CLAIMS, claim),
        ("", "configmaps") => (&["NAME", "DATA", "AGE"], config_map),
        ("", "secrets") => (&["NAME", "TYPE", "DATA", "AGE"], secret),
        ("storage.k8s.io", "storageclasses") => (CLASSES, storage_class),
        ("storage.k8s.io", "volumeattachments") => (&["NAME", "ATTACHER", "PV", "NODE", "ATTACHED", "AGE"], attachment),
        ("storage.k8s.io", "volumeattributesclasses") => (&["NAME", "DRIVERNAME", "AGE"], attributes_class),
        ("storage.k8s.io", "csinodes") => (&["NAME", "DRIVERS", "AGE"], csi_node),
        ("storage.k8s.io", "csidrivers") => (DRIVERS, csi_driver),
        ("storage.k8s.io", "csistoragecapacities") => (&["NAME", "STORAGECLASSNAME", "CAPACITY"], csi_capacity),
        _ => return None,
    })
}

const VOLUMES: &[&str] = &[
    "NAME",
    "CAPACITY",
    "ACCESS MODES",
    "RECLAIM POLICY",
    "STATUS",
    "CLAIM",
    "STORAGECLASS",
    "VOLUMEATTRIBUTESCLASS",
    "REASON",
    "AGE",
    "*VOLUMEMODE",
];
const CLAIMS: &[&str] =
    &["NAME", "STATUS", "VOLUME", "CAPACITY", "ACCESS MODES", "STORAGECLASS", "VOLUMEATTRIBUTESCLASS", "AGE", "*VOLUMEMODE"];
const CLASSES: &[&str] = &["NAME", "PROVISIONER", "RECLAIMPOLICY", "VOLUMEBINDINGMODE", "ALLOWVOLUMEEXPANSION", "AGE"];
const DRIVERS: &[&str] =
    &["NAME", "ATTACHREQUIRED", "PODINFOONMOUNT", "STORAGECAPACITY", "TOKENREQUESTS", "REQUIRESREPUBLISH", "MODES", "AGE"];

/// `RWO,RWX`.
pub fn access_modes(modes: &Json) -> String {
    let known = [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let given = known.iter().filter(|(mode, _)| modes.items().iter().any(|m| m.text() == *mode));
    given.map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

/// The class of a volume or a claim; the old annotation wins.
pub fn storage_class_of(object: &Object) -> &str {
    object.annotation("volume.beta.kubernetes.io/storage-class").unwrap_or_else(|| object.spec().get("storageClassName").text())
}

fn phase(object: &Object) -> &str {
    if object.is_terminating() { "Terminating" } else { object.status().get("phase").text() }
}

/// A quantity as text; Go's zero value when absent.
fn quantity(value: &Json) -> String {
    match value {
        Json::Null => "0".to_owned(),
        Json::Str(text) => text.to_string(),
        number => number.to_compact(),
    }
}

fn volume(object: &Object, cells: &mut Cells) {
    let spec = object.spec();
    cells.name(object);
    cells.text(&quantity(spec.at(&["capacity", "storage"])));
    cells.text(&access_modes(spec.get("accessModes")));
    cells.text(spec.get("persistentVolumeReclaimPolicy").text());
    cells.text(phase(object));
    match spec.get("claimRef") {
        Json::Null => cells.text(""),
        claim => cells.text(&format!("{}/{}", claim.get("namespace").text(), claim.get("name").text())),
    }
    cells.text(storage_class_of(object));
    cells.text(spec.get("volumeAttributesClassName").as_str().unwrap_or("<unset>"));
    cells.text(object.status().get("reason").text());
    cells.age(object);
    if cells.wide {
        cells.text(spec.get("volumeMode").as_str().unwrap_or("<unset>"));
    }
}

fn claim(object: &Object, cells: &mut Cells) {
    let (spec, status) = (object.spec(), object.status());
    let bound = spec.get("volumeName").text();
    cells.name(object);
    cells.text(phase(object));
    cells.text(bound);
    if bound.is_empty() {
        cells.text("");
        cells.text("");
    } else {
        cells.text(&quantity(status.at(&["capacity", "storage"])));
        cells.text(&access_modes(status.get("accessModes")));
    }
    cells.text(storage_class_of(object));
    cells.text(spec.get("volumeAttributesClassName").as_str().unwrap_or("<unset>"));
    cells.age(object);
    if cells.wide {
        cells.text(spec.get("volumeMode").as_str().unwrap_or("<unset>"));
    }
}

fn entries(map: &Json) -> i64 {
    i64::try_from(map.entries().count()).unwrap_or(0)
}

fn length(list: &Json) -> i64 {
    i64::try_from(list.items().len()).unwrap_or(0)
}

fn config_map(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.number(entries(object.get("data")) + entries(object.get("binaryData")));
    cells.age(object);
}

fn secret(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.text(object.get("type").text());
    cells.number(entries(object.get("data")));
    cells.age(object);
}

fn storage_class(object: &Object, cells: &mut Cells) {
    let is_default = |key: &str| object.annotation(key) == Some("true");
    if is_default("storageclass.kubernetes.io/is-default-class") || is_default("storageclass.beta.kubernetes.io/is-default-class") {
        cells.named(&format!("{} (default)", object.name()));
    } else {
        cells.name(object);
    }
    cells.text(object.get("provisioner").text());
    cells.text(object.get("reclaimPolicy").as_str().unwrap_or("Delete"));
    cells.text(object.get("volumeBindingMode").as_str().unwrap_or("Immediate"));
    cells.bool(object.get("allowVolumeExpansion").is_true());
    cells.age(object);
}

fn attachment(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.text(object.spec().get("attacher").text());
    cells.text(object.spec().at(&["source", "persistentVolumeName"]).text());
    cells.text(object.spec().get("nodeName").text());
    cells.bool(object.status().get("attached").is_true());
    cells.age(object);
}

fn attributes_class(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.text(object.get("driverName").text());
    cells.age(object);
}

fn csi_node(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.number(length(object.spec().get("drivers")));
    cells.age(object);
}

fn csi_driver(object: &Object, cells: &mut Cells) {
    let spec = object.spec();
    let joined = |items: Vec<&str>| items.join(",");
    cells.name(object);
    cells.bool(spec.get("attachRequired").as_bool().unwrap_or(true));
    cells.bool(spec.get("podInfoOnMount").is_true());
    cells.bool(spec.get("storageCapacity").is_true());
    match spec.get("tokenRequests") {
        Json::Null => cells.text("<unset>"),
        requests => cells.text(&joined(requests.items().iter().map(|r| r.get("audience").text()).collect())),
    }
    cells.bool(spec.get("requiresRepublish").is_true());
    cells.text_or_none(&joined(spec.get("volumeLifecycleModes").items().iter().map(Json::text).collect()));
    cells.age(object);
}

fn csi_capacity(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.text(object.get("storageClassName").text());
    cells.text(object.get("capacity").as_str().unwrap_or("<unset>"));
}
