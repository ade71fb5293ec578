//! Taking in what is stored of an element: its recorded actions become jobs, one after another.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use headstart_execution::ActionSpec;
use headstart_merkle::{ActionDigest, TreePath};

use super::Primer;
use super::jobs::{Job, JobState, chains};
use super::knowledge::{ActionFact, ElementNo, Key};
use super::plan::Plan;
use super::shapes::JobId;
use super::upcoming::{self, Recorded};
use crate::event::Effect;
use crate::message::SpeculativeActions;
use crate::origin::ElementId;
use crate::storage::{SpeculationError, Storage};

/// A message that is being taken in.
pub(super) struct Intake {
    message: Arc<SpeculativeActions>,
    /// When it was told of.
    since: Duration,
    begun: Option<Begun>,
}

/// How far taking in a message has come.
struct Begun {
    plan: u32,
    /// Whether there is a newer one.
    older: bool,
    /// For each action, its own time and that of the longest chain that follows.
    chains: Vec<Duration>,
    /// The next action.
    place: usize,
    recorded: Recorded,
}

/// Jobs of an element by the paths of what they make.
#[derive(Default)]
pub(super) struct Index {
    jobs: HashMap<Vec<TreePath>, Vec<JobId>>,
    /// How many of the element's jobs have been looked at for this.
    indexed: usize,
}

impl Primer {
    /// Takes note of a message about an element that is going to be built. Of several the first is the
    /// newest: of the others only those actions count whose outputs no newer one makes.
    pub(super) fn plan(&mut self, id: &ElementId, message: Arc<SpeculativeActions>, turn: u32) {
        let element = self.knowledge.number(id);
        let known = self.elements.entry(element).or_default();
        if known.built {
            return;
        }
        if known.plans.is_empty() && known.intakes.is_empty() {
            known.turn = turn;
            known.first_turn = turn;
        }
        known.turn = known.turn.min(turn);
        known.intakes.push_back(Intake {
            message,
            since: self.now,
            begun: None,
        });
        self.intakes.insert((known.first_turn, element));
    }

    /// Takes in the next action of the messages that were told of: those of elements that are built
    /// first come first. Says whether there was anything to do.
    pub(super) fn take_in_next(&mut self, store: &dyn Storage, effects: &mut Vec<Effect>) -> bool {
        let Some((turn, element)) = self.intakes.first().copied() else {
            return false;
        };
        let known = self.elements.entry(element).or_default();
        if let Some(intake) = known.intakes.pop_front() {
            // What an older message tells of counts only where no newer one has the same.
            let older = intake.begun.as_ref().is_some_and(|begun| begun.older);
            let left = match older && self.index_next(element, store) {
                true => Some(intake),
                false => self.take_in(element, intake, store, effects),
            };
            if let Some(left) = left {
                let known = self.elements.entry(element).or_default();
                known.intakes.push_front(left);
            }
            return true;
        }
        self.intakes.remove(&(turn, element));
        let lost = self.knowledge.settle_actions(element);
        self.have_changed(lost);
        true
    }

    /// Takes in one action; gives what is left to be taken in after that.
    fn take_in(
        &mut self,
        element: ElementNo,
        intake: Intake,
        store: &dyn Storage,
        effects: &mut Vec<Effect>,
    ) -> Option<Intake> {
        let message = Arc::clone(&intake.message);
        let Some(mut begun) = intake.begun else {
            let begun = Some(self.begin(element, &message)?);
            return Some(Intake { begun, ..intake });
        };
        let action = message.actions.get(begun.place)?;
        if !begun.older || !self.is_superseded(element, action.digest, store) {
            let added = self.add_job(element, &mut begun, intake.since, store);
            if let Err(error) = added {
                let digest = action.digest;
                self.problem(element, format!("the action {digest}: {error}"), effects);
            }
        }
        begun.place += 1;
        let begun = Some(begun);
        Some(Intake { begun, ..intake })
    }

    /// Begins to take in a message, unless it is one that was taken in before.
    fn begin(&mut self, element: ElementNo, message: &Arc<SpeculativeActions>) -> Option<Begun> {
        let known = self.elements.entry(element).or_default();
        let plans = &self.shapes.plans;
        let mut messages = known
            .plans
            .iter()
            .map(|plan| &plans[*plan as usize].message);
        if messages.any(|other| Arc::ptr_eq(other, message) || **other == **message) {
            return None;
        }
        let older = !known.plans.is_empty();
        let number = plans.len() as u32;
        known.plans.push(number);
        let mut plan = Plan::new(Arc::clone(message), &mut self.knowledge);
        // The message may have been stored under another name of the same lineage.
        plan.elements[0] = element;
        self.shadows.add(number, &plan.source(), &self.knowledge);
        self.shapes.plans.push(plan);
        Some(Begun {
            plan: number,
            older,
            chains: chains(message),
            place: 0,
            recorded: Recorded::default(),
        })
    }

