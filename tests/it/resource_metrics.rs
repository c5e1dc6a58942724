//! The resource metrics API on the simulated cluster, and `kubectl top`: forms and texts are those of kubectl 1.34.4 with metrics-server 0.8.

use crate::hotel_fixture::NS;
use crate::recorded::words;
use aiopslab::app::Catalog;
use aiopslab::cluster::sim::baseline;
use aiopslab::cluster::sim::cluster::SimCluster;
use aiopslab::cluster::sim::metrics::derive;
use aiopslab::cluster::sim::store::{Key, Kind};
use aiopslab::cluster::{Cluster, Disturbance, Identity, MetricsQuery};
use aiopslab::object::Json;
use aiopslab::tool::kubectl::{self, Context, Files};
use std::time::Duration;

struct NoFiles;

impl Files for NoFiles {
    fn read(&mut self, _: &str) -> Option<Vec<u8>> {
        None
    }
    fn list(&mut self, _: &str) -> Option<Vec<String>> {
        None
    }
    fn write(&mut self, _: &str, _: &[u8]) -> Result<(), String> {
        Ok(())
    }
}

struct Hotel(SimCluster);

impl Hotel {
    /// An episode's cluster, some minutes on.
    fn new(seed: u64) -> Hotel {
        let catalog = Catalog::embedded();
        let app = catalog.app("hotel-reservation").expect("there").clone();
        let world = baseline::fork(&baseline::baseline(&catalog, &app, false).expect("settles"), &app, seed).expect("forks");
        let mut hotel = Hotel(SimCluster::new(world));
        hotel.run(300);
        hotel
    }

    fn run(&mut self, seconds: u64) {
        let until = self.0.now() + Duration::from_secs(seconds);
        self.0.wait(until, &[]);
    }

    /// What a command of the agent's prints: output, errors behind `2| `.
    fn kubectl(&mut self, line: &str) -> String {
        self.kubectl_as(&Identity::agent(), line)
    }

    fn kubectl_as(&mut self, who: &Identity, line: &str) -> String {
        let deadline = self.0.now() + Duration::from_secs(30);
        let files = &mut NoFiles;
        let mut cx = Context { cluster: &mut self.0, who, namespace: NS, kubeconfig: "", files, stdin: b"", deadline };
        let output = kubectl::run(&mut cx, &words(line));
        output.stderr.lines().fold(output.stdout, |text, line| format!("{text}2| {line}\n"))
    }

    fn json(&mut self, line: &str) -> Json {
        let text = self.kubectl(line);
        Json::parse(&text).unwrap_or_else(|error| panic!("{line}: {error}: {text}"))
    }
}

#[test]
fn top_prints_tables() {
    let mut hotel = Hotel::new(1);
    let before = hotel.0.state_hash();
    let pods = hotel.kubectl("top pods");
    let mut lines = pods.lines();
    let header = lines.next().expect("a header");
    assert_eq!(header.split_whitespace().collect::<Vec<_>>(), ["NAME", "CPU(cores)", "MEMORY(bytes)"]);
    assert!(header.ends_with("MEMORY(bytes)   "), "columns are padded: {header:?}");
    let names: Vec<&str> = lines.map(|line| line.split_whitespace().next().expect("a name")).collect();
    assert!(names.len() == 19 && names.is_sorted(), "{names:?}");
    let nodes = hotel.kubectl("top node");
    assert_eq!(nodes.lines().count(), 4, "{nodes}");
    let row = nodes.lines().nth(1).expect("a node").split_whitespace().collect::<Vec<_>>();
    assert!(
        row[0] == "node-1" && row[1].ends_with('m') && row[2].ends_with('%') && row[3].ends_with("Mi") && row[4].ends_with('%'),
        "{row:?}"
    );
    assert_eq!(hotel.kubectl("top pods --use-protocol-buffers=false"), pods);
    let cells = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(cells(&hotel.kubectl("top po --no-headers")), cells(&pods)[3..]);
    let one = format!("top pod {}", names[0]);
    assert!(hotel.kubectl(&one).lines().count() == 2);
    let by = |text: &str, column: usize| -> Vec<u64> {
        let number = |cell: &str| cell.trim_end_matches(|c: char| c.is_alphabetic()).parse().expect("a number");
        text.lines().skip(1).map(|line| number(line.split_whitespace().nth(column).expect("a cell"))).collect()
    };
    for (key, column) in [("cpu", 1), ("memory", 2)] {
        let values = by(&hotel.kubectl(&format!("top pods --sort-by={key}")), column);
        assert!(values.is_sorted_by(|a, b| a >= b), "{key}: {values:?}");
    }
    let sum = hotel.kubectl("top pods --sum");
    let total: u64 =
        by(&sum.lines().rev().skip(2).collect::<Vec<_>>().into_iter().rev().map(|l| format!("{l}\n")).collect::<String>(), 2).iter().sum();
    let summed: u64 =
        sum.lines().last().and_then(|l| l.split_whitespace().nth(1)).and_then(|c| c.trim_end_matches("Mi").parse().ok()).expect("a sum");
    assert!(summed.abs_diff(total) <= 19, "each is rounded down: {summed} and {total}");
    let all = hotel.kubectl("top pods -A --containers -l io.kompose.service=geo");
    let cells: Vec<Vec<&str>> = all.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(cells[0], ["NAMESPACE", "POD", "NAME", "CPU(cores)", "MEMORY(bytes)"]);
    assert_eq!((cells.len(), cells[1][0], cells[1][2]), (2, NS, "hotel-reserv-geo"));
    assert_eq!(hotel.0.state_hash(), before, "reading changes nothing");
    assert_eq!(hotel.kubectl("top pods"), pods);
}

