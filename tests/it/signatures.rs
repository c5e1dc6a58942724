//! What every kind of fault changes in pods, events, logs, metrics and traces, and that nothing else shows more than noise.

use aiopslab::app::Catalog;
use aiopslab::cluster::sim::baseline::{baseline, fork};
use aiopslab::cluster::sim::cluster::SimCluster;
use aiopslab::cluster::{ApiRequest, Cluster, Identity, LogQuery, MetricsQuery, TelemetryQuery, TelemetryReply, TracesQuery};
use aiopslab::fault::Fault;
use aiopslab::object::{Object, resource};
use aiopslab::telemetry::Tag;
use aiopslab::time::SimTime;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const NS: &str = "test-hotel-reservation";
const SEEDS: [u64; 3] = [1, 2, 3];

/// How long the cluster is looked at before the fault, and how long it may take until it is looked at after it.
const BEFORE: Duration = Duration::from_secs(300);
const SETTLING: Duration = Duration::from_secs(30);

/// How a measure is after the fault compared with before.
#[derive(Debug, Clone, Copy)]
enum Is {
    /// Next to nothing.
    Gone,
    /// Less than this part of it.
    Below(f64),
    /// More than so many times as much.
    Times(f64),
    /// More than this.
    Over(f64),
    /// The same but for noise.
    Same,
}

/// The signature of a kind of fault.
struct Row {
    fault: &'static str,
    /// Seconds from the fault to the end of what is looked at.
    seconds: u64,
    /// Service and a part of what its pods look like.
    pods: &'static [(&'static str, &'static str)],
    /// Service and a part of `REASON: message`.
    events: &'static [(&'static str, &'static str)],
    /// Service and a part of a line.
    logs: &'static [(&'static str, &'static str)],
    /// Service, measure, change.
    metrics: &'static [(&'static str, &'static str, Is)],
    /// Service, share of its spans that are `failed` or `slow`, change.
    traces: &'static [(&'static str, &'static str, Is)],
    /// Services whose pods and logs may look different.
    touched: &'static [&'static str],
    /// Services besides whose figures may be others: they are asked for less or more.
    moved: &'static [&'static str],
}

const HOTELS: &[&str] = &[
    "search",
    "geo",
    "rate",
    "profile",
    "reservation",
    "memcached-rate",
    "memcached-profile",
    "memcached-reserve",
    "mongodb-geo",
    "mongodb-rate",
    "mongodb-profile",
    "mongodb-reservation",
    "jaeger",
    "consul",
    "frontend",
];

