//! Sets of fields, as `managedFields` holds them, and what server-side apply computes with them.
//!
//! A set is a tree of path elements: `f:NAME`, `k:{KEYS}` for elements found by keys, `v:VALUE` for elements of sets; `.` marks a node that is
//! itself a member. [`compare`], [`merge`] and [`remove`] walk objects by the schema: structs and maps by field, lists by
//! their kind; what is atomic counts as one field.

use super::schema::{Field, ListKind, Type, TypeId, schema};
use super::{Json, Map};
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::fmt;

/// One step of a path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Step {
    /// A field or a map's key.
    Field(ArcStr),
    /// The element of a list with these keys, as JSON text.
    Keys(ArcStr),
    /// The element of a set, as JSON text.
    Value(ArcStr),
}

#[derive(Clone, Default, PartialEq, Debug)]
struct Node {
    member: bool,
    below: FieldSet,
}

/// A set of fields.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct FieldSet(BTreeMap<Step, Node>);

/// A path to a field.
pub type FieldPath = Vec<Step>;

/// A path as messages show it: `.spec.containers[name="geo"].image`.
pub fn path_text(path: &[Step]) -> String {
    let mut out = String::new();
    for step in path {
        match step {
            Step::Field(name) => out.push_str(&format!(".{name}")),
            Step::Keys(keys) => {
                let keys = Json::parse(keys).unwrap_or_default();
                let parts: Vec<String> = keys.entries().map(|(k, v)| format!("{k}={}", v.to_compact())).collect();
                out.push_str(&format!("[{}]", parts.join(",")));
            }
            Step::Value(value) => out.push_str(&format!("[={value}]")),
        }
    }
    out
}

impl FieldSet {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(|node| !node.member && node.below.is_empty())
    }

    /// Adds a path.
    pub fn insert(&mut self, path: &[Step]) {
        let [step, rest @ ..] = path else { return };
        let node = self.0.entry(step.clone()).or_default();
        if rest.is_empty() { node.member = true } else { node.below.insert(rest) }
    }

    /// Takes a path out, with all below it.
    pub fn cut(&mut self, path: &[&str]) {
        let [name, rest @ ..] = path else { return };
        let step = Step::Field((*name).into());
        if rest.is_empty() {
            self.0.remove(&step);
        } else if let Some(node) = self.0.get_mut(&step) {
            node.below.cut(rest);
            if !node.member && node.below.is_empty() {
                self.0.remove(&step);
            }
        }
    }

    /// Takes out a path but not what is below it.
    pub fn cut_member(&mut self, path: &[&str]) {
        let [name, rest @ ..] = path else { return };
        let step = Step::Field((*name).into());
        if let Some(node) = self.0.get_mut(&step) {
            if rest.is_empty() {
                node.member = false
            } else {
                node.below.cut_member(rest)
            }
            if !node.member && node.below.is_empty() {
                self.0.remove(&step);
            }
        }
    }

    /// Fields of either.
    #[must_use]
    pub fn union(&self, other: &FieldSet) -> FieldSet {
        let mut out = self.clone();
        for (step, node) in &other.0 {
            let slot = out.0.entry(step.clone()).or_default();
            slot.member |= node.member;
            slot.below = slot.below.union(&node.below);
        }
        out
    }

    fn combine(&self, other: &FieldSet, keep: fn(bool, bool) -> bool) -> FieldSet {
        let none = Node::default();
        let nodes = self.0.iter().filter_map(|(step, node)| {
            let theirs = other.0.get(step).unwrap_or(&none);
            let node = Node { member: keep(node.member, theirs.member), below: node.below.combine(&theirs.below, keep) };
            (node.member || !node.below.is_empty()).then(|| (step.clone(), node))
        });
        FieldSet(nodes.collect())
    }

    /// Fields of this that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &FieldSet) -> FieldSet {
        self.combine(other, |a, b| a && !b)
    }

    /// Fields of both.
    #[must_use]
    pub fn intersection(&self, other: &FieldSet) -> FieldSet {
        self.combine(other, |a, b| a && b)
    }

    /// Every path: the members of a node before what is below them.
    pub fn paths(&self) -> Vec<FieldPath> {
        let mut out = Vec::new();
        self.collect(&mut Vec::new(), &mut out);
        out
    }

    fn collect(&self, path: &mut FieldPath, out: &mut Vec<FieldPath>) {
        for (step, _) in self.0.iter().filter(|(_, node)| node.member) {
            path.push(step.clone());
            out.push(path.clone());
            path.pop();
        }
        for (step, node) in &self.0 {
            path.push(step.clone());
            node.below.collect(path, out);
            path.pop();
        }
    }

    fn node(&self, step: &Step) -> Option<&Node> {
        self.0.get(step)
    }

    /// The JSON of `fieldsV1`.
    pub fn to_json(&self) -> Json {
        let mut out = Map::new();
        for (step, node) in &self.0 {
            let key = match step {
                Step::Field(name) => format!("f:{name}"),
                Step::Keys(keys) => format!("k:{keys}"),
                Step::Value(value) => format!("v:{value}"),
            };
            let mut below = node.below.to_json();
            if node.member && !below.is_empty() {
                below.set(".", Map::new());
            }
            out.insert(key, below);
        }
        Json::from(out)
    }

    /// Reads the JSON of `fieldsV1`.
    pub fn from_json(json: &Json) -> FieldSet {
        let mut set = FieldSet::default();
        for (key, below) in json.entries().filter(|(key, _)| *key != ".") {
            let step = match key.split_once(':') {
                Some(("f", name)) => Step::Field(name.into()),
                Some(("k", keys)) => Step::Keys(keys.into()),
                Some(("v", value)) => Step::Value(value.into()),
                _ => continue,
            };
            let member = below.is_empty() || below.as_map().is_some_and(|m| m.contains_key("."));
            set.0.insert(step, Node { member, below: FieldSet::from_json(below) });
        }
        set
    }
}

