//! Messages, one a line: to standard error, or to a file of this run's own.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::failure::Failure;
pub(crate) use crate::settings::Level;
use crate::settings::Settings;

/// What is said of a call.
pub(crate) struct Log {
    level: Level,
    file: Option<File>,
}

impl Log {
    /// A log as the settings have it, with a new file in their folder if they name one.
    pub(crate) fn new(settings: &Settings) -> Result<Self, Failure> {
        let create = |folder: &String| {
            let name = format!("recc.buildbox.{}.log", std::process::id());
            let path = Path::new(folder).join(name);
            let opened = File::options().create(true).append(true).open(&path);
            opened.map_err(Failure::file(path))
        };
        Ok(Self {
            level: settings.log_level,
            file: settings.log_directory.as_ref().map(create).transpose()?,
        })
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
        if level > self.level {
            return;
        }
        match &self.file {
            Some(file) => {
                // A full disk is no reason to fail a compile.
                let mut file = file;
                let _ = file.write_all(line(level, &text()).as_bytes());
            }
            None => write(level, &text()),
        }
    }
}

/// Says `text` to whoever reads the compiler's messages.
pub(crate) fn write(level: Level, text: &str) {
    // There is nobody left to tell when standard error is gone.
    let _ = std::io::stderr().write_all(line(level, text).as_bytes());
}

fn line(level: Level, text: &str) -> String {
    let name = match level {
        Level::Error => "ERROR",
        Level::Warning => "WARNING",
        Level::Info => "INFO",
        Level::Debug => "DEBUG",
    };
    format!("recc: [{name}] {text}\n")
}
