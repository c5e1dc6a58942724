//! `kubectl get`.

use super::builder::{ALL_NAMESPACES, Builder, CHUNK_SIZE, FILENAME, Found, Info, SELECTOR, has_files};
use super::command::{Call, Command};
use super::failure::Failure;
use super::flags::Flag;
use super::output::sort_by::sort_by;
use super::output::{FORMATS, OUTPUT, Printer, no_printer};
use super::table::{self, Layout, Options};
use crate::array;
use crate::cluster::ApiRequest;
use crate::object;
use crate::object::{Json, Object, ResourceRef};

static FLAGS: &[Flag] = &[
    Flag::text("field-selector", "Field query: =, == and !=, and several with commas; each kind has a few such fields."),
    Flag::switch("ignore-not-found", "Say nothing about named objects that do not exist."),
    Flag::csv("label-columns", "Labels to show in columns of their own.").short('L'),
    Flag::switch("no-headers", "Leave the header line out."),
    Flag::switch("output-watch-events", "Print watch events instead of objects."),
    Flag::text("raw", "Path of the API server to read as it is."),
    Flag::switch("server-print", "Show the columns that the server gives to a kind.").default("true"),
    Flag::switch("show-kind", "Put the kind before each name."),
    Flag::switch("show-labels", "Show all labels in the last column."),
    Flag::text("sort-by", "JSONPath of a number or a text to sort a list by."),
    Flag::text("subresource", "Read this subresource of the object."),
    Flag::switch("watch", "After printing, follow the changes.").short('w'),
    Flag::switch("watch-only", "Follow the changes without printing the present state."),
];

/// `kubectl get`.
pub static COMMAND: Command = Command::leaf(
    "kubectl get",
    "[(-o|--output=)json|yaml|name|go-template|go-template-file|template|templatefile|jsonpath|jsonpath-as-json|jsonpath-file|custom-columns|custom-columns-file|wide] (TYPE[.VERSION][.GROUP] [NAME | -l label] | TYPE[.VERSION][.GROUP]/NAME ...) [flags]",
    "Display one or many resources",
    &[FLAGS, OUTPUT, FILENAME, SELECTOR, ALL_NAMESPACES, CHUNK_SIZE],
    run,
)
.suggest_for(&["list", "ps"]);

/// How to find what kinds there are.
pub const SUGGEST_API_RESOURCES: &str = "Use \"kubectl api-resources\" for a complete list of supported resources.";

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let raw = call.flags.text("raw");
    if !raw.is_empty() {
        return super::raw::get(call, &raw);
    }
    let watch = call.flags.on("watch") || call.flags.on("watch-only");
    if !watch && call.args.is_empty() && !has_files(&call.flags) {
        call.complain(format!("You must specify the type of resource to get. {SUGGEST_API_RESOURCES}\n"));
        let hint = "Required resource not specified.\nUse \"kubectl explain <resource>\" for a detailed description of that resource (e.g. kubectl explain pods).";
        return Err(Failure::usage(call, hint));
    }
    let format = call.flags.text("output");
    if call.flags.on("show-labels") && !matches!(format.as_str(), "" | "wide") {
        return Err(format!("--show-labels option cannot be used with {format} printer").into());
    }
    if call.flags.on("output-watch-events") && !watch {
        return Err("--output-watch-events option can only be used with --watch or --watch-only".into());
    }
    if watch {
        return follow(call);
    }
    let found = find(call)?;
    if (format.is_empty() && call.flags.text("template").is_empty()) || format == "wide" {
        print_tables(call, found)
    } else {
        print_objects(call, found)
    }
}

/// There is nobody to interrupt a watch: print the present state and say how to go on.
fn follow(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    if !call.flags.on("watch-only") {
        let found = find(call)?;
        print_tables(call, found)?;
    }
    Err("--watch never ends by itself and is not available here; use \"kubectl wait\", \"kubectl rollout status\", or get again after a while".into())
}

fn find(call: &mut Call<'_, '_>) -> Result<Found, Failure> {
    let all = call.flags.on("all-namespaces");
    let (args, enforce) = (call.args.clone(), call.namespace_given && !all);
    let mut found = Builder::new(call)
        .all_namespaces(all)
        .files(call, enforce)
        .labels(&call.flags.text("selector"))
        .fields(&call.flags.text("field-selector"))
        .subresource(&call.flags.text("subresource"))
        .types_or_names(call, true, &args)
        .continue_on_error()
        .latest()
        .fetch(call)?;
    if call.flags.on("ignore-not-found") {
        found.failures.retain(|failure| !failure.is_not_found());
    }
    Ok(found)
}

fn print_tables(call: &mut Call<'_, '_>, found: Found) -> Result<(), Failure> {
    let Found { infos, mut failures, .. } = found;
    let options = Options {
        wide: call.flags.text("output") == "wide",
        no_headers: call.flags.on("no-headers"),
        namespace: call.flags.on("all-namespaces"),
        kind: call.flags.on("show-kind") || infos.windows(2).any(|pair| pair[0].resource != pair[1].resource),
        label_columns: call.flags.list("label-columns"),
        show_labels: call.flags.on("show-labels"),
    };
    let sort = call.flags.text("sort-by");
    if !sort.is_empty() && infos.len() > 1 {
        // kubectl looks for the field in the tables themselves, which have none.
        let field = super::output::jsonpath::relaxed(&sort)?;
        return Err(format!("couldn't find any field with path {} in the list of objects", super::failure::quote(&field)).into());
    }
    let (before, namespaced) = (call.out.stdout.len(), infos.iter().all(|info| info.resource.namespaced));
    let mut rest = infos.as_slice();
    while let Some(first) = rest.first() {
        let same = rest.iter().take_while(|info| info.resource == first.resource).count();
        let (group, after) = rest.split_at(same);
        rest = after;
        print_group(call, group, &options, &sort, before, &mut failures)?;
    }
    if call.out.stdout.len() == before && !call.flags.on("ignore-not-found") && failures.is_empty() {
        if namespaced && !options.namespace {
            call.complain(format!("No resources found in {} namespace.", call.namespace));
        } else {
            call.complain("No resources found");
        }
    }
    Failure::all(failures)
}

