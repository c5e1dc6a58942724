//! Mitigation: whether users are served again, and nothing else was lost.
//!
//! The condition is what users need, never the field that the fault changed: workloads converge and stay so, and requests
//! to every endpoint meet the objective, both over a window after convergence. A repaired pod may sit out a back-off of five
//! minutes first. An untouched fault fails, a destroyed application fails, any repair that serves users passes.

use super::baseline::{Baseline, is_schedulable, list};
use super::health::Health;
use super::{Check, Grade, stores};
use crate::cluster::{ApiError, Cluster};
use crate::fault::{Access, Account, FaultError, Observation, observe};
use crate::object;
use crate::time::SimTime;
use arcstr::ArcStr;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::time::Duration;

/// What a mitigation is graded by, besides the baseline.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Condition {
    /// Deployments that the fault broke, named first in the checks. Every other workload has to be healthy too.
    pub deployments: Vec<String>,
    /// Users of stores by whom the services read: each can read its data, and nobody can without saying who they are.
    pub stores: Vec<Account>,
    /// The fault itself parted the stores from where their data was: they have to hold the same again, wherever.
    pub stores_moved: bool,
    /// Largest share of requests to an endpoint that may fail in the window.
    pub error_share_max: f64,
    /// Longest wait for workloads to converge.
    pub convergence_max_s: u64,
    /// Longest wait, after that, for the first second in which users are served: callers reconnect after a back-off of their own.
    pub settling_max_s: u64,
    /// Length of the window, which begins then.
    pub window_s: u64,
}

impl Default for Condition {
    fn default() -> Self {
        // Five minutes of back-off and half a minute to start; gRPC clients wait up to two minutes before they connect again.
        Condition {
            deployments: Vec::new(),
            stores: Vec::new(),
            stores_moved: false,
            error_share_max: 0.02,
            convergence_max_s: 330,
            settling_max_s: 150,
            window_s: 30,
        }
    }
}

/// Requests to each endpoint in each second of the window.
const REQUESTS_PER_S: u64 = 2;

/// Grades the cluster at this instant, letting time pass; on a simulated cluster, pass a fork.
pub fn grade_mitigation(
    cluster: &mut dyn Cluster,
    namespace: &str,
    baseline: &Baseline,
    condition: &Condition,
    endpoints: &[ArcStr],
) -> Grade {
    let watched = watch(cluster, namespace, baseline, condition, endpoints);
    let checks = match watched {
        Ok(window) => window.checks(cluster, namespace, baseline, condition),
        Err(error) => Err(error),
    };
    match checks {
        Ok(checks) => {
            let success = checks.iter().all(|check| check.passed);
            Grade::of(checks, object! { "success" => success })
        }
        Err(error) => {
            let check = Check::new("the cluster can be read", false, error.to_string());
            Grade::of(vec![check], object! { "success" => false })
        }
    }
}

/// What was seen while waiting for convergence and in the window after it.
struct Window {
    /// How long it took until the window began; `None` when the workloads did not converge and stay up.
    stood_after: Option<Duration>,
    /// The last reading.
    health: Health,
    /// Why the last window broke off, when one did.
    broke: Option<String>,
    /// Requests in the window, by endpoint; when there was none, those of the last second.
    requests: Vec<(ArcStr, Observation)>,
    /// What the load itself met in the window, where somebody counts.
    load: Option<Observation>,
}

/// Workloads that have converged, since when, and the window.
struct Standing {
    since: SimTime,
    first: Health,
    /// When the window began: at the first second in which every request succeeded, or when the wait for one was over.
    window: Option<SimTime>,
    /// How long the load had been on when the window began.
    load_from: Option<f64>,
}

