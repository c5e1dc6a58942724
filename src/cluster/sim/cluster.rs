//! [`SimCluster`]: the simulated world behind the [`Cluster`] trait.

use super::store::Kind;
use super::world::World;
use super::{api, derive, disturb, exec, http, metrics, network, traces, traffic};
use crate::cluster::{
    ApiError, ApiReply, ApiRequest, Cluster, ConnectError, DisturbError, Disturbance, ExecOutput, ExecRequest, HttpOrigin, HttpReply,
    HttpRequest, Identity, Interest, ProbeReply, ProbeRequest, Subresource, TelemetryQuery, TelemetryReply, Unsupported, Woken,
    WorkloadError,
};
use crate::object::{Json, ResourceRef};
use crate::time::SimTime;
use crate::workload::Workload;
use arcstr::ArcStr;
use std::sync::Arc;

/// A simulated cluster.
#[derive(Clone)]
pub struct SimCluster {
    /// Its state.
    pub world: World,
}

impl SimCluster {
    /// A cluster that starts from `world`.
    pub fn new(world: World) -> Self {
        SimCluster { world }
    }
}

impl Cluster for SimCluster {
    fn now(&self) -> SimTime {
        self.world.now
    }

    fn wait(&mut self, until: SimTime, interests: &[Interest]) -> Woken {
        let watched: Vec<_> = interests
            .iter()
            .filter_map(|Interest::Objects { resource, namespace, name }| Some((self.world.store.kind_of(resource)?, namespace, name)))
            .collect();
        self.world.run(until, &mut |change| {
            let key = &change.key;
            watched.iter().any(|(kind, namespace, name)| {
                key.kind == *kind && namespace.as_ref().is_none_or(|n| *n == key.namespace) && name.as_ref().is_none_or(|n| *n == key.name)
            })
        })
    }

    fn resources(&mut self) -> Result<Arc<Vec<ResourceRef>>, ApiError> {
        Ok(Arc::new(self.world.store.resources()))
    }

    fn api(&mut self, who: &Identity, request: &ApiRequest) -> Result<ApiReply, ApiError> {
        api::handle(&mut self.world, who, request)
    }

    fn exec(&mut self, who: &Identity, request: &ExecRequest) -> Result<ExecOutput, ApiError> {
        let pods = self.world.store.resource(Kind::POD).clone();
        let mut asked = ApiRequest::create(&pods, Some(&request.namespace), Json::Null).subresource(Subresource::Exec);
        asked.name = Some(request.pod.clone());
        api::rbac::authorize(&self.world, who, &asked, &pods)?;
        exec::exec(&mut self.world, request)
    }

    fn telemetry(&mut self, who: &Identity, query: &TelemetryQuery) -> Result<TelemetryReply, ApiError> {
        match query {
            TelemetryQuery::Logs(query) => derive::logs(&self.world, query).map(TelemetryReply::Logs),
            TelemetryQuery::Metrics(query) => metrics::metrics(&self.world, who, query).map(TelemetryReply::Metrics),
            TelemetryQuery::Traces(query) => traces::traces(&self.world, who, query).map(TelemetryReply::Traces),
        }
    }

    fn http(&mut self, from: &HttpOrigin, request: &HttpRequest) -> Result<HttpReply, ConnectError> {
        http::http(&mut self.world, from, request)
    }

    fn resolve(&mut self, from: &HttpOrigin, host: &str) -> Result<Vec<ArcStr>, ConnectError> {
        let not_found = |_| ConnectError::NameNotFound { host: host.to_owned() };
        network::dns::lookup(&self.world, &network::Origin::from(from), host).map_err(not_found)
    }

    fn drive(&mut self, namespace: &str, workload: Option<&Workload>) -> Result<(), WorkloadError> {
        traffic::drive(&mut self.world, namespace, workload)
    }

    fn probe(&mut self, requests: &[ProbeRequest]) -> Vec<ProbeReply> {
        http::probe(&self.world, requests)
    }

    fn disturb(&mut self, name: &str, disturbance: &Disturbance) -> Result<(), DisturbError> {
        disturb::disturb(&mut self.world, name, disturbance)
    }

    fn relieve(&mut self, name: &str) -> Result<(), DisturbError> {
        disturb::relieve(&mut self.world, name);
        Ok(())
    }

    fn is_disturbed(&mut self, name: &str) -> Result<bool, DisturbError> {
        Ok(disturb::is_disturbed(&self.world, name))
    }

    fn fork(&self) -> Result<Box<dyn Cluster>, Unsupported> {
        Ok(Box::new(self.clone()))
    }

    fn state_hash(&self) -> Option<u128> {
        Some(self.world.digest())
    }
}
