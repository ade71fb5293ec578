//! Networks of sandboxes: namespaces in which there is a loopback interface and nothing else.
//!
//! To make one and to have the kernel clear it away takes a millisecond of processor time each, which is more than all
//! other namespaces take together; and next to no command uses it. So it belongs to the process that init processes are
//! forked from ([`nursery`](crate::nursery)), and serves one sandbox after another for as long as nothing was
//! sent in it.

use std::fs;
use std::io;

use rustix::thread::UnshareFlags;

use crate::mounts::step;
use crate::protocol::Report;

/// Where a process finds what was sent and received on the interfaces of its network.
const DEVICES: &str = "/proc/self/net/dev";
/// From which port on any user may listen. A command in a sandbox is root there, but not of a network that others will
/// have: so it may at all of them.
const UNPRIVILEGED_PORTS: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

/// Gives this process a user namespace, in which it may make a network, and a network.
pub(crate) fn make() -> Result<(), Report> {
    let (uid, gid) = (
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    unshare("make a user namespace", UnshareFlags::NEWUSER)?;
    map_ids((uid, uid), (gid, gid))?;
    renew()
}

/// Gives this process another network.
pub(crate) fn renew() -> Result<(), Report> {
    unshare("make a network", UnshareFlags::NEWNET)?;
    bring_up_loopback()?;
    step("open all ports", || fs::write(UNPRIVILEGED_PORTS, "0"))
}

/// Whether anything was sent in this process's network, which then may remember it.
pub(crate) fn is_used() -> bool {
    let received = |devices: &str| {
        let loopback = devices
            .lines()
            .find_map(|it| it.trim_start().strip_prefix("lo:"))?;
        loopback.split_whitespace().next()?.parse::<u64>().ok()
    };
    let devices = fs::read_to_string(DEVICES);
    devices
        .ok()
        .and_then(|devices| received(&devices))
        .is_none_or(|bytes| bytes > 0)
}

/// Gives this process namespaces of its own.
fn unshare(what: &str, namespaces: UnshareFlags) -> Result<(), Report> {
    step(what, || {
        // SAFETY: this process has one thread, and shares no file descriptor table.
        Ok(unsafe { rustix::thread::unshare_unsafe(namespaces) }?)
    })
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

/// Brings up `lo`, which a new network namespace has, but down: programs talk to themselves.
pub(crate) fn bring_up_loopback() -> Result<(), Report> {
    step("bring up the loopback interface", loopback)
}

fn loopback() -> io::Result<()> {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    )?;
    // SAFETY: `ifreq` is plain data, for which zeroes are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open, and the request is an `ifreq` that outlives the call.
    match unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
