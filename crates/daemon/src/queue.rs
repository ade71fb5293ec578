//! Which action runs next: slots, priorities, joining and promotion. Pure, so that every order of
//! events can be tested. A job that waits for others lends its slot, so that it can't be what they wait
//! for.
//!
//! A real action starts as soon as fewer real actions than slots are running, whatever speculative
//! ones are running: those are at a lower scheduling priority and yield the processor. A speculative
//! action starts only in a slot that nothing else uses.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;

use headstart_execution::Priority;

/// Jobs by key, each with the waiters `W` that want its result.
#[derive(Debug)]
pub(crate) struct Queue<K, W> {
    slots: usize,
    jobs: HashMap<K, Job<W>>,
    waiting: BinaryHeap<Reverse<(Priority, u64, K)>>,
    arrivals: u64,
    running_real: usize,
    running_speculative: usize,
}

#[derive(Debug)]
struct Job<W> {
    priority: Priority,
    arrival: u64,
    /// The priority with which it was started, if it was.
    started: Option<Priority>,
    /// Whether it runs without a slot for the time being.
    lent: bool,
    waiters: Vec<(u64, W)>,
}

/// What became of a waiter that was added.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// The job is new.
    New,
    /// The job was already queued or running.
    Joined,
}

/// What is to be done when a waiter has left.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing: others wait, or the job has ended.
    Nothing,
    /// Nobody waits for the job any more, and it had not been started.
    Dropped,
    /// Nobody waits for the job any more, and it is running.
    Abandoned,
}

