//! Where volumes come from: every source that a pod or a PersistentVolume can name.

use super::sheet::{Sheet, joined, shown};
use super::{Scene, storage};
use crate::object::{Json, Object};

/// A source whose description is its fields one after the other.
struct Source {
    /// Its field in the volume.
    field: &'static str,
    /// What follows `Type:`.
    title: &'static str,
    /// Title, field, and what stands for an absent value.
    parts: &'static [(&'static str, &'static str, &'static str)],
}

const RO: (&str, &str, &str) = ("ReadOnly", "readOnly", "false");
const FS: (&str, &str, &str) = ("FSType", "fsType", "");

/// Sources of volumes in pods and of PersistentVolumes.
const SOURCES: &[Source] = &[
    Source {
        field: "hostPath",
        title: "HostPath (bare host directory volume)",
        parts: &[("Path", "path", ""), ("HostPathType", "type", "<none>")],
    },
    Source {
        field: "emptyDir",
        title: "EmptyDir (a temporary directory that shares a pod's lifetime)",
        parts: &[("Medium", "medium", ""), ("SizeLimit", "sizeLimit", "<unset>")],
    },
    Source {
        field: "gcePersistentDisk",
        title: "GCEPersistentDisk (a Persistent Disk resource in Google Compute Engine)",
        parts: &[("PDName", "pdName", ""), FS, ("Partition", "partition", "0"), RO],
    },
    Source {
        field: "awsElasticBlockStore",
        title: "AWSElasticBlockStore (a Persistent Disk resource in AWS)",
        parts: &[("VolumeID", "volumeID", ""), FS, ("Partition", "partition", "0"), RO],
    },
    Source {
        field: "gitRepo",
        title: "GitRepo (a volume that is pulled from git when the pod is created)",
        parts: &[("Repository", "repository", ""), ("Revision", "revision", "")],
    },
    Source {
        field: "secret",
        title: "Secret (a volume populated by a Secret)",
        parts: &[("SecretName", "secretName", ""), ("Optional", "optional", "false")],
    },
    Source {
        field: "configMap",
        title: "ConfigMap (a volume populated by a ConfigMap)",
        parts: &[("Name", "name", ""), ("Optional", "optional", "false")],
    },
    Source {
        field: "nfs",
        title: "NFS (an NFS mount that lasts the lifetime of a pod)",
        parts: &[("Server", "server", ""), ("Path", "path", ""), RO],
    },
    Source {
        field: "iscsi",
        title: "ISCSI (an ISCSI Disk resource that is attached to a kubelet's host machine and then exposed to the pod)",
        parts: &[
            ("TargetPortal", "targetPortal", ""),
            ("IQN", "iqn", ""),
            ("Lun", "lun", "0"),
            ("ISCSIInterface", "iscsiInterface", ""),
            FS,
            RO,
            ("Portals", "portals", "[]"),
            ("DiscoveryCHAPAuth", "chapAuthDiscovery", "false"),
            ("SessionCHAPAuth", "chapAuthSession", "false"),
            ("SecretRef", "secretRef", "nil"),
            ("InitiatorName", "initiatorName", "<none>"),
        ],
    },
    Source {
        field: "glusterfs",
        title: "Glusterfs (a Glusterfs mount on the host that shares a pod's lifetime)",
        parts: &[("EndpointsName", "endpoints", ""), ("Path", "path", ""), RO],
    },
    Source {
        field: "persistentVolumeClaim",
        title: "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
        parts: &[("ClaimName", "claimName", ""), RO],
    },
    Source {
        field: "rbd",
        title: "RBD (a Rados Block Device mount on the host that shares a pod's lifetime)",
        parts: &[
            ("CephMonitors", "monitors", "[]"),
            ("RBDImage", "image", ""),
            FS,
            ("RBDPool", "pool", ""),
            ("RadosUser", "user", ""),
            ("Keyring", "keyring", ""),
            ("SecretRef", "secretRef", "nil"),
            RO,
        ],
    },
    Source {
        field: "quobyte",
        title: "Quobyte (a Quobyte mount on the host that shares a pod's lifetime)",
        parts: &[("Registry", "registry", ""), ("Volume", "volume", ""), RO],
    },
    Source {
        field: "azureDisk",
        title: "AzureDisk (an Azure Data Disk mount on the host and bind mount to the pod)",
        parts: &[
            ("DiskName", "diskName", ""),
            ("DiskURI", "diskURI", ""),
            ("Kind", "kind", ""),
            FS,
            ("CachingMode", "cachingMode", ""),
            RO,
        ],
    },
    Source {
        field: "vsphereVolume",
        title: "vSphereVolume (a Persistent Disk resource in vSphere)",
        parts: &[("VolumePath", "volumePath", ""), FS, ("StoragePolicyName", "storagePolicyName", "")],
    },
    Source {
        field: "cinder",
        title: "Cinder (a Persistent Disk resource in OpenStack)",
        parts: &[("VolumeID", "volumeID", ""), FS, RO, ("SecretRef", "secretRef", "nil")],
    },
    Source {
        field: "photonPersistentDisk",
        title: "PhotonPersistentDisk (a Persistent Disk resource in photon platform)",
        parts: &[("PdID", "pdID", ""), FS],
    },
    Source { field: "portworxVolume", title: "PortworxVolume (a Portworx Volume resource)", parts: &[("VolumeID", "volumeID", "")] },
    Source {
        field: "scaleIO",
        title: "ScaleIO (a persistent volume backed by a block device in ScaleIO)",
        parts: &[
            ("Gateway", "gateway", ""),
            ("System", "system", ""),
            ("Protection Domain", "protectionDomain", ""),
            ("Storage Pool", "storagePool", ""),
            ("Storage Mode", "storageMode", ""),
            ("VolumeName", "volumeName", ""),
            FS,
            RO,
        ],
    },
    Source { field: "local", title: "LocalVolume (a persistent volume backed by local storage on a node)", parts: &[("Path", "path", "")] },
    Source {
        field: "cephfs",
        title: "CephFS (a CephFS mount on the host that shares a pod's lifetime)",
        parts: &[
            ("Monitors", "monitors", "[]"),
            ("Path", "path", ""),
            ("User", "user", ""),
            ("SecretFile", "secretFile", ""),
            ("SecretRef", "secretRef", "nil"),
            RO,
        ],
    },
    Source {
        field: "storageos",
        title: "StorageOS (a StorageOS Persistent Disk resource)",
        parts: &[("VolumeName", "volumeName", ""), ("VolumeNamespace", "volumeNamespace", ""), FS, RO],
    },
    Source {
        field: "azureFile",
        title: "AzureFile (an Azure File Service mount on the host and bind mount to the pod)",
        parts: &[("SecretName", "secretName", ""), ("ShareName", "shareName", ""), RO],
    },
    Source {
        field: "flexVolume",
        title: "FlexVolume (a generic volume resource that is provisioned/attached using an exec based plugin)",
        parts: &[("Driver", "driver", ""), FS, ("SecretRef", "secretRef", "nil"), RO, ("Options", "options", "map[]")],
    },
    Source {
        field: "flocker",
        title: "Flocker (a Flocker volume mounted by the Flocker agent)",
        parts: &[("DatasetName", "datasetName", ""), ("DatasetUUID", "datasetUUID", "")],
    },
    Source {
        field: "image",
        title: "Image (a container image or OCI artifact)",
        parts: &[("Reference", "reference", ""), ("PullPolicy", "pullPolicy", "")],
    },
];