/// The table of neighbouring objects of one kind.
fn print_group(
    call: &mut Call<'_, '_>,
    group: &[Info],
    options: &Options,
    sort: &str,
    before: usize,
    failures: &mut Vec<Failure>,
) -> Result<(), Failure> {
    let Some(resource) = group.first().map(|info| info.resource.clone()) else { return Ok(()) };
    let mut objects: Vec<Object> = Vec::new();
    for info in group {
        match &info.items {
            Some(items) => objects.extend(items.iter().cloned()),
            None => objects.push(info.object.clone()),
        }
    }
    if objects.is_empty() {
        return Ok(());
    }
    if resource.plural == "flowschemas" {
        let rank = |o: &Object| (o.spec().get("matchingPrecedence").as_i64().unwrap_or(0), o.name().to_owned());
        objects.sort_by_key(rank);
    }
    if !sort.is_empty() && objects.len() > 1 && sort_by(&mut objects, sort).is_err() {
        // kubectl drops the table and the error.
        return Ok(());
    }
    let layout = layout(call, &resource, failures);
    if call.out.stdout.len() > before && !options.no_headers {
        call.out.stdout.push('\n');
    }
    let options = Options { namespace: options.namespace && resource.namespaced, ..options.clone() };
    let now = call.now();
    table::print(&resource, &layout, &objects, &options, now, &mut call.out.stdout);
    Ok(())
}

fn layout(call: &mut Call<'_, '_>, resource: &ResourceRef, failures: &mut Vec<Failure>) -> Layout {
    if !call.flags.on("server-print") {
        return Layout::BuiltIn { columns: &["NAME", "AGE"], fill: table::name_and_age };
    }
    let built_in = crate::object::resource::builtin_named(&resource.group, &resource.plural);
    if built_in.is_some() || resource.group == "metrics.k8s.io" {
        return table::layout_of(resource);
    }
    let definitions = call.mapper().ok().and_then(|mapper| mapper.plural("apiextensions.k8s.io", "customresourcedefinitions"));
    let Some(definitions) = definitions else { return table::layout_of(resource) };
    let request = ApiRequest::get(&definitions, None, &format!("{}.{}", resource.plural, resource.group));
    match call.api(&request) {
        Ok(reply) => table::of_definition(&reply.into_object(), resource),
        Err(failure) if failure.is_not_found() || failure.reason() == Some("Forbidden") => table::layout_of(resource),
        Err(failure) => {
            failures.push(failure);
            table::layout_of(resource)
        }
    }
}

/// Every output format but tables.
fn print_objects(call: &mut Call<'_, '_>, found: Found) -> Result<(), Failure> {
    let single = found.single_item_implied;
    let mut objects: Vec<Json> = found.flat().into_iter().map(|info| info.object.0).collect();
    let mut failures = found.failures;
    if single && !failures.is_empty() {
        return Failure::all(failures);
    }
    if objects.is_empty() && call.flags.on("ignore-not-found") {
        return Failure::all(failures);
    }
    let mut printer = printer(call)?;
    let sort = call.flags.text("sort-by");
    let object = match objects.as_slice() {
        [one] if single => one.clone(),
        _ => {
            if !sort.is_empty() && !objects.is_empty() {
                let mut sorted: Vec<Object> = objects.into_iter().map(Object).collect();
                sort_by(&mut sorted, &sort)?;
                objects = sorted.into_iter().map(|object| object.0).collect();
            }
            list_of(objects)
        }
    };
    let mut text = std::mem::take(&mut call.out.stdout);
    if let Err(failure) = printer.print(&object, &mut text) {
        failures.push(failure);
    }
    call.out.stdout = text;
    Failure::all(failures)
}

/// `v1` `List`.
fn list_of(objects: Vec<Json>) -> Json {
    let mut list =
        object! { "apiVersion" => "v1", "items" => array![], "kind" => "List", "metadata" => object! { "resourceVersion" => "" } };
    list.set("items", objects);
    list
}

fn printer(call: &mut Call<'_, '_>) -> Result<Printer, Failure> {
    let mut format = call.flags.text("output");
    if format.is_empty() && !call.flags.text("template").is_empty() {
        "go-template".clone_into(&mut format);
    }
    if let Some(printer) = Printer::of_template(call, &format)? {
        return Ok(printer);
    }
    if let Some(printer) = Printer::of_document(call, &format) {
        return Ok(printer);
    }
    if let Some(printer) = Printer::of_columns(call, &format)? {
        return Ok(printer);
    }
    let formats = [FORMATS, &["custom-columns", "custom-columns-file", "wide"]].concat();
    Printer::of_name(&format, "").ok_or_else(|| no_printer(&format, &formats))
}
