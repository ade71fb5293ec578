//! What one recorded action becomes, to its last detail.

use std::collections::BTreeMap;
use std::sync::Arc;

use headstart_execution::ActionSpec;
use headstart_merkle::{ActionDigest, DirectoryDigest, Node, Properties, TreePath};
use headstart_reapi::{Message, reapi};

use crate::testing::session::Session;
use crate::testing::{Fixture, path};
use crate::{Dependency, ElementId, Event, Generation, Mode, NamedTree, Staged, generate};

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
