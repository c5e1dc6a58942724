//! The patches: JSON, merge, strategic merge, and what makes them.

pub mod json;
pub mod merge;
mod order;
pub mod strategic;
pub mod strategic_diff;

/// Why a patch cannot be applied or made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch is no patch (400).
    #[error("{0}")]
    Malformed(String),
    /// The patch does not fit the object (422, the server does not say why).
    #[error("{0}")]
    Failed(String),
    /// Any other failure (500).
    #[error("{0}")]
    Other(String),
}

use super::Json;
use super::schema::{Type, TypeId, schema};

/// Where a strategic merge stands: in a struct of the schema, or in a map of unknown shape.
#[derive(Clone, Copy)]
pub(crate) enum Level {
    Struct(TypeId),
    Free,
}

/// How a strategic merge treats a field.
#[derive(Clone, Copy, Default)]
pub(crate) struct Strategy {
    pub merge: bool,
    pub replace: bool,
    pub retain_keys: bool,
    pub key: Option<&'static str>,
}

impl Level {
    /// The level below `key`, and how the field there is treated.
    pub(crate) fn below(self, key: &str) -> Result<(Level, Strategy), PatchError> {
        let Level::Struct(id) = self else { return Ok((Level::Free, Strategy::default())) };
        let structure = schema().get(id);
        let Some(field) = structure.field(key) else {
            let name = structure.short_name();
            return Err(PatchError::Other(format!("unable to find api field in struct {name} for the json field {key:?}")));
        };
        let element = match &field.ty {
            Type::List(element) => element,
            ty => ty,
        };
        let level = if let Type::Struct(id) = element { Level::Struct(*id) } else { Level::Free };
        let strategy = Strategy { merge: field.merge, replace: field.replace, retain_keys: field.retain_keys, key: field.merge_key };
        Ok((level, strategy))
    }
}

/// A value as Go's `%v` prints it.
pub(crate) fn go_print(value: &Json) -> String {
    match value {
        Json::Null => "<nil>".to_owned(),
        Json::Str(text) => text.to_string(),
        Json::Arr(items) => format!("[{}]", items.iter().map(go_print).collect::<Vec<_>>().join(" ")),
        Json::Obj(map) => {
            let fields: Vec<String> = map.iter().map(|(k, v)| format!("{k}:{}", go_print(v))).collect();
            format!("map[{}]", fields.join(" "))
        }
        other => other.to_compact(),
    }
}

pub(crate) fn no_merge_key(item: &Json, key: &str) -> PatchError {
    PatchError::Other(format!("map: {} does not contain declared merge key: {key}", go_print(item)))
}
