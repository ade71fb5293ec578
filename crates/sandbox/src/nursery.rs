//! Processes that the init processes of sandboxes are forked from.
//!
//! To start this program takes milliseconds, most of them the dynamic loader's; to fork it, a fraction
//! of one. So it is started once for each sandbox that there is at a time, as small as it is then, and forks for each
//! message: the child takes the descriptors that the message brings as its standard streams, and goes on as an init
//! process that was started for itself would, but for its network ([`network`](crate::network)), which it has
//! from its nursery.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use rustix::process::{WaitOptions, wait};

use crate::network::Network;
use crate::program::InitProgram;

/// How many descriptors come with a message.
const STREAMS: usize = 3;

/// How many nurseries stay that nobody uses.
const IDLE: usize = 64;

/// All nurseries of a maker of sandboxes, seen from outside. They are started when they are needed, and others when they
/// were killed.
pub(crate) struct Nurseries {
    init: InitProgram,
    idle: Mutex<Vec<Nursery>>,
}

/// A nursery that has forked an init process.
pub(crate) struct Nursery {
    /// Closing it ends the process. `None` only while it is dropped.
    control: Option<OwnedFd>,
    process: Child,
}

impl Nurseries {
    pub(crate) fn new(init: InitProgram) -> Self {
        Self {
            init,
            idle: Mutex::default(),
        }
    }

    /// Has an init process made whose standard input, output and error are these.
    pub(crate) fn fork(&self, streams: [BorrowedFd<'_>; STREAMS]) -> io::Result<Nursery> {
        while let Some(nursery) = self.take() {
            if nursery.ask(&streams).is_ok() {
                return Ok(nursery);
            }
        }
        let nursery = Nursery::start(&self.init)?;
        nursery.ask(&streams)?;
        Ok(nursery)
    }

    /// Takes a nursery back whose init process has ended, and all that was in its sandbox.
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
    fn start(init: &InitProgram) -> io::Result<Self> {
        let (control, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let process = init.nursery(theirs).stdout(Stdio::null()).spawn()?;
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

/// Forks for each message on standard input until that is closed, one child at a time. Returns in each child, whose
/// standard streams are then what came with the message, with the network that it has; in the nursery itself with its
/// exit code.
pub(crate) fn tend() -> Result<Network, i32> {
    notice_children(true);
    let mut network = Network::make();
    loop {
        let streams = match next_message() {
            Ok(Some(streams)) => streams,
            Ok(None) => return Err(0),
            Err(_) => return Err(1),
        };
        // Whoever sent something else, or finds that there can be no more processes, sees the socket
        // closed.
        let Ok([socket, stdout, stderr]) = <[OwnedFd; STREAMS]>::try_from(streams) else {
            continue;
        };
        reap(WaitOptions::empty());
        network = network.renewed();
        // SAFETY: this process has one thread, so the child may use everything.
        if unsafe { libc::fork() } != 0 {
            continue;
        }
        notice_children(false);
        let taken = rustix::stdio::dup2_stdin(&socket)
            .and_then(|()| rustix::stdio::dup2_stdout(&stdout))
            .and_then(|()| rustix::stdio::dup2_stderr(&stderr));
        return taken.map(|()| network).map_err(|_| 1);
    }
}

/// The descriptors of the next message; `None` if there will be none.
fn next_message() -> rustix::io::Result<Option<Vec<OwnedFd>>> {
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(STREAMS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let received = rustix::net::recvmsg(
            rustix::stdio::stdin().as_fd(),
            &mut [IoSliceMut::new(&mut byte)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        );
        match received {
            Ok(message) if message.bytes == 0 => return Ok(None),
            Ok(_) => {}
            Err(Errno::INTR) => {
                reap(WaitOptions::NOHANG);
                continue;
            }
            Err(error) => return Err(error),
        }
        let mut descriptors = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        return Ok(Some(descriptors));
    }
}

/// Whether waiting is interrupted when a child ends.
fn notice_children(notice: bool) {
    extern "C" fn nothing(_: libc::c_int) {}
    let handler = match notice {
        true => nothing as extern "C" fn(libc::c_int) as libc::sighandler_t,
        false => libc::SIG_DFL,
    };
    // SAFETY: the action is plain data, for which zeroes are valid: no flags, so that calls are
    // interrupted, and no signals blocked. The handler does nothing, which is safe at any time.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        libc::sigaction(libc::SIGCHLD, &action, std::ptr::null_mut());
    }
}

/// Waits for children, those that have ended or all: only then is the time that they used added to this
/// process's, by which it is told from that of other programs.
fn reap(options: WaitOptions) {
    loop {
        match wait(options) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return,
        }
    }
}
