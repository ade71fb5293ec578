//! Drives a build: the pipeline says what to do next, tasks do it, their ends are its events.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use headstart_artifacts::Cached;
use headstart_execution::CancellationToken;
use headstart_merkle::DirectoryDigest;
use headstart_pipeline::{Decision, Effect, Event, Found, Limits, Pipeline, State};
use headstart_project::ElementId;
use headstart_remote::RemoteError;
use headstart_speculation::{Event as Prime, Unavailable};
use tokio::sync::{Semaphore, mpsc};

use crate::board::subject;
use crate::build::{Ask, BuildRequest, BuildScope, FailedElement, Notice, Watcher};
use crate::element::{BuiltElement, Workshop};
use crate::error::SessionError;
use crate::foresight::NamedTrees;
use crate::push::Pushed;
use crate::remotes::Purpose;
use crate::report::seconds;
use crate::speculator::Speculator;

/// The end of a task.
enum Happened {
    LookedUp(ElementId, Box<Result<Option<Cached>, SessionError>>),
    Fetched(ElementId, Result<DirectoryDigest, SessionError>),
    Built(ElementId, Result<BuiltElement, SessionError>),
    Decided(ElementId, Decision),
    Pushed(ElementId, Result<Pushed, SessionError>),
    KnownSourcesTold,
    Interrupted,
}

/// A build on its way.
pub(crate) struct Driver<'a> {
    workshop: Arc<Workshop>,
    pipeline: Pipeline,
    watcher: &'a dyn Watcher,
    events: mpsc::UnboundedSender<Happened>,
    inbox: mpsc::UnboundedReceiver<Happened>,
    cancels: HashMap<ElementId, CancellationToken>,
    named_trees: NamedTrees,
    ask: Option<Arc<dyn Ask>>,
    /// Failures that nothing has been decided about, with what will not come if that stays so.
    failures: HashMap<ElementId, (FailedElement, Option<Unavailable>)>,
    /// How many pushes are under way or wait for their turn.
    pushing: usize,
    pushers: Arc<Semaphore>,
    /// What the primer is told before it is told what will not come.
    untold: Untold,
}

/// What is still to be known before it can be said what will not come.
#[derive(PartialEq)]
enum Untold {
    KnownSources,
    LookUps,
    Nothing,
}

impl<'a> Driver<'a> {
    pub(crate) fn new(
        workshop: Arc<Workshop>,
        request: &BuildRequest,
        watcher: &'a dyn Watcher,
    ) -> Self {
        let limits = Limits {
            fetchers: request.fetchers,
            builders: request.builders,
        };
        let pipeline = Pipeline::new(
            Arc::clone(&workshop.dependencies),
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
            named_trees: NamedTrees::default(),
            ask: request.ask.clone(),
            failures: HashMap::new(),
            pushing: 0,
            pushers: Arc::new(Semaphore::new(request.pushers.max(1))),
            untold: Untold::KnownSources,
        }
    }

    fn speculator(&self) -> &Speculator {
        &self.workshop.speculator
    }

    fn name(&self, id: ElementId) -> Arc<str> {
        Arc::clone(&self.workshop.loaded.graph[id].full_name)
    }

    pub(crate) fn states(&self) -> Vec<State> {
        self.workshop
            .loaded
            .graph
            .iter()
            .map(|(id, _)| self.pipeline.state(id))
            .collect()
    }

    pub(crate) async fn run(&mut self, scope: BuildScope, interrupt: CancellationToken) {
        self.start_telling_known_sources();
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
        while !self.pipeline.is_idle() || self.pushing > 0 {
            let Some(happened) = self.inbox.recv().await else {
                break;
            };
            if let Some(event) = self.note(happened) {
                let effects = self.pipeline.handle(event);
                self.perform(effects);
            }
            if self.untold == Untold::LookUps && !self.pipeline.is_looking_up() {
                self.untold = Untold::Nothing;
                self.workshop.tell_unavailable(&self.states());
            }
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

    fn start_telling_known_sources(&mut self) {
        if !self.workshop.mode.primes() {
            self.untold = Untold::LookUps;
            return;
        }
        let (workshop, events) = (Arc::clone(&self.workshop), self.events.clone());
        tokio::task::spawn_blocking(move || {
            workshop.tell_known_sources();
            let _ = events.send(Happened::KnownSourcesTold);
        });
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::LookUp(id) => self.start_look_up(id),
                Effect::Fetch(id) => self.start_fetch(id),
                Effect::Build(id) => self.start_build(id),
                Effect::Ask(id) => self.start_asking(id),
                Effect::Cancel(id) => {
                    if let Some(cancel) = self.cancels.get(&id) {
                        cancel.cancel();
                    }
                }
            }
        }
    }

    fn start_asking(&self, id: ElementId) {
        let events = self.events.clone();
        let asked = self.ask.clone().zip(self.failures.get(&id));
        let Some((ask, (failed, _))) = asked else {
            let _ = events.send(Happened::Decided(id, Decision::Quit));
            return;
        };
        let failed = failed.clone();
        // No task of the runtime: its end must not wait for somebody's answer.
        std::thread::spawn(move || {
            let decision = ask.decide(&failed);
            let _ = events.send(Happened::Decided(id, decision));
        });
    }

    fn start_look_up(&self, id: ElementId) {
        let (workshop, events) = (Arc::clone(&self.workshop), self.events.clone());
        tokio::task::spawn_blocking(move || {
            let found = workshop.look_up(id);
            let _ = events.send(Happened::LookedUp(id, Box::new(found)));
        });
    }

