//! What the real builds ask for, held against what was predicted.

use headstart_execution::{Answered, Subaction};
use headstart_merkle::ActionDigest;

use super::Primer;
use super::jobs::{Job, JobState};
use super::knowledge::ElementNo;
use super::tasks::{State, Task};
use crate::account::Account;
use crate::note::{Note, NoteKind};
use crate::origin::ElementId;

impl Primer {
    /// What became of an element's predictions and requests so far.
    pub fn account(&self, element: &ElementId) -> Account {
        let number = self.knowledge.find(element);
        let Some(known) = number.and_then(|number| self.elements.get(&number)) else {
            return Account::default();
        };
        let mut account = known.account.clone();
        for id in &known.jobs {
            self.count_job(&self.jobs[*id as usize], &mut account);
        }
        account
    }

    /// The elements that there is an account of, in the order in which they were met.
    pub fn elements(&self) -> Vec<ElementId> {
        let mut numbers: Vec<ElementNo> = self.elements.keys().copied().collect();
        numbers.sort_unstable();
        let ids = numbers.into_iter().map(|number| self.knowledge.id(number));
        ids.cloned().collect()
    }

    /// What became of all elements together. An execution that served two counts for both.
    pub fn total(&self) -> Account {
        let mut total = Account::default();
        for element in self.elements() {
            total.add(&self.account(&element));
        }
        total
    }

    /// What an element's recorded actions are predicted to be today: for each what it was, and what
    /// it is, if that is known.
    pub fn predictions(&self, element: &ElementId) -> Vec<(ActionDigest, Option<ActionDigest>)> {
        let number = self.knowledge.find(element);
        let known = number.and_then(|number| self.elements.get(&number));
        let jobs = known.map(|known| known.jobs.as_slice()).unwrap_or_default();
        let jobs = jobs.iter().map(|id| &self.jobs[*id as usize]);
        jobs.map(|job| (job.base, job.predicted())).collect()
    }

    fn count_job(&self, job: &Job, account: &mut Account) {
        match job.state {
            JobState::Refuted => account.refuted += 1,
            JobState::Cancelled(_) => account.cancelled += 1,
            _ => {}
        }
        if let Some(action) = job.adapted() {
            account.resolved += 1;
            account.unchanged += usize::from(action == job.base);
            if let Some(task) = self.tasks.get(action) {
                count_task(task, account);
            }
        }
        for action in &job.earlier {
            if Some(*action) != job.adapted()
                && let Some(task) = self.tasks.get(*action)
            {
                count_task(task, account);
            }
        }
    }

    /// Counts a request by how it was answered, and whether it was predicted.
    pub(super) fn account_asked(&mut self, element: ElementNo, asked: &Subaction) {
        let task = self.tasks.get(asked.action);
        let account = &mut self.elements.entry(element).or_default().account;
        let kind = account.count(asked, task);
        self.notes.push(Note {
            kind,
            element: Some(self.knowledge.id(element).clone()),
            base: None,
            action: Some(asked.action),
            took: asked.duration,
        });
    }
}

impl Account {
    /// Counts a request, and says as what.
    fn count(&mut self, asked: &Subaction, task: Option<&Task>) -> NoteKind {
        self.asked += 1;
        if asked.result.message().exit_code != 0 {
            self.unsuccessful += 1;
            return NoteKind::Unsuccessful;
        }
        let predicted = task.filter(|task| task.predicted);
        let executed = predicted.filter(|task| task.executed);
        match (asked.answered, predicted, executed) {
            (Answered::Cached, Some(_), task) => {
                self.hit += 1;
                if let Some(task) = task.filter(|task| !task.asked) {
                    self.hit_primed += 1;
                    self.saved += task.took.max(asked.duration);
                }
                NoteKind::Hit
            }
            (Answered::Cached, None, _) => {
                self.found += 1;
                NoteKind::Found
            }
            // Whoever asks for what is running is told so, or else that it was executed.
            (Answered::Joined, _, Some(task)) => self.join(task),
            (Answered::Executed, _, Some(task)) if task.state == State::Running => self.join(task),
            (_, Some(_), _) => {
                self.promoted += 1;
                NoteKind::Promoted
            }
            (_, None, _) => {
                self.missed += 1;
                self.misses.push(asked.action);
                NoteKind::Missed
            }
        }
    }

    fn join(&mut self, task: &Task) -> NoteKind {
        self.joined += 1;
        let passed = task
            .wanted
            .map(|wanted| wanted.saturating_sub(task.started));
        self.saved += passed.unwrap_or_default();
        NoteKind::Joined
    }
}

fn count_task(task: &Task, account: &mut Account) {
    account.cached += usize::from(task.cached);
    account.withheld += usize::from(task.withheld);
    if !task.executed {
        return;
    }
    account.primed += 1;
    match task.state {
        State::Done(_) => account.succeeded += 1,
        State::Failed => account.failed += 1,
        _ => {}
    }
    // What others still want may yet be asked for.
    if !task.asked && task.jobs.is_empty() {
        account.wasted += 1;
        account.wasted_time += task.took;
    }
}
