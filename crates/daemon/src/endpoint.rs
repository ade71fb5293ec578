//! A gRPC server on a unix socket of its own, for those inside one sandbox.

use std::io;
use std::path::{Path, PathBuf};

use headstart_reapi::bytestream::byte_stream_server::ByteStreamServer;
use headstart_reapi::reapi::action_cache_server::ActionCacheServer;
use headstart_reapi::reapi::capabilities_server::CapabilitiesServer;
use headstart_reapi::reapi::content_addressable_storage_server::ContentAddressableStorageServer;
use headstart_reapi::reapi::execution_server::ExecutionServer;
use thiserror::Error;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use crate::services::{
    ActionCacheService, ByteStreamService, CapabilitiesService, CasService, ExecutionService,
    MAX_MESSAGE,
};
use crate::tenant::Tenant;

/// What may be on its way on one connection and one stream; the defaults cost half the throughput.
const WINDOW: u32 = 16 * 1024 * 1024;
const FRAME: u32 = 1024 * 1024;

/// A server that runs until it is closed or dropped.
pub struct Endpoint {
    /// Holds the socket; readable by nobody else, removed with the endpoint.
    folder: tempfile::TempDir,
    stop: CancellationToken,
    server: JoinHandle<()>,
}

/// An endpoint that can't be opened.
#[derive(Debug, Error)]
#[error("no socket for a sandbox can be opened in {folder}: {source}")]
pub struct EndpointError {
    folder: PathBuf,
    source: io::Error,
}

impl Endpoint {
    /// Serves `tenant` on a new socket.
    ///
    /// The socket lies in the folder for temporary files: paths of sockets may have 107 bytes, and
    /// cache directories can be longer.
    pub fn open(tenant: Tenant) -> Result<Self, EndpointError> {
        let failed = |source| EndpointError {
            folder: std::env::temp_dir(),
            source,
        };
        let folder = tempfile::Builder::new()
            .prefix("headstart-")
            .tempdir()
            .map_err(failed)?;
        let listener = UnixListener::bind(folder.path().join("socket")).map_err(failed)?;
        let stop = CancellationToken::new();
        let server = serve(tenant, listener, stop.clone());
        Ok(Self {
            folder,
            server: tokio::spawn(server),
            stop,
        })
    }

    /// The socket's path on the host.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Ends the server. What its clients still wait for is cancelled.
    pub async fn close(mut self) {
        self.stop.cancel();
        // The sandbox has ended, and with it all clients; nothing is left to be answered.
        let _ = (&mut self.server).await;
    }

    /// The folder of the socket.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stop.cancel();
        self.server.abort();
    }
}

async fn serve(tenant: Tenant, listener: UnixListener, stop: CancellationToken) {
    let cas = ContentAddressableStorageServer::new(CasService::new(tenant.clone()))
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let bytes = ByteStreamServer::new(ByteStreamService::new(tenant.clone()))
        .max_decoding_message_size(MAX_MESSAGE);
    let results = ActionCacheServer::new(ActionCacheService::new(tenant.clone()))
        .max_decoding_message_size(MAX_MESSAGE);
    let router = Server::builder()
        .initial_connection_window_size(WINDOW)
        .initial_stream_window_size(WINDOW)
        .max_frame_size(FRAME)
        .max_concurrent_streams(1024)
        .add_service(CapabilitiesServer::new(CapabilitiesService::new(
            tenant.clone(),
        )))
        .add_service(cas)
        .add_service(bytes)
        .add_service(results)
        .add_service(ExecutionServer::new(ExecutionService::new(tenant.clone())));
    let served = tokio::select! {
        served = router.serve_with_incoming(UnixListenerStream::new(listener)) => served,
        () = stop.cancelled() => Ok(()),
    };
    tenant.cancel().cancel();
    if let Err(error) = served {
        tracing::warn!(%error, "the endpoint of a sandbox failed");
    }
}
