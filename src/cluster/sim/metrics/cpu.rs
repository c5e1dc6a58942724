//! CPU time of a container, and what a limit does to it.
//!
//! Not modelled: the CPU time of a start, of probes and of programs that are run by hand.

use super::super::flow::sharing::PERIOD_S;
use super::Subject;

/// Share of CPU time that is spent outside of the kernel.
const USER: f64 = 0.62;

/// How often a process that nobody asks anything wakes up, per second.
const WAKES: f64 = 8.0;

/// CPU time by an instant.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// All of it, in seconds.
    pub usage: f64,
    /// Periods in which the container ran.
    pub periods: f64,
    /// Periods in which its quota was used up.
    pub throttled: f64,
    /// Seconds for which it waited then.
    pub waited: f64,
}

impl Spent {
    /// In user mode.
    pub fn user(&self) -> f64 {
        self.usage * USER
    }

    /// In the kernel.
    pub fn system(&self) -> f64 {
        self.usage * (1.0 - USER)
    }
}

/// The CPU time of a run.
pub fn spent(subject: &Subject<'_>) -> Spent {
    let idle = subject.program().map_or(0.0, |program| program.cpu.idle_m / 1e3);
    let limit = subject.run.launch.resources.cpu_limit_m.map(|milli| (milli as f64 / 1e3).max(0.001));
    let alive = subject.alive();
    let mut spent = Spent::default();
    let mut left = alive;
    for (dose, seconds, rate) in subject.load.spent(subject.run.id, subject.counts) {
        let seconds = seconds.min(left);
        left -= seconds;
        add(&mut spent, idle * seconds + dose.cpu_ms / 1e3, seconds, rate, limit);
    }
    add(&mut spent, idle * left, left, 0.0, limit);
    spent
}

/// Adds a stretch of time in which `wanted` seconds of CPU were wanted by `rate` requests per second.
fn add(spent: &mut Spent, wanted: f64, seconds: f64, rate: f64, limit: Option<f64>) {
    let Some(limit) = limit else {
        spent.usage += wanted;
        return;
    };
    let given = wanted.min(limit * seconds);
    spent.usage += given;
    if seconds <= 0.0 {
        return;
    }
    let periods = seconds / PERIOD_S;
    let ran = 1.0 - libm::exp(-(rate + WAKES) * PERIOD_S);
    // What is wanted in a period is a sum over a Poisson number of equal requests, close to normal.
    let (mean, quota) = (wanted / periods, limit * PERIOD_S);
    let each = mean / ((rate + WAKES) * PERIOD_S);
    let spread = libm::sqrt((rate + WAKES) * PERIOD_S) * each;
    let over = if spread > 0.0 { 0.5 * libm::erfc((quota - mean) / spread / std::f64::consts::SQRT_2) } else { 0.0 };
    let throttled = over.min(ran).max(if wanted > given { ran } else { 0.0 });
    spent.periods += periods * ran;
    spent.throttled += periods * throttled;
    // A throttled container has used its quota up early and waits for the period's end; one that is far over waits all the longer.
    let early = (1.0 - quota / mean.max(quota)).max(0.05) * PERIOD_S;
    spent.waited += periods * throttled * early;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_throttle() {
        let check = |wanted: f64, limit: Option<f64>, usage: f64, throttled: std::ops::Range<f64>| {
            let mut spent = Spent::default();
            add(&mut spent, wanted, 10.0, 50.0, limit);
            assert!((spent.usage - usage).abs() < 1e-9, "{spent:?}");
            assert!(throttled.contains(&spent.throttled), "{spent:?}");
            assert!(spent.throttled <= spent.periods && spent.periods <= 100.0, "{spent:?}");
        };
        check(2.0, None, 2.0, 0.0..0.1);
        check(2.0, Some(1.0), 2.0, 0.0..0.1);
        check(5.0, Some(0.5), 5.0, 40.0..60.0);
        check(20.0, Some(0.5), 5.0, 90.0..100.1);
    }
}
