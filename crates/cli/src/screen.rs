//! How far a command is, as people see it: lines on standard error, and one that moves.

use std::fs;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use headstart_session::{LoggingConfig, Notice, Watcher};

use crate::messages::say;

/// Shows how a build goes: a line for each thing that ended, and on a terminal one that moves.
pub(crate) struct Screen {
    begun: Instant,
    logging: LoggingConfig,
    moving: Option<Mutex<Moving>>,
    /// What is to be shown when nobody holds the screen any more.
    held: Mutex<Option<Vec<String>>>,
}

/// As long as it is there nothing is shown: somebody uses the terminal.
pub(crate) struct Held<'a>(&'a Screen);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let held = self.0.held().take();
        for text in held.into_iter().flatten() {
            say(&text);
        }
    }
}

#[derive(Default)]
struct Moving {
    building: Vec<String>,
    progress: String,
    drawn: Option<Instant>,
}

impl Screen {
    /// One that shows as much of failures as the configuration says.
    pub(crate) fn new(logging: &LoggingConfig) -> Self {
        let moving = std::io::stderr().is_terminal().then(Mutex::default);
        Self {
            begun: Instant::now(),
            logging: logging.clone(),
            moving,
            held: Mutex::new(None),
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Vec<String>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows nothing until what this gives is dropped, and then what has been missed.
    pub(crate) fn hold(&self) -> Held<'_> {
        self.clear();
        self.held().get_or_insert_default();
        Held(self)
    }

    /// Shows a line, now or when nobody holds the screen any more.
    fn show(&self, text: String) {
        match &mut *self.held() {
            Some(held) => held.push(text),
            None => {
                self.clear();
                say(&text);
            }
        }
    }

    fn line(&self, text: &str) {
        let seconds = self.begun.elapsed().as_secs();
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        self.show(format!("[{hours:02}:{minutes:02}:{seconds:02}] {text}"));
    }

    /// Takes the moving line away.
    pub(crate) fn clear(&self) {
        if self.moving.is_some() {
            eprint!("\r\x1b[2K");
        }
    }

    fn moving(&self, change: impl FnOnce(&mut Moving)) {
        let Some(moving) = &self.moving else { return };
        let is_held = self.held().is_some();
        let mut moving = moving.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut moving);
        // At most five times a second.
        let is_new = |drawn: Instant| drawn.elapsed() < Duration::from_millis(200);
        if is_held || moving.drawn.is_some_and(is_new) {
            return;
        }
        moving.drawn = Some(Instant::now());
        eprint!(
            "\r\x1b[2K{}  {}",
            moving.progress,
            moving.building.join(" ")
        );
        let _ = std::io::stderr().flush();
    }
}

impl Watcher for Screen {
    fn notice(&self, notice: &Notice<'_>) {
        match notice {
            Notice::Fetching(_) => {}
            Notice::Fetched(element) => self.line(&format!("fetched  {element}")),
            Notice::Tracked {
                element,
                source,
                reference,
            } => self.line(&format!("tracked  {element}: {source}: {reference}")),
            Notice::Pulled(element) => self.line(&format!("pulled   {element}")),
            Notice::Pushed(element) => self.line(&format!("pushed   {element}")),
            Notice::NotPushed { element, error } => {
                self.line(&format!("not pushed {element}: {error}"));
            }
            Notice::Building(element) => {
                if self.moving.is_none() {
                    self.line(&format!("building {element}"));
                }
                self.moving(|moving| moving.building.push((*element).to_owned()));
            }
            Notice::Built {
                element,
                seconds,
                warnings,
            } => {
                self.moving(|moving| moving.building.retain(|name| name != element));
                self.line(&format!("built    {element} in {seconds:.1} s"));
                for warning in *warnings {
                    self.line(&format!("warning  {element}: {warning}"));
                }
            }
            Notice::Failed {
                element,
                error,
                log,
            } => {
                self.moving(|moving| moving.building.retain(|name| name != element));
                let error = beginning(error, self.logging.message_lines);
                self.line(&format!("failed   {element}: {error}"));
                if let Some(log) = log {
                    self.show(end_of(log, self.logging.error_lines));
                }
            }
            Notice::Progress(progress) => self.moving(|moving| {
                moving.progress = format!(
                    "{} cached, {} built, {} failed, {} to go",
                    progress.cached, progress.built, progress.failed, progress.left
                );
            }),
        }
    }
}

/// The first lines of what is said of a failure.
fn beginning(error: &str, lines: usize) -> String {
    let all: Vec<&str> = error.lines().collect();
    if lines == 0 || all.len() <= lines {
        return error.to_owned();
    }
    let left = all.len() - lines;
    format!(
        "{}\n    ({left} more lines: --message-lines 0 shows all)",
        all[..lines].join("\n")
    )
}

/// The last lines of a log.
fn end_of(log: &Path, count: usize) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let mut end = String::new();
    for line in &lines[lines.len().saturating_sub(count)..] {
        end.push_str(&format!("    {line}\n"));
    }
    end + &format!("    (all of it: {})", log.display())
}
