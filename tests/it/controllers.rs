//! Controllers, as timelines: Services, namespaces, nodes, and the other kinds of workloads.

use crate::cluster_fixture::{Fixture, deployment};
use aiopslab::cluster::sim::kubelet;
use aiopslab::cluster::sim::store::{Key, Kind};
use aiopslab::object::Object;

const SERVICE: &str = r#"{"metadata":{"name":"geo","labels":{"app":"geo"}},"spec":{"selector":{"app":"geo"},"clusterIP":"10.96.0.7",
    "ports":[{"name":"grpc","port":8083,"targetPort":8083,"protocol":"TCP"}]}}"#;

fn ready_addresses(f: &Fixture) -> Vec<String> {
    let slices = f.world.store.list(Kind::ENDPOINT_SLICE, Some("app"));
    let endpoints = slices.flat_map(|s| s.get("endpoints").items());
    endpoints.filter(|e| e.at(&["conditions", "ready"]).is_true()).map(|e| e.get("addresses").nth(0).text().to_owned()).collect()
}

#[test]
fn endpoints_follow_pods() {
    let mut f = Fixture::new(1);
    f.create(Kind::SERVICE, SERVICE);
    f.create(Kind::DEPLOYMENT, &deployment("geo", "img/app:1", ""));
    f.run(5.0);
    let pod = &f.pods()[0];
    let ip = pod.status().get("podIP").text().to_owned();
    assert_eq!(ready_addresses(&f), [ip.as_str()]);
    let slice = f.world.store.list(Kind::ENDPOINT_SLICE, Some("app")).next().expect("one").clone();
    assert!(slice.name().starts_with("geo-") && slice.name().len() == 9);
    assert_eq!(slice.label("kubernetes.io/service-name"), Some("geo"));
    assert_eq!(slice.get("ports").nth(0).get("port").as_i64(), Some(8083));
    assert_eq!(slice.get("endpoints").nth(0).at(&["targetRef", "name"]).text(), pod.name());
    let endpoints = f.get(Kind::ENDPOINTS, "geo");
    assert_eq!(endpoints.get("subsets").nth(0).get("addresses").nth(0).get("ip").text(), ip);
    assert_eq!(endpoints.label("endpoints.kubernetes.io/managed-by"), Some("endpoint-controller"));
    let name = pod.name().to_owned();
    f.delete(Kind::POD, &name);
    f.run(0.1);
    assert!(ready_addresses(&f).is_empty());
    f.run(4.0);
    assert_eq!(ready_addresses(&f).len(), 1);
    f.update(Kind::DEPLOYMENT, "geo", |d| d.set_at(&["spec", "replicas"], 0));
    f.run(4.0);
    let left = f.world.store.list(Kind::ENDPOINT_SLICE, Some("app")).next().expect("kept").clone();
    assert_eq!((left.name(), left.get("endpoints").is_null()), (slice.name(), true));
    assert!(f.get(Kind::ENDPOINTS, "geo").get("subsets").is_null());
    f.delete(Kind::SERVICE, "geo");
    f.run(1.0);
    assert!(f.find(Kind::ENDPOINTS, "geo").is_none() && f.world.store.list(Kind::ENDPOINT_SLICE, Some("app")).next().is_none());
}

#[test]
fn dependents_of_a_deleted_deployment_go() {
    let mut f = Fixture::new(2);
    f.create(Kind::DEPLOYMENT, &deployment("geo", "img/app:1", ""));
    f.run(5.0);
    f.delete(Kind::DEPLOYMENT, "geo");
    f.run(0.1);
    assert!(f.world.store.list(Kind::REPLICA_SET, Some("app")).next().is_none());
    assert!(f.pods().iter().all(Object::is_terminating));
    f.run(3.0);
    assert!(f.pods().is_empty());
}