#[test]
fn mistakes_are_told_as_by_kubectl() {
    let mut hotel = Hotel::new(2);
    let mut check = |line: &str, expect: &str| assert_eq!(hotel.kubectl(line), expect, "{line}");
    check("top pod nosuch", "2| Error from server (NotFound): pods \"nosuch\" not found\n");
    check("top nodes nosuch", "2| Error from server (NotFound): node \"nosuch\" not found\n");
    check("top pods -n nosuch", "2| No resources found in nosuch namespace.\n");
    check("top pods -l nope=1", &format!("2| No resources found in {NS} namespace.\n"));
    check("top pods -A -l nope=1", "2| No resources found\n");
    check("top nodes -l nope=1", "2| error: metrics not available yet\n");
    check("top pods --sort-by=name", "2| error: --sort-by accepts only cpu or memory\n");
    check("top pod a -l b=c", "2| error: only one of NAME or selector can be provided\n");
    check("top node a -l b=c", "2| error: only one of NAME or --selector can be provided\n");
    check("top pods --field-selector=x", "2| error: invalid selector: 'x'; can't understand 'x'\n");
    let unknown = "2| Error from server (BadRequest): \"status.phase\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"\n";
    check("top pods --field-selector=status.phase=Running", unknown);
    check("get podmetrics nosuch", "2| Error from server (NotFound): pods \"nosuch\" not found\n");
    let refused = "2| Error from server (MethodNotAllowed): the server does not allow this method on the requested resource\n";
    check("delete podmetrics x", refused);
}

#[test]
fn the_api_is_discovered_and_read() {
    let mut hotel = Hotel::new(3);
    let served = hotel.kubectl("api-resources --api-group=metrics.k8s.io -o wide --no-headers");
    let rows: Vec<Vec<&str>> = served.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["nodes", "metrics.k8s.io/v1beta1", "false", "NodeMetrics", "get,list"]);
    assert_eq!(rows[1], ["pods", "metrics.k8s.io/v1beta1", "true", "PodMetrics", "get,list"]);
    assert!(hotel.kubectl("get pods").contains("Running"), "pods are still pods");
    let table = hotel.kubectl("get podmetrics -l io.kompose.service=frontend");
    let cells: Vec<&str> = table.split_whitespace().collect();
    assert_eq!(cells[..4], ["NAME", "CPU", "MEMORY", "WINDOW"], "{table}");
    assert!(cells[5].ends_with('n') && cells[6].ends_with("Ki") && cells[7].ends_with('s'), "{table}");
    let list = hotel.json("get --raw /apis/metrics.k8s.io/v1beta1/nodes");
    assert_eq!((list.get("kind").text(), list.get("items").items().len()), ("NodeMetricsList", 3));
    assert_eq!(list.get("metadata").to_compact(), "{}");
    let path = format!("get --raw /apis/metrics.k8s.io/v1beta1/namespaces/{NS}/pods?labelSelector=io.kompose.service%3Dgeo");
    let pods = hotel.json(&path);
    let pod = pods.get("items").nth(0);
    assert_eq!(pod.at(&["metadata", "labels", "io.kompose.service"]).text(), "geo");
    assert!(pod.get("containers").nth(0).at(&["usage", "cpu"]).text().ends_with('n'), "{pod:?}");
    let names = hotel.kubectl("get pods.metrics.k8s.io -o name -l io.kompose.service=geo");
    assert!(names.starts_with("podmetrics.metrics.k8s.io/geo-"), "{names}");
    assert_eq!(hotel.kubectl("auth can-i list pods.metrics.k8s.io -A"), "yes\n");
    for role in ["view", "edit", "admin"] {
        let rules = hotel.0.world.store.get(&Key::new(Kind::CLUSTER_ROLE, "", role)).expect("a role").get("rules").to_compact();
        assert!(
            rules.contains(r#"{"apiGroups":["metrics.k8s.io"],"resources":["pods","nodes"],"verbs":["get","list","watch"]}"#),
            "{rules}"
        );
    }
    let nobody = Identity { user: "nobody".into(), groups: vec!["system:authenticated".into()] };
    let refused = hotel.kubectl_as(&nobody, "get nodemetrics");
    assert!(refused.contains("nodes.metrics.k8s.io is forbidden: User \"nobody\" cannot list resource \"nodes\""), "{refused}");
}

