//! The kinds of objects a cluster serves: names, group, version, scope, short names.
//!
//! [`builtin`] is the table of Kubernetes 1.34 (what `kubectl api-resources` prints on a new cluster). A live cluster
//! adds its own through discovery.

use std::sync::{Arc, OnceLock};

/// One kind of object that an API server serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceType {
    /// API group; empty for the core group.
    pub group: String,
    /// Version, `v1`.
    pub version: String,
    /// Kind, `Deployment`.
    pub kind: String,
    /// Plural name in paths, `deployments`.
    pub plural: String,
    /// Singular name, `deployment`.
    pub singular: String,
    /// Short names, `deploy`.
    pub short_names: Vec<String>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Categories, `all`.
    pub categories: Vec<String>,
    /// Verbs it answers to, in the order discovery prints them.
    pub verbs: Vec<String>,
}

/// A shared [`ResourceType`].
pub type ResourceRef = Arc<ResourceType>;

impl ResourceType {
    /// `apps/v1`, or `v1` in the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `deployments.apps`, or `pods` in the core group: the name errors use.
    pub fn qualified_plural(&self) -> String {
        qualified(&self.plural, &self.group)
    }

    /// `deployment.apps`, or `pod` in the core group: the name that `-o name` and success messages use.
    pub fn qualified_singular(&self) -> String {
        qualified(&self.singular, &self.group)
    }

    /// Whether it answers to `verb`.
    pub fn allows(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }
}

fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

const ALL_VERBS: &str = "create,delete,deletecollection,get,list,patch,update,watch";
const CREATE_ONLY: &str = "create";

