//! Drives the primer, in a thread of its own.
//!
//! Events come in from everywhere without anybody waiting. The thread adapts actions, which takes
//! reading and writing trees; what is to be executed is handed to the executor, at low priority, and
//! comes back as an event.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use headstart_daemon::LocalExecutor;
use headstart_execution::{CancellationToken, Executor, Priority, Request};
use headstart_merkle::{ActionDigest, BlobDigest};
use headstart_speculation::{
    Account, Config, Effect, ElementId, Event, Mode, Note, NoteKind, Odds, Primer,
};
use headstart_store::{BlobStore, Directories};
use headstart_store_disk::Guesses;
use tokio::runtime::Handle;

use crate::config::SpeculationConfig;
use crate::history::Fact;
use crate::journal::Journal;
use crate::latency::{Latencies, Latency};
use crate::load::{AGAIN, Load, ProcessorTime};
use crate::marks::{Marks, tell_quota};

/// Tells the primer what happens. Cheap to clone; telling never waits.
#[derive(Clone)]
pub(crate) struct Speculator {
    events: mpsc::Sender<Message>,
}

struct Message {
    /// When it was sent.
    told: Instant,
    what: Told,
}

enum Told {
    Event(Box<Event>),
    /// It is time to look around.
    Nothing,
    /// For the history only.
    Note(Box<Note>),
    /// For the history only: a record of an element.
    Record(ElementId, Fact, BlobDigest),
    Finish {
        audit: bool,
    },
}

/// What speculation came to.
pub(crate) struct Balance {
    pub(crate) accounts: HashMap<ElementId, Account>,
    /// What each recorded action of an element was adapted to.
    pub(crate) predictions: HashMap<ElementId, Vec<(ActionDigest, Option<ActionDigest>)>>,
    pub(crate) total: Account,
    pub(crate) latency: Latency,
    /// How long the load of the machine held everything back.
    pub(crate) paused: Duration,
    /// What is known now of how predictions come true, for those elements that there were any of.
    pub(crate) odds: HashMap<ElementId, Odds>,
    pub(crate) problems: Vec<String>,
}

/// What the primer works with.
pub(crate) struct Equipment {
    pub(crate) mode: Mode,
    /// How many actions it may have in flight.
    pub(crate) slots: usize,
    pub(crate) executor: LocalExecutor,
    pub(crate) directories: Arc<Directories<dyn BlobStore>>,
    /// Where what happens is written down, if it is.
    pub(crate) journal: Option<Journal>,
    /// Where results that nobody has asked for are marked.
    pub(crate) guesses: Guesses,
    pub(crate) config: SpeculationConfig,
}

/// The thread of the primer.
pub(crate) struct SpeculatorThread {
    speculator: Speculator,
    thread: JoinHandle<Balance>,
}

impl SpeculatorThread {
    /// Starts the primer. Must be called within the runtime that executes.
    pub(crate) fn start(equipment: Equipment) -> std::io::Result<Self> {
        let Equipment {
            mode,
            slots,
            executor,
            directories,
            journal,
            guesses,
            config,
        } = equipment;
        let (events, inbox) = mpsc::channel();
        let speculator = Speculator { events };
        let begun = Instant::now();
        let driver = Driver {
            primer: Primer::new(Config { mode, slots }).in_slices(move || begun.elapsed()),
            begun,
            executor,
            directories,
            journal,
            records: mode.generates(),
            slots,
            load: config.load.map(Load::new),
            guesses: Marks::new(guesses),
            odds: HashMap::new(),
            latencies: Latencies::default(),
            runtime: Handle::current(),
            speculator: speculator.clone(),
            running: HashMap::new(),
            problems: Vec::new(),
        };
        if mode.primes() {
            speculator.tell(Event::Limits {
                session: config.session,
                element: config.element,
            });
            tell_quota(&driver.guesses, &config, &speculator);
        }
        let thread = std::thread::Builder::new()
            .name("primer".to_owned())
            .spawn(move || driver.run(&inbox))?;
        Ok(Self { speculator, thread })
    }

    pub(crate) fn speculator(&self) -> Speculator {
        self.speculator.clone()
    }

