//! Where episodes take place: the one place above the `Cluster` trait that knows which worlds there are.

use super::options::{ClusterChoice, Options};
use super::reset::{self, ResetError};
use crate::app::App;
use crate::cluster::Cluster;
use crate::cluster::environment::{EnvironmentError, LiveConfig};
use crate::cluster::sim::baseline::{self, Settled};
use crate::cluster::sim::cluster::SimCluster;
use crate::object::Json;
use crate::problem::{Problem, Registry};
use crate::task::Baseline;
use std::sync::{Arc, Mutex, PoisonError};

/// A cluster with a settled, healthy application on it, under its own load.
pub(super) struct Stage {
    /// The cluster.
    pub(super) cluster: Box<dyn Cluster>,
    /// The problem under the names that the application has there.
    pub(super) problem: Arc<Problem>,
    /// `sim` or `live`.
    pub(super) kind: &'static str,
    /// What a trajectory's header tells of it; null when its kind says all.
    pub(super) description: Json,
    /// What the application consists of, where it is known to be healthy already.
    pub(super) known: Option<Arc<Baseline>>,
}

/// What the application of a settled world consists of; `None` when every episode calls some of it differently. It is looked at, and its
/// health tried, once.
fn known(settled: &Arc<Settled>, app: &Arc<App>) -> Result<Option<Arc<Baseline>>, ResetError> {
    type Looked = (Arc<Settled>, Option<Arc<Baseline>>);
    static LOOKED: Mutex<Vec<Looked>> = Mutex::new(Vec::new());
    let mut looked = LOOKED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, found)) = looked.iter().find(|(known, _)| Arc::ptr_eq(known, settled)) {
        return Ok(found.clone());
    }
    let mut cluster = SimCluster::new(settled.world.clone());
    reset::settle(&mut cluster, app)?;
    let baseline = Baseline::record(&mut cluster, &app.namespace, &app.stores)?;
    let found = (!settled.has_names(&format!("{baseline:?}"))).then(|| Arc::new(baseline));
    looked.push((settled.clone(), found.clone()));
    Ok(found)
}

/// What a session keeps between episodes: the environment on a live cluster.
#[derive(Default)]
pub(super) struct Worlds {
    #[cfg(feature = "live")]
    environment: Option<crate::cluster::live::Environment>,
}

impl Worlds {
    /// Sets the stage of an episode.
    ///
    /// # Errors
    /// Why the application is not there, settled and healthy.
    pub(super) fn stage(&mut self, registry: &Registry, problem: &Arc<Problem>, options: &Options, seed: u64) -> Result<Stage, ResetError> {
        match &options.cluster {
            ClusterChoice::Sim => {
                let settled = baseline::baseline(registry.catalog(), &problem.app, options.strict)?;
                let cluster = Box::new(SimCluster::new(baseline::fork(&settled, &problem.app, seed)?));
                let known = known(&settled, &problem.app)?;
                Ok(Stage { cluster, problem: problem.clone(), kind: "sim", description: Json::Null, known })
            }
            ClusterChoice::Live(config) => self.live(config, problem, options),
        }
    }

    #[cfg(feature = "live")]
    fn live(&mut self, config: &LiveConfig, problem: &Arc<Problem>, options: &Options) -> Result<Stage, ResetError> {
        use crate::cluster::live::Environment;
        let mut environment = match self.environment.take() {
            Some(open) if open.serves(&problem.app, config, options.strict) => open,
            _ => Environment::open(config, &problem.app, options.strict)?,
        };
        let begun = environment.begin();
        let cluster = match begun {
            Ok(cluster) => cluster,
            Err(error) => {
                // The next reset finds it as it is, with what the journal holds.
                self.environment = Some(environment);
                return Err(error.into());
            }
        };
        let description = environment.describe();
        let mut placed = Problem { app: environment.app().clone(), ..(**problem).clone() };
        // Virtual seconds cost nothing, real ones do: an episode begins with the symptom, and grading waits as long as it was told to.
        placed.delay_s = [0.0, 0.0];
        placed.condition.convergence_max_s = placed.condition.convergence_max_s.min(config.grade_patience_s);
        placed.condition.settling_max_s = placed.condition.settling_max_s.min(config.grade_patience_s);
        self.environment = Some(environment);
        Ok(Stage { cluster, problem: Arc::new(placed), kind: "live", description, known: None })
    }

    #[cfg(not(feature = "live"))]
    #[allow(clippy::unused_self, reason = "the same with and without a live cluster")]
    fn live(&mut self, _: &LiveConfig, _: &Arc<Problem>, _: &Options) -> Result<Stage, ResetError> {
        Err(ResetError::Unavailable("this build of the library cannot reach live clusters (feature \"live\")".to_owned()))
    }

    /// Whether the world is still ours.
    pub(super) fn check(&self) -> Result<(), EnvironmentError> {
        #[cfg(feature = "live")]
        if let Some(environment) = &self.environment {
            return environment.check();
        }
        Ok(())
    }

    /// Leaves the world as configured. Doing it twice does nothing.
    pub(super) fn close(&mut self) -> Result<(), EnvironmentError> {
        #[cfg(feature = "live")]
        if let Some(mut environment) = self.environment.take() {
            return environment.close();
        }
        Ok(())
    }
}
