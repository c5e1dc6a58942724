//! An open-loop load generator without clock and sockets: when which request is due, and what became of it.
//!
//! Requests are due by a [`Schedule`], a function of its seed, whether or not earlier ones were answered. A [`Ledger`] counts latency from
//! the instant at which a request was due ("corrected for coordinated omission"), so a stall of the application is seen by every request
//! that fell into it.

use super::{Arrival, Arrivals, Pace, Process, Profile, WHOLE, micro};
use crate::rng::Key;
use crate::time::SimTime;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How far ahead arrivals are enumerated.
const WINDOW: Duration = Duration::from_secs(1);

/// Error texts of an endpoint that a report lists.
const KINDS: usize = 8;

/// Different error texts that are counted; the rest are counted together.
const KINDS_KEPT: usize = 256;

/// Seconds of which a ledger keeps the counts.
const SECONDS: usize = 3600;

/// A request that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// When, counted from [`SimTime::ZERO`], the start of the load.
    pub at: SimTime,
    /// The endpoint, by its place in the mix.
    pub endpoint: usize,
    /// Names it among those of its endpoint.
    pub index: u64,
}

/// The requests of a load, in order of time; endless unless nothing comes any more.
#[derive(Debug, Clone)]
pub struct Schedule {
    profile: Profile,
    pace: Pace,
    /// Key and share of each endpoint.
    shares: Vec<(u64, (u64, u64))>,
    until: SimTime,
    due: VecDeque<Due>,
}

impl Schedule {
    /// The schedule of a profile and a mix of weights. Each endpoint is a share of one stream of arrivals.
    pub fn new(key: Key, profile: &Profile, weights: &[f64]) -> Schedule {
        let total: f64 = weights.iter().filter(|w| **w > 0.0).sum();
        let (mut shares, mut from) = (Vec::with_capacity(weights.len()), 0.0);
        for (at, weight) in weights.iter().enumerate() {
            let until: f64 = from + if *weight > 0.0 { weight / total } else { 0.0 };
            let bound = |share: f64| (share.clamp(0.0, 1.0) * WHOLE as f64).round() as u64;
            let key = match profile.arrivals {
                // Evenly spaced arrivals are ticks of one stream, which its shares divide.
                Arrivals::Constant => key.clone().part("arrivals"),
                Arrivals::Poisson => key.clone().part("arrivals").number(at as u64),
            };
            shares.push((key.value(), (bound(from), bound(until))));
            from = until;
        }
        Schedule { pace: profile.start(), profile: profile.clone(), shares, until: SimTime::ZERO, due: VecDeque::new() }
    }

    /// The arrivals of an endpoint at the present pace.
    fn process(&self, (key, share): (u64, (u64, u64))) -> Process {
        let (arrivals, ahead) = (self.profile.arrivals, self.pace.ahead);
        Process { arrivals, key, origin: SimTime::ZERO, rate_micro: micro(self.pace.rate_per_s), ahead, share }
    }

    /// Enumerates the next second, or as much of it as has one rate; whether anything can come after it.
    fn enumerate(&mut self) -> bool {
        let end = self.pace.until.map(|until| SimTime::ZERO + until);
        if end.is_some_and(|end| end <= self.until)
            && let Some(next) = self.profile.after(&self.pace)
        {
            self.pace = next;
            return true;
        }
        let (from, idle) = (self.until, micro(self.pace.rate_per_s) == 0);
        self.until = match end {
            Some(end) if idle => end,
            None if idle => return false,
            end => end.map_or(from + WINDOW, |end| end.min(from + WINDOW)),
        };
        let of = |(endpoint, share): (usize, &(u64, (u64, u64)))| -> Vec<Due> {
            let process = self.process(*share);
            process.window(from, self.until, false).map(|Arrival { at, id }| Due { at, endpoint, index: id }).collect()
        };
        let mut all: Vec<Due> = self.shares.iter().enumerate().flat_map(of).collect();
        all.sort_by_key(|due| (due.at, due.endpoint, due.index));
        self.due = all.into();
        true
    }
}

impl Iterator for Schedule {
    type Item = Due;

    fn next(&mut self) -> Option<Due> {
        if self.shares.iter().all(|(_, share)| share.0 == share.1) || !self.profile.peak().is_finite() || micro(self.profile.peak()) == 0 {
            return None;
        }
        while self.due.is_empty() {
            if !self.enumerate() {
                return None;
            }
        }
        self.due.pop_front()
    }
}

