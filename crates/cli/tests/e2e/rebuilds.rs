//! Builds after builds: what one of them records is good for those after it, however it went.

use std::fs;

use crate::support::{CHAIN, Calls, GENERATED, Place};

#[test]
fn a_build_full_of_hits_leaves_as_good_a_record_as_the_first() {
    let place = Place::new(CHAIN);
    place.build("app.bst", "full");
    for value in ["2", "3", "4"] {
        let header = format!("#define BASE {value}\nint base(void);\n");
        place.write("files/base/base.h", header);
        let again = place.build("app.bst", "full");
        assert_eq!(again.calls("liba.bst"), Calls::foreseen(3), "BASE {value}");
        assert_eq!(again.calls("app.bst"), Calls::foreseen(2), "BASE {value}");
    }
}

#[test]
fn a_build_answered_by_the_cache_alone_leaves_a_record() {
    let place = Place::new(CHAIN);
    place.build("app.bst", "none");
    // The artifacts go, the action cache stays.
    for element in ["base", "liba", "app"] {
        fs::remove_dir_all(place.cache().join("artifacts/refs/e2e").join(element)).unwrap();
    }
    let second = place.build("app.bst", "full");
    let found = |asked| Calls {
        asked,
        found: asked,
        ..Calls::default()
    };
    assert_eq!(second.calls("liba.bst"), found(3));
    assert_eq!(second.calls("app.bst"), found(2));
    place.edit("files/base/base.h", "BASE 1", "BASE 2");
    let third = place.build("app.bst", "full");
    assert_eq!(third.calls("liba.bst"), Calls::foreseen(3));
    assert_eq!(third.calls("app.bst"), Calls::foreseen(2));
}

#[test]
fn a_failed_build_is_mended_and_primed() {
    let place = Place::new(CHAIN);
    place.build("app.bst", "full");
    // liba's second call does not compile; the others are not come to.
    let broken = "#define BASE 2\nint base(int, int);\n";
    place.write("files/base/base.h", broken);
    place.edit("files/base/base.c", "base(void)", "base(int a, int b)");
    let failed = place.build_fails("app.bst", "full");
    assert_eq!(failed.state("base.bst"), "built");
    assert_eq!(failed.state("liba.bst"), "failed");
    assert_eq!(failed.state("app.bst"), "skipped");
    assert_eq!(failed.account("liba.bst", "asked"), 2);
    assert_eq!(failed.account("liba.bst", "unsuccessful"), 1);
    let mended = "#define BASE 3\nint base(void);\n";
    place.write("files/base/base.h", mended);
    place.edit("files/base/base.c", "base(int a, int b)", "base(void)");
    let mended = place.build_compared("app.bst", "full");
    // All three of liba are known from before it failed.
    assert_eq!(mended.calls("liba.bst"), Calls::foreseen(3));
    assert_eq!(mended.calls("app.bst"), Calls::foreseen(2));
}

#[test]
fn a_build_that_never_succeeded_is_primed_as_far_as_it_came() {
    let place = Place::new(GENERATED);
    place.edit("files/values/values", "VALUE 1", "VALUE one");
    let failed = place.build_fails("program.bst", "full");
    assert_eq!(failed.state("user.bst"), "failed");
    assert_eq!(failed.account("user.bst", "unsuccessful"), 1);
    place.edit("files/values/values", "VALUE one", "VALUE 1");
    let mended = place.build_compared("program.bst", "full");
    assert_eq!(mended.calls("codegen.bst"), Calls::foreseen(1));
    // The call that failed is foreseen with what mends it; the one after it was never seen.
    let user = Calls {
        asked: 2,
        foreseen: 1,
        missed: 1,
        ..Calls::default()
    };
    assert_eq!(mended.calls("user.bst"), user);
    assert_eq!(mended.calls("program.bst"), Calls::missed(2));
}

#[test]
fn calls_that_are_run_in_the_sandbox_and_uploaded_are_primed_too() {
    let place = Place::new(CHAIN);
    place.edit("project.conf", "default: remote", "default: upload");
    let first = place.build("app.bst", "full");
    assert_eq!(first.account("liba.bst", "asked"), 3);
    place.edit("files/base/base.h", "BASE 1", "BASE 2");
    let again = place.build_compared("app.bst", "full");
    assert_eq!(again.calls("liba.bst"), Calls::foreseen(3));
    assert_eq!(again.calls("app.bst"), Calls::foreseen(2));
}
