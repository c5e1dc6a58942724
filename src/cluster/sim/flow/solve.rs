//! A network under load at one instant: rates, utilisations, times, and how fast what is queued grows.
//!
//! What is in the system is a settled part, which follows the present rates at once (queues settle within a few services over
//! (1−ρ)²), and a backlog, which grows where more is asked for than there is capacity and is worked off afterwards. The share of
//! attempts that come too late is seen by callers one time-out later, so retries follow the backlog with a lag.
//!
//! Where a process cancels what nobody waits for, a job takes `E[min(x, τ/w)]` of work at slowdown `w` and time-out `τ`, which bounds the
//! backlog; where it does not, it goes on with abandoned work, and a retry storm can last after the load that caused it is gone.
//!
//! Whoever was late because of a queue finds it again when it tries again, as far as the queue remembers: attempts are correlated.
//!
//! Not modelled: bursts of several attempts in step with each other; the order in which a backlog is worked off (it is shared).

use super::net::{Call, Moments, Net, Operation, Part, Station};
use super::pool::PoolLoad;
use super::sharing::{self, FULL, capped, tail};

/// How fast what is cancelled follows the slowdown, a share each time that a load is brought up to date.
const FOLLOWS: f64 = 0.3;

/// What lasts from one instant to the next.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct State {
    /// Jobs of each station that are queued beyond what a settled system has.
    pub backlog: Vec<f64>,
    /// Requests in front of each pool, in the same sense.
    pub waiting: Vec<f64>,
    /// How each call has been going, as its callers have seen it.
    pub seen: Vec<Going>,
}

/// How a call goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Going {
    /// Attempts that one takes in the mean.
    pub attempts: f64,
    /// Share of calls of which one attempt succeeds.
    pub through: f64,
}

impl State {
    /// An idle network's.
    pub fn idle(net: &Net) -> State {
        let mut seen = vec![Going { attempts: 1.0, through: 1.0 }; net.calls];
        net.each_call(&mut |call| seen[call.id] = repeated(call, (0.0, 0.0), 1.0));
        State { backlog: vec![0.0; net.stations.len()], waiting: vec![0.0; net.pools.len()], seen }
    }
}

/// A station under load.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct StationLoad {
    /// Jobs that arrive per second.
    pub rate: f64,
    /// Mean CPU time of a job in seconds, abandoned work left out where it is cancelled.
    pub demand: f64,
    /// Cores that it could use at most, as its limit, its threads and its neighbours leave them.
    pub capacity: f64,
    /// Cores that it uses.
    pub used: f64,
    /// Jobs in it, settled and queued.
    pub jobs: f64,
    /// Time that a piece of work takes over what it would take alone.
    pub slowdown: f64,
    /// The slowdown, smoothed: what is cancelled depends on it, and it on what is cancelled.
    felt: f64,
    /// Part of the slowdown that varies from job to job; the rest is a backlog that all jobs see.
    pub random: f64,
    /// Time that it would take more, relative to that alone, if its workers were not too few to be in it at once.
    outside: f64,
    /// Utilisation of what is scarcest.
    pub utilisation: f64,
    /// Share of periods in which its CPU limit held it back.
    pub throttled: f64,
    /// Jobs by which its backlog grows per second.
    pub growth: f64,
}

/// An operation under load.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct OperationLoad {
    /// Requests per second.
    pub rate: f64,
    /// Requests per second that get a worker.
    admitted: f64,
    /// Time it loses to others on its process, and before it gets a worker.
    pub queued: Moments,
    /// Time from arrival to answer.
    pub time: Moments,
    /// Requests that get past its process's queue, over those that arrive: less than 1 where a backlog grows or late work is dropped, more
    /// where a backlog is worked off.
    pub passes: f64,
    /// Share of its requests that succeed, over those that would if no call were late.
    pub succeeds: f64,
    /// For how long anyone waits for it, where its process cancels; infinite otherwise.
    budget: f64,
    /// Variance of its time that comes from the state of queues, and that times their utilisation.
    kept: (f64, f64),
}

impl OperationLoad {
    /// For how long, in seconds, anyone waits for it where its process cancels; infinite otherwise.
    pub fn budget(&self) -> f64 {
        self.budget
    }
}

