//! A graph under load: calls that queues make late.

use super::ends::{Ends, asked, suffixes};
use super::{Act, CallAct, Dist, Ended, Entry, Graph, MissAct, Outcome, Sequence, StoreAct, Vertex};
use crate::app::Clients;
use std::collections::BTreeMap;

/// How often the attempts of a call come too late because of queues.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Lateness {
    /// Share of first attempts.
    pub share: f64,
    /// Share of those that follow one that was late.
    pub again: f64,
    /// Share of late ones that never leave the caller, for want of a connection.
    pub unsent: f64,
    /// Share of the others that never get past the queue of the process that should answer: it drops them, or has not come to them.
    pub lost: f64,
}

impl Graph {
    /// The graph when calls are late, by their keys. Vertices and entries keep their places.
    #[must_use]
    pub fn delayed(&self, late: &BTreeMap<u64, Lateness>) -> Graph {
        let table: Vec<Ended> = self.ends.iter().filter(|end| **end != Ended::GivenUp).cloned().collect();
        let ends = Ends { table, vertices: self.vertices.iter().map(|_| None).collect() };
        let mut delaying = Delaying { graph: self, late, ends, begun: vec![false; self.vertices.len()] };
        let entries: Vec<Entry> = self.entries.iter().map(|entry| delaying.entry(entry)).collect();
        let mut ends = delaying.ends;
        // What no entry leads to stays as it was.
        let vertices = ends.vertices.into_iter().zip(&self.vertices).map(|(vertex, old)| vertex.unwrap_or_else(|| old.copied()));
        let vertices = vertices.collect();
        ends.table.push(Ended::GivenUp);
        Graph { vertices, entries, ends: ends.table, fingerprint: self.fingerprint, dials: self.dials, slow: true }
    }
}

impl Vertex {
    fn copied(&self) -> Vertex {
        Vertex { run: self.run, instance: self.instance.clone(), work: self.work.clone(), sink: self.sink, body: self.body.clone() }
    }
}

struct Delaying<'g> {
    graph: &'g Graph,
    late: &'g BTreeMap<u64, Lateness>,
    ends: Ends,
    begun: Vec<bool>,
}

impl Delaying<'_> {
    fn entry(&mut self, entry: &Entry) -> Entry {
        let (count, at) = (entry.ways.len() as f64, arcstr::literal!("entry"));
        let mut delayed = Entry { root: entry.root.clone(), ways: Vec::with_capacity(entry.ways.len()), dist: Dist::default() };
        for (way, _) in &entry.ways {
            self.reach(way);
            let dist = self.ends.way_dist(way, (&at, Clients::Go));
            dist.iter().for_each(|(o, p)| delayed.dist.add(o, p / count));
            delayed.ways.push((way.clone(), dist));
        }
        delayed
    }

    /// Sees to it that the vertex behind a way is there.
    fn reach(&mut self, way: &super::Way) {
        let super::Way::Served { vertex, .. } = way else { return };
        let (Some(found), Some(begun)) = (self.graph.vertices.get(*vertex), self.begun.get_mut(*vertex)) else { return };
        if std::mem::replace(begun, true) {
            return;
        }
        let body = self.sequence(&found.body);
        if let Some(slot) = self.ends.vertices.get_mut(*vertex) {
            *slot = Some(Vertex { run: found.run, instance: found.instance.clone(), work: found.work.clone(), sink: found.sink, body });
        }
    }

    fn sequence(&mut self, sequence: &Sequence) -> Sequence {
        let acts: Vec<Act> = sequence.acts.iter().map(|act| self.act(act)).collect();
        let rest = suffixes(acts.iter().map(Act::dist), false);
        Sequence { acts, rest }
    }

    fn act(&mut self, act: &Act) -> Act {
        match act {
            Act::Compute(time) => Act::Compute(*time),
            Act::Call(call) => Act::Call(Box::new(self.call(call))),
            Act::Store(store) => {
                let miss = store.miss.as_ref().map(|miss| MissAct { body: self.sequence(&miss.body), ..miss.clone() });
                let dist = asked(&store.way, miss.as_ref());
                // A request that fails keeps its end.
                let dist = if miss.is_some() { dist } else { store.dist.clone() };
                Act::Store(Box::new(StoreAct { miss, dist, ..(**store).clone() }))
            }
            Act::Parallel { branches, .. } => {
                let branches: Vec<Sequence> = branches.iter().map(|branch| self.sequence(branch)).collect();
                let rest = suffixes(branches.iter().map(Sequence::dist), true);
                Act::Parallel { branches, rest }
            }
        }
    }

    fn call(&mut self, call: &CallAct) -> CallAct {
        let count = call.ways.len().max(1) as f64;
        let (mut attempt, mut ways) = (Dist::default(), Vec::with_capacity(call.ways.len()));
        for (way, _) in &call.ways {
            self.reach(way);
            let dist = self.ends.timed(call.timeout, way, (&call.at, call.clients));
            dist.iter().for_each(|(o, p): (Outcome, f64)| attempt.add(o, p / count));
            ways.push((way.clone(), dist));
        }
        let late = self.late.get(&call.key).copied().unwrap_or_default();
        let expired = if late.share > 0.0 { self.ends.expired(&ways, (&call.at, call.clients)) } else { Dist::default() };
        let mut delayed = CallAct { ways, attempt, late, expired, dist: Dist::default(), ..call.clone() };
        delayed.dist = self.ends.all(&delayed);
        delayed
    }
}
