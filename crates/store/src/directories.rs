//! Directories as the tree code wants them, out of any blob store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use headstart_merkle::{Directory, DirectoryDigest, DirectoryReader, DirectoryWriter, TreeError};

use crate::blobs::{BlobStore, StoreError};

/// How many decoded Directories are remembered; most are a few hundred bytes.
const REMEMBERED: usize = 16 * 1024;

/// Reads and writes Directories in a blob store, and remembers those met of late: the same header
/// directories occur in the input roots of most actions.
pub struct Directories<S: ?Sized> {
    recent: Mutex<HashMap<DirectoryDigest, Arc<Directory>>>,
    store: Arc<S>,
}

impl<S: BlobStore + ?Sized> Directories<S> {
    /// Directories kept in `store`.
    pub fn new(store: Arc<S>) -> Self {
        Self {
            recent: Mutex::default(),
            store,
        }
    }

    /// Where they are kept.
    pub fn store(&self) -> &Arc<S> {
        &self.store
    }

    fn remember(&self, digest: DirectoryDigest, directory: &Arc<Directory>) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        // Starting over is crude, but costs one more read of each at worst.
        if recent.len() >= REMEMBERED {
            recent.clear();
        }
        recent.insert(digest, Arc::clone(directory));
    }
}

impl<S: BlobStore + ?Sized> DirectoryReader for Directories<S> {
    fn read_directory(&self, digest: DirectoryDigest) -> Result<Arc<Directory>, TreeError> {
        let known = self
            .recent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&digest)
            .cloned();
        if let Some(directory) = known {
            return Ok(directory);
        }
        let bytes = self
            .store
            .read(digest.blob())
            .map_err(|error| match error {
                StoreError::Missing(digest) => TreeError::Missing(digest),
                error => TreeError::Backend(Box::new(error)),
            })?;
        let directory =
            Directory::decode(&bytes).map_err(|source| TreeError::Invalid { digest, source })?;
        let directory = Arc::new(directory);
        self.remember(digest, &directory);
        Ok(directory)
    }
}

impl<S: BlobStore + ?Sized> DirectoryWriter for Directories<S> {
    fn write_directory(&self, digest: DirectoryDigest, encoded: Bytes) -> Result<(), TreeError> {
        // Checked, not remembered: another process may have removed it since.
        let written = self.store.contains(digest.blob()).and_then(|there| {
            if there {
                Ok(())
            } else {
                self.store.write(encoded).map(|_| ())
            }
        });
        written.map_err(|error| TreeError::Backend(Box::new(error)))
    }
}
