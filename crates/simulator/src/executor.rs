//! An executor with slots. As the real one: a real action starts as soon as fewer real ones than slots
//! are running, a speculative one only in a slot that nothing uses; who asks for what runs or waits
//! already joins it, and makes it real if he is. Where there are more running than slots, as when real
//! ones were started beside speculative ones, the latest of these make no progress.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use headstart_merkle::ActionDigest;

use crate::agenda::{Agenda, Ticket};

/// Who asks for an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// Ahead of need.
    Primer,
    /// A step of the real build of the element at a place.
    Build { place: usize, step: usize },
}

#[derive(Debug)]
struct Job {
    first: Who,
    waiters: BTreeSet<Who>,
    real: bool,
    arrival: u64,
    started: bool,
    /// When it has to run no more, and since when it has been running; `None` while it makes no progress.
    progress: Option<(Ticket, Duration)>,
    left: Duration,
}

/// Jobs by action.
#[derive(Debug)]
pub(crate) struct Executor {
    slots: usize,
    jobs: BTreeMap<ActionDigest, Job>,
    /// What is not started yet, real ones first, then in order of arrival.
    waiting: BTreeMap<(bool, u64), ActionDigest>,
    /// Speculative ones that are started, in order of arrival.
    speculative: BTreeMap<u64, ActionDigest>,
    started_real: usize,
    /// What has become real since the last balance.
    promoted: Vec<ActionDigest>,
    arrivals: u64,
}

impl Executor {
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            slots: slots.max(1),
            jobs: BTreeMap::new(),
            waiting: BTreeMap::new(),
            speculative: BTreeMap::new(),
            started_real: 0,
            promoted: Vec::new(),
            arrivals: 0,
        }
    }

    /// Whether nothing runs or waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Whether somebody waits for `action`.
    pub(crate) fn has(&self, action: ActionDigest) -> bool {
        self.jobs.contains_key(&action)
    }

    /// Whether a real build waits for `action`.
    pub(crate) fn is_real(&self, action: ActionDigest) -> bool {
        self.jobs.get(&action).is_some_and(|job| job.real)
    }

    /// Whether `who` waits for `action`.
    pub(crate) fn waits(&self, action: ActionDigest, who: Who) -> bool {
        self.jobs
            .get(&action)
            .is_some_and(|job| job.waiters.contains(&who))
    }

    /// Who asked for `action` first, if he still waits for it.
    pub(crate) fn first(&self, action: ActionDigest) -> Option<Who> {
        let job = self.jobs.get(&action)?;
        Some(job.first).filter(|who| job.waiters.contains(who))
    }

    /// All that `who` waits for.
    pub(crate) fn wanted_by(&self, who: Who) -> Vec<ActionDigest> {
        let jobs = self
            .jobs
            .iter()
            .filter(|(_, job)| job.waiters.contains(&who));
        jobs.map(|(action, _)| *action).collect()
    }

    /// `who` wants `action` run, which takes `cost`. Says whether it was there already.
    pub(crate) fn request(&mut self, action: ActionDigest, who: Who, cost: Duration) -> bool {
        let real = who != Who::Primer;
        if let Some(job) = self.jobs.get_mut(&action) {
            job.waiters.insert(who);
            if real && !job.real {
                job.real = true;
                if job.started {
                    self.speculative.remove(&job.arrival);
                    self.started_real += 1;
                    self.promoted.push(action);
                } else {
                    self.waiting.remove(&(true, job.arrival));
                    self.waiting.insert((false, job.arrival), action);
                }
            }
            return true;
        }
        self.arrivals += 1;
        let job = Job {
            first: who,
            waiters: [who].into(),
            real,
            arrival: self.arrivals,
            started: false,
            progress: None,
            left: cost,
        };
        self.waiting.insert((!real, job.arrival), action);
        self.jobs.insert(action, job);
        false
    }

    /// `who` waits for `action` no more. What nobody waits for is ended.
    pub(crate) fn leave<E>(&mut self, action: ActionDigest, who: Who, agenda: &mut Agenda<E>) {
        let Some(job) = self.jobs.get_mut(&action) else {
            return;
        };
        job.waiters.remove(&who);
        if job.waiters.is_empty() {
            if let Some((ticket, _)) = job.progress {
                agenda.cancel(ticket);
            }
            self.remove(action);
        }
    }

    /// A job has come to its end; gives those who wait for it.
    pub(crate) fn finish(&mut self, action: ActionDigest) -> BTreeSet<Who> {
        self.remove(action)
            .map_or_else(BTreeSet::new, |job| job.waiters)
    }

    fn remove(&mut self, action: ActionDigest) -> Option<Job> {
        let job = self.jobs.remove(&action)?;
        match (job.started, job.real) {
            (false, real) => drop(self.waiting.remove(&(!real, job.arrival))),
            (true, true) => self.started_real -= 1,
            (true, false) => drop(self.speculative.remove(&job.arrival)),
        }
        Some(job)
    }

    /// Starts what may be started, and sees to it that no more make progress than there are slots.
    /// To be called after every change. `ran` is what happens when a job comes to its end.
    pub(crate) fn balance<E>(&mut self, agenda: &mut Agenda<E>, ran: impl Fn(ActionDigest) -> E) {
        for action in std::mem::take(&mut self.promoted) {
            if let Some(job) = self.jobs.get_mut(&action) {
                job.resume(action, agenda, &ran);
            }
        }
        while let Some((key, action)) = self.waiting.first_key_value() {
            let (key, action) = (*key, *action);
            let speculative = key.0;
            let running = match speculative {
                true => self.started_real + self.speculative.len(),
                false => self.started_real,
            };
            if running >= self.slots {
                break;
            }
            self.waiting.remove(&key);
            match speculative {
                true => drop(self.speculative.insert(key.1, action)),
                false => self.started_real += 1,
            }
            if let Some(job) = self.jobs.get_mut(&action) {
                job.started = true;
                if !speculative {
                    job.resume(action, agenda, &ran);
                }
            }
        }
        let room = self.slots.saturating_sub(self.started_real);
        for (place, action) in self.speculative.values().enumerate() {
            if let Some(job) = self.jobs.get_mut(action) {
                match place < room {
                    true => job.resume(*action, agenda, &ran),
                    false => job.suspend(agenda),
                }
            }
        }
    }
}

