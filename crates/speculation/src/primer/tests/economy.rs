//! What is executed first, what not at all, and what is learned from it.

use std::sync::Arc;
use std::time::Duration;

use headstart_merkle::ActionDigest;

use super::project;
use crate::testing::session::{Change, Session, slow_clock};
use crate::testing::world::id;
use crate::{Config, Effect, Event, Limits, Mode, NoteKind, Odds, Primer};

const BASE: &str = "source base.h one \n install base.h usr/include/base.h";
const USER: &str = "
    needs 0
    source a.c a
    source b.c b
    source c.c c
    step a.o = a.c :: usr/include/base.h
    step b.o = b.c :: usr/include/base.h
    step c.so = c.c :: usr/include/base.h
";

fn change() -> Change {
    let after = BASE.replace("one", "two");
    Change::new(
        &project(&[BASE, USER]),
        &project(&[&after, USER]),
        Mode::Full,
    )
}

/// A session that has been told `first` before all else.
fn open<'a>(change: &'a Change, first: Vec<Event>, slots: usize) -> Session<'a> {
    let mut session = Session::new(&change.fixture, 0);
    session.remember(&change.before);
    let opening = Session::opening(&change.before, &change.after, &change.rebuilt);
    for event in first.into_iter().chain(opening) {
        session.tell(event);
    }
    session.drain();
    // All that there is to choose from is known by now.
    session.tell(Event::Slots(slots));
    session.drain();
    session
}

/// Today's actions of the user's steps.
fn steps(change: &Change) -> Vec<ActionDigest> {
    change.after[1].steps.iter().flatten().copied().collect()
}

fn learned(odds: Odds) -> Event {
    Event::Learned {
        element: id(1),
        odds: Arc::new(odds),
    }
}

fn odds(kind: &str, tries: usize, hits: usize) -> Odds {
    let mut odds = Odds::default();
    for number in 0..tries {
        odds.learn(kind, number < hits);
    }
    odds
}

/// The kinds of the steps, as `learn_odds` finds them.
fn kinds(change: &Change) -> Vec<String> {
    let text = |place: usize| {
        let action = change.after[1].steps[place].unwrap();
        let spec = headstart_execution::ActionSpec::read(action, &**change.fixture.store.store());
        crate::kind_of(&spec.unwrap())
    };
    vec![text(0), text(2)]
}

#[test]
fn what_is_likelier_comes_first_and_what_never_comes_true_is_not_executed() {
    let change = change();
    let [a, b, c] = steps(&change)[..] else {
        panic!("there are three steps");
    };
    let [objects, library] = &kinds(&change)[..] else {
        panic!("there are two kinds");
    };
    assert_ne!(objects, library);
    let session = open(&change, vec![], 1);
    assert_eq!(session.executed, [a, b, c], "in order");
    let session = open(&change, vec![learned(odds(objects, 6, 1))], 1);
    assert_eq!(session.executed, [c, a, b]);
    let mut session = open(&change, vec![learned(odds(objects, 100, 0))], 1);
    assert_eq!(session.executed, [c]);
    // It is still held against what is asked for.
    session.ask_all(1, &change.after[1]);
    let account = session.primer.account(&id(1));
    assert_eq!((account.hit, account.promoted), (1, 2));
}

#[test]
fn long_chains_come_first_until_the_element_runs_and_then_what_it_asks_for_next() {
    let chain = USER.replace("step c.so = c.c", "step c.so = c.c b.o");
    let after = BASE.replace("one", "two");
    let (before, after) = (project(&[BASE, &chain]), project(&[&after, &chain]));
    let change = Change::new(&before, &after, Mode::Full);
    let [a, b, c] = steps(&change)[..] else {
        panic!("there are three steps");
    };
    let started = || Event::ElementStarted { element: id(1) };
    let session = open(&change, vec![], 1);
    assert_eq!(session.executed, [b, a, c]);
    let session = open(&change, vec![started()], 1);
    assert_eq!(session.executed, [a, b, c], "told before all else");
    let mut session = open(&change, vec![], 0);
    session.tell(started());
    session.tell(Event::Slots(1));
    session.drain();
    assert_eq!(session.executed, [a, b, c], "told when all were waiting");
}

#[test]
fn what_comes_true_and_what_does_not_is_learned_by_kind() {
    let change = change();
    let [objects, library] = &kinds(&change)[..] else {
        panic!("there are two kinds");
    };
    let mut session = open(&change, vec![], 4);
    let mut asked = change.after[1].clone();
    asked.subactions.remove(2);
    session.ask_all(1, &asked);
    session.finish_element(1, &change.after[1]);
    let mut found = Odds::default();
    let store = &change.fixture.store;
    session.primer.learn_odds(&id(1), &mut found, store);
    let mut expected = odds(objects, 2, 2);
    expected.learn(library, false);
    assert_eq!(found, expected);
    session.primer.learn_odds(&id(7), &mut found, store);
    assert_eq!(found, expected, "nothing is known of it");
}

