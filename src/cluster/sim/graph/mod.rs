//! The application's call trees as they resolve at one instant: who calls whom, and how each call can end.
//!
//! A [`Graph`] is compiled from programs, connections and routes; walks ([`super::walk`]) and regimes ([`super::traffic`]) only
//! read it. Every vertex is one operation on one running process; every call lists the ways it can go, each as likely as the
//! others; and every stretch of work carries the distribution of its outcomes, so that a request with a given outcome can be
//! drawn without trial and error.
//!
//! A time-out counts delays on the wire when a graph is compiled; what queues add is known to the load ([`super::flow`]) and put in by
//! [`Graph::delayed`].
//!
//! Not modelled: cycles in call trees (a call back into work in progress hangs).

pub mod attempts;
mod compile;
mod delay;
mod ends;
pub mod outcome;
pub mod time;

pub use compile::{compile, compile_to};
pub use delay::Lateness;
pub(super) use ends::PACKETS;
pub use outcome::{Dist, Ended, Outcome};
pub use time::Time;

use super::history::RunId;
use super::network::rules::Path;
use crate::app::{Clients, Handler, Instance, OnError, Operation, Then, Unconnected};
use arcstr::ArcStr;
use std::sync::Arc;
use std::time::Duration;

/// A root of a graph: a request that arrives at a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Method.
    pub method: ArcStr,
    /// Path without query.
    pub path: ArcStr,
}

/// Call trees, compiled.
#[derive(Debug)]
pub struct Graph {
    /// Operations on processes.
    pub vertices: Vec<Vertex>,
    /// How each root can go, in the order of the roots.
    pub entries: Vec<Entry>,
    /// Ends, by [`Outcome::ended`]; the last is [`Ended::GivenUp`].
    pub ends: Vec<Ended>,
    /// Equal for graphs that resolve alike.
    pub fingerprint: u64,
    /// Whether some call opens a connection of its own each time.
    pub dials: bool,
    /// Whether some call can take long for other reasons than work: delays, losses, silence.
    pub slow: bool,
}

/// A root, resolved.
#[derive(Debug)]
pub struct Entry {
    /// The request.
    pub root: Root,
    /// Ways it can go, equally likely; what each leads to.
    pub ways: Vec<(Way, Dist)>,
    /// How it can end.
    pub dist: Dist,
}

/// One operation on one process.
#[derive(Debug)]
pub struct Vertex {
    /// The process.
    pub run: RunId,
    /// Its program.
    pub instance: Arc<Instance>,
    /// What it is asked for.
    pub work: Work,
    /// The trace collector's process that its spans reach.
    pub sink: Option<RunId>,
    /// What it does.
    pub body: Sequence,
}

/// What a process is asked for.
#[derive(Clone, Debug)]
pub enum Work {
    /// An HTTP request.
    Handler(Arc<Handler>),
    /// A call.
    Operation(Arc<Operation>),
}

/// Work in order.
#[derive(Clone, Debug, Default)]
pub struct Sequence {
    /// Its parts.
    pub acts: Vec<Act>,
    /// How the parts from each on can end; one longer than `acts`.
    pub rest: Vec<Dist>,
}

impl Sequence {
    /// How the parts after the `index`th can end.
    pub fn after(&self, index: usize) -> &Dist {
        self.rest.get(index + 1).unwrap_or_else(|| Dist::nothing())
    }

    /// How all of it can end.
    pub fn dist(&self) -> &Dist {
        self.rest.first().unwrap_or_else(|| Dist::nothing())
    }
}

/// A part of an operation.
#[derive(Clone, Debug)]
pub enum Act {
    /// Work on the CPU.
    Compute(Time),
    /// A call.
    Call(Box<CallAct>),
    /// A request to a store.
    Store(Box<StoreAct>),
    /// Things done at once.
    Parallel {
        /// Each of them.
        branches: Vec<Sequence>,
        /// How the branches from each on can end, together.
        rest: Vec<Dist>,
    },
}

impl Act {
    /// How it can end, with the rule for errors.
    pub fn dist(&self) -> &Dist {
        match self {
            Act::Compute(_) => Dist::nothing(),
            Act::Call(call) => &call.dist,
            Act::Store(store) => &store.dist,
            Act::Parallel { rest, .. } => rest.first().unwrap_or_else(|| Dist::nothing()),
        }
    }
}

