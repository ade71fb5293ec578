//! Following what has changed: recorded actions that are marked are looked at again.

use std::ops::ControlFlow;

use headstart_execution::ActionSpec;
use headstart_merkle::DirectoryDigest;

use super::Primer;
use super::adapt::{self, Replacements};
use super::batch::Batch;
use super::jobs::{Inputs, Job, JobState};
use super::knowledge::ActionFact;
use super::pace::{Halt, Stop};
use super::rescan::Rescan;
use super::scanner::scan;
use super::shadows;
use super::shapes::{JobId, Means};
use crate::event::Effect;
use crate::note::NoteKind;
use crate::storage::{SpeculationError, Storage};

/// Whether what a job depends on beyond its inputs is as it was.
enum Guard {
    Open,
    Pending,
    Closed,
}

/// What a look at a job came to.
type Looked<T> = Result<T, Halt>;

impl Primer {
    /// Follows all that has changed to its end, or as far as a slice goes, and has everything written
    /// that came of it.
    pub(super) fn settle(&mut self, batch: &Batch<'_>, effects: &mut Vec<Effect>) {
        loop {
            self.slices.begin();
            self.follow(batch, effects);
            let written = batch.flush();
            let unwritten = std::mem::take(&mut self.unwritten);
            let Err(error) = written else {
                return;
            };
            for id in unwritten {
                let Job { element, base, .. } = self.jobs[id as usize];
                self.refute(id);
                self.problem(element, format!("the action {base}: {error}"), effects);
            }
            self.mark_what_changed();
        }
    }

    /// Does one thing after another, the most urgent first.
    fn follow(&mut self, store: &dyn Storage, effects: &mut Vec<Effect>) {
        // Jobs that others had to wait for.
        let mut first: Vec<JobId> = Vec::new();
        loop {
            let next = first.last().copied();
            let next = next.or_else(|| self.marked.first().map(|(_, id)| *id));
            let done = match next {
                _ if self.overtake_next(store) => true,
                _ if self.shadows.are_behind() => self.compare_next(store).is_continue(),
                Some(id) => match self.look_at(id, store, effects) {
                    ControlFlow::Continue(()) => {
                        first.pop();
                        true
                    }
                    ControlFlow::Break(Stop::First(element, base)) => {
                        let other = self.by_base.get(&(element, base)).copied();
                        match other.filter(|other| *other != id && !first.contains(other)) {
                            Some(other) => {
                                if first.is_empty() {
                                    first.push(id);
                                }
                                first.push(other);
                            }
                            // Two that wait for each other, as only broken messages have them.
                            None => self.knowledge.set_doubtful(element, base, false),
                        }
                        continue;
                    }
                    ControlFlow::Break(Stop::Over) => false,
                },
                None if self.take_in_next(store, effects) => true,
                None if self.shapes.are_to_be_freed() => {
                    self.shapes.free_some();
                    true
                }
                None => self.read_ahead(store),
            };
            self.mark_what_changed();
            if !done || self.slices.spend().is_break() {
                return;
            }
        }
    }

    /// Compares the next trees in which files may be new; the actions that this may concern are looked at
    /// again.
    fn compare_next(&mut self, store: &dyn Storage) -> ControlFlow<Stop> {
        let Some(plan) = self.shadows.next_behind() else {
            return ControlFlow::Continue(());
        };
        let source = self.shapes.plans[plan as usize].source();
        let mut means = Means {
            knowledge: &mut self.knowledge,
            scanner: &mut self.scanner,
            slices: &mut self.slices,
            store,
        };
        let concerned = self.shadows.compare(plan, &source, &mut means)?;
        let element = self.shapes.plans[plan as usize].elements[0];
        if let Some(known) = self.elements.get(&element).filter(|_| concerned) {
            let jobs = known.jobs.iter().copied();
            let jobs = jobs.filter(|job| self.jobs[*job as usize].plan == plan);
            self.shapes.woken.extend(jobs);
        }
        ControlFlow::Continue(())
    }

    /// Looks at a job, and at all that it depends on: it is adapted to what is known, or what it was
    /// adapted to is taken back.
    fn look_at(
        &mut self,
        id: JobId,
        store: &dyn Storage,
        effects: &mut Vec<Effect>,
    ) -> ControlFlow<Stop> {
        self.read_for_next(store);
        let built = |job: &Job| self.elements.get(&job.element).is_some_and(|e| e.built);
        let job = &self.jobs[id as usize];
        if job.is_live() && !built(job) {
            self.bring_up(id, store)?;
            match self.refresh(id, store) {
                Ok(()) => {}
                Err(Halt::Over) => return ControlFlow::Break(Stop::Over),
                Err(Halt::Failed(error)) => {
                    let Job { element, base, .. } = self.jobs[id as usize];
                    self.refute(id);
                    self.problem(element, format!("the action {base}: {error}"), effects);
                }
            }
        }
        self.unmark(id);
        ControlFlow::Continue(())
    }

    /// Brings what a job depends on up to what is known.
    fn bring_up(&mut self, id: JobId, store: &dyn Storage) -> ControlFlow<Stop> {
        let job = &self.jobs[id as usize];
        let mut means = Means {
            knowledge: &mut self.knowledge,
            scanner: &mut self.scanner,
            slices: &mut self.slices,
            store,
        };
        self.shapes.bring_up(job.root, &mut means)?;
        let mut guards = job.guards.iter();
        let doubtful = guards.find(|base| self.knowledge.is_doubtful(job.element, **base));
        match doubtful {
            Some(base) => ControlFlow::Break(Stop::First(job.element, *base)),
            None => ControlFlow::Continue(()),
        }
    }

