//! Directories of a version, which are called otherwise when their element is of another.

use std::sync::Arc;

use headstart_merkle::{ActionDigest, TreePath};

use crate::testing::session::Session;
use crate::testing::{Fixture, path};
use crate::{Dependency, ElementId, Event, Generation, Mode, SpeculativeActions, Staged, generate};

type Files<'a> = &'a [(&'a str, &'a str)];

/// What a host knows of the elements whose files are in a sandbox.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Host {
    /// All.
    OfElements,
    /// The tree that the commands ran in.
    OfRoots,
}

const HOSTS: [Host; 2] = [Host::OfElements, Host::OfRoots];
const MAIN: (&str, &str) = ("build/a.c", "#include <bar.h>\n");
const DIRECTORY: &str = "build";

/// A compile of build/a.c that was `old` (arguments and files), with a dependency that installs `installed`,
/// before and after: what it is predicted to be must be `new`.
fn check(host: Host, installed: [Files<'_>; 2], old: (&str, Files<'_>), new: (&str, Files<'_>)) {
    let fixture = Fixture::default();
    let action = |(arguments, files): (&str, Files<'_>)| {
        fixture.action(fixture.tree(files), arguments, DIRECTORY, &["a.o"])
    };
    let (was, expected) = (action(old), action(new));
    let (message, events) = match host {
        Host::OfElements => known_of_elements(&fixture, installed, was),
        Host::OfRoots => known_of_roots(&fixture, installed, was),
    };
    let planned = Event::Planned {
        element: message.element().clone(),
        message: Arc::new(message),
        turn: 0,
    };
    // Whatever comes first.
    for first in [true, false] {
        let mut session = Session::new(&fixture, 1);
        let mut told = events.clone();
        told.insert(if first { 0 } else { told.len() }, planned.clone());
        for event in told {
            session.tell(event);
        }
        assert_eq!(session.problems, [""; 0]);
        let Event::Planned { element, .. } = &planned else {
            continue;
        };
        let predictions = session.primer.predictions(element);
        assert_eq!(predictions, [(was, Some(expected))], "{host:?}: {}", old.0);
    }
}

fn known_of_elements(
    fixture: &Fixture,
    installed: [Files<'_>; 2],
    action: ActionDigest,
) -> (SpeculativeActions, Vec<Event>) {
    let base = ElementId::new("p", "base.bst");
    let user = ElementId::new("p", "user.bst");
    let [was, is] = installed.map(|files| fixture.tree(files));
    let sources = fixture.tree(&[("a.c", MAIN.1)]);
    let mut build = Generation::new(user.clone(), Mode::Full);
    build.subactions = vec![fixture.recorded(action, &[("a.o", "object")])];
    build.sources = Some(Staged {
        tree: sources,
        at: path(DIRECTORY),
    });
    build.dependencies = vec![Dependency {
        element: base.clone(),
        tree: was,
        at: TreePath::root(),
        actions: None,
    }];
    let message = generate(&build, &fixture.store).unwrap().message;
    let events = vec![
        Event::Sources {
            element: user,
            tree: sources,
        },
        Event::Artifact {
            element: base,
            tree: is,
        },
    ];
    (read_again(&message, fixture), events)
}

fn known_of_roots(
    fixture: &Fixture,
    installed: [Files<'_>; 2],
    action: ActionDigest,
) -> (SpeculativeActions, Vec<Event>) {
    let element = ElementId::new("parent", "commands");
    let [was, is] = installed.map(|files| fixture.tree(&[files, &[MAIN]].concat()));
    let mut build = Generation::new(element.clone(), Mode::Full);
    build.subactions = vec![fixture.recorded(action, &[("a.o", "object")])];
    build.root = Some(was);
    let message = generate(&build, &fixture.store).unwrap().message;
    let root = Event::Root { element, tree: is };
    (read_again(&message, fixture), vec![root])
}

/// A message as it comes from the store.
fn read_again(message: &SpeculativeActions, fixture: &Fixture) -> SpeculativeActions {
    let element = message.element();
    SpeculativeActions::read(&message.encode(), element, None, &fixture.store).unwrap()
}

#[test]
fn inputs_and_arguments_follow_a_directory_of_another_version() {
    for host in HOSTS {
        check(
            host,
            [
                &[("usr/include/bar-1.2/bar.h", "old")],
                &[("usr/include/bar-1.3/bar.h", "new")],
            ],
            (
                "cc -I/usr/include/bar-1.2 -c a.c",
                &[MAIN, ("usr/include/bar-1.2/bar.h", "old")],
            ),
            (
                "cc -I/usr/include/bar-1.3 -c a.c",
                &[MAIN, ("usr/include/bar-1.3/bar.h", "new")],
            ),
        );
    }
}

#[test]
fn they_do_where_nothing_else_has_changed_and_for_directories_in_directories() {
    for host in HOSTS {
        check(
            host,
            [
                &[("lib/gcc-13/13.1/include/x.h", "same"), ("lib/y.h", "y")],
                &[("lib/gcc-14/14.2/include/x.h", "same"), ("lib/y.h", "y")],
            ],
            (
                "/lib/gcc-13/cc -c a.c",
                &[
                    MAIN,
                    ("lib/gcc-13/13.1/include/x.h", "same"),
                    ("lib/y.h", "y"),
                ],
            ),
            (
                "/lib/gcc-14/cc -c a.c",
                &[
                    MAIN,
                    ("lib/gcc-14/14.2/include/x.h", "same"),
                    ("lib/y.h", "y"),
                ],
            ),
        );
    }
}

#[test]
fn a_directory_that_nothing_was_taken_from_is_named_as_it_is_today() {
    for host in HOSTS {
        let other = ("usr/include/other.h", "other");
        check(
            host,
            [
                &[("usr/include/bar-1/bar.h", ""), other],
                &[("usr/include/bar-2/bar.h", ""), other],
            ],
            ("cc -I/usr/include/bar-1 -c a.c", &[MAIN, other]),
            ("cc -I/usr/include/bar-2 -c a.c", &[MAIN, other]),
        );
    }
}

#[test]
fn a_header_that_the_new_version_includes_is_found_there() {
    for host in HOSTS {
        let old = ("usr/include/bar-1/bar.h", "old");
        let new = ("usr/include/bar-2/bar.h", "#include \"detail.h\"\n");
        let detail = ("usr/include/bar-2/detail.h", "detail");
        check(
            host,
            [&[old], &[new, detail]],
            ("cc -I/usr/include/bar-1 -c a.c", &[MAIN, old]),
            ("cc -I/usr/include/bar-2 -c a.c", &[MAIN, new, detail]),
        );
    }
}

#[test]
fn files_of_one_name_in_a_new_version_stand_in_front_of_none() {
    for host in HOSTS {
        let old: Files<'_> = &[("first/a-1/bar.h", "one"), ("second/bar.h", "two")];
        let new: Files<'_> = &[("first/a-2/bar.h", "one"), ("second/bar.h", "two")];
        check(
            host,
            [old, new],
            ("cc -I/second -c a.c", &[MAIN, ("second/bar.h", "two")]),
            ("cc -I/second -c a.c", &[MAIN, ("second/bar.h", "two")]),
        );
    }
}
