//! Namespaces of a process's own, and who its users are in them.

use std::fs;
use std::io;

use rustix::thread::UnshareFlags;

use crate::mounts::step;
use crate::protocol::Report;

/// Gives this process, which has one thread, namespaces of its own.
pub(crate) fn unshare(namespaces: UnshareFlags) -> io::Result<()> {
    // SAFETY: this process has one thread, and shares no file descriptor table.
    Ok(unsafe { rustix::thread::unshare_unsafe(namespaces) }?)
}

/// Says who the user and the group outside are in this process's new user namespace: each `(inside, outside)`.
pub(crate) fn map_ids(user: (u32, u32), group: (u32, u32)) -> Result<(), Report> {
    let map = |file: &str, (inside, outside): (u32, u32)| {
        fs::write(file, format!("{inside} {outside} 1"))
    };
    step("deny setgroups", || {
        fs::write("/proc/self/setgroups", "deny")
    })?;
    map("/proc/self/uid_map", user).map_err(|error| Report::Unavailable(error.to_string()))?;
    step("map the group", || map("/proc/self/gid_map", group))
}
