//! What may change in a chain of elements, and what of the next build is then foreseen.

use std::sync::Arc;

use super::project;
use crate::testing::Fixture;
use crate::testing::session::{Change, Session};
use crate::testing::world::id;
use crate::{Account, Event, Mode};

const BASE: &str = "
    source include/base.h one
    source base.c base
    step base.o = base.c : include/base.h
    step libbase.a = base.o
    install include/base.h usr/include/base.h
    install libbase.a usr/lib/libbase.a
";
const LIBA: &str = "
    needs 0
    source liba.c liba
    source liba.h header
    step liba.o = liba.c : liba.h : usr/include/base.h
    step libliba.a = liba.o
    install liba.h usr/include/liba.h
    install libliba.a usr/lib/libliba.a
";
const APP: &str = "
    needs 1
    source app.c app
    step app.o = app.c :: usr/include/base.h usr/include/liba.h
    step app = app.o :: usr/lib/libliba.a usr/lib/libbase.a
    install app usr/bin/app
";

/// Builds `after` element by element, each once all priming that is possible has ended; gives the
/// accounts.
fn rebuild(before: &[&str], after: &[&str], mode: Mode) -> Vec<Account> {
    let change = Change::new(&project(before), &project(after), mode);
    let mut session = change.open(4);
    let accounts = run(&change, &mut session);
    assert_eq!(session.problems, [""; 0]);
    accounts
}

fn run(change: &Change, session: &mut Session<'_>) -> Vec<Account> {
    for (place, built) in change.after.iter().enumerate() {
        session.drain();
        if change.rebuilt[place] {
            session.ask_all(place, built);
            session.finish_element(place, built);
        }
    }
    session.drain();
    let accounts = (0..change.after.len()).map(|place| session.primer.account(&id(place)));
    accounts.collect()
}

/// Hits, joined, missed.
fn answers(account: &Account) -> [usize; 3] {
    [account.hit, account.joined, account.missed]
}

#[test]
fn one_dependency_changes() {
    // base's own actions are adapted to its new sources, so even they are hits.
    let changed = BASE.replace("base.h one", "base.h two");
    let accounts = rebuild(&[BASE, LIBA, APP], &[&changed, LIBA, APP], Mode::Full);
    for account in &accounts {
        assert_eq!(answers(account), [2, 0, 0], "{accounts:?}");
        assert_eq!((account.hit_primed, account.wasted), (2, 0));
    }
}

#[test]
fn the_chain_advances_before_anything_is_built() {
    let changed = BASE.replace("base.h one", "base.h two");
    let before = project(&[BASE, LIBA, APP]);
    let after = project(&[&changed, LIBA, APP]);
    let primed = |mode| {
        let change = Change::new(&before, &after, mode);
        let mut session = change.open(4);
        session.drain();
        session.executed.len()
    };
    // In full mode even the last link: its libraries are predicted from the actions that make them.
    assert_eq!(primed(Mode::Full), 6);
    // Else it waits for the libraries to be installed.
    assert_eq!(primed(Mode::IntraElement), 5);
    assert_eq!(primed(Mode::SourceArtifact), 3);
}

const CODEGEN: &str = "
    source gen.y grammar
    source other.y other
    step gen.h = gen.y
    step other.h = other.y
    install gen.h usr/include/gen.h
";
const USER: &str = "
    needs 0
    source user.c user
    step user.o = user.c :: usr/include/gen.h
    step libuser.a = user.o
    install libuser.a usr/lib/libuser.a
";

#[test]
fn intermediate_files_of_other_elements() {
    // codegen itself is unchanged; what it builds upon changes its outputs.
    let tool = "source tool one \n install tool usr/bin/tool";
    let newer = "source tool two \n install tool usr/bin/tool";
    let codegen = CODEGEN
        .replace("step gen.h = gen.y", "step gen.h = gen.y :: usr/bin/tool")
        .to_owned()
        + "\n needs 0";
    let user = USER.replace("needs 0", "needs 1");
    let change = Change::new(
        &project(&[tool, &codegen, &user]),
        &project(&[newer, &codegen, &user]),
        Mode::Full,
    );
    let mut session = change.open(4);
    session.drain();
    // gen.h, user.o, libuser.a, with nothing built.
    assert_eq!(session.executed.len(), 3);
    let accounts = run(&change, &mut session);
    assert_eq!(answers(&accounts[1]), [2, 0, 0]);
    assert_eq!(answers(&accounts[2]), [2, 0, 0]);
}

#[test]
fn a_changed_element_keeps_the_chain() {
    let changed = CODEGEN.replace("grammar", "new");
    let accounts = rebuild(&[CODEGEN, USER], &[&changed, USER], Mode::Full);
    assert_eq!(answers(&accounts[0]), [2, 0, 0]);
    assert_eq!((accounts[0].unchanged, accounts[0].hit_primed), (1, 1));
    assert_eq!(answers(&accounts[1]), [2, 0, 0]);
}

#[test]
fn several_elements_of_a_chain_change() {
    let base = BASE.replace("base.h one", "base.h two");
    let liba = LIBA.replace("liba.c liba", "liba.c changed");
    let accounts = rebuild(&[BASE, LIBA, APP], &[&base, &liba, APP], Mode::Full);
    for account in &accounts {
        assert_eq!(answers(account), [2, 0, 0], "{accounts:?}");
    }
}

