//! The simulated API server through the `Cluster` trait: requests in, objects and Status errors out.

use aiopslab::app::Catalog;
use aiopslab::cluster::sim::cluster::SimCluster;
use aiopslab::cluster::sim::world::World;
use aiopslab::cluster::{ApiError, ApiReply, ApiRequest, Cluster, FieldValidation, Identity, Options, PatchKind, Subresource};
use aiopslab::object::resource::builtin_named;
use aiopslab::object::{Json, Object, ResourceRef};
use aiopslab::time::SimTime;
use std::sync::Arc;

pub fn kind(group: &str, plural: &str) -> &'static ResourceRef {
    builtin_named(group, plural).expect("known kind")
}

pub fn json(text: &str) -> Json {
    Json::parse(text).expect("valid JSON")
}

/// A cluster with the namespace `hotel`.
pub fn cluster() -> SimCluster {
    let world = World::new(SimTime::from_secs(1_767_225_600), 7, Arc::new(Catalog::default()));
    let mut cluster = SimCluster::new(world);
    let namespace = json(r#"{"metadata":{"name":"hotel"}}"#);
    ask(&mut cluster, ApiRequest::create(kind("", "namespaces"), None, namespace)).expect("created");
    cluster
}

pub fn ask(cluster: &mut SimCluster, request: ApiRequest) -> Result<ApiReply, ApiError> {
    cluster.api(&Identity::operator(), &request)
}

fn created(cluster: &mut SimCluster, group: &str, plural: &str, text: &str) -> Object {
    ask(cluster, ApiRequest::create(kind(group, plural), Some("hotel"), json(text))).expect("created").into_object()
}

const DEPLOYMENT: &str = r#"{"metadata":{"name":"geo"},"spec":{"selector":{"matchLabels":{"app":"geo"}},"template":{"metadata":{"labels":{"app":"geo"}},"spec":{"containers":[{"name":"geo","image":"hotel:1","ports":[{"containerPort":8083}]}]}}}}"#;

#[test]
fn a_deployment_is_stored_as_kubectl_shows_it() {
    let mut cluster = cluster();
    let object = created(&mut cluster, "apps", "deployments", DEPLOYMENT);
    let mut shown = object.0.clone();
    shown.remove_at(&["metadata", "uid"]);
    shown.remove_at(&["metadata", "managedFields"]);
    assert_eq!(
        shown.to_compact(),
        r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"creationTimestamp":"2026-01-01T00:00:00Z","generation":1,"name":"geo","namespace":"hotel","resourceVersion":"3"},"spec":{"progressDeadlineSeconds":600,"replicas":1,"revisionHistoryLimit":10,"selector":{"matchLabels":{"app":"geo"}},"strategy":{"rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"},"type":"RollingUpdate"},"template":{"metadata":{"labels":{"app":"geo"}},"spec":{"containers":[{"image":"hotel:1","imagePullPolicy":"IfNotPresent","name":"geo","ports":[{"containerPort":8083,"protocol":"TCP"}],"resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"dnsPolicy":"ClusterFirst","restartPolicy":"Always","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30}}},"status":{}}"#
    );
}

