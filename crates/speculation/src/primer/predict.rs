//! What recorded actions are predicted to be today, and what is known of their results.

use std::sync::Arc;

use headstart_merkle::ActionDigest;

use super::Primer;
use super::jobs::{GIVE_UP, JobState};
use super::knowledge::{ActionFact, Done, ElementNo, Key};
use super::shapes::JobId;
use super::tasks::{State, Wish};
use crate::note::NoteKind;
use crate::storage::Storage;

impl Primer {
    /// A job's action is `action` today.
    pub(super) fn predict(&mut self, id: JobId, action: ActionDigest, store: &dyn Storage) {
        if self.jobs[id as usize].state == JobState::Adapted(action) {
            return;
        }
        self.retract(id, JobState::Adapted(action));
        self.unwritten.push(id);
        let job = &self.jobs[id as usize];
        let probability = self.probability(job, store);
        let since = job.since.max(self.shapes.since(job.root));
        let job = &mut self.jobs[id as usize];
        job.probability = probability;
        let element = self.elements.entry(job.element).or_default();
        let corrected = job.earlier.last().is_some_and(|earlier| *earlier != action);
        element.account.corrected += usize::from(corrected);
        let kind = match corrected {
            true => NoteKind::Corrected,
            false => NoteKind::Resolved,
        };
        let wish = Wish {
            job: id,
            element: job.element,
            rank: job.rank(element.turn, element.started.then_some(id)),
            order: u64::from(id),
            expected: job.duration,
            hopeless: job.failed && action == job.base || probability < GIVE_UP,
            since,
        };
        self.tasks.want(action, wish);
        self.note_job(kind, id, Some(action));
        self.inform(id, action);
    }

    /// Takes back what a job was adapted to, if it was.
    pub(super) fn retract(&mut self, id: JobId, state: JobState) {
        let job = &self.jobs[id as usize];
        if job.state == state {
            return;
        }
        let now = self.now;
        for base in self.jobs[id as usize].bases().collect::<Vec<_>>() {
            let element = self.jobs[id as usize].element;
            for other in self.guarded.get(&(element, base)).into_iter().flatten() {
                let other_job = &mut self.jobs[*other as usize];
                other_job.since = other_job.since.max(now);
                self.shapes.woken.push(*other);
            }
        }
        let job = &mut self.jobs[id as usize];
        job.adapted_to = None;
        if let JobState::Adapted(old) = std::mem::replace(&mut job.state, state) {
            job.earlier.push(old);
            self.tasks.unwant(old, id);
        }
    }

    /// Has the next action that nobody predicted stand in for the job that makes the same, so that
    /// what follows from it is adapted to the truth. Says whether there was something to do.
    pub(super) fn overtake_next(&mut self, store: &dyn Storage) -> bool {
        let Some((element, action)) = self.unforeseen.front().copied() else {
            return false;
        };
        let known = self.elements.get(&element);
        if known.is_some_and(|known| !known.intakes.is_empty()) {
            return false;
        }
        if known.is_some_and(|known| !known.built) && self.index_next(element, store) {
            return true;
        }
        self.unforeseen.pop_front();
        self.overtake(element, action, store);
        true
    }

    fn overtake(&mut self, element: ElementNo, action: ActionDigest, store: &dyn Storage) {
        let Some(task) = self.tasks.get(action).filter(|task| !task.predicted) else {
            return;
        };
        let State::Done(result) = &task.state else {
            return;
        };
        let result = Arc::clone(result);
        let Some(id) = self.makes_the_same(element, action, store) else {
            return;
        };
        if self.jobs[id as usize].state == JobState::Refuted {
            // It stays given up, in the account.
            self.elements.entry(element).or_default().account.refuted += 1;
        }
        self.retract(id, JobState::Overtaken(action));
        self.note_job(NoteKind::Overtaken, id, Some(action));
        self.set_fact(id, ActionFact::Done(Arc::new(Done::new(action, result))));
    }

    pub(super) fn refute(&mut self, id: JobId) {
        if self.jobs[id as usize].state != JobState::Refuted {
            self.note_job(NoteKind::Refuted, id, None);
        }
        self.retract(id, JobState::Refuted);
        self.set_fact(id, ActionFact::Gone);
    }

    /// A task's result is decided: those who want it are told.
    pub(super) fn decided(&mut self, action: ActionDigest) {
        let jobs = self.tasks.get(action).map(|task| task.jobs.clone());
        for job in jobs.unwrap_or_default() {
            self.inform(job, action);
        }
    }

    fn inform(&mut self, job: JobId, action: ActionDigest) {
        let fact = match self.tasks.get(action).map(|task| &task.state) {
            Some(State::Done(result)) => {
                ActionFact::Done(Arc::new(Done::new(action, Arc::clone(result))))
            }
            Some(State::Failed) => ActionFact::Gone,
            _ => ActionFact::NotYet,
        };
        self.set_fact(job, fact);
    }

    pub(super) fn set_fact(&mut self, job: JobId, fact: ActionFact) {
        let job = &self.jobs[job as usize];
        for base in job.bases() {
            if self.knowledge.set_result(job.element, base, fact.clone()) {
                self.changed
                    .push_back((Key::Action(job.element, base), self.now));
            }
        }
    }
}
