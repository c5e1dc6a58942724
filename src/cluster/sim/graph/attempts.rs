//! The attempts of a call, one after the other, given how the last one must end.
//!
//! Attempts are independent but for queues: whoever was late because of one finds it again with another probability ([`super::Lateness`]).

use super::{CallAct, Dist, Outcome};

/// One attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attempt {
    /// How it ends for the caller, before its rule for errors.
    pub outcome: Outcome,
    /// Whether queues make it late.
    pub late: bool,
    /// Whether it is the last one.
    pub last: bool,
}

/// The attempts of a call whose last one ends in some way.
pub struct Attempts<'a> {
    act: &'a CallAct,
    /// Probability that the last attempt ends as it must, by the turn and by whether the one before was late.
    worth: Vec<[f64; 2]>,
    /// Ends of the last attempt that fit, in time and late.
    fitting: [Dist; 2],
}

impl<'a> Attempts<'a> {
    /// Those whose last one ends in a way that `fits`.
    pub fn new(act: &'a CallAct, fits: impl Fn(Outcome) -> bool) -> Self {
        let only = |dist: &Dist| dist.only_those(&fits);
        let fitting = [only(&act.attempt), only(&act.expired)];
        let mut attempts = Attempts { act, worth: Vec::new(), fitting };
        // From the last turn backwards.
        let mut worth = Vec::new();
        for left in 0..=act.retries {
            let next = worth.last().copied();
            worth.push([attempts.of_turn(next, left == 0, false), attempts.of_turn(next, left == 0, true)]);
        }
        worth.reverse();
        attempts.worth = worth;
        attempts
    }

    fn late(&self, after_late: bool) -> f64 {
        if after_late { self.act.late.again } else { self.act.late.share }
    }

    fn of_turn(&self, next: Option<[f64; 2]>, is_last: bool, after_late: bool) -> f64 {
        let late = self.late(after_late);
        let [in_time, expired] = &self.fitting;
        if is_last {
            return late * expired.sum() + (1.0 - late) * in_time.sum();
        }
        let [plain, queued] = next.unwrap_or_default();
        late * queued + (1.0 - late) * (in_time.success() + (1.0 - self.act.attempt.success()) * plain)
    }

    /// What the attempt of a turn can be, with weights that add up to the probability of ending as it must.
    pub fn options(&self, turn: u32, after_late: bool) -> Vec<(Attempt, f64)> {
        let late = self.late(after_late);
        let next = self.worth.get(turn as usize + 1);
        let [in_time, expired] = &self.fitting;
        let mut options = Vec::new();
        let mut add = |dist: &Dist, late: bool, last: bool, weight: f64, served: Option<bool>| {
            for (outcome, p) in dist.iter().filter(|(o, _)| served.is_none_or(|served| o.served() == served)) {
                if p * weight > 0.0 {
                    options.push((Attempt { outcome, late, last }, p * weight));
                }
            }
        };
        match next {
            None => {
                add(in_time, false, true, 1.0 - late, None);
                add(expired, true, true, late, None);
            }
            Some([plain, queued]) => {
                add(in_time, false, true, 1.0 - late, Some(true));
                add(&self.act.attempt, false, false, (1.0 - late) * plain, Some(false));
                add(&self.act.expired, true, false, late * queued, None);
            }
        }
        options
    }

    /// How often each attempt is made in the mean, given that the last one ends as it must.
    pub fn expected(&self) -> Vec<(Attempt, f64)> {
        let mut all: Vec<(Attempt, f64)> = Vec::new();
        // Share of the calls that come to a turn, by whether the attempt before was late.
        let mut here = [1.0, 0.0];
        for turn in 0..=self.act.retries {
            let mut next = [0.0, 0.0];
            for (after_late, share) in [(false, here[0]), (true, here[1])] {
                let options = if share > 0.0 { self.options(turn, after_late) } else { Vec::new() };
                let total: f64 = options.iter().map(|(_, weight)| weight).sum();
                for (attempt, weight) in options {
                    let p = share * weight / total;
                    all.push((attempt, p));
                    if !attempt.last {
                        next[usize::from(attempt.late)] += p;
                    }
                }
            }
            here = next;
        }
        all
    }
}

