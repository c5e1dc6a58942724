//! Exponential back-off, as client-go's: 10 s doubling to 300 s, forgotten after ten quiet minutes.

use crate::time::SimTime;
use std::time::Duration;

const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(300);

/// One item's back-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The present delay.
    pub delay: Duration,
    /// When it was last raised.
    pub raised_at: SimTime,
}

impl Backoff {
    fn has_expired(&self, at: SimTime) -> bool {
        at - self.raised_at > LONGEST * 2
    }

    /// Whether an attempt must still wait, counted from `since`.
    pub fn holds_since(&self, since: SimTime, now: SimTime) -> bool {
        !self.has_expired(since) && now - since < self.delay
    }

    /// Whether an attempt must still wait, counted from the last failure.
    pub fn holds(&self, now: SimTime) -> bool {
        !self.has_expired(now) && now - self.raised_at < self.delay
    }

    /// The back-off after one more attempt; `since` decides whether the old one is forgotten.
    pub fn raised(old: Option<Backoff>, since: SimTime, now: SimTime) -> Backoff {
        let delay = match old {
            Some(old) if !old.has_expired(since) => (old.delay * 2).min(LONGEST),
            _ => FIRST,
        };
        Backoff { delay, raised_at: now }
    }

    /// The delay in Go's notation, `1m20s`.
    pub fn text(&self) -> String {
        go_duration(self.delay)
    }
}

/// A duration as Go prints it, to the millisecond.
pub fn go_duration(span: Duration) -> String {
    let millis = span.as_millis();
    if millis < 1000 {
        return if millis == 0 { "0s".to_owned() } else { format!("{millis}ms") };
    }
    let (hours, rest) = (millis / 3_600_000, millis % 3_600_000);
    let (minutes, rest) = (rest / 60_000, rest % 60_000);
    let (seconds, fraction) = (rest / 1000, rest % 1000);
    let mut text = String::new();
    if hours > 0 {
        text += &format!("{hours}h");
    }
    if hours > 0 || minutes > 0 {
        text += &format!("{minutes}m");
    }
    text += &seconds.to_string();
    if fraction > 0 {
        text += format!(".{fraction:03}").trim_end_matches('0');
    }
    text + "s"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_doubles_to_five_minutes_and_is_forgotten_after_ten() {
        let t = SimTime::from_secs;
        let mut backoff = None;
        let mut seen = Vec::new();
        for i in 0..7 {
            let next = Backoff::raised(backoff, t(1000 + i), t(1000 + i));
            seen.push(next.text());
            backoff = Some(next);
        }
        assert_eq!(seen, ["10s", "20s", "40s", "1m20s", "2m40s", "5m0s", "5m0s"]);
        let old = Backoff { delay: LONGEST, raised_at: t(1000) };
        assert!(old.holds_since(t(1010), t(1100)));
        assert!(!old.holds_since(t(1010), t(1310)));
        assert_eq!(Backoff::raised(Some(old), t(1601), t(1601)).delay, FIRST);
    }

    #[test]
    fn durations_print_as_in_go() {
        let check = |millis: u64, expect: &str| assert_eq!(go_duration(Duration::from_millis(millis)), expect);
        check(0, "0s");
        check(350, "350ms");
        check(1500, "1.5s");
        check(80_000, "1m20s");
        check(3_600_000, "1h0m0s");
    }
}
