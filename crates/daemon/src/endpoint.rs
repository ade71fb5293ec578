//! A gRPC server on a unix socket of its own, for those inside one sandbox.

use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headstart_hostfs::Place;
use headstart_merkle::TreePath;
use thiserror::Error;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::UdsConnectInfo;

use crate::authority::Mended;
use crate::inside::Inside;
use crate::instances::Instances;
use crate::patience::{Patience, watched};
use crate::server::{routes, transport};
use crate::services::Clients;
use crate::tenant::Tenant;

/// A server that runs until it is closed or dropped.
pub struct Endpoint {
    /// Holds the socket, unless that lies in a staged tree; readable by nobody else, removed with the
    /// endpoint.
    _folder: Option<tempfile::TempDir>,
    socket: PathBuf,
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
    /// Serves `tenant` on a new socket, which the sandbox will see at `inside`.
    ///
    /// The socket lies in the folder for temporary files: paths of sockets may have 107 bytes, and
    /// cache directories can be longer.
    pub fn open(tenant: Tenant, inside: &TreePath) -> Result<Self, EndpointError> {
        let failed = |source| EndpointError {
            folder: std::env::temp_dir(),
            source,
        };
        let folder = tempfile::Builder::new()
            .prefix("headstart-")
            .tempdir()
            .map_err(failed)?;
        let socket = folder.path().join("socket");
        let listener = UnixListener::bind(&socket).map_err(failed)?;
        Ok(Self::start(tenant, listener, socket, inside, Some(folder)))
    }

    /// Serves `tenant` on a new socket at `inside` in a staged tree.
    pub fn open_in(tenant: Tenant, tree: &Path, inside: &TreePath) -> Result<Self, EndpointError> {
        let open = || {
            let (parent, name) = inside.split().ok_or(io::ErrorKind::InvalidInput)?;
            // Links of the tree lead to where they would if it was the root.
            let folder = Place::below(tree)
                .and_then(|place| place.make_folder(Path::new(parent.as_str())))
                .map_err(io::Error::other)?;
            // By descriptor, which is short.
            let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string());
            let listener = UnixListener::bind(short.join(name.as_str()))?;
            Ok((listener, std::fs::read_link(short)?.join(name.as_str())))
        };
        let (listener, socket) = open().map_err(|source| EndpointError {
            folder: tree.to_owned(),
            source,
        })?;
        Ok(Self::start(tenant, listener, socket, inside, None))
    }

    fn start(
        tenant: Tenant,
        listener: UnixListener,
        socket: PathBuf,
        inside: &TreePath,
        folder: Option<tempfile::TempDir>,
    ) -> Self {
        let stop = CancellationToken::new();
        let clients = Clients::Inside(Arc::new(Inside::new(socket.clone(), inside.clone())));
        let server = serve(tenant, clients, listener, stop.clone());
        Self {
            _folder: folder,
            socket,
            server: tokio::spawn(server),
            stop,
        }
    }

    /// The socket's path on the host.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Ends the server. What its clients still wait for is cancelled.
    pub async fn close(mut self) {
        self.stop.cancel();
        // The sandbox has ended, and with it all clients; nothing is left to be answered.
        let _ = (&mut self.server).await;
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stop.cancel();
        self.server.abort();
    }
}

async fn serve(tenant: Tenant, clients: Clients, listener: UnixListener, stop: CancellationToken) {
    let patience = Patience::with_guests();
    let routes = routes(&Instances::one(tenant.clone()), clients, patience);
    let router = transport::<UdsConnectInfo>(patience).add_routes(routes);
    let connections = watched(UnixListenerStream::new(listener), patience);
    let connections = connections.map(|stream| stream.map(Mended::new));
    let served = tokio::select! {
        served = router.serve_with_incoming(connections) => served,
        () = stop.cancelled() => Ok(()),
    };
    tenant.cancel().cancel();
    if let Err(error) = served {
        tracing::warn!(%error, "the endpoint of a sandbox failed");
    }
}