/// A call, resolved.
#[derive(Clone, Debug)]
pub struct CallAct {
    /// Names it among all calls of all graphs: the same call of the same process has the same.
    pub key: u64,
    /// Names it in errors.
    pub at: ArcStr,
    /// Name of the client span.
    pub span: Option<ArcStr>,
    /// For how long the caller waits.
    pub timeout: Option<Duration>,
    /// How often it tries again.
    pub retries: u32,
    /// The most that the caller has under way at once.
    pub pool: Option<u32>,
    /// What it does when the call fails.
    pub on_error: OnError,
    /// How long the way there and back takes.
    pub hop: Time,
    /// Ways it can go, equally likely; what each leads to, before the caller's rule for errors.
    pub ways: Vec<(Way, Dist)>,
    /// What the caller notices when it cannot connect.
    pub unconnected: Option<Unconnected>,
    /// The caller's libraries.
    pub clients: Clients,
    /// One attempt, before the caller's rule for errors, as far as queues do not make it late.
    pub attempt: Dist,
    /// How often queues do.
    pub late: Lateness,
    /// How attempts end that are late, before the rule.
    pub expired: Dist,
    /// All attempts, with the rule.
    pub dist: Dist,
}

/// One way in which a call can go.
#[derive(Clone, Debug, PartialEq)]
pub enum Way {
    /// A process works on it.
    Served {
        /// Its vertex.
        vertex: usize,
        /// What happens to packets.
        path: Path,
    },
    /// It fails before any process works on it, or is answered by something else than a handler.
    Fails {
        /// How.
        outcome: Outcome,
        /// How soon, about.
        after: Duration,
    },
    /// Nothing comes back.
    Hangs {
        /// How that ends.
        outcome: Outcome,
    },
}

/// A request to a store, resolved.
#[derive(Clone, Debug)]
pub struct StoreAct {
    /// Names it among all calls of all graphs, as with [`CallAct::key`].
    pub key: u64,
    /// The most that the caller has under way at once.
    pub pool: Option<u32>,
    /// Name of the client span.
    pub span: Option<ArcStr>,
    /// Tags of the span.
    pub tags: Vec<(ArcStr, ArcStr)>,
    /// How long the store takes.
    pub time: Time,
    /// What it costs the store, where the data say it.
    pub cpu_ms: Option<f64>,
    /// What the caller does when the request fails.
    pub on_error: OnError,
    /// For a cache: how many keys one request asks for, of how many.
    pub keyspace: Option<(u32, u64)>,
    /// The store's process; `None` when none is reached.
    pub store: Option<RunId>,
    /// How it goes before a miss is looked at.
    pub way: StoreWay,
    /// For a cache that answers: what happens on a miss.
    pub miss: Option<MissAct>,
    /// How it can end, with the rule for errors.
    pub dist: Dist,
}

/// How a request to a store goes.
#[derive(Clone, Debug, PartialEq)]
pub enum StoreWay {
    /// It answers.
    Served(Path),
    /// It fails.
    Fails {
        /// The store's error.
        error: ArcStr,
        /// How that ends, with the rule for errors.
        outcome: Outcome,
        /// How soon.
        after: Duration,
    },
}

/// What happens on a cache miss.
#[derive(Clone, Debug)]
pub struct MissAct {
    /// Names the cache's keys among those of its process.
    pub label: ArcStr,
    /// How many different keys exist.
    pub keys: f64,
    /// How many of them one request asks for.
    pub per_request: f64,
    /// What is done for each missing key.
    pub body: Sequence,
    /// Requests that the cache had served when the graph was compiled.
    pub served: f64,
    /// Probability that at least one key was missing then.
    pub chance: f64,
}

impl MissAct {
    /// Probability that a key is missing after so many requests.
    pub fn cold(&self, served: f64) -> f64 {
        libm::exp(-served * self.per_request / self.keys.max(1.0))
    }

    /// How many keys one request asks for, as a whole number.
    pub fn wanted(&self) -> u32 {
        libm::round(self.per_request.clamp(1.0, self.keys.max(1.0))) as u32
    }
}

