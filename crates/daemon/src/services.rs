//! The gRPC services of the REAPI and its neighbours, over tenants: one file a service.

mod action_cache;
mod asset;
mod bytestream;
mod capabilities;
mod cas;
mod chunks;
mod compression;
mod execution;
mod local_cas;
mod operations;
mod outlet;
mod uploads;

pub(crate) use action_cache::ActionCacheService;
pub(crate) use asset::AssetService;
pub(crate) use bytestream::{ByteStreamService, Routed as RoutedByteStream};
pub(crate) use capabilities::CapabilitiesService;
pub(crate) use cas::CasService;
pub(crate) use execution::ExecutionService;
pub(crate) use local_cas::{Clients, LocalCasService};
pub(crate) use operations::{Operations, OperationsService};

use headstart_merkle::{BlobDigest, Digest};
use headstart_reapi::reapi;
use tokio::task::JoinHandle;
use tonic::Status;

/// How much blob content one batch may hold, in bytes; announced to clients.
pub(crate) const MAX_BATCH: u64 = 4 * 1024 * 1024;
/// How long one message may be, in bytes: a full batch with its digests.
pub(crate) const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// The largest blob that is taken, in bytes.
pub(crate) const MAX_BLOB: u64 = 16 * 1024 * 1024 * 1024;

/// Checks the digest in a request's field.
#[allow(clippy::result_large_err)]
pub(crate) fn digest<K>(field: Option<&reapi::Digest>, name: &str) -> Result<Digest<K>, Status> {
    Digest::required(field).map_err(|error| Status::invalid_argument(format!("{name}: {error}")))
}

/// Checks that a blob is not too large.
#[allow(clippy::result_large_err)]
fn check_size(blob: BlobDigest) -> Result<(), Status> {
    match blob.size() <= MAX_BLOB {
        true => Ok(()),
        false => Err(Status::invalid_argument(format!(
            "{blob} is too large: expected {MAX_BLOB} bytes at most"
        ))),
    }
}

/// Runs what reads or writes many files where it holds up no other call.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Status> {
    ended(tokio::task::spawn_blocking(work)).await
}

/// What comes of a task; that it panicked is the caller's error.
async fn ended<T>(task: JoinHandle<T>) -> Result<T, Status> {
    let done = task.await;
    done.map_err(|error| Status::internal(format!("the call failed inside: {error}")))
}
