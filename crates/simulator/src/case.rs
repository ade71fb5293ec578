//! A project before and after a change.

use headstart_pipeline::Graph;
use headstart_project::ElementId;
use headstart_speculation::Mode;
use headstart_speculation::testing::random::{Choices, Edits, edit, project};
use headstart_speculation::testing::world::{Change, ElementSpec, Step, closure};

use crate::rng::Rng;

/// How many numbers a random project is made of.
const NUMBERS: usize = 160;

/// A project before and after a change, and what building it comes to both times.
pub struct Case {
    /// The project today.
    pub project: Vec<ElementSpec>,
    /// What building it before and today comes to.
    pub change: Change,
}

impl Case {
    /// A case in which `mode` was used when the project was built before.
    pub fn new(before: &[ElementSpec], after: Vec<ElementSpec>, mode: Mode) -> Self {
        Self {
            change: Change::new(before, &after, mode),
            project: after,
        }
    }

    /// A random project with random changes: chains of compiles, archives and links over several
    /// elements; equal and empty files; programs that are run; steps that fail for some inputs; elements
    /// that ask for the very same as another; files that are added, removed, changed, made executable;
    /// headers that are installed other than they are written.
    pub fn random(rng: &mut Rng, mode: Mode) -> Self {
        let numbers: Vec<u16> = (0..NUMBERS).map(|_| rng.below(1 << 16) as u16).collect();
        let mut choices = Choices(numbers.iter());
        let mut before = project(&mut choices);
        let edits = Edits {
            adding: rng.one_in(2),
            stamping: rng.one_in(2),
        };
        let mut after = edit(&before, edits, &mut choices);
        for place in 0..before.len() {
            vary(rng, [&mut before[place], &mut after[place]]);
        }
        for place in 0..before.len() {
            if rng.one_in(4) && !before[place].compose {
                for project in [&mut before, &mut after] {
                    let twin = ElementSpec {
                        home: Some(place),
                        ..project[place].clone()
                    };
                    project.push(twin);
                }
            }
        }
        Self::new(&before, after, mode)
    }

    /// The dependencies, for the pipeline. All that an element builds upon it also needs to run, unless
    /// it is composed.
    pub(crate) fn graph(&self) -> Graph {
        let elements = self.project.iter().map(|element| {
            let ids = element
                .needs
                .iter()
                .map(|need| ElementId::from_index(*need));
            let build: Vec<ElementId> = ids.collect();
            let runtime = match element.compose {
                true => Vec::new(),
                false => build.clone(),
            };
            (build, runtime)
        });
        Graph::new(elements)
    }

    /// The places of the elements that are in the sandbox of another.
    pub fn closure(&self, place: usize) -> Vec<usize> {
        closure(place, &self.project)
    }
}

/// Gives an element, before and after, steps of different durations, and some that may fail.
fn vary(rng: &mut Rng, both: [&mut ElementSpec; 2]) {
    let [before, after] = both;
    let probes = rng.below(3) as usize;
    let own: Vec<String> = before.sources.keys().cloned().collect();
    for (number, file) in own.iter().enumerate().take(probes) {
        let at = rng.below(before.steps.len() as u64 + 1) as usize;
        let probe = Step {
            main: vec![file.clone()],
            output: format!("probe/{number}"),
            probe: true,
            ..Step::default()
        };
        before.steps.insert(at, probe.clone());
        after.steps.insert(at, probe);
    }
    for (old, new) in before.steps.iter_mut().zip(&mut after.steps) {
        old.millis = 1 + rng.below(500) as u32;
        new.millis = old.millis;
    }
}