#[test]
fn values_are_those_of_the_other_metrics() {
    let mut hotel = Hotel::new(4);
    let metrics = hotel.json(&format!("get --raw /apis/metrics.k8s.io/v1beta1/namespaces/{NS}/pods"));
    let now = hotel.0.now();
    let names = ["container_cpu_usage_seconds_total", "container_memory_working_set_bytes"].map(Into::into).to_vec();
    let query = MetricsQuery {
        namespace: NS.into(),
        names,
        since: now - Duration::from_secs(60),
        until: now,
        step: Duration::from_secs(15),
        limit: 10,
    };
    let series = derive(&hotel.0.world, &query);
    let mut checked = 0;
    for pod in metrics.get("items").items() {
        let name = pod.at(&["metadata", "name"]).text();
        let usage = pod.get("containers").nth(0).get("usage");
        let number = |field: &str| aiopslab::object::quantity::Quantity::of(usage.get(field)).expect("a quantity").as_f64();
        let of = |metric: &str| {
            series.iter().find(|s| s.name == metric && s.label("pod") == name && !s.label("container").is_empty()).expect("a series")
        };
        let cpu = of("container_cpu_usage_seconds_total");
        let (first, last) = (cpu.samples[0], cpu.samples[cpu.samples.len() - 1]);
        let rate = (last.1 - first.1) / last.0.since(first.0).as_secs_f64();
        assert!((number("cpu") - rate).abs() < rate * 0.6 + 0.001, "{name}: {} and {rate} cores", number("cpu"));
        let memory = of("container_memory_working_set_bytes").samples.last().expect("a sample").1;
        assert!((number("memory") / memory - 1.0).abs() < 0.05, "{name}: {} and {memory} bytes", number("memory"));
        let window: f64 = pod.get("window").text().trim_end_matches('s').parse().expect("seconds");
        assert!((5.0..25.0).contains(&window), "{window}");
        checked += 1;
    }
    assert_eq!(checked, 19);
}

#[test]
fn a_young_pod_is_not_measured_yet() {
    let mut hotel = Hotel::new(5);
    let old = hotel.kubectl("get pods -l io.kompose.service=geo -o name").trim().trim_start_matches("pod/").to_owned();
    hotel.kubectl(&format!("delete pod {old}"));
    hotel.run(2);
    let young = hotel.kubectl("get pods -l io.kompose.service=geo -o name").trim().trim_start_matches("pod/").to_owned();
    assert_ne!(young, old);
    let expect = format!("2| Error from server (NotFound): podmetrics.metrics.k8s.io \"{NS}/{young}\" not found\n");
    assert_eq!(hotel.kubectl(&format!("top pod {young}")), expect);
    assert_eq!(hotel.kubectl("top pods -l io.kompose.service=geo"), "2| error: metrics not available yet\n");
    let mut waited = 0;
    while hotel.kubectl(&format!("top pod {young}")).starts_with("2| ") {
        hotel.run(1);
        waited += 1;
        assert!(waited <= 45, "two scrapes are enough");
    }
    assert!(waited >= 8, "{waited} s");
    // A pod that never runs has none, however old it is.
    hotel.kubectl("set image deployment/geo hotel-reserv-geo=nowhere.example/none:1");
    hotel.run(200);
    let pending = hotel.kubectl("get pods -l io.kompose.service=geo --sort-by=.metadata.creationTimestamp -o name");
    let pending = pending.lines().last().expect("a pod").trim_start_matches("pod/").to_owned();
    let said = hotel.kubectl(&format!("top pods --field-selector=metadata.name={pending}"));
    assert!(said.starts_with(&format!("2| error: Metrics not available for pod {NS}/{pending}, age: 3m")), "{said}");
}

#[test]
fn a_node_whose_kubelet_is_stopped_is_unknown() {
    let mut hotel = Hotel::new(6);
    let pods = hotel.kubectl("top pods --no-headers").lines().count();
    hotel.0.disturb("stop", &Disturbance::NodeStop { node: "node-2".into() }).expect("stopped");
    hotel.run(40);
    let nodes = hotel.kubectl("top nodes");
    let last: Vec<&str> = nodes.lines().last().expect("a line").split_whitespace().collect();
    assert_eq!(last, ["node-2", "<unknown>", "<unknown>", "<unknown>", "<unknown>"], "{nodes}");
    assert!(hotel.kubectl("top pods --no-headers").lines().count() < pods, "its pods are not measured");
    let one = hotel.kubectl("top node node-2");
    assert_eq!(one, "2| Error from server (NotFound): nodemetrics.metrics.k8s.io \"node-2\" not found\n");
}
