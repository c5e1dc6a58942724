//! Pods on nodes, as timelines: a manifest is applied, time passes, status and events are those of a real kubelet.

use crate::cluster_fixture::{Fixture, deployment};
use aiopslab::cluster::sim::kubelet;
use aiopslab::cluster::sim::store::Kind;

#[test]
fn a_deployment_runs() {
    let mut f = Fixture::new(1);
    f.create(Kind::DEPLOYMENT, &deployment("geo", "img/app:1", ""));
    f.run(3.0);
    let pods = f.pods();
    assert_eq!(pods.len(), 1);
    let pod = &pods[0];
    assert_eq!(pod.status().get("phase").text(), "Running", "{pod:?}");
    assert!(pod.name().starts_with("geo-") && pod.name().len() >= "geo-12345678-12345".len(), "{}", pod.name());
    let deployment = f.get(Kind::DEPLOYMENT, "geo");
    assert_eq!(deployment.status().get("availableReplicas").as_i64(), Some(1));
    assert_eq!(
        f.event_lines(),
        [
            "deployment/geo Normal ScalingReplicaSet x1 Scaled up replica set geo-RS from 0 to 1",
            "pod/geo-POD Normal Created x1 Created container: main",
            "pod/geo-POD Normal Pulled x1 Container image \"img/app:1\" already present on machine",
            "pod/geo-POD Normal Scheduled x1 Successfully assigned app/geo-POD to node-1",
            "pod/geo-POD Normal Started x1 Started container main",
            "replicaset/geo-RS Normal SuccessfulCreate x1 Created pod: geo-POD",
        ]
    );
    let revision = f.world.store.revision();
    f.run(3600.0);
    assert_eq!(f.world.store.revision(), revision, "a settled cluster writes nothing");
    assert!(f.world.queue.next_time().is_none(), "a settled cluster has nothing to do: {:?}", f.world.queue.iter().collect::<Vec<_>>());
}

#[test]
fn start_and_stop_take_the_time_they_take_on_a_real_cluster() {
    let (mut starts, mut deaths, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for seed in 0..60 {
        let mut f = Fixture::new(seed);
        f.create(Kind::DEPLOYMENT, &deployment("geo", "img/app:1", ""));
        let start = f.now();
        f.run_until(|f| f.pods().iter().any(|p| p.status().get("phase").text() == "Running"));
        starts.push((f.now() - start).as_secs_f64());
        f.run(5.0);
        let name = f.pods()[0].name().to_owned();
        let start = f.now();
        f.delete(Kind::POD, &name);
        let dead = |f: &Fixture| !f.get(Kind::POD, &name).status().get("containerStatuses").nth(0).at(&["state", "terminated"]).is_null();
        f.run_until(dead);
        deaths.push((f.now() - start).as_secs_f64());
        f.run_until(|f| f.find(Kind::POD, &name).is_none());
        ends.push((f.now() - start).as_secs_f64());
    }
    let quantiles = |mut v: Vec<f64>| {
        v.sort_by(f64::total_cmp);
        (v[0], v[v.len() / 2], v[v.len() * 9 / 10])
    };
    let within = |what: &str, got: (f64, f64, f64), min: (f64, f64), p50: (f64, f64), p90: (f64, f64)| {
        let inside = |x: f64, (low, high): (f64, f64)| low <= x && x <= high;
        assert!(inside(got.0, min) && inside(got.1, p50) && inside(got.2, p90), "{what}: {got:?}");
    };
    within("created to Running", quantiles(starts), (0.4, 0.75), (0.9, 1.3), (1.3, 2.0));
    within("delete to dead", quantiles(deaths), (0.08, 0.25), (0.18, 0.32), (0.25, 0.5));
    within("delete to gone", quantiles(ends), (0.4, 0.65), (0.75, 1.05), (1.0, 1.25));
}

#[test]
fn a_crashing_container_is_restarted_ever_more_slowly() {
    let mut f = Fixture::new(3);
    f.create(Kind::DEPLOYMENT, &deployment("crash", "img/app:1", ""));
    let created = f.now();
    let mut seen = Vec::new();
    let mut last = String::new();
    while f.now() - created < std::time::Duration::from_secs(700) {
        f.step();
        if let Some(run) = f.running_run("crash") {
            kubelet::exited(&mut f.world, run, 1);
        }
        let Some(pod) = f.pods().into_iter().next() else { continue };
        let status = pod.status().get("containerStatuses").nth(0).clone();
        let state = status
            .at(&["state", "waiting", "reason"])
            .as_str()
            .or(status.at(&["state", "terminated", "reason"]).as_str())
            .unwrap_or("Running")
            .to_owned();
        let line = format!("{state} {}", status.get("restartCount").as_i64().unwrap_or(0));
        if line != last {
            seen.push(((f.now() - created).as_secs(), line.clone()));
            last = line;
        }
    }
    let restarts: Vec<u64> = (1..=6).map(|n| seen.iter().find(|(_, l)| l.ends_with(&format!(" {n}"))).map_or(0, |(t, _)| *t)).collect();
    let expect = [2, 15, 43, 85, 178, 354];
    for (got, want) in restarts.iter().zip(expect) {
        assert!(got.abs_diff(want) <= 4 + want / 8, "restarts at {restarts:?}, on a real cluster at {expect:?}: {seen:?}");
    }
    assert!(seen.iter().any(|(_, l)| l == "Error 1") && seen.iter().any(|(_, l)| l == "CrashLoopBackOff 1"), "{seen:?}");
}

#[test]
fn a_replaced_pod_of_a_deployment_goes_when_the_new_one_runs() {
    let mut f = Fixture::new(5);
    f.create(Kind::DEPLOYMENT, &deployment("geo", "img/app:1", ""));
    f.run(5.0);
    f.update(Kind::DEPLOYMENT, "geo", |d| {
        d.get_mut("spec").get_mut("template").get_mut("spec").get_mut("containers").items_mut()[0].set("image", "img/app:2")
    });
    f.run(0.5);
    assert_eq!(f.pods().len(), 2);
    f.run(4.5);
    let pods = f.pods();
    assert_eq!(pods.len(), 1, "{:?}", f.event_lines());
    assert_eq!(pods[0].spec().get("containers").nth(0).get("image").text(), "img/app:2");
    let deployment = f.get(Kind::DEPLOYMENT, "geo");
    assert_eq!(deployment.annotation("deployment.kubernetes.io/revision"), Some("2"));
    let progressing = deployment.condition("Progressing").expect("there");
    assert_eq!(progressing.get("reason").text(), "NewReplicaSetAvailable");
    assert_eq!(f.world.store.list(Kind::REPLICA_SET, Some("app")).count(), 2);
}
