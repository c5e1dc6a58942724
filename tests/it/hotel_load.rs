//! The hotel application under more load than usual: utilisation, queues, overload, recovery.

use crate::hotel_fixture::{Hotel, NS};
use aiopslab::cluster::sim::flow::StationLoad;
use aiopslab::cluster::sim::traffic::{self, Regime};
use aiopslab::workload::Arrivals;
use std::time::Duration;

fn regime(hotel: &Hotel) -> &Regime {
    hotel.world().history.regimes(NS).last().expect("driven")
}

/// The process of a container under load.
fn station(hotel: &Hotel, container: &str) -> StationLoad {
    let plan = &regime(hotel).plan;
    let is_it = |run| hotel.world().history.run(run).is_some_and(|run| run.launch.container == container);
    let at = plan.network.runs.iter().position(|run| is_it(*run)).expect("under load");
    plan.load.stations[at]
}

/// Share of the requests of the last `seconds` that failed.
fn failing(hotel: &Hotel, seconds: u64) -> f64 {
    let now = hotel.world().now;
    let tally = traffic::tally(hotel.world(), NS, now - Duration::from_secs(seconds), now);
    let all: u64 = tally.iter().map(|t| t.count).sum();
    let failed: u64 = tally.iter().filter(|t| t.error.is_some()).map(|t| t.count).sum();
    failed as f64 / all.max(1) as f64
}

#[test]
fn utilisation_follows_the_load() {
    // Millicores measured at 10 and 50 requests a second, without what idle processes take.
    let check = |rate: f64, container: &str, expect: f64| {
        let mut hotel = Hotel::deployed(1);
        hotel.drive(rate, Arrivals::Poisson);
        hotel.run(60.0);
        let used = station(&hotel, container).used * 1e3;
        assert!((used / expect - 1.0).abs() < 0.1, "{container} at {rate}/s: {used} m instead of {expect}");
        assert_eq!(failing(&hotel, 30), 0.0);
    };
    check(10.0, "hotel-reserv-frontend", 11.35);
    check(50.0, "hotel-reserv-frontend", 39.5);
    check(10.0, "hotel-reserv-search", 7.95);
    check(50.0, "hotel-reserv-profile", 24.5);
    check(1000.0, "hotel-reserv-profile-mmc", 42.1);
}

#[test]
fn a_settled_load_is_one_regime_at_any_rate() {
    for rate in [10.0, 1000.0] {
        let mut hotel = Hotel::deployed(1);
        hotel.drive(rate, Arrivals::Poisson);
        let before = hotel.world().history.regimes(NS).count();
        hotel.run(600.0);
        assert_eq!(hotel.world().history.regimes(NS).count(), before);
        assert!(!regime(&hotel).plan.pressure.queues(), "nobody is busy at {rate}/s");
    }
}

#[test]
fn a_limit_holds_back_what_is_near_it() {
    let mut hotel = Hotel::deployed(1);
    hotel.drive(1900.0, Arrivals::Poisson);
    hotel.run(30.0);
    let frontend = station(&hotel, "hotel-reserv-frontend");
    assert!(frontend.slowdown > 1.02 && frontend.throttled > 0.0, "{frontend:?}");
    let geo = station(&hotel, "hotel-reserv-geo");
    assert!(geo.slowdown < 1.01 && geo.throttled < 1e-6, "{geo:?}");
}

