//! What may change in a chain of elements, and what of the next build is then foreseen.
//!
//! Each rebuild is compared with one that foresees nothing.

use crate::support::{Calls, Place};

/// base.bst ← liba.bst ← app.bst: headers and static libraries all the way up.
///
/// liba archives through recc, so that even this is an action; base archives where it is.
const CHAIN: &str = r"
== elements/base.bst
kind: manual
build-depends:
- (@): include/gcc.yml
sources:
- kind: local
  path: files/base
config:
  build-commands:
  - gcc -I. -c base.c -o base.o
  - ar rc libbase.a base.o
  install-commands:
  - install -D -m 644 base.h %{install-root}%{includedir}/base.h
  - install -D -m 644 libbase.a %{install-root}%{libdir}/libbase.a
== files/base/base.h
#define BASE 1
int base(void);
== files/base/base.c
#include <base.h>
int base(void) { return BASE; }
== elements/liba.bst
kind: manual
build-depends:
- (@): include/gcc.yml
depends:
- base.bst
sources:
- kind: local
  path: files/liba
config:
  build-commands:
  - gcc -I. -c one.c -o one.o
  - gcc -I. -c two.c -o two.o
  - |
    RECC_FORCE_REMOTE=1 RECC_DEPS_OVERRIDE=one.o,two.o RECC_OUTPUT_FILES_OVERRIDE=liba.a \
    recc /usr/bin/ar rc liba.a one.o two.o
  install-commands:
  - install -D -m 644 liba.h %{install-root}%{includedir}/liba.h
  - install -D -m 644 liba.a %{install-root}%{libdir}/liba.a
== files/liba/liba.h
int one(void);
int two(void);
== files/liba/one.c
#include <base.h>
#include <liba.h>
int one(void) { return BASE; }
== files/liba/two.c
#include <base.h>
#include <liba.h>
int two(void) { return 2 * base(); }
== elements/app.bst
kind: manual
build-depends:
- (@): include/gcc.yml
- liba.bst
sources:
- kind: local
  path: files/app
config:
  build-commands:
  - gcc -c app.c -o app.o
  - gcc app.o -la -lbase -o app
  - ./app
  install-commands:
  - install -D app %{install-root}%{bindir}/app
== files/app/app.c
#include <base.h>
#include <liba.h>
int main(void) { return one() + two() + base() - 4 * BASE; }
";

/// values.bst ← codegen.bst ← user.bst ← program.bst: a header that is made by an action.
const GENERATED: &str = r"
== elements/values.bst
kind: import
sources:
- kind: local
  path: files/values
config:
  target: /usr/share/values
== files/values/values
# What the program is about.
VALUE 1
== elements/codegen.bst
kind: manual
build-depends:
- (@): include/gcc.yml
- values.bst
sources:
- kind: local
  path: files/codegen
config:
  build-commands:
  - |
    RECC_FORCE_REMOTE=1 RECC_OUTPUT_FILES_OVERRIDE=gen.h \
    RECC_DEPS_OVERRIDE=generate,/usr/share/values/values \
    recc /usr/bin/sed -n -f generate /usr/share/values/values
  install-commands:
  - install -D -m 644 gen.h %{install-root}%{includedir}/gen.h
== files/codegen/generate
/^VALUE/ {
  s/^/#define /
  w gen.h
}
== elements/user.bst
kind: manual
build-depends:
- (@): include/gcc.yml
depends:
- codegen.bst
sources:
- kind: local
  path: files/user
config:
  build-commands:
  - gcc -c user.c -o user.o
  - gcc -c other.c -o other.o
  - ar rc libuser.a user.o other.o
  install-commands:
  - install -D -m 644 libuser.a %{install-root}%{libdir}/libuser.a
== files/user/user.c
#include <gen.h>
int user(void) { return VALUE; }
== files/user/other.c
int other(void) { return 0; }
== elements/program.bst
kind: manual
build-depends:
- (@): include/gcc.yml
- user.bst
sources:
- kind: local
  path: files/program
config:
  build-commands:
  - gcc -c program.c -o program.o
  - gcc program.o -luser -o program
  - ./program
  install-commands:
  - install -D program %{install-root}%{bindir}/program
== files/program/program.c
#include <gen.h>
int user(void);
int other(void);
int main(void) { return user() + other() - VALUE; }
";

#[test]
fn one_dependency_changes() {
    let place = Place::new(CHAIN);
    let first = place.build("app.bst", "full");
    for (element, calls) in [("base.bst", 1), ("liba.bst", 3), ("app.bst", 2)] {
        assert_eq!(first.calls(element), Calls::missed(calls));
    }
    place.edit("files/base/base.h", "BASE 1", "BASE 2");
    let again = place.build_compared("app.bst", "full");
    // An element whose own sources change has another weak key, under which nothing is known.
    assert_eq!(again.calls("base.bst"), Calls::missed(1));
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
    // The header is another, made by an action that nothing is known of.
    place.edit("files/codegen/generate", "#define ", "#define  ");
    let again = place.build_compared("program.bst", "full");
    assert_eq!(again.calls("codegen.bst"), Calls::missed(1));
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
    assert_eq!(again.calls("base.bst"), Calls::missed(1));
    assert_eq!(again.calls("liba.bst"), Calls::missed(3));
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