const ROWS: &[Row] = &[
    Row {
        fault: r#"revoke-role = { account = { deployment = "mongodb-geo", user = "admin", password = "admin", database = "geo-db", collection = "geo" }, role = "readWrite", by = { user = "admin", password = "admin" }, readers = ["geo"] }"#,
        seconds: 150,
        pods: &[("geo", "waits CrashLoopBackOff"), ("geo", "ended with 1"), ("mongodb-geo", "Running ready")],
        events: &[("geo", "BackOff: Back-off restarting failed container")],
        logs: &[("geo", "not authorized on geo-db to execute command")],
        metrics: &[
            ("geo", "restarts", Is::Over(2.0)),
            ("geo", "rate", Is::Gone),
            ("search", "errors", Is::Over(3.0)),
            ("frontend", "errors", Is::Over(3.0)),
            ("rate", "rate", Is::Below(0.2)),
            ("recommendation", "rate", Is::Same),
        ],
        traces: &[("frontend", "failed", Is::Over(0.2)), ("search", "failed", Is::Over(0.5)), ("recommendation", "failed", Is::Gone)],
        touched: &["geo", "mongodb-geo", "search", "frontend", "consul"],
        moved: HOTELS,
    },
    Row {
        fault: r#"drop-user = { account = { deployment = "mongodb-rate", user = "admin", password = "admin", database = "rate-db", collection = "inventory" }, roles = [{ role = "userAdminAnyDatabase", db = "admin" }, { role = "readWrite", db = "rate-db" }], by = { user = "root", password = "root" }, readers = ["rate"] }"#,
        seconds: 150,
        pods: &[("rate", "waits CrashLoopBackOff"), ("rate", "ended with 2"), ("mongodb-rate", "Running ready")],
        events: &[("rate", "BackOff: Back-off restarting failed container")],
        logs: &[("rate", "server returned error on SASL authentication step: Authentication failed.")],
        metrics: &[
            ("rate", "restarts", Is::Over(2.0)),
            ("rate", "rate", Is::Gone),
            ("search", "errors", Is::Over(3.0)),
            ("geo", "rate", Is::Same),
        ],
        traces: &[("search", "failed", Is::Over(0.2)), ("frontend", "failed", Is::Over(0.2)), ("geo", "failed", Is::Gone)],
        touched: &["rate", "mongodb-rate", "search", "frontend", "consul"],
        moved: HOTELS,
    },
    Row {
        fault: r#"set-image = { deployment = "geo", container = "hotel-reserv-geo", image = "yinfangchen/hotelreservation:1.1.3" }"#,
        seconds: 150,
        pods: &[("geo", "ended with 2")],
        events: &[("geo", "ScalingReplicaSet: Scaled up replica set geo-"), ("geo", "BackOff: Back-off restarting failed container")],
        logs: &[("geo", "no reachable servers"), ("geo", "mongodb-geo:27777")],
        metrics: &[("geo", "rate", Is::Gone), ("geo", "restarts", Is::Over(1.0)), ("frontend", "errors", Is::Over(3.0))],
        traces: &[("search", "failed", Is::Over(0.5)), ("frontend", "failed", Is::Over(0.2))],
        touched: &["geo", "search", "frontend", "consul"],
        moved: HOTELS,
    },
    Row {
        fault: r#"set-command = { deployment = "profile", container = "hotel-reserv-profile", command = ["geo"], anew = true }"#,
        seconds: 150,
        pods: &[("profile", "Running ready restarts 0")],
        events: &[("profile", "ScalingReplicaSet: Scaled up replica set profile-")],
        logs: &[("profile", "cmd/geo/main.go")],
        metrics: &[
            ("frontend", "errors", Is::Over(5.0)),
            ("memcached-profile", "sent", Is::Below(0.3)),
            ("recommendation", "rate", Is::Same),
        ],
        traces: &[("frontend", "failed", Is::Over(0.3)), ("recommendation", "failed", Is::Gone), ("geo", "failed", Is::Gone)],
        touched: &["profile", "geo", "mongodb-geo", "mongodb-profile", "memcached-profile", "frontend", "consul"],
        moved: HOTELS,
    },
    Row {
        fault: r#"target-port = { service = "frontend", port = 5000, target_port = 5001 }"#,
        seconds: 120,
        pods: &[("frontend", "Running ready restarts 0")],
        events: &[],
        logs: &[],
        metrics: &[
            ("frontend", "rate", Is::Gone),
            ("geo", "rate", Is::Gone),
            ("recommendation", "rate", Is::Gone),
            ("consul", "cpu", Is::Below(1.2)),
        ],
        traces: &[("frontend", "failed", Is::Gone)],
        touched: &[],
        moved: &[
            "search",
            "geo",
            "rate",
            "profile",
            "reservation",
            "recommendation",
            "user",
            "memcached-rate",
            "memcached-profile",
            "memcached-reserve",
            "frontend",
            "jaeger",
            "consul",
            "mongodb-geo",
            "mongodb-rate",
            "mongodb-profile",
            "mongodb-reservation",
        ],
    },
    Row {
        fault: r#"scale = { deployment = "recommendation", replicas = 0 }"#,
        seconds: 120,
        pods: &[("recommendation", "none")],
        events: &[("recommendation", "from 1 to 0"), ("recommendation", "Killing: Stopping container")],
        logs: &[],
        metrics: &[
            ("frontend", "errors", Is::Over(2.0)),
            ("recommendation", "rate", Is::Gone),
            ("geo", "rate", Is::Same),
            ("search", "rate", Is::Same),
        ],
        traces: &[("frontend", "failed", Is::Over(0.1)), ("search", "failed", Is::Gone)],
        touched: &["recommendation", "frontend", "consul"],
        moved: &["profile", "memcached-profile", "mongodb-recommendation", "jaeger"],
    },
    Row {
        fault: r#"node-selector = { deployment = "recommendation", key = "disktype", value = "ssd" }"#,
        seconds: 120,
        pods: &[("recommendation", "Pending")],
        events: &[("recommendation", "FailedScheduling: 0/"), ("recommendation", "didn't match Pod's node affinity/selector")],
        logs: &[],
        metrics: &[("frontend", "errors", Is::Over(2.0)), ("recommendation", "rate", Is::Gone), ("geo", "rate", Is::Same)],
        traces: &[("frontend", "failed", Is::Over(0.1)), ("search", "failed", Is::Gone)],
        touched: &["recommendation", "frontend", "consul"],
        moved: &["profile", "memcached-profile", "mongodb-recommendation", "jaeger"],
    },
    Row {
        fault: r#"container-kill = { deployment = "geo", container = "hotel-reserv-geo", again_after_s = 20 }"#,
        seconds: 240,
        pods: &[("geo", "ended with 137")],
        events: &[("geo", "BackOff: Back-off restarting failed container"), ("geo", "Started: ")],
        logs: &[("geo", "Successfully registered in consul")],
        metrics: &[("geo", "restarts", Is::Over(1.0)), ("geo", "rate", Is::Below(0.95)), ("frontend", "errors", Is::Over(0.2))],
        traces: &[("search", "failed", Is::Over(0.02)), ("recommendation", "failed", Is::Gone)],
        touched: &["geo", "mongodb-geo", "search", "frontend", "consul"],
        moved: HOTELS,
    },
    Row {
        fault: r#"pod-image = { deployment = "user", container = "hotel-reserv-user", image = "registry.k8s.io/pause:3.10" }"#,
        seconds: 150,
        pods: &[("user", "unready restarts"), ("user", "ended with 128")],
        events: &[
            ("user", "Killing: Container hotel-reserv-user definition changed, will be restarted"),
            ("user", "executable file not found"),
        ],
        logs: &[],
        metrics: &[
            ("user", "rate", Is::Gone),
            ("user", "restarts", Is::Over(1.0)),
            ("frontend", "errors", Is::Over(0.02)),
            ("geo", "rate", Is::Same),
        ],
        traces: &[("frontend", "failed", Is::Over(0.002)), ("search", "failed", Is::Gone), ("recommendation", "failed", Is::Gone)],
        touched: &["user", "frontend", "consul"],
        moved: &["mongodb-user"],
    },
    Row {
        fault: r#"pod-kill = { deployment = "geo" }"#,
        seconds: 120,
        pods: &[("geo", "Running ready restarts 0")],
        events: &[("geo", "SuccessfulCreate: Created pod: geo-"), ("geo", "Started: ")],
        logs: &[("geo", "Successfully registered in consul")],
        metrics: &[("geo", "restarts", Is::Gone), ("search", "rate", Is::Same), ("recommendation", "rate", Is::Same)],
        traces: &[("recommendation", "failed", Is::Gone)],
        touched: &["geo", "mongodb-geo", "search", "frontend", "consul"],
        moved: HOTELS,
    },
    Row {
        fault: r#"network-loss = { deployment = "user", share = 0.99, callers = ["frontend"] }"#,
        seconds: 240,
        pods: &[("user", "Running ready restarts 0")],
        events: &[],
        logs: &[],
        metrics: &[("user", "rate", Is::Below(0.15)), ("geo", "rate", Is::Same), ("search", "errors", Is::Gone)],
        traces: &[("search", "failed", Is::Gone), ("search", "slow", Is::Gone), ("recommendation", "slow", Is::Gone)],
        touched: &["frontend", "user", "consul"],
        moved: &["mongodb-user"],
    },
    Row {
        fault: r#"network-delay = { deployment = "user", latency_s = 10.0, callers = ["frontend"] }"#,
        seconds: 240,
        pods: &[("user", "Running ready restarts 0")],
        events: &[],
        logs: &[],
        metrics: &[
            ("frontend", "latency", Is::Times(3.0)),
            ("user", "latency", Is::Below(3.0)),
            ("user", "rate", Is::Same),
            ("geo", "rate", Is::Same),
        ],
        traces: &[("frontend", "slow", Is::Over(0.002)), ("user", "slow", Is::Gone), ("search", "slow", Is::Gone)],
        touched: &["frontend", "user", "consul"],
        moved: &["mongodb-user"],
    },
    Row {
        fault: r#"redeploy = { deployment = "mongodb-geo" }"#,
        seconds: 150,
        pods: &[
            ("mongodb-geo", "Pending"),
            ("mongodb-user", "Pending"),
            ("geo", "ended with 2"),
            ("frontend", "Running"),
            ("consul", "Running ready"),
        ],
        events: &[("mongodb-geo", "FailedScheduling: "), ("geo", "BackOff: Back-off restarting failed container")],
        logs: &[("geo", "no reachable servers"), ("profile", "no reachable servers")],
        metrics: &[("geo", "rate", Is::Gone), ("recommendation", "rate", Is::Gone), ("geo", "restarts", Is::Over(1.0))],
        traces: &[],
        touched: &[
            "frontend",
            "search",
            "geo",
            "rate",
            "profile",
            "reservation",
            "recommendation",
            "user",
            "memcached-rate",
            "memcached-profile",
            "memcached-reserve",
            "mongodb-geo",
            "mongodb-rate",
            "mongodb-profile",
            "mongodb-reservation",
            "mongodb-recommendation",
            "mongodb-user",
            "jaeger",
            "consul",
        ],
        moved: &[],
    },
];

