//! Thousands of sessions, each another order of events: what must hold in all of them.
//!
//! Each follows from a number, its seed. `HEADSTART_SEEDS` says how many there are, `HEADSTART_SEED` that
//! only one is to be played: the one that a failure names.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod checks;
mod oracle;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use headstart_pipeline::OnError;
use headstart_simulator::{Case, Disorder, Edit, Report, Rng, Settings, Shape, Simulation, Step};
use headstart_speculation::testing::world::id;
use headstart_speculation::{Event, Limits, Mode};

use checks::Checker;

/// Plays what follows from each of `count` seeds, and says which one it was that failed.
// The library is pure; who runs its tests may say which.
#[allow(clippy::disallowed_methods, clippy::print_stderr)]
fn for_seeds(count: u64, mut play: impl FnMut(u64)) {
    let number = |name| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let seeds = match number("HEADSTART_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("HEADSTART_SEEDS").unwrap_or(count),
    };
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| play(seed))) {
            eprintln!("failed with HEADSTART_SEED={seed}");
            resume_unwind(panic);
        }
    }
}

fn mode(rng: &mut Rng) -> Mode {
    match rng.below(4) {
        0 => Mode::IntraElement,
        _ => Mode::Full,
    }
}

/// A session in which all goes well.
fn calm(rng: &mut Rng, mode: Mode) -> Settings {
    let millis = |rng: &mut Rng, most| Duration::from_millis(rng.below(most));
    Settings {
        mode,
        slots: 1 + rng.below(6) as usize,
        builders: 1 + rng.below(3) as usize,
        jobs: 1 + rng.below(3) as usize,
        configure: millis(rng, 1_000),
        install: millis(rng, 300),
        slice: match rng.below(3) {
            0 => usize::MAX,
            few => few as usize,
        },
        seed: rng.next_number(),
        disorder: Disorder::default(),
    }
}

/// A session in which much goes wrong.
fn disordered(rng: &mut Rng, mode: Mode, elements: usize) -> Settings {
    let mut settings = calm(rng, mode);
    let some = |rng: &mut Rng, most: u64| rng.one_in(3).then(|| rng.below(most));
    let disorder = &mut settings.disorder;
    disorder.delay = Duration::from_millis(rng.below(2) * rng.below(1_500));
    disorder.losses = rng.below(2) * rng.below(8);
    if rng.one_in(4) {
        let mut limits = || Limits {
            actions: some(rng, 12),
            bytes: some(rng, 900),
            time: some(rng, 3_000).map(Duration::from_millis),
        };
        disorder.limits = Some((limits(), limits()));
    }
    if rng.one_in(4) {
        let from = Duration::from_millis(rng.below(2_000));
        disorder.pause = Some((from, from + Duration::from_millis(rng.below(2_000))));
    }
    if rng.one_in(2) {
        disorder.held = Some(rng.below(elements as u64) as usize);
        settings.builders += 1;
    }
    let disorder = &mut settings.disorder;
    if rng.one_in(3) {
        disorder.failure = Some((rng.below(150), rng.below(4) as usize));
    }
    disorder.on_error = match rng.below(4) {
        0 => OnError::Quit,
        1 => OnError::Terminate,
        _ => OnError::Continue,
    };
    settings
}

/// Plays a session to its end, with a look at every step of it.
fn play_checked(case: &Case, settings: Settings) -> (Report, u64) {
    let mut checker = Checker::new(case, &settings);
    let mut simulation = Simulation::new(case, settings);
    while let Some(step) = simulation.step() {
        checker.look(&mut simulation, &step);
    }
    checker.quiet(&mut simulation);
    (simulation.report(), simulation.happenings())
}

#[test]
fn whatever_happens_in_whatever_order_nothing_is_lost_stale_or_done_twice() {
    for_seeds(1_500, |seed| {
        let mut rng = Rng::new(seed);
        let mode = mode(&mut rng);
        let case = Case::random(&mut rng, mode);
        let settings = disordered(&mut rng, mode, case.project.len());
        play_checked(&case, settings);
    });
}

#[test]
fn what_the_primer_was_not_told_is_noticed() {
    let mut noticed = 0;
    for_seeds(40, |seed| {
        let mut rng = Rng::new(seed);
        let case = Case::random(&mut rng, Mode::Full);
        let mut settings = calm(&mut rng, Mode::Full);
        settings.builders = 2;
        // Nothing is built upon this one, so that it stays unknown.
        let held = rng.below(case.project.len() as u64 - 1) as usize;
        settings.disorder.held = Some(held);
        let mut checker = Checker::new(&case, &settings);
        let mut simulation = Simulation::new(&case, settings);
        while let Some(step) = simulation.step() {
            checker.look(&mut simulation, &step);
        }
        // As if a wake-up had been lost.
        let tree = case.change.fixture.tree(&[("other", "artifact")]);
        let told = Event::Artifact {
            element: id(held),
            tree,
        };
        checker.look(
            &mut simulation,
            &Step {
                at: Duration::ZERO,
                told,
                effects: Vec::new(),
            },
        );
        let checked = AssertUnwindSafe(|| checker.quiet(&mut simulation));
        noticed += usize::from(catch_unwind(checked).is_err());
    });
    assert!(noticed >= 10, "{noticed}");
}

