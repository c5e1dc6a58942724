//! Field selectors (`status.phase!=Running`) and the fields that each kind lets one select by.

use super::{Object, ResourceType};

/// One condition on a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldTerm {
    /// The field, as the objects have it.
    pub field: String,
    /// Whether the value must differ.
    pub negated: bool,
    /// The value.
    pub value: String,
}

/// A field selector: every term must hold.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FieldSelector(pub Vec<FieldTerm>);

const ALWAYS: [&str; 2] = ["metadata.name", "metadata.namespace"];
const EVENT: [&str; 11] = [
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];
const POD: [&str; 9] = [
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.podIPs",
    "status.nominatedNodeName",
];

/// Fields that a kind can be selected by besides its name (and namespace); `None` for kinds with the default refusal.
fn fields_of(resource: &ResourceType) -> Option<&'static [&'static str]> {
    Some(match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => &POD,
        ("" | "events.k8s.io", "events") => &EVENT,
        ("", "nodes") => &["spec.unschedulable"],
        ("", "namespaces") => &["status.phase"],
        ("", "secrets") => &["type"],
        ("", "services") => &["spec.clusterIP", "spec.type"],
        ("", "replicationcontrollers") => &["status.replicas"],
        ("batch", "jobs") => &["status.successful"],
        ("certificates.k8s.io", "certificatesigningrequests") => &["spec.signerName"],
        _ => return None,
    })
}

/// The field under which objects are looked at, for a field as the user names it.
fn canonical(resource: &ResourceType, field: &str) -> Result<String, String> {
    if resource.plural == "pods" && field == "spec.host" {
        return Ok("spec.nodeName".to_owned());
    }
    let new_event = resource.group == "events.k8s.io";
    let field_of_core = match field {
        _ if !new_event => field.to_owned(),
        "reportingController" => "reportingComponent".to_owned(),
        _ => field.strip_prefix("regarding.").map_or_else(|| field.to_owned(), |rest| format!("involvedObject.{rest}")),
    };
    let known = fields_of(resource);
    let always = field == "metadata.name" || field == "metadata.namespace" && (resource.namespaced || known.is_none());
    if always || known.is_some_and(|fields| fields.contains(&field_of_core.as_str())) {
        return Ok(field_of_core);
    }
    Err(match known {
        None => format!("{field:?} is not a known field selector: only {:?}, {:?}", ALWAYS[0], ALWAYS[1]),
        Some(_) if resource.plural == "jobs" => format!("field label {field:?} not supported for Job"),
        Some(_) => format!("field label not supported: {field}"),
    })
}

fn split_terms(text: &str) -> Vec<&str> {
    let (mut terms, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms.sort_unstable();
    terms
}

fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                Some(c) => return Err(format!("invalid field selector: invalid escape sequence: \\{c}")),
                None => return Err("invalid field selector: invalid escape sequence: \\".to_owned()),
            },
            ',' | '=' => return Err(format!("invalid field selector: unescaped character in value: {}", c as u32)),
            c => out.push(c),
        }
    }
    Ok(out)
}

impl FieldSelector {
    /// Parses the text form without regard to a kind.
    ///
    /// # Errors
    /// With the words of the server.
    pub fn parse(text: &str) -> Result<FieldSelector, String> {
        let mut terms = Vec::new();
        for term in split_terms(text).into_iter().filter(|t| !t.is_empty()) {
            let at = term.find(['!', '=']).filter(|at| term[*at..].starts_with("!=") || term[*at..].starts_with('='));
            let Some(at) = at else { return Err(format!("invalid selector: '{text}'; can't understand '{term}'")) };
            let (field, rest) = term.split_at(at);
            let negated = rest.starts_with("!=");
            let value = rest.strip_prefix("!=").or_else(|| rest.strip_prefix("==")).or_else(|| rest.strip_prefix('=')).unwrap_or(rest);
            terms.push(FieldTerm { field: field.to_owned(), negated, value: unescape(value)? });
        }
        Ok(FieldSelector(terms))
    }

    /// Parses a selector for a kind, refusing fields that the kind does not offer.
    ///
    /// # Errors
    /// With the words of the server.
    pub fn for_kind(text: &str, resource: &ResourceType) -> Result<FieldSelector, String> {
        let mut selector = FieldSelector::parse(text)?;
        for term in &mut selector.0 {
            term.field = canonical(resource, &term.field)?;
        }
        Ok(selector)
    }

    /// Whether it selects an object.
    pub fn matches(&self, object: &Object) -> bool {
        self.0.iter().all(|term| (value_of(object, &term.field) == term.value) != term.negated)
    }

    /// The value that `field` must have, if the selector says so.
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|term| term.field == field && !term.negated).map(|term| term.value.as_str())
    }
}

/// What a field reads as in a selector.
fn value_of(object: &Object, field: &str) -> String {
    let default = match field {
        "spec.hostNetwork" | "spec.unschedulable" => "false",
        "status.replicas" | "status.successful" => "0",
        _ => "",
    };
    let value = match field {
        "status.successful" => object.status().get("succeeded"),
        "source" if object.get("source").is_empty() => object.get("reportingComponent"),
        "source" => object.at(&["source", "component"]),
        "status.podIPs" => return String::new(),
        _ => field.split('.').fold(&object.0, |value, key| value.get(key)),
    };
    match value.as_str() {
        Some(text) => text.to_owned(),
        None if value.is_null() => default.to_owned(),
        None => value.to_compact(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object;
    use crate::object::resource::builtin_named;

    #[test]
    fn fields_select() {
        let pod = Object(object! {
            "metadata" => object! { "name" => "geo", "namespace" => "hotel" },
            "spec" => object! { "nodeName" => "node-1", "restartPolicy" => "Always" }, "status" => object! { "phase" => "Running" },
        });
        let pods = builtin_named("", "pods").expect("known");
        let cases = [
            ("", true),
            ("status.phase=Running", true),
            ("status.phase!=Running", false),
            ("metadata.name==geo,spec.nodeName=node-1", true),
            ("spec.hostNetwork=false", true),
            ("spec.nodeName=", false),
            ("spec.host=node-1", true),
        ];
        for (text, expect) in cases {
            assert_eq!(FieldSelector::for_kind(text, pods).expect(text).matches(&pod), expect, "{text}");
        }
    }

    #[test]
    fn unknown_fields_are_refused() {
        let check = |kind: (&str, &str), text: &str, expect: &str| {
            let resource = builtin_named(kind.0, kind.1).expect("known");
            assert_eq!(FieldSelector::for_kind(text, resource).expect_err(text), expect);
        };
        check(("", "pods"), "spec.foo=1", "field label not supported: spec.foo");
        check(("", "nodes"), "metadata.namespace=x", "field label not supported: metadata.namespace");
        check(("batch", "jobs"), "x=y", "field label \"x\" not supported for Job");
        check(("apps", "deployments"), "x=y", "\"x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"");
        check(("", "pods"), "status.phase", "invalid selector: 'status.phase'; can't understand 'status.phase'");
        check(("", "pods"), "metadata.name=a=b", "invalid field selector: unescaped character in value: 61");
    }
}
