//! [`LiveCluster`]: any cluster that a kubeconfig reaches, behind the [`Cluster`] trait. The only place that names kube.
//!
//! One tokio runtime belongs to each cluster; the trait's calls block on it. Every wait has a bound. The library's own requests go over the
//! operator's connection, everything in the agent's name over the agent's own, which holds nothing of the operator's identity.

mod agent;
mod connect;
mod discovery;
mod disturb;
pub mod doctor;
mod environment;
mod exec;
mod keeper;
mod line;
mod metrics;
mod outpost;
mod request;
mod traces;
mod watch;

pub use agent::{Acting, AgentAccount};
pub use connect::{ConnectFailure, VERSIONS};
pub use environment::{Environment, OpenError};
pub use outpost::OutpostPod;

use super::disturbance::{DisturbError, Disturbance};
use super::environment::LiveConfig;
use super::{
    ApiError, ApiReply, ApiRequest, Cluster, ConnectError, ExecOutput, ExecRequest, HttpOrigin, HttpReply, HttpRequest, Identity, Interest,
    ProbeReply, ProbeRequest, Right, TelemetryQuery, TelemetryReply, Unsupported, Woken, WorkloadError,
};
use crate::app::App;
use crate::object::{Json, ResourceRef, resource};
use crate::time::SimTime;
use crate::workload::Workload;
use crate::workload::generator::LoadReport;
use agent::Hands;
use arcstr::ArcStr;
use line::Line;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;

/// Requests that are under way at once.
const AT_ONCE: usize = 16;

/// How long a program in a container may run.
const EXEC_PATIENCE: Duration = Duration::from_secs(120);

/// A live cluster. Clones share the connection.
#[derive(Clone)]
pub struct LiveCluster {
    shared: Arc<Shared>,
    app: Option<Arc<App>>,
    account: Option<AgentAccount>,
    outpost: Option<OutpostPod>,
}

struct Shared {
    /// Taken out when the last clone goes, so that nothing waits for a look-up that hangs.
    runtime: Option<Runtime>,
    config: kube::Config,
    server: String,
    version: Json,
    operator: Line,
    hands: Mutex<Option<(AgentAccount, Hands)>>,
    resources: Mutex<Option<Arc<Vec<ResourceRef>>>>,
    seen: watch::Seen,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        match &self.runtime {
            Some(runtime) => runtime.block_on(future),
            None => unreachable!("the runtime is there until the last clone is dropped"),
        }
    }
}

impl LiveCluster {
    /// Connects to a cluster.
    ///
    /// # Errors
    /// No usable kubeconfig, no answer within the bound, a refusal, or a Kubernetes that was never tried.
    pub fn connect(config: &LiveConfig) -> Result<LiveCluster, ConnectFailure> {
        let bound = Duration::from_secs_f64(config.request_timeout_s);
        let no_runtime = |error: std::io::Error| ConnectFailure::Kubeconfig { place: String::new(), why: error.to_string() };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(no_runtime)?;
        let (cluster, client, version) = runtime.block_on(async {
            let cluster = connect::configuration(config).await?;
            let server = cluster.cluster_url.to_string();
            let client = kube::Client::try_from(cluster.clone())
                .map_err(|error| ConnectFailure::Kubeconfig { place: server.clone(), why: connect::chain(&error) })?;
            let version = connect::greet(&client, &server, bound, config.any_version).await?;
            Ok::<_, ConnectFailure>((cluster, client, version))
        })?;
        let shared = Shared {
            runtime: Some(runtime),
            server: cluster.cluster_url.to_string(),
            config: cluster,
            version,
            operator: Line { client, bound, acting_as: None },
            hands: Mutex::new(None),
            resources: Mutex::new(None),
            seen: watch::Seen::default(),
        };
        Ok(LiveCluster { shared: Arc::new(shared), app: None, account: None, outpost: None })
    }

    /// The API server's address.
    pub fn server(&self) -> &str {
        &self.shared.server
    }

    /// The version of Kubernetes, `v1.34.4`.
    pub fn git_version(&self) -> &str {
        self.shared.version.get("gitVersion").text()
    }

    /// Acts as this account whenever somebody else than the operator asks.
    pub fn set_agent(&mut self, account: AgentAccount) {
        self.account = Some(account);
    }

