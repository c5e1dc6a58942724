//! The way to the outpost, our own pod on a live cluster: through the API server's pod proxy.

use super::line::Line;
use super::request::path;
use super::{LiveCluster, Shared};
use crate::app::App;
use crate::cluster::environment::{EnvironmentError, LABEL, LiveConfig, Place, apply, wait_available};
use crate::cluster::outpost::{self, Door, LoadPlan, Outpost, TOKEN_HEADER};
use crate::cluster::{
    ApiError, ApiReply, ApiRequest, Cluster, ConnectError, HttpReply, HttpRequest, Identity, Options, ProbeReply, ProbeRequest,
    WorkloadError,
};
use crate::object;
use crate::object::decode::{from_base64, to_base64};
use crate::object::resource;
use crate::rng::Key;
use crate::workload::Workload;
use crate::workload::generator::LoadReport;
use arcstr::ArcStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long the pod may take to be there.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// The outpost of an environment.
#[derive(Clone)]
pub struct OutpostPod {
    namespace: ArcStr,
    pub(super) place: Place,
    pub(super) image: String,
    pub(super) token: String,
    /// The pod's name, found when it is needed: a node may have taken the pod away.
    pod: Arc<Mutex<Option<String>>>,
}

/// A door for one caller.
pub(super) struct PodDoor<'a> {
    pod: &'a OutpostPod,
    shared: &'a Shared,
}

impl Door for PodDoor<'_> {
    fn ask(&self, to: &str, body: Vec<u8>, patience: Duration) -> Result<(u16, Vec<u8>), String> {
        let mut last = String::new();
        // The pod may have been replaced since it was found; a request that did not reach it can be made again.
        for _ in 0..2 {
            let name = self.pod.find(self.shared)?;
            match self.pod.post(self.shared, &name, to, body.clone(), patience) {
                Ok((status, answer)) if matches!(status, 404 | 502 | 503) => {
                    last = format!("{status} {}", String::from_utf8_lossy(&answer).chars().take(200).collect::<String>());
                    self.pod.forget();
                }
                Ok(answer) => return Ok(answer),
                Err(error) => return Err(error.message),
            }
        }
        Err(last)
    }
}

impl OutpostPod {
    /// Makes the pod where it is not there, and waits until it answers.
    ///
    /// # Errors
    /// The API server's answer, or why the pod does not become ready.
    pub(super) fn ensure(cluster: &mut LiveCluster, place: &Place, config: &LiveConfig) -> Result<OutpostPod, EnvironmentError> {
        let token = token(cluster, place)?;
        let labels = object! { LABEL => &place.namespace };
        for manifest in outpost::objects(&labels, &config.image, &token) {
            let what = format!("applying {} of our own pod", manifest.get("kind").text());
            apply(cluster, &place.own, &manifest).map_err(EnvironmentError::api(what))?;
        }
        let pod =
            OutpostPod { namespace: place.own.clone(), place: place.clone(), image: config.image.clone(), token, pod: Arc::default() };
        // What an earlier process left behind could be what keeps this pod from being ready: its node may be stopped.
        pod.relieve_all(cluster);
        let give_up = cluster.now() + READY_WITHIN;
        wait_available(cluster, &place.own, give_up, READY_WITHIN)?;
        Ok(pod)
    }

