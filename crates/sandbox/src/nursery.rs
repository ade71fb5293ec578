//! Nurseries seen from outside: processes that make sandboxes, one after another.
//!
//! They are started when they are needed, as many as there are sandboxes at a time, and others when they were
//! killed.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use headstart_sandbox_init::{Role, STREAMS};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use crate::program;

/// How many nurseries stay that nobody uses.
const IDLE: usize = 64;

/// All nurseries of a maker of sandboxes.
#[derive(Default)]
pub(crate) struct Nurseries {
    idle: Mutex<Vec<Nursery>>,
}

/// A nursery that was asked for a sandbox.
pub(crate) struct Nursery {
    /// Closing it ends the process. `None` only while it is dropped.
    control: Option<OwnedFd>,
    process: Child,
}

impl Nurseries {
    /// Has a sandbox made that is asked on the first of these, and has the others as standard output and error.
    pub(crate) fn ask(&self, streams: [BorrowedFd<'_>; STREAMS]) -> io::Result<Nursery> {
        while let Some(nursery) = self.take() {
            if nursery.ask(&streams).is_ok() {
                return Ok(nursery);
            }
        }
        let nursery = Nursery::start()?;
        nursery.ask(&streams)?;
        Ok(nursery)
    }

    /// Takes a nursery back whose sandbox has ended, with all that was in it.
    pub(crate) fn take_back(&self, nursery: Nursery) {
        let mut idle = self.idle();
        if idle.len() < IDLE {
            idle.push(nursery);
        }
    }

    fn take(&self) -> Option<Nursery> {
        self.idle().pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Nursery>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Nursery {
    fn start() -> io::Result<Self> {
        let (control, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let process = program::command(Role::Nursery, theirs)?
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self {
            control: Some(control),
            process,
        })
    }

    fn ask(&self, streams: &[BorrowedFd<'_>; STREAMS]) -> io::Result<()> {
        let control = self.control.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(STREAMS))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        rights.push(SendAncillaryMessage::ScmRights(streams));
        let nothing = [IoSlice::new(&[0])];
        rustix::net::sendmsg(control, &nothing, &mut rights, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

impl Drop for Nursery {
    fn drop(&mut self) {
        self.control = None;
        let _ = self.process.wait();
    }
}
