//! The state machine.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use headstart_project::ElementId;

use crate::graph::Graph;

/// How many jobs of a kind may run at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Fetches: `scheduler.fetchers`.
    pub fetchers: usize,
    /// Builds: `scheduler.builders`.
    pub builders: usize,
}

/// What to do when an element fails: BuildStream's `scheduler.on-error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// Build everything that does not need the failed element.
    Continue,
    /// Let running jobs end, start no others.
    Quit,
    /// End running jobs too.
    Terminate,
    /// Start nothing until somebody has decided.
    Ask,
}

/// What is decided of an element that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// As [`OnError::Continue`].
    Continue,
    /// As [`OnError::Quit`].
    Quit,
    /// As [`OnError::Terminate`].
    Terminate,
    /// Try it again.
    Retry,
}

/// What a look-up in the artifact cache found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A complete artifact.
    Cached,
    /// A complete artifact of a build that failed.
    CachedFailure,
    /// Nothing that could be used.
    Nothing,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The element is wanted, with its run closure if `closure`.
    Target {
        /// Which.
        element: ElementId,
        /// Whether what it needs to run is wanted as well.
        closure: bool,
    },
    /// A look-up ended.
    LookedUp {
        /// Which element's.
        element: ElementId,
        /// What it found.
        found: Found,
    },
    /// A fetch ended.
    Fetched {
        /// Which element's.
        element: ElementId,
        /// Whether its sources are here now.
        ok: bool,
    },
    /// A build ended.
    Built {
        /// Which element's.
        element: ElementId,
        /// Whether there is an artifact of success.
        ok: bool,
    },
    /// It was decided what to do about an element that failed, which was asked for.
    Decided {
        /// Which.
        element: ElementId,
        /// What to do.
        decision: Decision,
    },
    /// The user wants it to end: nothing more is started, what runs is cancelled.
    Interrupted,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Look for the element's artifact.
    LookUp(ElementId),
    /// Fetch its sources.
    Fetch(ElementId),
    /// Build it: all that its sandbox will hold is there.
    Build(ElementId),
    /// End the job that runs for it; its end is still to be reported.
    Cancel(ElementId),
    /// Ask what to do about its failure, and report the decision.
    Ask(ElementId),
}

/// Where an element stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nobody needs it so far.
    NotNeeded,
    /// Its artifact is being looked for.
    LookingUp,
    /// Its artifact was there.
    Cached,
    /// It must be built; its sources wait to be fetched or are being fetched.
    Fetching,
    /// Its sources are there, not all of its dependencies.
    Waiting,
    /// It can be built as soon as a builder is free.
    Ready,
    /// It is being built.
    Building,
    /// It was built.
    Built,
    /// Fetching or building it failed, now or in the past.
    Failed,
}

/// How far the whole build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Elements that were cached.
    pub cached: usize,
    /// Elements that were built.
    pub built: usize,
    /// Elements that failed.
    pub failed: usize,
    /// Elements that are needed and neither cached, built nor failed.
    pub left: usize,
}

#[derive(Debug, Clone)]
struct Element {
    state: State,
    /// Whether its run closure is needed.
    closure_needed: bool,
    fetched: bool,
    /// Direct build dependencies whose run closures are not complete.
    missing_build: usize,
    /// This element's own artifact, and direct runtime dependencies whose run closures, are not
    /// complete.
    missing_run: usize,
}

/// Which element is looked up, fetched and built when.
#[derive(Debug)]
pub struct Pipeline {
    graph: Arc<Graph>,
    elements: Vec<Element>,
    limits: Limits,
    on_error: OnError,
    retry_failed: bool,
    to_fetch: BinaryHeap<Reverse<(u32, ElementId)>>,
    to_build: BinaryHeap<Reverse<(u32, ElementId)>>,
    looking_up: usize,
    fetching: usize,
    building: usize,
    /// Failures that nothing has been decided about.
    asking: usize,
    stopping: bool,
}

