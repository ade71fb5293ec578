//! Never an action with an input that is not known, and every detail of an input as it is today.

use std::collections::BTreeMap;
use std::sync::Arc;

use headstart_execution::ActionSpec;
use headstart_merkle::{ActionDigest, DirectoryDigest, Node, Properties, TreePath, Visit, walk};
use headstart_reapi::{Message, reapi};

use super::project;
use crate::primer::knowledge::{Key, Known};
use crate::testing::session::{Change, Session};
use crate::testing::world::id;
use crate::testing::{Fixture, path};
use crate::{
    Dependency, Effect, ElementId, Event, Generation, Mode, NamedTree, Staged, Unavailable,
    generate,
};

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

/// An element with one recorded action on one input, and what that becomes.
struct One {
    fixture: Fixture,
    build: Generation,
}

impl One {
    fn new(action: ActionDigest, fixture: Fixture) -> Self {
        let mut build = Generation::new(ElementId::new("p", "user.bst"), Mode::Full);
        build.subactions = vec![fixture.recorded(action, &[])];
        Self { fixture, build }
    }

    /// What the action is adapted to after these events, which must be one thing.
    fn adapted(&self, events: Vec<Event>) -> (ActionDigest, reapi::Action, DirectoryDigest) {
        let message = generate(&self.build, &self.fixture.store).unwrap().message;
        let mut session = Session::new(&self.fixture, 1);
        session.tell(Event::Planned {
            element: self.build.element.clone(),
            message: Arc::new(message),
            turn: 0,
        });
        for event in events {
            session.tell(event);
        }
        let predictions = session.primer.predictions(&self.build.element);
        let digest = predictions[0].1.unwrap();
        let blobs = self.fixture.store.store();
        let action = headstart_store::read_message(&**blobs, digest, "an Action").unwrap();
        let spec = ActionSpec::read(digest, &**blobs).unwrap();
        (digest, action, spec.input_root)
    }
}

/// Sources before and after; what the action is given before and after.
fn check_inputs(before: &[(&str, &str)], after: &[(&str, &str)], given: [&[(&str, &str)]; 2]) {
    let fixture = Fixture::default();
    let action = fixture.action(fixture.tree(given[0]), "/usr/bin/cc src/a.c", "", &["a.o"]);
    let expected = fixture.action(fixture.tree(given[1]), "/usr/bin/cc src/a.c", "", &["a.o"]);
    let (sources, today) = (fixture.tree(before), fixture.tree(after));
    let mut one = One::new(action, fixture);
    one.build.sources = Some(Staged {
        tree: sources,
        at: TreePath::root(),
    });
    let element = one.build.element.clone();
    let (adapted, _, _) = one.adapted(vec![Event::Sources {
        element,
        tree: today,
    }]);
    assert_eq!(adapted, expected, "{given:?}");
}

#[test]
fn inputs_are_replaced_by_path_with_all_that_is_known_of_them() {
    // Equal contents, of which one changes.
    let before = [("src/a.c", "same"), ("src/b.h", "same"), ("src/c.h", "")];
    check_inputs(
        &before,
        &[("src/a.c", "same"), ("src/b.h", "new"), ("src/c.h", "")],
        [
            &before,
            &[("src/a.c", "same"), ("src/b.h", "new"), ("src/c.h", "")],
        ],
    );
    // Executable, with the same content.
    let before = [("src/a.c", "a"), ("src/tool", "tool")];
    let after = [("src/a.c", "a"), ("src/tool", "+tool")];
    check_inputs(&before, &after, [&before, &after]);
    // Removed, with the directory that nothing is left in; what was constant stays.
    check_inputs(
        &[("src/a.c", "a"), ("src/x/y/b.h", "b")],
        &[("src/a.c", "a"), ("src/z.h", "z")],
        [
            &[("src/a.c", "a"), ("src/x/y/b.h", "b"), ("config.h", "made")],
            &[("src/a.c", "a"), ("config.h", "made")],
        ],
    );
    // A link, recorded as one.
    let before = [("src/a.c", "a"), ("src/l", "-> one")];
    let after = [("src/a.c", "a"), ("src/l", "-> two")];
    check_inputs(&before, &after, [&before, &after]);
    // A file behind a link, recorded as a file.
    check_inputs(
        &[("src/a.c", "a"), ("v1/h.h", "h"), ("cur", "-> v1")],
        &[("src/a.c", "a"), ("v2/h.h", "new"), ("cur", "-> v2")],
        [
            &[("src/a.c", "a"), ("cur/h.h", "h")],
            &[("src/a.c", "a"), ("cur/h.h", "new")],
        ],
    );
}

