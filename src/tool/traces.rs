//! `get_traces` and `read_traces`: an application's traces as a CSV file among the agent's, and such a file as a table.

use super::csv::{quoted, table};
use super::table::{Reply, ToolContext};
use super::window::{self, Window};
use crate::cluster::{TelemetryQuery, TelemetryReply, TracesQuery};
use crate::object::Json;
use crate::shell::HOME;
use crate::telemetry::{Span, Tag, Trace};

/// Traces of each service that are exported, the latest ones, as in AIOpsLab.
const LIMIT: usize = 100;

/// The columns of the file.
const COLUMNS: &[&str] =
    &["trace_id", "span_id", "parent_span", "service_name", "operation_name", "start_time", "duration", "has_error", "response"];

/// The handler of `get_traces`.
pub fn get_traces(context: &mut ToolContext<'_>, arguments: &[Json]) -> Reply {
    let Window { namespace, since, until: now } = match Window::of(context, arguments) {
        Ok(window) => window,
        Err(why) => return Reply::Observation(why),
    };
    let query = TracesQuery { namespace: namespace.as_str().into(), since, until: now, service: None, limit: LIMIT };
    let text = match context.cluster.telemetry(context.who, &TelemetryQuery::Traces(query)) {
        Ok(TelemetryReply::Traces(traces)) => {
            let folder = format!("{HOME}/trace_output");
            let file = format!("{folder}/traces_{}.csv", now.as_secs());
            let written =
                context.shell.files.make_folder(&folder, true).and_then(|()| context.shell.files.write(&file, csv(&traces).as_bytes()));
            match written {
                Ok(()) => format!("Traces data exported to: {file}"),
                Err(error) => format!("Error: cannot write {file}: {error}"),
            }
        }
        Ok(_) => "Error: no traces".to_owned(),
        Err(error) => format!("Error: {}", error.message),
    };
    Reply::Observation(text)
}

/// The handler of `read_traces`.
pub fn read_traces(context: &mut ToolContext<'_>, arguments: &[Json]) -> Reply {
    Reply::Observation(window::read(context, arguments.first().map_or("", Json::text), "Traces", table))
}

/// Traces as CSV, one span a line.
pub fn csv(traces: &[Trace]) -> String {
    let mut text = COLUMNS.join(",");
    text.push('\n');
    for trace in traces {
        for span in &trace.spans {
            text.push_str(&row(trace.id, span).map(|cell| quoted(&cell)).join(","));
            text.push('\n');
        }
    }
    text
}

fn row(trace: u64, span: &Span) -> [String; 9] {
    let tag = |name: &str| span.tags.iter().find(|(key, _)| key == name).map(|(_, tag)| tag);
    let failed = tag("error").is_some_and(|tag| matches!(tag, Tag::Bool(true)) || tag.text() == "true");
    let response = tag("http.status_code").or_else(|| tag("response_class")).map_or_else(|| "Unknown".to_owned(), Tag::text);
    [
        format!("{trace:016x}"),
        format!("{:016x}", span.id),
        span.parent.map_or_else(|| "ROOT".to_owned(), |parent| format!("{parent:016x}")),
        span.process.service.to_string(),
        span.operation.to_string(),
        (span.start.as_nanos() / 1000).to_string(),
        span.took.as_micros().to_string(),
        if failed { "True" } else { "False" }.to_owned(),
        response,
    ]
}
