//! Drives a build: the pipeline says what to do next, tasks do it, their ends are its events.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use headstart_artifacts::{Artifact, Cached};
use headstart_assemble::{Trees, digest_tree};
use headstart_execution::CancellationToken;
use headstart_merkle::{BlobDigest, DirectoryDigest};
use headstart_pipeline::{Effect, Event, Found, Graph, Limits, OnError, Pipeline, State};
use headstart_project::ElementId;
use headstart_speculation::{Event as Prime, Explainer, Mode, Unavailable};
use tokio::sync::mpsc;

use crate::board::{Board, digest_variables, subject};
use crate::element::{BuiltElement, Workshop};
use crate::report::{BuildReport, ElementReport, ElementState, peak_memory, seconds};
use crate::session::{Loaded, Session, SessionError, artifact_name};
use crate::speculator::{Balance, Speculator, SpeculatorThread};

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
    /// What to do when an element fails.
    pub on_error: OnError,
    /// Whether to build again what failed before.
    pub retry_failed: bool,
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

/// Whoever is shown how a build goes.
pub trait Watcher: Send + Sync {
    /// Shows something.
    fn notice(&self, notice: &Notice<'_>);
}

/// The end of a task.
enum Happened {
    LookedUp(ElementId, Box<Result<Option<Cached>, SessionError>>),
    Fetched(ElementId, Result<DirectoryDigest, SessionError>),
    Built(ElementId, Result<BuiltElement, SessionError>),
    Interrupted,
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
        let thread = SpeculatorThread::start(
            request.mode,
            slots,
            executor.clone(),
            Arc::clone(&self.directories),
        );
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
        });
        let mut driver = Driver::new(workshop, request, watcher);
        driver.run(request.scope, interrupt).await;
        let states = driver.states();
        drop(driver);
        let wall = seconds(begun.elapsed());
        let audit = request.audit;
        let balance = tokio::task::spawn_blocking(move || thread.finish(audit)).await;
        let balance = balance.map_err(|error| SessionError::Io {
            path: "primer".into(),
            source: std::io::Error::other(error),
        })?;
        Ok(self.report(loaded, request.mode, &board, &states, balance, wall))
    }

    fn report(
        &self,
        loaded: &Loaded,
        mode: Mode,
        board: &Board,
        states: &[State],
        balance: Balance,
        wall: f64,
    ) -> BuildReport {
        let mut elements = Vec::new();
        for (id, element) in loaded.graph.iter() {
            let state = match states[id.index()] {
                State::NotNeeded => continue,
                State::Cached => ElementState::Cached,
                State::Built => ElementState::Built,
                State::Failed => ElementState::Failed,
                _ => ElementState::Skipped,
            };
            let fact = board.get(id);
            let subject = subject(&loaded.graph, id);
            let account = balance.accounts.get(&subject).cloned().unwrap_or_default();
            let predictions = balance
                .predictions
                .get(&subject)
                .map_or(&[][..], Vec::as_slice);
            let message = fact.earlier.and_then(|digest| board.message(digest));
            let misses = message.map_or_else(Vec::new, |message| {
                let explainer = Explainer::new(&message, predictions, &*self.directories);
                let explained = account
                    .misses
                    .iter()
                    .map(|miss| match explainer.explain(*miss) {
                        Ok(explanation) => format!("{miss}: {explanation}"),
                        Err(error) => format!("{miss}: {error}"),
                    });
                explained.collect()
            });
            elements.push(ElementReport {
                name: element.full_name.to_string(),
                key: loaded
                    .keys
                    .get(id)
                    .map(|keys| keys.strict.hex())
                    .unwrap_or_default(),
                state,
                seconds: seconds(fact.seconds),
                files: fact
                    .artifact
                    .as_ref()
                    .and_then(Artifact::files)
                    .map(|tree| tree.to_string()),
                speculation: account,
                error: fact.error,
                misses,
            });
        }
        let failed = |element: &ElementReport| {
            matches!(element.state, ElementState::Failed | ElementState::Skipped)
        };
        BuildReport {
            mode,
            success: !elements.iter().any(failed),
            seconds: wall,
            peak_memory: peak_memory(),
            elements,
            total: balance.total,
            problems: balance.problems,
        }
    }
}

