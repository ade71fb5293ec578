//! `headstart build`.

use std::fs;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use headstart_execution::CancellationToken;
use headstart_session::{
    BuildReport, BuildRequest, BuildScope, ElementState, Latency, Mode, Notice, Watcher,
};

use crate::arguments::{BuildArguments, BuildDeps, MainOptions, ModeArgument};
use crate::error::{Failure, io};
use crate::open;

/// Lines of a failed build's log that are shown.
const LOG_LINES: usize = 20;

impl From<ModeArgument> for Mode {
    fn from(mode: ModeArgument) -> Self {
        match mode {
            ModeArgument::None => Self::None,
            ModeArgument::PrimeOnly => Self::PrimeOnly,
            ModeArgument::SourceArtifact => Self::SourceArtifact,
            ModeArgument::IntraElement => Self::IntraElement,
            ModeArgument::Full => Self::Full,
        }
    }
}

pub(crate) fn run(main: &MainOptions, arguments: &BuildArguments) -> Result<(), Failure> {
    let config = open::config(main)?;
    let request = BuildRequest {
        scope: match arguments.deps {
            BuildDeps::None => BuildScope::None,
            BuildDeps::Build => BuildScope::Build,
            BuildDeps::Run => BuildScope::Run,
            BuildDeps::All => BuildScope::All,
        },
        mode: arguments.speculation.into(),
        fetchers: config.fetchers,
        builders: config.builders,
        on_error: config.on_error,
        retry_failed: arguments.retry_failed || config.retry_failed,
        audit: arguments.audit,
    };
    let session = open::session(main, config)?;
    let loaded = Arc::new(session.load(&arguments.elements)?);
    let interrupt = CancellationToken::new();
    let screen = Screen::new();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("no runtime can be started: {error}")))?;
    let report = runtime.block_on(async {
        tokio::spawn(interrupts(interrupt.clone()));
        session
            .build(&loaded, &request, &screen, interrupt.clone())
            .await
    })?;
    screen.clear();
    if let Some(path) = &arguments.json {
        write_json(path, &report)?;
    }
    summarize(&report);
    match report.success {
        _ if interrupt.is_cancelled() => Err(Failure::interrupted()),
        true => Ok(()),
        false => Err(Failure::shown()),
    }
}

/// Cancels `interrupt` at the first ctrl-C or SIGTERM; the second ends the process at once.
async fn interrupts(interrupt: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return;
    };
    loop {
        tokio::select! {
            caught = tokio::signal::ctrl_c() => {
                if caught.is_err() {
                    return;
                }
            }
            _ = terminate.recv() => {}
        }
        if interrupt.is_cancelled() {
            // What is left of sandboxes ends with this process, and is swept at the next start.
            std::process::exit(130);
        }
        eprintln!("ending what is running; again to end at once");
        interrupt.cancel();
    }
}

pub(crate) fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    fs::write(path, text + "\n").map_err(|error| io(path, &error))
}

/// One line for each element that was worked on, and one for all.
fn summarize(report: &BuildReport) {
    let count = |state| {
        report
            .elements
            .iter()
            .filter(|element| element.state == state)
            .count()
    };
    let asked = report
        .elements
        .iter()
        .filter(|element| element.speculation.asked > 0);
    for element in asked {
        let account = &element.speculation;
        println!(
            "{}: {} compiler calls: {} hit, {} joined, {} promoted, {} found, {} missed; {} wasted, {:.1} s saved",
            element.name,
            account.asked,
            account.hit,
            account.joined,
            account.promoted,
            account.found,
            account.missed,
            account.wasted,
            account.saved.as_secs_f64(),
        );
        for miss in element.misses.iter().take(3) {
            println!("    missed {miss}");
        }
    }
    for problem in &report.problems {
        println!("speculation: {problem}");
    }
    print_latency(&report.latency);
    println!(
        "{} built, {} cached, {} failed, {} skipped in {:.1} s",
        count(ElementState::Built),
        count(ElementState::Cached),
        count(ElementState::Failed),
        count(ElementState::Skipped),
        report.seconds,
    );
}

fn print_latency(latency: &Latency) {
    if latency.count == 0 {
        return;
    }
    let millis = [latency.median, latency.p99, latency.max].map(|seconds| seconds * 1000.0);
    let [median, p99, max] = millis;
    println!(
        "{} executed ahead of need, {median:.1} ms after that became possible (99 %: {p99:.1} ms, at \
         most {max:.1} ms)",
        latency.count
    );
}

/// Shows how a build goes: a line for each thing that ended, and on a terminal one that moves.
struct Screen {
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
    fn new() -> Self {
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
    fn clear(&self) {
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