impl fmt::Display for FieldSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.paths().iter().map(|p| path_text(p)).collect::<Vec<_>>().join(","))
    }
}

/// How a value is walked.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// One field.
    Leaf,
    /// By the fields of a struct.
    Struct(TypeId),
    /// By keys; values of this type.
    Map(&'static Type),
    /// By keys, whatever the values: custom objects.
    Free,
    /// By the elements' keys.
    Keyed(&'static [&'static str], TypeId),
    /// By value.
    Set,
}

pub(super) fn shape_of(field: &'static Field) -> Shape {
    match &field.ty {
        _ if field.atomic => Shape::Leaf,
        Type::Struct(id) if schema().get(*id).atomic => Shape::Leaf,
        Type::Struct(id) => Shape::Struct(*id),
        Type::Map(value) => Shape::Map(value),
        Type::List(element) => match (&field.list, &**element) {
            (ListKind::Map(keys), Type::Struct(id)) => Shape::Keyed(keys, *id),
            (ListKind::Set, _) => Shape::Set,
            _ => Shape::Leaf,
        },
        _ => Shape::Leaf,
    }
}

pub(super) fn shape_of_type(ty: &'static Type) -> Shape {
    match ty {
        Type::Struct(id) if !schema().get(*id).atomic => Shape::Struct(*id),
        Type::Map(value) => Shape::Map(value),
        _ => Shape::Leaf,
    }
}

/// The shape of an object of a kind; of a custom one when there is no schema.
fn root(ty: Option<TypeId>) -> Shape {
    ty.map_or(Shape::Free, Shape::Struct)
}

impl Shape {
    /// The shape of the value under a key.
    fn below(self, key: &str) -> Shape {
        match self {
            Shape::Struct(id) => schema().get(id).field(key).map_or(Shape::Leaf, shape_of),
            Shape::Map(ty) => shape_of_type(ty),
            Shape::Free => Shape::Free,
            _ => Shape::Leaf,
        }
    }

    fn is_map(self) -> bool {
        matches!(self, Shape::Struct(_) | Shape::Map(_) | Shape::Free)
    }

    /// The step to an element of a list of this shape.
    pub(super) fn step(self, item: &Json) -> Option<Step> {
        match self {
            Shape::Set => Some(Step::Value(item.to_compact().into())),
            Shape::Keyed(keys, id) => {
                let fields = keys.iter().filter_map(|key| {
                    let given = item.get(key);
                    let default = || schema().get(id).field(key).and_then(|f| f.default).map(Json::from);
                    let value = if given.is_null() { default()? } else { given.clone() };
                    Some((*key, value))
                });
                Some(Step::Keys(Json::from(fields.collect::<Map>()).to_compact().into()))
            }
            _ => None,
        }
    }

    fn item(self) -> Shape {
        if let Shape::Keyed(_, id) = self { Shape::Struct(id) } else { Shape::Leaf }
    }
}

/// The fields that an object sets.
pub fn fields_of(object: &Json, ty: Option<TypeId>) -> FieldSet {
    let mut set = FieldSet::default();
    collect(object, root(ty), &mut Vec::new(), &mut set);
    set
}

