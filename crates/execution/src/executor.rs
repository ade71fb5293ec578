//! Asking for an action to be executed, and being told of those asked for inside a sandbox.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use headstart_merkle::ActionDigest;
use headstart_reapi::reapi;
use headstart_store::{StoreError, StoredResult};
use thiserror::Error;
pub use tokio_util::sync::CancellationToken;

use crate::action::{ActionSpec, InvalidAction};
use crate::sandbox::{BoxFuture, SandboxError};

/// How soon an action should run: lower is sooner, as in the REAPI's `ExecutionPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(pub i32);

impl Priority {
    /// What a build waits for.
    pub const REAL: Self = Self(0);
    /// What may never be asked for: it runs in slots that would be idle.
    pub const SPECULATIVE: Self = Self(1);

    /// Whether nobody waits for it yet.
    pub fn is_speculative(self) -> bool {
        self > Self::REAL
    }
}

/// An action to be executed.
#[derive(Debug, Clone)]
pub struct Request {
    /// The action; it, its command and inputs are in the store.
    pub action: ActionDigest,
    /// How soon.
    pub priority: Priority,
    /// Whether to execute it even if a result is known.
    pub skip_cache_lookup: bool,
    /// Cancelled when the caller no longer needs the result. What somebody else waits for too
    /// goes on.
    pub cancel: CancellationToken,
}

/// How a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answered {
    /// It was run.
    Executed,
    /// A result was known.
    Cached,
    /// It was already queued or running for somebody else.
    Joined,
    /// The client ran it and brought the result (UpdateActionResult).
    Uploaded,
}

/// What came of a request.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The result; its exit code may be other than zero.
    pub result: StoredResult,
    /// How it was come by.
    pub answered: Answered,
    /// How long the command itself ran, now or when the result was made; zero if not known.
    pub duration: Duration,
}

/// Why there is no result.
#[derive(Debug, Error)]
pub enum ExecutionError {
    /// The action can't be run as it is.
    #[error(transparent)]
    Invalid(#[from] InvalidAction),
    /// The sandbox failed, not the command in it.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The command ran longer than it may.
    #[error("the action {action} took longer than the {seconds} seconds it may take")]
    TimedOut {
        /// The action.
        action: ActionDigest,
        /// Its bound.
        seconds: u64,
    },
    /// Nobody needs it any more.
    #[error("cancelled")]
    Cancelled,
    /// A remote service failed.
    #[error("the execution service failed: {0}")]
    Service(String),
    /// Nothing executes it elsewhere, and this machine can't.
    #[error(
        "the action {0} is for another kind of machine: expected one that can execute it behind `execution-service` \
         of `remote-execution`"
    )]
    NotHere(ActionDigest),
    /// The same action, asked for by somebody else and joined, failed.
    #[error("{0}")]
    Joined(#[source] Arc<ExecutionError>),
}

/// Whoever executes actions: this machine's queue, or a farm.
///
/// Identical actions in flight are run once. A real request for an action that is queued as
/// speculative promotes it.
pub trait Executor: Send + Sync {
    /// Executes an action, or finds its result.
    fn execute(&self, request: Request) -> BoxFuture<'_, Result<Outcome, ExecutionError>>;
}

/// Other machines that execute for this one's queue, and remember results.
pub trait Elsewhere: Send + Sync {
    /// Whether anything is executed there at all, or results are only known.
    fn executes(&self) -> bool;

    /// The result of an action that is known there, all its outputs to be had here.
    fn look_up(
        &self,
        action: ActionDigest,
        priority: Priority,
    ) -> BoxFuture<'_, Result<Option<Outcome>, ExecutionError>>;

    /// Executes an action there, so that its outputs are to be had here.
    ///
    /// # Errors
    /// [`ExecutionError::Service`] if it is the service that failed: the action may be executed here.
    fn run<'a>(
        &'a self,
        spec: &'a ActionSpec,
        priority: Priority,
        skip_cache_lookup: bool,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Outcome, ExecutionError>>;

    /// Has a result remembered there that was come by here.
    fn keep<'a>(
        &'a self,
        action: ActionDigest,
        result: &'a StoredResult,
    ) -> BoxFuture<'a, Result<(), ExecutionError>>;
}

/// An action that somebody inside a sandbox asked for, and what came of it.
#[derive(Debug, Clone)]
pub struct Subaction {
    /// The action.
    pub action: ActionDigest,
    /// Its result.
    pub result: StoredResult,
    /// How it was answered.
    pub answered: Answered,
    /// How long the command ran when it was executed; zero if not known.
    pub duration: Duration,
}

/// Whoever is told of subactions, in the order in which they are answered.
pub trait SubactionRecorder: Send + Sync {
    /// A client inside the sandbox asked for an action and has been given its result. Cache hits
    /// count, and so do failed commands.
    fn answered(&self, subaction: Subaction);

    /// A client asked for an action's result, and there was none. It may execute it now.
    fn missed(&self, _action: ActionDigest) {}
}

/// How long the command itself ran, as its result tells; zero if it doesn't.
pub fn duration_of(result: &reapi::ActionResult) -> Duration {
    let times = result.execution_metadata.as_ref().and_then(|metadata| {
        let start = metadata.execution_start_timestamp?;
        let end = metadata.execution_completed_timestamp?;
        let (start, end) = (
            SystemTime::try_from(start).ok()?,
            SystemTime::try_from(end).ok()?,
        );
        end.duration_since(start).ok()
    });
    times.unwrap_or_default()
}
