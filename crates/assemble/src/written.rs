//! Kinds that write a file about what is built before them, or only look at it:
//! collect_integration, collect_initial_scripts and check_forbidden.

use std::collections::HashSet;
use std::fmt::Write as _;

use headstart_merkle::{DirectoryDigest, FileNode, Node, Tree, TreePath};
use headstart_project::{CheckForbidden, CollectInitialScripts, CollectIntegration, ElementId};

use crate::assembly::{AssembleError, Inputs, empty};
use crate::staging::{Store, effective_integration, place_path};

/// Puts a file with a text into a tree.
pub(crate) fn write_file(
    tree: &mut Tree,
    path: &TreePath,
    text: String,
    executable: bool,
    store: &Store,
) -> Result<(), AssembleError> {
    let digest = store.store().write(text.into())?;
    let node = Node::File(FileNode::new(digest, executable));
    Ok(tree.insert(path, node, store)?)
}

/// One script of all integration commands, in the order of staging.
pub(crate) fn integration(
    inputs: &Inputs<'_>,
    collect: &CollectIntegration,
) -> Result<DirectoryDigest, AssembleError> {
    let graph = inputs.trees.graph;
    let scope = graph.build_scope(inputs.element);
    for name in &collect.ignore {
        if !scope.iter().any(|id| graph[*id].name == *name) {
            return Err(AssembleError::Element(format!(
                "'{name}', which is to be ignored, is not among the dependencies"
            )));
        }
    }
    let mut text = String::from("#!/bin/sh\nset -e\n\n");
    for id in scope {
        let element = &graph[id];
        let commands = effective_integration(&inputs.trees, id);
        let ignored = collect.ignore.contains(&element.name);
        if ignored || commands.is_empty() && !inputs.trees.public(id).lists_integration_commands() {
            continue;
        }
        // Writing to a string can't fail.
        let _ = writeln!(text, "# integration commands from {}", element.name);
        for command in commands {
            let _ = write!(text, "{command}\n\n");
        }
    }
    let store = inputs.trees.directories;
    let mut tree = Tree::empty();
    let path = place_path(&collect.script_path)?;
    write_file(&mut tree, &path, text, true, store)?;
    Ok(tree.write(store)?)
}

/// The scripts in the public data of dependencies, numbered in the order of staging.
pub(crate) fn initial_scripts(
    inputs: &Inputs<'_>,
    collect: &CollectInitialScripts,
) -> Result<DirectoryDigest, AssembleError> {
    let graph = inputs.trees.graph;
    let store = inputs.trees.directories;
    let mut tree = Tree::stored(empty(inputs)?);
    let directory = collect.path.trim_matches('/');
    let mut count = 0;
    for id in graph.build_scope(inputs.element) {
        let element = &graph[id];
        let public = inputs.trees.public(id);
        let Some(script) = public.initial_script() else {
            continue;
        };
        count += 1;
        let safe = |char: char| {
            if char.is_ascii_alphanumeric() {
                char
            } else {
                '_'
            }
        };
        let name: String = element.name.chars().map(safe).collect();
        let path = place_path(&format!("{directory}/{count:03}-{name}"))?;
        write_file(&mut tree, &path, script.to_owned(), true, store)?;
    }
    Ok(tree.write(store)?)
}

/// An error if something that is forbidden is among the dependencies.
pub(crate) fn check_forbidden(
    inputs: &Inputs<'_>,
    check: &CheckForbidden,
) -> Result<(), AssembleError> {
    let graph = inputs.trees.graph;
    let element = &graph[inputs.element];
    let mut seen: HashSet<ElementId> = HashSet::new();
    let mut todo: Vec<Vec<ElementId>> = Vec::new();
    todo.extend(element.build_dependencies.iter().map(|id| vec![*id]));
    while let Some(way) = todo.pop() {
        let Some(&last) = way.last() else { continue };
        if check.forbidden.contains(&graph[last].name) {
            let names: Vec<_> = way.iter().map(|id| &*graph[*id].full_name).collect();
            return Err(AssembleError::Element(format!(
                "'{}' is forbidden: {}",
                graph[last].name,
                names.join(" -> ")
            )));
        }
        if seen.insert(last) {
            for next in &graph[last].runtime_dependencies {
                let mut way = way.clone();
                way.push(*next);
                todo.push(way);
            }
        }
    }
    Ok(())
}