struct Driver<'a> {
    workshop: Arc<Workshop>,
    pipeline: Pipeline,
    watcher: &'a dyn Watcher,
    events: mpsc::UnboundedSender<Happened>,
    inbox: mpsc::UnboundedReceiver<Happened>,
    cancels: HashMap<ElementId, CancellationToken>,
    /// Trees that commands will be told the digests of, waiting for these artifacts.
    named: Vec<NamedTreeWait>,
    settled: bool,
}

struct NamedTreeWait {
    element: ElementId,
    name: Arc<str>,
    of: Vec<ElementId>,
    /// Artifacts that are not known yet; looked at again when the first of them is.
    missing: Vec<ElementId>,
}

impl<'a> Driver<'a> {
    fn new(workshop: Arc<Workshop>, request: &BuildRequest, watcher: &'a dyn Watcher) -> Self {
        let elements = workshop.loaded.graph.iter().map(|(_, element)| {
            (
                element.build_dependencies.clone(),
                element.runtime_dependencies.clone(),
            )
        });
        let limits = Limits {
            fetchers: request.fetchers,
            builders: request.builders,
        };
        let pipeline = Pipeline::new(
            Graph::new(elements),
            limits,
            request.on_error,
            request.retry_failed,
        );
        let (events, inbox) = mpsc::unbounded_channel();
        Self {
            workshop,
            pipeline,
            watcher,
            events,
            inbox,
            cancels: HashMap::new(),
            named: Vec::new(),
            settled: false,
        }
    }

    fn speculator(&self) -> &Speculator {
        &self.workshop.speculator
    }

    fn name(&self, id: ElementId) -> Arc<str> {
        Arc::clone(&self.workshop.loaded.graph[id].full_name)
    }

    fn states(&self) -> Vec<State> {
        self.workshop
            .loaded
            .graph
            .iter()
            .map(|(id, _)| self.pipeline.state(id))
            .collect()
    }

    async fn run(&mut self, scope: BuildScope, interrupt: CancellationToken) {
        self.tell_known_sources();
        for (element, closure) in self.wanted(scope) {
            let effects = self.pipeline.handle(Event::Target { element, closure });
            self.perform(effects);
        }
        let events = self.events.clone();
        let watch = tokio::spawn(async move {
            interrupt.cancelled().await;
            // The build may have ended meanwhile.
            let _ = events.send(Happened::Interrupted);
        });
        while !self.pipeline.is_idle() {
            let Some(happened) = self.inbox.recv().await else {
                break;
            };
            let event = self.note(happened);
            let effects = self.pipeline.handle(event);
            self.perform(effects);
            self.settle_lookups();
            self.watcher
                .notice(&Notice::Progress(self.pipeline.progress()));
        }
        watch.abort();
    }

    /// The elements wanted, each with whether its run closure is wanted too.
    fn wanted(&self, scope: BuildScope) -> Vec<(ElementId, bool)> {
        let graph = &self.workshop.loaded.graph;
        let targets = graph.targets().iter();
        match scope {
            BuildScope::None => targets.map(|id| (*id, false)).collect(),
            BuildScope::Run => targets.map(|id| (*id, true)).collect(),
            BuildScope::Build => {
                let scopes = targets.flat_map(|id| graph.build_scope(*id).into_iter().chain([*id]));
                scopes.map(|id| (id, false)).collect()
            }
            BuildScope::All => graph
                .all_scope(graph.targets())
                .into_iter()
                .map(|id| (id, true))
                .collect(),
        }
    }

    /// Tells the primer of sources that are staged already: its work can begin with them.
    fn tell_known_sources(&self) {
        let Workshop {
            session,
            loaded,
            board,
            mode,
            ..
        } = &*self.workshop;
        if !mode.primes() {
            return;
        }
        for (id, _) in loaded.graph.iter() {
            let key = loaded.keys.element_sources(id);
            let tree = key.and_then(|key| session.source_cache.element_sources(&key.hex()).ok()?);
            if let Some(tree) = tree {
                board.update(id, |fact| fact.sources = Some(tree));
                let element = subject(&loaded.graph, id);
                self.speculator().tell(Prime::Sources { element, tree });
            }
        }
    }