    fn forget(&self) {
        *self.pod.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The name of a pod that is ready, or at least runs: one on a node whose kubelet is stopped does not count as ready.
    fn find(&self, shared: &Shared) -> Result<String, String> {
        let mut known = self.pod.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = known.as_ref() {
            return Ok(name.clone());
        }
        let pods = resource::builtin_named("", "pods").ok_or("no pods")?;
        let options = Options { label_selector: outpost::SELECTOR.to_owned(), ..Options::default() };
        let request = ApiRequest::list(pods, Some(&self.namespace)).options(options);
        let all = shared.block_on(shared.operator.api(&request)).map(ApiReply::into_items).map_err(|error| error.message)?;
        let ready =
            |pod: &&object::Object| !pod.is_terminating() && pod.condition("Ready").is_some_and(|c| c.get("status").text() == "True");
        let runs = |pod: &&object::Object| !pod.is_terminating() && pod.status().get("phase").text() == "Running";
        let found = all.iter().find(ready).or_else(|| all.iter().find(runs));
        let name = found.map(|pod| pod.name().to_owned()).ok_or("our own pod is not ready")?;
        *known = Some(name.clone());
        Ok(name)
    }

    fn post(&self, shared: &Shared, pod: &str, to: &str, body: Vec<u8>, patience: Duration) -> Result<(u16, Vec<u8>), ApiError> {
        let pods = resource::builtin_named("", "pods").ok_or_else(|| ApiError::new(404, "NotFound", "no pods"))?;
        let uri = format!("{}:{}/proxy/{to}", path(pods, Some(&self.namespace), Some(pod), None), outpost::PORT);
        let line = Line { bound: patience, ..shared.operator.clone() };
        let headers = [(TOKEN_HEADER, self.token.as_str()), ("content-type", "application/json")];
        let answer = shared.block_on(line.post(&uri, &headers, body))?;
        Ok((answer.status, answer.body))
    }

    pub(super) fn outpost<'a>(&'a self, shared: &'a Shared) -> Outpost<PodDoor<'a>> {
        Outpost::new(PodDoor { pod: self, shared })
    }

    pub(super) fn http(&self, shared: &Shared, request: &HttpRequest) -> Result<HttpReply, ConnectError> {
        self.outpost(shared).http(request)
    }

    pub(super) fn resolve(&self, shared: &Shared, host: &str) -> Result<Vec<ArcStr>, ConnectError> {
        self.outpost(shared).resolve(host)
    }

    pub(super) fn drive(&self, shared: &Shared, app: &App, workload: Option<&Workload>) -> Result<(), WorkloadError> {
        let host = host(app);
        let plan = workload.map(|load| LoadPlan::of(load, &app.endpoints, (&host, app.entry.port), LOAD_SEED));
        let plan = plan.transpose().map_err(|endpoint| {
            let known = app.endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect::<Vec<_>>().join(", ");
            WorkloadError::NoEndpoint { endpoint, known }
        })?;
        self.outpost(shared).load(plan.as_ref()).map_err(|why| WorkloadError::Unreachable { namespace: app.namespace.to_string(), why })
    }

    pub(super) fn report(&self, shared: &Shared) -> Result<LoadReport, String> {
        self.outpost(shared).report()
    }

    pub(super) fn probe(&self, shared: &Shared, app: &App, requests: &[ProbeRequest]) -> Vec<ProbeReply> {
        let key = Key::new(LOAD_SEED).part("probe");
        let mut replies: Vec<Option<ProbeReply>> = Vec::with_capacity(requests.len());
        let mut targets = Vec::new();
        let failed = |error: &str| Some(ProbeReply { status: 0, latency: Duration::ZERO, error: error.to_owned() });
        for request in requests {
            match app.endpoint(&request.endpoint) {
                _ if request.namespace != app.namespace => replies.push(failed("no application lives in the namespace")),
                None => replies.push(failed("no such endpoint")),
                Some(endpoint) => {
                    targets.push(outpost::target(endpoint, key.clone(), request.index));
                    replies.push(None);
                }
            }
        }
        let mut met =
            if targets.is_empty() { Vec::new() } else { self.outpost(shared).probe((&host(app), app.entry.port), targets) }.into_iter();
        replies.into_iter().map(|reply| reply.or_else(|| met.next()).unwrap_or_else(|| failed("no answer").unwrap_or_default())).collect()
    }
}

/// Names the randomness of load and probes. The cluster is not reproducible, but what is asked of it is.
const LOAD_SEED: u64 = 0;

/// Where users come in.
fn host(app: &App) -> String {
    format!("{}.{}.svc", app.entry.service, app.namespace)
}

/// The token that is in use, or a new one.
fn token(cluster: &mut LiveCluster, place: &Place) -> Result<String, EnvironmentError> {
    let doing = || EnvironmentError::api("reading the token of our own pod");
    let secrets = resource::builtin_named("", "secrets").ok_or_else(|| doing()(ApiError::new(404, "NotFound", "no secrets")))?;
    let read = ApiRequest::get(secrets, Some(&place.own), outpost::NAME);
    match cluster.api(&Identity::operator(), &read) {
        Ok(reply) => {
            let text = reply.into_object().at(&["data", "token"]).text().to_owned();
            let known = from_base64(&text).ok().and_then(|bytes| String::from_utf8(bytes).ok()).filter(|token| token.len() >= 32);
            known.map_or_else(random_token, Ok)
        }
        Err(error) if error.code == 404 => random_token(),
        Err(error) => Err(doing()(error)),
    }
}

/// 256 random bits from the system: who guesses them could stop the load.
fn random_token() -> Result<String, EnvironmentError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        let text = format!("the system gives no random bits: {error}");
        EnvironmentError::api("making the token of our own pod")(ApiError::new(500, "InternalError", text))
    })?;
    Ok(to_base64(&bytes))
}
