use std::time::Duration;

use headstart_merkle::ActionDigest;
use headstart_store::read_message;

use super::*;
use crate::testing::{Fixture, path};

const AT: &str = "buildstream/p/app.bst";

/// A build in the making.
struct Case {
    fixture: Fixture,
    build: Generation,
}

impl Case {
    fn new(mode: Mode) -> Self {
        Self {
            fixture: Fixture::default(),
            build: Generation::new(ElementId::new("p", "app.bst"), mode),
        }
    }

    fn sources(mut self, files: &[(&str, &str)]) -> Self {
        self.build.sources = Some(Staged {
            tree: self.fixture.tree(files),
            at: path(AT),
        });
        self
    }

    fn dependency(mut self, name: &str, files: &[(&str, &str)]) -> Self {
        self.build.dependencies.push(Dependency {
            element: ElementId::new("p", name),
            tree: self.fixture.tree(files),
            at: TreePath::root(),
            actions: None,
        });
        self
    }

    /// The last dependency knows this of itself.
    fn known(mut self, message: SpeculativeActions) -> Self {
        let last = self.build.dependencies.last_mut().unwrap();
        last.actions = Some(Arc::new(message));
        self
    }

    fn artifact(mut self, files: &[(&str, &str)]) -> Self {
        self.build.artifact = Some(self.fixture.tree(files));
        self
    }

    fn action(mut self, inputs: &[(&str, &str)], outputs: &[(&str, &str)]) -> Self {
        let root = self.fixture.tree(inputs);
        let names: Vec<&str> = outputs.iter().map(|(at, _)| *at).collect();
        let arguments = format!("/usr/bin/cc {}", names.join(" "));
        let action = self.fixture.action(root, &arguments, "", &names);
        let recorded = self.fixture.recorded(action, outputs);
        self.build.subactions.push(recorded);
        self
    }

    fn generate(&self) -> Generated {
        let generated = generate(&self.build, &self.fixture.store).unwrap();
        let message = &generated.message;
        let bytes = message.encode();
        assert_eq!(SpeculativeActions::decode(&bytes).unwrap(), *message);
        let again = generate(&self.build, &self.fixture.store).unwrap();
        assert_eq!(again.message.encode(), bytes);
        let again = generate_again(&self.build, message);
        assert_eq!(again.is_some(), message.fingerprint.is_some());
        assert!(again.is_none_or(|again| again.message == *message));
        generated
    }

    /// The overlays of the last action, one a line.
    fn check(&self, expected: &[&str]) {
        let generated = self.generate();
        assert_eq!(generated.problems, [""; 0]);
        let action = self.build.subactions.last().unwrap().action;
        let spec = ActionSpec::read(action, self.fixture.store.blobs()).unwrap();
        let overlays = generated
            .message
            .overlays(spec.input_root, &self.fixture.store)
            .unwrap();
        let lines: Vec<String> = overlays
            .iter()
            .map(|overlay| format!("{} < {}", overlay.path, text(&overlay.origins)))
            .collect();
        assert_eq!(lines, expected);
    }

    fn artifact_origins(&self, at: &str, content: &str) -> String {
        let content = BlobDigest::of(content.as_bytes());
        text(&self.generate().message.artifact_origins(&path(at), content))
    }
}

fn text(origins: &[crate::Origin]) -> String {
    let short = |origin: &crate::Origin| match origin {
        crate::Origin::Source { element, path } => format!("S {}:{path}", element.name),
        crate::Origin::Artifact { element, path } => format!("A {}:{path}", element.name),
        crate::Origin::Action { element, path, .. } => format!("O {}:{path}", element.name),
        crate::Origin::Root { path, .. } => format!("R {path}"),
    };
    origins.iter().map(short).collect::<Vec<_>>().join(", ")
}

fn at(file: &str) -> String {
    format!("{AT}/{file}")
}

#[test]
fn inputs_are_traced_to_own_sources_artifacts_and_earlier_outputs() {
    let main = at("main.c");
    Case::new(Mode::IntraElement)
        .sources(&[("main.c", "main"), ("config.h.in", "in")])
        .dependency("base.bst", &[("usr/include/base.h", "base")])
        .action(
            &[(&main, "main"), ("usr/include/base.h", "base")],
            &[(&at("main.o"), "object")],
        )
        .action(
            &[
                (&at("main.o"), "object"),
                (&main, "main"),
                (&at("config.h"), "made by configure"),
                ("usr/include/base.h", "base"),
            ],
            &[(&at("app"), "program")],
        )
        .check(&[
            "buildstream/p/app.bst/main.c < S app.bst:main.c",
            "buildstream/p/app.bst/main.o < O app.bst:buildstream/p/app.bst/main.o",
            "usr/include/base.h < A base.bst:usr/include/base.h",
        ]);
}

