//! Making strategic merge patches: from two states, and from the three of `kubectl apply`.

use super::order::sort_by;
use super::strategic::{DELETE_FROM, DIRECTIVE, Mode, ORDER, RETAIN, merge_map};
use super::{Level, PatchError, go_print, no_merge_key};
use crate::object::schema::TypeId;
use crate::object::{Json, Map};
use crate::{array, object};

#[derive(Clone, Copy)]
struct Wants {
    changes: bool,
    deletions: bool,
    retain_keys: bool,
}

/// The patch that leads from `original` to `modified`, both of the kind `ty`.
///
/// # Errors
/// When a list lacks its merge keys.
pub fn two_way(original: &Json, modified: &Json, ty: TypeId) -> Result<Json, PatchError> {
    diff_map(original, modified, Level::Struct(ty), Wants { changes: true, deletions: true, retain_keys: false }).map(Json::from)
}

/// The patch of `kubectl apply`: what `modified` adds to or changes in `current`, and what it no longer has of `original`.
///
/// # Errors
/// When a list lacks its merge keys.
pub fn three_way(original: &Json, modified: &Json, current: &Json, ty: TypeId) -> Result<Json, PatchError> {
    let level = Level::Struct(ty);
    let delta = diff_map(current, modified, level, Wants { changes: true, deletions: false, retain_keys: false })?;
    let deletions = diff_map(original, modified, level, Wants { changes: false, deletions: true, retain_keys: false })?;
    merge_map(&Json::from(deletions), &Json::from(delta), level, Mode::Patch)
}

/// Whether Go holds both values in the same type.
fn same_type(a: &Json, b: &Json) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

fn diff_map(original: &Json, modified: &Json, level: Level, wants: Wants) -> Result<Map, PatchError> {
    let mut patch = Map::new();
    let before = |key: &str| original.as_map().and_then(|m| m.get(key));
    for (key, after) in modified.entries() {
        let Some(before) = before(key) else {
            if wants.changes {
                patch.insert(key.clone(), after.clone());
            }
            continue;
        };
        match (before, after) {
            _ if key == DIRECTIVE => {
                if before != after {
                    patch.insert(key.clone(), after.clone());
                }
            }
            _ if same_type(before, after) && before == after && !matches!(after, Json::Obj(_) | Json::Arr(_)) => {}
            (Json::Obj(_), Json::Obj(_)) => diff_struct(key, before, after, (level, wants), &mut patch)?,
            (Json::Arr(before), Json::Arr(after)) => diff_list(key, (before, after), (level, wants), &mut patch)?,
            _ => {
                if wants.changes {
                    patch.insert(key.clone(), after.clone());
                }
            }
        }
    }
    let gone = |key: &str| modified.as_map().is_none_or(|m| !m.contains_key(key));
    if wants.deletions {
        for (key, _) in original.entries().filter(|(key, _)| gone(key)) {
            patch.insert(key.clone(), Json::Null);
        }
    }
    if wants.retain_keys {
        let keys: Json = modified.entries().filter(|(_, v)| !v.is_null()).map(|(k, _)| Json::from(k)).collect();
        let clears = original.entries().any(|(key, value)| !value.is_null() && gone(key));
        if !keys.is_empty() && (!patch.is_empty() || clears) {
            patch.insert(RETAIN, keys);
        }
    }
    Ok(patch)
}

fn diff_struct(key: &str, before: &Json, after: &Json, (level, wants): (Level, Wants), patch: &mut Map) -> Result<(), PatchError> {
    let (below, strategy) = match level.below(key) {
        Err(_) if before == after => return Ok(()),
        other => other?,
    };
    if strategy.replace {
        if wants.changes {
            patch.insert(key, after.clone());
        }
        return Ok(());
    }
    let inner = diff_map(before, after, below, Wants { retain_keys: strategy.retain_keys, ..wants })?;
    if !inner.is_empty() {
        patch.insert(key, Json::from(inner));
    }
    Ok(())
}

