//! A journal of what the library itself did to an environment since its baseline, written *before* each change, so that a process which is
//! killed at any instant leaves a cluster that can be put back.
//!
//! Entries are what an object was before it was first changed, disturbances by name, and pods in which somebody ran a program. What the
//! agent changes through the API needs no entry: it can reach nothing but the environment's own objects, which are compared with the record.

use super::{Notes, Place};
use crate::cluster::{
    ApiError, ApiReply, ApiRequest, Body, Cluster, ConnectError, DisturbError, Disturbance, ExecOutput, ExecRequest, HttpOrigin, HttpReply,
    HttpRequest, Identity, Interest, ProbeReply, ProbeRequest, Right, TelemetryQuery, TelemetryReply, Unsupported, Verb, Woken,
    WorkloadError,
};
use crate::object;
use crate::object::{Json, ResourceRef, ResourceType};
use crate::time::SimTime;
use crate::workload::Workload;
use arcstr::ArcStr;
use std::collections::BTreeSet;
use std::sync::Arc;

const JOURNAL: &str = "journal";

/// One entry.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// An object as it was before it was changed; null when it did not exist.
    Object {
        /// API group.
        group: String,
        /// Version.
        version: String,
        /// Plural name of the kind.
        plural: String,
        /// Namespace; empty for cluster-scoped kinds.
        namespace: String,
        /// Name.
        name: String,
        /// What it was.
        before: Json,
    },
    /// A disturbance was begun under this name.
    Disturbance(String),
    /// Somebody ran a program in this pod of the application.
    Touched(String),
}

impl Entry {
    fn key(&self) -> String {
        match self {
            Entry::Object { group, plural, namespace, name, .. } => format!("object {group}/{plural}/{namespace}/{name}"),
            Entry::Disturbance(name) => format!("disturbance {name}"),
            Entry::Touched(pod) => format!("touched {pod}"),
        }
    }

    fn to_json(&self) -> Json {
        match self {
            Entry::Object { group, version, plural, namespace, name, before } => object! {
                "group" => group.as_str(), "version" => version.as_str(), "plural" => plural.as_str(),
                "namespace" => namespace.as_str(), "name" => name.as_str(), "before" => before,
            },
            Entry::Disturbance(name) => object! { "disturbance" => name.as_str() },
            Entry::Touched(pod) => object! { "touched" => pod.as_str() },
        }
    }

    fn of(json: &Json) -> Entry {
        let text = |field: &str| json.get(field).text().to_owned();
        if let Some(name) = json.get("disturbance").as_str() {
            return Entry::Disturbance(name.to_owned());
        }
        if let Some(pod) = json.get("touched").as_str() {
            return Entry::Touched(pod.to_owned());
        }
        let before = json.get("before").clone();
        let (group, version, plural) = (text("group"), text("version"), text("plural"));
        Entry::Object { group, version, plural, namespace: text("namespace"), name: text("name"), before }
    }
}

/// The journal of a place.
#[derive(Debug, Clone)]
pub struct Journal {
    notes: Notes,
    known: BTreeSet<String>,
    next: usize,
}

impl Journal {
    /// The journal of a place, with what is in it.
    ///
    /// # Errors
    /// The API server's answer.
    pub fn open(cluster: &mut dyn Cluster, place: &Place) -> Result<Journal, ApiError> {
        let mut journal = Journal { notes: Notes::new(place, JOURNAL), known: BTreeSet::new(), next: 0 };
        let entries = journal.entries(cluster)?;
        journal.next = entries.len();
        journal.known = entries.iter().map(Entry::key).collect();
        Ok(journal)
    }

    /// Its entries, oldest first.
    ///
    /// # Errors
    /// The API server's answer.
    pub fn entries(&self, cluster: &mut dyn Cluster) -> Result<Vec<Entry>, ApiError> {
        let texts = self.notes.read(cluster)?;
        Ok(texts.values().filter_map(|text| Json::parse(text).ok()).map(|json| Entry::of(&json)).collect())
    }

    /// Writes an entry, unless one of the same object is there: the oldest is what the object was.
    ///
    /// # Errors
    /// The API server's answer; the change must not be made then.
    pub fn add(&mut self, cluster: &mut dyn Cluster, entry: &Entry) -> Result<(), ApiError> {
        let key = entry.key();
        if self.known.contains(&key) {
            return Ok(());
        }
        self.notes.write(cluster, &format!("{:06}", self.next), &entry.to_json().to_compact())?;
        self.next += 1;
        self.known.insert(key);
        Ok(())
    }

    /// Throws it away: everything in it has been undone.
    ///
    /// # Errors
    /// The API server's answer.
    pub fn clear(&mut self, cluster: &mut dyn Cluster) -> Result<(), ApiError> {
        self.notes.clear(cluster)?;
        self.known.clear();
        self.next = 0;
        Ok(())
    }
}

/// A cluster on which every change of the operator's is journaled before it is made.
pub struct Journaled<C> {
    /// The cluster.
    pub cluster: C,
    place: Place,
    journal: Journal,
}

impl<C: Cluster> Journaled<C> {
    /// Journals what happens on `cluster` from now on.
    pub fn new(cluster: C, place: Place, journal: Journal) -> Self {
        Journaled { cluster, place, journal }
    }

