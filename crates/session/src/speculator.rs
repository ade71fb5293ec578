//! Drives the primer, in a thread of its own.
//!
//! Events come in from everywhere without anybody waiting. The thread adapts actions, which takes
//! reading and writing trees; what is to be executed is handed to the executor, at low priority, and
//! comes back as an event.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Instant;

use headstart_daemon::LocalExecutor;
use headstart_execution::{CancellationToken, Executor, Priority, Request};
use headstart_merkle::ActionDigest;
use headstart_speculation::{Account, Config, Effect, ElementId, Event, Mode, Primer};
use headstart_store::{BlobStore, Directories};
use tokio::runtime::Handle;

/// Tells the primer what happens. Cheap to clone; telling never waits.
#[derive(Clone)]
pub(crate) struct Speculator {
    events: mpsc::Sender<Message>,
}

enum Message {
    Event(Box<Event>),
    Finish { audit: bool },
}

/// What speculation came to.
pub(crate) struct Balance {
    pub(crate) accounts: HashMap<ElementId, Account>,
    /// What each recorded action of an element was adapted to.
    pub(crate) predictions: HashMap<ElementId, Vec<(ActionDigest, Option<ActionDigest>)>>,
    pub(crate) total: Account,
    pub(crate) problems: Vec<String>,
}

/// The thread of the primer.
pub(crate) struct SpeculatorThread {
    speculator: Speculator,
    thread: JoinHandle<Balance>,
}

impl SpeculatorThread {
    /// Starts the primer. Must be called within the runtime that executes.
    pub(crate) fn start(
        mode: Mode,
        slots: usize,
        executor: LocalExecutor,
        directories: Arc<Directories<dyn BlobStore>>,
    ) -> std::io::Result<Self> {
        let (events, inbox) = mpsc::channel();
        let speculator = Speculator { events };
        let driver = Driver {
            primer: Primer::new(Config { mode, slots }),
            begun: Instant::now(),
            executor,
            directories,
            runtime: Handle::current(),
            speculator: speculator.clone(),
            running: HashMap::new(),
            problems: Vec::new(),
        };
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
        // The thread only ends by this message, so it is there to take it.
        let _ = self.speculator.events.send(Message::Finish { audit });
        self.thread.join().unwrap_or_else(|_| Balance {
            accounts: HashMap::new(),
            predictions: HashMap::new(),
            total: Account::default(),
            problems: vec!["the primer panicked; the build went on without it".to_owned()],
        })
    }
}

impl Speculator {
    /// Tells the primer of an event.
    pub(crate) fn tell(&self, event: Event) {
        // After the end of a build nobody listens any more, and nobody needs to.
        let _ = self.events.send(Message::Event(Box::new(event)));
    }
}

struct Driver {
    primer: Primer,
    begun: Instant,
    executor: LocalExecutor,
    directories: Arc<Directories<dyn BlobStore>>,
    runtime: Handle,
    speculator: Speculator,
    running: HashMap<ActionDigest, CancellationToken>,
    problems: Vec<String>,
}

impl Driver {
    fn run(mut self, inbox: &mpsc::Receiver<Message>) -> Balance {
        let mut audit = false;
        while let Ok(message) = inbox.recv() {
            match message {
                Message::Event(event) => self.handle(*event),
                Message::Finish { audit: wanted } => {
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
        Balance {
            accounts: accounts.collect(),
            predictions: predictions.collect(),
            total: self.primer.total(),
            problems: self.problems,
        }
    }

    fn handle(&mut self, event: Event) {
        let mut pending = VecDeque::from([event]);
        while let Some(event) = pending.pop_front() {
            if let Event::Finished { action, .. } = &event {
                self.running.remove(action);
            }
            let now = self.begun.elapsed();
            for effect in self.primer.handle(now, event, &*self.directories) {
                self.perform(effect, &mut pending);
            }
        }
    }

    fn perform(&mut self, effect: Effect, pending: &mut VecDeque<Event>) {
        match effect {
            Effect::LookUp(actions) => pending.extend(actions.into_iter().map(|action| {
                let result = self.executor.cache().get(action).unwrap_or_else(|error| {
                    tracing::warn!(%error, "a look-up of a predicted action failed");
                    None
                });
                Event::CacheAnswered { action, result }
            })),
            Effect::Execute {
                action,
                rank,
                expected,
            } => {
                tracing::debug!(%action, rank, ?expected, "executing ahead of need");
                self.execute(action);
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
            Effect::Note(note) => tracing::trace!(?note),
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