    fn refresh(&mut self, id: JobId, store: &dyn Storage) -> Looked<()> {
        let job = &self.jobs[id as usize];
        let inputs = match self.guard(job) {
            Guard::Open => job.inputs(&self.shapes, &self.knowledge),
            Guard::Pending => Inputs::Pending,
            Guard::Closed => Inputs::Refuted,
        };
        let (today, texts) = match inputs {
            Inputs::Refuted => {
                self.refute(id);
                return Ok(());
            }
            Inputs::Pending => {
                if let JobState::Adapted(action) = job.state {
                    self.note_job(NoteKind::Unresolved, id, Some(action));
                }
                self.retract(id, JobState::Pending);
                self.set_fact(id, ActionFact::NotYet);
                return Ok(());
            }
            Inputs::Ready { root, texts } => (root, texts),
        };
        let is_adapted = matches!(job.state, JobState::Adapted(_));
        let concerned = self.shadows.concern(job.plan, job.base_root, store)?;
        let is_moved = self.shadows.moved(job.plan).is_some();
        let is_adapted = is_adapted && !concerned && !is_moved;
        if is_adapted && today.is_some() && today == job.adapted_to && texts.is_empty() {
            return Ok(());
        }
        let (base, base_root) = (job.base, job.base_root);
        let Some(root) = self.with_what_is_included(id, today, concerned, store)? else {
            self.refute(id);
            return Ok(());
        };
        let (root, paths) = self.where_it_is_today(id, root, store)?;
        let is_as_it_was = root == Some(base_root) && texts.is_empty() && paths.is_empty();
        let change = adapt::Change {
            input_root: root,
            texts: &texts,
            paths: &paths,
        };
        let action = match is_as_it_was {
            true => base,
            false => adapt::adapt(base, &change, store)?,
        };
        self.predict(id, action, store);
        // Where directives have changed, more than the tree decides what is included.
        let job = &mut self.jobs[id as usize];
        let changes = concerned || is_moved || self.shapes.changes_includes(job.root);
        let only_the_tree = texts.is_empty() && !changes;
        job.adapted_to = today.filter(|_| only_the_tree);
        Ok(())
    }

    /// The input tree with directories called what they are today, and the same of paths that may be in
    /// the command.
    fn where_it_is_today(
        &self,
        id: JobId,
        root: Option<DirectoryDigest>,
        store: &dyn Storage,
    ) -> Looked<(Option<DirectoryDigest>, Replacements)> {
        let job = &self.jobs[id as usize];
        let Some(moved) = self.shadows.moved(job.plan) else {
            return Ok((root, Replacements::new()));
        };
        let spec = ActionSpec::read(job.base, store.blobs()).map_err(SpeculationError::from)?;
        let root = root.map(|root| moved.apply(root, store)).transpose()?;
        Ok((root, moved.paths(&spec)))
    }

    /// Whether all actions that must not have changed have not.
    fn guard(&self, job: &Job) -> Guard {
        let mut guard = Guard::Open;
        for base in &job.guards {
            let id = self.by_base.get(&(job.element, *base));
            match id.map(|id| self.jobs[*id as usize].state) {
                Some(JobState::Adapted(action)) if action == *base => {}
                Some(JobState::Pending) => guard = Guard::Pending,
                _ => return Guard::Closed,
            }
        }
        guard
    }

    /// The input tree with what its files include today; `None` if the action can't do without something
    /// that is removed. An empty tree is none. `concerned` says whether there are new files of the names
    /// of its inputs.
    fn with_what_is_included(
        &mut self,
        id: JobId,
        root: Option<DirectoryDigest>,
        concerned: bool,
        store: &dyn Storage,
    ) -> Looked<Option<Option<DirectoryDigest>>> {
        let job = &self.jobs[id as usize];
        if root == Some(job.base_root) && !concerned {
            return Ok(Some(root));
        }
        let changed = self.shapes.changed(job.root, store)?;
        let removed = changed.iter().filter(|change| change.new.is_none());
        let removed: Vec<_> = removed.map(|change| change.path.clone()).collect();
        if !removed.is_empty() && adapt::names_one_of(job.base, &removed, store)? {
            return Ok(None);
        }
        let mut differences = self.scanner.differences(&changed, store);
        if let Some(today) = root {
            let plan = job.plan;
            let scan = &mut |content| scan(&mut self.scanner, &mut self.slices, content, store);
            if concerned {
                let directives = self.shadows.directives(plan, today, scan, store)?;
                differences.elsewhere.extend(directives.iter().cloned());
            }
            let uncovering = shadows::uncovering(&removed, today, scan, store)?;
            differences.elsewhere.extend(uncovering.iter().cloned());
        }
        let Some(today) = root.filter(|_| !differences.is_empty()) else {
            return Ok(Some(root));
        };
        let job = &self.jobs[id as usize];
        let spec = ActionSpec::read(job.base, store.blobs()).map_err(SpeculationError::from)?;
        let rescan = Rescan {
            spec: &spec,
            base_root: job.base_root,
            source: self.shapes.plans[job.plan as usize].source(),
            knowledge: &mut self.knowledge,
            scanner: &mut self.scanner,
            slices: &mut self.slices,
            store,
        };
        rescan.run(today, differences).map(|root| Some(Some(root)))
    }
}
