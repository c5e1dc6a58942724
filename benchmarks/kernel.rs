//! Speed and memory of the kernel against the budgets of its design.
//!
//! `cargo bench --features bash --bench kernel`: one core, release, from a built baseline; a minute or so. The entries that have a budget:
//!
//! | entry | budget |
//! |---|---|
//! | `fork_session` | 20 µs |
//! | `reset` | 2 ms |
//! | `reset_ready` | 50 µs |
//! | `advance_10_s_settled`, at every rate | 2 µs |
//! | `advance_transient` | 5 µs a virtual second |
//! | `step`: `kubectl get pods`, `kubectl describe pod` | 60 µs, 150 µs |
//! | `log_line`, at every rate | 2 µs a line |
//! | `span`, at every rate | 1 µs a span |
//!
//! What an episode costs in memory is measured by `episode.py`, which prints budgets beside figures. `log_line` and `span` count what they
//! return, so look at their throughput: 0.5 M items/s are 2 µs each. Machines are noisy: compare `fastest`.

use aiopslab::app::{App, Catalog};
use aiopslab::cluster::sim::baseline::{baseline, fork};
use aiopslab::cluster::sim::cluster::SimCluster;
use aiopslab::cluster::{ApiRequest, Cluster, Identity, LogQuery, PatchKind, TelemetryQuery, TelemetryReply, TracesQuery};
use aiopslab::object;
use aiopslab::object::resource;
use aiopslab::problem::Registry;
use aiopslab::session::{Options, Session};
use aiopslab::tool::grammar::Dialect;
use aiopslab::tool::table::ToolContext;
use aiopslab::tool::{metrics, shell_tool};
use aiopslab::trajectory::Action;
use aiopslab::workload::{Arrivals, Bursts, Height, Profile, Workload};
use divan::Bencher;
use divan::counter::ItemsCount;
use std::sync::Arc;
use std::time::Duration;

#[allow(clippy::disallowed_methods, reason = "a benchmark looks at its arguments")]
fn main() {
    match std::env::args().any(|argument| argument == "memory") {
        true => memory(),
        false => divan::main(),
    }
}

/// `cargo bench --features bash --bench kernel -- memory`: what episodes in progress and restarts of containers in them cost, by the growth
/// of the process.
fn memory() {
    let _first: Vec<Session> = (0..50).map(fresh).collect();
    let before = resident_kib();
    let mut sessions: Vec<Session> = (50..350).map(fresh).collect();
    println!("fresh episode: {:.1} KiB (budget 300)", (resident_kib() - before) / sessions.len() as f64);
    // An hour passes before each look; the crashing pod is started again a dozen times in it.
    let mut look = || -> f64 {
        let seen = sessions.iter_mut().map(|session| {
            let text = format!("exec_shell(\"kubectl get pods -n {NAMESPACE} -l io.kompose.service=geo --no-headers\")");
            let step = session.step(Action::Text(text)).expect("in progress");
            step.observation.lines().filter_map(|line| line.split_whitespace().nth(3)?.parse::<f64>().ok()).sum::<f64>()
        });
        seen.sum()
    };
    let (restarts, before) = (look(), resident_kib());
    look();
    let restarts = look() - restarts;
    println!("restart: {:.1} KiB (budget 30; {restarts} restarts)", (resident_kib() - before) / restarts);
}

fn fresh(seed: u64) -> Session {
    let registry = Registry::embedded();
    let problem = registry.problem(PROBLEM).expect("embedded");
    let mut session = Session::new(registry, problem, Options { ready_episodes: 0, step_seconds: 3600.0, ..Options::default() });
    session.reset(seed).expect("begins");
    session
}

fn resident_kib() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|resident| resident.parse::<f64>().ok()).unwrap_or(0.0) * 4.0
}

const PROBLEM: &str = "misconfig_app_hotel_res-mitigation-1";

fn hotel() -> (Arc<Catalog>, Arc<App>) {
    let catalog = Catalog::embedded();
    let app = catalog.app("hotel-reservation").expect("embedded").clone();
    (catalog, app)
}

const NAMESPACE: &str = "test-hotel-reservation";

fn session(step_seconds: f64, ready_episodes: u32) -> Session {
    let registry = Registry::embedded();
    let problem = registry.problem(PROBLEM).expect("embedded");
    let mut session = Session::new(registry, problem, Options { step_seconds, max_steps: 10_000, ready_episodes, ..Options::default() });
    session.reset(1).expect("begins");
    session
}

