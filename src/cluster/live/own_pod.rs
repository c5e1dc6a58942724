//! Our own pod on a live cluster (load, probes, the agent's `curl`), and the requests to it.

use super::{LiveCluster, Shared};
use crate::app::App;
use crate::cluster::disturbance::{DisturbError, Disturbance};
use crate::cluster::environment::{EnvironmentError, LiveConfig, Place};
use crate::cluster::{ConnectError, HttpReply, HttpRequest, ProbeReply, ProbeRequest, WorkloadError};
use crate::workload::Workload;
use arcstr::ArcStr;
use std::sync::Arc;

/// Our own pod.
#[derive(Debug, Clone)]
pub struct OwnPod {
    namespace: ArcStr,
}

impl OwnPod {
    pub(super) fn ensure(_cluster: &mut LiveCluster, place: &Place, _config: &LiveConfig) -> Result<OwnPod, EnvironmentError> {
        Ok(OwnPod { namespace: place.own.clone() })
    }
    pub(super) fn http(&self, _shared: &Shared, request: &HttpRequest) -> Result<HttpReply, ConnectError> {
        Err(ConnectError::NameNotFound { host: request.host.clone() })
    }
    pub(super) fn resolve(&self, _shared: &Shared, host: &str) -> Result<Vec<ArcStr>, ConnectError> {
        Err(ConnectError::NameNotFound { host: host.to_owned() })
    }
    pub(super) fn drive(&self, _shared: &Shared, _app: &Arc<App>, _workload: Option<&Workload>) -> Result<(), WorkloadError> {
        Ok(())
    }
    pub(super) fn probe(&self, _shared: &Shared, _app: &Arc<App>, requests: &[ProbeRequest]) -> Vec<ProbeReply> {
        requests.iter().map(|_| ProbeReply { status: 200, latency: std::time::Duration::ZERO, error: String::new() }).collect()
    }
    pub(super) fn disturb(&self, _cluster: &mut LiveCluster, _name: &str, what: &Disturbance) -> Result<(), DisturbError> {
        Err(DisturbError::Unsupported { what: what.to_string(), why: self.namespace.to_string() })
    }
    pub(super) fn relieve(&self, _cluster: &mut LiveCluster, _name: &str) -> Result<(), DisturbError> {
        Ok(())
    }
}
