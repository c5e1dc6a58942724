//! The ways in which a pod fails, compared with a real cluster: the manifests of `tests/fidelity/app` are applied, two minutes
//! pass, and statuses and events must be those that were recorded, random parts and counts aside.

use crate::cluster_fixture::Fixture;
use aiopslab::cluster::Identity;
use aiopslab::cluster::sim::store::Kind;
use aiopslab::object::{Json, Object, resource};
use std::collections::BTreeMap;

const MANIFESTS: &str = include_str!("../fidelity/app/manifests/failing.yaml");
const RECORDED: &str = include_str!("../fidelity/objects/broken.json");

/// Lines of the recording that depend on the order and pace in which the manifests were applied, and probes by programs, which
/// are not modelled.
const PASSED_OVER: [&str; 4] = ["exec-probe-POD", "secret \"half\" not found", "failed to sync configmap cache", "\"waiting\" not found"];

/// Replaces what differs between any two runs.
fn masked(text: &str) -> String {
    let masks = [
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
        (r"containerd://[0-9a-f]{64}", "containerd://ID"),
        (r"([a-z0-9./-]*@)?sha256:[0-9a-f]{64}", "DIGEST"),
        (r"\b(10\.244|172\.18)\.\d+\.\d+\b", "IP"),
        (r"\bnode-\d\b", "NODE"),
        (r"kube-api-access-[a-z0-9]{5}", "kube-api-access-XXXXX"),
        (r"\b([a-z][a-z-]*?)-[b-df-hj-np-tv-z2-9]{8,10}-[a-z0-9]{5}(_broken|_app|\b)", "$1-POD$2"),
        (r"\b([a-z][a-z-]*?)-[b-df-hj-np-tv-z2-9]{8,10}\b", "$1-RS"),
        (r"\b[0-9]/3 nodes|\b0/2 nodes", "0/N nodes"),
        (r"\b[23] (Insufficient|node|Preemption)", "N $1"),
        (r"back-off \w+ restarting", "back-off SPAN restarting"),
    ];
    masks
        .iter()
        .fold(text.to_owned(), |text, (pattern, by)| regex::Regex::new(pattern).expect("valid").replace_all(&text, *by).into_owned())
}

/// A pod's status without what depends on the moment.
fn status_of(pod: &Object) -> String {
    let mut status = pod.status().clone();
    for list in ["containerStatuses", "initContainerStatuses"] {
        if status.get(list).is_null() {
            continue;
        }
        for container in status.get_mut(list).items_mut() {
            if container.get("restartCount").as_i64() > Some(0) {
                container.set("restartCount", "SOME");
            }
        }
    }
    masked(&pretty(&status, 0))
}

fn pretty(json: &Json, depth: usize) -> String {
    let pad = "  ".repeat(depth);
    match json {
        Json::Obj(map) => map
            .iter()
            .map(|(k, v)| match v {
                Json::Obj(_) | Json::Arr(_) => format!("{pad}{k}:\n{}", pretty(v, depth + 1)),
                v => format!("{pad}{k}: {}\n", v.to_compact()),
            })
            .collect(),
        Json::Arr(items) => items.iter().map(|v| format!("{pad}-\n{}", pretty(v, depth + 1))).collect(),
        v => format!("{pad}{}\n", v.to_compact()),
    }
}

fn recorded(list: &str) -> Vec<Object> {
    let all = Json::parse(RECORDED).expect("JSON");
    let key = all.get("lists").entries().find(|(k, _)| k.ends_with(list)).map(|(_, v)| v.clone()).unwrap_or_default();
    let items = if key.items().is_empty() { key.get("items").items().to_vec() } else { key.items().to_vec() };
    let here = |o: &Object| o.namespace() == "broken";
    items.into_iter().map(Object).filter(here).collect()
}

fn by_app(pods: Vec<Object>) -> BTreeMap<String, String> {
    pods.iter().map(|p| (p.label("app").unwrap_or(p.name()).to_owned(), status_of(p))).collect()
}

fn applied() -> Fixture {
    let mut f = Fixture::new(11);
    let documents = serde_saphyr::from_multiple::<Json>(MANIFESTS).expect("YAML");
    for document in documents {
        let object = Object(document);
        let kind = resource::builtin_kind(object.api_version(), object.kind()).expect("known");
        let kind = f.world.store.kind_of(kind).expect("served");
        f.world.create(&Identity::operator(), kind, "app", object).expect("created");
    }
    f.run(125.0);
    f
}

#[test]
fn statuses_are_those_of_a_real_kubelet() {
    let f = applied();
    let (ours, theirs) = (by_app(f.pods()), by_app(recorded("/api/v1/pods")));
    let mut wrong = Vec::new();
    for (app, theirs) in theirs.iter().filter(|(app, _)| *app != "exec-probe") {
        let ours = ours.get(app).map(|o| o.replace("_app(", "_broken(").replace(" app/", " broken/")).unwrap_or_default();
        if ours != *theirs {
            let lines: Vec<String> = dissimilar_lines(theirs, &ours);
            wrong.push(format!("== {app}\n{}", lines.join("\n")));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ (- real, + ours)\n{}", wrong.len(), theirs.len(), wrong.join("\n"));
}

fn dissimilar_lines(a: &str, b: &str) -> Vec<String> {
    let (left, right): (Vec<&str>, Vec<&str>) = (a.lines().collect(), b.lines().collect());
    let mut lines: Vec<String> = left.iter().filter(|l| !right.contains(l)).map(|l| format!("- {l}")).collect();
    lines.extend(right.iter().filter(|l| !left.contains(l)).map(|l| format!("+ {l}")));
    if lines.is_empty() {
        lines.push(format!("(order) {a}\n----\n{b}"));
    }
    lines
}

#[test]
fn events_are_those_of_a_real_cluster() {
    let f = applied();
    let line = |e: &Object| {
        let about = e.get("involvedObject");
        let text = format!(
            "{}/{} {} {} {} {} {}",
            about.get("kind").text(),
            about.get("name").text(),
            about.get("fieldPath").text(),
            e.get("type").text(),
            e.get("reason").text(),
            e.get("reportingComponent").text(),
            e.get("message").text()
        );
        masked(&text).replace("_app(", "_broken(").replace(" app/", " broken/")
    };
    let lines =
        |events: Vec<Object>| -> BTreeMap<String, i64> { events.iter().map(|e| (line(e), e.get("count").as_i64().unwrap_or(1))).collect() };
    let ours = lines(f.world.store.list(Kind::EVENT, Some("app")).cloned().collect());
    let mut theirs = lines(recorded("/namespaces/broken/events"));
    theirs.retain(|line, _| !PASSED_OVER.iter().any(|p| line.contains(p)));
    let mut ours = ours;
    ours.retain(|line, _| !PASSED_OVER.iter().any(|p| line.contains(p)));
    let missing: Vec<String> = theirs.keys().filter(|l| !ours.contains_key(*l)).map(|l| format!("- {l}")).collect();
    let extra: Vec<String> = ours.keys().filter(|l| !theirs.contains_key(*l)).map(|l| format!("+ {l}")).collect();
    assert!(missing.is_empty() && extra.is_empty(), "- real, + ours\n{}\n{}", missing.join("\n"), extra.join("\n"));
    let off: Vec<String> = theirs
        .iter()
        .filter_map(|(l, n)| {
            let own = ours.get(l)?;
            (own.abs_diff(*n) > 2 + n.unsigned_abs() / 3).then(|| format!("{n} ours {own}: {l}"))
        })
        .collect();
    assert!(off.is_empty(), "counts\n{}", off.join("\n"));
}
