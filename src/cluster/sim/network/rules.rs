//! Disturbances on the wire: loss, delay, partition, as rules that faults install and take away.
//!
//! A rule touches packets that leave or enter a place; a call crosses its path twice, there and back, so one rule can act
//! on both of its legs. Not modelled: duplication, corruption, reordering, bandwidth, correlation of losses.

use super::super::world::World;
use super::Origin;
use crate::rng::Stream;
use arcstr::ArcStr;
use imbl::Vector;
use std::time::Duration;

/// Names an installed rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleId(u64);

/// A rule: what happens to packets between two places.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Whose packets.
    pub at: Place,
    /// Exchanged with whom.
    pub with: Place,
    /// Leaving, entering, or both.
    pub direction: Direction,
    /// What happens to them.
    pub effect: Effect,
}

/// One end of the packets that a rule touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Anywhere.
    Anywhere,
    /// A node and every pod on it.
    Node(ArcStr),
    /// A pod.
    Pod {
        /// Namespace.
        namespace: ArcStr,
        /// Name.
        pod: ArcStr,
    },
}

/// Which packets of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Those it sends.
    Leaving,
    /// Those it receives.
    Entering,
    /// Both.
    Both,
}

/// What happens to a packet.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// It is lost, always: a partition, or a machine that is off.
    Partition,
    /// It is lost with this probability.
    Loss(f64),
    /// It is late.
    Delay {
        /// By how much.
        latency: Duration,
        /// Give or take, evenly.
        jitter: Duration,
    },
}

/// The rules in force.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    installed: u64,
    rules: Vector<(RuleId, Rule)>,
}

/// What rules do to a call, there and back.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Path {
    /// Time added to a round trip.
    pub latency: Duration,
    /// Give or take, evenly.
    pub jitter: Duration,
    /// Probability that a round trip's packets get lost.
    pub loss: f64,
    /// Nothing gets through.
    pub cut: bool,
}

/// Puts a rule in force.
pub fn install(world: &mut World, rule: Rule) -> RuleId {
    let rules = &mut world.network.rules;
    rules.installed += 1;
    let id = RuleId(rules.installed);
    rules.rules.push_back((id, rule));
    super::review(world);
    id
}

/// Takes a rule out of force; nothing happens when it is gone.
pub fn remove(world: &mut World, id: RuleId) {
    world.network.rules.rules.retain(|(other, _)| *other != id);
    super::review(world);
}

/// An end of a call: the pod, if it is one, and the node it is on, if any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub pod: Option<(ArcStr, ArcStr)>,
    pub node: Option<ArcStr>,
}

impl End {
    /// The end at which an origin stands.
    pub(super) fn of(world: &World, origin: &Origin) -> Self {
        match origin {
            Origin::Pod { namespace, pod } => End::pod(world, namespace, pod),
            Origin::Node(node) => End { pod: None, node: Some(node.clone()) },
            Origin::Workstation => End { pod: None, node: None },
        }
    }

    /// The end at which a pod stands.
    pub(super) fn pod(world: &World, namespace: &ArcStr, pod: &ArcStr) -> Self {
        let key = super::super::store::Key::new(super::Kind::POD, namespace.clone(), pod.clone());
        let node = world.store.peek(&key).and_then(|pod| pod.spec().get("nodeName").as_text().cloned());
        End { pod: Some((namespace.clone(), pod.clone())), node }
    }

    fn is_at(&self, place: &Place) -> bool {
        match place {
            Place::Anywhere => true,
            Place::Node(name) => self.node.as_ref() == Some(name),
            Place::Pod { namespace, pod } => self.pod.as_ref().is_some_and(|(ns, name)| ns == namespace && name == pod),
        }
    }
}

/// What the rules in force do to a call between two ends. Packets within one pod touch no wire.
fn path(world: &World, from: &End, to: &End) -> Path {
    let mut path = Path::default();
    if from.pod.is_some() && from.pod == to.pod {
        return path;
    }
    for (_, rule) in &world.network.rules.rules {
        for (sender, receiver) in [(from, to), (to, from)] {
            let leaves = rule.direction != Direction::Entering && sender.is_at(&rule.at) && receiver.is_at(&rule.with);
            let enters = rule.direction != Direction::Leaving && receiver.is_at(&rule.at) && sender.is_at(&rule.with);
            if leaves || enters {
                path.add(&rule.effect);
            }
        }
    }
    path
}

