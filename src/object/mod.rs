//! The Kubernetes object model: values, kinds, metadata, selectors, quantities, the four patches.
//!
//! An [`Object`] is a [`Json`] value with accessors; nothing here knows a cluster.

pub mod decode;
pub mod field_selector;
pub mod field_set;
pub mod field_types;
mod json;
pub mod names;
pub mod patch;
pub mod pod_resources;
pub mod qos;
pub mod quantity;
pub mod resource;
pub mod schema;
pub mod selector;
pub mod unified_diff;
mod words;

pub use field_selector::FieldSelector;
pub(crate) use json::head_of;
pub use json::{IntoKey, Json, Map, NULL};
pub use quantity::Quantity;
pub use resource::{ResourceRef, ResourceType};
pub use selector::Selector;

use crate::time::SimTime;

/// An API object: its JSON, with accessors for what every object has. Cloning is one reference count.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Object(pub Json);

impl std::ops::Deref for Object {
    type Target = Json;
    fn deref(&self) -> &Json {
        &self.0
    }
}

impl std::ops::DerefMut for Object {
    fn deref_mut(&mut self) -> &mut Json {
        &mut self.0
    }
}

impl From<Json> for Object {
    fn from(json: Json) -> Self {
        Object(json)
    }
}

impl Object {
    /// `metadata`.
    #[inline]
    pub fn meta(&self) -> &Json {
        self.get("metadata")
    }

    /// `kind`, or an empty text.
    pub fn kind(&self) -> &str {
        self.get("kind").text()
    }

    /// `apiVersion`, or an empty text.
    pub fn api_version(&self) -> &str {
        self.get("apiVersion").text()
    }

    /// `metadata.name`, or an empty text.
    #[inline]
    pub fn name(&self) -> &str {
        self.meta().get("name").text()
    }

    /// `metadata.namespace`, or an empty text for objects without one.
    #[inline]
    pub fn namespace(&self) -> &str {
        self.meta().get("namespace").text()
    }

    /// `metadata.uid`, or an empty text.
    #[inline]
    pub fn uid(&self) -> &str {
        self.meta().get("uid").text()
    }

    /// `metadata.resourceVersion`, or an empty text.
    pub fn resource_version(&self) -> &str {
        self.meta().get("resourceVersion").text()
    }

    /// `metadata.generation`, 0 when absent.
    pub fn generation(&self) -> i64 {
        self.meta().get("generation").as_i64().unwrap_or(0)
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.meta().get("labels").get(key).as_str()
    }

    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.meta().get("annotations").get(key).as_str()
    }

    /// `metadata.creationTimestamp`.
    pub fn created_at(&self) -> Option<SimTime> {
        SimTime::parse_rfc3339(self.meta().get("creationTimestamp").as_str()?)
    }

    /// Whether deletion has begun (`metadata.deletionTimestamp` is set).
    pub fn is_terminating(&self) -> bool {
        !self.meta().get("deletionTimestamp").is_null()
    }

    /// `metadata.ownerReferences`.
    #[inline]
    pub fn owners(&self) -> &[Json] {
        self.meta().get("ownerReferences").items()
    }

    /// The owner reference with `controller: true`.
    pub fn controller(&self) -> Option<&Json> {
        self.owners().iter().find(|owner| owner.get("controller").is_true())
    }

    /// `spec`.
    #[inline]
    pub fn spec(&self) -> &Json {
        self.get("spec")
    }

    /// `status`.
    #[inline]
    pub fn status(&self) -> &Json {
        self.get("status")
    }

    /// The entry of `status.conditions` with this type.
    pub fn condition(&self, kind: &str) -> Option<&Json> {
        self.status().get("conditions").find("type", kind)
    }
}
