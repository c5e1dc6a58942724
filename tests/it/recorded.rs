//! A read-only cluster made of a recorded object set, with a clock that stands still.

use aiopslab::cluster::{
    ApiError, ApiReply, ApiRequest, Cluster, ConnectError, ExecOutput, ExecRequest, HttpOrigin, HttpReply, HttpRequest, Identity, Interest,
    ProbeReply, ProbeRequest, ReplyBody, TelemetryQuery, TelemetryReply, Unsupported, Verb, Woken, WorkloadError,
};
use aiopslab::object::resource::builtin;
use aiopslab::object::{FieldSelector, Json, Object, ResourceRef, Selector};
use aiopslab::time::SimTime;
use aiopslab::tool::kubectl::{self, Context, Files, Output};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Objects by kind, in order of (namespace, name).
#[derive(Clone)]
pub struct Recorded {
    /// The present instant.
    pub now: SimTime,
    objects: BTreeMap<(String, String), Vec<Object>>,
}

impl Recorded {
    /// Reads `tests/fidelity/objects/SET.json`.
    pub fn load(set: &str) -> Recorded {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fidelity/objects/{set}.json"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let json = Json::parse(&text).expect("an object set is JSON");
        let mut objects: BTreeMap<(String, String), Vec<Object>> = BTreeMap::new();
        for (path, list) in json.get("lists").entries() {
            let plural = path.rsplit('/').next().unwrap_or(path).to_owned();
            let kind = list.get("kind").text().trim_end_matches("List");
            let api_version = list.get("apiVersion").text();
            let group = api_version.rsplit_once('/').map_or("", |(group, _)| group).to_owned();
            for item in list.get("items").items() {
                let mut object = Object(item.clone());
                object.set("kind", kind);
                object.set("apiVersion", api_version);
                objects.entry((group.clone(), plural.clone())).or_default().push(object);
            }
        }
        for list in objects.values_mut() {
            list.sort_by(|a, b| (a.namespace(), a.name()).cmp(&(b.namespace(), b.name())));
        }
        assert!(objects.len() >= 5, "{set}: only {} kinds", objects.len());
        Recorded { now: SimTime::ZERO, objects }
    }

    fn all(&self, resource: &ResourceRef) -> &[Object] {
        self.objects.get(&(resource.group.clone(), resource.plural.clone())).map_or(&[], Vec::as_slice)
    }
}

/// A machine without files.
pub struct NoFiles;

impl Files for NoFiles {
    fn read(&mut self, _: &str) -> Option<Vec<u8>> {
        None
    }
    fn list(&mut self, _: &str) -> Option<Vec<String>> {
        None
    }
    fn write(&mut self, _: &str, _: &[u8]) -> Result<(), String> {
        Err("Read-only file system".to_owned())
    }
}

/// Runs a kubectl command line, its first word included.
pub fn kubectl(cluster: &mut dyn Cluster, line: &str) -> Output {
    let argv = words(line);
    let deadline = cluster.now();
    let who = Identity::operator();
    let mut cx =
        Context { cluster, who: &who, namespace: "default", kubeconfig: "/root/.kube/config", files: &mut NoFiles, stdin: b"", deadline };
    kubectl::run(&mut cx, &argv[1..])
}

/// The words of a line, as a shell splits them.
pub fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut open) = (Vec::new(), None::<String>, None::<char>);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (open, c) {
            (Some(quote), c) if c == quote => open = None,
            (Some('"'), '\\') => match chars.next() {
                Some(next @ ('"' | '\\' | '$' | '`')) => word.get_or_insert_default().push(next),
                Some(next) => word.get_or_insert_default().extend(['\\', next]),
                None => {}
            },
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                open = Some(c);
                word.get_or_insert_default();
            }
            (None, '\\') => word.get_or_insert_default().extend(chars.next()),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn bad_request(message: String) -> ApiError {
    ApiError::new(400, "BadRequest", message)
}

impl Cluster for Recorded {
    fn now(&self) -> SimTime {
        self.now
    }
    fn wait(&mut self, until: SimTime, _: &[Interest]) -> Woken {
        self.now = self.now.max(until);
        Woken::Time
    }
    fn resources(&mut self) -> Result<Arc<Vec<ResourceRef>>, ApiError> {
        Ok(Arc::new(builtin().to_vec()))
    }
    fn api(&mut self, _: &Identity, request: &ApiRequest) -> Result<ApiReply, ApiError> {
        let in_namespace = |object: &&Object| request.namespace.as_ref().is_none_or(|n| object.namespace() == n.as_str());
        match (request.verb, &request.name) {
            (Verb::Get, Some(name)) => {
                let found = self.all(&request.resource).iter().filter(in_namespace).find(|o| o.name() == name.as_str());
                let object = found.cloned().ok_or_else(|| ApiError::not_found(&request.resource, name))?;
                Ok(ApiReply { body: ReplyBody::Object(object), warnings: self.warnings(&request.resource) })
            }
            (Verb::List, _) => {
                let labels = Selector::parse(&request.options.label_selector).map_err(bad_request)?;
                let fields = FieldSelector::for_kind(&request.options.field_selector, &request.resource).map_err(bad_request)?;
                let selected = |o: &&Object| labels.matches(o.meta().get("labels")) && fields.matches(o);
                let items = self.all(&request.resource).iter().filter(in_namespace).filter(selected).cloned().collect();
                Ok(ApiReply { body: ReplyBody::List { resource_version: "1".into(), items }, warnings: self.warnings(&request.resource) })
            }
            _ => Err(ApiError::new(405, "MethodNotAllowed", "recordings are read-only")),
        }
    }
    fn exec(&mut self, _: &Identity, _: &ExecRequest) -> Result<ExecOutput, ApiError> {
        Err(ApiError::new(405, "MethodNotAllowed", "recordings are read-only"))
    }
    fn telemetry(&mut self, _: &Identity, _: &TelemetryQuery) -> Result<TelemetryReply, ApiError> {
        Err(ApiError::new(404, "NotFound", "recordings have no telemetry"))
    }
    fn http(&mut self, _: &HttpOrigin, request: &HttpRequest) -> Result<HttpReply, ConnectError> {
        Err(ConnectError::NameNotFound { host: request.host.clone() })
    }
    fn resolve(&mut self, _: &HttpOrigin, name: &str) -> Result<Vec<arcstr::ArcStr>, ConnectError> {
        Err(ConnectError::NameNotFound { host: name.to_owned() })
    }
    fn drive(&mut self, namespace: &str, _: Option<&aiopslab::workload::Workload>) -> Result<(), WorkloadError> {
        Err(WorkloadError::NoApp(namespace.to_owned()))
    }
    fn probe(&mut self, _: &[ProbeRequest]) -> Vec<ProbeReply> {
        Vec::new()
    }
    fn fork(&self) -> Result<Box<dyn Cluster>, Unsupported> {
        Ok(Box::new(self.clone()))
    }
    fn state_hash(&self) -> Option<u128> {
        None
    }
}

impl Recorded {
    fn warnings(&self, resource: &ResourceRef) -> Vec<arcstr::ArcStr> {
        match (resource.group.as_str(), resource.plural.as_str()) {
            ("", "endpoints") => vec!["v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice".into()],
            ("", "componentstatuses") => vec!["v1 ComponentStatus is deprecated in v1.19+".into()],
            _ => Vec::new(),
        }
    }
}
