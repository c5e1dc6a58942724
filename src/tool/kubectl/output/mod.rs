//! Output formats: JSON, YAML, names, JSONPath, Go templates, custom columns.

pub mod columns;
pub mod json;
pub mod jsonpath;
pub mod jsonpath_parser;
pub mod sort_by;
pub mod sorting;
pub mod tabs;
pub mod template;
pub mod values;
pub mod yaml;

use super::command::Call;
use super::failure::{Failure, quote};
use super::flags::Flag;
use crate::object::Json;
use columns::{Columns, NO_COLUMNS};
use jsonpath::JsonPath;
use template::Template;

/// `-o` and what belongs to it, for every command that prints objects.
pub static OUTPUT: &[Flag] = &[
    Flag::text("output", "Format: json, yaml, name, go-template, go-template-file, jsonpath, jsonpath-as-json, jsonpath-file.").short('o'),
    Flag::text("template", "Template or path of a template for -o go-template and -o go-template-file."),
    Flag::switch("allow-missing-template-keys", "Treat missing fields in templates as nothing.").default("true"),
    Flag::switch("show-managed-fields", "Keep metadata.managedFields in JSON and YAML."),
];

/// Formats of commands that change objects.
pub const FORMATS: &[&str] = &[
    "json",
    "yaml",
    "name",
    "go-template",
    "go-template-file",
    "template",
    "templatefile",
    "jsonpath",
    "jsonpath-as-json",
    "jsonpath-file",
];

/// Prints objects in the format that the flags ask for.
#[derive(Debug, Clone)]
pub enum Printer {
    /// `-o json`.
    Json {
        /// Keep `managedFields`.
        managed: bool,
    },
    /// `-o yaml`; documents after the first start with `---`.
    Yaml {
        /// Keep `managedFields`.
        managed: bool,
        /// How many were printed.
        printed: usize,
    },
    /// `-o name`, or without `-o` a line that says what was done.
    Name {
        /// `configured`; empty for the bare name.
        operation: String,
    },
    /// `-o jsonpath=…`.
    Path {
        /// The parsed template.
        path: JsonPath,
        /// As it was written.
        template: String,
    },
    /// `-o go-template=…`.
    Template {
        /// The parsed template.
        parsed: Template,
        /// As it was written.
        template: String,
    },
    /// `-o custom-columns=…`.
    Columns(Columns),
}

impl Printer {
    /// The printer of a command that changes objects; `operation` is what it says without `-o` (`created`).
    ///
    /// # Errors
    /// An unknown format, or a malformed template.
    pub fn of_flags(call: &mut Call<'_, '_>, operation: &str) -> Result<Printer, Failure> {
        let mut format = call.flags.text("output");
        if !call.flags.text("template").is_empty() && !call.flags.changed("output") {
            "go-template".clone_into(&mut format);
        }
        if let Some(printer) = Self::of_document(call, &format).or_else(|| Self::of_name(&format, operation)) {
            return Ok(printer);
        }
        Self::of_template(call, &format)?.ok_or_else(|| no_printer(&format, FORMATS))
    }

    /// `json` and `yaml`.
    pub fn of_document(call: &Call<'_, '_>, format: &str) -> Option<Printer> {
        let managed = call.flags.on("show-managed-fields");
        match format.to_lowercase().as_str() {
            "json" => Some(Printer::Json { managed }),
            "yaml" => Some(Printer::Yaml { managed, printed: 0 }),
            _ => None,
        }
    }

    /// `name`, and no format.
    pub fn of_name(format: &str, operation: &str) -> Option<Printer> {
        match format.to_lowercase().as_str() {
            "name" => Some(Printer::Name { operation: String::new() }),
            "" => Some(Printer::Name { operation: operation.to_owned() }),
            _ => None,
        }
    }

    /// JSONPath and Go templates; `None` when `format` is neither.
    ///
    /// # Errors
    /// A missing or malformed template.
    pub fn of_template(call: &mut Call<'_, '_>, format: &str) -> Result<Option<Printer>, Failure> {
        let kinds = ["jsonpath", "jsonpath-as-json", "jsonpath-file", "go-template", "go-template-file", "template", "templatefile"];
        let Some((kind, mut template)) = split_format(call, format, &kinds) else { return Ok(None) };
        if template.is_empty() {
            return Err("template format specified but no template given".into());
        }
        if kind.ends_with("file") {
            template = read_template(call, &template).map_err(|why| format!("error reading --template {template}, {why}"))?;
        }
        let allow_missing = call.flags.on("allow-missing-template-keys");
        if !kind.starts_with("jsonpath") {
            let mut parsed = Template::parse(&template).map_err(|error| format!("error parsing template {template}, {error}"))?;
            parsed.allow_missing = allow_missing;
            return Ok(Some(Printer::Template { parsed, template }));
        }
        let mut path = JsonPath::parse(&template).map_err(|error| format!("error parsing jsonpath {template}, {error}"))?;
        path.allow_missing = allow_missing;
        path.as_json = kind == "jsonpath-as-json";
        Ok(Some(Printer::Path { path, template }))
    }