#[test]
fn a_namespace_empties_itself_in_rounds() {
    let mut f = Fixture::new(3);
    f.create(Kind::SERVICE, SERVICE);
    f.create(Kind::DEPLOYMENT, &deployment("geo", "img/app:1", ""));
    f.run(5.0);
    assert!(f.find(Kind::SERVICE_ACCOUNT, "default").is_some() && f.find(Kind::CONFIG_MAP, "kube-root-ca.crt").is_some());
    let start = f.now();
    f.delete(Kind::NAMESPACE, "app");
    f.run(4.8);
    assert!(f.pods().iter().all(|p| !p.is_terminating()), "the controller waits five seconds");
    f.run(0.3);
    assert!(f.pods().iter().all(Object::is_terminating) && !f.pods().is_empty());
    f.run_until(|f| f.find(Kind::NAMESPACE, "app").is_none());
    let took = (f.now() - start).as_secs_f64();
    assert!((10.0..18.0).contains(&took), "{took}");
    assert!(f.world.store.iter().all(|(key, _)| key.namespace != "app"));
    f.run(3600.0);
    assert!(f.world.queue.next_time().is_none(), "{:?}", f.world.queue.iter().collect::<Vec<_>>());
}

#[test]
fn a_silent_kubelet_makes_its_node_not_ready() {
    let mut f = Fixture::new(4);
    f.create(Kind::SERVICE, SERVICE);
    f.create(Kind::DEPLOYMENT, &deployment("geo", "img/app:1", ""));
    f.run(5.0);
    let pod = f.pods()[0].clone();
    let node = pod.spec().get("nodeName").text().to_owned();
    let ready = |f: &Fixture| f.get(Kind::NODE, &node).condition("Ready").map(|c| c.get("status").text().to_owned());
    let start = f.now();
    kubelet::stop_node(&mut f.world, &node);
    f.run_until(|f| ready(f).as_deref() == Some("Unknown"));
    let after = (f.now() - start).as_secs_f64();
    assert!((40.0..56.0).contains(&after), "{after}");
    f.run(1.0);
    assert!(ready_addresses(&f).is_empty());
    let status = f.get(Kind::POD, pod.name());
    assert!(!status.status().get("containerStatuses").nth(0).at(&["state", "running"]).is_null(), "containers are not touched");
    let taints: Vec<String> =
        f.get(Kind::NODE, &node).spec().get("taints").items().iter().map(|t| t.get("effect").text().to_owned()).collect();
    assert_eq!(taints, ["NoSchedule", "NoExecute"]);
    let lines = f.event_lines();
    assert!(lines.iter().any(|l| l == "pod/geo-POD Warning NodeNotReady x1 Node is not ready"), "{lines:#?}");
    kubelet::start_node(&mut f.world, &node);
    f.run(5.0);
    assert_eq!(ready(&f).as_deref(), Some("True"));
    assert_eq!(ready_addresses(&f).len(), 1);
    assert!(f.get(Kind::NODE, &node).spec().get("taints").is_empty());
    f.run(600.0);
    assert_eq!(f.pods()[0].name(), pod.name(), "not evicted");
    kubelet::stop_node(&mut f.world, &node);
    f.run(300.0);
    assert_eq!(f.pods().len(), 1);
    f.run(70.0);
    let old = f.get(Kind::POD, pod.name());
    assert!(old.is_terminating() && old.condition("DisruptionTarget").is_some(), "{old:?}");
    assert_eq!(f.pods().len(), 2, "the replacement runs elsewhere while the old one cannot be stopped");
}