fn settled() -> SimCluster {
    let (catalog, app) = hotel();
    let settled = baseline(&catalog, &app, false).expect("settles");
    SimCluster::new(fork(&settled, &app, 1).expect("forks"))
}

/// Copies a cluster in the middle of an episode.
#[divan::bench]
fn fork_cluster(bencher: Bencher<'_, '_>) {
    let cluster = settled();
    bencher.bench_local(|| cluster.fork().expect("simulated"));
}

/// Copies a whole session: cluster, shell, record.
#[divan::bench]
fn fork_session(bencher: Bencher<'_, '_>) {
    let session = session(10.0, 0);
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
    let mut session = session(10.0, 0);
    let mut seed = 0;
    bencher.bench_local(|| {
        seed += 1;
        session.reset(seed).expect("begins")
    });
}

/// Begins an episode that was begun before: a copy of what is ready.
#[divan::bench]
fn reset_ready(bencher: Bencher<'_, '_>) {
    let mut session = session(10.0, 8);
    bencher.bench_local(|| session.reset(1).expect("begins"));
}

/// A settled application under this load.
fn loaded(rate_per_s: f64) -> SimCluster {
    let mut cluster = settled();
    let (_, app) = hotel();
    let mix = app.endpoints.iter().map(|endpoint| (endpoint.name.clone(), endpoint.weight)).collect();
    cluster.drive(NAMESPACE, Some(&Workload::steady(rate_per_s, Arrivals::Poisson, mix))).expect("drives");
    cluster.wait(cluster.now() + Duration::from_secs(120), &[]);
    cluster
}

const RATES: [f64; 3] = [10.0, 1_000.0, 1_000_000.0];

/// Lets ten seconds of a settled application pass.
#[divan::bench(args = RATES)]
fn advance_10_s_settled(bencher: Bencher<'_, '_>, rate: f64) {
    let mut cluster = loaded(rate);
    bencher.bench_local(|| {
        let until = cluster.now() + Duration::from_secs(10);
        cluster.wait(until, &[])
    });
}

/// Sixty seconds of an overload, from its first on: queues grow and users give up. Items are virtual seconds.
#[divan::bench(sample_count = 20)]
fn advance_transient(bencher: Bencher<'_, '_>) {
    let mut cluster = loaded(100.0);
    let (_, app) = hotel();
    let mix = app.endpoints.iter().map(|endpoint| (endpoint.name.clone(), endpoint.weight)).collect();
    cluster.drive(NAMESPACE, Some(&Workload::steady(3_000.0, Arrivals::Poisson, mix))).expect("drives");
    bencher.counter(ItemsCount::new(60_u32)).with_inputs(|| cluster.clone()).bench_local_refs(|cluster| {
        let until = cluster.now() + Duration::from_secs(60);
        cluster.wait(until, &[])
    });
}

/// The latest log lines of a service that complains of another: a line for most requests.
#[divan::bench(args = RATES, sample_count = 20)]
fn log_line(bencher: Bencher<'_, '_>, rate: f64) {
    let mut cluster = loaded(rate);
    let deployments = resource::builtin_named("apps", "deployments").expect("served");
    let none = object! { "spec" => object! { "replicas" => 0 } };
    let scale = ApiRequest::patch(deployments, Some(NAMESPACE), "profile", PatchKind::Merge, none);
    cluster.api(&Identity::operator(), &scale).expect("scales");
    cluster.wait(cluster.now() + Duration::from_secs(120), &[]);
    let pods = ApiRequest::list(resource::builtin_named("", "pods").expect("served"), Some(NAMESPACE));
    let pods = cluster.api(&Identity::operator(), &pods).expect("lists").into_items();
    let query = |pod: &str| LogQuery {
        namespace: NAMESPACE.into(),
        pod: pod.into(),
        container: None,
        previous: false,
        since: None,
        tail: Some(10_000),
        limit_bytes: None,
        timestamps: false,
    };
    let read =
        |cluster: &mut SimCluster, query: &LogQuery| match cluster.telemetry(&Identity::agent(), &TelemetryQuery::Logs(query.clone())) {
            Ok(TelemetryReply::Logs(text)) => text.lines().count(),
            _ => 0,
        };
    let counts = pods.iter().map(|pod| (read(&mut cluster, &query(pod.name())), query(pod.name())));
    let (count, query) = counts.collect::<Vec<_>>().into_iter().max_by_key(|(count, _)| *count).expect("pods");
    bencher.counter(ItemsCount::new(count)).bench_local(|| read(&mut cluster, &query));
}

