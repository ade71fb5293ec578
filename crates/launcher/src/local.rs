//! Running the command here, as if there were no launcher.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::Command;

use bytes::Bytes;

use crate::failure::Failure;

/// What a command run here left, besides its files.
pub(crate) struct Ran {
    pub(crate) exit_code: u8,
    pub(crate) stdout: Bytes,
    pub(crate) stderr: Bytes,
}

/// Becomes the command. Returns only if that fails.
pub(crate) fn replace(arguments: &[OsString]) -> Failure {
    let Some((program, rest)) = arguments.split_first() else {
        return Failure::Usage("no command is given".to_owned());
    };
    let error = Command::new(program).args(rest).exec();
    Failure::file(PathBuf::from(program))(error)
}

/// Runs the command and passes on what it prints, once it has ended.
pub(crate) fn run(arguments: &[OsString]) -> Result<Ran, Failure> {
    let Some((program, rest)) = arguments.split_first() else {
        return Err(Failure::Usage("no command is given".to_owned()));
    };
    let output = Command::new(program)
        .args(rest)
        .stdin(std::process::Stdio::inherit())
        .output()
        .map_err(Failure::file(PathBuf::from(program)))?;
    // A reader that has gone is nothing to fail for.
    let _ = io::stdout()
        .write_all(&output.stdout)
        .and_then(|()| io::stdout().flush());
    let _ = io::stderr().write_all(&output.stderr);
    let by_signal = || 128 + output.status.signal().unwrap_or(0);
    let exit_code = output.status.code().unwrap_or_else(by_signal);
    Ok(Ran {
        exit_code: u8::try_from(exit_code).unwrap_or(1),
        stdout: output.stdout.into(),
        stderr: output.stderr.into(),
    })
}
