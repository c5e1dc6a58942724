//! The testbed plays the hotel application as the simulator does.

use crate::testbed_fixture::{Net, Played, until};
use aiopslab::app::Catalog;
use aiopslab::object::Json;

const HOTELS: &str = "/hotels?inDate=2015-04-09&outDate=2015-04-10&lat=38.0235&lon=-122.095";
const LOGIN: &str = "/user?username=Cornell_1&password=1111111111";

/// The whole application, started in the order that a quiet deploy takes.
fn hotel(net: &Net) -> Vec<Played> {
    let app = Catalog::embedded().app("hotel-reservation").expect("embedded").clone();
    let first: Vec<String> = app.first.iter().map(ToString::to_string).collect();
    let mut all: Vec<Played> = first.iter().map(|name| net.start(name)).collect();
    all[0].wait_for("Synced node info");
    let rest: Vec<&String> = net.names.keys().filter(|n| !first.contains(n)).collect();
    all.extend(rest.into_iter().map(|name| net.start(name)));
    all
}

/// What the simulator answers.
fn simulated(path: &str) -> String {
    let catalog = Catalog::embedded();
    let argv = ["frontend".into()];
    let frontend =
        catalog.instance("yinfangchen/hotelreservation:latest", &argv, &Default::default(), &Default::default()).expect("starts");
    let handler = frontend.program.handler("GET", path.split('?').next().unwrap_or("")).expect("handled").clone();
    frontend.body(&handler, path)
}

