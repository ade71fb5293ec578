//! Networks of sandboxes: namespaces in which there is a loopback interface and nothing else.
//!
//! To make one and to have the kernel clear it away takes a millisecond of processor time each, which is more than all
//! other namespaces take together; and next to no command uses it. So it belongs to a
//! [`nursery`](crate::nursery), and serves one sandbox after another for as long as nothing was sent in it.

use std::fs;
use std::io;

use rustix::thread::UnshareFlags;

use crate::mounts::step;
use crate::namespaces::{Ids, unshare};
use crate::protocol::Report;

/// Where a process finds what was sent and received on the interfaces of its network.
const DEVICES: &str = "/proc/self/net/dev";
/// From which port on any user may listen. A command in a sandbox is root there, but not of a network that others will
/// have: so it may at all of them.
const UNPRIVILEGED_PORTS: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

/// The network of a process that is going to make a sandbox.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Network {
    /// That of the host, or one that will not do: the sandbox makes its own, or says why that can't be.
    Host,
    /// One that is as good as new, and nobody else's.
    Own,
}

impl Network {
    /// Gives this process a network, if it can be had.
    pub(crate) fn make() -> Self {
        Self::of(make())
    }

    /// Gives this process another network if its own was used.
    pub(crate) fn renewed(self) -> Self {
        match self == Self::Own && is_used() {
            true => Self::of(renew()),
            false => self,
        }
    }

    fn of(made: Result<(), Report>) -> Self {
        match made {
            Ok(()) => Self::Own,
            Err(_) => Self::Host,
        }
    }
}

/// Makes a user namespace, in which this process may make a network, and a network.
fn make() -> Result<(), Report> {
    let outside = Ids::of_this_process();
    step("make a user namespace", || unshare(UnshareFlags::NEWUSER))?;
    outside.stay()?;
    renew()
}

fn renew() -> Result<(), Report> {
    step("make a network", || unshare(UnshareFlags::NEWNET))?;
    bring_up_loopback()?;
    step("open all ports", || fs::write(UNPRIVILEGED_PORTS, "0"))
}

/// Whether anything was sent in this process's network, which then may remember it.
fn is_used() -> bool {
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
