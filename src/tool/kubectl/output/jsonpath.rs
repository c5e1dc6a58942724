//! kubectl's dialect of JSONPath: text with expressions in braces, `{range …}{end}`, filters, unions, slices, `..`.
//!
//! Where kubectl goes over a map in Go's random order (`.*`, `..`), this goes in the order of keys.

use super::values::{plain, type_name};
use super::{json, jsonpath_parser as parser};
use crate::object::Json;
use parser::{Node, Slice};
use std::cmp::Ordering;

/// A parsed template.
#[derive(Debug, Clone)]
pub struct JsonPath {
    nodes: Vec<Node>,
    /// Whether a missing field is nothing, rather than an error.
    pub allow_missing: bool,
    /// Whether to print results as JSON arrays (`jsonpath-as-json`).
    pub as_json: bool,
}

/// How far an execution is in `{range}` and `{end}`.
#[derive(Default)]
struct Progress {
    begin: usize,
    inside: usize,
    end: usize,
    /// Position after which to resume: that of the last `{end}`.
    last_end: usize,
}

impl JsonPath {
    /// Parses a template.
    ///
    /// # Errors
    /// What is wrong with it, in kubectl's words.
    pub fn parse(text: &str) -> Result<JsonPath, String> {
        Ok(JsonPath { nodes: parser::parse(text)?, allow_missing: true, as_json: false })
    }

    /// What each part of the template finds in `data`.
    ///
    /// # Errors
    /// `array index out of bounds: index 0, length 0` and the like.
    pub fn find(&self, data: &Json) -> Result<Vec<Vec<Json>>, String> {
        self.find_from(data, 0, &mut Progress::default())
    }

    fn find_from(&self, data: &Json, start: usize, progress: &mut Progress) -> Result<Vec<Vec<Json>>, String> {
        let current = [data.clone()];
        let mut all = Vec::new();
        let mut at = start;
        while at < self.nodes.len() {
            let results = self.walk(&current, &self.nodes[at], progress)?;
            if progress.end > 0 && progress.end <= progress.inside {
                progress.end -= 1;
                progress.last_end = at;
                break;
            }
            if progress.begin > 0 {
                progress.begin -= 1;
                progress.inside += 1;
                for value in &results {
                    all.extend(self.find_from(value, at + 1, progress)?);
                }
                if results.is_empty() {
                    self.find_from(&Json::Null, at + 1, progress)?;
                }
                progress.inside -= 1;
                at = if progress.last_end > at { progress.last_end + 1 } else { at + 1 };
                continue;
            }
            all.push(results);
            at += 1;
        }
        Ok(all)
    }

    /// Appends what the template prints for `data`.
    ///
    /// # Errors
    /// As [`JsonPath::find`]; nothing is appended then.
    pub fn print(&self, data: &Json, out: &mut String) -> Result<(), String> {
        for results in self.find(data)? {
            if self.as_json {
                json::indented(&Json::from(results), out);
                out.push('\n');
                continue;
            }
            for (at, value) in results.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                print_value(value, out);
            }
        }
        Ok(())
    }

    fn walk(&self, input: &[Json], node: &Node, progress: &mut Progress) -> Result<Vec<Json>, String> {
        match node {
            Node::List(nodes) => {
                let mut current = input.to_vec();
                for node in nodes {
                    current = self.walk(&current, node, progress)?;
                }
                Ok(current)
            }
            Node::Text(text) => Ok(vec![Json::from(text)]),
            Node::Field(name) => self.field(input, name),
            Node::Slice(slice) => slices(input, slice),
            Node::Filter(left, operator, right) => self.filter(input, (left, operator, right), progress),
            Node::Int(n) => Ok(vec![Json::Int(*n); input.len()]),
            Node::Float(x) => Ok(vec![Json::Float(*x); input.len()]),
            Node::Bool(b) => Ok(vec![Json::Bool(*b); input.len()]),
            Node::Wildcard => Ok(input.iter().flat_map(children).collect()),
            Node::Recursive => Ok(recursive(input)),
            Node::Union(lists) => {
                let mut all = Vec::new();
                for nodes in lists {
                    all.extend(self.walk(input, nodes, progress)?);
                }
                Ok(all)
            }
            Node::Identifier(name) => identifier(input, name, progress),
        }
    }

    fn field(&self, input: &[Json], name: &str) -> Result<Vec<Json>, String> {
        let found: Vec<Json> = input.iter().filter_map(|value| value.as_map().and_then(|map| map.get(name)).cloned()).collect();
        if found.is_empty() && !input.is_empty() && !self.allow_missing {
            return Err(format!("{name} is not found"));
        }
        Ok(found)
    }

    fn filter(&self, input: &[Json], parts: (&Node, &str, &Node), progress: &mut Progress) -> Result<Vec<Json>, String> {
        let (left, operator, right) = parts;
        let mut kept = Vec::new();
        for value in input {
            let Json::Arr(items) = value else {
                return Err(format!("{} is not array or slice and cannot be filtered", plain(value)));
            };
            for item in items.iter() {
                let this = [item.clone()];
                let lefts = self.walk(&this, left, progress);
                if operator == "exists" {
                    if lefts.is_ok_and(|found| !found.is_empty()) {
                        kept.push(item.clone());
                    }
                    continue;
                }
                let Some(one) = only(&lefts?)? else { continue };
                let Some(other) = only(&self.walk(&this, right, progress)?)? else { continue };
                if compare(&one, operator, &other)? {
                    kept.push(item.clone());
                }
            }
        }
        Ok(kept)
    }
}

