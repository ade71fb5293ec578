//! A session in virtual time: a primer, an action cache, an executor, and real builds.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use headstart_execution::{Answered, Outcome, Subaction};
use headstart_merkle::ActionDigest;
use headstart_store::StoredResult;

use super::Fixture;
pub(crate) use super::world::Change;
use super::world::{Built, id};
use crate::{Config, Effect, Event, Mode, Note, Primer};

/// A clock by which each step takes a whole slice.
pub(crate) fn slow_clock() -> impl FnMut() -> Duration + Send {
    let mut now = Duration::ZERO;
    move || {
        now += Duration::from_secs(1);
        now
    }
}

/// One session: a project is built again after it was changed.
pub(crate) struct Session<'a> {
    pub(crate) fixture: &'a Fixture,
    pub(crate) primer: Primer,
    pub(crate) cache: HashMap<ActionDigest, StoredResult>,
    pub(crate) now: Duration,
    /// What may happen next: answers, results.
    pub(crate) pending: Vec<Event>,
    /// What was handed out, in order.
    pub(crate) executed: Vec<ActionDigest>,
    pub(crate) cancelled: Vec<ActionDigest>,
    pub(crate) problems: Vec<String>,
    pub(crate) notes: Vec<Note>,
    /// Since when each of these might have been handed out.
    pub(crate) ready: Vec<Duration>,
    /// How many slices the primer gets between events.
    pub(crate) slices: usize,
    /// A primer that is told the same and does all at once: what is handed out must be what it
    /// predicts by then.
    twin: Option<Primer>,
    in_flight: BTreeSet<ActionDigest>,
    pub(crate) most_in_flight: usize,
}

impl<'a> Session<'a> {
    pub(crate) fn new(fixture: &'a Fixture, slots: usize) -> Self {
        Self {
            fixture,
            primer: Primer::new(Config {
                mode: Mode::Full,
                slots,
            })
            .in_slices(slow_clock()),
            ready: Vec::new(),
            slices: usize::MAX,
            twin: None,
            cache: HashMap::new(),
            now: Duration::ZERO,
            pending: Vec::new(),
            executed: Vec::new(),
            cancelled: Vec::new(),
            problems: Vec::new(),
            notes: Vec::new(),
            in_flight: BTreeSet::new(),
            most_in_flight: 0,
        }
    }

    /// From now on what is handed out is checked against all that was told.
    pub(crate) fn check_what_is_handed_out(&mut self) {
        self.twin = Some(Primer::new(Config {
            mode: Mode::Full,
            slots: 1000,
        }));
    }

    fn check(&self, action: ActionDigest) {
        let Some(twin) = &self.twin else {
            return;
        };
        let elements = twin.elements();
        let mut predictions = elements.iter().flat_map(|id| twin.predictions(id));
        assert!(
            predictions.any(|(_, today)| today == Some(action)),
            "executed with an input that is not what is known: {action}"
        );
    }

    /// The action cache has what `built` left there.
    pub(crate) fn remember(&mut self, built: &[Built]) {
        for subaction in built.iter().flat_map(|one| &one.subactions) {
            self.cache
                .insert(subaction.action, subaction.result.clone());
        }
    }

    /// Tells the primer; what it wants done becomes pending.
    pub(crate) fn tell(&mut self, event: Event) {
        self.tell_slice(event);
        self.go_on(self.slices);
    }

    /// Lets the primer work so many slices, or as many as there is work for.
    pub(crate) fn go_on(&mut self, slices: usize) {
        for _ in 0..slices {
            if !self.primer.is_behind() {
                break;
            }
            self.tell_slice(Event::GoOn);
        }
    }

    fn tell_slice(&mut self, event: Event) {
        self.now += Duration::from_millis(1);
        if let Event::Finished { action, .. } = &event {
            assert!(self.in_flight.remove(action), "ended twice");
        }
        if let Some(twin) = &mut self.twin {
            twin.handle(self.now, event.clone(), &self.fixture.store);
        }
        for effect in self.primer.handle(self.now, event, &self.fixture.store) {
            match effect {
                Effect::LookUp(actions) => {
                    for action in actions {
                        let result = self.cache.get(&action).cloned();
                        self.pending.push(Event::CacheAnswered { action, result });
                    }
                }
                Effect::Execute { action, ready, .. } => {
                    self.ready.push(ready);
                    self.execute(action);
                }
                Effect::Cancel(action) => self.cancel(action),
                Effect::Problem { reason, .. } => self.problems.push(reason),
                Effect::Note(note) => self.notes.push(note),
            }
        }
    }