#[test]
fn files_of_equal_content_are_told_apart_by_path() {
    let one = at("one.h");
    let two = at("sub/two.h");
    Case::new(Mode::Full)
        .sources(&[("one.h", ""), ("sub/two.h", "")])
        .dependency("base.bst", &[("usr/include/empty.h", "")])
        .action(&[(&one, ""), (&two, ""), ("usr/include/empty.h", "")], &[])
        .check(&[
            "buildstream/p/app.bst/one.h < S app.bst:one.h",
            "buildstream/p/app.bst/sub/two.h < S app.bst:sub/two.h",
            "usr/include/empty.h < A base.bst:usr/include/empty.h",
        ]);
}

#[test]
fn the_elements_own_artifact_is_no_origin_of_its_inputs() {
    // A file that is both intermediate and installed.
    Case::new(Mode::IntraElement)
        .sources(&[("a.c", "a")])
        .artifact(&[("usr/lib/liba.a", "archive")])
        .action(&[(&at("a.c"), "a")], &[(&at("liba.a"), "archive")])
        .action(&[(&at("liba.a"), "archive")], &[(&at("prog"), "prog")])
        .check(&["buildstream/p/app.bst/liba.a < O app.bst:buildstream/p/app.bst/liba.a"]);
}

#[test]
fn paths_relative_to_some_directory_of_the_build_are_matched_by_their_ends() {
    Case::new(Mode::IntraElement)
        .sources(&[
            ("src/a.c", "a"),
            ("src/util.h", "util"),
            ("lib/same.h", "same"),
            ("src/same.h", "same"),
        ])
        .action(&[("src/a.c", "a")], &[("build/a.o", "object")])
        .action(
            &[
                ("build/a.o", "object"),
                ("src/util.h", "util"),
                ("same.h", "same"),
            ],
            &[],
        )
        .check(&[
            "build/a.o < O app.bst:build/a.o",
            "src/util.h < S app.bst:src/util.h",
        ]);
}

#[test]
fn a_header_passed_on_by_others_is_traced_to_where_it_was_written() {
    let base = Case::new(Mode::Full);
    let base = Case {
        build: Generation::new(ElementId::new("p", "base.bst"), Mode::Full),
        ..base
    }
    .sources(&[("include/base.h", "base")])
    .artifact(&[("usr/include/base.h", "base")]);
    assert_eq!(
        base.artifact_origins("usr/include/base.h", "base"),
        "S base.bst:include/base.h"
    );
    let stack = Case {
        build: Generation::new(ElementId::new("p", "sdk.bst"), Mode::Full),
        ..Case::new(Mode::Full)
    }
    .dependency("base.bst", &[("usr/include/base.h", "base")])
    .known(base.generate().message)
    .artifact(&[("usr/include/base.h", "base")]);
    assert_eq!(
        stack.artifact_origins("usr/include/base.h", "base"),
        "S base.bst:include/base.h, A base.bst:usr/include/base.h"
    );
    Case::new(Mode::Full)
        .dependency("sdk.bst", &[("usr/include/base.h", "base")])
        .known(stack.generate().message)
        .action(&[("usr/include/base.h", "base")], &[])
        .check(&["usr/include/base.h < S base.bst:include/base.h, \
             A base.bst:usr/include/base.h, A sdk.bst:usr/include/base.h"]);
}

#[test]
fn outputs_of_other_elements_are_followed_only_in_full_mode() {
    let made = |mode| {
        Case {
            build: Generation::new(ElementId::new("p", "gen.bst"), mode),
            ..Case::new(mode)
        }
        .sources(&[("gen.y", "grammar")])
        .action(&[("gen.y", "grammar")], &[("gen.h", "generated")])
        .artifact(&[("usr/include/gen.h", "generated")])
        .generate()
        .message
    };
    let check = |mode, expected: &str| {
        Case::new(mode)
            .dependency("gen.bst", &[("usr/include/gen.h", "generated")])
            .known(made(Mode::Full))
            .action(&[("usr/include/gen.h", "generated")], &[])
            .check(&[expected]);
    };
    check(
        Mode::Full,
        "usr/include/gen.h < O gen.bst:gen.h, A gen.bst:usr/include/gen.h",
    );
    check(
        Mode::IntraElement,
        "usr/include/gen.h < A gen.bst:usr/include/gen.h",
    );
}

