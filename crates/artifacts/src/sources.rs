//! Sources by key: `source_protos/KIND/KEY` for one, `elementsources/KEY` for all of an element's.

use std::path::{Path, PathBuf};

use headstart_merkle::{Digest, DirectoryDigest};
use headstart_reapi::{Message, buildstream};

use crate::files::{self, RefError};

/// The sources in a cache directory: which tree each key stands for.
#[derive(Debug, Clone)]
pub struct SourceCache {
    root: PathBuf,
}

impl SourceCache {
    /// The sources of the cache directory `root`.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// The tree of one source of a kind.
    pub fn source(&self, kind: &str, key: &str) -> Result<Option<DirectoryDigest>, RefError> {
        read(&self.root.join("source_protos").join(kind).join(key))
    }

    /// Remembers the tree of one source.
    pub fn write_source(
        &self,
        kind: &str,
        key: &str,
        tree: DirectoryDigest,
    ) -> Result<(), RefError> {
        write(&self.root.join("source_protos").join(kind).join(key), tree)
    }

    /// The tree of all sources of an element, staged together.
    pub fn element_sources(&self, key: &str) -> Result<Option<DirectoryDigest>, RefError> {
        read(&self.root.join("elementsources").join(key))
    }

    /// Remembers the tree of all sources of an element.
    pub fn write_element_sources(&self, key: &str, tree: DirectoryDigest) -> Result<(), RefError> {
        write(&self.root.join("elementsources").join(key), tree)
    }
}

fn read(path: &Path) -> Result<Option<DirectoryDigest>, RefError> {
    let message = files::read(path)?.and_then(|bytes| buildstream::Source::decode(bytes).ok());
    Ok(message.and_then(|message| Digest::required(message.files.as_ref()).ok()))
}

fn write(path: &Path, tree: DirectoryDigest) -> Result<(), RefError> {
    let message = buildstream::Source {
        version: 0,
        files: Some(tree.into()),
    };
    files::write(path, &message.encode_to_vec())
}