impl Job {
    fn resume<E>(
        &mut self,
        action: ActionDigest,
        agenda: &mut Agenda<E>,
        ran: &impl Fn(ActionDigest) -> E,
    ) {
        if self.progress.is_none() {
            let ticket = agenda.after(self.left, ran(action));
            self.progress = Some((ticket, agenda.now()));
        }
    }

    fn suspend<E>(&mut self, agenda: &mut Agenda<E>) {
        if let Some((ticket, since)) = self.progress.take() {
            agenda.cancel(ticket);
            self.left = self.left.saturating_sub(agenda.now() - since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(name: &str) -> ActionDigest {
        ActionDigest::of(name.as_bytes())
    }

    fn build(step: usize) -> Who {
        Who::Build { place: 0, step }
    }

    /// Lets everything come to its end, and says when each does, in seconds.
    fn ends(mut executor: Executor, mut agenda: Agenda<ActionDigest>) -> Vec<(ActionDigest, u64)> {
        let mut ends = Vec::new();
        executor.balance(&mut agenda, |action| action);
        while let Some(action) = agenda.next() {
            executor.finish(action);
            executor.balance(&mut agenda, |action| action);
            ends.push((action, agenda.now().as_secs()));
        }
        assert!(executor.is_empty());
        ends
    }

    #[test]
    fn real_ones_start_at_once_and_speculative_ones_make_room() {
        let mut executor = Executor::new(2);
        let mut agenda = Agenda::new();
        let four = Duration::from_secs(4);
        for name in ["a", "b", "c"] {
            assert!(!executor.request(action(name), Who::Primer, four));
        }
        executor.balance(&mut agenda, |action| action);
        assert!(!executor.request(action("real"), build(0), four));
        // The later of the two that run waits for its end; what has not been started waits for both.
        let expected = [("a", 4), ("real", 4), ("b", 8), ("c", 8)];
        let expected = expected.map(|(name, end)| (action(name), end));
        assert_eq!(ends(executor, agenda), expected);
    }

    #[test]
    fn what_is_joined_goes_on_and_what_is_left_ends() {
        let mut executor = Executor::new(1);
        let mut agenda = Agenda::new();
        let four = Duration::from_secs(4);
        executor.request(action("a"), Who::Primer, four);
        executor.request(action("b"), Who::Primer, four);
        executor.balance(&mut agenda, |action| action);
        // A real build asks for what waits: it starts now, and what runs makes no progress.
        assert!(executor.request(action("b"), build(0), four));
        executor.balance(&mut agenda, |action| action);
        executor.leave(action("b"), build(0), &mut agenda);
        assert!(executor.has(action("b")), "the primer still waits for it");
        executor.leave(action("b"), Who::Primer, &mut agenda);
        assert!(!executor.has(action("b")));
        assert_eq!(ends(executor, agenda), [(action("a"), 4)]);
    }
}
