//! What speculation costs where it has nothing to do, and how quick it is where it has.
//!
//! An element is built again whose every call the action cache knows already, without and with
//! speculation, in turn. Then a file that its calls read is edited before each build.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use headstart_execution::CancellationToken;
use headstart_session::{
    BuildReport, BuildRequest, BuildScope, Latency, Mode, Notice, Session, SessionOptions,
    UserConfig, Watcher,
};

use crate::Failure;
use crate::figures::{median, processor_time};

/// How many pairs are measured.
const PAIRS: usize = 15;
/// How many builds after an edit.
const EDITS: usize = 5;

/// Builds `element` of the project in `project`, with the cache directory `cache` and the project's
/// `options`, again and again.
/// Prints the seconds of each pair, those that processors worked, and the medians' ratios. Then lines
/// are appended to the file `edited`, and how soon each build's predictions were executed is printed.
pub(crate) fn run(
    project: &Path,
    cache: &Path,
    element: &str,
    edited: &Path,
    options: &[&str],
) -> Result<(), Failure> {
    let options = options.iter().map(|option| match option.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(format!("an option is NAME=VALUE, not {option}")),
    });
    let place = Place {
        project,
        cache,
        element,
        options: options.collect::<Result<_, _>>()?,
    };
    // So that everything else is there, there is a record, and files are in memory.
    place.build(Mode::Full)?;
    place.rebuild(Mode::Full)?;
    let mut ratios = Vec::new();
    let mut fastest = [f64::INFINITY; 2];
    let mut processor = [Vec::new(), Vec::new()];
    for pair in 0..PAIRS {
        // Whoever comes second finds the machine as the other has left it.
        let (none, full) = if pair % 2 == 0 {
            let none = place.rebuild(Mode::None)?;
            (none, place.rebuild(Mode::Full)?)
        } else {
            let full = place.rebuild(Mode::Full)?;
            (place.rebuild(Mode::None)?, full)
        };
        let seconds = [none.wall, full.wall].map(|time| time.as_secs_f64());
        let ratio = seconds[1] / seconds[0];
        fastest = std::array::from_fn(|which| seconds[which].min(fastest[which]));
        processor[0].push(none.processor);
        processor[1].push(full.processor);
        let account = &full.report.total;
        println!(
            "{:.3} s without, {:.3} s with: {ratio:.3}; {:.2} and {:.2} s of processors; \
             {} calls, {} hit, {} primed",
            seconds[0],
            seconds[1],
            none.processor,
            full.processor,
            account.asked,
            account.hit,
            account.primed
        );
        ratios.push(ratio);
    }
    println!(
        "with speculation it takes {:.3} times as long (median of the pairs; the fastest of each: {:.3})",
        median(&mut ratios),
        fastest[1] / fastest[0]
    );
    let [none, full] = processor.map(|mut seconds| median(&mut seconds));
    println!(
        "and {:.3} times as much of processors: {full:.2} s, not {none:.2} s (medians)",
        full / none
    );
    for _ in 0..EDITS {
        append_a_line(edited)?;
        print_latency(&place.build(Mode::Full)?.report.latency);
    }
    Ok(())
}

/// Appends an empty line: to a header or source of C that is an edit like any other.
fn append_a_line(file: &Path) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().append(true).open(file)?;
    file.write_all(b"\n")
}

fn print_latency(latency: &Latency) {
    println!(
        "{} executed ahead of need, {:.2} ms after that became possible in the median, {:.2} ms at most",
        latency.count,
        latency.median * 1e3,
        latency.max * 1e3
    );
}

/// What a build took.
struct Took {
    wall: Duration,
    /// Seconds of all processors.
    processor: f64,
    report: BuildReport,
}

struct Place<'a> {
    project: &'a Path,
    cache: &'a Path,
    element: &'a str,
    options: Vec<(String, String)>,
}

impl Place<'_> {
    /// Builds the element although it was built before, and says how long that took.
    fn rebuild(&self, mode: Mode) -> Result<Took, Failure> {
        let session = self.open()?;
        let name = self.element.trim_end_matches(".bst").replace('/', "-");
        let refs = self
            .cache
            .join("artifacts/refs")
            .join(&**session.project().name());
        std::fs::remove_dir_all(refs.join(name))?;
        drop(session);
        self.build(mode)
    }

    fn open(&self) -> Result<Arc<Session>, Failure> {
        let mut config = UserConfig::load(None)?;
        config.cache_dir = self.cache.to_owned();
        config.source_dir = self.cache.join("sources");
        config.log_dir = self.cache.join("logs");
        Ok(Arc::new(Session::open(SessionOptions {
            directory: self.project.to_owned(),
            config,
            strict: None,
            default_mirror: None,
            options: self.options.clone(),
        })?))
    }

    fn build(&self, mode: Mode) -> Result<Took, Failure> {
        let (begun, processor) = (Instant::now(), processor_time(std::process::id())?);
        let session = self.open()?;
        let loaded = Arc::new(session.load(&[self.element.to_owned()])?);
        let request = BuildRequest {
            scope: BuildScope::None,
            mode,
            fetchers: 1,
            builders: 1,
            pushers: 1,
            on_error: headstart_session::OnError::Quit,
            retry_failed: true,
            audit: false,
            ask: None,
        };
        let runtime = tokio::runtime::Runtime::new()?;
        let interrupt = CancellationToken::new();
        let built = session.build(&loaded, &request, &Silent, interrupt);
        let report = runtime.block_on(built)?;
        drop(runtime);
        match report.success {
            true => Ok(Took {
                wall: begun.elapsed(),
                processor: (processor_time(std::process::id())? - processor).as_secs_f64(),
                report,
            }),
            false => Err(format!("{} could not be built", self.element).into()),
        }
    }
}

struct Silent;

impl Watcher for Silent {
    fn notice(&self, _: &Notice<'_>) {}
}
