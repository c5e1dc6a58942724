//! Single features of pods, as timelines: probes, hooks, init containers, restart policies, deadlines, changes in place.

use crate::cluster_fixture::Fixture;
use aiopslab::cluster::Identity;
use aiopslab::cluster::sim::kubelet;
use aiopslab::cluster::sim::store::{Key, Kind};
use aiopslab::object::{Json, Object};

/// A pod's manifest; `containers` and `more` are JSON.
fn pod(name: &str, containers: &str, more: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"{name}","labels":{{"app":"{name}"}}}},"spec":{{"terminationGracePeriodSeconds":30,"containers":[{containers}]{more}}}}}"#
    )
}

fn container(name: &str, command: &str, more: &str) -> String {
    format!(r#"{{"name":"{name}","image":"fidelity/worker:1.0","command":["/{command}"]{more}}}"#)
}

fn status(f: &Fixture, name: &str) -> Object {
    f.get(Kind::POD, name)
}

fn container_state(pod: &Object, list: &str, name: &str) -> String {
    let status = pod.status().get(list).find("name", name).cloned().unwrap_or_default();
    let reason = ["waiting", "terminated"].iter().find_map(|s| status.at(&["state", s, "reason"]).as_str().map(str::to_owned));
    reason.unwrap_or_else(|| if status.at(&["state", "running"]).is_null() { "none".to_owned() } else { "Running".to_owned() })
}

#[test]
fn restart_policies_decide_what_follows_an_exit() {
    for (policy, command, phase, restarted) in [
        ("Never", "done", "Succeeded", false),
        ("Never", "crash", "Failed", false),
        ("OnFailure", "done", "Succeeded", false),
        ("OnFailure", "crash", "Running", true),
        ("Always", "done", "Running", true),
    ] {
        let mut f = Fixture::new(21);
        f.create(Kind::POD, &pod("p", &container("main", command, ""), &format!(r#","restartPolicy":"{policy}""#)));
        f.run(30.0);
        let pod = status(&f, "p");
        let restarts = pod.status().get("containerStatuses").nth(0).get("restartCount").as_i64().unwrap_or(0);
        assert_eq!((pod.status().get("phase").text(), restarts > 0), (phase, restarted), "{policy} {command}: {:?}", pod.status());
    }
}

#[test]
fn init_containers_and_sidecars_run_in_order() {
    let mut f = Fixture::new(22);
    let inits = [container("first", "init", ""), container("side", "idle", r#","restartPolicy":"Always""#), container("last", "init", "")];
    f.create(Kind::POD, &pod("p", &container("main", "idle", ""), &format!(r#","initContainers":[{}]"#, inits.join(","))));
    f.run(20.0);
    let pod = status(&f, "p");
    assert_eq!(pod.status().get("phase").text(), "Running", "{:?}", pod.status());
    let states: Vec<String> = ["first", "side", "last"].iter().map(|n| container_state(&pod, "initContainerStatuses", n)).collect();
    assert_eq!(states, ["Completed", "Running", "Completed"]);
    assert_eq!(container_state(&pod, "containerStatuses", "main"), "Running");
    let started: Vec<String> =
        f.event_lines().into_iter().filter(|l| l.contains(" Started ")).map(|l| l.rsplit(' ').next().unwrap_or("").to_owned()).collect();
    assert_eq!(started.len(), 4);
    f.run(3600.0);
    assert!(f.world.queue.next_time().is_none(), "{:?}", f.world.queue.iter().collect::<Vec<_>>());
}

#[test]
fn a_sidecar_does_not_keep_a_finished_pod() {
    let mut f = Fixture::new(23);
    let side = container("side", "idle", r#","restartPolicy":"Always""#);
    f.create(Kind::POD, &pod("p", &container("main", "done", ""), &format!(r#","restartPolicy":"Never","initContainers":[{side}]"#)));
    f.run(60.0);
    let pod = status(&f, "p");
    assert_eq!(pod.status().get("phase").text(), "Succeeded", "{:?}", pod.status());
}

#[test]
fn hooks_take_part_of_the_grace() {
    let mut f = Fixture::new(24);
    let hook = r#","lifecycle":{"preStop":{"sleep":{"seconds":5}}}"#;
    f.create(Kind::POD, &pod("p", &container("main", "idle", hook), ""));
    f.run(5.0);
    let start = f.now();
    f.delete(Kind::POD, "p");
    f.run_until(|f| f.find(Kind::POD, "p").is_none());
    let took = (f.now() - start).as_secs_f64();
    assert!((5.5..7.5).contains(&took), "{took}");
}

#[test]
fn a_process_that_ignores_sigterm_is_killed_after_its_grace() {
    let mut f = Fixture::new(25);
    f.create(Kind::POD, &pod("p", &container("main", "stubborn", ""), ""));
    f.run(5.0);
    let start = f.now();
    f.delete(Kind::POD, "p");
    f.run(29.0);
    assert_eq!(container_state(&status(&f, "p"), "containerStatuses", "main"), "Running");
    f.run_until(|f| !status(f, "p").status().get("containerStatuses").nth(0).at(&["state", "terminated"]).is_null());
    let code = status(&f, "p").status().get("containerStatuses").nth(0).at(&["state", "terminated", "exitCode"]).as_i64();
    assert_eq!(code, Some(137));
    f.run_until(|f| f.find(Kind::POD, "p").is_none());
    assert!((f.now() - start).as_secs_f64() < 33.0);
}

#[test]
fn a_pod_deleted_by_force_goes_at_once_and_its_process_soon() {
    let mut f = Fixture::new(26);
    f.create(Kind::POD, &pod("p", &container("main", "idle", ""), ""));
    f.run(5.0);
    let run = kubelet::run_of(&f.world, "app", "p", "main").expect("runs");
    f.world.delete(&Identity::operator(), &Key::new(Kind::POD, "app", "p"), Some(0), None).expect("there");
    assert!(f.find(Kind::POD, "p").is_none());
    f.run(0.05);
    assert!(f.world.history.run(run).is_some_and(|r| r.end.is_none()));
    f.run(3.0);
    assert!(f.world.history.run(run).is_none_or(|r| r.end.is_some()));
    f.run(60.0);
    assert!(f.world.queue.next_time().is_none());
}

#[test]
fn a_pod_is_not_active_for_longer_than_its_deadline() {
    let mut f = Fixture::new(27);
    f.create(Kind::POD, &pod("p", &container("main", "idle", ""), r#","activeDeadlineSeconds":20"#));
    f.run(40.0);
    let pod = status(&f, "p");
    assert_eq!((pod.status().get("phase").text(), pod.status().get("reason").text()), ("Failed", "DeadlineExceeded"), "{:?}", pod.status());
    assert!(f.event_lines().iter().any(|l| l.ends_with("Pod was active on the node longer than the specified deadline")));
}

#[test]
fn a_changed_image_restarts_the_container_in_place() {
    let mut f = Fixture::new(28);
    let app = r#"{"name":"main","image":"img/app:1"}"#;
    f.create(Kind::POD, &pod("p", app, ""));
    f.run(5.0);
    let before = status(&f, "p");
    let image = |f: &mut Fixture, image: &str| {
        f.update(Kind::POD, "p", |p| p.get_mut("spec").get_mut("containers").items_mut()[0].set("image", image));
    };
    image(&mut f, "img/app:2");
    f.run(3.0);
    let pod = status(&f, "p");
    assert_eq!(pod.status().get("containerStatuses").nth(0).get("image").text(), "docker.io/img/app:2");
    assert_eq!(pod.status().get("containerStatuses").nth(0).get("restartCount").as_i64(), Some(1));
    assert_eq!(pod.status().get("podIP"), before.status().get("podIP"));
    let text = "pod/p Normal Killing x1 Container main definition changed, will be restarted";
    assert!(f.event_lines().iter().any(|l| l == text), "{:?}", f.event_lines());
    // The fault that Chaos Mesh calls pod failure: an image without the program.
    f.update(Kind::POD, "p", |p| {
        let container = &mut p.get_mut("spec").get_mut("containers").items_mut()[0];
        container.set("image", "fidelity/worker:1.0");
        container.set("command", aiopslab::array!["geo"]);
    });
    f.run(3.0);
    let pod = status(&f, "p");
    let waiting = pod.status().get("containerStatuses").nth(0).at(&["state", "waiting"]).clone();
    assert!(matches!(waiting.get("reason").text(), "RunContainerError" | "CrashLoopBackOff"), "{waiting:?}");
    let last = pod.status().get("containerStatuses").nth(0).at(&["lastState", "terminated"]).clone();
    assert_eq!((last.get("exitCode").as_i64(), last.get("reason").text()), (Some(128), "StartError"));
    assert!(last.get("message").text().ends_with(r#"exec: "geo": executable file not found in $PATH: unknown"#), "{last:?}");
    f.run(110.0);
    let restarts = status(&f, "p").status().get("containerStatuses").nth(0).get("restartCount").as_i64().unwrap_or(0);
    assert!((4..=6).contains(&restarts), "{restarts}");
}

#[test]
fn probes_gate_readiness_and_liveness() {
    let mut f = Fixture::new(29);
    let probe = |path: &str, more: &str| format!(r#"{{"httpGet":{{"path":"/{path}","port":8080}},"periodSeconds":5{more}}}"#);
    let web = |more: &str| format!(r#"{{"name":"main","image":"fidelity/web:1.0","command":["/web"]{more}}}"#);
    f.create(
        Kind::POD,
        &pod("good", &web(&format!(r#","readinessProbe":{},"livenessProbe":{}"#, probe("healthz", ""), probe("healthz", ""))), ""),
    );
    let slow = format!(r#","startupProbe":{},"readinessProbe":{}"#, probe("healthz", r#","initialDelaySeconds":12"#), probe("healthz", ""));
    f.create(Kind::POD, &pod("slow", &web(&slow), ""));
    f.create(Kind::POD, &pod("bad", &web(&format!(r#","readinessProbe":{}"#, probe("nothing", ""))), ""));
    f.run(8.0);
    let ready = |f: &Fixture, name: &str| status(f, name).condition("Ready").is_some_and(|c| c.get("status").text() == "True");
    assert!(ready(&f, "good") && !ready(&f, "slow") && !ready(&f, "bad"));
    let slow = status(&f, "slow").status().get("containerStatuses").nth(0).clone();
    assert_eq!((slow.get("started"), slow.get("ready")), (&Json::Bool(false), &Json::Bool(false)));
    f.run(15.0);
    assert!(ready(&f, "slow"), "{:?}", status(&f, "slow").status());
    f.run(52.0);
    let line = f.event_lines().into_iter().find(|l| l.starts_with("pod/bad Warning Unhealthy")).expect("reported");
    assert!(line.ends_with("Readiness probe failed: HTTP probe failed with statuscode: 404"), "{line}");
    let count: i64 = line.split(" x").nth(1).and_then(|t| t.split(' ').next()?.parse().ok()).expect("a count");
    assert!((14..=19).contains(&count), "17 in 75 seconds on a real cluster: {line}");
    f.delete(Kind::POD, "bad");
    f.run(60.0);
    let due: Vec<String> = f.world.queue.iter().map(|(at, e)| format!("{at:?} {e:?}")).collect();
    assert!(due.is_empty(), "probes that hold rest: {due:?}");
}

#[test]
fn images_are_pulled_or_refused() {
    let mut f = Fixture::new(30);
    let with = |image: &str, policy: &str| format!(r#"{{"name":"main","image":"{image}","imagePullPolicy":"{policy}"}}"#);
    f.create(Kind::POD, &pod("always", &with("img/app:1", "Always"), ""));
    f.create(Kind::POD, &pod("tag", &with("img/app:no-such-tag", "IfNotPresent"), ""));
    f.run(5.0);
    assert_eq!(status(&f, "always").status().get("phase").text(), "Running");
    let lines = f.event_lines();
    assert!(lines.iter().any(|l| l.starts_with("pod/always Normal Pulled x1 Successfully pulled image \"img/app:1\" in ")), "{lines:#?}");
    let error = "rpc error: code = NotFound desc = failed to pull and unpack image \"docker.io/img/app:no-such-tag\": failed to resolve reference \
                 \"docker.io/img/app:no-such-tag\": docker.io/img/app:no-such-tag: not found";
    assert!(lines.contains(&format!("pod/tag Warning Failed x1 Failed to pull image \"img/app:no-such-tag\": {error}")), "{lines:#?}");
    let mut seen = Vec::new();
    let start = f.now();
    while f.now() - start < std::time::Duration::from_secs(90) {
        f.step();
        let state = container_state(&status(&f, "tag"), "containerStatuses", "main");
        if seen.last() != Some(&state) {
            seen.push(state);
        }
    }
    assert!(seen.len() >= 4 && seen.windows(2).all(|w| w[0] != w[1]), "{seen:?}");
    assert!(seen.iter().all(|s| s == "ErrImagePull" || s == "ImagePullBackOff"), "{seen:?}");
}