/// A network under load.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Load {
    /// Each station.
    pub stations: Vec<StationLoad>,
    /// Each operation.
    pub operations: Vec<OperationLoad>,
    /// Each pool.
    pub pools: Vec<PoolLoad>,
    /// Share of each call's attempts that come too late if they start now.
    pub late: Vec<f64>,
    /// Share of attempts that come too late among those that follow one that did.
    pub again: Vec<f64>,
    /// Share of late ones that never leave the caller, for want of a connection.
    pub unsent: Vec<f64>,
    /// Share of the others that never get past the queue of the process that should answer.
    pub lost: Vec<f64>,
    /// How each call goes that starts now.
    pub calls: Vec<Going>,
    /// Attempts of each call per second.
    rates: Vec<f64>,
    /// Time of each entry's requests, from the users' side.
    pub entries: Vec<Moments>,
    /// Cores in use on each node.
    pub nodes: Vec<f64>,
}

impl Load {
    /// An idle network's.
    pub fn idle(net: &Net) -> Load {
        let station = StationLoad { slowdown: 1.0, felt: 1.0, ..StationLoad::default() };
        Load {
            stations: vec![station; net.stations.len()],
            operations: vec![OperationLoad { passes: 1.0, succeeds: 1.0, ..OperationLoad::default() }; net.operations.len()],
            pools: vec![PoolLoad::IDLE; net.pools.len()],
            late: vec![0.0; net.calls],
            again: vec![0.0; net.calls],
            unsent: vec![0.0; net.calls],
            lost: vec![0.0; net.calls],
            calls: State::idle(net).seen,
            rates: vec![0.0; net.calls],
            entries: vec![Moments::ZERO; net.entries.len()],
            nodes: vec![0.0; net.nodes.len()],
        }
    }

    /// Brings everything up to the state of the same network at an instant. What was there before serves as a first guess.
    pub fn update(&mut self, net: &Net, state: &State) {
        self.rates(net, state);
        self.offer(net);
        self.share(net, state);
        self.pools.iter_mut().for_each(PoolLoad::begin);
        self.times(net);
        for ((pool, slots), backlog) in self.pools.iter_mut().zip(&net.pools).zip(&state.waiting) {
            pool.settle(*slots, *backlog);
        }
    }

    /// How many requests reach each operation, and how long they may take: callers first.
    fn rates(&mut self, net: &Net, state: &State) {
        for operation in &mut self.operations {
            operation.rate = 0.0;
            operation.budget = 0.0;
        }
        let mut flow = Flow { net, seen: &state.seen, operations: &mut self.operations, pools: &self.pools, rates: &mut self.rates };
        for entry in &net.entries {
            flow.call(&entry.call, entry.rate, f64::INFINITY);
        }
        for (at, operation) in net.operations.iter().enumerate() {
            let OperationLoad { rate, budget, .. } = flow.operations[at];
            let budget = if budget > 0.0 { budget } else { f64::INFINITY };
            flow.operations[at].budget = budget;
            let admitted =
                net.stations.get(operation.station).and_then(|station| self.pools.get(station.pool?)).map_or(1.0, |pool| pool.passes);
            let passes = admitted * self.stations.get(operation.station).map_or(1.0, |station| station.passes(operation, budget));
            (flow.operations[at].admitted, flow.operations[at].passes) = (rate * admitted, passes);
            if rate > 0.0 {
                flow.body(&operation.body, rate * passes, budget);
            }
        }
    }

    /// The work that is offered to each station.
    fn offer(&mut self, net: &Net) {
        for station in &mut self.stations {
            (station.rate, station.demand, station.random) = (0.0, 0.0, 0.0);
        }
        for (operation, load) in net.operations.iter().zip(&self.operations) {
            let station = &mut self.stations[operation.station];
            let work = capped(operation.demand, load.budget / station.felt);
            station.rate += load.admitted;
            station.demand += load.admitted * work;
            // The second moment, for now.
            station.random += load.admitted * operation.demand.square();
        }
        for station in &mut self.stations {
            if station.rate > 0.0 {
                station.demand /= station.rate;
                station.random /= station.rate;
            }
        }
    }

    /// How the nodes' cores are shared, and what that means for a job.
    fn share(&mut self, net: &Net, state: &State) {
        self.nodes.iter_mut().for_each(|used| *used = 0.0);
        for (node, cores) in net.nodes.iter().enumerate() {
            self.share_node(net, state, node, *cores);
        }
    }

