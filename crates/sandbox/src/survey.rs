//! What is known of trees before anybody works in them: how large they are, and that all of them is in the store.
//!
//! Trees of one build have most of their Directories in common, so what was found is remembered for each of
//! these.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use headstart_execution::SandboxError;
use headstart_merkle::{
    BlobDigest, DirectoryDigest, DirectoryReader, Extent, Node, TreeError, extents,
};
use headstart_store::{Recent, StoreError};

use crate::links::{Store, unreadable};

/// For how long what was found to be there is taken to be there still: what goes from the store is what was not
/// used for longest.
const RELIED_ON: Duration = Duration::from_secs(30);
/// How many Directories are remembered in each generation.
const REMEMBERED: usize = 32 * 1024;
/// How many files are looked for together.
const TOGETHER: usize = 8 * 1024;

/// What was found of Directories, with all that is below them.
pub(crate) struct Surveyor {
    extents: Mutex<Recent<DirectoryDigest, Extent>>,
    /// When they were last found to be there.
    complete: Mutex<Recent<DirectoryDigest, Instant>>,
}

impl Default for Surveyor {
    fn default() -> Self {
        Self {
            extents: Mutex::new(Recent::new(REMEMBERED, |_| 1, drop)),
            complete: Mutex::new(Recent::new(REMEMBERED, |_| 1, drop)),
        }
    }
}

impl Surveyor {
    /// How many entries there are below a Directory.
    ///
    /// # Errors
    /// [`SandboxError::TooLarge`] if it has more than anybody should make.
    pub(crate) fn entries(
        &self,
        root: DirectoryDigest,
        store: &Store,
    ) -> Result<usize, SandboxError> {
        let found = extents(store, root, |digest| lock(&self.extents).get(&digest));
        let found = found.map_err(failed)?;
        let extent = found.get(&root).copied().unwrap_or_default();
        let mut known = lock(&self.extents);
        for (digest, extent) in found {
            if !known.contains(&digest) {
                known.insert(digest, extent);
            }
        }
        drop(known);
        match usize::try_from(extent.entries) {
            Ok(entries) if extent.is_usable() => Ok(entries),
            _ => Err(SandboxError::TooLarge { root, extent }),
        }
    }

    /// Looks for all of a tree, but for what was found shortly before; gives when the first of that was, if there is any.
    ///
    /// # Errors
    /// With something that is missing.
    pub(crate) fn look_for(
        &self,
        root: DirectoryDigest,
        store: &Store,
    ) -> Result<Option<Instant>, SandboxError> {
        let begun = Instant::now();
        let mut relied_on: Option<Instant> = None;
        let mut seen = HashSet::from([root]);
        let mut pending = vec![root];
        let mut checked = Vec::new();
        let mut blobs = Vec::new();
        while let Some(digest) = pending.pop() {
            let found = lock(&self.complete).get(&digest);
            if let Some(at) = found.filter(|at| begun.saturating_duration_since(*at) < RELIED_ON) {
                relied_on = Some(relied_on.map_or(at, |other| other.min(at)));
                continue;
            }
            let directory = store.read_directory(digest).map_err(failed)?;
            // That it is remembered does not keep it in the store.
            blobs.push(digest.blob());
            for node in directory.entries.values() {
                match node {
                    Node::File(file) => blobs.push(file.digest),
                    Node::Directory(child) if seen.insert(*child) => pending.push(*child),
                    Node::Directory(_) | Node::Symlink(_) => {}
                }
            }
            if blobs.len() >= TOGETHER {
                look_for(&mut blobs, store)?;
            }
            checked.push(digest);
        }
        look_for(&mut blobs, store)?;
        let mut complete = lock(&self.complete);
        for digest in checked {
            complete.insert(digest, begun);
        }
        Ok(relied_on)
    }
}

fn look_for(blobs: &mut Vec<BlobDigest>, store: &Store) -> Result<(), SandboxError> {
    let missing = store.store().missing(blobs)?;
    blobs.clear();
    match missing.into_iter().next() {
        None => Ok(()),
        Some(digest) => Err(SandboxError::Store(StoreError::Missing(digest))),
    }
}

fn failed(error: TreeError) -> SandboxError {
    unreadable("stage a tree", error)
}

fn lock<K, V>(recent: &Mutex<Recent<K, V>>) -> MutexGuard<'_, Recent<K, V>> {
    recent.lock().unwrap_or_else(PoisonError::into_inner)
}
