//! Scripts that build elements without sandboxes: written for the elements that BuildStream writes some
//! for, under the same names, and able to build.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{BuildStream, Place, finish, python, said};

const PROJECT: &str = r#"
== project.conf
name: bare
min-version: 2.0
element-path: elements
plugins:
- origin: local
  path: plugins
  elements: [own]
== plugins/own.py
from buildstream import BuildElement


class Own(BuildElement):
    BST_MIN_VERSION = "2.0"


def setup():
    return Own
== files/text
hello
== files/tool
#!/bin/sh
echo "$WORD"
== elements/files.bst
kind: import
sources: [{kind: local, path: files}]
config: {source: /, target: /opt/share}
== elements/tool.bst
kind: manual
depends: [files.bst]
sources: [{kind: local, path: files}]
environment: {WORD: it's here}
config:
  build-commands:
  - |
    sh tool > word
    cd /
  - test "$PWD" = "%{build-root}"
  install-commands:
  - install -D word %{install-root}/opt/share/word
  - cat /opt/share/text > %{install-root}/opt/share/again
== elements/own.bst
kind: own
depends: [tool.bst]
config:
  install-commands:
  - install -D /opt/share/again "%{install-root}/opt/own"
== elements/composed.bst
kind: compose
build-depends: [files.bst]
== elements/other.bst
kind: junction
sources: [{kind: local, path: other}]
== other/project.conf
name: other
min-version: 2.0
== other/text.txt
of another project
== other/files.bst
kind: import
sources: [{kind: local, path: text.txt}]
config: {target: /opt/other}
== elements/all.bst
kind: stack
depends: [files.bst, tool.bst, own.bst, composed.bst, 'other.bst:files.bst']
"#;

/// The names of all files below a folder.
fn names(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(at) = pending.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => pending.push(path),
                false => {
                    let path = path.strip_prefix(folder).unwrap();
                    found.insert(path.to_str().unwrap().to_owned());
                }
            }
        }
    }
    found
}

#[test]
fn what_is_checked_out_with_scripts_builds_itself() {
    let place = Place::bare(PROJECT);
    let bst = BuildStream::beside(&place, "cache-of-buildstream");
    let ours = place.home().join("ours");
    let theirs = place.home().join("theirs");
    fs::create_dir_all(place.home()).unwrap();
    let checkout = ["source", "checkout", "--include-build-scripts", "--deps"];
    let checkout = |mut command: Command, folder: &Path| {
        command.args(checkout).args(["all", "--directory"]);
        finish(command.arg(folder).arg("all.bst"));
    };
    let mut headstart = place.headstart();
    headstart.env("HEADSTART_PYTHON", python());
    checkout(headstart, &ours);
    checkout(bst.command(), &theirs);

    let written = names(&ours);
    let mut expected = names(&theirs);
    // Two elements are called `files.bst`: there, one script replaces the other.
    assert!(expected.insert("build-other-files".to_owned()));
    assert_eq!(written, expected);
    assert!(written.contains("other/files/text.txt") && written.contains("build-own"));

    // The machine: the system's programs, and nothing else that could be changed.
    let result = place.home().join("result");
    fs::create_dir(&result).unwrap();
    let mut machine = Command::new("bwrap");
    machine.args([
        "--unshare-all",
        "--ro-bind",
        "/usr",
        "/usr",
        "--dev",
        "/dev",
    ]);
    for folder in ["bin", "sbin", "lib", "lib64"] {
        machine.args(["--symlink", &format!("usr/{folder}"), &format!("/{folder}")]);
    }
    machine.arg("--ro-bind").arg(&ours).arg("/source");
    machine.arg("--bind").arg(&result).arg("/opt");
    let output = machine.args(["--chdir", "/"]).arg("/source/build.sh");
    let output = output.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let read = |path: &str| fs::read_to_string(result.join(path)).unwrap();
    assert_eq!(read("share/text"), "hello\n");
    assert_eq!(read("share/word"), "it's here\n");
    assert_eq!(read("own"), "hello\n");
    assert_eq!(read("other/text.txt"), "of another project\n");

    // An element that can't be built ends it, and says which.
    fs::write(ours.join("tool/tool"), "exit 3\n").unwrap();
    let mut machine_again = Command::new("bwrap");
    machine_again.args(machine.get_args());
    let output = machine_again.output().unwrap();
    assert!(!output.status.success(), "{}", said(&output));
    assert!(
        said(&output).contains("build-tool failed"),
        "{}",
        said(&output)
    );
}