    /// Custom columns; `None` when `format` is something else.
    ///
    /// # Errors
    /// Malformed columns.
    pub fn of_columns(call: &mut Call<'_, '_>, format: &str) -> Result<Option<Printer>, Failure> {
        let Some((kind, spec)) = split_format(call, format, &["custom-columns", "custom-columns-file"]) else { return Ok(None) };
        if spec.is_empty() {
            return Err(NO_COLUMNS.into());
        }
        let headers = !call.flags.on("no-headers");
        let columns = if kind.ends_with("file") {
            let text = read_template(call, &spec).map_err(|why| format!("error reading template {spec}, {why}\n"))?;
            Columns::parse_file(&text)
        } else {
            Columns::parse(&spec, headers)
        };
        Ok(Some(Printer::Columns(columns?)))
    }

    /// Appends an object or a list.
    ///
    /// # Errors
    /// When a template cannot be applied to it.
    pub fn print(&mut self, object: &Json, out: &mut String) -> Result<(), Failure> {
        match self {
            Printer::Json { managed } => {
                json::indented(&shown(object, *managed), out);
                out.push('\n');
            }
            Printer::Yaml { managed, printed } => {
                if *printed > 0 {
                    out.push_str("---\n");
                }
                *printed += 1;
                yaml::write(&shown(object, *managed), out);
            }
            Printer::Name { operation } => name(object, operation, out),
            Printer::Path { path, template } => {
                path.print(object, out).map_err(|error| path_failure(&error, template, object))?;
            }
            Printer::Template { parsed, template } => {
                if let Err(error) = parsed.print(object, out) {
                    out.push_str(&template_dump(&error, template, object));
                    return Err(format!("error executing template {}: {error}", quote(template)).into());
                }
            }
            Printer::Columns(columns) => columns.print(object, out)?,
        }
        Ok(())
    }
}

/// A format with its template: `jsonpath={.x}`, or the template of `--template`.
fn split_format(call: &Call<'_, '_>, format: &str, kinds: &[&'static str]) -> Option<(&'static str, String)> {
    let template = call.flags.text("template");
    let with = |kind: &&'static str| format.strip_prefix(kind).and_then(|rest| rest.strip_prefix('=')).map(|t| (*kind, t.to_owned()));
    let bare = kinds.iter().find(|kind| **kind == format).map(|kind| (*kind, template.clone()));
    if template.is_empty() { kinds.iter().find_map(with).or(bare) } else { bare }
}

fn read_template(call: &mut Call<'_, '_>, path: &str) -> Result<String, String> {
    let content = call.cx.files.read(path).ok_or_else(|| format!("open {path}: no such file or directory"))?;
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// The failure for a format that no printer knows.
pub fn no_printer(format: &str, formats: &[&str]) -> Failure {
    let mut formats = formats.to_vec();
    formats.sort_unstable();
    format!("unable to match a printer suitable for the output format {}, allowed formats are: {}", quote(format), formats.join(",")).into()
}

fn path_failure(error: &str, template: &str, object: &Json) -> Failure {
    let dump = format!(
        "Error executing template: {error}. Printing more information for debugging the template:\n\ttemplate was:\n\t\t{template}\n\tobject given to jsonpath engine was:\n\t\t{}\n\n",
        values::source(object)
    );
    format!("error executing jsonpath {}: {dump}\n", quote(template)).into()
}

fn template_dump(error: &str, template: &str, object: &Json) -> String {
    let mut data = String::new();
    json::compact(object, &mut data);
    format!(
        "Error executing template: {error}. Printing more information for debugging the template:\n\ttemplate was:\n\t\t{template}\n\traw data was:\n\t\t{data}\n\tobject given to template engine was:\n\t\t{}\n\n",
        values::plain(object)
    )
}

/// The objects of a list; `None` when the object is no list.
pub fn list_items(object: &Json) -> Option<&[Json]> {
    match object.get("items") {
        Json::Arr(items) => Some(items),
        _ => None,
    }
}

/// The object without `managedFields`, unless they are wanted.
fn shown(object: &Json, managed: bool) -> Json {
    let mut object = object.clone();
    if managed {
        return object;
    }
    object.remove_at(&["metadata", "managedFields"]);
    if list_items(&object).is_some() {
        for item in object.get_mut("items").items_mut() {
            item.remove_at(&["metadata", "managedFields"]);
        }
    }
    object
}

/// `deployment.apps/web` and what was done to it.
fn name(object: &Json, operation: &str, out: &mut String) {
    if let Some(items) = list_items(object) {
        for item in items {
            name(item, operation, out);
        }
        return;
    }
    out.push_str(&object.get("kind").text().to_lowercase());
    if let Some((group, _)) = object.get("apiVersion").text().rsplit_once('/') {
        out.push('.');
        out.push_str(group);
    }
    let name = object.at(&["metadata", "name"]).text();
    out.push('/');
    out.push_str(if name.is_empty() { "<unknown>" } else { name });
    if !operation.is_empty() {
        out.push(' ');
        out.push_str(operation);
    }
    out.push('\n');
}

/// A text with characters that would steer a terminal made visible.
pub fn terminal(text: &str) -> String {
    if !text.contains(['\u{1b}', '\r']) {
        return text.to_owned();
    }
    text.replace('\u{1b}', "^[").replace('\r', "\\r")
}
