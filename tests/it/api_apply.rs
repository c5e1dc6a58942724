//! Server-side apply through the simulated API server, and `managedFields`, with answers recorded from Kubernetes 1.34.

use crate::api_server::{ask, cluster, json, kind};
use aiopslab::cluster::sim::cluster::SimCluster;
use aiopslab::cluster::{ApiError, ApiRequest, Options, PatchKind, Subresource};
use aiopslab::object::Object;

const DEPLOYMENT: &str = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"geo","labels":{"a":"b"}},"spec":{"replicas":2,"selector":{"matchLabels":{"app":"geo"}},"template":{"metadata":{"labels":{"app":"geo"}},"spec":{"containers":[{"name":"geo","image":"x:1","env":[{"name":"A","value":"1"}],"ports":[{"containerPort":80}]}]}}}}"#;

fn apply(cluster: &mut SimCluster, text: &str, force: bool) -> Result<Object, ApiError> {
    let options = Options { field_manager: Some("kubectl".into()), force, ..Options::default() };
    let request = ApiRequest::patch(kind("apps", "deployments"), Some("hotel"), "geo", PatchKind::Apply, json(text)).options(options);
    ask(cluster, request).map(|reply| reply.into_object())
}

fn patch(cluster: &mut SimCluster, manager: &str, text: &str) {
    let options = Options { field_manager: Some(manager.into()), ..Options::default() };
    let request = ApiRequest::patch(kind("apps", "deployments"), Some("hotel"), "geo", PatchKind::Strategic, json(text)).options(options);
    ask(cluster, request).expect("patched");
}

fn scale(cluster: &mut SimCluster, replicas: i64) {
    let text = format!(r#"{{"spec":{{"replicas":{replicas}}}}}"#);
    let request = ApiRequest::patch(kind("apps", "deployments"), Some("hotel"), "geo", PatchKind::Merge, json(&text));
    ask(cluster, request.subresource(Subresource::Scale)).expect("scaled");
}

#[test]
fn who_applies_manages_what_is_said() {
    let mut cluster = cluster();
    let object = apply(&mut cluster, DEPLOYMENT, false).expect("created");
    assert_eq!(
        object.meta().get("managedFields").to_compact(),
        r#"[{"apiVersion":"apps/v1","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:labels":{"f:a":{}}},"f:spec":{"f:replicas":{},"f:selector":{},"f:template":{"f:metadata":{"f:labels":{"f:app":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"geo\"}":{".":{},"f:env":{"k:{\"name\":\"A\"}":{".":{},"f:name":{},"f:value":{}}},"f:image":{},"f:name":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}}}}}}}},"manager":"kubectl","operation":"Apply","time":"2026-01-01T00:00:00Z"}]"#
    );
    let again = apply(&mut cluster, DEPLOYMENT, false).expect("applied");
    assert_eq!(again, object);
    scale(&mut cluster, 3);
    let request = ApiRequest::get(kind("apps", "deployments"), Some("hotel"), "geo");
    let object = ask(&mut cluster, request).expect("there").into_object();
    let managers = object.meta().get("managedFields");
    assert_eq!(managers.nth(0).at(&["fieldsV1", "f:spec", "f:replicas"]).to_compact(), "null");
    assert_eq!(
        managers.nth(1).to_compact(),
        r#"{"apiVersion":"apps/v1","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:replicas":{}}},"manager":"kubectl","operation":"Update","subresource":"scale"}"#
    );
}

#[test]
fn others_fields_are_in_conflict_unless_forced() {
    let mut cluster = cluster();
    apply(&mut cluster, DEPLOYMENT, false).expect("created");
    scale(&mut cluster, 3);
    let error = apply(&mut cluster, DEPLOYMENT, false).expect_err("conflict");
    assert_eq!(
        (error.code, error.message.as_str()),
        (409, "Apply failed with 1 conflict: conflict with \"kubectl\" with subresource \"scale\" using apps/v1: .spec.replicas")
    );
    let change = r#"{"spec":{"template":{"spec":{"containers":[{"name":"geo","image":"x:2","env":[{"name":"A","value":"2"}]}]}}}}"#;
    patch(&mut cluster, "kubectl-set", change);
    let error = apply(&mut cluster, DEPLOYMENT, false).expect_err("conflict");
    assert_eq!(
        error.message,
        "Apply failed with 3 conflicts: conflicts with \"kubectl\" with subresource \"scale\" using apps/v1:\n- .spec.replicas\n\
         conflicts with \"kubectl-set\" using apps/v1:\n- .spec.template.spec.containers[name=\"geo\"].image\n\
         - .spec.template.spec.containers[name=\"geo\"].env[name=\"A\"].value"
    );
    let object = apply(&mut cluster, DEPLOYMENT, true).expect("forced");
    assert_eq!(object.meta().get("managedFields").items().len(), 1);
    assert_eq!(object.spec().get("replicas").as_i64(), Some(2));
}

#[test]
fn what_is_no_longer_said_goes() {
    let mut cluster = cluster();
    apply(&mut cluster, DEPLOYMENT, false).expect("created");
    let less = DEPLOYMENT
        .replace(r#""replicas":2,"#, "")
        .replace(r#","labels":{"a":"b"}"#, "")
        .replace(r#","env":[{"name":"A","value":"1"}]"#, "");
    let object = apply(&mut cluster, &less, false).expect("applied");
    assert_eq!(object.spec().get("replicas").as_i64(), Some(1));
    assert!(object.meta().get("labels").is_null(), "{object:?}");
    let container = object.at(&["spec", "template", "spec", "containers"]).nth(0);
    assert_eq!((container.get("env").to_compact().as_str(), container.get("image").text()), ("null", "x:1"));
    patch(&mut cluster, "other", r#"{"spec":{"template":{"spec":{"containers":[{"name":"geo","tty":true}]}}}}"#);
    let moved = less.replace(r#""name":"geo","image""#, r#""name":"geo2","image""#);
    let object = apply(&mut cluster, &moved, false).expect("applied");
    let names = object.at(&["spec", "template", "spec", "containers"]).items().iter().map(|c| c.get("name").text()).collect::<Vec<_>>();
    assert_eq!(names, ["geo2"]);
}

#[test]
fn refusals_of_configurations() {
    let mut cluster = cluster();
    let mut check = |from: &str, to: &str, code: u16, expect: &str| {
        let error = apply(&mut cluster, &DEPLOYMENT.replace(from, to), false).expect_err(expect);
        assert_eq!((error.code, error.message.as_str()), (code, expect));
    };
    check(
        r#""replicas":2"#,
        r#""foo":1"#,
        500,
        "failed to create typed patch object (hotel/geo; apps/v1, Kind=Deployment): .spec.foo: field not declared in schema",
    );
    check(
        r#""replicas":2"#,
        r#""replicas":"x""#,
        500,
        "failed to create typed patch object (hotel/geo; apps/v1, Kind=Deployment): .spec.replicas: expected numeric (int or float), got string",
    );
    check(
        r#""replicas":2"#,
        r#""replicas":2.5"#,
        500,
        "failed to convert new object (hotel/geo; apps/v1, Kind=Deployment) to proper version: unable to convert unstructured object to apps/v1, Kind=Deployment: cannot convert float64 to int32",
    );
    check(
        r#""image":"x:1""#,
        r#""tty":true"#,
        422,
        "Deployment.apps \"geo\" is invalid: spec.template.spec.containers[0].image: Required value",
    );
}