/// Latencies in buckets that are at most 1/32 of their value wide, from a microsecond up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Histogram {
    buckets: BTreeMap<u32, u64>,
    count: u64,
    sum: u64,
    max: u64,
}

/// Buckets of one power of two.
const STEPS: u64 = 32;

impl Histogram {
    /// Counts a value in microseconds.
    pub fn add(&mut self, value_us: u64) {
        *self.buckets.entry(bucket(value_us)).or_insert(0) += 1;
        self.count += 1;
        self.sum = self.sum.saturating_add(value_us);
        self.max = self.max.max(value_us);
    }

    /// Adds the counts of another one.
    pub fn merge(&mut self, other: &Histogram) {
        for (bucket, count) in &other.buckets {
            *self.buckets.entry(*bucket).or_insert(0) += count;
        }
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }

    /// The value that a share of all are at most, in microseconds; 0 when there is none. The upper end of its bucket, so at most 1/32 high.
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = ((share.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in &self.buckets {
            seen += count;
            if seen >= wanted {
                return upper_end(*bucket).min(self.max);
            }
        }
        0
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean of all values; 0 when there is none.
    pub fn mean(&self) -> u64 {
        self.sum.checked_div(self.count).unwrap_or(0)
    }

    /// The greatest value, exactly.
    pub fn max(&self) -> u64 {
        self.max
    }
}

fn bucket(value: u64) -> u32 {
    if value < STEPS {
        return value as u32;
    }
    let power = 63 - value.leading_zeros();
    let step = (value >> (power - 5)) - STEPS;
    (power - 4) * STEPS as u32 + step as u32
}

fn upper_end(bucket: u32) -> u64 {
    if u64::from(bucket) < STEPS {
        return u64::from(bucket);
    }
    let (power, step) = (bucket / STEPS as u32 + 4, u64::from(bucket % STEPS as u32));
    ((STEPS + step + 1) << (power - 5)).saturating_sub(1)
}

/// What a load did since it was started.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LoadReport {
    /// Seconds since its start.
    pub seconds: f64,
    /// By endpoint, in the plan's order.
    pub endpoints: Vec<EndpointReport>,
}

/// What a load did at one endpoint.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EndpointReport {
    /// Name.
    pub name: String,
    /// Requests whose end is known.
    pub requests: u64,
    /// Those that failed: not sent, no answer, or a status of 400 and above.
    pub errors: u64,
    /// Those that were not sent because too many were under way.
    pub not_sent: u64,
    /// Error texts with how often each was met, the most frequent first.
    pub kinds: Vec<(String, u64)>,
    /// Latency from the instant at which requests were due, in microseconds: quantiles 0.5, 0.9, 0.95, 0.99 and the maximum.
    pub latency_us: [u64; 5],
    /// The mean of these latencies.
    #[serde(default)]
    pub mean_us: u64,
    /// Requests due in each second since the start, and how many of them failed; at most an hour.
    pub per_second: Vec<(u64, u64)>,
}

/// What became of requests.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    endpoints: Vec<Account>,
}

#[derive(Debug, Clone, Default)]
struct Account {
    name: String,
    latency: Histogram,
    errors: u64,
    not_sent: u64,
    kinds: BTreeMap<String, u64>,
    per_second: Vec<(u64, u64)>,
}

impl Ledger {
    /// A ledger of endpoints by name.
    pub fn new(names: Vec<String>) -> Ledger {
        Ledger { endpoints: names.into_iter().map(|name| Account { name, ..Account::default() }).collect() }
    }

    /// A request that was due at `due` ended after `latency` (counted from then) with a status (0 for no answer) and an error text.
    pub fn done(&mut self, endpoint: usize, due: Duration, latency: Duration, (status, error): (u16, &str)) {
        let Some(account) = self.endpoints.get_mut(endpoint) else { return };
        account.latency.add(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        let failed = status == 0 || status >= 400;
        if failed {
            let text = if status == 0 { error.to_owned() } else { format!("{status} {error}") };
            account.fail(&text);
        }
        account.second(due, failed);
    }

    /// A request could not be sent when it was due.
    pub fn not_sent(&mut self, endpoint: usize, due: Duration) {
        let Some(account) = self.endpoints.get_mut(endpoint) else { return };
        account.not_sent += 1;
        account.fail("not sent: too many requests were under way");
        account.second(due, true);
    }

    /// What happened until now.
    pub fn report(&self, since_start: Duration) -> LoadReport {
        LoadReport { seconds: since_start.as_secs_f64(), endpoints: self.endpoints.iter().map(Account::report).collect() }
    }
}

impl Account {
    fn fail(&mut self, text: &str) {
        self.errors += 1;
        let known = self.kinds.contains_key(text) || self.kinds.len() < KINDS_KEPT;
        *self.kinds.entry(if known { text.to_owned() } else { "other errors".to_owned() }).or_insert(0) += 1;
    }