#[test]
fn only_what_is_built_upon_changes() {
    let bottom = "source os.h one \n install os.h usr/include/os.h";
    let newer = "source os.h two \n install os.h usr/include/os.h";
    let base = BASE.replace("include/base.h\n", "include/base.h : usr/include/os.h\n") + "needs 0";
    let liba = LIBA.replace("needs 0", "needs 1");
    let app = APP.replace("needs 1", "needs 2");
    let accounts = rebuild(
        &[bottom, &base, &liba, &app],
        &[newer, &base, &liba, &app],
        Mode::Full,
    );
    assert_eq!(accounts[0].asked, 0);
    assert_eq!(answers(&accounts[1]), [2, 0, 0]);
    // liba's own inputs are as they were.
    assert_eq!((accounts[2].unchanged, accounts[2].hit), (2, 2));
    assert_eq!(answers(&accounts[3]), [2, 0, 0]);
    assert_eq!((accounts[3].unchanged, accounts[3].hit_primed), (1, 1));
}

#[test]
fn what_a_failed_build_did_not_come_to_is_taken_from_the_one_before() {
    let user = "
        needs 0
        source a.c a
        source b.c b
        step a.o = a.c :: usr/include/base.h
        step b.o = b.c :: usr/include/base.h
        step lib.a = a.o b.o
    ";
    let base = "source base.h one \n install base.h usr/include/base.h";
    let fixture = Fixture::default();
    let before = fixture.build(&project(&[base, user]), Mode::Full);
    // It failed after the first step, and nothing of that is in the stored record.
    let first = user.lines().filter(|line| !line.contains("b.o"));
    let first = first.collect::<Vec<_>>().join("\n");
    let failing = project(&[&base.replace("one", "two"), &first]);
    let failed = fixture.build(&failing, Mode::Full);
    let after = fixture.build(&project(&[&base.replace("one", "three"), user]), Mode::Full);
    assert_eq!(failed[1].subactions.len(), 1);

    let mut session = Session::new(&fixture, 4);
    session.remember(&before);
    session.remember(&failed);
    for built in [&failed, &before, &before] {
        session.tell(Event::Planned {
            element: id(1),
            message: Arc::clone(&built[1].message),
            turn: 0,
        });
    }
    session.tell(Event::Sources {
        element: id(1),
        tree: after[1].sources,
    });
    session.tell(Event::Artifact {
        element: id(0),
        tree: after[0].artifact,
    });
    session.drain();
    session.ask_all(1, &after[1]);
    session.finish_element(1, &after[1]);
    let account = session.primer.account(&id(1));
    assert_eq!(answers(&account), [3, 0, 0], "{account:?}");
    assert_eq!((account.stored, account.primed, account.wasted), (3, 3, 0));
}

#[test]
fn what_takes_a_static_library_is_primed_only_while_its_objects_are_as_they_were() {
    let user = "
        needs 0
        source a.c a
        source main.c main
        step a.o = a.c :: usr/include/a.h
        archive lib.a = a.o
        step main.o = main.c :: usr/include/main.h
        step program = lib.a main.o
    ";
    let base = "
        source a.h one
        source main.h one
        install a.h usr/include/a.h
        install main.h usr/include/main.h
    ";
    let check = |changed: &str, expected: [usize; 4]| {
        let accounts = rebuild(&[base, user], &[changed, user], Mode::Full);
        let user = &accounts[1];
        let found = [user.hit, user.missed, user.refuted, user.wasted];
        assert_eq!(found, expected, "{user:?}");
    };
    check(&base.replace("main.h one", "main.h two"), [3, 0, 0, 0]);
    check(&base.replace("a.h one", "a.h two"), [2, 1, 1, 0]);
}

#[test]
fn what_follows_from_a_wrong_prediction_is_adapted_to_the_truth() {
    // The source includes a header that no earlier build had: no record knows of it. What is made
    // of the object is foreseen all the same, once the real build has asked for the object itself.
    let user = |source: &str, header: &str| {
        format!(
            "
            source a.c {source}
            source b.c b
            source new.h new
            step a.o = a.c : {header}
            step b.o = b.c
            step lib.so = a.o b.o
            install lib.so usr/lib/lib.so
            "
        )
    };
    let app = "
        needs 0
        source app.c app
        step app = app.c :: usr/lib/lib.so
    ";
    let change = Change::new(
        &project(&[&user("one", ""), app]),
        &project(&[&user("two", "new.h"), app]),
        Mode::Full,
    );
    let mut session = change.open(4);
    session.drain();
    let lib = change.after[0].steps[2].unwrap();
    assert!(!session.executed.contains(&lib));
    // The build asks for its first object only.
    let mut first = change.after[0].clone();
    first.subactions.truncate(1);
    session.ask_all(0, &first);
    session.drain();
    assert!(session.executed.contains(&lib));
    assert!(
        session
            .executed
            .contains(&change.after[1].steps[0].unwrap())
    );
    let accounts = run(&change, &mut session);
    assert_eq!(answers(&accounts[1]), [1, 0, 0]);
    // The wrong prediction and the two that followed from it were executed in vain.
    assert_eq!(accounts[0].wasted + accounts[1].wasted, 3);
    assert_eq!((accounts[0].corrected, accounts[1].corrected), (1, 1));
}
