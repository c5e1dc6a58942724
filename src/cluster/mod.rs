//! The boundary between problems and worlds: the [`Cluster`] trait, its requests and its errors.
//!
//! Deploy, faults, tools, graders and recovery are functions over this trait, written once. Nothing above it may know
//! whether the cluster is simulated or real.

use crate::object::{Json, Object, ResourceRef};
use crate::time::SimTime;
use arcstr::ArcStr;
pub use disturbance::{DisturbError, Disturbance};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub mod client;
pub mod deploy;
pub mod disturbance;
pub mod environment;
#[cfg(feature = "live")]
pub mod live;
pub mod outpost;
pub mod sim;

/// A Kubernetes cluster with an application on it.
///
/// Synchronous and object-safe. Reads never change the state of a simulated cluster.
pub trait Cluster: Send {
    /// The cluster's clock; virtual on a simulated one.
    fn now(&self) -> SimTime;

    /// Lets time pass until `until`, or until the first change of interest, whichever comes first.
    fn wait(&mut self, until: SimTime, interests: &[Interest]) -> Woken;

    /// The kinds of objects that the cluster serves.
    ///
    /// # Errors
    /// When discovery fails.
    fn resources(&mut self) -> Result<Arc<Vec<ResourceRef>>, ApiError>;

    /// One request to the API server in the name of `who`.
    ///
    /// # Errors
    /// Kubernetes' own `Status`, the same in both worlds.
    fn api(&mut self, who: &Identity, request: &ApiRequest) -> Result<ApiReply, ApiError>;

    /// Several independent reads at once; a live cluster sends them concurrently.
    fn api_many(&mut self, who: &Identity, requests: &[ApiRequest]) -> Vec<Result<ApiReply, ApiError>> {
        requests.iter().map(|request| self.api(who, request)).collect()
    }

    /// Runs a program in a container.
    ///
    /// # Errors
    /// When the container cannot be reached or the program cannot be started; a program's own failure is an exit code.
    fn exec(&mut self, who: &Identity, request: &ExecRequest) -> Result<ExecOutput, ApiError>;

    /// Logs of a container, or traces of an application.
    ///
    /// # Errors
    /// The API server's answer for a container that has no log; that no Jaeger is installed.
    fn telemetry(&mut self, who: &Identity, query: &TelemetryQuery) -> Result<TelemetryReply, ApiError>;

    /// An HTTP request as a client inside or outside the cluster would make it.
    fn http(&mut self, from: &HttpOrigin, request: &HttpRequest) -> Result<HttpReply, ConnectError>;

    /// Addresses of a host name, as a client at `from` resolves it; an address stands for itself.
    ///
    /// # Errors
    /// [`ConnectError::NameNotFound`] when it has none.
    fn resolve(&mut self, from: &HttpOrigin, host: &str) -> Result<Vec<ArcStr>, ConnectError>;

    /// Starts, changes or stops (`None`) the load on the application in `namespace`.
    ///
    /// # Errors
    /// When the workload names an endpoint that the application does not have.
    fn drive(&mut self, namespace: &str, workload: Option<&crate::workload::Workload>) -> Result<(), WorkloadError>;

    /// What the load on a namespace's application did since it was started; `None` where nobody counts (on a simulated cluster the load is
    /// solved, not sent, and synthetic requests tell the same).
    fn load_report(&mut self, namespace: &str) -> Option<crate::workload::generator::LoadReport> {
        let _ = namespace;
        None
    }

    /// What the API server answers to `/version`; null on a simulated cluster, which is of the version that this library was written for.
    fn version(&self) -> Json {
        Json::Null
    }

    /// Synthetic user requests, at the present instant; what they answer and how long they took.
    fn probe(&mut self, requests: &[ProbeRequest]) -> Vec<ProbeReply>;

    /// Whether the library itself may do this (on a simulated cluster it may do everything).
    fn can(&mut self, right: &Right) -> bool {
        let _ = right;
        true
    }

