//! `get_metrics` and `read_metrics`: a namespace's metrics as CSV files among the agent's, one a metric, and such a file as a table.
//!
//! Folders, columns and texts are AIOpsLab's. Where several containers of a pod have series, the container stands behind the pod in
//! `cmdb_id`; what programs count themselves is in a folder `application`.

use super::csv::{quoted, table};
use super::grammar::Dialect;
use super::table::{Reply, ToolContext};
use super::window::{self, Window};
use crate::cluster::{MetricsQuery, TelemetryQuery, TelemetryReply};
use crate::object::Json;
use crate::shell::{HOME, Vfs};
use crate::telemetry::{APPLICATION_METRICS, CONTAINER_METRICS, POD_METRICS, Series};
use std::collections::BTreeMap;
use std::time::Duration;

/// From one sample to the next, as AIOpsLab asks.
const STEP: Duration = Duration::from_secs(15);

/// Minutes that are exported at most, the latest ones.
const MINUTES: u64 = 120;

/// Samples of one series, at most: as many as these minutes have, both ends included.
const LIMIT: usize = 481;

/// The handler of `get_metrics`.
pub fn get_metrics(context: &mut ToolContext<'_>, arguments: &[Json]) -> Reply {
    let window = match Window::of(context, arguments) {
        Ok(window) => window,
        Err(why) => return Reply::Observation(why),
    };
    let now = window.until;
    let names = CONTAINER_METRICS.iter().chain(POD_METRICS).chain(APPLICATION_METRICS).filter(|name| !name.ends_with("_bucket"));
    let query = MetricsQuery {
        namespace: window.namespace.as_str().into(),
        names: names.map(|name| (*name).into()).collect(),
        since: window.since,
        until: now,
        step: STEP,
        limit: LIMIT,
    };
    let text = match context.cluster.telemetry(context.who, &TelemetryQuery::Metrics(query)) {
        Ok(TelemetryReply::Metrics(series)) if series.is_empty() => {
            format!("Error: there are no metrics of namespace \"{}\" in the last {} minutes.", window.namespace, window.minutes())
        }
        Ok(TelemetryReply::Metrics(series)) => {
            let folder = format!("{HOME}/metrics_output/metric_{}", now.timestamp().strftime("%Y%m%d_%H%M%S"));
            let more =
                if window.minutes() > MINUTES { format!("(the last {MINUTES} minutes of {})\n", window.minutes()) } else { String::new() };
            let istio = context.dialect == Dialect::Strict;
            match export(&mut context.shell.files, &folder, &series, istio) {
                Some(tree) => format!("Metrics data exported to directory: {folder}\n{tree}{more}"),
                None => format!("Error: cannot write {folder}: no space left on device"),
            }
        }
        Ok(_) => "Error: no metrics".to_owned(),
        Err(error) => format!("Error: {}", error.message),
    };
    Reply::Observation(text)
}

/// The handler of `read_metrics`.
pub fn read_metrics(context: &mut ToolContext<'_>, arguments: &[Json]) -> Reply {
    Reply::Observation(window::read(context, arguments.first().map_or("", Json::text), "Metrics", table))
}

/// Writes one file a metric, and the folder for a mesh's that AIOpsLab always makes and leaves empty; returns the tree of what was written.
fn export(files: &mut Vfs, folder: &str, series: &[Series], istio: bool) -> Option<String> {
    let mut written: BTreeMap<(&str, &str), String> = BTreeMap::new();
    for series in series {
        let part = if APPLICATION_METRICS.contains(&series.name.as_str()) { "application" } else { "container" };
        let text = written.entry((part, &series.name)).or_insert_with(|| "timestamp,cmdb_id,kpi_name,value\n".to_owned());
        let (id, name) = (quoted(&owner(series)), quoted(&kpi(series)));
        for (at, value) in &series.samples {
            text.push_str(&format!("{},{id},{name},{value:.3}\n", at.as_secs()));
        }
    }
    let mut tree = format!("{}/\n", folder.rsplit('/').next().unwrap_or_default());
    let mut current = "";
    files.make_folder(folder, true).ok()?;
    for ((part, name), text) in &written {
        if *part != current {
            current = part;
            files.make_folder(&format!("{folder}/{part}"), true).ok()?;
            tree.push_str(&format!("    {part}/\n"));
        }
        files.write(&format!("{folder}/{part}/kpi_{name}.csv"), text.as_bytes()).ok()?;
        tree.push_str(&format!("        kpi_{name}.csv\n"));
    }
    if istio {
        files.make_folder(&format!("{folder}/istio"), true).ok()?;
        tree.push_str("    istio/\n");
    }
    Some(tree)
}

/// Whose series it is: `INSTANCE.POD` for a pod as a whole, `INSTANCE.POD.CONTAINER` for one of its containers.
fn owner(series: &Series) -> String {
    let parts = [series.label("instance"), series.label("pod"), series.label("container")];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
}

/// The metric's name, followed by what tells its series apart.
fn kpi(series: &Series) -> String {
    let parts = [series.name.as_str(), series.label("interface"), series.label("operation"), series.label("status")];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
}
