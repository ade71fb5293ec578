//! Why something could not be done.

use std::path::PathBuf;

use headstart_artifacts::RefError;
use headstart_assemble::AssembleError;
use headstart_execution::ExecutionError;
use headstart_project::LoadError;
use headstart_remote::RemoteError;
use headstart_sources::SourceError;
use headstart_store::StoreError;
use headstart_yaml::Error as YamlError;
use thiserror::Error;

/// Why something could not be done.
#[derive(Debug, Error)]
pub enum SessionError {
    /// There is no project.
    #[error("there is no project.conf in {0}, nor in any folder above it")]
    NoProject(PathBuf),
    /// The project can't be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A source can't be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A server failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The cache of artifacts failed.
    #[error(transparent)]
    Cache(#[from] RefError),
    /// An element can't be assembled.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// An action could not be run.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
    /// The machine does not let this user make sandboxes.
    #[error("{0}")]
    NoSandbox(String),
    /// A folder or file of the cache can't be used.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of the project can't be changed.
    #[error(transparent)]
    Edit(#[from] headstart_yaml::EditError),
    /// A new `ref` was written, but it is not what counts.
    #[error(
        "{0}: the new `ref` has been written here, but another file or a condition sets it: write it there"
    )]
    RefElsewhere(String),
    /// A file, or what an element says of speculation, can't be used.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// An element has no key.
    #[error("{0} has no cache key: a source of it, or of what it is built with, has no `ref`")]
    NoKey(String),
    /// No element is called so.
    #[error("no element is called like {0}")]
    NothingLike(String),
    /// A workspace can't be opened or closed.
    #[error("{0}")]
    Workspace(String),
    /// There can be no shell.
    #[error("{text}")]
    Shell {
        /// BuildStream's word for why, if it has one.
        reason: Option<&'static str>,
        /// Why.
        text: String,
    },
    /// Sources can't be asked what they are.
    #[error("the sources of {element} can't be asked what they are: {error}")]
    SourceInfo {
        /// Whose.
        element: String,
        /// Why not.
        error: Box<headstart_project::PluginError>,
    },
    /// Sources are not there.
    #[error("the sources of {0} are not in the cache: fetch them first")]
    NotFetched(String),
    /// An artifact is not there.
    #[error("there is no artifact of {element} with the key {key}: build it first")]
    NotCached {
        /// Whose.
        element: String,
        /// Its key.
        key: String,
    },
}
