//! Whatever is done to a project's files, loading it ends with elements or an error.

// The library is pure, its tests are not; and the lints' exception for tests does not see helpers.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use headstart_project::{Contents, Host, Keys, MemoryFiles, Nothing, Projects, Settings};
use proptest::prelude::*;

/// The files of the sample, by path.
static SAMPLE: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sample");
    let mut files = Vec::new();
    let mut todo = vec![root.clone()];
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
                files.push((name.to_owned(), text));
            }
        }
    }
    files.sort();
    files
});

/// Loads the sample after a change, computes keys and writes metadata if it can be loaded.
fn load(change: impl FnOnce(&mut Vec<(String, String)>)) -> bool {
    let mut changed = SAMPLE.clone();
    change(&mut changed);
    let mut files = MemoryFiles::default();
    for (name, text) in changed {
        files.insert(name, text);
    }
    let host = Host {
        system: "Linux".to_owned(),
        machine: "x86_64".to_owned(),
        max_jobs: 2,
    };
    let settings = Settings::new(host, "/sample");
    let graph = Projects::load(Arc::new(files), Arc::new(Nothing), settings)
        .and_then(|projects| projects.load_elements(&["all.bst", "image.bst"]));
    let Ok(graph) = graph else {
        return false;
    };
    Keys::compute(&graph, &Contents::default());
    for (_, element) in graph.iter() {
        element.high_diversity_meta();
        element.public_data(None);
    }
    true
}

#[test]
fn unchanged_it_is_loaded() {
    assert!(load(|_| ()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_changed_file_is_loaded_or_refused(
        file in any::<prop::sample::Index>(),
        from in any::<prop::sample::Index>(),
        len in 0..20_usize,
        text in "[-a-z%{}\\[\\]()?@!=<>:,.'\"|&*/\\\\ \n#0-9é]{0,12}",
    ) {
        load(|files| {
            let at = file.index(files.len());
            let chars: Vec<char> = files[at].1.chars().collect();
            let from = from.index(chars.len() + 1);
            let to = (from + len).min(chars.len());
            let text = text.chars();
            files[at].1 = chars[..from].iter().copied().chain(text).chain(chars[to..].iter().copied()).collect();
        });
    }

    #[test]
    fn a_lost_or_exchanged_file_is_loaded_or_refused(
        one in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
        keep in any::<bool>(),
    ) {
        load(|files| {
            let (one, other) = (one.index(files.len()), other.index(files.len()));
            if keep {
                files[one].1 = files[other].1.clone();
            } else {
                files.remove(one);
            }
        });
    }
}
