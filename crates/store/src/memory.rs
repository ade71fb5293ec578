//! A store in memory: for tests, and for what need not outlive the process.

use std::collections::HashMap;
use std::io::{self, Cursor, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use headstart_merkle::{ActionDigest, BlobDigest};

use crate::action_cache::{ActionCache, StoredResult};
use crate::blobs::{BlobStore, BlobWriter, StoreError};

type Shared<K, V> = Arc<Mutex<HashMap<K, V>>>;

/// Blobs in memory.
#[derive(Debug, Default, Clone)]
pub struct MemoryBlobs(Shared<BlobDigest, Bytes>);

impl MemoryBlobs {
    fn find(&self, digest: BlobDigest) -> Option<Bytes> {
        if digest.is_of_nothing() {
            return Some(Bytes::new());
        }
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&digest)
            .cloned()
    }
}

impl BlobStore for MemoryBlobs {
    fn missing(&self, digests: &[BlobDigest]) -> Result<Vec<BlobDigest>, StoreError> {
        Ok(digests
            .iter()
            .copied()
            .filter(|digest| self.find(*digest).is_none())
            .collect())
    }

    fn read(&self, digest: BlobDigest) -> Result<Bytes, StoreError> {
        self.find(digest).ok_or(StoreError::Missing(digest))
    }

    fn open(&self, digest: BlobDigest) -> Result<Box<dyn Read + Send>, StoreError> {
        Ok(Box::new(Cursor::new(self.read(digest)?)))
    }

    fn write(&self, content: Bytes) -> Result<BlobDigest, StoreError> {
        let digest = BlobDigest::of(&content);
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(digest, content);
        Ok(digest)
    }

    fn writer(&self) -> Result<Box<dyn BlobWriter>, StoreError> {
        Ok(Box::new(MemoryWriter {
            store: self.clone(),
            content: Vec::new(),
        }))
    }
}

struct MemoryWriter {
    store: MemoryBlobs,
    content: Vec<u8>,
}

impl Write for MemoryWriter {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.content.write(piece)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter for MemoryWriter {
    fn finish(self: Box<Self>, expected: Option<BlobDigest>) -> Result<BlobDigest, StoreError> {
        let actual = BlobDigest::of(&self.content);
        match expected {
            Some(expected) if expected != actual => Err(StoreError::Mismatch { expected, actual }),
            _ => self.store.write(self.content.into()),
        }
    }
}

/// Action results in memory.
#[derive(Debug, Default, Clone)]
pub struct MemoryActionCache(Shared<ActionDigest, StoredResult>);

impl ActionCache for MemoryActionCache {
    fn get(&self, action: ActionDigest) -> Result<Option<StoredResult>, StoreError> {
        Ok(self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&action)
            .cloned())
    }

    fn put(&self, action: ActionDigest, result: &StoredResult) -> Result<(), StoreError> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(action, result.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    #[test]
    fn the_memory_backend_keeps_the_promises_of_a_store() {
        conformance::check_blobs(&MemoryBlobs::default());
        conformance::check_sizes(&MemoryBlobs::default());
        conformance::check_action_cache(&MemoryActionCache::default());
    }
}
