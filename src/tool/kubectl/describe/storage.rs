//! Volumes, claims and their classes.

use super::sheet::{Sheet, capital_bool, date, joined, labels_line, shown};
use super::{Scene, volumes};
use crate::cluster::Options;
use crate::object::{Json, Object};
use crate::tool::kubectl::failure::Failure;
use crate::tool::kubectl::table::{access_modes, age, storage_class_of};

fn status(scene: &Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) {
    if object.is_terminating() {
        sheet.field(0, "Status", format_args!("Terminating (lasts {})", age(object.meta().get("deletionTimestamp"), scene.now)));
    } else {
        sheet.field(0, "Status", object.status().get("phase").text());
    }
}

/// A PersistentVolume.
pub fn volume(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    let spec = object.spec();
    sheet.field(0, "Name", object.name());
    sheet.metadata(object);
    sheet.field(0, "Finalizers", shown(object.meta().get("finalizers"), "[]"));
    sheet.field(0, "StorageClass", storage_class_of(object));
    status(scene, object, sheet);
    let claim = spec.get("claimRef");
    if claim.is_null() {
        sheet.field(0, "Claim", "");
    } else {
        sheet.field(0, "Claim", format_args!("{}/{}", claim.get("namespace").text(), claim.get("name").text()));
    }
    sheet.field(0, "Reclaim Policy", spec.get("persistentVolumeReclaimPolicy").text());
    sheet.field(0, "Access Modes", access_modes(spec.get("accessModes")));
    if !spec.get("volumeMode").is_null() {
        sheet.field(0, "VolumeMode", spec.get("volumeMode").text());
    }
    sheet.field(0, "Capacity", shown(spec.at(&["capacity", "storage"]), "0"));
    affinity(spec.at(&["nodeAffinity", "required"]), sheet);
    sheet.field(0, "Message", object.status().get("message").text());
    sheet.line(0, "Source:");
    volumes::source(scene, spec, sheet);
    scene.write_events(object, sheet);
    Ok(())
}

fn affinity(required: &Json, sheet: &mut Sheet) {
    if required.is_null() {
        return sheet.field(0, "Node Affinity", "<none>");
    }
    sheet.field(0, "Node Affinity", "");
    let terms = required.get("nodeSelectorTerms").items();
    sheet.field(1, "Required Terms", if terms.is_empty() { "<none>" } else { "" });
    for (at, term) in terms.iter().enumerate() {
        sheet.part(2, format_args!("Term {at}:\t"));
        requirements(term.get("matchExpressions"), 2, sheet);
    }
}

/// Requirements on labels, one a line.
fn requirements(requirements: &Json, level: usize, sheet: &mut Sheet) {
    if requirements.is_empty() {
        return sheet.raw("<none>\n");
    }
    for (at, requirement) in requirements.items().iter().enumerate() {
        if at > 0 {
            sheet.part(level, "\t");
        }
        let operator = shown(requirement.get("operator"), "In").to_lowercase();
        let values = joined(requirement.get("values"), ", ");
        let values = if values.is_empty() { String::new() } else { format!(" [{values}]") };
        sheet.line(0, format_args!("{} {operator}{values}", requirement.get("key").text()));
    }
}

/// A PersistentVolumeClaim.
pub fn claim(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    let pods = scene.try_list("", "pods", Some(object.namespace()), Options::default())?;
    let uses = |pod: &Object| {
        let volumes = pod.spec().get("volumes").items();
        volumes.iter().any(|volume| volume.at(&["persistentVolumeClaim", "claimName"]).text() == object.name())
    };
    let owns = |pod: &Object| {
        let owners = object.meta().get("ownerReferences").items();
        owners.iter().any(|owner| owner.get("kind").text() == "Pod" && owner.get("uid").text() == pod.uid())
    };
    let mut users: Vec<&str> = pods.iter().filter(|pod| uses(pod) || owns(pod)).map(Object::name).collect();
    users.sort_unstable();
    claim_fields(scene, object, sheet, true);
    sheet.field(0, "Used By", if users.is_empty() { "<none>".to_owned() } else { users.join("\n\t") });
    let conditions = object.status().get("conditions").items();
    if !conditions.is_empty() {
        sheet.line(0, "Conditions:");
        sheet.line(1, "Type\tStatus\tLastProbeTime\tLastTransitionTime\tReason\tMessage");
        sheet.line(1, "----\t------\t-----------------\t------------------\t------\t-------");
    }
    for condition in conditions {
        let text = |field: &str| condition.get(field).text();
        let (probed, changed) = (date(condition.get("lastProbeTime")), date(condition.get("lastTransitionTime")));
        sheet.line(
            1,
            format_args!("{} \t{} \t{probed} \t{changed} \t{} \t{}", text("type"), text("status"), text("reason"), text("message")),
        );
    }
    scene.write_events(object, sheet);
    Ok(())
}

