//! Errors, as gRPC says them.

use headstart_execution::{ExecutionError, InvalidAction, SandboxError};
use headstart_merkle::TreeError;
use headstart_reapi::rpc;
use headstart_remote::RemoteError;
use headstart_store::StoreError;
use tonic::{Code, Status};

/// The status for a failed request for an action.
pub(crate) fn of_execution(error: &ExecutionError) -> Status {
    let code = match error {
        // Damaged is missing from then on.
        ExecutionError::Invalid(InvalidAction::Store(error))
        | ExecutionError::Sandbox(SandboxError::Store(error))
        | ExecutionError::Store(error)
            if matches!(error, StoreError::Missing(_) | StoreError::Damaged { .. }) =>
        {
            Code::FailedPrecondition
        }
        ExecutionError::Invalid(InvalidAction::Field { .. })
        | ExecutionError::Sandbox(SandboxError::NoProgram { .. } | SandboxError::TooLarge { .. }) => {
            Code::InvalidArgument
        }
        ExecutionError::Invalid(InvalidAction::Store(error)) | ExecutionError::Store(error) => {
            return of_store(error);
        }
        ExecutionError::Sandbox(SandboxError::Store(error)) => return of_store(error),
        ExecutionError::Sandbox(SandboxError::TooMuchOutput { .. }) => Code::ResourceExhausted,
        ExecutionError::Sandbox(_) => Code::Internal,
        ExecutionError::TimedOut { .. } => Code::DeadlineExceeded,
        ExecutionError::NotHere(_) => Code::FailedPrecondition,
        ExecutionError::Cancelled => Code::Cancelled,
        ExecutionError::Service(_) => Code::Unavailable,
        ExecutionError::Joined(error) => return of_execution(error),
    };
    Status::new(code, error.to_string())
}

/// The status for what a server answered, or failed to.
pub(crate) fn of_remote(error: &RemoteError) -> Status {
    match error {
        RemoteError::Store(error) => of_store(error),
        error => Status::new(error.code().unwrap_or(Code::Unavailable), error.to_string()),
    }
}

/// The status for what storage failed to do.
pub(crate) fn of_store(error: &StoreError) -> Status {
    let code = match error {
        StoreError::Missing(_) | StoreError::Damaged { .. } => Code::NotFound,
        StoreError::Mismatch { .. } | StoreError::Invalid { .. } => Code::InvalidArgument,
        StoreError::Full(_) => Code::ResourceExhausted,
        StoreError::Service(_) => Code::Unavailable,
        StoreError::Io { .. } => Code::Internal,
    };
    Status::new(code, error.to_string())
}

/// The status for a tree that can't be read or written.
pub(crate) fn of_tree(error: &TreeError) -> Status {
    let code = match error {
        TreeError::Missing(_) => Code::NotFound,
        TreeError::Backend(inner) => match inner.downcast_ref::<StoreError>() {
            Some(error) => return of_store(error),
            None => Code::Internal,
        },
        _ => Code::InvalidArgument,
    };
    Status::new(code, error.to_string())
}

/// A status as it stands in a message.
pub(crate) fn message(status: &Status) -> rpc::Status {
    rpc::Status {
        code: status.code() as i32,
        message: status.message().to_owned(),
        details: Vec::new(),
    }
}
