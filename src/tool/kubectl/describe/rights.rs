//! Roles and who has them.

use super::Scene;
use super::sheet::Sheet;
use crate::object::{Json, Object};
use crate::tool::kubectl::failure::Failure;

/// A rule about one resource, or one path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// Verbs.
    pub verbs: Vec<String>,
    /// API groups.
    pub groups: Vec<String>,
    /// Resources.
    pub resources: Vec<String>,
    /// Names of objects.
    pub names: Vec<String>,
    /// Paths that are no resources.
    pub paths: Vec<String>,
}

fn texts(list: &Json) -> Vec<String> {
    list.items().iter().map(|item| item.text().to_owned()).collect()
}

/// Rules taken apart and put together again: one for each resource, sorted.
pub fn compacted(rules: &Json) -> Vec<Rule> {
    let mut parts: Vec<Rule> = Vec::new();
    for rule in rules.items() {
        let names = texts(rule.get("resourceNames"));
        let names: Vec<Option<String>> = if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() };
        for group in texts(rule.get("apiGroups")) {
            for resource in texts(rule.get("resources")) {
                for verb in texts(rule.get("verbs")) {
                    let part = |name: &Option<String>| Rule {
                        verbs: vec![verb.clone()],
                        groups: vec![group.clone()],
                        resources: vec![resource.clone()],
                        names: name.iter().cloned().collect(),
                        paths: Vec::new(),
                    };
                    parts.extend(names.iter().map(part));
                }
            }
        }
        for path in texts(rule.get("nonResourceURLs")) {
            let part = |verb: String| Rule { verbs: vec![verb], paths: vec![path.clone()], ..Rule::default() };
            parts.extend(texts(rule.get("verbs")).into_iter().map(part));
        }
    }
    merged(parts)
}

fn merged(parts: Vec<Rule>) -> Vec<Rule> {
    let mut whole: Vec<Rule> = Vec::new();
    for part in parts {
        let same = |rule: &&mut Rule| {
            part.paths.is_empty() && rule.groups == part.groups && rule.resources == part.resources && rule.names == part.names
        };
        match whole.iter_mut().find(same) {
            Some(rule) => {
                for verb in part.verbs {
                    if !rule.verbs.contains(&verb) {
                        rule.verbs.push(verb);
                    }
                }
            }
            None => whole.push(part),
        }
    }
    whole.sort_by_key(sort_key);
    whole
}

/// Go's text of a rule, by which kubectl sorts.
fn sort_key(rule: &Rule) -> String {
    format!(
        "&PolicyRule{{Verbs:[{}],APIGroups:[{}],Resources:[{}],ResourceNames:[{}],NonResourceURLs:[{}],}}",
        rule.verbs.join(" "),
        rule.groups.join(" "),
        rule.resources.join(" "),
        rule.names.join(" "),
        rule.paths.join(" ")
    )
}

/// `deployments.apps/scale`.
pub fn resource_name(rule: &Rule) -> String {
    let Some(resource) = rule.resources.first() else { return String::new() };
    let (name, subresource) = resource.split_once('/').map_or((resource.as_str(), None), |(name, sub)| (name, Some(sub)));
    let mut text = name.to_owned();
    if let Some(group) = rule.groups.first().filter(|group| !group.is_empty()) {
        text.push_str(&format!(".{group}"));
    }
    if let Some(subresource) = subresource {
        text.push_str(&format!("/{subresource}"));
    }
    text
}

/// The table of rules, as `describe role` and `auth can-i --list` print it.
pub fn rows(rules: &[Rule]) -> impl Iterator<Item = String> {
    let row = |rule: &Rule| {
        let list = |items: &[String]| format!("[{}]", items.join(" "));
        format!("{}\t{}\t{}\t{}", resource_name(rule), list(&rule.paths), list(&rule.names), list(&rule.verbs))
    };
    rules.iter().map(row)
}

/// A Role or a ClusterRole.
pub(super) fn role(_: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    sheet.field(0, "Name", object.name());
    sheet.metadata(object);
    sheet.line(0, "PolicyRule:");
    sheet.line(1, "Resources\tNon-Resource URLs\tResource Names\tVerbs");
    sheet.line(1, "---------\t-----------------\t--------------\t-----");
    for row in rows(&compacted(object.get("rules"))) {
        sheet.line(1, row);
    }
    Ok(())
}

/// A RoleBinding or a ClusterRoleBinding.
pub(super) fn binding(_: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    sheet.field(0, "Name", object.name());
    sheet.metadata(object);
    sheet.line(0, "Role:");
    sheet.field(1, "Kind", object.at(&["roleRef", "kind"]).text());
    sheet.field(1, "Name", object.at(&["roleRef", "name"]).text());
    sheet.line(0, "Subjects:");
    sheet.line(1, "Kind\tName\tNamespace");
    sheet.line(1, "----\t----\t---------");
    for subject in object.get("subjects").items() {
        let text = |field: &str| subject.get(field).text();
        sheet.line(1, format_args!("{}\t{}\t{}", text("kind"), text("name"), text("namespace")));
    }
    Ok(())
}
