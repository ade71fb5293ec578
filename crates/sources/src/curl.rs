//! curl, by which all comes from the network that is no repository.

use std::ffi::OsStr;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::error::SourceError;

/// A question to a server.
pub(crate) struct Curl {
    command: Command,
    /// What others may not see in the list of processes: it is told on the input.
    config: String,
}

impl Curl {
    /// Asks for what is behind an address, wherever that leads.
    pub(crate) fn new(url: &str) -> Self {
        let mut command = Command::new("curl");
        command
            .args(["--location", "--silent", "--show-error", "--config", "-"])
            .args(["--url", url]);
        Self {
            command,
            config: String::new(),
        }
    }

    /// With further options.
    pub(crate) fn with(mut self, options: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(options);
        self
    }

    /// Shows the server this token.
    pub(crate) fn showing(mut self, token: &str) -> Self {
        let token = token.replace('\\', r"\\").replace('"', "\\\"");
        self.config = format!("oauth2-bearer = \"{token}\"\n");
        self
    }

    /// How it ended, and what it printed.
    pub(crate) fn run(mut self) -> Result<Output, SourceError> {
        self.command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .and_then(|mut child| {
                if let Some(mut input) = child.stdin.take() {
                    // It may end before it has read all.
                    let _ = input.write_all(self.config.as_bytes());
                }
                child.wait_with_output()
            })
            .map_err(|_| SourceError::NoProgram {
                program: "curl",
                purpose: "fetch sources from the network",
            })
    }
}