#[test]
fn the_hotel_application_serves_and_fails_as_simulated() {
    let net = Net::new(1);
    let mut all = hotel(&net);
    let recommend = "/recommendations?require=rate&lat=38.0235&lon=-122.095";
    // The frontend finds each service by itself, in no order.
    for (method, path) in [("GET", HOTELS), ("GET", recommend), ("POST", LOGIN)] {
        until(path, || net.http("frontend", 5000, method, path).is_some_and(|(status, _)| status == 200));
    }
    assert_eq!(net.http("frontend", 5000, "GET", HOTELS), Some((200, simulated(HOTELS))));
    assert_eq!(net.http("frontend", 5000, "GET", recommend), Some((200, simulated(recommend))));
    let check = |method: &str, path: &str, status: u16, body: &str| {
        assert_eq!(net.http("frontend", 5000, method, path), Some((status, format!("{body}\n"))), "{path}");
    };
    check("POST", LOGIN, 200, r#"{"message":"Login successfully!"}"#);
    check("POST", "/user?username=Cornell_1&password=x", 200, r#"{"message":"Failed. Please check your username and password. "}"#);
    check("GET", "/hotels?inDate=2015-04-09", 400, "Please specify inDate/outDate params");
    check("GET", "/nothing", 404, "404 page not found");

    let metrics = net.http("frontend", 5000, "GET", "/metrics").expect("served").1;
    assert!(metrics.contains("requests_total{service=\"frontend\",operation=\"GET /hotels\",status=\"200\"}"), "{metrics}");
    let metrics = net.http("geo", 9464, "GET", "/metrics").expect("served").1;
    assert!(metrics.contains("operation=\"/geo.Geo/Nearby\",status=\"OK\""), "{metrics}");
    traced(&net);

    // Registered, but gone: the frontend's search fails with gRPC's words, the rest goes on.
    let geo = all.iter().position(|p| p.place.address == net.names["geo"].to_string()).expect("played");
    all[geo].kill();
    let gone = "rpc error: code = Unavailable desc = there is no connection available\n";
    until("a connection is missed", || net.http("frontend", 5000, "GET", HOTELS) == Some((500, gone.to_owned())));
    check("POST", LOGIN, 200, r#"{"message":"Login successfully!"}"#);
    all[geo] = net.start("geo");
    until("geo is found again", || net.http("frontend", 5000, "GET", HOTELS).is_some_and(|(status, _)| status == 200));
}

/// Traces of a request to `/hotels` as Jaeger shows them.
fn traced(net: &Net) {
    let found = |path: &str| {
        let (status, body) = net.http("jaeger", 16686, "GET", path)?;
        (status == 200).then(|| Json::parse(&body).ok().map(|j| j.get("data").clone()))?
    };
    let path = "/api/traces?service=frontend&operation=HTTP%20GET%20%2Fhotels&limit=1";
    let wanted = ["/geo.Geo/Nearby", "/rate.Rate/GetRates", "HTTP GET /hotels", "memcached_get_multi_rate", "memcached_get_profile"];
    // Each program sends its spans on its own.
    until("a whole trace", || {
        let trace = found(path).map(|t| t.nth(0).clone()).unwrap_or_default();
        let names: Vec<&str> = trace.get("spans").items().iter().map(|s| s.get("operationName").text()).collect();
        wanted.iter().all(|name| names.contains(name))
    });
    let all = ["frontend", "geo", "profile", "rate", "recommendation", "reservation", "search", "user"];
    until("every service", || found("/api/services").is_some_and(|s| s.items().iter().map(Json::text).collect::<Vec<_>>() == all));
}

/// The lines of a program that ended, from the last with a text on.
fn tail(played: &Played, from: &str) -> Vec<String> {
    let lines = played.lines();
    let at = lines.iter().rposition(|l| l.contains(from)).unwrap_or_else(|| panic!("{from} in {lines:?}"));
    lines[at..].iter().map(|l| l.lines().next().unwrap_or("").to_owned()).collect()
}

#[test]
fn a_wrong_address_ends_as_measured() {
    let net = Net::new(2);
    let _mongo = net.start("mongodb-geo");
    let mut place = net.place("geo");
    place.image = "yinfangchen/hotelreservation:1.1.3".to_owned();
    let mut geo = Played::start(place);
    assert_eq!(geo.join(), 2);
    let expect = [
        "INF cmd/geo/main.go:36 > Read database URL: mongodb-geo:27777",
        "INF cmd/geo/main.go:37 > Initializing DB connection...",
        "PNC cmd/geo/db.go:30 > no reachable servers",
        "panic: no reachable servers",
    ];
    assert_eq!(tail(&geo, "Read database URL"), expect);
}

#[test]
fn rights_and_registries_that_are_missing() {
    let net = Net::new(3);
    net.volume("mongodb-geo", "read");
    let mut mongo = Played::start(net.place("mongodb-geo"));
    mongo.wait_for("Waiting for connections");
    let mut geo = net.start("geo");
    assert_eq!(geo.join(), 1);
    assert_eq!(
        tail(&geo, "Generating test data"),
        [
            "INF cmd/geo/db.go:35 > Generating test data...",
            "FTL cmd/geo/db.go:44 > not authorized on geo-db to execute command { insert: \"geo\", $db: \"geo-db\" }",
        ]
    );
    mongo.kill();
    net.volume("mongodb-geo", "dbAdmin");
    mongo = Played::start(net.place("mongodb-geo"));
    mongo.wait_for("Waiting for connections");
    let mut geo = net.start("geo");
    assert_eq!(geo.join(), 1);
    let denied = "not authorized on geo-db to execute command { count: \"geo\", query: { hotelId: \"1\" }, $db: \"geo-db\" }";
    assert_eq!(tail(&geo, "FTL"), [format!("FTL cmd/geo/db.go:39 > {denied}")]);
    let mut search = net.start("search");
    assert_eq!(search.join(), 1);
    let consul = net.names["consul"];
    let refused = format!("dial tcp {consul}:8500: connect: connection refused");
    let failed = format!("FTL cmd/search/main.go:75 > failed register: Put \"http://consul:8500/v1/agent/service/register\": {refused}");
    assert_eq!(tail(&search, "FTL").first(), Some(&failed));
    let followed = format!(
        "grpc/lb/consul: error retrieving instances from Consul: Get \"http://consul:8500/v1/health/service/srv-geo?passing=1\": {refused}"
    );
    assert!(search.lines().iter().any(|l| l.ends_with(&followed)), "{:?}", search.lines());
}
