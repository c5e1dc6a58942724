//! Objects as the server's own structs print: Go's field names, in the order of the structs, with every null. Some refusals show them.
//!
//! `internal.txt` holds the structs: a line `group.Type`, then a line a field: name, kind (`p`ointer, `l`ist, `m`ap, `s`tring, `i`nt,
//! `b`ool, `o`bject, `q`uantity, `x` int or string, `t`ime), type.

use crate::cluster::sim::api::errors::go_json;
use crate::object::{Json, unified_diff};
use std::collections::BTreeMap;
use std::sync::OnceLock;

struct Field {
    name: &'static str,
    kind: char,
    ty: Option<&'static str>,
}

type Structs = BTreeMap<&'static str, Vec<Field>>;

fn structs() -> &'static Structs {
    static STRUCTS: OnceLock<Structs> = OnceLock::new();
    STRUCTS.get_or_init(|| {
        let mut all = Structs::new();
        let mut current = "";
        for line in include_str!("internal.txt").lines().filter(|l| !l.starts_with('#')) {
            let Some(field) = line.strip_prefix(' ') else {
                current = line;
                continue;
            };
            let mut words = field.split(' ');
            let name = words.next().unwrap_or_default();
            let kind = words.next().and_then(|k| k.chars().next()).unwrap_or('s');
            all.entry(current).or_default().push(Field { name, kind, ty: words.next() });
        }
        all
    })
}

/// Text under construction, with or without line breaks.
struct Printer {
    out: String,
    /// Depth; `None` prints on one line.
    depth: Option<usize>,
}

impl Printer {
    fn break_line(&mut self, deeper: isize) {
        if let Some(depth) = self.depth {
            let depth = depth.saturating_add_signed(deeper);
            self.depth = Some(depth);
            self.out.push('\n');
            self.out.push_str(&" ".repeat(depth));
        }
    }

    /// A list or map of parts that are printed one by one.
    fn block<T>(&mut self, (open, close): (char, char), parts: impl IntoIterator<Item = T>, mut print: impl FnMut(&mut Self, T)) {
        self.out.push(open);
        let mut any = false;
        for part in parts {
            if any {
                self.out.push(',');
            }
            self.break_line(if any { 0 } else { 1 });
            any = true;
            print(self, part);
        }
        if any {
            self.break_line(-1);
        }
        self.out.push(close);
    }

    fn key(&mut self, key: &str) {
        self.out.push_str(&go_json(&Json::from(key)));
        self.out.push_str(if self.depth.is_some() { ": " } else { ":" });
    }

    fn plain(&mut self, value: &Json) {
        match value {
            Json::Obj(map) => self.block(('{', '}'), map.iter(), |p, (key, value)| {
                p.key(key);
                p.plain(value);
            }),
            Json::Arr(items) => self.block(('[', ']'), items.iter(), |p, item| p.plain(item)),
            other => self.out.push_str(&go_json(other)),
        }
    }

    fn structure(&mut self, value: &Json, ty: &str) {
        let Some(fields) = structs().get(ty) else { return self.plain(value) };
        let mut parts: Vec<(&str, Json, Option<&Field>)> = Vec::new();
        for field in fields {
            if field.name == "*" {
                let meta = value.get("metadata");
                let names = ["name", "generateName", "namespace", "labels", "annotations", "ownerReferences", "finalizers"];
                parts.extend(names.into_iter().filter(|n| !meta.get(n).is_empty()).map(|n| (n, meta.get(n).clone(), None)));
            } else {
                parts.push((field.name, lookup(value, field.name), Some(field)));
            }
        }
        self.block(('{', '}'), parts, |p, (name, value, field)| {
            p.key(name);
            match field {
                Some(field) => p.field(&value, field),
                None => p.plain(&value),
            }
        });
    }

    fn field(&mut self, value: &Json, field: &Field) {
        match (field.kind, value, field.ty) {
            ('l', Json::Arr(items), Some(ty)) => self.block(('[', ']'), items.iter(), |p, item| p.structure(item, ty)),
            ('o', _, Some(ty)) if value.is_null() => self.structure(&Json::from(crate::object::Map::new()), ty),
            (_, Json::Null, _) => self.out.push_str(match field.kind {
                's' => "\"\"",
                'i' | 'x' => "0",
                'b' => "false",
                'q' => "\"0\"",
                _ => "null",
            }),
            (_, _, Some(ty)) => self.structure(value, ty),
            _ => self.plain(value),
        }
    }
}

/// The value that a struct's field has in an object as users write it.
fn lookup(value: &Json, name: &str) -> Json {
    let found = value.entries().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone()).unwrap_or_default();
    if name == "SecurityContext" && !value.get("containers").items().is_empty() {
        let mut context = found;
        for field in ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"] {
            if !value.get(field).is_null() {
                context.set(field, value.get(field));
            }
        }
        return context;
    }
    found
}

fn print(value: &Json, ty: &str, depth: Option<usize>) -> String {
    let mut printer = Printer { out: String::new(), depth };
    printer.structure(value, ty);
    printer.out
}

/// The object on one line.
pub(super) fn compact(value: &Json, ty: &str) -> String {
    print(value, ty, None)
}

/// What changed from `old` to `new`, as the server shows it.
pub(super) fn diff(old: &Json, new: &Json, ty: &str) -> String {
    unified_diff::unified(&print(old, ty, Some(0)), &print(new, ty, Some(0)), 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structs_print_as_go_prints_them() {
        let json = |t: &str| Json::parse(t).expect("json");
        assert_eq!(
            compact(&json(r#"{"port":80,"protocol":"TCP"}"#), "core.ServicePort"),
            r#"{"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}"#
        );
        assert_eq!(
            compact(&json(r#"{"type":"Fast","rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"}}"#), "apps.DeploymentStrategy"),
            r#"{"Type":"Fast","RollingUpdate":{"MaxUnavailable":"25%","MaxSurge":"25%"}}"#
        );
    }

    #[test]
    fn a_pods_change_reads_as_on_a_real_server() {
        let spec = |value: &str, node: &str| {
            let text = format!(
                r#"{{"containers":[{{"name":"c","env":[{{"name":"A","value":"{value}"}}],"terminationMessagePath":"/dev/termination-log"}}],"nodeName":"{node}","securityContext":{{}}}}"#
            );
            Json::parse(&text).expect("json")
        };
        assert_eq!(
            diff(&spec("1", ""), &spec("2", ""), "core.PodSpec"),
            "@@ -13,7 +13,7 @@\n    \"Env\": [\n     {\n      \"Name\": \"A\",\n-     \"Value\": \"1\",\n+     \"Value\": \"2\",\n      \"ValueFrom\": null\n     }\n    ],\n"
        );
        let hunk = diff(&spec("1", ""), &spec("1", "x"), "core.PodSpec");
        assert!(
            hunk.contains("- \"NodeName\": \"\",\n+ \"NodeName\": \"x\",\n \"SecurityContext\": {\n".replace("\n \"S", "\n  \"S").as_str()),
            "{hunk}"
        );
    }
}
