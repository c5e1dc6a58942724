//! One request as a walk of its call tree: status, duration, spans and the lines that every service writes on the way.
//!
//! A walk is a function of its graph, its key and its instant. Asked for an outcome, it draws everything else conditional on it
//! (which instance answered, which branch failed), so the walks of an outcome can be enumerated by themselves.
//!
//! Queues make a request late for its user, or a call late for its caller, as often as the load says: a walk of one that is late is drawn so
//! that it is, and of one that is not, so that it is not.
//!
//! Not modelled: cancellation of work that has got past the first queue when its caller gives up (it goes on; what waits for an answer ends
//! when the user gives up).

use super::flow::Pressure;
use super::graph::attempts::Attempts;
use super::graph::outcome::{Dist, Ended, Outcome};
use super::graph::{Act, CallAct, Graph, MissAct, Sequence, StoreAct, StoreWay, Time, Vertex, Visits, Way, Work};
use super::history::RunId;
use crate::app::rules::{self, Reaction};
use crate::app::{Handler, OnError, Unconnected};
use crate::rng::{Key, Stream};
use crate::telemetry::SpanKind;
use crate::time::SimTime;
use arcstr::ArcStr;
use std::sync::OnceLock;
use std::time::Duration;

/// What a client outside adds to a request: its own work, the way there and back, accepting the connection.
const CLIENT: Duration = Duration::from_micros(780);

/// Its standard deviation over its mean.
const CLIENT_CV: f64 = 1.1;

/// What is asked of a walk.
#[derive(Clone)]
pub struct Ask<'a> {
    /// Names its randomness.
    pub key: Key,
    /// How it must end; drawn when `None`.
    pub outcome: Option<Outcome>,
    /// How long the client waits.
    pub patience: Duration,
    /// How fast caches have been filling, and since when.
    pub warming: Option<(&'a Visits, SimTime)>,
    /// What is lost to other requests.
    pub pressure: Option<&'a Pressure>,
    /// Share of those whose user gives up that never get past the queue of the entry's process.
    pub lost: f64,
    /// Whether spans are wanted.
    pub spans: bool,
    /// Whether lines are wanted.
    pub lines: bool,
}

impl<'a> Ask<'a> {
    /// Only what the client sees.
    pub fn client(key: Key, patience: Duration, pressure: &'a Pressure) -> Self {
        Ask { key, outcome: None, patience, warming: None, pressure: Some(pressure), lost: 0.0, spans: false, lines: false }
    }
}

/// What a walk was.
#[derive(Debug)]
pub struct Walked {
    /// How it ended.
    pub outcome: Outcome,
    /// What the client got.
    pub answer: Answer,
    /// Time to the answer, or the client's patience.
    pub took: Duration,
    /// Spans, parents before children.
    pub spans: Vec<Span>,
    /// Lines that were written.
    pub lines: Vec<Line>,
    /// The process that ends because of it.
    pub crash: Option<Crash>,
}

/// What a client got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The handler's own answer, by the vertex that gave it.
    Served(usize),
    /// An answer with a status and a body.
    Status(u16, ArcStr),
    /// The connection failed with this error.
    Refused(ArcStr),
    /// Nothing until its patience ended.
    Nothing,
}

/// A line that a run writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: SimTime,
    /// Who.
    pub run: RunId,
    /// The text; may have several lines.
    pub text: String,
}

/// A process that ends because of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// When.
    pub at: SimTime,
    /// Which.
    pub run: RunId,
    /// What it writes last.
    pub lines: Vec<String>,
    /// Its exit code.
    pub code: i32,
}

/// A span of a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The place of its parent in the walk.
    pub parent: Option<usize>,
    /// Who recorded it.
    pub run: RunId,
    /// The collector that it reached.
    pub sink: Option<RunId>,
    /// The service's name.
    pub service: ArcStr,
    /// The operation's name.
    pub operation: ArcStr,
    /// What kind it is.
    pub kind: SpanKind,
    /// Start.
    pub start: SimTime,
    /// Duration.
    pub took: Duration,
    /// The error, if it failed.
    pub error: Option<ArcStr>,
    /// Status, for HTTP.
    pub status: Option<u16>,
    /// Further tags.
    pub tags: Vec<(ArcStr, ArcStr)>,
}

