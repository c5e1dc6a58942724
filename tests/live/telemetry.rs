//! Traces and metrics of an application on a real cluster, through the Jaeger and the Prometheus that are found there.

use crate::reach;
use aiopslab::app::Catalog;
use aiopslab::cluster::environment::{LiveConfig, OnClose};
use aiopslab::cluster::live::Environment;
use aiopslab::cluster::{Cluster, Identity, ProbeRequest};
use aiopslab::object::Json;
use aiopslab::tool::grammar::Dialect;
use aiopslab::tool::table::{Reply, ToolContext};
use aiopslab::tool::{metrics, shell_tool, traces};
use std::time::Duration;

/// The application's namespace.
const NS: &str = "test-hotel-reservation-telem";

#[test]
fn the_agent_gets_the_telemetry_of_its_application() {
    if reach::cluster("telemetry").is_none() {
        return;
    }
    let config = LiveConfig { suffix: Some("telem".into()), cpu_scale: 0.05, on_close: OnClose::Delete, ..LiveConfig::default() };
    let app = Catalog::embedded().app("hotel-reservation").expect("embedded").clone();
    let mut environment = Environment::open(&config, &app, false).unwrap_or_else(|error| panic!("opening: {error}"));
    let outcome = environment.begin().map(|mut cluster| (exported(&mut *cluster), collected(&mut *cluster)));
    let closed = environment.close();
    let ((said, file, table), (tree, metrics)) = outcome.unwrap_or_else(|error| panic!("beginning: {error}"));
    closed.unwrap_or_else(|error| panic!("closing: {error}"));
    assert!(said.starts_with("Traces data exported to: /root/trace_output/traces_"), "{said}");
    let mut lines = file.lines();
    assert_eq!(lines.next(), Some("trace_id,span_id,parent_span,service_name,operation_name,start_time,duration,has_error,response"));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert!(rows.iter().all(|row| row.len() == 9), "{file}");
    let spans = |service: &str| rows.iter().filter(|row| row[3] == service).count();
    assert!(rows.iter().any(|row| row[2] == "ROOT" && row[3] == "frontend" && row[4] == "HTTP GET /hotels" && row[8] == "200"), "{file}");
    assert!(spans("search") > 0 && spans("geo") > 0, "{file}");
    assert_eq!(table.lines().count(), rows.len() + 1);
    for metric in ["container_cpu_usage_seconds_total", "container_memory_working_set_bytes"] {
        assert!(tree.contains(&format!("kpi_{metric}.csv")), "{tree}");
    }
    let frontend = |line: &&str| line.contains(".frontend-") && line.contains(",container_cpu_usage_seconds_total,");
    let found = metrics.lines().find(frontend).unwrap_or_else(|| panic!("no frontend in {metrics}"));
    let spent: f64 = found.rsplit(',').next().and_then(|value| value.parse().ok()).unwrap_or_default();
    assert!(spent > 0.0, "{found}");
    assert!(metrics.starts_with("timestamp,cmdb_id,kpi_name,value\n"), "{metrics}");
}

/// Collects metrics until the frontend has used CPU time: what the tool said, and the file of CPU time.
fn collected(cluster: &mut dyn Cluster) -> (String, String) {
    let who = Identity::agent();
    let limit = cluster.now() + Duration::from_secs(60);
    let mut shell = shell_tool::workstation(cluster.now(), 7);
    loop {
        let late = cluster.now() > limit;
        let mut context = ToolContext { cluster, who: &who, shell: &mut shell, dialect: Dialect::Strict };
        let said = text(metrics::get_metrics(&mut context, &[NS.into(), 5.into()]));
        let folder = said.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap_or_default();
        let path = format!("{folder}/container/kpi_container_cpu_usage_seconds_total.csv");
        let file = context.shell.files.read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        if late || file.contains(".frontend-") {
            return (said, file);
        }
        let pause = cluster.now() + Duration::from_secs(5);
        cluster.wait(pause, &[]);
    }
}

/// Makes requests and exports until their traces have come in: what the tool said, the file and the table.
fn exported(cluster: &mut dyn Cluster) -> (String, String, String) {
    let who = Identity::agent();
    let request = |index| ProbeRequest { namespace: NS.into(), endpoint: "GET /hotels".into(), index };
    let limit = cluster.now() + Duration::from_secs(60);
    let mut shell = shell_tool::workstation(cluster.now(), 7);
    loop {
        cluster.probe(&(0..5).map(request).collect::<Vec<_>>());
        let pause = cluster.now() + Duration::from_secs(2);
        cluster.wait(pause, &[]);
        let late = cluster.now() > limit;
        let mut context = ToolContext { cluster, who: &who, shell: &mut shell, dialect: Dialect::Strict };
        let said = text(traces::get_traces(&mut context, &[NS.into(), 5.into()]));
        let path = said.rsplit(' ').next().unwrap_or_default();
        let file = context.shell.files.read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        if late || file.contains(",geo,") {
            let table = text(traces::read_traces(&mut context, &[path.into()]));
            return (said, file, table);
        }
    }
}

fn text(reply: Reply) -> String {
    match reply {
        Reply::Observation(text) => text,
        Reply::Submission(json) => Json::to_compact(&json),
    }
}
