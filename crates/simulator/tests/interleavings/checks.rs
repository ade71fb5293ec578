//! What must hold at every step of a session, and when all is quiet.

use std::collections::{BTreeMap, BTreeSet};

use headstart_merkle::ActionDigest;
use headstart_simulator::{Case, Settings, Simulation, Step};
use headstart_speculation::testing::world::id;
use headstart_speculation::{Effect, ElementId, Event, NoteKind, Unavailable};
use headstart_store::StoredResult;

use crate::oracle::{Oracle, Today, Tree, Which};

/// Looks at everything that the primer is told and says.
pub(crate) struct Checker<'a> {
    case: &'a Case,
    settings: Settings,
    oracle: Oracle<'a>,
    slots: usize,
    ended: BTreeSet<ElementId>,
    /// What is in flight, and whether it is to be cancelled.
    in_flight: BTreeMap<ActionDigest, bool>,
    /// What was executed to its end, or is lost.
    ended_well: BTreeSet<ActionDigest>,
    lost: BTreeSet<ActionDigest>,
    withheld: BTreeSet<ActionDigest>,
    asked: BTreeMap<ElementId, usize>,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(case: &'a Case, settings: &Settings) -> Self {
        Self {
            case,
            settings: settings.clone(),
            oracle: Oracle::new(case),
            slots: settings.slots,
            ended: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            ended_well: BTreeSet::new(),
            lost: BTreeSet::new(),
            withheld: BTreeSet::new(),
            asked: BTreeMap::new(),
        }
    }

    pub(crate) fn look(&mut self, simulation: &mut Simulation<'_>, step: &Step) {
        self.told(&step.told);
        for effect in &step.effects {
            if let Effect::Note(note) = effect {
                self.note(note.kind, note.element.as_ref(), note.base, note.action);
            }
        }
        for effect in &step.effects {
            match effect {
                Effect::Execute { action, .. } => self.handed_out(*action),
                Effect::Cancel(action) => {
                    let cancelled = self.in_flight.get_mut(action);
                    let cancelled = cancelled.expect("what is cancelled is in flight");
                    assert!(
                        !std::mem::replace(cancelled, true),
                        "cancelled twice: {action}"
                    );
                }
                Effect::Problem { element, reason } => panic!("{element}: {reason}"),
                Effect::LookUp(_) | Effect::Note(_) => {}
            }
        }
        assert!(self.in_flight.len() <= self.settings.slots);
        if !simulation.primer().is_behind() {
            self.only_what_is_wanted_is_in_flight();
        }
    }

    fn told(&mut self, event: &Event) {
        let trees = &mut self.oracle.trees;
        let mut gone = |element: &ElementId, which| {
            trees.entry((element.clone(), which)).or_insert(Tree::Gone);
        };
        match event {
            Event::Planned { element, .. } => {
                if !self.ended.contains(element) {
                    self.oracle.planned.insert(element.clone());
                }
                self.oracle.settled.insert(element.clone());
            }
            Event::Sources { element, tree } => {
                trees.insert((element.clone(), Which::Sources), Tree::Is(*tree));
            }
            Event::Artifact { element, tree } => {
                trees.insert((element.clone(), Which::Artifact), Tree::Is(*tree));
            }
            Event::Unavailable { element, what } => {
                if matches!(what, Unavailable::Sources | Unavailable::Everything) {
                    gone(element, Which::Sources);
                }
                if matches!(what, Unavailable::Artifact | Unavailable::Everything) {
                    gone(element, Which::Artifact);
                }
            }
            Event::CacheAnswered {
                action,
                result: Some(result),
            } => self.learn(*action, Some(result)),
            Event::CacheAnswered { result: None, .. } => {}
            Event::Finished { action, outcome } => {
                let cancelled = self.in_flight.remove(action).expect("ended once");
                match outcome {
                    Ok(outcome) => {
                        self.ended_well.insert(*action);
                        self.learn(*action, Some(&outcome.result));
                    }
                    Err(_) if cancelled => {}
                    Err(_) => {
                        self.lost.insert(*action);
                        self.learn(*action, None);
                    }
                }
            }
            Event::Asked { element, subaction } => {
                *self.asked.entry(element.clone()).or_default() += 1;
                if subaction.result.message().exit_code == 0 {
                    self.learn(subaction.action, Some(&subaction.result));
                }
            }
            Event::ElementBuilt { element } => {
                self.ended.insert(element.clone());
                self.oracle.settled.insert(element.clone());
            }
            Event::Slots(slots) => self.slots = *slots,
            _ => {}
        }
    }

    /// What is known to have gone well stays so.
    fn learn(&mut self, action: ActionDigest, result: Option<&StoredResult>) {
        let good = result.filter(|result| result.message().exit_code == 0);
        let known = self.oracle.results.entry(action).or_insert(None);
        if known.is_none() {
            *known = good.cloned();
        }
    }

    fn note(
        &mut self,
        kind: NoteKind,
        element: Option<&ElementId>,
        base: Option<ActionDigest>,
        action: Option<ActionDigest>,
    ) {
        if let (Some(element), Some(base)) = (element, base) {
            let key = (element.clone(), base);
            self.oracle.states.insert(key, (kind, action));
        }
        if kind == NoteKind::Withheld {
            self.withheld.extend(action);
        }
    }

    /// The primer has an action executed.
    fn handed_out(&mut self, action: ActionDigest) {
        assert!(self.slots > 0, "nothing may be in flight");
        let twice = self.in_flight.insert(action, false);
        assert_eq!(twice, None, "in flight twice: {action}");
        let again = self.ended_well.contains(&action) || self.lost.contains(&action);
        assert!(!again, "executed twice: {action}");
        let known = self.oracle.results.get(&action);
        assert_eq!(
            known.filter(|known| known.is_some()),
            None,
            "its result is known: {action}"
        );
        let mut predicted = false;
        for (place, base) in self.predicting(action) {
            predicted = true;
            self.check_inputs(place, base, action);
        }
        assert!(predicted, "nobody predicts {action}");
    }

    /// The recorded actions of elements that are not built yet which are predicted to be `action`.
    fn predicting(&self, action: ActionDigest) -> Vec<(usize, ActionDigest)> {
        let states = self.oracle.states.iter().filter(|((element, _), state)| {
            let resolved = matches!(state.0, NoteKind::Resolved | NoteKind::Corrected);
            resolved && state.1 == Some(action) && !self.ended.contains(element)
        });
        let found = states.map(|((element, base), _)| (self.place(element), *base));
        found.collect()
    }

    fn place(&self, element: &ElementId) -> usize {
        let mut places = 0..self.case.project.len();
        places.find(|place| id(*place) == *element).unwrap()
    }

    /// Each input is what stands at its origin today, and all of them are known.
    fn check_inputs(&mut self, place: usize, base: ActionDigest, action: ActionDigest) {
        let (was, is) = (self.oracle.spec(base), self.oracle.spec(action));
        assert_eq!(was.arguments, is.arguments);
        let expected = self.oracle.today(place, base);
        let given = self.oracle.files(is.input_root);
        assert_eq!(expected, Today::Known(given), "of {}: {base}", id(place));
    }

    fn only_what_is_wanted_is_in_flight(&self) {
        let running = self.in_flight.iter().filter(|(_, cancelled)| !**cancelled);
        for (action, _) in running {
            // What has been asked for meanwhile is the real build's.
            let known = self.oracle.results.get(action).is_some_and(Option::is_some);
            let wanted = known || !self.predicting(*action).is_empty();
            assert!(wanted, "nobody wants what is in flight: {action}");
        }
    }

    /// Nothing is going to happen any more: all that can be resolved is resolved, all that is resolved
    /// was executed or there is a reason why not, and what was asked for is accounted for.
    pub(crate) fn quiet(&mut self, simulation: &mut Simulation<'_>) {
        assert_eq!(self.in_flight, BTreeMap::new());
        assert!(simulation.is_executor_idle());
        assert!(!simulation.primer().is_behind());
        for element in self.oracle.planned.clone() {
            let place = self.place(&element);
            let built = &self.case.change.before[place];
            let account = simulation.primer().account(&element);
            assert_eq!(account.stored, built.message.actions().len());
            if self.ended.contains(&element) {
                continue;
            }
            let message = std::sync::Arc::clone(&built.message);
            for base in message.actions().iter().filter(|action| action.usable) {
                self.check_state(place, base.digest);
                self.check_executed(place, base.digest, base.failed);
            }
        }
        for place in 0..self.case.project.len() {
            let account = simulation.primer().account(&id(place));
            let asked = self.asked.get(&id(place)).copied().unwrap_or(0);
            assert_eq!(account.asked, asked);
            let answered = account.hit + account.joined + account.promoted + account.found;
            assert_eq!(answered + account.missed + account.unsuccessful, asked);
            assert!(account.succeeded + account.failed <= account.primed);
            assert!(account.unchanged <= account.resolved && account.resolved <= account.stored);
            // Who is told of an artifact only after all that was built with it can't correct anything.
            if self.settings.disorder.delay.is_zero() {
                let store = &self.case.change.fixture.store;
                assert_eq!(simulation.primer().audit(&id(place), store).unwrap(), 0);
            }
        }
    }

    /// No wake-up was lost: a recorded action is as far as what is known allows.
    fn check_state(&mut self, place: usize, base: ActionDigest) {
        let noted = self.oracle.states.get(&(id(place), base)).copied();
        let expected = self.oracle.today(place, base);
        // What is made of archives depends on more than its inputs tell.
        let guarded = self.case.project[place].steps.iter().any(|step| step.local);
        match noted {
            Some((NoteKind::Overtaken, _)) => {}
            Some((NoteKind::Resolved | NoteKind::Corrected, Some(action))) => {
                self.check_inputs(place, base, action);
            }
            Some((NoteKind::Refuted, _)) => {
                assert!(guarded || expected == Today::Refuted, "{base}")
            }
            None | Some((NoteKind::Unresolved, _)) => {
                assert!(
                    guarded || expected == Today::Pending,
                    "{base}: {expected:?}"
                );
            }
            Some((kind, _)) => panic!("{kind:?} is not to be noted of {base}"),
        }
    }

    /// Nothing starves: what is resolved has a result, or there is a reason why not.
    fn check_executed(&self, place: usize, base: ActionDigest, failed: bool) {
        let noted = self.oracle.states.get(&(id(place), base)).copied();
        let Some((NoteKind::Resolved | NoteKind::Corrected, Some(action))) = noted else {
            return;
        };
        let known = self.oracle.results.contains_key(&action);
        let hopeless = failed && action == base;
        let executed = known || hopeless || self.withheld.contains(&action);
        assert!(executed, "{action} was never executed");
    }
}
