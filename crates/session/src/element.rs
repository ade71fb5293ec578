//! One element: its build, its record, its artifact.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use headstart_artifacts::{Ancestor, Artifact, is_tree_complete};
use headstart_assemble::{
    ArtifactParts, AssembleError, Assembled, Inputs, Trees, Verdict, artifact_message, assemble,
};
use headstart_daemon::LocalExecutor;
use headstart_execution::CancellationToken;
use headstart_merkle::{BlobDigest, Digest, DirectoryDigest, Tree};
use headstart_pipeline::Graph;
use headstart_project::{CacheKey, ElementId};
use headstart_reapi::buildstream::artifact;
use headstart_reapi::reapi;
use headstart_speculation::{
    Dependency, Event, Generation, Mode, NamedTree, Note, NoteKind, SpeculativeActions, Staged,
    generate, generate_again,
};
use headstart_store::BlobStore;

use crate::board::{Board, subject};
use crate::error::SessionError;
use crate::history::Fact;
use crate::parent::ParentRunner;
use crate::record::Recorder;
use crate::session::{Loaded, Session, artifact_name};
use crate::speculator::Speculator;

/// What the builds of all elements share.
pub(crate) struct Workshop {
    pub(crate) session: Arc<Session>,
    pub(crate) loaded: Arc<Loaded>,
    pub(crate) board: Arc<Board>,
    pub(crate) executor: LocalExecutor,
    pub(crate) speculator: Speculator,
    pub(crate) mode: Mode,
    pub(crate) dependencies: Arc<Graph>,
}

/// How an element's build went.
pub(crate) struct BuiltElement {
    pub(crate) success: bool,
    pub(crate) error: Option<String>,
    pub(crate) log: PathBuf,
    pub(crate) warnings: Vec<String>,
}

impl Workshop {
    /// How much is speculated on an element.
    pub(crate) fn mode(&self, id: ElementId) -> Mode {
        self.session.speculation(&self.loaded.graph[id], self.mode)
    }

    /// Builds an element whose dependencies and sources are there, and keeps its artifact.
    pub(crate) async fn build(
        &self,
        id: ElementId,
        cancel: CancellationToken,
    ) -> Result<BuiltElement, SessionError> {
        let begun = Instant::now();
        let subject = subject(&self.loaded.graph, id);
        self.speculator.tell(Event::ElementStarted {
            element: subject.clone(),
        });
        let built = self.build_recorded(id, cancel).await;
        self.board.update(id, |fact| fact.seconds = begun.elapsed());
        self.speculator
            .tell(Event::ElementBuilt { element: subject });
        built
    }

    async fn build_recorded(
        &self,
        id: ElementId,
        cancel: CancellationToken,
    ) -> Result<BuiltElement, SessionError> {
        let element = &self.loaded.graph[id];
        let log = self.open_log(id)?;
        let recorder = Arc::new(Recorder::new(
            subject(&self.loaded.graph, id),
            self.speculator.clone(),
        ));
        let socket = element.sandbox.remote_apis_socket.as_ref();
        let runner = ParentRunner {
            executor: &self.executor,
            recorder: Arc::clone(&recorder) as _,
            allow_cache_update: socket.is_some_and(|socket| socket.action_cache_enable_update),
            place: self.session.place_of(&element.sandbox),
            cancel,
        };
        let sources = self.board.get(id).sources;
        let sources = sources.ok_or_else(|| SessionError::NoKey(element.full_name.to_string()))?;
        let files = |id| self.board.files(id);
        let built = |id| self.session.built(self.board.get(id).artifact.as_ref()?);
        let trees = Trees {
            graph: &self.loaded.graph,
            artifact: &files,
            built: &built,
            directories: &self.session.directories,
        };
        let inputs = Inputs {
            trees,
            element: id,
            sources,
            run: &runner,
            log: &log,
            keep: self.session.config.keep_sandboxes,
            begin: self.left_in_workspace(id, sources)?,
            hosts: &self.session.hosts,
        };
        let assembled = assemble(&inputs).await?;
        let record = self.record(id, &assembled, sources, recorder.take());
        self.keep(id, &assembled, sources, &log, record)?;
        let error = match &assembled.verdict {
            Verdict::Success(_) => None,
            Verdict::Failure(description) => Some(description.clone()),
        };
        Ok(BuiltElement {
            success: error.is_none(),
            error,
            log,
            warnings: assembled.warnings,
        })
    }

