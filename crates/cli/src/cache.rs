//! `headstart cache scrub`.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use headstart_session::{Finding, Layout, ScrubWatcher, Scrubbed, scrub as check};

use crate::arguments::MainOptions;
use crate::arguments::cache::ScrubArguments;
use crate::error::Failure;
use crate::open;

/// Checks the cache directory. Fails if something in it was damaged.
pub(crate) fn scrub(main: &MainOptions, arguments: &ScrubArguments) -> Result<(), Failure> {
    let config = open::config(main)?;
    let begun = Instant::now();
    let screen = Screen {
        shows_progress: rustix::termios::isatty(std::io::stderr()),
        percent: Mutex::default(),
    };
    let layout = Layout::new(&config.cache_dir);
    let scrubbed = check(&layout, !arguments.dry_run, &screen);
    screen.clear();
    let scrubbed = scrubbed.map_err(|error| Failure::new(error.to_string()))?;
    println!("{}", summary(&scrubbed, arguments.dry_run, begun));
    match scrubbed.findings.iter().any(Finding::is_damage) {
        true => Err(Failure::damage()),
        false => Ok(()),
    }
}

fn summary(scrubbed: &Scrubbed, dry_run: bool, begun: Instant) -> String {
    let count = |wanted: fn(&Finding) -> bool| {
        let findings = scrubbed.findings.iter();
        findings.filter(|finding| wanted(finding)).count()
    };
    let seconds = begun.elapsed().as_secs_f64();
    format!(
        "{} objects ({:.1} MB) and {} results in {seconds:.1} s: {} damaged, {} left behind, {} results \
         without outputs{}{}",
        scrubbed.objects,
        scrubbed.bytes as f64 / 1e6,
        scrubbed.results,
        count(Finding::is_damage),
        count(|finding| matches!(finding, Finding::LeftBehind(_))),
        count(|finding| matches!(finding, Finding::ResultWithoutOutputs(_))),
        match count(|finding| matches!(finding, Finding::Stranger(_))) {
            0 => String::new(),
            strangers => format!(", {strangers} of others, which stay"),
        },
        match (dry_run, scrubbed.findings.is_empty()) {
            (_, true) => "",
            (true, false) => "; nothing was removed",
            (false, false) => "; removed",
        },
    )
}

/// What people see meanwhile.
struct Screen {
    shows_progress: bool,
    /// What was shown last.
    percent: Mutex<usize>,
}

impl Screen {
    fn clear(&self) {
        if self.shows_progress {
            eprint!("\r\x1b[K");
        }
    }
}

impl ScrubWatcher for Screen {
    fn found(&self, finding: &Finding) {
        let path = finding.path().display();
        self.clear();
        match finding {
            Finding::Damaged { actual, .. } => {
                println!("damaged      {path}: its content has the digest {actual}");
            }
            Finding::TornResult(_) => println!("damaged      {path}: it is no whole result"),
            Finding::LeftBehind(_) => println!("left behind  {path}"),
            Finding::ResultWithoutOutputs(_) => println!("no outputs   {path}"),
            Finding::Stranger(_) => println!("not ours     {path}"),
        }
    }

    fn progress(&self, percent: usize, so_far: &Scrubbed) {
        let mut shown = self.percent.lock().unwrap_or_else(PoisonError::into_inner);
        if self.shows_progress && *shown != percent {
            *shown = percent;
            let (objects, bytes) = (so_far.objects, so_far.bytes as f64 / 1e6);
            eprint!("\r{percent} %: {objects} objects, {bytes:.1} MB\x1b[K");
        }
    }
}
