//! How far a command is, as people see it: lines on standard error, and one that moves.

use std::fs;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use headstart_session::{Notice, Watcher};

/// Lines of a failed build's log that are shown.
const LOG_LINES: usize = 20;

/// Shows how a build goes: a line for each thing that ended, and on a terminal one that moves.
pub(crate) struct Screen {
    begun: Instant,
    moving: Option<Mutex<Moving>>,
}

#[derive(Default)]
struct Moving {
    building: Vec<String>,
    progress: String,
    drawn: Option<Instant>,
}

impl Screen {
    pub(crate) fn new() -> Self {
        let moving = std::io::stderr().is_terminal().then(Mutex::default);
        Self {
            begun: Instant::now(),
            moving,
        }
    }

    fn line(&self, text: &str) {
        self.clear();
        let seconds = self.begun.elapsed().as_secs();
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        eprintln!("[{hours:02}:{minutes:02}:{seconds:02}] {text}");
    }

    /// Takes the moving line away.
    pub(crate) fn clear(&self) {
        if self.moving.is_some() {
            eprint!("\r\x1b[2K");
        }
    }

    fn moving(&self, change: impl FnOnce(&mut Moving)) {
        let Some(moving) = &self.moving else { return };
        let mut moving = moving.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut moving);
        // At most five times a second.
        if moving
            .drawn
            .is_some_and(|drawn| drawn.elapsed() < Duration::from_millis(200))
        {
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
                self.line(&format!("failed   {element}: {error}"));
                if let Some(log) = log {
                    self.clear();
                    show_end(log);
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

/// Shows the last lines of a log.
fn show_end(log: &Path) {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
        eprintln!("    {line}");
    }
    eprintln!("    (all of it: {})", log.display());
}
