//! Strategic merge patches: lists merge by key, `$patch`, `$setElementOrder`, `$deleteFromPrimitiveList`, `$retainKeys`.

use super::order::{arrange, is_deletion, same};
use super::{Level, PatchError, go_print, no_merge_key};
use crate::object::schema::TypeId;
use crate::object::{Json, Map};

pub(super) const DIRECTIVE: &str = "$patch";
pub(super) const RETAIN: &str = "$retainKeys";
pub(super) const ORDER: &str = "$setElementOrder";
pub(super) const DELETE_FROM: &str = "$deleteFromPrimitiveList";

/// What a merge is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// A patch into an object.
    Object,
    /// A patch into another patch, whose directives stay.
    Patch,
}

/// Applies a strategic merge patch to an object of the kind `ty`.
///
/// # Errors
/// With the server's words.
pub fn apply(object: &Json, patch: &Json, ty: TypeId) -> Result<Json, PatchError> {
    if patch.as_map().is_none() {
        let word = match patch {
            Json::Str(_) => "string",
            Json::Bool(_) => "bool",
            Json::Arr(_) => "array",
            _ => "number",
        };
        return Err(PatchError::Malformed(format!("json: cannot unmarshal {word} into Go value of type map[string]interface {{}}")));
    }
    merge_map(object, patch, Level::Struct(ty), Mode::Object)
}

fn malformed<T>(what: &str) -> Result<T, PatchError> {
    Err(PatchError::Malformed(format!("invalid patch format of {what}")))
}

fn unknown_directive(directive: &Json, patch: &Json) -> PatchError {
    PatchError::Other(format!("unknown patch type: {} in map: {}", go_print(directive), go_print(patch)))
}

pub(super) fn merge_map(original: &Json, patch: &Json, level: Level, mode: Mode) -> Result<Json, PatchError> {
    let mut patch = patch.clone();
    let directive = patch.remove(DIRECTIVE);
    match directive.as_str() {
        Some("replace") => return Ok(patch),
        Some("delete") => return Ok(Json::from(Map::new())),
        None if directive.is_null() => {}
        _ => return Err(unknown_directive(&directive, &patch)),
    }
    let mut out = if original.as_map().is_some() { original.clone() } else { Json::from(Map::new()) };
    retain_keys(&mut out, &mut patch, mode)?;
    ordered_lists(&mut out, &mut patch, level, mode)?;
    for (name, value) in patch.entries() {
        let (key, deletes) = match name.strip_prefix(DELETE_FROM) {
            Some(_) if mode == Mode::Patch => {
                out.set(name, value);
                continue;
            }
            Some(rest) => match rest.strip_prefix('/') {
                Some(key) => (key, true),
                None => return malformed("primitive list"),
            },
            None => (name.as_str(), false),
        };
        merge_field(&mut out, key, value, deletes, (level, mode))?;
    }
    Ok(out)
}

fn merge_field(out: &mut Json, key: &str, value: &Json, deletes: bool, (level, mode): (Level, Mode)) -> Result<(), PatchError> {
    if value.is_null() {
        out.remove(key);
        if mode == Mode::Object {
            return Ok(());
        }
    }
    let before = out.as_map().and_then(|m| m.get(key)).cloned();
    let merged = match (&before, value) {
        (Some(before @ Json::Obj(_)), Json::Obj(_)) => {
            let (below, strategy) = level.below(key)?;
            Some(if strategy.replace { value.clone() } else { merge_map(before, value, below, mode)? })
        }
        (Some(Json::Arr(before)), Json::Arr(items)) => {
            let (below, strategy) = level.below(key)?;
            Some(if strategy.merge || deletes {
                Json::from(merge_list(before, items, (below, strategy.key), mode, deletes)?)
            } else {
                value.clone()
            })
        }
        _ if deletes => return Ok(()),
        _ => without_directives(value, mode),
    };
    match merged {
        Some(merged) if before.as_ref() != Some(&merged) => out.set(key, merged),
        Some(_) => {}
        None => drop(out.remove(key)),
    }
    Ok(())
}

