//! Filters and updates of documents.
//!
//! Not modelled: aggregation, text and geographic queries, array operators beyond equality with an element.

use crate::object::Json;
use std::cmp::Ordering;

/// Whether a document fits a filter.
///
/// # Errors
/// An operator that is not known.
pub fn fits(document: &Json, filter: &Json) -> Result<bool, String> {
    for (key, wanted) in filter.entries() {
        let holds = match key.as_str() {
            "$and" => all(document, wanted)?,
            "$or" => wanted.items().iter().map(|f| fits(document, f)).collect::<Result<Vec<_>, _>>()?.contains(&true),
            "$nor" => !wanted.items().iter().map(|f| fits(document, f)).collect::<Result<Vec<_>, _>>()?.contains(&true),
            operator if operator.starts_with('$') => return Err(format!("unknown top level operator: {operator}")),
            path => value_fits(at(document, path), wanted)?,
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

fn all(document: &Json, filters: &Json) -> Result<bool, String> {
    for filter in filters.items() {
        if !fits(document, filter)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The value at a dotted path.
pub fn at<'a>(document: &'a Json, path: &str) -> &'a Json {
    path.split('.').fold(document, |value, key| match key.parse::<usize>() {
        Ok(index) if !value.items().is_empty() => value.nth(index),
        _ => value.get(key),
    })
}

fn value_fits(value: &Json, wanted: &Json) -> Result<bool, String> {
    let operators = wanted.as_map().is_some_and(|m| !m.is_empty() && m.iter().all(|(k, _)| is_operator(k)));
    if !operators {
        return Ok(equal(value, wanted));
    }
    for (operator, operand) in wanted.entries() {
        let order = || if value.is_null() { None } else { compare(value, operand) };
        let holds = match operator.as_str() {
            "$eq" => equal(value, operand),
            "$ne" => !equal(value, operand),
            "$gt" => order() == Some(Ordering::Greater),
            "$gte" => matches!(order(), Some(Ordering::Greater | Ordering::Equal)),
            "$lt" => order() == Some(Ordering::Less),
            "$lte" => matches!(order(), Some(Ordering::Less | Ordering::Equal)),
            "$in" => operand.items().iter().any(|o| equal(value, o)),
            "$nin" => !operand.items().iter().any(|o| equal(value, o)),
            "$exists" => value.is_null() != operand.is_true(),
            "$not" => !value_fits(value, operand)?,
            "$regex" => matches(value.text(), operand.text(), wanted.get("$options").text())?,
            "$options" => true,
            other => return Err(format!("unknown operator: {other}")),
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `$oid` and its kin are values, not operators.
fn is_operator(key: &str) -> bool {
    key.starts_with('$') && !matches!(key, "$oid" | "$uuid" | "$date" | "$long")
}

fn equal(value: &Json, wanted: &Json) -> bool {
    compare(value, wanted) == Some(Ordering::Equal) || value == wanted || value.items().iter().any(|item| item == wanted)
}

fn matches(text: &str, pattern: &str, flags: &str) -> Result<bool, String> {
    let built = regex::RegexBuilder::new(pattern).case_insensitive(flags.contains('i')).size_limit(1 << 20).build();
    built.map(|r| r.is_match(text)).map_err(|_| "Regular expression is invalid".to_owned())
}

/// The order of two values of one type.
pub fn compare(a: &Json, b: &Json) -> Option<Ordering> {
    match (a, b) {
        (Json::Str(a), Json::Str(b)) => Some(a.cmp(b)),
        (Json::Bool(a), Json::Bool(b)) => Some(a.cmp(b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// Changes a document; returns whether anything changed.
///
/// # Errors
/// An operator that is not known.
pub fn update(document: &mut Json, change: &Json) -> Result<bool, String> {
    let before = document.clone();
    let operators = change.entries().any(|(k, _)| k.starts_with('$'));
    if !operators {
        let id = document.get("_id").clone();
        *document = change.clone();
        if !id.is_null() {
            document.set("_id", id);
        }
        return Ok(*document != before);
    }
    for (operator, fields) in change.entries() {
        for (path, operand) in fields.entries() {
            let keys: Vec<&str> = path.split('.').collect();
            match operator.as_str() {
                "$set" => document.set_at(&keys, operand),
                "$unset" => {
                    document.remove_at(&keys);
                }
                "$inc" => {
                    let sum = at(document, path).as_f64().unwrap_or(0.0) + operand.as_f64().unwrap_or(0.0);
                    document.set_at(&keys, if sum == libm::trunc(sum) { Json::Int(sum as i64) } else { Json::Float(sum) });
                }
                "$push" => document.at_mut(&keys).push(operand),
                other => return Err(format!("Unknown modifier: {other}")),
            }
        }
    }
    Ok(*document != before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_and_updates() {
        let document = Json::parse(r#"{"hotelId":"3","rate":109.5,"room":{"code":"KNG"},"tags":["a","b"]}"#).expect("valid");
        let check = |filter: &str, expect: Result<bool, &str>| {
            let got = fits(&document, &Json::parse(filter).expect("valid"));
            assert_eq!(got, expect.map_err(str::to_owned), "{filter}");
        };
        check("{}", Ok(true));
        check(r#"{"hotelId":"3"}"#, Ok(true));
        check(r#"{"hotelId":3}"#, Ok(false));
        check(r#"{"room.code":"KNG","rate":{"$gt":100,"$lt":110}}"#, Ok(true));
        check(r#"{"tags":"b"}"#, Ok(true));
        check(r#"{"nothing":{"$exists":false}}"#, Ok(true));
        check(r#"{"$or":[{"hotelId":"1"},{"hotelId":{"$in":["3"]}}]}"#, Ok(true));
        check(r#"{"hotelId":{"$regex":"^[0-9]$"}}"#, Ok(true));
        check(r#"{"hotelId":{"$what":1}}"#, Err("unknown operator: $what"));
        let mut changed = document.clone();
        let change = Json::parse(r#"{"$set":{"room.code":"QN"},"$inc":{"rate":0.5}}"#).expect("valid");
        assert_eq!(update(&mut changed, &change), Ok(true));
        assert_eq!((changed.at(&["room", "code"]).text(), changed.get("rate").as_i64()), ("QN", Some(110)));
    }
}
