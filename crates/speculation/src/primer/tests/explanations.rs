//! Why requests were missed.

use super::project;
use crate::testing::session::Change;
use crate::testing::world::id;
use crate::{
    Calls, Difference, ElementId, Event, Explainer, Explanation, InputDifference, Mode, Origin,
    Today,
};
use headstart_merkle::{ActionDigest, DirectoryDigest};
use headstart_reapi::reapi;

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

/// All that is known at the end of a build.
struct AfterBuild<'a>(&'a Change);

impl Today for AfterBuild<'_> {
    fn sources(&self, element: &ElementId) -> Option<DirectoryDigest> {
        let mut places = 0..self.0.after.len();
        let place = places.find(|place| id(*place) == *element)?;
        Some(self.0.after[place].sources)
    }

    fn artifact(&self, element: &ElementId) -> Option<DirectoryDigest> {
        let mut places = 0..self.0.after.len();
        let place = places.find(|place| id(*place) == *element)?;
        Some(self.0.after[place].artifact)
    }

    fn adapted(&self, _: &ElementId, _: ActionDigest) -> Option<ActionDigest> {
        None
    }

    fn result(&self, _: ActionDigest) -> Option<reapi::ActionResult> {
        None
    }
}

/// The header is guessed from its source, and the artifact has another.
#[test]
fn a_difference_tells_where_each_content_came_from() {
    let after = BASE.replace("one", "two") + "\n stamp changed";
    let change = Change::new(&project(&[BASE, APP]), &project(&[&after, APP]), Mode::Full);
    let mut session = change.open(4);
    session.drain();
    let store = &change.fixture.store;
    let predictions = session.primer.predictions(&id(1));
    let today = AfterBuild(&change);
    let explainer = Explainer::new(&change.before[1].message, &predictions, store)
        .with_today(&today)
        .with_newest(Some(&change.after[1].message));
    let header = crate::testing::path("usr/include/base.h");
    let source = Origin::Source {
        element: id(0),
        path: crate::testing::path("base.h"),
    };
    let artifact = Origin::Artifact {
        element: id(0),
        path: header.clone(),
    };
    let check = |input: &InputDifference| {
        assert_eq!(input.path, header);
        assert_eq!(input.old.origins, [source.clone(), artifact.clone()]);
        assert_eq!(input.predicted.origins, std::slice::from_ref(&source));
        assert_eq!(input.asked.origins, std::slice::from_ref(&artifact));
        let contents = [&input.old, &input.predicted, &input.asked];
        let contents = contents.map(|input| input.content.unwrap().size());
        assert_eq!(contents, [3, 3, 10]);
    };
    let asked = change.after[1].steps[0].unwrap();
    match explainer.explain(asked).unwrap() {
        Explanation::Differs {
            difference: Difference::Input(input),
            ..
        } => check(&input),
        other => panic!("{other:?}"),
    }
    // And the other way round.
    let (base, predicted) = predictions[0];
    let calls = Calls::read([asked], store);
    let unasked = explainer.explain_unasked(base, predicted.unwrap(), &calls);
    match unasked.unwrap() {
        Some((call, Difference::Input(input))) if call == asked => check(&input),
        other => panic!("{other:?}"),
    }
    let none = explainer.explain_unasked(base, predicted.unwrap(), &Calls::default());
    assert_eq!(none.unwrap(), None);
    session.tell(Event::ElementBuilt { element: id(1) });
}
