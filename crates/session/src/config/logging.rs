//! `logging` of `buildstream.conf`: what is shown of elements and of failures.

use headstart_yaml::{Error as YamlError, Mapping};

use super::{boolean, count};

/// What is shown of elements and of failures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggingConfig {
    /// How many digits of keys are shown.
    pub key_length: usize,
    /// What `show` prints of an element, if the user has said it.
    pub element_format: Option<String>,
    /// How many of the last lines of the log of a failed build are shown.
    pub error_lines: usize,
    /// How many lines of an error are shown; 0 for all.
    pub message_lines: usize,
}

const KEYS: &[&str] = &[
    "key-length",
    "verbose",
    "error-lines",
    "message-lines",
    "debug",
    "element-format",
    "message-format",
    "throttle-ui-updates",
];

impl LoggingConfig {
    pub(super) fn read(logging: &Mapping) -> Result<Self, YamlError> {
        logging.expect_keys(KEYS)?;
        // What only BuildStream does something with is wrong for both.
        for key in ["verbose", "debug", "throttle-ui-updates"] {
            boolean(logging, key)?;
        }
        logging.string("message-format")?;
        Ok(Self {
            key_length: count(logging, "key-length")?,
            element_format: logging.string("element-format")?.map(str::to_owned),
            error_lines: count(logging, "error-lines")?,
            message_lines: count(logging, "message-lines")?,
        })
    }

    /// A key as it is shown.
    pub fn brief<'k>(&self, key: &'k str) -> &'k str {
        key.get(..self.key_length).unwrap_or(key)
    }
}
