//! `logging` of `buildstream.conf`: what is shown of failures.

use headstart_yaml::{Error as YamlError, Mapping};

use super::count;

/// What is shown of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggingConfig {
    /// How many of the last lines of the log of a failed build are shown.
    pub error_lines: usize,
    /// How many lines of an error are shown; 0 for all.
    pub message_lines: usize,
}

impl Default for LoggingConfig {
    fn default() -> Self {
        Self {
            error_lines: 20,
            message_lines: 20,
        }
    }
}

impl LoggingConfig {
    pub(super) fn read(logging: &Mapping) -> Result<Self, YamlError> {
        let default = Self::default();
        Ok(Self {
            error_lines: count(logging, "error-lines", default.error_lines)?,
            message_lines: count(logging, "message-lines", default.message_lines)?,
        })
    }
}
