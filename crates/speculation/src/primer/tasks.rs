//! Adapted actions: each looked up once, executed at most once, and only while somebody wants it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use headstart_merkle::ActionDigest;
use headstart_store::StoredResult;

use super::budget::{Budget, Limits};
use super::knowledge::ElementNo;
use super::shapes::JobId;
use crate::event::Effect;
use crate::note::{Note, NoteKind};

/// How many tasks that nobody is sure of are passed over in search of one that can be handed out.
const MAX_DOUBTFUL: usize = 64;

/// An adapted action.
#[derive(Debug)]
pub(crate) struct Task {
    /// Those who want its result.
    pub(crate) jobs: Vec<JobId>,
    pub(crate) state: State,
    /// Whether anybody ever wanted its result.
    pub(crate) predicted: bool,
    /// Whether it was handed out to be executed.
    pub(crate) executed: bool,
    /// Whether its result was found in the action cache.
    pub(crate) cached: bool,
    /// Whether a real build has asked for it.
    pub(crate) asked: bool,
    /// When it was handed out.
    pub(crate) started: Duration,
    /// When a real build first wanted it, in vain.
    pub(crate) wanted: Option<Duration>,
    /// How long its command ran, as far as is known.
    pub(crate) took: Duration,
    /// Whether it was not handed out because all that may be spent was spent.
    pub(crate) withheld: bool,
    /// The element that what is spent on it counts for: the first that wanted it.
    owner: Option<ElementNo>,
    /// The time that was set aside for it when it was handed out.
    reserved: Duration,
    /// The element whose real build is executing it.
    claimed: Option<ElementNo>,
    /// Whether an execution is in flight, wanted or not.
    running: bool,
    cancelling: bool,
    rank: u64,
    order: u64,
    expected: Duration,
    /// Since when it might have been handed out, but for slots.
    ready: Duration,
    /// Whether it is as hopeless as it was when it was recorded.
    hopeless: bool,
}

/// How far a task is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum State {
    /// Nobody wants it.
    Idle,
    LookingUp,
    Queued,
    Running,
    /// Its result can be used by others.
    Done(Arc<StoredResult>),
    /// There will be no such result.
    Failed,
}

/// What a job asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) job: JobId,
    pub(crate) element: ElementNo,
    pub(crate) rank: u64,
    /// Of wishes with the same rank the lower comes first.
    pub(crate) order: u64,
    pub(crate) expected: Duration,
    /// Whether it failed when it was recorded, with the same inputs.
    pub(crate) hopeless: bool,
    /// Since when all inputs are known.
    pub(crate) since: Duration,
}

/// All tasks of a session, and the queue of those ready to be executed.
#[derive(Default)]
pub(crate) struct Tasks {
    tasks: HashMap<ActionDigest, Task>,
    queue: BinaryHeap<(u64, Reverse<u64>, ActionDigest)>,
    slots: usize,
    budget: Budget,
    withheld: Vec<ActionDigest>,
    in_flight: usize,
    /// Since when each free slot is free, in order.
    free: VecDeque<Duration>,
    look_ups: Vec<ActionDigest>,
    cancels: Vec<ActionDigest>,
    claims: Vec<(ElementNo, ActionDigest)>,
}

impl Tasks {
    pub(crate) fn new(slots: usize) -> Self {
        let mut tasks = Self::default();
        tasks.set_slots(slots, Duration::ZERO);
        tasks
    }

    pub(crate) fn get(&self, action: ActionDigest) -> Option<&Task> {
        self.tasks.get(&action)
    }

    pub(crate) fn set_slots(&mut self, slots: usize, now: Duration) {
        self.slots = slots;
        self.free.resize(slots.saturating_sub(self.in_flight), now);
    }

    pub(crate) fn set_limits(&mut self, session: Limits, element: Limits) {
        self.budget.set_limits(session, element);
    }

    /// A job wants the result of `action`.
    pub(crate) fn want(&mut self, action: ActionDigest, wish: Wish) {
        let task = self.tasks.entry(action).or_insert_with(Task::new);
        task.jobs.push(wish.job);
        task.predicted = true;
        task.owner.get_or_insert(wish.element);
        task.hopeless = wish.hopeless && (task.jobs.len() == 1 || task.hopeless);
        if task.state == State::Idle && !task.running {
            task.state = State::LookingUp;
            task.ready = wish.since;
            self.look_ups.push(action);
        }
        if task.jobs.len() == 1 || wish.rank > task.rank {
            task.order = wish.order;
            task.expected = task.expected.max(wish.expected);
            self.rank(action, wish.rank);
        }
    }