fn limited(session: Limits, element: Limits) -> Event {
    Event::Limits { session, element }
}

fn withheld(session: &Session<'_>) -> usize {
    let notes = session.notes.iter();
    let notes = notes.filter(|note| note.kind == NoteKind::Withheld);
    let account = session.primer.account(&id(1));
    assert_eq!(account.withheld, notes.count());
    account.withheld
}

#[test]
fn no_more_is_spent_than_may_be() {
    let change = change();
    let none = Limits::default();
    let actions = |most| Limits {
        actions: Some(most),
        ..none
    };
    // Each takes 100 ms, and writes a file of 64 bytes.
    let time = |millis| Limits {
        time: Some(Duration::from_millis(millis)),
        ..none
    };
    let bytes = |most| Limits {
        bytes: Some(most),
        ..none
    };
    for (limits, slots, expected) in [
        (none, 1, 3),
        (actions(2), 4, 2),
        (actions(0), 4, 0),
        (time(250), 4, 2),
        (time(50), 1, 0),
        // What runs already is let run.
        (bytes(65), 1, 2),
        (bytes(0), 1, 0),
    ] {
        for event in [limited(limits, none), limited(none, limits)] {
            let session = open(&change, vec![event], slots);
            assert_eq!(session.executed.len(), expected, "{limits:?}");
            assert_eq!(withheld(&session), 3 - expected, "{limits:?}");
        }
    }
}

#[test]
fn what_was_withheld_is_no_miss_when_it_is_asked_for() {
    let change = change();
    let most = Limits {
        actions: Some(1),
        ..Limits::default()
    };
    let mut session = open(&change, vec![limited(most, Limits::default())], 4);
    // The real build asks for what was withheld: it was rightly predicted.
    session.ask_all(1, &change.after[1]);
    let account = session.primer.account(&id(1));
    assert_eq!((account.hit, account.promoted, account.missed), (1, 2, 0));
}

/// What a primer in slices of one step notes of resolved actions, call by call, and whether it was
/// behind after that.
fn resolved_by_call(change: &Change, slots: usize) -> Vec<(usize, bool)> {
    let config = Config {
        mode: Mode::Full,
        slots,
    };
    let mut primer = Primer::new(config).in_slices(slow_clock());
    let store = &change.fixture.store;
    let mut calls = Vec::new();
    let opening = Session::opening(&change.before, &change.after, &change.rebuilt);
    for event in opening {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            let effects = primer.handle(Duration::ZERO, event, store);
            let resolved = effects.into_iter().filter(
                |effect| matches!(effect, Effect::Note(note) if note.kind == NoteKind::Resolved),
            );
            calls.push((resolved.count(), primer.is_behind()));
            next = primer.is_behind().then_some(Event::GoOn);
        }
    }
    calls
}

#[test]
fn the_first_of_many_need_not_wait_for_the_last() {
    let calls = resolved_by_call(&change(), 4);
    let resolved = calls.iter().filter(|(resolved, _)| *resolved > 0);
    let resolved: Vec<_> = resolved.copied().collect();
    assert_eq!(resolved, [(1, true), (1, true), (1, false)]);
    // An event is only taken note of; each slice looks at one Directory or action.
    assert_eq!(calls[0], (0, true));
    assert!(calls.len() > 20, "{}", calls.len());
}

#[test]
fn how_long_an_action_waited_is_told_of_inputs_and_slots() {
    let change = change();
    let mut session = Session::new(&change.fixture, 0);
    session.remember(&change.before);
    let opening = Session::opening(&change.before, &change.after, &change.rebuilt);
    let (last, others) = opening.split_last().unwrap();
    for event in others {
        session.tell(event.clone());
    }
    let known = session.now + Duration::from_millis(1);
    session.tell(last.clone());
    session.drain();
    // There was no slot for a while.
    session.now += Duration::from_secs(1);
    let free = session.now + Duration::from_millis(1);
    session.tell(Event::Slots(2));
    assert_eq!(session.ready, [free, free]);
    session.now += Duration::from_secs(1);
    let ended = session.now + Duration::from_millis(1);
    session.drain();
    assert_eq!(session.ready, [free, free, ended]);

    // Slots were there all the time.
    let mut session = Session::new(&change.fixture, 4);
    session.remember(&change.before);
    for event in others {
        session.tell(event.clone());
    }
    session.tell(last.clone());
    session.drain();
    assert_eq!(session.ready, [known; 3]);
}
