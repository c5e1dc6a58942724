//! The agent's rights on a cluster, as objects, and the operator's own that an environment needs.

use super::{LABEL, Place};
use crate::cluster::Right;
use crate::object::Json;
use crate::{array, object};
use arcstr::ArcStr;

/// The name of the agent's service account, and of what grants its rights.
pub const AGENT: &str = "engineer";

/// What the agent may read everywhere, as on the simulated cluster: `view` (no Secrets) and these.
const READS: &[(&str, &[&str])] = &[
    ("", &["nodes", "namespaces", "persistentvolumes", "componentstatuses"]),
    ("storage.k8s.io", &["storageclasses", "csidrivers", "csinodes", "volumeattachments"]),
    ("scheduling.k8s.io", &["priorityclasses"]),
    ("rbac.authorization.k8s.io", &["clusterroles", "clusterrolebindings", "roles", "rolebindings"]),
    ("apiextensions.k8s.io", &["customresourcedefinitions"]),
    ("apiregistration.k8s.io", &["apiservices"]),
    ("admissionregistration.k8s.io", &["*"]),
    ("networking.k8s.io", &["ingressclasses", "servicecidrs", "ipaddresses"]),
    ("coordination.k8s.io", &["leases"]),
    ("events.k8s.io", &["events"]),
    ("metrics.k8s.io", &["nodes", "pods"]),
];

/// What the agent may change in the application's namespace: everything but the Namespace itself, whose labels say which pods are refused.
/// RBAC counts a Namespace to itself, so that a binding to `cluster-admin` would include it. No `bind`, `escalate` or `impersonate`.
const CHANGES: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "bindings",
            "configmaps",
            "endpoints",
            "events",
            "limitranges",
            "persistentvolumeclaims",
            "persistentvolumeclaims/status",
            "pods",
            "pods/attach",
            "pods/binding",
            "pods/ephemeralcontainers",
            "pods/eviction",
            "pods/exec",
            "pods/log",
            "pods/portforward",
            "pods/proxy",
            "pods/resize",
            "pods/status",
            "podtemplates",
            "replicationcontrollers",
            "replicationcontrollers/scale",
            "replicationcontrollers/status",
            "resourcequotas",
            "resourcequotas/status",
            "secrets",
            "serviceaccounts",
            "serviceaccounts/token",
            "services",
            "services/proxy",
            "services/status",
        ],
    ),
    ("apps", &["*"]),
    ("authorization.k8s.io", &["localsubjectaccessreviews"]),
    ("autoscaling", &["*"]),
    ("batch", &["*"]),
    ("coordination.k8s.io", &["*"]),
    ("discovery.k8s.io", &["*"]),
    ("events.k8s.io", &["*"]),
    ("metrics.k8s.io", &["*"]),
    ("networking.k8s.io", &["*"]),
    ("policy", &["*"]),
    ("rbac.authorization.k8s.io", &["rolebindings", "roles"]),
];

/// The verbs that go with [`CHANGES`].
const CHANGING: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// The name of the role with [`CHANGES`].
fn application_role(place: &Place) -> String {
    place.cluster_name("engineer-application")
}

fn rule((group, resources): &(&str, &[&str]), verbs: &[&str]) -> Json {
    let list = |items: &[&str]| items.iter().map(|text| Json::from(*text)).collect::<Json>();
    object! { "apiGroups" => array![*group], "resources" => list(resources), "verbs" => list(verbs) }
}

/// The objects that give the agent its rights. `volumes` are the cluster-scoped volumes of the application: those it may change, but not
/// create, since a new volume could be any folder of a node.
pub fn agent_objects(place: &Place, volumes: &[String]) -> Vec<Json> {
    let cluster_role = place.cluster_name(AGENT);
    let mut rules: Vec<Json> = READS.iter().map(|reads| rule(reads, &["get", "list", "watch"])).collect();
    if !volumes.is_empty() {
        rules.push(object! {
            "apiGroups" => array![""], "resources" => array!["persistentvolumes"], "verbs" => array!["delete", "patch", "update"],
            "resourceNames" => volumes.iter().map(Json::from).collect::<Json>(),
        });
    }
    let labels = || object! { LABEL => &place.namespace };
    let meta = |name: &str| object! { "name" => name, "labels" => labels() };
    let subjects = || array![object! { "kind" => "ServiceAccount", "name" => AGENT, "namespace" => &place.own }];
    let binding = |kind: &str, name: &str, role: &str| {
        object! {
            "apiVersion" => "rbac.authorization.k8s.io/v1", "kind" => kind, "metadata" => meta(name),
            "roleRef" => object! { "apiGroup" => "rbac.authorization.k8s.io", "kind" => "ClusterRole", "name" => role },
            "subjects" => subjects(),
        }
    };
    let role = |name: &str, rules: Vec<Json>| {
        object! {
            "apiVersion" => "rbac.authorization.k8s.io/v1", "kind" => "ClusterRole", "metadata" => meta(name),
            "rules" => rules.into_iter().collect::<Json>(),
        }
    };
    vec![
        object! { "apiVersion" => "v1", "kind" => "ServiceAccount", "metadata" => meta(AGENT), "automountServiceAccountToken" => false },
        role(&cluster_role, rules),
        role(&application_role(place), CHANGES.iter().map(|changes| rule(changes, CHANGING)).collect()),
        binding("ClusterRoleBinding", &cluster_role, &cluster_role),
        binding("ClusterRoleBinding", &format!("{cluster_role}-view"), "view"),
    ]
}

/// What lets the agent change everything in the application's namespace; it lives there.
pub fn grant(place: &Place) -> Json {
    object! {
        "apiVersion" => "rbac.authorization.k8s.io/v1", "kind" => "RoleBinding", "metadata" => object! { "name" => AGENT },
        "roleRef" => object! { "apiGroup" => "rbac.authorization.k8s.io", "kind" => "ClusterRole", "name" => application_role(place) },
        "subjects" => array![object! { "kind" => "ServiceAccount", "name" => AGENT, "namespace" => &place.own }],
    }
}

/// The rights that the operator needs for an environment.
pub fn needed(place: &Place) -> Vec<Right> {
    let right = |verb, group, resource, namespace: Option<&ArcStr>| Right { verb, group, resource, namespace: namespace.cloned() };
    let mut rights = Vec::new();
    for verb in ["get", "list", "create", "patch", "delete"] {
        rights.push(right(verb, "", "namespaces", None));
        rights.push(right(verb, "", "persistentvolumes", None));
        rights.push(right(verb, "rbac.authorization.k8s.io", "clusterroles", None));
        rights.push(right(verb, "rbac.authorization.k8s.io", "clusterrolebindings", None));
        for resource in ["configmaps", "secrets", "services", "serviceaccounts", "pods", "persistentvolumeclaims"] {
            rights.push(right(verb, "", resource, Some(&place.namespace)));
        }
        rights.push(right(verb, "apps", "deployments", Some(&place.namespace)));
        rights.push(right(verb, "coordination.k8s.io", "leases", Some(&place.own)));
    }
    rights.push(right("list", "", "nodes", None));
    rights.push(right("create", "", "pods/exec", Some(&place.namespace)));
    rights.push(right("create", "", "pods/proxy", Some(&place.own)));
    rights.push(right("create", "", "serviceaccounts/token", Some(&place.own)));
    rights
}
