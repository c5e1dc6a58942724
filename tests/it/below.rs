//! Faults below the API on the simulated cluster: they take effect, are proved, show to users, are relieved, and live with the world.

use crate::hotel_fixture::{Hotel, NS};
use aiopslab::cluster::sim::store::{Key, Kind};
use aiopslab::cluster::{Cluster, DisturbError, Disturbance, ProbeRequest};
use aiopslab::fault::{Fault, FaultError, Undo};
use aiopslab::workload::Arrivals;
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    fault: Fault,
}

fn fault(text: &str) -> Fault {
    toml::from_str::<File>(&format!("[fault]\n{text}")).expect("a fault").fault
}

fn loaded(seed: u64) -> Hotel {
    let mut hotel = Hotel::deployed(seed);
    hotel.drive(10.0, Arrivals::Poisson);
    hotel.run(60.0);
    hotel
}

fn inject(hotel: &mut Hotel, fault: &Fault) -> Undo {
    fault.inject(&mut hotel.cluster, NS).unwrap_or_else(|e| panic!("{fault:?}: {e}"))
}

fn proved(hotel: &mut Hotel, fault: &Fault) -> Result<(), FaultError> {
    fault.prove(&mut hotel.cluster, NS)
}

/// The share of 20 requests that fail.
fn failing(hotel: &mut Hotel, endpoint: &str) -> f64 {
    let request = |index| ProbeRequest { namespace: NS.into(), endpoint: endpoint.into(), index };
    let replies = hotel.cluster.probe(&(0..20).map(request).collect::<Vec<_>>());
    replies.iter().filter(|reply| reply.status != 200).count() as f64 / 20.0
}

/// Whether users notice within so many seconds, looking ten times a second.
fn shows_within(hotel: &mut Hotel, endpoint: &str, seconds: u32) -> bool {
    for _ in 0..seconds * 10 {
        if failing(hotel, endpoint) > 0.5 {
            return true;
        }
        hotel.run(0.1);
    }
    false
}

fn heals_within(hotel: &mut Hotel, endpoint: &str, seconds: u32) -> bool {
    (0..seconds).any(|_| {
        hotel.run(1.0);
        failing(hotel, endpoint) == 0.0
    })
}

