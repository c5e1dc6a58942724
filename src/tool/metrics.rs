//! `get_metrics` and `read_metrics`: a namespace's metrics as CSV files among the agent's, one a metric, and such a file as a table.
//!
//! Folders, columns and texts are AIOpsLab's. Where several containers of a pod have series, the container stands behind the pod in
//! `cmdb_id`; what programs count themselves is in a folder `application`.

use super::table::{Reply, ToolContext};
use super::traces::{quoted, table};
use crate::cluster::{MetricsQuery, TelemetryQuery, TelemetryReply};
use crate::object::Json;
use crate::shell::vfs::normal;
use crate::shell::{HOME, Vfs};
use crate::telemetry::{APPLICATION_METRICS, CONTAINER_METRICS, POD_METRICS, Series};
use std::collections::BTreeMap;
use std::time::Duration;

/// From one sample to the next, as AIOpsLab asks.
const STEP: Duration = Duration::from_secs(15);

/// Samples of one series, at most: two hours.
const LIMIT: usize = 480;

/// The handler of `get_metrics`.
pub fn get_metrics(context: &mut ToolContext<'_>, arguments: &[Json]) -> Reply {
    let namespace = arguments.first().map_or("", Json::text);
    let minutes = arguments.get(1).and_then(Json::as_i64).unwrap_or(5).clamp(0, 60 * 24 * 365);
    let now = context.cluster.now();
    let names = CONTAINER_METRICS.iter().chain(POD_METRICS).chain(APPLICATION_METRICS).filter(|name| !name.ends_with("_bucket"));
    let query = MetricsQuery {
        namespace: namespace.into(),
        names: names.map(|name| (*name).into()).collect(),
        since: now - Duration::from_secs(minutes.unsigned_abs() * 60),
        until: now,
        step: STEP,
        limit: LIMIT,
    };
    let text = match context.cluster.telemetry(context.who, &TelemetryQuery::Metrics(query)) {
        Ok(TelemetryReply::Metrics(series)) => {
            let folder = format!("{HOME}/metrics_output/metric_{}", now.timestamp().strftime("%Y%m%d_%H%M%S"));
            match export(&mut context.shell.files, &folder, &series) {
                Some(tree) => format!("Metrics data exported to directory: {folder}\n{tree}"),
                None => format!("Error: cannot write {folder}"),
            }
        }
        Ok(_) => "Error: no metrics".to_owned(),
        Err(error) => format!("Error: {}", error.message),
    };
    Reply::Observation(text)
}

/// The handler of `read_metrics`.
pub fn read_metrics(context: &mut ToolContext<'_>, arguments: &[Json]) -> Reply {
    let path = arguments.first().map_or("", Json::text);
    let text = match context.shell.files.read(&normal(HOME, path)) {
        Err(_) => format!("error: Metrics file '{path}' not found."),
        Ok(content) => table(&String::from_utf8_lossy(&content)).unwrap_or_else(|why| format!("Failed to read metrics: {why}")),
    };
    Reply::Observation(text)
}

/// Writes one file a metric; returns the tree of what was written.
fn export(files: &mut Vfs, folder: &str, series: &[Series]) -> Option<String> {
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