fn diff_list(key: &str, (before, after): (&[Json], &[Json]), (level, wants): (Level, Wants), patch: &mut Map) -> Result<(), PatchError> {
    let (below, strategy) = match level.below(key) {
        Err(_) if before == after => return Ok(()),
        other => other?,
    };
    let list = |items: &[Json]| items.iter().cloned().collect::<Json>();
    if !strategy.merge {
        if wants.changes && before != after {
            patch.insert(key, list(after));
        }
        return Ok(());
    }
    if before.is_empty() {
        if !after.is_empty() && wants.changes {
            patch.insert(key, list(after));
        }
        return Ok(());
    }
    let wants = Wants { retain_keys: strategy.retain_keys, ..wants };
    let merge_key = strategy.key.filter(|_| before.iter().chain(after).any(|item| matches!(item, Json::Obj(_))));
    if let Some(merge_key) = merge_key {
        let (changes, deletions) = diff_elements((before, after), merge_key, below, wants)?;
        let mut changed = sort_by(changes, after, Some(merge_key))?;
        changed.extend(deletions);
        let moved = before.len() != after.len() || before.iter().zip(after).any(|(b, a)| b.get(merge_key) != a.get(merge_key));
        if wants.changes && (!changed.is_empty() || moved) || wants.deletions && !changed.is_empty() {
            let order: Json = after.iter().map(|item| object! { merge_key => item.get(merge_key) }).collect();
            if !order.is_empty() {
                patch.insert(format!("{ORDER}/{key}"), order);
            }
        }
        if !changed.is_empty() {
            patch.insert(key, Json::from(changed));
        }
        return Ok(());
    }
    let missing = |item: &&Json, list: &[Json]| !list.iter().any(|other| go_print(other) == go_print(item));
    let added: Vec<Json> = after.iter().filter(|item| wants.changes && missing(item, before)).cloned().collect();
    let deleted: Json = before.iter().filter(|item| wants.deletions && missing(item, after)).cloned().collect();
    if (wants.deletions && !deleted.is_empty() || wants.changes && before != after) && !after.is_empty() {
        patch.insert(format!("{ORDER}/{key}"), list(after));
    }
    if !added.is_empty() {
        patch.insert(key, Json::from(added));
    }
    if !deleted.is_empty() {
        patch.insert(format!("{DELETE_FROM}/{key}"), deleted);
    }
    Ok(())
}

/// Elements that changed or came, and directives for those that went.
fn diff_elements(
    (before, after): (&[Json], &[Json]),
    key: &'static str,
    level: Level,
    wants: Wants,
) -> Result<(Vec<Json>, Vec<Json>), PatchError> {
    if let Some(bare) = before.iter().chain(after).find(|item| item.as_map().is_none_or(|m| !m.contains_key(key))) {
        return Err(no_merge_key(bare, key));
    }
    let sorted = |items: &[Json]| {
        let mut items: Vec<(String, Json)> = items.iter().map(|item| (go_print(item.get(key)), item.clone())).collect();
        items.sort_by(|a, b| a.0.cmp(&b.0));
        items.into_iter().peekable()
    };
    let (mut before, mut after) = (sorted(before), sorted(after));
    let (mut changes, mut deletions) = (Vec::new(), Vec::new());
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return Ok((changes, deletions)),
            (Some(b), Some(a)) => b.0.cmp(&a.0),
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(_), None) => std::cmp::Ordering::Less,
        };
        let old = if order.is_le() { before.next().map(|(_, item)| item) } else { None };
        let new = if order.is_ge() { after.next().map(|(_, item)| item) } else { None };
        match (old, new) {
            (Some(old), Some(new)) => {
                let mut inner = diff_map(&old, &new, level, wants)?;
                if !inner.is_empty() {
                    inner.insert(key, new.get(key).clone());
                    changes.push(Json::from(inner));
                }
            }
            (None, Some(new)) if wants.changes => changes.push(new),
            (Some(old), None) if wants.deletions => deletions.push(object! { key => old.get(key), DIRECTIVE => "delete" }),
            _ => {}
        }
    }
}

/// An empty list of patches; the shape of `kubectl`'s "nothing to change".
#[must_use]
pub fn is_nothing(patch: &Json) -> bool {
    patch.is_empty() || *patch == array![]
}

#[cfg(test)]
mod tests {
    use super::super::strategic;
    use super::*;
    use crate::object::schema::schema;
    use proptest::prelude::*;

    fn json(text: &str) -> Json {
        Json::parse(text).expect("json")
    }

    fn kind(name: &str) -> TypeId {
        schema().named(name).expect("kind")
    }

