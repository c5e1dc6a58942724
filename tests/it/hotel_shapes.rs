//! The hotel application under loads whose rate changes: steps and bursts.

use crate::hotel_fixture::{Hotel, NS};
use aiopslab::cluster::sim::metrics::{SCRAPE, derive};
use aiopslab::cluster::sim::store::Kind;
use aiopslab::cluster::sim::traffic::{Regime, tally};
use aiopslab::cluster::{Cluster, Identity, LogQuery, MetricsQuery, TelemetryQuery, TelemetryReply, TracesQuery};
use aiopslab::problem::Registry;
use aiopslab::session::{Options, Session};
use aiopslab::time::SimTime;
use aiopslab::workload::{Arrivals, Bursts, Height, Profile, Step};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

fn secs(secs: f64) -> Duration {
    Duration::from_secs_f64(secs)
}

fn steps(first: f64, arrivals: Arrivals, steps: &[(f64, f64)]) -> Profile {
    let steps = steps.iter().map(|(at, rate_per_s)| Step { at: secs(*at), rate_per_s: *rate_per_s }).collect();
    Profile { steps, ..Profile::steady(first, arrivals) }
}

fn bursts(rate: f64, arrivals: Arrivals, (every, lasts, height): (f64, f64, Height)) -> Profile {
    let bursts = Some(Bursts { first: secs(every), every: secs(every), lasts: secs(lasts), height });
    Profile { bursts, ..Profile::steady(rate, arrivals) }
}

fn deployed() -> Hotel {
    static DEPLOYED: OnceLock<Hotel> = OnceLock::new();
    DEPLOYED.get_or_init(|| Hotel::deployed(1)).clone()
}

fn regimes(hotel: &Hotel) -> Vec<&Regime> {
    hotel.world().history.regimes(NS).collect()
}

/// Requests in a window, and those of them that failed.
fn counted(hotel: &Hotel, from: SimTime, until: SimTime) -> (u64, u64) {
    let all = tally(hotel.world(), NS, from, until);
    let sum = |failed: bool| all.iter().filter(|t| t.error.is_some() || !failed).map(|t| t.count).sum();
    (sum(false), sum(true))
}

#[test]
fn metrics_logs_and_traces_agree_across_a_step() {
    for arrivals in [Arrivals::Poisson, Arrivals::Constant] {
        let mut hotel = deployed();
        hotel.update(Kind::DEPLOYMENT, "profile", |o| o.set_at(&["spec", "replicas"], 0));
        hotel.update(Kind::DEPLOYMENT, "frontend", |o| {
            let env = aiopslab::array![aiopslab::object! { "name" => "JAEGER_SAMPLE_RATIO", "value" => "1" }];
            o.get_mut("spec").get_mut("template").get_mut("spec").get_mut("containers").items_mut()[0].set("env", env);
        });
        hotel.run(90.0);
        let began = hotel.world().now;
        hotel.follow(steps(5.0, arrivals, &[(30.0, 25.0), (50.5, 0.0), (60.0, 2.0)]));
        hotel.run(80.0);
        let ended = hotel.world().now;
        hotel.cluster.drive(NS, None).expect("stopped");
        hotel.run(60.0);
        let now = hotel.world().now;
        let (all, failed) = counted(&hotel, began, ended);
        let expected = 5.0 * 30.0 + 25.0 * 20.5 + 2.0 * 20.0;
        let spread = if arrivals == Arrivals::Constant { 1.0 } else { 4.0 * f64::sqrt(expected) };
        assert!((all as f64 - expected).abs() <= spread, "{all} instead of {expected}");
        assert!(failed > all / 2 && failed < all, "{failed} of {all}");
        assert_eq!(counted(&hotel, began + secs(50.5), began + secs(60.0)), (0, 0), "nobody comes");
        let log = hotel.logs("frontend", LogQuery::default());
        let of_hotels = tally(hotel.world(), NS, began, ended).into_iter().filter(|t| t.endpoint == "GET /hotels" && t.error.is_some());
        let written = log.lines().filter(|line| line.contains("SearchHandler GetProfiles failed")).count() as u64;
        assert_eq!(written, of_hotels.map(|t| t.count).sum::<u64>());
        let names = ["requests_total".into()].to_vec();
        let query = MetricsQuery { namespace: NS.into(), names, since: now - SCRAPE, until: now, step: SCRAPE, limit: usize::MAX };
        let series = derive(hotel.world(), &query);
        let of_status = |ok: bool| {
            let of = series.iter().filter(|s| s.label("service") == "frontend" && (s.label("status") == "200") == ok);
            of.map(|s| s.samples.last().expect("a sample").1 as u64).sum::<u64>()
        };
        assert_eq!((of_status(true), of_status(false)), (all - failed, failed));
        let query = TracesQuery { namespace: NS.into(), since: began, until: now, service: Some("frontend".into()), limit: 100_000 };
        let Ok(TelemetryReply::Traces(traces)) = hotel.cluster.telemetry(&Identity::operator(), &TelemetryQuery::Traces(query)) else {
            panic!("no traces");
        };
        assert_eq!(traces.len() as u64, all);
        let ids: BTreeSet<_> = traces.iter().map(|trace| trace.id).collect();
        assert_eq!(ids.len() as u64, all, "no request is another one");
    }
}