#[derive(Deserialize)]
struct Written {
    fault: Fault,
}

fn loaded(seed: u64) -> SimCluster {
    let catalog = Catalog::embedded();
    let app = catalog.app("hotel-reservation").expect("embedded").clone();
    let settled = baseline(&catalog, &app, false).expect("settles");
    SimCluster::new(fork(&settled, &app, seed).expect("forks"))
}

fn list(cluster: &mut SimCluster, group: &str, plural: &str) -> Vec<Object> {
    let kind = resource::builtin_named(group, plural).expect("built in");
    cluster.api(&Identity::operator(), &ApiRequest::list(kind, Some(NS))).expect("listed").into_items()
}

/// The Deployment to which a name of a pod, a ReplicaSet or of the Deployment itself belongs.
fn service_of(services: &[String], name: &str) -> String {
    let of = |service: &&String| name == service.as_str() || name.strip_prefix(service.as_str()).is_some_and(|rest| rest.starts_with('-'));
    services.iter().filter(of).max_by_key(|service| service.len()).map_or_else(|| name.to_owned(), Clone::clone)
}

/// What everybody can see of the application over a window.
#[derive(Default)]
struct View {
    pods: BTreeMap<String, Vec<String>>,
    whole: BTreeMap<String, Vec<Object>>,
    events: Vec<(String, String)>,
    logs: BTreeMap<String, Vec<String>>,
    figures: BTreeMap<(String, &'static str), f64>,
    counts: BTreeMap<String, f64>,
    spans: BTreeMap<String, Spans>,
}

#[derive(Default)]
struct Spans {
    all: f64,
    failed: f64,
    slow: f64,
}

fn look_of(pod: &Object) -> String {
    let mut text = pod.status().get("phase").text().to_owned();
    for state in pod.at(&["status", "containerStatuses"]).items() {
        text.push_str(if state.get("ready").is_true() { " ready" } else { " unready" });
        text.push_str(&format!(" restarts {}", state.get("restartCount").as_i64().unwrap_or(0)));
        if let Some(reason) = state.at(&["state", "waiting", "reason"]).as_str() {
            text.push_str(&format!(" waits {reason}"));
        }
        for of in ["state", "lastState"] {
            if let Some(code) = state.at(&[of, "terminated", "exitCode"]).as_i64() {
                text.push_str(&format!(" ended with {code}"));
            }
        }
    }
    text
}

/// A line without what differs from line to line.
fn shape(line: &str) -> String {
    let mut shape = String::new();
    for c in line.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }) {
        if !(c == '#' && shape.ends_with('#')) {
            shape.push(c);
        }
    }
    let hexadecimal = |word: &str| word.contains('#') && word.chars().all(|c| c.is_ascii_hexdigit() || c == '#' || c == '-');
    let words: Vec<&str> = shape.split(' ').map(|word| if hexadecimal(word) { "#" } else { word }).collect();
    words.join(" ")
}

