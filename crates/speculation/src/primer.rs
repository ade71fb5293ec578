//! Decides what to execute ahead of need, from what becomes known.
//!
//! A state machine: it is told of [`Event`]s and answers with [`Effect`]s. One plan covers the whole
//! session. Each Directory of the recorded inputs is a node of one graph ([`shapes`]); each group of
//! files in it waits for exactly what its resolution depends on ([`resolve`]), and is marked by that
//! alone, with the recorded actions that have it ([`happened`]). Those are looked at, what matters
//! most first and a bit at a time ([`follow`]), while the trees of the next are read in the background
//! ([`upcoming`]): when all inputs of an action are known it is adapted
//! and becomes a task ([`tasks`]), which is shared by all who come to the same action ([`predict`]).
//! Results of tasks are inputs of others in turn.
//!
//! Invariants: what is not marked agrees with all that was told. A task is handed out only if the
//! action of one who wants it is not marked.

mod adapt;
mod ahead;
mod asked;
mod audit;
mod batch;
mod budget;
mod compare;
mod follow;
mod group;
mod happened;
mod intake;
mod jobs;
mod knowledge;
mod learn;
mod moves;
mod notes;
mod pace;
mod plan;
mod predict;
mod rescan;
mod resolve;
mod scanner;
mod search;
mod shadows;
mod shapes;
mod tasks;
#[cfg(test)]
pub(crate) mod tests;
mod upcoming;

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use headstart_merkle::ActionDigest;

use crate::account::Account;
use crate::event::{Effect, Event};
use crate::mode::Mode;
use crate::note::Note;
use crate::odds::Odds;
use crate::storage::Storage;
use ahead::Coming;
use batch::Batch;
pub use budget::Limits;
use intake::{Index, Intake};
use jobs::Job;
use knowledge::{ElementNo, Key, Knowledge, Known};
use pace::Slices;
use scanner::Scanner;
use shadows::Shadows;
use shapes::{JobId, Shapes};
use tasks::Tasks;

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
    /// Elements of which messages are being taken in, by their place in the order of building.
    intakes: BTreeSet<(u32, ElementNo)>,
    /// Jobs that mention a tree by name.
    mentions: HashMap<Key, Vec<JobId>>,
    /// Jobs by what their actions were, and those that are none as long as these change.
    by_base: HashMap<(ElementNo, ActionDigest), JobId>,
    guarded: HashMap<(ElementNo, ActionDigest), Vec<JobId>>,
    /// Keys whose meaning has changed, and since when that could be known.
    changed: VecDeque<(Key, Duration)>,
    /// Jobs that have to be looked at, the most urgent first.
    marked: BTreeSet<(Reverse<u64>, JobId)>,
    /// Of how many of these, from the first, the input trees are being read ahead.
    upcoming: usize,
    /// Actions that nobody predicted and that real builds were given the results of.
    unforeseen: VecDeque<(ElementNo, ActionDigest)>,
    /// What happened to actions since the last effects.
    notes: Vec<Note>,
    /// Jobs that were adapted to something that may not have been written yet.
    unwritten: Vec<JobId>,
    /// Artifacts that are being built.
    coming: VecDeque<Coming>,
    scanner: Scanner,
    shadows: Shadows,
    slices: Slices,
    now: Duration,
}

/// What the primer keeps of an element.
#[derive(Default)]
struct Element {
    /// One for each message, newest first.
    plans: Vec<u32>,
    /// Messages that have not been taken in yet, newest first.
    intakes: VecDeque<Intake>,
    jobs: Vec<JobId>,
    /// Jobs by what they make, once that is needed.
    by_outputs: Option<Index>,
    /// Its place in the order of building, the least it was said to be; and what that was first.
    turn: u32,
    first_turn: u32,
    /// What was learned of its predictions before.
    odds: Arc<Odds>,
    /// Whether its real build has started, and whether that has ended.
    started: bool,
    built: bool,
    account: Account,
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
            intakes: BTreeSet::new(),
            mentions: HashMap::new(),
            by_base: HashMap::new(),
            guarded: HashMap::new(),
            changed: VecDeque::new(),
            marked: BTreeSet::new(),
            upcoming: 0,
            unforeseen: VecDeque::new(),
            notes: Vec::new(),
            unwritten: Vec::new(),
            coming: VecDeque::new(),
            scanner: Scanner::default(),
            shadows: Shadows::default(),
            slices: Slices::default(),
            now: Duration::ZERO,
        }
    }

    /// Does what follows from events in slices of about a millisecond, by `clock`, which tells the time
    /// since any fixed time; and hands out after each what came of it, so that the first of many actions
    /// need not wait for the last. Of events it only takes note, which takes no reading. Whoever wants
    /// this has to see to it that a primer that [is behind](Self::is_behind) is told to
    /// [go on](Event::GoOn) whenever there are no other events to tell of.
    #[must_use]
    pub fn in_slices(self, clock: impl FnMut() -> Duration + Send + 'static) -> Self {
        let slices = Slices::by(Box::new(clock));
        Self { slices, ..self }
    }

    /// Whether there is something left to do: to look at what is known, or to read ahead.
    pub fn is_behind(&self) -> bool {
        !self.marked.is_empty()
            || !self.intakes.is_empty()
            || !self.unforeseen.is_empty()
            || self.shadows.are_behind()
            || self.shapes.are_to_be_freed()
            || !self.coming.is_empty()
    }

    /// Takes note of `event`, which happened at `now` (since any fixed time), and says what to do.
    ///
    /// Adapted actions, commands and Directories are written to `store` before they are named.
    pub fn handle(&mut self, now: Duration, event: Event, store: &dyn Storage) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.now = now;
        if self.mode.primes() {
            let goes_on = !self.slices.are_wanted() || matches!(event, Event::GoOn);
            self.note(event);
            self.shadows.read_ahead(store);
            self.mark_what_changed();
            if goes_on {
                self.settle(&Batch::new(store), &mut effects);
            }
            for (element, reason) in std::mem::take(&mut self.shapes.problems) {
                self.problem(element, reason, &mut effects);
            }
            self.take_notes(&mut effects);
            self.tasks.take_effects(&mut effects);
            let is_sure = |job: JobId| {
                let job = &self.jobs[job as usize];
                !job.marked && self.shadows.are_sure_of(job.plan)
            };
            while let Some(execute) = self.tasks.next(now, is_sure) {
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

    fn note(&mut self, event: Event) {
        match event {
            Event::Planned {
                element,
                message,
                turn,
            } => self.plan(&element, message, turn),
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
                if self.tasks.finished(action, result, took, self.now) {
                    self.decided(action);
                }
            }
            Event::GoOn => {}
            Event::Slots(slots) => self.tasks.set_slots(slots, self.now),
            Event::Limits { session, element } => self.tasks.set_limits(session, element),
            Event::Learned { element, odds } => {
                let element = self.knowledge.number(&element);
                self.elements.entry(element).or_default().odds = odds;
            }
            Event::ElementStarted { element } => self.started(&element),
            Event::ElementBuilt { element } => self.built(&element),
            Event::Wanted { element, action } => {
                let element = self.knowledge.number(&element);
                self.tasks.wanted(action, element, self.now);
            }
            Event::Asked { element, subaction } => self.asked(&element, &subaction),
        }
    }

    fn problem(&mut self, element: ElementNo, reason: String, effects: &mut Vec<Effect>) {
        effects.push(Effect::Problem {
            element: self.knowledge.id(element).clone(),
            reason,
        });
    }
}
