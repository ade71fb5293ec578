//! A session, one happening after another.

mod builds;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use headstart_execution::{Answered, Outcome};
use headstart_merkle::ActionDigest;
use headstart_pipeline::{
    Effect as PipelineEffect, Event as PipelineEvent, Found, Graph, Limits, Pipeline,
};
use headstart_project::ElementId;
use headstart_speculation::testing::world::id;
use headstart_speculation::{Config, Effect, Event, Primer, Unavailable};
use headstart_store::StoredResult;

use crate::agenda::Agenda;
use crate::building::Building;
use crate::case::Case;
use crate::executor::{Executor, Who};
use crate::report::{ElementReport, Report};
use crate::rng::Rng;
use crate::settings::Settings;

/// How long a look-up of an artifact takes.
const LOOK_UP: Duration = Duration::from_millis(5);
/// How long a fetch of sources takes.
const FETCH: Duration = Duration::from_millis(50);

/// A session of a [`Case`]. See the crate's description.
pub struct Simulation<'a> {
    case: &'a Case,
    settings: Settings,
    rng: Rng,
    agenda: Agenda<Happening>,
    happenings: u64,
    graph: Arc<Graph>,
    pipeline: Pipeline,
    /// Whether the primer was told what will not come.
    told_unavailable: bool,
    sources_told: BTreeSet<usize>,
    primer: Primer,
    going_on: bool,
    executor: Executor,
    /// What the action cache has.
    results: HashMap<ActionDigest, StoredResult>,
    builds: BTreeMap<usize, Building>,
    /// When the primer is told of the last that a build has had to tell so far.
    in_order: BTreeMap<usize, Duration>,
    /// What of today's calls belongs to which element.
    owners: HashMap<ActionDigest, usize>,
    report: Report,
}

enum Happening {
    /// The primer is told.
    Told(Box<Event>),
    LookedUp(usize),
    Fetched(usize),
    Configured(usize),
    StepEnded(usize, usize),
    /// An action has run.
    Ran(ActionDigest),
    Installed(usize),
}

/// What the primer was told, and what it answered.
#[derive(Debug, Clone)]
pub struct Step {
    /// When.
    pub at: Duration,
    /// What happened.
    pub told: Event,
    /// What the primer wants done: this is done already.
    pub effects: Vec<Effect>,
}

impl<'a> Simulation<'a> {
    /// A session in which nothing has happened yet. The action cache has what the build before left in
    /// it.
    pub fn new(case: &'a Case, settings: Settings) -> Self {
        let graph = Arc::new(case.graph());
        let limits = Limits {
            fetchers: 10,
            builders: settings.builders,
        };
        let mut results = HashMap::new();
        for subaction in case
            .change
            .before
            .iter()
            .flat_map(|built| &built.subactions)
        {
            if subaction.result.message().exit_code == 0 {
                results.insert(subaction.action, subaction.result.clone());
            }
        }
        let mut owners = HashMap::new();
        for (place, built) in case.change.after.iter().enumerate() {
            for action in built.steps.iter().flatten() {
                owners.entry(*action).or_insert(place);
            }
        }
        let config = Config {
            mode: settings.mode,
            slots: settings.slots,
        };
        let mut simulation = Self {
            case,
            rng: Rng::new(settings.seed),
            agenda: Agenda::new(),
            happenings: 0,
            pipeline: Pipeline::new(
                Arc::clone(&graph),
                limits,
                settings.disorder.on_error,
                false,
            ),
            graph,
            told_unavailable: false,
            sources_told: BTreeSet::new(),
            primer: Primer::new(config).in_slices(clock(settings.slice)),
            going_on: false,
            executor: Executor::new(settings.slots),
            results,
            builds: BTreeMap::new(),
            in_order: BTreeMap::new(),
            owners,
            report: Report {
                elements: vec![ElementReport::default(); case.project.len()],
                ..Report::default()
            },
            settings,
        };
        simulation.open();
        simulation
    }

    /// The primer, for looking at.
    pub fn primer(&mut self) -> &mut Primer {
        &mut self.primer
    }

    /// The action cache's result of an action.
    pub fn result(&self, action: ActionDigest) -> Option<&StoredResult> {
        self.results.get(&action)
    }

    /// Whether somebody waits for `action` to be executed.
    pub fn is_executing(&self, action: ActionDigest) -> bool {
        self.executor.has(action)
    }

    /// Whether nothing is executed or waits for that.
    pub fn is_executor_idle(&self) -> bool {
        self.executor.is_empty()
    }

    /// How many things have happened.
    pub fn happenings(&self) -> u64 {
        self.happenings
    }