#[test]
fn stateful_sets_start_and_stop_in_order() {
    let mut f = Fixture::new(5);
    let set = r#"{"metadata":{"name":"db"},"spec":{"replicas":2,"serviceName":"db","selector":{"matchLabels":{"app":"db"}},
        "updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"partition":0}},"podManagementPolicy":"OrderedReady",
        "template":{"metadata":{"labels":{"app":"db"}},"spec":{"restartPolicy":"Always","terminationGracePeriodSeconds":30,
        "containers":[{"name":"main","image":"img/app:1","imagePullPolicy":"IfNotPresent","resources":{}}]}}}}"#;
    f.create(Kind::STATEFUL_SET, set);
    f.run(0.5);
    assert_eq!(f.pods().len(), 1);
    f.run(8.0);
    let names: Vec<String> = f.pods().iter().map(|p| p.name().to_owned()).collect();
    assert_eq!(names, ["db-0", "db-1"]);
    assert_eq!(f.pods()[1].label("apps.kubernetes.io/pod-index"), Some("1"));
    let status = f.get(Kind::STATEFUL_SET, "db").status().clone();
    assert_eq!((status.get("readyReplicas").as_i64(), status.get("currentReplicas").as_i64()), (Some(2), Some(2)), "{status:?}");
    f.update(Kind::STATEFUL_SET, "db", |s| {
        s.get_mut("spec").get_mut("template").get_mut("spec").get_mut("containers").items_mut()[0].set("image", "img/app:2");
    });
    f.run(15.0);
    assert!(f.pods().iter().all(|p| p.spec().get("containers").nth(0).get("image").text() == "img/app:2"), "{:?}", f.event_lines());
    let status = f.get(Kind::STATEFUL_SET, "db").status().clone();
    assert_eq!(status.get("currentRevision"), status.get("updateRevision"));
    f.update(Kind::STATEFUL_SET, "db", |s| s.set_at(&["spec", "replicas"], 0));
    f.run(10.0);
    assert!(f.pods().is_empty());
    assert!(f.event_lines().iter().any(|l| l.contains("delete Pod db-0 in StatefulSet db successful")));
    f.run(3600.0);
    assert!(f.world.queue.next_time().is_none());
}

#[test]
fn daemon_sets_put_a_pod_on_every_node() {
    let mut f = Fixture::new(6);
    let set = r#"{"metadata":{"name":"agent","annotations":{"deprecated.daemonset.template.generation":"1"}},"spec":{"selector":{"matchLabels":{"app":"agent"}},
        "updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":1,"maxSurge":0}},
        "template":{"metadata":{"labels":{"app":"agent"}},"spec":{"restartPolicy":"Always","terminationGracePeriodSeconds":30,
        "containers":[{"name":"main","image":"img/app:1","imagePullPolicy":"IfNotPresent","resources":{}}]}}}}"#;
    f.create(Kind::DAEMON_SET, set);
    f.run(4.0);
    let mut nodes: Vec<String> = f.pods().iter().map(|p| p.spec().get("nodeName").text().to_owned()).collect();
    nodes.sort();
    assert_eq!(nodes, ["node-1", "node-2"]);
    let status = f.get(Kind::DAEMON_SET, "agent").status().clone();
    assert_eq!((status.get("numberReady").as_i64(), status.get("updatedNumberScheduled").as_i64()), (Some(2), Some(2)), "{status:?}");
    f.update(Kind::DAEMON_SET, "agent", |s| {
        s.get_mut("spec").get_mut("template").get_mut("spec").get_mut("containers").items_mut()[0].set("image", "img/app:2");
    });
    f.run(12.0);
    assert!(f.pods().iter().all(|p| p.spec().get("containers").nth(0).get("image").text() == "img/app:2"));
    f.run(3600.0);
    assert!(f.world.queue.next_time().is_none());
}