    /// What the last build of an element has left in its open workspace, with what has been edited
    /// since; `None` if there is nothing to go on from.
    fn left_in_workspace(
        &self,
        id: ElementId,
        sources: DirectoryDigest,
    ) -> Result<Option<DirectoryDigest>, SessionError> {
        let Loaded { graph, .. } = &*self.loaded;
        let Some(key) = graph[id]
            .workspace()
            .and_then(|it| it.last_build.as_deref())
        else {
            return Ok(None);
        };
        let Session {
            artifacts,
            directories,
            ..
        } = &*self.session;
        let Some(cached) = artifacts.find(&artifact_name(graph, id), key)? else {
            return Ok(None);
        };
        let message = cached.artifact().message();
        let tree = |digest: &Option<reapi::Digest>| Digest::required(digest.as_ref()).ok();
        let (Some(left), Some(before)) = (tree(&message.buildtree), tree(&message.sources)) else {
            return Ok(None);
        };
        let scope = graph.build_scope(id);
        let is_same = |(id, dependency): (&ElementId, &artifact::Dependency)| {
            let key = self.board.strong(*id).map(|key| key.hex());
            let element = &graph[*id];
            *dependency.project_name == *element.project
                && *dependency.element_name == *element.name
                && key.as_deref() == Some(&*dependency.cache_key)
        };
        if scope.len() != message.build_deps.len()
            || !scope.iter().zip(&message.build_deps).all(is_same)
            || !is_tree_complete(left, directories)?
            || !is_tree_complete(before, directories)?
        {
            return Ok(None);
        }
        let changed = |tree: &mut Tree| {
            tree.apply_changes(before, sources, &**directories)?;
            tree.write(&**directories)
        };
        let changed = changed(&mut Tree::stored(left)).map_err(AssembleError::from)?;
        Ok(Some(changed))
    }

    /// The strong key of an element all of whose dependencies are there.
    fn strong_key(&self, id: ElementId) -> Result<CacheKey, SessionError> {
        let Loaded { graph, keys } = &*self.loaded;
        let key = match self.session.strict {
            true => keys.get(id).map(|keys| keys.strict),
            false => keys.strong(graph, id, |id| self.board.strong(id)),
        };
        key.ok_or_else(|| SessionError::NoKey(graph[id].full_name.to_string()))
    }

    /// A new log for a build of the element, named as BuildStream names them.
    fn open_log(&self, id: ElementId) -> Result<PathBuf, SessionError> {
        let element = &self.loaded.graph[id];
        let key = self.strong_key(id)?.hex();
        let path = self
            .session
            .new_log(&self.loaded.graph, id, &key, "build")?;
        let mut text = format!(
            "Build of {} with the key {key}\n\nEnvironment:\n",
            element.full_name
        );
        for (name, value) in element.environment.iter() {
            text.push_str(&format!("    {name}: {value}\n"));
        }
        text.push('\n');
        match fs::write(&path, text) {
            Ok(()) => Ok(path),
            Err(source) => Err(SessionError::Io { path, source }),
        }
    }

