//! Metrics of the hotel application: they agree with traces, with counts of the load and with a real cluster's figures.

use crate::hotel_fixture::{Hotel, NS};
use aiopslab::cluster::sim::metrics::{SCRAPE, derive};
use aiopslab::cluster::sim::store::Kind;
use aiopslab::cluster::sim::traffic::tally;
use aiopslab::cluster::{Cluster, Identity, MetricsQuery, TelemetryQuery, TelemetryReply, TracesQuery};
use aiopslab::telemetry::Series;
use aiopslab::time::SimTime;
use aiopslab::workload::Arrivals;
use std::collections::BTreeMap;
use std::time::Duration;

fn query(hotel: &Hotel, seconds: u64, names: &[&str]) -> MetricsQuery {
    let until = hotel.world().now;
    MetricsQuery {
        namespace: NS.into(),
        names: names.iter().map(|name| (*name).into()).collect(),
        since: until - Duration::from_secs(seconds),
        until,
        step: SCRAPE,
        limit: usize::MAX,
    }
}

fn loaded(seed: u64, rate: f64, arrivals: Arrivals, seconds: f64) -> Hotel {
    let mut hotel = Hotel::deployed(seed);
    hotel.drive(rate, arrivals);
    hotel.run(seconds);
    hotel
}

/// Millicores of every pod's cgroup over the last seconds, by service.
fn millicores(hotel: &Hotel, seconds: u64) -> BTreeMap<String, f64> {
    let all = derive(hotel.world(), &query(hotel, seconds, &["container_cpu_usage_seconds_total"]));
    let mut found = BTreeMap::new();
    for series in all.iter().filter(|series| series.label("container").is_empty()) {
        let (Some(first), Some(last)) = (series.samples.first(), series.samples.last()) else { continue };
        let pod = series.label("pod");
        let service = pod.rsplitn(3, '-').last().unwrap_or(pod).to_owned();
        *found.entry(service).or_insert(0.0) += (last.1 - first.1) / last.0.since(first.0).as_secs_f64() * 1e3;
    }
    found
}

