//! `kubectl explain`: the fields of a kind.
//!
//! Names, types, allowed values and what is required come from the schema of the built-in kinds, and for custom kinds from their
//! definitions. Built-in kinds come without descriptions; kubectl's own words for that are `<empty>` and `<no description>`.

use super::command::{Call, Command};
use super::failure::{Failure, quote};
use super::flags::Flag;
use crate::cluster::ApiRequest;
use crate::object::schema::{Field, Type, TypeId, schema};
use crate::object::{Json, Object, ResourceRef};

static FLAGS: &[Flag] = &[
    Flag::text("api-version", "Explain this version of the kind (group/version)."),
    Flag::text("output", "Format: plaintext.").short('o').default("plaintext"),
    Flag::switch("recursive", "Print the fields of fields too."),
];

/// `kubectl explain`.
pub static COMMAND: Command = Command::leaf(
    "kubectl explain",
    "TYPE [--recursive=FALSE|TRUE] [--api-version=api-version-group] [-o|--output=plaintext|plaintext-openapiv2]",
    "Get documentation for a resource",
    &[FLAGS],
    run,
);

/// The type of a field, built in or in a definition's OpenAPI schema.
#[derive(Clone, Copy)]
enum Shape<'a> {
    Struct(TypeId),
    Type(&'a Type, &'a str),
    Custom(&'a Json),
}

/// A field of a shape.
struct Member<'a> {
    name: &'a str,
    shape: Shape<'a>,
    required: bool,
    description: &'a str,
}

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let [word] = call.args.as_slice() else {
        return Err(if call.args.is_empty() {
            "You must specify the type of resource to explain. Use \"kubectl api-resources\" for a complete list of supported resources."
        } else {
            "We accept only this format: explain RESOURCE"
        }
        .into());
    };
    let (resource, path) = find(call, &word.clone())?;
    let resource = versioned(call, resource)?;
    match call.flags.text("output").as_str() {
        "plaintext" => {}
        "plaintext-openapiv2" => return Err("-o plaintext-openapiv2 is not available here, plaintext is".into()),
        format => return Err(format!("unrecognized format: {format}").into()),
    }
    let recursive = call.flags.on("recursive");
    let definition = if schema().of_kind(&resource).is_none() { definition(call, &resource)? } else { Json::Null };
    let root = match schema().of_kind(&resource) {
        Some(id) => Shape::Struct(id),
        None => Shape::Custom(&definition),
    };
    if !resource.group.is_empty() {
        call.say(format_args!("GROUP:      {}", resource.group));
    }
    call.print(&format!("KIND:       {}\nVERSION:    {}\n\n", resource.kind, resource.version));
    let mut text = String::new();
    explained(root, &path, recursive, &mut text)?;
    call.print(&text);
    Ok(())
}

/// The kind and the path of a field that `pods.spec.containers` names.
fn find(call: &mut Call<'_, '_>, word: &str) -> Result<(ResourceRef, Vec<String>), Failure> {
    let word = word.strip_suffix('.').unwrap_or(word);
    let parts: Vec<&str> = word.split('.').collect();
    if parts.iter().any(|part| part.is_empty() || part.contains(['[', '*'])) {
        return Err("invalid jsonpath syntax, first node must be field node".into());
    }
    let mapper = call.mapper()?;
    let first = mapper.resolve(parts[0]).map_err(|failure| Failure::Program { message: failure.to_string(), code: 1 })?;
    let same = |r: &&ResourceRef| r.plural == first.plural && is_prefix(&r.qualified_plural(), word);
    let (resource, rest) = match mapper.all().iter().find(same).filter(|_| parts[0] == first.plural) {
        Some(resource) => (resource.clone(), &word[resource.qualified_plural().len()..]),
        None => (first, word.split_once('.').map_or("", |(_, rest)| rest)),
    };
    let path = rest.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    Ok((resource, path))
}