fn collect(value: &Json, shape: Shape, path: &mut FieldPath, set: &mut FieldSet) {
    match value {
        Json::Obj(map) if shape.is_map() && !map.is_empty() => {
            for (key, value) in map.iter() {
                path.push(Step::Field(key.clone()));
                collect(value, shape.below(key), path, set);
                path.pop();
            }
        }
        Json::Arr(items) if matches!(shape, Shape::Keyed(..) | Shape::Set) && !items.is_empty() => {
            for item in items.iter() {
                path.extend(shape.step(item));
                if matches!(shape, Shape::Keyed(..)) {
                    collect(item, shape.item(), path, set);
                }
                set.insert(path);
                path.pop();
            }
        }
        _ => set.insert(path),
    }
}

/// What differs between two states.
#[derive(Clone, Default, Debug, PartialEq)]
pub struct Comparison {
    /// Fields that only the second has.
    pub added: FieldSet,
    /// Fields that both have, with other values.
    pub modified: FieldSet,
    /// Fields that only the first has.
    pub removed: FieldSet,
}

/// Compares two states of an object.
pub fn compare(before: &Json, after: &Json, ty: Option<TypeId>) -> Comparison {
    let mut out = Comparison::default();
    differ(Some(before), Some(after), root(ty), &mut Vec::new(), &mut out);
    out
}

fn differ(before: Option<&Json>, after: Option<&Json>, shape: Shape, path: &mut FieldPath, out: &mut Comparison) {
    let (left, right) = (before.unwrap_or(&super::NULL), after.unwrap_or(&super::NULL));
    if before.is_some() && after.is_some() && left == right {
        return;
    }
    let maps = |j: &Json| matches!(j, Json::Obj(_) | Json::Null);
    let lists = |j: &Json| matches!(j, Json::Arr(_) | Json::Null);
    let full = !left.is_empty() || !right.is_empty();
    let is_map = shape.is_map() && maps(left) && maps(right) && full;
    let is_list = matches!(shape, Shape::Keyed(..) | Shape::Set) && lists(left) && lists(right) && full;
    if is_map {
        differ_maps((left, right), shape, path, out);
    } else if is_list {
        differ_lists((left, right), shape, path, out);
    }
    let set = match (before, after) {
        (None, _) => &mut out.added,
        (_, None) => &mut out.removed,
        _ if is_map || is_list => return,
        _ => &mut out.modified,
    };
    set.insert(path);
}

fn differ_maps((left, right): (&Json, &Json), shape: Shape, path: &mut FieldPath, out: &mut Comparison) {
    let mut step = |key: &ArcStr, l: Option<&Json>, r: Option<&Json>, out: &mut Comparison| {
        path.push(Step::Field(key.clone()));
        differ(l, r, shape.below(key), path, out);
        path.pop();
    };
    for (key, value) in left.entries() {
        step(key, Some(value), right.as_map().and_then(|m| m.get(key)), out);
    }
    for (key, value) in right.entries().filter(|(key, _)| left.as_map().is_none_or(|m| !m.contains_key(key))) {
        step(key, None, Some(value), out);
    }
}

fn differ_lists((left, right): (&Json, &Json), shape: Shape, path: &mut FieldPath, out: &mut Comparison) {
    let index = |list: &Json| -> BTreeMap<Step, Json> { list.items().iter().filter_map(|i| Some((shape.step(i)?, i.clone()))).collect() };
    let (left, right) = (index(left), index(right));
    for (step, item) in &left {
        path.push(step.clone());
        differ(Some(item), right.get(step), shape.item(), path, out);
        path.pop();
    }
    for (step, item) in right.iter().filter(|(step, _)| !left.contains_key(step)) {
        path.push(step.clone());
        differ(None, Some(item), shape.item(), path, out);
        path.pop();
    }
}

/// The live object with what the applied configuration says.
pub fn merge(live: &Json, config: &Json, ty: Option<TypeId>) -> Json {
    merge_values(live, config, root(ty))
}

fn merge_values(live: &Json, config: &Json, shape: Shape) -> Json {
    match (live, config) {
        (Json::Obj(_), Json::Obj(fields)) if shape.is_map() => {
            let mut out = live.clone();
            for (key, value) in fields.iter() {
                let merged = merge_values(live.get(key), value, shape.below(key));
                if merged != *live.get(key) {
                    out.set(key, merged);
                }
            }
            out
        }
        (Json::Arr(ours), Json::Arr(theirs)) if matches!(shape, Shape::Keyed(..) | Shape::Set) => merge_lists(ours, theirs, shape),
        _ => config.clone(),
    }
}

