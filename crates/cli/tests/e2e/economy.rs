//! Opting out, limits, and what is left behind of what nobody asks for.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::{CHAIN, Calls, Place, said};

/// Edits what all elements include, and builds.
fn edited(place: &Place) -> crate::support::Report {
    place.edit("files/base/base.h", "BASE 1", "BASE 2");
    place.build("app.bst", "full")
}

#[test]
fn an_element_can_be_left_out_by_its_public_data() {
    let place = Place::new(CHAIN);
    place.edit(
        "elements/liba.bst",
        "kind: manual\n",
        "kind: manual\npublic:\n  headstart:\n    speculation: none\n",
    );
    let first = place.build("app.bst", "full");
    assert_eq!(place.record(&first, "liba.bst"), None);
    assert_eq!(place.record(&first, "app.bst").unwrap().actions(), 2);
    let again = edited(&place);
    assert_eq!(again.account("liba.bst", "stored"), 0);
    assert_eq!(again.calls("liba.bst"), Calls::missed(3));
    assert_eq!(again.calls("app.bst"), Calls::foreseen(2));
}

#[test]
fn nonsense_in_public_data_is_refused_with_its_place() {
    let place = Place::new(CHAIN);
    let refused = |expected: &str| {
        let output = place.headstart().args(["show", "liba.bst"]).output();
        let text = said(&output.unwrap());
        assert!(text.contains(expected), "{text}");
    };
    place.edit(
        "elements/liba.bst",
        "kind: manual\n",
        "kind: manual\npublic:\n  headstart:\n    speculation: maybe\n",
    );
    refused("liba.bst:4:18");
    place.edit("elements/liba.bst", "speculation: maybe", "speculate: none");
    refused("speculate");
}

#[test]
fn a_user_can_leave_elements_and_projects_out_or_be_content_with_less() {
    let place = Place::new(CHAIN);
    place.configure("speculation:\n  pause-above: 100\n  elements: {'e2e:liba.bst': prime-only}\n");
    let first = place.build("app.bst", "full");
    assert_eq!(place.record(&first, "liba.bst"), None);
    assert!(place.record(&first, "app.bst").is_some());
    place.configure("speculation: {pause-above: 100, projects: {e2e: none}}");
    let again = edited(&place);
    for element in ["base.bst", "liba.bst", "app.bst"] {
        assert_eq!(again.account(element, "stored"), 0, "{element}");
    }
    place.configure("speculation: {mode: sometimes}");
    let text = said(
        &place
            .headstart()
            .args(["show", "app.bst"])
            .output()
            .unwrap(),
    );
    assert!(text.contains("headstart.conf:1:21"), "{text}");
}

#[test]
fn no_more_is_executed_than_the_limits_say() {
    let place = Place::new(CHAIN);
    place.build("app.bst", "full");
    place.configure("speculation: {pause-above: 100, session-limits: {actions: 1}}");
    let again = edited(&place);
    let sum = |number: &str| -> u64 {
        let elements = ["base.bst", "liba.bst", "app.bst"];
        elements
            .iter()
            .map(|element| again.account(element, number))
            .sum()
    };
    assert!(sum("primed") <= 1, "{again:?}");
    // All are predicted all the same.
    assert_eq!(again.calls("liba.bst"), Calls::foreseen(3));
    assert_eq!(again.calls("app.bst"), Calls::foreseen(2));
}

/// The marks of results that nobody has asked for.
fn marks(place: &Place) -> usize {
    let folder = place.cache().join("headstart/guesses");
    let shards = fs::read_dir(folder).into_iter().flatten().flatten();
    shards
        .map(|shard| fs::read_dir(shard.path()).unwrap().count())
        .sum()
}

