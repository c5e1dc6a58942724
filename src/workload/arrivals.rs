//! When requests arrive: a process that answers for any window at once, without walking to it.
//!
//! A [`Process`] is one share of a stream of arrivals: those of one endpoint that end in one way. Its arrivals are a function of
//! its key, so a window can be asked for in any order, split anywhere and asked again; the count of a window is the number of
//! arrivals that it enumerates; and the cost follows what is returned, never the rate.
//!
//! * Poisson: each share is a Poisson process of its own (thinning). Time is cut into cells whose counts split binomially into
//!   their halves; a cell with one arrival places it.
//!   A stream whose rate changes keeps its key, and so the cells and places of its arrivals: of two processes of one key, either shows an
//!   arrival of a cell that they share at the same instant, so windows that do not overlap never show one twice.
//! * Constant: arrivals are evenly spaced ticks. Which share a tick belongs to follows a Weyl sequence (multiples of the golden
//!   ratio, modulo one), so every share is spread as evenly as it can be; the next tick of a share and the ticks of a share in a
//!   window have closed solutions of Euclid's kind.

use super::Arrivals;
use crate::rng::{Key, Stream};
use crate::time::SimTime;

/// A share's bounds are in units of this: 2^32.
pub const WHOLE: u64 = 1 << 32;

/// One share of a stream of arrivals.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    /// How arrivals are spaced.
    pub arrivals: Arrivals,
    /// Names the randomness.
    pub key: u64,
    /// When the stream began; nothing arrives before.
    pub origin: SimTime,
    /// Arrivals of the whole stream, in millionths per second.
    pub rate_micro: u64,
    /// Arrivals that a constant stream has had by now beyond those of this rate since its origin, in units of 10^-15 of one: what it keeps
    /// of its count, and of where it stands between two arrivals, when its rate changes. 0 for a rate that it always had.
    pub ahead: i128,
    /// The share, from and up to, in units of 1/[`WHOLE`].
    pub share: (u64, u64),
}

/// One arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival {
    /// When.
    pub at: SimTime,
    /// Names it among those of its process.
    pub id: u64,
}

impl Process {
    /// How many arrive in `from..until`.
    pub fn count(&self, from: SimTime, until: SimTime) -> u64 {
        match self.arrivals {
            Arrivals::Constant => {
                let (first, end) = self.ticks(from, until);
                self.share_before(end) - self.share_before(first)
            }
            Arrivals::Poisson => {
                let window = Window::of(self, from, until);
                let mut total = 0;
                let mut stack = window.roots(self);
                while let Some(cell) = stack.pop() {
                    if cell.within(&window) {
                        total += cell.count;
                    } else {
                        match cell.parts(self) {
                            Parts::Cells(left, right) => stack.extend([left, right].into_iter().filter(|c| c.meets(&window))),
                            Parts::Points(points) => total += points.iter().filter(|p| window.holds(p.0)).count() as u64,
                        }
                    }
                }
                total
            }
        }
    }

    /// The arrivals in `from..until`, in order of time; backwards with `reverse`.
    pub fn window(&self, from: SimTime, until: SimTime, reverse: bool) -> Box<dyn Iterator<Item = Arrival> + '_> {
        match self.arrivals {
            Arrivals::Constant => Box::new(Ticks::new(self, from, until, reverse)),
            Arrivals::Poisson => Box::new(Points::new(self, from, until, reverse)),
        }
    }

    /// The first arrival in `from..until`.
    pub fn first(&self, from: SimTime, until: SimTime) -> Option<Arrival> {
        self.window(from, until, false).next()
    }

    /// Ticks whose time lies in `from..until`.
    fn ticks(&self, from: SimTime, until: SimTime) -> (u64, u64) {
        let index = |t: SimTime| {
            let nanos = i128::from(t.as_nanos().saturating_sub(self.origin.as_nanos()));
            let arrived = self.ahead.saturating_add(nanos * i128::from(self.rate_micro));
            u64::try_from(arrived.max(0).unsigned_abs().div_ceil(TICK_UNIT)).unwrap_or(u64::MAX)
        };
        let first = index(from);
        (first, index(until).max(first))
    }

    fn tick_time(&self, tick: u64) -> SimTime {
        let missing = (u128::from(tick) * TICK_UNIT).saturating_add_signed(self.ahead.saturating_neg());
        let nanos = missing / u128::from(self.rate_micro.max(1));
        self.origin + std::time::Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Where the Weyl sequence stands at a tick, in units of 1/[`WHOLE`].
    fn weyl(&self, tick: u64) -> u64 {
        (tick.wrapping_mul(GOLDEN).wrapping_add(self.key)) % WHOLE
    }

    /// How many of the ticks before `end` belong to the share.
    fn share_before(&self, end: u64) -> u64 {
        let start = self.weyl(0);
        let below = |bound: u64| floor_sum(end, WHOLE, GOLDEN, start + WHOLE - bound);
        u64::try_from(below(self.share.0) - below(self.share.1)).unwrap_or(0)
    }

    /// Distance from `tick` to the next tick of the share, going by steps of `step` on the Weyl sequence.
    fn next_of_share(&self, tick: u64, step: u64) -> Option<u64> {
        let (low, high) = self.share;
        let here = self.weyl(tick);
        if low >= high || (low..high).contains(&here) {
            return (low < high).then_some(0);
        }
        let shift = |bound: u64| (bound + WHOLE - here) % WHOLE;
        first_in_range(step, WHOLE, shift(low), shift(high - 1))
    }

    /// Arrivals per second in the mean.
    pub fn rate_per_s(&self) -> f64 {
        self.mean_per_nano() * 1e9
    }

    fn mean_per_nano(&self) -> f64 {
        let share = (self.share.1.saturating_sub(self.share.0)) as f64 / WHOLE as f64;
        self.rate_micro as f64 * 1e-15 * share
    }
}

