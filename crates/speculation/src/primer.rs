//! Decides what to execute ahead of need, from what becomes known.
//!
//! A state machine: it is told of [`Event`]s and answers with [`Effect`]s. One plan covers the whole
//! session. Each Directory of the recorded inputs is a node of one graph ([`shapes`]); each group of
//! files in it waits for exactly what its resolution depends on ([`resolve`]), and is woken by that
//! alone. When all inputs of an action are known it is adapted and becomes a task ([`tasks`]), which
//! is shared by all who come to the same action. Results of tasks are inputs of others in turn.

mod adapt;
mod asked;
mod audit;
mod batch;
mod budget;
mod group;
mod jobs;
mod knowledge;
mod learn;
mod notes;
mod plan;
mod planning;
mod rescan;
mod resolve;
mod shapes;
mod tasks;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use headstart_execution::ActionSpec;
use headstart_merkle::{ActionDigest, DirectoryDigest};

use crate::account::Account;
use crate::event::{Effect, Event, Unavailable};
use crate::mode::Mode;
use crate::note::{Note, NoteKind};
use crate::odds::Odds;
use crate::origin::ElementId;
use crate::storage::{SpeculationError, Storage};
use batch::Batch;
pub use budget::Limits;
use jobs::{GIVE_UP, Inputs, Job, JobState};
use knowledge::{ActionFact, Done, ElementNo, Key, Knowledge, Known};
use planning::ByOutputs;
use rescan::{Rescan, Scanner};
use shapes::{JobId, Shapes};
use tasks::{State, Tasks, Wish};

/// How the primer should go about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Nothing is primed in mode `none`.
    pub mode: Mode,
    /// How many actions may be in flight at once.
    pub slots: usize,
}

/// Predicts the actions of builds to come, and has them executed. See the module's description.
pub struct Primer {
    mode: Mode,
    knowledge: Knowledge,
    shapes: Shapes,
    jobs: Vec<Job>,
    tasks: Tasks,
    elements: HashMap<ElementNo, Element>,
    /// Jobs that mention a tree by name.
    mentions: HashMap<Key, Vec<JobId>>,
    /// Jobs by what their actions were, and those that are none as long as these change.
    by_base: HashMap<(ElementNo, ActionDigest), JobId>,
    guarded: HashMap<(ElementNo, ActionDigest), Vec<JobId>>,
    /// Keys whose meaning has changed.
    changed: VecDeque<Key>,
    /// Jobs whose inputs may have changed.
    dirty: BTreeSet<JobId>,
    /// What happened to actions since the last effects.
    notes: Vec<Note>,
    /// Jobs that were adapted to something that may not have been written yet.
    unwritten: Vec<JobId>,
    scanner: Scanner,
    /// How many jobs are looked at before what came of it is handed out.
    slice: usize,
}

/// What the primer keeps of an element.
#[derive(Default)]
struct Element {
    /// One for each message, newest first.
    plans: Vec<u32>,
    jobs: Vec<JobId>,
    /// Jobs by what they make, once that is needed.
    by_outputs: Option<ByOutputs>,
    /// Its place in the order of building, the least it was said to be.
    turn: u32,
    /// What was learned of its predictions before.
    odds: Arc<Odds>,
    /// Whether its real build has started, and whether that has ended.
    started: bool,
    built: bool,
    account: Account,
}

/// Whether what a job depends on beyond its inputs is as it was.
enum Guard {
    Open,
    Pending,
    Closed,
}

impl Primer {
    /// A primer that knows nothing yet.
    pub fn new(config: Config) -> Self {
        Self {
            mode: config.mode,
            knowledge: Knowledge::default(),
            shapes: Shapes::default(),
            jobs: Vec::new(),
            tasks: Tasks::new(config.slots),
            elements: HashMap::new(),
            mentions: HashMap::new(),
            by_base: HashMap::new(),
            guarded: HashMap::new(),
            changed: VecDeque::new(),
            dirty: BTreeSet::new(),
            notes: Vec::new(),
            unwritten: Vec::new(),
            scanner: Scanner::default(),
            slice: usize::MAX,
        }
    }

    /// Hands out what is known whenever so many recorded actions have been looked at, so that the first
    /// of many need not wait for the last. Whoever wants this has to see to it that a primer that
    /// [is behind](Self::is_behind) is told to [go on](Event::GoOn).
    #[must_use]
    pub fn in_slices(self, slice: usize) -> Self {
        Self { slice, ..self }
    }

    /// Whether something that is known has not been looked at yet.
    pub fn is_behind(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Takes note of `event`, which happened at `now` (since any fixed time), and says what to do.
    ///
    /// Adapted actions, commands and Directories are written to `store` before they are named.
    pub fn handle(&mut self, now: Duration, event: Event, store: &dyn Storage) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.mode.primes() {
            let batch = Batch::new(store);
            self.note(now, event, &batch, &mut effects);
            self.settle(&batch, &mut effects);
            for (element, reason) in std::mem::take(&mut self.shapes.problems) {
                self.problem(element, reason, &mut effects);
            }
            self.take_notes(&mut effects);
            self.tasks.take_effects(&mut effects);
            while let Some(execute) = self.tasks.next(now) {
                effects.push(execute);
            }
            self.tasks.take_withheld(&mut effects);
        } else if let Event::Asked { element, subaction } = event {
            let element = self.knowledge.number(&element);
            self.account_asked(element, &subaction);
            // Where nothing is predicted there is nothing to explain.
            self.notes.clear();
        }
        effects
    }

