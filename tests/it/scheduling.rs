//! Which node a pod goes to, and the scheduler's words when it goes nowhere.

use crate::cluster_fixture::Fixture;
use aiopslab::cluster::sim::store::{Key, Kind};
use aiopslab::object::{Json, Object};

fn pod(name: &str, more: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"{name}","labels":{{"app":"x"}}}},"spec":{{"containers":[{{"name":"main","image":"img/app:1"}}]{more}}}}}"#
    )
}

fn node_of(f: &Fixture, name: &str) -> String {
    f.get(Kind::POD, name).spec().get("nodeName").text().to_owned()
}

fn refusal(f: &Fixture, name: &str) -> String {
    f.get(Kind::POD, name).condition("PodScheduled").map(|c| c.get("message").text().to_owned()).unwrap_or_default()
}

fn taint(f: &mut Fixture, node: &str, taint: Option<&str>) {
    let key = Key::new(Kind::NODE, "", node);
    f.world
        .update(&key, |n| match taint {
            Some(text) => n.set_at(&["spec", "taints"], Json::from(vec![Json::parse(text).expect("JSON")])),
            None => drop(n.remove_at(&["spec", "taints"])),
        })
        .expect("there");
}

const NO_VICTIMS: &str = "No preemption victims found for incoming pod";
const NO_HELP: &str = "Preemption is not helpful for scheduling";

fn full(reasons: &str, preemption: &str) -> String {
    format!("0/2 nodes are available: {reasons}. no new claims to deallocate, preemption: 0/2 nodes are available: {preemption}.")
}

