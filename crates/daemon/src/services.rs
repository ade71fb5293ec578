//! The gRPC services of the REAPI, over a tenant: one file a service.

mod action_cache;
mod bytestream;
mod capabilities;
mod cas;
mod execution;

pub(crate) use action_cache::ActionCacheService;
pub(crate) use bytestream::ByteStreamService;
pub(crate) use capabilities::CapabilitiesService;
pub(crate) use cas::CasService;
pub(crate) use execution::ExecutionService;

use headstart_merkle::Digest;
use headstart_reapi::reapi;
use tonic::Status;

/// How much blob content one batch may hold, in bytes; announced to clients.
pub(crate) const MAX_BATCH: u64 = 4 * 1024 * 1024;
/// How long one message may be, in bytes: a full batch with its digests.
pub(crate) const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// The largest blob that is taken, in bytes.
pub(crate) const MAX_BLOB: u64 = 16 * 1024 * 1024 * 1024;

/// Checks an instance name: an endpoint has one instance, and it has no name.
#[allow(clippy::result_large_err)]
pub(crate) fn check_instance(name: &str) -> Result<(), Status> {
    if name.is_empty() {
        return Ok(());
    }
    Err(Status::invalid_argument(format!(
        "there is no instance {name:?} here: expected an empty instance name"
    )))
}

/// Checks the digest in a request's field.
#[allow(clippy::result_large_err)]
pub(crate) fn digest<K>(field: Option<&reapi::Digest>, name: &str) -> Result<Digest<K>, Status> {
    Digest::required(field).map_err(|error| Status::invalid_argument(format!("{name}: {error}")))
}
