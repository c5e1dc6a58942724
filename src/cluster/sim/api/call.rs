//! One request on its way through the server: who calls, on what, and what is noted for the answer.

use super::write::{Notes, Part};
use super::{custom, errors, strategy};
use crate::cluster::sim::store::{Key, Kind};
use crate::cluster::sim::world::World;
use crate::cluster::{ApiError, ApiRequest, FieldValidation, Identity, Subresource};
use crate::object::decode::{self, DecodeError};
use crate::object::schema::{TypeId, schema};
use crate::object::{Json, Object, ResourceRef};
use arcstr::ArcStr;

/// A request under way.
pub struct Call<'a> {
    /// In whose name.
    pub who: &'a Identity,
    /// The request.
    pub request: &'a ApiRequest,
    /// Its kind.
    pub kind: Kind,
    /// Its kind's description, as the store has it.
    pub resource: ResourceRef,
    /// What the answer will carry besides.
    pub notes: Notes,
}

impl Call<'_> {
    /// Where the object of the request is stored.
    pub fn key(&self) -> Key {
        let namespace = if self.resource.namespaced { self.request.namespace.clone().unwrap_or_default() } else { ArcStr::new() };
        Key { kind: self.kind, namespace, name: self.request.name.clone().unwrap_or_default() }
    }

    /// The part of the object that the request writes.
    pub fn part(&self) -> Part {
        if self.request.subresource == Some(Subresource::Status) { Part::Status } else { Part::Main }
    }

    /// The fields of the kind, for built-in kinds.
    pub fn schema(&self) -> Option<TypeId> {
        schema().of_kind(&self.resource)
    }

    /// Reads an object as the server does; returns it with the paths of unknown fields.
    ///
    /// # Errors
    /// When a value is of another type than its field.
    pub fn read(&self, world: &World, mut object: Object) -> Result<(Object, Vec<String>), DecodeError> {
        let unknown = match self.schema() {
            Some(ty) => {
                let decoded = decode::decode(&object, ty)?;
                object.0 = decoded.value;
                decoded.unknown
            }
            None => custom::prune(&world.store, &self.resource, &mut object),
        };
        object.set("apiVersion", self.resource.api_version());
        object.set("kind", self.resource.kind.as_str());
        strategy::convert(self.kind, &mut object);
        Ok((object, unknown))
    }

    /// Notes unknown fields as the request asks: as warnings, as a refusal, or not at all.
    ///
    /// # Errors
    /// `strict decoding error: …`.
    pub fn note_unknown(&mut self, unknown: &[String]) -> Result<(), String> {
        let complaints = unknown.iter().map(|path| format!("unknown field {}", errors::quote(path)));
        match self.request.options.field_validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => self.notes.warnings.extend(complaints.map(ArcStr::from)),
            FieldValidation::Strict if unknown.is_empty() => {}
            FieldValidation::Strict => return Err(format!("strict decoding error: {}", complaints.collect::<Vec<_>>().join(", "))),
        }
        Ok(())
    }

    /// Reads the body of a creation or replacement.
    ///
    /// # Errors
    /// 400 with the decoder's words.
    pub fn decode(&mut self, world: &World, object: Object) -> Result<Object, ApiError> {
        let sent = |field: &str| object.get(field).as_str().filter(|t| !t.is_empty()).map(str::to_owned);
        let kind = sent("kind").unwrap_or_else(|| self.resource.kind.clone());
        let group_version = sent("apiVersion").unwrap_or_else(|| self.resource.api_version());
        let version = group_version.rsplit('/').next().unwrap_or_default().to_owned();
        let refuse = |why: &str| {
            let wanted = &self.resource.kind;
            errors::bad_request(format!("{kind} in version {} cannot be handled as a {wanted}: {why}", errors::quote(&version)))
        };
        if !matches!(object.0, Json::Obj(_)) {
            return Err(refuse("json: cannot unmarshal array into Go value of type map[string]interface {}"));
        }
        if group_version != self.resource.api_version() {
            let text = format!(
                "the API version in the data ({group_version}) does not match the expected API version ({})",
                self.resource.api_version()
            );
            return Err(errors::bad_request(text));
        }
        if kind != self.resource.kind {
            return Err(refuse(&format!("no kind {} is expected here", errors::quote(&kind))));
        }
        let (object, unknown) = self.read(world, object).map_err(|error| refuse(&error.json))?;
        if let Err(text) = self.note_unknown(&unknown) {
            let wanted = &self.resource.kind;
            return Err(errors::bad_request(format!(
                "{kind} in version {} cannot be handled as a {wanted}: {text}",
                errors::quote(&version)
            )));
        }
        Ok(object)
    }
}