#[test]
fn in_lower_modes_what_needs_an_output_is_left_alone() {
    let case = |mode| {
        Case::new(mode)
            .sources(&[("a.c", "a")])
            .action(&[(&at("a.c"), "a")], &[(&at("a.o"), "object")])
            .action(&[(&at("a.o"), "object")], &[])
            .generate()
    };
    assert_eq!(case(Mode::SourceArtifact).unusable, 1);
    assert_eq!(case(Mode::IntraElement).unusable, 0);
    for mode in [Mode::None, Mode::PrimeOnly] {
        assert!(case(mode).message.is_empty());
    }
}

#[test]
fn an_input_that_was_made_only_later_makes_an_action_unusable() {
    let generated = Case::new(Mode::Full)
        .action(&[(&at("a.o"), "object")], &[])
        .action(&[(&at("a.c"), "a")], &[(&at("a.o"), "object")])
        .generate();
    let usable: Vec<bool> = generated
        .message
        .actions()
        .iter()
        .map(|a| a.usable)
        .collect();
    assert_eq!(usable, [false, true]);
}

#[test]
fn an_action_that_is_gone_concerns_no_other() {
    let mut case = Case::new(Mode::Full)
        .sources(&[("a.c", "a")])
        .action(&[(&at("a.c"), "a")], &[]);
    let mut lost = case.build.subactions[0].clone();
    lost.action = ActionDigest::of(b"never stored");
    case.build.subactions.insert(0, lost);
    let generated = case.generate();
    assert_eq!((generated.recorded, generated.unusable), (2, 1));
    assert_eq!(generated.problems.len(), 1);
    assert!(generated.message.actions()[1].usable);
}

#[test]
fn what_is_not_to_be_cached_is_not_primed() {
    let mut case = Case::new(Mode::Full).action(&[(&at("a.c"), "a")], &[]);
    let subaction = &mut case.build.subactions[0];
    let blobs = case.fixture.store.blobs();
    let mut action: reapi::Action = read_message(blobs, subaction.action, "an Action").unwrap();
    action.do_not_cache = true;
    let encoded = headstart_reapi::Message::encode_to_vec(&action);
    subaction.action = case.fixture.write(encoded).cast();
    assert_eq!(case.generate().unusable, 1);
}

#[test]
fn a_repeated_action_is_stored_once_with_what_is_known_best() {
    let mut case = Case::new(Mode::Full).action(&[(&at("a.c"), "a")], &[]);
    let mut again = case.build.subactions[0].clone();
    again.duration *= 3;
    case.build.subactions.push(again.clone());
    let message = case.generate().message;
    assert_eq!(message.actions().len(), 1);
    assert_eq!(message.actions()[0].duration, again.duration);
}

#[test]
fn without_elements_the_parents_own_tree_is_the_origin() {
    let mut case = Case::new(Mode::Full).action(&[("usr/include/a.h", "a"), ("b.h", "b")], &[]);
    case.build.root = Some(
        case.fixture
            .tree(&[("usr/include/a.h", "a"), ("b.h", "other")]),
    );
    case.check(&["usr/include/a.h < R usr/include/a.h"]);
}

