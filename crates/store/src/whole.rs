//! Trees of which all is known to be here.
//!
//! Whoever stages or fetches a tree has to know that nothing of it is missing, which takes a look at each of its
//! files. Trees of one build have most of their Directories in common, and the same ones are asked for again and
//! again; so what was found is remembered for each Directory, as long as nothing has gone from the store.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use headstart_merkle::{DirectoryDigest, DirectoryReader, Node, TreeError};
use rayon::prelude::*;

use crate::blobs::{BlobStore, StoreError};
use crate::directories::Directories;
use crate::recent::Recent;

/// For how long what was found is relied on. After that it is looked for again, by which the store sees that it is
/// used.
const RELIED_ON: Duration = Duration::from_secs(30);
/// How many Directories are remembered in each generation.
const REMEMBERED: usize = 32 * 1024;

/// Directories that were found with all that is below them.
#[derive(Debug)]
pub struct WholeTrees(Mutex<Recent<Subtree, Found>>);

/// All below a Directory: other Directories, and with `files` what is in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Subtree {
    root: DirectoryDigest,
    files: bool,
}

#[derive(Debug, Clone, Copy)]
struct Found {
    at: Instant,
    departures: u64,
}

impl Default for WholeTrees {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(REMEMBERED, |_| 1, drop)))
    }
}

impl WholeTrees {
    /// What is known of trees in a store from which things have gone `departures` times.
    pub fn after(&self, departures: u64) -> KnownTrees<'_> {
        KnownTrees {
            found: &self.0,
            departures,
        }
    }
}

/// What is known of trees as long as nothing goes.
pub struct KnownTrees<'a> {
    found: &'a Mutex<Recent<Subtree, Found>>,
    departures: u64,
}

impl KnownTrees<'_> {
    /// When all of a tree was found, if that can be relied on at `now`.
    fn found(&self, tree: Subtree, now: Instant) -> Option<Instant> {
        let found = self.lock().get(&tree)?;
        let is_recent = now.saturating_duration_since(found.at) < RELIED_ON;
        (found.departures == self.departures && is_recent).then_some(found.at)
    }

    /// Remembers trees all of which was looked for at `at` or later, and found.
    fn note(&self, trees: Vec<Subtree>, at: Instant) {
        let departures = self.departures;
        let mut found = self.lock();
        for tree in trees {
            found.insert(tree, Found { at, departures });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Recent<Subtree, Found>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: BlobStore + ?Sized + 'static> Directories<S> {
    /// Sees that all of a tree is here: its Directories, and with `files` what is in its files. What the store has
    /// behind it is brought. Gives a time since when nothing of it has gone.
    ///
    /// # Errors
    /// [`TreeError::Missing`] with something that is nowhere.
    pub fn find_whole(&self, root: DirectoryDigest, files: bool) -> Result<Instant, TreeError> {
        let begun = Instant::now();
        // First of all: what goes from now on counts.
        let known = self.store().known_trees();
        let found = |root| known.as_ref()?.found(Subtree { root, files }, begun);
        if let Some(at) = found(root) {
            return Ok(at);
        }
        let nowhere = self.store().bring_tree(root, files).map_err(failed)?;
        if let Some(nowhere) = nowhere.first() {
            return Err(TreeError::Missing(*nowhere));
        }
        let mut whole_since = begun;
        let mut seen = HashSet::from([root]);
        let mut level = vec![root];
        while !level.is_empty() {
            let directories = level.par_iter();
            let children = directories.map(|digest| self.look_into(*digest, files));
            let children: Vec<_> = children.collect::<Result<_, _>>()?;
            level = children.into_iter().flatten().collect();
            level.retain(|child| seen.insert(*child));
            level.retain(|child| match found(*child) {
                Some(at) => {
                    whole_since = whole_since.min(at);
                    false
                }
                None => true,
            });
        }
        if let Some(known) = known {
            let trees = seen.into_iter().map(|root| Subtree { root, files });
            known.note(trees.collect(), whole_since);
        }
        Ok(whole_since)
    }

    /// Looks for a Directory, and with `files` for what is in its files; gives the Directories in it.
    fn look_into(
        &self,
        digest: DirectoryDigest,
        files: bool,
    ) -> Result<Vec<DirectoryDigest>, TreeError> {
        let directory = self.read_directory(digest)?;
        let mut children = Vec::new();
        // That it is remembered does not keep it in the store.
        let mut blobs = vec![digest.blob()];
        for node in directory.entries.values() {
            match node {
                Node::Directory(child) => children.push(*child),
                Node::File(file) if files => blobs.push(file.digest),
                Node::File(_) | Node::Symlink(_) => {}
            }
        }
        // Of a store with another behind it, all is here by now.
        if !self.store().is_backed() {
            let missing = self.store().missing(&blobs).map_err(failed)?;
            if let Some(missing) = missing.first() {
                return Err(TreeError::Missing(*missing));
            }
        }
        Ok(children)
    }
}

fn failed(error: StoreError) -> TreeError {
    TreeError::Backend(Box::new(error))
}
