//! `kubectl api-resources` and `kubectl api-versions`: what the server serves.

use super::command::{Call, Command};
use super::failure::Failure;
use super::flags::Flag;
use super::output::json::{FieldOrder, ordered};
use super::output::tabs::{TABLE, align};
use super::output::{no_printer, yaml};
use crate::object;
use crate::object::{Json, ResourceRef};

static FLAGS: &[Flag] = &[
    Flag::text("api-group", "Only the resources of this API group."),
    Flag::switch("cached", "Use the cached list of resources, if there is one."),
    Flag::csv("categories", "Only resources of these categories."),
    Flag::switch("namespaced", "Only resources in namespaces; with =false only those of the cluster.").default("true"),
    Flag::switch("no-headers", "Leave the header line out."),
    Flag::text("output", "Format: json, yaml, name, wide.").short('o'),
    Flag::switch("show-managed-fields", "Keep metadata.managedFields in JSON and YAML."),
    Flag::text("sort-by", "Sort by name or kind instead of the group."),
    Flag::csv("verbs", "Only resources that know these verbs."),
];

/// `kubectl api-resources`.
pub static RESOURCES: Command =
    Command::leaf("kubectl api-resources", "[flags]", "Print the supported API resources on the server", &[FLAGS], resources);

/// `kubectl api-versions`.
pub static VERSIONS: Command = Command::leaf(
    "kubectl api-versions",
    "",
    "Print the supported API versions on the server, in the form of \"group/version\"",
    &[],
    versions,
);

/// Versions beside the preferred one, which discovery of resources does not tell: a group's preferred version and its others.
const OTHER_VERSIONS: &[(&str, &str)] = &[("autoscaling/v2", "autoscaling/v1")];

const ORDER: FieldOrder = &[
    ("", &["kind", "apiVersion", "groupVersion", "resources"]),
    ("resources", &["name", "singularName", "namespaced", "group", "version", "kind", "verbs", "shortNames", "categories"]),
];

/// Refuses arguments, in the words of commands that take none.
pub(super) fn no_arguments(call: &Call<'_, '_>) -> Result<(), Failure> {
    if call.args.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(call, format!("unexpected arguments: [{}]", call.args.join(" "))))
}

fn versions(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    no_arguments(call)?;
    let mut versions: Vec<String> = call.mapper()?.all().iter().map(|resource| resource.api_version()).collect();
    for (preferred, other) in OTHER_VERSIONS {
        if versions.iter().any(|version| version == preferred) {
            versions.push((*other).to_owned());
        }
    }
    versions.sort();
    versions.dedup();
    versions.iter().for_each(|version| call.say(version));
    Ok(())
}

fn resources(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    no_arguments(call)?;
    let format = call.flags.text("output");
    if !["", "wide", "name", "json", "yaml"].contains(&format.as_str()) {
        return Err(no_printer(&format, &["json", "name", "wide", "yaml"]));
    }
    let sort_by = call.flags.text("sort-by");
    if !["", "name", "kind"].contains(&sort_by.as_str()) {
        return Err("--sort-by accepts only name or kind".into());
    }
    let mut resources = selected(call)?;
    let key = |resource: &ResourceRef| match sort_by.as_str() {
        "name" => resource.plural.clone(),
        "kind" => resource.kind.clone(),
        _ => resource.group.clone(),
    };
    resources.sort_by_cached_key(|resource| (key(resource), resource.plural.clone()));
    let text = match format.as_str() {
        "name" => resources.iter().map(|resource| resource.qualified_plural() + "\n").collect(),
        "json" => {
            let mut out = String::new();
            ordered(&list(&resources), ORDER, 4, &mut out);
            out + "\n"
        }
        "yaml" => {
            let mut out = String::new();
            yaml::write(&list(&resources), &mut out);
            out
        }
        _ => table(&resources, format == "wide", !call.flags.on("no-headers")),
    };
    call.print(&text);
    Ok(())
}

/// The resources that the flags ask for.
fn selected(call: &mut Call<'_, '_>) -> Result<Vec<ResourceRef>, Failure> {
    let mapper = call.mapper()?;
    let (verbs, categories) = (call.flags.list("verbs"), call.flags.list("categories"));
    let group = call.flags.changed("api-group").then(|| call.flags.text("api-group"));
    let namespaced = call.flags.changed("namespaced").then(|| call.flags.on("namespaced"));
    let wanted = |resource: &&ResourceRef| {
        group.as_ref().is_none_or(|group| resource.group == *group)
            && namespaced.is_none_or(|namespaced| resource.namespaced == namespaced)
            && verbs.iter().all(|verb| resource.allows(verb))
            && categories.iter().all(|category| resource.categories.contains(category))
    };
    Ok(mapper.all().iter().filter(wanted).cloned().collect())
}

fn table(resources: &[ResourceRef], wide: bool, headers: bool) -> String {
    let mut text = String::new();
    if headers {
        text.push_str("NAME\tSHORTNAMES\tAPIVERSION\tNAMESPACED\tKIND");
        text.push_str(if wide { "\tVERBS\tCATEGORIES\n" } else { "\n" });
    }
    for resource in resources {
        let short_names = resource.short_names.join(",");
        let cells = [&resource.plural, &short_names, &resource.api_version(), &resource.namespaced.to_string(), &resource.kind];
        text.push_str(&cells.map(String::as_str).join("\t"));
        if wide {
            text.push_str(&format!("\t{}\t{}", resource.verbs.join(","), resource.categories.join(",")));
        }
        text.push('\n');
    }
    align(&text, TABLE)
}

fn list(resources: &[ResourceRef]) -> Json {
    let texts = |list: &[String]| Json::from(list.iter().map(|text| Json::from(text.as_str())).collect::<Vec<_>>());
    let item = |resource: &ResourceRef| {
        let mut item = object! {
            "name" => resource.plural.as_str(),
            "singularName" => resource.singular.as_str(),
            "namespaced" => resource.namespaced,
            "version" => resource.version.as_str(),
            "kind" => resource.kind.as_str(),
            "verbs" => texts(&resource.verbs),
        };
        if !resource.group.is_empty() {
            item.set("group", resource.group.as_str());
        }
        if !resource.short_names.is_empty() {
            item.set("shortNames", texts(&resource.short_names));
        }
        if !resource.categories.is_empty() {
            item.set("categories", texts(&resource.categories));
        }
        item
    };
    object! {
        "kind" => "APIResourceList",
        "apiVersion" => "v1",
        "groupVersion" => "",
        "resources" => resources.iter().map(item).collect::<Vec<_>>(),
    }
}
