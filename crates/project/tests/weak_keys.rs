//! What an element's earlier builds are found under: its weak key stays as it is when a dependency
//! changes, and changes when anything of the element itself does. The strict key tells both.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use headstart_project::{
    CacheKey, Content, Contents, Host, Keys, MemoryFiles, Nothing, Projects, Settings,
};

const PROJECT: &str = "
//- project.conf
name: p
min-version: 2.0
element-path: e
//- e/low.bst
kind: manual
config:
  build-commands: [make low]
//- e/other.bst
kind: stack
//- e/third.bst
kind: stack
//- e/a.bst
kind: manual
build-depends:
- low.bst
- other.bst
sources:
- kind: local
  path: a.c
environment:
  LANG: C
sandbox:
  build-uid: 0
config:
  build-commands: [make a]
  install-commands: [make install]
//- a.c
int a;
";

/// The weak and the strict key of a.bst, where `source` is the hash of its source.
fn keys(project: &str, source: &str) -> [CacheKey; 2] {
    let host = Host {
        system: "Linux".to_owned(),
        machine: "x86_64".to_owned(),
        max_jobs: 2,
    };
    let files = Arc::new(MemoryFiles::from_fixture(project.trim_start()));
    let projects = Projects::load(files, Arc::new(Nothing), Settings::new(host, "/p")).unwrap();
    let graph = projects.load_elements(&["a.bst"]).unwrap();
    let hash = |content: Content| (content, Arc::from(source.repeat(64)));
    let contents: Contents = graph.contents().into_iter().map(hash).collect();
    let keys = Keys::compute(&graph, &contents);
    let (id, _) = graph
        .iter()
        .find(|(_, element)| &*element.name == "a.bst")
        .unwrap();
    let keys = keys.get(id).unwrap();
    [keys.weak, keys.strict]
}

/// Whether the weak and the strict key become others by an edit.
fn changes(before: &str, after: &str) -> [bool; 2] {
    assert!(PROJECT.contains(before), "{before:?} is not in the project");
    let (old, new) = (
        keys(PROJECT, "0"),
        keys(&PROJECT.replace(before, after), "0"),
    );
    std::array::from_fn(|which| old[which] != new[which])
}

#[test]
fn the_same_element_has_the_same_keys() {
    let [weak, strict] = keys(PROJECT, "0");
    assert_eq!(keys(PROJECT, "0"), [weak, strict]);
    assert_eq!(weak.hex().len(), 64);
    assert_ne!(weak, strict);
}

#[test]
fn a_dependency_that_changes_changes_the_strict_key_only() {
    assert_eq!(changes("make low", "make it"), [false, true]);
    // Unless the element says that it is to be built again then.
    let strictly = PROJECT.replace("- low.bst\n", "- filename: low.bst\n  strict: true\n");
    let edited = strictly.replace("make low", "make it");
    assert_ne!(keys(&strictly, "0")[0], keys(&edited, "0")[0]);
}

#[test]
fn the_order_of_dependencies_is_not_part_of_the_weak_key() {
    let [weak, _] = changes("- low.bst\n- other.bst", "- other.bst\n- low.bst");
    assert!(!weak);
}

#[test]
fn whatever_changes_of_the_element_itself_changes_both_keys() {
    for (before, after) in [
        ("[make a]", "[make b]"),
        ("[make install]", "[make install-strip]"),
        ("- low.bst\n- other.bst", "- low.bst"),
        (
            "- low.bst\n- other.bst",
            "- low.bst\n- other.bst\n- third.bst",
        ),
        ("build-uid: 0", "build-uid: 1000"),
        ("LANG: C", "LANG: C.UTF-8"),
    ] {
        assert_eq!(changes(before, after), [true, true], "{after}");
    }
    let (old, new) = (keys(PROJECT, "0"), keys(PROJECT, "1"));
    assert!(old[0] != new[0] && old[1] != new[1], "the source");
}
