//! What failing commands leave for other programs: exit codes, and a record of the failure.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Place, output};

const PROJECT: &str = r"
== project.conf
name: e2e
min-version: 2.0
element-path: elements
== elements/top.bst
kind: stack
depends:
- bottom.bst
== elements/bottom.bst
kind: import
sources:
- kind: tar
  url: file:///nowhere.tar
  ref: 0000000000000000000000000000000000000000000000000000000000000000
";

fn failure(place: &Place, command: &mut Command) -> Value {
    let file = place.home().join("error.json");
    let _ = fs::remove_file(&file);
    let output = command.env("HEADSTART_ERROR_FILE", &file).output().unwrap();
    assert_eq!(output.status.code(), Some(255));
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

#[test]
fn a_load_error_is_left_with_its_place() {
    let place = Place::bare(PROJECT);
    place.edit("elements/top.bst", "bottom.bst", "button.bst");
    assert_eq!(
        failure(&place, place.headstart().args(["show", "top.bst"])),
        json!({
            "domain": "LOAD",
            "reason": "MISSING_FILE",
            "task_domain": null,
            "task_reason": null,
            "message": "elements/top.bst:3:3: there is no element 'button.bst' in 'elements'",
            "file": "elements/top.bst",
            "line": 3,
            "column": 3,
        })
    );
}

#[test]
fn a_failed_build_is_left_without_a_place() {
    let place = Place::bare(PROJECT);
    let failure = failure(&place, place.headstart().args(["build", "top.bst"]));
    assert_eq!(failure["domain"], "STREAM");
    assert_eq!(failure["line"], Value::Null);
}

#[test]
fn what_is_shown_is_as_in_buildstream() {
    let place = Place::bare(PROJECT);
    let format = "[%{kind: >8}|%{name:*^12}|%{full-key:.4}|%{state}|%{description}|%{build-deps}]";
    for arguments in [
        &["top.bst"][..],
        &["--deps", "none", "top.bst"],
        &["--deps", "build", "top.bst"],
        &["--except", "bottom.bst", "top.bst"],
        &["--order", "alpha"],
    ] {
        let show = |mut command: Command| {
            let command = command.args(["show", "--format", format]).args(arguments);
            String::from_utf8(output(command).stdout).unwrap()
        };
        assert_eq!(show(place.headstart()), show(place.bst()), "{arguments:?}");
    }
}