/// Logs from `began` on, figures and traces from `since` on.
fn look(cluster: &mut SimCluster, began: SimTime, since: SimTime, until: SimTime) -> View {
    let who = Identity::operator();
    let services: Vec<String> = list(cluster, "apps", "deployments").iter().map(|d| d.name().to_owned()).collect();
    let colours = regex::Regex::new("\u{1b}\\[[0-9]+m").expect("valid");
    let mut view = View::default();
    for pod in list(cluster, "", "pods") {
        let service = service_of(&services, pod.name());
        view.pods.entry(service.clone()).or_default().push(look_of(&pod));
        for previous in [true, false] {
            let query = LogQuery {
                namespace: NS.into(),
                pod: pod.name().into(),
                previous,
                since: Some(began),
                tail: Some(3000),
                ..LogQuery::default()
            };
            if let Ok(reply) = cluster.telemetry(&who, &TelemetryQuery::Logs(query)) {
                let text = colours.replace_all(&reply.into_log(), "").into_owned();
                view.logs.entry(service.clone()).or_default().extend(text.lines().map(str::to_owned));
            }
        }
        view.whole.entry(service).or_default().push(pod);
    }
    for event in list(cluster, "", "events") {
        let name = event.at(&["involvedObject", "name"]).text().to_owned();
        view.events.push((service_of(&services, &name), format!("{}: {}", event.get("reason").text(), event.get("message").text())));
    }
    measure(cluster, &services, (since, until), &mut view);
    let query = TracesQuery { namespace: NS.into(), since, until, service: None, limit: 5000 };
    if let Ok(TelemetryReply::Traces(traces)) = cluster.telemetry(&who, &TelemetryQuery::Traces(query)) {
        for span in traces.iter().flat_map(|trace| &trace.spans) {
            let of = view.spans.entry(span.process.service.to_string()).or_default();
            of.all += 1.0;
            let failed = span.error.is_some()
                || span.tags.iter().any(|(key, tag)| {
                    (key == "error" && *tag == Tag::Bool(true))
                        || (key == "http.status_code" && matches!(tag, Tag::Int(code) if *code >= 500))
                });
            of.failed += f64::from(u8::from(failed));
            of.slow += f64::from(u8::from(span.took > Duration::from_secs(1)));
        }
    }
    view
}

