//! Updates of pods: almost all of the spec stays as it was created.

use super::path::Path;
use super::{FieldErrors, internal, pod};
use crate::object::{Json, Object};

const UPDATABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

pub(super) fn check(old: &Object, new: &Object, errors: &mut FieldErrors) {
    pod::check(new, errors);
    let spec = Path::new("spec");
    let (before, after) = (old.spec(), new.spec());
    for list in ["containers", "initContainers"] {
        if !same_containers(before.get(list), after.get(list), &spec.child(list), errors) {
            return;
        }
    }
    if !deadline(before, after, &spec.child("activeDeadlineSeconds"), errors) {
        return;
    }
    tolerations(before, after, &spec.child("tolerations"), errors);
    let gates = spec.child("schedulingGates");
    for (at, gate) in after.get("schedulingGates").items().iter().enumerate() {
        if before.get("schedulingGates").find("name", gate.get("name").text()).is_none() {
            let text = format!("only deletion is allowed, but found new scheduling gate '{}'", gate.get("name").text());
            errors.forbidden(gates.index(at).child("name"), &text);
        }
    }
    if before == after {
        return;
    }
    let munged = munge(before, after);
    if munged != *before {
        let diff = internal::diff(before, &munged, "core.PodSpec");
        errors.forbidden(spec, &format!("pod updates may not change fields other than {UPDATABLE}\n{diff}"));
    }
}

/// The new spec with everything that may change set back.
fn munge(before: &Json, after: &Json) -> Json {
    let mut munged = after.clone();
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        if list == "ephemeralContainers" {
            reset(&mut munged, before, list);
        } else if !munged.get(list).is_empty() {
            let had = before.get(list).clone();
            for (at, container) in munged.get_mut(list).items_mut().iter_mut().enumerate() {
                container.set("image", had.nth(at).get("image"));
            }
        }
    }
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        reset(&mut munged, before, field);
    }
    let (old, new) = (before.get("terminationGracePeriodSeconds").as_i64(), after.get("terminationGracePeriodSeconds").as_i64());
    if old.is_some_and(|s| s < 0) && new == Some(1) {
        reset(&mut munged, before, "terminationGracePeriodSeconds");
    }
    munged
}

fn reset(munged: &mut Json, before: &Json, field: &str) {
    match before.as_map().and_then(|m| m.get(field)) {
        Some(value) => munged.set(field, value),
        None => drop(munged.remove(field)),
    }
}

/// Whether the lists are as long as they were.
fn same_containers(before: &Json, after: &Json, path: &Path, errors: &mut FieldErrors) -> bool {
    let same = before.items().len() == after.items().len();
    if !same {
        errors.forbidden(path, "pod updates may not add or remove containers");
    }
    same
}

fn deadline(before: &Json, after: &Json, path: &Path, errors: &mut FieldErrors) -> bool {
    let (old, new) = (before.get("activeDeadlineSeconds").as_i64(), after.get("activeDeadlineSeconds").as_i64());
    match (old, new) {
        (Some(old), Some(new)) if old < new => {
            errors.invalid(path, new, "must be less than or equal to previous value");
            false
        }
        (Some(_), None) => {
            errors.invalid(path, Json::Null, "must not update from a positive integer to nil value");
            true
        }
        _ => true,
    }
}

/// Tolerations may be added; those that are there stay, but for their time.
fn tolerations(before: &Json, after: &Json, path: &Path, errors: &mut FieldErrors) {
    let without_time = |t: &Json| {
        let mut bare = t.clone();
        bare.remove("tolerationSeconds");
        bare
    };
    for old in before.get("tolerations").items() {
        let same = |t: &Json| without_time(t) == without_time(old);
        if !after.get("tolerations").items().iter().any(same) {
            errors.forbidden(path, "existing toleration can not be modified except its tolerationSeconds");
            return;
        }
    }
}
