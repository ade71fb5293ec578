//! What speculation costs where it has nothing to do, and how quick it is where it has.
//!
//! An element is built again whose every call the action cache knows already, without and with
//! speculation, in turn. Then a file that its calls read is edited before each build.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use headstart_execution::CancellationToken;
use headstart_session::{
    BuildReport, BuildRequest, BuildScope, Latency, Mode, Notice, Session, SessionOptions,
    UserConfig, Watcher,
};

type Failure = Box<dyn Error>;

/// How many pairs are measured.
const PAIRS: usize = 15;
/// How many builds after an edit.
const EDITS: usize = 5;

/// Builds `element` of the project in `project`, with the cache directory `cache`, again and again.
/// Prints the seconds of each pair, and the median of their ratios. Then lines are appended to the
/// file `edited`, and how soon each build's first predictions were executed is printed.
pub(crate) fn run(
    project: &Path,
    cache: &Path,
    element: &str,
    edited: &Path,
) -> Result<(), Failure> {
    let place = Place {
        project,
        cache,
        element,
    };
    // So that everything else is there, there is a record, and files are in memory.
    place.build(Mode::Full)?;
    place.rebuild(Mode::Full)?;
    let mut ratios = Vec::new();
    let mut fastest = [f64::INFINITY; 2];
    for pair in 0..PAIRS {
        // Whoever comes second finds the machine as the other has left it.
        let (none, full) = if pair % 2 == 0 {
            let none = place.rebuild(Mode::None)?;
            (none, place.rebuild(Mode::Full)?)
        } else {
            let full = place.rebuild(Mode::Full)?;
            (place.rebuild(Mode::None)?, full)
        };
        let seconds = [none.0, full.0].map(|time| time.as_secs_f64());
        let ratio = seconds[1] / seconds[0];
        fastest = std::array::from_fn(|which| seconds[which].min(fastest[which]));
        let account = &full.1.total;
        println!(
            "{:.3} s without, {:.3} s with: {ratio:.3}; {} calls, {} hit, {} primed",
            seconds[0], seconds[1], account.asked, account.hit, account.primed
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "with speculation it takes {:.3} times as long (median of the pairs; the fastest of each: {:.3})",
        ratios[PAIRS / 2],
        fastest[1] / fastest[0]
    );
    for _ in 0..EDITS {
        append_a_line(edited)?;
        let (_, report) = place.build(Mode::Full)?;
        print_latency(&report.latency);
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

struct Place<'a> {
    project: &'a Path,
    cache: &'a Path,
    element: &'a str,
}

impl Place<'_> {
    /// Builds the element although it was built before, and says how long that took.
    fn rebuild(&self, mode: Mode) -> Result<(Duration, BuildReport), Failure> {
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
            options: Vec::new(),
        })?))
    }

    fn build(&self, mode: Mode) -> Result<(Duration, BuildReport), Failure> {
        let begun = Instant::now();
        let session = self.open()?;
        let loaded = Arc::new(session.load(&[self.element.to_owned()])?);
        let request = BuildRequest {
            scope: BuildScope::None,
            mode,
            fetchers: 1,
            builders: 1,
            on_error: headstart_session::OnError::Quit,
            retry_failed: true,
            audit: false,
        };
        let runtime = tokio::runtime::Runtime::new()?;
        let interrupt = CancellationToken::new();
        let built = session.build(&loaded, &request, &Silent, interrupt);
        let report = runtime.block_on(built)?;
        match report.success {
            true => Ok((begun.elapsed(), report)),
            false => Err(format!("{} could not be built", self.element).into()),
        }
    }
}

struct Silent;

impl Watcher for Silent {
    fn notice(&self, _: &Notice<'_>) {}
}
