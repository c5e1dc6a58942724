//! [`Environment`]: one environment on a live cluster, from connection to close. It keeps the lease while it is there.

use super::keeper::{Keeper, this_holder};
use super::outpost::OutpostPod;
use super::{AgentAccount, ConnectFailure, LiveCluster};
use crate::app::App;
use crate::cluster::environment::{
    AGENT, EnvironmentError, Held, Journal, Journaled, LiveConfig, OnClose, Origin, Phase, Place, Record, Restored, acquire,
    ensure_namespaces, ensure_own_namespace, needed, placed, recipe, release, remove, restore, take_record,
};
use crate::cluster::{ApiRequest, Cluster, Identity};
use crate::object;
use crate::object::{Json, Object, resource};
use arcstr::ArcStr;
use std::sync::Arc;
use std::time::Duration;

/// Environments of one application that are looked at for a free one.
const SUFFIXES: u32 = 99;

/// Why an environment cannot be opened.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OpenError {
    /// The cluster cannot be used.
    #[error(transparent)]
    Connect(#[from] ConnectFailure),
    /// The environment cannot be had on it.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
}

/// One environment on a live cluster.
pub struct Environment {
    cluster: LiveCluster,
    config: LiveConfig,
    place: Place,
    app: Arc<App>,
    strict: bool,
    held: Held,
    keeper: Keeper,
    closed: bool,
}

impl Environment {
    /// Connects, takes a lease and makes what an environment needs besides the application.
    ///
    /// # Errors
    /// The cluster cannot be used, rights are missing, or the environment is held by another.
    pub fn open(config: &LiveConfig, app: &Arc<App>, strict: bool) -> Result<Environment, OpenError> {
        let mut cluster = LiveCluster::connect(config)?;
        let (place, held) = lease(&mut cluster, config, app)?;
        let keeper = Keeper::start(cluster.clone(), place.clone(), held.clone());
        let app = placed(app, &place, config.cpu_scale);
        let mut environment = Environment { cluster, config: config.clone(), place, app, strict, held, keeper, closed: false };
        environment.equip()?;
        Ok(environment)
    }

    /// Namespaces, the agent's account, our own pod.
    fn equip(&mut self) -> Result<(), EnvironmentError> {
        ensure_namespaces(&mut self.cluster, &self.place, &self.app)?;
        self.cluster.set_agent(AgentAccount { namespace: self.place.own.clone(), name: ArcStr::from(AGENT) });
        self.cluster.acting().map_err(EnvironmentError::api("connecting as the agent"))?;
        let outpost = OutpostPod::ensure(&mut self.cluster, &self.place, &self.config)?;
        self.cluster.set_application(self.app.clone(), outpost);
        Ok(())
    }

    /// The connection, for what belongs to no episode and is not journaled.
    pub fn cluster(&self) -> LiveCluster {
        self.cluster.clone()
    }

    /// Its names.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The application under this environment's names.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Whether it was deployed for this application and these options.
    pub fn serves(&self, app: &App, config: &LiveConfig, strict: bool) -> bool {
        let place = Place::of(app, &self.place.suffix);
        !self.closed && self.place == place && self.config == *config && self.strict == strict && self.app.name == app.name
    }

    /// Puts the application back to its recorded baseline, or deploys it, and returns the cluster of an episode: every change of the
    /// library's on it is journaled first.
    ///
    /// # Errors
    /// The lease was lost, the API server refuses, or the application does not become ready in time.
    pub fn begin(&mut self) -> Result<Box<dyn Cluster>, EnvironmentError> {
        self.keeper.check()?;
        let bound = Duration::from_secs_f64(self.config.ready_timeout_s);
        let recipe = recipe(&self.place, &self.app, self.strict);
        let record = Record::read(&mut self.cluster, &self.place)?;
        if record.phase == Phase::Unfinished || record.recipe != recipe {
            // What a repair has to know is written down before anything is deployed; a finished record of other data stays until then.
            let begun = Record { origin: self.origin(), ..record.clone() };
            begun.write(&mut self.cluster, &self.place)?;
        }
        let done = self.restore_to(&record, &recipe, bound)?;
        if done.redeployed.is_some() {
            let origin = self.origin();
            take_record(&mut self.cluster, (&self.place, &self.app), &recipe, &origin)?;
        }
        let journal = Journal::open(&mut self.cluster, &self.place).map_err(EnvironmentError::api("opening the journal"))?;
        let mut episode = Journaled::new(self.cluster.clone(), self.place.clone(), journal);
        let load = self.app.workload();
        let no_load = |error: crate::cluster::WorkloadError| EnvironmentError::NotReady {
            namespace: self.place.namespace.to_string(),
            seconds: 0,
            why: format!("the load could not be started: {error}"),
        };
        episode.drive(&self.place.namespace, Some(&load)).map_err(no_load)?;
        Ok(Box::new(episode))
    }

    fn origin(&self) -> Origin {
        Origin { app: self.app.name.to_string(), strict: self.strict, cpu_scale: self.config.cpu_scale, image: self.config.image.clone() }
    }

    fn restore_to(&mut self, record: &Record, recipe: &str, bound: Duration) -> Result<Restored, EnvironmentError> {
        let what = (&self.place, &*self.app, self.strict);
        let done = restore(&mut self.cluster, what, record, recipe, bound)?;
        tracing::info!(namespace = %self.place.namespace, ?done, "the environment is as recorded");
        Ok(done)
    }