    /// Disturbs nodes, networks or processes below the API, under a name by which [`Cluster::relieve`] ends it. The caller chooses the
    /// name, so that it can be written down before anything happens; one that is in force under it already ends first.
    ///
    /// # Errors
    /// What is missing for it, or why it failed.
    fn disturb(&mut self, name: &str, disturbance: &Disturbance) -> Result<(), DisturbError> {
        let _ = name;
        Err(DisturbError::Unsupported { what: disturbance.to_string(), why: "this cluster has no hands below its API".to_owned() })
    }

    /// Ends a disturbance. One that is over already, or was never begun, is no error: recovery may not know.
    ///
    /// # Errors
    /// Why it goes on.
    fn relieve(&mut self, name: &str) -> Result<(), DisturbError> {
        let _ = name;
        Ok(())
    }

    /// Whether a disturbance is in force under this name.
    ///
    /// # Errors
    /// Why it cannot be told.
    fn is_disturbed(&mut self, name: &str) -> Result<bool, DisturbError> {
        let _ = name;
        Ok(false)
    }

    /// An independent copy of the cluster at this instant.
    ///
    /// # Errors
    /// [`Unsupported`] on a live cluster.
    fn fork(&self) -> Result<Box<dyn Cluster>, Unsupported>;

    /// A digest of everything that can influence the future; `None` where the world cannot be hashed.
    fn state_hash(&self) -> Option<u128>;
}

/// What ends a [`Cluster::wait`] before its time.
#[derive(Debug, Clone)]
pub enum Interest {
    /// Any object of this kind (in a namespace, of a name) is created, changed or deleted.
    Objects {
        /// Kind.
        resource: ResourceRef,
        /// Namespace; every one when `None`.
        namespace: Option<ArcStr>,
        /// Name; every one when `None`.
        name: Option<ArcStr>,
    },
}

/// How a [`Cluster::wait`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// The time came.
    Time,
    /// A change of interest came first.
    Change,
}

/// A right that something needs, as RBAC words it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// `patch`
    pub verb: &'static str,
    /// API group.
    pub group: &'static str,
    /// `deployments` or `deployments/scale`
    pub resource: &'static str,
    /// Namespace; `None` for the whole cluster.
    pub namespace: Option<ArcStr>,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (group, dot) = (self.group, if self.group.is_empty() { "" } else { "." });
        write!(f, "{} {}{dot}{group}", self.verb, self.resource)?;
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace {namespace}"),
            None => f.write_str(" in the whole cluster"),
        }
    }
}

/// In whose name a request is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User name, `system:serviceaccount:NAMESPACE:NAME` for service accounts.
    pub user: ArcStr,
    /// Groups.
    pub groups: Vec<ArcStr>,
}

impl Identity {
    /// The library itself: deploys, injects, grades. Has every right.
    pub fn operator() -> Self {
        Identity { user: arcstr::literal!("kubernetes-admin"), groups: vec![arcstr::literal!("system:masters")] }
    }

    /// The agent under evaluation: a service account with the rights that DESIGN section 7 lists.
    pub fn agent() -> Self {
        Identity {
            user: arcstr::literal!("system:serviceaccount:operations:engineer"),
            groups: vec![
                arcstr::literal!("system:serviceaccounts"),
                arcstr::literal!("system:serviceaccounts:operations"),
                arcstr::literal!("system:authenticated"),
            ],
        }
    }

    /// Whether this identity may do everything.
    pub fn is_operator(&self) -> bool {
        self.groups.iter().any(|g| g == "system:masters")
    }
}