fn measure(cluster: &mut SimCluster, services: &[String], (since, until): (SimTime, SimTime), view: &mut View) {
    let names = [
        "requests_total",
        "request_duration_seconds_sum",
        "request_duration_seconds_count",
        "container_cpu_usage_seconds_total",
        "kube_pod_container_status_restarts_total",
        "container_network_transmit_bytes_total",
    ];
    let query = MetricsQuery {
        namespace: NS.into(),
        names: names.iter().map(|name| (*name).into()).collect(),
        since,
        until,
        step: Duration::from_secs(5),
        limit: usize::MAX,
    };
    let reply = cluster.telemetry(&Identity::operator(), &TelemetryQuery::Metrics(query)).expect("metrics");
    let TelemetryReply::Metrics(all) = reply else { panic!("no metrics") };
    let seconds = until.since(since).as_secs_f64();
    for series in all {
        let service = service_of(services, series.label("pod"));
        let (Some(first), Some(last)) = (series.samples.first(), series.samples.last()) else { continue };
        // What began to count within the window counts from nothing.
        let started = if first.0.since(since) > Duration::from_secs(60) { 0.0 } else { first.1 };
        let rise = (last.1 - started).max(0.0);
        let mut add = |measure: &'static str, value: f64| *view.figures.entry((service.clone(), measure)).or_insert(0.0) += value;
        match series.name.as_str() {
            "requests_total" => {
                add("rate", rise / seconds);
                if !matches!(series.label("status"), "200" | "OK") {
                    add("errors", rise / seconds);
                }
                *view.counts.entry(service.clone()).or_insert(0.0) += rise;
            }
            "request_duration_seconds_sum" => add("duration", rise),
            "request_duration_seconds_count" => add("durations", rise),
            "container_cpu_usage_seconds_total" if series.label("container").is_empty() => add("cpu", rise / seconds),
            "container_network_transmit_bytes_total" => add("sent", rise / seconds),
            "kube_pod_container_status_restarts_total" => add("restarts", last.1),
            _ => {}
        }
    }
    for service in services {
        let of = |measure| view.figures.get(&(service.clone(), measure)).copied().unwrap_or(0.0);
        let mean = of("duration") / of("durations").max(1.0);
        view.figures.insert((service.clone(), "latency"), mean);
    }
}

