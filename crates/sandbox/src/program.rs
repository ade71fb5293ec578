//! The program that sandboxes are made by from inside ([`headstart_sandbox_init`]), started by this one.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;

use headstart_embed::SANDBOX_INIT;
use headstart_sandbox_init::Role;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;

/// A command that starts the program in a role, to be asked on `socket`.
pub(crate) fn command(role: Role, socket: impl Into<OwnedFd>) -> io::Result<Command> {
    static PROGRAM: OnceLock<OwnedFd> = OnceLock::new();
    let program = match PROGRAM.get() {
        Some(program) => program,
        None => {
            let loaded = load().map_err(|error| {
                let reason = format!(
                    "no program can be started from memory, which vm.memfd_noexec=2 would forbid: {error}"
                );
                io::Error::new(error.kind(), reason)
            })?;
            PROGRAM.get_or_init(|| loaded)
        }
    };
    // The command's process has the descriptor until it has become the program.
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    command
        .arg0("headstart-sandbox")
        .arg(role.argument())
        .stdin(socket.into());
    Ok(command)
}

/// The program as a file that is nowhere but in memory, and that nobody can change any more.
fn load() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 know of no memory that may not be executed, nor of a flag against that.
    let file = match memfd_create(c"headstart-sandbox-init", flags | MemfdFlags::EXEC) {
        Err(Errno::INVAL) => memfd_create(c"headstart-sandbox-init", flags),
        made => made,
    }?;
    let mut rest = SANDBOX_INIT;
    while !rest.is_empty() {
        rest = &rest[rustix::io::write(&file, rest)?..];
    }
    let all = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&file, all)?;
    Ok(file)
}