/// The configuration's elements in its order; what only the live list has stays before what followed it.
fn merge_lists(live: &[Json], config: &[Json], shape: Shape) -> Json {
    let place = |step: &Option<Step>| live.iter().position(|item| shape.step(item) == *step);
    let wanted: Vec<Option<Step>> = config.iter().map(|item| shape.step(item)).collect();
    let ours = |item: &Json| !wanted.contains(&shape.step(item));
    let (mut out, mut next) = (Vec::with_capacity(live.len() + config.len()), 0);
    for (item, step) in config.iter().zip(&wanted) {
        match place(step) {
            Some(at) => {
                out.extend(live.iter().take(at).skip(next).filter(|item| ours(item)).cloned());
                next = next.max(at + 1);
                out.push(merge_values(&live[at], item, shape.item()));
            }
            None => out.push(item.clone()),
        }
    }
    out.extend(live.iter().skip(next).filter(|item| ours(item)).cloned());
    Json::from(out)
}

/// Takes the fields of `gone` out of an object, but for what holds a field of `kept`.
pub fn remove(object: &mut Json, gone: &FieldSet, kept: &FieldSet, ty: Option<TypeId>) {
    remove_below(object, gone, kept, root(ty));
}

fn remove_below(value: &mut Json, gone: &FieldSet, kept: &FieldSet, shape: Shape) {
    let none = FieldSet::default();
    match value {
        Json::Obj(map) if shape.is_map() => {
            let keys: Vec<ArcStr> = map.iter().map(|(key, _)| key.clone()).collect();
            for key in keys {
                let step = Step::Field(key.clone());
                let Some(node) = gone.node(&step) else { continue };
                let holds = kept.node(&step);
                if node.member && holds.is_none() {
                    value.remove(&key);
                    continue;
                }
                remove_below(value.get_mut(&key), &node.below, holds.map_or(&none, |n| &n.below), shape.below(&key));
                if value.get(&key).is_empty() && holds.is_none() {
                    value.remove(&key);
                }
            }
        }
        Json::Arr(_) if matches!(shape, Shape::Keyed(..) | Shape::Set) => {
            value.items_mut().retain_mut(|item| {
                let Some(step) = shape.step(item) else { return true };
                let Some(node) = gone.node(&step) else { return true };
                let holds = kept.node(&step);
                // Whoever has fields of an element but not the element itself does not keep it.
                if node.member && !holds.is_some_and(|n| n.member) {
                    return false;
                }
                remove_below(item, &node.below, holds.map_or(&none, |n| &n.below), shape.item());
                true
            });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text).expect("json")
    }

    fn pod() -> Option<TypeId> {
        schema().named("core.Pod")
    }

    #[test]
    fn fields_are_written_as_kubernetes_writes_them() {
        let object = json(
            r#"{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i","ports":[{"containerPort":80}],"command":["x"]}],"nodeSelector":{"a":"b"}}}"#,
        );
        let set = fields_of(&object, pod());
        assert_eq!(
            set.to_json().to_compact(),
            r#"{"f:metadata":{"f:labels":{"f:a":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:command":{},"f:image":{},"f:name":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}}}},"f:nodeSelector":{}}}"#
        );
        assert_eq!(FieldSet::from_json(&set.to_json()), set);
        assert!(set.to_string().contains(".spec.containers[name=\"c\"].image"), "{set}");
    }

    #[test]
    fn states_compare() {
        let before = json(r#"{"spec":{"containers":[{"name":"c","image":"i"}],"nodeName":"x"}}"#);
        let after = json(r#"{"metadata":{"annotations":{"k":"v"}},"spec":{"containers":[{"name":"c","image":"j"},{"name":"d"}]}}"#);
        let found = compare(&before, &after, pod());
        assert_eq!(found.modified.to_string(), ".spec.containers[name=\"c\"].image");
        assert_eq!(found.removed.to_string(), ".spec.nodeName");
        assert_eq!(
            found.added.to_json().to_compact(),
            r#"{"f:metadata":{".":{},"f:annotations":{".":{},"f:k":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"d\"}":{".":{},"f:name":{}}}}}"#
        );
    }

    #[test]
    fn configurations_merge_and_leave() {
        let live = json(r#"{"spec":{"containers":[{"name":"side","image":"s"},{"name":"c","image":"i","tty":true}]}}"#);
        let config = json(r#"{"spec":{"containers":[{"name":"c","image":"j"},{"name":"e"}]}}"#);
        let merged = merge(&live, &config, pod());
        assert_eq!(
            merged.get("spec").to_compact(),
            r#"{"containers":[{"image":"s","name":"side"},{"image":"j","name":"c","tty":true},{"name":"e"}]}"#
        );
        let mut left = merged.clone();
        let mut gone = fields_of(&config, pod());
        gone.cut(&["spec", "nothing"]);
        let kept = fields_of(&json(r#"{"spec":{"containers":[{"name":"c","tty":true}]}}"#), pod());
        remove(&mut left, &gone, &kept, pod());
        assert_eq!(left.get("spec").to_compact(), r#"{"containers":[{"image":"s","name":"side"},{"name":"c","tty":true}]}"#);
    }
}
