//! Label selectors as objects carry them: `matchLabels`, `matchExpressions`, and plain maps.

use crate::object::Json;

/// Whether a `metav1.LabelSelector` selects these labels. A null selector selects nothing, an empty one everything.
pub fn selects(selector: &Json, labels: &Json) -> bool {
    if selector.is_null() {
        return false;
    }
    is_subset(selector.get("matchLabels"), labels) && selector.get("matchExpressions").items().iter().all(|r| holds(r, labels))
}

/// Whether every entry of `wanted` is among `labels`, as with a Service's selector.
pub fn is_subset(wanted: &Json, labels: &Json) -> bool {
    wanted.entries().all(|(key, value)| labels.get(key) == value)
}

/// Whether one requirement (`key`, `operator`, `values`) holds; node selectors use `Gt` and `Lt` too.
pub fn holds(requirement: &Json, labels: &Json) -> bool {
    let value = labels.get(requirement.get("key").text()).as_str();
    let values = requirement.get("values").items();
    let listed = || value.is_some_and(|v| values.iter().any(|x| x.text() == v));
    let number = |text: &str| text.parse::<i64>().ok();
    let compare = |wanted: std::cmp::Ordering| {
        let bound = values.first().and_then(|v| number(v.text()));
        value.and_then(number).zip(bound).is_some_and(|(v, b)| v.cmp(&b) == wanted)
    };
    match requirement.get("operator").text() {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compare(std::cmp::Ordering::Greater),
        "Lt" => compare(std::cmp::Ordering::Less),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_select() {
        let check = |selector: &str, labels: &str, expect: bool| {
            let (selector, labels) = (Json::parse(selector).expect("json"), Json::parse(labels).expect("json"));
            assert_eq!(selects(&selector, &labels), expect, "{selector:?} {labels:?}");
        };
        check(r#"{"matchLabels":{"a":"1"}}"#, r#"{"a":"1","b":"2"}"#, true);
        check(r#"{"matchLabels":{"a":"2"}}"#, r#"{"a":"1"}"#, false);
        check("{}", "{}", true);
        check("null", r#"{"a":"1"}"#, false);
        check(r#"{"matchExpressions":[{"key":"a","operator":"In","values":["1","2"]}]}"#, r#"{"a":"2"}"#, true);
        check(r#"{"matchExpressions":[{"key":"a","operator":"NotIn","values":["1"]}]}"#, "{}", true);
        check(r#"{"matchExpressions":[{"key":"a","operator":"Exists"}]}"#, "{}", false);
        check(r#"{"matchExpressions":[{"key":"a","operator":"DoesNotExist"}]}"#, "{}", true);
        check(r#"{"matchExpressions":[{"key":"a","operator":"Gt","values":["3"]}]}"#, r#"{"a":"4"}"#, true);
    }
}
