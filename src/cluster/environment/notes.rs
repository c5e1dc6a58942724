//! What is written down about an environment, in Secrets of our own namespace: texts by name.

use super::{EnvironmentError, LABEL, Place};
use crate::cluster::{ApiError, ApiRequest, Cluster, Identity, PatchKind};
use crate::object;
use crate::object::decode::{from_base64, to_base64};
use crate::object::{Json, Object, ResourceRef, resource};
use std::collections::BTreeMap;

/// A Secret of ours that holds texts by key.
#[derive(Debug, Clone)]
pub struct Notes {
    namespace: String,
    name: &'static str,
    label: String,
}

pub(super) fn secrets() -> &'static ResourceRef {
    resource::builtin_named("", "secrets").expect("Secrets are in the table of built-in kinds")
}

impl Notes {
    /// The notes called `name` of a place.
    pub fn new(place: &Place, name: &'static str) -> Notes {
        Notes { namespace: place.own.to_string(), name, label: place.namespace.to_string() }
    }

    /// Reads them; empty when there are none.
    ///
    /// # Errors
    /// The API server's answer.
    pub fn read(&self, cluster: &mut dyn Cluster) -> Result<BTreeMap<String, String>, ApiError> {
        let answer = cluster.api(&Identity::operator(), &ApiRequest::get(secrets(), Some(&self.namespace), self.name));
        match answer {
            Ok(reply) => Ok(texts(&reply.into_object())),
            Err(error) if error.code == 404 => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        }
    }

    /// Writes one text, creating the notes when there are none; the others stay.
    ///
    /// # Errors
    /// The API server's answer.
    pub fn write(&self, cluster: &mut dyn Cluster, key: &str, text: &str) -> Result<(), ApiError> {
        let data = object! { key => to_base64(text.as_bytes()) };
        let patch = object! { "data" => &data };
        let request = ApiRequest::patch(secrets(), Some(&self.namespace), self.name, PatchKind::Merge, patch);
        match cluster.api(&Identity::operator(), &request) {
            Err(error) if error.code == 404 => {}
            other => return other.map(drop),
        }
        let secret = object! {
            "apiVersion" => "v1", "kind" => "Secret", "type" => "Opaque", "data" => data,
            "metadata" => object! { "name" => self.name, "namespace" => self.namespace.as_str(), "labels" => object! { LABEL => self.label.as_str() } },
        };
        cluster.api(&Identity::operator(), &ApiRequest::create(secrets(), Some(&self.namespace), secret)).map(drop)
    }

    /// Throws them away.
    ///
    /// # Errors
    /// The API server's answer.
    pub fn clear(&self, cluster: &mut dyn Cluster) -> Result<(), ApiError> {
        match cluster.api(&Identity::operator(), &ApiRequest::delete(secrets(), Some(&self.namespace), self.name)) {
            Err(error) if error.code != 404 => Err(error),
            _ => Ok(()),
        }
    }
}

fn texts(secret: &Object) -> BTreeMap<String, String> {
    let decode = |value: &Json| from_base64(value.text()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    secret.get("data").entries().filter_map(|(key, value)| Some((key.to_string(), decode(value)?))).collect()
}

/// How far an environment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing was recorded: never deployed, or a deploy was cut off.
    Unfinished,
    /// It was deployed and its baseline recorded.
    Ready,
}

/// From what an environment is deployed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Origin {
    /// Name of the application.
    pub app: String,
    /// Whether AIOpsLab's own names were asked for.
    pub strict: bool,
    /// Factor on CPU requests.
    pub cpu_scale: f64,
    /// Image of our own pod.
    pub image: String,
}

