//! PersistentVolumes, claims and storage classes.

use super::path::Path;
use super::volumes::{access_modes, host_path};
use super::{FieldErrors, complain, immutable, internal, meta, one_of, scheduling};
use crate::object::{Json, Object, Quantity, names};

const MODES: [&str; 2] = ["Block", "Filesystem"];
/// Sources of volumes.
const SOURCES: [&str; 22] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

/// The spec of a claim.
pub(super) fn check_claim(spec: &Json, path: &Path, errors: &mut FieldErrors) {
    if spec.get("accessModes").is_empty() {
        errors.required(path.child("accessModes"), "at least 1 access mode is required");
    }
    meta::selector(spec.get("selector"), &path.child("selector"), errors);
    access_modes(spec.get("accessModes"), &path.child("accessModes"), errors);
    let resources = path.child("resources");
    let storage = resources.key("storage");
    match Quantity::of(spec.at(&["resources", "requests", "storage"])) {
        None => errors.required(storage, ""),
        Some(size) if size.is_zero() || size.is_negative() => errors.invalid(storage, size, "must be greater than zero"),
        Some(size) if !size.is_whole() => errors.invalid(storage, size, "must be an integer"),
        Some(_) => {}
    }
    let class = spec.get("storageClassName").text();
    if !class.is_empty() {
        complain(names::dns1123_subdomain(class), class, &path.child("storageClassName"), errors);
    }
    let mode = spec.get("volumeMode");
    if !mode.is_null() && !MODES.contains(&mode.text()) {
        errors.not_supported(path.child("volumeMode"), mode.text(), &MODES);
    }
}

pub(super) fn on_claim_update(old: &Object, new: &Object, errors: &mut FieldErrors) {
    check_claim(new.spec(), &Path::new("spec"), errors);
    let (mut before, mut after) = (old.spec().clone(), new.spec().clone());
    if before.get("volumeName").text().is_empty() && !after.get("volumeName").is_null() {
        before.set("volumeName", after.get("volumeName"));
    }
    if before.get("storageClassName").is_null() && !after.get("storageClassName").is_null() {
        after.remove("storageClassName");
    }
    if new.status().get("phase").text() == "Bound" {
        after.set_at(&["resources", "requests", "storage"], old.spec().at(&["resources", "requests", "storage"]));
        for spec in [&mut before, &mut after] {
            spec.remove("volumeAttributesClassName");
        }
    }
    let spec = Path::new("spec");
    if before != after {
        let diff = internal::diff(&before, &after, "core.PersistentVolumeClaimSpec");
        let text = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        errors.forbidden(spec, &format!("{text}\n{diff}"));
    }
    let size = |object: &Object| Quantity::of(object.spec().at(&["resources", "requests", "storage"])).unwrap_or(Quantity::ZERO);
    let capacity = Quantity::of(old.status().at(&["capacity", "storage"])).unwrap_or(Quantity::ZERO);
    if size(new) < size(old) && size(new) <= capacity {
        errors.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity");
    }
    immutable(old.spec().get("volumeMode"), new.spec().get("volumeMode"), &Path::new("volumeMode"), errors);
}

pub(super) fn check_volume(volume: &Object, errors: &mut FieldErrors) {
    let (spec, path) = (volume.spec(), Path::new("spec"));
    if spec.get("accessModes").is_empty() {
        errors.required(path.child("accessModes"), "");
    }
    access_modes(spec.get("accessModes"), &path.child("accessModes"), errors);
    let (capacity, below) = (spec.get("capacity"), path.child("capacity"));
    if capacity.is_empty() {
        errors.required(below, "");
    }
    if capacity.get("storage").is_null() || capacity.entries().count() > 1 {
        errors.not_supported(below, capacity, &["storage"]);
    }
    for (name, value) in capacity.entries() {
        let size = Quantity::of(value).unwrap_or(Quantity::ZERO);
        if size.is_zero() || size.is_negative() {
            errors.invalid(below.key(name), size, "must be greater than zero");
        }
    }
    let policy = spec.get("persistentVolumeReclaimPolicy").text();
    let policies = ["Delete", "Recycle", "Retain"];
    if !policy.is_empty() && !policies.contains(&policy) {
        errors.not_supported(path.child("persistentVolumeReclaimPolicy"), policy, &policies);
    }
    let affinity = spec.at(&["nodeAffinity", "required"]);
    if !affinity.is_null() {
        let below = path.child("nodeAffinity");
        scheduling::node_selector(affinity, &below.child("required"), errors);
    }
    volume_source(spec, &path, errors);
    let class = spec.get("storageClassName").text();
    if !class.is_empty() {
        complain(names::dns1123_subdomain(class), class, &path.child("storageClassName"), errors);
    }
    let mode = spec.get("volumeMode");
    if !mode.is_null() && !MODES.contains(&mode.text()) {
        errors.not_supported(path.child("volumeMode"), mode.text(), &MODES);
    }
}

