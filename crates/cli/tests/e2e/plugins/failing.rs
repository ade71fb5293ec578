//! Plugins that can't be run, or that fail: what is said of it.

use super::{hosting, run};
use crate::support::{BuildStream, Place, said};

const PROJECT: &str = r#"
== project.conf
name: e2e
min-version: 2.0
element-path: elements
plugins:
- origin: local
  path: plugins
  elements: [picky, broken, future]
- origin: pip
  package-name: no-such-package
  elements: [missing]
== plugins/picky.py
from buildstream import Element, ElementError


class Picky(Element):
    BST_MIN_VERSION = "2.0"
    BST_FORBID_BDEPENDS = True

    def configure(self, node):
        node.validate_keys(["number", "what"])
        self.number = node.get_int("number")

    def preflight(self):
        if self.number > 3:
            raise ElementError("it is too much", reason="too-much")

    def get_unique_key(self):
        if self.number > 2:
            raise ValueError("not three")
        if self.number > 1:
            import os
            os._exit(7)
        return self.number


def setup():
    return Picky
== plugins/broken.py
import nothing_that_is_there
== plugins/future.py
from buildstream import Element


class Future(Element):
    BST_MIN_VERSION = "2.99"


def setup():
    return Future
== elements/one.bst
kind: picky
config: {number: 1}
== elements/two.bst
kind: picky
config: {number: 2}
== elements/three.bst
kind: picky
config: {number: 3}
== elements/four.bst
kind: picky
config: {number: 4}
== elements/word.bst
kind: picky
config:
  number:   many
== elements/key.bst
kind: picky
config: {number: 1, nummer: 2}
== elements/depends.bst
kind: picky
config: {number: 1}
build-depends: [one.bst]
== elements/config.bst
kind: picky
config: {number: 1}
depends: [{filename: one.bst, type: runtime, config: {a: b}}]
== elements/broken.bst
kind: broken
== elements/future.bst
kind: future
== elements/missing.bst
kind: missing
"#;

#[test]
fn what_a_plugin_refuses_is_said_with_its_place() {
    let place = Place::bare(PROJECT);
    assert_eq!(
        run(&place, &["show", "--format", "%{name}", "one.bst"]),
        "one.bst\n"
    );
    for (element, expected, reason) in [
        (
            "two.bst",
            &["elements/two.bst:1:7", "'picky'", "has ended", "7"][..],
            None,
        ),
        ("three.bst", &["picky.py", "ValueError: not three"], None),
        ("four.bst", &["it is too much"], Some("too-much")),
        (
            "word.bst",
            &["elements/word.bst:3:13", "not of the expected type"],
            Some("INVALID_DATA"),
        ),
        (
            "key.bst",
            &["elements/key.bst:2:29", "nummer"],
            Some("INVALID_DATA"),
        ),
        (
            "depends.bst",
            &["can't have build dependencies"],
            Some("element-forbidden-bdepends"),
        ),
        ("config.bst", &["elements/config.bst:3"], None),
        (
            "broken.bst",
            &["the directory 'plugins'", "nothing_that_is_there"],
            None,
        ),
        (
            "future.bst",
            &["requires BuildStream 2.99"],
            Some("incompatible-minor-version"),
        ),
        (
            "missing.bst",
            &["the Python package 'no-such-package'"],
            Some("package-not-found"),
        ),
    ] {
        let record = place.home().join("error.json");
        let mut command = hosting(&place);
        command.env("HEADSTART_ERROR_FILE", &record);
        let output = command.args(["show", element]).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(255),
            "{element}: {}",
            said(&output)
        );
        for expected in expected {
            assert!(
                said(&output).contains(expected),
                "{element}: {}",
                said(&output)
            );
        }
        let record: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
        if let Some(reason) = reason {
            assert_eq!(record["reason"], *reason, "{element}: {record}");
        }
    }
}