/// One request to the API server. Build it with [`ApiRequest::get`] and its siblings, then set [`Options`].
#[derive(Debug, Clone)]
pub struct ApiRequest {
    /// What to do.
    pub verb: Verb,
    /// On which kind.
    pub resource: ResourceRef,
    /// Namespace; `None` for cluster-scoped kinds and lists over all namespaces.
    pub namespace: Option<ArcStr>,
    /// Name; `None` for lists, creations and deletions of collections.
    pub name: Option<ArcStr>,
    /// Subresource, if any.
    pub subresource: Option<Subresource>,
    /// What is sent.
    pub body: Body,
    /// Query parameters.
    pub options: Options,
}

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Kubernetes' own verbs")]
pub enum Verb {
    Get,
    List,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
}

impl Verb {
    /// The verb as RBAC and discovery spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
        }
    }
}

/// A part of an object with a path of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Kubernetes' own subresources")]
pub enum Subresource {
    Status,
    Scale,
    Eviction,
    Binding,
    Log,
    Exec,
    Token,
    EphemeralContainers,
    Finalize,
}

impl Subresource {
    /// The path element.
    pub fn as_str(self) -> &'static str {
        match self {
            Subresource::Status => "status",
            Subresource::Scale => "scale",
            Subresource::Eviction => "eviction",
            Subresource::Binding => "binding",
            Subresource::Log => "log",
            Subresource::Exec => "exec",
            Subresource::Token => "token",
            Subresource::EphemeralContainers => "ephemeralcontainers",
            Subresource::Finalize => "finalize",
        }
    }
}

/// What a request sends.
#[derive(Debug, Clone)]
pub enum Body {
    /// Nothing.
    None,
    /// A whole object.
    Object(Json),
    /// A patch.
    Patch(PatchKind, Json),
}

/// The four kinds of patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchKind {
    /// RFC 6902, `application/json-patch+json`.
    Json,
    /// RFC 7386, `application/merge-patch+json`.
    Merge,
    /// `application/strategic-merge-patch+json`.
    Strategic,
    /// Server-side apply, `application/apply-patch+yaml`.
    Apply,
}

/// Query parameters of a request.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Label selector as the user wrote it; empty selects all.
    pub label_selector: String,
    /// Field selector as the user wrote it; empty selects all.
    pub field_selector: String,
    /// `dryRun=All`: do everything but the write.
    pub dry_run: bool,
    /// `fieldManager`.
    pub field_manager: Option<ArcStr>,
    /// `force`, for server-side apply.
    pub force: bool,
    /// `fieldValidation`.
    pub field_validation: FieldValidation,
    /// `gracePeriodSeconds`, for deletions.
    pub grace_period_s: Option<i64>,
    /// `propagationPolicy`, for deletions.
    pub propagation: Option<Propagation>,
    /// Delete only the object with this uid.
    pub uid: Option<ArcStr>,
}

/// What to do about unknown and duplicate fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldValidation {
    /// Drop them in silence.
    #[default]
    Ignore,
    /// Drop them with a warning.
    Warn,
    /// Refuse the request.
    Strict,
}

/// What becomes of an object's dependents on deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// Delete the object now and its dependents afterwards.
    Background,
    /// Delete its dependents first.
    Foreground,
    /// Leave its dependents.
    Orphan,
}

impl ApiRequest {
    fn new(verb: Verb, resource: &ResourceRef, namespace: Option<&str>, name: Option<&str>, body: Body) -> Self {
        ApiRequest {
            verb,
            resource: resource.clone(),
            namespace: namespace.map(ArcStr::from),
            name: name.map(ArcStr::from),
            subresource: None,
            body,
            options: Options::default(),
        }
    }

    /// Reads one object.
    pub fn get(resource: &ResourceRef, namespace: Option<&str>, name: &str) -> Self {
        Self::new(Verb::Get, resource, namespace, Some(name), Body::None)
    }

    /// Reads a collection; over all namespaces when `namespace` is `None`.
    pub fn list(resource: &ResourceRef, namespace: Option<&str>) -> Self {
        Self::new(Verb::List, resource, namespace, None, Body::None)
    }