fn volume_source(spec: &Json, path: &Path, errors: &mut FieldErrors) {
    let mut count = 0;
    for kind in SOURCES.iter().filter(|kind| !spec.get(kind).is_null()) {
        let (source, path) = (spec.get(kind), path.child(kind));
        count += 1;
        if count > 1 {
            errors.forbidden(path, "may not specify more than 1 volume type");
            continue;
        }
        let required = |field: &str, errors: &mut FieldErrors| {
            if source.get(field).text().is_empty() {
                errors.required(path.child(field), "");
            }
        };
        match *kind {
            "hostPath" => host_path(source, &path, errors),
            "nfs" => {
                required("server", errors);
                required("path", errors);
            }
            "csi" => {
                required("driver", errors);
                required("volumeHandle", errors);
            }
            "local" => {
                required("path", errors);
                if spec.get("nodeAffinity").is_null() {
                    errors.required("spec.nodeAffinity", "Local volume requires node affinity");
                }
            }
            _ => {}
        }
    }
    if count == 0 {
        errors.required(path, "must specify a volume type");
    }
}

pub(super) fn on_volume_update(old: &Object, new: &Object, errors: &mut FieldErrors) {
    check_volume(new, errors);
    let source = |object: &Object| {
        let mut source = object.spec().clone();
        source.map_mut().retain(|key, _| SOURCES.contains(&key));
        source
    };
    let (before, after) = (source(old), source(new));
    if before != after {
        let diff = internal::diff(&before, &after, "core.PersistentVolumeSource");
        errors.forbidden("spec.persistentvolumesource", &format!("spec.persistentvolumesource is immutable after creation\n{diff}"));
    }
    immutable(old.spec().get("volumeMode"), new.spec().get("volumeMode"), &Path::new("volumeMode"), errors);
    let affinity = old.spec().get("nodeAffinity");
    if !affinity.is_null() && affinity != new.spec().get("nodeAffinity") {
        let text = "field is immutable, except for updating from beta label to GA";
        errors.invalid(Path::new("nodeAffinity"), new.spec().get("nodeAffinity"), text);
    }
}

pub(super) fn check_class(class: &Object, errors: &mut FieldErrors) {
    if class.get("provisioner").text().is_empty() {
        errors.required("provisioner", "provisioner is required");
    }
    one_of(class.get("reclaimPolicy").text(), &["Delete", "Retain"], &Path::new("reclaimPolicy"), errors);
    one_of(class.get("volumeBindingMode").text(), &["Immediate", "WaitForFirstConsumer"], &Path::new("volumeBindingMode"), errors);
}

pub(super) fn on_class_update(old: &Object, new: &Object, errors: &mut FieldErrors) {
    for (field, text) in [
        ("parameters", "updates to parameters are forbidden."),
        ("provisioner", "updates to provisioner are forbidden."),
        ("reclaimPolicy", "updates to reclaimPolicy are forbidden."),
    ] {
        if old.get(field) != new.get(field) {
            errors.forbidden(field, text);
        }
    }
    immutable(old.get("volumeBindingMode"), new.get("volumeBindingMode"), &Path::new("volumeBindingMode"), errors);
}
