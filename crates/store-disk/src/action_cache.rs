//! Action results as files, one an action.
//!
//! A file is the SHA-256 hash of the encoded ActionResult, followed by the encoding. A file that is
//! torn or damaged is no hit.

use std::fs;
use std::io;
use std::path::PathBuf;

use headstart_merkle::{ActionDigest, BlobDigest};
use headstart_store::{ActionCache, StoreError, StoredResult};

use crate::layout::{Layout, sharded};
use crate::temporary::Temporary;

/// The length of the hash at the beginning of each file.
const HASH: usize = 32;

/// Action results as files below `headstart/action-cache`.
#[derive(Debug, Clone)]
pub struct DiskActionCache {
    results: PathBuf,
    temporary: PathBuf,
}

impl DiskActionCache {
    /// Opens the cache in a cache directory; its folders are made when they are needed.
    pub fn open(layout: &Layout) -> Self {
        Self {
            results: layout.action_results(),
            temporary: layout.temporary(),
        }
    }
}

impl ActionCache for DiskActionCache {
    fn get(&self, action: ActionDigest) -> Result<Option<StoredResult>, StoreError> {
        let path = sharded(&self.results, action);
        let content = match fs::read(&path) {
            Ok(content) => bytes::Bytes::from(content),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io(path, error)),
        };
        let whole =
            content.len() >= HASH && BlobDigest::of(&content[HASH..]).hash()[..] == content[..HASH];
        if !whole {
            return Ok(None);
        }
        Ok(StoredResult::decode(action, content.slice(HASH..)).ok())
    }

    fn put(&self, action: ActionDigest, result: &StoredResult) -> Result<(), StoreError> {
        let mut temporary = Temporary::create(&self.temporary)?;
        temporary.write_all(BlobDigest::of(result.bytes()).hash())?;
        temporary.write_all(result.bytes())?;
        temporary.place(&sharded(&self.results, action), 0o644)
    }
}
