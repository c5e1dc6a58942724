//! The order of merged lists: the patch's order, with what only the server has kept in its place.

use super::{PatchError, no_merge_key};
use crate::object::Json;

/// Whether two elements are the same one: by merge key, or by value when there is none.
pub(super) fn same(a: &Json, b: &Json, key: Option<&str>) -> bool {
    match key {
        Some(key) => a.get(key) == b.get(key),
        None => a == b,
    }
}

pub(super) fn is_deletion(item: &Json) -> bool {
    item.get("$patch").as_str() == Some("delete")
}

fn place(list: &[Json], item: &Json, key: Option<&str>) -> Option<usize> {
    list.iter().position(|other| same(other, item, key))
}

/// Sorts `items` by their place in `order`; deletions go last.
pub(super) fn sort_by(items: Vec<Json>, order: &[Json], key: Option<&str>) -> Result<Vec<Json>, PatchError> {
    if let Some(key) = key
        && let Some(item) = items.iter().chain(order).find(|item| item.as_map().is_none_or(|m| !m.contains_key(key)))
    {
        return Err(no_merge_key(item, key));
    }
    let (deletions, mut kept): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| key.is_some() && is_deletion(item));
    kept.sort_by_key(|item| place(order, item, key).unwrap_or(0));
    kept.extend(deletions);
    Ok(kept)
}

/// Orders a merged list: elements named by `order` follow it, the others stay where they stood in `before`.
pub(super) fn arrange(merged: Vec<Json>, order: &[Json], before: &[Json], key: Option<&str>) -> Result<Vec<Json>, PatchError> {
    let (ours, theirs): (Vec<_>, Vec<_>) = merged.into_iter().partition(|item| place(order, item, key).is_some());
    let ours = sort_by(ours, order, key)?;
    let theirs = sort_by(theirs, before, key)?;
    let mut out = Vec::with_capacity(ours.len() + theirs.len());
    let (mut ours, mut theirs) = (ours.into_iter().peekable(), theirs.into_iter().peekable());
    while let (Some(left), Some(right)) = (theirs.peek(), ours.peek()) {
        let first = match (place(before, left, key), place(before, right, key)) {
            (Some(l), Some(r)) => l < r,
            _ => false,
        };
        out.extend(if first { theirs.next() } else { ours.next() });
    }
    out.extend(theirs);
    out.extend(ours);
    Ok(out)
}
