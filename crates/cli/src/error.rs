//! What people see when something fails: one place where errors become text and exit codes.

use std::fmt;
use std::io::ErrorKind;
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
    record: Box<Record>,
}

/// A failure as other programs read it, from the file that `HEADSTART_ERROR_FILE` names.
#[derive(Debug, Default, serde::Serialize)]
struct Record {
    /// A member of BuildStream's `ErrorDomain`.
    domain: Option<String>,
    /// A member of its `LoadErrorReason`, or a plugin's word for the reason.
    reason: Option<String>,
    /// The same for the job of an element that failed.
    task_domain: Option<&'static str>,
    task_reason: Option<&'static str>,
    message: String,
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
}

/// What BuildStream's commands end with when they fail.
const FAILED: u8 = 255;

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            record: Box::new(Record {
                domain: Some("APP".to_owned()),
                message: message.clone(),
                ..Record::default()
            }),
            message,
            excerpt: None,
            hint: None,
            shown: false,
            code: FAILED,
        }
    }

    /// A failure of elements' jobs, of which people have been told.
    pub(crate) fn shown() -> Self {
        let mut failure = Self::new("").in_domain("STREAM", None);
        failure.shown = true;
        failure
    }

    /// Something that was stored was damaged, of which people have been told.
    pub(crate) fn damage() -> Self {
        Self {
            code: 1,
            ..Self::shown()
        }
    }

    /// With BuildStream's word for the reason.
    pub(crate) fn because(mut self, reason: &str) -> Self {
        self.record.reason = Some(reason.to_owned());
        self
    }

    fn in_domain(mut self, domain: &str, reason: Option<&str>) -> Self {
        self.record.domain = Some(domain.to_owned());
        self.record.reason = reason.map(str::to_owned);
        self
    }

    /// What an element's job failed by, and what was said of it.
    pub(crate) fn of_task(
        mut self,
        domain: &'static str,
        reason: Option<&'static str>,
        message: &str,
    ) -> Self {
        self.record.task_domain = Some(domain);
        self.record.task_reason = reason;
        self.record.message = message.to_owned();
        self
    }

    fn at(mut self, place: Option<&headstart_yaml::Provenance>) -> Self {
        if let Some(place) = place.filter(|place| !place.is_synthetic()) {
            self.record.file = place.file().map(str::to_owned);
            self.record.line = Some(place.line());
            self.record.column = Some(place.column());
        }
        self
    }

    /// Leaves the failure for other programs, if they have said where.
    pub(crate) fn leave(&self) {
        let Some(path) = std::env::var_os("HEADSTART_ERROR_FILE") else {
            return;
        };
        let written = serde_json::to_vec(&*self.record)
            .map_err(std::io::Error::other)
            .and_then(|text| std::fs::write(&path, text));
        if let Err(error) = written {
            tracing::warn!("{}: {error}", path.display());
        }
    }

    /// The command was interrupted.
    pub(crate) fn interrupted() -> Self {
        Self {
            code: 130,
            ..Self::new("interrupted: what was running has been ended, what was finished is kept")
        }
    }

    /// The command line can't be meant.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            code: 2,
            ..Self::new(message)
        }
    }

    /// Nothing that was asked for is there, and nothing has gone wrong otherwise.
    pub(crate) fn nothing_there(message: &str) -> Self {
        Self {
            code: 1,
            ..Self::new(message)
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
        let failure = Self {
            excerpt,
            hint: error.hint(),
            ..Self::new(error.to_string())
        };
        let failure = failure.in_domain(error.domain(), error.reason());
        failure.at(error.provenance())
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        match &error {
            SessionError::Load(error) => error.into(),
            SessionError::Yaml(error) => error.clone().into(),
            SessionError::NoProject(_) => {
                Self::new(error.to_string()).in_domain("LOAD", Some("MISSING_PROJECT_CONF"))
            }
            SessionError::Source(_) => Self::new(error.to_string()).in_domain("SOURCE", None),
            SessionError::NoKey(_) => {
                Self::new(error.to_string()).in_domain("PIPELINE", Some("inconsistent-pipeline"))
            }
            SessionError::NoSandbox(_) => Self::new(error.to_string()).in_domain("SANDBOX", None),
            SessionError::Store(_) => Self::new(error.to_string()).in_domain("CAS", None),
            SessionError::Shell { reason, .. } => {
                Self::new(error.to_string()).in_domain("APP", *reason)
            }
            SessionError::NotCached { .. } | SessionError::Cache(_) => {
                Self::new(error.to_string()).in_domain("ARTIFACT", None)
            }
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
        Self::from(&LoadError::from(error))
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Content(error) => error.into(),
            ConfigError::Read { ref source, .. } => {
                let reason = match source.kind() {
                    ErrorKind::IsADirectory => "LOADING_DIRECTORY",
                    // It is no text.
                    ErrorKind::InvalidData => "INVALID_YAML",
                    _ => "MISSING_FILE",
                };
                Self::new(error.to_string()).in_domain("LOAD", Some(reason))
            }
        }
    }
}

/// A failure of the operating system at some path.
pub(crate) fn io(path: &std::path::Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}
