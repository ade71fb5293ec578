//! Never an action with an input that is not known, and each action once.

use std::sync::Arc;

use headstart_execution::ActionSpec;
use headstart_merkle::{Node, Visit, walk};
use headstart_reapi::reapi;

use super::project;
use crate::primer::knowledge::{Key, Known};
use crate::testing::Fixture;
use crate::testing::session::{Change, Session};
use crate::testing::world::id;
use crate::{Effect, ElementId, Event, Mode, Unavailable};

const HEADERS: &str = "
    source one.h one
    source two.h two
    install one.h usr/include/one.h
    install two.h usr/include/two.h
    stamp x
";
const USER: &str = "
    needs 0 1
    source user.c user
    step user.o = user.c :: usr/include/one.h usr/include/three.h
    step lib.a = user.o
    step unrelated.o = user.c
";
const OTHER: &str = "
    source three.h three
    install three.h usr/include/three.h
    stamp x
";

/// Two dependencies of which only the artifacts tell anything, and both change.
fn two_changed() -> Change {
    let before = project(&[HEADERS, OTHER, USER]);
    let changed = HEADERS.replace("h one\n", "h new\n");
    let after = project(&[&changed, &OTHER.replace("h three", "h new"), USER]);
    Change::new(&before, &after, Mode::Full)
}

fn artifact(change: &Change, place: usize) -> Event {
    Event::Artifact {
        element: id(place),
        tree: change.after[place].artifact,
    }
}

#[test]
fn an_action_waits_until_the_last_of_its_inputs_is_known() {
    let change = two_changed();
    let mut session = change.open(4);
    session.drain();
    assert_eq!(session.executed, []);
    // One overlay resolved, another not: a half-stale action would be executed now.
    session.tell(artifact(&change, 0));
    session.drain();
    assert_eq!(session.executed, []);
    session.tell(artifact(&change, 1));
    // The link is not executed before the compile it needs, and then nothing else wakes it.
    assert_eq!(session.executed, [], "first it is looked up");
    session.drain();
    let steps = &change.after[2].steps;
    assert_eq!(session.executed, [steps[0].unwrap(), steps[1].unwrap()]);
    let account = session.primer.account(&id(2));
    assert_eq!(
        (account.resolved, account.unchanged, account.primed),
        (3, 1, 2)
    );
}

#[test]
fn the_same_news_again_changes_nothing() {
    let change = two_changed();
    let mut session = change.open(4);
    for _ in 0..8 {
        for event in Session::opening(&change.before, &change.after, &change.rebuilt) {
            session.tell(event);
        }
        session.tell(artifact(&change, 0));
        session.tell(artifact(&change, 1));
    }
    session.drain();
    assert_eq!(session.executed.len(), 2);
}

#[test]
fn what_is_refuted_takes_all_that_depends_on_it_along() {
    let change = two_changed();
    let mut session = change.open(4);
    session.tell(artifact(&change, 0));
    session.tell(Event::Unavailable {
        element: id(1),
        what: Unavailable::Everything,
    });
    session.drain();
    assert_eq!(session.executed, []);
    assert_eq!(session.primer.account(&id(2)).refuted, 2);
    // An element that failed and is built after all: nothing is lost for good.
    session.tell(artifact(&change, 1));
    session.drain();
    assert_eq!(session.executed.len(), 2);
}

#[test]
fn a_failed_execution_is_no_success_and_refutes_its_dependents() {
    let change = two_changed();
    let mut session = change.open(4);
    session.tell(artifact(&change, 0));
    session.tell(artifact(&change, 1));
    while let Some(event) = session.pending.pop() {
        session.tell(match event {
            Event::Finished { action, .. } => Event::Finished {
                action,
                outcome: Err("the farm is gone".to_owned()),
            },
            event => event,
        });
    }
    assert_eq!(session.executed.len(), 1);
    let account = session.primer.account(&id(2));
    assert_eq!(
        (account.primed, account.succeeded, account.failed),
        (1, 0, 1)
    );
    assert_eq!(account.refuted, 1);
}