    fn second(&mut self, due: Duration, failed: bool) {
        let at = usize::try_from(due.as_secs()).unwrap_or(SECONDS).min(SECONDS - 1);
        if self.per_second.len() <= at {
            self.per_second.resize(at + 1, (0, 0));
        }
        let (requests, errors) = &mut self.per_second[at];
        *requests += 1;
        *errors += u64::from(failed);
    }

    fn report(&self) -> EndpointReport {
        let mut kinds: Vec<(String, u64)> = self.kinds.iter().map(|(text, count)| (text.clone(), *count)).collect();
        kinds.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        kinds.truncate(KINDS);
        let latency = &self.latency;
        EndpointReport {
            name: self.name.clone(),
            requests: latency.count() + self.not_sent,
            errors: self.errors,
            not_sent: self.not_sent,
            kinds,
            latency_us: [latency.quantile(0.5), latency.quantile(0.9), latency.quantile(0.95), latency.quantile(0.99), latency.max()],
            mean_us: latency.mean(),
            per_second: self.per_second.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(seconds: u64, key: u64, rate: f64, arrivals: Arrivals, weights: &[f64]) -> Vec<Due> {
        let end = SimTime::from_secs(seconds);
        Schedule::new(Key::new(key), &Profile::steady(rate, arrivals), weights).take_while(|due| due.at < end).collect()
    }

    #[test]
    fn a_schedule_is_a_function_of_its_seed_and_in_order() {
        for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
            let all = first(20, 1, 50.0, arrivals, &[60.0, 39.0, 1.0]);
            assert_eq!(all, first(20, 1, 50.0, arrivals, &[60.0, 39.0, 1.0]));
            assert_ne!(all, first(20, 2, 50.0, arrivals, &[60.0, 39.0, 1.0]));
            assert!(all.windows(2).all(|pair| pair[0].at <= pair[1].at));
        }
    }

    #[test]
    fn rates_and_shares_are_kept() {
        // 200 s at 50/s: 10,000 arrivals; a Poisson count deviates by 100, taken five times.
        let count =
            |arrivals, endpoint| first(200, 7, 50.0, arrivals, &[3.0, 1.0]).iter().filter(|d| d.endpoint == endpoint).count() as f64;
        assert!((count(Arrivals::Constant, 0) - 7500.0).abs() <= 2.0 && (count(Arrivals::Constant, 1) - 2500.0).abs() <= 2.0);
        assert!((count(Arrivals::Poisson, 0) - 7500.0).abs() < 435.0 && (count(Arrivals::Poisson, 1) - 2500.0).abs() < 250.0);
        // The variance of a Poisson count is its mean.
        let counts: Vec<f64> = (0..200)
            .map(|second| {
                let window = SimTime::from_secs(second)..SimTime::from_secs(second + 1);
                first(200, 7, 50.0, Arrivals::Poisson, &[1.0]).iter().filter(|d| window.contains(&d.at)).count() as f64
            })
            .collect();
        let mean = counts.iter().sum::<f64>() / 200.0;
        let variance = counts.iter().map(|c| (c - mean) * (c - mean)).sum::<f64>() / 199.0;
        assert!((0.6..1.5).contains(&(variance / mean)), "variance {variance} at mean {mean}");
    }

    #[test]
    fn no_rate_and_no_weight_send_nothing() {
        let none = |rate, arrivals, weights: &[f64]| {
            assert_eq!(Schedule::new(Key::new(1), &Profile::steady(rate, arrivals), weights).next(), None);
        };
        none(0.0, Arrivals::Poisson, &[1.0]);
        none(5.0, Arrivals::Constant, &[]);
        none(f64::NAN, Arrivals::Constant, &[1.0]);
        assert!(first(30, 1, 5.0, Arrivals::Poisson, &[0.0, 1.0]).iter().all(|due| due.endpoint == 1));
    }

    #[test]
    fn steps_and_bursts_are_followed() {
        use crate::workload::{Bursts, Height, Step};
        let step = |at, rate_per_s| Step { at: Duration::from_secs(at), rate_per_s };
        let secs = Duration::from_secs;
        let bursts = Bursts { first: secs(30), every: secs(30), lasts: secs(5), height: Height::Rate(100.0) };
        let steps = vec![step(10, 0.0), step(20, 50.0), step(60, 0.5)];
        for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
            let profile = Profile { steps: steps.clone(), bursts: Some(bursts), ..Profile::steady(20.0, arrivals) };
            let due: Vec<Due> = Schedule::new(Key::new(3), &profile, &[1.0]).take_while(|due| due.at < SimTime::from_secs(90)).collect();
            let count = |from: u64, until: u64| {
                due.iter().filter(|d| (SimTime::from_secs(from)..SimTime::from_secs(until)).contains(&d.at)).count()
            };
            let stretches = [(0, 10, 200), (10, 20, 0), (20, 30, 500), (30, 35, 500), (35, 60, 1250), (60, 65, 500), (65, 90, 12)];
            for (from, until, expect) in stretches {
                let found = count(from, until) as f64;
                let spread = if arrivals == Arrivals::Constant { 1.0 } else { 5.0 * f64::from(expect).sqrt() };
                assert!((found - f64::from(expect)).abs() <= spread, "{found} in {from}..{until} instead of {expect}");
            }
            assert!(due.windows(2).all(|pair| pair[0].at <= pair[1].at && pair[0].index != pair[1].index));
        }
        let over = Profile { steps: vec![step(10, 0.0)], ..Profile::steady(20.0, Arrivals::Constant) };
        assert_eq!(Schedule::new(Key::new(3), &over, &[1.0]).count(), 200, "nothing comes any more");
    }

