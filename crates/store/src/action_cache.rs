//! The contract of the action cache, and the decorator that keeps its answers useful.

use bytes::Bytes;
use headstart_merkle::{ActionDigest, BlobDigest};
use headstart_reapi::{Message, reapi};

use crate::blobs::{BlobStore, StoreError, read_message};

/// An ActionResult as it was stored. Its bytes are passed on as they are, because decoding drops
/// the fields that this program does not know.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredResult {
    bytes: Bytes,
    message: reapi::ActionResult,
}

impl StoredResult {
    /// Decodes `bytes`, which were stored for `action`.
    pub fn decode(action: ActionDigest, bytes: Bytes) -> Result<Self, StoreError> {
        let message =
            reapi::ActionResult::decode(bytes.clone()).map_err(|error| StoreError::Invalid {
                digest: action.blob(),
                what: "an action with a readable ActionResult",
                reason: error.to_string(),
            })?;
        Ok(Self { bytes, message })
    }

    /// The encoding.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The message.
    pub fn message(&self) -> &reapi::ActionResult {
        &self.message
    }

    /// The message, by value.
    pub fn into_message(self) -> reapi::ActionResult {
        self.message
    }
}

impl From<reapi::ActionResult> for StoredResult {
    fn from(message: reapi::ActionResult) -> Self {
        Self {
            bytes: message.encode_to_vec().into(),
            message,
        }
    }
}

/// Results of actions, by the digest of the action.
pub trait ActionCache: Send + Sync {
    /// The result of `action`, if it is known.
    fn get(&self, action: ActionDigest) -> Result<Option<StoredResult>, StoreError>;

    /// Remembers the result of `action`, in place of an older one.
    fn put(&self, action: ActionDigest, result: &StoredResult) -> Result<(), StoreError>;
}

impl<T: ActionCache + ?Sized> ActionCache for std::sync::Arc<T> {
    fn get(&self, action: ActionDigest) -> Result<Option<StoredResult>, StoreError> {
        (**self).get(action)
    }

    fn put(&self, action: ActionDigest, result: &StoredResult) -> Result<(), StoreError> {
        (**self).put(action, result)
    }
}

/// Answers only with results all of whose outputs are still in the store, as the REAPI asks.
pub struct CompletenessChecking<C, B> {
    cache: C,
    blobs: B,
}

impl<C, B> CompletenessChecking<C, B> {
    /// `cache`, checked against `blobs`.
    pub fn new(cache: C, blobs: B) -> Self {
        Self { cache, blobs }
    }
}

impl<C, B, S> ActionCache for CompletenessChecking<C, B>
where
    C: ActionCache,
    B: std::ops::Deref<Target = S> + Send + Sync,
    S: BlobStore + ?Sized,
{
    fn get(&self, action: ActionDigest) -> Result<Option<StoredResult>, StoreError> {
        let Some(result) = self.cache.get(action)? else {
            return Ok(None);
        };
        Ok(is_complete(result.message(), &*self.blobs)?.then_some(result))
    }

    fn put(&self, action: ActionDigest, result: &StoredResult) -> Result<(), StoreError> {
        self.cache.put(action, result)
    }
}

/// The blobs that a result itself names: files, Tree messages, and what the command wrote to its streams.
pub fn named_blobs(result: &reapi::ActionResult) -> Vec<BlobDigest> {
    let files = result.output_files.iter().map(|file| &file.digest);
    let directories = result.output_directories.iter();
    let trees = directories.map(|directory| &directory.tree_digest);
    let streams = [&result.stdout_digest, &result.stderr_digest];
    let digests = files.chain(trees).chain(streams).flatten();
    let digests = digests.filter_map(|digest| BlobDigest::try_from(digest).ok());
    digests.collect()
}