    /// Whether the lease is still ours.
    ///
    /// # Errors
    /// Who has it now.
    pub fn check(&self) -> Result<(), EnvironmentError> {
        self.keeper.check()
    }

    /// What runs where, for a trajectory's header.
    pub fn describe(&mut self) -> Json {
        let nodes = self.list("nodes", None);
        let pods = self.list("pods", Some(&self.place.namespace.clone()));
        let mut images: Vec<String> = pods
            .iter()
            .flat_map(|pod| pod.at(&["status", "containerStatuses"]).items())
            .map(|status| format!("{} {}", status.get("image").text(), status.get("imageID").text()))
            .collect();
        images.sort();
        images.dedup();
        let testbed = self.runs_testbed(&pods);
        object! {
            "server_version" => self.cluster.git_version(),
            "nodes" => nodes.len() as i64,
            "namespace" => &self.place.namespace,
            "images" => if testbed { "testbed" } else { "upstream" },
            "image_ids" => images.iter().map(Json::from).collect::<Json>(),
        }
    }

    fn list(&mut self, plural: &str, namespace: Option<&str>) -> Vec<Object> {
        let Some(kind) = resource::builtin_named("", plural) else { return Vec::new() };
        let answer = self.cluster.api(&Identity::operator(), &ApiRequest::list(kind, namespace));
        answer.map(crate::cluster::ApiReply::into_items).unwrap_or_default()
    }

    /// Whether the application's containers run the testbed instead of upstream's images: the program is in them.
    fn runs_testbed(&mut self, pods: &[Object]) -> bool {
        let Some(pod) = pods.iter().find(|pod| !pod.is_terminating()) else { return false };
        let request = crate::cluster::ExecRequest {
            namespace: self.place.namespace.clone(),
            pod: pod.name().into(),
            container: None,
            argv: vec!["cat".to_owned(), "/usr/lib/testbed/image".to_owned()],
            stdin: Vec::new(),
        };
        self.cluster.exec(&Identity::operator(), &request).is_ok_and(|output| output.exit_code == 0)
    }

    /// Puts things back or deletes them, as configured, and gives the lease back. Doing it twice does nothing.
    ///
    /// # Errors
    /// The API server's answer, or what does not become ready in time; the lease is given back all the same.
    pub fn close(&mut self) -> Result<(), EnvironmentError> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        let done = self.leave();
        self.keeper.stop();
        let given_back = release(&mut self.cluster, &self.place, &self.held);
        done.and(given_back)
    }

    fn leave(&mut self) -> Result<(), EnvironmentError> {
        self.keeper.check()?;
        let bound = Duration::from_secs_f64(self.config.ready_timeout_s);
        match self.config.on_close {
            OnClose::Delete => remove(&mut self.cluster, &self.place, bound),
            OnClose::Keep => {
                let record = Record::read(&mut self.cluster, &self.place)?;
                let _ = self.cluster.drive(&self.place.namespace, None);
                if record.phase == Phase::Ready {
                    let recipe = record.recipe.clone();
                    self.restore_to(&record, &recipe, bound)?;
                }
                Ok(())
            }
        }
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        // Without `close` things stay as they are; the next environment puts them back.
        self.keeper.stop();
        if !self.closed {
            let _ = release(&mut self.cluster, &self.place, &self.held);
        }
    }
}

/// Takes the lease of the suffix asked for, or of the first that nobody holds.
fn lease(cluster: &mut LiveCluster, config: &LiveConfig, app: &App) -> Result<(Place, Held), EnvironmentError> {
    let holder = this_holder();
    if let Some(suffix) = &config.suffix {
        let place = Place::of(app, suffix);
        return try_place(cluster, &place, &holder).map(|held| (place, held));
    }
    let mut first = None;
    for number in 1..=SUFFIXES {
        let suffix = if number == 1 { String::new() } else { number.to_string() };
        let place = Place::of(app, &suffix);
        match try_place(cluster, &place, &holder) {
            Ok(held) => return Ok((place, held)),
            Err(error @ (EnvironmentError::Held { .. } | EnvironmentError::Foreign { .. })) => {
                first.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(first.unwrap_or(EnvironmentError::Held { namespace: app.namespace.to_string(), holder: String::new(), age_s: 0 }))
}

fn try_place(cluster: &mut LiveCluster, place: &Place, holder: &crate::cluster::environment::Holder) -> Result<Held, EnvironmentError> {
    require_rights(cluster, place)?;
    ensure_own_namespace(cluster, place)?;
    acquire(cluster, place, holder, &super::keeper::is_over)
}

/// Every right that is missing, at once.
fn require_rights(cluster: &mut LiveCluster, place: &Place) -> Result<(), EnvironmentError> {
    let everything = crate::cluster::Right { verb: "*", group: "*", resource: "*", namespace: None };
    if cluster.can(&everything) {
        return Ok(());
    }
    // An API server that does not answer has not refused anything.
    let nodes = resource::builtin_named("", "namespaces");
    if let Some(kind) = nodes
        && let Err(error) = cluster.api(&Identity::operator(), &ApiRequest::get(kind, None, "default"))
        && matches!(error.code, 503 | 504)
    {
        return Err(EnvironmentError::api("asking for rights")(error));
    }
    let missing: Vec<String> = needed(place).iter().filter(|right| !cluster.can(right)).map(ToString::to_string).collect();
    if missing.is_empty() { Ok(()) } else { Err(EnvironmentError::MissingRights { rights: missing }) }
}
