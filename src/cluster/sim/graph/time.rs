//! Random times that are drawn often: lognormal, with everything that does not depend on the draw computed once.
//!
//! The normal deviate comes from a table of its quantiles with linear interpolation, which moves the mean of a lognormal time
//! by less than a thousandth. (A walk draws some thirty times; exact deviates took most of its time.)

use crate::app::Span;
use crate::rng::Stream;
use std::sync::OnceLock;
use std::time::Duration;

/// A lognormal time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Time {
    /// Mean of the logarithm of nanoseconds.
    mu: f64,
    /// Standard deviation of the logarithm; 0 for a time that is always the same.
    sigma: f64,
    /// The mean in nanoseconds.
    mean: f64,
}

/// Intervals of the table.
const CELLS: usize = 2048;

impl Time {
    /// A time with the mean and spread of a span.
    pub fn new(span: Span) -> Self {
        let (mean, variance) = (span.mean_ms.max(0.0) * 1e6, libm::log1p(span.cv * span.cv));
        Time { mu: if mean > 0.0 { libm::log(mean) - variance / 2.0 } else { 0.0 }, sigma: libm::sqrt(variance), mean }
    }

    /// A lognormal time with this mean in seconds and this variance.
    pub fn with(mean: f64, variance: f64) -> Self {
        let cv = if mean > 0.0 { libm::sqrt(variance) / mean } else { 0.0 };
        Time::new(Span { mean_ms: mean * 1e3, cv })
    }

    /// Its mean, and its standard deviation over that.
    pub fn mean_and_cv(&self) -> (Duration, f64) {
        (Duration::from_nanos(self.mean as u64), libm::sqrt(libm::expm1(self.sigma * self.sigma)))
    }

    /// Draws a time.
    pub fn draw(&self, stream: &mut Stream) -> Duration {
        let nanos = if self.sigma == 0.0 || self.mean == 0.0 { self.mean } else { libm::exp(self.mu + self.sigma * normal(stream)) };
        Duration::from_nanos(nanos as u64)
    }
}

/// A standard normal deviate.
fn normal(stream: &mut Stream) -> f64 {
    static TABLE: OnceLock<Vec<f64>> = OnceLock::new();
    let table = TABLE.get_or_init(|| (0..=CELLS).map(|at| quantile(at as f64 / CELLS as f64)).collect());
    let at = stream.unit() * CELLS as f64;
    let cell = at as usize;
    match (table.get(cell), table.get(cell + 1)) {
        (Some(low), Some(high)) => low + (high - low) * (at - cell as f64),
        _ => 0.0,
    }
}

/// Where the table ends, in cells: there the mean over the outermost cell, interpolated, is that of the distribution's tail.
const END: f64 = 0.12;

/// The quantile of the standard normal distribution, by bisection on its distribution function.
fn quantile(p: f64) -> f64 {
    let end = END / CELLS as f64;
    let (p, mut low, mut high) = (p.clamp(end, 1.0 - end), -6.0, 6.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if 0.5 * libm::erfc(-middle / std::f64::consts::SQRT_2) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Key;

    #[test]
    fn moments_are_those_asked_for() {
        let mut stream = Key::new(5).stream();
        let n = 400_000;
        for cv in [0.35, 0.7, 1.1] {
            let time = Time::new(Span { mean_ms: 2.0, cv });
            let draws: Vec<f64> = (0..n).map(|_| time.draw(&mut stream).as_secs_f64() * 1e3).collect();
            let mean = draws.iter().sum::<f64>() / f64::from(n);
            let variance = draws.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / f64::from(n);
            assert!((mean / 2.0 - 1.0).abs() < 0.01, "cv {cv}: mean {mean}");
            assert!((variance.sqrt() / 2.0 / cv - 1.0).abs() < 0.04, "cv {cv}: {}", variance.sqrt() / 2.0);
        }
    }
}
