//! What is known to be wrong in the prototype, and what shows that it is right here.
//!
//! | the prototype | a test that fails where that is so |
//! | --- | --- |
//! | an input that is not known yet is passed over, and the action counts as done with the old one | [`an_input_that_is_not_known_yet_is_waited_for`] |
//! | with one input known and one not, a half-stale action is executed, and the right one never | [`an_action_of_which_one_input_is_known_is_not_executed`] |
//! | what takes the output of an action that was not executed yet is executed with the old one | [`an_action_is_not_executed_before_what_makes_its_input`] |
//! | nothing wakes who waits for an action: chains advance only when something else happens | [`a_chain_is_advanced_by_its_own_ends_alone`] |
//! | inputs are replaced by content: of two with equal contents both or neither | [`of_two_files_of_equal_content_the_changed_one_is_replaced`] |
//! | each pair of files of equal content is an overlay: quadratic | `generate::tests::three_hundred_empty_files_are_one_rule` |
//! | a file that is intermediate and installed follows the element's own artifact | `generate::tests::the_elements_own_artifact_is_no_origin_of_its_inputs` |
//! | an output is no origin where a source or an artifact is one, so that following those of others adds nothing | [`what_a_dependency_makes_is_known_before_it_is_installed`], and `modes.rs` of the whole program |
//! | platform properties and commands stay as they were, also where they name a tree | `adapting::trees_that_commands_mention_are_adapted` |
//! | files that were removed stay, modes and properties are the old ones, added files don't come | `adapting::inputs_are_replaced_by_path_with_all_that_is_known_of_them`, `adapting::properties_are_todays_where_properties_were_recorded`, [`super::shadows`], and `headers.rs` of the whole program |
//! | two elements with equal actions share what the first was adapted to | `adapting::equal_actions_of_two_elements_are_adapted_each_to_its_own` |
//! | of dependencies only direct ones are looked at; stacks hide all below | [`dependencies_of_dependencies_and_what_stacks_hand_on_are_followed`], `generate::tests::a_header_passed_on_by_others_is_traced_to_where_it_was_written` |
//! | after a change of the element's own sources nothing is found | [`an_element_whose_own_sources_changed_is_primed`], and `scenarios.rs` of the whole program |
//! | no links, no directories are outputs; elements of two projects are mixed up | `outputs::tests::files_links_and_directories_of_both_forms_are_outputs`, `adapting::elements_of_one_name_in_two_projects_are_two` |
//! | what is needed to use a record elsewhere does not go along; adapted actions are not there when they are executed | `generate::tests::what_adapting_takes_is_protected_and_nothing_else`, [`all_that_an_execution_takes_is_stored_before_it`] |
//! | an execution that nobody waits for is ended by the farm | `execution::an_execution_is_come_back_for` and `execution::what_the_farm_has_lost_is_sent_again` of the crate for remote servers; what is not wanted any more: `what_an_element_no_longer_needs_is_ended_with_its_build` of the whole program's `economy.rs` |
//! | all old inputs are fetched | [`adapting_reads_no_input_files`] |
//! | passes that run beside each other execute everything several times | `exactness::the_same_news_again_changes_nothing`, and the simulator's sessions |
//! | the origin of a built file is the element itself, and following it never ends | [`the_origin_of_what_an_element_made_is_what_made_it`] |
//! | what could not be executed counts as primed; bytes that are stored differ from run to run | `exactness::a_failed_execution_is_no_success_and_refutes_its_dependents`; all of `generate::tests` generate twice |
//! | an error fails the element, or nobody hears of it | `exactness::what_can_not_be_read_is_a_problem_of_that_action_alone`, and `damage.rs` of the whole program |
//! | builds that failed, were answered by the cache alone, or never execute leave no record | `rebuilds.rs` of the whole program |
//! | no priority, no budget, nothing is given up, nothing is measured | `economy`, `exactness::only_so_many_are_in_flight_and_a_built_element_gives_up_the_rest`, `accounting::requests_are_counted_by_how_they_were_answered` |

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use headstart_execution::ActionSpec;
use headstart_merkle::{Node, TreePath, Visit, walk};
use headstart_store::BlobStore;

use super::project;
use crate::testing::Fixture;
use crate::testing::session::{Change, Session};
use crate::testing::world::id;
use crate::{Event, Mode, Origin};

const ONE: &str = "source one.h one \n install one.h usr/include/one.h";
const TWO: &str = "source two.h two \n install two.h usr/include/two.h";
const USER: &str = "
    needs 0 1
    source user.c user
    step user.o = user.c :: usr/include/one.h usr/include/two.h
    step lib.a = user.o
";

/// The project after an edit of the first and the second element.
fn changed(texts: &[&str], edits: [&str; 2]) -> Change {
    let mut after: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    for (text, edit) in after.iter_mut().zip(edits) {
        *text = text.replace(".h one", edit).replace(".h two", edit);
    }
    let after: Vec<&str> = after.iter().map(String::as_str).collect();
    Change::new(&project(texts), &project(&after), Mode::Full)
}

