//! Reading ahead what an artifact that is being built will be held against.
//!
//! As soon as it is there, all who wait for it want to know at once which of its files include others
//! than they did, and where there are new ones. What there was before is known already, so it is read
//! while there is nothing else to do.

use std::collections::BTreeSet;
use std::sync::Arc;

use headstart_merkle::{Ahead, BlobDigest, DirectoryDigest, Everywhere, Name, Node};

use super::Primer;
use super::knowledge::{ElementNo, Key, Known};
use super::scanner::{GENERATION, Scanner};
use super::shapes::{Shapes, Waiting};
use crate::includes::may_include;
use crate::storage::{Storage, directory};

/// How many files are read at a time.
const READ_TOGETHER: usize = 32;

/// How many files of one artifact are read at most: no more than are remembered, together with what
/// they are held against.
const MAX_FILES: usize = GENERATION / 2;

/// An artifact that is being built.
pub(super) struct Coming {
    key: Key,
    /// How many of those who wait for it have been looked at.
    looked_at: usize,
    /// What the last of these have that is still to be read.
    directories: Vec<DirectoryDigest>,
    files: Vec<BlobDigest>,
    /// How many more files may be.
    left: usize,
}

impl Coming {
    fn new(element: ElementNo) -> Self {
        Self {
            key: Key::Artifact(element),
            looked_at: 0,
            directories: Vec::new(),
            files: Vec::new(),
            left: MAX_FILES,
        }
    }

    /// Reads some more; says whether there was anything.
    fn read_some(&mut self, shapes: &Shapes, scanner: &mut Scanner, store: &dyn Storage) -> bool {
        if !self.files.is_empty() {
            let some = self.files.len().min(READ_TOGETHER).min(self.left);
            self.left -= some;
            let some = self.files.split_off(self.files.len() - some);
            scanner.read_all(some, store);
            return self.left > 0;
        }
        if let Some(digest) = self.directories.pop() {
            self.list(digest, None, store);
            return true;
        }
        match shapes.waiting(self.key, self.looked_at) {
            Some(Waiting::Files(digest, places)) => self.list(digest, Some(places), store),
            Some(Waiting::Tree(digest)) => self.directories.push(digest),
            Some(Waiting::Unknown) => {}
            None => return false,
        }
        self.looked_at += 1;
        true
    }

    /// Adds the files of a Directory, or those at these places, that may include others; and, of the whole
    /// of it, the Directories below. What can't be read is told of when it is needed.
    fn list(&mut self, digest: DirectoryDigest, places: Option<&[u32]>, store: &dyn Storage) {
        let Ok(here) = directory(store, digest) else {
            return;
        };
        let mut add = |(name, node): (&Name, &Node)| match node {
            Node::File(file) if may_include(name.as_str()) => self.files.push(file.digest),
            Node::Directory(below) if places.is_none() => self.directories.push(*below),
            _ => {}
        };
        match places {
            Some(places) => {
                let entries = places
                    .iter()
                    .filter_map(|place| here.entries.nth(*place as usize));
                entries.for_each(&mut add);
            }
            None => here.entries.iter().for_each(&mut add),
        }
    }
}

impl Primer {
    /// Takes note that an element is being built.
    pub(super) fn expect_artifact(&mut self, element: ElementNo) {
        if self.knowledge.tree(Key::Artifact(element)) == Known::NotYet {
            self.coming.push_back(Coming::new(element));
        }
    }

    /// Whether a tree is an artifact that was being built: what it was has been read then.
    pub(super) fn was_coming(&self, key: Key) -> bool {
        match key {
            Key::Artifact(element) => self.elements.get(&element).is_some_and(|it| it.started),
            _ => false,
        }
    }

    /// Reads some of what the next artifact will be held against; says whether there was anything.
    pub(super) fn read_ahead(&mut self, store: &dyn Storage) -> bool {
        let Some(coming) = self.coming.front_mut() else {
            return false;
        };
        if coming.looked_at == 0 {
            let was: BTreeSet<_> = self.shadows.were(coming.key).collect();
            let whole = was.into_iter().map(Ahead::whole).collect();
            store.read_ahead(whole, Arc::new(Everywhere));
        }
        if !coming.read_some(&self.shapes, &mut self.scanner, store) {
            self.coming.pop_front();
        }
        true
    }
}
