//! Executes actions on this machine, and serves what a sandbox offers inside.
//!
//! [`LocalExecutor`] answers requests for actions: from the action cache, by joining one in flight,
//! or by running it in a sandbox when a slot is free. An element's own command runs beside the slots
//! ([`LocalExecutor::run_parent`]), with an [`endpoint`] of its own: a gRPC server on a unix socket
//! that only its sandbox can reach, and that tells a recorder of every subaction.
//!
//! Invariants: identical actions in flight run once. What a build waits for never waits for what is
//! speculative. Only results of success are cached. Nothing of an endpoint outlives its sandbox.

mod authority;
mod endpoint;
mod executor;
mod farm;
mod guard;
mod inside;
mod instances;
mod parents;
mod patience;
mod premises;
mod queue;
mod result;
mod runner;
mod server;
mod services;
mod status;
mod tenant;
mod through;
mod trees;

pub use endpoint::{Endpoint, EndpointError};
pub use executor::{
    LocalExecutor, ParentOutcome, ParentPlace, ParentRequest, Resources, ShellRequest,
};
pub use guard::{Credentials, Guard, InvalidCredentials};
pub use instances::Instances;
pub use parents::{ParentRun, Parents};
pub use patience::Patience;
pub use premises::{DiskUsage, Premises, StageWanted, StagedTree};
pub use runner::{Manner, SandboxedAction, socket_path};
pub use server::{Audience, Server};
pub use tenant::{Tenant, nobody_to_tell};
