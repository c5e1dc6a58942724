//! Volumes of pods.

use super::containers::{field_reference, local_path, resource_reference};
use super::path::Path;
use super::{FieldErrors, complain, one_of};
use crate::object::{Json, Quantity, names};
use std::collections::BTreeSet;

/// Names of the volumes that are in order; the others cannot be mounted.
pub(super) type Volumes = BTreeSet<String>;

/// Kinds of sources in the order in which the server looks at them.
const SOURCES: [&str; 18] = [
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "persistentVolumeClaim",
    "rbd",
    "cephfs",
    "downwardAPI",
    "fc",
    "configMap",
    "azureFile",
    "projected",
    "csi",
];
const LATE_SOURCES: [&str; 2] = ["ephemeral", "image"];

pub(super) fn check(volumes: &Json, path: &Path, errors: &mut FieldErrors) -> Volumes {
    let mut good = Volumes::new();
    for (at, volume) in volumes.items().iter().enumerate() {
        let path = path.index(at);
        let mut own = FieldErrors::default();
        source(volume, &path, &mut own);
        let name = volume.get("name").text();
        if name.is_empty() {
            own.required(path.child("name"), "");
        } else {
            complain(names::dns1123_label(name), name, &path.child("name"), &mut own);
        }
        if good.contains(name) {
            own.duplicate(path.child("name"), name);
        }
        if own.is_empty() {
            good.insert(name.to_owned());
        }
        errors.extend(own);
    }
    good
}

fn source(volume: &Json, path: &Path, errors: &mut FieldErrors) {
    let mut count = 0;
    for kind in SOURCES.iter().chain(&LATE_SOURCES).filter(|kind| !volume.get(kind).is_null()) {
        let (source, path) = (volume.get(kind), path.child(kind));
        count += 1;
        if count > 1 {
            errors.forbidden(path, "may not specify more than 1 volume type");
            continue;
        }
        match *kind {
            "emptyDir" if Quantity::of(source.get("sizeLimit")).is_some_and(Quantity::is_negative) => {
                errors.forbidden(path.child("sizeLimit"), "SizeLimit field must be a valid resource quantity");
            }
            "hostPath" => host_path(source, &path, errors),
            "secret" => keyed(source, "secretName", &path, errors),
            "configMap" => keyed(source, "name", &path, errors),
            "persistentVolumeClaim" => required(source, "claimName", &path, errors),
            "nfs" => {
                required(source, "server", &path, errors);
                required(source, "path", &path, errors);
                if !source.get("path").text().is_empty() && !source.get("path").text().starts_with('/') {
                    errors.invalid(path.child("path"), source.get("path").text(), "must be an absolute path");
                }
            }
            "downwardAPI" => downward(source, &path, errors),
            "projected" => projected(source, &path, errors),
            "csi" => required(source, "driver", &path, errors),
            "ephemeral" => {
                let template = path.child("volumeClaimTemplate");
                if source.get("volumeClaimTemplate").is_null() {
                    errors.required(template, "");
                } else {
                    super::storage::check_claim(source.at(&["volumeClaimTemplate", "spec"]), &template.child("spec"), errors);
                }
            }
            _ => {}
        }
    }
    if count == 0 && volume.entries().all(|(key, _)| key == "name") {
        errors.required(path, "must specify a volume type");
    }
}

fn required(source: &Json, field: &str, path: &Path, errors: &mut FieldErrors) {
    if source.get(field).text().is_empty() {
        errors.required(path.child(field), "");
    }
}

/// A path on the node.
pub(super) fn host_path(source: &Json, path: &Path, errors: &mut FieldErrors) {
    const KINDS: [&str; 8] = ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    let text = source.get("path").text();
    if text.is_empty() {
        return errors.required(path.child("path"), "");
    }
    if text.split('/').any(|part| part == "..") {
        errors.invalid(path.child("path"), text, "must not contain '..'");
    }
    let kind = source.get("type").text();
    if !KINDS.contains(&kind) {
        errors.not_supported(path.child("type"), kind, &KINDS);
    }
}

fn mode(source: &Json, field: &str, path: &Path, errors: &mut FieldErrors) {
    if let Some(bits) = source.get(field).as_i64().filter(|bits| !(0..=0o777).contains(bits)) {
        errors.invalid(path.child(field), bits, "must be a number between 0 and 0777 (octal), both inclusive");
    }
}

fn items(source: &Json, path: &Path, errors: &mut FieldErrors) {
    for (at, item) in source.get("items").items().iter().enumerate() {
        let list = path.child("items");
        let path = list.index(at);
        required(item, "key", &path, errors);
        required(item, "path", &path, errors);
        local_path(item.get("path").text(), &path.child("path"), errors);
        mode(item, "mode", &path, errors);
    }
}

/// A ConfigMap or Secret.
fn keyed(source: &Json, name: &str, path: &Path, errors: &mut FieldErrors) {
    required(source, name, path, errors);
    mode(source, "defaultMode", path, errors);
    items(source, path, errors);
}

fn downward(source: &Json, path: &Path, errors: &mut FieldErrors) {
    const FIELDS: [&str; 5] = ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
    mode(source, "defaultMode", path, errors);
    for item in source.get("items").items() {
        required(item, "path", path, errors);
        local_path(item.get("path").text(), &path.child("path"), errors);
        if !item.get("fieldRef").is_null() {
            field_reference(item.get("fieldRef"), &FIELDS, &path.child("fieldRef"), errors);
        } else if !item.get("resourceFieldRef").is_null() {
            resource_reference(item.get("resourceFieldRef"), true, &path.child("resourceFieldRef"), errors);
        } else {
            errors.required(path, "one of fieldRef and resourceFieldRef is required");
        }
        mode(item, "mode", path, errors);
    }
}

fn projected(source: &Json, path: &Path, errors: &mut FieldErrors) {
    mode(source, "defaultMode", path, errors);
    for (at, part) in source.get("sources").items().iter().enumerate() {
        let list = path.child("sources");
        let path = list.index(at);
        let mut count = 0;
        for kind in ["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle"] {
            let (source, path) = (part.get(kind), path.child(kind));
            if source.is_null() {
                continue;
            }
            count += 1;
            if count > 1 {
                errors.forbidden(path, "may not specify more than 1 volume type");
                continue;
            }
            match kind {
                "secret" | "configMap" => {
                    required(source, "name", &path, errors);
                    items(source, &path, errors);
                }
                "downwardAPI" => downward(source, &path, errors),
                "serviceAccountToken" => {
                    let seconds = source.get("expirationSeconds").as_i64().unwrap_or(3600);
                    if seconds < 600 {
                        errors.invalid(path.child("expirationSeconds"), seconds, "may not specify a duration less than 10 minutes");
                    }
                    required(source, "path", &path, errors);
                }
                _ => {}
            }
        }
        if count == 0 {
            errors.required(path, "");
        }
    }
}

/// Access modes of a volume or claim.
pub(super) fn access_modes(modes: &Json, path: &Path, errors: &mut FieldErrors) {
    const MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
    for mode in modes.items() {
        one_of(mode.text(), &MODES, path, errors);
    }
    let single = modes.items().iter().any(|m| m.text() == "ReadWriteOncePod");
    if single && modes.items().len() > 1 {
        errors.forbidden(path, "may not use ReadWriteOncePod with other access modes");
    }
}