/// Nanoseconds in a second times millionths in one.
const TICK_UNIT: u128 = 1_000_000_000_000_000;

/// The golden ratio's fraction in units of 1/[`WHOLE`], rounded to an odd number.
const GOLDEN: u64 = 2_654_435_769;

/// The sum over `i` in `0..n` of `(a·i + b) / m`, rounded down each.
fn floor_sum(n: u64, m: u64, a: u64, b: u64) -> u128 {
    let (mut n, mut m, mut a, mut b) = (u128::from(n), u128::from(m), u128::from(a), u128::from(b));
    let mut sum = 0;
    while n > 0 {
        sum += (n * (n - 1) / 2) * (a / m) + n * (b / m);
        a %= m;
        b %= m;
        let top = a * n + b;
        if top < m {
            break;
        }
        n = top / m;
        b = top % m;
        (m, a) = (a, m);
    }
    sum
}

/// The least `x` with `low <= a·x mod m <= high`, where `low <= high < m`.
fn first_in_range(a: u64, m: u64, low: u64, high: u64) -> Option<u64> {
    if low == 0 {
        return Some(0);
    }
    if a == 0 {
        return None;
    }
    let direct = low.div_ceil(a);
    if u128::from(direct) * u128::from(a) <= u128::from(high) {
        return Some(direct);
    }
    let negative = |x: u64| (a - x % a) % a;
    let turns = first_in_range(m % a, a, negative(high), negative(low))?;
    u64::try_from((u128::from(low) + u128::from(m) * u128::from(turns)).div_ceil(u128::from(a))).ok()
}

struct Ticks<'a> {
    process: &'a Process,
    first: u64,
    end: u64,
    reverse: bool,
}

impl<'a> Ticks<'a> {
    fn new(process: &'a Process, from: SimTime, until: SimTime, reverse: bool) -> Self {
        let (first, end) = process.ticks(from, until);
        Ticks { process, first, end, reverse }
    }
}

impl Iterator for Ticks<'_> {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        if self.first >= self.end {
            return None;
        }
        let tick = if self.reverse {
            let last = self.end - 1;
            let tick =
                self.process.next_of_share(last, WHOLE - GOLDEN).and_then(|back| last.checked_sub(back)).filter(|t| *t >= self.first);
            self.end = tick.unwrap_or(self.first);
            tick
        } else {
            let tick = self.process.next_of_share(self.first, GOLDEN).and_then(|on| self.first.checked_add(on)).filter(|t| *t < self.end);
            self.first = tick.map_or(self.end, |t| t + 1);
            tick
        }?;
        Some(Arrival { at: self.process.tick_time(tick), id: tick })
    }
}

/// Levels of cells below a root of 2^46 ns (about 19.5 hours); the smallest is 1024 ns wide.
const ROOT_BITS: u32 = 46;
const LEAF_BITS: u32 = 10;

/// A window in nanoseconds since the process began.
struct Window {
    from: u64,
    until: u64,
}

impl Window {
    fn of(process: &Process, from: SimTime, until: SimTime) -> Self {
        let since = |t: SimTime| t.as_nanos().saturating_sub(process.origin.as_nanos());
        Window { from: since(from), until: since(until).max(since(from)) }
    }

    fn holds(&self, at: u64) -> bool {
        (self.from..self.until).contains(&at)
    }