/// Walks the `entry`th root of a graph from the client's side, starting at `at`.
pub fn walk(graph: &Graph, entry: usize, at: SimTime, ask: &Ask<'_>) -> Walked {
    let mut stream = ask.key.stream();
    let Some(entry) = graph.entries.get(entry) else {
        return Walker::new(graph, at, ask, stream).done(Outcome::SERVED, Answer::Nothing, ask.patience);
    };
    let outcome = ask.outcome.unwrap_or_else(|| entry.dist.pick(&mut stream, |_, p| p));
    let given_up = outcome == graph.given_up();
    // Who gives up would have got an answer later, one way or another.
    let outcome = if given_up { entry.dist.pick(&mut stream, |_, p| p) } else { outcome };
    let mut walker = Walker { method: &entry.root.method, ..Walker::new(graph, at, ask, stream) };
    let ways = entry.ways.iter().map(|(way, dist)| (way, dist.of(outcome)));
    let way = choose(&mut walker.stream, ways).or(entry.ways.first().map(|(way, _)| way));
    let (answer, took) = match way {
        Some(way) => walker.fitting(way, outcome, ask, given_up),
        None => (Answer::Nothing, ask.patience),
    };
    let too_slow = given_up || (ask.outcome.is_none() && walker.pressure.is_some() && outcome.served());
    let (answer, outcome) = match took >= ask.patience {
        true => (Answer::Nothing, if too_slow { graph.given_up() } else { outcome }),
        false => (answer, outcome),
    };
    walker.done(outcome, answer, took.min(ask.patience))
}

/// How far from the users' patience a walk ends whose queues had to be changed to fit its outcome.
const MARGIN: f64 = 0.03;

fn choose<T>(stream: &mut Stream, weighted: impl Iterator<Item = (T, f64)> + Clone) -> Option<T> {
    let total: f64 = weighted.clone().map(|(_, w)| w).sum();
    if total <= 0.0 {
        return None;
    }
    let mut left = if weighted.clone().filter(|(_, w)| *w > 0.0).take(2).count() > 1 { stream.unit() * total } else { 0.0 };
    let mut last = None;
    for (item, weight) in weighted.filter(|(_, w)| *w > 0.0) {
        last = Some(item);
        left -= weight;
        if left < 0.0 {
            break;
        }
    }
    last
}

fn client_time() -> Time {
    static TIME: OnceLock<Time> = OnceLock::new();
    *TIME.get_or_init(|| Time::new(crate::app::Span { mean_ms: CLIENT.as_secs_f64() * 1e3, cv: CLIENT_CV }))
}

/// A failed call, as its caller notices it.
struct Failure<'a> {
    error: ArcStr,
    /// The keys that a request to a store asked for.
    keys: ArcStr,
    /// When there was no connection.
    lost: Option<&'a Unconnected>,
}

/// Where in a call tree the walk is.
#[derive(Clone, Copy)]
struct Place {
    vertex: usize,
    span: Option<usize>,
    /// The key that is being fetched, below a cache miss.
    key: Option<u64>,
}

struct Walker<'g> {
    graph: &'g Graph,
    method: &'g str,
    stream: Stream,
    start: SimTime,
    deadline: SimTime,
    warming: Option<(&'g Visits, SimTime)>,
    pressure: Option<&'g Pressure>,
    /// How long work takes, over what the data say.
    pace: f64,
    /// By how much queues are longer than drawn.
    stretch: f64,
    /// Time lost in queues so far, as a sum over all processes.
    queued: Duration,
    /// For how long the next process holds the request up.
    held: Duration,
    spans: Option<Vec<Span>>,
    lines: Option<Vec<Line>>,
    crash: Option<Crash>,
}