#[test]
fn what_nobody_asked_for_is_marked_and_given_up_when_there_is_too_much() {
    let place = Place::new(CHAIN);
    place.build("app.bst", "full");
    assert_eq!(marks(&place), 0);
    // The second call of liba is another: what was made for the old one is asked for by nobody.
    place.edit(
        "elements/liba.bst",
        "gcc -I. -c two.c",
        "gcc -I. -DTWO -c two.c",
    );
    let again = edited(&place);
    let wasted = again.account("liba.bst", "wasted") + again.account("app.bst", "wasted");
    // Of what was given up while it ran nothing is left.
    assert!(marks(&place) as u64 <= wasted, "{again:?}");
    // There is room for none of it.
    place.configure("speculation: {pause-above: 100, store-quota: 1}");
    place.edit("files/base/base.h", "BASE 2", "BASE 3");
    let third = place.build("app.bst", "full");
    let wasted = third.account("liba.bst", "wasted") + third.account("app.bst", "wasted");
    assert!(marks(&place) as u64 <= wasted, "{third:?}");
    assert_eq!(third.calls("app.bst"), Calls::foreseen(2));
}

#[test]
fn what_never_comes_true_is_learned() {
    let place = Place::new(CHAIN);
    place.build("app.bst", "full");
    edited(&place);
    let odds = place.cache().join("headstart/odds/e2e/app");
    let platform = fs::read_dir(&odds).unwrap().next().unwrap().unwrap();
    let text = fs::read_to_string(platform.path()).unwrap();
    assert_eq!(text, "1 1 gcc\n1 1 gcc *.o\n");
    // All of a sudden objects are not worth it.
    fs::write(platform.path(), "1 1 gcc\n0 200 gcc *.o\n").unwrap();
    place.edit("files/base/base.h", "BASE 2", "BASE 3");
    let third = place.build("app.bst", "full");
    // Nor was the one executed; what is linked of it was, if there was time to.
    assert_eq!(third.calls("app.bst"), Calls::foreseen(2));
    let explanation = place.explain(&["app.bst", "app.o"]);
    let object = &explanation["elements"][0]["calls"][0];
    assert_eq!(object["outputs"], serde_json::json!(["app.o"]));
    assert_eq!(object["outcome"], "promoted");
    let text = fs::read_to_string(platform.path()).unwrap();
    assert!(text.contains("1 201 gcc *.o\n"), "{text}");
}

/// An element that calls for something slow in its first version, and not in its second.
const SLOW: &str = r"
== elements/slow.bst
kind: manual
build-depends:
- (@): include/gcc.yml
sources:
- kind: local
  path: files/slow
config:
  build-commands:
  - gcc -c slow.c -o slow.o
  - |
    RECC_FORCE_REMOTE=1 RECC_DEPS_OVERRIDE=slow.sh RECC_OUTPUT_FILES_OVERRIDE=slept \
    recc /usr/bin/sh slow.sh
  install-commands:
  - install -D slow.o %{install-root}%{libdir}/slow.o
== files/slow/slow.c
int slow;
== files/slow/slow.sh
sleep 0
touch slept
";

#[test]
fn what_an_element_no_longer_needs_is_ended_with_its_build() {
    let place = Place::new(SLOW);
    place.build("slow.bst", "full");
    place.edit("files/slow/slow.sh", "sleep 0", "sleep 3600");
    place.edit("elements/slow.bst", "recc /usr/bin/sh", "true");
    let begun = Instant::now();
    let again = place.build("slow.bst", "full");
    assert!(begun.elapsed() < Duration::from_secs(600));
    assert_eq!(again.calls("slow.bst").asked, 1);
    // It was begun, if there was time to, and there is no result of it.
    assert_eq!(again.account("slow.bst", "succeeded"), 0);
    assert_eq!(marks(&place), 0);
    let explanation = place.explain(&["slow.bst"]);
    assert_eq!(
        explanation["elements"][0]["counts"]["cancelled"], 1,
        "{explanation:#}"
    );
    for call in explanation["elements"][0]["calls"].as_array().unwrap() {
        assert_eq!(call["outcome"], "wasted", "{call:#}");
        assert_eq!(call["reason"]["why"], "not-called", "{call:#}");
    }
}