fn only(values: &[Json]) -> Result<Option<Json>, String> {
    match values {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        _ => Err("can only compare one element at a time".to_owned()),
    }
}

fn identifier(input: &[Json], name: &str, progress: &mut Progress) -> Result<Vec<Json>, String> {
    match name {
        "range" => {
            progress.begin += 1;
            Ok(input.to_vec())
        }
        "end" if progress.inside > 0 => {
            progress.end += 1;
            Ok(Vec::new())
        }
        "end" => Err("not in range, nothing to end".to_owned()),
        name => Err(format!("unrecognized identifier {name}")),
    }
}

fn children(value: &Json) -> Vec<Json> {
    match value {
        Json::Obj(map) => map.iter().map(|(_, item)| item.clone()).collect(),
        Json::Arr(items) => items.to_vec(),
        Json::Str(text) => text.bytes().map(|byte| Json::Int(i64::from(byte))).collect(),
        _ => Vec::new(),
    }
}

fn recursive(input: &[Json]) -> Vec<Json> {
    let mut found = Vec::new();
    for value in input {
        let below = children(value);
        if !below.is_empty() {
            found.push(value.clone());
            found.extend(recursive(&below));
        }
    }
    found
}

fn slices(input: &[Json], slice: &Slice) -> Result<Vec<Json>, String> {
    let mut found = Vec::new();
    for value in input.iter().filter(|value| !value.is_null()) {
        let Json::Arr(items) = value else {
            return Err(format!("{} is not array or slice", type_name(value)));
        };
        let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
        let mut start = slice.start.unwrap_or(0);
        if start < 0 {
            start += length;
        }
        let mut end = slice.end.unwrap_or(length);
        if end < 0 || (end == 0 && slice.end_derived) {
            end += length;
        }
        if start == end {
            return Ok(found);
        }
        let outside = |index: i64| Err(format!("array index out of bounds: index {index}, length {length}"));
        if start >= length || start < 0 {
            return outside(start);
        }
        if end > length || end < 0 {
            return outside(end - 1);
        }
        if start > end {
            return Err(format!("starting index {start} is greater than ending index {end}"));
        }
        let step = slice.step.unwrap_or(1);
        if step <= 0 {
            return Err("step must be > 0".to_owned());
        }
        let range = usize::try_from(start).unwrap_or(0)..usize::try_from(end).unwrap_or(0);
        found.extend(items[range].iter().step_by(usize::try_from(step).unwrap_or(1)).cloned());
    }
    Ok(found)
}

fn compare(left: &Json, operator: &str, right: &Json) -> Result<bool, String> {
    let order = match (left, right) {
        (Json::Int(a), Json::Int(b)) => Some(a.cmp(b)),
        (Json::Float(a), Json::Float(b)) => a.partial_cmp(b),
        (Json::Str(a), Json::Str(b)) => Some(a.as_str().cmp(b.as_str())),
        (Json::Bool(a), Json::Bool(b)) if matches!(operator, "==" | "!=") => Some(if a == b { Ordering::Equal } else { Ordering::Less }),
        (Json::Bool(_), Json::Bool(_)) => return Err("invalid type for comparison".to_owned()),
        (Json::Null | Json::Arr(_) | Json::Obj(_), _) | (_, Json::Null | Json::Arr(_) | Json::Obj(_)) => {
            return Err("invalid type for comparison".to_owned());
        }
        _ => return Err("incompatible types for comparison".to_owned()),
    };
    Ok(match operator {
        "==" => order == Some(Ordering::Equal),
        "!=" => order != Some(Ordering::Equal),
        "<" => order == Some(Ordering::Less),
        "<=" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        ">" => order == Some(Ordering::Greater),
        ">=" => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        other => return Err(format!("unrecognized filter operator {other}")),
    })
}

fn print_value(value: &Json, out: &mut String) {
    match value {
        Json::Arr(_) | Json::Obj(_) => json::compact(value, out),
        Json::Null => out.push_str("null"),
        Json::Str(text) => out.push_str(text),
        scalar => out.push_str(&plain(scalar)),
    }
}