    fn share_node(&mut self, net: &Net, state: &State, node: usize, cores: f64) {
        let here = |at: &usize| net.stations.get(*at).is_some_and(|station| station.node == node);
        let places = (0..net.stations.len()).filter(here);
        let mut wanted = 0.0;
        for at in places.clone() {
            let (most, load) = (most(&net.stations[at], cores), &mut self.stations[at]);
            load.used = if state.backlog[at] > 0.0 { most } else { (load.rate * load.demand).min(most) };
            load.capacity = most;
            wanted += load.used;
        }
        let level = if wanted > cores { self.level(places.clone(), cores) } else { f64::INFINITY };
        let mut total = 0.0;
        for at in places.clone() {
            let load = &mut self.stations[at];
            load.used = load.used.min(level);
            total += load.used;
        }
        self.nodes[node] = total;
        let crowd = if total > 0.0 { sharing::waiting(cores, total) / total } else { 0.0 };
        for at in places {
            let (station, load) = (&net.stations[at], &mut self.stations[at]);
            load.capacity = load.capacity.min((load.used + (cores - total).max(0.0)).max(level.min(load.capacity)));
            let workers = station.pool.and_then(|at| net.pools.get(at)).copied().unwrap_or(f64::INFINITY);
            load.settle(station, (cores, total, crowd), (workers, state.backlog[at]));
            // What waits for the process instead of in it.
            if let Some(pool) = station.pool.and_then(|at| self.pools.get_mut(at)) {
                pool.crowded = load.outside * load.demand;
            }
        }
    }

    /// How many cores each may use so that all together use `cores`: small wishes are met, the rest is shared evenly.
    fn level(&self, places: impl Iterator<Item = usize> + Clone, cores: f64) -> f64 {
        let mut level = 0.0;
        // Each round meets at least one more wish or ends.
        for _ in 0..=self.stations.len() {
            let (met, rest) = places.clone().fold((0.0, 0), |(met, rest), at| {
                let used = self.stations[at].used;
                if used <= level { (met + used, rest) } else { (met, rest + 1) }
            });
            let next = if rest > 0 { (cores - met) / f64::from(rest) } else { level };
            if next <= level * (1.0 + 1e-12) {
                break;
            }
            level = next;
        }
        level
    }

    /// How long everything takes: those who are called first.
    fn times(&mut self, net: &Net) {
        for at in (0..net.operations.len()).rev() {
            let operation = &net.operations[at];
            let (queued, own, varied) = self.queued(operation);
            let own = if operation.included { queued } else { own };
            let busy = self.stations[operation.station].utilisation;
            let course = Course { time: own, kept: varied, busy: varied * busy, ..Course::NOTHING }.then(self.body(&operation.body));
            let (mut queued, mut time, mut kept) = (queued, course.time, (course.kept, course.busy));
            if let Some(pool) = net.stations[operation.station].pool.and_then(|at| self.pools.get_mut(at)) {
                let (rate, patience) = (self.operations[at].rate, self.operations[at].budget);
                pool.add(rate, time, patience);
                (queued, time) = (pool.wait.then(queued), pool.wait.then(time));
                kept = (kept.0 + pool.wait.variance, kept.1 + pool.wait.variance * pool.utilisation);
            }
            let load = &mut self.operations[at];
            (load.queued, load.time, load.kept) = (queued, time, kept);
            load.succeeds = if course.quiet > 0.0 { (course.through / course.quiet).min(1.0) } else { 1.0 };
        }
        for (at, entry) in net.entries.iter().enumerate() {
            self.entries[at] = self.call(&entry.call).time;
        }
    }

    /// The time that an operation loses to others on its process, that together with its own, and the variance that comes from the queue.
    fn queued(&self, operation: &Operation) -> (Moments, Moments, f64) {
        let (load, demand) = (&self.stations[operation.station], operation.demand);
        let lost = load.slowdown - 1.0;
        if lost < 1e-6 || demand.mean <= 0.0 {
            return (Moments::ZERO, demand, 0.0);
        }
        // Given the demand x, the mean of what is lost is x·lost, with a spread around it from the part that varies.
        let spread = sharing::relative_variance(demand.mean, load.utilisation, load.demand * (1.0 + demand.scv()) / 2.0, 1.0 + load.random);
        // All jobs see the same backlog.
        let share = (load.random / lost).min(1.0);
        let random = demand.square() * spread * share * share;
        let queued = Moments::lognormal(demand.mean * lost, random + demand.variance * lost * lost);
        // The larger the demand, the more is lost.
        let own = Moments::lognormal(demand.mean * load.slowdown, random + demand.variance * load.slowdown * load.slowdown);
        (queued, own, random)
    }

