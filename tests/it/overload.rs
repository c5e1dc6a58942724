//! A process of the hotel application that has too little CPU, behind callers with time-outs: what users, traces, logs and metrics tell of it
//! is the same, and what its callers ask of others is what gets past it.

use crate::hotel_fixture::{Hotel, NS};
use aiopslab::app::{Catalog, FILES, read_catalog};
use aiopslab::cluster::sim::metrics::{SCRAPE, derive};
use aiopslab::cluster::sim::traffic::{self, Regime};
use aiopslab::cluster::{Cluster, Identity, LogQuery, MetricsQuery, TelemetryQuery, TelemetryReply, TracesQuery};
use aiopslab::telemetry::Trace;
use aiopslab::time::SimTime;
use aiopslab::workload::Arrivals;
use std::sync::Arc;
use std::time::Duration;

/// The embedded catalogue with parts of the hotel application's text replaced.
pub fn catalog(edits: &[(&str, &str)]) -> Arc<Catalog> {
    let edited = |(path, text): &(&str, &'static str)| {
        let mut text = (*text).to_owned();
        if path.ends_with("hotel-reservation/app.toml") {
            for (old, new) in edits {
                assert!(text.contains(old), "no {old}");
                text = text.replace(old, new);
            }
        }
        text
    };
    let texts: Vec<String> = FILES.iter().map(edited).collect();
    let files: Vec<(&str, &str)> = FILES.iter().zip(&texts).map(|((path, _), text)| (*path, text.as_str())).collect();
    Arc::new(read_catalog(&files).unwrap_or_else(|error| panic!("{error}")))
}

const GEO_CPU: &str = "cpu = { idle_m = 0.21, request_ms = 0.15, wake_ms = 0.62 }";
const GEO_CALL: &str = r#"{ call = "srv-geo", in = "consul", op = "/geo.Geo/Nearby" }"#;
const SAMPLED: (&str, &str) = ("default = \"0.01\"", "default = \"1\"");

/// The application when geo can serve 200 requests a second and its callers wait half a second, with so many retries. Everything is traced.
fn slow_geo(retries: u32, cancels: bool, rate: f64) -> Hotel {
    let call = format!(
        r#"{{ call = "srv-geo", in = "consul", op = "/geo.Geo/Nearby", timeout_s = 0.5, retries = {retries}, failed = {{ log = "ERR geo is gone: {{error}}" }} }}"#
    );
    let geo = if cancels { "[program.geo]\ncancels = true" } else { "[program.geo]" };
    let edits = [(GEO_CPU, "cpu = { request_ms = 5.0 }"), (GEO_CALL, call.as_str()), ("[program.geo]\ncancels = true", geo), SAMPLED];
    let mut hotel = Hotel::deployed_with(catalog(&edits), 1);
    hotel.drive(rate, Arrivals::Poisson);
    hotel
}

fn regime(hotel: &Hotel) -> &Regime {
    hotel.world().history.regimes(NS).last().expect("driven")
}

/// How many requests of a kind an instant or a window shows.
#[derive(Debug, Default, Clone, Copy)]
struct Told {
    hotels: f64,
    failed: f64,
    late: f64,
    asked: f64,
}

fn told_by_users(hotel: &Hotel, from: SimTime, until: SimTime) -> Told {
    let tally = traffic::tally(hotel.world(), NS, from, until);
    let of = |failed: bool| -> u64 {
        let hotels = tally.iter().filter(|t| t.endpoint == "GET /hotels" && (!failed || t.error.is_some()));
        hotels.map(|t| t.count).sum()
    };
    Told { hotels: of(false) as f64, failed: of(true) as f64, ..Told::default() }
}

fn traces(hotel: &mut Hotel, since: SimTime, until: SimTime) -> Vec<Trace> {
    let query = TracesQuery { namespace: NS.into(), since, until, service: None, limit: 1_000_000 };
    match hotel.cluster.telemetry(&Identity::operator(), &TelemetryQuery::Traces(query)) {
        Ok(TelemetryReply::Traces(traces)) => traces,
        other => panic!("no traces: {:?}", other.is_ok()),
    }
}

