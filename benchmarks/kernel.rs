//! Speed and memory of the kernel against the budgets of its design.
//!
//! `cargo bench --features bash`. One core, release. Budgets (from a built baseline): fork < 20 µs, reset < 2 ms, advance 10 settled
//! seconds < 2 µs, a step with `kubectl get pods` < 60 µs and `describe pod` < 150 µs, a fresh episode < 300 KiB.

use aiopslab::app::{App, Catalog};
use aiopslab::cluster::Cluster;
use aiopslab::cluster::sim::baseline::{baseline, fork};
use aiopslab::cluster::sim::cluster::SimCluster;
use aiopslab::problem::Registry;
use aiopslab::session::{Options, Session};
use aiopslab::trajectory::Action;
use divan::{AllocProfiler, Bencher};
use std::sync::Arc;
use std::time::Duration;

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const PROBLEM: &str = "misconfig_app_hotel_res-mitigation-1";

fn hotel() -> (Arc<Catalog>, Arc<App>) {
    let catalog = Catalog::embedded();
    let app = catalog.app("hotel-reservation").expect("embedded").clone();
    (catalog, app)
}

fn session(step_seconds: f64) -> Session {
    let registry = Registry::embedded();
    let problem = registry.problem(PROBLEM).expect("embedded");
    let mut session = Session::new(registry, problem, Options { step_seconds, max_steps: 10_000, ..Options::default() });
    session.reset(1).expect("begins");
    session
}

fn settled() -> SimCluster {
    let (catalog, app) = hotel();
    let settled = baseline(&catalog, &app, false).expect("settles");
    SimCluster::new(fork(&settled, &app, 1).expect("forks"))
}

/// Copies a cluster in the middle of an episode; the bytes allocated are what a further copy costs at first.
#[divan::bench]
fn fork_cluster(bencher: Bencher<'_, '_>) {
    let cluster = settled();
    bencher.bench_local(|| cluster.fork().expect("simulated"));
}

/// Copies a whole session: cluster, shell, record.
#[divan::bench]
fn fork_session(bencher: Bencher<'_, '_>) {
    let session = session(10.0);
    bencher.bench_local(|| session.fork().expect("simulated"));
}

/// Gives a fork of the baseline names of its own.
#[divan::bench]
fn fork_renamed(bencher: Bencher<'_, '_>) {
    let (catalog, app) = hotel();
    let settled = baseline(&catalog, &app, false).expect("settles");
    let mut seed = 0;
    bencher.bench_local(|| {
        seed += 1;
        fork(&settled, &app, seed).expect("forks")
    });
}

/// Begins an episode: fork, names, health, fault, symptom, delay.
#[divan::bench]
fn reset(bencher: Bencher<'_, '_>) {
    let mut session = session(10.0);
    let mut seed = 0;
    bencher.bench_local(|| {
        seed += 1;
        session.reset(seed).expect("begins")
    });
}

/// Lets ten seconds of a settled application pass.
#[divan::bench]
fn advance_10_s_settled(bencher: Bencher<'_, '_>) {
    let mut cluster = settled();
    bencher.bench_local(|| {
        let until = cluster.now() + Duration::from_secs(10);
        cluster.wait(until, &[])
    });
}

/// A step without thinking time, by command.
#[divan::bench(args = [
    "kubectl get pods -n test-hotel-reservation",
    "kubectl describe pod -n test-hotel-reservation -l io.kompose.service=geo",
    "kubectl get deployment geo -n test-hotel-reservation -o yaml",
    "kubectl get events -n test-hotel-reservation",
    "kubectl logs deployment/geo -n test-hotel-reservation",
    "kubectl get pods -n test-hotel-reservation | grep -v Running",
])]
fn step(bencher: Bencher<'_, '_>, command: &str) {
    let mut session = session(0.0);
    let action = Action::Text(format!("exec_shell(\"{command}\")"));
    let mut left = 0;
    bencher.bench_local(|| {
        // A session in a loop reaches its step limit; begin anew before it does.
        if left == 0 {
            left = 9_000;
            session.reset(1).expect("begins");
        }
        left -= 1;
        session.step(action.clone()).expect("in progress")
    });
}

/// The oracle's whole episode: reset, repair, grade.
#[divan::bench]
fn episode(bencher: Bencher<'_, '_>) {
    let mut session = session(10.0);
    let mut seed = 0;
    bencher.bench_local(|| {
        seed += 1;
        session.reset(seed).expect("begins");
        for action in session.oracle_actions().expect("begun") {
            session.step(Action::Text(action)).expect("in progress");
        }
    });
}
