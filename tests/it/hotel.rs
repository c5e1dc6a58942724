//! The hotel application under load: what users meet, what logs say, and that both are functions of seed and history.
//!
//! Figures are those of a real cluster at 10 requests a second.

use crate::hotel_fixture::{Hotel, NS};
use aiopslab::cluster::sim::http::success_shares;
use aiopslab::cluster::sim::store::Kind;
use aiopslab::cluster::sim::traffic::tally;
use aiopslab::cluster::{Cluster, ConnectError, HttpOrigin, HttpReply, HttpRequest, LogQuery, ProbeRequest};
use aiopslab::workload::Arrivals;
use std::time::Duration;

const NO_CONNECTION: &str = "rpc error: code = Unavailable desc = there is no connection available";
const HOTELS: &str = "/hotels?inDate=2015-04-09&outDate=2015-04-10&lat=38.0235&lon=-122.095";

/// Statuses, latencies in milliseconds and errors of probes.
fn probe(hotel: &mut Hotel, endpoint: &str, count: u64) -> Vec<(u16, f64, String)> {
    let request = |index| ProbeRequest { namespace: NS.into(), endpoint: endpoint.into(), index };
    let replies = hotel.cluster.probe(&(0..count).map(request).collect::<Vec<_>>());
    replies.into_iter().map(|r| (r.status, r.latency.as_secs_f64() * 1e3, r.error)).collect()
}

fn get(hotel: &mut Hotel, method: &str, path: &str) -> Result<HttpReply, ConnectError> {
    let request = HttpRequest {
        method: method.into(),
        host: format!("frontend.{NS}.svc.cluster.local"),
        port: 5000,
        path: path.into(),
        headers: vec![],
        body: vec![],
        timeout: Duration::from_secs(10),
    };
    hotel.cluster.http(&HttpOrigin::Workstation, &request)
}

/// A hotel whose caches have been warmed by a load of ten requests a second.
fn loaded(seed: u64) -> Hotel {
    let mut hotel = Hotel::deployed(seed);
    hotel.drive(10.0, Arrivals::Poisson);
    hotel.run(120.0);
    hotel
}

/// What each endpoint answers: status and error, `200` or `500 …`.
fn symptoms(hotel: &mut Hotel) -> Vec<String> {
    let endpoints = ["GET /hotels", "GET /recommendations", "POST /user", "POST /reservation"];
    let one = |endpoint: &&str| {
        let mut seen: Vec<_> = probe(hotel, endpoint, 40).into_iter().map(|(status, _, error)| format!("{status} {error}")).collect();
        seen.sort();
        seen.dedup();
        seen.join("|").trim_end().to_owned()
    };
    endpoints.iter().map(one).collect()
}

#[test]
fn latencies_are_those_measured() {
    let mut hotel = loaded(1);
    let mut check = |endpoint: &str, mean: f64, p50: f64, p99: (f64, f64)| {
        let mut replies = probe(&mut hotel, endpoint, 4000);
        assert!(replies.iter().all(|r| r.0 == 200), "{endpoint}: {:?}", replies.iter().find(|r| r.0 != 200));
        let measured = replies.iter().map(|r| r.1).sum::<f64>() / replies.len() as f64;
        replies.sort_by(|a, b| a.1.total_cmp(&b.1));
        let quantile = |q: f64| replies[(replies.len() as f64 * q) as usize].1;
        println!("{endpoint}: mean {measured:.2} p50 {:.2} p90 {:.2} p99 {:.2}", quantile(0.5), quantile(0.9), quantile(0.99));
        assert!((measured / mean - 1.0).abs() < 0.15, "{endpoint}: mean {measured:.2} ms instead of {mean}");
        assert!((quantile(0.5) / p50 - 1.0).abs() < 0.2, "{endpoint}: median {:.2} ms instead of {p50}", quantile(0.5));
        assert!(p99.0 < quantile(0.99) && quantile(0.99) < p99.1, "{endpoint}: p99 {:.2} ms", quantile(0.99));
    };
    check("GET /hotels", 5.06, 4.22, (6.0, 20.0));
    check("GET /recommendations", 2.49, 2.19, (3.5, 10.0));
    check("POST /user", 1.25, 1.2, (1.5, 5.0));
    check("POST /reservation", 4.8, 4.6, (6.0, 20.0));
}

