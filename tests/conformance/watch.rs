//! `Cluster::wait`: it wakes at a change of interest, not at others, and at the time otherwise.

use super::bench::{Bench, config_map, kind, pod};
use aiopslab::cluster::{Interest, Options, Woken};
use std::time::Duration;

fn interest(b: &Bench, plural: &str, name: Option<&str>) -> Interest {
    Interest::Objects { resource: kind(plural).clone(), namespace: Some(b.ns.as_str().into()), name: name.map(Into::into) }
}

/// Waits at most so many seconds, and says how it ended and after how many.
fn wait(b: &mut Bench, seconds: u64, interests: &[Interest]) -> (Woken, f64) {
    let start = b.cluster.now();
    let woken = b.cluster.wait(start + Duration::from_secs(seconds), interests);
    (woken, b.cluster.now().since(start).as_secs_f64())
}

/// A pod whose end the kubelet reports after so many seconds.
fn ending_pod(b: &mut Bench, name: &str, seconds: u32) {
    let mut pod = pod(name, &format!("sleep {seconds}"));
    pod.set_at(&["spec", "restartPolicy"], "Never");
    b.create("pods", pod);
    b.ready(name);
}

pub fn somebody_elses_change_wakes(b: &mut Bench) {
    ending_pod(b, "short", 3);
    let (woken, after) = wait(b, 60, &[interest(b, "pods", None)]);
    assert_eq!(woken, Woken::Change);
    assert!(after < 30.0, "{after}");
    b.until("the end", |b| b.find("pods", "short").filter(|p| p.status().get("phase").text() == "Succeeded"));
}

pub fn other_changes_do_not(b: &mut Bench) {
    ending_pod(b, "short", 1);
    b.items("secrets", "");
    let (woken, after) = wait(b, 4, &[interest(b, "secrets", None)]);
    assert_eq!(woken, Woken::Time);
    assert!(after >= 4.0, "{after}");
    assert_eq!(b.get("pods", "short").status().get("phase").text(), "Succeeded", "something changed meanwhile");
}

pub fn a_name_narrows(b: &mut Bench) {
    b.create("configmaps", config_map("mine", "a", "1"));
    b.get("configmaps", "mine");
    ending_pod(b, "other", 1);
    let (woken, _) = wait(b, 4, &[interest(b, "pods", Some("mine")), interest(b, "configmaps", Some("mine"))]);
    assert_eq!(woken, Woken::Time);
}

pub fn nothing_happens_until_the_time(b: &mut Bench) {
    let (woken, after) = wait(b, 2, &[]);
    assert_eq!(woken, Woken::Time);
    assert!((2.0..5.0).contains(&after), "{after}");
    let now = b.cluster.now();
    assert_eq!(b.cluster.wait(now, &[]), Woken::Time, "a time that is over");
}

pub fn a_deletion_wakes(b: &mut Bench) {
    b.create("pods", pod("leaving", "sleep 1000"));
    b.ready("leaving");
    b.delete("pods", "leaving", Options::default()).expect("deleted");
    b.find("pods", "leaving");
    let mut woken = 0;
    b.within(30, "the end", |b| {
        if b.find("pods", "leaving").is_none() {
            return Some(());
        }
        let (how, _) = wait(b, 30, &[interest(b, "pods", Some("leaving"))]);
        woken += usize::from(how == Woken::Change);
        None
    });
    assert!(woken > 0);
}

pub fn a_change_since_the_last_look_wakes(b: &mut Bench) {
    if !b.live {
        // In virtual time nothing happens between a look and the wait that follows it.
        return;
    }
    b.create("configmaps", config_map("seen", "a", "1"));
    b.get("configmaps", "seen");
    b.merge("configmaps", "seen", r#"{"data":{"a":"2"}}"#);
    let (woken, after) = wait(b, 20, &[interest(b, "configmaps", Some("seen"))]);
    assert_eq!(woken, Woken::Change);
    assert!(after < 10.0, "{after}");
}