/// The volumes of a pod or a template.
pub fn of_pod(scene: &mut Scene<'_, '_, '_>, volumes: &Json, sheet: &mut Sheet, indent: &str) {
    if volumes.is_empty() {
        return sheet.line(0, format_args!("{indent}Volumes:\t<none>"));
    }
    sheet.line(0, format_args!("{indent}Volumes:"));
    for volume in volumes.items() {
        sheet.line(1, format_args!("{}{}:", if indent.is_empty() { "" } else { " " }, volume.get("name").text()));
        source(scene, volume, sheet);
    }
}

/// The source of a volume in a pod, or of a PersistentVolume's spec.
pub fn source(scene: &mut Scene<'_, '_, '_>, volume: &Json, sheet: &mut Sheet) {
    if let Some(known) = SOURCES.iter().find(|source| !volume.get(source.field).is_null()) {
        sheet.field(2, "Type", known.title);
        let given = volume.get(known.field);
        for (title, field, absent) in known.parts {
            sheet.field(2, title, shown(given.get(field), absent));
        }
        return;
    }
    let (projected, downward, csi) = (volume.get("projected"), volume.get("downwardAPI"), volume.get("csi"));
    let (ephemeral, fibre) = (volume.get("ephemeral"), volume.get("fc"));
    if !projected.is_null() {
        projection(projected, sheet);
    } else if !downward.is_null() {
        sheet.field(2, "Type", "DownwardAPI (a volume populated by information about the pod)\n    Items:");
        for item in downward.get("items").items() {
            let path = item.get("path").text();
            for (reference, field) in [("fieldRef", "fieldPath"), ("resourceFieldRef", "resource")] {
                if !item.get(reference).is_null() {
                    sheet.line(3, format_args!("{} -> {path}", item.get(reference).get(field).text()));
                }
            }
        }
    } else if !csi.is_null() {
        container_storage(csi, sheet);
    } else if !ephemeral.is_null() {
        sheet.field(2, "Type", "EphemeralVolume (an inline specification for a volume that gets created and deleted with the pod)");
        let template = ephemeral.get("volumeClaimTemplate");
        if !template.is_null() {
            sheet.enter(2);
            storage::claim_fields(scene, &Object(template.clone()), sheet, false);
            sheet.leave(2);
        }
    } else if !fibre.is_null() {
        sheet.field(2, "Type", "FC (a Fibre Channel disk)");
        sheet.field(2, "TargetWWNs", joined(fibre.get("targetWWNs"), ", "));
        sheet.field(2, "LUN", shown(fibre.get("lun"), "<none>"));
        sheet.field(2, "FSType", fibre.get("fsType").text());
        sheet.field(2, "ReadOnly", fibre.get("readOnly").is_true());
    } else {
        sheet.line(1, "<unknown>");
    }
}

