//! The settled, healthy cluster from which episodes start: built once per application, then forked.
//!
//! It is one virtual hour old, under the application's own load, and its clock stands at a fixed date.

use super::cluster::SimCluster;
use super::rename::{Names, rename};
use super::world::World;
use super::{api, controllers, kubelet, traffic};
use crate::app::{App, Catalog};
use crate::cluster::deploy::deploy;
use crate::cluster::{ApiError, Cluster};
use crate::time::SimTime;
use crate::workload::Workload;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Where the clock of a settled baseline stands: 2026-01-15T10:00:00Z.
const SETTLED_AT: SimTime = SimTime::from_secs(1_768_471_200);
/// How long a cluster is settled before an episode.
const AGE: Duration = Duration::from_secs(3600);
/// How long the build may take at most, in virtual time; the clock starts that much earlier still.
const BUILD: Duration = Duration::from_secs(90);

/// A baseline that was built, with what it was built from.
struct Built {
    catalog: Arc<Catalog>,
    app: Arc<App>,
    strict: bool,
    settled: Arc<Settled>,
}

/// A settled baseline: the world, and the names in it.
pub struct Settled {
    /// The cluster.
    pub world: World,
    names: Arc<Names>,
    /// Whether what its load does can be taken over by forks.
    nameless: bool,
}

impl Settled {
    /// Whether a text holds something that every episode calls differently.
    pub fn has_names(&self, text: &str) -> bool {
        self.names.within(text).next().is_some()
    }
}

/// The settled baseline of an application, built on first use and kept for the life of the process.
///
/// # Errors
/// Why it could not be deployed.
pub fn baseline(catalog: &Arc<Catalog>, app: &Arc<App>, strict: bool) -> Result<Arc<Settled>, ApiError> {
    static BUILT: Mutex<Vec<Built>> = Mutex::new(Vec::new());
    let mut all = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let same = |b: &&Built| Arc::ptr_eq(&b.catalog, catalog) && Arc::ptr_eq(&b.app, app) && b.strict == strict;
    if let Some(found) = all.iter().find(same) {
        return Ok(found.settled.clone());
    }
    let mut world = build(catalog, app, strict)?;
    let names = Names::find(&world);
    world.settle_names(&names);
    let nameless = traffic::is_nameless(&world, &names);
    let settled = Arc::new(Settled { names, nameless, world });
    all.push(Built { catalog: catalog.clone(), app: app.clone(), strict, settled: settled.clone() });
    Ok(settled)
}

/// Builds a baseline: a new cluster, the application's images on its nodes, the application, its load, and an hour.
fn build(catalog: &Arc<Catalog>, app: &Arc<App>, strict: bool) -> Result<World, ApiError> {
    let mut world = World::new(SETTLED_AT - AGE - BUILD, 0, catalog.clone());
    api::bootstrap::bootstrap(&mut world)?;
    api::bootstrap::resource_metrics(&mut world)?;
    let settled = world.now + Duration::from_secs(60);
    world.run_until(settled);
    preload(&mut world, app);
    let mut cluster = SimCluster::new(world);
    deploy(&mut cluster, app, strict)?;
    api::bootstrap::grant(&mut cluster.world, &app.namespace)?;
    // Steps and bursts begin with an episode.
    let load = app.workload();
    drive(&mut cluster, app, &Workload::steady(load.profile.rate_per_s, load.profile.arrivals, load.mix.clone()))?;
    cluster.world.run_until(SETTLED_AT);
    controllers::events::sweep(&mut cluster.world);
    cluster.world.run_until(SETTLED_AT);
    // The regime in which episodes begin, with caches as they are now.
    drive(&mut cluster, app, &load)?;
    Ok(cluster.world)
}

/// Puts the application's images on every node, as an earlier deploy would have left them.
fn preload(world: &mut World, app: &App) {
    let containers = app.manifests.iter().flat_map(|o| o.at(&["spec", "template", "spec", "containers"]).items());
    let images: Vec<String> = containers.map(|container| container.get("image").text().to_owned()).collect();
    for number in 1..=api::bootstrap::NODES {
        for image in &images {
            kubelet::preload(world, &format!("node-{number}"), image);
        }
    }
}

/// A fork of a baseline under names of its own, with arrivals of its own from now on.
///
/// # Errors
/// When the load cannot be driven any more.
pub fn fork(settled: &Settled, app: &App, seed: u64) -> Result<World, ApiError> {
    let mut world = settled.world.clone();
    world.seed = seed;
    rename(&mut world, &settled.names.draw(seed));
    if settled.nameless {
        traffic::rekey(&mut world);
        return Ok(world);
    }
    let mut cluster = SimCluster::new(world);
    drive(&mut cluster, app, &app.workload())?;
    Ok(cluster.world)
}

/// Puts the application under a load.
fn drive(cluster: &mut SimCluster, app: &App, load: &Workload) -> Result<(), ApiError> {
    let refused = |error: crate::cluster::WorkloadError| ApiError::new(500, "InternalError", error.to_string());
    cluster.drive(&app.namespace, Some(load)).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_old_name_is_left_anywhere() {
        let catalog = Catalog::embedded();
        let app = catalog.app("hotel-reservation").expect("there").clone();
        let settled = baseline(&catalog, &app, false).expect("settles");
        let world = fork(&settled, &app, 7).expect("forks");
        let launches: Vec<_> = world.history.runs().map(|run| (&run.launch, &run.lines)).collect();
        let state = format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {launches:?}",
            world.kubelet,
            world.network,
            world.programs,
            world.scheduler,
            world.controllers,
            world.queue.iter().collect::<Vec<_>>(),
            world.store.iter().collect::<Vec<_>>(),
        );
        let mut checked = 0;
        for name in settled.names.texts().filter(|name| name.contains('-') || name.len() == 64) {
            assert!(!state.contains(name), "{name} is left");
            checked += 1;
        }
        assert!(checked > 100, "{checked}");
        let again = fork(&settled, &app, 7).expect("forks");
        assert_eq!(format!("{:?}", again.kubelet), format!("{:?}", world.kubelet));
    }

    #[test]
    fn a_settled_cluster_costs_nothing() {
        let catalog = Catalog::embedded();
        let app = catalog.app("hotel-reservation").expect("there").clone();
        let settled = baseline(&catalog, &app, false).expect("settles");
        let mut world = settled.world.clone();
        let before = world.store.revision();
        world.run_until(SETTLED_AT + AGE);
        assert_eq!(world.store.revision(), before, "an hour passes without a write");
        assert!(world.queue.iter().count() < 4, "{:?}", world.queue.iter().collect::<Vec<_>>());
    }
}