#[test]
fn a_session_can_be_ended_at_every_point_and_leaves_nothing_in_flight() {
    for_seeds(6, |seed| {
        let mut rng = Rng::new(seed);
        let case = Case::random(&mut rng, Mode::Full);
        let settings = disordered(&mut rng, Mode::Full, case.project.len());
        let undisturbed = settings.clone();
        for point in 0.. {
            let mut settings = settings.clone();
            settings.disorder.interruption = Some(point);
            let (_, happenings) = play_checked(&case, settings);
            if happenings <= point {
                break;
            }
            // The same, without waiting for what is in flight.
            let mut simulation = Simulation::new(&case, undisturbed.clone());
            while simulation.happenings() < point && simulation.step().is_some() {}
            simulation.end();
            assert!(simulation.is_executor_idle(), "at {point}");
        }
    });
}

#[test]
fn each_build_can_fail_at_every_point_and_leaves_nothing_in_flight() {
    for_seeds(3, |seed| {
        let mut rng = Rng::new(seed);
        let case = Case::random(&mut rng, Mode::Full);
        let settings = disordered(&mut rng, Mode::Full, case.project.len());
        for point in 0.. {
            let mut last = true;
            for which in 0..settings.builders {
                let mut settings = settings.clone();
                settings.disorder.failure = Some((point, which));
                let (_, happenings) = play_checked(&case, settings);
                last &= happenings <= point;
            }
            if last {
                break;
            }
        }
    });
}

#[test]
fn the_same_seed_is_the_same_session() {
    for_seeds(30, |seed| {
        let session = || {
            let mut rng = Rng::new(seed);
            let case = Case::random(&mut rng, Mode::Full);
            let settings = disordered(&mut rng, Mode::Full, case.project.len());
            let mut simulation = Simulation::new(&case, settings);
            let steps = std::iter::from_fn(|| simulation.step());
            let steps: Vec<_> = steps.map(|step| (step.at, step.effects)).collect();
            (steps, simulation.report())
        };
        assert_eq!(session(), session());
    });
}

#[test]
fn real_builds_never_wait_for_speculation() {
    for_seeds(200, |seed| {
        let mut rng = Rng::new(seed);
        let case = Case::random(&mut rng, Mode::Full);
        let mut settings = calm(&mut rng, Mode::Full);
        // Real builds have slots enough, so that without speculation none waits for another either.
        settings.builders = case.project.len();
        // Where steps wait for others to end, some may come late because others were early.
        settings.jobs = if rng.one_in(2) { 1 } else { 100 };
        settings.slots = settings.builders * settings.jobs;
        let mut without = settings.clone();
        without.mode = Mode::None;
        let without = Simulation::new(&case, without).run();
        let (with, _) = play_checked(&case, settings);
        for (place, (with, without)) in with.elements.iter().zip(&without.elements).enumerate() {
            assert!(
                with.ended <= without.ended,
                "{place}: {with:?}, {without:?}"
            );
        }
    });
}

#[test]
fn full_starts_earlier_than_intra_element_where_headers_are_generated() {
    let session = |generated, mode| {
        let shape = Shape {
            elements: 6,
            actions: 12,
            generated,
            width: 1,
        };
        let edit = if generated {
            Edit::Generated
        } else {
            Edit::Written
        };
        let case = shape.case(edit, mode);
        let settings = Settings {
            mode,
            slots: 1_000,
            builders: 4,
            jobs: 4,
            configure: Duration::from_secs(2),
            install: Duration::from_secs(2),
            slice: 16,
            seed: 0,
            disorder: Disorder::default(),
        };
        play_checked(&case, settings).0
    };
    // Of the last element: when the first of its calls is executed ahead of need.
    let first = |report: &Report| report.elements[5].first_execution.unwrap();
    let last = |report: &Report| report.elements[5].started.unwrap();
    let [full, intra] = [Mode::Full, Mode::IntraElement].map(|mode| session(true, mode));
    // Six headers, each generated from the one below it, and nothing else in between.
    assert!(first(&full) < Duration::from_secs(4), "{:?}", first(&full));
    // The element below has just been installed.
    assert!(first(&intra) + Duration::from_millis(100) > last(&intra));
    assert!(full.makespan < intra.makespan);
    assert!(intra.makespan < session(true, Mode::None).makespan);
    // What is installed as it is written is known at once in both.
    let [full, intra] = [Mode::Full, Mode::IntraElement].map(|mode| session(false, mode));
    assert!(first(&full) < Duration::from_secs(1) && first(&intra) < Duration::from_secs(1));
}
