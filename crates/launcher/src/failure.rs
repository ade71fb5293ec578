//! What can go wrong, and the exit code that says so.

use std::io;
use std::path::PathBuf;

use headstart_merkle::{BlobDigest, TreeError};
use thiserror::Error;

/// Why a call could neither be sent away nor run here.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The call or a setting makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A file can't be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The inputs can't be put into a tree.
    #[error("the inputs make no tree: {0}")]
    Tree(#[from] TreeError),
    /// A call to the server failed.
    #[error("{call}: {status}", status = describe(.status))]
    Rpc {
        /// The method.
        call: &'static str,
        /// The server's answer, or why there is none.
        status: Box<tonic::Status>,
    },
    /// The server can't be reached.
    #[error("no connection to {address}: {reason}")]
    Connection {
        /// As it was set.
        address: String,
        /// With all causes.
        reason: String,
    },
    /// The server answered, but not as the protocol has it.
    #[error("{call}: {reason}")]
    Answer {
        /// The method.
        call: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The server gave other bytes than were asked for.
    #[error("the server gave wrong bytes for {0}")]
    Corrupt(BlobDigest),
    /// The user ended it.
    #[error("cancelled")]
    Cancelled,
}

impl Failure {
    /// The exit code to end with.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 100,
            Self::File { .. } | Self::Tree(_) => 101,
            Self::Rpc { .. } | Self::Connection { .. } | Self::Answer { .. } | Self::Corrupt(_) => {
                102
            }
            Self::Cancelled => 130,
        }
    }

    /// Whether the server says that it lacks something that was uploaded.
    pub(crate) fn is_for_want_of_blobs(&self) -> bool {
        matches!(self, Self::Rpc { status, .. } if status.code() == tonic::Code::FailedPrecondition)
    }

    pub(crate) fn rpc(call: &'static str) -> impl Fn(tonic::Status) -> Self {
        move |status| Self::Rpc {
            call,
            status: Box::new(status),
        }
    }

    pub(crate) fn answer(call: &'static str, reason: impl ToString) -> Self {
        Self::Answer {
            call,
            reason: reason.to_string(),
        }
    }

    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}

fn describe(status: &tonic::Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}