impl<'g> Walker<'g> {
    fn new(graph: &'g Graph, at: SimTime, ask: &Ask<'g>, stream: Stream) -> Self {
        Walker {
            graph,
            method: "",
            stream,
            start: at,
            deadline: at + ask.patience,
            warming: ask.warming,
            pace: ask.pressure.map_or(1.0, |pressure| pressure.pace),
            pressure: ask.pressure.filter(|pressure| pressure.queues()),
            stretch: 1.0,
            queued: Duration::ZERO,
            held: Duration::ZERO,
            spans: ask.spans.then(Vec::new),
            lines: ask.lines.then(Vec::new),
            crash: None,
        }
    }

    fn done(self, outcome: Outcome, answer: Answer, took: Duration) -> Walked {
        let (spans, lines) = (self.spans.unwrap_or_default(), self.lines.unwrap_or_default());
        Walked { outcome, answer, took, spans, lines, crash: self.crash }
    }

    /// The request from the client's side, in time or late as its outcome says.
    fn fitting(&mut self, way: &Way, outcome: Outcome, ask: &Ask<'_>, given_up: bool) -> (Answer, Duration) {
        // Whoever asks for no outcome takes what comes.
        if ask.outcome.is_none() || matches!(self.graph.end(outcome), Ended::Hung { .. } | Ended::Unreachable { .. }) {
            return self.client(way, outcome);
        }
        if let (true, Way::Served { vertex, .. }) = (given_up && ask.lost > 0.0 && self.stream.chance(ask.lost), way) {
            self.lose(*vertex, self.start, self.deadline, None);
            return (Answer::Nothing, ask.patience);
        }
        let mut answer = Answer::Nothing;
        let end = self.fit(self.start, ask.patience, given_up, &mut |walker| {
            let (found, took) = walker.client(way, outcome);
            answer = found;
            walker.start + took
        });
        (answer, end - self.start)
    }

    /// Walks a part of the request that must take longer than `limit`, or less. Where queues decide that and the draw says otherwise, it is
    /// walked again with queues that are as much longer or shorter; where there are none, it is held up before.
    fn fit(&mut self, at: SimTime, limit: Duration, late: bool, part: &mut dyn FnMut(&mut Self) -> SimTime) -> SimTime {
        let begun = (self.stream.clone(), self.spans.as_ref().map(Vec::len), self.lines.as_ref().map(Vec::len), self.crash.clone());
        let (queued, stretch) = (self.queued, self.stretch);
        let end = part(self);
        if (end - at >= limit) == late || (self.pressure.is_none() && !late) {
            return end;
        }
        let wanted = limit.mul_f64(if late { 1.0 + MARGIN } else { 1.0 - MARGIN });
        let (took, lost) = ((end - at).as_secs_f64(), (self.queued - queued).as_secs_f64());
        let factor = ((wanted.as_secs_f64() - (took - lost)) / lost.max(1e-9)).clamp(0.0, 1e6);
        let is_held = late && lost < 1e-4 * limit.as_secs_f64();
        (self.stretch, self.held) = if is_held { (stretch, wanted - (end - at)) } else { (stretch * factor, self.held) };
        self.rewind(begun);
        self.queued = queued;
        let end = part(self);
        (self.stretch, self.held) = (stretch, Duration::ZERO);
        // Several things at once add up differently.
        if late { end.max(at + limit) } else { end.min(at + wanted) }
    }

    fn rewind(&mut self, (stream, spans, lines, crash): (Stream, Option<usize>, Option<usize>, Option<Crash>)) {
        self.stream = stream;
        self.crash = crash;
        if let (Some(all), Some(kept)) = (&mut self.spans, spans) {
            all.truncate(kept);
        }
        if let (Some(all), Some(kept)) = (&mut self.lines, lines) {
            all.truncate(kept);
        }
    }

    /// A request that waits in a process's queue until its caller gives up. A process that cancels drops it then; others come to it some time.
    fn lose(&mut self, vertex: usize, at: SimTime, until: SimTime, parent: Option<usize>) {
        let Some(found) = self.graph.vertices.get(vertex).filter(|found| found.instance.program.cancels) else { return };
        let span = self.arrive(found, vertex, at, parent);
        self.depart(found, span, (at, until), Some(rules::CANCELLED));
    }