    /// Once everything that is needed has been looked up, tells the primer what will not come.
    fn settle_lookups(&mut self) {
        let states = self.states();
        if self.settled || states.contains(&State::LookingUp) {
            return;
        }
        self.settled = true;
        let Workshop { loaded, board, .. } = &*self.workshop;
        for (id, _) in loaded.graph.iter() {
            let element = subject(&loaded.graph, id);
            let will_be_fetched = !matches!(states[id.index()], State::NotNeeded | State::Cached);
            if !will_be_fetched && board.get(id).sources.is_none() {
                let what = Unavailable::Sources;
                self.speculator().tell(Prime::Unavailable {
                    element: element.clone(),
                    what,
                });
            }
            if matches!(states[id.index()], State::NotNeeded | State::Failed) {
                self.speculator().tell(Prime::Unavailable {
                    element,
                    what: Unavailable::Artifact,
                });
            }
        }
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::LookUp(id) => self.start_look_up(id),
                Effect::Fetch(id) => self.start_fetch(id),
                Effect::Build(id) => self.start_build(id),
                Effect::Cancel(id) => {
                    if let Some(cancel) = self.cancels.get(&id) {
                        cancel.cancel();
                    }
                }
            }
        }
    }

    fn start_look_up(&self, id: ElementId) {
        let (workshop, events) = (Arc::clone(&self.workshop), self.events.clone());
        tokio::task::spawn_blocking(move || {
            let found = workshop.session.artifact(&workshop.loaded, id);
            if matches!(found, Ok(None | Some(Cached::Failure(_)))) {
                workshop.find_earlier(id);
            }
            let _ = events.send(Happened::LookedUp(id, Box::new(found)));
        });
    }

    fn start_fetch(&self, id: ElementId) {
        self.watcher.notice(&Notice::Fetching(&self.name(id)));
        let (workshop, events) = (Arc::clone(&self.workshop), self.events.clone());
        tokio::task::spawn_blocking(move || {
            let Workshop {
                session, loaded, ..
            } = &*workshop;
            let staged = session.sources.stage(&loaded.graph[id], id, &loaded.keys);
            let _ = events.send(Happened::Fetched(id, staged.map_err(Into::into)));
        });
    }

    fn start_build(&mut self, id: ElementId) {
        self.watcher.notice(&Notice::Building(&self.name(id)));
        let cancel = CancellationToken::new();
        self.cancels.insert(id, cancel.clone());
        let (workshop, events) = (Arc::clone(&self.workshop), self.events.clone());
        tokio::spawn(async move {
            let built = workshop.build(id, cancel).await;
            let _ = events.send(Happened::Built(id, built));
        });
    }

    /// Notes what happened, and gives the pipeline's event for it.
    fn note(&mut self, happened: Happened) -> Event {
        match happened {
            Happened::Interrupted => Event::Interrupted,
            Happened::LookedUp(element, found) => Event::LookedUp {
                element,
                found: self.note_looked_up(element, *found),
            },
            Happened::Fetched(element, fetched) => {
                let ok = self.note_fetched(element, fetched);
                Event::Fetched { element, ok }
            }
            Happened::Built(element, built) => {
                self.cancels.remove(&element);
                let ok = self.note_built(element, built);
                Event::Built { element, ok }
            }
        }
    }

    fn note_looked_up(
        &mut self,
        id: ElementId,
        found: Result<Option<Cached>, SessionError>,
    ) -> Found {
        match found {
            Ok(Some(Cached::Success(artifact))) => {
                if let Some(tree) = artifact.files() {
                    let element = subject(&self.workshop.loaded.graph, id);
                    self.speculator().tell(Prime::Artifact { element, tree });
                }
                self.workshop
                    .board
                    .update(id, |fact| fact.artifact = Some(artifact));
                self.artifact_known(id);
                Found::Cached
            }
            Ok(found) => {
                self.wait_for_named_trees(id);
                match found {
                    Some(Cached::Failure(artifact)) => {
                        let error = &artifact.message().build_error;
                        let error =
                            format!("{error}, in an earlier build; --retry-failed tries again");
                        self.failed(id, error, None);
                        Found::CachedFailure
                    }
                    _ => Found::Nothing,
                }
            }
            Err(error) => {
                // What can't be looked up is built again, which may fail with the same words.
                tracing::warn!(element = %self.name(id), %error, "the artifact could not be looked up");
                Found::Nothing
            }
        }
    }

    fn note_fetched(
        &mut self,
        id: ElementId,
        fetched: Result<DirectoryDigest, SessionError>,
    ) -> bool {
        let element = subject(&self.workshop.loaded.graph, id);
        match fetched {
            Ok(tree) => {
                self.workshop
                    .board
                    .update(id, |fact| fact.sources = Some(tree));
                self.speculator().tell(Prime::Sources { element, tree });
                true
            }
            Err(error) => {
                let what = Unavailable::Everything;
                self.speculator().tell(Prime::Unavailable { element, what });
                self.failed(id, error.to_string(), None);
                false
            }
        }
    }

    fn note_built(&mut self, id: ElementId, built: Result<BuiltElement, SessionError>) -> bool {
        let (error, log) = match built {
            Ok(BuiltElement {
                success: true,
                warnings,
                ..
            }) => {
                let element = self.name(id);
                let seconds = seconds(self.workshop.board.get(id).seconds);
                self.watcher.notice(&Notice::Built {
                    element: &element,
                    seconds,
                    warnings: &warnings,
                });
                self.artifact_known(id);
                return true;
            }
            Ok(built) => (built.error.unwrap_or_default(), Some(built.log)),
            Err(error) => (error.to_string(), None),
        };
        let element = subject(&self.workshop.loaded.graph, id);
        self.speculator().tell(Prime::Unavailable {
            element,
            what: Unavailable::Artifact,
        });
        self.failed(id, error, log.as_ref());
        false
    }

    fn failed(&self, id: ElementId, error: String, log: Option<&PathBuf>) {
        self.watcher.notice(&Notice::Failed {
            element: &self.name(id),
            error: &error,
            log,
        });
        self.workshop
            .board
            .update(id, |fact| fact.error = Some(error));
    }

    /// Notes which trees an element that will be built wants to be told the digests of.
    fn wait_for_named_trees(&mut self, id: ElementId) {
        let Workshop { loaded, mode, .. } = &*self.workshop;
        if !mode.primes() {
            return;
        }
        for (name, of) in digest_variables(&loaded.graph, id) {
            let missing = loaded.graph.run_scope_of(&of);
            self.named.push(NamedTreeWait {
                element: id,
                name,
                of,
                missing,
            });
        }
        self.tell_named_trees();
    }

    fn artifact_known(&mut self, id: ElementId) {
        for wait in &mut self.named {
            wait.missing.retain(|missing| *missing != id);
        }
        self.tell_named_trees();
    }

    /// Tells the primer of the trees all of whose artifacts are known.
    fn tell_named_trees(&mut self) {
        let board: Arc<Board> = Arc::clone(&self.workshop.board);
        let known = |wait: &mut NamedTreeWait| {
            wait.missing.retain(|id| !board.has_artifact(*id));
            wait.missing.is_empty()
        };
        let complete: Vec<_> = self.named.extract_if(.., |wait| known(wait)).collect();
        let Workshop {
            session, loaded, ..
        } = &*self.workshop;
        let files = |id| board.files(id);
        let trees = Trees {
            graph: &loaded.graph,
            artifact: &files,
            directories: &session.directories,
        };
        for NamedTreeWait {
            element, name, of, ..
        } in complete
        {
            match digest_tree(&trees, &of) {
                Ok(tree) => {
                    let element = subject(&loaded.graph, element);
                    self.speculator().tell(Prime::NamedTree {
                        element,
                        name,
                        tree,
                    });
                }
                Err(error) => {
                    tracing::warn!(%name, %error, "a tree could not be foreseen");
                }
            }
        }
    }
}

impl Workshop {
    /// Finds the record of an earlier build of an element that will be built, under its weak key,
    /// and tells the primer of it.
    fn find_earlier(&self, id: ElementId) {
        let graph = &self.loaded.graph;
        let element = subject(graph, id);
        let weak = self.loaded.keys.get(id).map(|keys| keys.weak.hex());
        let artifact = weak.and_then(|key| {
            let read = self.session.artifacts.read(&artifact_name(graph, id), &key);
            read.ok().flatten()
        });
        let digest: Option<BlobDigest> = artifact.and_then(|found| found.speculative_actions());
        self.board.update(id, |fact| fact.earlier = digest);
        let event = match digest.and_then(|digest| self.board.message(digest)) {
            Some(message) => Prime::Planned {
                element,
                message,
                weight: 1,
            },
            None => Prime::Unavailable {
                element,
                what: Unavailable::Actions,
            },
        };
        self.speculator.tell(event);
    }
}