    #[test]
    fn two_states_give_the_patch_kubectl_sends() {
        let cases = [
            (
                "core.PodSpec",
                r#"{"containers":[{"name":"a","image":"i"},{"name":"b"}]}"#,
                r#"{"containers":[{"name":"a","image":"j"},{"name":"b"}]}"#,
                r#"{"$setElementOrder/containers":[{"name":"a"},{"name":"b"}],"containers":[{"image":"j","name":"a"}]}"#,
            ),
            (
                "core.PodSpec",
                r#"{"containers":[{"name":"a"},{"name":"b"}]}"#,
                r#"{"containers":[{"name":"b"}]}"#,
                r#"{"$setElementOrder/containers":[{"name":"b"}],"containers":[{"$patch":"delete","name":"a"}]}"#,
            ),
            ("core.PodSpec", r#"{"nodeName":"x"}"#, "{}", r#"{"nodeName":null}"#),
            (
                "meta.ObjectMeta",
                r#"{"finalizers":["a","b"]}"#,
                r#"{"finalizers":["b"]}"#,
                r#"{"$deleteFromPrimitiveList/finalizers":["a"],"$setElementOrder/finalizers":["b"]}"#,
            ),
            (
                "apps.DeploymentSpec",
                r#"{"strategy":{"type":"RollingUpdate","rollingUpdate":{}}}"#,
                r#"{"strategy":{"type":"Recreate"}}"#,
                r#"{"strategy":{"$retainKeys":["type"],"rollingUpdate":null,"type":"Recreate"}}"#,
            ),
        ];
        for (ty, original, modified, expect) in cases {
            assert_eq!(two_way(&json(original), &json(modified), kind(ty)).expect("patch").to_compact(), expect);
        }
    }

    #[test]
    fn three_states_keep_what_others_set() {
        let original = json(r#"{"containers":[{"name":"a","image":"i","env":[{"name":"X","value":"1"}]}]}"#);
        let modified = json(r#"{"containers":[{"name":"a","image":"j"}]}"#);
        let current = json(
            r#"{"containers":[{"name":"a","image":"i","imagePullPolicy":"Always","env":[{"name":"X","value":"1"},{"name":"Y","value":"2"}]},{"name":"side"}],"dnsPolicy":"ClusterFirst"}"#,
        );
        let patch = three_way(&original, &modified, &current, kind("core.PodSpec")).expect("patch");
        assert_eq!(
            patch.to_compact(),
            r#"{"$setElementOrder/containers":[{"name":"a"}],"containers":[{"env":null,"image":"j","name":"a"}]}"#
        );
        let result = strategic::apply(&current, &patch, kind("core.PodSpec")).expect("applies");
        assert_eq!(
            result.to_compact(),
            r#"{"containers":[{"image":"j","imagePullPolicy":"Always","name":"a"},{"name":"side"}],"dnsPolicy":"ClusterFirst"}"#
        );
        let again = three_way(&modified, &modified, &result, kind("core.PodSpec")).expect("patch");
        assert_eq!(
            again.to_compact(),
            r#"{"$setElementOrder/containers":[{"name":"a"}]}"#,
            "kubectl sends the order when others added elements"
        );
        assert!(is_nothing(&three_way(&modified, &modified, &modified, kind("core.PodSpec")).expect("patch")));
    }

    fn container() -> impl Strategy<Value = Json> {
        let env = proptest::collection::btree_map("[A-D]", "[a-c]{0,2}", 0..4);
        let ports = proptest::collection::btree_set(1_i64..6, 0..4);
        ("[xyz]", env, ports, any::<bool>()).prop_map(|(image, env, ports, tty)| {
            let mut out = object! { "image" => image };
            if !env.is_empty() {
                out.set("env", env.iter().map(|(k, v)| object! { "name" => k, "value" => v }).collect::<Json>());
            }
            if !ports.is_empty() {
                out.set("ports", ports.iter().map(|p| object! { "containerPort" => *p }).collect::<Json>());
            }
            if tty {
                out.set("tty", true);
            }
            out
        })
    }

    fn spec() -> impl Strategy<Value = Json> {
        let containers = proptest::collection::btree_map("[a-d]", container(), 1..4);
        let labels = proptest::collection::btree_map("[k-m]", "[a-c]", 0..3);
        (containers, labels, proptest::option::of("[a-c]")).prop_map(|(containers, labels, node)| {
            let list = containers.into_iter().map(|(name, mut c)| {
                c.set("name", name);
                c
            });
            let mut out = object! { "containers" => list.collect::<Json>() };
            if !labels.is_empty() {
                out.set("nodeSelector", Json::from(labels.into_iter().map(|(k, v)| (k, Json::from(v))).collect::<Map>()));
            }
            if let Some(node) = node {
                out.set("nodeName", node);
            }
            out
        })
    }

    proptest! {
        #[test]
        fn a_difference_applied_gives_the_other_state(a in spec(), b in spec()) {
            let ty = kind("core.PodSpec");
            let patch = two_way(&a, &b, ty).expect("patch");
            prop_assert_eq!(strategic::apply(&a, &patch, ty).expect("applies"), b.clone());
            prop_assert!(is_nothing(&two_way(&a, &a, ty).expect("patch")));
            let merge = super::super::merge::diff(&a, &b);
            prop_assert_eq!(super::super::merge::apply(&a, &merge), b.clone());
            let three = three_way(&a, &b, &a, ty).expect("patch");
            prop_assert_eq!(strategic::apply(&a, &three, ty).expect("applies"), b);
        }
    }
}