#[test]
fn overload_grows_until_users_give_up_and_is_worked_off() {
    let mut hotel = Hotel::deployed(1);
    hotel.drive(100.0, Arrivals::Poisson);
    hotel.run(30.0);
    assert_eq!(failing(&hotel, 20), 0.0);
    // The frontend's limit of one core is enough for two thirds of this.
    hotel.drive(3000.0, Arrivals::Poisson);
    hotel.run(5.0);
    assert!(failing(&hotel, 2) < 0.1, "queues take a while to grow: {}", failing(&hotel, 2));
    hotel.run(75.0);
    let (share, jobs) = (failing(&hotel, 5), station(&hotel, "hotel-reserv-frontend").jobs);
    assert!((0.3..0.8).contains(&share), "{share}");
    assert!(jobs > 5_000.0, "{jobs}");
    let regimes = hotel.world().history.regimes(NS).count();
    assert!(regimes < 80, "{regimes} regimes");
    hotel.drive(100.0, Arrivals::Poisson);
    hotel.run(1.0);
    assert!(station(&hotel, "hotel-reserv-frontend").jobs > 1_000.0, "what is queued stays queued");
    hotel.run(60.0);
    assert_eq!(failing(&hotel, 20), 0.0);
    assert!(station(&hotel, "hotel-reserv-frontend").jobs < 1.0);
}

#[test]
fn transients_are_the_same_however_they_are_looked_at() {
    let run = |pauses: &[f64]| {
        let mut hotel = Hotel::deployed(1);
        hotel.drive(3000.0, Arrivals::Poisson);
        for seconds in pauses {
            hotel.run(*seconds);
            failing(&hotel, 5);
        }
        let regimes = hotel.world().history.regimes(NS).map(|r| (r.from, r.plan.load.stations.clone())).collect::<Vec<_>>();
        (regimes, traffic::tally(hotel.world(), NS, regimes_start(&hotel), hotel.world().now))
    };
    assert_eq!(run(&[40.0]), run(&[1.3, 7.7, 0.05, 30.95]));
}

fn regimes_start(hotel: &Hotel) -> aiopslab::time::SimTime {
    hotel.world().history.regimes(NS).next().expect("driven").from
}

/// Times of requests of the load as users see them, in milliseconds, sorted.
fn times(hotel: &Hotel, endpoint: &str) -> Vec<f64> {
    let regime = regime(hotel);
    let flows = regime.plan.flows.iter().filter(|flow| regime.plan.endpoints[flow.entry].name == endpoint);
    let now = hotel.world().now;
    let of = |flow: &traffic::Flow| -> Vec<f64> {
        let arrivals = flow.process.window(now - Duration::from_secs(120), now, false).take(2000);
        arrivals.map(|a| regime.request(hotel.world().seed, flow, a, false, false).took.as_secs_f64() * 1e3).collect()
    };
    let mut all: Vec<f64> = flows.flat_map(of).collect();
    all.sort_by(f64::total_cmp);
    all
}

#[test]
fn times_are_those_of_the_recorded_application() {
    // Endpoint, requests per second, measured mean, median and 95th percentile, and how far from each: at 10/s the recording has a long tail
    // of a shared machine's making.
    let check = |endpoint: &str, rate: f64, measured: [f64; 3], within: [f64; 3]| {
        let mut hotel = Hotel::deployed(1);
        hotel.drive(rate, Arrivals::Poisson);
        hotel.run(240.0);
        let times = times(&hotel, endpoint);
        let at = |p: f64| times[((times.len() - 1) as f64 * p) as usize];
        let found = [times.iter().sum::<f64>() / times.len() as f64, at(0.5), at(0.95)];
        println!("{endpoint} at {rate}/s: {found:.2?} measured {measured:.2?}");
        for ((found, measured), within) in found.iter().zip(measured).zip(within) {
            assert!((found / measured - 1.0).abs() < within, "{endpoint} at {rate}/s: {found:.2} ms instead of {measured}");
        }
    };
    check("GET /hotels", 10.0, [5.06, 4.22, 9.63], [0.15, 0.05, 0.4]);
    check("GET /hotels", 50.0, [3.45, 3.34, 5.09], [0.1, 0.1, 0.1]);
    check("GET /recommendations", 10.0, [2.49, 2.19, 4.88], [0.15, 0.15, 0.3]);
    check("GET /recommendations", 50.0, [1.68, 1.64, 2.56], [0.1, 0.1, 0.2]);
}