fn is_prefix(name: &str, word: &str) -> bool {
    word.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The kind in the version of `--api-version`.
fn versioned(call: &mut Call<'_, '_>, resource: ResourceRef) -> Result<ResourceRef, Failure> {
    let wanted = call.flags.text("api-version");
    if wanted.is_empty() {
        return Ok(resource);
    }
    let mapper = call.mapper()?;
    let found = mapper.all().iter().find(|r| r.api_version() == wanted && r.plural == resource.plural).cloned();
    let (group, version) = wanted.split_once('/').unwrap_or(("", &wanted));
    let name = format!("{group}/{version}, Resource={}", resource.plural);
    match found {
        Some(resource) => Ok(resource),
        None if mapper.all().iter().any(|r| r.api_version() == wanted) => Err(format!("GVR ({name}) not found in OpenAPI schema").into()),
        None => Err(format!("couldn't find resource for {}", quote(&name)).into()),
    }
}

/// The OpenAPI schema in the definition of a custom kind, with the fields that every object has.
fn definition(call: &mut Call<'_, '_>, resource: &ResourceRef) -> Result<Json, Failure> {
    let none = || {
        Failure::from(format!("couldn't find resource for {}", quote(&format!("{}, Resource={}", resource.api_version(), resource.plural))))
    };
    let definitions = call.mapper()?.plural("apiextensions.k8s.io", "customresourcedefinitions").ok_or_else(none)?;
    let name = format!("{}.{}", resource.plural, resource.group);
    let found: Object = call.api(&ApiRequest::get(&definitions, None, &name)).map_err(|_| none())?.into_object();
    let versions = found.spec().get("versions").items();
    let version = versions.iter().find(|version| version.get("name").text() == resource.version).ok_or_else(none)?;
    let mut shape = version.at(&["schema", "openAPIV3Schema"]).clone();
    for field in ["apiVersion", "kind"] {
        shape.set_at(&["properties", field, "type"], "string");
    }
    shape.set_at(&["properties", "metadata", "x-built-in"], "meta.ObjectMeta");
    Ok(shape)
}

fn explained(root: Shape<'_>, path: &[String], recursive: bool, out: &mut String) -> Result<(), Failure> {
    let mut shape = root;
    for (at, name) in path.iter().enumerate() {
        let missing = || format!("field {} does not exist", quote(path.last().map_or("", String::as_str)));
        let member = shape.members().into_iter().find(|member| member.name == name).ok_or_else(missing)?;
        shape = member.shape;
        if at + 1 == path.len() {
            out.push_str(&format!("FIELD: {name} <{}>\n", shape.guess()));
            let values = shape.values();
            if !values.is_empty() {
                out.push_str(&format!("ENUM:\n    {}", values.join("\n    ")));
            }
            out.push_str("\n\n");
        }
    }
    let description = shape.description();
    let description = if description.is_empty() { "<empty>".to_owned() } else { description };
    out.push_str(&format!("DESCRIPTION:\n{}\n", indented(&wrapped(&description, 76), 4)));
    let mut fields = String::new();
    list(shape, 1, recursive, &mut Vec::new(), &mut fields);
    if !fields.is_empty() {
        out.push_str(&format!("FIELDS:\n{fields}"));
    }
    out.push('\n');
    Ok(())
}

fn list(shape: Shape<'_>, level: usize, recursive: bool, above: &mut Vec<TypeId>, out: &mut String) {
    let inner = shape.inner();
    let named = match inner {
        Shape::Type(Type::Struct(id), _) => Some(*id),
        _ => None,
    };
    if named.is_some_and(|id| above.contains(&id)) {
        return;
    }
    above.extend(named);
    let indent = level * 2;
    for member in inner.members() {
        out.push_str(&format!("{:indent$}{}\t<{}>", "", member.name, member.shape.guess()));
        if member.required {
            out.push_str(" -required-");
        }
        let values = member.shape.values();
        if !values.is_empty() {
            let more = if values.len() > 4 { ", ...." } else { "" };
            out.push_str(&format!("\n{:indent$}enum: {}{more}", "", values[..values.len().min(4)].join(", ")));
        }
        out.push('\n');
        if recursive {
            list(member.shape, level + 1, recursive, above, out);
        } else {
            let text = if member.description.is_empty() { "<no description>" } else { member.description };
            out.push_str(&format!("{}\n\n", indented(&wrapped(text, 78 - indent), indent + 2)));
        }
    }
    if named.is_some() {
        above.pop();
    }
}

fn is_object(value: &Json) -> bool {
    value.as_map().is_some()
}

impl<'a> Shape<'a> {
    /// What a list or a map holds, or itself.
    fn inner(self) -> Shape<'a> {
        match self {
            Shape::Type(Type::List(inner) | Type::Map(inner), owner) => Shape::Type(inner, owner).inner(),
            Shape::Custom(json) if is_object(json.get("items")) => Shape::Custom(json.get("items")).inner(),
            Shape::Custom(json) if is_object(json.get("additionalProperties")) => Shape::Custom(json.get("additionalProperties")).inner(),
            Shape::Custom(json) => schema().named(json.get("x-built-in").text()).map_or(self, Shape::Struct),
            shape => shape,
        }
    }

    fn members(self) -> Vec<Member<'a>> {
        match self.inner() {
            Shape::Struct(id) => schema().get(id).fields.iter().map(Member::built_in).collect(),
            Shape::Type(Type::Struct(id), _) => Shape::Struct(*id).members(),
            Shape::Custom(json) => {
                let required: Vec<&str> = json.get("required").items().iter().map(Json::text).collect();
                let member = |(name, value): (&'a arcstr::ArcStr, &'a Json)| Member {
                    name: name.as_str(),
                    shape: Shape::Custom(value),
                    required: required.contains(&name.as_str()),
                    description: value.get("description").text(),
                };
                json.get("properties").entries().map(member).collect()
            }
            Shape::Type(..) => Vec::new(),
        }
    }

    /// The type as kubectl shows it.
    fn guess(self) -> String {
        match self {
            Shape::Struct(id) => schema().get(id).short_name().to_owned(),
            Shape::Type(ty, owner) => guess(ty, owner),
            Shape::Custom(json) if is_object(json.get("items")) => format!("[]{}", Shape::Custom(json.get("items")).guess()),
            Shape::Custom(json) if is_object(json.get("additionalProperties")) => {
                format!("map[string]{}", Shape::Custom(json.get("additionalProperties")).guess())
            }
            Shape::Custom(json) => match (json.get("type").text(), self.inner()) {
                (_, Shape::Struct(id)) => Shape::Struct(id).guess(),
                ("object" | "", _) => "Object".to_owned(),
                (name, _) => name.to_owned(),
            },
        }
    }

    /// The allowed values of a text.
    fn values(self) -> Vec<String> {
        let shown = |value: &str| if value.is_empty() { "\"\"".to_owned() } else { value.to_owned() };
        match self {
            Shape::Type(Type::Text(Some(id)), _) => schema().text(*id).values.iter().map(|value| shown(value)).collect(),
            Shape::Custom(json) => json.get("enum").items().iter().map(|value| shown(value.text())).collect(),
            _ => Vec::new(),
        }
    }

    /// Its description and those of what it holds.
    fn description(self) -> String {
        let Shape::Custom(json) = self else { return String::new() };
        let mut text = json.get("description").text().to_owned();
        if !text.is_empty() {
            text.push('\n');
        }
        for inner in ["items", "additionalProperties"].map(|field| json.get(field)).into_iter().filter(|inner| is_object(inner)) {
            text.push_str(&Shape::Custom(inner).description());
        }
        text
    }
}

