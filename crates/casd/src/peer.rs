//! The process at the other end of a connection, as long as it is there.
//!
//! That a server ends is not always told by the connection to it: a request that is on its way in that
//! moment can be lost without an error. Its process can't.

use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use crate::address::Address;

/// Waits for the end of the process that listens at an address. Where it can't be known, as on a network or
/// from another namespace, it never ends.
pub(crate) async fn ended(address: &str) {
    let ended = match address.parse() {
        Ok(Address::Unix(path)) => watch(&path).await,
        _ => None,
    };
    let has_ended = match ended {
        Some(ended) => ended.await.is_ok(),
        None => false,
    };
    if !has_ended {
        std::future::pending::<()>().await;
    }
}

/// Has a thread wait for the end of the process that listens at a socket. It takes nothing, and ends with
/// that process or this one.
async fn watch(socket: &Path) -> Option<oneshot::Receiver<()>> {
    let connection = UnixStream::connect(socket).await.ok()?;
    let id = Pid::from_raw(connection.peer_cred().ok()?.pid()?)?;
    // Nobody else has got the number meanwhile: whoever listens is there, as it could be connected to.
    let process = pidfd_open(id, PidfdFlags::empty()).ok()?;
    let (sender, receiver) = oneshot::channel();
    let waiting = move || {
        let mut events = [PollFd::new(&process, PollFlags::IN)];
        while let Err(rustix::io::Errno::INTR) = poll(&mut events, None) {}
        if events[0].revents().contains(PollFlags::IN) {
            // Nobody may wait for it any more.
            let _ = sender.send(());
        }
    };
    std::thread::Builder::new()
        .name("peer".to_owned())
        .spawn(waiting)
        .ok()?;
    Some(receiver)
}
