//! Pods and what keeps them: rollouts, failures and the words that they are told with.

use super::bench::{Bench, deployment, expect_match, is_ready, json, pod};
use aiopslab::cluster::{Options, PatchKind};
use aiopslab::object::{Json, Object};

/// The manifest with fields of its container set.
fn with(mut manifest: Json, fields: &str) -> Json {
    let container = &mut manifest.get_mut("spec").get_mut("containers").items_mut()[0];
    for (key, value) in json(fields).entries() {
        container.set(key, value.clone());
    }
    manifest
}

fn condition(object: &Object, kind: &str) -> (String, String, String) {
    let condition = object.condition(kind).cloned().unwrap_or_default();
    let text = |key: &str| condition.get(key).text().to_owned();
    (text("status"), text("reason"), text("message"))
}

fn live_pods(b: &mut Bench, app: &str) -> Vec<Object> {
    b.items("pods", &format!("app={app}")).into_iter().filter(|p| !p.is_terminating()).collect()
}

fn complete(b: &mut Bench, name: &str) -> Object {
    b.until("the rollout", |b| {
        let deployment = b.get("deployments.apps", name);
        let (status, want) = (deployment.status(), deployment.spec().get("replicas").as_i64().unwrap_or(0));
        let number = |key: &str| status.get(key).as_i64().unwrap_or(0);
        let done = number("observedGeneration") == deployment.generation()
            && [number("replicas"), number("updatedReplicas"), number("availableReplicas")].iter().all(|n| *n == want);
        (done && condition(&deployment, "Progressing").1 == "NewReplicaSetAvailable").then_some(deployment)
    })
}

pub fn a_pod_runs(b: &mut Bench) {
    b.create("pods", pod("p", "sleep 1000"));
    let pod = b.ready("p");
    let status = pod.status();
    assert_eq!((status.get("phase").text(), status.get("qosClass").text()), ("Running", "BestEffort"));
    for kind in ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"] {
        assert_eq!(condition(&pod, kind).0, "True", "{kind}");
    }
    let container = status.get("containerStatuses").nth(0);
    assert_eq!((container.get("restartCount").as_i64(), container.get("started").as_bool()), (Some(0), Some(true)));
    assert!(container.get("containerID").text().starts_with("containerd://"), "{}", container.to_compact());
    assert!(!container.at(&["state", "running", "startedAt"]).text().is_empty());
    assert!(!status.get("podIP").text().is_empty() && !status.get("hostIP").text().is_empty());
    assert!(!pod.spec().get("nodeName").text().is_empty());
    let tolerations = pod.spec().get("tolerations").items().len();
    assert_eq!(tolerations, 2, "admission adds them");
}

pub fn a_rollout_completes(b: &mut Bench) {
    b.create("deployments.apps", deployment("web", 2, "sleep 1000"));
    let done = complete(b, "web");
    let status = done.status();
    assert_eq!(status.get("readyReplicas").as_i64(), Some(2));
    assert!(status.get("unavailableReplicas").is_null());
    assert_eq!(
        condition(&done, "Available"),
        ("True".into(), "MinimumReplicasAvailable".into(), "Deployment has minimum availability.".into())
    );
    let (_, _, message) = condition(&done, "Progressing");
    expect_match(&message, "ReplicaSet \"web-[a-z0-9]+\" has successfully progressed\\.");
    assert_eq!(done.annotation("deployment.kubernetes.io/revision"), Some("1"));
    let spec = done.spec();
    assert_eq!((spec.get("revisionHistoryLimit").as_i64(), spec.get("progressDeadlineSeconds").as_i64()), (Some(10), Some(600)));
    assert_eq!(spec.at(&["strategy", "rollingUpdate", "maxSurge"]).text(), "25%");
    let sets = b.items("replicasets.apps", "app=web");
    let hash = sets[0].label("pod-template-hash").expect("a hash").to_owned();
    assert_eq!(sets[0].name(), format!("web-{hash}"));
    for pod in live_pods(b, "web") {
        expect_match(pod.name(), &format!("web-{hash}-[bcdfghjklmnpqrstvwxz2456789]{{5}}"));
        assert_eq!(pod.controller().expect("an owner").get("kind").text(), "ReplicaSet");
    }
}

