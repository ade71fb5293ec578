//! The file system that the clients of a sandbox's endpoint see.

use std::path::{Path, PathBuf};

use headstart_hostfs::Place;
use headstart_merkle::TreePath;
use tonic::transport::server::UdsConnectInfo;
use tonic::{Extensions, Status};

/// How a sandbox is recognized from outside: by the socket that is seen in it, and nowhere else.
pub(crate) struct Inside {
    socket: PathBuf,
    seen_at: TreePath,
}

impl Inside {
    pub(crate) fn new(socket: PathBuf, seen_at: TreePath) -> Self {
        Self { socket, seen_at }
    }

    /// The root that the client at the other end of a connection has.
    ///
    /// It is found by the client's process id, which another process may have by now; so it only
    /// counts if the socket is seen in it.
    #[allow(clippy::result_large_err)]
    pub(crate) fn place(&self, connection: &Extensions) -> Result<Place, Status> {
        let client = connection.get::<UdsConnectInfo>();
        let id = client.and_then(|client| client.peer_cred?.pid());
        let id = id.ok_or_else(|| Status::permission_denied("the client is not known"))?;
        let place = Place::below(Path::new(&format!("/proc/{id}/root")))
            .map_err(|error| Status::permission_denied(error.to_string()))?;
        let seen = place.identity(Path::new(self.seen_at.as_str()));
        let own = Place::host().identity(&self.socket);
        if own.is_none() || own != seen {
            return Err(Status::permission_denied(
                "the client is not in the sandbox that this endpoint belongs to",
            ));
        }
        Ok(place)
    }
}
