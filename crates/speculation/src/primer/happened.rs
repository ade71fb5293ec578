//! What became known, and whom it concerns.

use std::cmp::Reverse;

use headstart_execution::Subaction;

use super::Primer;
use super::jobs::JobState;
use super::knowledge::{ActionFact, Key, Known};
use super::tasks::State;
use crate::event::Unavailable;
use crate::note::NoteKind;
use crate::origin::ElementId;

impl Primer {
    pub(super) fn learn(&mut self, key: Key, known: Known) {
        if self.knowledge.set_tree(key, known) {
            if let Known::Tree(tree) = known {
                self.shadows.learn(key, tree, self.was_coming(key));
            }
            self.changed.push_back((key, self.now));
            if let Key::Artifact(element) = key {
                let unknown = self.knowledge.unknown_actions(element);
                self.have_changed(unknown);
            }
        }
    }

    pub(super) fn have_changed(&mut self, keys: Vec<Key>) {
        let now = self.now;
        self.changed.extend(keys.into_iter().map(|key| (key, now)));
    }

    pub(super) fn lose(&mut self, element: &ElementId, what: Unavailable) {
        let element = self.knowledge.number(element);
        if matches!(what, Unavailable::Sources | Unavailable::Everything) {
            self.learn(Key::Sources(element), Known::Gone);
            self.learn(Key::Root(element), Known::Gone);
        }
        if matches!(what, Unavailable::Artifact | Unavailable::Everything) {
            self.learn(Key::Artifact(element), Known::Gone);
        }
        if matches!(what, Unavailable::Actions | Unavailable::Everything) {
            let lost = self.knowledge.settle_actions(element);
            self.have_changed(lost);
        }
    }

    /// The real build of an element has started: what is left of its speculation is put in the order
    /// in which it will be asked for.
    pub(super) fn started(&mut self, element: &ElementId) {
        let element = self.knowledge.number(element);
        self.expect_artifact(element);
        let known = self.elements.entry(element).or_default();
        known.started = true;
        for id in &known.jobs {
            let job = &mut self.jobs[*id as usize];
            let rank = job.rank(known.turn, Some(*id));
            let old = std::mem::replace(&mut job.urgency, rank);
            if self.marked.remove(&(Reverse(old), *id)) {
                self.marked.insert((Reverse(rank), *id));
            }
            if let JobState::Adapted(action) = job.state {
                self.tasks.rank(action, rank);
            }
        }
    }

    /// The real build of an element has ended: what is left of its speculation is given up, except
    /// what others want too.
    pub(super) fn built(&mut self, element: &ElementId) {
        let element = self.knowledge.number(element);
        let known = self.elements.entry(element).or_default();
        if std::mem::replace(&mut known.built, true) {
            return;
        }
        known.by_outputs = None;
        known.intakes.clear();
        self.intakes.remove(&(known.first_turn, element));
        let (jobs, plans) = (known.jobs.clone(), known.plans.clone());
        for id in jobs {
            let adapted = self.jobs[id as usize].adapted();
            let task = adapted.and_then(|action| self.tasks.get(action));
            let done = task.is_some_and(|task| matches!(task.state, State::Done(_)));
            let state = match (adapted, self.jobs[id as usize].state) {
                (_, JobState::Overtaken(_)) => continue,
                (_, JobState::Refuted) => JobState::Refuted,
                (Some(action), _) if done => JobState::Settled(action),
                _ => JobState::Cancelled(adapted),
            };
            self.jobs[id as usize].state = state;
            if let JobState::Cancelled(_) = state {
                self.note_job(NoteKind::Cancelled, id, adapted);
            }
            if let Some(action) = adapted {
                self.tasks.unwant(action, id);
            }
            if !done {
                self.set_fact(id, ActionFact::Gone);
            }
        }
        self.tasks.unclaim(element, self.now);
        for plan in plans {
            self.shadows.forget(plan);
            self.shapes.forget(plan);
        }
        let lost = self.knowledge.settle_actions(element);
        self.have_changed(lost);
    }

    /// A real build has been given the result of an action.
    pub(super) fn asked(&mut self, element: &ElementId, subaction: &Subaction) {
        let element = self.knowledge.number(element);
        self.account_asked(element, subaction);
        let (action, result) = (subaction.action, &subaction.result);
        if self.tasks.asked(action, result, subaction.duration) {
            self.decided(action);
        }
        let task = self.tasks.get(action);
        let predicted = task.is_some_and(|task| task.predicted);
        let has_jobs = |known: &super::Element| !known.jobs.is_empty() || !known.intakes.is_empty();
        if !predicted && self.elements.get(&element).is_some_and(has_jobs) {
            self.unforeseen.push_back((element, action));
        }
    }

    /// Marks all that depends on what has changed, and what in turn depends on that.
    pub(super) fn mark_what_changed(&mut self) {
        loop {
            if let Some(job) = self.shapes.woken.pop() {
                self.mark(job);
            } else if let Some((key, since)) = self.changed.pop_front() {
                self.shapes.wake(key, since);
                for id in self.mentions.get(&key).into_iter().flatten() {
                    let job = &mut self.jobs[*id as usize];
                    job.since = job.since.max(since);
                    self.shapes.woken.push(*id);
                }
            } else {
                return;
            }
        }
    }

    /// A job has to be looked at. As long as it has not been, those who depend on what it was adapted
    /// to are in doubt.
    fn mark(&mut self, id: super::JobId) {
        let job = &mut self.jobs[id as usize];
        if !job.is_live() || std::mem::replace(&mut job.marked, true) {
            return;
        }
        self.marked.insert((Reverse(job.urgency), id));
        // Nobody can depend on what is not known.
        if job.state == JobState::Pending {
            return;
        }
        for base in self.jobs[id as usize].bases() {
            let element = self.jobs[id as usize].element;
            self.knowledge.set_doubtful(element, base, true);
            self.shapes.doubt(Key::Action(element, base));
            let guarded = self.guarded.get(&(element, base));
            self.shapes.woken.extend(guarded.into_iter().flatten());
        }
    }

    /// A job has been looked at.
    pub(super) fn unmark(&mut self, id: super::JobId) {
        let job = &mut self.jobs[id as usize];
        job.marked = false;
        self.marked.remove(&(Reverse(job.urgency), id));
        for base in self.jobs[id as usize].bases() {
            let element = self.jobs[id as usize].element;
            self.knowledge.set_doubtful(element, base, false);
        }
    }
}