#[test]
fn users_get_what_the_services_answer() {
    let mut hotel = Hotel::deployed(2);
    let login = |user: &str, password: &str| format!("/user?username={user}&password={password}");
    let mut check = |method: &str, path: &str, status: u16, body: &str| {
        let reply = get(&mut hotel, method, path).expect("an answer");
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        assert_eq!((reply.status, text.trim_end()), (status, body), "{method} {path}");
    };
    check("GET", "/hotels", 400, "Please specify inDate/outDate params");
    check("GET", "/hotels?inDate=2015-04-09&outDate=2015-04-10", 400, "Please specify location params");
    check("GET", "/recommendations?require=best&lat=38&lon=-122", 400, "Please specify require params");
    check("POST", "/user?username=Cornell_1", 400, "Please specify username and password");
    check("POST", &login("Cornell_1", "1111111111"), 200, r#"{"message":"Login successfully!"}"#);
    check("POST", &login("Cornell_1", "x"), 200, r#"{"message":"Failed. Please check your username and password. "}"#);
    check("GET", "/nothing", 404, "404 page not found");
    let book = "customerName=Cornell_1&username=Cornell_1&password=1111111111&number=1&hotelId=5";
    check("POST", &format!("/reservation?inDate=2015&outDate=2015-04-10&{book}"), 400, "Please check inDate/outDate format (YYYY-MM-DD)");
    check("POST", &format!("/reservation?inDate=2015-04-09&outDate=2015-04-10&{book}"), 200, r#"{"message":"Reserve successfully!"}"#);
    let reply = get(&mut hotel, "GET", HOTELS).expect("an answer");
    let body = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(body.starts_with(r#"{"features":[{"geometry":{"coordinates":[-122."#) && body.contains(r#""phone_number":"(415) "#), "{body}");
}

#[test]
fn a_scaled_down_backend_fails_fast_and_recovers() {
    let mut hotel = loaded(3);
    let scale =
        |hotel: &mut Hotel, name: &str, replicas: i64| hotel.update(Kind::DEPLOYMENT, name, |o| o.set_at(&["spec", "replicas"], replicas));
    scale(&mut hotel, "geo", 0);
    hotel.run(3.0);
    assert_eq!(symptoms(&mut hotel), [&format!("500 {NO_CONNECTION}"), "200", "200", "200"]);
    let shares: Vec<_> = success_shares(hotel.world(), NS).into_iter().map(|(_, share)| share).collect();
    assert_eq!(shares, [0.0, 1.0, 1.0, 1.0]);
    let slow: Vec<_> = probe(&mut hotel, "GET /hotels", 100).into_iter().filter(|r| r.1 >= 8.0).collect();
    assert!(slow.is_empty(), "fails fast: {slow:?}");
    scale(&mut hotel, "geo", 1);
    hotel.run(4.0);
    assert_eq!(symptoms(&mut hotel), ["200", "200", "200", "200"]);
    scale(&mut hotel, "user", 0);
    hotel.run(3.0);
    assert_eq!(symptoms(&mut hotel), ["200", "200", &format!("500 {NO_CONNECTION}"), &format!("500 {NO_CONNECTION}")]);
    assert!(!hotel.logs("frontend", LogQuery::default()).contains("ERR"), "callers write nothing");
}

#[test]
fn a_wrong_address_crashes_geo_after_its_dial_limit() {
    let mut hotel = loaded(4);
    let image = |hotel: &mut Hotel, image: &str| {
        hotel.update(Kind::DEPLOYMENT, "geo", |o| {
            let containers = o.at_mut(&["spec", "template", "spec"]).get_mut("containers");
            containers.items_mut()[0].set("image", image);
        });
    };
    image(&mut hotel, "yinfangchen/geo:app3");
    hotel.run(40.0);
    assert_eq!(symptoms(&mut hotel)[0], format!("500 {NO_CONNECTION}"));
    let log = hotel.logs("geo", LogQuery { previous: true, ..LogQuery::default() });
    assert!(log.contains("Read database URL: mongodb-geo:27777") && log.contains("PNC cmd/geo/db.go:30 > no reachable servers"), "{log}");
    image(&mut hotel, "yinfangchen/hotelreservation:latest");
    hotel.run(5.0);
    assert_eq!(symptoms(&mut hotel), ["200", "200", "200", "200"]);
}

#[test]
fn a_wrong_binary_registers_as_what_it_is() {
    let mut hotel = loaded(5);
    hotel.update(Kind::DEPLOYMENT, "profile", |o| {
        let containers = o.at_mut(&["spec", "template", "spec"]).get_mut("containers");
        containers.items_mut()[0].set("command", aiopslab::array!["geo"]);
    });
    hotel.run(30.0);
    let failed = format!("500 {NO_CONNECTION}");
    assert_eq!(symptoms(&mut hotel), [&failed, &failed, "200", "200"]);
    let log = hotel.logs("frontend", LogQuery { tail: Some(50), ..LogQuery::default() });
    let failures = log.lines().filter(|l| l.ends_with("ERR services/frontend/server.go:227 > SearchHandler GetProfiles failed")).count();
    assert_eq!(failures, 50, "{log}");
    assert!(hotel.logs("profile", LogQuery::default()).contains("Trying to register service [ name: srv-geo"));
    let whole = hotel.logs("frontend", LogQuery::default());
    let failures = whole.lines().filter(|l| l.contains("GetProfiles failed")).count();
    assert!((120..220).contains(&failures), "six a second for half a minute: {failures}");
}

#[test]
fn a_service_is_missed_at_the_next_start_only() {
    let mut hotel = loaded(6);
    hotel.delete(Kind::SERVICE, "mongodb-geo");
    hotel.run(25.0);
    assert_eq!(symptoms(&mut hotel)[0], "200", "geo holds its data in memory");
    let pod = hotel.pod("geo").expect("a pod").name().to_owned();
    hotel.delete(Kind::POD, &pod);
    hotel.run(14.0);
    assert_eq!(symptoms(&mut hotel)[0], format!("500 {NO_CONNECTION}"));
}

#[test]
fn logs_are_functions_of_history() {
    let mut hotel = loaded(7);
    hotel.update(Kind::DEPLOYMENT, "profile", |o| o.set_at(&["spec", "replicas"], 0));
    hotel.run(20.0);
    let fork = hotel.clone();
    let whole = hotel.logs("frontend", LogQuery::default());
    let tail = hotel.logs("frontend", LogQuery { tail: Some(17), ..LogQuery::default() });
    assert!(whole.ends_with(&tail) && tail.lines().count() == 17);
    let since = hotel.world().now - Duration::from_secs(7);
    let recent = hotel.logs("frontend", LogQuery { since: Some(since), ..LogQuery::default() });
    assert!(whole.ends_with(&recent) && (25..60).contains(&recent.lines().count()), "{}", recent.lines().count());
    assert_eq!(fork.clone().logs("frontend", LogQuery::default()), whole);
    hotel.run(5.0);
    assert!(hotel.logs("frontend", LogQuery::default()).starts_with(&whole), "the past does not change");
    let limited = hotel.logs("frontend", LogQuery { limit_bytes: Some(100), ..LogQuery::default() });
    assert!(limited.len() <= 100 && whole.starts_with(&limited));
}

#[test]
fn counts_are_those_of_logs_and_add_up() {
    for arrivals in [Arrivals::Poisson, Arrivals::Constant] {
        let mut hotel = Hotel::deployed(8);
        hotel.drive(10.0, arrivals);
        hotel.run(30.0);
        let broken = hotel.world().now;
        hotel.update(Kind::DEPLOYMENT, "profile", |o| o.set_at(&["spec", "replicas"], 0));
        hotel.run(60.0);
        let now = hotel.world().now;
        let counted = tally(hotel.world(), NS, broken, now);
        let count = |endpoint: &str, failed: bool| {
            counted.iter().filter(|t| t.endpoint == endpoint && t.error.is_some() == failed).map(|t| t.count).sum::<u64>()
        };
        let total: u64 = counted.iter().map(|t| t.count).sum();
        let expected = if arrivals == Arrivals::Constant { 600..=600 } else { 520..=680 };
        assert!(expected.contains(&total), "{arrivals:?}: {total}");
        assert!(count("GET /recommendations", true) > 190 && count("POST /user", true) == 0, "{counted:?}");
        // The last request may have arrived and its line may not be written yet.
        let log = hotel.logs("frontend", LogQuery::default());
        let lines = log.lines().filter(|l| l.contains("GetProfiles failed")).count() as u64;
        assert!(lines.abs_diff(count("GET /hotels", true)) <= 1, "{lines} lines for {counted:?}");
        let middle = broken + Duration::from_millis(23_456);
        let halves = [tally(hotel.world(), NS, broken, middle), tally(hotel.world(), NS, middle, now)];
        assert_eq!(halves.iter().flatten().map(|t| t.count).sum::<u64>(), total);
    }
}
