//! `kubectl top`: what nodes and pods use, from the metrics API (`metrics.k8s.io`), where a cluster serves it.

use super::builder::{ALL_NAMESPACES, SELECTOR};
use super::command::{Call, Command};
use super::failure::Failure;
use super::flags::Flag;
use super::output::sorting::{Swappable, sort};
use super::output::tabs::{TABLE, align};
use crate::cluster::{ApiRequest, Options};
use crate::object::quantity::Quantity;
use crate::object::{FieldSelector, Json, Object, ResourceRef, Selector};
use crate::time::SimTime;
use std::cmp::Ordering;

static FLAGS: &[Flag] = &[
    Flag::switch("no-headers", "Leave the header line out."),
    Flag::switch("show-swap", "Show swap memory too."),
    Flag::text("sort-by", "Sort by cpu or memory."),
    Flag::switch("use-protocol-buffers", "Ask the metrics API for protocol buffers.").default("true"),
];
static NODE_FLAGS: &[Flag] = &[Flag::switch("show-capacity", "Compare with the capacity of nodes instead of what is allocatable.")];
static POD_FLAGS: &[Flag] = &[
    Flag::switch("containers", "One line a container."),
    Flag::text("field-selector", "Field query: =, ==, != and several with commas."),
    Flag::switch("sum", "Print the sum too."),
];

/// `kubectl top`.
pub static COMMAND: Command = Command::group("kubectl top", "[flags]", "Display resource (CPU/memory) usage", &[&NODE, &POD]);

static NODE: Command = Command::leaf(
    "kubectl top node",
    "[NAME | -l label]",
    "Display resource (CPU/memory) usage of nodes",
    &[FLAGS, NODE_FLAGS, SELECTOR],
    nodes,
)
.aliases(&["nodes", "no"]);

static POD: Command = Command::leaf(
    "kubectl top pod",
    "[NAME | -l label]",
    "Display resource (CPU/memory) usage of pods",
    &[FLAGS, POD_FLAGS, SELECTOR, ALL_NAMESPACES],
    pods,
)
.aliases(&["pods", "po"]);

/// How old a pod is when its metrics must be there.
const METRICS_DELAY_S: u64 = 120;

/// CPU, memory and swap.
type Amounts = [Quantity; 3];

/// One line of the table.
struct Row {
    /// Namespace, pod, name.
    names: [String; 3],
    usage: Amounts,
}

struct Rows(Vec<Row>, String);

impl Swappable for Rows {
    fn less(&self, a: usize, b: usize) -> bool {
        order(&self.1, &self.0[a], &self.0[b]) == Ordering::Less
    }
    fn swap(&mut self, a: usize, b: usize) {
        self.0.swap(a, b);
    }
}

fn order(sort_by: &str, a: &Row, b: &Row) -> Ordering {
    match sort_by {
        "cpu" => b.usage[0].milli_value().cmp(&a.usage[0].milli_value()),
        "memory" => b.usage[1].value().cmp(&a.usage[1].value()),
        _ => a.names.cmp(&b.names),
    }
}

fn sorted(rows: Vec<Row>, sort_by: &str) -> Vec<Row> {
    let mut rows = Rows(rows, sort_by.to_owned());
    let count = rows.0.len();
    sort(&mut rows, count);
    rows.0
}

fn usage(amounts: &Json) -> Amounts {
    ["cpu", "memory", "swap"].map(|name| Quantity::of(amounts.get(name)).unwrap_or_else(|| Quantity::from_int(0)))
}

fn plus(a: &Amounts, b: &Amounts) -> Amounts {
    [a[0].plus(b[0]), a[1].plus(b[1]), a[2].plus(b[2])]
}

/// One cell for each amount, each ended by a tab.
fn cells(usage: &Amounts, swap: bool) -> Vec<String> {
    let mut cells = vec![format!("{}m", usage[0].milli_value()), format!("{}Mi", usage[1].value() / (1024 * 1024))];
    if swap {
        cells.push(format!("{}Mi", usage[2].value() / (1024 * 1024)));
    }
    cells
}

fn line(cells: &[String], text: &mut String) {
    cells.iter().for_each(|cell| text.push_str(&format!("{cell}\t")));
    text.push('\n');
}

fn header(names: &[&str], text: &mut String) {
    line(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), text);
}