    /// Creates an object.
    pub fn create(resource: &ResourceRef, namespace: Option<&str>, object: Json) -> Self {
        Self::new(Verb::Create, resource, namespace, None, Body::Object(object))
    }

    /// Replaces an object.
    pub fn update(resource: &ResourceRef, namespace: Option<&str>, name: &str, object: Json) -> Self {
        Self::new(Verb::Update, resource, namespace, Some(name), Body::Object(object))
    }

    /// Patches an object.
    pub fn patch(resource: &ResourceRef, namespace: Option<&str>, name: &str, kind: PatchKind, patch: Json) -> Self {
        Self::new(Verb::Patch, resource, namespace, Some(name), Body::Patch(kind, patch))
    }

    /// Deletes an object.
    pub fn delete(resource: &ResourceRef, namespace: Option<&str>, name: &str) -> Self {
        Self::new(Verb::Delete, resource, namespace, Some(name), Body::None)
    }

    /// Deletes a collection.
    pub fn delete_collection(resource: &ResourceRef, namespace: Option<&str>) -> Self {
        Self::new(Verb::DeleteCollection, resource, namespace, None, Body::None)
    }

    /// Addresses a subresource.
    #[must_use]
    pub fn subresource(mut self, subresource: Subresource) -> Self {
        self.subresource = Some(subresource);
        self
    }

    /// Sets the query parameters.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }
}

/// What the API server answers.
#[derive(Debug, Clone)]
pub struct ApiReply {
    /// The answer itself.
    pub body: ReplyBody,
    /// `Warning` headers.
    pub warnings: Vec<ArcStr>,
}

/// The body of an answer.
#[derive(Debug, Clone)]
pub enum ReplyBody {
    /// One object.
    Object(Object),
    /// A collection, in order of (namespace, name).
    List {
        /// `metadata.resourceVersion` of the list.
        resource_version: ArcStr,
        /// The objects.
        items: Vec<Object>,
    },
}

impl ApiReply {
    /// An answer that is one object.
    pub fn object(object: Object) -> Self {
        ApiReply { body: ReplyBody::Object(object), warnings: Vec::new() }
    }

    /// The object; the first of a collection, or an empty one.
    pub fn into_object(self) -> Object {
        match self.body {
            ReplyBody::Object(object) => object,
            ReplyBody::List { items, .. } => items.into_iter().next().unwrap_or_default(),
        }
    }

    /// The objects of a collection; a single object counts as a collection of one.
    pub fn into_items(self) -> Vec<Object> {
        match self.body {
            ReplyBody::Object(object) => vec![object],
            ReplyBody::List { items, .. } => items,
        }
    }
}

/// Kubernetes' `Status` for a request that failed.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    /// HTTP status code.
    pub code: u16,
    /// `NotFound`, `Invalid`, `Forbidden` …
    pub reason: ArcStr,
    /// The text that kubectl prints after `Error from server (REASON): `.
    pub message: String,
    /// `details` of the Status: name, group, kind, causes. Null when there are none.
    pub details: Json,
}

impl ApiError {
    /// An error with a code, a reason and a message.
    pub fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        ApiError { code, reason: reason.into(), message: message.into(), details: Json::Null }
    }

    /// `pods "x" not found`.
    pub fn not_found(resource: &ResourceType, name: &str) -> Self {
        let mut error = Self::new(404, "NotFound", format!("{} {name:?} not found", resource.qualified_plural()));
        error.details = crate::object! { "name" => name, "kind" => resource.plural.as_str(), "group" => resource.group.as_str() };
        error
    }

    /// The whole `Status` object.
    pub fn to_status(&self) -> Json {
        let mut status = crate::object! {
            "apiVersion" => "v1", "kind" => "Status", "metadata" => crate::object! {}, "status" => "Failure",
            "code" => i64::from(self.code), "message" => self.message.as_str(), "reason" => &self.reason,
        };
        if !self.details.is_null() {
            status.set("details", &self.details);
        }
        status
    }
}

