//! A process that unmounts what another has mounted, when that ends, however it ends.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use crate::protocol::receive;

/// Unmounts the folder that is told on standard input, as soon as that is closed; gives the exit code.
pub(crate) fn wait() -> i32 {
    // What ends all processes of a terminal does not end this one.
    let _ = rustix::process::setsid();
    let _ = std::env::set_current_dir("/");
    let mut input = io::stdin();
    let Ok(folder) = receive::<PathBuf>(&mut input) else {
        return 1;
    };
    let mut rest = [0; 64];
    while matches!(input.read(&mut rest), Ok(1..)) {}
    unmount(&folder);
    0
}

/// Unmounts what is mounted on `folder`, if anything is: at once, whoever uses it, and whether or not there is still a
/// process behind it.
pub fn unmount(folder: &Path) {
    let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
    if rustix::mount::unmount(folder, flags) != Err(Errno::PERM) {
        return;
    }
    // Who may not do it has somebody do it who may. That there is nobody is as if nothing were mounted.
    let _ = Command::new("fusermount3")
        .args(["-u", "-q", "-z", "--"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}