/// A session that knows what is stored of the user and its sources, and nothing of its dependencies.
fn knowing_the_user(change: &Change) -> Session<'_> {
    let mut session = Session::new(&change.fixture, 4);
    session.remember(&change.before);
    let user = change.after.len() - 1;
    session.tell(Event::Planned {
        element: id(user),
        message: Arc::clone(&change.before[user].message),
        turn: 0,
    });
    session.tell(sources(change, user));
    session.drain();
    session
}

fn sources(change: &Change, place: usize) -> Event {
    Event::Sources {
        element: id(place),
        tree: change.after[place].sources,
    }
}

#[test]
fn an_input_that_is_not_known_yet_is_waited_for() {
    let change = changed(&[ONE, TWO, USER], [".h new", ".h two"]);
    let mut session = knowing_the_user(&change);
    assert_eq!(session.executed, []);
    assert_eq!(
        session.primer.account(&id(2)).resolved,
        0,
        "not even as it was"
    );
    session.tell(sources(&change, 1));
    session.tell(sources(&change, 0));
    session.drain();
    assert_eq!(session.executed[0], change.after[2].steps[0].unwrap());
}

#[test]
fn an_action_of_which_one_input_is_known_is_not_executed() {
    let change = changed(&[ONE, TWO, USER], [".h new", ".h newer"]);
    let mut session = knowing_the_user(&change);
    session.tell(sources(&change, 0));
    session.drain();
    assert_eq!(session.executed, []);
    session.tell(sources(&change, 1));
    session.drain();
    assert_eq!(session.executed.len(), 2, "the compile and the link");
    assert_eq!(session.executed[0], change.after[2].steps[0].unwrap());
}

#[test]
fn an_action_is_not_executed_before_what_makes_its_input() {
    let change = changed(&[ONE, TWO, USER], [".h new", ".h newer"]);
    let mut session = change.open(4);
    let [compile, link] = [0, 1].map(|step| change.after[2].steps[step].unwrap());
    while !session.executed.contains(&compile) {
        let answer = session.pending.remove(0);
        session.tell(answer);
    }
    // Slots are free, and all but the object is known.
    assert_eq!(session.executed, [compile]);
    session.drain();
    assert_eq!(session.executed, [compile, link]);
}

#[test]
fn a_chain_is_advanced_by_its_own_ends_alone() {
    let mut user = "needs 0 \n source 0.c c \n step 0.o = 0.c :: usr/include/one.h".to_owned();
    for link in 1..20 {
        user.push_str(&format!("\n step {link}.o = {}.o", link - 1));
    }
    let change = changed(&[ONE, &user], [".h new", ""]);
    let mut session = change.open(1);
    // Nothing happens but answers to what was asked and ends of what was executed.
    session.drain();
    let steps: Vec<_> = change.after[1].steps.iter().flatten().copied().collect();
    assert_eq!(session.executed, steps);
}

#[test]
fn of_two_files_of_equal_content_the_changed_one_is_replaced() {
    let user = "
        needs 0
        source a.h same
        source b.h same
        source user.c user
        step user.o = user.c : a.h b.h : usr/include/one.h
    ";
    let edited = user.replace("b.h same", "b.h other");
    let change = Change::new(
        &project(&[ONE, user]),
        &project(&[ONE, &edited]),
        Mode::Full,
    );
    let mut session = change.open(1);
    session.drain();
    assert_eq!(session.executed, [change.after[1].steps[0].unwrap()]);
}

#[test]
fn what_a_dependency_makes_is_known_before_it_is_installed() {
    let tool = "
        source gen.y one
        step gen.h = gen.y
        install gen.h usr/include/gen.h
    ";
    let user = "needs 0 \n source u.c u \n step u.o = u.c :: usr/include/gen.h";
    let edited = tool.replace("one", "two");
    let before = project(&[tool, user]);
    let after = project(&[&edited, user]);
    let change = Change::new(&before, &after, Mode::Full);
    let mut session = change.open(1);
    session.drain();
    let made = [&change.after[0], &change.after[1]].map(|built| built.steps[0].unwrap());
    assert_eq!(session.executed, made, "with no artifact known");
}

#[test]
fn dependencies_of_dependencies_and_what_stacks_hand_on_are_followed() {
    let middle = "needs 0 \n source m.h m \n install m.h usr/include/m.h";
    let stack = "needs 1 \n compose";
    let user =
        |needs: &str| format!("{needs} \n source u.c u \n step u.o = u.c :: usr/include/one.h");
    for (stack, needs) in [("needs 1", "needs 1"), (stack, "needs 2")] {
        let change = changed(&[ONE, middle, stack, &user(needs)], [".h new", ""]);
        let mut session = change.open(1);
        session.drain();
        assert_eq!(
            session.executed,
            [change.after[3].steps[0].unwrap()],
            "{needs}"
        );
    }
}

