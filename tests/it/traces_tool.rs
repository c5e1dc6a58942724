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

/// AIOpsLab's files, with those that a mistake of its list loses, and ours: starts, restarts and what programs count.
const FILES: &str = "metric/
    application/
        kpi_process_start_time_seconds.csv
        kpi_request_duration_seconds_count.csv
        kpi_request_duration_seconds_sum.csv
        kpi_requests_total.csv
    container/
        kpi_container_cpu_cfs_periods_total.csv
        kpi_container_cpu_cfs_throttled_periods_total.csv
        kpi_container_cpu_cfs_throttled_seconds_total.csv
        kpi_container_cpu_load_average_10s.csv
        kpi_container_cpu_system_seconds_total.csv
        kpi_container_cpu_usage_seconds_total.csv
        kpi_container_cpu_user_seconds_total.csv
        kpi_container_memory_cache.csv
        kpi_container_memory_mapped_file.csv
        kpi_container_memory_rss.csv
        kpi_container_memory_usage_bytes.csv
        kpi_container_memory_working_set_bytes.csv
        kpi_container_network_receive_bytes_total.csv
        kpi_container_network_receive_errors_total.csv
        kpi_container_network_receive_packets_dropped_total.csv
        kpi_container_network_receive_packets_total.csv
        kpi_container_network_transmit_bytes_total.csv
        kpi_container_network_transmit_errors_total.csv
        kpi_container_network_transmit_packets_dropped_total.csv
        kpi_container_network_transmit_packets_total.csv
        kpi_container_spec_cpu_period.csv
        kpi_container_spec_cpu_quota.csv
        kpi_container_spec_cpu_shares.csv
        kpi_container_spec_memory_limit_bytes.csv
        kpi_container_start_time_seconds.csv
        kpi_container_threads.csv
        kpi_container_threads_max.csv
        kpi_kube_pod_container_status_restarts_total.csv
    istio/";

#[test]
fn arguments_that_mean_nothing_say_so() {
    let (mut hotel, mut shell) = loaded();
    let mut check = |handler: Handler, arguments: &[Json], expect: &str| {
        let said = call(&mut hotel, &mut shell, handler, arguments);
        assert_eq!(said, expect, "{arguments:?}");
    };
    let nowhere = "Error: namespace \"nowhere\" does not exist. Use kubectl to check.";
    let empty = "Error: there are no metrics of namespace \"default\" in the last 5 minutes.";
    for handler in [metrics::get_metrics as Handler, traces::get_traces] {
        check(handler, &["nowhere".into()], nowhere);
        check(handler, &["".into()], "Error: namespace \"\" does not exist. Use kubectl to check.");
        for minutes in [-5, 0, i64::MAX] {
            let expect = format!("Error: duration is {minutes}; it is the number of minutes to look back, 1 to 525600.");
            check(handler, &[NS.into(), minutes.into()], &expect);
        }
    }
    hotel.apply(&[
        aiopslab::object! { "apiVersion" => "v1", "kind" => "Namespace", "metadata" => aiopslab::object! { "name" => "default" } },
    ]);
    assert_eq!(call(&mut hotel, &mut shell, metrics::get_metrics, &["default".into()]), empty);
    let all = call(&mut hotel, &mut shell, metrics::get_metrics, &[NS.into(), 100_000.into()]);
    assert!(all.ends_with("    istio/\n(the last 120 minutes of 100000)\n"), "{all}");
    let mut read = |handler: Handler, path: &str, expect: &str| {
        assert_eq!(call(&mut hotel, &mut shell, handler, &[path.into()]), expect);
    };
    read(metrics::read_metrics, "metrics_output", "Failed to read metrics: [Errno 21] Is a directory: 'metrics_output'");
    read(traces::read_traces, "/root/.kube", "Failed to read traces: [Errno 21] Is a directory: '/root/.kube'");
    read(traces::read_traces, "", "Failed to read traces: [Errno 21] Is a directory: ''");
    read(traces::read_traces, "../x", "error: Traces file '../x' not found.");
    shell.files.write("/root/binary", &[b'a', 0xff]).expect("written");
    shell.files.write("/root/empty", b"").expect("written");
    let mut read = |path: &str, expect: &str| assert_eq!(call(&mut hotel, &mut shell, metrics::read_metrics, &[path.into()]), expect);
    read("binary", "Failed to read metrics: 'utf-8' codec can't decode byte 0xff in position 1: invalid start byte");
    read("empty", "Failed to read metrics: No columns to parse from file");
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
    let files: Vec<&str> = said.lines().skip(1).collect();
    assert_eq!(files, FILES.lines().map(|line| if line == "metric/" { files[0] } else { line }).collect::<Vec<_>>(), "{said}");
    assert!(shell.files.list(&format!("{folder}/istio")).expect("a folder").is_empty());
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
