//! Reading and creating.

use super::bench::{Bench, config_map, expect_error, json, kind};
use aiopslab::cluster::{ApiRequest, Options, ReplyBody};
use aiopslab::object;

pub fn create_and_get(b: &mut Bench) {
    let made = b.create("configmaps", config_map("one", "a", "1"));
    let read = b.get("configmaps", "one");
    assert_eq!(read.0.to_compact(), made.0.to_compact());
    assert_eq!((read.kind(), read.api_version(), read.namespace()), ("ConfigMap", "v1", b.ns.as_str()));
    assert_eq!(read.uid().len(), 36);
    assert!(!read.resource_version().is_empty() && read.created_at().is_some());
    assert_eq!(read.meta().get("generation").as_i64(), None, "ConfigMaps have no generation");
}

pub fn list_by_labels(b: &mut Bench) {
    for (name, tier) in [("a", "front"), ("b", "back"), ("c", "back"), ("d", "")] {
        let labels = if tier.is_empty() {
            object! {}
        } else {
            object! { "tier" => tier }
        };
        b.create("secrets", object! { "metadata" => object! { "name" => name, "labels" => labels } });
    }
    let mut check = |selector: &str, expect: &[&str]| {
        let found: Vec<String> = b.items("secrets", selector).iter().map(|o| o.name().to_owned()).collect();
        assert_eq!(found, expect, "{selector}");
    };
    check("", &["a", "b", "c", "d"]);
    check("tier=back", &["b", "c"]);
    check("tier==back", &["b", "c"]);
    check("tier!=back", &["a", "d"]);
    check("tier", &["a", "b", "c"]);
    check("!tier", &["d"]);
    check("tier in (front,back)", &["a", "b", "c"]);
    check("tier notin (front)", &["b", "c", "d"]);
    check("tier=back,tier in (front)", &[]);
}

pub fn list_by_fields(b: &mut Bench) {
    for name in ["a", "b"] {
        b.create(
            "secrets",
            object! { "metadata" => object! { "name" => name }, "type" => if name == "a" { "Opaque" } else { "example.com/x" } },
        );
    }
    let mut check = |selector: &str, expect: &[&str]| {
        let options = Options { field_selector: selector.to_owned(), ..Options::default() };
        let found: Vec<String> = b.select("secrets", options).expect("a list").iter().map(|o| o.name().to_owned()).collect();
        assert_eq!(found, expect, "{selector}");
    };
    check("metadata.name=b", &["b"]);
    check("metadata.name!=b", &["a"]);
    check("type=Opaque", &["a"]);
    check("type=Opaque,metadata.name=b", &[]);
}

