//! Where things lie in the cache directory.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use headstart_merkle::Digest;

/// The cache directory's layout: BuildStream's for what is shared, ours below `headstart/`.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The cache directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Objects, by hash: `cas/objects`.
    pub fn objects(&self) -> PathBuf {
        self.root.join("cas/objects")
    }

    /// Objects being written, on the same file system: `cas/tmp`.
    pub fn temporary(&self) -> PathBuf {
        self.root.join("cas/tmp")
    }

    /// What only this program keeps there.
    pub fn own(&self) -> PathBuf {
        self.root.join("headstart")
    }

    /// Executable copies of objects: links share one mode, and the object's own has no `x`.
    pub fn executables(&self) -> PathBuf {
        self.own().join("executables")
    }

    /// Results of actions.
    pub fn action_results(&self) -> PathBuf {
        self.own().join("action-cache")
    }

    /// Names of contents, where whoever clears a cache directory of buildbox-casd's removes them:
    /// `assets/headstart`.
    pub fn assets(&self) -> PathBuf {
        self.root.join("assets/headstart")
    }

    /// Trees that are written out for clients, on the same file system as objects: `cas/staging`.
    pub fn staging(&self) -> PathBuf {
        self.root.join("cas/staging")
    }

    /// Marks of what is in use.
    pub(crate) fn in_use(&self) -> PathBuf {
        self.own().join("in-use")
    }

    /// Objects that turned out to be something else.
    pub fn corrupt(&self) -> PathBuf {
        self.own().join("corrupt")
    }
}

/// The file of a digest below `folder`.
pub(crate) fn sharded<K>(folder: &Path, digest: Digest<K>) -> PathBuf {
    folder.join(shard_and_name(digest))
}

/// Where the file of a digest is in its folder: two digits of the hash, a slash, and the rest.
pub(crate) fn shard_and_name<K>(digest: Digest<K>) -> ShardAndName {
    let mut path = [b'/'; 65];
    // Both are as long as what is encoded, so nothing can fail.
    let _ = const_hex::encode_to_slice(&digest.hash()[..1], &mut path[..2]);
    let _ = const_hex::encode_to_slice(&digest.hash()[1..], &mut path[3..]);
    ShardAndName(path)
}

/// A path that takes no allocation: whole trees are looked for by it.
pub(crate) struct ShardAndName([u8; 65]);

impl AsRef<Path> for ShardAndName {
    fn as_ref(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }
}
