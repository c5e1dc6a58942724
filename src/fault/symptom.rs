//! Symptoms: what users notice of a fault, by synthetic requests.

use crate::cluster::{Cluster, ProbeRequest};
use arcstr::ArcStr;

/// What users notice: failing requests to endpoints.
#[derive(Debug, Clone, PartialEq)]
pub struct Symptom {
    /// Endpoints that fail.
    pub endpoints: Vec<ArcStr>,
    /// At least this share of their requests.
    pub error_share: f64,
}

/// What synthetic requests met.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observation {
    /// Requests made.
    pub requests: usize,
    /// Requests that failed: no answer, or a status of 400 and above.
    pub errors: usize,
    /// The first error's text.
    pub first_error: String,
}

impl Observation {
    /// Share of requests that failed; 0 when none was made.
    pub fn error_share(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.errors as f64 / self.requests as f64 }
    }
}

/// Synthetic requests to each of some endpoints at this instant, all asked at once; what each met.
pub fn observe(cluster: &mut dyn Cluster, namespace: &str, endpoints: &[&ArcStr], first_index: u64, requests: u64) -> Vec<Observation> {
    let namespace = ArcStr::from(namespace);
    let probe = |(endpoint, index): (&ArcStr, u64)| ProbeRequest { namespace: namespace.clone(), endpoint: endpoint.clone(), index };
    let each = |endpoint| (first_index..first_index + requests).map(move |index| (endpoint, index));
    let probes: Vec<ProbeRequest> = endpoints.iter().copied().flat_map(each).map(probe).collect();
    let mut seen = vec![Observation::default(); endpoints.len()];
    for (probe, reply) in probes.iter().zip(cluster.probe(&probes)) {
        let Some(seen) = endpoints.iter().position(|e| **e == probe.endpoint).and_then(|at| seen.get_mut(at)) else { continue };
        seen.requests += 1;
        if reply.status == 0 || reply.status >= 400 {
            seen.errors += 1;
            if seen.first_error.is_empty() {
                seen.first_error = if reply.status == 0 { reply.error } else { format!("{} {}", reply.status, reply.error) };
            }
        }
    }
    seen
}

impl Symptom {
    /// Whether users notice it at this instant.
    pub fn shows(&self, cluster: &mut dyn Cluster, namespace: &str) -> bool {
        let endpoints: Vec<&ArcStr> = self.endpoints.iter().collect();
        let seen = observe(cluster, namespace, &endpoints, 0, 20);
        seen.iter().all(|seen| seen.requests > 0 && seen.error_share() >= self.error_share)
    }
}