/// The name that was given, after checks that both commands share.
fn prepare(call: &mut Call<'_, '_>, selectors: &[&'static str], refusal: &str) -> Result<Option<String>, Failure> {
    if call.args.len() > 1 {
        let usage = call.command.usage;
        return Err(Failure::usage(call, format!("{} {usage}", call.command.name())));
    }
    if !["", "cpu", "memory"].contains(&call.flags.text("sort-by").as_str()) {
        return Err("--sort-by accepts only cpu or memory".into());
    }
    let name = call.args.first().cloned().filter(|name| !name.is_empty());
    if name.is_some() && selectors.iter().any(|flag| !call.flags.text(flag).is_empty()) {
        return Err(format!("only one of NAME or {refusal} can be provided").into());
    }
    Selector::parse(&call.flags.text("selector"))?;
    if call.flags.knows("field-selector") {
        FieldSelector::parse(&call.flags.text("field-selector"))?;
    }
    Ok(name)
}

/// The measured objects of a kind of the metrics API.
fn measured(call: &mut Call<'_, '_>, plural: &str, namespace: Option<&str>, name: Option<&str>) -> Result<Vec<Object>, Failure> {
    let resource = call.mapper()?.plural("metrics.k8s.io", plural).ok_or("Metrics API not available")?;
    read(call, &resource, namespace, name)
}

/// One object by its name, or those that the selectors choose.
fn read(call: &mut Call<'_, '_>, resource: &ResourceRef, namespace: Option<&str>, name: Option<&str>) -> Result<Vec<Object>, Failure> {
    let request = match name {
        Some(name) => ApiRequest::get(resource, namespace, name),
        None => {
            let field_selector = if call.flags.knows("field-selector") { call.flags.text("field-selector") } else { String::new() };
            let options = Options { label_selector: call.flags.text("selector"), field_selector, ..Options::default() };
            ApiRequest::list(resource, namespace).options(options)
        }
    };
    Ok(call.api(&request)?.into_items())
}

fn nodes(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let name = prepare(call, &["selector"], "--selector")?;
    let metrics = measured(call, "nodes", None, name.as_deref())?;
    if metrics.is_empty() {
        return Err("metrics not available yet".into());
    }
    let resource = call.mapper()?.plural("", "nodes").ok_or("the server doesn't have a resource type \"nodes\"")?;
    let mut nodes = read(call, &resource, None, name.as_deref())?;
    let swap = call.flags.on("show-swap");
    let row = |object: &Object| Row { names: [String::new(), String::new(), object.name().to_owned()], usage: usage(object.get("usage")) };
    let rows = sorted(metrics.iter().map(row).collect(), &call.flags.text("sort-by"));
    let mut text = String::new();
    if !call.flags.on("no-headers") {
        let columns = ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)", "SWAP(bytes)", "SWAP(%)"];
        header(&columns[..if swap { 7 } else { 5 }], &mut text);
    }
    let field = if call.flags.on("show-capacity") { "capacity" } else { "allocatable" };
    for row in &rows {
        let node = nodes.iter().position(|node| node.name() == row.names[2]).map(|at| nodes.remove(at));
        line(&node_cells(row, node.as_ref(), field, swap), &mut text);
    }
    for node in &nodes {
        let unknown = vec!["<unknown>".to_owned(); if swap { 6 } else { 4 }];
        line(&[vec![node.name().to_owned()], unknown].concat(), &mut text);
    }
    call.print(&align(&text, TABLE));
    Ok(())
}

fn node_cells(row: &Row, node: Option<&Object>, field: &str, swap: bool) -> Vec<String> {
    let mut out = vec![row.names[2].clone()];
    for (at, cell) in cells(&row.usage, swap).into_iter().enumerate() {
        let available = node.and_then(|node| match at {
            2 => node.at(&["status", "nodeInfo", "swap", "capacity"]).as_i64().map(Quantity::from_bytes),
            _ => Quantity::of(node.at(&["status", field, ["cpu", "memory"][at]])),
        });
        if at == 2 && available.is_none() {
            out.extend(["<unknown>".to_owned(), "<unknown>".to_owned()]);
            continue;
        }
        out.push(cell);
        if let Some(available) = available {
            let whole = available.milli_value() as f64;
            let share = if available.is_zero() { 0.0 } else { row.usage[at].milli_value() as f64 / whole * 100.0 };
            out.push(format!("{}%", share as i64));
        }
    }
    out
}