#[test]
fn only_so_many_are_in_flight_and_a_built_element_gives_up_the_rest() {
    let steps: String = (0..9)
        .map(|n| format!("\n source m{n}.c {n} \n step m{n}.o = m{n}.c :: usr/include/base.h"))
        .collect();
    let user = format!("needs 0 {steps}");
    let base = "source base.h one \n install base.h usr/include/base.h";
    let change = Change::new(
        &project(&[base, &user]),
        &project(&[&base.replace("one", "two"), &user]),
        Mode::Full,
    );
    let mut session = change.open(2);
    while session.executed.is_empty() {
        let event = session.pending.remove(0);
        session.tell(event);
    }
    while session
        .pending
        .iter()
        .any(|e| matches!(e, Event::CacheAnswered { .. }))
    {
        let at = session
            .pending
            .iter()
            .position(|e| matches!(e, Event::CacheAnswered { .. }));
        let event = session.pending.remove(at.unwrap());
        session.tell(event);
    }
    assert_eq!(session.executed.len(), 2);
    session.finish_element(1, &change.after[1]);
    assert_eq!(session.cancelled.len(), 2);
    session.drain();
    assert_eq!(session.executed.len(), 2);
    assert_eq!(session.primer.account(&id(1)).cancelled, 9);
}

#[test]
fn what_another_element_wants_too_is_not_given_up() {
    // Two elements ask for the very same thing.
    let base = "source base.h one \n install base.h usr/include/base.h";
    let change = Change::new(
        &project(&[base, "needs 0 \n step a = : : usr/include/base.h"]),
        &project(&[
            &base.replace("one", "two"),
            "needs 0 \n step a = : : usr/include/base.h",
        ]),
        Mode::Full,
    );
    let mut session = Session::new(&change.fixture, 4);
    let twin = ElementId::new("sub", "twin.bst");
    for element in [id(1), twin.clone()] {
        session.tell(Event::Planned {
            element,
            message: Arc::clone(&change.before[1].message),
            turn: 0,
        });
    }
    session.tell(artifact(&change, 0));
    let answer = session.pending.remove(0);
    session.tell(answer);
    assert_eq!(session.executed.len(), 1);
    session.finish_element(1, &change.after[1]);
    assert_eq!(session.cancelled, []);
    session.drain();
    for element in [id(1), twin.clone()] {
        assert_eq!(session.primer.account(&element).primed, 1, "{element}");
    }
    session.tell(Event::ElementBuilt { element: twin });
    assert_eq!(session.cancelled, []);
}

#[test]
fn a_guess_that_the_artifact_contradicts_is_corrected() {
    let base = "source base.h one \n install base.h usr/include/base.h";
    let user = "needs 0 \n source u.c u \n step u.o = u.c :: usr/include/base.h \n step u.a = u.o";
    let after = base.replace("one", "two") + "\n stamp changed";
    let change = Change::new(
        &project(&[base, user]),
        &project(&[&after, user]),
        Mode::Full,
    );
    let mut session = change.open(4);
    session.drain();
    assert_eq!(session.executed.len(), 2, "from the source");
    session.tell(artifact(&change, 0));
    session.drain();
    assert_eq!(session.executed.len(), 4, "and from the artifact");
    session.ask_all(1, &change.after[1]);
    session.finish_element(1, &change.after[1]);
    let account = session.primer.account(&id(1));
    assert_eq!((account.hit, account.corrected, account.wasted), (2, 2, 2));
    assert_eq!(
        session.primer.audit(&id(1), &change.fixture.store).unwrap(),
        0
    );
}

#[test]
fn an_audit_finds_what_disagrees() {
    let base = "source base.h one \n install base.h usr/include/base.h";
    let user = "needs 0 \n source u.c u \n step u.o = u.c :: usr/include/base.h";
    let after = base.replace("one", "two");
    let change = Change::new(
        &project(&[base, user]),
        &project(&[&after, user]),
        Mode::Full,
    );
    let mut session = change.open(4);
    session.drain();
    let store = &change.fixture.store;
    assert_eq!(session.primer.audit(&id(1), store).unwrap(), 0);
    // As if it had been known all along, and nobody had been woken.
    let number = session.primer.knowledge.find(&id(0)).unwrap();
    let other = change.fixture.tree(&[("usr/include/base.h", "three")]);
    let key = Key::Artifact(number);
    session.primer.knowledge.set_tree(key, Known::Tree(other));
    assert_eq!(session.primer.audit(&id(1), store).unwrap(), 1);
    assert_eq!(session.primer.account(&id(1)).stale, 1);
}