use crate::object::ResourceType;

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.message, self.reason, self.code)
    }
}

impl std::error::Error for ApiError {}

/// A program to run in a container.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecRequest {
    /// Namespace of the pod.
    pub namespace: ArcStr,
    /// Pod.
    pub pod: ArcStr,
    /// Container; the pod's default one when `None`.
    pub container: Option<ArcStr>,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// What it reads.
    pub stdin: Vec<u8>,
}

/// What a program in a container did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecOutput {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// Exit code.
    pub exit_code: i32,
    /// How long it ran, in the cluster's time; the caller lets that time pass.
    pub took: Duration,
}

/// A question about what was recorded.
#[derive(Debug, Clone)]
pub enum TelemetryQuery {
    /// A container's log.
    Logs(LogQuery),
    /// An application's traces.
    Traces(TracesQuery),
    /// The metrics of a namespace.
    Metrics(MetricsQuery),
}

/// Which metrics of a namespace: at `since`, `since + step`, … up to `until` the latest value that was collected by then, as of Prometheus'
/// range queries.
#[derive(Debug, Clone)]
pub struct MetricsQuery {
    /// The namespace.
    pub namespace: ArcStr,
    /// The metrics' names; all that are known when there is none.
    pub names: Vec<ArcStr>,
    /// The first instant.
    pub since: SimTime,
    /// The last instant.
    pub until: SimTime,
    /// From one instant to the next.
    pub step: Duration,
    /// At most so many samples of each series, the latest ones.
    pub limit: usize,
}

impl MetricsQuery {
    /// The instants, in order.
    pub fn instants(&self) -> Vec<SimTime> {
        let step = u64::try_from(self.step.as_nanos()).unwrap_or(u64::MAX).max(1_000_000);
        let span = self.until.since(self.since).as_nanos() as u64;
        let count = span / step + u64::from(self.since <= self.until);
        let first = count.saturating_sub(u64::try_from(self.limit).unwrap_or(u64::MAX));
        (first..count).map(|index| self.since + Duration::from_nanos(index * step)).collect()
    }

    /// Whether a metric is asked for.
    pub fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == name)
    }
}

/// Which traces: those that the Jaeger of a namespace holds, else one that the asker may see.
#[derive(Debug, Clone)]
pub struct TracesQuery {
    /// The application's namespace.
    pub namespace: ArcStr,
    /// Begun at or after this instant.
    pub since: SimTime,
    /// Begun before this instant.
    pub until: SimTime,
    /// A service that takes part; every one when `None`.
    pub service: Option<ArcStr>,
    /// At most so many of each service, the latest ones.
    pub limit: usize,
}

impl TracesQuery {
    /// The port of Jaeger's query service.
    pub const PORT: u16 = 16686;

    /// The port of Jaeger's query service if this Service leads to one.
    pub fn port_of(service: &Object) -> Option<u16> {
        let ports = service.spec().get("ports").items();
        let number = |port: &Json| port.get("port").as_i64().and_then(|port| u16::try_from(port).ok());
        let name = service.name();
        let named = name.starts_with("jaeger") && name.ends_with("-query");
        ports.iter().filter_map(number).find(|port| *port == Self::PORT).or_else(|| ports.first().filter(|_| named).and_then(number))
    }

    /// The error where no Jaeger is installed.
    pub fn no_jaeger(&self) -> ApiError {
        let text =
            format!("no Jaeger found: neither namespace \"{}\" nor another one has a Service with port {}", self.namespace, Self::PORT);
        ApiError::new(404, "NotFound", text)
    }
}

/// Which lines of which log (`pods/log`).
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Namespace of the pod.
    pub namespace: ArcStr,
    /// Pod.
    pub pod: ArcStr,
    /// Container; the only one when `None`.
    pub container: Option<ArcStr>,
    /// The run before the present one.
    pub previous: bool,
    /// Only lines from this instant on.
    pub since: Option<SimTime>,
    /// Only the last lines.
    pub tail: Option<usize>,
    /// At most so many bytes.
    pub limit_bytes: Option<usize>,
    /// Put the time before each line.
    pub timestamps: bool,
}

