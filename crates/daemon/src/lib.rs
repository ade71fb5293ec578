//! Executes actions on this machine, and serves what a sandbox offers inside.
//!
//! [`LocalExecutor`] answers requests for actions: from the action cache, by joining one in flight,
//! or by running it in a sandbox when a slot is free. An element's own command runs beside the slots
//! ([`LocalExecutor::run_parent`]), with an [`endpoint`] of its own: a gRPC server on a unix socket
//! that only its sandbox can reach, and that tells a recorder of every subaction.
//!
//! Invariants: identical actions in flight run once. What a build waits for never waits for what is
//! speculative. Only results of success are cached. Nothing of an endpoint outlives its sandbox.

mod endpoint;
mod executor;
mod queue;
mod result;
mod runner;
mod services;
mod status;
mod tenant;

pub use endpoint::{Endpoint, EndpointError};
pub use executor::{LocalExecutor, ParentOutcome, ParentRequest, Resources};
pub use tenant::Tenant;