#[test]
fn changes_cost_one_event_at_a_time_and_one_regime_each() {
    let mut hotel = deployed();
    hotel.follow(bursts(10.0, Arrivals::Poisson, (60.0, 5.0, Height::Factor(3.0))));
    let waiting = |hotel: &Hotel| format!("{:?}", hotel.world().queue.iter().collect::<Vec<_>>()).matches("Pace").count();
    assert_eq!(waiting(&hotel), 1);
    let before = regimes(&hotel).len();
    hotel.run(59.0);
    let (revision, settled) = (hotel.world().store.revision(), regimes(&hotel).len());
    assert_eq!(settled, before, "nothing happens between changes");
    hotel.run(3600.0);
    assert_eq!(hotel.world().store.revision(), revision, "a burst that everybody can serve changes no object");
    assert_eq!(regimes(&hotel).len(), before + 120, "two regimes a burst");
    assert_eq!(waiting(&hotel), 1);
    // Another load takes the place of this one: what stood on the queue means nothing any more.
    hotel.drive(10.0, Arrivals::Poisson);
    let before = regimes(&hotel).len();
    hotel.run(600.0);
    assert_eq!((regimes(&hotel).len(), waiting(&hotel)), (before, 0));
}

#[test]
fn a_burst_overloads_and_passes() {
    let mut hotel = deployed();
    // The frontend's limit of one core is enough for two thirds of a burst.
    hotel.follow(bursts(100.0, Arrivals::Poisson, (120.0, 25.0, Height::Rate(3000.0))));
    let began = hotel.world().now;
    hotel.run(400.0);
    let failing = |from: f64, until: f64| {
        let (all, failed) = counted(&hotel, began + secs(from), began + secs(until));
        failed as f64 / all.max(1) as f64
    };
    for burst in [120.0, 240.0] {
        assert_eq!(failing(burst - 30.0, burst), 0.0, "calm before the burst at {burst}");
        assert!(failing(burst, burst + 2.0) < 0.1, "queues take a while to grow: {}", failing(burst, burst + 2.0));
        assert!(failing(burst + 20.0, burst + 25.0) > 0.2, "{}", failing(burst + 20.0, burst + 25.0));
        assert_eq!(failing(burst + 85.0, burst + 115.0), 0.0, "worked off after the burst at {burst}");
    }
    assert!(regimes(&hotel).len() < 300, "{} regimes", regimes(&hotel).len());
}

