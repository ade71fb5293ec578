//! What people see when something fails: one place where errors become text and exit codes.

use std::fmt;
use std::process::ExitCode;

use headstart_project::LoadError;
use headstart_session::{CheckoutError, ConfigError, SessionError};
use headstart_yaml::Error as YamlError;

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    /// The line that it is about, with a caret below.
    excerpt: Option<String>,
    hint: Option<String>,
    /// Whether the message was shown before, and only the exit code is left to be given.
    shown: bool,
    code: u8,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            message,
            excerpt: None,
            hint: None,
            shown: false,
            code: 1,
        }
    }

    /// A failure of which people have been told.
    pub(crate) fn shown() -> Self {
        Self {
            shown: true,
            ..Self::new("")
        }
    }

    /// The command was interrupted.
    pub(crate) fn interrupted() -> Self {
        Self {
            code: 130,
            ..Self::new("interrupted: what was running has been ended, what was finished is kept")
        }
    }

    /// Whether people have been told of it.
    pub(crate) fn is_shown(&self) -> bool {
        self.shown
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\x1b[1;31merror:\x1b[0m {}", self.message)?;
        if let Some(excerpt) = &self.excerpt {
            write!(f, "\n{excerpt}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n\x1b[1mhint:\x1b[0m {hint}")?;
        }
        Ok(())
    }
}

impl From<&LoadError> for Failure {
    fn from(error: &LoadError) -> Self {
        let excerpt = error
            .provenance()
            .and_then(headstart_yaml::Provenance::excerpt)
            // The end of a file shows nothing.
            .filter(|(line, _)| !line.trim().is_empty())
            .map(|(line, caret)| format!("    {line}\n    {caret}"));
        Self {
            excerpt,
            hint: error.hint(),
            ..Self::new(error.to_string())
        }
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        match &error {
            SessionError::Load(error) => error.into(),
            _ => Self::new(error.to_string()),
        }
    }
}

impl From<CheckoutError> for Failure {
    fn from(error: CheckoutError) -> Self {
        match error {
            CheckoutError::Session(error) => error.into(),
            error => Self::new(error.to_string()),
        }
    }
}

impl From<YamlError> for Failure {
    fn from(error: YamlError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(error.to_string())
    }
}

/// A failure of the operating system at some path.
pub(crate) fn io(path: &std::path::Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}