    /// How parts go that are done one after the other.
    fn body(&mut self, parts: &[Part]) -> Course {
        let mut course = Course::NOTHING;
        for part in parts {
            course = course.then(match part {
                Part::Wait(moments) => Course { time: *moments, ..Course::NOTHING },
                Part::Call(call) => self.call(call),
                Part::Sometimes { share, body } => self.body(body).sometimes(*share),
                Part::Together(branches) => branches.iter().fold(Course::NOTHING, |all, branch| all.beside(self.body(branch))),
            });
        }
        course
    }

    /// How a call goes with all its attempts.
    fn call(&mut self, call: &Call) -> Course {
        let (reached, kept) = self.reached(call);
        let (served, mut kept) = (reached.then(call.hop), kept);
        let mut attempt = served;
        if let Some(pool) = call.pool.and_then(|at| self.pools.get_mut(at)) {
            pool.add(self.rates[call.id], served.sometimes(call.reached), call.timeout);
            attempt = pool.wait.then(served);
            kept = (kept.0 + pool.wait.variance, kept.1 + pool.wait.variance * pool.utilisation);
        }
        let late = tail(attempt, call.timeout);
        let (succeeds, passes) = self.answered(call);
        let again = if call.retries > 0 && late > 1e-12 { sharing::late_again(late, correlation(call, attempt, kept)) } else { late };
        let going = repeated(call, (late, again), succeeds);
        (self.late[call.id], self.again[call.id], self.calls[call.id]) = (late, again, going);
        if late > 0.0 {
            let sent = call.pool.and_then(|at| self.pools.get(at)).map_or(1.0, |pool| pool.passes.min(1.0));
            self.unsent[call.id] = ((1.0 - sent) / late).clamp(0.0, 1.0);
            self.lost[call.id] = ((1.0 - passes) / late).clamp(0.0, 1.0);
        }
        let Going { attempts, through } = going;
        let attempt = if late > 0.0 { cut(attempt, call.timeout, late) } else { attempt }.sometimes(call.reached);
        let time = Moments {
            mean: attempts * attempt.mean + (attempts - 1.0) * call.pause,
            variance: attempts * attempt.variance,
            third: attempts * attempt.third,
        };
        let course = Course { time, kept: kept.0, busy: kept.1, ..Course::NOTHING };
        if !call.needed {
            return course;
        }
        let quiet = if late > 0.0 || succeeds < 1.0 { repeated(call, (0.0, 0.0), 1.0).through } else { through };
        Course { through, quiet, ..course }
    }

    /// Of the operations that may answer a call: the share that succeeds, and that gets past the queue, in the mean.
    fn answered(&self, call: &Call) -> (f64, f64) {
        let share = 1.0 / call.targets.len().max(1) as f64;
        let targets = call.targets.iter().filter_map(|at| self.operations.get(*at));
        if call.targets.is_empty() {
            return (1.0, 1.0);
        }
        targets.fold((0.0, 0.0), |(succeeds, passes), operation| {
            (succeeds + share * operation.succeeds, passes + share * operation.passes.min(1.0))
        })
    }

    /// The time that whoever answers a call takes, with its variance from queues.
    fn reached(&self, call: &Call) -> (Moments, (f64, f64)) {
        match call.targets.as_slice() {
            [only] => (self.operations[*only].time, self.operations[*only].kept),
            several => {
                let share = 1.0 / several.len().max(1) as f64;
                let sum = several.iter().map(|at| self.operations[*at].time).fold((0.0, 0.0, 0.0), |(mean, square, cube), time| {
                    (mean + share * time.mean, square + share * time.square(), cube + share * time.cube())
                });
                // Another attempt may find another queue.
                let kept = several.iter().map(|at| self.operations[*at].kept);
                let kept = kept.fold((0.0, 0.0), |(sum, lasting), kept| (sum + share * share * kept.0, lasting + share * share * kept.1));
                (Moments::raw(sum.0, sum.1, sum.2), kept)
            }
        }
    }
}

