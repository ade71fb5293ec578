//! The contract of content-addressed storage.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use headstart_merkle::{BlobDigest, Digest, DirectoryDigest};
use headstart_reapi::Message;
use thiserror::Error;

use crate::whole::KnownTrees;

/// Why storage could not do what it was asked to.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The blob is not here.
    #[error("{0} is not in the store")]
    Missing(BlobDigest),
    /// What is stored is not what its digest says. It is missing from then on.
    #[error(
        "the stored object {expected} is damaged, its content has the digest {actual}: it is set aside; \
         build again, and it is made anew"
    )]
    Damaged {
        /// What it should have been.
        expected: BlobDigest,
        /// What it is.
        actual: BlobDigest,
    },
    /// What was given to be stored is not what its digest says.
    #[error("the content of {expected} has the digest {actual}")]
    Mismatch {
        /// What it should have been.
        expected: BlobDigest,
        /// What it is.
        actual: BlobDigest,
    },
    /// The blob has the right content, but it is not the message it should be.
    #[error("{digest} is not {what}: {reason}")]
    Invalid {
        /// The blob.
        digest: BlobDigest,
        /// What it should be, with its article.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// No room is left.
    #[error("no space is left in {0}: free some, or point the cache at another disk")]
    Full(PathBuf),
    /// The store is somebody else's server, and that failed.
    #[error("{0}")]
    Service(String),
    /// The operating system failed.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl StoreError {
    /// The error for what the operating system said of `path`.
    pub fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(path),
            _ => Self::Io { path, source },
        }
    }
}

/// Blobs, by digest.
pub trait BlobStore: Send + Sync {
    /// Those of `digests` that are not here, in the same order. The empty blob is always here.
    fn missing(&self, digests: &[BlobDigest]) -> Result<Vec<BlobDigest>, StoreError>;

    /// A whole blob, its digest checked. For what fits in memory: messages, small files.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if it is something else.
    fn read(&self, digest: BlobDigest) -> Result<Bytes, StoreError>;

    /// Several blobs, each as [`Self::read`] gives it, in the same order. Stores that can do that faster
    /// than one after another do.
    fn read_all(&self, digests: &[BlobDigest]) -> Vec<Result<Bytes, StoreError>> {
        digests.iter().map(|digest| self.read(*digest)).collect()
    }

    /// A blob as a stream. The digest is checked by whoever reads it to its end.
    fn open(&self, digest: BlobDigest) -> Result<Box<dyn Read + Send>, StoreError>;

    /// The same, from `offset` on, which is not behind its end.
    fn open_from(
        &self,
        digest: BlobDigest,
        offset: u64,
    ) -> Result<Box<dyn Read + Send>, StoreError> {
        let mut reader = self.open(digest)?;
        io::copy(&mut reader.by_ref().take(offset), &mut io::sink())
            .map_err(|error| StoreError::io("a blob being read", error))?;
        Ok(reader)
    }

    /// Keeps `content` and gives its digest.
    fn write(&self, content: Bytes) -> Result<BlobDigest, StoreError>;

    /// Keeps several blobs at once, whose digests are known to be right. Stores that can do that
    /// faster than one after another do.
    ///
    /// # Errors
    /// When one can't be kept; others may have been.
    fn write_all(&self, blobs: Vec<(BlobDigest, Bytes)>) -> Result<(), StoreError> {
        for (_, content) in blobs {
            self.write(content)?;
        }
        Ok(())
    }

    /// Keeps `content`, which must have the digest `expected`.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] if it has another; then it is not kept.
    fn write_as(&self, expected: BlobDigest, content: Bytes) -> Result<(), StoreError> {
        let actual = BlobDigest::of(&content);
        if actual != expected {
            return Err(StoreError::Mismatch { expected, actual });
        }
        self.write(content).map(|_| ())
    }

    /// A place to write a blob to piece by piece.
    fn writer(&self) -> Result<Box<dyn BlobWriter>, StoreError>;

    /// Notes that nobody is known to need those of `digests` that were stored after `since`: they are
    /// the first to go.
    fn demote(&self, _digests: &[BlobDigest], _since: SystemTime) {}

    /// Whether another store is behind this one, so that what is not here may be had all the same.
    fn is_backed(&self) -> bool {
        false
    }

    /// Brings blobs here from the store behind this one, if there is one. Gives those that are nowhere.
    fn bring(&self, digests: &[BlobDigest]) -> Result<Vec<BlobDigest>, StoreError> {
        self.missing(digests)
    }

    /// The same for a tree, with its files if they are wanted.
    fn bring_tree(
        &self,
        _root: DirectoryDigest,
        _files: bool,
    ) -> Result<Vec<BlobDigest>, StoreError> {
        Ok(Vec::new())
    }

    /// What trees are known to be here with all that is below them; `None` if this store is not told when something
    /// goes.
    fn known_trees(&self) -> Option<KnownTrees<'_>> {
        None
    }

    /// Hands blobs over to the store behind this one, if there is one. Gives those that are in neither.
    fn hand_over(&self, digests: &[BlobDigest]) -> Result<Vec<BlobDigest>, StoreError> {
        self.missing(digests)
    }

    /// Whether `digest` is here.
    fn contains(&self, digest: BlobDigest) -> Result<bool, StoreError> {
        Ok(self.missing(&[digest])?.is_empty())
    }
}

/// A blob being written; dropped without [`BlobWriter::finish`], nothing of it stays.
pub trait BlobWriter: Write + Send {
    /// Writes all of a piece, without copying it where that can be avoided.
    fn write_piece(&mut self, piece: Bytes) -> io::Result<()> {
        self.write_pieces(vec![piece])
    }

    /// Writes all of several pieces, one after another; as few times as that is possible.
    fn write_pieces(&mut self, pieces: Vec<Bytes>) -> io::Result<()> {
        pieces.iter().try_for_each(|piece| self.write_all(piece))
    }

    /// Makes the blob visible, if it is `expected` or nothing was.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] if it is something else; then it is not kept.
    fn finish(self: Box<Self>, expected: Option<BlobDigest>) -> Result<BlobDigest, StoreError>;
}

/// A store whose blobs are files of the local file system.
pub trait LocalBlobs: BlobStore {
    /// A file with the content of `digest`, executable by its owner if `executable`, and with the
    /// same time of modification as every other: to be read, hard-linked or copied, never written
    /// to. Its digest has been checked since the machine was started and the file was written to last.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if it is something else.
    fn file(&self, digest: BlobDigest, executable: bool) -> Result<PathBuf, StoreError>;

    /// Has all stay that is found to be here from now on, and all that was in the time `before`, as long as what this
    /// gives is not dropped.
    fn hold(&self, before: Duration) -> Result<Hold, StoreError>;
}

/// What keeps blobs where they are until it is dropped.
pub type Hold = Box<dyn Send + Sync>;

/// Reads a message; `what` names its type, with its article.
pub fn read_message<M: Message + Default, K>(
    store: &(impl BlobStore + ?Sized),
    digest: Digest<K>,
    what: &'static str,
) -> Result<M, StoreError> {
    decode_message(digest, store.read(digest.blob())?, what)
}

/// Reads a message from its encoding, which has that digest; `what` names its type, with its article.
pub fn decode_message<M: Message + Default, K>(
    digest: Digest<K>,
    bytes: Bytes,
    what: &'static str,
) -> Result<M, StoreError> {
    M::decode(bytes).map_err(|error| StoreError::Invalid {
        digest: digest.blob(),
        what,
        reason: error.to_string(),
    })
}