pub fn a_rollout_keeps_its_history(b: &mut Bench) {
    b.create("deployments.apps", deployment("web", 1, "sleep 1000"));
    complete(b, "web");
    let patch = json(r#"{"spec":{"template":{"metadata":{"annotations":{"v":"2"}}}}}"#);
    b.patch("deployments.apps", "web", PatchKind::Strategic, patch).expect("patched");
    let done = complete(b, "web");
    assert_eq!((done.generation(), done.annotation("deployment.kubernetes.io/revision")), (2, Some("2")));
    let mut sets: Vec<(String, i64)> = b
        .items("replicasets.apps", "app=web")
        .iter()
        .map(|s| {
            (
                s.annotation("deployment.kubernetes.io/revision").unwrap_or_default().to_owned(),
                s.spec().get("replicas").as_i64().unwrap_or(0),
            )
        })
        .collect();
    sets.sort();
    assert_eq!(sets, [("1".to_owned(), 0), ("2".to_owned(), 1)]);
    b.patch("deployments.apps", "web", PatchKind::Merge, json(r#"{"spec":{"template":{"metadata":{"annotations":null}}}}"#)).expect("back");
    let back = complete(b, "web");
    assert_eq!(back.annotation("deployment.kubernetes.io/revision"), Some("3"));
    assert_eq!(b.items("replicasets.apps", "app=web").len(), 2, "the old one is used again");
}

pub fn a_rollout_gets_stuck(b: &mut Bench) {
    let mut manifest = deployment("web", 1, "sleep 1000");
    manifest.set_at(&["spec", "progressDeadlineSeconds"], 5i64);
    b.create("deployments.apps", manifest);
    complete(b, "web");
    let patch = r#"{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"docker.io/library/no-such-image:1"}]}}}}"#;
    b.patch("deployments.apps", "web", PatchKind::Strategic, json(patch)).expect("patched");
    let stuck = b.until("the deadline", |b| {
        Some(b.get("deployments.apps", "web")).filter(|d| condition(d, "Progressing").1 == "ProgressDeadlineExceeded")
    });
    let (status, _, message) = condition(&stuck, "Progressing");
    assert_eq!(status, "False");
    expect_match(&message, "ReplicaSet \"web-[a-z0-9]+\" has timed out progressing\\.");
    let number = |key: &str| stuck.status().get(key).as_i64();
    assert_eq!(
        (number("replicas"), number("updatedReplicas"), number("unavailableReplicas"), number("availableReplicas")),
        (Some(2), Some(1), Some(1), Some(1))
    );
    assert_eq!(condition(&stuck, "Available").0, "True", "the old pod stays");
}

pub fn recreate_stops_first(b: &mut Bench) {
    let mut manifest = deployment("web", 2, "sleep 1000");
    manifest.set_at(&["spec", "strategy"], json(r#"{"type":"Recreate"}"#));
    b.create("deployments.apps", manifest);
    complete(b, "web");
    let before: Vec<String> = live_pods(b, "web").iter().map(|p| p.uid().to_owned()).collect();
    b.patch("deployments.apps", "web", PatchKind::Strategic, json(r#"{"spec":{"template":{"metadata":{"annotations":{"v":"2"}}}}}"#))
        .expect("patched");
    b.until("the new pods", |b| {
        let pods = b.items("pods", "app=web");
        let old = pods.iter().filter(|p| before.iter().any(|uid| uid == p.uid())).count();
        assert!(old == 0 || old == pods.len(), "old and new pods at once");
        (old == 0 && pods.len() == 2 && pods.iter().all(is_ready)).then_some(())
    });
    complete(b, "web");
}

pub fn a_paused_rollout_waits(b: &mut Bench) {
    b.create("deployments.apps", deployment("web", 1, "sleep 1000"));
    complete(b, "web");
    b.merge("deployments.apps", "web", r#"{"spec":{"paused":true,"template":{"metadata":{"annotations":{"v":"2"}}}}}"#);
    let paused =
        b.until("the pause", |b| Some(b.get("deployments.apps", "web")).filter(|d| condition(d, "Progressing").1 == "DeploymentPaused"));
    assert_eq!(condition(&paused, "Progressing"), ("Unknown".into(), "DeploymentPaused".into(), "Deployment is paused".into()));
    b.pass(std::time::Duration::from_secs(2));
    assert_eq!(b.items("replicasets.apps", "app=web").len(), 1);
    b.merge("deployments.apps", "web", r#"{"spec":{"paused":false}}"#);
    b.until("the new set", |b| (b.items("replicasets.apps", "app=web").len() == 2).then_some(()));
    complete(b, "web");
}

pub fn a_crash_loop_backs_off(b: &mut Bench) {
    b.create("pods", pod("p", "echo no; exit 1"));
    let message = b.waits_for("p", "CrashLoopBackOff");
    let ns = b.ns.clone();
    expect_match(&message, &format!("back-off (10|20|40)s restarting failed container=main pod=p_{ns}\\([0-9a-f-]{{36}}\\)"));
    let state = b.state("p");
    let last = state.at(&["lastState", "terminated"]);
    assert_eq!((last.get("exitCode").as_i64(), last.get("reason").text()), (Some(1), "Error"));
    assert!(state.get("restartCount").as_i64() >= Some(1) && !state.get("ready").is_true());
    let pod = b.get("pods", "p");
    assert_eq!((pod.status().get("phase").text(), condition(&pod, "Ready").1.as_str()), ("Running", "ContainersNotReady"));
    assert_eq!(condition(&pod, "Ready").2, "containers with unready status: [main]");
    let event = b.event("p", "BackOff");
    expect_match(&event, &format!("Back-off restarting failed container main in pod p_{ns}\\([0-9a-f-]{{36}}\\)"));
}

pub fn an_image_that_is_not_there(b: &mut Bench) {
    b.create("pods", with(pod("p", "true"), r#"{"image":"docker.io/library/no-such-image:1"}"#));
    b.waits_for("p", "ErrImagePull");
    let message = b.waits_for("p", "ImagePullBackOff");
    expect_match(&message, "Back-off pulling image \"docker.io/library/no-such-image:1\": ErrImagePull: .*");
    let events = b.events("p");
    let words = |reason: &str| events.iter().filter(|(_, r, _)| r == reason).map(|(t, _, m)| format!("{t} {m}")).collect::<Vec<_>>();
    assert!(words("Pulling").contains(&"Normal Pulling image \"docker.io/library/no-such-image:1\"".to_owned()), "{events:?}");
    assert!(words("Failed").contains(&"Warning Error: ErrImagePull".to_owned()), "{events:?}");
    assert!(
        words("Failed").iter().any(|m| m.starts_with("Warning Failed to pull image \"docker.io/library/no-such-image:1\": ")),
        "{events:?}"
    );
    assert!(words("BackOff").contains(&"Normal Back-off pulling image \"docker.io/library/no-such-image:1\"".to_owned()), "{events:?}");
    assert_eq!(b.get("pods", "p").status().get("phase").text(), "Pending");
}

pub fn a_missing_config_map(b: &mut Bench) {
    b.create("pods", with(pod("p", "true"), r#"{"envFrom":[{"configMapRef":{"name":"absent"}}]}"#));
    // A kubelet that is busy says first that its cache is not filled yet.
    b.until("the complaint", |b| (b.waits_for("p", "CreateContainerConfigError") == "configmap \"absent\" not found").then_some(()));
    let told = ("Warning".to_owned(), "Failed".to_owned(), "Error: configmap \"absent\" not found".to_owned());
    b.until("the event", |b| b.events("p").contains(&told).then_some(()));
    b.create("configmaps", super::bench::config_map("absent", "a", "1"));
    b.until("a start", |b| {
        (b.state("p").get("restartCount").as_i64() >= Some(0) && !b.state("p").get("containerID").is_null()).then_some(())
    });
}

pub fn a_missing_key(b: &mut Bench) {
    b.create("configmaps", super::bench::config_map("there", "a", "1"));
    let env = r#"{"env":[{"name":"X","valueFrom":{"configMapKeyRef":{"name":"there","key":"b"}}}]}"#;
    b.create("pods", with(pod("p", "true"), env));
    let expect = format!("couldn't find key b in ConfigMap {}/there", b.ns);
    b.until("the complaint", |b| (b.waits_for("p", "CreateContainerConfigError") == expect).then_some(()));
}

pub fn a_pod_that_fits_nowhere(b: &mut Bench) {
    b.create("pods", with(pod("p", "true"), r#"{"resources":{"requests":{"cpu":"1000"}}}"#));
    let message = b.event("p", "FailedScheduling");
    let nodes = b.items("nodes", "").len();
    expect_match(
        &message,
        &format!(
            "0/{nodes} nodes are available: {nodes} Insufficient cpu\\. (no new claims to deallocate, )?preemption: 0/{nodes} nodes are \
             available: {nodes} (No preemption victims found for incoming pod|Preemption is not helpful for scheduling)\\."
        ),
    );
    let pod = b.get("pods", "p");
    assert_eq!(condition(&pod, "PodScheduled"), ("False".into(), "Unschedulable".into(), message));
    assert_eq!(pod.status().get("phase").text(), "Pending");
}

pub fn a_selector_that_no_node_has(b: &mut Bench) {
    let mut manifest = pod("p", "true");
    manifest.set_at(&["spec", "nodeSelector"], json(r#"{"disk":"none"}"#));
    b.create("pods", manifest);
    let message = b.event("p", "FailedScheduling");
    let nodes = b.items("nodes", "").len();
    expect_match(
        &message,
        &format!(
            "0/{nodes} nodes are available: {nodes} node\\(s\\) didn't match Pod's node affinity/selector\\. (no new claims to deallocate, )?\
             preemption: 0/{nodes} nodes are available: {nodes} Preemption is not helpful for scheduling\\."
        ),
    );
}

pub fn a_readiness_probe_fails(b: &mut Bench) {
    let probe = r#"{"readinessProbe":{"exec":{"command":["sh","-c","echo not yet; exit 1"]},"periodSeconds":1}}"#;
    b.create("pods", with(pod("p", "sleep 1000"), probe));
    let message = b.event("p", "Unhealthy");
    assert_eq!(message.trim_end(), "Readiness probe failed: not yet");
    let pod = b.until("its status", |b| b.find("pods", "p").filter(|p| p.status().get("phase").text() == "Running"));
    assert_eq!(condition(&pod, "Ready").0, "False");
    assert_eq!(b.state("p").get("restartCount").as_i64(), Some(0));
}

pub fn a_liveness_probe_restarts(b: &mut Bench) {
    let probe = r#"{"livenessProbe":{"exec":{"command":["false"]},"periodSeconds":1,"failureThreshold":2}}"#;
    b.create("pods", with(pod("p", "sleep 1000"), probe));
    b.until("a restart", |b| (b.state("p").get("restartCount").as_i64() >= Some(1)).then_some(()));
    assert_eq!(b.event("p", "Killing"), "Container main failed liveness probe, will be restarted");
    assert_eq!(b.event("p", "Unhealthy").trim_end(), "Liveness probe failed:");
    assert_eq!(b.state("p").at(&["lastState", "terminated", "exitCode"]).as_i64(), Some(137));
}

pub fn an_init_container_fails(b: &mut Bench) {
    let mut manifest = pod("p", "sleep 1000");
    let mut first = manifest.at(&["spec", "containers"]).nth(0).clone();
    first.set("name", "first");
    first.set("command", json(r#"["sh","-c","exit 4"]"#));
    manifest.set_at(&["spec", "initContainers"], aiopslab::array![first]);
    b.create("pods", manifest);
    let pod = b.until("the loop", |b| {
        b.find("pods", "p")
            .filter(|p| p.status().get("initContainerStatuses").nth(0).at(&["state", "waiting", "reason"]).text() == "CrashLoopBackOff")
    });
    assert_eq!(
        condition(&pod, "Initialized"),
        ("False".into(), "ContainersNotInitialized".into(), "containers with incomplete status: [first]".into())
    );
    assert_eq!(b.state("p").at(&["state", "waiting", "reason"]).text(), "PodInitializing");
    let last = pod.status().get("initContainerStatuses").nth(0).at(&["lastState", "terminated", "exitCode"]).as_i64();
    assert_eq!(last, Some(4));
}

fn job(name: &str, script: &str, limit: i64) -> Json {
    let mut spec = super::bench::pod_spec(script);
    spec.set("restartPolicy", "Never");
    aiopslab::object! {
        "metadata" => aiopslab::object! { "name" => name },
        "spec" => aiopslab::object! { "backoffLimit" => limit, "template" => aiopslab::object! { "spec" => spec } },
    }
}

pub fn a_job_completes(b: &mut Bench) {
    b.create("jobs.batch", job("j", "echo done", 0));
    let done = b.until("the end", |b| Some(b.get("jobs.batch", "j")).filter(|j| condition(j, "Complete").0 == "True"));
    assert_eq!(done.status().get("succeeded").as_i64(), Some(1));
    assert_eq!(condition(&done, "Complete").1, "CompletionsReached");
    assert_eq!(b.event("j", "Completed"), "Job completed");
    expect_match(&b.event("j", "SuccessfulCreate"), "Created pod: j-[a-z0-9]{5}");
}

pub fn a_job_gives_up(b: &mut Bench) {
    b.create("jobs.batch", job("j", "exit 1", 0));
    let failed = b.until("the end", |b| Some(b.get("jobs.batch", "j")).filter(|j| condition(j, "Failed").0 == "True"));
    let expect = ("True".into(), "BackoffLimitExceeded".into(), "Job has reached the specified backoff limit".into());
    assert_eq!(condition(&failed, "Failed"), expect);
    assert_eq!(failed.status().get("failed").as_i64(), Some(1));
}

pub fn a_killed_pod_is_replaced(b: &mut Bench) {
    b.create("deployments.apps", deployment("web", 1, "sleep 1000"));
    complete(b, "web");
    let first = live_pods(b, "web")[0].clone();
    b.delete("pods", first.name(), Options::default()).expect("deleted");
    b.until("another", |b| live_pods(b, "web").into_iter().find(|p| p.uid() != first.uid() && is_ready(p)));
    let name = first.name().to_owned();
    assert_eq!(b.event(&name, "Killing"), "Stopping container main");
}

pub fn a_command_that_is_not_there(b: &mut Bench) {
    b.create("pods", with(pod("p", "true"), r#"{"command":["/no/such/program"]}"#));
    b.until("a failed start", |b| {
        let state = b.state("p");
        let at = |path: &[&str]| state.at(path).get("reason").text().to_owned();
        [at(&["state", "terminated"]), at(&["lastState", "terminated"])].contains(&"StartError".to_owned()).then_some(())
    });
    let message = b.event("p", "Failed");
    assert!(message.contains("exec: \"/no/such/program\": stat /no/such/program: no such file or directory"), "{message}");
    b.waits_for("p", "CrashLoopBackOff");
    assert_eq!(b.state("p").at(&["lastState", "terminated", "exitCode"]).as_i64(), Some(128));
}

pub fn events_tell_a_start(b: &mut Bench) {
    b.create("pods", pod("p", "sleep 1000"));
    let pod = b.ready("p");
    let (ns, node) = (b.ns.clone(), pod.spec().get("nodeName").text().to_owned());
    b.event("p", "Started");
    let scheduled = b.event("p", "Scheduled");
    assert_eq!(scheduled, format!("Successfully assigned {ns}/p to {node}"));
    assert_eq!(b.event("p", "Created"), "Created container: main");
    assert_eq!(b.event("p", "Started"), "Started container main");
    let pulled = b.event("p", "Pulled");
    let image = super::bench::SHELL_IMAGE;
    expect_match(
        &pulled,
        &format!(
            "(Container image \"{image}\" already present on machine|Successfully pulled image \"{image}\" in .* \\(.* including waiting\\)\\. Image size: \\d+ bytes\\.)"
        ),
    );
    let event = b.items("events", "").into_iter().find(|e| e.get("reason").text() == "Started").expect("an event");
    assert_eq!((event.at(&["source", "component"]).text(), event.at(&["source", "host"]).text()), ("kubelet", node.as_str()));
    assert_eq!(event.at(&["involvedObject", "fieldPath"]).text(), "spec.containers{main}");
}

pub fn a_daemon_set_is_on_every_node(b: &mut Bench) {
    let mut manifest = deployment("each", 1, "sleep 1000");
    manifest.get_mut("spec").remove("replicas");
    b.create("daemonsets.apps", manifest);
    let nodes = b.items("nodes", "").len();
    b.until("all pods", |b| {
        (b.get("daemonsets.apps", "each").status().get("numberReady").as_i64() == i64::try_from(nodes).ok()).then_some(())
    });
    let mut on: Vec<String> = live_pods(b, "each").iter().map(|p| p.spec().get("nodeName").text().to_owned()).collect();
    on.sort();
    on.dedup();
    assert_eq!(on.len(), nodes);
}

pub fn a_stateful_set_goes_in_order(b: &mut Bench) {
    let mut manifest = deployment("db", 2, "sleep 1000");
    manifest.set_at(&["spec", "serviceName"], "db");
    b.create("statefulsets.apps", manifest);
    b.until("both", |b| (b.get("statefulsets.apps", "db").status().get("readyReplicas").as_i64() == Some(2)).then_some(()));
    let (first, second) = (b.get("pods", "db-0"), b.get("pods", "db-1"));
    assert!(first.created_at() <= second.created_at());
    assert_eq!(second.label("apps.kubernetes.io/pod-index"), Some("1"));
    b.merge("statefulsets.apps", "db", r#"{"spec":{"replicas":1}}"#);
    b.until("the last goes first", |b| b.find("pods", "db-1").is_none().then_some(()));
    assert!(b.find("pods", "db-0").is_some());
}