    /// The largest cells that meet the window, latest first (the stack's top is the earliest).
    fn roots(&self, process: &Process) -> Vec<Cell> {
        if self.from >= self.until {
            return Vec::new();
        }
        let (first, last) = (self.from >> ROOT_BITS, (self.until - 1) >> ROOT_BITS);
        (first..=last).rev().map(|index| Cell::root(process, index)).filter(|cell| cell.count > 0).collect()
    }
}

/// A stretch of time with its number of arrivals.
#[derive(Clone, Copy)]
struct Cell {
    /// Width is 2^bits nanoseconds.
    bits: u32,
    start: u64,
    count: u64,
}

enum Parts {
    Cells(Cell, Cell),
    Points(Vec<(u64, u64)>),
}

impl Cell {
    fn root(process: &Process, index: u64) -> Self {
        let mut cell = Cell { bits: ROOT_BITS, start: index << ROOT_BITS, count: 0 };
        let width = (1_u64 << ROOT_BITS) as f64;
        cell.count = poisson(&mut cell.stream(process), process.mean_per_nano() * width);
        cell
    }

    fn name(&self, process: &Process) -> Key {
        Key::new(process.key).part("arrivals").number(u64::from(self.bits)).number(self.start)
    }

    fn stream(&self, process: &Process) -> Stream {
        self.name(process).stream()
    }

    fn end(&self) -> u64 {
        self.start + (1 << self.bits)
    }

    fn within(&self, window: &Window) -> bool {
        window.from <= self.start && self.end() <= window.until
    }

    fn meets(&self, window: &Window) -> bool {
        self.count > 0 && self.start < window.until && window.from < self.end()
    }

    /// The halves of the cell, or its arrivals (time and name) when it is not split further.
    fn parts(&self, process: &Process) -> Parts {
        let name = self.name(process);
        let mut stream = name.clone().number(1).stream();
        if self.count == 1 {
            return Parts::Points(vec![(self.start + stream.below(1 << self.bits), name.value())]);
        }
        if self.bits <= LEAF_BITS {
            let point = |i| (self.start + (i * (1 << self.bits)) / self.count, name.clone().number(i).value());
            return Parts::Points((0..self.count).map(point).collect());
        }
        let left = halve(&mut stream, self.count);
        let bits = self.bits - 1;
        let second = Cell { bits, start: self.start + (1 << bits), count: self.count - left };
        Parts::Cells(Cell { bits, start: self.start, count: left }, second)
    }
}

/// Counts above this are drawn from the normal distribution that approaches theirs.
const EXACT_MAX: u64 = 1024;

/// Binomial with probability one half.
fn halve(stream: &mut Stream, count: u64) -> u64 {
    if count > EXACT_MAX {
        let n = count as f64;
        let drawn = libm::round(n / 2.0 + libm::sqrt(n) / 2.0 * stream.normal());
        return (drawn.max(0.0) as u64).min(count);
    }
    let (words, rest) = (count / 64, count % 64);
    let full: u64 = (0..words).map(|_| u64::from(stream.bits().count_ones())).sum();
    full + if rest == 0 { 0 } else { u64::from((stream.bits() >> (64 - rest)).count_ones()) }
}

fn poisson(stream: &mut Stream, mean: f64) -> u64 {
    if mean > 64.0 {
        return libm::round(mean + libm::sqrt(mean) * stream.normal()).max(0.0) as u64;
    }
    let (mut count, mut term) = (0, libm::exp(-mean));
    let mut left = stream.unit() - term;
    while left >= 0.0 && count < 4 * EXACT_MAX {
        count += 1;
        term *= mean / count as f64;
        left -= term;
        if term < 1e-300 {
            break;
        }
    }
    count
}

struct Points<'a> {
    process: &'a Process,
    window: Window,
    stack: Vec<Cell>,
    ready: Vec<(u64, u64)>,
    reverse: bool,
}

impl<'a> Points<'a> {
    fn new(process: &'a Process, from: SimTime, until: SimTime, reverse: bool) -> Self {
        let window = Window::of(process, from, until);
        let mut stack = window.roots(process);
        if reverse {
            stack.reverse();
        }
        Points { process, window, stack, ready: Vec::new(), reverse }
    }
}

