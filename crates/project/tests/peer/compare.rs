//! Projects on disk, loaded and compared with what BuildStream makes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use headstart_project::{ElementGraph, Keys, Nothing, Projects};

use crate::buildstream::Peer;
use crate::disk;

pub(crate) fn load(
    root: &Path,
    options: &[(&str, &str)],
    targets: &[&str],
) -> (ElementGraph, Keys) {
    let mut settings = disk::settings(root);
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    settings.options = options.iter().map(owned).collect();
    let files = Arc::new(disk::Disk(root.to_owned()));
    let projects = Projects::load(files, Arc::new(Nothing), settings);
    let projects = projects.unwrap_or_else(|error| panic!("{error}"));
    let graph = projects
        .load_elements(targets)
        .unwrap_or_else(|error| panic!("{error}"));
    let contents = disk::digest(root, &graph.contents()).unwrap();
    let keys = Keys::compute(&graph, &contents);
    (graph, keys)
}

/// Compares the elements, their order and all keys: weak, strict, of each source and of all.
#[track_caller]
pub(crate) fn check(root: &Path, options: &[(&str, &str)], targets: &[&str]) {
    let (graph, keys) = load(root, options, targets);
    let peer = Peer::new();

    let mut arguments: Vec<&str> = Vec::new();
    for (name, value) in options {
        arguments.extend(["-o", name, value]);
    }
    arguments.extend(["show", "--deps", "all", "--format", "%{name} %{full-key}"]);
    arguments.extend(targets);
    let shown: Vec<String> = graph
        .iter()
        .map(|(id, element)| format!("{} {}", element.full_name, keys.get(id).unwrap().strict))
        .collect();
    assert_eq!(
        shown,
        peer.bst(root, &arguments).lines().collect::<Vec<_>>()
    );

    let traced: BTreeMap<String, String> = peer
        .trace(root, &arguments)
        .into_iter()
        .map(|(text, key)| (key, text))
        .collect();
    let mut ours = BTreeSet::new();
    for (id, element) in graph.iter() {
        let element_keys = keys.get(id).unwrap();
        ours.extend([element_keys.weak.hex(), element_keys.strict.hex()]);
        // What a build that is not strict makes of dependencies whose strong keys are the strict.
        let strong = keys.strong(&graph, id, |id| Some(keys.get(id)?.strict));
        assert_eq!(strong, Some(element_keys.strict));
        ours.insert(keys.element_sources(id).unwrap().hex());
        for index in 0..element.sources.len() {
            ours.insert(keys.source(id, index).unwrap().hex());
        }
    }
    for key in &ours {
        assert!(traced.contains_key(key), "BuildStream made no {key}");
    }
    // Junctions and links on the way are no elements here.
    let on_the_way = ["junction", "link"].map(|kind| format!("\"element-plugin-name\":\"{kind}\""));
    for (key, text) in &traced {
        let is_elements = text.contains("\"element-plugin-name\"");
        let is_on_the_way = on_the_way.iter().any(|kind| text.contains(kind));
        assert!(
            ours.contains(key) || !is_elements || is_on_the_way,
            "BuildStream made {key} of {text}"
        );
    }
}