/// One row: plural, short names, kind, namespaced, categories, verbs (empty for all eight).
type Row = (&'static str, &'static str, &'static str, bool, &'static str, &'static str);

/// Group, version and rows, in the order in which a server prints them.
const TABLE: &[(&str, &str, &[Row])] = &[
    (
        "",
        "v1",
        &[
            ("bindings", "", "Binding", true, "", CREATE_ONLY),
            ("componentstatuses", "cs", "ComponentStatus", false, "", "get,list"),
            ("configmaps", "cm", "ConfigMap", true, "", ""),
            ("endpoints", "ep", "Endpoints", true, "", ""),
            ("events", "ev", "Event", true, "", ""),
            ("limitranges", "limits", "LimitRange", true, "", ""),
            ("namespaces", "ns", "Namespace", false, "", "create,delete,get,list,patch,update,watch"),
            ("nodes", "no", "Node", false, "", ""),
            ("persistentvolumeclaims", "pvc", "PersistentVolumeClaim", true, "", ""),
            ("persistentvolumes", "pv", "PersistentVolume", false, "", ""),
            ("pods", "po", "Pod", true, "all", ""),
            ("podtemplates", "", "PodTemplate", true, "", ""),
            ("replicationcontrollers", "rc", "ReplicationController", true, "all", ""),
            ("resourcequotas", "quota", "ResourceQuota", true, "", ""),
            ("secrets", "", "Secret", true, "", ""),
            ("serviceaccounts", "sa", "ServiceAccount", true, "", ""),
            ("services", "svc", "Service", true, "all", ""),
        ],
    ),
    (
        "admissionregistration.k8s.io",
        "v1",
        &[
            ("mutatingwebhookconfigurations", "", "MutatingWebhookConfiguration", false, "api-extensions", ""),
            ("validatingadmissionpolicies", "", "ValidatingAdmissionPolicy", false, "api-extensions", ""),
            ("validatingadmissionpolicybindings", "", "ValidatingAdmissionPolicyBinding", false, "api-extensions", ""),
            ("validatingwebhookconfigurations", "", "ValidatingWebhookConfiguration", false, "api-extensions", ""),
        ],
    ),
    ("apiextensions.k8s.io", "v1", &[("customresourcedefinitions", "crd,crds", "CustomResourceDefinition", false, "api-extensions", "")]),
    ("apiregistration.k8s.io", "v1", &[("apiservices", "", "APIService", false, "api-extensions", "")]),
    (
        "apps",
        "v1",
        &[
            ("controllerrevisions", "", "ControllerRevision", true, "", ""),
            ("daemonsets", "ds", "DaemonSet", true, "all", ""),
            ("deployments", "deploy", "Deployment", true, "all", ""),
            ("replicasets", "rs", "ReplicaSet", true, "all", ""),
            ("statefulsets", "sts", "StatefulSet", true, "all", ""),
        ],
    ),
    (
        "authentication.k8s.io",
        "v1",
        &[
            ("selfsubjectreviews", "", "SelfSubjectReview", false, "", CREATE_ONLY),
            ("tokenreviews", "", "TokenReview", false, "", CREATE_ONLY),
        ],
    ),
    (
        "authorization.k8s.io",
        "v1",
        &[
            ("localsubjectaccessreviews", "", "LocalSubjectAccessReview", true, "", CREATE_ONLY),
            ("selfsubjectaccessreviews", "", "SelfSubjectAccessReview", false, "", CREATE_ONLY),
            ("selfsubjectrulesreviews", "", "SelfSubjectRulesReview", false, "", CREATE_ONLY),
            ("subjectaccessreviews", "", "SubjectAccessReview", false, "", CREATE_ONLY),
        ],
    ),
    ("autoscaling", "v2", &[("horizontalpodautoscalers", "hpa", "HorizontalPodAutoscaler", true, "all", "")]),
    ("batch", "v1", &[("cronjobs", "cj", "CronJob", true, "all", ""), ("jobs", "", "Job", true, "all", "")]),
    ("certificates.k8s.io", "v1", &[("certificatesigningrequests", "csr", "CertificateSigningRequest", false, "", "")]),
    ("coordination.k8s.io", "v1", &[("leases", "", "Lease", true, "", "")]),
    ("discovery.k8s.io", "v1", &[("endpointslices", "", "EndpointSlice", true, "", "")]),
    ("events.k8s.io", "v1", &[("events", "ev", "Event", true, "", "")]),
    (
        "flowcontrol.apiserver.k8s.io",
        "v1",
        &[
            ("flowschemas", "", "FlowSchema", false, "", ""),
            ("prioritylevelconfigurations", "", "PriorityLevelConfiguration", false, "", ""),
        ],
    ),
    (
        "networking.k8s.io",
        "v1",
        &[
            ("ingressclasses", "", "IngressClass", false, "", ""),
            ("ingresses", "ing", "Ingress", true, "", ""),
            ("ipaddresses", "ip", "IPAddress", false, "", ""),
            ("networkpolicies", "netpol", "NetworkPolicy", true, "", ""),
            ("servicecidrs", "", "ServiceCIDR", false, "", ""),
        ],
    ),
    ("node.k8s.io", "v1", &[("runtimeclasses", "", "RuntimeClass", false, "", "")]),
    ("policy", "v1", &[("poddisruptionbudgets", "pdb", "PodDisruptionBudget", true, "", "")]),
    (
        "rbac.authorization.k8s.io",
        "v1",
        &[
            ("clusterrolebindings", "", "ClusterRoleBinding", false, "", ""),
            ("clusterroles", "", "ClusterRole", false, "", ""),
            ("rolebindings", "", "RoleBinding", true, "", ""),
            ("roles", "", "Role", true, "", ""),
        ],
    ),
    (
        "resource.k8s.io",
        "v1",
        &[
            ("deviceclasses", "", "DeviceClass", false, "", ""),
            ("resourceclaims", "", "ResourceClaim", true, "", ""),
            ("resourceclaimtemplates", "", "ResourceClaimTemplate", true, "", ""),
            ("resourceslices", "", "ResourceSlice", false, "", ""),
        ],
    ),
    ("scheduling.k8s.io", "v1", &[("priorityclasses", "pc", "PriorityClass", false, "", "")]),
    (
        "storage.k8s.io",
        "v1",
        &[
            ("csidrivers", "", "CSIDriver", false, "", ""),
            ("csinodes", "", "CSINode", false, "", ""),
            ("csistoragecapacities", "", "CSIStorageCapacity", true, "", ""),
            ("storageclasses", "sc", "StorageClass", false, "", ""),
            ("volumeattachments", "", "VolumeAttachment", false, "", ""),
            ("volumeattributesclasses", "vac", "VolumeAttributesClass", false, "", ""),
        ],
    ),
];

fn words(text: &str) -> Vec<String> {
    text.split(',').filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

/// The kinds of a new Kubernetes 1.34 cluster, in the order in which discovery prints them.
pub fn builtin() -> &'static [ResourceRef] {
    static BUILTIN: OnceLock<Vec<ResourceRef>> = OnceLock::new();
    BUILTIN.get_or_init(|| {
        let rows = TABLE.iter().flat_map(|(group, version, rows)| rows.iter().map(move |row| (group, version, row)));
        rows.map(|(group, version, &(plural, short, kind, namespaced, categories, verbs))| {
            Arc::new(ResourceType {
                group: (*group).to_owned(),
                version: (*version).to_owned(),
                kind: kind.to_owned(),
                plural: plural.to_owned(),
                singular: kind.to_lowercase(),
                short_names: words(short),
                namespaced,
                categories: words(categories),
                verbs: words(if verbs.is_empty() { ALL_VERBS } else { verbs }),
            })
        })
        .collect()
    })
}

/// The place of the kind `plural` of `group` in [`builtin`], at compile time; an unknown name does not compile in a constant.
pub const fn builtin_index(group: &str, plural: &str) -> u16 {
    let (mut at, mut i) = (0, 0);
    while i < TABLE.len() {
        let rows = TABLE[i].2;
        let mut j = 0;
        while j < rows.len() {
            if same(TABLE[i].0, group) && same(rows[j].0, plural) {
                return at;
            }
            at += 1;
            j += 1;
        }
        i += 1;
    }
    panic!("no such kind in the table")
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// The built-in kind called `plural` in `group`.
pub fn builtin_named(group: &str, plural: &str) -> Option<&'static ResourceRef> {
    builtin().iter().find(|r| r.plural == plural && r.group == group)
}

/// The built-in kind of a manifest's `apiVersion` and `kind`.
pub fn builtin_kind(api_version: &str, kind: &str) -> Option<&'static ResourceRef> {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    builtin().iter().find(|r| r.kind == kind && r.group == group && r.version == version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole() {
        assert!(builtin().len() >= 60, "{}", builtin().len());
        let deployment = builtin_kind("apps/v1", "Deployment").expect("known");
        assert_eq!(deployment.qualified_singular(), "deployment.apps");
        assert_eq!(deployment.api_version(), "apps/v1");
        assert_eq!(builtin_named("", "pods").expect("known").short_names, ["po"]);
        assert!(builtin_kind("extensions/v1beta1", "Deployment").is_none());
    }
}