impl Graph {
    /// The end of an outcome.
    pub fn end(&self, outcome: Outcome) -> &Ended {
        self.ends.get(usize::from(outcome.ended)).unwrap_or(&Ended::Served)
    }

    /// The outcome of a request whose user gave up.
    pub fn given_up(&self) -> Outcome {
        Outcome { ended: u16::try_from(self.ends.len().saturating_sub(1)).unwrap_or(u16::MAX), ..Outcome::SERVED }
    }

    /// The status that the handler of a vertex answers with when it succeeds.
    pub fn reply_status(&self, vertex: usize) -> u16 {
        match self.vertices.get(vertex).map(|v| &v.work) {
            Some(Work::Handler(handler)) => handler.reply.status,
            _ => 200,
        }
    }

    /// Whether a caller with this rule turns `outcome` into `ruled`.
    pub fn becomes(&self, outcome: Outcome, rule: &OnError, ruled: Outcome) -> bool {
        if outcome.served() {
            return outcome == ruled;
        }
        let hung = matches!(self.end(outcome), Ended::Hung { .. });
        let noisy = outcome.noisy || rule.log.is_some();
        match rule.then {
            Then::Exit(_) if !hung => ruled.crash && ruled.noisy == outcome.noisy,
            Then::Ignore if !hung => ruled.served() && ruled.noisy == noisy && ruled.crash == outcome.crash,
            _ => ruled == Outcome { noisy, ..outcome },
        }
    }

    /// Whether a caller sees a callee's `inner` outcome as `seen`; gRPC wraps errors that are none of its own.
    pub fn crosses_as(&self, inner: Outcome, seen: Outcome) -> bool {
        if (inner.noisy, inner.crash) != (seen.noisy, seen.crash) {
            return false;
        }
        if inner.ended == seen.ended {
            return true;
        }
        match (self.end(inner), self.end(seen)) {
            (Ended::Failed { error, at }, Ended::Failed { error: outer, at: place }) => {
                at == place && outer.strip_prefix("rpc error: code = Unknown desc = ") == Some(error.as_str())
            }
            _ => false,
        }
    }

    /// How many requests per second reach each vertex, and each cache in it, given those of each entry.
    pub fn visits(&self, entry_rates: &[f64]) -> Visits {
        let mut visits = Visits { vertices: vec![0.0; self.vertices.len()], caches: Vec::new() };
        for (entry, rate) in self.entries.iter().zip(entry_rates) {
            for (way, _) in &entry.ways {
                self.visit_way(way, rate / entry.ways.len() as f64, &mut visits);
            }
        }
        visits
    }

    fn visit_way(&self, way: &Way, rate: f64, visits: &mut Visits) {
        if let Way::Served { vertex, .. } = way
            && let Some(found) = self.vertices.get(*vertex)
            && rate > 0.0
        {
            visits.vertices[*vertex] += rate;
            self.visit_sequence(&found.body, rate, visits);
        }
    }

    fn visit_sequence(&self, sequence: &Sequence, mut rate: f64, visits: &mut Visits) {
        for act in &sequence.acts {
            rate *= match act {
                Act::Compute(_) => 1.0,
                Act::Call(call) => {
                    let rate = rate * attempts::passing(call);
                    call.ways.iter().for_each(|(way, _)| self.visit_way(way, rate / call.ways.len() as f64, visits));
                    call.dist.success()
                }
                Act::Store(store) => {
                    if let (Some(miss), Some(run)) = (&store.miss, store.store) {
                        if miss.body.dist().only() == Some(Outcome::SERVED) {
                            visits.caches.push((run, miss.label.clone(), rate));
                        }
                        self.visit_sequence(&miss.body, rate * miss.chance, visits);
                    }
                    store.dist.success()
                }
                Act::Parallel { branches, rest } => {
                    branches.iter().for_each(|branch| self.visit_sequence(branch, rate, visits));
                    rest.first().map_or(1.0, Dist::success)
                }
            };
        }
    }
}

/// Requests per second.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Visits {
    /// To each vertex.
    pub vertices: Vec<f64>,
    /// To each cache that fills: process, name of its keys, requests.
    pub caches: Vec<(RunId, ArcStr, f64)>,
}