    /// The record of the build: a message in the store, which is the newest of the element's lineage.
    /// That it fails is logged, and costs the record only.
    fn record(
        &self,
        id: ElementId,
        assembled: &Assembled,
        sources: DirectoryDigest,
        subactions: Vec<headstart_execution::Subaction>,
    ) -> Option<BlobDigest> {
        let recorded = self.board.get(id).recorded;
        let mode = self.mode(id);
        if !mode.generates() {
            return recorded;
        }
        let (files, built) = match &assembled.verdict {
            Verdict::Success(files) => (*files, true),
            Verdict::Failure(_) => (None, false),
        };
        let graph = &self.loaded.graph;
        let mut generation = Generation::new(subject(graph, id), mode);
        generation.subactions = subactions;
        generation.sources = Some(Staged {
            tree: sources,
            at: assembled.sources_at.clone(),
        });
        generation.artifact = files;
        generation.dependencies = assembled
            .staged
            .iter()
            .map(|staged| Dependency {
                element: subject(graph, staged.element),
                tree: staged.tree,
                at: staged.at.clone(),
                actions: self.record_of(staged.element),
            })
            .collect();
        generation.named_trees = assembled
            .named_trees
            .iter()
            .map(|(name, tree)| NamedTree {
                name: name.clone(),
                tree: *tree,
            })
            .collect();
        let again = self.earlier_record(id);
        let again = again.and_then(|earlier| generate_again(&generation, &earlier));
        let generated = match again {
            Some(generated) => Ok(generated),
            None => generate(&generation, &*self.session.directories),
        };
        let stored = generated.map_err(|error| error.to_string()).and_then(|generated| {
            for problem in &generated.problems {
                tracing::warn!(element = %graph[id].full_name, problem, "a subaction can't be adapted");
            }
            if generated.message.is_empty() {
                return Ok(None);
            }
            self.note_generated(&generated.message);
            let written = self.session.store.write(generated.message.encode());
            written.map(Some).map_err(|error| error.to_string())
        });
        match stored {
            Ok(None) => recorded,
            Ok(Some(record)) => {
                let element = subject(graph, id);
                self.speculator.note_record(element, Fact::Newest, record);
                self.remember(id, Ancestor { record, built });
                Some(record)
            }
            Err(error) => {
                tracing::warn!(element = %graph[id].full_name, error, "subactions could not be recorded");
                recorded
            }
        }
    }

    /// The newest record of earlier builds of an element.
    fn earlier_record(&self, id: ElementId) -> Option<Arc<SpeculativeActions>> {
        let fact = self.board.get(id);
        let record = fact.earlier.first().copied().or(fact.recorded)?;
        let element = subject(&self.loaded.graph, id);
        self.board.records.get(record, &element, None)
    }

    fn note_generated(&self, message: &SpeculativeActions) {
        for action in message.actions() {
            self.speculator.note(Note {
                kind: match action.usable {
                    true => NoteKind::Generated,
                    false => NoteKind::Unusable,
                },
                element: Some(message.element().clone()),
                base: Some(action.digest),
                action: None,
                took: action.duration,
            });
        }
    }

    fn remember(&self, id: ElementId, newest: Ancestor) {
        let element = &self.loaded.graph[id];
        let name = artifact_name(&self.loaded.graph, id);
        self.session.add_to_lineage(element, &name, newest);
    }

    /// The record of today's artifact of an element.
    fn record_of(&self, id: ElementId) -> Option<Arc<SpeculativeActions>> {
        let artifact = self.board.get(id).artifact?;
        let element = subject(&self.loaded.graph, id);
        let record = artifact.speculative_actions()?;
        self.board.records.get(record, &element, artifact.files())
    }

    /// Keeps the artifact, of success or failure, under the element's keys.
    fn keep(
        &self,
        id: ElementId,
        assembled: &Assembled,
        sources: DirectoryDigest,
        log: &Path,
        record: Option<BlobDigest>,
    ) -> Result<(), SessionError> {
        let graph = &self.loaded.graph;
        let keys = self.loaded.keys.get(id);
        let keys = keys.ok_or_else(|| SessionError::NoKey(graph[id].full_name.to_string()))?;
        let strong = self.strong_key(id)?;
        let io = |source| SessionError::Io {
            path: log.to_owned(),
            source,
        };
        let store = &self.session.store;
        let content = store.write(fs::read(log).map_err(io)?.into())?;
        let name = log
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let parts = ArtifactParts {
            graph,
            element: id,
            keys,
            strong,
            strong_of: &|id| self.board.strong(id),
            assembled,
            sources,
            log: (name, content),
            speculative_actions: record,
        };
        let artifact = Artifact::from(artifact_message(&parts, &**store)?);
        let (strong, weak) = (strong.hex(), keys.weak.hex());
        let name = artifact_name(graph, id);
        self.session
            .artifacts
            .write(&name, &[&strong, &weak], &artifact)?;
        if graph[id].workspace().is_some() {
            self.session.note_built(&graph[id].full_name, strong)?;
        }
        if matches!(assembled.verdict, Verdict::Success(_)) {
            if let Some(tree) = artifact.files() {
                self.speculator.tell(Event::Artifact {
                    element: subject(graph, id),
                    tree,
                });
            }
            self.board.update(id, |fact| fact.artifact = Some(artifact));
        }
        Ok(())
    }
}