#[test]
fn properties_are_todays_where_properties_were_recorded() {
    let fixture = Fixture::default();
    let with = |tree: DirectoryDigest, value: &str| {
        let mut changed = headstart_merkle::Tree::stored(tree);
        let at = path("a.c");
        let mut node = changed.get(&at, &fixture.store).unwrap().unwrap();
        if let Node::File(file) = &mut node {
            file.properties = Properties::named("k", value);
        }
        changed.insert(&at, node, &fixture.store).unwrap();
        changed.write(&fixture.store).unwrap()
    };
    let plain = fixture.tree(&[("a.c", "a")]);
    let (old, new) = (
        with(plain, "old"),
        with(fixture.tree(&[("a.c", "b")]), "new"),
    );
    let check = |given: DirectoryDigest, expected: DirectoryDigest, fixture: Fixture| {
        let action = fixture.action(given, "cc", "", &[]);
        let mut one = One::new(action, fixture);
        one.build.sources = Some(Staged {
            tree: old,
            at: TreePath::root(),
        });
        let element = one.build.element.clone();
        let (_, _, root) = one.adapted(vec![Event::Sources { element, tree: new }]);
        assert_eq!(root, expected);
    };
    let again = || Fixture {
        store: headstart_store::Directories::new(Arc::clone(fixture.store.store())),
    };
    check(old, new, again());
    check(plain, fixture.tree(&[("a.c", "b")]), again());
}

#[test]
fn trees_that_commands_mention_are_adapted() {
    let fixture = Fixture::default();
    let (old, new) = (fixture.tree(&[("cc", "1")]), fixture.tree(&[("cc", "2")]));
    let command = reapi::Command {
        arguments: vec!["/usr/bin/cc".into(), format!("--sysroot={old}")],
        environment_variables: vec![reapi::command::EnvironmentVariable {
            name: "ROOT".into(),
            value: old.to_string(),
        }],
        ..Default::default()
    };
    let platform = reapi::Platform {
        properties: vec![reapi::platform::Property {
            name: "chrootRootDigest".into(),
            value: old.to_string(),
        }],
    };
    let action = reapi::Action {
        command_digest: Some(fixture.write(command.encode_to_vec()).into()),
        input_root_digest: Some(fixture.tree(&[("a.c", "a")]).into()),
        platform: Some(platform),
        ..Default::default()
    };
    let action = fixture.write(action.encode_to_vec()).cast();
    let mut one = One::new(action, fixture);
    one.build.named_trees = vec![NamedTree {
        name: "RECC_REMOTE_PLATFORM_chrootRootDigest".to_owned(),
        tree: old,
    }];
    let event = |tree| Event::NamedTree {
        element: one.build.element.clone(),
        name: "RECC_REMOTE_PLATFORM_chrootRootDigest".into(),
        tree,
    };
    assert_eq!(one.adapted(vec![event(old)]).0, action);
    let (digest, _, _) = one.adapted(vec![event(new)]);
    let spec = ActionSpec::read(digest, &**one.fixture.store.store()).unwrap();
    assert_eq!(
        spec.property("chrootRootDigest"),
        Some(new.to_string().as_str())
    );
    assert_eq!(spec.environment[0].1, new.to_string());
    assert_eq!(spec.arguments[1], format!("--sysroot={new}"));
}

#[test]
fn elements_of_one_name_in_two_projects_are_two() {
    let fixture = Fixture::default();
    let header = [("usr/include/a.h", "a")];
    let action = fixture.action(fixture.tree(&header), "cc", "", &[]);
    let (old, new) = (
        fixture.tree(&header),
        fixture.tree(&[("usr/include/a.h", "new")]),
    );
    let other = fixture.tree(&[("usr/include/a.h", "wrong")]);
    let mut one = One::new(action, fixture);
    one.build.dependencies = vec![Dependency {
        element: ElementId::new("sub", "base.bst"),
        tree: old,
        at: TreePath::root(),
        actions: None,
    }];
    let artifact = |project: &str, tree| Event::Artifact {
        element: ElementId::new(project, "base.bst"),
        tree,
    };
    let (_, _, root) = one.adapted(vec![artifact("p", other), artifact("sub", new)]);
    assert_eq!(root, new);
}

