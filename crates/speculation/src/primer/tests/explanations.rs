//! Why requests were missed.

use super::project;
use crate::testing::session::Change;
use crate::testing::world::id;
use crate::{Explainer, Mode};

const BASE: &str = "source base.h one \n install base.h usr/include/base.h";
const APP: &str = "
    needs 0
    source app.c app
    source app.h header
    step app.o = app.c : app.h : usr/include/base.h
";

/// What is said of the only action of the second element, after a change that was not foreseen.
fn check(before: [&str; 2], after: [&str; 2], expected: &str) {
    let change = Change::new(&project(&before), &project(&after), Mode::Full);
    let mut session = change.open(4);
    session.drain();
    let store = &change.fixture.store;
    let predictions = session.primer.predictions(&id(1));
    let explainer = Explainer::new(&change.before[1].message, &predictions, store);
    let asked = change.after[1].steps[0].unwrap();
    let said = explainer.explain(asked).unwrap().to_string();
    assert!(said.contains(expected), "{said}");
}

#[test]
fn the_first_difference_is_named() {
    let other = APP.replace("app.c app", "app.c changed");
    check([BASE, APP], [BASE, &other], "it was predicted");
    let renamed = APP.replace("step app.o", "step other.o");
    check(
        [BASE, APP],
        [BASE, &renamed],
        "no recorded action makes these outputs",
    );
    let more = APP.replace("= app.c", "= app.c app.h");
    check(
        [BASE, APP],
        [&BASE.replace("one", "two"), &more],
        "argument 3 is \"app.h\", predicted none",
    );
    let without = APP.replace("source app.h header\n", "");
    check(
        [BASE, &without],
        [BASE, APP],
        "app.h is 1e0584a25d9f43bf5cbd0aec01eb1af2220ed085b4e7f1837b0d89958cae353a/6, predicted none",
    );
    // The header is made as it is installed, so nothing is known of it before.
    let made = format!("{BASE}\n stamp x");
    check(
        [&made, APP],
        [&made.replace("one", "two"), APP],
        "usr/include/base.h is another, from artifact usr/include/base.h of p:e0.bst",
    );
    check(
        [BASE, BASE],
        [BASE, APP],
        "nothing is stored of an earlier build",
    );
}