    fn before(&mut self, request: &ApiRequest) -> Result<(), ApiError> {
        let namespace = request.namespace.as_deref().unwrap_or_default();
        if namespace == self.place.own || request.options.dry_run || matches!(request.verb, Verb::Get | Verb::List) {
            return Ok(());
        }
        let resource = &request.resource;
        if request.verb == Verb::DeleteCollection {
            let all = self.cluster.api(&Identity::operator(), &ApiRequest::list(resource, request.namespace.as_deref()))?.into_items();
            for object in all {
                let entry = entry(resource, object.namespace(), object.name(), object.0.clone());
                self.journal.add(&mut self.cluster, &entry)?;
            }
            return Ok(());
        }
        let named = request.name.as_deref().map(str::to_owned).or_else(|| created_name(request));
        let Some(name) = named.filter(|name| !name.is_empty()) else { return Ok(()) };
        if self.journal.known.contains(&entry(resource, namespace, &name, Json::Null).key()) {
            return Ok(());
        }
        let read = ApiRequest::get(resource, request.namespace.as_deref(), &name);
        let before = match self.cluster.api(&Identity::operator(), &read) {
            Ok(reply) => reply.into_object().0,
            Err(error) if error.code == 404 => Json::Null,
            Err(error) => return Err(error),
        };
        self.journal.add(&mut self.cluster, &entry(resource, namespace, &name, before))
    }
}

fn entry(resource: &ResourceType, namespace: &str, name: &str, before: Json) -> Entry {
    Entry::Object {
        group: resource.group.clone(),
        version: resource.version.clone(),
        plural: resource.plural.clone(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        before,
    }
}

/// The name that a creation gives; a generated one is not known yet, and such an object is found as one too many.
fn created_name(request: &ApiRequest) -> Option<String> {
    match &request.body {
        Body::Object(object) if request.verb == Verb::Create => object.at(&["metadata", "name"]).as_str().map(str::to_owned),
        _ => None,
    }
}

impl<C: Cluster> Cluster for Journaled<C> {
    fn now(&self) -> SimTime {
        self.cluster.now()
    }

    fn wait(&mut self, until: SimTime, interests: &[Interest]) -> Woken {
        self.cluster.wait(until, interests)
    }

    fn resources(&mut self) -> Result<Arc<Vec<ResourceRef>>, ApiError> {
        self.cluster.resources()
    }

    fn api(&mut self, who: &Identity, request: &ApiRequest) -> Result<ApiReply, ApiError> {
        if who.is_operator() {
            self.before(request)?;
        }
        self.cluster.api(who, request)
    }

    fn api_many(&mut self, who: &Identity, requests: &[ApiRequest]) -> Vec<Result<ApiReply, ApiError>> {
        self.cluster.api_many(who, requests)
    }

    fn exec(&mut self, who: &Identity, request: &ExecRequest) -> Result<ExecOutput, ApiError> {
        if request.namespace == self.place.namespace && !who.is_operator() {
            self.journal.add(&mut self.cluster, &Entry::Touched(request.pod.to_string()))?;
        }
        self.cluster.exec(who, request)
    }

    fn telemetry(&mut self, who: &Identity, query: &TelemetryQuery) -> Result<TelemetryReply, ApiError> {
        self.cluster.telemetry(who, query)
    }

    fn http(&mut self, from: &HttpOrigin, request: &HttpRequest) -> Result<HttpReply, ConnectError> {
        self.cluster.http(from, request)
    }

    fn resolve(&mut self, from: &HttpOrigin, host: &str) -> Result<Vec<ArcStr>, ConnectError> {
        self.cluster.resolve(from, host)
    }

    fn drive(&mut self, namespace: &str, workload: Option<&Workload>) -> Result<(), WorkloadError> {
        self.cluster.drive(namespace, workload)
    }

    fn load_report(&mut self, namespace: &str) -> Option<crate::workload::generator::LoadReport> {
        self.cluster.load_report(namespace)
    }

    fn version(&self) -> Json {
        self.cluster.version()
    }

    fn probe(&mut self, requests: &[ProbeRequest]) -> Vec<ProbeReply> {
        self.cluster.probe(requests)
    }

    fn can(&mut self, right: &Right) -> bool {
        self.cluster.can(right)
    }

    fn disturb(&mut self, name: &str, disturbance: &Disturbance) -> Result<(), DisturbError> {
        let written = self.journal.add(&mut self.cluster, &Entry::Disturbance(name.to_owned()));
        written.map_err(|error| DisturbError::Failed {
            what: disturbance.to_string(),
            why: format!("the journal cannot be written: {error}"),
        })?;
        self.cluster.disturb(name, disturbance)
    }

    fn relieve(&mut self, name: &str) -> Result<(), DisturbError> {
        self.cluster.relieve(name)
    }

    fn is_disturbed(&mut self, name: &str) -> Result<bool, DisturbError> {
        self.cluster.is_disturbed(name)
    }

    fn fork(&self) -> Result<Box<dyn Cluster>, Unsupported> {
        self.cluster.fork()
    }

    fn state_hash(&self) -> Option<u128> {
        self.cluster.state_hash()
    }
}
