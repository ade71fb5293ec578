//! How large trees are. Those of one build have most of their Directories in common, so that is remembered for each of
//! these.

use std::sync::{Mutex, MutexGuard, PoisonError};

use headstart_execution::SandboxError;
use headstart_merkle::{DirectoryDigest, Extent, extents};
use headstart_store::Recent;

use crate::links::{Store, unreadable};

/// How many Directories are remembered in each generation.
const REMEMBERED: usize = 32 * 1024;

/// The extents of Directories, with all that is below them.
pub(crate) struct Surveyor(Mutex<Recent<DirectoryDigest, Extent>>);

impl Default for Surveyor {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(REMEMBERED, |_| 1, drop)))
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
        let found = extents(store, root, |digest| self.known().get(&digest));
        let found = found.map_err(|error| unreadable("stage a tree", error))?;
        let extent = found.get(&root).copied().unwrap_or_default();
        let mut known = self.known();
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

    fn known(&self) -> MutexGuard<'_, Recent<DirectoryDigest, Extent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
