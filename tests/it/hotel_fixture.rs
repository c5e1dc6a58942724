//! The hotel application deployed on a simulated cluster of three nodes.

use aiopslab::app::Catalog;
use aiopslab::cluster::sim::cluster::SimCluster;
use aiopslab::cluster::sim::history::RunId;
use aiopslab::cluster::sim::kubelet::{self, NodeSpec};
use aiopslab::cluster::sim::store::{Key, Kind};
use aiopslab::cluster::sim::world::World;
use aiopslab::cluster::{ApiRequest, Cluster, Identity, LogQuery, TelemetryQuery};
use aiopslab::object;
use aiopslab::object::{Json, Object};
use aiopslab::time::SimTime;
use aiopslab::workload::{Arrivals, Profile};
use std::sync::Arc;
use std::time::Duration;

/// The application's namespace.
pub const NS: &str = "test-hotel-reservation";

/// A cluster with the application.
#[derive(Clone)]
pub struct Hotel {
    /// The cluster.
    pub cluster: SimCluster,
}

impl Hotel {
    /// Deploys the application and waits until it has settled.
    pub fn deployed(seed: u64) -> Self {
        Hotel::deployed_with(Catalog::embedded(), seed)
    }

    /// The same with other data.
    pub fn deployed_with(catalog: Arc<Catalog>, seed: u64) -> Self {
        let world = World::new(SimTime::from_secs(1_767_225_600), seed, catalog);
        let mut hotel = Hotel { cluster: SimCluster::new(world) };
        for at in 1..=3 {
            let spec = NodeSpec {
                name: format!("node-{at}").into(),
                address: format!("172.18.0.{}", at + 1).into(),
                pod_cidr: format!("10.244.{at}.0/24").into(),
                cpu: 8,
                memory_kib: 16 << 20,
                labels: Vec::new(),
            };
            kubelet::register_node(hotel.world_mut(), &spec);
        }
        hotel.apply(&[object! { "apiVersion" => "v1", "kind" => "Namespace", "metadata" => object! { "name" => NS } }]);
        let app = Catalog::embedded().app("hotel-reservation").expect("embedded").clone();
        hotel.apply(&app.manifests);
        hotel.run(60.0);
        hotel
    }

    /// The world.
    pub fn world(&self) -> &World {
        &self.cluster.world
    }

    /// The world, for changing.
    pub fn world_mut(&mut self) -> &mut World {
        &mut self.cluster.world
    }

    pub fn apply(&mut self, objects: &[Json]) {
        for json in objects {
            let resources = self.cluster.resources().expect("served");
            let kind = resources.iter().find(|r| r.kind == json.get("kind").text()).expect("a known kind").clone();
            let namespace = kind.namespaced.then_some(NS);
            let request = ApiRequest::create(&kind, namespace, json.clone());
            self.cluster.api(&Identity::operator(), &request).unwrap_or_else(|e| panic!("{}: {e}", Object(json.clone()).name()));
        }
    }

    /// Lets seconds pass.
    pub fn run(&mut self, seconds: f64) {
        let until = self.world().now + Duration::from_secs_f64(seconds);
        self.world_mut().run_until(until);
    }

    /// Puts the application's own mix on it.
    pub fn drive(&mut self, rate_per_s: f64, arrivals: Arrivals) {
        self.follow(Profile::steady(rate_per_s, arrivals));
    }

    /// Puts the application's own mix on it, as much as a profile says.
    pub fn follow(&mut self, profile: Profile) {
        let workload = Catalog::embedded().app("hotel-reservation").expect("embedded").under(profile);
        self.cluster.drive(NS, Some(&workload)).expect("driven");
    }

    /// The pod of a service, if there is one.
    pub fn pod(&self, service: &str) -> Option<Object> {
        let pods = self.world().store.list(Kind::POD, Some(NS));
        pods.filter(|p| p.label("io.kompose.service") == Some(service) && !p.is_terminating()).last().cloned()
    }

    /// The run of a service's container.
    pub fn run_of(&self, service: &str) -> Option<RunId> {
        let pod = self.pod(service)?;
        let runs = self.world().history.runs();
        runs.rev().find(|r| r.launch.pod == pod.name() && r.end.is_none()).map(|r| r.id)
    }

    /// A service's log, escape codes removed.
    pub fn logs(&mut self, service: &str, query: LogQuery) -> String {
        let pod = self.pod(service).expect("a pod").name().into();
        let query = LogQuery { namespace: NS.into(), pod, ..query };
        match self.cluster.telemetry(&Identity::operator(), &TelemetryQuery::Logs(query)) {
            Ok(log) => regex::Regex::new("\u{1b}\\[[0-9]+m").expect("valid").replace_all(&log.into_log(), "").into_owned(),
            Err(error) => error.to_string(),
        }
    }

    /// Changes an object's spec as a user would.
    pub fn update(&mut self, kind: Kind, name: &str, change: impl FnOnce(&mut Json)) {
        self.world_mut().update(&Key::new(kind, NS, name), change).expect("there");
    }

    /// Deletes an object.
    pub fn delete(&mut self, kind: Kind, name: &str) {
        self.world_mut().delete(&Identity::operator(), &Key::new(kind, NS, name), None, None).expect("there");
    }
}
