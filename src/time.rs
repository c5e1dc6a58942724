//! Virtual time: integer nanoseconds since the Unix epoch, and the text forms Kubernetes prints.
//!
//! Nothing in the core reads a wall clock. A [`SimTime`] comes from [`crate::cluster::Cluster::now`] and spans are
//! [`core::time::Duration`].

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// An instant: nanoseconds since 1970-01-01T00:00:00Z. On a simulated cluster it is virtual.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SimTime(u64);

impl SimTime {
    /// The Unix epoch.
    pub const ZERO: SimTime = SimTime(0);
    /// Later than every instant that occurs.
    pub const MAX: SimTime = SimTime(u64::MAX);

    /// The instant `nanos` nanoseconds after the epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        SimTime(nanos)
    }

    /// The instant `secs` seconds after the epoch.
    pub const fn from_secs(secs: u64) -> Self {
        SimTime(secs * 1_000_000_000)
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// Time since `earlier`, or zero when `earlier` is later.
    pub const fn since(self, earlier: SimTime) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Rounded down to a whole second, as `metav1.Time` stores it.
    pub const fn floor_second(self) -> SimTime {
        SimTime(self.0 - self.0 % 1_000_000_000)
    }

    /// `2006-01-02T15:04:05Z`: `metav1.Time`, in UTC, seconds only.
    pub fn rfc3339(self) -> String {
        let (year, month, day) = date(self.as_secs() / 86_400);
        let second = self.as_secs() % 86_400;
        if year > 9999 {
            return format!("{:.0}", self.timestamp());
        }
        let mut text = *b"0000-00-00T00:00:00Z";
        let mut put = |number: u64, from: usize, digits: usize| {
            let mut left = number;
            for digit in text.iter_mut().skip(from).take(digits).rev() {
                *digit = b'0' + (left % 10) as u8;
                left /= 10;
            }
        };
        put(year, 0, 4);
        put(month, 5, 2);
        put(day, 8, 2);
        put(second / 3600, 11, 2);
        put(second / 60 % 60, 14, 2);
        put(second % 60, 17, 2);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// `2006-01-02T15:04:05.000000Z`: `metav1.MicroTime`, in UTC.
    pub fn rfc3339_micro(self) -> String {
        format!("{:.6}", self.timestamp())
    }

    /// `2006-01-02T15:04:05.999999999Z`: Go's RFC3339Nano, trailing zeros removed, as `kubectl logs --timestamps` prints it.
    pub fn rfc3339_nano(self) -> String {
        self.timestamp().to_string()
    }

    /// Parses any RFC 3339 form, including a numeric offset.
    pub fn parse_rfc3339(text: &str) -> Option<SimTime> {
        let nanos = text.parse::<jiff::Timestamp>().ok()?.as_nanosecond();
        u64::try_from(nanos).ok().map(SimTime)
    }

    /// The jiff timestamp of this instant, for any other format.
    pub fn timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or(jiff::Timestamp::MAX)
    }
}

impl Add<Duration> for SimTime {
    type Output = SimTime;
    fn add(self, span: Duration) -> SimTime {
        SimTime(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for SimTime {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Sub<Duration> for SimTime {
    type Output = SimTime;
    fn sub(self, span: Duration) -> SimTime {
        SimTime(self.0.saturating_sub(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<SimTime> for SimTime {
    type Output = Duration;
    /// Saturates at zero, as [`SimTime::since`].
    fn sub(self, earlier: SimTime) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Debug for SimTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339_nano())
    }
}

impl fmt::Display for SimTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

/// Year, month and day of a day since 1970-01-01 (Hinnant, "chrono-compatible low-level date algorithms").
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    // Years begin in March.
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for day in (0..200_000).step_by(17).chain(11_000..11_100) {
            let at = SimTime::from_nanos((day * 86_400 + day * 7919 % 86_400) * 1_000_000_000 + 999_999_999);
            assert_eq!(at.rfc3339(), at.timestamp().strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        }
    }

    #[test]
    fn prints_what_kubernetes_prints() {
        let t = SimTime::from_nanos(1_767_225_600_123_450_000);
        assert_eq!(t.rfc3339(), "2026-01-01T00:00:00Z");
        assert_eq!(t.rfc3339_micro(), "2026-01-01T00:00:00.123450Z");
        assert_eq!(t.rfc3339_nano(), "2026-01-01T00:00:00.12345Z");
        assert_eq!(SimTime::parse_rfc3339("2026-01-01T00:00:00.12345Z"), Some(t));
        assert_eq!(SimTime::parse_rfc3339("2026-01-01T02:00:00+02:00"), Some(t.floor_second()));
        assert_eq!(SimTime::parse_rfc3339("yesterday"), None);
    }

    #[test]
    fn saturates_at_both_ends() {
        assert_eq!(SimTime::ZERO - Duration::from_secs(1), SimTime::ZERO);
        assert_eq!(SimTime::MAX + Duration::from_secs(1), SimTime::MAX);
        assert_eq!(SimTime::ZERO - SimTime::MAX, Duration::ZERO);
    }
}