impl<'a> Member<'a> {
    fn built_in(field: &'a Field) -> Member<'a> {
        Member { name: field.name, shape: Shape::Type(&field.ty, field.name), required: field.required, description: "" }
    }
}

fn guess(ty: &Type, field: &str) -> String {
    match ty {
        Type::Text(_) | Type::Bytes | Type::Time | Type::MicroTime | Type::Duration => "string".to_owned(),
        Type::Int32 | Type::Int64 | Type::Uint8 => "integer".to_owned(),
        Type::Bool => "boolean".to_owned(),
        Type::Float => "number".to_owned(),
        Type::Quantity => "Quantity".to_owned(),
        Type::IntOrString => "IntOrString".to_owned(),
        Type::Raw => free_form(field).to_owned(),
        Type::List(inner) => format!("[]{}", guess(inner, field)),
        Type::Map(inner) => format!("map[string]{}", guess(inner, field)),
        Type::Struct(id) => schema().get(*id).short_name().to_owned(),
    }
}

/// The names of types whose content is any JSON, by their fields.
fn free_form(field: &str) -> &'static str {
    match field {
        "fieldsV1" => "FieldsV1",
        "additionalItems" | "additionalProperties" => "JSONSchemaPropsOrBool",
        "dependencies" => "JSONSchemaPropsOrStringArray",
        "items" => "JSONSchemaPropsOrArray",
        "default" | "enum" | "example" => "JSON",
        _ => "RawExtension",
    }
}

fn indented(text: &str, by: usize) -> String {
    let pad = " ".repeat(by);
    format!("{pad}{}", text.replace('\n', &format!("\n{pad}")))
}

/// Lines of at most `limit` characters, broken at white space.
fn wrapped(text: &str, limit: usize) -> String {
    let (mut out, mut spaces, mut word) = (String::new(), String::new(), String::new());
    let (mut column, mut space_count, mut word_count) = (0, 0, 0);
    for c in text.chars() {
        if c == '\n' {
            if !word.is_empty() || column + space_count <= limit {
                out.push_str(&spaces);
            }
            out.push_str(&word);
            out.push('\n');
            spaces.clear();
            word.clear();
            (column, space_count, word_count) = (0, 0, 0);
        } else if c.is_whitespace() && c != '\u{a0}' {
            if spaces.is_empty() || !word.is_empty() {
                column += space_count + word_count;
                out.push_str(&spaces);
                out.push_str(&word);
                spaces.clear();
                word.clear();
                (space_count, word_count) = (0, 0);
            }
            spaces.push(c);
            space_count += 1;
        } else {
            word.push(c);
            word_count += 1;
            if column + word_count + space_count > limit && word_count < limit {
                out.push('\n');
                column = 0;
                spaces.clear();
                space_count = 0;
            }
        }
    }
    if !word.is_empty() || column + space_count <= limit {
        out.push_str(&spaces);
    }
    out.push_str(&word);
    out
}
