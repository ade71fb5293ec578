//! What each mode primes, and what it stores for the next build.

use crate::support::{CHAIN, Calls, GENERATED, Place, Report};

const ELEMENTS: [&str; 3] = ["base.bst", "liba.bst", "app.bst"];

/// The numbers of priming: none of them without it.
const PRIMING: [&str; 5] = ["stored", "resolved", "primed", "hit", "joined"];

fn assert_nothing_primed(report: &Report) {
    for element in ELEMENTS {
        for number in PRIMING {
            assert_eq!(report.account(element, number), 0, "{element}: {number}");
        }
    }
}

#[test]
fn none_primes_nothing_and_records_nothing() {
    let place = Place::new(CHAIN);
    let first = place.build("app.bst", "none");
    assert_nothing_primed(&first);
    for element in ELEMENTS {
        assert_eq!(place.record(&first, element), None, "{element}");
    }
    // So the next build has nothing to begin with, however eager.
    place.edit("files/base/base.h", "BASE 1", "BASE 2");
    let second = place.build("app.bst", "full");
    assert_nothing_primed(&second);
    assert_eq!(second.calls("app.bst"), Calls::missed(2));
    assert_eq!(place.record(&second, "app.bst").unwrap().actions(), 2);
    // What is known is not used, and it is not lost.
    place.edit("files/base/base.h", "BASE 2", "BASE 3");
    let third = place.build("app.bst", "none");
    assert_nothing_primed(&third);
    assert_eq!(third.calls("app.bst"), Calls::missed(2));
    for element in ["liba.bst", "app.bst"] {
        let known = place.record(&second, element);
        assert_eq!(place.record(&third, element), known);
    }
}

#[test]
fn prime_only_uses_what_is_known_and_stores_nothing_new() {
    let place = Place::new(CHAIN);
    let first = place.build("app.bst", "full");
    place.edit("files/base/base.h", "BASE 1", "BASE 2");
    let second = place.build_compared("app.bst", "prime-only");
    assert_eq!(second.calls("liba.bst"), Calls::foreseen(3));
    assert_eq!(second.calls("app.bst"), Calls::foreseen(2));
    // base's own sources are others. What it is foreseen from is kept under its old key only.
    assert_eq!(second.calls("base.bst"), Calls::foreseen(1));
    assert_eq!(place.record(&second, "base.bst"), None);
    for element in ["liba.bst", "app.bst"] {
        let known = place.record(&first, element);
        assert!(known.is_some());
        assert_eq!(place.record(&second, element), known);
    }
    // The old record is still good for the next build.
    place.edit("files/base/base.h", "BASE 2", "BASE 3");
    let third = place.build("app.bst", "prime-only");
    assert_eq!(third.calls("liba.bst"), Calls::foreseen(3));
    assert_eq!(third.calls("app.bst"), Calls::foreseen(2));
}

#[test]
fn source_artifact_foresees_what_needs_no_other_action() {
    let place = Place::new(CHAIN);
    place.build("app.bst", "source-artifact");
    place.edit("files/base/base.h", "BASE 1", "BASE 2");
    let second = place.build_compared("app.bst", "source-artifact");
    // The archive is of objects that the element compiled itself, and so is the program.
    let liba = Calls {
        asked: 3,
        foreseen: 2,
        missed: 1,
        ..Calls::default()
    };
    assert_eq!(second.calls("liba.bst"), liba);
    let app = Calls {
        asked: 2,
        foreseen: 1,
        missed: 1,
        ..Calls::default()
    };
    assert_eq!(second.calls("app.bst"), app);
}

/// The record of user.bst in a mode: where its own source and the generated header came from.
fn origins(mode: &str) -> [String; 2] {
    let place = Place::new(GENERATED);
    let report = place.build("user.bst", mode);
    let header = place.file("codegen.bst", "usr/include/gen.h");
    let source = std::fs::read(place.project().join("files/user/user.c")).unwrap();
    let record = place.record(&report, "user.bst").unwrap();
    [
        record.origins("buildstream/e2e/user.bst/user.c", &source),
        record.origins("usr/include/gen.h", &header),
    ]
}

#[test]
fn origins_in_other_elements_actions_are_only_recorded_in_full() {
    assert_eq!(origins("source-artifact"), ["S", "A"]);
    assert_eq!(origins("intra-element"), ["S", "A"]);
    assert_eq!(origins("full"), ["S", "CA"]);
}

/// How many of the calls of user.bst are foreseen although codegen.bst is never installed.
fn foreseen_before_installed(mode: &str) -> u64 {
    let place = Place::new(GENERATED);
    place.build("user.bst", mode);
    place.edit("files/values/values", "# What", "# BROKEN: what");
    place.edit("files/values/values", "VALUE 1", "VALUE 2");
    let report = place.build_fails("user.bst", mode);
    assert_eq!(report.state("codegen.bst"), "failed");
    assert_eq!(report.calls("codegen.bst"), Calls::foreseen(1));
    assert_eq!(report.state("user.bst"), "skipped");
    report.account("user.bst", "resolved")
}

#[test]
fn full_foresees_before_a_dependency_is_installed() {
    // One call does not read the generated header.
    assert_eq!(foreseen_before_installed("intra-element"), 1);
    assert_eq!(foreseen_before_installed("full"), 2);
}

/// How long after the generated header was asked for the call that includes it was first executed or
/// asked for, in seconds; installing the header took three.
fn begun_after_the_header(mode: &str) -> f64 {
    let place = Place::new(GENERATED);
    place.edit(
        "elements/codegen.bst",
        "  install-commands:\n",
        "  install-commands:\n  - sleep 3\n",
    );
    place.build("user.bst", mode);
    place.edit("files/values/values", "VALUE 1", "VALUE 2");
    let report = place.build("user.bst", mode);
    assert_eq!(report.calls("user.bst"), Calls::foreseen(2));
    let events = |element: &str, makes: &str| {
        let explanation = place.explain(&[element, makes]);
        let calls = explanation["elements"][0]["calls"].as_array().cloned();
        let events = calls
            .unwrap()
            .into_iter()
            .map(|call| call["events"].clone());
        let events = events.flat_map(|events| events.as_array().cloned().unwrap());
        let times = events.map(|event| {
            let what = event["what"].as_str().unwrap().to_owned();
            (what, event["at"].as_f64().unwrap())
        });
        times.collect::<Vec<_>>()
    };
    let answered = ["hit", "joined", "promoted"];
    let header = events("codegen.bst", "gen.h").into_iter();
    let mut header = header.filter(|(what, _)| answered.contains(&what.as_str()));
    let header = header.next().expect("the header was asked for").1;
    let user = events("user.bst", "user.o").into_iter();
    let begun = user.filter(|(what, _)| what == "submitted" || answered.contains(&what.as_str()));
    let begun = begun.map(|(_, at)| at).reduce(f64::min);
    begun.expect("the call was asked for") - header
}

#[test]
fn full_executes_before_a_dependency_is_installed_and_intra_element_after() {
    let [full, intra] = ["full", "intra-element"].map(begun_after_the_header);
    println!(
        "what includes a generated header is executed {full:.2} s after that was asked for in full, \
         {intra:.2} s in intra-element: {:.2} s earlier",
        intra - full
    );
    assert!(full < 3.0 && intra > 3.0, "{full} s, {intra} s");
}