/// How a piece of work goes.
#[derive(Clone, Copy)]
struct Course {
    time: Moments,
    /// Share of requests that get through it, and that would if no call were late.
    through: f64,
    quiet: f64,
    /// Variance of its time that comes from the state of queues, and that times their utilisation.
    kept: f64,
    busy: f64,
}

impl Course {
    const NOTHING: Course = Course { time: Moments::ZERO, through: 1.0, quiet: 1.0, kept: 0.0, busy: 0.0 };

    fn then(self, next: Course) -> Course {
        Course {
            time: self.time.then(next.time.sometimes(self.through)),
            through: self.through * next.through,
            quiet: self.quiet * next.quiet,
            kept: self.kept + self.through * next.kept,
            busy: self.busy + self.through * next.busy,
        }
    }

    fn sometimes(self, share: f64) -> Course {
        Course {
            time: self.time.sometimes(share),
            through: 1.0 - share * (1.0 - self.through),
            quiet: 1.0 - share * (1.0 - self.quiet),
            kept: share * self.kept,
            busy: share * self.busy,
        }
    }

    /// Both at once. What queues remember is taken from the one that varies more.
    fn beside(self, other: Course) -> Course {
        let (kept, busy) = if self.kept > other.kept { (self.kept, self.busy) } else { (other.kept, other.busy) };
        let (through, quiet) = (self.through * other.through, self.quiet * other.quiet);
        Course { time: longer(self.time, other.time), through, quiet, kept, busy }
    }
}

/// What is late is so because of queues rather than of its own work, by this much more than their shares of the variance say: measured against
/// simulations.
const QUEUES_WEIGH: f64 = 3.0;

/// How the times of two attempts of a call are correlated, the second of which begins when the first one's time is over: as far as they come
/// from the same queues. What made the first one late is worked off meanwhile by what arrivals leave of the capacity.
fn correlation(call: &Call, attempt: Moments, (kept, busy): (f64, f64)) -> f64 {
    if kept <= 0.0 || attempt.variance <= 0.0 {
        return 0.0;
    }
    let worked_off = (1.0 - busy / kept) * (call.timeout + call.pause) / call.timeout;
    (QUEUES_WEIGH * kept / attempt.variance).min(1.0) * (1.0 - worked_off).max(0.0)
}

/// A time that is cut off at `limit`, which a share `late` of it exceeds.
fn cut(time: Moments, limit: f64, late: f64) -> Moments {
    let (mean, in_time) = (capped(time, limit), 1.0 - late);
    let gap = limit - mean;
    Moments::lognormal(mean, in_time * time.variance.min(limit * limit) + late * in_time * gap * gap)
}

impl StationLoad {
    /// Slowdown and growth, once it is known how many cores there are and how crowded they are.
    fn settle(&mut self, station: &Station, (cores, total, crowd): (f64, f64, f64), (workers, backlog): (f64, f64)) {
        let (offered, square) = (self.rate * self.demand, self.random);
        let threads = station.threads.min(cores);
        let mut lost = crowd;
        self.utilisation = (total / cores).min(1.0);
        if threads < cores && self.used > 0.0 {
            lost += sharing::waiting(threads, self.used) / self.used;
            self.utilisation = self.utilisation.max(self.used / threads);
        }
        let residual = if self.demand > 0.0 { square / (2.0 * self.demand) } else { 0.0 };
        self.throttled = 0.0;
        if station.limit < threads && self.used > 0.0 {
            let held = sharing::throttled(station.limit, self.used, residual);
            lost += held / self.used;
            if held > 1e-3 {
                self.utilisation = self.utilisation.max(self.used / station.limit);
            }
            self.throttled = if backlog > 0.0 { 1.0 } else { sharing::throttled_share(station.limit, self.used, residual) };
        }
        // No more than its workers are in it at once: the others wait outside.
        let crowding = if workers.is_finite() { libm::pow(self.utilisation, (workers - threads.min(station.limit)).max(0.0)) } else { 0.0 };
        self.outside = lost * crowding;
        lost -= self.outside;
        self.random = lost;
        self.slowdown = 1.0 + lost + if self.used > 0.0 { backlog / self.used } else { 0.0 };
        self.felt += FOLLOWS * (self.slowdown - self.felt);
        self.jobs = self.used * (1.0 + lost) + backlog;
        let full = backlog > 0.0 || offered > self.capacity * FULL;
        self.growth = if full && self.demand > 0.0 { self.rate - self.capacity * FULL / self.demand } else { 0.0 };
    }
}

