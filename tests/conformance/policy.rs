//! Quotas, limits, rights, evictions.

use super::bench::{Bench, GUEST, expect_error, json, kind, pod};
use aiopslab::cluster::{ApiRequest, Body, Options, PatchKind, Right, Subresource, Verb};
use aiopslab::object;
use aiopslab::object::Json;

/// Waits until the server that answers us knows of a quota: it counts from a cache.
fn until_refused(b: &mut Bench, name: &str, object: &Json) {
    let request = b.request(Verb::Create, name, None, Body::Object(object.clone()));
    let request = request.options(Options { dry_run: true, ..Options::default() });
    b.until("the quota", |b| b.send(&request).err().filter(|error| error.code == 403));
}

pub fn a_quota_is_kept(b: &mut Bench) {
    b.create("resourcequotas", json(r#"{"metadata":{"name":"few"},"spec":{"hard":{"count/secrets":"1","services":"0"}}}"#));
    let service = json(r#"{"metadata":{"name":"s"},"spec":{"ports":[{"port":80}]}}"#);
    until_refused(b, "services", &service);
    let text = "services \"s\" is forbidden: exceeded quota: few, requested: services=1, used: services=0, limited: services=0";
    expect_error(b.try_create("services", service), 403, "Forbidden", text);
    b.create("secrets", json(r#"{"metadata":{"name":"a"}}"#));
    let error = b.try_create("secrets", json(r#"{"metadata":{"name":"b"}}"#));
    let text =
        "secrets \"b\" is forbidden: exceeded quota: few, requested: count/secrets=1, used: count/secrets=1, limited: count/secrets=1";
    expect_error(error, 403, "Forbidden", text);
    b.until("the count", |b| (b.get("resourcequotas", "few").status().at(&["used", "count/secrets"]).text() == "1").then_some(()));
}

pub fn a_quota_needs_requests(b: &mut Bench) {
    b.create("resourcequotas", json(r#"{"metadata":{"name":"cpu"},"spec":{"hard":{"requests.cpu":"100m","limits.memory":"1Gi"}}}"#));
    until_refused(b, "pods", &pod("p", "true"));
    let error = b.try_create("pods", pod("p", "true"));
    expect_error(
        error,
        403,
        "Forbidden",
        "pods \"p\" is forbidden: failed quota: cpu: must specify limits.memory for: main; requests.cpu for: main",
    );
    let mut greedy = pod("greedy", "true");
    let resources = json(r#"{"requests":{"cpu":"200m"},"limits":{"memory":"10Mi"}}"#);
    greedy.get_mut("spec").get_mut("containers").items_mut()[0].set("resources", resources);
    let error = b.try_create("pods", greedy);
    let text =
        "pods \"greedy\" is forbidden: exceeded quota: cpu, requested: requests.cpu=200m, used: requests.cpu=0, limited: requests.cpu=100m";
    expect_error(error, 403, "Forbidden", text);
}

pub fn a_limit_range_fills_in(b: &mut Bench) {
    let limits = r#"[{"type":"Container","default":{"cpu":"200m","memory":"64Mi"},"defaultRequest":{"cpu":"10m"}}]"#;
    b.create("limitranges", json(&format!(r#"{{"metadata":{{"name":"l"}},"spec":{{"limits":{limits}}}}}"#)));
    let made = b.until("the limits", |b| {
        let request = b.request(Verb::Create, "pods", None, Body::Object(pod("p", "sleep 1000")));
        let made = b.send(&request.options(Options { dry_run: true, ..Options::default() })).expect("tried").into_object();
        made.annotation("kubernetes.io/limit-ranger").is_some().then_some(made)
    });
    let resources = made.spec().get("containers").nth(0).get("resources");
    assert_eq!(resources.get("limits").to_compact(), r#"{"cpu":"200m","memory":"64Mi"}"#);
    assert_eq!(resources.get("requests").to_compact(), r#"{"cpu":"10m","memory":"64Mi"}"#);
    assert_eq!(
        made.annotation("kubernetes.io/limit-ranger"),
        Some("LimitRanger plugin set: cpu, memory request for container main; cpu, memory limit for container main")
    );
}

pub fn a_limit_range_refuses(b: &mut Bench) {
    b.create("limitranges", json(r#"{"metadata":{"name":"l"},"spec":{"limits":[{"type":"Container","max":{"cpu":"100m"}}]}}"#));
    let mut greedy = pod("p", "true");
    greedy.get_mut("spec").get_mut("containers").items_mut()[0].set("resources", json(r#"{"limits":{"cpu":"2"}}"#));
    until_refused(b, "pods", &greedy);
    let error = b.try_create("pods", greedy);
    expect_error(error, 403, "Forbidden", "pods \"p\" is forbidden: maximum cpu usage per Container is 100m, but limit is 2");
}

pub fn forbidden_texts(b: &mut Bench) {
    let (ns, user) = (b.ns.clone(), b.guest.user.clone());
    let mut check = |request: ApiRequest, expect: &str| {
        let expect = expect.replace("USER", &format!("User \"{user}\"")).replace("NS", &ns);
        expect_error(b.cluster.api(&b.guest, &request), 403, "Forbidden", &expect);
    };
    let here = Some(ns.as_str());
    check(
        ApiRequest::list(kind("secrets"), here),
        "secrets is forbidden: USER cannot list resource \"secrets\" in API group \"\" in the namespace \"NS\"",
    );
    check(
        ApiRequest::get(kind("secrets"), here, "x"),
        "secrets \"x\" is forbidden: USER cannot get resource \"secrets\" in API group \"\" in the namespace \"NS\"",
    );
    check(
        ApiRequest::list(kind("pods"), None),
        "pods is forbidden: USER cannot list resource \"pods\" in API group \"\" at the cluster scope",
    );
    check(
        ApiRequest::get(kind("nodes"), None, "node-1"),
        "nodes \"node-1\" is forbidden: USER cannot get resource \"nodes\" in API group \"\" at the cluster scope",
    );
    check(
        ApiRequest::delete(kind("deployments.apps"), here, "x"),
        "deployments.apps \"x\" is forbidden: USER cannot delete resource \"deployments\" in API group \"apps\" in the namespace \"NS\"",
    );
    check(
        ApiRequest::create(kind("pods"), here, pod("x", "true")),
        "pods is forbidden: USER cannot create resource \"pods\" in API group \"\" in the namespace \"NS\"",
    );
    check(
        ApiRequest::patch(kind("deployments.apps"), here, "x", PatchKind::Merge, json("{}")).subresource(Subresource::Scale),
        "deployments.apps \"x\" is forbidden: USER cannot patch resource \"deployments/scale\" in API group \"apps\" in the namespace \"NS\"",
    );
}

pub fn what_is_granted_is_allowed(b: &mut Bench) {
    let ns = b.ns.clone();
    b.create("configmaps", super::bench::config_map("one", "a", "1"));
    let seen = b.until("the grant", |b| b.cluster.api(&b.guest, &ApiRequest::get(kind("configmaps"), Some(&ns), "one")).ok());
    assert_eq!(seen.into_object().at(&["data", "a"]).text(), "1");
    let role = r#"{"metadata":{"name":"one"},"rules":[{"apiGroups":[""],"resources":["secrets"],"resourceNames":["a"],"verbs":["get"]}]}"#;
    b.create("roles.rbac.authorization.k8s.io", json(role));
    let binding = object! {
        "metadata" => object! { "name" => "one" },
        "roleRef" => object! { "apiGroup" => "rbac.authorization.k8s.io", "kind" => "Role", "name" => "one" },
        "subjects" => aiopslab::array![object! { "kind" => "ServiceAccount", "name" => GUEST, "namespace" => ns.as_str() }],
    };
    b.create("rolebindings.rbac.authorization.k8s.io", binding);
    b.create("secrets", json(r#"{"metadata":{"name":"a"}}"#));
    b.create("secrets", json(r#"{"metadata":{"name":"b"}}"#));
    let get = |b: &mut Bench, name: &str| b.cluster.api(&b.guest, &ApiRequest::get(kind("secrets"), Some(&ns), name));
    b.until("the grant", |b| get(b, "a").ok());
    assert_eq!(get(b, "b").expect_err("not named").code, 403);
}

pub fn rights_are_asked_for(b: &mut Bench) {
    let mut ask = |attributes: Json, who_asks_as_guest: bool| {
        let review = object! { "spec" => object! { "resourceAttributes" => attributes } };
        let request = ApiRequest::create(kind("selfsubjectaccessreviews.authorization.k8s.io"), None, review);
        let who = if who_asks_as_guest { b.guest.clone() } else { b.operator.clone() };
        b.cluster.api(&who, &request).expect("a review").into_object().at(&["status", "allowed"]).is_true()
    };
    assert!(ask(json(r#"{"verb":"delete","resource":"nodes"}"#), false));
    assert!(!ask(json(r#"{"verb":"delete","resource":"nodes"}"#), true));
    let ns = b.ns.clone();
    b.pass(std::time::Duration::from_millis(500));
    let mut here = |verb: &str, resource: &str| {
        let review = object! { "spec" => object! { "resourceAttributes" => object! { "verb" => verb, "resource" => resource, "namespace" => ns.as_str() } } };
        let request = ApiRequest::create(kind("selfsubjectaccessreviews.authorization.k8s.io"), None, review);
        b.cluster.api(&b.guest, &request).expect("a review").into_object().at(&["status", "allowed"]).is_true()
    };
    assert!(here("get", "pods"));
    assert!(!here("get", "secrets"));
    assert!(!here("create", "pods"));
}

pub fn the_operator_can(b: &mut Bench) {
    let namespace = Some(b.ns.as_str().into());
    assert!(b.cluster.can(&Right { verb: "delete", group: "apps", resource: "deployments", namespace }));
    assert!(b.cluster.can(&Right { verb: "create", group: "", resource: "pods/exec", namespace: None }));
}

pub fn nobody_gives_what_he_lacks(b: &mut Bench) {
    let ns = b.ns.clone();
    let roles = r#"{"metadata":{"name":"roles"},"rules":[{"apiGroups":["rbac.authorization.k8s.io"],"resources":["roles"],"verbs":["create","get"]}]}"#;
    b.create("roles.rbac.authorization.k8s.io", json(roles));
    let binding = object! {
        "metadata" => object! { "name" => "roles" },
        "roleRef" => object! { "apiGroup" => "rbac.authorization.k8s.io", "kind" => "Role", "name" => "roles" },
        "subjects" => aiopslab::array![object! { "kind" => "ServiceAccount", "name" => GUEST, "namespace" => ns.as_str() }],
    };
    b.create("rolebindings.rbac.authorization.k8s.io", binding);
    b.until("the grant", |b| b.cluster.api(&b.guest, &ApiRequest::get(kind("roles.rbac.authorization.k8s.io"), Some(&ns), "roles")).ok());
    let more = r#"{"metadata":{"name":"more"},"rules":[{"apiGroups":[""],"resources":["secrets"],"verbs":["get"]}]}"#;
    let error = b
        .cluster
        .api(&b.guest, &ApiRequest::create(kind("roles.rbac.authorization.k8s.io"), Some(&ns), json(more)))
        .expect_err("escalation");
    assert_eq!((error.code, error.reason.as_str()), (403, "Forbidden"));
    let expect = format!(
        "roles.rbac.authorization.k8s.io \"more\" is forbidden: user \"{}\" (groups=[\"system:serviceaccounts\" \"system:serviceaccounts:{ns}\" \
         \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{{APIGroups:[\"\"], Resources:[\"secrets\"], \
         Verbs:[\"get\"]}}",
        b.guest.user
    );
    assert_eq!(error.message, expect);
}

pub fn secrets_are_base64(b: &mut Bench) {
    let made = b.create("secrets", json(r#"{"metadata":{"name":"a"},"stringData":{"x":"hush"},"data":{"y":"aGVsbG8="}}"#));
    assert_eq!(made.get("data").to_compact(), r#"{"x":"aHVzaA==","y":"aGVsbG8="}"#);
    assert!(made.get("stringData").is_null());
    assert_eq!(made.get("type").text(), "Opaque");
    let error = b.refused("secrets", json(r#"{"metadata":{"name":"b"},"data":{"y":"not base64!"}}"#));
    assert_eq!((error.code, error.reason.as_str()), (400, "BadRequest"));
    assert!(error.message.contains("illegal base64 data at input byte 3"), "{}", error.message);
}

fn evict(b: &mut Bench, name: &str) -> Result<aiopslab::cluster::ApiReply, aiopslab::cluster::ApiError> {
    let eviction = object! { "apiVersion" => "policy/v1", "kind" => "Eviction", "metadata" => object! { "name" => name, "namespace" => b.ns.as_str() } };
    let request = b.request(Verb::Create, "pods", Some(name), Body::Object(eviction)).subresource(Subresource::Eviction);
    b.send(&request)
}

pub fn an_eviction_obeys_its_budget(b: &mut Bench) {
    b.create("pods", pod("kept", "sleep 1000"));
    b.ready("kept");
    let budget = r#"{"metadata":{"name":"all"},"spec":{"minAvailable":1,"selector":{"matchLabels":{"app":"kept"}}}}"#;
    b.create("poddisruptionbudgets.policy", json(budget));
    b.until("the budget", |b| {
        (b.get("poddisruptionbudgets.policy", "all").status().get("currentHealthy").as_i64() == Some(1)).then_some(())
    });
    let error = evict(b, "kept").expect_err("the budget");
    assert_eq!((error.code, error.reason.as_str()), (429, "TooManyRequests"));
    assert_eq!(error.message, "Cannot evict pod as it would violate the pod's disruption budget.");
    let cause = error.details.get("causes").nth(0);
    assert_eq!(
        (cause.get("reason").text(), cause.get("message").text()),
        ("DisruptionBudget", "The disruption budget all needs 1 healthy pods and has 1 currently")
    );
}

pub fn an_eviction_ends_a_pod(b: &mut Bench) {
    b.create("pods", pod("gone", "sleep 1000"));
    b.ready("gone");
    evict(b, "gone").expect("evicted");
    b.until("the end", |b| b.find("pods", "gone").is_none().then_some(()));
    expect_error(evict(b, "gone"), 404, "NotFound", "pods \"gone\" not found");
}

pub fn a_service_account_appears(b: &mut Bench) {
    b.delete("serviceaccounts", "default", Options::default()).expect("deleted");
    b.until("another", |b| b.find("serviceaccounts", "default"));
    let ca = b.until("the certificate", |b| b.find("configmaps", "kube-root-ca.crt"));
    assert!(ca.at(&["data", "ca.crt"]).text().starts_with("-----BEGIN CERTIFICATE-----"));
    let mut manifest = pod("p", "sleep 1000");
    manifest.set_at(&["spec", "serviceAccountName"], "nobody");
    let error = b.try_create("pods", manifest);
    let text = format!("pods \"p\" is forbidden: error looking up service account {}/nobody: serviceaccount \"nobody\" not found", b.ns);
    expect_error(error, 403, "Forbidden", &text);
}
