//! Whoever runs plugins is told early that there will be something to run, and only then.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use headstart_project::{
    ElementGraph, Host, MemoryFiles, Outside, OutsideError, PluginHost, Projects, Settings,
};

/// Counts what it is told before it is asked for anything.
#[derive(Default)]
struct Counting {
    expected: AtomicUsize,
    when_asked: AtomicUsize,
}

impl Outside for Counting {
    fn stage_junction(&self, _: &ElementGraph) -> Result<String, OutsideError> {
        Err("there are no junctions".into())
    }

    fn expect_plugins(&self) {
        self.expected.fetch_add(1, Ordering::Relaxed);
    }

    fn plugins(&self) -> Result<&dyn PluginHost, OutsideError> {
        let expected = self.expected.load(Ordering::Relaxed);
        self.when_asked.store(expected, Ordering::Relaxed);
        Err("nobody runs them".into())
    }
}

/// How often plugins were expected, and how often before they were asked for, when an element was loaded.
fn expected(element: &str) -> (usize, usize) {
    let mut files = MemoryFiles::default();
    let conf = "name: p\nmin-version: 2.0\nplugins:\n- {origin: local, path: plugins, elements: [mine], sources: [own]}\n";
    files.insert("project.conf", conf);
    files.insert("a.bst", element);
    files.insert("file", "content");
    files.insert("plugins/mine.py", "");
    files.insert("plugins/own.py", "");
    let host = Host {
        system: "Linux".to_owned(),
        machine: "x86_64".to_owned(),
        max_jobs: 2,
    };
    let outside = Arc::new(Counting::default());
    let settings = Settings::new(host, "/p");
    let projects = Projects::load(Arc::new(files), outside.clone(), settings).unwrap();
    // Nobody runs them, so that loading may fail.
    let _ = projects.load_elements(&["a.bst"]);
    let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    (count(&outside.expected), count(&outside.when_asked))
}

#[test]
fn plugins_are_expected_when_an_element_names_a_kind_that_is_not_built_in() {
    assert_eq!(expected("kind: mine\n"), (1, 1));
    let source = "kind: import\nsources: [{kind: local, path: file}, {kind: own}]\n";
    assert_eq!(expected(source), (1, 1));
    let built_in = "kind: import\nsources: [{kind: local, path: file}]\n";
    assert_eq!(expected(built_in), (0, 0));
    assert_eq!(expected("kind: link\nconfig: {target: b.bst}\n"), (0, 0));
}
