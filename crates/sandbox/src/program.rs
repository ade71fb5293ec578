//! The program that becomes the init process of sandboxes.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, exit};

use crate::init;
use crate::network::Network;
use crate::nursery;

/// The first arguments by which the program knows what it is: the init process of one sandbox, or what
/// others are forked from.
const INIT: &str = "__headstart-sandbox-init";
const NURSERY: &str = "__headstart-sandbox-nursery";

/// The program that is started as the init process of sandboxes; it calls
/// [`crate::init_if_requested`] first thing.
#[derive(Debug, Clone)]
pub struct InitProgram(PathBuf);

impl Default for InitProgram {
    /// This program itself.
    fn default() -> Self {
        Self("/proc/self/exe".into())
    }
}

impl InitProgram {
    /// Another program.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// To be an init process that is asked on `socket`.
    pub(crate) fn init(&self, socket: impl Into<OwnedFd>) -> Command {
        self.command(INIT, socket.into())
    }

    /// To be a nursery that is asked on `socket`.
    pub(crate) fn nursery(&self, socket: impl Into<OwnedFd>) -> Command {
        self.command(NURSERY, socket.into())
    }

    fn command(&self, role: &str, socket: OwnedFd) -> Command {
        let mut command = Command::new(&self.0);
        command.arg0("headstart-sandbox").arg(role).stdin(socket);
        command
    }
}

/// Becomes the init process of a sandbox, or a nursery of such, and never returns, if this process was
/// started as one.
///
/// To be called first thing in `main` of every program that makes sandboxes, while it has one
/// thread.
pub fn init_if_requested() {
    let role = std::env::args_os().nth(1);
    match role.as_deref().and_then(OsStr::to_str) {
        Some(INIT) => exit(init::run(Network::Host)),
        Some(NURSERY) => exit(match nursery::tend() {
            Ok(network) => init::run(network),
            Err(code) => code,
        }),
        _ => {}
    }
}