/// A value that is new to the object: without directives, and without nulls in the end result.
fn without_directives(value: &Json, mode: Mode) -> Option<Json> {
    match value {
        Json::Obj(map) if map.contains_key(DIRECTIVE) => None,
        Json::Obj(map) => {
            let kept = map.iter().filter(|(_, v)| mode == Mode::Patch || !v.is_null());
            Some(kept.filter_map(|(k, v)| Some((k.clone(), without_directives(v, mode)?))).collect::<Map>().into())
        }
        Json::Arr(items) => Some(items.iter().filter_map(|item| without_directives(item, mode)).collect()),
        other => Some(other.clone()),
    }
}

/// Obeys `$retainKeys`: what it does not name goes.
fn retain_keys(out: &mut Json, patch: &mut Json, mode: Mode) -> Result<(), PatchError> {
    if !patch.as_map().is_some_and(|m| m.contains_key(RETAIN)) {
        return Ok(());
    }
    let wanted = patch.remove(RETAIN);
    if mode == Mode::Patch {
        if out.as_map().is_some_and(|m| m.contains_key(RETAIN)) && *out.get(RETAIN) != wanted {
            let (had, wanted) = (go_print(out.get(RETAIN)), go_print(&wanted));
            let text = format!("{had} and {wanted} are not deep equal: this may happen when calculating the 3-way diff patch");
            return Err(PatchError::Other(text));
        }
        out.set(RETAIN, wanted);
        return Ok(());
    }
    let Json::Arr(keys) = &wanted else { return malformed("retainKeys") };
    let named = |key: &str| keys.iter().any(|k| k.as_str() == Some(key));
    let directive = |key: &str| key.starts_with(DELETE_FROM) || key.starts_with(ORDER);
    if patch.entries().any(|(key, value)| !value.is_null() && !directive(key) && !named(key)) {
        return malformed("retainKeys");
    }
    if out.entries().any(|(key, _)| !named(key)) {
        out.map_mut().retain(|key, _| named(key));
    }
    Ok(())
}

/// Obeys `$setElementOrder/…`: merges those lists and takes them out of the patch.
fn ordered_lists(out: &mut Json, patch: &mut Json, level: Level, mode: Mode) -> Result<(), PatchError> {
    let names: Vec<_> = patch.entries().map(|(key, _)| key.clone()).filter(|key| key.starts_with(ORDER)).collect();
    for name in names {
        let order = patch.remove(&name);
        if mode == Mode::Patch {
            if out.as_map().is_some_and(|m| m.contains_key(&name)) && *out.get(&name) != order {
                return malformed("setElementOrder list");
            }
            out.set(&name, &order);
        }
        let Json::Arr(order) = &order else {
            return Err(PatchError::Other("expected a []interface {}, but received another type".to_owned()));
        };
        let Some(key) = name.strip_prefix(ORDER).and_then(|rest| rest.strip_prefix('/')) else {
            return malformed("setElementOrder list");
        };
        let (below, strategy) = level.below(key)?;
        let before = out.as_map().and_then(|m| m.get(key)).cloned();
        let ours = patch.as_map().and_then(|m| m.get(key)).cloned();
        agrees_with_order(ours.as_ref(), order, strategy.key)?;
        let list = |json: &Option<Json>| json.as_ref().map_or_else(Vec::new, |j| j.items().to_vec());
        let merged = match (&before, &ours) {
            (None, None) => continue,
            (Some(before), None) => before.items().to_vec(),
            (None, Some(ours)) => without_directives(ours, Mode::Patch).unwrap_or_default().items().to_vec(),
            (Some(before), Some(ours)) if strategy.merge => merge_list(before.items(), ours.items(), (below, strategy.key), mode, false)?,
            (Some(_), Some(ours)) => ours.items().to_vec(),
        };
        let arranged = Json::from(arrange(merged, order, &list(&before), strategy.key)?);
        if before.as_ref() != Some(&arranged) {
            out.set(key, arranged);
        }
        patch.remove(key);
    }
    Ok(())
}

