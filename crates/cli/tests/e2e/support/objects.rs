//! Where stores keep things on disk.

use std::path::{Path, PathBuf};

/// The file of an object in a cache directory.
pub(crate) fn object_in(cache: &Path, hash: &str) -> PathBuf {
    sharded(&cache.join("cas/objects"), hash)
}

/// A file in a folder whose files are in folders of their own, by the first two digits of their hashes.
pub(crate) fn sharded(folder: &Path, hash: &str) -> PathBuf {
    let (shard, name) = hash.split_at(2);
    folder.join(shard).join(name)
}