fn pods(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let name = prepare(call, &["selector", "field-selector"], "selector")?;
    let (all, containers, swap) = (call.flags.on("all-namespaces"), call.flags.on("containers"), call.flags.on("show-swap"));
    let namespace = Some(call.namespace.clone()).filter(|_| !all);
    let metrics = measured(call, "pods", namespace.as_deref(), name.as_deref())?;
    if metrics.is_empty() {
        explain_absence(call, name.as_deref())?;
        call.complain(match namespace {
            Some(namespace) => format!("No resources found in {namespace} namespace."),
            None => "No resources found".to_owned(),
        });
        return Ok(());
    }
    let sort_by = call.flags.text("sort-by");
    let whole = |object: &Object| {
        let parts = object.get("containers").items().iter();
        let usage = parts.fold(usage(&Json::Null), |sum, part| plus(&sum, &usage(part.get("usage"))));
        Row { names: [if all { object.namespace().to_owned() } else { String::new() }, object.name().to_owned(), String::new()], usage }
    };
    let rows = sorted(metrics.iter().map(whole).collect(), &sort_by);
    let mut text = String::new();
    let mut columns = vec!["NAME", "CPU(cores)", "MEMORY(bytes)", "SWAP(bytes)"];
    columns.truncate(if swap { 4 } else { 3 });
    let headers = !call.flags.on("no-headers");
    if headers {
        let before =
            [("NAMESPACE", all), ("POD", containers)].iter().filter(|(_, shown)| *shown).map(|(title, _)| *title).collect::<Vec<_>>();
        columns.splice(0..0, before);
        header(&columns, &mut text);
    }
    for row in &rows {
        let namespace = if all { vec![row.names[0].clone()] } else { Vec::new() };
        if !containers {
            line(&[namespace, vec![row.names[1].clone()], cells(&row.usage, swap)].concat(), &mut text);
            continue;
        }
        let found = metrics.iter().find(|object| object.name() == row.names[1] && (!all || object.namespace() == row.names[0]));
        let parts = found.map_or(&[][..], |object| object.get("containers").items());
        let part = |part: &Json| Row {
            names: [String::new(), String::new(), part.get("name").text().to_owned()],
            usage: usage(part.get("usage")),
        };
        for part in sorted(parts.iter().map(part).collect(), &sort_by) {
            let names = vec![row.names[1].clone(), part.names[2].clone()];
            line(&[namespace.clone(), names, cells(&part.usage, swap)].concat(), &mut text);
        }
    }
    if call.flags.on("sum") {
        let total = rows.iter().fold(usage(&Json::Null), |sum, row| plus(&sum, &row.usage));
        let width = columns.len();
        let rule = "________".to_owned();
        line(&[vec![String::new(); width - 2], vec![rule.clone(), rule]].concat(), &mut text);
        line(&[vec![String::new(); width - 2], cells(&total, swap)].concat(), &mut text);
    }
    call.print(&align(&text, TABLE));
    Ok(())
}

/// Why there is nothing to show: pods too young to be measured, or a metrics API that does not work.
fn explain_absence(call: &mut Call<'_, '_>, name: Option<&str>) -> Result<(), Failure> {
    let resource = call.mapper()?.plural("", "pods").ok_or("the server doesn't have a resource type \"pods\"")?;
    let namespace = call.namespace.clone();
    let pods = read(call, &resource, Some(&namespace), name)?;
    let now = call.now();
    for pod in &pods {
        let created = pod.meta().get("creationTimestamp").as_str().and_then(SimTime::parse_rfc3339).unwrap_or_default();
        let age = now - created;
        if age.as_secs() > METRICS_DELAY_S {
            let words = format!("Metrics not available for pod {}/{}, age: {}", pod.namespace(), pod.name(), go_duration(age));
            return Err(words.into());
        }
    }
    if pods.is_empty() { Ok(()) } else { Err("metrics not available yet".into()) }
}

/// A span of time as Go prints it: `1h2m3.5s`.
fn go_duration(span: std::time::Duration) -> String {
    let seconds = span.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let rest = (seconds % 60) as f64 + f64::from(span.subsec_nanos()) / 1e9;
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}
