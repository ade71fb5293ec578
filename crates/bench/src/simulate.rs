//! What speculation gains, and when it starts, by mode: simulated, for farms that nobody has here.

use std::time::Duration;

use headstart_session::Mode;
use headstart_simulator::{Disorder, Edit, Report, Settings, Shape, Simulation};

use crate::Failure;

const MODES: [Mode; 4] = [
    Mode::None,
    Mode::SourceArtifact,
    Mode::IntraElement,
    Mode::Full,
];
/// How many elements are built at a time, and how many of its calls each has under way.
const BUILDERS: usize = 4;
const JOBS: usize = 16;
/// How long installing an element takes.
const INSTALL: Duration = Duration::from_secs(3);

/// Builds a stack again after a header of its first element was edited, and after the list was edited
/// that such a header is generated from. `arguments` are the numbers of elements, of the actions of each,
/// of slots, and of the seconds that configuring takes.
pub(crate) fn run(arguments: [&str; 4]) -> Result<(), Failure> {
    let mut numbers = [0; 4];
    for (number, text) in numbers.iter_mut().zip(arguments) {
        let wrong = |error| format!("{text:?} is no number: {error}");
        *number = text.parse::<usize>().map_err(wrong)?;
    }
    let [elements, actions, slots, configure] = numbers;
    println!(
        "{elements} elements, one upon the other, {actions} actions each, on {slots} slots; {BUILDERS} \
         built at a time, {JOBS} calls of each under way; {configure} s to configure, {} s to install",
        INSTALL.as_secs()
    );
    for (generated, edit, what) in [
        (
            false,
            Edit::Written,
            "all headers are written; one is edited",
        ),
        (
            true,
            Edit::Written,
            "some headers are generated; one that is written is edited",
        ),
        (
            true,
            Edit::Generated,
            "some headers are generated; what one is made from is edited",
        ),
    ] {
        let shape = Shape {
            elements,
            actions,
            generated,
            width: 1,
        };
        println!("{what}:");
        for mode in MODES {
            let settings = Settings {
                mode,
                slots,
                builders: BUILDERS,
                jobs: JOBS,
                configure: Duration::from_secs(configure as u64),
                install: INSTALL,
                slice: 16,
                seed: 0,
                disorder: Disorder::default(),
            };
            let case = shape.case(edit, mode);
            print(mode, &Simulation::new(&case, settings).run());
        }
    }
    Ok(())
}

fn print(mode: Mode, report: &Report) {
    let seconds = |time: Option<Duration>| match time {
        Some(time) => format!("{:.1} s", time.as_secs_f64()),
        None => "-".to_owned(),
    };
    let total = &report.total;
    let last = report.elements.last().copied().unwrap_or_default();
    println!(
        "{:16} {:>10}; {} asked, {} hit, {} joined, {} promoted, {} missed; \
         first execution for the last element at {}, its build at {}; \
         median lead {}",
        mode.name(),
        seconds(Some(report.makespan)),
        total.asked,
        total.hit,
        total.joined,
        total.promoted,
        total.missed,
        seconds(last.first_execution),
        seconds(last.started),
        seconds(report.median_lead()),
    );
}
