//! The program that sandboxes are made by from inside ([`headstart_sandbox_init`]), started by this one.

use std::env;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use headstart_embed::SANDBOX_INIT;
use headstart_sandbox_init::Role;
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, memfd_create, open};
use rustix::io::Errno;

/// A command that starts the program in a role, to be asked on `socket`.
pub(crate) fn command(role: Role, socket: impl Into<OwnedFd>) -> io::Result<Command> {
    static PROGRAM: OnceLock<OwnedFd> = OnceLock::new();
    let program = match PROGRAM.get() {
        Some(program) => program,
        None => {
            // Some machines start nothing that is in memory only (vm.memfd_noexec).
            let loaded = in_memory().or_else(|_| in_folder(&env::temp_dir()))?;
            PROGRAM.get_or_init(|| loaded)
        }
    };
    // The command's process has the descriptor until it has become the program.
    let mut command = Command::new(path(program));
    command
        .arg0("headstart-sandbox")
        .arg(role.argument())
        .stdin(socket.into());
    Ok(command)
}

/// What an open file, which may be nowhere, can be reached by.
fn path(file: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// The program as a file that is nowhere but in memory, and that nobody can change any more.
fn in_memory() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 know of no memory that may not be executed, nor of a flag against that.
    let file = match memfd_create(c"headstart-sandbox-init", flags | MemfdFlags::EXEC) {
        Err(Errno::INVAL) => memfd_create(c"headstart-sandbox-init", flags),
        made => made,
    }?;
    write(&file)?;
    let all = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&file, all)?;
    Ok(file)
}

/// The program as a file without a name in a folder.
fn in_folder(folder: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = open(folder, flags, Mode::from_raw_mode(0o500))
        .map_err(|error| io::Error::other(format!("{}: {error}", folder.display())))?;
    write(&file)?;
    // What can be written to can't be started.
    Ok(open(
        path(&file),
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

fn write(file: impl AsFd) -> io::Result<()> {
    let mut rest = SANDBOX_INIT;
    while !rest.is_empty() {
        rest = &rest[rustix::io::write(&file, rest)?..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_can_be_started_from_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        for program in [in_memory(), in_folder(folder.path())] {
            let program = program.unwrap();
            let ran = Command::new(path(&program)).arg("no role").status();
            assert_eq!(ran.unwrap().code(), Some(2));
        }
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }
}
