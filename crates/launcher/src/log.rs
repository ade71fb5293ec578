//! Messages to standard error, one a line.

pub(crate) use crate::settings::Level;
use crate::settings::Settings;

/// What is said of a call.
pub(crate) struct Log {
    level: Level,
}

impl Log {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            level: settings.log_level,
        }
    }

    pub(crate) fn debug(&self, text: impl FnOnce() -> String) {
        self.say(Level::Debug, text);
    }

    pub(crate) fn info(&self, text: impl FnOnce() -> String) {
        self.say(Level::Info, text);
    }

    pub(crate) fn warning(&self, text: impl FnOnce() -> String) {
        self.say(Level::Warning, text);
    }

    fn say(&self, level: Level, text: impl FnOnce() -> String) {
        if level <= self.level {
            write(level, &text());
        }
    }
}

/// Says `text` to whoever reads the compiler's messages.
pub(crate) fn write(level: Level, text: &str) {
    use std::io::Write;
    let name = match level {
        Level::Error => "ERROR",
        Level::Warning => "WARNING",
        Level::Info => "INFO",
        Level::Debug => "DEBUG",
    };
    // There is nobody left to tell when standard error is gone.
    let _ = writeln!(std::io::stderr(), "recc: [{name}] {text}");
}
