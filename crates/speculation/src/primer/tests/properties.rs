//! Over random projects, random changes and random orders of events. `PROPTEST_CASES` says how many.

use std::collections::BTreeSet;
use std::sync::Arc;

use headstart_merkle::ActionDigest;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::testing::random::{Choices, Edits, edit, project};
use crate::testing::session::{Change, Session};
use crate::testing::world::{ElementSpec, closure, id};
use crate::{Event, Mode, SpeculativeActions};

const ANY: Edits = Edits {
    adding: true,
    stamping: true,
};
/// Changes after which no guess can be wrong.
const FORESEEABLE: Edits = Edits {
    adding: false,
    stamping: false,
};

struct Case {
    before: Vec<ElementSpec>,
    after: Vec<ElementSpec>,
    change: Change,
}

fn case(numbers: &[u16], edits: Edits, mode: Mode) -> Case {
    let mut choices = Choices(numbers.iter());
    let before = project(&mut choices);
    let after = edit(&before, edits, &mut choices);
    let change = Change::new(&before, &after, mode);
    Case {
        before,
        after,
        change,
    }
}

impl Case {
    /// For each action as it was what it should be predicted to be; left out where a file was
    /// added, which nobody can foresee. What takes the output of an action that is not asked for
    /// any more is given up.
    fn expected(&self, place: usize) -> Vec<(ActionDigest, Option<ActionDigest>)> {
        let (old, new) = (&self.change.before[place], &self.change.after[place]);
        let mut unforeseen: BTreeSet<&str> = BTreeSet::new();
        let mut lost: BTreeSet<&str> = BTreeSet::new();
        let mut changed: BTreeSet<&str> = BTreeSet::new();
        let mut expected = Vec::new();
        for (number, step) in self.after[place].steps.iter().enumerate() {
            let inputs = step.main.iter().chain(&step.own);
            let added = inputs.clone().any(|input| self.is_added(place, input))
                || step.system.iter().any(|input| self.appears(place, input));
            if added
                || inputs
                    .clone()
                    .any(|input| unforeseen.contains(input.as_str()))
            {
                unforeseen.insert(&step.output);
                continue;
            }
            let gone = inputs.clone().any(|input| lost.contains(input.as_str()));
            let today = new.steps[number].filter(|_| !gone);
            if step.local {
                // Whoever takes it can't be foreseen if anything in it is another.
                let members = step.main.iter().map(String::as_str);
                let changed = |member: &str| changed.contains(member) || lost.contains(member);
                if members.clone().any(changed) {
                    lost.insert(&step.output);
                }
                continue;
            }
            if old.steps[number] != new.steps[number] {
                changed.insert(&step.output);
            }
            if let Some(base) = old.steps[number] {
                expected.push((base, today));
                if today.is_none() {
                    lost.insert(&step.output);
                }
            }
        }
        expected
    }

    fn is_added(&self, place: usize, own: &str) -> bool {
        let made = |elements: &[ElementSpec], built: &[crate::testing::world::Built]| {
            let steps = elements[place].steps.iter().zip(&built[place].steps);
            elements[place].sources.contains_key(own)
                || steps
                    .clone()
                    .any(|(step, taken)| step.output == own && taken.is_some())
        };
        !made(&self.before, &self.change.before) && made(&self.after, &self.change.after)
    }

    /// Whether a file of the sandbox was not there before.
    fn appears(&self, place: usize, system: &str) -> bool {
        let there = |elements: &[ElementSpec], built: &[crate::testing::world::Built]| {
            closure(place, elements).into_iter().any(|below| {
                let at = headstart_merkle::TreePath::new(system).unwrap();
                let tree = built[below].artifact;
                let found =
                    crate::storage::lookup(&self.change.fixture.store, tree, &at, true).unwrap();
                found.is_some()
            })
        };
        !there(&self.before, &self.change.before) && there(&self.after, &self.change.after)
    }

    fn check_predictions(&self, place: usize, session: &Session<'_>) {
        let predictions = session.predictions(place);
        for (base, expected) in self.expected(place) {
            assert_eq!(predictions.get(&base), Some(&expected), "{place}: {base}");
        }
    }
}

/// Lets all that is to be known, all that is pending and all real builds happen in a random order.
fn play<'a>(case: &'a Case, order: &[u16], slots: usize) -> Session<'a> {
    let mut order = Choices(order.iter());
    let change = &case.change;
    let mut session = Session::new(&change.fixture, slots);
    session.check_what_is_handed_out();
    session.remember(&change.before);
    let mut events = Session::opening(&change.before, &change.after, &change.rebuilt);
    let mut next = 0;
    while next < change.after.len() || !session.pending.is_empty() || !events.is_empty() {
        // Much happens before what follows from it has been worked out.
        session.slices = [0, 1, 3, usize::MAX][order.pick(4)];
        match order.pick(3) {
            0 if !events.is_empty() => {
                let event = events.swap_remove(order.pick(events.len()));
                session.tell(event);
            }
            1 if !session.pending.is_empty() => {
                let event = session
                    .pending
                    .swap_remove(order.pick(session.pending.len()));
                session.tell(event);
            }
            _ if next < change.after.len() => {
                if change.rebuilt[next] {
                    session.ask_all(next, &change.after[next]);
                    session.finish_element(next, &change.after[next]);
                }
                next += 1;
            }
            _ => {
                session.drain();
                events.drain(..).for_each(|event| session.tell(event));
            }
        }
    }
    session.drain();
    session
}

