//! What other programs are told of a project: all that BuildStream shows of it, as data.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{BuildStream, Place, python, said};

const PROJECT: &str = r"
== project.conf
name: inspected
min-version: 2.0
element-path: elements
aliases: {up: 'https://example.com/'}
options:
  fast: {type: bool, description: d, default: true}
  color: {type: enum, description: d, values: [red, blue], default: red}
environment: {EVERYWHERE: '%{project-name}'}
plugins:
- {origin: local, path: plugins, elements: [own]}
== plugins/own.py
from buildstream import BuildElement


class Own(BuildElement):
    BST_MIN_VERSION = '2.0'


def setup():
    return Own
== files/text
hello
== elements/files.bst
kind: import
description: |
  Files of
  all sorts
sources:
- {kind: local, path: files}
- {kind: remote, url: 'up:text', ref: 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03}
== elements/made.bst
kind: own
build-depends: [files.bst]
runtime-depends: ['sub.bst:inner.bst']
depends: [both.bst]
environment: {HOME: /root}
== elements/both.bst
kind: stack
== elements/sub.bst
kind: junction
sources: [{kind: local, path: sub}]
== sub/project.conf
name: sub
min-version: 2.0
== sub/inner.bst
kind: stack
";

fn inspect(mut command: Command, arguments: &[&str]) -> (Value, String) {
    let output = command.arg("inspect").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    (
        serde_json::from_slice(&output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// What something of a list is called.
fn names(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap().iter();
    list.map(|it| it["name"].as_str().unwrap()).collect()
}

#[test]
fn a_project_is_told_as_data() {
    let place = Place::bare(PROJECT);
    let bst = BuildStream::beside(&place, "cache-of-buildstream");
    let hosting = || {
        let mut command = place.headstart();
        command.env("HEADSTART_PYTHON", python());
        command
    };
    let (all, _) = inspect(hosting(), &["made.bst"]);
    let [top, sub] = &all["projects"].as_array().unwrap()[..] else {
        panic!("{all}");
    };
    assert_eq!(
        (&top["name"], &sub["name"]),
        (&json!("inspected"), &json!("sub"))
    );
    assert_eq!(
        (&top["junction"], &sub["junction"]),
        (&Value::Null, &json!("sub.bst"))
    );
    assert_eq!(top["options"], json!({"fast": "1", "color": "red"}));
    assert_eq!(
        names(&top["elements"]),
        ["both.bst", "files.bst", "made.bst"]
    );
    assert_eq!(names(&sub["elements"]), ["sub.bst:inner.bst"]);
    assert_eq!(
        names(&top["plugins"]),
        ["import", "own", "stack", "local", "remote"]
    );
    assert_eq!(all["defaults"]["environment"]["HOME"], "/tmp");

    // The same as BuildStream shows.
    let made = &top["elements"][2];
    assert_eq!(
        made["dependencies"],
        json!([
            {"name": "both.bst", "kind": "all"},
            {"name": "files.bst", "kind": "build"},
            {"name": "inner.bst", "junction": "sub.bst", "kind": "runtime"},
        ])
    );
    assert_eq!(
        made["environment"],
        json!({"EVERYWHERE": "inspected", "HOME": "/root"})
    );
    let shown = bst.run(&[
        "show",
        "--format",
        "%{name} %{full-key} %{state}",
        "made.bst",
    ]);
    let elements = [&top["elements"], &sub["elements"]].map(|it| it.as_array().unwrap());
    for element in elements.into_iter().flatten() {
        let text = |key: &str| element[key].as_str().unwrap();
        let line = format!("{} {} {}", text("name"), text("key"), text("state"));
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
        let variables = bst.run(&["show", "-d", "none", "--format", "%{vars}", text("name")]);
        for line in variables.lines().filter(|line| !line.is_empty()) {
            let (name, _) = line.split_once(':').unwrap();
            assert!(element["variables"][name].is_string(), "{name}");
        }
    }
    let files = &top["elements"][1];
    assert_eq!(files["description"], "Files of all sorts");
    let info = bst.run(&[
        "show",
        "-d",
        "none",
        "--format",
        "%{source-info}",
        "files.bst",
    ]);
    for source in files["sources"].as_array().unwrap() {
        let texts = source.as_object().unwrap().iter();
        for (key, value) in texts.filter_map(|(key, value)| Some((key, value.as_str()?))) {
            let line = format!("{key}: {value}");
            assert!(info.contains(&line), "{line}: {info}");
        }
    }
    assert_eq!(files["sources"].as_array().unwrap().len(), 2);

    let (some, _) = inspect(hosting(), &["--deps", "none", "files.bst", "both.bst"]);
    assert_eq!(
        names(&some["projects"][0]["elements"]),
        ["files.bst", "both.bst"]
    );
    let (some, _) = inspect(hosting(), &["--except", "files.bst", "made.bst"]);
    assert_eq!(
        names(&some["projects"][0]["elements"]),
        ["both.bst", "made.bst"]
    );

    // Without BuildStream sources can't say more than what they are.
    let mut alone = place.headstart();
    alone.env("HEADSTART_PYTHON", "/nowhere/python");
    let (some, said) = inspect(alone, &["files.bst"]);
    assert_eq!(
        some["projects"][0]["elements"][0]["sources"],
        json!([{"kind": "local"}, {"kind": "remote"}])
    );
    assert!(
        said.contains("of sources only the kinds are told"),
        "{said}"
    );
}