/// As [`path`], from an origin to a place that need not be looked up while no rule is in force.
pub(super) fn path_to(world: &World, from: &Origin, to: impl FnOnce() -> End) -> Path {
    if world.network.rules.rules.is_empty() { Path::default() } else { path(world, &End::of(world, from), &to()) }
}

/// What the rules in force do to packets between the pods of two runs.
pub fn between(world: &World, from: super::RunId, to: super::RunId) -> Path {
    if world.network.rules.rules.is_empty() {
        return Path::default();
    }
    let end = |run| match super::balancer::origin(world, run) {
        Origin::Pod { namespace, pod } => End::pod(world, &namespace, &pod),
        other => End::of(world, &other),
    };
    path(world, &end(from), &end(to))
}

/// Attempts to deliver one packet before the connection is given up: 0.2 s, doubling, within [`RETRANSMIT_LIMIT`].
const ATTEMPTS: i32 = 13;

impl Path {
    /// Probability that a round trip with `packets` packets never completes.
    pub fn hang_chance(&self, packets: i32) -> f64 {
        let lost = if self.cut { 1.0 } else { power(self.loss, ATTEMPTS) };
        1.0 - power(1.0 - lost, packets)
    }

    /// Probability that delays alone take longer than `limit`.
    pub fn later_than(&self, limit: Duration) -> f64 {
        let (least, most) = (self.latency.saturating_sub(self.jitter), self.latency + self.jitter);
        if least >= limit {
            1.0
        } else if most <= limit {
            0.0
        } else {
            (most - limit).as_secs_f64() / (most - least).as_secs_f64()
        }
    }

    fn add(&mut self, effect: &Effect) {
        match effect {
            Effect::Partition => self.cut = true,
            Effect::Loss(p) => self.loss = 1.0 - (1.0 - self.loss) * (1.0 - p.clamp(0.0, 1.0)),
            Effect::Delay { latency, jitter } => {
                self.latency += *latency;
                self.jitter += *jitter;
            }
        }
    }

    /// Whether nothing is done to packets.
    pub fn is_clear(&self) -> bool {
        *self == Path::default()
    }

    /// Time that the rules add to one round trip with `packets` packets that must all arrive; `None` when it never does. A lost packet is
    /// sent again after 200 ms, doubling, as Linux does.
    pub fn hold(&self, stream: &mut Stream, packets: u32) -> Option<Duration> {
        if self.cut {
            return None;
        }
        let mut held = self.latency;
        if !self.jitter.is_zero() {
            held = (held + self.jitter.mul_f64(2.0 * stream.unit())).saturating_sub(self.jitter);
        }
        for _ in 0..packets {
            let mut again = Duration::from_millis(200);
            while self.loss > 0.0 && stream.chance(self.loss) {
                held += again;
                again *= 2;
                if held > RETRANSMIT_LIMIT {
                    return None;
                }
            }
        }
        Some(held)
    }
}

/// How long Linux tries to deliver a packet before it gives a connection up: `tcp_retries2` = 15 from a first time-out of 200 ms.
pub const RETRANSMIT_LIMIT: Duration = Duration::from_millis(924_600);

/// The first instant at or after `healed_after` at which a packet first sent at zero is sent again: 0.2, 0.6, 1.4 … s, at most 120 s apart.
pub fn next_retransmission(healed_after: Duration) -> Duration {
    let (mut at, mut gap) = (Duration::ZERO, Duration::from_millis(200));
    while at < healed_after {
        at += gap;
        gap = (gap * 2).min(Duration::from_secs(120));
    }
    at
}

fn power(base: f64, exponent: i32) -> f64 {
    (0..exponent).fold(1.0, |product, _| product * base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retransmissions_double() {
        let check =
            |after_ms, expect_ms| assert_eq!(next_retransmission(Duration::from_millis(after_ms)), Duration::from_millis(expect_ms));
        check(0, 0);
        check(1, 200);
        check(201, 600);
        check(90_000, 102_200); // A partition of 90 s is felt for 102 s: measured 33 s after healing one of about 70 s.
        check(102_200, 102_200);
        check(102_201, 204_600);
        check(204_601, 324_600);
    }
}
