//! Contracts between those who ask for actions, those who run them, and those who are told.
//!
//! The sandbox runs one command in one tree and knows of neither services nor speculation. The
//! daemon answers requests, queues actions and serves what a sandbox offers inside. Speculation is
//! told of subactions through [`SubactionRecorder`]. None of them knows the others: they meet in
//! the traits below, and the session puts them together.

mod action;
mod asked;
mod executor;
mod sandbox;

pub use action::{ActionSpec, InvalidAction, OutputsWanted};
pub use asked::AskedFor;
pub use executor::{
    Answered, CancellationToken, Elsewhere, ExecutionError, Executor, Outcome, Priority, Request,
    Subaction, SubactionRecorder, duration_of,
};
pub use sandbox::{
    BindMount, BoxFuture, CapturedProperties, Sandbox, SandboxError, SandboxOutcome,
    SandboxRequest, SocketMount, Streams, WritablePaths,
};
