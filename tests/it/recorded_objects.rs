//! Objects of a real cluster, recorded in `tests/fidelity/objects`, and how they are compared with ours: random parts masked.

use crate::cluster_fixture::Fixture;
use aiopslab::cluster::sim::cluster::SimCluster;
use aiopslab::cluster::{ApiRequest, Cluster, Identity};
use aiopslab::object::{Json, Object, resource};

/// Replaces what differs between any two runs.
pub fn masked(text: &str) -> String {
    let masks = [
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
        (r"containerd://[0-9a-f]{64}", "containerd://ID"),
        (r"([a-z0-9./-]*@)?sha256:[0-9a-f]{64}", "DIGEST"),
        (r"\b(10\.244|172\.18|10\.96)\.\d+\.\d+\b", "IP"),
        (r"\bnode-\d\b", "NODE"),
        (r"kube-api-access-[a-z0-9]{5}", "kube-api-access-XXXXX"),
        (r#"(generation|resourceVersion|observedGeneration|restartCount|[a-z.-]*(H|h)ash|pod-template-hash): "?[0-9a-z-]+"?"#, "$1: SOME"),
        (r"\b([a-z][a-z-]*?)-[b-df-hj-np-tv-z2-9]{8,10}-[a-z0-9]{5}(_broken|_app|\b)", "$1-POD$2"),
        (r"\b([a-z][a-z-]*?)-[b-df-hj-np-tv-z2-9]{8,10}\b", "$1-RS"),
        (r"\b(agent|broken-job|migrate|old-style)-[a-z0-9]{5}\b", "$1-XXXXX"),
        (r"\b[0-9]/3 nodes|\b0/2 nodes", "0/N nodes"),
        (r"\b[23] (Insufficient|node|Preemption)", "N $1"),
        (r"back-off \w+ restarting", "back-off SPAN restarting"),
    ];
    let by = |text: String, (pattern, by): &(&str, &str)| regex::Regex::new(pattern).expect("valid").replace_all(&text, *by).into_owned();
    masks.iter().fold(text.to_owned(), by)
}

/// A value as indented text, one field a line.
pub fn pretty(json: &Json, depth: usize) -> String {
    let pad = "  ".repeat(depth);
    let field = |(k, v): (&arcstr::ArcStr, &Json)| match v {
        Json::Obj(_) | Json::Arr(_) => format!("{pad}{k}:\n{}", pretty(v, depth + 1)),
        v => format!("{pad}{k}: {}\n", v.to_compact()),
    };
    match json {
        Json::Obj(map) => map.iter().map(field).collect(),
        Json::Arr(items) => items.iter().map(|v| format!("{pad}-\n{}", pretty(v, depth + 1))).collect(),
        v => format!("{pad}{}\n", v.to_compact()),
    }
}

/// The objects of a recording's list, those of one namespace only if it is given.
pub fn recorded(text: &str, list: &str, namespace: &str) -> Vec<Object> {
    let all = Json::parse(text).expect("JSON");
    let found = all.get("lists").entries().find(|(k, _)| k.ends_with(list)).map(|(_, v)| v.clone()).unwrap_or_default();
    let items = if found.items().is_empty() { found.get("items").items().to_vec() } else { found.items().to_vec() };
    items.into_iter().map(Object).filter(|o| namespace.is_empty() || o.namespace() == namespace).collect()
}

/// Creates the objects of manifests, in the namespace `app`.
pub fn apply(f: &mut Fixture, manifests: &str) {
    for document in serde_saphyr::from_multiple::<Json>(manifests).expect("YAML") {
        let object = Object(document);
        let Some(resource) = resource::builtin_kind(object.api_version(), object.kind()) else { continue };
        let namespace = resource.namespaced.then_some("app");
        let mut cluster = SimCluster::new(f.world.clone());
        cluster.api(&Identity::operator(), &ApiRequest::create(resource, namespace, object.0)).expect("created");
        f.world = cluster.world;
    }
}

/// Lines that only one of two texts has: `-` the first, `+` the second.
pub fn differences(a: &str, b: &str) -> Vec<String> {
    let (left, right): (Vec<&str>, Vec<&str>) = (a.lines().collect(), b.lines().collect());
    let mut lines: Vec<String> = left.iter().filter(|l| !right.contains(l)).map(|l| format!("- {l}")).collect();
    lines.extend(right.iter().filter(|l| !left.contains(l)).map(|l| format!("+ {l}")));
    if lines.is_empty() {
        lines.push(format!("(order) {a}\n----\n{b}"));
    }
    lines
}

/// An event as a line, without its count.
pub fn event_line(event: &Object) -> String {
    let about = event.get("involvedObject");
    let text = format!(
        "{}/{} {} {} {} {} {}",
        about.get("kind").text(),
        about.get("name").text(),
        about.get("fieldPath").text(),
        event.get("type").text(),
        event.get("reason").text(),
        event.get("reportingComponent").text(),
        event.get("message").text()
    );
    masked(&text)
}