#[test]
fn equal_actions_of_two_elements_are_adapted_each_to_its_own() {
    // Both have the same file at the same path, from sources of their own.
    let fixture = Fixture::default();
    let root = fixture.tree(&[("src/a.c", "a")]);
    let action = fixture.action(root, "cc", "", &[]);
    let mut session = Session::new(&fixture, 2);
    let mut expected = BTreeMap::new();
    for (name, text) in [("one.bst", "first"), ("two.bst", "second")] {
        let element = ElementId::new("p", name);
        let mut build = Generation::new(element.clone(), Mode::Full);
        build.subactions = vec![fixture.recorded(action, &[])];
        build.sources = Some(Staged {
            tree: root,
            at: TreePath::root(),
        });
        let message = Arc::new(generate(&build, &fixture.store).unwrap().message);
        session.tell(Event::Planned {
            element: element.clone(),
            message,
            turn: 0,
        });
        let tree = fixture.tree(&[("src/a.c", text)]);
        expected.insert(element.clone(), fixture.action(tree, "cc", "", &[]));
        session.tell(Event::Sources { element, tree });
    }
    for (element, expected) in expected {
        assert_eq!(
            session.primer.predictions(&element),
            [(action, Some(expected))]
        );
    }
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
fn requests_are_counted_by_how_they_were_answered() {
    let base = "source base.h one \n install base.h usr/include/base.h";
    let user = "needs 0 \n source u.c u \n step u.o = u.c :: usr/include/base.h";
    let after = base.replace("one", "two");
    let change = Change::new(
        &project(&[base, user]),
        &project(&[&after, user]),
        Mode::Full,
    );
    let mut subaction = change.after[1].subactions[0].clone();
    let (element, action) = (id(1), subaction.action);
    let opened = || {
        let mut session = change.open(1);
        let answer = session.pending.remove(0);
        session.tell(answer);
        assert_eq!(session.executed, [action]);
        session
    };
    // It runs already, for three milliseconds when it is wanted.
    let mut session = opened();
    let wait = std::time::Duration::from_millis(2);
    session.now += wait;
    session.tell(Event::Wanted {
        element: element.clone(),
        action,
    });
    session.drain();
    subaction.answered = headstart_execution::Answered::Joined;
    session.tell(Event::Asked {
        element: element.clone(),
        subaction: subaction.clone(),
    });
    let account = session.primer.account(&element);
    assert_eq!((account.asked, account.joined, account.missed), (1, 1, 0));
    assert_eq!(account.saved, wait + std::time::Duration::from_millis(1));
    // It is done; a second request saves no more time.
    let mut session = opened();
    session.drain();
    subaction.answered = headstart_execution::Answered::Cached;
    for _ in 0..2 {
        session.tell(Event::Asked {
            element: element.clone(),
            subaction: subaction.clone(),
        });
    }
    let account = session.primer.account(&element);
    assert_eq!(
        (account.hit, account.hit_primed, account.saved),
        (2, 1, subaction.duration)
    );
    // It was predicted, but not begun.
    let mut session = change.open(0);
    session.drain();
    subaction.answered = headstart_execution::Answered::Executed;
    session.tell(Event::Asked {
        element: element.clone(),
        subaction: subaction.clone(),
    });
    let account = session.primer.account(&element);
    assert_eq!(
        (account.promoted, account.missed, account.misses),
        (1, 0, vec![])
    );
    // What fails can't be a hit.
    subaction.result = reapi::ActionResult {
        exit_code: 1,
        ..Default::default()
    }
    .into();
    session.tell(Event::Asked {
        element: element.clone(),
        subaction,
    });
    let account = session.primer.account(&element);
    assert_eq!(
        (account.asked, account.promoted, account.unsuccessful),
        (2, 1, 1)
    );
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
