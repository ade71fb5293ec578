//! What makes a sandbox from inside, and what is said to it.
//!
//! The program is small, static and has one thread, because it is copied for each sandbox: what a process
//! has in memory is most of what it costs to fork it and to end it. It is started in one of several roles
//! ([`Role`]), is told on a socket what to do ([`Orders`]), clones itself into new namespaces, where the
//! copy is process 1, mounts, runs the command and reaps ([`init`]), and says what came of it
//! ([`Report`]).
//!
//! It also tidies up after whoever started it, being a process that outlives it.

mod init;
mod mounts;
mod namespaces;
mod network;
mod nursery;
mod protocol;
mod unmounter;

use std::ffi::OsStr;

pub use mounts::OVERLAY;
pub use protocol::{LIMIT, Orders, Report, STREAMS, receive, send};
pub use unmounter::unmount;

/// What a process of this program is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Making one sandbox, asked on standard input.
    Init,
    /// Making one after another: each message on standard input, a `SOCK_SEQPACKET` socket, brings the
    /// standard streams of one, the first of which is the socket that it is asked on.
    Nursery,
    /// Unmounting the folder that is told on standard input, when that is closed.
    Unmounter,
}

impl Role {
    /// The first argument of the program.
    pub fn argument(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Nursery => "nursery",
            Self::Unmounter => "unmounter",
        }
    }
}

/// The whole program; gives its exit code.
pub fn main() -> i32 {
    // Whoever lists processes sees what it is and not the number of a descriptor.
    let _ = rustix::thread::set_name(c"headstart-init");
    let role = std::env::args_os().nth(1);
    let is = |it: Role| role.as_deref() == Some(OsStr::new(it.argument()));
    if is(Role::Init) {
        init::run_one()
    } else if is(Role::Nursery) {
        nursery::tend()
    } else if is(Role::Unmounter) {
        unmounter::wait()
    } else {
        2
    }
}
