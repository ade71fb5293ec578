//! Why a source can't be fetched or staged.

use std::io;
use std::path::{Path, PathBuf};

use headstart_artifacts::RefError;
use headstart_merkle::TreeError;
use headstart_project::{PluginError, Source};
use headstart_store::StoreError;
use thiserror::Error;

/// Why a source can't be fetched or staged.
#[derive(Debug, Error)]
pub enum SourceError {
    /// A file of the project, or a temporary one, can't be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Something in a directory can't be staged.
    #[error("{path}: {reason}")]
    Unusable {
        /// What.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A download failed from everywhere it can be had.
    #[error("{url} can't be fetched: {}", reasons.join("; "))]
    Fetch {
        /// As the project writes it.
        url: String,
        /// What each address said.
        reasons: Vec<String>,
    },
    /// A source has no `ref`.
    #[error("the source has no `ref`: track it first")]
    Unresolved,
    /// Something is wrong with what a project says of a source, or with what it leads to.
    #[error("{at}: {error}")]
    At {
        /// Where the source is in the project, as `file:line:column`.
        at: String,
        /// What is wrong.
        error: Box<SourceError>,
    },
    /// An archive can't be unpacked.
    #[error("{archive}: {reason}")]
    Archive {
        /// Which, as the project writes its address.
        archive: String,
        /// Why.
        reason: String,
    },
    /// A patch does not apply.
    #[error("the patch {patch} could not be applied: {reason}")]
    Patch {
        /// Which.
        patch: PathBuf,
        /// What `patch` said.
        reason: String,
    },
    /// A tool that fetches or stages a source failed.
    #[error("{doing}: {said}")]
    Tool {
        /// What could not be done.
        doing: String,
        /// What the tool said.
        said: String,
    },
    /// A repository does not have a commit.
    #[error("{url} has no commit '{name}'")]
    NoCommit {
        /// As the project names the commit.
        name: String,
        /// The repository, as the project writes its address.
        url: String,
    },
    /// A program that a source needs is not there.
    #[error("`{program}` is needed to {purpose}: apt-get install {program}")]
    NoProgram {
        /// Its name, and that of its package.
        program: &'static str,
        /// What for.
        purpose: &'static str,
    },
    /// A plugin failed, or can't be run.
    #[error("the source plugin '{kind}' of {origin}: {error}")]
    Plugin {
        /// Its kind.
        kind: String,
        /// Where it comes from.
        origin: String,
        /// How it fails.
        error: Box<PluginError>,
    },
    /// A tree can't be made.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The cache of sources failed.
    #[error(transparent)]
    Cache(#[from] RefError),
}

impl SourceError {
    /// That a place does not have what is wanted; `said` is why.
    pub(crate) fn not_there(said: impl Into<String>) -> Self {
        Self::Tool {
            doing: "it can't be fetched".to_owned(),
            said: said.into(),
        }
    }

    /// Whether it may be otherwise another time: something could not be fetched.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Fetch { .. } => true,
            Self::At { error, .. } => error.may_pass(),
            _ => false,
        }
    }

    /// Names the source, unless the error is not about it but about this machine.
    pub(crate) fn of(self, source: &Source) -> Self {
        match self {
            Self::Fetch { .. }
            | Self::Unresolved
            | Self::Archive { .. }
            | Self::Patch { .. }
            | Self::Tool { .. }
            | Self::NoCommit { .. }
            | Self::Unusable { .. }
            | Self::Plugin { .. }
            | Self::Tree(TreeError::NotADirectory(_) | TreeError::IsADirectory(_)) => Self::At {
                at: source.at.to_string(),
                error: Box::new(self),
            },
            error => error,
        }
    }

    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull => StoreError::Full(path.to_owned()).into(),
            _ => Self::Io {
                path: path.to_owned(),
                source,
            },
        }
    }
}