impl Pipeline {
    /// A pipeline in which nothing is wanted yet. With `retry_failed` a cached failure counts as
    /// nothing found.
    pub fn new(
        graph: impl Into<Arc<Graph>>,
        limits: Limits,
        on_error: OnError,
        retry_failed: bool,
    ) -> Self {
        let graph = graph.into();
        let elements = (0..graph.len()).map(|index| {
            let dependencies = graph.of(ElementId::from_index(index));
            Element {
                state: State::NotNeeded,
                closure_needed: false,
                fetched: false,
                missing_build: dependencies.build.len(),
                missing_run: dependencies.runtime.len() + 1,
            }
        });
        Self {
            elements: elements.collect(),
            graph,
            limits,
            on_error,
            retry_failed,
            to_fetch: BinaryHeap::new(),
            to_build: BinaryHeap::new(),
            looking_up: 0,
            fetching: 0,
            building: 0,
            asking: 0,
            stopping: false,
        }
    }

    /// Takes what happened and says what to do next, in this order.
    pub fn handle(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Target { element, closure } => self.need(element, closure, &mut effects),
            Event::LookedUp { element, found } => self.looked_up(element, found, &mut effects),
            Event::Fetched { element, ok } => self.fetched(element, ok, &mut effects),
            Event::Built { element, ok } => self.built(element, ok, &mut effects),
            Event::Decided { element, decision } => self.decided(element, decision, &mut effects),
            Event::Interrupted => self.stop(true, &mut effects),
        }
        self.start(&mut effects);
        effects
    }

    /// Whether artifacts are still being looked for.
    pub fn is_looking_up(&self) -> bool {
        self.looking_up > 0
    }

    /// Whether no job runs and none will be started.
    pub fn is_idle(&self) -> bool {
        self.looking_up + self.fetching + self.building + self.asking == 0
    }

    /// Where an element stands.
    pub fn state(&self, element: ElementId) -> State {
        self.elements[element.index()].state
    }

    /// How far the build is.
    pub fn progress(&self) -> Progress {
        let mut progress = Progress::default();
        for element in &self.elements {
            match element.state {
                State::NotNeeded => {}
                State::Cached => progress.cached += 1,
                State::Built => progress.built += 1,
                State::Failed => progress.failed += 1,
                _ => progress.left += 1,
            }
        }
        progress
    }

    fn need(&mut self, element: ElementId, closure: bool, effects: &mut Vec<Effect>) {
        let mut pending = vec![(element, closure)];
        while let Some((id, closure)) = pending.pop() {
            let element = &mut self.elements[id.index()];
            if element.state == State::NotNeeded {
                element.state = State::LookingUp;
                self.looking_up += 1;
                effects.push(Effect::LookUp(id));
            }
            if closure && !element.closure_needed {
                element.closure_needed = true;
                pending.extend(self.graph.of(id).runtime.iter().map(|id| (*id, true)));
            }
        }
    }

    fn looked_up(&mut self, id: ElementId, found: Found, effects: &mut Vec<Effect>) {
        self.looking_up -= 1;
        match found {
            Found::Cached => {
                self.elements[id.index()].state = State::Cached;
                self.complete(id);
            }
            Found::CachedFailure if !self.retry_failed => self.fail(id, effects),
            Found::CachedFailure | Found::Nothing if self.stopping => {
                self.elements[id.index()].state = State::Fetching;
            }
            Found::CachedFailure | Found::Nothing => self.fetch(id, effects),
        }
    }

    /// Has an element fetched, and asks for what it is built with.
    fn fetch(&mut self, id: ElementId, effects: &mut Vec<Effect>) {
        self.elements[id.index()].state = State::Fetching;
        self.to_fetch.push(Reverse((self.graph.turn(id), id)));
        for dependency in self.graph.of(id).build.clone() {
            self.need(dependency, true, effects);
        }
    }

    fn fetched(&mut self, id: ElementId, ok: bool, effects: &mut Vec<Effect>) {
        self.fetching -= 1;
        if !ok {
            return self.fail(id, effects);
        }
        let element = &mut self.elements[id.index()];
        element.fetched = true;
        element.state = State::Waiting;
        self.ready_if_complete(id);
    }

    fn built(&mut self, id: ElementId, ok: bool, effects: &mut Vec<Effect>) {
        self.building -= 1;
        if ok {
            self.elements[id.index()].state = State::Built;
            self.complete(id);
        } else {
            self.fail(id, effects);
        }
    }

    fn fail(&mut self, id: ElementId, effects: &mut Vec<Effect>) {
        self.elements[id.index()].state = State::Failed;
        match self.on_error {
            OnError::Continue => {}
            OnError::Quit => self.stop(false, effects),
            OnError::Terminate => self.stop(true, effects),
            // Whoever wants it to end is not asked.
            OnError::Ask if self.stopping => {}
            OnError::Ask => {
                self.asking += 1;
                effects.push(Effect::Ask(id));
            }
        }
    }

    fn decided(&mut self, id: ElementId, decision: Decision, effects: &mut Vec<Effect>) {
        // What comes after the end was decided makes no difference.
        if self.asking == 0 {
            return;
        }
        self.asking -= 1;
        match decision {
            Decision::Continue => {}
            Decision::Quit => self.stop(false, effects),
            Decision::Terminate => self.stop(true, effects),
            Decision::Retry => self.retry(id, effects),
        }
    }

    /// Does again what failed: a fetch, a build, or a build of the past.
    fn retry(&mut self, id: ElementId, effects: &mut Vec<Effect>) {
        if self.elements[id.index()].fetched {
            self.elements[id.index()].state = State::Waiting;
            return self.ready_if_complete(id);
        }
        self.fetch(id, effects);
    }

    fn stop(&mut self, cancel: bool, effects: &mut Vec<Effect>) {
        self.stopping = true;
        self.asking = 0;
        if cancel {
            let running =
                self.elements.iter().enumerate().filter(|(_, element)| {
                    matches!(element.state, State::Building | State::Fetching)
                });
            effects.extend(running.map(|(index, _)| Effect::Cancel(ElementId::from_index(index))));
        }
    }

    /// Notes that the artifact of `id` is there, and with it the run closures it was missing from.
    fn complete(&mut self, id: ElementId) {
        let mut pending = vec![id];
        while let Some(id) = pending.pop() {
            let element = &mut self.elements[id.index()];
            element.missing_run -= 1;
            if element.missing_run > 0 {
                continue;
            }
            pending.extend(self.graph.of(id).runtime_of.iter().copied());
            for dependent in self.graph.of(id).build_of.clone() {
                self.elements[dependent.index()].missing_build -= 1;
                self.ready_if_complete(dependent);
            }
        }
    }

    fn ready_if_complete(&mut self, id: ElementId) {
        let element = &mut self.elements[id.index()];
        if element.state == State::Waiting && element.missing_build == 0 {
            element.state = State::Ready;
            self.to_build.push(Reverse((self.graph.turn(id), id)));
        }
    }

    /// Starts what can be started: what most else waits for first.
    fn start(&mut self, effects: &mut Vec<Effect>) {
        if self.stopping || self.asking > 0 {
            return;
        }
        while self.building < self.limits.builders.max(1)
            && let Some(Reverse((_, id))) = self.to_build.pop()
        {
            self.building += 1;
            self.elements[id.index()].state = State::Building;
            effects.push(Effect::Build(id));
        }
        while self.fetching < self.limits.fetchers.max(1)
            && let Some(Reverse((_, id))) = self.to_fetch.pop()
        {
            self.fetching += 1;
            effects.push(Effect::Fetch(id));
        }
    }
}
