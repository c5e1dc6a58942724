//! `get_traces` and `read_traces`: an application's traces as a CSV file among the agent's, and such a file as a table.

use super::table::{Reply, ToolContext};
use crate::cluster::{TelemetryQuery, TelemetryReply, TracesQuery};
use crate::object::Json;
use crate::shell::HOME;
use crate::shell::vfs::normal;
use crate::telemetry::{Span, Tag, Trace};
use std::time::Duration;

/// Traces of each service that are exported, the latest ones, as in AIOpsLab.
const LIMIT: usize = 100;

/// The columns of the file.
const COLUMNS: &[&str] =
    &["trace_id", "span_id", "parent_span", "service_name", "operation_name", "start_time", "duration", "has_error", "response"];

/// The handler of `get_traces`.
pub fn get_traces(context: &mut ToolContext<'_>, arguments: &[Json]) -> Reply {
    let namespace = arguments.first().map_or("", Json::text);
    let minutes = arguments.get(1).and_then(Json::as_i64).unwrap_or(5).clamp(0, 60 * 24 * 365);
    let now = context.cluster.now();
    let since = now - Duration::from_secs(minutes.unsigned_abs() * 60);
    let query = TracesQuery { namespace: namespace.into(), since, until: now, service: None, limit: LIMIT };
    let text = match context.cluster.telemetry(context.who, &TelemetryQuery::Traces(query)) {
        Ok(TelemetryReply::Traces(traces)) => {
            let folder = format!("{HOME}/trace_output");
            let file = format!("{folder}/traces_{}.csv", now.as_secs());
            let written =
                context.shell.files.make_folder(&folder, true).and_then(|()| context.shell.files.write(&file, csv(&traces).as_bytes()));
            match written {
                Ok(()) => format!("Traces data exported to: {file}"),
                Err(_) => format!("Error: cannot write {file}"),
            }
        }
        Ok(_) => "Error: no traces".to_owned(),
        Err(error) => format!("Error: {}", error.message),
    };
    Reply::Observation(text)
}

/// The handler of `read_traces`.
pub fn read_traces(context: &mut ToolContext<'_>, arguments: &[Json]) -> Reply {
    let path = arguments.first().map_or("", Json::text);
    let text = match context.shell.files.read(&normal(HOME, path)) {
        Err(_) => format!("error: Traces file '{path}' not found."),
        Ok(content) => table(&String::from_utf8_lossy(&content)).unwrap_or_else(|why| format!("Failed to read traces: {why}")),
    };
    Reply::Observation(text)
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

pub(super) fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

/// The cells of CSV; lines without any are left out.
fn parse(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut inside = false;
    let mut rest = text.chars().filter(|c| *c != '\r').peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if inside && rest.peek() == Some(&'"') => {
                rest.next();
                cell.push('"');
            }
            '"' if inside || cell.is_empty() => inside = !inside,
            ',' if !inside => row.push(std::mem::take(&mut cell)),
            '\n' if !inside => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            _ => cell.push(c),
        }
    }
    row.push(cell);
    rows.push(row);
    rows.retain(|row| row.iter().any(|cell| !cell.is_empty()) || row.len() > 1);
    rows
}

/// CSV as pandas prints it without its index: columns to the right, names of columns of numbers set off by one more space.
pub(super) fn table(text: &str) -> Result<String, String> {
    let mut rows = parse(text);
    let header = rows.first().cloned().ok_or("No columns to parse from file")?;
    let width = header.len();
    for (at, row) in rows.iter_mut().enumerate() {
        if row.len() > width {
            let line = at + 1;
            return Err(format!("Error tokenizing data. C error: Expected {width} fields in line {line}, saw {}\n", row.len()));
        }
        row.resize(width, String::new());
        row.iter_mut().filter(|cell| cell.is_empty()).for_each(|cell| *cell = "NaN".to_owned());
    }
    if rows.len() == 1 {
        return Ok(format!("Empty DataFrame\nColumns: [{}]\nIndex: []", header.join(", ")));
    }
    let mut widths = Vec::with_capacity(width);
    for column in 0..width {
        let cells = || rows.iter().skip(1).filter_map(|row| row.get(column));
        let numbers = cells().all(|cell| cell.parse::<f64>().is_ok() && cell != "NaN")
            || cells().all(|cell| matches!(cell.as_str(), "True" | "False"));
        let name = header.get(column).map_or(0, |name| name.chars().count()) + usize::from(numbers);
        widths.push(cells().map(|cell| cell.chars().count()).max().unwrap_or(0).max(name));
    }
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
        cells.join(" ")
    };
    Ok(rows.iter().map(line).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_look_like_those_of_pandas() {
        let check = |text: &str, expect: Result<&str, &str>| {
            assert_eq!(table(text), expect.map(str::to_owned).map_err(str::to_owned), "{text}");
        };
        check("", Err("No columns to parse from file"));
        check("a,b\n", Ok("Empty DataFrame\nColumns: [a, b]\nIndex: []"));
        check("a,b\n1,x\n22,\n", Ok(" a   b\n 1   x\n22 NaN"));
        check("a,bcd\n\"x, \"\"y\"\"\",True\n", Ok("     a  bcd\nx, \"y\" True"));
        check("a\n1\n2,3\n", Err("Error tokenizing data. C error: Expected 1 fields in line 3, saw 2\n"));
        assert_eq!(quoted("x, \"y\""), "\"x, \"\"y\"\"\"");
    }
}