#[test]
fn cpu_is_that_of_a_real_cluster() {
    // Millicores of a real cluster when idle, at 10 and at 50 requests per second.
    let expected = [
        ("frontend", 0.15, 11.5, 39.7),
        ("search", 0.15, 8.1, 26.5),
        ("profile", 0.22, 6.7, 24.7),
        ("reservation", 0.26, 4.4, 16.7),
        ("geo", 0.21, 4.7, 14.0),
        ("rate", 0.25, 4.0, 13.1),
        ("recommendation", 0.24, 3.0, 10.1),
        ("user", 0.23, 0.3, 0.7),
        ("memcached-profile", 0.10, 1.1, 3.2),
        ("memcached-rate", 0.11, 1.0, 3.4),
        ("memcached-reserve", 0.11, 0.5, 1.6),
        ("consul", 7.3, 8.3, 7.2),
    ];
    let mut hotel = Hotel::deployed(3);
    hotel.run(300.0);
    let idle = millicores(&hotel, 240);
    let at = |rate: f64| {
        let mut hotel = hotel.clone();
        hotel.drive(rate, Arrivals::Constant);
        hotel.run(900.0);
        millicores(&hotel, 840)
    };
    let (ten, fifty) = (at(10.0), at(50.0));
    let mut wrong = Vec::new();
    for (service, none, low, high) in expected {
        for (found, real) in [(&idle, none), (&ten, low), (&fifty, high)] {
            let found = found.get(service).copied().unwrap_or(0.0);
            // The real figures are rounded to a tenth or a hundredth.
            if (found - real).abs() > real * 0.1 + 0.02 {
                wrong.push(format!("{service}: {found:.2} instead of {real}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_outage_shows_where_it_does_on_a_real_cluster() {
    let mut hotel = loaded(4, 10.0, Arrivals::Constant, 300.0);
    let healthy = millicores(&hotel, 240);
    hotel.update(Kind::DEPLOYMENT, "geo", |o| o.set_at(&["spec", "replicas"], 0));
    hotel.run(330.0);
    let faulty = millicores(&hotel, 285);
    let check = |service: &str, share: std::ops::Range<f64>| {
        let found = faulty.get(service).copied().unwrap_or(0.0) / healthy[service];
        assert!(share.contains(&found), "{service}: {found:.2}");
    };
    check("frontend", 0.78..0.95);
    check("search", 0.33..0.52);
    check("profile", 0.40..0.62);
    check("rate", 0.0..0.31);
    check("reservation", 0.0..0.33);
    check("memcached-rate", 0.0..0.21);
    check("recommendation", 0.95..1.05);
    check("consul", 0.95..1.05);
    check("geo", 0.0..0.01);
}

/// How many requests of an endpoint succeeded or failed.
fn total(hotel: &Hotel, from: SimTime, until: SimTime, endpoint: &str, failed: bool) -> u64 {
    let counts = tally(hotel.world(), NS, from, until);
    counts.iter().filter(|t| t.endpoint == endpoint && t.error.is_some() == failed).map(|t| t.count).sum()
}

#[test]
fn counts_agree_with_the_load_and_with_traces() {
    for arrivals in [Arrivals::Poisson, Arrivals::Constant] {
        let mut hotel = Hotel::deployed(5);
        // Every request is traced.
        let services = ["frontend", "search", "geo", "rate", "profile", "recommendation", "user", "reservation"];
        for service in services {
            hotel.update(Kind::DEPLOYMENT, service, |o| {
                let env = aiopslab::array![aiopslab::object! { "name" => "JAEGER_SAMPLE_RATIO", "value" => "1" }];
                o.get_mut("spec").get_mut("template").get_mut("spec").get_mut("containers").items_mut()[0].set("env", env);
            });
        }
        hotel.run(60.0);
        let began = hotel.world().now;
        hotel.drive(10.0, arrivals);
        hotel.run(100.0);
        hotel.update(Kind::DEPLOYMENT, "geo", |o| o.set_at(&["spec", "replicas"], 0));
        hotel.run(100.0);
        // After the load the counters stand still, so every scrape sees all of it.
        hotel.cluster.drive(NS, None).expect("stopped");
        hotel.run(60.0);
        let now = hotel.world().now;
        let series = derive(hotel.world(), &query(&hotel, 15, &["requests_total", "request_duration_seconds_count"]));
        let mut counted: BTreeMap<(String, String, String), f64> = BTreeMap::new();
        for s in series.iter().filter(|s| s.name == "requests_total") {
            let key = (s.label("service").to_owned(), s.label("operation").to_owned(), s.label("status").to_owned());
            *counted.entry(key).or_default() += s.samples.last().expect("a sample").1;
        }
        for (endpoint, operation) in [("GET /hotels", "GET /hotels"), ("GET /recommendations", "GET /recommendations")] {
            for (status, failed) in [("200", false), ("500", true)] {
                let key = ("frontend".to_owned(), operation.to_owned(), status.to_owned());
                let found = counted.get(&key).copied().unwrap_or(0.0);
                assert_eq!(found, total(&hotel, began, now, endpoint, failed) as f64, "{endpoint} {status} {counted:?}");
            }
        }
        let traces = TracesQuery { namespace: NS.into(), since: began, until: now, service: None, limit: 100_000 };
        let Ok(TelemetryReply::Traces(traces)) = hotel.cluster.telemetry(&Identity::operator(), &TelemetryQuery::Traces(traces)) else {
            panic!("no traces");
        };
        let mut spans: BTreeMap<(String, String), f64> = BTreeMap::new();
        for span in traces.iter().flat_map(|t| &t.spans) {
            let is_server = span.tags.iter().any(|(k, v)| k == "span.kind" && v.text() == "server");
            if is_server {
                let name = span.operation.strip_prefix("HTTP ").unwrap_or(&span.operation).to_owned();
                *spans.entry((span.process.service.to_string(), name)).or_default() += 1.0;
            }
        }
        let mut operations: BTreeMap<(String, String), f64> = BTreeMap::new();
        for ((service, operation, _), count) in counted {
            // Pods that are gone are not in the last scrape.
            *operations.entry((service, operation)).or_default() += count;
        }
        spans.remove(&("geo".to_owned(), "/geo.Geo/Nearby".to_owned()));
        assert_eq!(operations, spans);
    }
}

#[test]
fn series_end_with_their_pods_and_counters_begin_anew() {
    let mut hotel = loaded(6, 10.0, Arrivals::Constant, 120.0);
    let old = hotel.pod("geo").expect("a pod").name().to_owned();
    hotel.delete(Kind::POD, &old);
    hotel.run(120.0);
    let new = hotel.pod("geo").expect("a pod").name().to_owned();
    let series = derive(hotel.world(), &query(&hotel, 225, &["requests_total", "container_cpu_usage_seconds_total"]));
    let of = |pod: &str, name: &str| {
        let found = series
            .iter()
            .find(|s| s.label("pod") == pod && s.name == name && s.label("id").ends_with("slice") != (name == "requests_total"));
        found.map(|s| s.samples.clone()).unwrap_or_default()
    };
    let now = hotel.world().now;
    for name in ["requests_total", "container_cpu_usage_seconds_total"] {
        let (before, after) = (of(&old, name), of(&new, name));
        let end = before.last().expect("samples").0;
        assert!(now.since(end) > Duration::from_secs(85), "{name} of the pod that is gone");
        assert!(after.first().expect("samples").0 >= end, "{name}");
        assert!(after.first().expect("samples").1 < before.last().expect("samples").1, "{name} begins anew");
        assert!(before.is_sorted_by(|a, b| a.1 <= b.1) && after.is_sorted_by(|a, b| a.1 <= b.1), "{name} grows");
    }
}

#[test]
fn restarts_are_counted_and_give_a_series_of_their_own() {
    let mut hotel = loaded(7, 10.0, Arrivals::Constant, 60.0);
    let pod = hotel.pod("rate").expect("a pod").name().to_owned();
    let disturbance = aiopslab::cluster::Disturbance::ContainerKill {
        namespace: NS.into(),
        pod: pod.as_str().into(),
        container: "hotel-reserv-rate".into(),
        again_after: None,
    };
    hotel.cluster.disturb("kill", &disturbance).expect("killed");
    hotel.run(120.0);
    let names = ["kube_pod_container_status_restarts_total", "container_start_time_seconds"];
    let series = derive(hotel.world(), &query(&hotel, 165, &names));
    let of = |name: &str| series.iter().filter(|s| s.label("pod") == pod && s.name == name).collect::<Vec<_>>();
    let restarts = of("kube_pod_container_status_restarts_total");
    assert_eq!(restarts.len(), 1);
    let values: Vec<f64> = restarts[0].samples.iter().map(|s| s.1).collect();
    assert_eq!((values.first(), values.last()), (Some(&0.0), Some(&1.0)));
    let starts = of("container_start_time_seconds");
    assert_eq!(starts.len(), 2, "one for each container id");
    assert!(starts.iter().all(|s| s.samples.iter().all(|x| x.1 == s.samples[0].1)));
}

fn text(series: &[Series]) -> String {
    series.iter().map(|s| format!("{s:?}\n")).collect()
}

#[test]
fn the_same_bytes_in_any_order_and_in_a_fork() {
    let hotel = loaded(8, 40.0, Arrivals::Poisson, 400.0);
    let hash = hotel.cluster.state_hash();
    let (all, cpu) = (query(&hotel, 300, &[]), query(&hotel, 300, &["container_cpu_usage_seconds_total"]));
    let first = text(&derive(hotel.world(), &all));
    assert_eq!(hotel.cluster.state_hash(), hash, "a read changes nothing");
    let fork = hotel.clone();
    let one = text(&derive(fork.world(), &cpu));
    assert_eq!(text(&derive(fork.world(), &all)), first);
    assert_eq!(text(&derive(hotel.world(), &cpu)), one);
    // Asked again later, the past is what it was, and a window that is cut shows the same samples.
    let mut later = hotel.clone();
    later.update(Kind::DEPLOYMENT, "geo", |o| o.set_at(&["spec", "replicas"], 0));
    later.run(200.0);
    assert_eq!(text(&derive(later.world(), &all)), first);
    let half = MetricsQuery { since: all.since + SCRAPE * 10, ..all.clone() };
    for s in derive(hotel.world(), &half).into_iter().step_by(100) {
        let whole = derive(hotel.world(), &MetricsQuery { names: vec![s.name.clone()], ..all.clone() });
        let same = whole.iter().find(|w| w.labels == s.labels).expect("there");
        assert!(same.samples.ends_with(&s.samples), "{} {:?}", s.name, s.labels);
    }
    let few = derive(hotel.world(), &MetricsQuery { limit: 3, ..all });
    assert!(few.iter().all(|s| s.samples.len() <= 3) && few.iter().any(|s| s.samples.len() == 3));
}

#[test]
fn histograms_hold_together() {
    let hotel = loaded(9, 10.0, Arrivals::Poisson, 300.0);
    let series = derive(hotel.world(), &query(&hotel, 240, &[]));
    let named = |name: &str| series.iter().filter(|s| s.name == name && s.label("operation") == "GET /hotels").collect::<Vec<_>>();
    let value = |s: &Series| s.samples.last().expect("a sample").1;
    let buckets = named("request_duration_seconds_bucket");
    assert_eq!(buckets.len(), 15);
    let count = value(named("request_duration_seconds_count")[0]);
    let at = |le: &str| value(buckets.iter().find(|s| s.label("le") == le).expect("a bound"));
    assert_eq!(at("+Inf"), count);
    assert!(at("0.0005") < 1.0 && at("0.001") <= at("0.005") && at("0.005") <= at("0.025") && at("0.025") <= count);
    let mean = value(named("request_duration_seconds_sum")[0]) / count;
    assert!((0.002..0.008).contains(&mean), "{mean}");
    for s in &series {
        let counter = s.name.ends_with("_total") || s.name.ends_with("_count") || s.name.ends_with("_bucket");
        assert!(!counter || s.samples.is_sorted_by(|a, b| a.1 <= b.1), "{} {:?}", s.name, s.labels);
    }
    let memory = |container: &str, name: &str| {
        let found = series.iter().find(|s| s.name == name && s.label("container") == container);
        value(found.unwrap_or_else(|| panic!("{name} of {container}"))) / f64::from(1 << 20)
    };
    let frontend = "hotel-reserv-frontend";
    let (rss, set, usage) = (
        memory(frontend, "container_memory_rss"),
        memory(frontend, "container_memory_working_set_bytes"),
        memory(frontend, "container_memory_usage_bytes"),
    );
    assert!((5.0..8.0).contains(&rss) && (11.0..17.0).contains(&set) && usage > set, "{rss} {set} {usage}");
}

#[test]
fn an_overloaded_process_uses_its_limit() {
    // Users of whom most give up keep the frontend as busy as its limit of one core allows.
    let hotel = loaded(1, 3000.0, Arrivals::Poisson, 180.0);
    let frontend = millicores(&hotel, 60)["frontend"];
    assert!((900.0..1050.0).contains(&frontend), "{frontend} m");
}