pub fn a_bad_selector_is_refused(b: &mut Bench) {
    let by = |label: &str, field: &str| Options { label_selector: label.into(), field_selector: field.into(), ..Options::default() };
    let unknown = b.select("configmaps", by("", "data.a=1"));
    expect_error(unknown, 400, "BadRequest", "\"data.a\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"");
    let pods = b.select("pods", by("", "spec.image=x")).expect_err("unknown");
    assert_eq!((pods.code, pods.message.as_str()), (400, "field label not supported: spec.image"));
    let label = b.select("configmaps", by("a in b", "")).expect_err("malformed");
    assert_eq!(label.code, 400);
    assert_eq!(label.message, "unable to parse requirement: found 'b' expected: '('");
}

pub fn a_missing_object_is_404(b: &mut Bench) {
    let ns = b.ns.clone();
    let mut check = |name: &str, message: &str| {
        let request = ApiRequest::get(kind(name), kind(name).namespaced.then_some(ns.as_str()), "nothing");
        let error = expect_error(b.send(&request), 404, "NotFound", message);
        assert_eq!(error.details.get("name").text(), "nothing");
    };
    check("pods", "pods \"nothing\" not found");
    check("deployments.apps", "deployments.apps \"nothing\" not found");
    check("nodes", "nodes \"nothing\" not found");
    check("roles.rbac.authorization.k8s.io", "roles.rbac.authorization.k8s.io \"nothing\" not found");
    let elsewhere = ApiRequest::create(kind("configmaps"), Some("no-such-namespace"), config_map("x", "a", "1"));
    expect_error(b.send(&elsewhere), 404, "NotFound", "namespaces \"no-such-namespace\" not found");
}

pub fn an_object_that_exists_is_409(b: &mut Bench) {
    b.create("configmaps", config_map("one", "a", "1"));
    let again = b.try_create("configmaps", config_map("one", "a", "1"));
    expect_error(again, 409, "AlreadyExists", "configmaps \"one\" already exists");
}

pub fn names_are_generated(b: &mut Bench) {
    let made: Vec<String> =
        (0..3).map(|_| b.create("configmaps", json(r#"{"metadata":{"generateName":"some-"}}"#)).name().to_owned()).collect();
    for name in &made {
        super::bench::expect_match(name, "some-[bcdfghjklmnpqrstvwxz2456789]{5}");
    }
    assert!(made[0] != made[1] && made[1] != made[2]);
    let none = b.refused("configmaps", json(r#"{"metadata":{}}"#));
    assert_eq!(none.code, 422);
    assert_eq!(none.message, "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required");
}

pub fn a_namespace_of_another_object_is_refused(b: &mut Bench) {
    let object = json(r#"{"metadata":{"name":"x","namespace":"default"}}"#);
    let error = b.try_create("configmaps", object);
    expect_error(error, 400, "BadRequest", "the namespace of the provided object does not match the namespace sent on the request");
}

pub fn many_reads_keep_their_order(b: &mut Bench) {
    let ns = b.ns.clone();
    for at in 0..20 {
        b.create("configmaps", config_map(&format!("m-{at}"), "at", &at.to_string()));
    }
    let requests: Vec<ApiRequest> = (0..40)
        .map(|at| {
            let name = if at % 2 == 0 { format!("m-{}", at / 2) } else { format!("absent-{at}") };
            ApiRequest::get(kind("configmaps"), Some(&ns), &name)
        })
        .collect();
    let replies = b.cluster.api_many(&b.operator, &requests);
    assert_eq!(replies.len(), 40);
    for (at, reply) in replies.into_iter().enumerate() {
        match reply {
            Ok(reply) => assert_eq!(reply.into_object().at(&["data", "at"]).text(), (at / 2).to_string()),
            Err(error) => assert_eq!((at % 2, error.message), (1, format!("configmaps \"absent-{at}\" not found"))),
        }
    }
}

pub fn discovery_knows_the_kinds(b: &mut Bench) {
    let kinds = b.cluster.resources().expect("discovery");
    let check = |plural: &str, group: &str, kind: &str, namespaced: bool, short: &str| {
        let found = kinds.iter().find(|k| k.plural == plural && k.group == group).unwrap_or_else(|| panic!("no {plural}"));
        assert_eq!((found.kind.as_str(), found.namespaced), (kind, namespaced));
        assert!(short.is_empty() || found.short_names.iter().any(|s| s.as_str() == short), "{plural}: {:?}", found.short_names);
        assert!(found.allows("get") && found.allows("list"), "{plural}");
    };
    check("pods", "", "Pod", true, "po");
    check("nodes", "", "Node", false, "no");
    check("deployments", "apps", "Deployment", true, "deploy");
    check("networkpolicies", "networking.k8s.io", "NetworkPolicy", true, "netpol");
    check("clusterroles", "rbac.authorization.k8s.io", "ClusterRole", false, "");
    check("poddisruptionbudgets", "policy", "PodDisruptionBudget", true, "pdb");
}

pub fn the_body_of_another_kind_is_refused(b: &mut Bench) {
    let object = json(r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"x"}}"#);
    let error = b.refused("configmaps", object);
    assert_eq!((error.code, error.reason.as_str()), (400, "BadRequest"));
    assert!(error.message.contains("Secret in version \"v1\" cannot be handled as a ConfigMap"), "{}", error.message);
}

pub fn a_list_has_a_version(b: &mut Bench) {
    let made = b.create("configmaps", config_map("one", "a", "1"));
    let ns = b.ns.clone();
    let reply = b.send(&ApiRequest::list(kind("configmaps"), Some(&ns))).expect("a list");
    let ReplyBody::List { resource_version, items } = reply.body else { panic!("no list") };
    let number = |text: &str| text.parse::<u64>().expect("a number");
    assert!(number(&resource_version) >= number(made.resource_version()));
    let names: Vec<&str> = items.iter().map(|o| o.name()).collect();
    assert_eq!(names, ["kube-root-ca.crt", "one"], "in order of names");
}