#[test]
fn jobs_count_their_pods() {
    let job = |name: &str, limit: i64| {
        format!(
            r#"{{"metadata":{{"name":"{name}"}},"spec":{{"parallelism":1,"completions":1,"backoffLimit":{limit},"template":{{
            "metadata":{{"labels":{{"job-name":"{name}"}}}},"spec":{{"restartPolicy":"Never","terminationGracePeriodSeconds":30,
            "containers":[{{"name":"main","image":"img/app:1","imagePullPolicy":"IfNotPresent","resources":{{}}}}]}}}}}}}}"#
        )
    };
    for (code, limit, end) in [(0, 6, "Complete"), (1, 1, "Failed")] {
        let mut f = Fixture::new(7);
        f.create(Kind::JOB, &job("migrate", limit));
        for _ in 0..60 {
            f.run(1.0);
            let pods: Vec<Object> = f.pods();
            for pod in pods {
                if let Some(run) = kubelet::run_of(&f.world, "app", pod.name(), "main") {
                    kubelet::exited(&mut f.world, run, code);
                }
            }
        }
        let found = f.get(Kind::JOB, "migrate");
        assert_eq!(found.condition(end).map(|c| c.get("status").text()), Some("True"), "{:?}", found.status());
        let count = found.status().get(if code == 0 { "succeeded" } else { "failed" }).as_i64();
        assert_eq!(count, Some(if code == 0 { 1 } else { 2 }));
        assert_eq!(f.pods()[0].status().get("phase").text(), if code == 0 { "Succeeded" } else { "Failed" });
    }
}

#[test]
fn volumes_bind_to_claims_and_are_released() {
    let mut f = Fixture::new(8);
    let volume = r#"{"metadata":{"name":"geo-pv"},"spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],"storageClassName":"geo-storage",
        "persistentVolumeReclaimPolicy":"Retain","hostPath":{"path":"/data/volumes/geo-pv"},"volumeMode":"Filesystem"}}"#;
    let claim = r#"{"metadata":{"name":"geo-pvc"},"spec":{"accessModes":["ReadWriteOnce"],"storageClassName":"geo-storage",
        "resources":{"requests":{"storage":"1Gi"}},"volumeMode":"Filesystem"}}"#;
    let phase = |f: &Fixture, kind: Kind, name: &str| f.get(kind, name).status().get("phase").text().to_owned();
    f.create(Kind::PV, volume);
    f.create(Kind::PVC, claim);
    f.run(16.0);
    assert_eq!((phase(&f, Kind::PV, "geo-pv"), phase(&f, Kind::PVC, "geo-pvc")), ("Bound".into(), "Bound".into()));
    f.delete(Kind::PVC, "geo-pvc");
    f.run(1.0);
    assert!(f.find(Kind::PVC, "geo-pvc").is_none());
    assert_eq!(phase(&f, Kind::PV, "geo-pv"), "Released");
    f.create(Kind::PVC, claim);
    let mut pod = deployment("mongo", "img/app:1", r#","volumeMounts":[{"name":"d","mountPath":"/data/db"}]"#);
    pod = pod.replace(
        r#""restartPolicy":"Always","#,
        r#""restartPolicy":"Always","volumes":[{"name":"d","persistentVolumeClaim":{"claimName":"geo-pvc"}}],"#,
    );
    f.create(Kind::DEPLOYMENT, &pod);
    f.run(107.0);
    assert_eq!(phase(&f, Kind::PVC, "geo-pvc"), "Pending");
    let lines = f.event_lines();
    let text =
        "pod/mongo-POD Warning FailedScheduling x1 0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found";
    assert!(lines.iter().any(|l| l == text), "{lines:#?}");
    let failures = lines.iter().find(|l| l.contains("ProvisioningFailed")).expect("reported");
    assert!(failures.contains("storageclass.storage.k8s.io \"geo-storage\" not found"), "{failures}");
    let count: i64 = failures.split(" x").nth(1).and_then(|t| t.split(' ').next()?.parse().ok()).expect("a count");
    assert!((7..=10).contains(&count), "{failures}");
    f.world.update(&Key::new(Kind::PV, "", "geo-pv"), |v| drop(v.remove_at(&["spec", "claimRef"]))).expect("there");
    f.run(16.0);
    assert_eq!((phase(&f, Kind::PV, "geo-pv"), phase(&f, Kind::PVC, "geo-pvc")), ("Bound".into(), "Bound".into()));
    f.run(3.0);
    assert_eq!(f.pods()[0].status().get("phase").text(), "Running");
    f.run(3600.0);
    assert!(f.world.queue.next_time().is_none());
}