/// All requests are accounted for, once each.
fn check_sums(case: &Case, session: &Session<'_>) {
    for (place, built) in case.change.after.iter().enumerate() {
        let account = session.primer.account(&id(place));
        let asked = if case.change.rebuilt[place] {
            built.subactions.len()
        } else {
            0
        };
        assert_eq!(account.asked, asked);
        let sum = account.hit + account.joined + account.promoted + account.found + account.missed;
        assert_eq!(sum + account.unsuccessful, account.asked);
    }
}

proptest! {
    /// When all that an element builds upon is known, its actions are predicted exactly.
    #[test]
    fn predictions_are_what_a_fresh_build_asks_for(
        numbers in vec(any::<u16>(), 0..120),
        full in any::<bool>(),
    ) {
        let mode = if full { Mode::Full } else { Mode::IntraElement };
        let case = case(&numbers, ANY, mode);
        let mut session = case.change.open(3);
        for (place, built) in case.change.after.iter().enumerate() {
            session.drain();
            if case.change.rebuilt[place] {
                case.check_predictions(place, &session);
                session.ask_all(place, built);
                session.finish_element(place, built);
            }
        }
        prop_assert_eq!(&session.problems, &[""; 0]);
    }

    /// In whatever order things become known, the predictions in the end are the same, nothing is
    /// forgotten and nothing executed twice.
    #[test]
    fn the_order_of_events_does_not_matter(
        numbers in vec(any::<u16>(), 0..120),
        order in vec(any::<u16>(), 200),
        slots in 1usize..4,
    ) {
        let case = case(&numbers, ANY, Mode::Full);
        let mut order = Choices(order.iter());
        let change = &case.change;
        let mut session = Session::new(&change.fixture, slots);
        session.remember(&change.before);
        let mut events = Session::opening(&change.before, &change.after, &change.rebuilt);
        for (place, built) in change.after.iter().enumerate() {
            events.push(Event::Artifact { element: id(place), tree: built.artifact });
        }
        while !events.is_empty() || !session.pending.is_empty() {
            session.slices = [0, 1, 3, usize::MAX][order.pick(4)];
            let next = order.pick(events.len() + session.pending.len());
            let event = if next < events.len() {
                events.swap_remove(next)
            } else {
                session.pending.swap_remove(next - events.len())
            };
            session.tell(event);
            if events.is_empty() && session.pending.is_empty() {
                session.drain();
            }
        }
        for place in 0..change.after.len() {
            if change.rebuilt[place] {
                case.check_predictions(place, &session);
            }
        }
        prop_assert!(session.most_in_flight <= slots);
    }

    /// With real builds at any time, and what is left cancelled: nothing is executed but what a
    /// build asks for, all comes to an end, and accounts add up.
    #[test]
    fn real_builds_at_any_time_leave_nothing_behind(
        numbers in vec(any::<u16>(), 0..120),
        order in vec(any::<u16>(), 300),
        slots in 1usize..4,
    ) {
        let case = case(&numbers, FORESEEABLE, Mode::Full);
        let mut session = play(&case, &order, slots);
        let after = &case.change.after;
        let asked: BTreeSet<_> = after.iter().flat_map(|built| built.steps.iter().flatten()).collect();
        for action in &session.executed {
            prop_assert!(asked.contains(action), "executed for nothing");
        }
        check_sums(&case, &session);
        for place in 0..after.len() {
            prop_assert_eq!(session.primer.account(&id(place)).corrected, 0);
            prop_assert_eq!(session.primer.audit(&id(place), &case.change.fixture.store).unwrap(), 0);
        }
    }

    /// Guesses may turn out wrong; nothing is executed that disagrees with what is known by then, even
    /// if it has not been worked out yet, and in the end nothing that was executed disagrees with what is
    /// known, unless it was corrected.
    #[test]
    fn wrong_guesses_are_corrected(
        numbers in vec(any::<u16>(), 0..120),
        order in vec(any::<u16>(), 300),
        slots in 1usize..4,
    ) {
        let case = case(&numbers, ANY, Mode::Full);
        let mut session = play(&case, &order, slots);
        check_sums(&case, &session);
        prop_assert!(session.most_in_flight <= slots);
        for place in 0..case.change.after.len() {
            prop_assert_eq!(session.primer.audit(&id(place), &case.change.fixture.store).unwrap(), 0);
        }
    }

    /// Whatever a stored message says, reading and using it ends, and harms nothing.
    #[test]
    fn a_damaged_message_does_no_harm(
        numbers in vec(any::<u16>(), 0..120),
        order in vec(any::<u16>(), 300),
        damage in vec((0usize..4, any::<u16>(), 0u32..12), 1..6),
    ) {
        let mut case = case(&numbers, ANY, Mode::Full);
        for built in &mut case.change.before {
            let mut wire = built.message.to_wire();
            for (list, place, value) in &damage {
                let list = match list {
                    0 => &mut wire.rules,
                    1 => &mut wire.inputs,
                    2 => &mut wire.artifact,
                    _ => &mut wire.needs,
                };
                if !list.is_empty() {
                    let place = usize::from(*place) % list.len();
                    list[place] = *value;
                }
            }
            if let Ok(message) = SpeculativeActions::from_wire(&wire) {
                built.message = Arc::new(message);
            }
        }
        let session = play(&case, &order, 2);
        check_sums(&case, &session);
    }
}
