//! Processor sharing: how long work takes on cores that others use too. Closed forms.
//!
//! * Mean number of jobs on `c` cores with Poisson arrivals: `a + C(c, a) ρ/(1−ρ)`, where `a` is the offered load in cores, `ρ = a/c` and
//!   C is Erlang's formula. Insensitive to the distribution of demand (Kelly, Reversibility and Stochastic Networks, 1979, section 3.3).
//! * Variance of a job's time given its demand: that of M/M/1-PS (Coffman, Muntz, Trotter, J. ACM 17(1), 1970), with the
//!   demand's second moment in place of the exponential's.
//! * A CPU limit is a bucket that a quota of CPU time flows into every 100 ms (Linux's CFS bandwidth control). Work waits when the backlog is
//!   larger than the bucket; the backlog's tail is exponential with the decay of M/G/1 in heavy traffic.
//! * Times of several steps have the sums of their first three cumulants, and the tail of a shifted lognormal time with those.

use super::net::Moments;

/// How often the kernel refills a quota, in seconds: `cpu.cfs_period_us` as the kubelet sets it.
pub const PERIOD_S: f64 = 0.1;

/// Utilisation up to which queues are those of a settled system; above, what is more counts as backlog.
pub const FULL: f64 = 0.99;

/// Probability that a job finds every core busy: Erlang C of `a` on `c` cores, between whole numbers of cores by Sakasegawa's
/// approximation (Ann. Inst. Stat. Math. 29, 1977).
pub fn erlang_c(c: f64, a: f64) -> f64 {
    if a <= 0.0 {
        return 0.0;
    }
    let rho = a / c;
    if rho >= 1.0 {
        return 1.0;
    }
    if (c - libm::round(c)).abs() > 1e-9 || !(1.0..256.0).contains(&c) {
        return libm::pow(rho, libm::sqrt(2.0 * (c + 1.0)) - 1.0).min(1.0);
    }
    // Erlang B by its recursion, then C.
    let mut blocking = 1.0;
    for servers in 1..=(libm::round(c) as u32) {
        let busy = a * blocking;
        blocking = busy / (f64::from(servers) + busy);
    }
    blocking / (1.0 - rho * (1.0 - blocking))
}

/// Jobs that wait in the mean, beyond those that work: `a` cores of work offered to `c`.
pub fn waiting(c: f64, a: f64) -> f64 {
    let rho = (a / c).min(FULL);
    erlang_c(c, rho * c) * rho / (1.0 - rho)
}

/// Jobs that wait for a quota of `limit` cores, with `a` cores of work offered in pieces of residual mean `residual` seconds.
pub fn throttled(limit: f64, a: f64, residual: f64) -> f64 {
    let rho = (a / limit).min(FULL);
    let wait = rho * rho / (1.0 - rho);
    wait * backlog_beyond(limit * PERIOD_S, rho, residual)
}

/// Probability that the backlog of a queue at utilisation `rho` is beyond `bucket` seconds of work, given that there is one.
fn backlog_beyond(bucket: f64, rho: f64, residual: f64) -> f64 {
    if residual <= 0.0 { 0.0 } else { libm::exp(-bucket * (1.0 - rho) / residual) }
}

/// Share of the periods of 100 ms in which a process with a limit runs out of its quota.
pub fn throttled_share(limit: f64, a: f64, residual: f64) -> f64 {
    if !limit.is_finite() || a <= 0.0 {
        return 0.0;
    }
    let rho = a / limit;
    if rho >= 1.0 {
        return 1.0;
    }
    (rho * backlog_beyond(limit * PERIOD_S, rho, residual)).min(1.0)
}

/// Variance of the time of a job with demand `x` on cores at utilisation `rho` in jobs of mean `service`, relative to its square.
///
/// For several cores it is scaled by how much less is waited for there, as measured against simulations.
pub fn relative_variance(x: f64, rho: f64, service: f64, slowdown: f64) -> f64 {
    if x <= 0.0 || rho <= 0.0 || service <= 0.0 {
        return 0.0;
    }
    let rho = rho.min(FULL);
    let idle = 1.0 - rho;
    let y = x * idle / service;
    let variance = if y < 1e-3 {
        rho * x * x / (idle * idle) * (1.0 - y / 3.0)
    } else {
        let (first, fourth) = (2.0 * rho * x * service / (idle * idle * idle), 2.0 * rho * service * service / (idle * idle * idle * idle));
        (first + fourth * libm::expm1(-y)).max(0.0)
    };
    let single = rho / idle;
    let k = ((slowdown - 1.0) / single).clamp(0.0, 1.0);
    variance / (x * x) * (k * k / (0.5 * k + 0.5))
}