/// What an environment consisted of when it was healthy: a digest of every object.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// How far it is.
    pub phase: Phase,
    /// A digest of what was deployed: the application's data, options and this library's version.
    pub recipe: String,
    /// What a repair needs to deploy it again: the application's name, its options, and the image of our own pod.
    pub origin: Origin,
    /// Digests of the objects, by `group/plural/name` (cluster-scoped ones of ours included).
    pub objects: BTreeMap<String, String>,
    /// Fingerprints of stores, by Deployment.
    pub stores: BTreeMap<String, String>,
}

const RECORD: &str = "record";

impl Record {
    /// An environment of which nothing is known.
    pub fn unfinished() -> Record {
        Record {
            phase: Phase::Unfinished,
            recipe: String::new(),
            origin: Origin::default(),
            objects: BTreeMap::new(),
            stores: BTreeMap::new(),
        }
    }

    /// Reads the record of a place.
    ///
    /// # Errors
    /// The API server's answer.
    pub fn read(cluster: &mut dyn Cluster, place: &Place) -> Result<Record, EnvironmentError> {
        let notes = Notes::new(place, RECORD).read(cluster).map_err(EnvironmentError::api("reading the environment's record"))?;
        let Some(text) = notes.get(RECORD) else { return Ok(Record::unfinished()) };
        let Ok(json) = Json::parse(text) else { return Ok(Record::unfinished()) };
        let map = |field: &str| json.get(field).entries().map(|(key, value)| (key.to_string(), value.text().to_owned())).collect();
        let phase = if json.get("phase").text() == "ready" { Phase::Ready } else { Phase::Unfinished };
        let origin = Origin {
            app: json.get("app").text().to_owned(),
            strict: json.get("strict").is_true(),
            cpu_scale: json.get("cpu_scale").as_f64().unwrap_or(1.0),
            image: json.get("image").text().to_owned(),
        };
        Ok(Record { phase, recipe: json.get("recipe").text().to_owned(), origin, objects: map("objects"), stores: map("stores") })
    }

    /// Writes it down.
    ///
    /// # Errors
    /// The API server's answer.
    pub fn write(&self, cluster: &mut dyn Cluster, place: &Place) -> Result<(), EnvironmentError> {
        let map = |map: &BTreeMap<String, String>| {
            let mut json = object! {};
            map.iter().for_each(|(key, value)| json.set(key, value.as_str()));
            json
        };
        let phase = if self.phase == Phase::Ready { "ready" } else { "unfinished" };
        let json = object! { "phase" => phase, "recipe" => self.recipe.as_str(), "app" => self.origin.app.as_str(),
        "strict" => self.origin.strict, "cpu_scale" => self.origin.cpu_scale, "image" => self.origin.image.as_str(), "objects" => map(&self.objects), "stores" => map(&self.stores) };
        let notes = Notes::new(place, RECORD);
        notes.write(cluster, RECORD, &json.to_compact()).map_err(EnvironmentError::api("writing the environment's record"))
    }
}

/// A digest of what an environment is deployed from: objects, options, the agent's rights and this library's version.
pub fn recipe(place: &Place, app: &crate::app::App, strict: bool) -> String {
    let mut key = crate::rng::Key::new(0).part(env!("CARGO_PKG_VERSION"));
    for object in crate::cluster::deploy::objects(app, strict).into_iter().chain([super::rights::grant(place)]) {
        key = key.part(&object.to_compact());
    }
    format!("{:016x}", key.value())
}

/// Records what a healthy environment consists of.
///
/// # Errors
/// The API server's answer.
pub fn take_record(
    cluster: &mut dyn Cluster,
    (place, app): (&Place, &crate::app::App),
    recipe: &str,
    origin: &Origin,
) -> Result<Record, EnvironmentError> {
    let parts = super::survey(cluster, place, &Record::unfinished())?;
    let record = Record {
        phase: Phase::Ready,
        recipe: recipe.to_owned(),
        origin: origin.clone(),
        objects: super::difference::digests(&parts),
        stores: super::fingerprints(cluster, place, app)?,
    };
    record.write(cluster, place)?;
    Ok(record)
}