/// The latest traces.
#[divan::bench(args = RATES, sample_count = 20)]
fn span(bencher: Bencher<'_, '_>, rate: f64) {
    let mut cluster = loaded(rate);
    let (since, until) = (cluster.now() - Duration::from_secs(100), cluster.now());
    let query = TracesQuery { namespace: NAMESPACE.into(), since, until, service: Some("frontend".into()), limit: 500 };
    let read = |cluster: &mut SimCluster| match cluster.telemetry(&Identity::agent(), &TelemetryQuery::Traces(query.clone())) {
        Ok(TelemetryReply::Traces(traces)) => traces.iter().map(|trace| trace.spans.len()).sum(),
        _ => 0_usize,
    };
    let count = read(&mut cluster);
    bencher.counter(ItemsCount::new(count)).bench_local(|| read(&mut cluster));
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
    let mut session = session(0.0, 8);
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
    let mut session = session(10.0, 0);
    let mut seed = 0;
    bencher.bench_local(|| {
        seed += 1;
        session.reset(seed).expect("begins");
        for action in session.oracle_actions().expect("begun") {
            session.step(Action::Text(action)).expect("in progress");
        }
    });
}

/// Ten minutes of a load with a burst every minute that everybody can serve. Items are virtual seconds.
#[divan::bench(sample_count = 20)]
fn advance_bursts(bencher: Bencher<'_, '_>) {
    let mut cluster = settled();
    let (_, app) = hotel();
    let time = Duration::from_secs;
    let bursts = Some(Bursts { first: time(60), every: time(60), lasts: time(5), height: Height::Factor(3.0) });
    let profile = Profile { bursts, ..Profile::steady(10.0, Arrivals::Poisson) };
    cluster.drive(NAMESPACE, Some(&app.under(profile))).expect("drives");
    bencher.counter(ItemsCount::new(600_u32)).with_inputs(|| cluster.clone()).bench_local_refs(|cluster| {
        let until = cluster.now() + time(600);
        cluster.wait(until, &[])
    });
}

/// `kubectl top pods`, by requests per second.
#[divan::bench(args = [10.0, 1_000_000.0])]
fn resource_metrics(bencher: Bencher<'_, '_>, rate: f64) {
    let mut cluster = loaded(rate);
    let pods = cluster.resources().expect("served").iter().find(|r| r.kind == "PodMetrics").expect("served").clone();
    let request = ApiRequest::list(&pods, Some(NAMESPACE));
    bencher.bench_local(|| cluster.api(&Identity::agent(), &request).expect("allowed"));
}

/// `get_metrics` for five minutes, files and all, by requests per second.
#[divan::bench(args = [10.0, 1_000_000.0])]
fn get_metrics(bencher: Bencher<'_, '_>, rate: f64) {
    let mut cluster = loaded(rate);
    cluster.wait(cluster.now() + Duration::from_secs(300), &[]);
    let shell = shell_tool::workstation(cluster.now(), 1);
    bencher.with_inputs(|| shell.clone()).bench_local_refs(|shell| {
        let who = Identity::agent();
        let mut context = ToolContext { cluster: &mut cluster, who: &who, shell, dialect: Dialect::Forgiving };
        metrics::get_metrics(&mut context, &[NAMESPACE.into(), 5.into()])
    });
}

/// Derives five minutes of all metrics, by requests per second.
#[divan::bench(args = [10.0, 1_000_000.0])]
fn metrics_5_min(bencher: Bencher<'_, '_>, rate: f64) {
    use aiopslab::cluster::MetricsQuery;
    use aiopslab::cluster::sim::metrics::{SCRAPE, derive};
    let (_, app) = hotel();
    let mut cluster = loaded(rate);
    cluster.wait(cluster.now() + Duration::from_secs(300), &[]);
    let until = cluster.now();
    let since = until - Duration::from_secs(300);
    let query = MetricsQuery { namespace: app.namespace.as_str().into(), names: Vec::new(), since, until, step: SCRAPE, limit: 1_000 };
    bencher.bench_local(|| derive(&cluster.world, &query));
}