    /// What a request loses to others on a process.
    fn queue(&mut self, run: RunId) -> Duration {
        let held = std::mem::take(&mut self.held);
        let Some(pressure) = self.pressure else { return held };
        let queued = pressure.draw(run, &mut self.stream, self.stretch);
        self.queued += queued;
        queued + held
    }

    /// What a call waits for a connection of its caller's.
    fn connection(&mut self, key: u64) -> Duration {
        let Some(pressure) = self.pressure else { return Duration::ZERO };
        let waited = pressure.connection(key, &mut self.stream, self.stretch);
        self.queued += waited;
        waited
    }

    /// The request from the client's side.
    fn client(&mut self, way: &Way, outcome: Outcome) -> (Answer, Duration) {
        let overhead = client_time().draw_paced(&mut self.stream, self.pace);
        match way {
            Way::Hangs { .. } => (Answer::Nothing, self.deadline - self.start),
            Way::Fails { after, .. } => {
                let took = after.mul_f64(self.stream.range(0.7, 1.3));
                (self.answer_of(outcome, None), took)
            }
            Way::Served { vertex, path } => {
                let held = path.hold(&mut self.stream, super::graph::PACKETS).unwrap_or(self.deadline - self.start);
                let before = self.start + overhead.mul_f64(0.4) + held / 2;
                let end = self.serve(*vertex, outcome, before, None);
                let answer = self.answer_of(outcome, Some(*vertex));
                (answer, end + overhead.mul_f64(0.6) + held / 2 - self.start)
            }
        }
    }

    fn answer_of(&self, outcome: Outcome, vertex: Option<usize>) -> Answer {
        let work = vertex.and_then(|at| self.graph.vertices.get(at)).map(|v| &v.work);
        match (self.graph.end(outcome), work) {
            (Ended::Served, _) => vertex.map_or(Answer::Nothing, Answer::Served),
            (Ended::Failed { error, .. }, Some(Work::Handler(handler))) => Answer::Status(handler.error_status, handler.error_text(error)),
            (Ended::Failed { error, .. } | Ended::Unreachable { error, silent: false }, _) => Answer::Refused(error.clone()),
            (Ended::Answered { status, body }, _) => Answer::Status(*status, body.clone()),
            (Ended::Hung { .. } | Ended::Unreachable { .. } | Ended::GivenUp, _) => Answer::Nothing,
        }
    }

    /// A process works on it: from its arrival to the answer's departure.
    fn serve(&mut self, vertex: usize, outcome: Outcome, at: SimTime, parent: Option<usize>) -> SimTime {
        let Some(found) = self.graph.vertices.get(vertex) else { return at };
        let span = self.arrive(found, vertex, at, parent);
        let begun = at + self.queue(found.run);
        let end = self.sequence(&found.body, outcome, begun, Place { vertex, span: span.or(parent), key: None });
        let error = self.error(outcome);
        self.depart(found, span, (at, end), error);
        end
    }

    /// The span of a process that a request comes to.
    fn arrive(&mut self, found: &Vertex, vertex: usize, at: SimTime, parent: Option<usize>) -> Option<usize> {
        match &found.work {
            _ if self.spans.is_none() => None,
            Work::Operation(operation) => self.open(vertex, operation.span_name(), SpanKind::RpcServer, at, parent),
            Work::Handler(handler) => handler.span.as_ref().and_then(|name| {
                let name = name.fill(&|part| self.handler_value(handler, part));
                self.open(vertex, &name.into(), SpanKind::HttpServer, at, parent)
            }),
        }
    }

    fn depart(&mut self, found: &Vertex, span: Option<usize>, (at, end): (SimTime, SimTime), error: Option<ArcStr>) {
        if let (Work::Handler(handler), Some(span)) = (&found.work, span.and_then(|s| self.spans.as_mut()?.get_mut(s))) {
            span.status = Some(if error.is_some() { handler.error_status } else { handler.reply.status });
            span.took = end - at;
        } else {
            self.close(span, end, error);
        }
    }

