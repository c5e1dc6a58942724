//! What is lost, late, stale or dead between the hotel's services, and what users and logs show of it.

use crate::hotel_fixture::{Hotel, NS};
use aiopslab::cluster::sim::kubelet;
use aiopslab::cluster::sim::network::rules::{self, Direction, Effect, Place, Rule};
use aiopslab::cluster::sim::store::Kind;
use aiopslab::cluster::{Cluster, LogQuery, ProbeRequest};
use aiopslab::workload::Arrivals;
use std::time::Duration;

fn loaded(seed: u64) -> Hotel {
    let mut hotel = Hotel::deployed(seed);
    hotel.drive(10.0, Arrivals::Poisson);
    hotel.run(120.0);
    hotel
}

fn ask(hotel: &mut Hotel, endpoint: &str) -> (u16, f64, String) {
    let request = ProbeRequest { namespace: NS.into(), endpoint: endpoint.into(), index: 0 };
    let reply = hotel.cluster.probe(&[request]).remove(0);
    (reply.status, reply.latency.as_secs_f64(), reply.error)
}

/// Seconds until an endpoint answers with 200 again.
fn recovers(hotel: &mut Hotel, endpoint: &str, limit: f64) -> f64 {
    let start = hotel.world().now;
    while ask(hotel, endpoint).0 != 200 {
        assert!((hotel.world().now - start).as_secs_f64() < limit, "{endpoint} does not recover");
        hotel.run(0.1);
    }
    (hotel.world().now - start).as_secs_f64()
}

fn pod_rule(hotel: &Hotel, service: &str, effect: Effect) -> Rule {
    let pod = hotel.pod(service).expect("a pod").name().into();
    Rule { at: Place::Pod { namespace: NS.into(), pod }, with: Place::Anywhere, direction: Direction::Both, effect }
}

#[test]
fn a_partition_hangs_and_heals_with_a_retransmission() {
    let mut hotel = loaded(1);
    let rule = pod_rule(&hotel, "user", Effect::Partition);
    let id = rules::install(hotel.world_mut(), rule);
    hotel.run(90.0);
    let (status, took, error) = ask(&mut hotel, "POST /user");
    assert_eq!((status, took), (0, 10.0), "{error}");
    assert!(error.contains("Client.Timeout exceeded while awaiting headers"), "{error}");
    assert_eq!(ask(&mut hotel, "GET /hotels").0, 200);
    rules::remove(hotel.world_mut(), id);
    hotel.run(1.0);
    assert_eq!(ask(&mut hotel, "POST /user").0, 0, "the next retransmission is still to come");
    let healed = recovers(&mut hotel, "POST /user", 60.0) + 1.0;
    assert!((5.0..40.0).contains(&healed), "{healed}");
}

#[test]
fn loss_and_delay_slow_requests() {
    let mut hotel = loaded(2);
    let latency = Duration::from_secs(2);
    let rule = Rule { direction: Direction::Leaving, ..pod_rule(&hotel, "user", Effect::Delay { latency, jitter: Duration::ZERO }) };
    let id = rules::install(hotel.world_mut(), rule);
    hotel.run(1.0);
    let (status, took, _) = ask(&mut hotel, "POST /user");
    assert!(status == 200 && (2.0..2.1).contains(&took), "{status} {took}");
    rules::remove(hotel.world_mut(), id);
    let rule = pod_rule(&hotel, "user", Effect::Loss(0.3));
    rules::install(hotel.world_mut(), rule);
    hotel.run(1.0);
    let request = |index| ProbeRequest { namespace: NS.into(), endpoint: "POST /user".into(), index };
    let replies = hotel.cluster.probe(&(0..400).map(request).collect::<Vec<_>>());
    let slow = replies.iter().filter(|r| r.status == 200 && r.latency > Duration::from_millis(190)).count();
    assert!((200..390).contains(&slow), "{slow} of 400 needed a packet twice");
    let rule = pod_rule(&hotel, "user", Effect::Loss(0.99));
    rules::install(hotel.world_mut(), rule);
    hotel.run(1.0);
    let replies = hotel.cluster.probe(&(0..100).map(request).collect::<Vec<_>>());
    assert!(replies.iter().filter(|r| r.status == 0).count() > 90, "almost nothing gets through");
}