/// Waits until all workloads have converged and users are served, then probes the endpoints over the window. A workload that falls
/// back begins the wait anew; requests that fail within the window do not, so that luck is not given a second chance.
fn watch(
    cluster: &mut dyn Cluster,
    namespace: &str,
    baseline: &Baseline,
    condition: &Condition,
    endpoints: &[ArcStr],
) -> Result<Window, ApiError> {
    let start = cluster.now();
    let seconds = Duration::from_secs;
    let mut standing: Option<Standing> = None;
    let mut broke = None;
    let mut requests = fresh(endpoints);
    loop {
        let (health, now) = (Health::read(cluster, namespace, baseline)?, cluster.now());
        let round = now.since(start).as_secs();
        let restarted = standing.as_ref().and_then(|s| health.restarted_since(&s.first)).map(|pod| format!("pod {pod} restarted"));
        if let Some(reason) = restarted.or_else(|| health.problems.values().next().cloned())
            && standing.take().is_some()
        {
            broke = Some(reason);
        }
        if standing.is_none() && health.converged() && now.since(start) <= seconds(condition.convergence_max_s) {
            standing = Some(Standing { since: now, first: health.clone(), window: None, load_from: None });
        }
        let Some(stand) = &mut standing else {
            if now.since(start) >= seconds(condition.convergence_max_s) {
                requests = fresh(endpoints);
                probe(cluster, namespace, &mut requests, round);
                return Ok(Window { stood_after: None, health, broke, requests, load: None });
            }
            cluster.wait(now + seconds(1), &[]);
            continue;
        };
        if stand.window.is_none() {
            requests = fresh(endpoints);
        }
        if stand.window.is_some_and(|window| now.since(window) >= seconds(condition.window_s)) {
            let stood_after = stand.window.map(|window| window.since(start));
            let load = stand.load_from.and_then(|from| load_since(cluster, namespace, from));
            return Ok(Window { stood_after, health, broke: None, requests, load });
        }
        probe(cluster, namespace, &mut requests, round);
        let served = requests.iter().all(|(_, seen)| seen.errors == 0);
        if stand.window.is_none() && (served || now.since(stand.since) >= seconds(condition.settling_max_s)) {
            stand.window = Some(now);
            stand.load_from = cluster.load_report(namespace).map(|report| report.seconds);
        }
        cluster.wait(now + seconds(1), &[]);
    }
}

/// What the load met of requests that were due since it had been on for `from` seconds, whole seconds only.
fn load_since(cluster: &mut dyn Cluster, namespace: &str, from: f64) -> Option<Observation> {
    let report = cluster.load_report(namespace)?;
    let (first, end) = (from.ceil() as usize, report.seconds.floor() as usize);
    let mut seen = Observation::default();
    for endpoint in &report.endpoints {
        let within = endpoint.per_second.iter().take(end).skip(first);
        let (requests, errors) = within.fold((0, 0), |(r, e), (requests, errors)| (r + requests, e + errors));
        seen.requests += requests as usize;
        seen.errors += errors as usize;
        if errors > 0 && seen.first_error.is_empty() {
            let kind = endpoint.kinds.first().map_or("", |(text, _)| text.as_str());
            seen.first_error = format!("{}: {kind}", endpoint.name);
        }
    }
    (seen.requests > 0).then_some(seen)
}

fn fresh(endpoints: &[ArcStr]) -> Vec<(ArcStr, Observation)> {
    endpoints.iter().map(|endpoint| (endpoint.clone(), Observation::default())).collect()
}

fn probe(cluster: &mut dyn Cluster, namespace: &str, requests: &mut [(ArcStr, Observation)], round: u64) {
    let endpoints: Vec<&ArcStr> = requests.iter().map(|(endpoint, _)| endpoint).collect();
    let seen = observe(cluster, namespace, &endpoints, round * REQUESTS_PER_S, REQUESTS_PER_S);
    for ((_, total), seen) in requests.iter_mut().zip(seen) {
        total.requests += seen.requests;
        total.errors += seen.errors;
        if total.first_error.is_empty() {
            total.first_error = seen.first_error;
        }
    }
}

impl Window {
    fn checks(
        &self,
        cluster: &mut dyn Cluster,
        namespace: &str,
        baseline: &Baseline,
        condition: &Condition,
    ) -> Result<Vec<Check>, ApiError> {
        let mut checks = vec![self.faulted(condition), self.others(condition)];
        checks.extend(self.requests.iter().map(|(endpoint, seen)| objective(endpoint, seen, condition.error_share_max)));
        checks.extend(self.load.iter().map(|seen| objective("the load", seen, condition.error_share_max)));
        checks.extend(
            condition.stores.iter().flat_map(|account| [opens(cluster, namespace, account), is_closed(cluster, namespace, account)]),
        );
        checks.push(self.replicas());
        let present = |cluster: &mut dyn Cluster, plural: &str, wanted: &BTreeSet<String>, what: &str| -> Result<Check, ApiError> {
            let found: BTreeSet<String> =
                list(cluster, "", plural, Some(namespace))?.iter().map(|object| object.name().to_owned()).collect();
            Ok(all_present(what, wanted, &found))
        };
        checks.push(present(cluster, "services", &baseline.services, "Services")?);
        checks.push(present(cluster, "configmaps", &baseline.config_maps, "ConfigMaps")?);
        checks.push(present(cluster, "secrets", &baseline.secrets, "Secrets")?);
        checks.push(claims(&list(cluster, "", "persistentvolumeclaims", Some(namespace))?, baseline));
        checks.extend(stores::checks(cluster, namespace, &baseline.stores, condition));
        let nodes = list(cluster, "", "nodes", None)?;
        let schedulable = nodes.iter().filter(|node| is_schedulable(node)).map(|node| node.name().to_owned()).collect();
        checks.push(all_present("nodes that take pods", &baseline.schedulable_nodes, &schedulable));
        Ok(checks)
    }