    fn sequence(&mut self, sequence: &Sequence, outcome: Outcome, mut at: SimTime, place: Place) -> SimTime {
        let mut state = Outcome::SERVED;
        for (index, act) in sequence.acts.iter().enumerate() {
            let next = sequence.after(index);
            let part = act.dist().pick(&mut self.stream, |o, p| {
                let after = state.with(o);
                p * if o.served() { next.completes(after, outcome) } else { f64::from(u8::from(after == outcome)) }
            });
            at = self.act(act, part, at, place);
            state = state.with(part);
            if !part.served() {
                break;
            }
        }
        at
    }

    fn act(&mut self, act: &Act, outcome: Outcome, at: SimTime, place: Place) -> SimTime {
        match act {
            Act::Compute(time) => at + time.draw_paced(&mut self.stream, self.pace),
            Act::Call(call) => self.call(call, outcome, at, place),
            Act::Store(store) => self.store(store, outcome, at, place),
            Act::Parallel { branches, rest } => {
                let (mut state, mut end) = (Outcome::SERVED, at);
                for (index, branch) in branches.iter().enumerate() {
                    let next = rest.get(index + 1).unwrap_or_else(|| Dist::nothing());
                    let part = branch.dist().pick(&mut self.stream, |o, p| p * next.completes(state.with(o), outcome));
                    end = end.max(self.sequence(branch, part, at, place));
                    state = state.with(part);
                }
                end
            }
        }
    }

    fn call(&mut self, act: &CallAct, outcome: Outcome, mut at: SimTime, place: Place) -> SimTime {
        let span = act.span.as_ref().and_then(|name| self.open(place.vertex, name, SpanKind::RpcClient, at, place.span));
        let last = self.attempts(act, outcome, &mut at, span.or(place.span));
        let error = self.error(last);
        self.close(span, at, error.clone());
        let hung = matches!(self.graph.end(last), Ended::Hung { .. });
        let lost = act.unconnected.as_ref().filter(|lost| error.as_ref() == Some(&lost.error));
        let failure = error.map(|error| Failure { error, keys: ArcStr::new(), lost });
        self.react((&act.on_error, hung), failure, at, place.vertex);
        at
    }

    /// All attempts of a call whose last one ends so with the caller's rule; returns how that was before it.
    fn attempts(&mut self, act: &CallAct, outcome: Outcome, at: &mut SimTime, parent: Option<usize>) -> Outcome {
        let graph = self.graph;
        let fits = |o: Outcome| graph.becomes(o, &act.on_error, outcome);
        if act.retries == 0 && act.late.share <= 0.0 {
            let only = act.attempt.pick(&mut self.stream, |o, p| if fits(o) { p } else { 0.0 });
            *at = self.attempt(act, only, *at, parent);
            return only;
        }
        let attempts = Attempts::new(act, fits);
        let mut after_late = false;
        for turn in 0..=act.retries {
            let options = attempts.options(turn, after_late);
            let Some(next) = choose(&mut self.stream, options.into_iter()) else { break };
            *at = if next.late { self.late_attempt(act, next.outcome, *at, parent) } else { self.attempt(act, next.outcome, *at, parent) };
            if next.last {
                return next.outcome;
            }
            after_late = next.late;
        }
        // Nothing fits: it ends as it likes.
        act.attempt.pick(&mut self.stream, |_, p| p)
    }

    /// An attempt that queues make too late for the caller; what the callee does goes on.
    fn late_attempt(&mut self, act: &CallAct, outcome: Outcome, at: SimTime, parent: Option<usize>) -> SimTime {
        let timeout = act.timeout.unwrap_or_default();
        let ways = act.ways.iter().map(|(way, _)| (way, f64::from(u8::from(matches!(way, Way::Served { .. })))));
        if let Some(Way::Served { vertex, .. }) = choose(&mut self.stream, ways) {
            let hop = act.hop.draw_paced(&mut self.stream, self.pace);
            let arrived = at + (hop / 2).min(timeout / 2);
            if act.late.unsent > 0.0 && self.stream.chance(act.late.unsent) {
                // It waits for a connection all the time.
            } else if self.stream.chance(act.late.lost) {
                self.lose(*vertex, arrived, at + timeout, parent);
            } else {
                let callee = self.graph.vertices.get(*vertex).map_or(Dist::nothing(), |v| v.body.dist());
                let alike = |o: Outcome| (o.noisy, o.crash) == (outcome.noisy, outcome.crash);
                let inner = callee.pick(&mut self.stream, |o, p| if alike(o) { p } else { 0.0 });
                self.fit(at, timeout, true, &mut |walker| {
                    let sent = walker.connection(act.key);
                    walker.serve(*vertex, inner, arrived + sent, parent)
                });
            }
        }
        at + timeout
    }

