//! Shares with confidence intervals.

/// Wilson's 95 % interval of a share, in percent: <https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval>.
pub fn interval(hits: u64, all: u64) -> (f64, f64) {
    if all == 0 {
        return (0.0, 100.0);
    }
    let (z, n) = (1.959_963_984_540_054_f64, all as f64);
    let share = hits as f64 / n;
    let scale = 1.0 + z * z / n;
    let middle = (share + z * z / (2.0 * n)) / scale;
    let half = z / scale * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    (100.0 * (middle - half).max(0.0), 100.0 * (middle + half).min(1.0))
}

#[test]
fn intervals_are_wilson_s() {
    for (hits, all, low, high) in
        [(0, 100, 0.0, 3.70), (100, 100, 96.30, 100.0), (50, 100, 40.38, 59.62), (1, 10, 1.79, 40.42), (0, 0, 0.0, 100.0)]
    {
        let found = interval(hits, all);
        assert!((found.0 - low).abs() < 0.01 && (found.1 - high).abs() < 0.01, "{hits} of {all}: {found:?}");
    }
}