    /// Ends speculation: what still runs is cancelled. With `audit` every input of what was executed
    /// is held against what is known by now, which takes its time.
    pub(crate) fn finish(self, audit: bool) -> Balance {
        self.speculator.send(Told::Finish { audit });
        self.thread.join().unwrap_or_else(|_| Balance {
            accounts: HashMap::new(),
            predictions: HashMap::new(),
            total: Account::default(),
            latency: Latency::default(),
            paused: Duration::ZERO,
            odds: HashMap::new(),
            problems: vec!["the primer panicked; the build went on without it".to_owned()],
        })
    }
}

impl Speculator {
    /// Tells the primer of an event.
    pub(crate) fn tell(&self, event: Event) {
        self.send(Told::Event(Box::new(event)));
    }

    /// Has something written down that happened to an action.
    pub(crate) fn note(&self, note: Note) {
        self.send(Told::Note(Box::new(note)));
    }

    /// Has written down which record there is of an element.
    pub(crate) fn note_record(&self, element: ElementId, what: Fact, record: BlobDigest) {
        self.send(Told::Record(element, what, record));
    }

    fn send(&self, what: Told) {
        let told = Instant::now();
        // After the end of a build nobody listens any more, and nobody needs to.
        let _ = self.events.send(Message { told, what });
    }
}

/// The next message, or after a while none.
fn wait_a_while(inbox: &mpsc::Receiver<Message>) -> Option<Message> {
    match inbox.recv_timeout(AGAIN) {
        Ok(message) => Some(message),
        Err(RecvTimeoutError::Timeout) => Some(Message {
            told: Instant::now(),
            what: Told::Nothing,
        }),
        Err(RecvTimeoutError::Disconnected) => None,
    }
}

struct Driver {
    primer: Primer,
    begun: Instant,
    executor: LocalExecutor,
    directories: Arc<Directories<dyn BlobStore>>,
    journal: Option<Journal>,
    slots: usize,
    load: Option<Load>,
    guesses: Marks,
    /// What was learned before of the elements that are going to be built.
    odds: HashMap<ElementId, Arc<Odds>>,
    /// Whether what is asked for is recorded for the next build.
    records: bool,
    /// From being told of what unblocks an action to handing it to the executor.
    latencies: Latencies,
    runtime: Handle,
    speculator: Speculator,
    running: HashMap<ActionDigest, CancellationToken>,
    problems: Vec<String>,
}

impl Driver {
    fn run(mut self, inbox: &mpsc::Receiver<Message>) -> Balance {
        let mut audit = false;
        while let Some(Message { told, what }) = self.next(inbox) {
            let at = told.saturating_duration_since(self.begun);
            match what {
                Told::Event(event) => self.handle(at, Some(*event)),
                Told::Nothing => self.handle(at, None),
                Told::Note(note) => self.journal(|journal| journal.note(at, &note)),
                Told::Record(element, what, record) => {
                    self.journal(|journal| journal.fact(at, &element, what, record));
                }
                Told::Finish { audit: wanted } => {
                    audit = wanted;
                    break;
                }
            }
        }
        for cancel in self.running.values() {
            cancel.cancel();
        }
        let elements = self.primer.elements();
        for element in elements.iter().filter(|_| audit) {
            if let Err(error) = self.primer.audit(element, &*self.directories) {
                self.problems
                    .push(format!("{element}: the audit failed: {error}"));
            }
        }
        let accounts = elements
            .iter()
            .map(|id| (id.clone(), self.primer.account(id)));
        let predictions = elements
            .iter()
            .map(|id| (id.clone(), self.primer.predictions(id)));
        let mut odds = HashMap::new();
        for (element, known) in &self.odds {
            let mut known = Odds::clone(known);
            self.primer
                .learn_odds(element, &mut known, &*self.directories);
            odds.insert(element.clone(), known);
        }
        let now = self.begun.elapsed();
        let balance = Balance {
            accounts: accounts.collect(),
            predictions: predictions.collect(),
            total: self.primer.total(),
            latency: self.latencies.sum_up(),
            paused: self
                .load
                .map(|load| load.paused_for(now))
                .unwrap_or_default(),
            odds,
            problems: self.problems,
        };
        if let Some(mut journal) = self.journal {
            for note in self.primer.unasked() {
                journal.note(now, &note);
            }
            journal.end(now);
        }
        balance
    }