/// The answer to a [`TelemetryQuery`].
#[derive(Debug, Clone)]
pub enum TelemetryReply {
    /// The lines, each ended by a line feed.
    Logs(String),
    /// Traces, each once, oldest first.
    Traces(Vec<crate::telemetry::Trace>),
    /// Time series, sorted by name and labels.
    Metrics(Vec<crate::telemetry::Series>),
}

impl TelemetryReply {
    /// The lines of a log; nothing of other answers.
    pub fn into_log(self) -> String {
        match self {
            TelemetryReply::Logs(text) => text,
            TelemetryReply::Traces(_) | TelemetryReply::Metrics(_) => String::new(),
        }
    }
}

/// From where an HTTP request is made.
#[derive(Debug, Clone, PartialEq)]
pub enum HttpOrigin {
    /// The machine on which the operator works: cluster DNS and ClusterIPs work, as on a node.
    Workstation,
    /// A pod.
    Pod {
        /// Namespace.
        namespace: ArcStr,
        /// Name.
        pod: ArcStr,
    },
}

/// An HTTP request.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpRequest {
    /// `GET`, `POST` …
    pub method: String,
    /// Host name or IP.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path with query.
    pub path: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// How long the client waits for the answer.
    pub timeout: Duration,
}

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpReply {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// Time from the request to the end of the answer; the caller lets that time pass.
    pub took: Duration,
    /// The address that was reached.
    pub peer: (String, u16),
}

/// Why a connection carried no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConnectError {
    /// The name does not resolve.
    #[error("could not resolve host: {host}")]
    NameNotFound {
        /// Host name.
        host: String,
    },
    /// Nobody listens.
    #[error("connection to {address}:{port} refused")]
    Refused {
        /// IP.
        address: String,
        /// Port.
        port: u16,
        /// Time until the refusal.
        took: Duration,
    },
    /// No answer within the client's patience.
    #[error("no answer from {address}:{port} in time")]
    TimedOut {
        /// IP.
        address: String,
        /// Port.
        port: u16,
        /// The client's patience.
        took: Duration,
        /// Whether the connection stood, and only the answer did not come.
        connected: bool,
    },
    /// The peer does not speak HTTP, or hung up.
    #[error("{address}:{port} hung up without an answer")]
    Closed {
        /// IP.
        address: String,
        /// Port.
        port: u16,
        /// Time until then.
        took: Duration,
    },
}

/// A workload that cannot be driven.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    /// No application is deployed in the namespace.
    #[error("no application that can be put under load is deployed in namespace {0:?}")]
    NoApp(String),
    /// What makes the load cannot be reached.
    #[error("the load on namespace {namespace:?} cannot be set: {why}")]
    Unreachable {
        /// Namespace of the application.
        namespace: String,
        /// Why.
        why: String,
    },
    /// The mix names an endpoint that the application lacks.
    #[error("the application has no endpoint {endpoint:?}; it has {known}")]
    NoEndpoint {
        /// What was asked for.
        endpoint: String,
        /// What there is.
        known: String,
    },
}

/// One synthetic user request to an application's endpoint, by the endpoint's name in the App's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeRequest {
    /// Namespace of the application.
    pub namespace: ArcStr,
    /// Endpoint, `GET /hotels`.
    pub endpoint: ArcStr,
    /// Draws the request's parameters and the walk's randomness.
    pub index: u64,
}

/// What a [`ProbeRequest`] met.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProbeReply {
    /// HTTP status; 0 when no answer came.
    pub status: u16,
    /// Time to the answer.
    pub latency: Duration,
    /// The error text that the user saw; empty on success.
    pub error: String,
}

/// An operation that this cluster does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not supported on this cluster")]
pub struct Unsupported(pub &'static str);