    /// One attempt of a call; returns when the caller knows how it went.
    fn attempt(&mut self, act: &CallAct, outcome: Outcome, at: SimTime, parent: Option<usize>) -> SimTime {
        let ways = act.ways.iter().map(|(way, dist)| (way, dist.of(outcome)));
        let hung = matches!(self.graph.end(outcome), Ended::Hung { .. });
        match choose(&mut self.stream, ways) {
            None => at,
            Some(Way::Fails { after, .. }) => at + after.mul_f64(self.stream.range(0.7, 1.3)),
            Some(Way::Hangs { .. }) => act.timeout.filter(|_| !hung).map_or(self.deadline.max(at), |timeout| at + timeout),
            Some(Way::Served { vertex, path }) => {
                let callee = self.graph.vertices.get(*vertex).map_or(Dist::nothing(), |v| v.body.dist());
                let graph = self.graph;
                let inner = callee.pick(&mut self.stream, |o, p| if graph.crosses_as(o, outcome) { p } else { 0.0 });
                if !graph.crosses_as(inner, outcome) {
                    // Lost on the wire, or too late for the caller.
                    return act.timeout.filter(|_| !hung).map_or(self.deadline.max(at), |timeout| at + timeout);
                }
                let hop = act.hop.draw_paced(&mut self.stream, self.pace);
                let held = path.hold(&mut self.stream, super::graph::PACKETS).unwrap_or_default();
                let arrived = at + hop / 2 + held / 2;
                let rest = act.timeout.filter(|_| act.late.share > 0.0).map(|timeout| timeout.saturating_sub(hop + held));
                let mut served = |walker: &mut Self| {
                    let sent = walker.connection(act.key);
                    walker.serve(*vertex, inner, arrived + sent, parent)
                };
                let end = match rest {
                    Some(rest) => self.fit(arrived, rest, false, &mut served),
                    None => served(self),
                };
                end + hop / 2 + held / 2
            }
        }
    }

    fn store(&mut self, act: &StoreAct, outcome: Outcome, at: SimTime, place: Place) -> SimTime {
        let span = act.span.as_ref().and_then(|name| self.open(place.vertex, name, SpanKind::Store, at, place.span));
        if let Some(span) = span.and_then(|s| self.spans.as_mut()?.get_mut(s)) {
            span.tags.clone_from(&act.tags);
        }
        match &act.way {
            StoreWay::Fails { error, after, .. } => {
                let end = at + after.mul_f64(self.stream.range(0.9, 1.1));
                self.close(span, end, None);
                let keys = self.keys(act, place.key);
                let failure = Failure { error: error.clone(), keys, lost: None };
                self.react((&act.on_error, false), Some(failure), end, place.vertex);
                end
            }
            StoreWay::Served(path) => {
                let held = path.hold(&mut self.stream, super::graph::PACKETS).unwrap_or_default();
                let queued = self.connection(act.key) + act.store.map_or(Duration::ZERO, |store| self.queue(store));
                let end = at + act.time.draw_paced(&mut self.stream, self.pace) + held + queued;
                self.close(span, end, None);
                match &act.miss {
                    Some(miss) => self.miss(act, miss, outcome, end, place),
                    None => end,
                }
            }
        }
    }

