//! `status.conditions`: reading, setting and dropping entries with the rules that Kubernetes' controllers share.

use crate::object::Json;

/// The conditions of an object with one set, as most controllers do: an equal status and reason leaves it alone, an equal
/// status keeps the time of the last transition.
pub fn with_condition(conditions: &Json, mut condition: Json) -> Json {
    let kind = condition.get("type").clone();
    let Some(old) = conditions.find("type", kind.text()) else {
        return conditions.items().iter().cloned().chain([condition]).collect();
    };
    if old.get("status") == condition.get("status") && old.get("reason") == condition.get("reason") {
        return conditions.clone();
    }
    if old.get("status") == condition.get("status") {
        condition.set("lastTransitionTime", old.get("lastTransitionTime"));
    }
    without_condition(conditions, kind.text()).items().iter().cloned().chain([condition]).collect()
}

/// The conditions without one.
pub fn without_condition(conditions: &Json, kind: &str) -> Json {
    if conditions.find("type", kind).is_none() {
        return conditions.clone();
    }
    conditions.items().iter().filter(|c| c.get("type").text() != kind).cloned().collect()
}
