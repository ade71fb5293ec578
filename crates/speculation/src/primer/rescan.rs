//! Headers that an edit adds to an action's inputs, or takes away.
//!
//! An adapted action has the files that the recorded one had. Where a changed file includes others
//! than it did, the client in the sandbox will find others: what is included anew is looked for along
//! the compiler's search path, in the directories that the recorded inputs came from, and what
//! nothing includes any more is left out. So it is where a directive means another file than it did,
//! since there is a new one in front of it or the old one is removed. Nothing is looked at unless
//! directives have changed, inputs are removed, or there are new files of their names
//! ([`shadows`](super::shadows)).
//!
//! Directives are read, not preprocessed: one in a branch that is not compiled is taken for one that
//! is. Then the prediction is wrong, and nobody asks for it.

use std::collections::BTreeSet;

use headstart_execution::ActionSpec;
use headstart_merkle::{BlobDigest, DirectoryDigest, Name, Node, Tree, TreePath};

use super::knowledge::{Knowledge, Known};
use super::pace::{Halt, Slices};
use super::resolve::Source;
use super::scanner::{Differences, Scanned, Scanner, scan};
use super::search::Search;
use crate::includes::{Include, may_include};
use crate::storage::{SpeculationError, Storage, lookup};
use crate::table::{Kind, RuleId};

/// How many files one edit may bring in.
const MAX_FILES: usize = 10_000;

/// A compile whose files include others than they did.
pub(super) struct Rescan<'a> {
    pub(super) spec: &'a ActionSpec,
    pub(super) base_root: DirectoryDigest,
    pub(super) source: Source<'a>,
    pub(super) knowledge: &'a mut Knowledge,
    pub(super) scanner: &'a mut Scanner,
    pub(super) slices: &'a mut Slices,
    pub(super) store: &'a dyn Storage,
}

