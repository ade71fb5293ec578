//! What is read before it is needed.

use headstart_merkle::BlobDigest;

use super::project;
use crate::testing::session::{Change, Session};
use crate::testing::world::id;
use crate::{Event, Mode};

const BASE: &str = "
    source base.h one
    source other.h other
    source base.bin binary
    install base.h usr/include/base.h
    install other.h usr/include/other.h
    install base.bin usr/include/base.bin
";
const USER: &str = "
    needs 0
    source a.c a
    step a.o = a.c :: usr/include/base.h usr/include/base.bin
";

#[test]
fn what_an_artifact_was_is_read_while_it_is_made() {
    let after = BASE.replace("one", "two");
    let change = Change::new(
        &project(&[BASE, USER]),
        &project(&[&after, USER]),
        Mode::Full,
    );
    let mut session = Session::new(&change.fixture, 1);
    session.remember(&change.before);
    let opening = Session::opening(&change.before, &change.after, &change.rebuilt);
    let sources =
        |event: &Event| matches!(event, Event::Sources { element, .. } if *element == id(0));
    for event in opening.into_iter().filter(|event| !sources(event)) {
        session.tell(event);
    }
    let reads = |session: &Session<'_>, text: &str| {
        let content = BlobDigest::of(text.as_bytes());
        session.primer.scanner.knows(content)
    };
    assert!(!reads(&session, "one"));
    session.tell(Event::ElementStarted { element: id(0) });
    assert!(reads(&session, "one"));
    // Nobody has it, and it includes nothing.
    assert!(!reads(&session, "other") && !reads(&session, "binary"));
    assert!(!reads(&session, "two"));
    assert!(!session.primer.is_behind());
    session.finish_element(0, &change.after[0]);
    assert!(reads(&session, "two"));
    session.drain();
    session.ask_all(1, &change.after[1]);
    assert_eq!(session.primer.account(&id(1)).hit, 1);
    // What is known need not be expected.
    session.tell(Event::ElementStarted { element: id(0) });
    assert!(session.primer.coming.is_empty());
}
