//! Why a tree of the host could not be captured or written out.

use std::io;
use std::path::PathBuf;

use headstart_merkle::TreeError;
use headstart_store::StoreError;
use rustix::io::Errno;
use thiserror::Error;

/// What went wrong with a tree of the host.
#[derive(Debug, Error)]
pub enum HostError {
    /// The operating system failed.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Something can't be in a tree, or not where it is.
    #[error("{path}: {reason}")]
    Unusable {
        /// Where.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// A stored tree can't be read or written.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl HostError {
    pub(crate) fn os(path: impl Into<PathBuf>, error: Errno) -> Self {
        Self::Io {
            path: path.into(),
            source: error.into(),
        }
    }

    pub(crate) fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }
}