impl StationLoad {
    /// Requests to one of its operations that get past its queue, over those that arrive, as of late.
    fn passes(&self, operation: &Operation, budget: f64) -> f64 {
        let kept = if budget.is_finite() { 1.0 - tail(operation.demand, budget / self.felt.max(1.0)) } else { 1.0 };
        let balance = if self.rate > 0.0 { (1.0 - self.growth / self.rate).clamp(0.0, WORKED_OFF) } else { 1.0 };
        kept * balance
    }
}

/// The most by which what leaves a process can exceed what arrives, as a factor: beyond, hardly anything arrives.
const WORKED_OFF: f64 = 1e3;

/// The most cores that a station can use on a node.
fn most(station: &Station, cores: f64) -> f64 {
    station.limit.min(station.threads).min(cores)
}

/// How a call goes of whose attempts a share comes too late, of those that follow a late one another, and of the others a share `succeeds` of
/// those that would if no call were late.
fn repeated(call: &Call, (late, again): (f64, f64), succeeds: f64) -> Going {
    let succeeds = call.succeeds * succeeds;
    let (mut attempts, mut through, mut plain, mut queued) = (0.0, 0.0, 1.0, 0.0);
    for _ in 0..=call.retries {
        attempts += plain + queued;
        let expired = plain * late + queued * again;
        let in_time = plain + queued - expired;
        through += in_time * succeeds;
        (plain, queued) = (in_time * (1.0 - succeeds), expired);
    }
    Going { attempts, through }
}

/// The longer of two times, as Clark approximates it for normal ones (Operations Research 9(2), 1961).
fn longer(a: Moments, b: Moments) -> Moments {
    let theta = libm::sqrt(a.variance + b.variance);
    if theta < 1e-12 {
        return if a.mean >= b.mean { a } else { b };
    }
    let alpha = (a.mean - b.mean) / theta;
    let upper = 0.5 * libm::erfc(-alpha / std::f64::consts::SQRT_2);
    let density = libm::exp(-alpha * alpha / 2.0) / libm::sqrt(2.0 * std::f64::consts::PI);
    let mean = a.mean * upper + b.mean * (1.0 - upper) + theta * density;
    let square = a.square() * upper + b.square() * (1.0 - upper) + (a.mean + b.mean) * theta * density;
    Moments::lognormal(mean, (square - mean * mean).max(0.0))
}

/// Rates on their way down a network.
struct Flow<'a> {
    net: &'a Net,
    seen: &'a [Going],
    operations: &'a mut [OperationLoad],
    pools: &'a [PoolLoad],
    rates: &'a mut [f64],
}

impl Flow<'_> {
    /// Requests of a caller that waits for at most `budget`; the share that it goes on after.
    fn call(&mut self, call: &Call, rate: f64, budget: f64) -> f64 {
        let Going { attempts, through } = self.seen[call.id];
        let sent = call.pool.and_then(|at| self.pools.get(at)).map_or(1.0, |pool| pool.passes);
        self.rates[call.id] = rate * attempts;
        let each = rate * attempts * sent * call.reached / call.targets.len().max(1) as f64;
        for target in &call.targets {
            let cancels = self.net.operations.get(*target).and_then(|o| self.net.stations.get(o.station)).is_some_and(|s| s.cancels);
            let operation = &mut self.operations[*target];
            operation.rate += each;
            if cancels && each > 0.0 {
                // The longest that any of its callers waits; zero stands for none yet.
                operation.budget = operation.budget.max(call.timeout.min(budget));
            }
        }
        if call.needed { through } else { 1.0 }
    }

    fn body(&mut self, parts: &[Part], mut rate: f64, budget: f64) -> f64 {
        let whole = rate;
        for part in parts {
            rate *= match part {
                Part::Wait(_) => 1.0,
                Part::Call(call) => self.call(call, rate, budget),
                Part::Sometimes { share, body } => 1.0 - share * (1.0 - self.body(body, rate * share, budget)),
                Part::Together(branches) => branches.iter().fold(1.0, |all, branch| all * self.body(branch, rate, budget)),
            };
        }
        if whole > 0.0 { rate / whole } else { 1.0 }
    }
}