impl View {
    fn figure(&self, service: &str, measure: &'static str) -> f64 {
        self.figures.get(&(service.to_owned(), measure)).copied().unwrap_or(0.0)
    }

    fn share(&self, service: &str, what: &str) -> f64 {
        let Some(spans) = self.spans.get(service) else { return 0.0 };
        let hits = if what == "slow" { spans.slow } else { spans.failed };
        hits / spans.all.max(1.0)
    }
}

fn holds(is: Is, before: f64, after: f64) -> bool {
    match is {
        Is::Gone => after <= before * 0.05 + 1e-9,
        Is::Below(part) => after < before * part,
        Is::Times(factor) => after > before * factor,
        Is::Over(value) => after > value,
        Is::Same => (after - before).abs() <= before * 0.25 + 0.06,
    }
}

/// What does not fit a row, in words.
fn misfits(row: &Row, before: &View, after: &View) -> Vec<String> {
    let mut wrong = Vec::new();
    let nothing = Vec::new();
    for (service, text) in row.pods {
        let pods = after.pods.get(*service).unwrap_or(&nothing);
        let fits = if *text == "none" { pods.is_empty() } else { pods.iter().any(|look| look.contains(text)) };
        if !fits {
            wrong.push(format!("pods of {service}: {pods:?} instead of {text:?}"));
        }
    }
    for (service, text) in row.events {
        if !after.events.iter().any(|(of, event)| of == service && event.contains(text)) {
            wrong.push(format!("no event {text:?} of {service} in {:?}", after.events));
        }
    }
    for (service, text) in row.logs {
        let lines = after.logs.get(*service).unwrap_or(&nothing);
        if !lines.iter().any(|line| line.contains(text)) {
            wrong.push(format!("no line {text:?} of {service}, the last are {:?}", &lines[lines.len().saturating_sub(5)..]));
        }
    }
    for (service, measure, is) in row.metrics {
        let (old, new) = (before.figure(service, measure), after.figure(service, measure));
        if !holds(*is, old, new) {
            wrong.push(format!("{measure} of {service}: {old:.4} before, {new:.4} after, instead of {is:?}"));
        }
    }
    for (service, what, is) in row.traces {
        let (old, new) = (before.share(service, what), after.share(service, what));
        if !holds(*is, old, new) {
            wrong.push(format!("share of {what} spans of {service}: {old:.4} before, {new:.4} after, instead of {is:?}"));
        }
    }
    wrong.extend(noises(row, before, after));
    wrong
}

