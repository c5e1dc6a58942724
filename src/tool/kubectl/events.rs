//! `kubectl events`.

use super::builder::{ALL_NAMESPACES, CHUNK_SIZE};
use super::command::{Call, Command};
use super::failure::{Failure, quote};
use super::flags::Flag;
use super::output::sorting::{Swappable, sort};
use super::output::tabs::{TABLE, align};
use super::output::{OUTPUT, Printer, terminal};
use super::resources::split_name;
use super::table::age;
use crate::array;
use crate::cluster::{ApiRequest, Options};
use crate::object;
use crate::object::{Json, Object};
use crate::time::SimTime;

static FLAGS: &[Flag] = &[
    Flag::text("for", "Only the events of this object, TYPE/NAME."),
    Flag::switch("no-headers", "Leave the header line out."),
    Flag::csv("types", "Only events of these types: Normal, Warning."),
    Flag::switch("watch", "After printing, follow new events.").short('w'),
];

/// `kubectl events`.
pub static COMMAND: Command = Command::leaf(
    "kubectl events",
    "[(-o|--output=)json|yaml|name|go-template|go-template-file|template|templatefile|jsonpath|jsonpath-as-json|jsonpath-file] [--for TYPE/NAME] [--watch] [--types=Normal,Warning]",
    "List events",
    &[FLAGS, OUTPUT, ALL_NAMESPACES, CHUNK_SIZE],
    run,
);

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let field_selector = involved(call)?;
    let types = call.flags.list("types");
    if types.iter().any(|t| !t.eq_ignore_ascii_case("normal") && !t.eq_ignore_ascii_case("warning")) {
        return Err("valid --types are Normal or Warning".into());
    }
    if call.flags.on("watch") {
        return Err("--watch never ends by itself and is not available here; list the events again after a while".into());
    }
    let is_table = call.flags.text("output").is_empty() && call.flags.text("template").is_empty();
    let printer = if is_table { None } else { Some(Printer::of_flags(call, "events")?) };
    let all = call.flags.on("all-namespaces");
    let resource = call.mapper()?.plural("", "events").ok_or("the server doesn't have a resource type \"events\"")?;
    let namespace = Some(call.namespace.clone()).filter(|_| !all);
    let request = ApiRequest::list(&resource, namespace.as_deref()).options(Options { field_selector, ..Options::default() });
    let mut events = call.api(&request)?.into_items();
    events.retain(|event| types.is_empty() || types.iter().any(|t| t.eq_ignore_ascii_case(event.get("type").text())));
    if events.is_empty() {
        call.complain(match namespace {
            Some(namespace) => format!("No events found in {namespace} namespace."),
            None => "No events found.".to_owned(),
        });
        return Ok(());
    }
    let events = by_time(events);
    match printer {
        None => {
            let text = table(&events, call.now(), !call.flags.on("no-headers"), all);
            call.print(&align(&text, TABLE));
        }
        // kubectl cannot print names of typed lists, and does not say so.
        Some(Printer::Name { .. }) => {}
        Some(printer) => print_list(call, printer, events),
    }
    Ok(())
}

fn print_list(call: &mut Call<'_, '_>, mut printer: Printer, events: Vec<Object>) {
    let mut list = object! { "apiVersion" => "v1", "items" => array![], "kind" => "EventList", "metadata" => object! {} };
    list.set("items", events.into_iter().map(|event| event.0).collect::<Vec<Json>>());
    let mut text = String::new();
    let printed = printer.print(&list, &mut text);
    call.print(&text);
    // kubectl ignores what a template does not find.
    drop(printed);
}

/// The field selector for `--for`.
fn involved(call: &mut Call<'_, '_>) -> Result<String, Failure> {
    let target = call.flags.text("for");
    if target.is_empty() {
        return Ok(String::new());
    }
    if target.matches('/').count() > 1 {
        return Err("arguments in resource/name form may not have more than one slash".into());
    }
    let (kind, name) = match split_name(&target) {
        Ok(Some(tuple)) => tuple,
        Ok(None) => return Err("--for must be in resource/name form".into()),
        Err(_) => target.split_once('/').map(|(kind, name)| (kind.to_owned(), name.to_owned())).unwrap_or_default(),
    };
    let Ok(resource) = call.resolve(&kind) else {
        let message = format!("the server doesn't have a resource type {}", quote(kind.split('.').next().unwrap_or(&kind)));
        return Err(Failure::Program { message, code: 1 });
    };
    Ok(format!("involvedObject.kind={},involvedObject.apiVersion={},involvedObject.name={name}", resource.kind, resource.api_version()))
}

fn time_of(event: &Object) -> SimTime {
    let paths: [&[&str]; 3] = [&["series", "lastObservedTime"], &["lastTimestamp"], &["eventTime"]];
    let parse = |path: &&[&str]| event.at(path).as_str().and_then(SimTime::parse_rfc3339);
    paths.iter().find_map(parse).unwrap_or_default()
}

struct Timed(Vec<(SimTime, Object)>);

impl Swappable for Timed {
    fn less(&self, a: usize, b: usize) -> bool {
        self.0[a].0 < self.0[b].0
    }
    fn swap(&mut self, a: usize, b: usize) {
        self.0.swap(a, b);
    }
}

/// Events in order of their last time.
pub fn by_time(events: Vec<Object>) -> Vec<Object> {
    let mut timed = Timed(events.into_iter().map(|event| (time_of(&event), event)).collect());
    let count = timed.0.len();
    sort(&mut timed, count);
    timed.0.into_iter().map(|(_, event)| event).collect()
}

/// When an event was seen: `28s`, or `28s (x2 over 39s)`.
pub fn interval(event: &Object, now: SimTime) -> String {
    let first = match event.get("eventTime") {
        Json::Null => age(event.get("firstTimestamp"), now),
        at => age(at, now),
    };
    let count = event.get("count").as_i64().unwrap_or(0);
    match event.get("series") {
        Json::Null if count > 1 => format!("{} (x{count} over {first})", age(event.get("lastTimestamp"), now)),
        Json::Null => first,
        series => {
            let count = series.get("count").as_i64().unwrap_or(0);
            format!("{} (x{count} over {first})", age(series.get("lastObservedTime"), now))
        }
    }
}

fn table(events: &[Object], now: SimTime, headers: bool, namespaces: bool) -> String {
    let mut text = String::new();
    if headers {
        text.push_str(if namespaces { "NAMESPACE\t" } else { "" });
        text.push_str("LAST SEEN\tTYPE\tREASON\tOBJECT\tMESSAGE\n");
    }
    for event in events {
        if namespaces {
            text.push_str(&format!("{}\t", event.namespace()));
        }
        let target = event.get("involvedObject");
        let cells = [
            interval(event, now),
            event.get("type").text().to_owned(),
            event.get("reason").text().to_owned(),
            format!("{}/{}", target.get("kind").text(), target.get("name").text()),
            event.get("message").text().trim().to_owned(),
        ];
        text.push_str(&cells.map(|cell| terminal(&cell)).join("\t"));
        text.push('\n');
    }
    text
}