    /// What the session has come to so far.
    pub fn report(&self) -> Report {
        Report {
            total: self.primer.total(),
            ..self.report.clone()
        }
    }

    /// Lets everything happen.
    pub fn run(&mut self) -> Report {
        while self.step().is_some() {}
        self.report()
    }

    /// Lets things happen until the primer has been told of one. `None` when nothing more is going to
    /// happen.
    pub fn step(&mut self) -> Option<Step> {
        loop {
            let happening = self.agenda.next()?;
            self.happenings += 1;
            let step = match happening {
                Happening::Told(event) => Some(self.tell_now(*event)),
                other => {
                    self.happen(other);
                    None
                }
            };
            self.interfere();
            self.executor.balance(&mut self.agenda, Happening::Ran);
            if step.is_some() {
                return step;
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Told(_) => {}
            Happening::LookedUp(place) => self.looked_up(place),
            Happening::Fetched(place) => self.fetched(place),
            Happening::Configured(place) => self.configured(place),
            Happening::StepEnded(place, step) => self.step_ended(place, step),
            Happening::Ran(action) => self.ran(action),
            Happening::Installed(place) => self.installed(place),
        }
    }

    /// Ends the session at once: real builds, and what the primer has in flight.
    pub fn end(&mut self) {
        self.pipeline_event(PipelineEvent::Interrupted);
        for action in self.executor.wanted_by(Who::Primer) {
            self.executor.leave(action, Who::Primer, &mut self.agenda);
        }
    }

    fn open(&mut self) {
        if let Some((session, element)) = self.settings.disorder.limits {
            self.tell(Event::Limits { session, element });
        }
        if let Some((from, to)) = self.settings.disorder.pause {
            for (at, slots) in [(from, 0), (to, self.settings.slots)] {
                let event = Box::new(Event::Slots(slots));
                self.agenda.at(at, Happening::Told(event));
            }
        }
        // Some sources are staged already.
        for place in 0..self.case.project.len() {
            if self.case.change.rebuilt[place] || self.rng.one_in(2) {
                self.tell_sources(place);
            }
        }
        for place in 0..self.case.project.len() {
            self.pipeline_event(PipelineEvent::Target {
                element: ElementId::from_index(place),
                closure: true,
            });
        }
    }

    /// The primer is going to be told.
    fn tell(&mut self, event: Event) {
        let at = self.agenda.now() + self.delay();
        self.agenda.at(at, Happening::Told(Box::new(event)));
    }

    /// The primer is going to be told by a real build, which tells one thing after another.
    fn tell_in_order(&mut self, place: usize, event: Event) {
        let at = self.agenda.now() + self.delay();
        let last = self.in_order.entry(place).or_default();
        *last = at.max(*last);
        let at = *last;
        self.agenda.at(at, Happening::Told(Box::new(event)));
    }

    fn delay(&mut self) -> Duration {
        let most = self.settings.disorder.delay.as_micros() as u64;
        Duration::from_micros(self.rng.below(most + 1))
    }

    fn tell_now(&mut self, event: Event) -> Step {
        let now = self.agenda.now();
        if matches!(event, Event::GoOn) {
            self.going_on = false;
        }
        let told = event.clone();
        let store = &self.case.change.fixture.store;
        let effects = self.primer.handle(now, event, store);
        for effect in &effects {
            match effect {
                Effect::LookUp(actions) => {
                    for action in actions {
                        let result = self.results.get(action).cloned();
                        let action = *action;
                        self.tell(Event::CacheAnswered { action, result });
                    }
                }
                Effect::Execute { action, .. } => self.execute(*action),
                Effect::Cancel(action) => self.cancel(*action),
                Effect::Problem { .. } | Effect::Note(_) => {}
            }
        }
        if self.primer.is_behind() && !std::mem::replace(&mut self.going_on, true) {
            self.agenda.at(now, Happening::Told(Box::new(Event::GoOn)));
        }
        Step {
            at: now,
            told,
            effects,
        }
    }

    /// The primer wants an action executed.
    fn execute(&mut self, action: ActionDigest) {
        let now = self.agenda.now();
        self.report.first_execution.get_or_insert(now);
        if let Some(place) = self.owners.get(&action) {
            let element = &mut self.report.elements[*place];
            element.first_execution.get_or_insert(now);
        }
        if let Some(result) = self.results.get(&action).cloned() {
            let outcome = Ok(self.outcome(action, result, Answered::Cached));
            self.tell(Event::Finished { action, outcome });
            return;
        }
        let cost = self.case.change.fixture.cost(action);
        self.executor.request(action, Who::Primer, cost);
    }

    fn cancel(&mut self, action: ActionDigest) {
        if self.executor.waits(action, Who::Primer) {
            self.executor.leave(action, Who::Primer, &mut self.agenda);
            let outcome = Err("cancelled".to_owned());
            self.tell(Event::Finished { action, outcome });
        }
    }

    fn outcome(&self, action: ActionDigest, result: StoredResult, answered: Answered) -> Outcome {
        Outcome {
            result,
            answered,
            duration: self.case.change.fixture.cost(action),
        }
    }

    /// An action has run to its end.
    fn ran(&mut self, action: ActionDigest) {
        let joined = self.executor.first(action);
        let lost = !self.executor.is_real(action) && self.rng.one_in(self.settings.disorder.losses);
        let waiters = self.executor.finish(action);
        if lost {
            let outcome = Err("the farm has lost it".to_owned());
            self.tell(Event::Finished { action, outcome });
            return;
        }
        let result = StoredResult::from(self.case.change.fixture.run(action));
        if result.message().exit_code == 0 {
            self.results.insert(action, result.clone());
        }
        for who in waiters {
            let answered = match Some(who) == joined {
                true => Answered::Executed,
                false => Answered::Joined,
            };
            let outcome = self.outcome(action, result.clone(), answered);
            match who {
                Who::Primer => {
                    let outcome = Ok(outcome);
                    self.tell(Event::Finished { action, outcome });
                }
                Who::Build { place, step } => self.answered(place, step, action, outcome),
            }
        }
    }

    fn pipeline_event(&mut self, event: PipelineEvent) {
        for effect in self.pipeline.handle(event) {
            match effect {
                PipelineEffect::LookUp(element) => {
                    let happening = Happening::LookedUp(element.index());
                    self.agenda.after(LOOK_UP, happening);
                }
                PipelineEffect::Fetch(element) => {
                    let happening = Happening::Fetched(element.index());
                    self.agenda.after(FETCH, happening);
                }
                PipelineEffect::Build(element) => self.start_build(element.index()),
                // A fetch comes to its end.
                PipelineEffect::Cancel(element) => self.fail(element.index()),
                // Nobody is there to be asked: no simulation wants it.
                PipelineEffect::Ask(_) => {}
            }
        }
    }

    fn looked_up(&mut self, place: usize) {
        let element = id(place);
        let found = if self.case.change.rebuilt[place] {
            if self.settings.mode.primes() {
                self.tell(Event::Planned {
                    element,
                    message: Arc::clone(&self.case.change.before[place].message),
                    turn: self.graph.turn(ElementId::from_index(place)),
                });
            }
            Found::Nothing
        } else {
            let tree = self.case.change.after[place].artifact;
            self.tell(Event::Artifact { element, tree });
            Found::Cached
        };
        self.pipeline_event(PipelineEvent::LookedUp {
            element: ElementId::from_index(place),
            found,
        });
        if !self.pipeline.is_looking_up() && !std::mem::replace(&mut self.told_unavailable, true) {
            for place in 0..self.case.project.len() {
                if !self.case.change.rebuilt[place] && !self.sources_told.contains(&place) {
                    let what = Unavailable::Sources;
                    let element = id(place);
                    self.tell(Event::Unavailable { element, what });
                }
            }
        }
    }

    fn tell_sources(&mut self, place: usize) {
        if self.sources_told.insert(place) {
            let tree = self.case.change.after[place].sources;
            let element = id(place);
            self.tell(Event::Sources { element, tree });
        }
    }

    fn fetched(&mut self, place: usize) {
        self.tell_sources(place);
        self.pipeline_event(PipelineEvent::Fetched {
            element: ElementId::from_index(place),
            ok: true,
        });
    }

    /// What is to go wrong goes wrong when it is time.
    fn interfere(&mut self) {
        if let Some((after, which)) = self.settings.disorder.failure
            && after == self.happenings
            && !self.builds.is_empty()
        {
            let running: Vec<usize> = self.builds.keys().copied().collect();
            self.fail(running[which % running.len()]);
        }
        if self.settings.disorder.interruption == Some(self.happenings) {
            self.pipeline_event(PipelineEvent::Interrupted);
        }
    }
}

/// A clock by which a slice of the primer's work is so many steps long.
fn clock(slice: usize) -> impl FnMut() -> Duration + Send + 'static {
    let step = Duration::from_nanos(1_000_000 / slice.max(1) as u64);
    let mut now = Duration::ZERO;
    move || {
        now += step;
        now
    }
}