    fn note(
        &mut self,
        now: Duration,
        event: Event,
        store: &dyn Storage,
        effects: &mut Vec<Effect>,
    ) {
        match event {
            Event::Planned {
                element,
                message,
                turn,
            } => self.plan(&element, message, turn, store, effects),
            Event::Sources { element, tree } => {
                let key = Key::Sources(self.knowledge.number(&element));
                self.learn(key, Known::Tree(tree));
            }
            Event::Artifact { element, tree } => {
                let key = Key::Artifact(self.knowledge.number(&element));
                self.learn(key, Known::Tree(tree));
            }
            Event::Root { element, tree } => {
                let key = Key::Root(self.knowledge.number(&element));
                self.learn(key, Known::Tree(tree));
            }
            Event::NamedTree {
                element,
                name,
                tree,
            } => {
                let element = self.knowledge.number(&element);
                let key = Key::Named(element, self.knowledge.name(&name));
                self.learn(key, Known::Tree(tree));
            }
            Event::Unavailable { element, what } => self.lose(&element, what),
            Event::CacheAnswered { action, result } => {
                if self.tasks.answered(action, result) {
                    self.decided(action);
                }
            }
            Event::Finished { action, outcome } => {
                let took = outcome.as_ref().map_or(Duration::ZERO, |o| o.duration);
                let result = outcome.ok().map(|outcome| outcome.result);
                if self.tasks.finished(action, result, took) {
                    self.decided(action);
                }
            }
            Event::GoOn => {}
            Event::Slots(slots) => self.tasks.set_slots(slots),
            Event::Limits { session, element } => self.tasks.set_limits(session, element),
            Event::Learned { element, odds } => {
                let element = self.knowledge.number(&element);
                self.elements.entry(element).or_default().odds = odds;
            }
            Event::ElementStarted { element } => self.started(&element),
            Event::ElementBuilt { element } => self.built(&element),
            Event::Wanted { element, action } => {
                let element = self.knowledge.number(&element);
                self.tasks.wanted(action, element, now);
            }
            Event::Asked { element, subaction } => {
                let element = self.knowledge.number(&element);
                self.account_asked(element, &subaction);
                let (action, result) = (subaction.action, &subaction.result);
                if self.tasks.asked(action, result, subaction.duration) {
                    self.decided(action);
                }
                self.overtake(element, action, store);
            }
        }
    }

    fn learn(&mut self, key: Key, known: Known) {
        if self.knowledge.set_tree(key, known) {
            self.changed.push_back(key);
            if let Key::Artifact(element) = key {
                self.changed.extend(self.knowledge.unknown_actions(element));
            }
        }
    }

