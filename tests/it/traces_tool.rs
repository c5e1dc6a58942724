//! `get_traces` and `read_traces` on the simulated cluster.

use crate::hotel_fixture::{Hotel, NS};
use aiopslab::cluster::sim::store::Kind;
use aiopslab::cluster::{Cluster, Identity, TelemetryQuery, TelemetryReply, TracesQuery};
use aiopslab::object::Json;
use aiopslab::shell::Shell;
use aiopslab::telemetry::Trace;
use aiopslab::tool::grammar::Dialect;
use aiopslab::tool::table::{Reply, ToolContext};
use aiopslab::tool::{metrics, shell_tool, traces};
use aiopslab::workload::Arrivals;
use std::time::Duration;

fn loaded() -> (Hotel, Shell) {
    let mut hotel = Hotel::deployed(1);
    hotel.drive(5.0, Arrivals::Poisson);
    hotel.run(60.0);
    let shell = shell_tool::workstation(hotel.cluster.now(), 7);
    (hotel, shell)
}

type Handler = fn(&mut ToolContext<'_>, &[Json]) -> Reply;

fn call(hotel: &mut Hotel, shell: &mut Shell, handler: Handler, arguments: &[Json]) -> String {
    let who = Identity::operator();
    let mut context = ToolContext { cluster: &mut hotel.cluster, who: &who, shell, dialect: Dialect::Strict };
    match handler(&mut context, arguments) {
        Reply::Observation(text) => text,
        Reply::Submission(json) => panic!("{}", json.to_compact()),
    }
}

fn asked(hotel: &mut Hotel, namespace: &str, seconds: u64) -> Result<Vec<Trace>, String> {
    let until = hotel.cluster.now();
    let query = TracesQuery { namespace: namespace.into(), since: until - Duration::from_secs(seconds), until, service: None, limit: 20 };
    match hotel.cluster.telemetry(&Identity::operator(), &TelemetryQuery::Traces(query)) {
        Ok(TelemetryReply::Traces(traces)) => Ok(traces),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn traces_are_exported_and_read() {
    let (mut hotel, mut shell) = loaded();
    let before = hotel.cluster.state_hash();
    let said = call(&mut hotel, &mut shell, traces::get_traces, &[NS.into(), 1.into()]);
    assert_eq!(said, format!("Traces data exported to: /root/trace_output/traces_{}.csv", hotel.cluster.now().as_secs()));
    assert_eq!(hotel.cluster.state_hash(), before, "reading changes nothing");
    let path = said.rsplit(' ').next().unwrap_or_default();
    let file = String::from_utf8(shell.files.read(path).expect("a file").to_vec()).expect("text");
    let mut lines = file.lines();
    assert_eq!(lines.next(), Some("trace_id,span_id,parent_span,service_name,operation_name,start_time,duration,has_error,response"));
    let root = lines.next().expect("a span").split(',').collect::<Vec<_>>();
    assert_eq!((root[2], root[3], root[7], root[8]), ("ROOT", "frontend", "False", "200"));
    assert!(lines.all(|line| line.split(',').count() == 9));
    let (mut again, mut other) = loaded();
    assert_eq!(call(&mut again, &mut other, traces::get_traces, &[NS.into(), 1.into()]), said);
    assert_eq!(other.files.read(path).expect("a file").to_vec(), file.as_bytes(), "the same seed gives the same bytes");
    let table = call(&mut hotel, &mut shell, traces::read_traces, &[path.trim_start_matches("/root/").into()]);
    assert_eq!(table.lines().count(), file.lines().count());
    let words: Vec<&str> = table.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(words.join(","), file.lines().next().unwrap_or_default());
    assert_eq!(call(&mut hotel, &mut shell, traces::read_traces, &["x.csv".into()]), "error: Traces file 'x.csv' not found.");
}

#[test]
fn the_window_and_the_jaeger_are_those_that_were_asked_for() {
    let (mut hotel, _) = loaded();
    let since = hotel.cluster.now() - Duration::from_secs(10);
    let found = asked(&mut hotel, NS, 10).expect("traces");
    assert!(!found.is_empty() && found.iter().all(|trace| trace.spans.iter().any(|span| span.start >= since)));
    let mut ids: Vec<u64> = found.iter().map(|trace| trace.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), found.len(), "each trace once");
    assert_eq!(asked(&mut hotel, "default", 10), Ok(found), "the Jaeger of another namespace");
    hotel.delete(Kind::SERVICE, "jaeger-out");
    hotel.delete(Kind::SERVICE, "jaeger");
    let error = asked(&mut hotel, NS, 10).expect_err("no Jaeger");
    assert!(error.starts_with("no Jaeger found: "), "{error}");
}

#[test]
fn metrics_are_exported_and_read() {
    let (mut hotel, mut shell) = loaded();
    let before = hotel.cluster.state_hash();
    let said = call(&mut hotel, &mut shell, metrics::get_metrics, &[NS.into(), 1.into()]);
    assert_eq!(hotel.cluster.state_hash(), before, "reading changes nothing");
    let folder =
        said.lines().next().and_then(|line| line.strip_prefix("Metrics data exported to directory: ")).expect("a directory").to_owned();
    assert!(folder.starts_with("/root/metrics_output/metric_2026"), "{folder}");
    assert!(said.contains("\n    container/\n        kpi_container_cpu_cfs_periods_total.csv\n"), "{said}");
    let path = format!("{folder}/container/kpi_container_cpu_usage_seconds_total.csv");
    let file = String::from_utf8(shell.files.read(&path).expect("a file").to_vec()).expect("text");
    assert_eq!(file.lines().next(), Some("timestamp,cmdb_id,kpi_name,value"));
    assert!(file.lines().any(|l| l.contains(".hotel-reserv-frontend,container_cpu_usage_seconds_total,")), "{file}");
    let requests = shell.files.read(&format!("{folder}/application/kpi_requests_total.csv")).expect("a file").to_vec();
    assert!(String::from_utf8_lossy(&requests).contains(",requests_total.GET /hotels.200,"));
    let (mut again, mut other) = loaded();
    assert_eq!(call(&mut again, &mut other, metrics::get_metrics, &[NS.into(), 1.into()]), said);
    assert_eq!(other.files.read(&path).expect("a file").to_vec(), file.as_bytes(), "the same seed gives the same bytes");
    let table = call(&mut hotel, &mut shell, metrics::read_metrics, &[path.as_str().into()]);
    assert_eq!(table.lines().count(), file.lines().count());
    assert_eq!(call(&mut hotel, &mut shell, metrics::read_metrics, &["x.csv".into()]), "error: Metrics file 'x.csv' not found.");
}