impl Rescan<'_> {
    /// The tree that the client will ask with, where `root` has today's content of what it had.
    pub(super) fn run(
        mut self,
        root: DirectoryDigest,
        differences: Differences,
    ) -> Result<DirectoryDigest, Halt> {
        let search = Search::new(self.spec, &self.source.message.inputs);
        let mut tree = Tree::stored(root);
        let mut pending = differences.added;
        let mut shadowed = Vec::new();
        for (file, include) in differences.elsewhere {
            // What was found nowhere stands where nothing is compiled.
            let was = self.first(search.candidates(&file, &include), self.base_root)?;
            let is = self.find(&search, &file, &include, root)?;
            if let (Some(was), Some((is, _))) = (was, is)
                && was != is
            {
                shadowed.push(was);
                pending.push((file, include));
            }
        }
        let mut count = 0;
        while let Some((file, include)) = pending.pop() {
            let Some((path, node)) = self.find(&search, &file, &include, root)? else {
                continue;
            };
            if tree.get(&path, self.store)?.is_some() || count > MAX_FILES {
                continue;
            }
            count += 1;
            if let Node::File(file) = &node
                && let Some(below) = self.scan(file.digest)?
            {
                pending.extend(below.named.iter().map(|i| (path.clone(), i.clone())));
            }
            tree.insert(&path, node, self.store)?;
        }
        let mut root = tree.write(self.store)?;
        if !differences.removed.is_empty() || !shadowed.is_empty() {
            root = self.without_unused(&search, root, &differences.removed, shadowed)?;
            root = self.with_folders(&search, root)?;
        }
        Ok(root)
    }

    /// Folders that the command names are there for it, whether or not anything is taken from them.
    fn with_folders(
        &self,
        search: &Search,
        root: DirectoryDigest,
    ) -> Result<DirectoryDigest, SpeculationError> {
        let mut tree = Tree::stored(root);
        for folder in &search.named {
            if let Some(Node::Directory(_)) = lookup(self.store, self.base_root, folder, true)? {
                tree.make_directory(folder, self.store)?;
            }
        }
        Ok(tree.write(self.store)?)
    }

    fn scan(&mut self, content: BlobDigest) -> Result<Scanned, Halt> {
        scan(self.scanner, self.slices, content, self.store)
    }

    /// What a directive means: a path that the tree has, or that it would have.
    fn find(
        &mut self,
        search: &Search,
        file: &TreePath,
        include: &Include,
        root: DirectoryDigest,
    ) -> Result<Option<(TreePath, Node)>, Halt> {
        for path in search.candidates(file, include) {
            if let Some(node @ Node::File(_)) = lookup(self.store, root, &path, true)? {
                return Ok(Some((path, node)));
            }
            if let Some(node) = self.source.find_new(&path, self.knowledge, self.store)? {
                return Ok(Some((path, node)));
            }
        }
        Ok(None)
    }

    /// Leaves out what `removed` directives named and what is `shadowed`, with what that included, unless
    /// something else includes it. Where names are computed nobody knows, and all stays.
    fn without_unused(
        &mut self,
        search: &Search,
        root: DirectoryDigest,
        removed: &[(TreePath, Include)],
        shadowed: Vec<TreePath>,
    ) -> Result<DirectoryDigest, Halt> {
        let mains = self.spec.arguments.iter().skip(1);
        let mains = mains.filter_map(|argument| search.path(argument));
        let Some(used) = self.reachable(search, root, mains.collect())? else {
            return Ok(root);
        };
        let mut named = shadowed;
        for (file, include) in removed {
            named.extend(self.first(search.candidates(file, include), root)?);
        }
        let Some(unused) = self.reachable(search, root, named)? else {
            return Ok(root);
        };
        let mut tree = Tree::stored(root);
        for path in unused.difference(&used) {
            tree.remove(path, self.store)?;
            remove_empty(&mut tree, path, self.store)?;
        }
        Ok(tree.write(self.store)?)
    }

    /// The first of `paths` that is a file of the tree.
    fn first(
        &self,
        paths: impl IntoIterator<Item = TreePath>,
        root: DirectoryDigest,
    ) -> Result<Option<TreePath>, SpeculationError> {
        for path in paths {
            if let Some(Node::File(_)) = lookup(self.store, root, &path, true)? {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// The files of the tree that `from` are or include; `None` if that can't be said.
    fn reachable(
        &mut self,
        search: &Search,
        root: DirectoryDigest,
        from: Vec<TreePath>,
    ) -> Result<Option<BTreeSet<TreePath>>, Halt> {
        let mut reached = BTreeSet::new();
        let mut pending = from;
        while let Some(path) = pending.pop() {
            let Some(Node::File(file)) = lookup(self.store, root, &path, true)? else {
                continue;
            };
            let name = path.split().map(|(_, name)| name);
            if !name.is_some_and(|name| may_include(name.as_str())) || !reached.insert(path.clone())
            {
                continue;
            }
            let Some(below) = self.scan(file.digest)? else {
                return Ok(None);
            };
            if below.computed {
                return Ok(None);
            }
            for include in &below.named {
                pending.extend(self.first(search.candidates(&path, include), root)?);
            }
        }
        Ok(Some(reached))
    }
}

/// Removes the directories above `path` that have nothing in them any more.
fn remove_empty(
    tree: &mut Tree,
    path: &TreePath,
    store: &dyn Storage,
) -> Result<(), SpeculationError> {
    let mut path = path.clone();
    while let Some((parent, _)) = path.split() {
        let empty = tree
            .names(&parent, store)?
            .is_some_and(|names| names.is_empty());
        if !empty || parent.is_root() {
            return Ok(());
        }
        tree.remove(&parent, store)?;
        path = parent;
    }
    Ok(())
}

impl Source<'_> {
    /// The file that stands today at a path where the recorded inputs had none: where others of its
    /// directory, or of the nearest above it, came from.
    fn find_new(
        &self,
        path: &TreePath,
        knowledge: &mut Knowledge,
        store: &dyn Storage,
    ) -> Result<Option<Node>, SpeculationError> {
        let Some((parent, name)) = path.split() else {
            return Ok(None);
        };
        let (mut above, mut below) = (parent, TreePath::root());
        loop {
            let table = &self.message.inputs;
            let directory = table.find(&above).map(|at| table.at(at));
            let rules: BTreeSet<_> = directory.into_iter().flat_map(|d| d.rules()).collect();
            for rule in &rules {
                let found = self.added(*rule, &below, &name, knowledge, store)?;
                if found.is_some() {
                    return Ok(found);
                }
            }
            let Some((parent, last)) = above.split().filter(|_| rules.is_empty()) else {
                return Ok(None);
            };
            below = TreePath::from(last).join(&below);
            above = parent;
        }
    }

    fn added(
        &self,
        rule: RuleId,
        below: &TreePath,
        name: &Name,
        knowledge: &mut Knowledge,
        store: &dyn Storage,
    ) -> Result<Option<Node>, SpeculationError> {
        let candidates = &self.message.rule(rule).0;
        // An artifact that is known decides, as for the others.
        let last = candidates.len().wrapping_sub(1);
        let all = candidates.iter().enumerate();
        let artifacts = all.clone().rev().filter(|(_, c)| c.kind == Kind::Artifact);
        let others = all.filter(|(_, c)| c.kind != Kind::Artifact);
        for (place, candidate) in artifacts.chain(others) {
            let Known::Tree(tree) = knowledge.tree(self.key(candidate)) else {
                continue;
            };
            let moved = self.moved(candidate, tree, knowledge, store);
            let directory = moved.as_ref().unwrap_or(&candidate.directory);
            let path = directory.join(below).child(name);
            if let Some(node @ Node::File(_)) = lookup(store, tree, &path, true)? {
                return Ok(Some(node));
            }
            if place == last && candidate.kind == Kind::Artifact {
                return Ok(None);
            }
        }
        Ok(None)
    }
}
