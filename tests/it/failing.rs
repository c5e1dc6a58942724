//! The ways in which a pod fails, compared with a real cluster: the manifests of `tests/fidelity/app` are applied, two minutes
//! pass, and statuses and events must be those that were recorded, random parts and counts aside.

use crate::cluster_fixture::Fixture;
use crate::recorded_objects::{apply, differences, event_line, masked, pretty, recorded};
use aiopslab::cluster::sim::store::Kind;
use aiopslab::object::Object;
use std::collections::BTreeMap;

const MANIFESTS: &str = include_str!("../fidelity/app/manifests/failing.yaml");
const RECORDED: &str = include_str!("../fidelity/objects/broken.json");

/// Lines of the recording that depend on the order and pace in which the manifests were applied, and probes by programs, which
/// are not modelled.
const PASSED_OVER: [&str; 4] = ["exec-probe-POD", "secret \"half\" not found", "failed to sync configmap cache", "\"waiting\" not found"];

fn applied() -> Fixture {
    let mut f = Fixture::new(11);
    apply(&mut f, MANIFESTS);
    f.run(125.0);
    f
}

/// Our namespace is called otherwise.
fn renamed(text: &str) -> String {
    text.replace("_app(", "_broken(").replace(" app/", " broken/")
}

#[test]
fn statuses_are_those_of_a_real_kubelet() {
    let f = applied();
    let by_app = |pods: Vec<Object>| -> BTreeMap<String, String> {
        pods.iter().map(|p| (p.label("app").unwrap_or(p.name()).to_owned(), renamed(&masked(&pretty(p.status(), 0))))).collect()
    };
    let (ours, theirs) = (by_app(f.pods()), by_app(recorded(RECORDED, "/api/v1/pods", "broken")));
    let mut wrong = Vec::new();
    for (app, theirs) in theirs.iter().filter(|(app, _)| *app != "exec-probe") {
        let ours = ours.get(app).cloned().unwrap_or_default();
        if ours != *theirs {
            wrong.push(format!("== {app}\n{}", differences(theirs, &ours).join("\n")));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ (- real, + ours)\n{}", wrong.len(), theirs.len(), wrong.join("\n"));
}

#[test]
fn events_are_those_of_a_real_cluster() {
    let f = applied();
    let lines = |events: Vec<Object>| -> BTreeMap<String, i64> {
        let counted = events.iter().map(|e| (renamed(&event_line(e)), e.get("count").as_i64().unwrap_or(1)));
        counted.filter(|(line, _)| !PASSED_OVER.iter().any(|p| line.contains(p))).collect()
    };
    let ours = lines(f.world.store.list(Kind::EVENT, Some("app")).cloned().collect());
    let theirs = lines(recorded(RECORDED, "/namespaces/broken/events", "broken"));
    let missing: Vec<String> = theirs.keys().filter(|l| !ours.contains_key(*l)).map(|l| format!("- {l}")).collect();
    let extra: Vec<String> = ours.keys().filter(|l| !theirs.contains_key(*l)).map(|l| format!("+ {l}")).collect();
    assert!(missing.is_empty() && extra.is_empty(), "- real, + ours\n{}\n{}", missing.join("\n"), extra.join("\n"));
    let is_off = |(line, n): (&String, &i64)| {
        let own = ours.get(line)?;
        (own.abs_diff(*n) > 2 + n.unsigned_abs() / 3).then(|| format!("{n} ours {own}: {line}"))
    };
    let off: Vec<String> = theirs.iter().filter_map(is_off).collect();
    assert!(off.is_empty(), "counts\n{}", off.join("\n"));
}