    fn execute(&mut self, action: ActionDigest) {
        assert!(
            !self.executed.contains(&action) || self.cancelled.contains(&action),
            "executed twice: {action}"
        );
        assert!(self.in_flight.insert(action), "already in flight: {action}");
        self.check(action);
        self.most_in_flight = self.most_in_flight.max(self.in_flight.len());
        self.executed.push(action);
        let result = StoredResult::from(self.fixture.run(action));
        self.cache.insert(action, result.clone());
        let outcome = Ok(Outcome {
            result,
            answered: Answered::Executed,
            duration: Duration::from_millis(100),
        });
        self.pending.push(Event::Finished { action, outcome });
    }

    fn cancel(&mut self, action: ActionDigest) {
        assert!(self.in_flight.contains(&action), "not in flight: {action}");
        self.cancelled.push(action);
        for event in &mut self.pending {
            if let Event::Finished {
                action: which,
                outcome,
            } = event
                && *which == action
            {
                *outcome = Err("cancelled".to_owned());
            }
        }
    }

    /// Lets everything that is pending happen, first come first served.
    pub(crate) fn drain(&mut self) {
        self.go_on(usize::MAX);
        while !self.pending.is_empty() {
            let event = self.pending.remove(0);
            self.tell(event);
            if self.pending.is_empty() {
                self.go_on(usize::MAX);
            }
        }
    }

    /// What becomes known before anything is built: stored messages and sources of what is built
    /// again, and artifacts of what need not be. The sources of these never become known.
    pub(crate) fn opening(before: &[Built], after: &[Built], rebuilt: &[bool]) -> Vec<Event> {
        let mut events = Vec::new();
        for (place, again) in rebuilt.iter().enumerate() {
            let element = id(place);
            if *again {
                events.push(Event::Planned {
                    element: element.clone(),
                    message: Arc::clone(&before[place].message),
                    turn: 0,
                });
                events.push(Event::Sources {
                    element,
                    tree: after[place].sources,
                });
            } else {
                events.push(Event::Artifact {
                    element,
                    tree: after[place].artifact,
                });
            }
        }
        events
    }

    /// The real build of an element: it asks for all that it needs.
    pub(crate) fn ask_all(&mut self, place: usize, built: &Built) {
        self.tell(Event::ElementStarted { element: id(place) });
        for subaction in &built.subactions {
            let known = self.cache.contains_key(&subaction.action);
            let running = self.in_flight.contains(&subaction.action);
            let answered = match (running, known) {
                (true, _) => Answered::Joined,
                (false, true) => Answered::Cached,
                (false, false) => Answered::Executed,
            };
            if answered != Answered::Cached {
                self.tell(Event::Wanted {
                    element: id(place),
                    action: subaction.action,
                });
            }
            self.cache
                .insert(subaction.action, subaction.result.clone());
            self.tell(Event::Asked {
                element: id(place),
                subaction: Subaction {
                    answered,
                    ..subaction.clone()
                },
            });
        }
    }

    pub(crate) fn finish_element(&mut self, place: usize, built: &Built) {
        self.tell(Event::Artifact {
            element: id(place),
            tree: built.artifact,
        });
        self.tell(Event::ElementBuilt { element: id(place) });
    }

    /// What the primer predicts of an element: what was, and what is.
    pub(crate) fn predictions(&self, place: usize) -> BTreeMap<ActionDigest, Option<ActionDigest>> {
        self.primer.predictions(&id(place)).into_iter().collect()
    }
}

impl Change {
    /// A session in which all that can be known before any build is known.
    pub(crate) fn open(&self, slots: usize) -> Session<'_> {
        let mut session = Session::new(&self.fixture, slots);
        session.remember(&self.before);
        for event in Session::opening(&self.before, &self.after, &self.rebuilt) {
            session.tell(event);
        }
        session
    }
}