    fn lose(&mut self, element: &ElementId, what: Unavailable) {
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
            self.changed.extend(lost);
        }
    }

    /// The real build of an element has started: what is left of its speculation is put in the order
    /// in which it will be asked for.
    fn started(&mut self, element: &ElementId) {
        let element = self.knowledge.number(element);
        let known = self.elements.entry(element).or_default();
        known.started = true;
        for id in &known.jobs {
            let job = &self.jobs[*id as usize];
            if let JobState::Adapted(action) = job.state {
                self.tasks.rank(action, job.rank(known.turn, Some(*id)));
            }
        }
    }

    /// The real build of an element has ended: what is left of its speculation is given up, except
    /// what others want too.
    fn built(&mut self, element: &ElementId) {
        let element = self.knowledge.number(element);
        let known = self.elements.entry(element).or_default();
        if std::mem::replace(&mut known.built, true) {
            return;
        }
        known.by_outputs = None;
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
        self.tasks.unclaim(element);
        for plan in plans {
            self.shapes.forget(plan);
        }
        let lost = self.knowledge.settle_actions(element);
        self.changed.extend(lost);
    }

    /// Follows all that has changed to its end, or as far as a slice goes, and has everything written
    /// that came of it.
    fn settle(&mut self, batch: &Batch<'_>, effects: &mut Vec<Effect>) {
        loop {
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
        }
    }

    fn follow(&mut self, store: &dyn Storage, effects: &mut Vec<Effect>) {
        let mut looked_at = 0;
        loop {
            if let Some(key) = self.changed.pop_front() {
                self.shapes.wake(key, &mut self.knowledge, store);
                let mentions = self.mentions.get(&key).into_iter().flatten();
                self.dirty.extend(mentions);
            } else if let Some(jobs) = self.shapes.step(store) {
                self.dirty.extend(jobs);
            } else if looked_at >= self.slice && self.can_wait() {
                return;
            } else if let Some(job) = self.dirty.pop_first() {
                looked_at += 1;
                if let Err(error) = self.refresh(job, store) {
                    let element = self.jobs[job as usize].element;
                    let base = self.jobs[job as usize].base;
                    self.refute(job);
                    self.problem(element, format!("the action {base}: {error}"), effects);
                }
            } else {
                return;
            }
        }
    }

    /// Whether nothing that is known so far can be taken back by what has not been looked at. What was
    /// never adapted has no result that another could have been adapted to.
    fn can_wait(&self) -> bool {
        let mut states = self.dirty.iter().map(|id| self.jobs[*id as usize].state);
        states.all(|state| state == JobState::Pending)
    }

    /// Adapts a job to what is known, or takes back what it was adapted to.
    fn refresh(&mut self, id: JobId, store: &dyn Storage) -> Result<(), SpeculationError> {
        let job = &self.jobs[id as usize];
        if !job.is_live() || self.elements.get(&job.element).is_some_and(|e| e.built) {
            return Ok(());
        }
        let inputs = match self.guard(job) {
            Guard::Open => job.inputs(&self.shapes, &self.knowledge),
            Guard::Pending => Inputs::Pending,
            Guard::Closed => Inputs::Refuted,
        };
        let (root, texts) = match inputs {
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
        let base = job.base;
        let Some(root) = self.with_what_is_included(id, root, store)? else {
            self.refute(id);
            return Ok(());
        };
        let change = adapt::Change {
            input_root: root,
            texts: &texts,
        };
        let action = adapt::adapt(base, &change, store)?;
        self.predict(id, action, store);
        Ok(())
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

    /// The input tree with what its changed files include today; `None` if the action can't do
    /// without something that is removed. An empty tree is none.
    fn with_what_is_included(
        &mut self,
        id: JobId,
        root: Option<DirectoryDigest>,
        store: &dyn Storage,
    ) -> Result<Option<Option<DirectoryDigest>>, SpeculationError> {
        let job = &self.jobs[id as usize];
        let Some(shape) = job.root.filter(|_| root != Some(job.base_root)) else {
            return Ok(Some(root));
        };
        let changed = self.shapes.changed(shape);
        let removed = changed.iter().filter(|change| change.new.is_none());
        let removed: Vec<_> = removed.map(|change| change.path.clone()).collect();
        if !removed.is_empty() && adapt::names_one_of(job.base, &removed, store)? {
            return Ok(None);
        }
        let differences = self.scanner.differences(&changed, store);
        let Some(today) = root.filter(|_| !differences.is_empty()) else {
            return Ok(Some(root));
        };
        let spec = ActionSpec::read(job.base, store.blobs())?;
        let rescan = Rescan {
            spec: &spec,
            source: self.shapes.plans[job.plan as usize].source(),
            knowledge: &mut self.knowledge,
            scanner: &mut self.scanner,
            store,
        };
        rescan.run(today, differences).map(|root| Some(Some(root)))
    }

    /// A job's action is `action` today.
    fn predict(&mut self, id: JobId, action: ActionDigest, store: &dyn Storage) {
        if self.jobs[id as usize].state == JobState::Adapted(action) {
            return;
        }
        self.retract(id, JobState::Adapted(action));
        self.unwritten.push(id);
        let job = &self.jobs[id as usize];
        let probability = self.probability(job, store);
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
        };
        self.tasks.want(action, wish);
        self.note_job(kind, id, Some(action));
        self.inform(id, action);
    }

    /// Takes back what a job was adapted to, if it was.
    fn retract(&mut self, id: JobId, state: JobState) {
        let job = &mut self.jobs[id as usize];
        if job.state == state {
            return;
        }
        for base in std::iter::once(&job.base).chain(&job.also) {
            let guarded = self.guarded.get(&(job.element, *base));
            self.dirty.extend(guarded.into_iter().flatten());
        }
        if let JobState::Adapted(old) = std::mem::replace(&mut job.state, state) {
            job.earlier.push(old);
            self.tasks.unwant(old, id);
        }
    }

    /// The real build has been given the result of an action that nobody predicted: it stands in for
    /// the job that makes the same, so that what follows from it is adapted to the truth.
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

    fn refute(&mut self, id: JobId) {
        if self.jobs[id as usize].state != JobState::Refuted {
            self.note_job(NoteKind::Refuted, id, None);
        }
        self.retract(id, JobState::Refuted);
        self.set_fact(id, ActionFact::Gone);
    }

    /// A task's result is decided: those who want it are told.
    fn decided(&mut self, action: ActionDigest) {
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

    fn set_fact(&mut self, job: JobId, fact: ActionFact) {
        let job = &self.jobs[job as usize];
        for base in std::iter::once(&job.base).chain(&job.also) {
            if self.knowledge.set_result(job.element, *base, fact.clone()) {
                self.changed.push_back(Key::Action(job.element, *base));
            }
        }
    }

    fn problem(&mut self, element: ElementNo, reason: String, effects: &mut Vec<Effect>) {
        effects.push(Effect::Problem {
            element: self.knowledge.id(element).clone(),
            reason,
        });
    }
}
