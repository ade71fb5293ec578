//! Writes held back until all that one event leads to is known: a store keeps many small messages
//! at once much faster than one after another, and a remote one asks only once what it lacks.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use headstart_merkle::{
    Ahead, BlobDigest, Directory, DirectoryDigest, DirectoryReader, DirectoryWriter, Guide,
    TreeError,
};
use headstart_store::{BlobStore, BlobWriter, StoreError};

use crate::storage::Storage;

/// How many bytes are held back at most.
const LIMIT: usize = 16 * 1024 * 1024;

/// A store as it will be once [`Batch::flush`] has been called.
pub(crate) struct Batch<'a> {
    store: &'a dyn Storage,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    blobs: HashMap<BlobDigest, Bytes>,
    bytes: usize,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(store: &'a dyn Storage) -> Self {
        Self {
            store,
            held: Mutex::default(),
        }
    }

    /// Writes what was held back. What can't be written is still held back.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        let mut held = self.held();
        if held.blobs.is_empty() {
            return Ok(());
        }
        let blobs = held.blobs.iter();
        let blobs = blobs.map(|(digest, content)| (*digest, content.clone()));
        self.store.blobs().write_all(blobs.collect())?;
        *held = Held::default();
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, digest: BlobDigest) -> Option<Bytes> {
        self.held().blobs.get(&digest).cloned()
    }

    fn hold(&self, digest: BlobDigest, content: Bytes) -> Result<(), StoreError> {
        let mut held = self.held();
        held.bytes += content.len();
        held.blobs.insert(digest, content);
        let full = held.bytes > LIMIT;
        drop(held);
        if full { self.flush() } else { Ok(()) }
    }
}

impl DirectoryReader for Batch<'_> {
    fn read_directory(&self, digest: DirectoryDigest) -> Result<Arc<Directory>, TreeError> {
        let Some(bytes) = self.get(digest.blob()) else {
            return self.store.read_directory(digest);
        };
        let directory = Directory::decode(&bytes);
        let directory = directory.map_err(|source| TreeError::Invalid { digest, source });
        directory.map(Arc::new)
    }

    fn read_directories(
        &self,
        digests: &[DirectoryDigest],
    ) -> Vec<Result<Arc<Directory>, TreeError>> {
        if self.held().blobs.is_empty() {
            return self.store.read_directories(digests);
        }
        let read = digests.iter().map(|digest| self.read_directory(*digest));
        read.collect()
    }

    fn read_ahead(&self, trees: Vec<Ahead>, guide: Arc<dyn Guide>) {
        self.store.read_ahead(trees, guide);
    }
}

impl DirectoryWriter for Batch<'_> {
    fn write_directory(&self, digest: DirectoryDigest, encoded: Bytes) -> Result<(), TreeError> {
        self.hold(digest.blob(), encoded)
            .map_err(|error| TreeError::Backend(Box::new(error)))
    }
}

impl Storage for Batch<'_> {
    fn blobs(&self) -> &dyn BlobStore {
        self
    }
}

impl BlobStore for Batch<'_> {
    fn missing(&self, digests: &[BlobDigest]) -> Result<Vec<BlobDigest>, StoreError> {
        let mut missing = self.store.blobs().missing(digests)?;
        let held = self.held();
        missing.retain(|digest| !held.blobs.contains_key(digest));
        Ok(missing)
    }

    fn read(&self, digest: BlobDigest) -> Result<Bytes, StoreError> {
        match self.get(digest) {
            Some(content) => Ok(content),
            None => self.store.blobs().read(digest),
        }
    }

    fn read_all(&self, digests: &[BlobDigest]) -> Vec<Result<Bytes, StoreError>> {
        let held: Vec<_> = digests.iter().map(|digest| self.get(*digest)).collect();
        let others = digests.iter().zip(&held);
        let others = others.filter(|(_, held)| held.is_none());
        let others: Vec<BlobDigest> = others.map(|(digest, _)| *digest).collect();
        let mut read = self.store.blobs().read_all(&others).into_iter();
        let both = digests.iter().zip(held);
        both.map(|(digest, held)| match held {
            Some(content) => Ok(content),
            None => read.next().unwrap_or(Err(StoreError::Missing(*digest))),
        })
        .collect()
    }

    fn open(&self, digest: BlobDigest) -> Result<Box<dyn Read + Send>, StoreError> {
        match self.get(digest) {
            Some(content) => Ok(Box::new(std::io::Cursor::new(content))),
            None => self.store.blobs().open(digest),
        }
    }

    fn write(&self, content: Bytes) -> Result<BlobDigest, StoreError> {
        let digest = BlobDigest::of(&content);
        self.hold(digest, content)?;
        Ok(digest)
    }

    /// What comes in pieces is not held back.
    fn writer(&self) -> Result<Box<dyn BlobWriter>, StoreError> {
        self.store.blobs().writer()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn what_is_held_back_is_there_for_readers_and_written_when_flushed() {
        let fixture = Fixture::default();
        let batch = Batch::new(&fixture.store);
        headstart_store::conformance::check_blobs(&batch);
        headstart_store::conformance::check_sizes(&batch);

        let directory = Directory::default();
        batch
            .write_directory(directory.digest(), directory.encode())
            .unwrap();
        assert!(batch.read_directory(directory.digest()).is_ok());
        let digest = batch.write(Bytes::from_static(b"held")).unwrap();
        assert!(!fixture.store.blobs().contains(digest).unwrap());
        batch.flush().unwrap();
        assert!(fixture.store.blobs().contains(digest).unwrap());
    }

    #[test]
    fn more_than_the_limit_is_not_held_back() {
        let fixture = Fixture::default();
        let batch = Batch::new(&fixture.store);
        let digest = batch.write(vec![0; LIMIT + 1].into()).unwrap();
        assert!(fixture.store.blobs().contains(digest).unwrap());
        assert!(batch.held().blobs.is_empty());
    }
}
