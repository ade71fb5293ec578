//! What files hold, and what could not be read of them.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use headstart_merkle::{BlobDigest, DirectoryDigest, DirectoryReader, Node};
use headstart_store::{Directories, LocalBlobs, Recent, StoreError};

/// How many long files stay open in each generation.
const OPEN: usize = 64;

/// The contents of the store's files, as the kernel asks for them: in pieces, at any place, in any order.
pub(crate) struct Contents {
    store: Arc<Directories<dyn LocalBlobs>>,
    /// Files that are read in more than one piece.
    open: Mutex<Recent<BlobDigest, Arc<File>>>,
    /// What could not be read, and when that was tried last.
    failed: Mutex<HashMap<BlobDigest, Instant>>,
}

impl Contents {
    pub(crate) fn new(store: Arc<Directories<dyn LocalBlobs>>) -> Self {
        Self {
            store,
            open: Mutex::new(Recent::new(OPEN, |_| 1, drop)),
            failed: Mutex::default(),
        }
    }

    /// The Directories of all trees.
    pub(crate) fn directories(&self) -> &Directories<dyn LocalBlobs> {
        &self.store
    }

    /// So many bytes of a file from `offset` on, or as many as there are.
    pub(crate) fn read(
        &self,
        digest: BlobDigest,
        offset: u64,
        size: usize,
    ) -> Result<Vec<u8>, StoreError> {
        let left = digest.size().saturating_sub(offset);
        let size = size.min(usize::try_from(left).unwrap_or(usize::MAX));
        if size == 0 {
            return Ok(Vec::new());
        }
        let is_all = size as u64 == digest.size();
        let file = match is_all {
            true => Arc::new(self.open(digest)?),
            false => self.keep_open(digest)?,
        };
        let mut piece = vec![0; size];
        let read = file.read_exact_at(&mut piece, offset);
        read.map_err(|error| StoreError::io(format!("the object {digest}"), error))?;
        Ok(piece)
    }

    fn keep_open(&self, digest: BlobDigest) -> Result<Arc<File>, StoreError> {
        let recent = || self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = recent().get(&digest) {
            return Ok(file);
        }
        let file = Arc::new(self.open(digest)?);
        recent().insert(digest, Arc::clone(&file));
        Ok(file)
    }

    fn open(&self, digest: BlobDigest) -> Result<File, StoreError> {
        let path = self.store.store().file(digest, false)?;
        File::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::Missing(digest),
            _ => StoreError::io(path, error),
        })
    }

    /// Notes that something could not be read.
    pub(crate) fn note_failure(&self, digest: BlobDigest) {
        self.failed().insert(digest, Instant::now());
    }

    /// What could not be read of a tree since then, if anything.
    pub(crate) fn failure(&self, root: DirectoryDigest, since: Instant) -> Option<BlobDigest> {
        let failed: Vec<_> = self
            .failed()
            .iter()
            .filter(|(_, at)| **at >= since)
            .map(|(digest, _)| *digest)
            .collect();
        if failed.is_empty() {
            return None;
        }
        // Seldom enough to look through the whole tree.
        let mut seen = HashSet::new();
        let mut pending = vec![root];
        while let Some(directory) = pending.pop() {
            if failed.contains(&directory.blob()) {
                return Some(directory.blob());
            }
            let Ok(read) = self.store.read_directory(directory) else {
                return Some(directory.blob());
            };
            for node in read.entries.values() {
                match node {
                    Node::File(file) if failed.contains(&file.digest) => return Some(file.digest),
                    Node::Directory(child) if seen.insert(*child) => pending.push(*child),
                    _ => {}
                }
            }
        }
        None
    }

    fn failed(&self) -> MutexGuard<'_, HashMap<BlobDigest, Instant>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