#[test]
fn loads_are_the_same_however_they_are_looked_at() {
    let profile = || Profile {
        bursts: Some(Bursts { first: secs(7.3), every: secs(11.0), lasts: secs(2.5), height: Height::Rate(2500.0) }),
        ..steps(20.0, Arrivals::Poisson, &[(9.0, 40.0), (31.0, 4.0)])
    };
    let run = |pauses: &[f64]| {
        let mut hotel = deployed();
        hotel.follow(profile());
        let from = hotel.world().now;
        for seconds in pauses {
            hotel.run(*seconds);
            counted(&hotel, from, hotel.world().now);
        }
        let all = regimes(&hotel).iter().map(|r| (r.from, r.plan.load.stations.clone())).collect::<Vec<_>>();
        (all, tally(hotel.world(), NS, from, hotel.world().now))
    };
    assert_eq!(run(&[40.0]), run(&[7.3, 0.1, 1.6, 0.05, 30.95]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn windows_of_a_changing_load_add_up_to_the_requests_in_them(
        constant: bool, seed in 0_u64..1000, first in 0.0..40.0_f64,
        at in prop::collection::vec((0.3..20.0_f64, 0.0..60.0_f64), 0..4),
        burst in prop::option::of((2.0..15.0_f64, 0.1..0.9_f64, 0.0..4.0_f64)),
        cuts in prop::collection::vec(0.0..60.0_f64, 1..6),
    ) {
        let mut hotel = deployed();
        hotel.world_mut().seed = seed;
        let arrivals = if constant { Arrivals::Constant } else { Arrivals::Poisson };
        let mut time = 0.0;
        let at: Vec<_> = at.into_iter().map(|(pause, rate)| { time += pause; (time, rate) }).collect();
        let mut profile = steps(first, arrivals, &at);
        profile.bursts = burst.map(|(every, share, factor)| Bursts {
            first: secs(every / 2.0), every: secs(every), lasts: secs(every * share), height: Height::Factor(factor),
        });
        let began = hotel.world().now;
        hotel.follow(profile.clone());
        hotel.run(60.0);
        let mut cuts: Vec<SimTime> = cuts.into_iter().map(|at| began + secs(at)).collect();
        cuts.extend([began, began + secs(60.0)]);
        cuts.sort_unstable();
        let parts: Vec<u64> = cuts.windows(2).map(|pair| counted(&hotel, pair[0], pair[1]).0).collect();
        let whole = counted(&hotel, began, began + secs(60.0)).0;
        prop_assert_eq!(parts.iter().sum::<u64>(), whole);
        // What is counted is what is walked.
        for (pair, count) in cuts.windows(2).zip(&parts) {
            let mut walked = 0;
            for regime in regimes(&hotel) {
                let (from, until) = (regime.from.max(pair[0]), regime.until.unwrap_or(pair[1]).min(pair[1]));
                walked += regime.plan.flows.iter().map(|flow| flow.process.window(from, until.max(from), false).count()).sum::<usize>();
            }
            prop_assert_eq!(walked as u64, *count);
        }
        let (mut pace, mut expected) = (profile.start(), 0.0);
        loop {
            let until = pace.until.unwrap_or(secs(60.0)).min(secs(60.0));
            expected += pace.rate_per_s * until.saturating_sub(pace.from).as_secs_f64();
            match profile.after(&pace) {
                Some(next) if next.from < secs(60.0) => pace = next,
                _ => break,
            }
        }
        let spread = if constant { 1.0 } else { 6.0 * expected.sqrt() + 6.0 };
        prop_assert!((whole as f64 - expected).abs() <= spread, "{whole} requests instead of {expected}");
    }
}

fn session(load_rps: &str) -> Session {
    let registry = Registry::embedded();
    let problem = registry.problem("noop_detection_hotel_reservation-1").expect("known");
    Session::new(registry, problem, Options::parse(&format!(r#"{{"load_rps": {load_rps}}}"#)).expect("options"))
}

#[test]
fn episodes_have_the_load_that_was_asked_for() {
    let load = r#"{"steps": [{"at_s": 600, "rate_per_s": 30}], "bursts": {"every_s": 50, "for_s": 5, "factor": 4}}"#;
    let shown = |load: &str| {
        let mut session = session(load);
        session.reset(3).expect("begins");
        let text = "exec_shell(\"sleep 120; kubectl top pods -n test-hotel-reservation\", 300)";
        session.step(aiopslab::trajectory::Action::Text(text.to_owned())).expect("in progress").observation
    };
    assert_eq!(shown(load), shown(load));
    let mut too_much = session(r#"{"bursts": {"every_s": 50, "for_s": 5, "factor": 1000000}}"#);
    let error = too_much.reset(3).expect_err("too much").to_string();
    assert_eq!(error, "load_rps.bursts.factor makes 10000000 requests per second; there can be 1000000");
}
