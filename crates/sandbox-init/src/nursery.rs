//! A process that makes sandboxes, one after another.
//!
//! To start a program takes a millisecond; to clone one that has hardly any memory, a fraction of that. Also the
//! network of sandboxes ([`network`](crate::network)) is made here, once.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

use crate::init::make_one_of_many;
use crate::network::Network;
use crate::protocol::STREAMS;

/// Makes a sandbox for each message on standard input until that is closed; gives the exit code.
pub(crate) fn tend() -> i32 {
    let stdin = io::stdin();
    let mut network = Network::make();
    loop {
        match next_message() {
            // Whoever sent something else, or gives no orders, sees the socket closed.
            Ok(Some(streams)) => {
                if let Ok(streams) = <[OwnedFd; STREAMS]>::try_from(streams) {
                    network = network.renewed();
                    let _ = make_one_of_many(streams, network, stdin.as_fd());
                }
            }
            Ok(None) => return 0,
            Err(_) => return 1,
        }
    }
}

/// The descriptors of the next message; `None` if there will be none.
fn next_message() -> rustix::io::Result<Option<Vec<OwnedFd>>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(STREAMS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = loop {
        let received = rustix::net::recvmsg(
            rustix::stdio::stdin().as_fd(),
            &mut [IoSliceMut::new(&mut byte)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        );
        if !matches!(received, Err(Errno::INTR)) {
            break received?;
        }
    };
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok(Some(descriptors))
}
