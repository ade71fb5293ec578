//! What is going to happen, in the order of its time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

/// Names what was put on the agenda.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ticket(u64);

/// What is going to happen. Of what happens at the same time that comes first which was put on first.
#[derive(Debug)]
pub(crate) struct Agenda<E> {
    now: Duration,
    order: BinaryHeap<Reverse<(Duration, Ticket)>>,
    entries: HashMap<Ticket, E>,
    tickets: u64,
}

impl<E> Agenda<E> {
    pub(crate) fn new() -> Self {
        Self {
            now: Duration::ZERO,
            order: BinaryHeap::new(),
            entries: HashMap::new(),
            tickets: 0,
        }
    }

    /// The time of what happened last.
    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    /// Something is going to happen at a time, or now if that is over.
    pub(crate) fn at(&mut self, time: Duration, entry: E) -> Ticket {
        let ticket = Ticket(self.tickets);
        self.tickets += 1;
        self.order.push(Reverse((time.max(self.now), ticket)));
        self.entries.insert(ticket, entry);
        ticket
    }

    /// Something is going to happen after some time.
    pub(crate) fn after(&mut self, wait: Duration, entry: E) -> Ticket {
        self.at(self.now + wait, entry)
    }

    /// It will not happen.
    pub(crate) fn cancel(&mut self, ticket: Ticket) {
        self.entries.remove(&ticket);
    }

    /// The next to happen; its time is now.
    pub(crate) fn next(&mut self) -> Option<E> {
        while let Some(Reverse((time, ticket))) = self.order.pop() {
            if let Some(entry) = self.entries.remove(&ticket) {
                self.now = time;
                return Some(entry);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_is_in_order_of_time_and_then_of_being_said() {
        let mut agenda = Agenda::new();
        let seconds = Duration::from_secs;
        agenda.at(seconds(2), "later");
        let never = agenda.at(seconds(1), "never");
        agenda.at(seconds(1), "first");
        agenda.at(seconds(1), "second");
        agenda.cancel(never);
        assert_eq!(agenda.next(), Some("first"));
        agenda.after(seconds(0), "third");
        agenda.at(seconds(0), "what is over happens now");
        let rest = std::iter::from_fn(|| agenda.next());
        assert_eq!(
            rest.collect::<Vec<_>>(),
            ["second", "third", "what is over happens now", "later"]
        );
        assert_eq!(agenda.now(), seconds(2));
    }
}
