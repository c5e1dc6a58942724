//! Memory that grows under load until a limit is reached.

use crate::hotel_fixture::{Hotel, NS};
use crate::overload::catalog;
use aiopslab::cluster::MetricsQuery;
use aiopslab::cluster::sim::metrics::{SCRAPE, derive};
use aiopslab::cluster::sim::store::Kind;
use aiopslab::workload::Arrivals;
use std::time::Duration;

const MIB: f64 = 1_048_576.0;

/// The application when geo's program has this of its own, and its container so many MiB.
fn hungry(program: &str, limit_mib: u32) -> Hotel {
    let geo = format!("[program.geo]\n{program}");
    let mut hotel = Hotel::deployed_with(catalog(&[("[program.geo]", geo.as_str())]), 1);
    hotel.update(Kind::DEPLOYMENT, "geo", |o| {
        let limits = aiopslab::object! { "limits" => aiopslab::object! { "memory" => format!("{limit_mib}Mi"), "cpu" => "1" } };
        o.get_mut("spec").get_mut("template").get_mut("spec").get_mut("containers").items_mut()[0].set("resources", limits);
    });
    hotel.run(60.0);
    hotel
}

/// Working sets of geo's containers at scrapes of the last seconds, in MiB.
fn working_sets(hotel: &Hotel, seconds: u64) -> Vec<f64> {
    let until = hotel.world().now;
    let names = vec!["container_memory_working_set_bytes".into()];
    let query =
        MetricsQuery { namespace: NS.into(), names, since: until - Duration::from_secs(seconds), until, step: SCRAPE, limit: usize::MAX };
    let all = derive(hotel.world(), &query);
    let of_geo = all.iter().filter(|series| series.label("container") == "hotel-reserv-geo");
    of_geo.flat_map(|series| series.samples.iter().map(|(_, bytes)| bytes / MIB)).collect()
}

/// How often geo was killed for want of memory, and its restarts.
fn kills(hotel: &Hotel) -> (usize, i64) {
    let ends = hotel.world().history.all_runs().filter(|run| run.launch.container == "hotel-reserv-geo").filter_map(|run| run.end.clone());
    let killed = ends.filter(|end| end.reason == "OOMKilled" && end.exit_code == 137).count();
    let pod = hotel.pod("geo").expect("a pod");
    (killed, pod.status().get("containerStatuses").nth(0).get("restartCount").as_i64().unwrap_or(0))
}

#[test]
fn a_leak_ends_in_a_kill_when_it_must() {
    // 60 calls a second, each of which leaves 20,000 bytes: 1.14 MiB a second. Some 9 MiB are its own.
    let mut hotel = hungry("leak = { request = 20000 }", 64);
    hotel.drive(100.0, Arrivals::Poisson);
    let began = hotel.world().now;
    let regimes = hotel.world().history.regimes(NS).count();
    hotel.run(40.0);
    assert_eq!((kills(&hotel).0, hotel.world().history.regimes(NS).count()), (0, regimes), "it lasts, and costs nothing");
    let sets = working_sets(&hotel, 35);
    assert!(sets.is_sorted() && sets.last().is_some_and(|last| (35.0..64.0).contains(last)), "{sets:?}");
    hotel.run(20.0);
    let end = hotel.world().history.all_runs().filter_map(|run| run.end.clone()).find(|end| end.reason == "OOMKilled").expect("killed");
    let after = end.at.since(began).as_secs_f64();
    let expect = (64.0 - 9.2) * MIB / 1.2e6;
    assert!((after / expect - 1.0).abs() < 0.02, "after {after} s instead of {expect}");
    let pod = hotel.pod("geo").expect("a pod");
    let last = pod.status().get("containerStatuses").nth(0).at(&["lastState", "terminated"]).clone();
    assert_eq!((last.get("reason").text(), last.get("exitCode").as_i64()), ("OOMKilled", Some(137)));
    // A restart begins anew, and ends alike.
    hotel.run(10.0);
    assert!(working_sets(&hotel, 15).last().is_some_and(|last| *last < 45.0));
    hotel.run(160.0);
    let (killed, restarts) = kills(&hotel);
    assert!(killed >= 3 && restarts == killed as i64, "{killed} kills, {restarts} restarts");
}

#[test]
fn leaks_need_no_load_and_stay_below_a_limit_that_is_high() {
    let mut hotel = hungry("leak = { second = 1000000 }", 64);
    hotel.run(45.0);
    assert_eq!(kills(&hotel).0, 1, "57 MiB at a megabyte a second");
    let mut hotel = hungry("leak = { request = 20000 }", 2000);
    hotel.drive(100.0, Arrivals::Poisson);
    hotel.run(300.0);
    assert_eq!(kills(&hotel), (0, 0));
    let sets = working_sets(&hotel, 60);
    assert!(sets.last().is_some_and(|last| (300.0..400.0).contains(last)), "{sets:?}");
}

#[test]
fn a_backlog_takes_memory() {
    // Geo serves 200 requests a second and gets 240; what waits takes half a MiB each, and its callers wait for ever.
    let memory = "memory_mib = { start = 5.0, working = 7.2, load = 2.0, cache = 8.0 }";
    let cpu = "cpu = { idle_m = 0.21, request_ms = 0.15, wake_ms = 0.62 }";
    let edits = [
        ("[program.geo]\ncancels = true", "[program.geo]"),
        (memory, "memory_mib = { start = 5.0, working = 7.2, load = 2.0, cache = 8.0, request = 0.5 }"),
        (cpu, "cpu = { request_ms = 5.0 }"),
    ];
    let mut hotel = Hotel::deployed_with(catalog(&edits), 1);
    hotel.update(Kind::DEPLOYMENT, "geo", |o| {
        let limits = aiopslab::object! { "limits" => aiopslab::object! { "memory" => "256Mi", "cpu" => "1" } };
        o.get_mut("spec").get_mut("template").get_mut("spec").get_mut("containers").items_mut()[0].set("resources", limits);
    });
    hotel.run(60.0);
    hotel.drive(400.0, Arrivals::Poisson);
    hotel.run(5.0);
    assert_eq!(kills(&hotel).0, 0);
    hotel.run(25.0);
    assert!(kills(&hotel).0 >= 1, "some 480 requests fit");
}