#[test]
fn a_container_that_comes_back_is_dialled_after_the_caller_s_pause() {
    let mut hotel = loaded(3);
    let run = hotel.run_of("geo").expect("runs");
    kubelet::exited(hotel.world_mut(), run, 137);
    hotel.run(0.2);
    assert_eq!(ask(&mut hotel, "GET /hotels").0, 500);
    let first = recovers(&mut hotel, "GET /hotels", 30.0);
    assert!((0.5..6.0).contains(&first), "{first}");
    let pod = hotel.pod("geo").expect("a pod").name().to_owned();
    hotel.delete(Kind::POD, &pod);
    let other = recovers(&mut hotel, "GET /hotels", 30.0);
    assert!(other < 3.5, "a new address is used at once: {other}");
}

#[test]
fn consul_is_missed_by_those_who_do_not_know_yet() {
    let mut hotel = loaded(4);
    hotel.update(Kind::DEPLOYMENT, "consul", |o| o.set_at(&["spec", "replicas"], 0));
    hotel.run(10.0);
    assert_eq!(ask(&mut hotel, "GET /hotels").0, 200, "what is known stays");
    let log = hotel.logs("frontend", LogQuery { tail: Some(200), ..LogQuery::default() });
    let text = "grpc/lb/consul: error retrieving instances from Consul: Get \"http://consul:8500/v1/health/service/srv-search?passing=1\": dial tcp ";
    let lines = log.lines().filter(|l| l.contains(text) && l.ends_with(":8500: connect: connection refused")).count();
    assert!((5..60).contains(&lines), "{lines} in\n{log}");
    hotel.update(Kind::DEPLOYMENT, "consul", |o| o.set_at(&["spec", "replicas"], 1));
    hotel.run(10.0);
    let (status, _, error) = ask(&mut hotel, "GET /hotels");
    assert_eq!((status, error.as_str()), (500, "rpc error: code = Unavailable desc = there is no address available"));
    let before = hotel.logs("frontend", LogQuery::default()).lines().filter(|l| l.contains("grpc/lb/consul")).count();
    hotel.run(20.0);
    assert_eq!(hotel.logs("frontend", LogQuery::default()).lines().filter(|l| l.contains("grpc/lb/consul")).count(), before);
    let pod = hotel.pod("search").expect("a pod").name().to_owned();
    hotel.delete(Kind::POD, &pod);
    hotel.run(5.0);
    let (status, _, error) = ask(&mut hotel, "GET /hotels");
    assert_eq!(
        (status, error.as_str()),
        (500, "rpc error: code = Unavailable desc = there is no address available"),
        "search is back, geo is not known"
    );
}

#[test]
fn a_cache_that_refuses_makes_its_client_crash_on_the_next_request() {
    let mut hotel = loaded(5);
    let rate = hotel.run_of("rate").expect("runs");
    hotel.update(Kind::DEPLOYMENT, "memcached-rate", |o| o.set_at(&["spec", "replicas"], 0));
    hotel.run(4.0);
    let ended = hotel.world().history.run(rate).and_then(|r| r.end.clone()).expect("the process ended");
    assert_eq!(ended.exit_code, 2);
    let lines: Vec<String> = hotel.world().history.run(rate).into_iter().flat_map(|r| r.lines.iter().map(|(_, l)| l.to_string())).collect();
    let last = lines.iter().find(|l| l.contains("PNC")).expect("a panic");
    assert!(last.contains("Memmcached error while trying to get hotel [id: [") && last.contains("connection refused"), "{last}");
    hotel.run(60.0);
    assert_eq!(ask(&mut hotel, "GET /hotels").0, 500);
    assert_eq!(ask(&mut hotel, "GET /recommendations").0, 200);
    let restarts = hotel.pod("rate").expect("a pod").status().get("containerStatuses").nth(0).get("restartCount").as_i64();
    assert!(restarts >= Some(2), "{restarts:?}");
}

