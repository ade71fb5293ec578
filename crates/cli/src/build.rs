//! `headstart build`.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use headstart_execution::CancellationToken;
use headstart_session::{
    BuildReport, BuildRequest, BuildScope, ElementState, Latency, Mode, OnError,
};

use crate::arguments::{BuildArguments, BuildDeps, MainOptions, ModeArgument};
use crate::ask::{self, Asker};
use crate::error::{Failure, io};
use crate::open;
use crate::screen::Screen;
use crate::transfer;

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
    let mut config = open::config(main)?;
    transfer::use_artifact_servers(&mut config, &arguments.artifact_servers)?;
    transfer::use_source_servers(&mut config, &arguments.source_servers)?;
    let asks = main.on_error.is_none() && !main.no_interactive && ask::is_possible();
    let mut request = BuildRequest {
        scope: match arguments.deps {
            None => config.build_scope,
            Some(BuildDeps::None) => BuildScope::None,
            Some(BuildDeps::Build) => BuildScope::Build,
            Some(BuildDeps::Run) => BuildScope::Run,
            Some(BuildDeps::All) => BuildScope::All,
        },
        mode: arguments
            .speculation
            .map_or(config.speculation.mode, Into::into),
        fetchers: config.fetchers,
        builders: config.builders,
        pushers: config.pushers,
        on_error: config.on_error,
        retry_failed: arguments.retry_failed || config.retry_failed,
        audit: arguments.audit,
        ask: None,
    };
    let session = open::session(main, config)?;
    let targets = session.expand(&arguments.elements)?;
    let loaded = Arc::new(session.load(&targets)?);
    let interrupt = CancellationToken::new();
    let screen = Arc::new(Screen::new(session.logging()));
    if asks {
        request.on_error = OnError::Ask;
        request.ask = Some(Arc::new(Asker::new(&session, &loaded, &screen)));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("no runtime can be started: {error}")))?;
    let report = runtime.block_on(async {
        tokio::spawn(interrupts(interrupt.clone()));
        session
            .build(&loaded, &request, &*screen, interrupt.clone())
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
        false => Err(first_failure(&report)),
    }
}

/// The failure of the first element that failed: its commands', or its sources'.
fn first_failure(report: &BuildReport) -> Failure {
    let mut errors = report.elements.iter().filter_map(|it| it.error.as_deref());
    match errors.next() {
        None => Failure::shown(),
        Some(error @ ("Command failed" | "the integration commands failed")) => {
            Failure::shown().of_task("SANDBOX", Some("command-failed"), error)
        }
        Some(error) => Failure::shown().of_task("ELEMENT", None, error),
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
        if account.withheld > 0 {
            println!("    {} withheld by limits", account.withheld);
        }
        for miss in element.misses.iter().take(3) {
            println!("    missed {miss}");
        }
    }
    for problem in &report.problems {
        println!("speculation: {problem}");
    }
    print_latency(&report.latency);
    if report.paused > 0.0 {
        println!(
            "nothing was executed ahead of need for {:.1} s, while other programs kept the machine busy",
            report.paused
        );
    }
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