    /// The next message; while there is none, all that happened is on its way to the disk.
    fn next(&mut self, inbox: &mpsc::Receiver<Message>) -> Option<Message> {
        match inbox.try_recv() {
            Ok(message) => Some(message),
            Err(TryRecvError::Disconnected) => None,
            Err(TryRecvError::Empty) if self.primer.is_behind() => Some(Message {
                told: Instant::now(),
                what: Told::Nothing,
            }),
            Err(TryRecvError::Empty) => {
                self.journal(Journal::flush);
                match &self.load {
                    Some(load) if load.is_paused() => wait_a_while(inbox),
                    _ => inbox.recv().ok(),
                }
            }
        }
    }

    fn journal(&mut self, write: impl FnOnce(&mut Journal)) {
        if let Some(journal) = &mut self.journal {
            write(journal);
        }
    }

    /// Tells the primer of an event, or has it go on if there is none, and does what it wants done.
    fn handle(&mut self, at: Duration, event: Option<Event>) {
        let mut events: VecDeque<Event> = self.look_at_load().into_iter().chain(event).collect();
        if events.is_empty() {
            events.push_back(Event::GoOn);
        }
        let mut look_ups = VecDeque::new();
        loop {
            let (at, event) = if let Some(event) = events.pop_front() {
                (at, event)
            } else if let Some(action) = look_ups.pop_front() {
                // One after another: what is not there is executed while the next is looked up.
                (self.begun.elapsed(), self.look_up(action))
            } else {
                return;
            };
            if let Event::Finished { action, .. } = &event {
                self.running.remove(action);
            }
            if let Event::Learned { element, odds } = &event {
                self.odds.insert(element.clone(), Arc::clone(odds));
            }
            self.guesses.note(&event);
            let (now, records) = (self.begun.elapsed(), self.records);
            self.journal(|journal| journal.event(now, &event, records));
            let effects = self.primer.handle(at, event, &*self.directories);
            let is_execution = |effect: &Effect| matches!(effect, Effect::Execute { .. });
            let (executions, others): (Vec<_>, Vec<_>) =
                effects.into_iter().partition(is_execution);
            for effect in executions.into_iter().chain(others) {
                self.perform(effect, &mut look_ups);
            }
        }
    }

    fn look_up(&self, action: ActionDigest) -> Event {
        let result = self.executor.known(action);
        Event::CacheAnswered { action, result }
    }

    /// Whether anything more may be executed ahead of need, if that has changed.
    fn look_at_load(&mut self) -> Option<Event> {
        let now = self.begun.elapsed();
        let load = self.load.as_mut().filter(|load| load.is_due(now))?;
        let changed = load.measured(now, ProcessorTime::now()?);
        changed.then(|| Event::Slots(if load.is_paused() { 0 } else { self.slots }))
    }

    fn perform(&mut self, effect: Effect, look_ups: &mut VecDeque<ActionDigest>) {
        match effect {
            Effect::LookUp(actions) => look_ups.extend(actions),
            Effect::Execute {
                action,
                rank,
                expected,
                ready,
            } => {
                tracing::debug!(%action, rank, ?expected, "executing ahead of need");
                self.execute(action);
                let now = self.begun.elapsed();
                self.latencies.add(now.saturating_sub(ready));
                self.journal(|journal| {
                    journal.execution(now, NoteKind::Submitted, action, expected);
                });
            }
            Effect::Cancel(action) => {
                if let Some(cancel) = self.running.get(&action) {
                    cancel.cancel();
                }
            }
            Effect::Problem { element, reason } => {
                tracing::warn!(%element, reason, "speculation could not go on with something");
                self.problems.push(format!("{element}: {reason}"));
            }
            Effect::Note(note) => {
                let now = self.begun.elapsed();
                self.journal(|journal| journal.note(now, &note));
            }
        }
    }

    fn execute(&mut self, action: ActionDigest) {
        let cancel = CancellationToken::new();
        self.running.insert(action, cancel.clone());
        let (executor, speculator) = (self.executor.clone(), self.speculator.clone());
        self.runtime.spawn(async move {
            let priority = Priority::SPECULATIVE;
            let request = Request {
                action,
                priority,
                skip_cache_lookup: false,
                cancel,
            };
            let outcome = executor
                .execute(request)
                .await
                .map_err(|error| error.to_string());
            speculator.tell(Event::Finished { action, outcome });
        });
    }
}