    fn add_job(
        &mut self,
        element: ElementNo,
        begun: &mut Begun,
        since: Duration,
        store: &dyn Storage,
    ) -> Result<(), SpeculationError> {
        let known = self.elements.entry(element).or_default();
        known.account.stored += 1;
        let (plan, chain) = (begun.plan, begun.chains[begun.place]);
        let of_plan = &mut self.shapes.plans[plan as usize];
        let message = Arc::clone(&of_plan.message);
        let action = &message.actions[begun.place];
        if !action.usable {
            return Ok(());
        }
        let base_root = match begun.older {
            // Most of these are left out.
            true => upcoming::input_root(action.digest, store)?,
            false => {
                let guide = of_plan.guide(&self.knowledge);
                let recorded = &mut begun.recorded;
                recorded.input_root(&message, action.digest, &guide, store)?
            }
        };
        let id = self.jobs.len() as JobId;
        let root = self.shapes.add_root(plan, base_root, id)?;
        let mut mentions = Vec::new();
        for named in &action.named_trees {
            let named = &message.named_trees[*named as usize];
            let key = Key::Named(element, self.knowledge.name(&named.name));
            self.mentions.entry(key).or_default().push(id);
            mentions.push((key, named.tree));
        }
        let guards = action.guards.iter();
        let guards: Vec<ActionDigest> = guards.map(|place| message.action_at(*place)).collect();
        for guard in &guards {
            let guarded = self.guarded.entry((element, *guard)).or_default();
            guarded.push(id);
        }
        self.by_base.insert((element, action.digest), id);
        let mut job = Job {
            guards,
            element,
            plan,
            base: action.digest,
            also: Vec::new(),
            base_root,
            root,
            mentions,
            kind: Arc::clone(&action.kind),
            duration: action.duration,
            chain,
            // What is likely is found out when it is adapted.
            probability: 1.0,
            failed: action.failed,
            state: JobState::Pending,
            earlier: Vec::new(),
            adapted_to: None,
            urgency: 0,
            marked: false,
            since,
        };
        let known = self.elements.entry(element).or_default();
        known.jobs.push(id);
        job.urgency = job.rank(known.turn, known.started.then_some(id));
        self.jobs.push(job);
        self.set_fact(id, ActionFact::NotYet);
        self.shapes.woken.push(id);
        Ok(())
    }

    /// Looks at what the next job of an element makes; says whether there was one left.
    pub(super) fn index_next(&mut self, element: ElementNo, store: &dyn Storage) -> bool {
        let known = self.elements.entry(element).or_default();
        let index = known.by_outputs.get_or_insert_default();
        let Some(id) = known.jobs.get(index.indexed) else {
            return false;
        };
        index.indexed += 1;
        if let Some(outputs) = outputs(self.jobs[*id as usize].base, store) {
            index.jobs.entry(outputs).or_default().push(*id);
        }
        true
    }

    /// The only job of an element that makes the same as `action`, if its own has not been asked for.
    pub(super) fn makes_the_same(
        &mut self,
        element: ElementNo,
        action: ActionDigest,
        store: &dyn Storage,
    ) -> Option<JobId> {
        if self.elements.get(&element)?.jobs.is_empty() {
            return None;
        }
        let outputs = outputs(action, store)?;
        let index = self.elements.get(&element)?.by_outputs.as_ref()?;
        // Configure's tests make the same file again and again: which is which nobody can tell.
        let [id] = index.jobs.get(&outputs)?[..] else {
            return None;
        };
        let job = &self.jobs[id as usize];
        let task = job.adapted().and_then(|action| self.tasks.get(action));
        (job.is_live() && !task.is_some_and(|task| task.asked)).then_some(id)
    }

    /// Whether a newer job makes the same as `base`. If there is one only, it stands in for `base`
    /// where others need its outputs.
    fn is_superseded(
        &mut self,
        element: ElementNo,
        base: ActionDigest,
        store: &dyn Storage,
    ) -> bool {
        let Some(outputs) = outputs(base, store) else {
            return false;
        };
        let known = self.elements.get(&element);
        let index = known.and_then(|known| known.by_outputs.as_ref());
        let Some(newer) = index.and_then(|index| index.jobs.get(&outputs)) else {
            return false;
        };
        // Actions of one message may make the same in turn, as configure's tests do.
        let plan = known.and_then(|known| known.plans.last().copied());
        if newer
            .iter()
            .any(|id| Some(self.jobs[*id as usize].plan) == plan)
        {
            return false;
        }
        if let [id] = newer[..] {
            let job = &mut self.jobs[id as usize];
            if job.base != base && !job.also.contains(&base) {
                job.also.push(base);
                self.by_base.insert((element, base), id);
                let fact = self.knowledge.result(element, job.base);
                if self.knowledge.set_result(element, base, fact) {
                    let key = Key::Action(element, base);
                    self.changed.push_back((key, self.now));
                }
            }
        }
        true
    }
}

/// What an action makes, by path in the tree it runs in; `None` if that can't be read, or is
/// nothing.
fn outputs(action: ActionDigest, store: &dyn Storage) -> Option<Vec<TreePath>> {
    let spec = ActionSpec::read(action, store.blobs()).ok()?;
    let paths = spec.output_paths();
    (!paths.is_empty()).then_some(paths)
}
