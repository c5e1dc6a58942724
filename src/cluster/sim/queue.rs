//! The event queue: one order of events by (time, sequence number).

use crate::time::SimTime;
use imbl::OrdMap;

/// Events in order of time; events of one instant in the order in which they were put.
#[derive(Clone)]
pub struct Queue<E: Clone> {
    events: OrdMap<(SimTime, u64), E>,
    sequence: u64,
}

/// Names an event that is still in the queue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Ticket(SimTime, u64);

impl<E: Clone> Default for Queue<E> {
    fn default() -> Self {
        Queue { events: OrdMap::new(), sequence: 0 }
    }
}

impl<E: Clone> Queue<E> {
    /// Puts an event at an instant.
    pub fn put(&mut self, at: SimTime, event: E) -> Ticket {
        self.sequence += 1;
        self.events.insert((at, self.sequence), event);
        Ticket(at, self.sequence)
    }

    /// Takes an event back; nothing happens when it is gone.
    pub fn cancel(&mut self, ticket: Ticket) {
        self.events.remove(&(ticket.0, ticket.1));
    }

    /// When the first event is due.
    pub fn next_time(&self) -> Option<SimTime> {
        self.events.get_min().map(|((at, _), _)| *at)
    }

    /// Takes the first event that is due by `until`.
    pub fn pop(&mut self, until: SimTime) -> Option<(SimTime, E)> {
        let key = self.events.get_min().map(|(key, _)| *key).filter(|(at, _)| *at <= until)?;
        self.events.remove(&key).map(|event| (key.0, event))
    }

    /// Events in order.
    pub fn iter(&self) -> impl Iterator<Item = (SimTime, &E)> {
        self.events.iter().map(|((at, _), event)| (*at, event))
    }
}