/// The fields of a claim, or of a template for claims.
pub fn claim_fields(scene: &Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet, whole: bool) {
    let spec = object.spec();
    if whole {
        sheet.field(0, "Name", object.name());
        sheet.field(0, "Namespace", object.namespace());
    }
    sheet.field(0, "StorageClass", storage_class_of(object));
    if whole {
        status(scene, object, sheet);
    }
    let bound = spec.get("volumeName").text();
    sheet.field(0, "Volume", bound);
    sheet.metadata(object);
    if whole {
        sheet.field(0, "Finalizers", shown(object.meta().get("finalizers"), "[]"));
    }
    let given = |text: String| if bound.is_empty() { String::new() } else { text };
    sheet.field(0, "Capacity", given(shown(object.status().at(&["capacity", "storage"]), "0")));
    sheet.field(0, "Access Modes", given(access_modes(object.status().get("accessModes"))));
    if !spec.get("volumeMode").is_null() {
        sheet.field(0, "VolumeMode", spec.get("volumeMode").text());
    }
    let source = spec.get("dataSource");
    if !source.is_null() {
        sheet.line(0, "DataSource:");
        if !source.get("apiGroup").is_null() {
            sheet.field(1, "APIGroup", source.get("apiGroup").text());
        }
        sheet.field(1, "Kind", source.get("kind").text());
        sheet.field(1, "Name", source.get("name").text());
    }
}

/// A StorageClass.
pub fn storage_class(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    let keys = ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
    let default = keys.iter().any(|key| object.annotation(key) == Some("true"));
    sheet.field(0, "Name", object.name());
    sheet.field(0, "IsDefaultClass", if default { "Yes" } else { "No" });
    sheet.field(0, "Annotations", labels_line(object.meta().get("annotations")));
    sheet.field(0, "Provisioner", object.get("provisioner").text());
    sheet.field(0, "Parameters", labels_line(object.get("parameters")));
    sheet.field(0, "AllowVolumeExpansion", capital_bool(object.get("allowVolumeExpansion")));
    if object.get("mountOptions").is_empty() {
        sheet.field(0, "MountOptions", "<none>");
    } else {
        sheet.line(0, "MountOptions:");
        for option in object.get("mountOptions").items() {
            sheet.line(1, option.text());
        }
    }
    for (title, field) in [("ReclaimPolicy", "reclaimPolicy"), ("VolumeBindingMode", "volumeBindingMode")] {
        if !object.get(field).is_null() {
            sheet.field(0, title, object.get(field).text());
        }
    }
    let topologies = object.get("allowedTopologies");
    if !topologies.is_null() {
        sheet.field(0, "AllowedTopologies", if topologies.is_empty() { "<none>" } else { "" });
        for (at, term) in topologies.items().iter().enumerate() {
            sheet.part(1, format_args!("Term {at}:\t"));
            requirements(term.get("matchLabelExpressions"), 1, sheet);
        }
    }
    scene.write_events(object, sheet);
    Ok(())
}

/// A CSINode.
pub fn csi_node(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    sheet.field(0, "Name", object.name());
    sheet.metadata(object);
    sheet.field(0, "CreationTimestamp", date(object.meta().get("creationTimestamp")));
    sheet.line(0, "Spec:");
    let drivers = object.spec().get("drivers");
    if !drivers.is_null() {
        sheet.line(1, "Drivers:");
    }
    for driver in drivers.items() {
        sheet.line(2, format_args!("{}:", driver.get("name").text()));
        sheet.field(3, "Node ID", driver.get("nodeID").text());
        if let Some(count) = driver.at(&["allocatable", "count"]).as_i64() {
            sheet.line(3, "Allocatables:");
            sheet.field(4, "Count", count);
        }
        if !driver.get("topologyKeys").is_null() {
            sheet.field(3, "Topology Keys", shown(driver.get("topologyKeys"), "[]"));
        }
    }
    scene.write_events(object, sheet);
    Ok(())
}

/// A VolumeAttributesClass.
pub fn attributes_class(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    sheet.field(0, "Name", object.name());
    sheet.field(0, "Annotations", labels_line(object.meta().get("annotations")));
    sheet.field(0, "DriverName", object.get("driverName").text());
    sheet.field(0, "Parameters", labels_line(object.get("parameters")));
    scene.write_events(object, sheet);
    Ok(())
}
