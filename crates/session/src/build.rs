//! A build: what is asked for, what watchers are shown, and how it is set up.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use headstart_execution::CancellationToken;
use headstart_pipeline::{Decision, Graph, OnError};
use headstart_project::ElementId;
use headstart_speculation::Mode;
use headstart_store_disk::Guesses;

use crate::board::Board;
use crate::driver::Driver;
use crate::element::Workshop;
use crate::error::SessionError;
use crate::history::Histories;
use crate::journal::Journal;
use crate::report::{BuildReport, seconds};
use crate::session::{Loaded, Session};
use crate::speculator::{Equipment, SpeculatorThread};

/// What a build is asked for.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// Which dependencies of the targets are wanted for their own sake.
    pub scope: BuildScope,
    /// How much is speculated.
    pub mode: Mode,
    /// Elements fetched at a time.
    pub fetchers: usize,
    /// Elements built at a time.
    pub builders: usize,
    /// Elements pushed at a time.
    pub pushers: usize,
    /// What to do when an element fails.
    pub on_error: OnError,
    /// Whether to build again what failed before.
    pub retry_failed: bool,
    /// Who decides what to do when an element fails, if it is [`OnError::Ask`].
    pub ask: Option<Arc<dyn Ask>>,
    /// Whether to check at the end that nothing was executed with a stale input.
    pub audit: bool,
}

/// Which dependencies of its targets a build wants for their own sake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildScope {
    /// None.
    None,
    /// What the targets are built with.
    Build,
    /// What the targets need to run.
    Run,
    /// Both.
    All,
}

/// Something a watcher may want to show.
#[derive(Debug)]
pub enum Notice<'a> {
    /// An element's sources are being fetched.
    Fetching(&'a str),
    /// An element's sources are there.
    Fetched(&'a str),
    /// A source has a new `ref`.
    Tracked {
        /// Of which element.
        element: &'a str,
        /// The source's kind.
        source: &'a str,
        /// The `ref`.
        reference: &'a str,
    },
    /// An element's artifact has come from a server.
    Pulled(&'a str),
    /// What an element gave, its artifact or its sources, is on all servers that take it.
    Pushed(&'a str),
    /// A server did not take what an element gave.
    NotPushed {
        /// Which.
        element: &'a str,
        /// Why.
        error: &'a str,
    },
    /// An element is being built.
    Building(&'a str),
    /// An element was built.
    Built {
        /// Which.
        element: &'a str,
        /// How long it took, in seconds.
        seconds: f64,
        /// What was noticed, each as one line.
        warnings: &'a [String],
    },
    /// An element failed.
    Failed {
        /// Which.
        element: &'a str,
        /// Why.
        error: &'a str,
        /// Its log, if it came that far.
        log: Option<&'a PathBuf>,
    },
    /// How far the build is: elements cached, built, failed and left.
    Progress(headstart_pipeline::Progress),
}

/// An element that failed.
#[derive(Debug, Clone)]
pub struct FailedElement {
    /// Which.
    pub id: ElementId,
    /// Its full name.
    pub name: String,
    /// Why.
    pub error: String,
    /// Its log, if it came that far.
    pub log: Option<PathBuf>,
}

/// Whoever decides what to do when elements fail.
pub trait Ask: Send + Sync + fmt::Debug {
    /// Decides about a failure. It is called in a thread of its own, for several failures at a time;
    /// nobody waits for it once the build has ended.
    fn decide(&self, failed: &FailedElement) -> Decision;
}

/// Whoever is shown how a build goes.
pub trait Watcher: Send + Sync {
    /// Shows something.
    fn notice(&self, notice: &Notice<'_>);
}

impl Session {
    /// Builds the targets of `loaded`. Ends early when `interrupt` is cancelled.
    pub async fn build(
        self: &Arc<Self>,
        loaded: &Arc<Loaded>,
        request: &BuildRequest,
        watcher: &dyn Watcher,
        interrupt: CancellationToken,
    ) -> Result<BuildReport, SessionError> {
        let begun = Instant::now();
        let (executor, slots) = self.executor()?;
        let thread = SpeculatorThread::start(Equipment {
            mode: request.mode,
            slots,
            executor: executor.clone(),
            directories: Arc::clone(&self.directories),
            journal: self.journal(loaded, request.mode),
            guesses: Guesses::open(&self.layout),
            config: self.config.speculation.clone(),
        });
        let thread = thread.map_err(|source| SessionError::Io {
            path: "primer".into(),
            source,
        })?;
        let board = Arc::new(Board::new(
            loaded.graph.len(),
            Arc::clone(&self.directories),
        ));
        let workshop = Arc::new(Workshop {
            session: Arc::clone(self),
            loaded: Arc::clone(loaded),
            board: Arc::clone(&board),
            executor,
            speculator: thread.speculator(),
            mode: request.mode,
            dependencies: Arc::new(dependencies(loaded)),
        });
        let mut driver = Driver::new(workshop, request, watcher);
        driver.run(request.scope, interrupt).await;
        let states = driver.states();
        drop(driver);
        let wall = seconds(begun.elapsed());
        let audit = request.audit;
        let session = Arc::clone(self);
        let balance = tokio::task::spawn_blocking(move || {
            let balance = thread.finish(audit);
            session.keep_within_limits();
            balance
        });
        let balance = balance.await;
        let balance = balance.map_err(|error| SessionError::Io {
            path: "primer".into(),
            source: std::io::Error::other(error),
        })?;
        Ok(self.report(loaded, request.mode, &board, &states, balance, wall))
    }
}

impl Session {
    /// The history of a build that speculates, begun.
    fn journal(&self, loaded: &Loaded, mode: Mode) -> Option<Journal> {
        if !mode.primes() {
            return None;
        }
        let targets = loaded.graph.targets().iter();
        let targets = targets.map(|id| loaded.graph[*id].full_name.to_string());
        let histories = Histories::new(&self.layout.own());
        let begun = Journal::begin(&histories, self.project().name(), mode, targets.collect());
        begun
            .inspect_err(|error| tracing::warn!(%error, "no history of this session is written"))
            .ok()
    }
}

fn dependencies(loaded: &Loaded) -> Graph {
    Graph::new(loaded.graph.iter().map(|(_, element)| {
        (
            element.build_dependencies.clone(),
            element.runtime_dependencies.clone(),
        )
    }))
}