fn told_by_traces(traces: &[Trace]) -> Told {
    let mut told = Told::default();
    for span in traces.iter().flat_map(|trace| &trace.spans) {
        let is_server = span.tags.iter().any(|(k, v)| k == "span.kind" && v.text() == "server");
        let failed = span.error.is_some() || span.tags.iter().any(|(k, v)| k == "http.status_code" && v.text() == "500");
        match (span.process.service.as_str(), span.operation.as_str(), is_server) {
            ("frontend", "HTTP GET /hotels", _) => {
                told.hotels += 1.0;
                told.failed += f64::from(u8::from(failed));
            }
            ("search", "/geo.Geo/Nearby", false) => told.late += f64::from(u8::from(failed)),
            ("geo", "/geo.Geo/Nearby", true) => told.asked += 1.0,
            _ => {}
        }
    }
    told
}

/// What a counter rose by between the first and the last scrape of a window, over its seconds.
fn rise(hotel: &Hotel, seconds: u64, fits: impl Fn(&aiopslab::telemetry::Series) -> bool) -> f64 {
    let until = hotel.world().now;
    let names = vec!["requests_total".into()];
    let query =
        MetricsQuery { namespace: NS.into(), names, since: until - Duration::from_secs(seconds), until, step: SCRAPE, limit: usize::MAX };
    let all = derive(hotel.world(), &query);
    let rises = all.iter().filter(|series| fits(series)).filter_map(|series| {
        let (first, last) = (series.samples.first()?, series.samples.last()?);
        Some((last.1 - first.1) / last.0.since(first.0).as_secs_f64())
    });
    rises.sum()
}

fn near(what: &str, found: f64, expect: f64, share: f64) {
    assert!((found - expect).abs() <= share * expect + 3.0 * expect.abs().sqrt().max(1.0), "{what}: {found} instead of {expect}");
}

#[test]
fn users_traces_logs_and_metrics_tell_the_same_of_an_overload() {
    for (retries, cancels) in [(0, false), (0, true), (2, false), (2, true)] {
        let mut hotel = slow_geo(retries, cancels, 400.0);
        hotel.run(120.0);
        let what = format!("{retries} retries, cancels {cancels}");
        let now = hotel.world().now;
        let (from, until) = (now - Duration::from_secs(14), now - Duration::from_secs(4));
        let users = told_by_users(&hotel, from, until);
        let found = traces(&mut hotel, from, until);
        let traced = told_by_traces(&found);
        println!("{what}: {users:?} {traced:?}");
        assert_eq!((traced.hotels, traced.failed), (users.hotels, users.failed), "{what}");
        // All failures are late calls.
        assert!(users.failed > 0.05 * users.hotels, "{what}: {users:?}");
        assert_eq!(traced.late, traced.failed, "{what}");
        let log = hotel.logs("search", LogQuery { since: Some(from), ..LogQuery::default() });
        let lines = log.lines().filter(|line| line.contains("ERR geo is gone: rpc error: code = DeadlineExceeded")).count() as f64;
        near(&format!("{what}: lines"), lines, users.failed / 10.0 * 14.0, 0.15);
        let failing = rise(&hotel, 60, |s| s.label("service") == "search" && s.label("status") == "DeadlineExceeded");
        near(&format!("{what}: counted errors"), failing * 10.0, users.failed, 0.1);
        let asked = rise(&hotel, 60, |s| s.label("service") == "geo");
        near(&format!("{what}: counted requests"), asked * 10.0, traced.asked, 0.1);
        let rate = rise(&hotel, 60, |s| s.label("service") == "rate");
        let passing = 240.0 * (1.0 - users.failed / users.hotels);
        near(&format!("{what}: requests to rate"), rate * 10.0, passing * 10.0, 0.1);
    }
}

#[test]
fn spans_of_late_calls_end_with_their_callers_patience() {
    let mut hotel = slow_geo(0, false, 400.0);
    hotel.run(120.0);
    let now = hotel.world().now;
    let found = traces(&mut hotel, now - Duration::from_secs(3), now - Duration::from_secs(2));
    let calls = found.iter().flat_map(|trace| &trace.spans).filter(|s| s.process.service == "search" && s.operation == "/geo.Geo/Nearby");
    let (mut late, mut in_time) = (0, 0);
    for span in calls {
        if span.error.is_some() {
            late += 1;
            assert_eq!(span.took, Duration::from_millis(500));
        } else {
            in_time += 1;
            assert!(span.took < Duration::from_millis(500), "{span:?}");
        }
    }
    assert!(late > 20, "{late} late, {in_time} in time");
    let served = found.iter().flat_map(|trace| &trace.spans).filter(|s| s.process.service == "geo");
    assert!(served.clone().any(|s| s.took > Duration::from_millis(450)), "{}", served.count());
}