    /// Drives and probes this application through our own pod.
    pub fn set_application(&mut self, app: Arc<App>, outpost: OutpostPod) {
        self.app = Some(app);
        self.outpost = Some(outpost);
    }

    /// How the agent acts; connects it when it has not acted yet.
    ///
    /// # Errors
    /// When the cluster lets it act in neither way.
    pub fn acting(&self) -> Result<Acting, ApiError> {
        self.hands().map(|hands| hands.acting)
    }

    fn hands(&self) -> Result<Hands, ApiError> {
        let account =
            self.account.clone().ok_or_else(|| ApiError::new(401, "Unauthorized", "no agent was given an account on this cluster"))?;
        let mut slot = self.shared.hands.lock().unwrap_or_else(PoisonError::into_inner);
        let now = wall_clock();
        if let Some((known, hands)) = slot.as_ref()
            && *known == account
            && hands.is_fresh(now)
        {
            return Ok(hands.clone());
        }
        let hands = self.shared.block_on(Hands::connect(&self.shared.operator, &self.shared.config, &account, now))?;
        *slot = Some((account, hands.clone()));
        Ok(hands)
    }

    /// The connection in whose name somebody's requests go.
    fn line(&self, who: &Identity) -> Result<Line, ApiError> {
        if who.is_operator() {
            return Ok(self.shared.operator.clone());
        }
        let mut line = self.hands()?.line;
        let own = self.account.as_ref().map(AgentAccount::identity);
        if *who != Identity::agent() && Some(who) != own.as_ref() {
            line.acting_as = Some(who.clone());
        }
        Ok(line)
    }
}

