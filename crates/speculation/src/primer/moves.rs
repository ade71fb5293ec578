//! Versioned directories that today's inputs are in: where recorded actions had those of another version,
//! in their input trees and in their arguments.

use std::collections::BTreeSet;

use headstart_execution::ActionSpec;
use headstart_merkle::{DirectoryDigest, Name, Node, Tree, TreePath};

use super::adapt::Replacements;
use super::compare::Moves;
use super::knowledge::Key;
use super::resolve::Source;
use crate::storage::{SpeculationError, Storage};
use crate::table::{Candidate, Table};

/// What of a plan's input trees is called otherwise today.
#[derive(Default)]
pub(super) struct Moved(Moves);

impl Moved {
    /// Takes note of what has moved in the tree that `key` stands for, the files of which [may
    /// move](may_move).
    pub(super) fn add(&mut self, source: &Source<'_>, key: Key, moves: &Moves) {
        // A directory that nothing was taken from may still be named. Artifacts are staged at the root,
        // if nothing else is known.
        for (path, name) in moves.iter() {
            self.0.insert(path.clone(), name.clone());
        }
        for (at, candidate) in last_candidates(source) {
            if source.key(candidate) != key {
                continue;
            }
            for (path, name) in moves.iter() {
                let below = candidate.directory.strip_prefix(path);
                if let Some(here) = below.and_then(|below| strip_suffix(&at, &below))
                    && last(&here) == last(path)
                {
                    self.0.insert(here, name.clone());
                }
            }
        }
    }

    /// An input tree with its directories where they are today.
    pub(super) fn apply(
        &self,
        root: DirectoryDigest,
        store: &dyn Storage,
    ) -> Result<DirectoryDigest, SpeculationError> {
        let mut tree = Tree::stored(root);
        let mut any = false;
        // Those further below first: above them all is still called as it was.
        for (path, name) in self.0.iter().rev() {
            let Some((parent, _)) = path.split() else {
                continue;
            };
            let new = parent.child(name);
            if let Some(node @ Node::Directory(_)) = tree.get(path, store)?
                && tree.get(&new, store)?.is_none()
            {
                tree.remove(path, store)?;
                tree.insert(&new, node, store)?;
                any = true;
            }
        }
        Ok(if any { tree.write(store)? } else { root })
    }

    /// Paths that may stand in the arguments of a command, and what they are today; longer ones first.
    pub(super) fn paths(&self, spec: &ActionSpec) -> Replacements {
        let home = &spec.working_directory;
        let mut paths = BTreeSet::new();
        for (was, _) in self.0.iter() {
            let Some(is) = self.0.today(was) else {
                continue;
            };
            paths.insert((format!("/{was}"), format!("/{is}")));
            if let (Some(was), Some(is)) = (was.strip_prefix(home), is.strip_prefix(home))
                && !was.is_root()
            {
                paths.insert((was.to_string(), is.to_string()));
            }
        }
        let mut paths: Vec<_> = paths.into_iter().collect();
        paths.sort_by_key(|(was, _)| std::cmp::Reverse(was.len()));
        paths
    }
}

/// Whether the files of a tree are where they are staged, so that directories which move there move in
/// the input tree.
pub(super) fn may_move(key: Key) -> bool {
    matches!(key, Key::Artifact(_) | Key::Root(_))
}

/// For each directory of the recorded input trees what its files came from in the end.
fn last_candidates<'a>(source: &Source<'a>) -> impl Iterator<Item = (TreePath, &'a Candidate)> {
    let message = source.message;
    let table: &Table = &message.inputs;
    let directories = table.below(&TreePath::root()).into_iter();
    directories.flat_map(move |path| {
        let rules: BTreeSet<_> = match table.find(&path) {
            Some(at) => table.at(at).rules().collect(),
            None => BTreeSet::new(),
        };
        let last = rules
            .into_iter()
            .filter_map(|rule| message.rule(rule).0.last());
        last.map(|candidate| (path.clone(), candidate))
            .collect::<Vec<_>>()
    })
}

/// What is above `below` in a path that ends with it.
fn strip_suffix(path: &TreePath, below: &TreePath) -> Option<TreePath> {
    if below.is_root() {
        return Some(path.clone());
    }
    let above = path.as_str().strip_suffix(below.as_str())?;
    TreePath::new(above.strip_suffix('/')?).ok()
}

fn last(path: &TreePath) -> Option<Name> {
    path.split().map(|(_, name)| name)
}
