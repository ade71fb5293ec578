//! What building an element gave.

use bytes::Bytes;
use headstart_merkle::{BlobDigest, Digest, DirectoryDigest, TreeError, tree_blobs};
use headstart_reapi::{Message, buildstream, reapi};
use headstart_store::{BlobStore, Directories, StoreError};

/// An Artifact message as it was stored.
///
/// Its bytes are kept: another program may have put fields into it that this one does not know.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    bytes: Bytes,
    message: buildstream::Artifact,
}

/// Whether an artifact can be used.
#[derive(Debug, Clone, PartialEq)]
pub enum Cached {
    /// All of it is here, and the build succeeded.
    Success(Artifact),
    /// All of it is here, and the build failed.
    Failure(Artifact),
}

impl Cached {
    /// The artifact, of success or failure.
    pub fn artifact(&self) -> &Artifact {
        match self {
            Self::Success(artifact) | Self::Failure(artifact) => artifact,
        }
    }
}

impl Artifact {
    /// Decodes an artifact's message; `None` if it is none.
    pub fn decode(bytes: Bytes) -> Option<Self> {
        // A file that lost its content with the machine's power is a message too, which says nothing.
        if bytes.is_empty() {
            return None;
        }
        let message = buildstream::Artifact::decode(bytes.clone()).ok()?;
        Some(Self { bytes, message })
    }

    /// The encoding.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The message.
    pub fn message(&self) -> &buildstream::Artifact {
        &self.message
    }

    /// The tree of its files; `None` if nothing was collected.
    pub fn files(&self) -> Option<DirectoryDigest> {
        Digest::required(self.message.files.as_ref()).ok()
    }

    /// The record of its subactions, if there is one.
    pub fn speculative_actions(&self) -> Option<BlobDigest> {
        Digest::required(self.message.speculative_actions.as_ref()).ok()
    }

    /// The trees that its build has left, which a user of it does not need: its build tree, sources and
    /// the roots of its sandboxes.
    pub fn build_trees(&self) -> impl Iterator<Item = DirectoryDigest> {
        let message = &self.message;
        let trees = [&message.buildtree, &message.sources, &message.buildroot];
        let sandbox = message.buildsandbox.iter();
        let others = sandbox.flat_map(|sandbox| &sandbox.subsandbox_digests);
        let trees = trees.into_iter().flatten().chain(others);
        trees.filter_map(|tree| Digest::try_from(tree).ok())
    }

    /// The digests of the blobs that a user of it may need beside its files: public data, metadata and
    /// logs.
    pub fn parts(&self) -> impl Iterator<Item = &reapi::Digest> {
        let logs = self.message.logs.iter().map(|log| &log.digest);
        let parts = [
            &self.message.public_data,
            &self.message.low_diversity_meta,
            &self.message.high_diversity_meta,
        ];
        parts.into_iter().chain(logs).filter_map(Option::as_ref)
    }

    /// Whether all that it refers to, and that a user of it may need, is in the store.
    pub fn is_complete<S: BlobStore + ?Sized + 'static>(
        &self,
        directories: &Directories<S>,
    ) -> Result<bool, StoreError> {
        let mut wanted = Vec::new();
        for field in self.parts() {
            match BlobDigest::try_from(field) {
                Ok(digest) => wanted.push(digest),
                Err(_) => return Ok(false),
            }
        }
        if let Some(root) = self.files()
            && !add_tree(root, directories, &mut wanted)?
        {
            return Ok(false);
        }
        Ok(directories.store().missing(&wanted)?.is_empty())
    }
}

impl From<buildstream::Artifact> for Artifact {
    fn from(message: buildstream::Artifact) -> Self {
        Self {
            bytes: message.encode_to_vec().into(),
            message,
        }
    }
}

/// Whether a tree is in the store with all its files.
pub fn is_tree_complete<S: BlobStore + ?Sized + 'static>(
    root: DirectoryDigest,
    directories: &Directories<S>,
) -> Result<bool, StoreError> {
    let mut wanted = Vec::new();
    Ok(add_tree(root, directories, &mut wanted)?
        && directories.store().missing(&wanted)?.is_empty())
}

/// Adds the blobs of a tree; says whether its directories are all there. They are asked for even if they
/// are remembered from before: they may have been removed since.
fn add_tree<S: BlobStore + ?Sized + 'static>(
    root: DirectoryDigest,
    directories: &Directories<S>,
    wanted: &mut Vec<BlobDigest>,
) -> Result<bool, StoreError> {
    match tree_blobs(directories, root, true) {
        Ok(blobs) => {
            wanted.extend(blobs);
            Ok(true)
        }
        Err(TreeError::Backend(error)) => match error.downcast::<StoreError>() {
            Ok(error) if matches!(*error, StoreError::Damaged { .. }) => Ok(false),
            Ok(error) => Err(*error),
            Err(_) => Ok(false),
        },
        Err(_) => Ok(false),
    }
}
