//! Whether the values of an applied configuration fit their fields, in the words of server-side apply.
//!
//! Not modelled: values in keyed lists that lack their keys, duplicates in them.

use super::Json;
use super::field_set::{Shape, Step, path_text, shape_of, shape_of_type};
use super::patch::go_print;
use super::schema::{Type, TypeId, schema};

/// What does not fit: `.spec.replicas: expected numeric (int or float), got string`. In each struct only the first unknown field is told.
pub fn complaints(object: &Json, ty: TypeId) -> Vec<String> {
    let mut walk = Walk { path: Vec::new(), found: Vec::new() };
    walk.structure(object, ty);
    walk.found
}

/// A step, or the place in a list without keys.
enum Place {
    Step(Step),
    Index(usize),
}

struct Walk {
    path: Vec<Place>,
    found: Vec<String>,
}

impl Walk {
    fn tell(&mut self, what: &str) {
        let mut text = String::new();
        for place in &self.path {
            match place {
                Place::Step(step) => text.push_str(&path_text(std::slice::from_ref(step))),
                Place::Index(at) => text.push_str(&format!("[{at}]")),
            }
        }
        self.found.push(format!("{text}: {what}"));
    }

    fn below(&mut self, place: Place, walk: impl FnOnce(&mut Self)) {
        self.path.push(place);
        walk(self);
        self.path.pop();
    }

    fn structure(&mut self, value: &Json, id: TypeId) {
        let Json::Obj(map) = value else { return self.expected("map", value) };
        for (key, value) in map.iter() {
            let Some(field) = schema().get(id).field(key) else {
                return self.below(Place::Step(Step::Field(key.clone())), |walk| walk.tell("field not declared in schema"));
            };
            self.below(Place::Step(Step::Field(key.clone())), |walk| walk.value(value, &field.ty, shape_of(field)));
        }
    }

    fn expected(&mut self, what: &str, got: &Json) {
        if !got.is_null() {
            self.tell(&format!("expected {what}, got &{{{}}}", go_print(got)));
        }
    }

    fn value(&mut self, value: &Json, ty: &'static Type, shape: Shape) {
        match (ty, value) {
            (_, Json::Null) => {}
            (Type::Struct(id), value) => self.structure(value, *id),
            (Type::Map(element), Json::Obj(map)) => {
                for (key, value) in map.iter() {
                    self.below(Place::Step(Step::Field(key.clone())), |walk| walk.value(value, element, shape_of_type(element)));
                }
            }
            (Type::Map(_), value) => self.expected("map", value),
            (Type::List(element), Json::Arr(items)) => {
                for (at, item) in items.iter().enumerate() {
                    let place = shape.step(item).map_or(Place::Index(at), Place::Step);
                    self.below(place, |walk| walk.value(item, element, shape_of_type(element)));
                }
            }
            (Type::List(_), value) => self.expected("list", value),
            (Type::Int32 | Type::Int64 | Type::Uint8 | Type::Float, value) if !matches!(value, Json::Int(_) | Json::Float(_)) => {
                self.tell(&format!("expected numeric (int or float), got {}", go_type(value)));
            }
            (Type::Bool, value) if !matches!(value, Json::Bool(_)) => self.expected("boolean", value),
            (Type::Text(_) | Type::Bytes | Type::Time | Type::MicroTime | Type::Duration, value) if value.as_str().is_none() => {
                self.tell(&format!("expected string, got &value.valueUnstructured{{Value:{}}}", value.to_compact()));
            }
            _ => {}
        }
    }
}

fn go_type(value: &Json) -> &'static str {
    match value {
        Json::Bool(_) => "bool",
        Json::Int(_) => "int64",
        Json::Float(_) => "float64",
        Json::Str(_) => "string",
        Json::Arr(_) => "[]interface {}",
        _ => "map[string]interface {}",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_refused_in_the_servers_words() {
        let check = |container: &str, expect: &[&str]| {
            let text = format!(r#"{{"spec":{{"containers":[{{"name":"geo",{container}}}]}}}}"#);
            let found = complaints(&Json::parse(&text).expect("json"), schema().named("core.Pod").expect("there"));
            let expect: Vec<String> = expect.iter().map(|e| format!(".spec.containers[name=\"geo\"]{e}")).collect();
            assert_eq!(found, expect, "{container}");
        };
        check(r#""image":"x","resources":{"limits":{"cpu":5}},"ports":[{"containerPort":80}]"#, &[]);
        check(r#""image":5"#, &[".image: expected string, got &value.valueUnstructured{Value:5}"]);
        check(r#""tty":"x""#, &[".tty: expected boolean, got &{x}"]);
        check(r#""tty":5.5"#, &[".tty: expected boolean, got &{5.5}"]);
        check(r#""command":5"#, &[".command: expected list, got &{5}"]);
        check(r#""resources":5"#, &[".resources: expected map, got &{5}"]);
        check(r#""securityContext":{"foo":1}"#, &[".securityContext.foo: field not declared in schema"]);
        check(r#""bar":2,"foo":1"#, &[".bar: field not declared in schema"]);
        check(r#""ports":[{"containerPort":80,"x":1}]"#, &[".ports[containerPort=80,protocol=\"TCP\"].x: field not declared in schema"]);
        check(
            r#""args":{},"command":["x",5]"#,
            &[".args: expected list, got &{map[]}", ".command[1]: expected string, got &value.valueUnstructured{Value:5}"],
        );
        check(
            r#""livenessProbe":{"periodSeconds":[2]}"#,
            &[".livenessProbe.periodSeconds: expected numeric (int or float), got []interface {}"],
        );
    }
}
