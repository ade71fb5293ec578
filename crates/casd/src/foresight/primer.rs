//! Drives the primer of one run, in a thread of its own: telling it never waits.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{self, TryRecvError};
use std::thread::JoinHandle;
use std::time::Instant;

use headstart_execution::{CancellationToken, Executor, Priority, Request};
use headstart_merkle::ActionDigest;
use headstart_speculation::{Account, Config, Effect, Event, Mode, Primer};

use super::{Known, Workshop};

/// The primer of a run.
pub(super) struct Primed {
    messages: mpsc::Sender<Message>,
    thread: std::sync::Mutex<Option<JoinHandle<Account>>>,
}

enum Message {
    Event(Box<Event>),
    Finish,
}

/// What a primer that was told to end will have come to.
pub(super) struct Ending(Option<JoinHandle<Account>>);

impl Ending {
    /// Waits for it.
    pub(super) fn wait(self) -> Account {
        let ended = self.0.map(JoinHandle::join);
        ended.and_then(Result::ok).unwrap_or_else(|| {
            tracing::error!(
                "the primer of a parent action broke down; the parent went on without it"
            );
            Account::default()
        })
    }
}

impl Primed {
    /// Starts to prime what earlier runs asked for.
    pub(super) fn start(workshop: &Arc<Workshop>, known: &Known) -> Self {
        let (messages, inbox) = mpsc::channel();
        let element = known.lineage.element.clone();
        let mut events = Vec::new();
        let trees = known.named_trees.iter().map(|named| Event::NamedTree {
            element: element.clone(),
            name: named.name.as_str().into(),
            tree: named.tree,
        });
        events.extend(trees);
        events.push(Event::Root {
            element: element.clone(),
            tree: known.root,
        });
        let planned = known.earlier.iter().map(|message| Event::Planned {
            element: element.clone(),
            message: Arc::clone(message),
            turn: 0,
        });
        events.extend(planned);
        events.push(Event::ElementStarted {
            element: element.clone(),
        });
        let begun = Instant::now();
        let config = Config {
            mode: Mode::Full,
            slots: workshop.slots,
        };
        let driver = Driver {
            primer: Primer::new(config).in_slices(move || begun.elapsed()),
            begun,
            workshop: Arc::clone(workshop),
            messages: messages.clone(),
            running: HashMap::new(),
        };
        let thread = std::thread::Builder::new()
            .name("primer".to_owned())
            .spawn(move || {
                let mut driver = driver;
                for event in events {
                    driver.handle(event);
                }
                driver.run(&inbox);
                driver.handle(Event::ElementBuilt {
                    element: element.clone(),
                });
                for cancel in driver.running.values() {
                    cancel.cancel();
                }
                driver.primer.account(&element)
            });
        let thread = thread.inspect_err(|error| {
            tracing::warn!(%error, "there is no thread for a primer");
        });
        Self {
            messages,
            thread: std::sync::Mutex::new(thread.ok()),
        }
    }

    pub(super) fn tell(&self, event: Event) {
        // Nobody listens if the thread has broken down.
        let _ = self.messages.send(Message::Event(Box::new(event)));
    }

    /// Gives up what still runs.
    pub(super) fn finish(&self) -> Ending {
        let _ = self.messages.send(Message::Finish);
        let mut thread = self
            .thread
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        Ending(thread.take())
    }
}

struct Driver {
    primer: Primer,
    begun: Instant,
    workshop: Arc<Workshop>,
    messages: mpsc::Sender<Message>,
    running: HashMap<ActionDigest, CancellationToken>,
}

impl Driver {
    fn run(&mut self, inbox: &mpsc::Receiver<Message>) {
        while let Some(Message::Event(event)) = self.next(inbox) {
            self.handle(*event);
        }
    }

    /// The next message; while there is none, the primer goes on with what it has.
    fn next(&self, inbox: &mpsc::Receiver<Message>) -> Option<Message> {
        match inbox.try_recv() {
            Ok(message) => Some(message),
            Err(TryRecvError::Empty) if self.primer.is_behind() => {
                Some(Message::Event(Box::new(Event::GoOn)))
            }
            Err(TryRecvError::Empty) => inbox.recv().ok(),
            Err(TryRecvError::Disconnected) => None,
        }
    }

    fn handle(&mut self, event: Event) {
        let mut look_ups = VecDeque::new();
        let mut next = Some(event);
        while let Some(event) = next.take() {
            if let Event::Finished { action, .. } = &event {
                self.running.remove(action);
            }
            let now = self.begun.elapsed();
            let effects = self.primer.handle(now, event, &self.workshop.directories);
            for effect in effects {
                self.perform(effect, &mut look_ups);
            }
            // What is not there can be executed while the next is looked up.
            next = look_ups.pop_front().map(|action| self.look_up(action));
        }
    }

    fn look_up(&self, action: ActionDigest) -> Event {
        let result = self.workshop.executor.known(action);
        Event::CacheAnswered { action, result }
    }

    fn perform(&mut self, effect: Effect, look_ups: &mut VecDeque<ActionDigest>) {
        match effect {
            Effect::LookUp(actions) => look_ups.extend(actions),
            Effect::Execute { action, .. } => self.execute(action),
            Effect::Cancel(action) => {
                if let Some(cancel) = self.running.get(&action) {
                    cancel.cancel();
                }
            }
            Effect::Problem { element, reason } => {
                tracing::warn!(parent = %element.name, reason, "speculation could not go on with something");
            }
            Effect::Note(_) => {}
        }
    }

    fn execute(&mut self, action: ActionDigest) {
        let cancel = CancellationToken::new();
        self.running.insert(action, cancel.clone());
        let executor = self.workshop.executor.clone();
        let messages = self.messages.clone();
        self.workshop.runtime.spawn(async move {
            let request = Request {
                action,
                priority: Priority::SPECULATIVE,
                skip_cache_lookup: false,
                cancel,
            };
            let outcome = executor.execute(request).await;
            let outcome = outcome.map_err(|error| error.to_string());
            let finished = Event::Finished { action, outcome };
            // The run may have ended meanwhile.
            let _ = messages.send(Message::Event(Box::new(finished)));
        });
    }
}