mod chaos {
    use super::*;
    use aiopslab::cluster::sim::http::success_shares;
    use proptest::prelude::*;
    use std::sync::OnceLock;

    fn base() -> Hotel {
        static BASE: OnceLock<Hotel> = OnceLock::new();
        BASE.get_or_init(|| loaded(77)).clone()
    }

    const SERVICES: [&str; 10] =
        ["frontend", "search", "geo", "rate", "profile", "reservation", "consul", "memcached-rate", "mongodb-rate", "mongodb-reservation"];

    /// Breaks something.
    fn hit(hotel: &mut Hotel, kind: u8, service: &str, amount: f64) {
        let pod = hotel.pod(service).map(|p| p.name().to_owned());
        match (kind % 8, pod) {
            (0, _) if hotel.world().store.list(Kind::SERVICE, Some(NS)).any(|s| s.name() == service) => {
                hotel.delete(Kind::SERVICE, service)
            }
            (1, Some(pod)) => hotel.delete(Kind::POD, &pod),
            (2, _) => hotel.update(Kind::DEPLOYMENT, service, |o| o.set_at(&["spec", "replicas"], (amount * 3.0) as i64)),
            (3, Some(_)) => {
                let rule = pod_rule(hotel, service, Effect::Partition);
                rules::install(hotel.world_mut(), rule);
            }
            (4, Some(_)) => {
                let rule = pod_rule(hotel, service, Effect::Loss(amount));
                rules::install(hotel.world_mut(), rule);
            }
            (5, Some(_)) => {
                let latency = Duration::from_secs_f64(amount * 4.0);
                let rule = pod_rule(hotel, service, Effect::Delay { latency, jitter: latency / 3 });
                rules::install(hotel.world_mut(), rule);
            }
            (6, Some(_)) => {
                if let Some(run) = hotel.run_of(service) {
                    kubelet::exited(hotel.world_mut(), run, 137);
                }
            }
            _ => {}
        }
        hotel.run(amount * 5.0);
    }

    /// Everything that can be seen of the traffic.
    fn view(hotel: &mut Hotel) -> String {
        let mut text = String::new();
        for endpoint in ["GET /hotels", "GET /recommendations", "POST /user", "POST /reservation"] {
            let request = |index| ProbeRequest { namespace: NS.into(), endpoint: endpoint.into(), index };
            let replies = hotel.cluster.probe(&(0..20).map(request).collect::<Vec<_>>());
            text.push_str(&format!("{replies:?}\n"));
        }
        for service in SERVICES {
            if hotel.pod(service).is_some() {
                text.push_str(&hotel.logs(service, LogQuery { tail: Some(40), ..LogQuery::default() }));
            }
        }
        text.push_str(&format!("{:?}", success_shares(hotel.world(), NS)));
        text
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
        #[test]
        fn whatever_breaks_is_told_alike_to_everybody(hits in prop::collection::vec((0_u8..8, 0_usize..10, 0.0..1.0_f64), 1..6)) {
            let mut hotel = base();
            let mut twin = base();
            for (kind, service, amount) in &hits {
                hit(&mut hotel, *kind, SERVICES[*service], *amount);
                view(&mut hotel);
                hit(&mut twin, *kind, SERVICES[*service], *amount);
            }
            let mut fork = hotel.clone();
            prop_assert_eq!(view(&mut hotel), view(&mut twin));
            for (_, share) in success_shares(hotel.world(), NS) {
                prop_assert!((-1e-9..=1.0 + 1e-9).contains(&share), "{share}");
            }
            hotel.run(3.0);
            fork.run(3.0);
            prop_assert_eq!(view(&mut hotel), view(&mut fork));
        }
    }
}