#[test]
fn metrics_beyond_a_saturated_process_count_what_passes() {
    // The frontend can serve some 2,000 requests a second.
    let mut hotel = Hotel::deployed(1);
    hotel.drive(3000.0, Arrivals::Poisson);
    hotel.run(240.0);
    let load = &regime(&hotel).plan.load;
    let (users, rate) = (rise(&hotel, 60, |s| s.label("service") == "frontend"), rise(&hotel, 60, |s| s.label("service") == "search"));
    let served = rise(&hotel, 60, |s| s.label("service") == "frontend" && s.label("status") == "200");
    near("requests", users, 3000.0, 0.02);
    assert!((0.3..0.8).contains(&(served / users)), "{served} of {users}");
    near("calls of search", rate, served * 0.6, 0.03);
    let search = load.operations.iter().zip(&regime(&hotel).plan.network.net.operations);
    let runs = &regime(&hotel).plan.network.runs;
    let search = search.filter(|(_, o)| hotel.run_of("search") == runs.get(o.station).copied()).map(|(load, _)| load.rate).sum::<f64>();
    near("as solved", search, rate, 0.05);
}

const GEO_WORK: &str = "steps = [{ compute_ms = 0.08, cv = 0.7 }]";

/// Times of the spans of search's calls of geo, in seconds, with waits for connections, and those of geo's own.
fn times_at_geo(hotel: &mut Hotel) -> (f64, f64) {
    let now = hotel.world().now;
    let found = traces(hotel, now - Duration::from_secs(40), now - Duration::from_secs(5));
    let mean = |service: &str| {
        let spans =
            found.iter().flat_map(|trace| &trace.spans).filter(|s| s.process.service == service && s.operation == "/geo.Geo/Nearby");
        let times: Vec<f64> = spans.map(|s| s.took.as_secs_f64()).collect();
        times.iter().sum::<f64>() / times.len().max(1) as f64
    };
    (mean("search"), mean("geo"))
}

#[test]
fn few_connections_or_workers_make_requests_wait() {
    // 180 calls a second that take about 10 ms.
    let work = "steps = [{ compute_ms = 10.0, cv = 1.0 }]";
    let call = |pool: &str| GEO_CALL.replace(" }", pool);
    let check = |geo: &str, pool: &str, at_search: std::ops::Range<f64>, at_geo: std::ops::Range<f64>| {
        let geo = format!("[program.geo]\n{geo}");
        let edits = [("[program.geo]", geo.as_str()), (GEO_WORK, work), (GEO_CALL, &call(pool)), SAMPLED];
        let mut hotel = Hotel::deployed_with(catalog(&edits), 1);
        hotel.drive(300.0, Arrivals::Poisson);
        hotel.run(60.0);
        let (search, own) = times_at_geo(&mut hotel);
        println!("{geo} {pool}: {search} {own} {:?}", regime(&hotel).plan.load.pools);
        assert!(at_search.contains(&(search * 1e3)) && at_geo.contains(&(own * 1e3)), "{geo} {pool}: {search} {own}");
        assert!(told_by_users(&hotel, hotel.world().now - Duration::from_secs(20), hotel.world().now).failed < 1.0);
    };
    // The pace of machines that are awake is 0.57 of the data's; waits are those of M/M/c.
    check("", " }", 5.5..11.5, 5.0..10.5);
    check("", ", pool = 2 }", 6.5..20.0, 5.0..10.5);
    check("pool = 2", " }", 6.5..20.0, 6.5..20.0);
}

#[test]
fn caches_stay_warm_through_a_transient() {
    // The frontend's queue grows through many regimes; caches are full after a second and stay so.
    let mut hotel = Hotel::deployed_with(catalog(&[SAMPLED]), 1);
    hotel.drive(3000.0, Arrivals::Poisson);
    hotel.run(20.0);
    let began = regime(&hotel).from;
    assert!(hotel.world().history.regimes(NS).count() > 5);
    let mut misses = |from: u64, seconds: f64| {
        let first = hotel.world().history.regimes(NS).next().expect("driven").from + Duration::from_secs(from);
        let found = traces(&mut hotel, first, first + Duration::from_secs_f64(seconds));
        found.iter().flat_map(|trace| &trace.spans).filter(|s| s.operation.starts_with("mongo_")).count()
    };
    assert!(misses(0, 0.05) > 0, "cold at first");
    assert_eq!(misses(3, 2.0), 0, "warm, in the regime of {began:?} as in those before");
}
