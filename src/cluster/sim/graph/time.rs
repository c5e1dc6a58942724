//! Random times that are drawn often: lognormal, with everything that does not depend on the draw computed once.
//!
//! The normal deviate comes from a table of its quantiles with linear interpolation, which moves the mean of a lognormal time
//! by less than a thousandth. (A walk draws some thirty times; exact deviates took most of its time.) Its exponential is read off
//! a table, too, and a polynomial takes it from there to the last bit or two (Tang, ACM TOMS 15(2), 1989).

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
        self.draw_paced(stream, 1.0)
    }

    /// Draws a time, and takes `pace` times as long.
    #[inline]
    pub fn draw_paced(&self, stream: &mut Stream, pace: f64) -> Duration {
        let nanos = if self.sigma == 0.0 || self.mean == 0.0 {
            self.mean
        } else {
            let tables = Tables::get();
            tables.exp(self.mu + self.sigma * tables.normal(stream))
        };
        // Whole nanoseconds, then paced and rounded: what `Duration::mul_f64` does, which takes as long as the draw.
        let nanos = nanos as u64;
        let paced = if pace == 1.0 { nanos } else { nearest((nanos as f64 / 1e9 * pace * 1e9).clamp(0.0, 1e18)) as u64 };
        Duration::from_nanos(paced)
    }
}

/// The nearest whole number, the even one of two, below 2^51 (above, a neighbour at most).
#[inline]
fn nearest(x: f64) -> f64 {
    const WHOLE: f64 = 4_503_599_627_370_496.0;
    x + WHOLE - WHOLE
}

/// Steps of the table of powers between one and two.
const STEPS: usize = 128;

/// What draws look up.
struct Tables {
    /// Quantiles of the standard normal distribution.
    quantiles: Vec<f64>,
    /// Powers of two from 0 to 1, by [`STEPS`].
    powers: [f64; STEPS],
}

impl Tables {
    #[inline]
    fn get() -> &'static Tables {
        static TABLES: OnceLock<Tables> = OnceLock::new();
        TABLES.get_or_init(|| Tables {
            quantiles: (0..=CELLS).map(|at| quantile(at as f64 / CELLS as f64)).collect(),
            powers: std::array::from_fn(|at| libm::exp2(at as f64 / STEPS as f64)),
        })
    }

    /// A standard normal deviate.
    #[inline]
    fn normal(&self, stream: &mut Stream) -> f64 {
        let at = stream.unit() * CELLS as f64;
        let cell = at as usize;
        match self.quantiles.get(cell..cell + 2) {
            Some([low, high]) => low + (high - low) * (at - cell as f64),
            _ => 0.0,
        }
    }

    /// The exponential of `x`, within two units in the last place.
    #[inline]
    fn exp(&self, x: f64) -> f64 {
        /// Steps of the table to a power of e, and the logarithm of a step in two parts, the first with zeros at its end.
        const PER_UNIT: f64 = 184.664_965_233_787_3;
        const STEP: (f64, f64) = (0.005_415_212_347_543_274_5, 5.812_982_117_197_185e-13);
        /// Added to a number and taken off again, it leaves the nearest whole one; meanwhile that stands in the lowest bits.
        const WHOLE: f64 = 6_755_399_441_055_744.0;
        if !(-700.0..700.0).contains(&x) {
            return libm::exp(x);
        }
        let shifted = x * PER_UNIT + WHOLE;
        let step = shifted.to_bits() as u32 as i32;
        let whole = shifted - WHOLE;
        let r = x - whole * STEP.0 - whole * STEP.1;
        let rest = r + r * r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0))));
        let power = self.powers[step as usize % STEPS];
        let scale = f64::from_bits(((i64::from(step >> 7) + 1023) as u64) << 52);
        scale * (power + power * rest)
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
    fn exponentials_are_those_of_libm() {
        for at in -140_000..140_000 {
            let x = f64::from(at) * 0.005_003;
            let (own, theirs) = (Tables::get().exp(x), libm::exp(x));
            assert!((own / theirs - 1.0).abs() < 5e-16, "{x}: {own} {theirs}");
        }
        assert_eq!((Tables::get().exp(0.0), Tables::get().exp(-1e9), Tables::get().exp(1e9)), (1.0, 0.0, f64::INFINITY));
    }

    #[test]
    fn pace_is_that_of_durations() {
        let (mut stream, mut same) = (Key::new(6).stream(), Key::new(6).stream());
        let time = Time::new(Span { mean_ms: 3.0, cv: 0.9 });
        let mut others = 0;
        for at in 0..100_000 {
            let pace = 0.5 + f64::from(at) * 1e-5;
            let (paced, exact) = (time.draw_paced(&mut stream, pace), time.draw(&mut same).mul_f64(pace));
            assert!(paced.abs_diff(exact) <= Duration::from_nanos(1), "{at}: {paced:?} {exact:?}");
            others += u32::from(paced != exact);
        }
        // Halves of a nanosecond may fall to either side.
        assert!(others < 10, "{others}");
    }

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
