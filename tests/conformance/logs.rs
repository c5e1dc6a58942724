//! Logs of containers.

use super::bench::{Bench, expect_match, json, pod};
use aiopslab::cluster::LogQuery;
use std::time::Duration;

const TEN: &str = "for i in 1 2 3 4 5 6 7 8 9 10; do echo line $i; done; sleep 1000";

fn with_log(b: &mut Bench, script: &str) {
    b.create("pods", pod("talker", script));
    b.ready("talker");
    b.until("the first lines", |b| (!b.log("talker", LogQuery::default()).expect("a log").is_empty()).then_some(()));
    b.pass(Duration::from_millis(500));
}

pub fn the_whole_log(b: &mut Bench) {
    with_log(b, "echo to out; echo to err >&2; sleep 1000");
    let log = b.log("talker", LogQuery { container: Some("main".into()), ..LogQuery::default() }).expect("a log");
    let mut lines: Vec<&str> = log.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["to err", "to out"]);
}

pub fn the_tail(b: &mut Bench) {
    with_log(b, TEN);
    let mut tail = |lines: usize| b.log("talker", LogQuery { tail: Some(lines), ..LogQuery::default() }).expect("a log");
    assert_eq!(tail(2), "line 9\nline 10\n");
    assert_eq!(tail(0), "");
    assert_eq!(tail(100).lines().count(), 10);
}

pub fn since(b: &mut Bench) {
    with_log(b, "echo early; sleep 5; echo late; sleep 1000");
    b.until("the late line", |b| b.log("talker", LogQuery::default()).expect("a log").contains("late").then_some(()));
    let since = b.cluster.now() - Duration::from_secs(4);
    let late = b.log("talker", LogQuery { since: Some(since), ..LogQuery::default() }).expect("a log");
    assert_eq!(late, "late\n");
}

pub fn with_timestamps(b: &mut Bench) {
    with_log(b, "echo hello; sleep 1000");
    let log = b.log("talker", LogQuery { timestamps: true, ..LogQuery::default() }).expect("a log");
    expect_match(&log, r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z hello\n");
}

pub fn the_run_before(b: &mut Bench) {
    b.create("pods", pod("talker", "echo run of $HOSTNAME; sleep 2; exit 7"));
    b.until("a restart", |b| (b.state("talker").get("restartCount").as_i64() >= Some(1)).then_some(()));
    let before = b.log("talker", LogQuery { previous: true, ..LogQuery::default() }).expect("a log");
    assert_eq!(before, "run of talker\n");
    assert_eq!(b.state("talker").at(&["lastState", "terminated", "exitCode"]).as_i64(), Some(7));
}

pub fn no_run_before(b: &mut Bench) {
    with_log(b, TEN);
    let error = b.log("talker", LogQuery { previous: true, ..LogQuery::default() }).expect_err("it never ended");
    assert_eq!((error.code, error.reason.as_str()), (400, "BadRequest"));
    assert_eq!(error.message, "previous terminated container \"main\" in pod \"talker\" not found");
}

pub fn so_many_bytes(b: &mut Bench) {
    with_log(b, TEN);
    let log = b.log("talker", LogQuery { limit_bytes: Some(10), ..LogQuery::default() }).expect("a log");
    assert_eq!(log.trim_end_matches('\n'), "line 1\nlin");
}

pub fn a_missing_pod(b: &mut Bench) {
    let error = b.log("none", LogQuery::default()).expect_err("no such pod");
    assert_eq!((error.code, error.reason.as_str(), error.message.as_str()), (404, "NotFound", "pods \"none\" not found"));
}

pub fn a_missing_container(b: &mut Bench) {
    with_log(b, TEN);
    let error = b.log("talker", LogQuery { container: Some("other".into()), ..LogQuery::default() }).expect_err("no such container");
    assert_eq!((error.code, error.reason.as_str()), (400, "BadRequest"));
    assert_eq!(error.message, "container other is not valid for pod talker");
}

pub fn which_container(b: &mut Bench) {
    let mut manifest = pod("two", "echo of main; sleep 1000");
    let mut second = manifest.at(&["spec", "containers"]).nth(0).clone();
    second.set("name", "side");
    second.set("command", json(r#"["sh","-c","echo of side; sleep 1000"]"#));
    manifest.get_mut("spec").get_mut("containers").push(second);
    b.create("pods", manifest);
    b.ready("two");
    let error = b.log("two", LogQuery::default()).expect_err("which?");
    assert_eq!(error.code, 400);
    assert_eq!(error.message, "a container name must be specified for pod two, choose one of: [main side]");
    let side = LogQuery { container: Some("side".into()), ..LogQuery::default() };
    b.until("its line", |b| (b.log("two", side.clone()).expect("a log") == "of side\n").then_some(()));
}

pub fn a_container_that_waits(b: &mut Bench) {
    let mut manifest = pod("waiting", "true");
    manifest.get_mut("spec").get_mut("containers").items_mut()[0].set("image", "docker.io/library/no-such-image:1");
    b.create("pods", manifest);
    b.until("a pull that fails", |b| {
        let reason = b.state("waiting").at(&["state", "waiting", "reason"]).text().to_owned();
        (reason == "ErrImagePull" || reason == "ImagePullBackOff").then_some(())
    });
    let error = b.log("waiting", LogQuery::default()).expect_err("nothing runs");
    assert_eq!(error.code, 400);
    expect_match(
        &error.message,
        "container \"main\" in pod \"waiting\" is waiting to start: (trying and failing to pull image|image can't be pulled)",
    );
}

pub fn an_ended_container(b: &mut Bench) {
    let mut manifest = pod("ended", "echo last words; exit 3");
    manifest.set_at(&["spec", "restartPolicy"], "Never");
    b.create("pods", manifest);
    let pod = b.until("the end", |b| b.find("pods", "ended").filter(|p| p.status().get("phase").text() == "Failed"));
    let ended = pod.status().get("containerStatuses").nth(0).at(&["state", "terminated"]).clone();
    assert_eq!((ended.get("exitCode").as_i64(), ended.get("reason").text()), (Some(3), "Error"));
    assert_eq!(b.log("ended", LogQuery::default()).expect("a log"), "last words\n");
}