#[test]
fn without_buildstream_it_is_said_what_to_install() {
    let place = Place::bare(PROJECT);
    for (python, expected) in [
        ("/no/such/python", "No such file"),
        ("/bin/false", "has ended"),
    ] {
        let mut command = place.headstart();
        command.env("HEADSTART_PYTHON", python);
        let output = command.args(["show", "one.bst"]).output().unwrap();
        assert_eq!(output.status.code(), Some(255), "{}", said(&output));
        for expected in [
            expected,
            "elements/one.bst:1:7: the element plugin 'picky' of the directory 'plugins'",
            "HEADSTART_PYTHON",
            "pipx install BuildStream",
        ] {
            assert!(said(&output).contains(expected), "{}", said(&output));
        }
    }
}

/// Kinds that are not to be used any more.
const DEPRECATED: &str = r#"
== project.conf
name: e2e
min-version: 2.0
plugins:
- origin: local
  path: plugins
  elements: [old, {kind: older, allow-deprecated: true}]
  sources: [none]
- {origin: local, path: plugins, allow-deprecated: true, elements: [oldest]}
== plugins/old.py
from buildstream import Element


class Old(Element):
    BST_MIN_VERSION = "2.0"
    BST_PLUGIN_DEPRECATED = True
    BST_PLUGIN_DEPRECATION_MESSAGE = "Use 'stack' instead"

    def configure(self, node):
        pass

    def preflight(self):
        pass

    def get_unique_key(self):
        return {}


def setup():
    return Old
== plugins/none.py
from buildstream import Source


class Nothing(Source):
    BST_MIN_VERSION = "2.0"
    BST_PLUGIN_DEPRECATED = True

    def configure(self, node):
        pass

    def preflight(self):
        pass

    def get_unique_key(self):
        return {}

    def load_ref(self, node):
        pass

    def get_ref(self):
        return None

    def set_ref(self, ref, node):
        pass

    def is_resolved(self):
        return True

    def is_cached(self):
        return True


def setup():
    return Nothing
== one.bst
kind: old
depends: [two.bst]
== two.bst
kind: old
depends: [three.bst]
sources:
- kind: none
== three.bst
kind: older
depends: [four.bst]
== four.bst
kind: oldest
"#;

#[test]
fn that_a_kind_is_deprecated_is_told_wherever_it_is_used() {
    let place = Place::bare(DEPRECATED);
    let old = place.project().join("plugins/old.py");
    for other in ["older", "oldest"] {
        std::fs::copy(&old, place.project().join(format!("plugins/{other}.py"))).unwrap();
    }
    let bst = BuildStream::beside(&place, "cache-of-buildstream");
    let show = ["show", "--format", "%{name} %{full-key}", "one.bst"];
    let output = hosting(&place).args(show).output().unwrap();
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    for expected in [
        "one.bst:1:7: the element kind 'old' is deprecated: Use 'stack' instead",
        "two.bst:1:7: the element kind 'old' is deprecated: Use 'stack' instead",
        "two.bst:4:9: the source kind 'none' is deprecated\n",
    ] {
        assert_eq!(text.matches(expected).count(), 1, "{expected}: {text}");
    }
    assert_eq!(text.matches("is deprecated").count(), 3, "{text}");
    let theirs = bst.output(&show);
    assert_eq!(output.stdout, theirs.stdout);
    assert_eq!(
        said(&theirs).matches("Using deprecated plugin").count(),
        3,
        "{}",
        said(&theirs)
    );

    place.edit(
        "project.conf",
        "elements: [oldest]",
        "elements: [oldest, old]",
    );
    let record = place.home().join("error.json");
    let mut twice = hosting(&place);
    twice.env("HEADSTART_ERROR_FILE", &record);
    let output = twice.args(show).output().unwrap();
    assert_eq!(output.status.code(), Some(255), "{}", said(&output));
    let text = "project.conf:8:77: more than one element plugin is declared as 'old'";
    assert!(said(&output).contains(text), "{}", said(&output));
    let record = std::fs::read_to_string(record).unwrap();
    assert!(record.contains("duplicate-plugin"), "{record}");
    assert_eq!(bst.output(&show).status.code(), Some(255));
}
