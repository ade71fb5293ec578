//! Listening where the command line says.

use std::io;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener};

/// A unix socket that is listened to; removed when it is dropped.
pub(crate) struct UnixSocket {
    listener: UnixListener,
    path: Removed,
}

/// A file that is removed when this is dropped.
pub(crate) struct Removed(PathBuf);

impl UnixSocket {
    /// The listener, and what keeps its file.
    pub(crate) fn into_parts(self) -> (UnixListener, Removed) {
        (self.listener, self.path)
    }
}

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Listens at a path. Clients wait for the file to appear and connect at once, so it appears when
/// connections are taken.
pub(crate) fn unix(path: &Path, mode: Option<u32>) -> io::Result<UnixSocket> {
    use std::os::unix::fs::PermissionsExt;
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let early = PathBuf::from(name);
    let listener = match UnixListener::bind(&early) {
        // Left behind by a killed process that had the same id.
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            std::fs::remove_file(&early)?;
            UnixListener::bind(&early)?
        }
        other => other?,
    };
    let prepared = match mode {
        Some(mode) => std::fs::set_permissions(&early, std::fs::Permissions::from_mode(mode)),
        None => Ok(()),
    };
    if let Err(error) = prepared.and_then(|()| std::fs::rename(&early, path)) {
        let _ = std::fs::remove_file(&early);
        return Err(error);
    }
    Ok(UnixSocket {
        listener,
        path: Removed(path.to_owned()),
    })
}

/// Listens at a host and port.
pub(crate) async fn tcp(address: &str) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}