/// A time as a constant and a lognormal part with the same three moments.
struct Shifted {
    constant: f64,
    mean: f64,
    sigma: f64,
}

impl Shifted {
    /// `None` for a time that is always the same.
    fn of(time: Moments) -> Option<Shifted> {
        let deviation = libm::sqrt(time.variance);
        if deviation <= 1e-9 * time.mean {
            return None;
        }
        // With c the coefficient of variation of the lognormal part, its skewness c³ + 3c is the time's.
        let skewness = (time.third / (time.variance * deviation)).max(1e-3);
        let c = 2.0 * libm::sinh(libm::asinh(skewness / 2.0) / 3.0);
        let mean = deviation / c;
        Some(Shifted { constant: time.mean - mean, mean, sigma: libm::sqrt(libm::log1p(c * c)) })
    }

    /// Where `limit` lies among the logarithms, in standard deviations.
    fn place(&self, limit: f64) -> f64 {
        let rest = limit - self.constant;
        if rest > 0.0 { libm::log(rest / self.mean) / self.sigma + self.sigma / 2.0 } else { f64::NEG_INFINITY }
    }
}

/// Whether hardly any time with these moments is longer than `limit`.
fn is_far(time: Moments, limit: f64) -> bool {
    !limit.is_finite() || time.mean <= 0.0 || limit > time.mean + 60.0 * libm::sqrt(time.variance)
}

/// Probability that a time with these moments is longer than `limit`, as that of a lognormal time that was shifted.
pub fn tail(time: Moments, limit: f64) -> f64 {
    if is_far(time, limit) {
        return 0.0;
    }
    Shifted::of(time).map_or(f64::from(u8::from(time.mean > limit)), |shifted| above(shifted.place(limit)))
}

/// Mean of the smaller of a time and `limit`.
pub fn capped(time: Moments, limit: f64) -> f64 {
    if is_far(time, limit) {
        return time.mean;
    }
    let Some(shifted) = Shifted::of(time) else { return time.mean.min(limit) };
    let z = shifted.place(limit);
    if z == f64::NEG_INFINITY {
        return limit;
    }
    let (low, high) = (1.0 - above(z), above(z));
    (shifted.constant * low + shifted.mean * (1.0 - above(z - shifted.sigma)) + limit * high).min(limit)
}

/// The time that a share `p` of times with these moments do not exceed, by bisection.
pub fn quantile(time: Moments, p: f64) -> f64 {
    let (mut low, mut high) = (0.0, time.mean + 100.0 * libm::sqrt(time.variance));
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if tail(time, middle) > 1.0 - p {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// Probability that a second attempt is late too, when a share `late` of first ones is and their times are correlated like this: that of
/// correlated normal deviates, the second one's taken as normal given the first.
pub fn late_again(late: f64, correlation: f64) -> f64 {
    if late <= 0.0 || late >= 1.0 || correlation <= 0.0 {
        return late;
    }
    let z = deviate(late);
    let density = libm::exp(-z * z / 2.0) / libm::sqrt(2.0 * std::f64::consts::PI);
    let mean = density / late;
    let variance = 1.0 - correlation * correlation * mean * (mean - z);
    above((z - correlation * mean) / libm::sqrt(variance.max(1e-6))).clamp(late, 1.0)
}

/// The standard normal deviate that is exceeded with probability `p`: Hastings' approximation (Approximations for Digital Computers, 1955,
/// sheet 67), within 0.0005.
fn deviate(p: f64) -> f64 {
    let t = libm::sqrt(-2.0 * libm::log(p.min(1.0 - p).max(1e-300)));
    let top = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let z = t - top / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)));
    if p < 0.5 { z } else { -z }
}