/// `name`, `.name`, `{name}` or `{.name}` as `{.name}`: what `--sort-by` and custom columns accept.
///
/// # Errors
/// When it is none of these.
pub fn relaxed(path: &str) -> Result<String, String> {
    if path.is_empty() {
        return Ok(String::new());
    }
    let inner = path.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(path);
    let field = inner.strip_prefix('.').unwrap_or(inner);
    if field.is_empty() || field.contains(['{', '}']) {
        return Err(RELAXED.to_owned());
    }
    Ok(format!("{{.{field}}}"))
}

const RELAXED: &str = "unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or '{.name1.name2}'";

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: &str = r#"{"kind":"List","items":[
        {"metadata":{"name":"a","labels":{"app":"web","x.y/z":"1"}},"n":3,"f":1.5,"ok":true,"list":[1,2,3]},
        {"metadata":{"name":"b","labels":{"app":"db"}},"n":5,"ok":false,"list":[]}],"nil":null}"#;

    fn check(template: &str, expect: &str) {
        let mut out = String::new();
        let result = JsonPath::parse(template).and_then(|path| path.print(&Json::parse(DATA).expect("json"), &mut out));
        assert_eq!(result.map_or_else(|error| format!("error: {error}"), |()| out), expect, "{template}");
    }

    #[test]
    fn finds_values() {
        check("{.kind}", "List");
        check("kind is {.kind}{'\\n'}", "kind is List\n");
        check(".kind", ".kind");
        check("{$.kind} {@.kind}", "List List");
        check("{.items[*].metadata.name}", "a b");
        check("{.items[0].metadata.labels}", r#"{"app":"web","x.y/z":"1"}"#);
        check("{.items[0].metadata.labels.x\\.y/z}", "1");
        check("{.items[0].metadata.labels['x\\.y/z']}", "1");
        check("{.items[0]['metadata','kind']}", r#"{"labels":{"app":"web","x.y/z":"1"},"name":"a"}"#);
        check("{.items[-1].metadata.name}", "b");
        check("{.items[0].list[1:]}", "2 3");
        check("{.items[0].list[::2]}", "1 3");
        check("{.items[0].list[0:2]} {.items[0].list[-2:]}", "1 2 2 3");
        check("{.items[0].list[0,2]}", "1 3");
        check("{.items[*].f}{.items[*].ok}", "1.5true false");
        check("{.nil}", "null");
        check("{.absent}{.absent.deeper[3]}", "");
        check("{..name}", "a b");
        check("{.items[0].metadata.*}", r#"{"app":"web","x.y/z":"1"} a"#);
        check("{true}{3}{1.5}{\"x\"}", "true31.5x");
    }

    #[test]
    fn filters() {
        check("{.items[?(@.n>3)].metadata.name}", "b");
        check("{.items[?(@.n>=3)].metadata.name}", "a b");
        check("{.items[?(@.metadata.name=='a')].n}", "3");
        check("{.items[?(@.metadata.labels.app!=\"web\")].n}", "5");
        check("{.items[?(@.f)].n}", "3");
        check("{.items[?(@.ok==true)].n}", "3");
        check("{.kind[?(@.n==3)]}", "error: List is not array or slice and cannot be filtered");
        check("{.items[?(@.n=='x')]}", "error: incompatible types for comparison");
        check("{.items[?(@.list==1)]}", "error: invalid type for comparison");
        check("{.items[?(@.n=3)]}", "error: unrecognized filter operator =");
    }

    #[test]
    fn ranges() {
        check("{range .items[*]}{.metadata.name}={.n}{\"\\n\"}{end}", "a=3\nb=5\n");
        check("{range .items[*]}[{.metadata.name}:{range .list[*]}<{@}>{end}]{end}.", "[a:<1><2><3>][b:].");
        check("{range .items[?(@.n>9)]}{.n}{end}none", "none");
        check("{.kind}{end}", "error: not in range, nothing to end");
        check("{range .items[*]}{.n}", "35");
    }

    #[test]
    fn refuses() {
        check("{.items[5].n}", "error: array index out of bounds: index 5, length 2");
        check("{.items[-3].n}", "error: array index out of bounds: index -1, length 2");
        check("{.items[1:5].n}", "error: array index out of bounds: index 4, length 2");
        check("{.kind[0]}", "error: string is not array or slice");
        check("{.kind", "error: unclosed action");
        check("{.items[}", "error: unterminated array");
        check("{.items[x]}", "error: invalid array index x");
        check("{.items[?(@.n==3]}", "error: unterminated filter");
        check("{\"x}", "error: unterminated quoted string");
        check("{foo}", "error: unrecognized identifier foo");
        check("{.a!}", "");
        check("{#}", "error: unrecognized character in action: U+0023 '#'");
    }

    #[test]
    fn relaxes() {
        for path in ["a.b", ".a.b", "{a.b}", "{.a.b}"] {
            assert_eq!(relaxed(path).expect(path), "{.a.b}");
        }
        assert!(relaxed("{a}{b}").is_err());
    }
}
