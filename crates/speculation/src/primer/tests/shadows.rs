//! Headers that come to stand in front of others, or to light behind them.

use std::sync::Arc;

use headstart_merkle::{Tree, TreePath};

use crate::testing::Fixture;
use crate::testing::session::Session;
use crate::{Dependency, ElementId, Event, Generation, Mode, Staged, generate};

type Files<'a> = &'a [(&'a str, &'a str)];

/// A compile of a.c that was given `given[0]`, of an element with these sources, is to be given
/// `given[1]` when the sources are others. They are staged at the root. As the client has them, the
/// folders that a command names are among its inputs, be they empty.
fn check(arguments: &str, sources: [Files<'_>; 2], given: [Files<'_>; 2]) {
    let fixture = Fixture::default();
    let [was, is] = sources.map(|files| fixture.tree(files));
    let [old, new] = given.map(|files| {
        let mut root = Tree::stored(fixture.tree(files));
        for folder in ["first", "second"] {
            let folder = TreePath::new(folder).unwrap();
            root.make_directory(&folder, &fixture.store).unwrap();
        }
        let root = root.write(&fixture.store).unwrap();
        fixture.action(root, arguments, "", &["a.o"])
    });
    let mut build = Generation::new(ElementId::new("p", "user.bst"), Mode::Full);
    build.subactions = vec![fixture.recorded(old, &[("a.o", "object")])];
    build.sources = Some(Staged {
        tree: was,
        at: TreePath::root(),
    });
    let message = Arc::new(generate(&build, &fixture.store).unwrap().message);
    let element = build.element;
    let planned = Event::Planned {
        element: element.clone(),
        message,
        turn: 0,
    };
    let sources = Event::Sources {
        element: element.clone(),
        tree: is,
    };
    // Whatever comes first.
    for events in [[planned.clone(), sources.clone()], [sources, planned]] {
        let mut session = Session::new(&fixture, 1);
        for event in events {
            session.tell(event);
        }
        assert_eq!(session.problems, [""; 0]);
        let predictions = session.primer.predictions(&element);
        assert_eq!(predictions, [(old, Some(new))], "{arguments}: {given:?}");
    }
}

const COMPILE: &str = "cc -Ifirst -I second -c a.c";
const MAIN: (&str, &str) = ("a.c", "#include <x.h>\n#include \"y/z.h\"\n");
const X: (&str, &str) = ("second/x.h", "x");
const Z: (&str, &str) = ("second/y/z.h", "z");
/// So that it is known where the first directory comes from.
const OTHER: (&str, &str) = ("first/other.h", "other");

#[test]
fn a_new_file_in_front_is_taken_with_what_it_includes_and_the_one_behind_left_out() {
    let main = (
        "a.c",
        "#include <other.h>\n#include <x.h>\n#include \"y/z.h\"\n",
    );
    let before: Files<'_> = &[main, OTHER, X, Z];
    let new = ("first/x.h", "#include \"deep.h\"\n");
    let deep = ("first/deep.h", "deep");
    check(
        COMPILE,
        [before, &[main, OTHER, X, Z, new, deep]],
        [before, &[main, OTHER, Z, new, deep]],
    );
    // One with a directory in its name, and that is new too.
    let new = ("first/y/z.h", "new");
    check(
        COMPILE,
        [before, &[main, OTHER, X, Z, new]],
        [before, &[main, OTHER, X, new]],
    );
}

#[test]
fn one_in_a_directory_that_was_of_another_version_is_as_new() {
    let main = ("a.c", "#include <x.h>\n");
    let before: Files<'_> = &[main, ("first-1/x.h", "front"), X];
    check(
        "cc -Ifirst -Ifirst-2 -Isecond -c a.c",
        [before, &[main, ("first-2/x.h", "front"), X]],
        [&[main, X], &[main, ("first-2/x.h", "front")]],
    );
}

#[test]
fn a_new_file_behind_or_of_another_name_or_beside_the_path_changes_nothing() {
    let main = ("a.c", "#include <other.h>\n#include <x.h>\n");
    let given: Files<'_> = &[main, OTHER, X];
    for new in ["first/y.h", "second/y/x.h", "third/x.h", "x.h"] {
        let after = [main, OTHER, X, (new, "new")];
        check(COMPILE, [given, &after], [given, given]);
    }
    // In quotes the file's own directory comes first.
    let main = ("a.c", "#include \"x.h\"\n");
    let given: Files<'_> = &[main, X];
    let new = ("x.h", "new");
    check(COMPILE, [given, &[main, X, new]], [given, &[main, new]]);
}

#[test]
fn a_file_that_is_removed_brings_the_one_behind_it_to_light() {
    let front = ("first/x.h", "front");
    let before: Files<'_> = &[MAIN, OTHER, front, X, Z];
    check(
        COMPILE,
        [before, &[MAIN, OTHER, X, Z]],
        [&[MAIN, front, Z], &[MAIN, X, Z]],
    );
    // Moved: there was none behind it.
    let before: Files<'_> = &[MAIN, OTHER, front, Z];
    check(
        COMPILE,
        [before, &[MAIN, OTHER, X, Z]],
        [&[MAIN, front, Z], &[MAIN, X, Z]],
    );
}

#[test]
fn what_is_written_and_not_installed_stands_in_front_of_nothing() {
    let fixture = Fixture::default();
    let main = ("a.c", "#include <other.h>\n#include <x.h>\n");
    let given = [main, ("first/other.h", "other"), ("second/x.h", "x")];
    let action = fixture.action(fixture.tree(&given), COMPILE, "", &["a.o"]);
    let base = ElementId::new("p", "base.bst");
    let installed = [given[1], given[2]];
    // base installs its sources as they are, but for what is new.
    let was = fixture.tree(&installed);
    let sources = fixture.tree(&[given[1], given[2], ("first/x.h", "private")]);
    let artifact = fixture.tree(&[given[1], given[2], ("share/doc", "new")]);
    let mut of_base = Generation::new(base.clone(), Mode::Full);
    of_base.sources = Some(Staged {
        tree: was,
        at: TreePath::new("build").unwrap(),
    });
    of_base.artifact = Some(was);
    let known = generate(&of_base, &fixture.store).unwrap().message;
    let mut build = Generation::new(ElementId::new("p", "user.bst"), Mode::Full);
    build.subactions = vec![fixture.recorded(action, &[("a.o", "object")])];
    build.sources = Some(Staged {
        tree: fixture.tree(&[main]),
        at: TreePath::root(),
    });
    build.dependencies = vec![Dependency {
        element: base.clone(),
        tree: was,
        at: TreePath::root(),
        actions: Some(Arc::new(known)),
    }];
    let message = Arc::new(generate(&build, &fixture.store).unwrap().message);
    let mut session = Session::new(&fixture, 1);
    session.tell(Event::Planned {
        element: build.element.clone(),
        message,
        turn: 0,
    });
    session.tell(Event::Sources {
        element: build.element.clone(),
        tree: fixture.tree(&[main]),
    });
    session.tell(Event::Sources {
        element: base.clone(),
        tree: sources,
    });
    let predicted = session.primer.predictions(&build.element)[0].1;
    assert_ne!(
        predicted,
        Some(action),
        "as far as is known it is installed"
    );
    session.tell(Event::Artifact {
        element: base,
        tree: artifact,
    });
    let predicted = session.primer.predictions(&build.element)[0].1;
    assert_eq!(predicted, Some(action));
}