#[test]
fn three_hundred_empty_files_are_one_rule() {
    let names: Vec<String> = (0..300).map(|n| format!("usr/include/h{n}.h")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let message = Case::new(Mode::Full)
        .dependency("base.bst", &files)
        .action(&files, &[])
        .generate()
        .message;
    assert_eq!(message.rules.len(), 1);
    assert!(message.encode().len() < 250, "{}", message.encode().len());
}

#[test]
fn bytes_that_are_no_message_are_refused() {
    for bytes in [&b""[..], b"\xff\xff", b"\x0a\x02\x08\x01"] {
        assert!(SpeculativeActions::decode(bytes).is_err());
    }
    let good = Case::new(Mode::Full)
        .sources(&[("a.c", "a")])
        .action(&[(&at("a.c"), "a")], &[(&at("a.o"), "object")])
        .action(&[(&at("a.o"), "object")], &[])
        .generate()
        .message;
    let mut wire = good.to_wire();
    type Numbers = fn(&mut headstart_reapi::buildstream::SpeculativeActions) -> &mut Vec<u32>;
    let lists: [Numbers; 3] = [|w| &mut w.rules, |w| &mut w.inputs, |w| &mut w.needs];
    for list in lists {
        for place in 0..list(&mut wire).len() {
            let old = std::mem::replace(&mut list(&mut wire)[place], u32::MAX);
            // Whatever it is read as, reading it does not fail in any other way than this.
            let _ = SpeculativeActions::from_wire(&wire);
            list(&mut wire)[place] = old;
        }
        let cut = list(&mut wire).pop();
        assert!(SpeculativeActions::from_wire(&wire).is_err());
        list(&mut wire).extend(cut);
    }
    assert_eq!(SpeculativeActions::from_wire(&wire).unwrap(), good);
}

#[test]
fn what_adapting_takes_is_protected_and_nothing_else() {
    let case = Case::new(Mode::Full)
        .sources(&[("a.c", "a"), ("b.c", "b")])
        .action(&[(&at("a.c"), "a")], &[(&at("a.o"), "object")]);
    let protected = case.generate().message.protected(&case.fixture.store);
    // An Action, a Command, and the Directories down to the file: root, buildstream, p, app.bst.
    assert_eq!(protected.len(), 6);
    assert!(!protected.contains(&BlobDigest::of(b"a")));
    assert!(protected.contains(&case.build.subactions[0].action.blob()));
}

#[test]
fn objects_of_unknown_origin_depend_on_all_that_came_before() {
    let guards = |library: &str, content: Vec<u8>| {
        let mut case = Case::new(Mode::Full)
            .action(&[(&at("a.c"), "a")], &[(&at("a.o"), "object a")])
            .action(&[(&at("b.c"), "b")], &[(&at("b.o"), "object b")]);
        case.fixture.write(content.clone());
        let mut tree = headstart_merkle::Tree::empty();
        let file = headstart_merkle::FileNode::new(BlobDigest::of(&content), false);
        let node = headstart_merkle::Node::File(file);
        tree.insert(&path(&at(library)), node, &case.fixture.store)
            .unwrap();
        let root = tree.write(&case.fixture.store).unwrap();
        let action = case.fixture.action(root, "ld", "", &["program"]);
        let recorded = case.fixture.recorded(action, &[("program", "program")]);
        case.build.subactions.push(recorded);
        case = case.action(&[(&at("c.c"), "c")], &[(&at("c.o"), "object c")]);
        case.generate().message.actions()[2].guards.clone()
    };
    let archive = crate::testing::archive(&["object b", "made by an assembler"]);
    assert_eq!(guards("lib.a", archive.clone()), [1]);
    assert_eq!(guards("lib.a", archive[..20].to_vec()), [0, 1]);
    assert_eq!(
        guards("other.o", b"compiled in the sandbox".to_vec()),
        [0, 1]
    );
    assert_eq!(guards("config.h", b"made by configure".to_vec()), [0; 0]);
}

#[test]
fn the_same_build_leaves_the_same_record_but_for_durations() {
    let case = || {
        let known = Case::new(Mode::Full).generate().message;
        Case::new(Mode::Full)
            .sources(&[("a.c", "a"), ("b.c", "b")])
            .dependency("base.bst", &[("usr/include/a.h", "h")])
            .known(known)
            .action(
                &[(&at("a.c"), "a"), ("usr/include/a.h", "h")],
                &[("a.o", "o")],
            )
            .action(&[(&at("b.c"), "b"), ("a.o", "o")], &[("b.o", "p")])
            .artifact(&[("usr/lib/b.o", "p")])
    };
    let first = case();
    let earlier = first.generate().message;
    let mut slower = case();
    let again = slower.build.subactions[0].clone();
    slower.build.subactions[1].duration = Duration::from_secs(7);
    slower.build.subactions.push(again);
    let known = generate_again(&slower.build, &earlier).unwrap();
    assert_eq!(known.message, slower.generate().message);
    assert_ne!(known.message, earlier);
    assert_eq!((known.recorded, known.unusable), (2, 0));

    let differs = |change: &dyn Fn(&mut Generation)| {
        let mut case = case();
        change(&mut case.build);
        assert!(generate_again(&case.build, &earlier).is_none());
    };
    let other = first.fixture.tree(&[("other", "")]);
    differs(&|build| build.mode = Mode::IntraElement);
    differs(&|build| build.element = ElementId::new("p", "other.bst"));
    differs(&|build| _ = build.subactions.pop());
    differs(&|build| build.subactions.swap(0, 1));
    differs(&|build| build.subactions[0].result = first.fixture.result(&[("a.o", "x")]).into());
    differs(&|build| build.sources = None);
    differs(&|build| build.sources.as_mut().unwrap().tree = other);
    differs(&|build| build.dependencies[0].tree = other);
    differs(&|build| build.dependencies[0].at = path("usr"));
    differs(&|build| build.dependencies[0].actions = None);
    differs(&|build| build.artifact = None);
    differs(&|build| build.root = Some(other));
    let named = NamedTree {
        name: "ROOT".to_owned(),
        tree: other,
    };
    differs(&|build| build.named_trees.push(named.clone()));
    // Nothing is known of what a record follows from that does not tell.
    let mut unknown = case();
    let message = Arc::make_mut(unknown.build.dependencies[0].actions.as_mut().unwrap());
    message.fingerprint = None;
    assert!(generate_again(&unknown.build, &earlier).is_none());
    assert_eq!(unknown.generate().message.fingerprint, None);
}