    fn start_fetch(&self, id: ElementId) {
        self.watcher.notice(&Notice::Fetching(&self.name(id)));
        let (workshop, events) = (Arc::clone(&self.workshop), self.events.clone());
        tokio::task::spawn_blocking(move || {
            let staged = workshop.session.obtain_sources(&workshop.loaded, id);
            let _ = events.send(Happened::Fetched(id, staged));
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

    /// Gives what an element gave to the servers that take it, beside the build.
    fn start_push(&mut self, id: ElementId, purpose: Purpose) {
        let project = self.workshop.loaded.graph[id].project_id;
        let group = self.workshop.session.servers(purpose, project);
        if !group.is_ok_and(|group| group.can_push()) {
            return;
        }
        self.pushing += 1;
        let (workshop, events) = (Arc::clone(&self.workshop), self.events.clone());
        let pushers = Arc::clone(&self.pushers);
        tokio::spawn(async move {
            let _turn = pushers.acquire().await;
            let pushed = tokio::task::spawn_blocking(move || {
                let Workshop {
                    session, loaded, ..
                } = &*workshop;
                match purpose {
                    Purpose::Artifacts => session.push_artifact(loaded, id),
                    Purpose::Sources => session.push_sources(loaded, id),
                }
            });
            let lost =
                |error: tokio::task::JoinError| Err(RemoteError::Broken(error.to_string()).into());
            let _ = events.send(Happened::Pushed(id, pushed.await.unwrap_or_else(lost)));
        });
    }

    fn note_pushed(&mut self, id: ElementId, pushed: Result<Pushed, SessionError>) {
        self.pushing -= 1;
        let element = self.name(id);
        match pushed {
            Ok(Pushed::Now) => {
                self.workshop.board.update(id, |fact| fact.pushed = true);
                self.watcher.notice(&Notice::Pushed(&element));
            }
            Ok(_) => {}
            Err(SessionError::Remote(error)) if error.is_unreachable() => {
                self.workshop.session.remotes.complain(&error);
            }
            Err(error) => {
                let error = error.to_string();
                let notice = Notice::NotPushed {
                    element: &element,
                    error: &error,
                };
                self.watcher.notice(&notice);
                self.workshop
                    .board
                    .update(id, |fact| fact.push_error = Some(error));
            }
        }
    }

    /// Notes what happened, and gives the pipeline's event for it.
    fn note(&mut self, happened: Happened) -> Option<Event> {
        Some(match happened {
            Happened::KnownSourcesTold => {
                self.untold = Untold::LookUps;
                return None;
            }
            Happened::Pushed(element, pushed) => {
                self.note_pushed(element, pushed);
                return None;
            }
            Happened::Interrupted => Event::Interrupted,
            Happened::Decided(element, decision) => {
                self.note_decided(element, decision);
                Event::Decided { element, decision }
            }
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
        })
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
                self.named_trees.artifact_known(id, &self.workshop);
                match self.workshop.board.get(id).pulled {
                    true => self.watcher.notice(&Notice::Pulled(&self.name(id))),
                    false => self.start_push(id, Purpose::Artifacts),
                }
                Found::Cached
            }
            Ok(found) => {
                self.named_trees.wait(id, &self.workshop);
                match found {
                    Some(Cached::Failure(artifact)) => {
                        let error = &artifact.message().build_error;
                        let error =
                            format!("{error}, in an earlier build; --retry-failed tries again");
                        self.failed(id, error, None, None);
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
                self.start_push(id, Purpose::Sources);
                true
            }
            Err(error) => {
                let what = Unavailable::Everything;
                self.failed(id, error.to_string(), None, Some(what));
                false
            }
        }
    }

    fn note_built(&mut self, id: ElementId, built: Result<BuiltElement, SessionError>) -> bool {
        // One of a failed build is worth looking at elsewhere, too.
        if built.is_ok() {
            self.start_push(id, Purpose::Artifacts);
        }
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
                self.named_trees.artifact_known(id, &self.workshop);
                return true;
            }
            Ok(built) => (built.error.unwrap_or_default(), Some(built.log)),
            Err(error) => (error.to_string(), None),
        };
        self.failed(id, error, log, Some(Unavailable::Artifact));
        false
    }

    /// Tells of a failure, after which `what` will not come.
    fn failed(
        &mut self,
        id: ElementId,
        error: String,
        log: Option<PathBuf>,
        what: Option<Unavailable>,
    ) {
        self.watcher.notice(&Notice::Failed {
            element: &self.name(id),
            error: &error,
            log: log.as_ref(),
        });
        if self.ask.is_some() {
            let failed = FailedElement {
                id,
                name: self.name(id).to_string(),
                error: error.clone(),
                log,
            };
            self.failures.insert(id, (failed, what));
        } else {
            self.tell_missing(id, what);
        }
        self.workshop
            .board
            .update(id, |fact| fact.error = Some(error));
    }
    fn note_decided(&mut self, id: ElementId, decision: Decision) {
        let what = self.failures.remove(&id).and_then(|(_, what)| what);
        match decision {
            Decision::Retry => self.workshop.board.update(id, |fact| fact.error = None),
            _ => self.tell_missing(id, what),
        }
    }

    fn tell_missing(&self, id: ElementId, what: Option<Unavailable>) {
        if let Some(what) = what {
            let element = subject(&self.workshop.loaded.graph, id);
            self.speculator().tell(Prime::Unavailable { element, what });
        }
    }
}