#[test]
fn each_takes_effect_is_proved_shows_and_ends() {
    let check = |text: &str, endpoint: &str, commands: &[&str]| {
        let fault = fault(text);
        let mut hotel = loaded(7);
        assert!(proved(&mut hotel, &fault).is_err(), "{text}: proved before");
        let healthy = hotel.clone();
        let undo = inject(&mut hotel, &fault);
        assert_ne!(hotel.cluster.state_hash(), healthy.cluster.state_hash(), "{text}");
        let words = undo.commands(NS).iter().map(|c| c.split(' ').take(3).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
        assert_eq!(words, commands, "{text}");
        assert!(shows_within(&mut hotel, endpoint, 120), "{text}: nobody notices");
        let deadline = (0..10).any(|_| {
            let proof = proved(&mut hotel, &fault);
            hotel.run(1.0);
            proof.is_ok()
        });
        assert!(deadline, "{text}: {:?}", proved(&mut hotel, &fault));
        undo.apply(&mut hotel.cluster, NS).expect("undone");
        undo.apply(&mut hotel.cluster, NS).expect("undone twice");
        assert!(heals_within(&mut hotel, endpoint, 240), "{text}: it does not heal");
        assert!(failing(&mut healthy.clone(), endpoint) == 0.0);
    };
    let replaced = ["kubectl delete pod", "kubectl rollout status"];
    check(r#"pod-kill = { deployment = "geo" }"#, "GET /hotels", &["kubectl rollout status"]);
    check(r#"container-kill = { deployment = "geo" }"#, "GET /hotels", &["kubectl rollout status"]);
    check(r#"network-loss = { deployment = "user", share = 0.99 }"#, "POST /user", &replaced);
    check(r#"network-partition = { deployment = "user" }"#, "POST /user", &replaced);
    check(r#"network-partition = { deployment = "user", from = "frontend" }"#, "POST /user", &replaced);
}

#[test]
fn a_partition_is_between_two_and_ends_with_the_pod() {
    let mut hotel = loaded(8);
    let cut = fault(r#"network-partition = { deployment = "user", from = "frontend" }"#);
    let undo = inject(&mut hotel, &cut);
    hotel.run(5.0);
    assert_eq!((failing(&mut hotel, "POST /user"), failing(&mut hotel, "GET /hotels")), (1.0, 0.0));
    let [name] = &undo.disturbances[..] else { panic!("{undo:?}") };
    let mut fork = hotel.cluster.fork().expect("simulated");
    assert!(fork.is_disturbed(name).expect("told"), "a fork keeps it");
    let pod = hotel.pod("user").expect("a pod").name().to_owned();
    hotel.delete(Kind::POD, &pod);
    hotel.run(40.0);
    assert!(failing(&mut hotel, "POST /user") > 0.0, "the caller still sends packets to the old address");
    let caller = hotel.pod("frontend").expect("a pod").name().to_owned();
    hotel.delete(Kind::POD, &caller);
    assert!(undo.commands(NS)[0].contains(&format!("{pod} {caller} ")), "{:?}", undo.commands(NS));
    assert!(heals_within(&mut hotel, "POST /user", 60));
    assert!(!hotel.cluster.is_disturbed(name).expect("told"), "it went with the pod");
    assert!(fork.is_disturbed(name).expect("told"), "the fork's pod is there");
    hotel.cluster.relieve(name).expect("nothing left");
}

#[test]
fn a_killed_container_restarts_with_its_exit_code_and_back_off() {
    let mut hotel = loaded(9);
    let kill = fault(r#"container-kill = { deployment = "geo" }"#);
    for restarts in 1..=3 {
        inject(&mut hotel, &kill);
        hotel.run(90.0);
        let pod = hotel.pod("geo").expect("a pod");
        let status = &pod.at(&["status", "containerStatuses"]).items()[0];
        assert_eq!(status.get("restartCount").as_i64(), Some(restarts));
        let last = status.at(&["lastState", "terminated"]);
        assert_eq!((last.get("exitCode").as_i64(), last.get("reason").text()), (Some(137), "Error"));
    }
    inject(&mut hotel, &kill);
    hotel.run(25.0);
    let pod = hotel.pod("geo").expect("a pod");
    assert_eq!(pod.at(&["status", "containerStatuses"]).items()[0].at(&["state", "waiting", "reason"]).text(), "CrashLoopBackOff");
    let dead = kill.inject(&mut hotel.cluster, NS).expect_err("it does not run");
    assert!(matches!(dead, FaultError::Disturb(DisturbError::NoTarget { .. })), "{dead}");
}

#[test]
fn a_stopped_node_falls_silent_and_loses_its_pods() {
    let mut hotel = loaded(10);
    let stop = fault(r#"node-stop = { deployment = "frontend" }"#);
    let node = hotel.pod("frontend").expect("a pod").spec().get("nodeName").text().to_owned();
    let undo = inject(&mut hotel, &stop);
    let ready = |hotel: &Hotel| {
        let node = hotel.world().object(&Key::new(Kind::NODE, "", node.as_str())).expect("a node");
        node.condition("Ready").map(|c| c.get("status").text().to_owned()).unwrap_or_default()
    };
    hotel.run(30.0);
    assert_eq!(ready(&hotel), "True");
    assert!(proved(&mut hotel, &stop).is_err(), "nobody has noticed yet");
    assert!(shows_within(&mut hotel, "GET /hotels", 30));
    assert_eq!(ready(&hotel), "Unknown");
    proved(&mut hotel, &stop).expect("proved");
    // A pod deleted meanwhile stays as it is: no kubelet ends it.
    let mut relieved = hotel.clone();
    hotel.run(320.0);
    let pod = hotel.pod("frontend").expect("a pod");
    assert_ne!(pod.spec().get("nodeName").text(), node, "evicted after 300 s");
    let tainted = hotel.world().object(&Key::new(Kind::NODE, "", node.as_str())).expect("a node").spec().get("taints").items().len();
    assert_eq!(tainted, 2);
    undo.apply(&mut relieved.cluster, NS).expect("relieved");
    assert!(heals_within(&mut relieved, "GET /hotels", 60));
    assert_eq!(ready(&relieved), "True");
}

#[test]
fn a_node_is_back_when_the_last_one_is_relieved_and_targets_must_exist() {
    let mut hotel = loaded(11);
    let stop = Disturbance::NodeStop { node: "node-2".into() };
    for name in ["one", "two", "two"] {
        hotel.cluster.disturb(name, &stop).expect("stopped");
    }
    hotel.cluster.relieve("one").expect("relieved");
    hotel.run(70.0);
    let ready = |hotel: &Hotel| {
        let node = hotel.world().object(&Key::new(Kind::NODE, "", "node-2")).expect("a node");
        node.condition("Ready").map(|c| c.get("status").text().to_owned()).unwrap_or_default()
    };
    assert_eq!(ready(&hotel), "Unknown");
    hotel.cluster.relieve("two").expect("relieved");
    hotel.cluster.relieve("three").expect("never begun");
    hotel.run(5.0);
    assert_eq!(ready(&hotel), "True");
    let before = hotel.cluster.state_hash();
    for what in [
        Disturbance::NodeStop { node: "node-9".into() },
        Disturbance::NetworkLoss { namespace: NS.into(), pod: "nobody".into(), share: 0.5 },
        Disturbance::NetworkPartition { namespace: NS.into(), pod: "nobody".into(), from: None },
        Disturbance::ContainerKill { namespace: NS.into(), pod: "nobody".into(), container: "c".into(), again_after: None },
    ] {
        let error = hotel.cluster.disturb("x", &what).expect_err("no target");
        assert!(matches!(error, DisturbError::NoTarget { .. }), "{error}");
    }
    assert_eq!(hotel.cluster.state_hash(), before);
}