#[test]
fn patches_of_every_form_reach_the_object() {
    let mut cluster = cluster();
    created(&mut cluster, "apps", "deployments", DEPLOYMENT);
    let deployments = kind("apps", "deployments");
    let cases = [
        (PatchKind::Merge, r#"{"spec":{"replicas":2}}"#, "replicas", "2"),
        (PatchKind::Json, r#"[{"op":"replace","path":"/spec/replicas","value":3}]"#, "replicas", "3"),
        (
            PatchKind::Strategic,
            r#"{"spec":{"replicas":4,"template":{"spec":{"containers":[{"name":"geo","image":"hotel:2"}]}}}}"#,
            "replicas",
            "4",
        ),
    ];
    for (at, (form, patch, field, expect)) in cases.into_iter().enumerate() {
        let request = ApiRequest::patch(deployments, Some("hotel"), "geo", form, json(patch));
        let object = ask(&mut cluster, request).expect("patched").into_object();
        assert_eq!(object.spec().get(field).to_compact(), expect);
        assert_eq!(object.generation(), at as i64 + 2);
        assert_eq!(object.at(&["spec", "template", "spec", "containers"]).items().len(), 1);
    }
    let scale = ApiRequest::patch(deployments, Some("hotel"), "geo", PatchKind::Merge, json(r#"{"spec":{"replicas":0}}"#));
    let scale = ask(&mut cluster, scale.subresource(Subresource::Scale)).expect("scaled").into_object();
    assert_eq!(scale.status().get("selector").text(), "app=geo");
    assert!(scale.spec().get("replicas").is_null());
}

#[test]
fn refusals_are_in_the_servers_words() {
    let mut cluster = cluster();
    created(&mut cluster, "apps", "deployments", DEPLOYMENT);
    let deployments = kind("apps", "deployments");
    let mut check = |request: ApiRequest, code: u16, message: &str| {
        let error = ask(&mut cluster, request).expect_err(message);
        assert_eq!((error.code, error.message.as_str()), (code, message));
    };
    check(ApiRequest::get(deployments, Some("hotel"), "x"), 404, "deployments.apps \"x\" not found");
    check(ApiRequest::create(deployments, Some("hotel"), json(DEPLOYMENT)), 409, "deployments.apps \"geo\" already exists");
    check(ApiRequest::create(deployments, Some("none"), json(DEPLOYMENT)), 404, "namespaces \"none\" not found");
    let strict = Options { field_validation: FieldValidation::Strict, ..Options::default() };
    check(
        ApiRequest::create(deployments, Some("hotel"), json(r#"{"metadata":{"name":"x"},"spec":{"foo":1}}"#)).options(strict),
        400,
        "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: unknown field \"spec.foo\"",
    );
    check(
        ApiRequest::create(deployments, Some("hotel"), json(r#"{"metadata":{"name":"x"},"spec":{"replicas":"x"}}"#)),
        400,
        "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
    );
    check(
        ApiRequest::patch(deployments, Some("hotel"), "geo", PatchKind::Strategic, json(r#"{"spec":{"replicas":"x"}}"#)),
        422,
        " \"\" is invalid: patch: Invalid value: \"map[spec:map[replicas:x]]\": unrecognized type: int32",
    );
    check(
        ApiRequest::patch(deployments, Some("hotel"), "geo", PatchKind::Json, json(r#"[{"op":"remove","path":"/spec/x"}]"#)),
        422,
        "the server rejected our request due to an error in our request",
    );
    let stale = r#"{"metadata":{"name":"geo","resourceVersion":"1"},"spec":{}}"#;
    check(
        ApiRequest::update(deployments, Some("hotel"), "geo", json(stale)),
        409,
        "Operation cannot be fulfilled on deployments.apps \"geo\": the object has been modified; please apply your changes to the latest version and try again",
    );
    let odd = Options { field_selector: "spec.x=1".into(), ..Options::default() };
    check(ApiRequest::list(kind("", "pods"), Some("hotel")).options(odd), 400, "field label not supported: spec.x");
}

#[test]
fn services_get_addresses_and_keep_them() {
    let mut cluster = cluster();
    let text = r#"{"metadata":{"name":"geo"},"spec":{"type":"NodePort","selector":{"app":"geo"},"ports":[{"port":8083}]}}"#;
    let service = created(&mut cluster, "", "services", text);
    let ip = service.spec().get("clusterIP").text().to_owned();
    let port = service.spec().get("ports").nth(0).get("nodePort").as_i64().expect("a node port");
    assert!(ip.starts_with("10.") && (30000..=32767).contains(&port));
    assert_eq!(service.status().to_compact(), r#"{"loadBalancer":{}}"#);
    let sent = r#"{"metadata":{"name":"geo"},"spec":{"type":"NodePort","selector":{"app":"geo"},"ports":[{"port":8084}]}}"#;
    let request = ApiRequest::update(kind("", "services"), Some("hotel"), "geo", json(sent));
    let service = ask(&mut cluster, request).expect("updated").into_object();
    assert_eq!(service.spec().get("clusterIP").text(), ip);
    assert_eq!(service.spec().get("ports").nth(0).get("nodePort").as_i64(), Some(port));
}

#[test]
fn a_dry_run_changes_nothing() {
    let mut cluster = cluster();
    let before = cluster.world.store.revision();
    let dry = Options { dry_run: true, ..Options::default() };
    let request = ApiRequest::create(kind("apps", "deployments"), Some("hotel"), json(DEPLOYMENT)).options(dry);
    assert_eq!(ask(&mut cluster, request).expect("accepted").into_object().name(), "geo");
    assert_eq!(cluster.world.store.revision(), before);
}

#[test]
fn custom_kinds_are_served_once_defined() {
    let mut cluster = cluster();
    let crd = r#"{"metadata":{"name":"widgets.example.com"},"spec":{"group":"example.com","scope":"Namespaced","names":{"plural":"widgets","kind":"Widget"},"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object","properties":{"size":{"type":"integer"}}}}}}}]}}"#;
    ask(&mut cluster, ApiRequest::create(kind("apiextensions.k8s.io", "customresourcedefinitions"), None, json(crd))).expect("created");
    let widgets = cluster.resources().expect("served").iter().find(|r| r.plural == "widgets").cloned().expect("served");
    let request = ApiRequest::create(&widgets, Some("hotel"), json(r#"{"metadata":{"name":"w"},"spec":{"size":1,"colour":"red"}}"#));
    let widget = ask(&mut cluster, request).expect("created").into_object();
    assert_eq!(widget.spec().to_compact(), r#"{"size":1}"#);
    assert_eq!((widget.kind(), widget.generation()), ("Widget", 1));
}
