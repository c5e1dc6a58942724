//! Admission on the simulated API server: what new pods are given and what is refused.

use crate::api_policy::cluster;
use crate::api_server::{ask, json, kind};
use aiopslab::cluster::sim::cluster::SimCluster;
use aiopslab::cluster::{ApiRequest, PatchKind};
use aiopslab::object::Object;

fn put(cluster: &mut SimCluster, group: &str, plural: &str, text: &str) -> Result<Object, String> {
    let request = ApiRequest::create(kind(group, plural), Some("hotel"), json(text));
    ask(cluster, request).map(|reply| reply.into_object()).map_err(|e| e.message)
}

fn with_account() -> SimCluster {
    let mut cluster = cluster();
    put(&mut cluster, "", "serviceaccounts", r#"{"metadata":{"name":"default"}}"#).expect("created");
    cluster
}

fn pod(name: &str, resources: &str) -> String {
    format!(r#"{{"metadata":{{"name":"{name}"}},"spec":{{"containers":[{{"name":"c","image":"i:1","resources":{resources}}}]}}}}"#)
}

#[test]
fn a_pod_gets_account_token_tolerations_and_priority() {
    let mut cluster = cluster();
    assert_eq!(
        put(&mut cluster, "", "pods", &pod("x", "{}")).expect_err("no account yet"),
        "pods \"x\" is forbidden: error looking up service account hotel/default: serviceaccount \"default\" not found"
    );
    put(&mut cluster, "", "serviceaccounts", r#"{"metadata":{"name":"default"}}"#).expect("created");
    let made = put(&mut cluster, "", "pods", &pod("x", "{}")).expect("created");
    let spec = made.spec();
    let volume = spec.get("volumes").nth(0).get("name").text();
    assert!(volume.starts_with("kube-api-access-") && volume.len() == 21, "{volume}");
    assert_eq!(
        spec.get("containers").nth(0).get("volumeMounts").to_compact(),
        format!(r#"[{{"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount","name":"{volume}","readOnly":true}}]"#)
    );
    assert_eq!(
        spec.get("tolerations").nth(0).to_compact(),
        r#"{"effect":"NoExecute","key":"node.kubernetes.io/not-ready","operator":"Exists","tolerationSeconds":300}"#
    );
    assert_eq!((spec.get("priority").as_i64(), spec.get("preemptionPolicy").text()), (Some(0), "PreemptLowerPriority"));
    assert_eq!((spec.get("serviceAccountName").text(), spec.get("serviceAccount").text()), ("default", "default"));
    assert_eq!(made.status().to_compact(), r#"{"phase":"Pending","qosClass":"BestEffort"}"#);
    let odd = r#"{"metadata":{"name":"y"},"spec":{"priorityClassName":"none","containers":[{"name":"c","image":"i"}]}}"#;
    assert_eq!(
        put(&mut cluster, "", "pods", odd).expect_err("no class"),
        "pods \"y\" is forbidden: no PriorityClass with name none was found"
    );
}

#[test]
fn limit_ranges_fill_in_and_bound() {
    let mut cluster = with_account();
    let range = r#"{"metadata":{"name":"r"},"spec":{"limits":[{"type":"Container","default":{"cpu":"500m"},"max":{"cpu":"1"},"min":{"cpu":"100m"}}]}}"#;
    put(&mut cluster, "", "limitranges", range).expect("created");
    let made = put(&mut cluster, "", "pods", &pod("x", "{}")).expect("created");
    assert_eq!(
        made.annotation("kubernetes.io/limit-ranger"),
        Some("LimitRanger plugin set: cpu request for container c; cpu limit for container c")
    );
    assert_eq!(
        put(&mut cluster, "", "pods", &pod("y", r#"{"limits":{"cpu":"2"},"requests":{"cpu":"50m"}}"#)).expect_err("too much"),
        "pods \"y\" is forbidden: [minimum cpu usage per Container is 100m, but request is 50m, maximum cpu usage per Container is 1, but limit is 2]"
    );
}

#[test]
fn quotas_count_and_refuse() {
    let mut cluster = with_account();
    let quota = r#"{"metadata":{"name":"q"},"spec":{"hard":{"pods":"1","requests.cpu":"500m"}}}"#;
    put(&mut cluster, "", "resourcequotas", quota).expect("created");
    assert_eq!(
        put(&mut cluster, "", "pods", &pod("x", "{}")).expect_err("no request"),
        "pods \"x\" is forbidden: failed quota: q: must specify requests.cpu for: c"
    );
    let asks = r#"{"requests":{"cpu":"300m"}}"#;
    put(&mut cluster, "", "pods", &pod("x", asks)).expect("created");
    let stored = ask(&mut cluster, ApiRequest::get(kind("", "resourcequotas"), Some("hotel"), "q")).expect("there").into_object();
    assert_eq!(stored.status().to_compact(), r#"{"hard":{"pods":"1","requests.cpu":"500m"},"used":{"pods":"1","requests.cpu":"300m"}}"#);
    assert_eq!(
        put(&mut cluster, "", "pods", &pod("y", asks)).expect_err("too much"),
        "pods \"y\" is forbidden: exceeded quota: q, requested: pods=1,requests.cpu=300m, used: pods=1,requests.cpu=300m, limited: pods=1,requests.cpu=500m"
    );
    ask(&mut cluster, ApiRequest::delete(kind("", "pods"), Some("hotel"), "x")).expect("deleted");
    put(&mut cluster, "", "pods", &pod("y", asks)).expect("room again");
}

#[test]
fn pod_security_refuses_what_the_level_forbids() {
    let mut cluster = with_account();
    let labels = r#"{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}"#;
    ask(&mut cluster, ApiRequest::patch(kind("", "namespaces"), None, "hotel", PatchKind::Merge, json(labels))).expect("labelled");
    assert_eq!(
        put(&mut cluster, "", "pods", &pod("x", "{}")).expect_err("too free"),
        "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
    );
}

#[test]
fn a_terminating_namespace_takes_nothing_new() {
    let mut cluster = with_account();
    ask(&mut cluster, ApiRequest::delete(kind("", "namespaces"), None, "hotel")).expect("deletion begins");
    assert_eq!(
        put(&mut cluster, "", "configmaps", r#"{"metadata":{"name":"x"}}"#).expect_err("too late"),
        "configmaps \"x\" is forbidden: unable to create new content in namespace hotel because it is being terminated"
    );
    let error = ask(&mut cluster, ApiRequest::delete(kind("", "namespaces"), None, "default")).expect_err("kept");
    assert_eq!(error.message, "namespaces \"default\" is forbidden: this namespace may not be deleted");
}
