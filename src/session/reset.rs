//! How an episode begins: baseline, fault, symptom. It fails loudly where any of the three is not as it should be.

use super::options::Options;
use super::worlds::{Stage, Worlds};
use crate::app::App;
use crate::cluster::deploy::is_available;
use crate::cluster::environment::EnvironmentError;
use crate::cluster::{ApiError, ApiRequest, Cluster, Identity, WorkloadError};
use crate::fault::{Fault, FaultError, Undo, observe};
use crate::object::resource;
use crate::problem::{Problem, Registry};
use crate::rng::Key;
use crate::task::Baseline;
use crate::workload::{LoadError, Workload};
use arcstr::ArcStr;
use std::sync::Arc;
use std::time::Duration;

/// How long a fault may take to show.
const SYMPTOM_WITHIN: Duration = Duration::from_secs(180);

/// How long an application may take to serve its users after it was deployed or put back: gRPC clients wait up to two minutes.
const SETTLED_WITHIN: Duration = Duration::from_secs(150);

/// Requests per endpoint that look for a symptom.
const PROBES: u64 = 3;

/// Why an episode did not begin.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// The API server refused what a reset needs.
    #[error("the cluster refused a request of the reset: {0}")]
    Api(#[from] ApiError),
    /// The cluster cannot be reached or used.
    #[error("{0}")]
    Unavailable(String),
    /// The cluster does not grant what is needed.
    #[error("{0}")]
    MissingRights(String),
    /// The environment on a live cluster could not be put in order.
    #[error(transparent)]
    Environment(EnvironmentError),
    /// The load could not be started.
    #[error("the load could not be started: {0}")]
    Load(#[from] WorkloadError),
    /// The load that was asked for cannot be.
    #[error("load_rps.{0}")]
    LoadChoice(#[from] LoadError),
    /// The application was not healthy before the fault.
    #[error("the baseline of {app} is not healthy: {why}")]
    Baseline {
        /// Application.
        app: String,
        /// What is wrong with it.
        why: String,
    },
    /// The fault could not be injected, or did not take effect.
    #[error("the fault of {problem} was not injected: {source}")]
    Fault {
        /// Problem.
        problem: String,
        /// Why.
        source: FaultError,
    },
    /// The fault shows nowhere.
    #[error("the fault of {problem} took effect, but no symptom could be observed within {} s", SYMPTOM_WITHIN.as_secs())]
    NoSymptom {
        /// Problem.
        problem: String,
    },
}

impl From<EnvironmentError> for ResetError {
    fn from(error: EnvironmentError) -> Self {
        match &error {
            EnvironmentError::MissingRights { .. } => ResetError::MissingRights(error.to_string()),
            EnvironmentError::Held { .. } => ResetError::Unavailable(error.to_string()),
            EnvironmentError::Api { error: answer, .. } if matches!(answer.code, 401 | 503 | 504) => {
                ResetError::Unavailable(error.to_string())
            }
            EnvironmentError::Api { error: answer, .. } if answer.code == 403 && !answer.message.contains("exceeded quota") => {
                ResetError::MissingRights(error.to_string())
            }
            _ => ResetError::Environment(error),
        }
    }
}

#[cfg(feature = "live")]
impl From<crate::cluster::live::ConnectFailure> for ResetError {
    fn from(failure: crate::cluster::live::ConnectFailure) -> Self {
        ResetError::Unavailable(failure.to_string())
    }
}

#[cfg(feature = "live")]
impl From<crate::cluster::live::OpenError> for ResetError {
    fn from(error: crate::cluster::live::OpenError) -> Self {
        match error {
            crate::cluster::live::OpenError::Connect(failure) => failure.into(),
            crate::cluster::live::OpenError::Environment(error) => error.into(),
        }
    }
}

/// A cluster on which the first observation can be taken, and what it was before the fault.
pub(super) struct Begun {
    pub(super) stage: Stage,
    pub(super) baseline: Arc<Baseline>,
    pub(super) undo: Option<Undo>,
}

/// Baseline → load → fault → symptom → a delay drawn from the seed.
pub(super) fn begin(
    worlds: &mut Worlds,
    registry: &Registry,
    problem: &Arc<Problem>,
    options: &Options,
    seed: u64,
) -> Result<Begun, ResetError> {
    let mut stage = worlds.stage(registry, problem, options, seed)?;
    let (cluster, problem) = (&mut *stage.cluster, stage.problem.clone());
    let app = &problem.app;
    let load = changed_load(&problem, options)?;
    if let Some(load) = &load {
        cluster.drive(&app.namespace, load.as_ref())?;
    }
    let baseline = match stage.known.clone().filter(|_| load.is_none()) {
        Some(known) => known,
        None => {
            settle(cluster, app)?;
            Arc::new(Baseline::record(cluster, &app.namespace, &app.stores)?)
        }
    };
    let fault = problem.fault.as_ref().map(|fault| if options.strict { fault.strict() } else { fault.clone() });
    let undo = fault.map(|fault| inject(cluster, &problem, &fault)).transpose()?;
    let [low, high] = problem.delay_s;
    let delay = Key::new(seed).part("delay").stream().range(low, high);
    let until = cluster.now() + Duration::from_secs_f64(delay);
    cluster.wait(until, &[]);
    Ok(Begun { stage, baseline, undo })
}

/// The load to drive instead of the application's own, which the baseline is already under; `Some(None)` for none.
fn changed_load(problem: &Problem, options: &Options) -> Result<Option<Option<Workload>>, ResetError> {
    let chosen = options.load_rps.as_ref().map(|load| load.profile(problem)).transpose()?;
    let changed = chosen.or_else(|| problem.load.clone());
    Ok(changed.map(|profile| (profile.peak() > 0.0).then(|| problem.app.under(profile))))
}

/// Injects, proves that it took effect, and waits until users notice.
fn inject(cluster: &mut dyn Cluster, problem: &Problem, fault: &Fault) -> Result<Undo, ResetError> {
    let namespace = &problem.app.namespace;
    let failed = |source| ResetError::Fault { problem: problem.id.to_string(), source };
    let undo = fault.inject(cluster, namespace).map_err(failed)?;
    let give_up = cluster.now() + SYMPTOM_WITHIN;
    let mut proof = fault.prove(cluster, namespace);
    while cluster.now() < give_up {
        if proof.is_ok() && failing(cluster, &problem.app, &problem.symptom).is_some() {
            return Ok(undo);
        }
        let until = cluster.now() + Duration::from_secs(1);
        cluster.wait(until, &[]);
        proof = fault.prove(cluster, namespace);
    }
    proof.map_err(failed)?;
    Err(ResetError::NoSymptom { problem: problem.id.to_string() })
}

/// The first endpoint of those named (of all when none is) that does not answer as it should, with what it answers.
fn failing(cluster: &mut dyn Cluster, app: &App, endpoints: &[ArcStr]) -> Option<String> {
    let asked = app.endpoints.iter().map(|e| &e.name).filter(|name| endpoints.is_empty() || endpoints.contains(name));
    let asked: Vec<&ArcStr> = asked.collect();
    let seen = observe(cluster, &app.namespace, &asked, 0, PROBES);
    asked.into_iter().zip(seen).find_map(|(endpoint, seen)| {
        if seen.requests == 0 {
            return Some(format!("{endpoint} cannot be probed"));
        }
        (seen.errors > 0).then(|| format!("{endpoint} fails: {}", seen.first_error))
    })
}

/// Waits until the application is healthy. A settled baseline is; callers of what a live cluster has just restarted connect again after a
/// back-off of their own.
pub(super) fn settle(cluster: &mut dyn Cluster, app: &Arc<App>) -> Result<(), ResetError> {
    let give_up = cluster.now() + SETTLED_WITHIN;
    loop {
        match require_healthy(cluster, app) {
            Err(ResetError::Baseline { .. }) if cluster.now() < give_up => {
                let until = cluster.now() + Duration::from_millis(500);
                cluster.wait(until, &[]);
            }
            outcome => return outcome,
        }
    }
}

fn require_healthy(cluster: &mut dyn Cluster, app: &Arc<App>) -> Result<(), ResetError> {
    let sick = |why: String| ResetError::Baseline { app: app.name.to_string(), why };
    let deployments = resource::builtin_named("apps", "deployments").ok_or_else(|| sick("no Deployments are served".to_owned()))?;
    let reply = cluster.api(&Identity::operator(), &ApiRequest::list(deployments, Some(&app.namespace)))?;
    let items = reply.into_items();
    if items.is_empty() {
        return Err(sick(format!("namespace {} holds no Deployment", app.namespace)));
    }
    if let Some(unready) = items.iter().find(|d| !is_available(d)) {
        return Err(sick(format!("deployment {} is not available: {}", unready.name(), unready.status().to_compact())));
    }
    match failing(cluster, app, &[]) {
        Some(bad) => Err(sick(bad)),
        None => Ok(()),
    }
}
