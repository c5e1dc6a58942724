//! Services, their addresses and endpoints; volumes.

use super::bench::{Bench, expect_error, json, pod};
use aiopslab::cluster::PatchKind;
use aiopslab::cluster::environment::LABEL;

pub fn addresses_are_allocated(b: &mut Bench) {
    let made = b.create("services", json(r#"{"metadata":{"name":"a"},"spec":{"selector":{"app":"x"},"ports":[{"port":80}]}}"#));
    let spec = made.spec();
    assert!(spec.get("clusterIP").text().starts_with("10.96."), "{}", spec.to_compact());
    assert_eq!(spec.get("clusterIPs").nth(0).text(), spec.get("clusterIP").text());
    assert_eq!(
        (spec.get("type").text(), spec.get("sessionAffinity").text(), spec.get("ipFamilyPolicy").text()),
        ("ClusterIP", "None", "SingleStack")
    );
    let port = spec.get("ports").nth(0);
    assert_eq!((port.get("protocol").text(), port.get("targetPort").as_i64()), ("TCP", Some(80)));
    let none = b.create("services", json(r#"{"metadata":{"name":"b"},"spec":{"clusterIP":"None","ports":[{"port":80}]}}"#));
    assert_eq!(none.spec().get("clusterIPs").to_compact(), r#"["None"]"#);
    let taken =
        format!(r#"{{"metadata":{{"name":"c"}},"spec":{{"clusterIP":"{}","ports":[{{"port":80}}]}}}}"#, spec.get("clusterIP").text());
    let error = b.refused("services", json(&taken));
    assert_eq!(error.code, 422);
    assert!(
        error.message.contains("failed to allocate IP") && error.message.contains("provided IP is already allocated"),
        "{}",
        error.message
    );
}

pub fn node_ports_are_allocated(b: &mut Bench) {
    let made = b.create("services", json(r#"{"metadata":{"name":"a"},"spec":{"type":"NodePort","ports":[{"port":80}]}}"#));
    let port = made.spec().get("ports").nth(0).get("nodePort").as_i64().expect("a node port");
    assert!((30000..=32767).contains(&port), "{port}");
    assert_eq!(made.spec().get("externalTrafficPolicy").text(), "Cluster");
    let done = b.patch("services", "a", PatchKind::Merge, json(r#"{"spec":{"type":"ClusterIP"}}"#)).expect("changed");
    assert!(done.spec().get("ports").nth(0).get("nodePort").is_null(), "it is given back");
}

pub fn a_taken_node_port_is_refused(b: &mut Bench) {
    let made = b.create("services", json(r#"{"metadata":{"name":"a"},"spec":{"type":"NodePort","ports":[{"port":80}]}}"#));
    let port = made.spec().get("ports").nth(0).get("nodePort").as_i64().expect("a node port");
    let again = format!(r#"{{"metadata":{{"name":"b"}},"spec":{{"type":"NodePort","ports":[{{"port":80,"nodePort":{port}}}]}}}}"#);
    let error = b.try_create("services", json(&again));
    let text = format!("Service \"b\" is invalid: spec.ports[0].nodePort: Invalid value: {port}: provided port is already allocated");
    expect_error(error, 422, "Invalid", &text);
    let far = b.try_create("services", json(r#"{"metadata":{"name":"c"},"spec":{"type":"NodePort","ports":[{"port":80,"nodePort":80}]}}"#));
    let text = "Service \"c\" is invalid: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767";
    expect_error(far, 422, "Invalid", text);
}

pub fn a_cluster_ip_stays(b: &mut Bench) {
    b.create("services", json(r#"{"metadata":{"name":"a"},"spec":{"ports":[{"port":80}]}}"#));
    let error = b
        .patch("services", "a", PatchKind::Merge, json(r#"{"spec":{"clusterIP":"10.96.200.200","clusterIPs":["10.96.200.200"]}}"#))
        .expect_err("immutable");
    assert_eq!(error.code, 422);
    assert!(error.message.contains("may not change once set"), "{}", error.message);
}

fn addresses(b: &mut Bench, service: &str) -> (usize, usize) {
    let slices = b.items("endpointslices.discovery.k8s.io", &format!("kubernetes.io/service-name={service}"));
    let all: Vec<bool> = slices
        .iter()
        .flat_map(|s| s.get("endpoints").items().iter().map(|e| e.at(&["conditions", "ready"]).is_true()).collect::<Vec<_>>())
        .collect();
    (all.iter().filter(|ready| **ready).count(), all.len())
}

pub fn endpoints_follow_readiness(b: &mut Bench) {
    b.create("services", json(r#"{"metadata":{"name":"s"},"spec":{"selector":{"app":"p"},"ports":[{"port":80}]}}"#));
    let mut manifest = pod("p", "touch /tmp/ready; sleep 1000");
    let probe = json(r#"{"exec":{"command":["cat","/tmp/ready"]},"periodSeconds":1,"failureThreshold":1}"#);
    manifest.get_mut("spec").get_mut("containers").items_mut()[0].set("readinessProbe", probe);
    b.create("pods", manifest);
    b.ready("p");
    b.until("a ready endpoint", |b| (addresses(b, "s") == (1, 1)).then_some(()));
    b.exec("p", &["rm", "/tmp/ready"], "").expect("removed");
    b.until("an endpoint that is not ready", |b| (addresses(b, "s") == (0, 1)).then_some(()));
    let unhealthy = b.event("p", "Unhealthy");
    assert!(unhealthy.starts_with("Readiness probe failed: cat: can't open '/tmp/ready': No such file or directory"), "{unhealthy}");
    b.exec("p", &["touch", "/tmp/ready"], "").expect("touched");
    b.until("a ready endpoint", |b| (addresses(b, "s") == (1, 1)).then_some(()));
    b.merge("pods", "p", r#"{"metadata":{"labels":{"app":"other"}}}"#);
    b.until("no endpoint", |b| (addresses(b, "s").1 == 0).then_some(()));
}

fn volume(b: &Bench) -> String {
    format!(
        r#"{{"metadata":{{"name":"{ns}","labels":{{"{LABEL}":"{ns}"}}}},"spec":{{"capacity":{{"storage":"1Mi"}},"accessModes":["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy":"Retain","storageClassName":"{ns}","hostPath":{{"path":"/tmp/{ns}","type":"DirectoryOrCreate"}}}}}}"#,
        ns = b.ns
    )
}

fn claim(b: &Bench) -> String {
    format!(
        r#"{{"metadata":{{"name":"c"}},"spec":{{"accessModes":["ReadWriteOnce"],"storageClassName":"{}","resources":{{"requests":{{"storage":"1Mi"}}}}}}}}"#,
        b.ns
    )
}

pub fn a_volume_is_bound(b: &mut Bench) {
    let (volume, claim, ns) = (volume(b), claim(b), b.ns.clone());
    b.create("persistentvolumes", json(&volume));
    b.create("persistentvolumeclaims", json(&claim));
    let bound = b.until("the binding", |b| b.find("persistentvolumeclaims", "c").filter(|c| c.status().get("phase").text() == "Bound"));
    assert_eq!(bound.spec().get("volumeName").text(), ns);
    assert_eq!(bound.meta().get("finalizers").to_compact(), r#"["kubernetes.io/pvc-protection"]"#);
    let volume = b.get("persistentvolumes", &ns);
    assert_eq!((volume.status().get("phase").text(), volume.spec().at(&["claimRef", "name"]).text()), ("Bound", "c"));
    b.delete("persistentvolumeclaims", "c", aiopslab::cluster::Options::default()).expect("deleted");
    b.until("the release", |b| (b.get("persistentvolumes", &ns).status().get("phase").text() == "Released").then_some(()));
}

pub fn a_claim_waits_for_a_volume(b: &mut Bench) {
    let claim = claim(b);
    b.create("persistentvolumeclaims", json(&claim));
    let mut manifest = pod("p", "sleep 1000");
    manifest.set_at(&["spec", "volumes"], json(r#"[{"name":"v","persistentVolumeClaim":{"claimName":"c"}}]"#));
    b.create("pods", manifest);
    let why = b.event("p", "FailedScheduling");
    assert!(why.contains("pod has unbound immediate PersistentVolumeClaims"), "{why}");
    assert_eq!(b.get("persistentvolumeclaims", "c").status().get("phase").text(), "Pending");
    let message = b.event("c", "ProvisioningFailed");
    assert_eq!(message, format!("storageclass.storage.k8s.io \"{}\" not found", b.ns));
}