    fn faulted(&self, condition: &Condition) -> Check {
        let name = format!("the faulted workloads converge and stay up for {} s", condition.window_s);
        let broken: Vec<&str> = condition.deployments.iter().filter_map(|d| self.health.problems.get(d)).map(String::as_str).collect();
        match (self.stood_after, broken.is_empty()) {
            (Some(after), _) => Check::new(name, true, format!("{} after {} s", condition.deployments.join(", "), after.as_secs())),
            (None, false) => Check::new(name, false, broken.join("; ")),
            (None, true) => Check::new(name, self.broke.is_none(), self.broke.clone().unwrap_or_else(|| "up at the end".to_owned())),
        }
    }

    fn others(&self, condition: &Condition) -> Check {
        let name = "every other workload is healthy";
        let broken: Vec<&str> =
            self.health.problems.iter().filter(|(name, _)| !condition.deployments.contains(name)).map(|(_, p)| p.as_str()).collect();
        let saw = if broken.is_empty() { "all are".to_owned() } else { broken.join("; ") };
        Check::new(name, broken.is_empty(), saw)
    }

    fn replicas(&self) -> Check {
        let name = "every workload is there with at least as many replicas as before";
        let shrunk = self.health.shrunk.iter().map(|(name, now, before)| format!("{name} has {now} of {before}"));
        let lost: Vec<String> = self.health.missing.iter().map(|name| format!("{name} is gone")).chain(shrunk).collect();
        let saw = if lost.is_empty() { "all are".to_owned() } else { lost.join("; ") };
        Check::new(name, lost.is_empty(), saw)
    }
}

fn objective(endpoint: &str, seen: &Observation, share_max: f64) -> Check {
    let passed = seen.requests > 0 && seen.error_share() <= share_max;
    let first = if seen.first_error.is_empty() { String::new() } else { format!("; first: {}", seen.first_error) };
    Check::new(format!("{endpoint} is served"), passed, format!("{} of {} requests failed{first}", seen.errors, seen.requests))
}

fn all_present(what: &str, wanted: &BTreeSet<String>, found: &BTreeSet<String>) -> Check {
    let lost: Vec<&str> = wanted.difference(found).map(String::as_str).collect();
    let saw = if lost.is_empty() { format!("all {} are", wanted.len()) } else { format!("gone: {}", lost.join(", ")) };
    Check::new(format!("all {what} are there"), lost.is_empty(), saw)
}

/// That a service's user can read what the service needs, whoever gave it the right.
fn opens(cluster: &mut dyn Cluster, namespace: &str, account: &Account) -> Check {
    let found = account.access(cluster, namespace);
    let name = format!("store {} lets user {} read {}", account.deployment, account.user, account.database);
    Check::new(name, matches!(found, Ok(Access::Reads)), told(found))
}

/// That a store whose users log in was not opened to everybody instead.
fn is_closed(cluster: &mut dyn Cluster, namespace: &str, account: &Account) -> Check {
    let found = account.anonymous_access(cluster, namespace);
    let name = format!("store {} asks its clients who they are", account.deployment);
    Check::new(name, matches!(found, Ok(Access::Refused | Access::Unknown)), told(found))
}

fn told(found: Result<Access, FaultError>) -> String {
    match found {
        Ok(Access::Reads) => "the data can be read".to_owned(),
        Ok(Access::Refused) => "reading is refused".to_owned(),
        Ok(Access::Unknown) => "the login is refused".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// That every claim is still bound to the volume with its data.
fn claims(found: &[crate::object::Object], baseline: &Baseline) -> Check {
    let lost: Vec<String> = baseline
        .claims
        .iter()
        .filter_map(|(name, volume)| {
            let claim = found.iter().find(|claim| claim.name() == name);
            match claim.map(|claim| (claim.spec().get("volumeName").text(), claim.status().get("phase").text())) {
                None => Some(format!("{name} is gone")),
                Some((now, "Bound")) if now == volume => None,
                Some((now, phase)) => Some(format!("{name} is {phase}, volume {now:?} instead of {volume:?}")),
            }
        })
        .collect();
    let saw = if lost.is_empty() { format!("all {} are", baseline.claims.len()) } else { lost.join("; ") };
    Check::new("all claims are bound to the volumes with their data", lost.is_empty(), saw)
}
