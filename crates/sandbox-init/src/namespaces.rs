//! Namespaces of a process's own, and who its users are in them.

use std::fs;
use std::io;

use rustix::process::Pid;
use rustix::thread::UnshareFlags;

use crate::mounts::step;
use crate::protocol::Report;

/// Gives this process, which has one thread, namespaces of its own.
pub(crate) fn unshare(namespaces: UnshareFlags) -> io::Result<()> {
    // SAFETY: this process has one thread, and shares no file descriptor table.
    Ok(unsafe { rustix::thread::unshare_unsafe(namespaces) }?)
}

/// Copies this process, which has one thread, into namespaces of the copy's own. Gives the copy's id here, and
/// `None` in the copy.
pub(crate) fn clone_into(namespaces: UnshareFlags) -> io::Result<Option<Pid>> {
    let flags = i64::from(namespaces.bits()) | i64::from(libc::SIGCHLD);
    // SAFETY: nothing is shared with the copy and it goes on on the same stack, so that this is fork(2), after which
    // a process with one thread may use everything.
    match unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) } {
        -1 => Err(io::Error::last_os_error()),
        id => Ok(Pid::from_raw(id as libc::pid_t)),
    }
}

/// A user and a group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ids {
    user: u32,
    group: u32,
}

impl Ids {
    /// Those that this process has.
    pub(crate) fn of_this_process() -> Self {
        Self {
            user: rustix::process::getuid().as_raw(),
            group: rustix::process::getgid().as_raw(),
        }
    }

    /// Says what these, of the namespace outside, are in this process's new user namespace.
    pub(crate) fn are(self, (user, group): (u32, u32)) -> Result<(), Report> {
        let map = |file: &str, inside: u32, outside: u32| {
            fs::write(file, format!("{inside} {outside} 1"))
        };
        step("deny setgroups", || {
            fs::write("/proc/self/setgroups", "deny")
        })?;
        map("/proc/self/uid_map", user, self.user)
            .map_err(|error| Report::Unavailable(error.to_string()))?;
        step("map the group", || {
            map("/proc/self/gid_map", group, self.group)
        })
    }

    /// Says that they are the same.
    pub(crate) fn stay(self) -> Result<(), Report> {
        self.are((self.user, self.group))
    }
}