impl Iterator for Points<'_> {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        loop {
            if let Some((at, id)) = self.ready.pop() {
                if self.window.holds(at) {
                    return Some(Arrival { at: SimTime::from_nanos(self.process.origin.as_nanos() + at), id });
                }
                continue;
            }
            match self.stack.pop()?.parts(self.process) {
                Parts::Cells(left, right) => {
                    let order = if self.reverse { [left, right] } else { [right, left] };
                    self.stack.extend(order.into_iter().filter(|cell| cell.meets(&self.window)));
                }
                Parts::Points(mut points) => {
                    if !self.reverse {
                        points.reverse();
                    }
                    self.ready = points;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn process(arrivals: Arrivals, key: u64, rate: u64, share: (f64, f64)) -> Process {
        let bound = |x: f64| (x * WHOLE as f64) as u64;
        let share = (bound(share.0), bound(share.1));
        Process { arrivals, key, origin: SimTime::from_secs(1_000), rate_micro: rate * 1_000_000, ahead: 0, share }
    }

    fn after(secs: f64) -> SimTime {
        SimTime::from_secs(1_000) + Duration::from_secs_f64(secs)
    }

    #[test]
    fn constant_shares_share_every_tick() {
        let parts = [(0.0, 0.6), (0.6, 0.99), (0.99, 0.995), (0.995, 1.0)];
        let all: Vec<_> = parts.map(|s| process(Arrivals::Constant, 77, 10, s)).into();
        let mut ids: Vec<u64> = all.iter().flat_map(|p| p.window(after(0.0), after(60.0), false).map(|a| a.id)).collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..600).collect::<Vec<_>>());
        let counts: Vec<_> = all.iter().map(|p| p.count(after(0.0), after(60.0))).collect();
        assert!(counts[0].abs_diff(360) <= 2 && counts[1].abs_diff(234) <= 2 && counts[2].abs_diff(3) <= 1, "{counts:?}");
        assert_eq!(all[0].window(after(1.0), after(1.95), false).chain(all[1].window(after(1.0), after(1.95), false)).count(), 10);
    }

    #[test]
    fn poisson_has_its_moments() {
        let counts: Vec<f64> =
            (0..400).map(|key| process(Arrivals::Poisson, key, 10, (0.0, 0.6)).count(after(3.0), after(13.0)) as f64).collect();
        let mean = counts.iter().sum::<f64>() / 400.0;
        let variance = counts.iter().map(|c| (c - mean) * (c - mean)).sum::<f64>() / 399.0;
        assert!((mean - 60.0).abs() < 1.5, "mean {mean}");
        assert!((variance - 60.0).abs() < 15.0, "variance {variance}");
    }

    #[test]
    fn nothing_arrives_before_the_start_or_without_a_share() {
        for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
            let p = process(arrivals, 5, 10, (0.0, 1.0));
            assert_eq!(p.count(SimTime::ZERO, SimTime::from_secs(1_000)), 0);
            let none = process(arrivals, 5, 10, (0.5, 0.5));
            assert_eq!(none.count(after(0.0), after(1e6)), 0);
            assert_eq!(none.first(after(0.0), after(1e6)), None);
        }
    }

    proptest! {
        #[test]
        fn windows_add_up_and_enumerate_what_they_count(
            key: u64, constant: bool, rate in 1_u64..200, low in 0.0..0.9_f64, width in 0.0001..0.1_f64,
            start in 0.0..5_000.0_f64, length in 0.0..40.0_f64, cut in 0.0..1.0_f64,
        ) {
            let arrivals = if constant { Arrivals::Constant } else { Arrivals::Poisson };
            let p = process(arrivals, key, rate, (low, low + width));
            let (from, until) = (after(start), after(start + length));
            let middle = after(start + length * cut);
            let list: Vec<_> = p.window(from, until, false).collect();
            prop_assert_eq!(p.count(from, until), list.len() as u64);
            prop_assert_eq!(p.count(from, middle) + p.count(middle, until), list.len() as u64);
            prop_assert!(list.is_sorted_by_key(|a| a.at));
            prop_assert!(list.iter().all(|a| from <= a.at && a.at < until));
            let mut back: Vec<_> = p.window(from, until, true).collect();
            back.reverse();
            prop_assert_eq!(&back, &list);
            let halves: Vec<_> = p.window(from, middle, false).chain(p.window(middle, until, false)).collect();
            prop_assert_eq!(halves, list);
        }

        #[test]
        fn closed_forms_equal_counting(n in 0_u64..300, m in 1_u64..200, a in 0_u64..400, b in 0_u64..400, low in 0_u64..200, high in 0_u64..200) {
            let naive: u64 = (0..n).map(|i| (a * i + b) / m).sum();
            prop_assert_eq!(floor_sum(n, m, a, b), u128::from(naive));
            let (low, high, a) = (low % m, high % m, a % m);
            if low <= high {
                let naive = (0..=m).find(|x| (low..=high).contains(&(a * x % m)));
                prop_assert_eq!(first_in_range(a, m, low, high), naive);
            }
        }
    }
}