    /// The value of an action is this from now on.
    pub(crate) fn rank(&mut self, action: ActionDigest, rank: u64) {
        let Some(task) = self.tasks.get_mut(&action) else {
            return;
        };
        task.rank = rank;
        if task.state == State::Queued {
            self.queue.push((rank, Reverse(task.order), action));
        }
    }

    /// A job no longer wants the result of `action`.
    pub(crate) fn unwant(&mut self, action: ActionDigest, job: JobId) {
        let Some(task) = self.tasks.get_mut(&action) else {
            return;
        };
        task.jobs.retain(|other| *other != job);
        if !task.jobs.is_empty() {
            return;
        }
        match task.state {
            State::Running => {
                task.state = State::Idle;
                if !task.cancelling {
                    task.cancelling = true;
                    self.cancels.push(action);
                }
            }
            State::Queued | State::LookingUp => task.state = State::Idle,
            State::Idle | State::Done(_) | State::Failed => {}
        }
    }

    /// A look-up was answered. Says whether the task's result is now decided.
    pub(crate) fn answered(&mut self, action: ActionDigest, result: Option<StoredResult>) -> bool {
        let Some(task) = self.tasks.get_mut(&action) else {
            return false;
        };
        if task.state != State::LookingUp {
            return false;
        }
        match result {
            Some(result) => {
                task.cached = true;
                task.decide(Some(result));
                true
            }
            None if task.hopeless => {
                task.state = State::Failed;
                true
            }
            None => {
                task.state = State::Queued;
                self.queue.push((task.rank, Reverse(task.order), action));
                false
            }
        }
    }

    /// An execution ended. Says whether the task's result is now decided.
    pub(crate) fn finished(
        &mut self,
        action: ActionDigest,
        result: Option<StoredResult>,
        took: Duration,
        now: Duration,
    ) -> bool {
        let Some(task) = self.tasks.get_mut(&action).filter(|task| task.running) else {
            return false;
        };
        task.running = false;
        self.in_flight -= 1;
        if self.in_flight < self.slots {
            self.free.push_back(now);
        }
        if let Some(owner) = task.owner {
            let result = result.as_ref().map(StoredResult::message);
            self.budget.end(owner, task.reserved, took, result);
        }
        let cancelled = std::mem::take(&mut task.cancelling);
        if matches!(task.state, State::Done(_) | State::Failed) {
            return false;
        }
        task.took = took;
        if result.is_none() && cancelled {
            // Wanted again since it was given up: it starts over.
            task.state = State::Idle;
            if !task.jobs.is_empty() {
                task.state = State::LookingUp;
                task.ready = now;
                self.look_ups.push(action);
            }
            return false;
        }
        task.decide(result);
        true
    }

    /// The real build of `element` has found no result. What is not running yet is left to it.
    pub(crate) fn wanted(&mut self, action: ActionDigest, element: ElementNo, now: Duration) {
        // Also what is predicted only later.
        let task = self.tasks.entry(action).or_insert_with(Task::new);
        task.wanted.get_or_insert(now);
        if !task.running {
            task.claimed = Some(element);
            self.claims.push((element, action));
        }
    }

    /// The real build of `element` has ended: what it has left undone may be executed ahead of need.
    pub(crate) fn unclaim(&mut self, element: ElementNo, now: Duration) {
        for (_, action) in self.claims.extract_if(.., |(other, _)| *other == element) {
            let Some(task) = self.tasks.get_mut(&action) else {
                continue;
            };
            if task.claimed == Some(element) {
                task.claimed = None;
                task.ready = now;
                if task.state == State::Queued {
                    self.queue.push((task.rank, Reverse(task.order), action));
                }
            }
        }
    }

