//! Headers that an edit adds or takes away, which no earlier call had among its inputs, or has any
//! more.

use crate::support::{Calls, Place, VERSIONED};

/// base.bst ← app.bst: base installs all its headers as they are.
const PROJECT: &str = r"
== elements/base.bst
kind: import
sources:
- kind: local
  path: files/base
config:
  target: /usr/include
== files/base/base.h
#define BASE 1
== files/base/deep/unused.h
#define UNUSED 1
== elements/app.bst
kind: manual
build-depends:
- (@): include/gcc.yml
- base.bst
sources:
- kind: local
  path: files/app
config:
  build-commands:
  - gcc -Iinclude -c one.c -o one.o
  - gcc -I include -c two.c -o two.o
  - gcc one.o two.o -o app
  - ./app
  install-commands:
  - install -D app %{install-root}%{bindir}/app
== files/app/include/app.h
int two(void);
== files/app/one.c
#include <base.h>
#include <app.h>
int main(void) { return two() + BASE; }
== files/app/two.c
#include <stddef.h>
#include <app.h>
int two(void) { return -1; }
";

#[test]
fn a_header_that_is_included_anew_is_foreseen_with_all_that_it_includes() {
    let place = Place::new(PROJECT);
    place.build("app.bst", "full");
    place.write(
        "files/base/base.h",
        "#include <stddef.h>\n#include <deep/more.h>\n#define BASE MORE\n",
    );
    place.write(
        "files/base/deep/more.h",
        "#include \"most.h\"\n#define MORE MOST\n",
    );
    place.write("files/base/deep/most.h", "#define MOST 1\n");
    let again = place.build_compared("app.bst", "full");
    assert_eq!(again.calls("app.bst"), Calls::foreseen(3));
}

#[test]
fn so_is_one_of_the_elements_own() {
    let place = Place::new(PROJECT);
    place.build("app.bst", "full");
    place.edit("files/app/two.c", "-1", "TWO");
    place.edit(
        "files/app/include/app.h",
        "int two",
        "#include \"detail/two.h\"\nint two",
    );
    place.write("files/app/include/detail/two.h", "#define TWO -1\n");
    let again = place.build_compared("app.bst", "full");
    assert_eq!(again.calls("app.bst"), Calls::foreseen(3));
}

#[test]
fn a_header_that_nothing_includes_any_more_is_left_out() {
    let place = Place::new(PROJECT);
    place.write(
        "files/base/base.h",
        "#include <deep/more.h>\n#define BASE 1\n",
    );
    place.write("files/base/deep/more.h", "#include \"most.h\"\n");
    place.write("files/base/deep/most.h", "\n");
    place.edit(
        "files/app/two.c",
        "#include",
        "#include <deep/most.h>\n#include",
    );
    place.build("app.bst", "full");
    place.write("files/base/base.h", "#define BASE 1\n");
    let again = place.build_compared("app.bst", "full");
    // two.c still includes one of the two.
    assert_eq!(again.calls("app.bst"), Calls::foreseen(3));
}

#[test]
fn a_new_header_in_front_of_another_is_foreseen_though_nothing_else_has_changed() {
    let place = Place::new(PROJECT);
    // Its directory comes before base's, and includes what base's has and one thing more.
    place.build("app.bst", "full");
    place.write(
        "files/app/include/base.h",
        "#include \"detail/more.h\"\n#define BASE MORE\n",
    );
    place.write("files/app/include/detail/more.h", "#define MORE 1\n");
    let again = place.build_compared("app.bst", "full");
    assert_eq!(again.calls("app.bst"), Calls::foreseen(3));
}

/// layers.bst ← user.bst: two directories with headers, of which the first comes first.
const LAYERS: &str = r"
== elements/layers.bst
kind: import
sources:
- kind: local
  path: files/layers
config:
  target: /usr/share/layers
== files/layers/first/first.h
#define FIRST 1
== files/layers/second/value.h
#define VALUE 1
== files/layers/second/other.h
#define OTHER 1
== elements/user.bst
kind: manual
build-depends:
- (@): include/gcc.yml
- layers.bst
sources:
- kind: local
  path: files/user
config:
  build-commands:
  - gcc -I/usr/share/layers/first -isystem /usr/share/layers/second -c user.c -o user.o
  - gcc -I/usr/share/layers/first -isystem /usr/share/layers/second -c other.c -o other.o
  install-commands:
  - install -D user.o %{install-root}%{libdir}/user.o
== files/user/user.c
#include <first.h>
#include <value.h>
int user(void) { return FIRST + VALUE; }
== files/user/other.c
#include <first.h>
#include <other.h>
int other(void) { return FIRST + OTHER; }
";

#[test]
fn a_header_that_a_dependency_gains_or_loses_in_front_of_another_is_foreseen() {
    let place = Place::new(LAYERS);
    place.build("user.bst", "full");
    place.write("files/layers/first/value.h", "#define VALUE 2\n");
    let gained = place.build_compared("user.bst", "full");
    assert_eq!(gained.calls("user.bst"), Calls::foreseen(2));
    // The one behind it comes to light again, which no recorded call had.
    std::fs::remove_file(place.project().join("files/layers/first/value.h")).unwrap();
    place.edit("files/layers/second/value.h", "1", "3");
    let lost = place.build_compared("user.bst", "full");
    assert_eq!(lost.calls("user.bst"), Calls::foreseen(2));
}

#[test]
fn a_header_beside_the_file_that_includes_it_comes_first() {
    let place = Place::new(PROJECT);
    place.edit("files/app/one.c", "<app.h>", "\"app.h\"");
    place.build("app.bst", "full");
    place.write("files/app/app.h", "int two(void);\nextern int three;\n");
    let again = place.build_compared("app.bst", "full");
    // two.c includes it in angle brackets, and does not look there.
    assert_eq!(again.calls("app.bst"), Calls::foreseen(3));
}

#[test]
fn a_directory_of_headers_of_another_version_is_foreseen_in_inputs_and_arguments() {
    let place = Place::new(VERSIONED);
    place.build("app.bst", "full");
    place.edit("elements/base.bst", "base-1.9", "base-1.10");
    let moved = place.build_compared("app.bst", "full");
    assert_eq!(moved.calls("app.bst"), Calls::foreseen(2));
    place.edit("elements/base.bst", "base-1.10", "base-2");
    place.write("files/base/base.h", "#include \"detail/new.h\"\n");
    place.write("files/base/new.h", "#include <detail/detail.h>\n");
    let install = "install -D -m 644 new.h \"%{install-root}%{folder}/detail/new.h\"";
    place.edit(
        "elements/base.bst",
        "- echo",
        &format!("- {install}\n  - echo"),
    );
    let edited = place.build_compared("app.bst", "full");
    assert_eq!(edited.calls("app.bst"), Calls::foreseen(2));
}
