//! Who may do what on the simulated cluster, and what a new cluster holds.

use crate::api_server::{json, kind};
use aiopslab::app::Catalog;
use aiopslab::cluster::sim::api::bootstrap;
use aiopslab::cluster::sim::cluster::SimCluster;
use aiopslab::cluster::sim::world::World;
use aiopslab::cluster::{ApiRequest, Cluster, Identity, PatchKind};
use aiopslab::time::SimTime;
use std::sync::Arc;
use std::time::Duration;

/// A bootstrapped cluster on which the agent may do everything in `hotel`.
pub fn cluster() -> SimCluster {
    let mut world = World::new(SimTime::from_secs(1_767_225_600), 7, Arc::new(Catalog::default()));
    bootstrap::bootstrap(&mut world).expect("seeds are valid");
    let mut cluster = SimCluster::new(world);
    let namespace = ApiRequest::create(kind("", "namespaces"), None, json(r#"{"metadata":{"name":"hotel"}}"#));
    cluster.api(&Identity::operator(), &namespace).expect("created");
    bootstrap::grant(&mut cluster.world, "hotel").expect("granted");
    cluster
}

#[test]
fn a_new_cluster_holds_what_kubernetes_seeds() {
    let mut cluster = cluster();
    let mut count = |group: &str, plural: &str| {
        cluster.api(&Identity::operator(), &ApiRequest::list(kind(group, plural), None)).expect("listed").into_items().len()
    };
    assert_eq!(count("", "nodes"), 3);
    assert_eq!(count("coordination.k8s.io", "leases"), 4);
    assert_eq!(count("rbac.authorization.k8s.io", "clusterroles"), 69);
    assert!(count("rbac.authorization.k8s.io", "clusterrolebindings") > 45);
    assert_eq!(count("", "services"), 1);
}

#[test]
fn heartbeats_go_on_without_writes() {
    let mut cluster = cluster();
    let before = cluster.world.store.revision();
    cluster.world.now += Duration::from_secs(725);
    let node = cluster.api(&Identity::agent(), &ApiRequest::get(kind("", "nodes"), None, "node-1")).expect("there").into_object();
    assert_eq!(node.condition("Ready").expect("reported").get("lastHeartbeatTime").text(), "2026-01-01T00:10:00Z");
    assert_eq!(node.condition("Ready").expect("reported").get("lastTransitionTime").text(), "2026-01-01T00:00:00Z");
    let lease = ApiRequest::get(kind("coordination.k8s.io", "leases"), Some("kube-node-lease"), "node-1");
    let lease = cluster.api(&Identity::agent(), &lease).expect("there").into_object();
    assert_eq!(lease.spec().get("renewTime").text(), "2026-01-01T00:12:00.000000Z");
    assert_eq!(cluster.world.store.revision(), before);
}

#[test]
fn the_agent_may_do_what_its_roles_say() {
    let mut cluster = cluster();
    let mut check = |request: ApiRequest, expect: Result<(), &str>| {
        let got = cluster.api(&Identity::agent(), &request).map(drop).map_err(|e| (e.code, e.message));
        match expect {
            Ok(()) => assert_eq!(got, Ok(()), "{request:?}"),
            Err(text) => assert_eq!(got, Err((403, text.to_owned()))),
        }
    };
    check(ApiRequest::list(kind("", "pods"), Some("hotel")), Ok(()));
    check(ApiRequest::list(kind("", "secrets"), Some("hotel")), Ok(()));
    check(ApiRequest::list(kind("", "pods"), None), Ok(()));
    check(ApiRequest::list(kind("", "nodes"), None), Ok(()));
    check(ApiRequest::get(kind("", "namespaces"), None, "hotel"), Ok(()));
    check(ApiRequest::create(kind("", "configmaps"), Some("hotel"), json(r#"{"metadata":{"name":"x"}}"#)), Ok(()));
    check(
        ApiRequest::list(kind("", "secrets"), Some("kube-system")),
        Err(
            "secrets is forbidden: User \"system:serviceaccount:operations:engineer\" cannot list resource \"secrets\" in API group \"\" in the namespace \"kube-system\"",
        ),
    );
    check(
        ApiRequest::patch(kind("", "nodes"), None, "node-1", PatchKind::Merge, json("{}")),
        Err(
            "nodes \"node-1\" is forbidden: User \"system:serviceaccount:operations:engineer\" cannot patch resource \"nodes\" in API group \"\" at the cluster scope",
        ),
    );
    check(
        ApiRequest::create(kind("apps", "deployments"), Some("default"), json(r#"{"metadata":{"name":"x"}}"#)),
        Err(
            "deployments.apps is forbidden: User \"system:serviceaccount:operations:engineer\" cannot create resource \"deployments\" in API group \"apps\" in the namespace \"default\"",
        ),
    );
}

#[test]
fn reviews_answer_what_the_policy_decides() {
    let mut cluster = cluster();
    let mut ask = |plural: &str, group: &str, text: &str| {
        let request = ApiRequest::create(kind(group, plural), None, json(text));
        cluster.api(&Identity::agent(), &request).expect("answered").into_object().status().to_compact()
    };
    let can = |text: &str| format!(r#"{{"spec":{{"resourceAttributes":{text}}}}}"#);
    let (group, plural) = ("authorization.k8s.io", "selfsubjectaccessreviews");
    assert_eq!(
        ask(plural, group, &can(r#"{"verb":"delete","resource":"pods","namespace":"hotel"}"#)),
        r#"{"allowed":true,"reason":"RBAC: allowed by RoleBinding \"engineer/hotel\" of ClusterRole \"cluster-admin\" to ServiceAccount \"engineer/operations\""}"#
    );
    assert_eq!(ask(plural, group, &can(r#"{"verb":"delete","resource":"pods","namespace":"default"}"#)), r#"{"allowed":false}"#);
    let whoami = ask("selfsubjectreviews", "authentication.k8s.io", "{}");
    assert!(whoami.contains(r#""username":"system:serviceaccount:operations:engineer""#), "{whoami}");
    let rules = ask("selfsubjectrulesreviews", group, r#"{"spec":{"namespace":"hotel"}}"#);
    assert!(rules.contains(r#"{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}"#), "{rules}");
}
