//! Traces of the hotel application as Jaeger's query service shows them. Durations are medians of a real cluster at 5 requests a second.

use crate::hotel_fixture::{Hotel, NS};
use aiopslab::cluster::sim::store::Kind;
use aiopslab::cluster::{Cluster, HttpOrigin, HttpRequest};
use aiopslab::object::Json;
use aiopslab::workload::Arrivals;
use std::collections::BTreeMap;
use std::time::Duration;

fn jaeger(hotel: &mut Hotel, path: &str) -> (u16, Json) {
    let request = HttpRequest {
        method: "GET".into(),
        host: format!("jaeger.{NS}.svc.cluster.local"),
        port: 16686,
        path: path.into(),
        headers: vec![],
        body: vec![],
        timeout: Duration::from_secs(10),
    };
    let reply = hotel.cluster.http(&HttpOrigin::Workstation, &request).expect("an answer");
    (reply.status, Json::parse(&String::from_utf8_lossy(&reply.body)).expect("JSON"))
}

fn loaded(seed: u64) -> Hotel {
    let mut hotel = Hotel::deployed(seed);
    hotel.drive(10.0, Arrivals::Poisson);
    hotel.run(120.0);
    hotel
}

fn tag<'a>(span: &'a Json, key: &str) -> &'a Json {
    span.get("tags").find("key", key).map_or(&aiopslab::object::NULL, |t| t.get("value"))
}

/// Lines `SERVICE OPERATION` of a trace, indented by depth.
fn tree(trace: &Json) -> Vec<String> {
    let spans = trace.get("spans").items();
    let depth = |span: &Json| {
        let (mut depth, mut at) = (0, span);
        while let Some(parent) = spans.iter().find(|s| s.get("spanID") == at.get("references").nth(0).get("spanID")) {
            (depth, at) = (depth + 1, parent);
        }
        depth
    };
    let service = |span: &Json| trace.get("processes").get(span.get("processID").text()).get("serviceName").text().to_owned();
    spans.iter().map(|s| format!("{}{} {}", " ".repeat(depth(s)), service(s), s.get("operationName").text())).collect()
}

#[test]
fn the_tree_of_spans_is_that_of_the_services() {
    let mut hotel = loaded(1);
    let (_, services) = jaeger(&mut hotel, "/api/services");
    let names: Vec<_> = services.get("data").items().iter().map(Json::text).collect();
    assert_eq!(names, ["frontend", "geo", "profile", "rate", "recommendation", "reservation", "search", "user"]);
    let (_, found) = jaeger(&mut hotel, "/api/traces?service=frontend&operation=HTTP%20GET%20/hotels&limit=300");
    let traces = found.get("data").items();
    assert_eq!(traces.len(), 300);
    let expected = [
        "frontend HTTP GET /hotels",
        " frontend /search.Search/Nearby",
        "  search /search.Search/Nearby",
        "   search /geo.Geo/Nearby",
        "    geo /geo.Geo/Nearby",
        "   search /rate.Rate/GetRates",
        "    rate /rate.Rate/GetRates",
        "     rate memcached_get_multi_rate",
        " frontend /reservation.Reservation/CheckAvailability",
        "  reservation /reservation.Reservation/CheckAvailability",
        "   reservation memcached_capacity_get_multi_number",
        "   reservation memcached_reserve_get_multi_number",
        " frontend /profile.Profile/GetProfiles",
        "  profile /profile.Profile/GetProfiles",
        "   profile memcached_get_profile",
    ];
    assert_eq!(tree(&traces[299]), expected);
    let root = traces[0].get("spans").nth(0);
    assert_eq!(tag(root, "http.status_code").as_i64(), Some(200));
    assert!(tag(root, "http.url").text().starts_with("/hotels?inDate=2015-04-"), "{root:?}");
    let mut lengths: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for trace in traces {
        for (line, span) in tree(trace).into_iter().zip(trace.get("spans").items()) {
            lengths.entry(line.trim().to_owned()).or_default().push(span.get("duration").as_i64().unwrap_or(0));
        }
    }
    let mut check = |name: &str, p50: f64| {
        let all = lengths.get_mut(name).unwrap_or_else(|| panic!("no span {name}"));
        all.sort_unstable();
        let median = all[all.len() / 2] as f64;
        assert!((median / p50 - 1.0).abs() < 0.25, "{name}: {median} µs instead of {p50}");
    };
    check("frontend HTTP GET /hotels", 3512.0);
    check("frontend /search.Search/Nearby", 1950.0);
    check("search /search.Search/Nearby", 1385.0);
    check("search /geo.Geo/Nearby", 608.0);
    check("geo /geo.Geo/Nearby", 66.0);
    check("search /rate.Rate/GetRates", 725.0);
    check("rate /rate.Rate/GetRates", 207.0);
    check("frontend /reservation.Reservation/CheckAvailability", 815.0);
    check("frontend /profile.Profile/GetProfiles", 661.0);
}

#[test]
fn a_failure_marks_the_spans_that_saw_it() {
    let mut hotel = loaded(2);
    hotel.update(Kind::DEPLOYMENT, "geo", |o| o.set_at(&["spec", "replicas"], 0));
    hotel.run(20.0);
    let (_, found) = jaeger(&mut hotel, "/api/traces?service=search&limit=1");
    let trace = found.get("data").nth(0);
    let marks =
        |span: &Json| format!("{} {}", tag(span, "error").is_true(), span.get("logs").nth(0).get("fields").nth(1).get("value").text());
    let lines: Vec<_> =
        tree(trace).into_iter().zip(trace.get("spans").items()).map(|(line, span)| format!("{line}: {}", marks(span))).collect();
    let failed = "true rpc error: code = Unavailable desc = there is no connection available";
    let expected = [
        "frontend HTTP GET /hotels: false ".to_owned(),
        format!(" frontend /search.Search/Nearby: {failed}"),
        format!("  search /search.Search/Nearby: {failed}"),
        format!("   search /geo.Geo/Nearby: {failed}"),
    ];
    assert_eq!(lines, expected);
    assert_eq!(tag(trace.get("spans").nth(0), "http.status_code").as_i64(), Some(500));
    let id = trace.get("traceID").text().to_owned();
    let (status, again) = jaeger(&mut hotel, &format!("/api/traces/{id}"));
    assert_eq!((status, again.get("data").nth(0)), (200, trace));
    assert_eq!(jaeger(&mut hotel, "/api/traces/1").0, 404);
    assert_eq!(jaeger(&mut hotel, "/api/traces").0, 400);
    let (_, errors) = jaeger(&mut hotel, "/api/traces?service=search&tags=%7B%22error%22%3A%22true%22%7D&limit=5");
    assert_eq!(errors.get("data").items().len(), 5);
}
