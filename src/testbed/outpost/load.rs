//! An open-loop load: requests are sent when they are due, whether or not earlier ones were answered, and their latency counts from
//! then. A stall of the application shows in every request that fell into it, not only in the one that met it.

use super::client::{fetch, probed};
use crate::cluster::outpost::{Fetch, LoadPlan};
use crate::rng::Key;
use crate::testbed::Names;
use crate::time::SimTime;
use crate::workload::generator::{Ledger, LoadReport, Schedule};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Requests that are under way at most; those beyond it are not sent, and count as errors.
const UNDER_WAY: usize = 2048;

/// A load under way; it ends when this is dropped.
pub(super) struct Load {
    task: JoinHandle<()>,
    ledger: Arc<Mutex<Ledger>>,
    began: Instant,
}

impl Drop for Load {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Load {
    /// Starts it.
    pub(super) fn start(plan: LoadPlan, names: Names) -> Load {
        let ledger = Arc::new(Mutex::new(Ledger::new(plan.endpoints.iter().map(|endpoint| endpoint.name.clone()).collect())));
        let began = Instant::now();
        let task = tokio::spawn(drive(Arc::new(plan), names, ledger.clone(), began));
        Load { task, ledger, began }
    }

    /// What it did so far.
    pub(super) fn report(&self) -> LoadReport {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).report(self.began.elapsed())
    }
}

async fn drive(plan: Arc<LoadPlan>, names: Names, ledger: Arc<Mutex<Ledger>>, began: Instant) {
    let weights: Vec<f64> = plan.endpoints.iter().map(|endpoint| endpoint.weight).collect();
    let schedule = Schedule::new(Key::new(plan.seed), &plan.profile, &weights);
    let under_way = Arc::new(Semaphore::new(UNDER_WAY));
    let epoch = SimTime::ZERO;
    for due in schedule {
        let at = began + due.at.since(epoch);
        tokio::time::sleep_until(at).await;
        let Ok(permit) = under_way.clone().try_acquire_owned() else {
            ledger.lock().unwrap_or_else(PoisonError::into_inner).not_sent(due.endpoint, due.at.since(epoch));
            continue;
        };
        let (plan, names, ledger) = (plan.clone(), names.clone(), ledger.clone());
        tokio::spawn(async move {
            let _permit = permit;
            request(&plan, &names, (due.endpoint, due.index), (at, due.at.since(epoch)), &ledger).await;
        });
    }
    // A rate of nothing: the load is there and sends nothing.
    std::future::pending::<()>().await;
}

async fn request(plan: &LoadPlan, names: &Names, (endpoint, index): (usize, u64), (at, due): (Instant, Duration), ledger: &Mutex<Ledger>) {
    let Some(target) = plan.endpoints.get(endpoint).and_then(|e| e.targets.get(index as usize % e.targets.len().max(1))) else { return };
    let asked = Fetch {
        method: target.method.clone(),
        host: plan.host.clone(),
        port: plan.port,
        path: target.path.clone(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout_us: plan.timeout_us,
    };
    let met = probed(fetch(names, &asked).await, &plan.host, plan.port);
    let latency = at.elapsed();
    ledger.lock().unwrap_or_else(PoisonError::into_inner).done(endpoint, due, latency, (met.status, &met.error));
}