    #[test]
    fn quantiles_are_at_most_a_bucket_high() {
        let mut histogram = Histogram::default();
        (1..=10_000).for_each(|value| histogram.add(value));
        for (share, exact) in [(0.5, 5000.0), (0.9, 9000.0), (0.99, 9900.0), (1.0, 10_000.0)] {
            let found = histogram.quantile(share) as f64;
            assert!((exact..=exact * (1.0 + 1.0 / 32.0)).contains(&found), "{share}: {found} for {exact}");
        }
        let mut twice = histogram.clone();
        twice.merge(&histogram);
        assert_eq!((twice.count(), twice.quantile(0.5)), (20_000, histogram.quantile(0.5)));
        for value in [0, 1, 31, 32, 33, 1000, u64::MAX / 2, u64::MAX] {
            assert!(upper_end(bucket(value)) >= value || value == u64::MAX, "{value}");
        }
    }

    #[test]
    fn a_stall_shows_in_every_request_that_fell_into_it() {
        // A server that answers at once, but stands still from second 10 to second 12.
        let mut ledger = Ledger::new(vec!["GET /".to_owned()]);
        for due in first(100, 3, 100.0, Arrivals::Constant, &[1.0]) {
            let at = due.at.since(SimTime::ZERO).as_secs_f64();
            let answered = if (10.0..12.0).contains(&at) { 12.0 } else { at + 0.001 };
            ledger.done(0, due.at.since(SimTime::ZERO), Duration::from_secs_f64(answered - at), (200, ""));
        }
        let report = ledger.report(Duration::from_secs(100));
        let [median, _, _, p99, max] = report.endpoints[0].latency_us;
        assert!(median < 1100, "{median}");
        assert!((900_000..1_100_000).contains(&p99), "2 % of the requests waited, evenly up to two seconds: {p99}");
        assert!((1_990_000..=2_000_001).contains(&max), "{max}");
    }

    #[test]
    fn errors_are_counted_by_kind_and_second() {
        let mut ledger = Ledger::new(vec!["a".to_owned(), "b".to_owned()]);
        ledger.done(0, Duration::from_millis(500), Duration::from_millis(1), (200, ""));
        ledger.done(0, Duration::from_millis(1500), Duration::from_millis(1), (500, "boom"));
        ledger.done(0, Duration::from_millis(1600), Duration::from_secs(10), (0, "no answer"));
        ledger.not_sent(0, Duration::from_millis(2500));
        ledger.done(9, Duration::ZERO, Duration::ZERO, (200, ""));
        let report = ledger.report(Duration::from_secs(3));
        let a = &report.endpoints[0];
        assert_eq!((a.requests, a.errors, a.not_sent), (4, 3, 1));
        assert_eq!(a.per_second, [(1, 0), (2, 2), (1, 1)]);
        assert_eq!(a.kinds[0], ("500 boom".to_owned(), 1));
        assert_eq!(report.endpoints[1], EndpointReport { name: "b".into(), ..EndpointReport::default() });
    }
}
