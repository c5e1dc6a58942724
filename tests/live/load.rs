//! The application under load: what it does on a real cluster, beside what the simulator says and what was measured of the original one.
//!
//! Prints a table. How long requests take depends on the machine and on what else runs there, so nothing is asserted about it but that it
//! makes sense; the shares of errors must agree.

use crate::reach;
use aiopslab::app::{App, Catalog};
use aiopslab::cluster::Cluster;
use aiopslab::cluster::environment::{LiveConfig, OnClose};
use aiopslab::cluster::live::Environment;
use aiopslab::cluster::sim::baseline;
use aiopslab::cluster::sim::cluster::SimCluster;
use aiopslab::cluster::sim::traffic::{self, Regime};
use aiopslab::workload::{Arrivals, Workload};
use std::time::Duration;

const SUFFIX: &str = "load";
const RATES: [f64; 2] = [10.0, 50.0];

/// Seconds of load before those that count, and of those.
const WARM: u64 = 10;
const COUNTED: u64 = 60;

/// The original application on two shared cores: endpoint, requests a second, mean, median and 95th percentile in milliseconds.
const MEASURED: [(&str, f64, [f64; 3]); 4] = [
    ("GET /hotels", 10.0, [5.06, 4.22, 9.63]),
    ("GET /recommendations", 10.0, [2.49, 2.19, 4.88]),
    ("GET /hotels", 50.0, [3.45, 3.34, 5.09]),
    ("GET /recommendations", 50.0, [1.68, 1.64, 2.56]),
];

/// What requests to an endpoint came to.
struct Figures {
    endpoint: String,
    requests: u64,
    errors: u64,
    /// Mean, median and 95th percentile in milliseconds.
    times: [f64; 3],
}

fn workload(app: &App, rate_per_s: f64) -> Workload {
    let mix = app.endpoints.iter().map(|endpoint| (endpoint.name.clone(), endpoint.weight)).collect();
    Workload::steady(rate_per_s, Arrivals::Poisson, mix)
}

fn live(cluster: &mut dyn Cluster, app: &App, namespace: &str, rate: f64) -> Vec<Figures> {
    for seconds in [WARM, COUNTED] {
        cluster.drive(namespace, Some(&workload(app, rate))).expect("driven");
        let until = cluster.now() + Duration::from_secs(seconds);
        cluster.wait(until, &[]);
    }
    let report = cluster.load_report(namespace).expect("a report");
    let milliseconds = |us: u64| us as f64 / 1e3;
    let figures = |endpoint: &aiopslab::workload::generator::EndpointReport| Figures {
        endpoint: endpoint.name.clone(),
        requests: endpoint.requests,
        errors: endpoint.errors,
        times: [milliseconds(endpoint.mean_us), milliseconds(endpoint.latency_us[0]), milliseconds(endpoint.latency_us[2])],
    };
    report.endpoints.iter().map(figures).collect()
}

fn simulated(app: &App, rate: f64) -> Vec<Figures> {
    let catalog = Catalog::embedded();
    let settled = baseline::baseline(&catalog, &catalog.app(&app.name).expect("embedded").clone(), false).expect("deployed");
    let mut cluster = SimCluster::new(baseline::fork(&settled, app, 1).expect("forked"));
    cluster.drive(&app.namespace, Some(&workload(app, rate))).expect("driven");
    let until = cluster.now() + Duration::from_secs(600);
    cluster.wait(until, &[]);
    let (world, now) = (&cluster.world, cluster.world.now);
    let regime: &Regime = world.history.regimes(&app.namespace).last().expect("driven");
    let tally = traffic::tally(world, &app.namespace, now - Duration::from_secs(COUNTED), now);
    let failed: u64 = tally.iter().filter(|each| each.error.is_some()).map(|each| each.count).sum();
    assert_eq!(failed, 0, "nothing fails on the simulator");
    let figures = |endpoint: &aiopslab::app::Endpoint| {
        let flows = regime.plan.flows.iter().filter(|flow| regime.plan.endpoints[flow.entry].name == endpoint.name);
        let mut times: Vec<f64> = Vec::new();
        for flow in flows {
            let arrivals = flow.process.window(now - Duration::from_secs(300), now, false).take(2000);
            times.extend(arrivals.map(|a| regime.request(world.seed, flow, a, false, false).took.as_secs_f64() * 1e3));
        }
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times.get((times.len().saturating_sub(1) as f64 * share) as usize).copied().unwrap_or_default();
        let mean = times.iter().sum::<f64>() / times.len().max(1) as f64;
        Figures { endpoint: endpoint.name.to_string(), requests: times.len() as u64, errors: 0, times: [mean, at(0.5), at(0.95)] }
    };
    app.endpoints.iter().map(figures).collect()
}

fn row(source: &str, rate: f64, figures: &Figures) {
    let [mean, median, p95] = figures.times;
    let share = 100.0 * figures.errors as f64 / figures.requests.max(1) as f64;
    println!("{:<22} {rate:>5} {source:<10} {:>6} {mean:>8.2} {median:>8.2} {p95:>8.2} {share:>8.2}", figures.endpoint, figures.requests);
}

#[test]
fn a_loaded_application_is_compared_with_the_simulator() {
    if reach::cluster("load").is_none() {
        return;
    }
    let config = LiveConfig { suffix: Some(SUFFIX.into()), cpu_scale: 0.05, on_close: OnClose::Delete, ..LiveConfig::default() };
    let app = Catalog::embedded().app("hotel-reservation").expect("embedded").clone();
    let mut environment = Environment::open(&config, &app, false).unwrap_or_else(|error| panic!("opening: {error}"));
    let namespace = environment.place().namespace.clone();
    let outcome = environment.begin().map(|mut cluster| RATES.map(|rate| live(&mut *cluster, &app, &namespace, rate)));
    let closed = environment.close();
    let found = outcome.unwrap_or_else(|error| panic!("beginning: {error}"));
    closed.unwrap_or_else(|error| panic!("closing: {error}"));
    println!(
        "{:<22} {:>5} {:<10} {:>6} {:>8} {:>8} {:>8} {:>8}",
        "endpoint", "rps", "source", "n", "mean ms", "p50 ms", "p95 ms", "errors %"
    );
    for (rate, live) in RATES.into_iter().zip(&found) {
        for (live, simulated) in live.iter().zip(&simulated(&app, rate)) {
            row("cluster", rate, live);
            row("simulator", rate, simulated);
            if let Some((name, _, times)) = MEASURED.iter().find(|(name, at, _)| *name == live.endpoint && (*at - rate).abs() < 0.1) {
                row("original", rate, &Figures { endpoint: (*name).to_owned(), requests: 0, errors: 0, times: *times });
            }
        }
        let (requests, errors) = live.iter().fold((0, 0), |(n, e), figures| (n + figures.requests, e + figures.errors));
        assert!(errors as f64 <= 0.01 * requests as f64, "{errors} of {requests} requests failed at {rate}/s; on the simulator none does");
        let due = rate * COUNTED as f64;
        assert!((0.7..1.4).contains(&(requests as f64 / due)), "{requests} requests ended of {due} that were due");
        for figures in live.iter().filter(|figures| figures.requests > 0) {
            let [mean, median, p95] = figures.times;
            assert!(mean > 0.0 && median > 0.0 && median <= p95, "{}: {mean} {median} {p95}", figures.endpoint);
        }
    }
}
