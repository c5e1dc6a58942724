//! What the kubelet says about probes of the hotel's containers, and about logs that it cannot give.

use crate::hotel_fixture::{Hotel, NS};
use aiopslab::app::Catalog;
use aiopslab::cluster::sim::baseline;
use aiopslab::cluster::sim::http::http;
use aiopslab::cluster::sim::kubelet;
use aiopslab::cluster::sim::network;
use aiopslab::cluster::sim::store::{Key, Kind};
use aiopslab::cluster::{ConnectError, HttpOrigin, HttpRequest, LogQuery};
use aiopslab::object::Json;
use std::time::Duration;

#[test]
fn probes_fail_in_the_kubelet_s_words() {
    let hotel = Hotel::deployed(1);
    let check = |service: &str, probe: &str, expect: &str| {
        let pod = hotel.pod(service).expect("a pod");
        let ip = pod.status().get("podIP").text().to_owned();
        let container = pod.spec().get("containers").nth(0).get("name").text().to_owned();
        let outcome = network::check(hotel.world(), &pod, &container, &Json::parse(probe).expect("JSON"));
        let got = if outcome.ok { "ok".to_owned() } else { outcome.message.replace(&ip, "IP") };
        assert_eq!(got, expect, "{service} {probe}");
    };
    let health =
        "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): unknown service grpc.health.v1.Health";
    check("frontend", r#"{"httpGet":{"path":"/healthz","port":5000}}"#, "HTTP probe failed with statuscode: 404");
    check("frontend", r#"{"httpGet":{"path":"/hotels","port":5000}}"#, "HTTP probe failed with statuscode: 400");
    check("frontend", r#"{"httpGet":{"path":"/","port":5000}}"#, "ok");
    check("frontend", r#"{"httpGet":{"path":"/","port":5001}}"#, "Get \"http://IP:5001/\": dial tcp IP:5001: connect: connection refused");
    check(
        "frontend",
        r#"{"httpGet":{"path":"x","port":5000,"scheme":"HTTPS"}}"#,
        "Get \"https://IP:5000/x\": http: server gave HTTP response to HTTPS client",
    );
    check("frontend", r#"{"httpGet":{"port":"web"}}"#, "strconv.Atoi: parsing \"web\": invalid syntax");
    check("geo", r#"{"tcpSocket":{"port":8083}}"#, "ok");
    check("geo", r#"{"tcpSocket":{"port":8084}}"#, "dial tcp IP:8084: connect: connection refused");
    check("geo", r#"{"tcpSocket":{"port":1,"host":"10.96.200.200"}}"#, "dial tcp 10.96.200.200:1: i/o timeout");
    check("geo", r#"{"grpc":{"port":8083}}"#, health);
    check("geo", r#"{"grpc":{"port":9}}"#, "timeout: failed to connect service \"IP:9\" within 1s: context deadline exceeded");
    check("consul", r#"{"httpGet":{"path":"/v1/status/leader","port":8500}}"#, "ok");
    check("mongodb-geo", r#"{"exec":{"command":["sh","-c","exit 3"]}}"#, "");
    check("mongodb-geo", r#"{"exec":{"command":["sh","-c","echo no; exit 1"]}}"#, "no\n");
    check("mongodb-geo", r#"{"exec":{"command":["true"]}}"#, "ok");
}

#[test]
fn logs_that_cannot_be_had_say_why() {
    let mut hotel = Hotel::deployed(2);
    let pod = hotel.pod("geo").expect("a pod");
    let (name, node) = (pod.name().to_owned(), pod.spec().get("nodeName").text().to_owned());
    let address = hotel
        .world()
        .store
        .get(&Key::new(Kind::NODE, "", node.as_str()))
        .and_then(network::address::node_address)
        .expect("an address")
        .to_owned();
    let check = |hotel: &mut Hotel, query: LogQuery, expect: &str| assert_eq!(hotel.logs("geo", query), expect);
    let refused = format!("container other is not valid for pod {name} (BadRequest, 400)");
    check(&mut hotel, LogQuery { container: Some("other".into()), ..LogQuery::default() }, &refused);
    let never = format!("previous terminated container \"hotel-reserv-geo\" in pod \"{name}\" not found (BadRequest, 400)");
    if pod.status().get("containerStatuses").nth(0).get("restartCount").as_i64() == Some(0) {
        check(&mut hotel, LogQuery { previous: true, ..LogQuery::default() }, &never);
    }
    kubelet::stop_node(hotel.world_mut(), &node);
    let url = format!("https://{address}:10250/containerLogs/{NS}/{name}/hotel-reserv-geo");
    let gone = format!("Get \"{url}\": dial tcp {address}:10250: connect: connection refused (, 500)");
    check(&mut hotel, LogQuery::default(), &gone);
}

#[test]
fn ports_that_speak_something_else_answer_as_they_do() {
    let mut hotel = Hotel::deployed(3);
    let mut ask = |host: &str, port: u16, path: &str| {
        let host = if host.contains('.') { host.to_owned() } else { format!("{host}.{NS}.svc.cluster.local") };
        let timeout = Duration::from_secs(5);
        let request = HttpRequest { method: "GET".into(), host, port, path: path.into(), headers: vec![], body: vec![], timeout };
        match http(hotel.world_mut(), &HttpOrigin::Workstation, &request) {
            Ok(reply) => format!("{} {}", reply.status, String::from_utf8_lossy(&reply.body).trim_end()),
            Err(ConnectError::NameNotFound { .. }) => "no such name".to_owned(),
            Err(ConnectError::Refused { .. }) => "refused".to_owned(),
            Err(ConnectError::TimedOut { took, .. }) => format!("nothing for {took:?}"),
            Err(ConnectError::Closed { .. }) => "hung up".to_owned(),
        }
    };
    let mongo = "200 It looks like you are trying to access MongoDB over HTTP on the native driver port.";
    assert_eq!(ask("mongodb-geo", 27017, "/"), mongo);
    assert_eq!(ask("memcached-rate", 11211, "/"), "hung up");
    assert_eq!(ask("geo", 8083, "/"), "hung up");
    assert_eq!(ask("geo", 8084, "/"), "refused");
    assert_eq!(ask("nowhere", 80, "/"), "no such name");
    assert_eq!(ask("10.96.200.200", 80, "/"), "nothing for 5s");
    assert!(ask("consul", 8500, "/v1/catalog/services").starts_with("200 {"));
    let geo = ask("consul", 8500, "/v1/health/service/srv-geo?passing=1");
    assert!(geo.contains("\"Port\":8083"), "{geo}");
}

#[test]
fn the_api_server_asks_who_is_there() {
    let catalog = Catalog::embedded();
    let app = catalog.app("hotel-reservation").expect("embedded").clone();
    let mut world = baseline::fork(&baseline::baseline(&catalog, &app, false).expect("settles"), &app, 1).expect("forks");
    let pod = world.store.list(Kind::POD, Some(NS)).next().expect("a pod").name().into();
    let from = HttpOrigin::Pod { namespace: NS.into(), pod };
    let mut ask = |path: &str, authorized: bool| {
        let headers = if authorized { vec![("Authorization".to_owned(), "Bearer x".to_owned())] } else { vec![] };
        let (host, timeout) = ("kubernetes.default.svc".to_owned(), Duration::from_secs(5));
        let request = HttpRequest { method: "GET".into(), host, port: 443, path: path.into(), headers, body: vec![], timeout };
        let reply = http(&mut world, &from, &request).expect("an answer");
        let json = Json::parse(&String::from_utf8_lossy(&reply.body)).unwrap_or_default();
        format!("{} {}", reply.status, json.get("message").text())
    };
    assert_eq!(ask("/api", false), "403 forbidden: User \"system:anonymous\" cannot get path \"/api\"");
    assert_eq!(ask("/api", true), "401 Unauthorized");
    assert_eq!(ask("/readyz", false), "200 ");
}
