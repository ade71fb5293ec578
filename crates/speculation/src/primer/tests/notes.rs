//! What is noted of each action.

use headstart_merkle::ActionDigest;

use super::project;
use crate::testing::session::{Change, Session};
use crate::testing::world::id;
use crate::{Event, Mode, Note, NoteKind, Unavailable};

const BASE: &str = "source base.h one \n install base.h usr/include/base.h";
const USER: &str = "
    needs 0
    source u.c u
    step u.o = u.c :: usr/include/base.h
    step u.a = u.o
";

fn change(before: [&str; 2], after: [&str; 2]) -> Change {
    Change::new(&project(&before), &project(&after), Mode::Full)
}

/// What was noted of what one recorded action became.
fn of_base(session: &Session<'_>, base: ActionDigest) -> Vec<NoteKind> {
    let notes = session.notes.iter();
    let notes = notes.filter(|note| note.base == Some(base));
    notes.map(|note| note.kind).collect()
}

fn requests(session: &Session<'_>) -> Vec<NoteKind> {
    let kinds = session.notes.iter().map(|note| note.kind);
    kinds.filter(|kind| kind.is_request()).collect()
}

fn kinds(notes: &[Note]) -> Vec<NoteKind> {
    notes.iter().map(|note| note.kind).collect()
}

#[test]
fn a_prediction_that_comes_true_is_resolved_and_hit() {
    let change = change([BASE, USER], [&BASE.replace("one", "two"), USER]);
    let mut session = change.open(4);
    session.drain();
    for step in &change.before[1].steps {
        assert_eq!(of_base(&session, step.unwrap()), [NoteKind::Resolved]);
    }
    assert_eq!(
        kinds(&session.primer.unasked()),
        [NoteKind::Left, NoteKind::Left],
        "who wants them has not been built"
    );
    session.ask_all(1, &change.after[1]);
    assert_eq!(requests(&session), [NoteKind::Hit, NoteKind::Hit]);
    assert_eq!(session.primer.unasked(), []);
    let note = session.notes.last().unwrap();
    let expected = Note {
        kind: NoteKind::Hit,
        element: Some(id(1)),
        base: None,
        action: change.after[1].steps[1],
        took: change.after[1].subactions[1].duration,
    };
    assert_eq!(*note, expected);
}

#[test]
fn a_guess_that_is_contradicted_is_corrected_and_wasted() {
    let after = BASE.replace("one", "two") + "\n stamp changed";
    let change = change([BASE, USER], [&after, USER]);
    let mut session = change.open(4);
    session.drain();
    session.tell(Event::Artifact {
        element: id(0),
        tree: change.after[0].artifact,
    });
    session.drain();
    let object = change.before[1].steps[0].unwrap();
    let expected = [NoteKind::Resolved, NoteKind::Corrected];
    assert_eq!(of_base(&session, object), expected);
    // What follows from it is not known while it runs.
    let archive = change.before[1].steps[1].unwrap();
    let expected = [
        NoteKind::Resolved,
        NoteKind::Unresolved,
        NoteKind::Corrected,
    ];
    assert_eq!(of_base(&session, archive), expected);
    session.ask_all(1, &change.after[1]);
    session.finish_element(1, &change.after[1]);
    let unasked = session.primer.unasked();
    assert_eq!(kinds(&unasked), [NoteKind::Wasted, NoteKind::Wasted]);
    assert_eq!(unasked[0].base, Some(object));
}

#[test]
fn what_is_given_up_says_so_once() {
    let change = change([BASE, USER], [&BASE.replace("one", "two"), USER]);
    let mut session = Session::new(&change.fixture, 4);
    let mut opening = Session::opening(&change.before, &change.after, &change.rebuilt);
    opening.retain(|event| !matches!(event, Event::Sources { element, .. } if *element == id(0)));
    for event in opening {
        session.tell(event);
    }
    for what in [Unavailable::Everything, Unavailable::Everything] {
        let element = id(0);
        session.tell(Event::Unavailable { element, what });
    }
    session.drain();
    for step in &change.before[1].steps {
        assert_eq!(of_base(&session, step.unwrap()), [NoteKind::Refuted]);
    }
}

#[test]
fn what_is_not_come_to_in_time_is_cancelled() {
    let change = change([BASE, USER], [&BASE.replace("one", "two"), USER]);
    let mut session = change.open(0);
    session.drain();
    session.ask_all(1, &change.after[1]);
    assert_eq!(requests(&session), [NoteKind::Promoted; 2]);
    let mut session = change.open(0);
    session.drain();
    session.tell(Event::ElementBuilt { element: id(1) });
    let object = change.before[1].steps[0].unwrap();
    let expected = [NoteKind::Resolved, NoteKind::Cancelled];
    assert_eq!(of_base(&session, object), expected);
}