/// Whether all that `result` refers to is in `blobs`, or in the store behind them: what only one of
/// both has is handed over, so that whoever is told of the result finds it.
pub fn is_complete<S: BlobStore + ?Sized>(
    result: &reapi::ActionResult,
    blobs: &S,
) -> Result<bool, StoreError> {
    let files = result
        .output_files
        .iter()
        .filter_map(|file| file.digest.as_ref());
    let streams = [&result.stdout_digest, &result.stderr_digest]
        .into_iter()
        .flatten();
    let mut wanted = Vec::new();
    for digest in files.chain(streams) {
        match BlobDigest::try_from(digest) {
            Ok(digest) => wanted.push(digest),
            Err(_) => return Ok(false),
        }
    }
    for directory in &result.output_directories {
        if !add_directory(directory, blobs, &mut wanted)? {
            return Ok(false);
        }
    }
    Ok(blobs.hand_over(&wanted)?.is_empty())
}

/// Adds what an output directory holds; says whether its own messages are there.
fn add_directory<S: BlobStore + ?Sized>(
    directory: &reapi::OutputDirectory,
    blobs: &S,
    wanted: &mut Vec<BlobDigest>,
) -> Result<bool, StoreError> {
    let mut pending = Vec::new();
    if let Some(tree) = &directory.tree_digest {
        let Some(tree) = present::<reapi::Tree, S>(tree, blobs, "a Tree")? else {
            return Ok(false);
        };
        for directory in tree.root.iter().chain(&tree.children) {
            add_files(directory, wanted);
        }
    }
    pending.extend(directory.root_directory_digest.clone());
    while let Some(digest) = pending.pop() {
        let Some(directory) = present::<reapi::Directory, S>(&digest, blobs, "a Directory")? else {
            return Ok(false);
        };
        add_files(&directory, wanted);
        pending.extend(
            directory
                .directories
                .into_iter()
                .filter_map(|child| child.digest),
        );
    }
    Ok(true)
}

fn add_files(directory: &reapi::Directory, wanted: &mut Vec<BlobDigest>) {
    let digests = directory
        .files
        .iter()
        .filter_map(|file| file.digest.as_ref());
    wanted.extend(digests.filter_map(|digest| BlobDigest::try_from(digest).ok()));
}

fn present<M: Message + Default, S: BlobStore + ?Sized>(
    digest: &reapi::Digest,
    blobs: &S,
    what: &'static str,
) -> Result<Option<M>, StoreError> {
    let Ok(digest) = BlobDigest::try_from(digest) else {
        return Ok(None);
    };
    match read_message(blobs, digest, what) {
        Ok(message) => Ok(Some(message)),
        Err(StoreError::Missing(_) | StoreError::Damaged { .. } | StoreError::Invalid { .. }) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{MemoryActionCache, MemoryBlobs};

    #[test]
    fn a_result_without_its_outputs_is_no_hit() {
        let blobs = Arc::new(MemoryBlobs::default());
        let cache = CompletenessChecking::new(MemoryActionCache::default(), Arc::clone(&blobs));
        let action = ActionDigest::of(b"action");
        let output = reapi::OutputFile {
            path: "a.o".into(),
            digest: Some(BlobDigest::of(b"object").into()),
            ..Default::default()
        };
        let result = reapi::ActionResult {
            output_files: vec![output],
            ..Default::default()
        };
        cache.put(action, &result.into()).unwrap();
        assert_eq!(cache.get(action).unwrap(), None);
        blobs.write(Bytes::from_static(b"object")).unwrap();
        assert!(cache.get(action).unwrap().is_some());
    }

    #[test]
    fn output_directories_are_looked_into() {
        let blobs = Arc::new(MemoryBlobs::default());
        let cache = CompletenessChecking::new(MemoryActionCache::default(), Arc::clone(&blobs));
        let action = ActionDigest::of(b"action");
        let file = reapi::FileNode {
            name: "f".into(),
            digest: Some(BlobDigest::of(b"inner").into()),
            ..Default::default()
        };
        let root = reapi::Directory {
            files: vec![file],
            ..Default::default()
        };
        let root = blobs.write(root.encode_to_vec().into()).unwrap();
        let directory = reapi::OutputDirectory {
            root_directory_digest: Some(root.into()),
            ..Default::default()
        };
        let result = reapi::ActionResult {
            output_directories: vec![directory],
            ..Default::default()
        };
        cache.put(action, &result.into()).unwrap();
        assert_eq!(cache.get(action).unwrap(), None);
        blobs.write(Bytes::from_static(b"inner")).unwrap();
        assert!(cache.get(action).unwrap().is_some());
    }
}