#[test]
fn an_element_whose_own_sources_changed_is_primed() {
    let user = "needs 0 \n source u.c u \n step u.o = u.c :: usr/include/one.h \n step u.a = u.o";
    let edited = user.replace("u.c u ", "u.c edited ");
    let change = Change::new(
        &project(&[ONE, user]),
        &project(&[ONE, &edited]),
        Mode::Full,
    );
    let mut session = change.open(2);
    session.drain();
    session.ask_all(1, &change.after[1]);
    assert_eq!(session.primer.account(&id(1)).hit_primed, 2);
}

#[test]
fn all_that_an_execution_takes_is_stored_before_it() {
    let change = changed(&[ONE, TWO, USER], [".h new", ".h newer"]);
    let mut session = Session::new(&change.fixture, 4);
    // The session executes what it is told to at once, from the store alone.
    for event in Session::opening(&change.before, &change.after, &change.rebuilt) {
        session.tell(event);
    }
    session.drain();
    for action in &session.executed {
        assert!(ActionSpec::read(*action, &**change.fixture.store.store()).is_ok());
    }
    assert_eq!(session.executed.len(), 2);
}

#[test]
fn adapting_reads_no_input_files() {
    let change = changed(&[ONE, TWO, USER], [".h new", ".h newer"]);
    let bare = Fixture::default();
    let store = change.fixture.store.store();
    for built in &change.before {
        for digest in built.message.protected(&change.fixture.store) {
            bare.write(store.read(digest).unwrap());
        }
    }
    for built in &change.after {
        for tree in [built.sources, built.artifact] {
            bare.write(store.read(tree.blob()).unwrap());
            walk(&change.fixture.store, tree, &mut |_, node| {
                if let Node::Directory(digest) = node {
                    bare.write(store.read(digest.blob()).unwrap());
                }
                Visit::Enter
            })
            .unwrap();
        }
    }
    let mut session = Session::new(&bare, 0);
    for event in Session::opening(&change.before, &change.after, &change.rebuilt) {
        session.tell(event);
    }
    session.drain();
    assert_eq!(session.problems, [""; 0]);
    let predictions = session.predictions(2);
    let (before, after) = (&change.before[2].steps, &change.after[2].steps);
    assert_eq!(predictions.get(&before[0].unwrap()), Some(&after[0]));
}

#[test]
fn the_origin_of_what_an_element_made_is_what_made_it() {
    let tool = "
        source gen.y one
        step gen.h = gen.y
        install gen.h usr/include/gen.h
        install gen.y usr/share/gen.y
    ";
    let change = Change::new(&project(&[tool]), &project(&[tool]), Mode::Full);
    let message = &change.before[0].message;
    let origins = |at: &str| {
        let at = TreePath::new(at).unwrap();
        let files = change.fixture.files_of(change.before[0].artifact);
        let content = crate::storage::content(&files[&at]).unwrap();
        message.artifact_origins(&at, content)
    };
    let made = origins("usr/include/gen.h");
    let expected = change.before[0].steps[0].unwrap();
    assert!(
        matches!(&made[..], [Origin::Action { action, .. }] if *action == expected),
        "{made:?}"
    );
    let handed_on = origins("usr/share/gen.y");
    assert!(
        matches!(&handed_on[..], [Origin::Source { .. }]),
        "{handed_on:?}"
    );
}

/// Names of tests, and of files that have some, in and below a folder.
fn add_tests(folder: &Path, names: &mut HashSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add_tests(&path, names);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = text.lines().map(str::trim);
        let mut tests = HashSet::new();
        while lines.any(|line| line == "#[test]") {
            let function = lines.find_map(|line| line.strip_prefix("fn "));
            tests.extend(function.and_then(|line| line.split('(').next()));
        }
        if !tests.is_empty() {
            let file = [path.file_name(), path.file_stem()].into_iter().flatten();
            tests.extend(file.filter_map(|name| name.to_str()));
            names.extend(tests.into_iter().map(str::to_owned));
        }
    }
}

#[test]
fn the_tests_named_above_are_there() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = HashSet::new();
    add_tests(&crates.join("src"), &mut tests);
    for others in ["cli", "remote"] {
        add_tests(&crates.join("..").join(others).join("tests"), &mut tests);
    }
    let rows = include_str!("prototype.rs").lines();
    let rows = rows.filter_map(|line| line.strip_prefix("//! |"));
    for row in rows.skip(2) {
        let (_, shown) = row.split_once('|').unwrap();
        let named: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "{row}");
        for name in named {
            let last = name.rsplit("::").next().unwrap();
            assert!(tests.contains(last), "{name} is no test");
        }
    }
}