    /// What a cache does not have is fetched, all of it at once.
    fn miss(&mut self, act: &StoreAct, miss: &MissAct, outcome: Outcome, at: SimTime, place: Place) -> SimTime {
        let plain = miss.body.dist().only() == Some(Outcome::SERVED);
        let cold = miss.cold(if plain { self.served(act, miss, at) } else { miss.served });
        let mut missing = (0..miss.wanted()).filter(|_| cold > 0.0 && self.stream.chance(cold)).count();
        if !plain {
            let (hit, missed) =
                ((1.0 - miss.chance) * f64::from(u8::from(outcome.served() && !outcome.noisy)), miss.chance * miss.body.dist().of(outcome));
            let is_miss = missed > 0.0 && self.stream.unit() * (hit + missed) >= hit;
            missing = if is_miss { missing.max(1) } else { 0 };
        }
        let mut end = at;
        for _ in 0..missing {
            let key = Some(1 + self.stream.below(miss.keys.max(1.0) as u64));
            end = end.max(self.sequence(&miss.body, outcome, at, Place { key, ..place }));
        }
        end
    }

    /// The keys that a request to a store asks for, as lines quote them.
    fn keys(&mut self, act: &StoreAct, key: Option<u64>) -> ArcStr {
        if let Some(key) = key {
            return key.to_string().into();
        }
        let Some((wanted, all)) = act.keyspace else { return ArcStr::new() };
        rules::quoted_keys(&rules::draw_keys(&mut self.stream, (wanted, all)))
    }

    /// Requests that a cache has served by `at`.
    fn served(&self, act: &StoreAct, miss: &MissAct, at: SimTime) -> f64 {
        let Some((visits, since)) = self.warming else { return miss.served };
        let same = |(run, label, _): &&(RunId, ArcStr, f64)| Some(*run) == act.store && *label == miss.label;
        let rate: f64 = visits.caches.iter().filter(same).map(|(_, _, rate)| rate).sum();
        miss.served + rate * (at - since).as_secs_f64()
    }

    /// The text of a failure, as it stands in spans and lines.
    fn error(&self, outcome: Outcome) -> Option<ArcStr> {
        match self.graph.end(outcome) {
            Ended::Served | Ended::Answered { .. } => None,
            Ended::Failed { error, .. } | Ended::Unreachable { error, .. } => Some(error.clone()),
            Ended::Hung { .. } | Ended::GivenUp => Some(rules::CANCELLED),
        }
    }

    /// What a program does about a failed call.
    fn react(&mut self, (rule, hung): (&OnError, bool), failure: Option<Failure<'_>>, at: SimTime, vertex: usize) {
        let (Some(Failure { error, keys, lost }), Some(found)) = (failure, self.graph.vertices.get(vertex)) else { return };
        let at = at.min(self.deadline);
        let text = found.instance.complaint((rule, lost), at, &error, &keys);
        match (rules::reaction(rule, hung), text) {
            (Reaction::Exit(code), text) => {
                self.crash.get_or_insert(Crash { at, run: found.run, lines: text.into_iter().collect(), code });
            }
            (_, Some(text)) => {
                if let Some(lines) = &mut self.lines {
                    lines.push(Line { at, run: found.run, text });
                }
            }
            _ => {}
        }
    }

    fn handler_value(&self, handler: &Handler, part: &str) -> Option<ArcStr> {
        match part {
            "method" => Some(self.method.into()),
            "path" => Some(handler.path.clone()),
            _ => None,
        }
    }

    fn open(&mut self, vertex: usize, operation: &ArcStr, kind: SpanKind, start: SimTime, parent: Option<usize>) -> Option<usize> {
        let found = self.graph.vertices.get(vertex)?;
        let spans = self.spans.as_mut()?;
        spans.push(Span {
            parent,
            run: found.run,
            sink: found.sink,
            service: found.instance.program.service.clone(),
            operation: operation.clone(),
            kind,
            start,
            took: Duration::ZERO,
            error: None,
            status: None,
            tags: Vec::new(),
        });
        Some(spans.len() - 1)
    }

    fn close(&mut self, span: Option<usize>, end: SimTime, error: Option<ArcStr>) {
        if let Some(span) = span.and_then(|at| self.spans.as_mut()?.get_mut(at)) {
            span.took = end - span.start;
            span.error = error;
        }
    }
}