/// How all attempts of a call can end, before the caller's rule for errors: the first that succeeds counts, else the last.
pub fn all(act: &CallAct) -> Dist {
    let mut all = Dist::default();
    let (fails, mut here) = (1.0 - act.attempt.success(), [1.0, 0.0]);
    for turn in 0..=act.retries {
        let late = here[0] * act.late.share + here[1] * act.late.again;
        let in_time = here[0] + here[1] - late;
        for (outcome, p) in act.attempt.iter().filter(|(o, _)| o.served() || turn == act.retries) {
            all.add(outcome, p * in_time);
        }
        if turn == act.retries {
            act.expired.iter().for_each(|(outcome, p)| all.add(outcome, p * late));
        }
        here = [in_time * fails, late];
    }
    all
}

/// How many requests of one call get past the queue of the process that answers, in the mean.
pub fn passing(act: &CallAct) -> f64 {
    if act.late.share <= 0.0 {
        return 1.0;
    }
    let (fails, mut here, mut passing) = (1.0 - act.attempt.success(), [1.0, 0.0], 0.0);
    for _ in 0..=act.retries {
        let late = here[0] * act.late.share + here[1] * act.late.again;
        let in_time = here[0] + here[1] - late;
        passing += in_time + late * (1.0 - act.late.unsent) * (1.0 - act.late.lost);
        here = [in_time * fails, late];
    }
    passing
}

#[cfg(test)]
mod tests {
    use super::super::Lateness;
    use super::super::time::Time;
    use super::*;
    use crate::app::{OnError, Span};

    const FAILED: Outcome = Outcome { ended: 1, noisy: false, crash: false };
    const EXPIRED: Outcome = Outcome { ended: 2, noisy: false, crash: false };

    fn call(fails: f64, retries: u32, late: Lateness) -> CallAct {
        let mut attempt = Dist::default();
        attempt.add(Outcome::SERVED, 1.0 - fails);
        attempt.add(FAILED, fails);
        CallAct {
            key: 0,
            at: "x".into(),
            unconnected: None,
            clients: crate::app::Clients::Go,
            span: None,
            timeout: None,
            retries,
            pool: None,
            on_error: OnError::fail(),
            hop: Time::new(Span { mean_ms: 1.0, cv: 0.0 }),
            ways: Vec::new(),
            attempt,
            late,
            expired: Dist::certain(EXPIRED),
            dist: Dist::default(),
        }
    }

    #[test]
    fn attempts_add_up() {
        let check = |fails: f64, retries: u32, share: f64, again: f64, served: f64| {
            let act = call(fails, retries, Lateness { share, again, ..Lateness::default() });
            let dist = all(&act);
            assert!((dist.success() - served).abs() < 1e-9, "{} instead of {served}", dist.success());
            assert!((dist.sum() - 1.0).abs() < 1e-9);
            // By its ends, one after the other, the same.
            let mut made = 0.0;
            for (end, p) in dist.iter() {
                let attempts = Attempts::new(&act, |o| o == end);
                let found: f64 = attempts.options(0, false).iter().map(|(_, weight)| weight).sum();
                assert!((found - p).abs() < 1e-9, "{end:?}: {found} instead of {p}");
                let expected = attempts.expected();
                let last: f64 = expected.iter().filter(|(attempt, _)| attempt.last).map(|(_, p)| p).sum();
                assert!((last - 1.0).abs() < 1e-9 && expected.iter().all(|(attempt, _)| !attempt.last || attempt.outcome == end));
                made += p * expected.iter().map(|(_, p)| p).sum::<f64>();
            }
            assert!((made - super::passing(&act)).abs() < 1e-9 || share == 0.0, "{made} {}", super::passing(&act));
        };
        check(0.0, 0, 0.0, 0.0, 1.0);
        check(0.5, 2, 0.0, 0.0, 0.875);
        check(0.0, 1, 0.5, 0.5, 0.75);
        check(0.0, 1, 0.5, 1.0, 0.5);
        check(0.2, 1, 0.3, 0.9, 0.56 + 0.3 * 0.08 + 0.14 * 0.56);
    }
}