impl<K: Copy + Eq + Hash + Ord, W> Queue<K, W> {
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            slots: slots.max(1),
            jobs: HashMap::new(),
            waiting: BinaryHeap::new(),
            arrivals: 0,
            running_real: 0,
            running_speculative: 0,
        }
    }

    /// Adds a waiter for `key`, and gives the number to take it away with.
    pub(crate) fn add(&mut self, key: K, priority: Priority, waiter: W) -> (Added, u64) {
        self.arrivals += 1;
        let number = self.arrivals;
        let Some(job) = self.jobs.get_mut(&key) else {
            let waiters = vec![(number, waiter)];
            self.jobs.insert(
                key,
                Job {
                    priority,
                    arrival: number,
                    started: None,
                    lent: false,
                    waiters,
                },
            );
            self.waiting.push(Reverse((priority, number, key)));
            return (Added::New, number);
        };
        job.waiters.push((number, waiter));
        if priority < job.priority {
            job.priority = priority;
            match job.started {
                // The older entry in the heap no longer agrees with the job, and is passed over.
                None => self.waiting.push(Reverse((priority, job.arrival, key))),
                Some(started) if started.is_speculative() && !priority.is_speculative() => {
                    job.started = Some(priority);
                    if !job.lent {
                        self.running_speculative -= 1;
                        self.running_real += 1;
                    }
                }
                Some(_) => {}
            }
        }
        (Added::Joined, number)
    }

    /// The next job to start, if one may start now.
    pub(crate) fn start(&mut self) -> Option<(K, Priority)> {
        loop {
            let Reverse((priority, arrival, key)) = *self.waiting.peek()?;
            let job = self.jobs.get_mut(&key).filter(|job| {
                job.started.is_none() && job.priority == priority && job.arrival == arrival
            });
            let Some(job) = job else {
                self.waiting.pop();
                continue;
            };
            let speculative = priority.is_speculative();
            let running = self.running_real + self.running_speculative;
            let free = if speculative {
                running < self.slots
            } else {
                self.running_real < self.slots
            };
            if !free {
                return None;
            }
            self.waiting.pop();
            job.started = Some(priority);
            *self.running(priority) += 1;
            return Some((key, priority));
        }
    }

    /// Notes that a job has ended, and gives those who wait for it, in order of arrival.
    pub(crate) fn finish(&mut self, key: K) -> Vec<W> {
        let Some(job) = self.jobs.remove(&key) else {
            return Vec::new();
        };
        if let Some(priority) = job.started
            && !job.lent
        {
            *self.running(priority) -= 1;
        }
        job.waiters.into_iter().map(|(_, waiter)| waiter).collect()
    }

    /// Frees the slot of a running job that waits for others.
    pub(crate) fn lend(&mut self, key: K) {
        self.set_lent(key, true);
    }

    /// The job goes on, if need be with one more running than there are slots.
    pub(crate) fn reclaim(&mut self, key: K) {
        self.set_lent(key, false);
    }

    fn set_lent(&mut self, key: K, lent: bool) {
        let Some(job) = self.jobs.get_mut(&key).filter(|job| job.lent != lent) else {
            return;
        };
        let Some(priority) = job.started else {
            return;
        };
        job.lent = lent;
        let running = self.running(priority);
        if lent {
            *running -= 1;
        } else {
            *running += 1;
        }
    }

    fn running(&mut self, priority: Priority) -> &mut usize {
        if priority.is_speculative() {
            &mut self.running_speculative
        } else {
            &mut self.running_real
        }
    }

    /// Takes a waiter away.
    pub(crate) fn leave(&mut self, key: K, number: u64) -> Left {
        let Some(job) = self.jobs.get_mut(&key) else {
            return Left::Nothing;
        };
        let before = job.waiters.len();
        job.waiters.retain(|(waiter, _)| *waiter != number);
        if job.waiters.len() == before || !job.waiters.is_empty() {
            return Left::Nothing;
        }
        if job.started.is_some() {
            return Left::Abandoned;
        }
        self.jobs.remove(&key);
        Left::Dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REAL: Priority = Priority::REAL;
    const GUESS: Priority = Priority::SPECULATIVE;

    fn queue(jobs: &[(u32, Priority)]) -> Queue<u32, ()> {
        let mut queue = Queue::new(2);
        for (key, priority) in jobs {
            queue.add(*key, *priority, ());
        }
        queue
    }

    fn started(queue: &mut Queue<u32, ()>) -> Vec<u32> {
        std::iter::from_fn(|| queue.start().map(|(key, _)| key)).collect()
    }

    #[test]
    fn real_jobs_go_first_in_order_of_arrival() {
        let mut queue = queue(&[(1, GUESS), (2, REAL), (3, REAL), (4, REAL)]);
        assert_eq!(started(&mut queue), [2, 3]);
        queue.finish(2);
        assert_eq!(started(&mut queue), [4]);
        queue.finish(3);
        assert_eq!(started(&mut queue), [1], "a slot is idle now");
    }

    #[test]
    fn speculation_takes_idle_slots_only_and_holds_nobody_up() {
        let mut queue = queue(&[(1, GUESS), (2, GUESS), (3, GUESS)]);
        assert_eq!(started(&mut queue), [1, 2]);
        queue.add(4, REAL, ());
        queue.add(5, REAL, ());
        assert_eq!(
            started(&mut queue),
            [4, 5],
            "real jobs don't wait for speculative ones"
        );
        queue.finish(1);
        queue.finish(2);
        assert_eq!(
            started(&mut queue),
            [] as [u32; 0],
            "both slots are taken by real jobs"
        );
        queue.finish(4);
        assert_eq!(started(&mut queue), [3]);
    }

    #[test]
    fn a_job_runs_once_and_a_real_request_promotes_it() {
        let mut queue = queue(&[(1, GUESS), (2, GUESS), (3, GUESS), (4, GUESS)]);
        assert_eq!(started(&mut queue), [1, 2]);
        assert_eq!(queue.add(4, REAL, ()).0, Added::Joined);
        assert_eq!(started(&mut queue), [4], "ahead of 3, which came before it");
        assert_eq!(queue.add(1, REAL, ()).0, Added::Joined);
        queue.add(5, REAL, ());
        assert_eq!(started(&mut queue), [] as [u32; 0], "1 and 4 are real now");
        assert_eq!(queue.finish(4).len(), 2);
        assert_eq!(started(&mut queue), [5]);
    }

    #[test]
    fn a_job_that_waits_for_others_does_not_hold_them_up() {
        let mut queue: Queue<u32, ()> = Queue::new(1);
        queue.add(1, REAL, ());
        assert_eq!(started(&mut queue), [1]);
        queue.add(2, REAL, ());
        queue.add(3, Priority(-1), ());
        assert_eq!(started(&mut queue), [] as [u32; 0]);
        queue.lend(1);
        assert_eq!(started(&mut queue), [3], "what it asked for goes first");
        queue.reclaim(1);
        queue.finish(3);
        assert_eq!(started(&mut queue), [] as [u32; 0], "1 has its slot again");
        queue.lend(1);
        queue.finish(1);
        assert_eq!(started(&mut queue), [2]);
        queue.finish(2);
        queue.add(4, REAL, ());
        assert_eq!(started(&mut queue), [4], "no slot was lost or gained");
    }

    #[test]
    fn a_job_that_nobody_waits_for_is_dropped_or_abandoned() {
        let mut queue: Queue<u32, ()> = Queue::new(1);
        let (_, first) = queue.add(1, REAL, ());
        let (_, second) = queue.add(2, REAL, ());
        assert_eq!(started(&mut queue), [1]);
        assert_eq!(queue.leave(2, second), Left::Dropped);
        assert_eq!(queue.leave(1, first), Left::Abandoned);
        assert_eq!(queue.leave(1, first), Left::Nothing);
        assert_eq!(queue.finish(1).len(), 0);
        assert_eq!(started(&mut queue), [] as [u32; 0]);

        let (_, first) = queue.add(3, REAL, ());
        queue.add(3, REAL, ());
        assert_eq!(
            queue.leave(3, first),
            Left::Nothing,
            "somebody else still waits"
        );
    }
}