/// Probability that a standard normal deviate is above `z`.
fn above(z: f64) -> f64 {
    0.5 * libm::erfc(z / std::f64::consts::SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erlang_s_formula() {
        let check = |c: f64, a: f64, expect: f64| assert!((erlang_c(c, a) - expect).abs() < 1e-4, "C({c}, {a}) = {}", erlang_c(c, a));
        check(1.0, 0.7, 0.7);
        check(2.0, 1.0, 1.0 / 3.0);
        check(2.0, 1.6, 0.7111);
        check(10.0, 8.0, 0.4092);
        check(3.0, 0.0, 0.0);
        check(1.0, 2.0, 1.0);
        let between = (erlang_c(1.5, 0.9), erlang_c(1.0, 0.6), erlang_c(2.0, 1.2));
        assert!(between.2 < between.0 && between.0 < between.1, "{between:?}");
    }

    #[test]
    fn lateness_repeats_itself() {
        let check = |late: f64, correlation: f64, expect: f64| {
            let found = late_again(late, correlation);
            assert!((found - expect).abs() < 0.02, "{late} {correlation}: {found} instead of {expect}");
        };
        check(0.1, 0.0, 0.1);
        // P(Z₂ > z | Z₁ > z), by numerical integration.
        check(0.1, 0.5, 0.324);
        check(0.5, 0.5, 0.667);
        check(0.01, 0.5, 0.129);
        check(0.3, 0.9, 0.787);
        assert!([0.3, 0.1, 0.01].iter().all(|p| (above(deviate(*p)) / p - 1.0).abs() < 0.01));
    }

    #[test]
    fn jobs_that_wait() {
        let check = |c: f64, a: f64, expect: f64| assert!((waiting(c, a) / expect - 1.0).abs() < 1e-3, "{c} {a}: {}", waiting(c, a));
        // M/M/1: ρ²/(1−ρ); M/M/2: C ρ/(1−ρ).
        check(1.0, 0.5, 0.5);
        check(1.0, 0.9, 8.1);
        check(2.0, 1.8, 7.6737);
        assert!(waiting(1.0, 5.0).is_finite());
    }

    #[test]
    fn limits_hold_back_what_is_beyond_the_bucket() {
        // Half a millisecond of work apiece and a quota of 100 ms: nothing until very near the limit.
        assert!(throttled(1.0, 0.9, 0.0005) < 1e-6);
        assert!(throttled(1.0, 0.985, 0.0005) > 1.0);
        // A hundred milliseconds apiece: as without a bucket, nearly.
        assert!(throttled(1.0, 0.9, 0.1) > 0.9 * 8.1 * libm::exp(-0.1));
        assert_eq!(throttled_share(f64::INFINITY, 3.0, 0.1), 0.0);
        assert_eq!(throttled_share(1.0, 1.2, 0.1), 1.0);
    }

    #[test]
    fn lognormal_tails() {
        let check = |cv: f64, limit: f64, expect: f64| {
            let found = tail(Moments::of(1.0, cv), limit);
            assert!((found - expect).abs() < 1e-3, "cv {cv}, {limit}: {found}");
        };
        check(1.0, 1.0, 0.3386);
        check(1.0, 5.0, 0.0091);
        check(0.0, 0.5, 1.0);
        check(0.0, 1.5, 0.0);
        assert_eq!(tail(Moments::of(1.0, 1.0), f64::INFINITY), 0.0);
        // The mean of the smaller one by summing the tail.
        let step = 1e-3;
        let summed: f64 = (0..2000).map(|i| tail(Moments::of(1.0, 1.0), (f64::from(i) + 0.5) * step) * step).sum();
        assert!((quantile(Moments::of(1.0, 1.0), 0.9909) - 5.0).abs() < 0.1);
        assert!((capped(Moments::of(1.0, 1.0), 2.0) - summed).abs() < 1e-3, "{} {summed}", capped(Moments::of(1.0, 1.0), 2.0));
    }

    #[test]
    fn variance_of_processor_sharing() {
        // For very small jobs the queue stands still: the coefficient of variation is the root of ρ over one minus ρ, as slowdown 1/(1−ρ) goes.
        let small = relative_variance(1e-9, 0.8, 1.0, 5.0);
        assert!((small / (0.8 / 0.04) - 1.0).abs() < 1e-3, "{small}");
        // The series and the formula agree where they meet.
        let (low, high) = (relative_variance(0.00499, 0.8, 1.0, 5.0), relative_variance(0.00501, 0.8, 1.0, 5.0));
        assert!((low / high - 1.0).abs() < 1e-2, "{low} {high}");
        // Large jobs see the mean.
        assert!(relative_variance(1e4, 0.8, 1.0, 5.0) < 0.1);
    }
}
