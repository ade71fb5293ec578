//! BuildStream and this program in one project with one cache directory, in turn.

use std::path::Path;
use std::process::Command;

use crate::support::{BuildStream, Place, WITHOUT_RECC, finish, headstart, said};

/// base.bst ← lib.bst ← app.bst, compiled without recc.
const PROJECT: &str = r"
== elements/base.bst
kind: manual
build-depends:
- (@): include/gcc.yml
sources:
- kind: local
  path: files/base
config:
  install-commands:
  - install -D -m 644 base.h %{install-root}%{includedir}/base.h
== files/base/base.h
#define BASE 7
== elements/lib.bst
kind: manual
build-depends:
- (@): include/gcc.yml
depends:
- base.bst
sources:
- kind: local
  path: files/lib
config:
  build-commands:
  - gcc -c lib.c -o lib.o
  - ar rcD liblib.a lib.o
  install-commands:
  - install -D -m 644 liblib.a %{install-root}%{libdir}/liblib.a
== files/lib/lib.c
#include <base.h>
int lib(void) { return BASE; }
== elements/app.bst
kind: manual
build-depends:
- (@): include/gcc.yml
- lib.bst
sources:
- kind: local
  path: files/app
config:
  build-commands:
  - gcc app.c -llib -o app
  - ./app
  install-commands:
  - install -D app %{install-root}%{bindir}/app
  - install -D -m 644 app.c %{install-root}%{datadir}/app.c
== files/app/app.c
#include <base.h>
int lib(void);
int main(void) { return lib() - BASE; }
";

const STATES: [&str; 5] = [
    "show",
    "--format",
    "%{name} %{state} %{full-key}",
    "--deps",
    "all",
];

/// What this program prints, which must succeed.
fn ours(place: &Place, arguments: &[&str]) -> String {
    place.run(&[&WITHOUT_RECC[..], arguments].concat())
}

#[test]
fn each_builds_on_what_the_other_has_built() {
    let place = Place::new(PROJECT);
    let peer = BuildStream::new(&place.project(), &place.cache(), &place.home());
    let theirs = |arguments: &[&str]| peer.run(&[&WITHOUT_RECC[..], arguments].concat());
    let states = |expected: [&str; 3]| {
        let show = [&STATES[..], &["app.bst"]].concat();
        let (ours, theirs) = (ours(&place, &show), theirs(&show));
        assert_eq!(ours, theirs);
        let state = |element: &str| {
            let line = ours.lines().find(|line| line.starts_with(element));
            line.unwrap().split(' ').nth(1).unwrap()
        };
        assert_eq!(["base.bst", "lib.bst", "app.bst"].map(state), expected);
    };

    ours(&place, &["build", "base.bst"]);
    states(["cached", "buildable", "waiting"]);
    theirs(&["build", "lib.bst"]);
    states(["cached", "cached", "buildable"]);
    ours(&place, &["build", "app.bst"]);
    states(["cached", "cached", "cached"]);

    // What each gives out of the other's artifacts is the same.
    for element in ["lib.bst", "app.bst"] {
        let folder = |who: &str| place.home().join(format!("{element}-{who}"));
        let checkout = [
            "artifact",
            "checkout",
            element,
            "--deps",
            "none",
            "--directory",
        ];
        let with = |folder: &Path| {
            [&checkout[..], &[folder.to_str().unwrap()]]
                .concat()
                .join(" ")
        };
        let (one, other) = (folder("ours"), folder("theirs"));
        ours(&place, &with(&one).split(' ').collect::<Vec<_>>());
        theirs(&with(&other).split(' ').collect::<Vec<_>>());
        finish(Command::new("diff").arg("--recursive").args([one, other]));
    }
    let log = ours(&place, &["artifact", "log", "lib.bst"]);
    assert!(log.contains("gcc -c lib.c"), "{log}");
}

#[test]
fn the_demo_is_a_project_of_buildstream() {
    let place = Place::bare("");
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../../demo");
    let mut copy = Command::new("cp");
    finish(copy.args(["--recursive", demo]).arg(place.project()));
    // What `demo/prepare` makes does not matter to this.
    let _ = std::fs::remove_dir_all(place.project().join("files/toolchain"));
    place.write("files/toolchain/usr/bin/true", "");
    let peer = BuildStream::beside(&place, "cache-of-buildstream");
    for recc in ["off", "remote", "upload"] {
        let show = [
            "--option",
            "recc",
            recc,
            "show",
            "--format",
            "%{name} %{full-key}",
            "all.bst",
        ];
        let mut command = headstart(&place.project(), &place.cache(), &place.home());
        let output = command.args(show).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let ours = String::from_utf8(output.stdout).unwrap();
        assert_eq!(ours, peer.run(&show));
        assert!(ours.lines().count() > 15, "{ours}");
    }
}
