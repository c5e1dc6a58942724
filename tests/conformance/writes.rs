//! Changing and deleting.

use super::bench::{Bench, config_map, deployment, expect_error, json, kind, pod};
use aiopslab::cluster::{ApiRequest, Body, FieldValidation, Options, PatchKind, Propagation, Subresource, Verb};
use aiopslab::object;
use aiopslab::object::Object;

pub fn json_patch(b: &mut Bench) {
    b.create("configmaps", config_map("one", "a", "1"));
    let patch = json(
        r#"[{"op":"test","path":"/data/a","value":"1"},{"op":"add","path":"/data/b","value":"2"},
        {"op":"replace","path":"/data/a","value":"3"},{"op":"copy","from":"/data/b","path":"/data/c"},{"op":"remove","path":"/data/b"}]"#,
    );
    let done = b.patch("configmaps", "one", PatchKind::Json, patch).expect("patched");
    assert_eq!(done.get("data").to_compact(), r#"{"a":"3","c":"2"}"#);
}

pub fn json_patch_that_tests_in_vain(b: &mut Bench) {
    b.create("configmaps", config_map("one", "a", "1"));
    let test = b.patch("configmaps", "one", PatchKind::Json, json(r#"[{"op":"test","path":"/data/a","value":"2"}]"#));
    assert_eq!(test.expect_err("a test that fails").code, 422);
    let path = b.patch("configmaps", "one", PatchKind::Json, json(r#"[{"op":"remove","path":"/data/none"}]"#)).expect_err("no such path");
    assert_eq!((path.code, path.reason.as_str()), (422, "Invalid"));
    assert_eq!(b.get("configmaps", "one").at(&["data", "a"]).text(), "1");
}

pub fn merge_patch(b: &mut Bench) {
    b.create("configmaps", json(r#"{"metadata":{"name":"one","labels":{"x":"1","y":"2"}},"data":{"a":"1","b":"2"}}"#));
    let done = b.merge("configmaps", "one", r#"{"metadata":{"labels":{"x":null}},"data":{"b":"3","c":"4"}}"#);
    assert_eq!(done.get("data").to_compact(), r#"{"a":"1","b":"3","c":"4"}"#);
    assert_eq!(done.meta().get("labels").to_compact(), r#"{"y":"2"}"#);
    let missing = b.patch("configmaps", "none", PatchKind::Merge, json("{}"));
    expect_error(missing, 404, "NotFound", "configmaps \"none\" not found");
}

pub fn strategic_patch(b: &mut Bench) {
    b.create("deployments.apps", deployment("web", 0, "sleep 1000"));
    let patch = json(
        r#"{"spec":{"template":{"spec":{"containers":[{"name":"main","env":[{"name":"A","value":"1"}]},{"name":"side","image":"x"}]}}}}"#,
    );
    let done = b.patch("deployments.apps", "web", PatchKind::Strategic, patch).expect("patched");
    let containers = done.at(&["spec", "template", "spec", "containers"]);
    let names: Vec<&str> = containers.items().iter().map(|c| c.get("name").text()).collect();
    assert_eq!(names, ["main", "side"]);
    let main = containers.find("name", "main").expect("main");
    assert_eq!((main.get("image").text(), main.at(&["env"]).nth(0).get("value").text()), (super::bench::SHELL_IMAGE, "1"));
    let gone = json(r#"{"spec":{"template":{"spec":{"containers":[{"$patch":"delete","name":"side"}]}}}}"#);
    let done = b.patch("deployments.apps", "web", PatchKind::Strategic, gone).expect("patched");
    assert_eq!(done.at(&["spec", "template", "spec", "containers"]).items().len(), 1);
}

fn apply(b: &mut Bench, manager: &str, force: bool, body: &str) -> Result<Object, aiopslab::cluster::ApiError> {
    let ns = b.ns.clone();
    let options = Options { field_manager: Some(manager.into()), force, ..Options::default() };
    let request = ApiRequest::patch(kind("configmaps"), Some(&ns), "one", PatchKind::Apply, json(body)).options(options);
    b.send(&request).map(aiopslab::cluster::ApiReply::into_object)
}

pub fn apply_conflicts_and_forces(b: &mut Bench) {
    apply(b, "first", false, r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"one"},"data":{"a":"1"}}"#).expect("created");
    let other = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"one"},"data":{"a":"2"}}"#;
    let error = apply(b, "second", false, other).expect_err("a conflict");
    assert_eq!((error.code, error.reason.as_str()), (409, "Conflict"));
    assert_eq!(error.message, "Apply failed with 1 conflict: conflict with \"first\": .data.a");
    let cause = error.details.get("causes").nth(0);
    assert_eq!(
        (cause.get("reason").text(), cause.get("message").text(), cause.get("field").text()),
        ("FieldManagerConflict", "conflict with \"first\"", ".data.a")
    );
    let done = apply(b, "second", true, other).expect("forced");
    assert_eq!(done.at(&["data", "a"]).text(), "2");
    let managers: Vec<&str> = done.meta().get("managedFields").items().iter().map(|m| m.get("manager").text()).collect();
    assert!(managers.contains(&"second"), "{managers:?}");
}

pub fn apply_takes_fields_away(b: &mut Bench) {
    apply(b, "first", false, r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"one"},"data":{"a":"1","b":"2"}}"#)
        .expect("created");
    b.merge("configmaps", "one", r#"{"data":{"c":"3"}}"#);
    let done =
        apply(b, "first", false, r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"one"},"data":{"a":"1"}}"#).expect("applied");
    assert_eq!(done.get("data").to_compact(), r#"{"a":"1","c":"3"}"#);
}

pub fn generation_follows_the_spec(b: &mut Bench) {
    let made = b.create("deployments.apps", deployment("web", 0, "sleep 1000"));
    assert_eq!(made.generation(), 1);
    let labelled = b.merge("deployments.apps", "web", r#"{"metadata":{"labels":{"x":"1"}}}"#);
    assert_eq!(labelled.generation(), 1, "labels are not the spec");
    assert_ne!(labelled.resource_version(), made.resource_version());
    let changed = b.merge("deployments.apps", "web", r#"{"spec":{"minReadySeconds":1}}"#);
    assert_eq!(changed.generation(), 2);
    b.until("the controller", |b| (b.get("deployments.apps", "web").status().get("observedGeneration").as_i64() == Some(2)).then_some(()));
}

pub fn a_stale_update_is_409(b: &mut Bench) {
    let old = b.create("configmaps", config_map("one", "a", "1"));
    b.merge("configmaps", "one", r#"{"data":{"a":"2"}}"#);
    let stale = b.update("configmaps", &old);
    let text = "Operation cannot be fulfilled on configmaps \"one\": the object has been modified; please apply your changes to the latest version and try again";
    expect_error(stale, 409, "Conflict", text);
    let patch = format!(r#"{{"metadata":{{"resourceVersion":"{}"}},"data":{{"a":"3"}}}}"#, old.resource_version());
    expect_error(b.patch("configmaps", "one", PatchKind::Merge, json(&patch)), 409, "Conflict", text);
    let mut free = old.clone();
    free.0.remove_at(&["metadata", "resourceVersion"]);
    let done = b.update("configmaps", &free).expect("without a version anything goes");
    assert_eq!(done.at(&["data", "a"]).text(), "1");
}

pub fn an_update_of_nothing_changes_nothing(b: &mut Bench) {
    let made = b.create("configmaps", config_map("one", "a", "1"));
    let same = b.update("configmaps", &made).expect("updated");
    assert_eq!(same.resource_version(), made.resource_version());
    let patched = b.merge("configmaps", "one", r#"{"data":{"a":"1"}}"#);
    assert_eq!(patched.resource_version(), made.resource_version());
}

pub fn invalid_objects_name_their_causes(b: &mut Bench) {
    let error = b.refused("services", json(r#"{"metadata":{"name":"x"},"spec":{"ports":[{"port":0},{"name":"B","port":80}]}}"#));
    assert_eq!((error.code, error.reason.as_str()), (422, "Invalid"));
    let causes: Vec<(&str, &str)> =
        error.details.get("causes").items().iter().map(|c| (c.get("reason").text(), c.get("field").text())).collect();
    assert_eq!(
        causes,
        [
            ("FieldValueRequired", "spec.ports[0].name"),
            ("FieldValueInvalid", "spec.ports[0].port"),
            ("FieldValueInvalid", "spec.ports[0].targetPort"),
            ("FieldValueInvalid", "spec.ports[1].name")
        ],
        "{}",
        error.message
    );
    assert!(error.message.starts_with("Service \"x\" is invalid: ["), "{}", error.message);
    let name = b.refused("configmaps", config_map("Not_A_Name", "a", "1"));
    assert!(
        name.message.starts_with(
            "ConfigMap \"Not_A_Name\" is invalid: metadata.name: Invalid value: \"Not_A_Name\": a lowercase RFC 1123 subdomain"
        ),
        "{}",
        name.message
    );
    let none = b.refused("deployments.apps", json(r#"{"metadata":{"name":"x"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"c"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}"#));
    assert_eq!(
        none.message,
        "Deployment.apps \"x\" is invalid: spec.template.metadata.labels: Invalid value: {\"a\":\"c\"}: `selector` does not match template `labels`"
    );
}

pub fn a_dry_run_leaves_nothing(b: &mut Bench) {
    let ns = b.ns.clone();
    let dry = || Options { dry_run: true, ..Options::default() };
    let made = b
        .send(&ApiRequest::create(kind("configmaps"), Some(&ns), config_map("one", "a", "1")).options(dry()))
        .expect("tried")
        .into_object();
    assert_eq!((made.name(), made.uid().len()), ("one", 36));
    assert!(b.find("configmaps", "one").is_none());
    let real = b.create("configmaps", config_map("one", "a", "1"));
    let patch = ApiRequest::patch(kind("configmaps"), Some(&ns), "one", PatchKind::Merge, json(r#"{"data":{"a":"2"}}"#)).options(dry());
    assert_eq!(b.send(&patch).expect("tried").into_object().at(&["data", "a"]).text(), "2");
    b.delete("configmaps", "one", dry()).expect("tried");
    assert_eq!(b.get("configmaps", "one").resource_version(), real.resource_version());
}

fn with_unknown_fields(b: &mut Bench, validation: FieldValidation) -> ApiRequest {
    let object = json(r#"{"metadata":{"name":"one","colour":"red"},"dat":{"a":"1"}}"#);
    let options = Options { field_validation: validation, ..Options::default() };
    ApiRequest::create(kind("configmaps"), Some(&b.ns), object).options(options)
}

pub fn unknown_fields_warn(b: &mut Bench) {
    let request = with_unknown_fields(b, FieldValidation::Warn);
    let reply = b.send(&request).expect("accepted");
    let mut warnings: Vec<String> = reply.warnings.iter().map(ToString::to_string).collect();
    warnings.sort();
    assert_eq!(warnings, ["unknown field \"dat\"", "unknown field \"metadata.colour\""]);
    assert!(reply.into_object().get("dat").is_null());
}

pub fn unknown_fields_are_refused(b: &mut Bench) {
    let request = with_unknown_fields(b, FieldValidation::Strict);
    let error = b.send(&request).expect_err("refused");
    assert_eq!((error.code, error.reason.as_str()), (400, "BadRequest"));
    assert!(error.message.contains("strict decoding error: unknown field"), "{}", error.message);
    let quiet = with_unknown_fields(b, FieldValidation::Ignore);
    assert_eq!(b.send(&quiet).expect("accepted").warnings.len(), 0);
}

pub fn immutable_fields_stay(b: &mut Bench) {
    b.create("deployments.apps", deployment("web", 0, "sleep 1000"));
    let patch = json(r#"{"spec":{"selector":{"matchLabels":{"b":"c"}},"template":{"metadata":{"labels":{"b":"c"}}}}}"#);
    let error = b.patch("deployments.apps", "web", PatchKind::Merge, patch).expect_err("immutable");
    assert_eq!(error.code, 422);
    assert!(error.message.starts_with("Deployment.apps \"web\" is invalid: spec.selector: Invalid value: {"), "{}", error.message);
    assert!(error.message.ends_with(": field is immutable"), "{}", error.message);
    let mut named = b.get("deployments.apps", "web");
    named.0.set_at(&["metadata", "uid"], "00000000-0000-0000-0000-000000000000");
    let other = b.update("deployments.apps", &named).expect_err("another object");
    assert_eq!((other.code, other.reason.as_str()), (409, "Conflict"));
}

pub fn immutable_config_maps_stay(b: &mut Bench) {
    b.create("configmaps", json(r#"{"metadata":{"name":"fixed"},"immutable":true,"data":{"a":"1"}}"#));
    let error = b.patch("configmaps", "fixed", PatchKind::Merge, json(r#"{"data":{"a":"2"}}"#));
    expect_error(error, 422, "Invalid", "ConfigMap \"fixed\" is invalid: data: Forbidden: field is immutable when `immutable` is set");
    let error = b.patch("configmaps", "fixed", PatchKind::Merge, json(r#"{"immutable":false}"#));
    expect_error(error, 422, "Invalid", "ConfigMap \"fixed\" is invalid: immutable: Forbidden: field is immutable when `immutable` is set");
    b.merge("configmaps", "fixed", r#"{"metadata":{"labels":{"a":"b"}}}"#);
}

pub fn the_scale_is_a_part(b: &mut Bench) {
    b.create("deployments.apps", deployment("web", 0, "sleep 1000"));
    let get = b.request(Verb::Get, "deployments.apps", Some("web"), Body::None).subresource(Subresource::Scale);
    let scale = b.send(&get).expect("a scale").into_object();
    assert_eq!((scale.kind(), scale.api_version(), scale.name()), ("Scale", "autoscaling/v1", "web"));
    assert_eq!(scale.spec().get("replicas").as_i64().unwrap_or(0), 0);
    let body = Body::Patch(PatchKind::Merge, json(r#"{"spec":{"replicas":2}}"#));
    let set = b.request(Verb::Patch, "deployments.apps", Some("web"), body).subresource(Subresource::Scale);
    assert_eq!(b.send(&set).expect("scaled").into_object().spec().get("replicas").as_i64(), Some(2));
    assert_eq!(b.get("deployments.apps", "web").spec().get("replicas").as_i64(), Some(2));
    let scaled = b.event("web", "ScalingReplicaSet");
    super::bench::expect_match(&scaled, "Scaled up replica set web-[a-z0-9]+ from 0 to 2");
}

pub fn the_status_is_a_part(b: &mut Bench) {
    let made = b.create("services", json(r#"{"metadata":{"name":"s"},"spec":{"ports":[{"port":80}]}}"#));
    let mut changed = made.clone();
    changed.0.set_at(&["status", "loadBalancer"], json(r#"{"ingress":[{"hostname":"a.example"}]}"#));
    changed.0.set_at(&["spec", "sessionAffinity"], "ClientIP");
    let whole = b.update("services", &changed).expect("updated");
    assert!(whole.status().at(&["loadBalancer", "ingress"]).is_empty(), "an update of the object leaves the status");
    let patch = json(
        r#"{"status":{"conditions":[{"type":"x.example/Y","status":"True","reason":"R","message":"m","lastTransitionTime":"2026-01-01T00:00:00Z"}]},"spec":{"sessionAffinity":"None"}}"#,
    );
    let request = b.request(Verb::Patch, "services", Some("s"), Body::Patch(PatchKind::Merge, patch)).subresource(Subresource::Status);
    let done = b.send(&request).expect("patched").into_object();
    assert_eq!(done.status().get("conditions").nth(0).get("reason").text(), "R");
    assert_eq!(done.spec().get("sessionAffinity").text(), "ClientIP", "an update of the status leaves the spec");
}

pub fn finalizers_hold_a_deletion(b: &mut Bench) {
    b.create("configmaps", json(r#"{"metadata":{"name":"held","finalizers":["example.com/hold"]},"data":{"a":"1"}}"#));
    b.delete("configmaps", "held", Options::default()).expect("marked");
    let held = b.get("configmaps", "held");
    assert!(held.is_terminating());
    assert_eq!(held.meta().get("deletionGracePeriodSeconds").as_i64(), Some(0));
    b.merge("configmaps", "held", r#"{"data":{"a":"2"}}"#);
    let more =
        b.patch("configmaps", "held", PatchKind::Merge, json(r#"{"metadata":{"finalizers":["example.com/hold","example.com/more"]}}"#));
    let error = more.expect_err("no new finalizers");
    assert_eq!(error.code, 422);
    assert!(
        error.message.contains("metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted"),
        "{}",
        error.message
    );
    b.merge("configmaps", "held", r#"{"metadata":{"finalizers":null}}"#);
    assert!(b.find("configmaps", "held").is_none());
}

pub fn a_uid_guards_a_deletion(b: &mut Bench) {
    let made = b.create("configmaps", config_map("one", "a", "1"));
    let other = "00000000-0000-0000-0000-000000000000";
    let error = b.delete("configmaps", "one", Options { uid: Some(other.into()), ..Options::default() }).expect_err("another");
    assert_eq!((error.code, error.reason.as_str()), (409, "Conflict"));
    assert!(
        error.message.contains(&format!("the UID in the precondition ({other}) does not match the UID in record ({})", made.uid())),
        "{}",
        error.message
    );
    b.delete("configmaps", "one", Options { uid: Some(made.uid().into()), ..Options::default() }).expect("deleted");
    expect_error(b.delete("configmaps", "one", Options::default()), 404, "NotFound", "configmaps \"one\" not found");
}

fn owner_and_dependent(b: &mut Bench) {
    let owner = b.create("configmaps", config_map("owner", "a", "1"));
    let reference =
        object! { "apiVersion" => "v1", "kind" => "ConfigMap", "name" => "owner", "uid" => owner.uid(), "blockOwnerDeletion" => true };
    let mut dependent = config_map("dependent", "a", "1");
    dependent.set_at(&["metadata", "ownerReferences"], aiopslab::array![reference]);
    b.create("configmaps", dependent);
    b.pass(std::time::Duration::from_secs(1));
}

pub fn dependents_are_collected(b: &mut Bench) {
    owner_and_dependent(b);
    b.delete("configmaps", "owner", Options { propagation: Some(Propagation::Background), ..Options::default() }).expect("deleted");
    assert!(b.find("configmaps", "owner").is_none());
    b.until("the dependent's end", |b| b.find("configmaps", "dependent").is_none().then_some(()));
}

pub fn dependents_are_orphaned(b: &mut Bench) {
    owner_and_dependent(b);
    b.delete("configmaps", "owner", Options { propagation: Some(Propagation::Orphan), ..Options::default() }).expect("deleted");
    b.until("the owner's end", |b| b.find("configmaps", "owner").is_none().then_some(()));
    b.pass(std::time::Duration::from_secs(2));
    assert!(b.get("configmaps", "dependent").meta().get("ownerReferences").is_empty());
}

pub fn a_foreground_deletion_waits(b: &mut Bench) {
    owner_and_dependent(b);
    b.merge("configmaps", "dependent", r#"{"metadata":{"finalizers":["example.com/hold"]}}"#);
    b.delete("configmaps", "owner", Options { propagation: Some(Propagation::Foreground), ..Options::default() }).expect("marked");
    b.until("the dependent's mark", |b| b.find("configmaps", "dependent").filter(Object::is_terminating));
    let owner = b.get("configmaps", "owner");
    assert!(owner.is_terminating());
    assert_eq!(owner.meta().get("finalizers").to_compact(), r#"["foregroundDeletion"]"#);
    b.merge("configmaps", "dependent", r#"{"metadata":{"finalizers":null}}"#);
    b.until("the owner's end", |b| b.find("configmaps", "owner").is_none().then_some(()));
}

pub fn a_pod_ends_with_grace(b: &mut Bench) {
    let mut stubborn = pod("stubborn", "trap '' TERM; sleep 1000");
    stubborn.set_at(&["spec", "terminationGracePeriodSeconds"], 3i64);
    b.create("pods", stubborn);
    b.ready("stubborn");
    let start = b.cluster.now();
    b.delete("pods", "stubborn", Options::default()).expect("marked");
    let marked = b.get("pods", "stubborn");
    assert!(marked.is_terminating());
    assert_eq!(marked.meta().get("deletionGracePeriodSeconds").as_i64(), Some(3));
    b.within(30, "the pod's end", |b| b.find("pods", "stubborn").is_none().then_some(()));
    let took = b.cluster.now().since(start).as_secs_f64();
    assert!((2.0..15.0).contains(&took), "{took}");
    b.create("pods", pod("forced", "sleep 1000"));
    b.ready("forced");
    b.delete("pods", "forced", Options { grace_period_s: Some(0), ..Options::default() }).expect("deleted");
    assert!(b.find("pods", "forced").is_none(), "without grace it is gone at once");
}

pub fn collections_are_deleted(b: &mut Bench) {
    for (name, label) in [("a", "x"), ("b", "x"), ("c", "y")] {
        b.create("secrets", object! { "metadata" => object! { "name" => name, "labels" => object! { "l" => label } } });
    }
    let ns = b.ns.clone();
    let some = Options { label_selector: "l=x".into(), ..Options::default() };
    b.send(&ApiRequest::delete_collection(kind("secrets"), Some(&ns)).options(some)).expect("deleted");
    let left: Vec<String> = b.items("secrets", "").iter().map(|o| o.name().to_owned()).collect();
    assert_eq!(left, ["c"]);
    b.send(&ApiRequest::delete_collection(kind("secrets"), Some(&ns))).expect("deleted");
    assert!(b.items("secrets", "").is_empty());
}

pub fn a_namespace_takes_everything_along(b: &mut Bench) {
    b.create("configmaps", config_map("one", "a", "1"));
    b.create("pods", pod("p", "sleep 1000"));
    b.ready("p");
    let ns = b.ns.clone();
    b.delete("namespaces", &ns, Options::default()).expect("marked");
    let marked = b.get("namespaces", &ns);
    assert_eq!(marked.status().get("phase").text(), "Terminating");
    assert_eq!(marked.spec().get("finalizers").to_compact(), r#"["kubernetes"]"#);
    b.until("the namespace's end", |b| b.find("namespaces", &ns).is_none().then_some(()));
    assert!(b.find("configmaps", "one").is_none());
}

pub fn a_terminating_namespace_takes_nothing(b: &mut Bench) {
    b.create("configmaps", json(r#"{"metadata":{"name":"held","finalizers":["example.com/hold"]}}"#));
    let ns = b.ns.clone();
    b.delete("namespaces", &ns, Options::default()).expect("marked");
    let error = b.refused("configmaps", config_map("late", "a", "1"));
    let text = format!("configmaps \"late\" is forbidden: unable to create new content in namespace {ns} because it is being terminated");
    assert_eq!((error.code, error.reason.as_str(), error.message.as_str()), (403, "Forbidden", text.as_str()));
    let cause = error.details.get("causes").nth(0);
    assert_eq!((cause.get("reason").text(), cause.get("field").text()), ("NamespaceTerminating", "metadata.namespace"));
    let waiting = b.until("a word about what remains", |b| {
        let namespace = b.get("namespaces", &ns);
        let condition = namespace.condition("NamespaceFinalizersRemaining").cloned().unwrap_or_default();
        (condition.get("status").text() == "True").then(|| condition.get("message").text().to_owned())
    });
    assert_eq!(waiting, "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances");
    b.merge("configmaps", "held", r#"{"metadata":{"finalizers":null}}"#);
    b.until("the namespace's end", |b| b.find("namespaces", &ns).is_none().then_some(()));
}