/// The order of a patch's elements must be that of its order list, which must name them all.
fn agrees_with_order(ours: Option<&Json>, order: &[Json], key: Option<&str>) -> Result<(), PatchError> {
    let ours = ours.map_or(&[][..], Json::items);
    if ours.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut wanted = ours.iter().filter(|item| key.is_none() || item.get(DIRECTIVE).is_null() && !is_deletion(item)).peekable();
    for item in order {
        if let Some(next) = wanted.peek() {
            if let Some(key) = key
                && let Some(bare) = [*next, item].into_iter().find(|i| i.as_map().is_none_or(|m| !m.contains_key(key)))
            {
                return Err(no_merge_key(bare, key));
            }
            if same(next, item, key) {
                wanted.next();
            }
        }
    }
    if wanted.peek().is_none() {
        return Ok(());
    }
    let (ours, order) = (go_print(&ours.iter().cloned().collect()), go_print(&order.iter().cloned().collect()));
    Err(PatchError::Other(format!("The order in patch list:\n{ours}\n doesn't match {ORDER} list:\n{order}\n")))
}

fn merge_list(
    original: &[Json],
    patch: &[Json],
    (level, key): (Level, Option<&'static str>),
    mode: Mode,
    deletes: bool,
) -> Result<Vec<Json>, PatchError> {
    let mut all = original.iter().chain(patch);
    let Some(first) = all.next() else { return Ok(Vec::new()) };
    if matches!(first, Json::Arr(_)) {
        return Err(PatchError::Failed("lists of lists are not supported".to_owned()));
    }
    let maps = matches!(first, Json::Obj(_));
    if all.any(|item| matches!(item, Json::Obj(_)) != maps) {
        let lists: Json = [original, patch].into_iter().map(|l| l.iter().cloned().collect()).collect();
        return Err(PatchError::Other(format!("list element types are not identical: {}", go_print(&lists))));
    }
    if !maps {
        if deletes && mode == Mode::Object {
            return Ok(original.iter().filter(|item| !patch.contains(item)).cloned().collect());
        }
        let mut merged: Vec<Json> = Vec::with_capacity(original.len() + patch.len());
        for item in original.iter().chain(patch) {
            if !merged.contains(item) {
                merged.push(item.clone());
            }
        }
        return arrange(merged, patch, original, None);
    }
    let Some(key) = key else {
        return Err(PatchError::Other("cannot merge lists without merge key".to_owned()));
    };
    let (mut merged, ours) = special_elements(original, patch, key)?;
    for item in &ours {
        let Some(value) = item.as_map().and_then(|m| m.get(key)) else { return Err(no_merge_key(item, key)) };
        match merged.iter_mut().find(|other| other.as_map().and_then(|m| m.get(key)) == Some(value)) {
            Some(other) => *other = merge_map(other, item, level, mode)?,
            None => merged.push(without_nulls(item, mode)),
        }
    }
    arrange(merged, &ours, original, Some(key))
}

/// A new element of a list keeps its nulls only within a patch.
fn without_nulls(item: &Json, mode: Mode) -> Json {
    if mode == Mode::Patch { item.clone() } else { without_directives(item, mode).unwrap_or_default() }
}

/// Obeys elements with `$patch`; returns what is left of the list, and the ordinary elements of the patch.
fn special_elements(original: &[Json], patch: &[Json], key: &str) -> Result<(Vec<Json>, Vec<Json>), PatchError> {
    let mut left = original.to_vec();
    let mut ours = Vec::with_capacity(patch.len());
    let mut replace = false;
    for item in patch {
        let directive = item.get(DIRECTIVE);
        match directive.as_str() {
            None if directive.is_null() => ours.push(item.clone()),
            Some("delete") => {
                let Some(value) = item.as_map().and_then(|m| m.get(key)) else { return Err(no_merge_key(item, key)) };
                left.retain(|other| other.get(key) != value);
            }
            Some("replace") => replace = true,
            Some("merge") => return Err(PatchError::Other("merging lists cannot yet be specified in the patch".to_owned())),
            _ => return Err(unknown_directive(directive, item)),
        }
    }
    Ok(if replace { (ours, Vec::new()) } else { (left, ours) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::schema::schema;

    fn run(kind: &str, object: &str, patch: &str) -> Result<String, String> {
        let parse = |t: &str| Json::parse(t).expect("json");
        apply(&parse(object), &parse(patch), schema().named(kind).expect("kind")).map(|j| j.to_compact()).map_err(|e| e.to_string())
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table of cases")]
    fn patches_merge_as_the_schema_says() {
        let two = r#"{"containers":[{"image":"i","name":"a"},{"image":"j","name":"b"}]}"#;
        let cases = [
            (
                "core.PodSpec",
                two,
                r#"{"containers":[{"name":"a","image":"k"}]}"#,
                r#"{"containers":[{"image":"k","name":"a"},{"image":"j","name":"b"}]}"#,
            ),
            (
                "core.PodSpec",
                two,
                r#"{"containers":[{"name":"c"}]}"#,
                r#"{"containers":[{"name":"c"},{"image":"i","name":"a"},{"image":"j","name":"b"}]}"#,
            ),
            ("core.PodSpec", two, r#"{"containers":[{"name":"a","$patch":"delete"}]}"#, r#"{"containers":[{"image":"j","name":"b"}]}"#),
            ("core.PodSpec", two, r#"{"containers":[{"name":"z"},{"$patch":"replace"}]}"#, r#"{"containers":[{"name":"z"}]}"#),
            (
                "core.PodSpec",
                two,
                r#"{"$setElementOrder/containers":[{"name":"b"},{"name":"a"}]}"#,
                r#"{"containers":[{"image":"j","name":"b"},{"image":"i","name":"a"}]}"#,
            ),
            (
                "core.PodSpec",
                r#"{"nodeSelector":{"a":"b"},"x":1}"#,
                r#"{"nodeSelector":{"a":null,"c":"d"}}"#,
                r#"{"nodeSelector":{"c":"d"},"x":1}"#,
            ),
            (
                "core.PodSpec",
                r#"{"nodeSelector":{"a":"b"}}"#,
                r#"{"nodeSelector":{"$patch":"replace","c":"d"}}"#,
                r#"{"nodeSelector":{"c":"d"}}"#,
            ),
            ("core.PodSpec", r#"{"tolerations":[{"key":"a"}]}"#, r#"{"tolerations":[{"key":"b"}]}"#, r#"{"tolerations":[{"key":"b"}]}"#),
            (
                "core.PodSpec",
                r#"{"volumes":[{"configMap":{"name":"c"},"name":"v"}]}"#,
                r#"{"volumes":[{"name":"v","emptyDir":{},"$retainKeys":["name","emptyDir"]}]}"#,
                r#"{"volumes":[{"emptyDir":{},"name":"v"}]}"#,
            ),
            (
                "apps.DeploymentSpec",
                r#"{"strategy":{"rollingUpdate":{"maxSurge":1},"type":"RollingUpdate"}}"#,
                r#"{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}"#,
                r#"{"strategy":{"type":"Recreate"}}"#,
            ),
            ("meta.ObjectMeta", r#"{"finalizers":["a","b"]}"#, r#"{"finalizers":["c"]}"#, r#"{"finalizers":["c","a","b"]}"#),
            (
                "meta.ObjectMeta",
                r#"{"finalizers":["a","b"]}"#,
                r#"{"$deleteFromPrimitiveList/finalizers":["a"]}"#,
                r#"{"finalizers":["b"]}"#,
            ),
            (
                "core.Container",
                r#"{"ports":[{"containerPort":80}]}"#,
                r#"{"ports":[{"containerPort":81}]}"#,
                r#"{"ports":[{"containerPort":81},{"containerPort":80}]}"#,
            ),
            ("core.Container", "{}", r#"{"env":[{"name":"A","value":null}]}"#, r#"{"env":[{"name":"A"}]}"#),
        ];
        for (kind, object, patch, expect) in cases {
            assert_eq!(run(kind, object, patch).as_deref(), Ok(expect), "{patch}");
        }
    }

    #[test]
    fn bad_patches_are_refused() {
        let cases = [
            (
                "core.Container",
                r#"{"ports":[{"containerPort":80}]}"#,
                r#"{"ports":[{"port":81}]}"#,
                "map: map[port:81] does not contain declared merge key: containerPort",
            ),
            ("core.PodSpec", "{}", r#"{"$patch":"spin"}"#, "unknown patch type: spin in map: map[]"),
            ("apps.DeploymentSpec", "{}", r#"{"$retainKeys":["a"],"replicas":1}"#, "invalid patch format of retainKeys"),
            (
                "core.PodSpec",
                r#"{"foo":{}}"#,
                r#"{"foo":{"a":1}}"#,
                "unable to find api field in struct PodSpec for the json field \"foo\"",
            ),
        ];
        for (kind, object, patch, expect) in cases {
            assert_eq!(run(kind, object, patch).expect_err(patch), expect);
        }
    }
}
