//! Speculation without a build tool's help.
//!
//! What a parent action asks for inside its sandbox is recorded under the parent's lineage: its
//! command, platform and working directory. When a parent of the same lineage starts with another
//! input root, the recorded actions are adapted to it by path, and executed in idle slots while the
//! parent still configures. Each run of a parent has a primer of its own, in a thread that ends with it.

mod lineage;
mod primer;
mod record;

use std::sync::{Arc, Mutex, PoisonError};

use headstart_artifacts::LineageCache;
use headstart_daemon::{LocalExecutor, ParentRun, Parents};
use headstart_execution::{ActionSpec, AskedFor, Subaction, SubactionRecorder};
use headstart_merkle::{ActionDigest, DirectoryDigest};
use headstart_speculation::{Account, ElementId, Event, NamedTree, SpeculativeActions};
use headstart_store::{BlobStore, Directories};
use headstart_store_disk::Layout;
use tokio::runtime::Handle;
use tokio::sync::watch;

use lineage::Lineage;
use primer::Primed;

/// What all parents share.
struct Workshop {
    executor: LocalExecutor,
    directories: Directories<dyn BlobStore>,
    lineages: LineageCache,
    slots: usize,
    runtime: Handle,
    all: Arc<All>,
}

/// What is known of the runs of all parents.
struct All {
    /// How many are going on, or are still being recorded.
    open: watch::Sender<usize>,
    total: Mutex<Account>,
}

/// Follows the parents of one executor.
#[derive(Clone)]
pub(crate) struct Foresight(Arc<Workshop>);

impl Foresight {
    /// To be called within the runtime that executes.
    pub(crate) fn new(layout: &Layout, executor: LocalExecutor, slots: usize) -> Self {
        Self(Arc::new(Workshop {
            directories: Directories::new(Arc::clone(executor.store())),
            executor,
            lineages: LineageCache::new(layout.root()),
            slots,
            runtime: Handle::current(),
            all: Arc::new(All {
                open: watch::Sender::new(0),
                total: Mutex::default(),
            }),
        }))
    }

    /// Follows the parents of another executor, with which what it knows is executed.
    pub(crate) fn of(&self, executor: LocalExecutor) -> Self {
        let first = &self.0;
        Self(Arc::new(Workshop {
            directories: Directories::new(Arc::clone(executor.store())),
            executor,
            lineages: first.lineages.clone(),
            slots: first.slots,
            runtime: first.runtime.clone(),
            all: Arc::clone(&first.all),
        }))
    }

    /// Returns when all runs that have ended are recorded, whoever followed them.
    pub(crate) async fn settled(&self) {
        // The sender lives as long as this.
        let _ = self
            .0
            .all
            .open
            .subscribe()
            .wait_for(|open| *open == 0)
            .await;
    }

    /// What speculation has come to so far.
    pub(crate) fn total(&self) -> Account {
        let total = self.0.all.total.lock();
        total.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Parents for Foresight {
    fn begin(&self, parent: ActionDigest) -> Arc<dyn ParentRun> {
        let workshop = Arc::clone(&self.0);
        workshop.all.open.send_modify(|open| *open += 1);
        let known = Known::find(&workshop, parent);
        let known = known.inspect_err(|error| {
            tracing::warn!(%parent, error, "nothing can be foreseen of a parent action");
        });
        let primed = match &known {
            Ok(known) if !known.earlier.is_empty() => Some(Primed::start(&workshop, known)),
            _ => None,
        };
        Arc::new(Run {
            workshop,
            known: known.ok(),
            primed,
            subactions: AskedFor::default(),
            ended: Mutex::new(false),
        })
    }
}

/// What is known of a parent when it starts.
struct Known {
    lineage: Lineage,
    root: DirectoryDigest,
    named_trees: Vec<NamedTree>,
    /// What earlier runs asked for, newest first.
    earlier: Vec<Arc<SpeculativeActions>>,
}

impl Known {
    fn find(workshop: &Workshop, parent: ActionDigest) -> Result<Self, String> {
        let store = workshop.executor.store();
        let spec = ActionSpec::read(parent, store.as_ref()).map_err(|error| error.to_string())?;
        let lineage = Lineage::of(&spec);
        Ok(Self {
            earlier: record::earlier(workshop, &lineage),
            named_trees: lineage::named_trees(&spec, store.as_ref()),
            root: spec.input_root,
            lineage,
        })
    }
}

/// One run of a parent.
struct Run {
    workshop: Arc<Workshop>,
    /// `None` if the parent can't be read.
    known: Option<Known>,
    primed: Option<Primed>,
    subactions: AskedFor<Subaction>,
    ended: Mutex<bool>,
}

impl Run {
    fn element(&self) -> Option<&ElementId> {
        self.known.as_ref().map(|known| &known.lineage.element)
    }

    fn tell(&self, event: impl FnOnce(ElementId) -> Event) {
        if let (Some(primed), Some(element)) = (&self.primed, self.element()) {
            primed.tell(event(element.clone()));
        }
    }
}

impl SubactionRecorder for Run {
    fn answered(&self, subaction: Subaction) {
        self.tell(|element| Event::Asked {
            element,
            subaction: subaction.clone(),
        });
        self.subactions.answered(subaction.action, subaction);
    }

    fn missed(&self, action: ActionDigest) {
        self.subactions.missed(action);
        self.tell(|element| Event::Wanted { element, action });
    }
}

impl ParentRun for Run {
    fn ended(&self, well: bool) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut ended, true) {
            return;
        }
        let account = self.primed.as_ref().map(Primed::finish);
        let subactions = self.subactions.take();
        let workshop = Arc::clone(&self.workshop);
        let Some(known) = &self.known else {
            workshop.all.open.send_modify(|open| *open -= 1);
            return;
        };
        let generation = record::generation(known, subactions);
        let lineage = known.lineage.clone();
        // What is recorded now serves the next run; this one is not held up by it.
        self.workshop.runtime.spawn_blocking(move || {
            if let Some(account) = account {
                let account = account.wait();
                report(&lineage, &account);
                let mut total = workshop
                    .all
                    .total
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                total.add(&account);
            }
            record::keep(&workshop, &lineage, &generation, well);
            workshop.all.open.send_modify(|open| *open -= 1);
        });
    }

    fn recorder(self: Arc<Self>) -> Arc<dyn SubactionRecorder> {
        self
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Whoever ran it has gone without a word.
        self.ended(false);
    }
}

/// Says what speculation was worth for a parent.
fn report(lineage: &Lineage, account: &Account) {
    let Account {
        stored,
        primed,
        asked,
        hit,
        hit_primed,
        joined,
        promoted,
        found,
        missed,
        wasted,
        ..
    } = account;
    tracing::info!(
        target: "headstart::account",
        "{}: {stored} known, {primed} executed ahead of need; of {asked} asked for {hit} were hits \
         ({hit_primed} of them executed ahead), {joined} joined, {promoted} promoted, {found} found, \
         {missed} missed; {wasted} wasted, {:.1} s saved",
        lineage.element.name,
        account.saved.as_secs_f64(),
    );
}