fn projection(projected: &Json, sheet: &mut Sheet) {
    sheet.field(2, "Type", "Projected (a volume that contains injected data from multiple sources)");
    for source in projected.get("sources").items() {
        let (secret, config, token) = (source.get("secret"), source.get("configMap"), source.get("serviceAccountToken"));
        if !secret.is_null() {
            sheet.field(2, "SecretName", secret.get("name").text());
            sheet.field(2, "Optional", secret.get("optional").is_true());
        } else if !source.get("downwardAPI").is_null() {
            sheet.field(2, "DownwardAPI", "true");
        } else if !config.is_null() {
            sheet.field(2, "ConfigMapName", config.get("name").text());
            sheet.field(2, "Optional", config.get("optional").is_true());
        } else if !token.is_null() {
            sheet.field(2, "TokenExpirationSeconds", token.get("expirationSeconds").as_i64().unwrap_or(0));
        }
    }
}

fn container_storage(csi: &Json, sheet: &mut Sheet) {
    sheet.field(2, "Type", "CSI (a Container Storage Interface (CSI) volume source)");
    sheet.field(2, "Driver", csi.get("driver").text());
    sheet.field(2, "FSType", csi.get("fsType").text());
    if !csi.get("volumeHandle").is_null() {
        sheet.field(2, "VolumeHandle", csi.get("volumeHandle").text());
    }
    sheet.field(2, "ReadOnly", csi.get("readOnly").is_true());
    sheet.part(2, "VolumeAttributes:\t");
    let mut first = true;
    for (key, value) in csi.get("volumeAttributes").entries() {
        let line = super::sheet::shorten(&format!("{key}={}", value.text()), 140);
        sheet.part(if first { 0 } else { 2 }, if first { "" } else { "\t" });
        sheet.line(2, line);
        first = false;
    }
    if first {
        sheet.raw("<none>\n");
    }
}
