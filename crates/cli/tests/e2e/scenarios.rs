//! What may change in a chain of elements, and what of the next build is then foreseen.
//!
//! Each rebuild is compared with one that foresees nothing.

use crate::support::{CHAIN, Calls, GENERATED, Place};

#[test]
fn one_dependency_changes() {
    let place = Place::new(CHAIN);
    let first = place.build("app.bst", "full");
    for (element, calls) in [("base.bst", 1), ("liba.bst", 3), ("app.bst", 2)] {
        assert_eq!(first.calls(element), Calls::missed(calls));
    }
    place.edit("files/base/base.h", "BASE 1", "BASE 2");
    let again = place.build_compared("app.bst", "full");
    // An element whose own sources change has another weak key, but the same lineage.
    assert_eq!(again.calls("base.bst"), Calls::foreseen(1));
    assert_eq!(again.calls("liba.bst"), Calls::foreseen(3));
    assert_eq!(again.calls("app.bst"), Calls::foreseen(2));
}

#[test]
fn a_generated_header_changes_and_who_includes_it_is_another_element() {
    let place = Place::new(GENERATED);
    place.build("program.bst", "full");
    place.edit("files/values/values", "VALUE 1", "VALUE 2");
    let again = place.build_compared("program.bst", "full");
    assert_eq!(again.calls("codegen.bst"), Calls::foreseen(1));
    assert_eq!(again.calls("user.bst"), Calls::foreseen(2));
    assert_eq!(again.calls("program.bst"), Calls::foreseen(2));
}

#[test]
fn a_chain_of_actions_follows_through() {
    // Compiled from what changes, archived from that, linked from that: none of the three has an
    // input from a source that changed, but for the header.
    let place = Place::new(CHAIN);
    place.build("app.bst", "full");
    let before = place.file("liba.bst", "usr/lib/liba.a");
    place.edit("files/base/base.h", "BASE 1", "BASE 3");
    let again = place.build_compared("app.bst", "full");
    assert_ne!(place.file("liba.bst", "usr/lib/liba.a"), before);
    assert_eq!(again.calls("liba.bst"), Calls::foreseen(3));
    assert_eq!(again.calls("app.bst"), Calls::foreseen(2));
}

#[test]
fn a_changed_generator_is_built_before_what_includes_its_output() {
    let place = Place::new(GENERATED);
    place.build("program.bst", "full");
    // The header is another, made by an action that has changed itself.
    place.edit("files/codegen/generate", "#define ", "#define  ");
    let again = place.build_compared("program.bst", "full");
    assert_eq!(again.calls("codegen.bst"), Calls::foreseen(1));
    assert_eq!(again.calls("user.bst"), Calls::foreseen(2));
    assert_eq!(again.calls("program.bst"), Calls::foreseen(2));
}

#[test]
fn two_elements_of_the_chain_change() {
    let place = Place::new(CHAIN);
    place.build("app.bst", "full");
    place.edit("files/base/base.h", "BASE 1", "BASE 2");
    place.edit("files/liba/two.c", "2 * base()", "base() + BASE");
    let again = place.build_compared("app.bst", "full");
    assert_eq!(again.calls("base.bst"), Calls::foreseen(1));
    assert_eq!(again.calls("liba.bst"), Calls::foreseen(3));
    assert_eq!(again.calls("app.bst"), Calls::foreseen(2));
}

#[test]
fn what_an_unchanged_element_is_built_with_changes() {
    let place = Place::new(GENERATED);
    place.build("program.bst", "full");
    // codegen reads the values and makes the same header of them: from there on nothing is new.
    let before = place.file("codegen.bst", "usr/include/gen.h");
    place.edit("files/values/values", "about", "about: one value");
    let again = place.build_compared("program.bst", "full");
    assert_eq!(place.file("codegen.bst", "usr/include/gen.h"), before);
    assert_eq!(again.calls("codegen.bst"), Calls::foreseen(1));
    assert_eq!(again.calls("user.bst"), Calls::foreseen(2));
    assert_eq!(again.calls("program.bst"), Calls::foreseen(2));
}