    /// A real build has been given a result. Says whether the task's result is now decided.
    pub(crate) fn asked(
        &mut self,
        action: ActionDigest,
        result: &StoredResult,
        took: Duration,
    ) -> bool {
        let task = self.tasks.entry(action).or_insert_with(Task::new);
        task.asked = true;
        if matches!(task.state, State::Done(_)) || result.message().exit_code != 0 {
            return false;
        }
        if task.took.is_zero() {
            task.took = took;
        }
        task.decide(Some(result.clone()));
        true
    }

    /// The next task to be executed, if a slot is free and something is left to be spent. What no job
    /// is sure of has to wait.
    pub(crate) fn next(
        &mut self,
        now: Duration,
        is_sure: impl Fn(JobId) -> bool,
    ) -> Option<Effect> {
        let mut doubtful = Vec::new();
        let mut next = None;
        while next.is_none() && self.in_flight < self.slots && doubtful.len() < MAX_DOUBTFUL {
            let Some(queued) = self.queue.pop() else {
                break;
            };
            let (rank, _, action) = queued;
            let Some(task) = self.tasks.get_mut(&action) else {
                continue;
            };
            // What was given up, is queued again with another rank, or is claimed, is passed over.
            let is_this = task.state == State::Queued && task.rank == rank;
            if !is_this || task.running || task.claimed.is_some() {
                continue;
            }
            if !task.jobs.iter().any(|job| is_sure(*job)) {
                doubtful.push(queued);
                continue;
            }
            if self.is_within_budget(action) {
                next = self.begin(action, rank, now);
            }
        }
        self.queue.extend(doubtful);
        next
    }

    /// Sets aside what a task is expected to take, if that is left.
    fn is_within_budget(&mut self, action: ActionDigest) -> bool {
        let Some(task) = self.tasks.get_mut(&action) else {
            return false;
        };
        let Some(owner) = task.owner else {
            return true;
        };
        if self.budget.allows(owner, task.expected) {
            self.budget.begin(owner, task.expected);
            task.reserved = task.expected;
            return true;
        }
        if !std::mem::replace(&mut task.withheld, true) {
            self.withheld.push(action);
        }
        false
    }

    fn begin(&mut self, action: ActionDigest, rank: u64, now: Duration) -> Option<Effect> {
        let task = self.tasks.get_mut(&action)?;
        task.withheld = false;
        task.state = State::Running;
        task.running = true;
        task.executed = true;
        task.started = now;
        self.in_flight += 1;
        let free = self.free.pop_front().unwrap_or(now);
        Some(Effect::Execute {
            action,
            rank,
            expected: task.expected,
            ready: task.ready.max(free),
        })
    }

    /// Notes of what was not handed out since the last call.
    pub(crate) fn take_withheld(&mut self, effects: &mut Vec<Effect>) {
        let withheld = self.withheld.drain(..).map(|action| Note {
            kind: NoteKind::Withheld,
            element: None,
            base: None,
            action: Some(action),
            took: Duration::ZERO,
        });
        effects.extend(withheld.map(Effect::Note));
    }

    /// Look-ups and cancellations since the last call.
    pub(crate) fn take_effects(&mut self, effects: &mut Vec<Effect>) {
        let cancels = self.cancels.drain(..).map(Effect::Cancel);
        effects.extend(cancels);
        // What was wanted twice needs only one look-up. What matters most was wanted first.
        let mut look_ups = std::mem::take(&mut self.look_ups);
        let mut known = HashSet::new();
        look_ups.retain(|action| known.insert(*action));
        if !look_ups.is_empty() {
            effects.push(Effect::LookUp(look_ups));
        }
    }
}

impl Task {
    fn new() -> Self {
        Self {
            jobs: Vec::new(),
            state: State::Idle,
            predicted: false,
            executed: false,
            cached: false,
            asked: false,
            started: Duration::ZERO,
            wanted: None,
            claimed: None,
            took: Duration::ZERO,
            withheld: false,
            owner: None,
            reserved: Duration::ZERO,
            running: false,
            cancelling: false,
            rank: 0,
            order: 0,
            expected: Duration::ZERO,
            ready: Duration::ZERO,
            hopeless: false,
        }
    }

    /// Only a command that went well has a result that others can use.
    fn decide(&mut self, result: Option<StoredResult>) {
        let good = result.filter(|result| result.message().exit_code == 0);
        self.state = good.map_or(State::Failed, |good| State::Done(Arc::new(good)));
    }
}
