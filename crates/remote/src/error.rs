//! What can go wrong with somebody else's server.

use std::io;
use std::path::PathBuf;

use headstart_merkle::{BlobDigest, DirectoryDigest, InvalidDirectory, TreeError};
use headstart_store::StoreError;
use thiserror::Error;
use tonic::Code;

/// Why a server did not do what it was asked to.
#[derive(Debug, Error)]
pub enum RemoteError {
    /// The address is not one.
    #[error(
        "{0:?} is no address of a server: expected http://, https://, grpc:// or grpcs:// with HOST:PORT, \
         or unix:PATH"
    )]
    Address(String),
    /// A certificate or token can't be read.
    #[error("{path}, which {url} needs, can't be read: {source}")]
    Credentials {
        /// The server.
        url: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A certificate or token can be read, and not be used.
    #[error("{url}: {reason}")]
    Unusable {
        /// The server.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// A call failed.
    #[error("{url}: {call} failed: {}: {message}{}", code_name(*.code), after(*.attempts))]
    Call {
        /// The server.
        url: String,
        /// The method.
        call: &'static str,
        /// What the server says, or what the failure of the connection amounts to.
        code: Code,
        /// In more words.
        message: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// The server can't be worked with.
    #[error("{url} can't be used: {reason}")]
    Unfit {
        /// The server.
        url: String,
        /// What it lacks.
        reason: String,
    },
    /// What the server gave is not what its digest says. Nothing of it is kept.
    #[error(
        "{url} gave something else for {expected}: its digest is {actual}; nothing of it is kept"
    )]
    Damaged {
        /// The server.
        url: String,
        /// What was asked for.
        expected: BlobDigest,
        /// What was given.
        actual: BlobDigest,
    },
    /// A blob is not the Directory that it should be.
    #[error("{digest} is not a Directory: {source}")]
    Directory {
        /// The blob.
        digest: DirectoryDigest,
        /// What is wrong with it.
        source: InvalidDirectory,
    },
    /// An answer makes no sense.
    #[error("{url}: the answer to {call} can't be used: {reason}")]
    Answer {
        /// The server.
        url: String,
        /// The method.
        call: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The store on this machine failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Threads can't be started, or ended early.
    #[error("the client of remote servers broke down: {0}")]
    Broken(String),
}

impl RemoteError {
    /// The code of a failed call.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Call { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the server can't be reached, does not answer or refuses everything: nothing else need
    /// be asked of it for now.
    pub fn is_unreachable(&self) -> bool {
        let codes = [
            Code::Unavailable,
            Code::DeadlineExceeded,
            Code::Unauthenticated,
        ];
        self.code().is_some_and(|code| codes.contains(&code))
    }
}

/// What reading a tree of the store on this machine failed with.
impl From<TreeError> for RemoteError {
    fn from(error: TreeError) -> Self {
        match error {
            TreeError::Missing(digest) => StoreError::Missing(digest).into(),
            TreeError::Invalid { digest, source } => Self::Directory { digest, source },
            TreeError::Backend(error) => match error.downcast::<StoreError>() {
                Ok(error) => Self::Store(*error),
                Err(error) => Self::Broken(error.to_string()),
            },
            error => Self::Broken(error.to_string()),
        }
    }
}

/// What a store that is a server failed with.
impl From<RemoteError> for StoreError {
    fn from(error: RemoteError) -> Self {
        match error {
            RemoteError::Store(error) => error,
            error => Self::Service(error.to_string()),
        }
    }
}

fn after(attempts: u32) -> String {
    match attempts {
        0 | 1 => String::new(),
        attempts => format!(" (after {attempts} attempts)"),
    }
}

/// A code as the protocol names it.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