#[test]
fn pods_that_fit_nowhere_are_told_why() {
    let mut f = Fixture::new(51);
    taint(&mut f, "node-1", Some(r#"{"key":"dedicated","value":"db","effect":"NoSchedule"}"#));
    let cases = [
        (
            "big",
            r#","nodeSelector":{"disk":"ssd"}"#,
            full("1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated taint(s)", &format!("2 {NO_HELP}")),
        ),
        (
            "port",
            r#","containers":[{"name":"main","image":"img/app:1","ports":[{"containerPort":80,"hostPort":80}]}]"#,
            full(
                "1 node(s) didn't have free ports for the requested pod ports, 1 node(s) had untolerated taint(s)",
                &format!("1 {NO_VICTIMS}, 1 {NO_HELP}"),
            ),
        ),
        (
            "cpu",
            r#","containers":[{"name":"main","image":"img/app:1","resources":{"requests":{"cpu":"1900m"}}}]"#,
            full("1 Insufficient cpu, 1 node(s) had untolerated taint(s)", &format!("1 {NO_VICTIMS}, 1 {NO_HELP}")),
        ),
        (
            "apart",
            r#","affinity":{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"labelSelector":{"matchLabels":{"app":"x"}},"topologyKey":"kubernetes.io/hostname"}]}}"#,
            full(
                "1 node(s) didn't match pod anti-affinity rules, 1 node(s) had untolerated taint(s)",
                &format!("1 {NO_VICTIMS}, 1 {NO_HELP}"),
            ),
        ),
        (
            "near",
            r#","affinity":{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"labelSelector":{"matchLabels":{"app":"nobody"}},"topologyKey":"kubernetes.io/hostname"}]}}"#,
            full("1 node(s) didn't match pod affinity rules, 1 node(s) had untolerated taint(s)", &format!("2 {NO_HELP}")),
        ),
    ];
    let first = r#","containers":[{"name":"main","image":"img/app:1","ports":[{"containerPort":80,"hostPort":80}],"resources":{"requests":{"cpu":"300m"}}}]"#;
    f.create(Kind::POD, &pod("first", "").replace(r#""containers":[{"name":"main","image":"img/app:1"}]"#, &first[1..]));
    f.run(3.0);
    assert_eq!(node_of(&f, "first"), "node-2");
    for (name, more, expect) in cases {
        let text = match more.strip_prefix(r#","containers""#) {
            Some(rest) => pod(name, "").replace(r#""containers":[{"name":"main","image":"img/app:1"}]"#, &format!(r#""containers"{rest}"#)),
            None => pod(name, more),
        };
        f.create(Kind::POD, &text);
        f.run(1.0);
        assert_eq!(refusal(&f, name), expect, "{name}");
    }
}

#[test]
fn cordoned_nodes_take_no_pods_and_waiting_pods_react() {
    let mut f = Fixture::new(52);
    for node in ["node-1", "node-2"] {
        f.world.update(&Key::new(Kind::NODE, "", node), |n| n.set_at(&["spec", "unschedulable"], true)).expect("there");
    }
    f.run(1.0);
    f.create(Kind::POD, &pod("p", ""));
    f.run(1.0);
    assert_eq!(refusal(&f, "p"), full("2 node(s) were unschedulable", &format!("2 {NO_HELP}")));
    assert_eq!(f.get(Kind::NODE, "node-1").spec().get("taints").nth(0).get("key").text(), "node.kubernetes.io/unschedulable");
    f.run(20.0);
    f.world.update(&Key::new(Kind::NODE, "", "node-2"), |n| drop(n.remove_at(&["spec", "unschedulable"]))).expect("there");
    f.run(1.0);
    assert_eq!(node_of(&f, "p"), "node-2");
    let lines = f.event_lines();
    assert!(
        lines.iter().any(|l| l.starts_with("pod/p Warning FailedScheduling x1 0/2 nodes are available: 2 node(s) were unschedulable.")),
        "{lines:?}"
    );
}

#[test]
fn replicas_spread_over_nodes() {
    let mut f = Fixture::new(53);
    let text = crate::cluster_fixture::deployment("web", "img/app:1", "").replace(r#""replicas":1"#, r#""replicas":4"#);
    f.create(Kind::DEPLOYMENT, &text);
    f.run(5.0);
    let on = |node: &str| f.pods().iter().filter(|p: &&Object| p.spec().get("nodeName").text() == node).count();
    assert_eq!((on("node-1"), on("node-2")), (2, 2));
}

#[test]
fn hard_constraints_and_local_volumes_bind_pods_to_nodes() {
    let mut f = Fixture::new(54);
    let spread = r#","topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchLabels":{"app":"x"}}}]"#;
    f.create(Kind::POD, &pod("p", spread));
    f.run(1.0);
    let missing = "2 node(s) didn't match pod topology spread constraints (missing required label)";
    assert_eq!(refusal(&f, "p"), full(missing, &format!("2 {NO_HELP}")));
    let volume = r#"{"metadata":{"name":"v"},"spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],"storageClassName":"late","volumeMode":"Filesystem",
        "persistentVolumeReclaimPolicy":"Retain","local":{"path":"/data"},"nodeAffinity":{"required":{"nodeSelectorTerms":[{"matchExpressions":
        [{"key":"kubernetes.io/hostname","operator":"In","values":["node-2"]}]}]}}}}"#;
    let class = r#"{"metadata":{"name":"late"},"provisioner":"kubernetes.io/no-provisioner","volumeBindingMode":"WaitForFirstConsumer","reclaimPolicy":"Retain"}"#;
    let claim = r#"{"metadata":{"name":"c"},"spec":{"accessModes":["ReadWriteOnce"],"storageClassName":"late","resources":{"requests":{"storage":"1Gi"}}}}"#;
    f.create(Kind::STORAGE_CLASS, class);
    f.create(Kind::PV, volume);
    f.create(Kind::PVC, claim);
    f.run(5.0);
    assert_eq!(f.get(Kind::PVC, "c").status().get("phase").text(), "Pending");
    assert!(
        f.event_lines()
            .iter()
            .any(|l| l.contains("WaitForFirstConsumer") && l.ends_with("waiting for first consumer to be created before binding"))
    );
    let mount = r#","volumes":[{"name":"d","persistentVolumeClaim":{"claimName":"c"}}]"#;
    f.create(
        Kind::POD,
        &pod("db", mount).replace(r#""image":"img/app:1""#, r#""image":"img/app:1","volumeMounts":[{"name":"d","mountPath":"/d"}]"#),
    );
    f.run(5.0);
    assert_eq!(node_of(&f, "db"), "node-2");
    assert_eq!(f.get(Kind::PVC, "c").status().get("phase").text(), "Bound");
    assert_eq!(f.get(Kind::POD, "db").status().get("phase").text(), "Running");
}