/// What is seen of services that the fault does not concern.
fn noises(row: &Row, before: &View, after: &View) -> Vec<String> {
    let mut wrong = Vec::new();
    for (service, pods) in before.whole.iter().filter(|(service, _)| !row.touched.contains(&service.as_str())) {
        if after.whole.get(service) != Some(pods) {
            wrong.push(format!("pods of {service} changed: {:?}, {:?}", before.pods.get(service), after.pods.get(service)));
        }
        let known: BTreeSet<String> = before.logs.get(service).into_iter().flatten().map(|line| shape(line)).collect();
        if let Some(line) = after.logs.get(service).into_iter().flatten().find(|line| !known.contains(&shape(line))) {
            wrong.push(format!("{service} logs something new: {line}"));
        }
        if !row.moved.contains(&service.as_str()) {
            wrong.extend(noise(service, before, after));
        }
    }
    for (service, event) in after.events.iter().filter(|(service, _)| !row.touched.contains(&service.as_str())) {
        wrong.push(format!("event of {service}: {event}"));
    }
    wrong
}

fn noise(service: &str, before: &View, after: &View) -> Vec<String> {
    let mut wrong = Vec::new();
    let count = |view: &View| view.counts.get(service).copied().unwrap_or(0.0);
    let (old, new) = (before.figure(service, "rate"), after.figure(service, "rate"));
    // Counts are Poisson's; both windows hold at least two minutes.
    let deviation = (count(before).max(1.0).sqrt() / 300.0).hypot(count(after).max(1.0).sqrt() / 90.0);
    if (old - new).abs() > 6.0 * deviation {
        wrong.push(format!("{service} has {new:.3} requests/s instead of {old:.3}"));
    }
    let (old, new) = (before.figure(service, "cpu"), after.figure(service, "cpu"));
    if (old - new).abs() > 0.35 * old + 0.0003 {
        wrong.push(format!("{service} takes {new:.5} cores instead of {old:.5}"));
    }
    if after.figure(service, "errors") > 0.0 || after.share(service, "failed") > 0.0 || after.share(service, "slow") > 0.0 {
        wrong.push(format!("{service} fails"));
    }
    wrong
}

#[test]
fn every_kind_has_its_signature_and_leaves_others_alone() {
    let mut wrong = Vec::new();
    for row in ROWS {
        let fault = toml::from_str::<Written>(&format!("fault = {{ {} }}", row.fault)).expect("a fault").fault;
        for seed in SEEDS {
            let mut cluster = loaded(seed);
            let start = cluster.now();
            let before = look(&mut cluster, start - BEFORE, start - BEFORE, start);
            assert!(before.events.is_empty(), "a quiet beginning: {:?}", before.events);
            fault.inject(&mut cluster, NS).unwrap_or_else(|error| panic!("{}: {error}", row.fault));
            let (began, since, until) = (start, cluster.now() + SETTLING, cluster.now() + Duration::from_secs(row.seconds));
            cluster.wait(until, &[]);
            assert!(
                fault.prove(&mut cluster, NS).is_ok() || matches!(fault.kind(), "pod-kill" | "container-kill"),
                "{} is not in effect",
                row.fault
            );
            let after = look(&mut cluster, began, since, until);
            for misfit in misfits(row, &before, &after) {
                wrong.push(format!("{} at seed {seed}: {misfit}", fault.kind()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} misfits:\n{}", wrong.len(), wrong.join("\n"));
}

/// Without a fault nothing shows.
#[test]
fn a_healthy_application_shows_nothing() {
    let row = Row { fault: "", seconds: 300, pods: &[], events: &[], logs: &[], metrics: &[], traces: &[], touched: &[], moved: &[] };
    for seed in 0..10 {
        let mut cluster = loaded(seed);
        let start = cluster.now();
        let before = look(&mut cluster, start - BEFORE, start - BEFORE, start);
        cluster.wait(start + Duration::from_secs(row.seconds), &[]);
        let after = look(&mut cluster, start, start + SETTLING, start + Duration::from_secs(row.seconds));
        assert_eq!(misfits(&row, &before, &after), Vec::<String>::new(), "{seed}");
    }
}
