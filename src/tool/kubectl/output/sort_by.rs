//! `--sort-by`: objects in the order of a JSONPath's value.

use super::jsonpath::{JsonPath, relaxed};
use super::sorting::{Swappable, sort};
use super::values::type_name;
use crate::object::{Json, Object, Quantity};
use crate::tool::kubectl::failure::{Failure, quote};

/// Sorts objects by `field`, in the very order of kubectl.
///
/// # Errors
/// A malformed path, one that no object has, or values that have no order.
pub fn sort_by(objects: &mut Vec<Object>, field: &str) -> Result<(), Failure> {
    let path = relaxed(field)?;
    let parsed = JsonPath::parse(&path)?;
    let first = |object: &Object| Ok::<_, String>(parsed.find(object)?.into_iter().next().and_then(|results| results.into_iter().next()));
    let keys = objects.iter().map(first).collect::<Result<Vec<_>, _>>()?;
    if !keys.is_empty() && keys.iter().all(Option::is_none) {
        return Err(format!("couldn't find any field with path {} in the list of objects", quote(&path)).into());
    }
    check_order(&path, &keys)?;
    let count = keys.len();
    let mut rows = Rows { order: (0..count).collect(), keys };
    sort(&mut rows, count);
    *objects = rows.order.iter().map(|at| objects[*at].clone()).collect();
    Ok(())
}

/// Refuses keys that kubectl cannot compare.
fn check_order(path: &str, keys: &[Option<Json>]) -> Result<(), Failure> {
    let mut present = keys.iter().flatten().filter(|key| !key.is_null());
    let Some(one) = present.next() else { return Ok(()) };
    let reason = match one {
        Json::Arr(_) | Json::Obj(_) | Json::Bool(_) => format!("unsortable type: {}", type_name(one)),
        one if present.any(|other| type_name(one) != type_name(other)) => "unsortable interface: interface".to_owned(),
        _ => return Ok(()),
    };
    if keys.len() < 2 {
        return Ok(());
    }
    Err(format!("Field {path} in [][][]reflect.Value is an unsortable type: interface, err: {reason}").into())
}

struct Rows {
    keys: Vec<Option<Json>>,
    order: Vec<usize>,
}

impl Swappable for Rows {
    fn less(&self, a: usize, b: usize) -> bool {
        match (&self.keys[a], &self.keys[b]) {
            (None, _) => true,
            (_, None) => false,
            (Some(a), Some(b)) => less(a, b),
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.keys.swap(a, b);
        self.order.swap(a, b);
    }
}

fn less(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Null, other) => !other.is_null(),
        (_, Json::Null) => false,
        (Json::Int(a), Json::Int(b)) => a < b,
        (Json::Str(a), Json::Str(b)) => match (Quantity::parse(a), Quantity::parse(b)) {
            (Ok(a), Ok(b)) => a < b,
            _ => a.as_str() < b.as_str(),
        },
        (a, b) => a.as_f64() < b.as_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object;

    fn sorted(values: &[Json]) -> String {
        let mut objects: Vec<Object> = values.iter().enumerate().map(|(at, v)| Object(object! { "at" => at, "v" => v })).collect();
        match sort_by(&mut objects, ".v") {
            Ok(()) => objects.iter().map(|o| o.get("at").as_i64().unwrap_or(0).to_string()).collect::<Vec<_>>().join(" "),
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn compares_texts_numbers_and_quantities() {
        assert_eq!(sorted(&[Json::from("b"), Json::from("a")]), "1 0");
        assert_eq!(sorted(&[Json::from("1Gi"), Json::from("500Mi"), Json::from("2")]), "2 1 0");
        assert_eq!(sorted(&[Json::Int(3), Json::Null, Json::Int(1)]), "1 2 0");
        assert_eq!(
            sorted(&[object! {}, object! {}]),
            "Field {.v} in [][][]reflect.Value is an unsortable type: interface, err: unsortable type: map[string]interface {}"
        );
    }
}
