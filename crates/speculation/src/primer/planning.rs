//! Taking in what is stored of an element: its recorded actions become jobs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use headstart_execution::ActionSpec;
use headstart_merkle::{ActionDigest, Digest, TreePath};
use headstart_reapi::reapi;
use headstart_store::read_message;

use super::Primer;
use super::jobs::{Job, JobState, chains};
use super::knowledge::{ActionFact, ElementNo, Key};
use super::plan::Plan;
use super::shapes::JobId;
use crate::event::Effect;
use crate::message::SpeculativeActions;
use crate::origin::ElementId;
use crate::storage::{SpeculationError, Storage};

/// Jobs of an element by the paths of what they make.
pub(super) type ByOutputs = HashMap<Vec<TreePath>, Vec<JobId>>;

impl Primer {
    /// Takes in a message about an element that is going to be built. Of several the first is the
    /// newest: of the others only those actions count whose outputs no newer one makes.
    pub(super) fn plan(
        &mut self,
        id: &ElementId,
        message: Arc<SpeculativeActions>,
        turn: u32,
        store: &dyn Storage,
        effects: &mut Vec<Effect>,
    ) {
        let element = self.knowledge.number(id);
        let known = self.elements.entry(element).or_default();
        let plans = &self.shapes.plans;
        let mut messages = known
            .plans
            .iter()
            .map(|plan| &plans[*plan as usize].message);
        if known.built || messages.any(|other| Arc::ptr_eq(other, &message) || **other == *message)
        {
            return;
        }
        let older = !known.plans.is_empty();
        let number = plans.len() as u32;
        known.plans.push(number);
        known.turn = if older { known.turn.min(turn) } else { turn };
        let mut plan = Plan::new(Arc::clone(&message), &mut self.knowledge);
        // The message may have been stored under another name of the same lineage.
        plan.elements[0] = element;
        self.shapes.plans.push(plan);
        if older {
            self.index_outputs(element, store);
        }
        for (place, chain) in chains(&message).into_iter().enumerate() {
            let digest = message.actions[place].digest;
            if older && self.is_superseded(element, digest, store) {
                continue;
            }
            if let Err(error) = self.add_job(element, number, place as u32, chain, store) {
                self.problem(element, format!("the action {digest}: {error}"), effects);
            }
        }
        let lost = self.knowledge.settle_actions(element);
        self.changed.extend(lost);
    }

    fn add_job(
        &mut self,
        element: ElementNo,
        plan: u32,
        place: u32,
        chain: Duration,
        store: &dyn Storage,
    ) -> Result<(), SpeculationError> {
        let known = self.elements.entry(element).or_default();
        known.account.stored += 1;
        let message = Arc::clone(&self.shapes.plans[plan as usize].message);
        let action = &message.actions[place as usize];
        if !action.usable {
            return Ok(());
        }
        let base: reapi::Action = read_message(store.blobs(), action.digest, "an Action")?;
        let base_root = Digest::required(base.input_root_digest.as_ref())
            .map_err(|error| SpeculationError::Message(error.to_string()))?;
        let id = self.jobs.len() as JobId;
        let root = self
            .shapes
            .add_root(plan, base_root, id, &mut self.knowledge, store)?;
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
        self.jobs.push(Job {
            guards,
            element,
            plan,
            base: action.digest,
            also: Vec::new(),
            base_root,
            root,
            mentions,
            duration: action.duration,
            chain,
            probability: 0.0,
            failed: action.failed,
            state: JobState::Pending,
            earlier: Vec::new(),
        });
        let known = self.elements.entry(element).or_default();
        known.jobs.push(id);
        if let Some(index) = &mut known.by_outputs
            && let Some(outputs) = outputs(action.digest, store)
        {
            index.entry(outputs).or_default().push(id);
        }
        self.set_fact(id, ActionFact::NotYet);
        self.dirty.insert(id);
        Ok(())
    }

    /// Makes the index of what an element's jobs make, if there is none yet.
    fn index_outputs(&mut self, element: ElementNo, store: &dyn Storage) {
        let known = self.elements.entry(element).or_default();
        if known.by_outputs.is_some() {
            return;
        }
        let mut index = ByOutputs::new();
        for id in &known.jobs {
            if let Some(outputs) = outputs(self.jobs[*id as usize].base, store) {
                index.entry(outputs).or_default().push(*id);
            }
        }
        known.by_outputs = Some(index);
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
        self.index_outputs(element, store);
        let index = self.elements.get(&element)?.by_outputs.as_ref()?;
        // Configure's tests make the same file again and again: which is which nobody can tell.
        let [id] = index.get(&outputs)?[..] else {
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
        let Some(newer) = index.and_then(|index| index.get(&outputs)) else {
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
                    self.changed.push_back(Key::Action(element, base));
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