#[test]
fn what_can_not_be_read_is_a_problem_of_that_action_alone() {
    let change = two_changed();
    // Another store, in which the Directories of the compile's inputs are missing.
    let partial = Fixture::default();
    let steps = &change.before[2].steps;
    for (number, step) in steps.iter().enumerate() {
        let blobs = change.fixture.store.store();
        let spec = ActionSpec::read(step.unwrap(), &**blobs).unwrap();
        let copy =
            |digest| partial.write(headstart_store::BlobStore::read(&**blobs, digest).unwrap());
        let action: reapi::Action =
            headstart_store::read_message(&**blobs, step.unwrap(), "an Action").unwrap();
        copy(step.unwrap().blob());
        copy(action.command_digest.as_ref().unwrap().try_into().unwrap());
        if number != 0 {
            copy(spec.input_root.blob());
            walk(&change.fixture.store, spec.input_root, &mut |_, node| {
                if let Node::Directory(digest) = node {
                    copy(digest.blob());
                }
                Visit::Enter
            })
            .unwrap();
        }
    }
    let mut session = Session::new(&partial, 2);
    session.tell(Event::Planned {
        element: id(2),
        message: Arc::clone(&change.before[2].message),
        turn: 0,
    });
    assert_eq!(session.problems.len(), 1, "{:?}", session.problems);
    assert_eq!(session.primer.account(&id(2)).stored, 3);
}

#[test]
fn in_mode_none_requests_are_counted_and_nothing_else_is_done() {
    let change = two_changed();
    let mut primer = crate::Primer::new(crate::Config {
        mode: Mode::None,
        slots: 2,
    });
    let mut events = Session::opening(&change.before, &change.after, &change.rebuilt);
    events.push(Event::Asked {
        element: id(2),
        subaction: change.after[2].subactions[0].clone(),
    });
    for event in events {
        let effects: Vec<Effect> =
            primer.handle(std::time::Duration::ZERO, event, &change.fixture.store);
        assert_eq!(effects, []);
    }
    assert_eq!(primer.account(&id(2)).missed, 1);
}

#[test]
fn what_the_real_build_has_begun_is_left_to_it() {
    // Two elements ask for the very same thing; one's build begins with it, and dies.
    let base = "source base.h one \n install base.h usr/include/base.h";
    let user = "needs 0 \n step a = : : usr/include/base.h";
    let change = Change::new(
        &project(&[base, user]),
        &project(&[&base.replace("one", "two"), user]),
        Mode::Full,
    );
    let mut session = Session::new(&change.fixture, 0);
    let twin = ElementId::new("sub", "twin.bst");
    for element in [id(1), twin.clone()] {
        session.tell(Event::Planned {
            element,
            message: Arc::clone(&change.before[1].message),
            turn: 0,
        });
    }
    session.tell(artifact(&change, 0));
    session.drain();
    let action = change.after[1].steps[0].unwrap();
    session.tell(Event::Wanted {
        element: twin.clone(),
        action,
    });
    session.tell(Event::Slots(4));
    assert_eq!(session.executed, []);
    session.tell(Event::ElementBuilt { element: twin });
    assert_eq!(session.executed, [action]);
}

#[test]
fn what_others_wait_for_comes_first_and_so_do_long_chains() {
    let base = "source base.h one \n install base.h usr/include/base.h";
    let middle = "
        needs 0
        source m.c m
        step alone.o = m.c :: usr/include/base.h
        step m.o = m.c :: usr/include/base.h
        step m.so = m.o
        install m.so usr/lib/m.so
    ";
    let top = "
        needs 1
        source t.c t
        step t.o = t.c :: usr/include/base.h
        step t = t.o :: usr/lib/m.so
    ";
    let change = Change::new(
        &project(&[base, middle, top]),
        &project(&[&base.replace("one", "two"), middle, top]),
        Mode::Full,
    );
    let mut session = Session::new(&change.fixture, 0);
    for place in [2, 1_usize] {
        session.tell(Event::Planned {
            element: id(place),
            message: Arc::clone(&change.before[place].message),
            turn: place as u32,
        });
        let tree = change.after[place].sources;
        session.tell(Event::Sources {
            element: id(place),
            tree,
        });
    }
    session.tell(artifact(&change, 0));
    session.drain();
    session.tell(Event::Slots(1));
    session.drain();
    let steps = |place: usize, step: usize| change.after[place].steps[step].unwrap();
    // The top element was told of first, and its first step is as long as its chain.
    assert_eq!(session.executed[0], steps(1, 1));
    assert_eq!(session.executed.len(), 5);
    assert_eq!(session.executed[4], steps(2, 1));
}