/// The wall clock, which is a live cluster's time.
#[allow(clippy::disallowed_types, reason = "the time of a live cluster is the wall clock's")]
fn wall_clock() -> SimTime {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
    SimTime::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

impl Cluster for LiveCluster {
    fn now(&self) -> SimTime {
        wall_clock()
    }

    fn wait(&mut self, until: SimTime, interests: &[Interest]) -> Woken {
        let left = until.since(wall_clock());
        if left.is_zero() {
            return Woken::Time;
        }
        let shared = &self.shared;
        let change = watch::first_change(&shared.operator, &shared.seen, interests);
        match shared.block_on(async { tokio::time::timeout(left, change).await }) {
            Ok(()) => Woken::Change,
            Err(_) => Woken::Time,
        }
    }

    fn resources(&mut self) -> Result<Arc<Vec<ResourceRef>>, ApiError> {
        let mut slot = self.shared.resources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = slot.as_ref() {
            return Ok(known.clone());
        }
        let found = Arc::new(self.shared.block_on(discovery::resources(&self.shared.operator))?);
        *slot = Some(found.clone());
        Ok(found)
    }

    fn api(&mut self, who: &Identity, request: &ApiRequest) -> Result<ApiReply, ApiError> {
        let line = self.line(who)?;
        let reply = self.shared.block_on(line.api(request))?;
        self.shared.seen.note(request, &reply.body);
        if request.resource.plural == "customresourcedefinitions" {
            *self.shared.resources.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        Ok(reply)
    }

    fn api_many(&mut self, who: &Identity, requests: &[ApiRequest]) -> Vec<Result<ApiReply, ApiError>> {
        use futures::StreamExt;
        let line = match self.line(who) {
            Ok(line) => line,
            Err(error) => return requests.iter().map(|_| Err(error.clone())).collect(),
        };
        let all = futures::stream::iter(requests).map(|request| line.api(request)).buffered(AT_ONCE);
        let replies: Vec<_> = self.shared.block_on(all.collect());
        for (request, reply) in requests.iter().zip(&replies) {
            if let Ok(reply) = reply {
                self.shared.seen.note(request, &reply.body);
            }
        }
        replies
    }

    fn exec(&mut self, who: &Identity, request: &ExecRequest) -> Result<ExecOutput, ApiError> {
        let line = self.line(who)?;
        self.shared.block_on(exec::exec(&line, request, EXEC_PATIENCE))
    }

    fn telemetry(&mut self, who: &Identity, query: &TelemetryQuery) -> Result<TelemetryReply, ApiError> {
        let line = self.line(who)?;
        match query {
            TelemetryQuery::Logs(query) => self.shared.block_on(exec::logs(&line, query)).map(TelemetryReply::Logs),
            TelemetryQuery::Metrics(query) => {
                self.shared.block_on(metrics::metrics(&self.shared.operator, query)).map(TelemetryReply::Metrics)
            }
            TelemetryQuery::Traces(query) => self.shared.block_on(traces::traces(&line, query)).map(TelemetryReply::Traces),
        }
    }

    fn http(&mut self, from: &HttpOrigin, request: &HttpRequest) -> Result<HttpReply, ConnectError> {
        match (from, &self.outpost) {
            (HttpOrigin::Workstation, Some(pod)) => pod.http(&self.shared, request),
            _ => Err(ConnectError::NameNotFound { host: request.host.clone() }),
        }
    }

    fn resolve(&mut self, from: &HttpOrigin, host: &str) -> Result<Vec<ArcStr>, ConnectError> {
        match (from, &self.outpost) {
            (HttpOrigin::Workstation, Some(pod)) => pod.resolve(&self.shared, host),
            _ => Err(ConnectError::NameNotFound { host: host.to_owned() }),
        }
    }

    fn drive(&mut self, namespace: &str, workload: Option<&Workload>) -> Result<(), WorkloadError> {
        match (&self.app, &self.outpost) {
            (Some(app), Some(pod)) if app.namespace == namespace => pod.drive(&self.shared, app, workload),
            _ => Err(WorkloadError::NoApp(namespace.to_owned())),
        }
    }

    fn load_report(&mut self, namespace: &str) -> Option<LoadReport> {
        match (&self.app, &self.outpost) {
            (Some(app), Some(pod)) if app.namespace == namespace => pod.report(&self.shared).ok(),
            _ => None,
        }
    }

    fn version(&self) -> Json {
        self.shared.version.clone()
    }

    fn probe(&mut self, requests: &[ProbeRequest]) -> Vec<ProbeReply> {
        let silent = |why: &str| ProbeReply { status: 0, latency: Duration::ZERO, error: why.to_owned() };
        match (&self.app, &self.outpost) {
            (Some(app), Some(pod)) => pod.probe(&self.shared, app, requests),
            _ => requests.iter().map(|_| silent("no application is deployed on this connection")).collect(),
        }
    }

    fn can(&mut self, right: &Right) -> bool {
        let Some(reviews) = resource::builtin_named("authorization.k8s.io", "selfsubjectaccessreviews") else { return false };
        let (plural, subresource) = right.resource.split_once('/').unwrap_or((right.resource, ""));
        let attributes = crate::object! {
            "verb" => right.verb, "group" => right.group, "resource" => plural, "subresource" => subresource,
            "namespace" => right.namespace.as_deref().unwrap_or_default(),
        };
        let body = crate::object! {
            "apiVersion" => "authorization.k8s.io/v1", "kind" => "SelfSubjectAccessReview",
            "spec" => crate::object! { "resourceAttributes" => attributes },
        };
        let answer = self.api(&Identity::operator(), &ApiRequest::create(reviews, None, body));
        answer.is_ok_and(|reply| reply.into_object().at(&["status", "allowed"]).is_true())
    }

    fn disturb(&mut self, name: &str, disturbance: &Disturbance) -> Result<(), DisturbError> {
        match self.outpost.clone() {
            Some(pod) => pod.disturb(self, name, disturbance),
            None => Err(DisturbError::Unsupported {
                what: disturbance.to_string(),
                why: "no environment is open on this connection".to_owned(),
            }),
        }
    }

    fn relieve(&mut self, name: &str) -> Result<(), DisturbError> {
        match self.outpost.clone() {
            Some(pod) => pod.relieve(self, name),
            None => Ok(()),
        }
    }

    fn is_disturbed(&mut self, name: &str) -> Result<bool, DisturbError> {
        match self.outpost.clone() {
            Some(pod) => pod.is_disturbed(self, name),
            None => Ok(false),
        }
    }

    fn fork(&self) -> Result<Box<dyn Cluster>, Unsupported> {
        Err(Unsupported("forking"))
    }

    fn state_hash(&self) -> Option<u128> {
        None
    }
}
