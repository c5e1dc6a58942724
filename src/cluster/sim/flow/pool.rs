//! Pools: connections of a client, workers of a server. Whoever finds no slot free waits for one, first come, first served.
//!
//! The wait is that of M/M/c, with the variability of the time for which slots are held as in the Allen-Cunneen approximation for M/G/c; what
//! is asked beyond all slots is a backlog, as with processes. Whoever waits in front of a client's pool, or of a server that cancels, leaves
//! when its time is over: those queues stand.
//!
//! Not modelled: how a queue builds up whose waiters give up, limits on the length of the queue, connections that are closed when idle.

use super::net::Moments;
use super::sharing::{FULL, capped, erlang_c};

/// A pool under load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoolLoad {
    /// Requests for a slot per second.
    pub rate: f64,
    /// Slots in use.
    pub busy: f64,
    /// The wait for a slot.
    pub wait: Moments,
    /// Requests that get a slot, over those that ask for one.
    pub passes: f64,
    /// By how many the backlog grows per second.
    pub growth: f64,
    /// Share of slots in use.
    pub utilisation: f64,
    /// The least that is waited in the mean, since workers share cores.
    pub(super) crowded: f64,
    /// What the present pass has added up: requests per second, with the mean and the second moment of the time for which they hold a slot.
    sums: (f64, f64, f64),
    /// The longest that anybody waits.
    patience: f64,
}

impl PoolLoad {
    /// One that nobody uses.
    pub const IDLE: PoolLoad = PoolLoad {
        rate: 0.0,
        busy: 0.0,
        wait: Moments::ZERO,
        passes: 1.0,
        growth: 0.0,
        utilisation: 0.0,
        crowded: 0.0,
        sums: (0.0, 0.0, 0.0),
        patience: 0.0,
    };

    /// Forgets what was added up.
    pub(super) fn begin(&mut self) {
        (self.sums, self.patience) = ((0.0, 0.0, 0.0), 0.0);
    }

    /// Adds requests at a rate, each of which would hold a slot for a time if it were let, and is given up after `patience`.
    pub(super) fn add(&mut self, rate: f64, hold: Moments, patience: f64) {
        self.sums = (self.sums.0 + rate, self.sums.1 + rate * hold.mean, self.sums.2 + rate * hold.square());
        self.patience = self.patience.max(patience);
    }

    /// What follows, with so many slots, and with so many requests queued beyond what a settled system has.
    pub(super) fn settle(&mut self, slots: f64, backlog: f64) {
        let (rate, sum, square) = self.sums;
        if rate <= 0.0 || sum <= 0.0 {
            *self = PoolLoad { sums: self.sums, crowded: self.crowded, ..PoolLoad::IDLE };
            return;
        }
        self.rate = rate;
        let whole = Moments::lognormal(sum / rate, (square / rate - sum / rate * sum / rate).max(0.0));
        let queued = if self.patience.is_finite() { self.stands(slots, whole) } else { backlog * whole.mean / slots };
        let hold = capped(whole, self.patience - queued);
        let offered = rate * hold;
        let used = offered.min(slots * FULL);
        let chance = if used < 0.3 * slots && slots > 16.0 { 0.0 } else { erlang_c(slots, used) };
        let each = hold * (1.0 + whole.scv()) / 2.0 / (slots - used);
        let each = each.max(if chance > 0.0 { self.crowded / chance } else { 0.0 });
        // Those who leave keep the queue short: at full use the wait is anything up to their patience.
        let left = if self.patience.is_finite() { 1.0 - queued / self.patience } else { 1.0 };
        let each = each.min(self.patience / 2.0) * left * left * left;
        let wait = Moments::raw(chance * each, 2.0 * chance * each * each, 6.0 * chance * each * each * each);
        self.wait = Moments { mean: wait.mean + queued, ..wait };
        let full = backlog > 0.0 || offered > slots * FULL * (1.0 + 1e-9);
        let served = slots * FULL / hold;
        (self.passes, self.growth) =
            if full && self.patience.is_infinite() { ((served / rate).min(1e3), rate - served) } else { (1.0, 0.0) };
        self.busy = if full { slots } else { used };
        self.utilisation = used / slots;
    }

    /// How long those wait who give up after a time, where more is asked for than there are slots: until what is left of their patience keeps
    /// all slots busy and no more. The queue builds up within their patience, so it is taken to be there at once.
    fn stands(&self, slots: f64, whole: Moments) -> f64 {
        let offered = |waited: f64| self.rate * capped(whole, self.patience - waited);
        if offered(0.0) <= slots * FULL {
            return 0.0;
        }
        let (mut low, mut high) = (0.0, self.patience);
        for _ in 0..30 {
            let middle = (low + high) / 2.0;
            if offered(middle) > slots * FULL {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_those_of_closed_forms() {
        let check = |slots: f64, rate: f64, hold: f64, cv: f64, expect: f64| {
            let mut pool = PoolLoad::IDLE;
            pool.add(rate, Moments::of(hold, cv), f64::INFINITY);
            pool.settle(slots, 0.0);
            assert!((pool.wait.mean - expect).abs() < 1e-3 * expect.max(1e-9), "{} instead of {expect}", pool.wait.mean);
        };
        // M/M/1, M/D/1 and M/M/c.
        check(1.0, 50.0, 0.01, 1.0, 0.01);
        check(1.0, 50.0, 0.01, 0.0, 0.005);
        check(2.0, 160.0, 0.01, 1.0, 0.7111 / 40.0);
        check(10.0, 800.0, 0.01, 1.0, 0.40918 / 200.0);
        check(10.0, 8.0, 0.01, 1.0, 0.0);
    }

    #[test]
    fn what_is_too_much_queues_up() {
        let mut pool = PoolLoad::IDLE;
        pool.add(150.0, Moments::of(0.1, 1.0), f64::INFINITY);
        pool.settle(10.0, 0.0);
        assert!((pool.growth - 51.0).abs() < 1e-9 && (pool.passes - 0.66).abs() < 1e-9, "{pool:?}");
        pool.settle(10.0, 250.0);
        assert!(pool.growth > 0.0 && pool.wait.mean > 2.5, "{pool:?}");
        // Whoever waits for two seconds leaves.
        pool.begin();
        pool.add(150.0, Moments::of(0.1, 1.0), 2.0);
        pool.settle(10.0, 0.0);
        assert!(pool.growth == 0.0 && (1.8..2.0).contains(&pool.wait.mean), "{pool:?}");
    }
}
