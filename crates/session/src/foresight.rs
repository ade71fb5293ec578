//! What the primer is told of a build ahead of its events: records of earlier builds, sources that
//! are here already, trees that commands will name, and what will not come.

use std::collections::HashMap;
use std::sync::Arc;

use headstart_artifacts::{Ancestor, Artifact, Cached};
use headstart_assemble::{Trees, digest_tree};
use headstart_merkle::{BlobDigest, DirectoryDigest};
use headstart_pipeline::State;
use headstart_project::ElementId;
use headstart_speculation::{Event, Unavailable};

use crate::board::{digest_variables, subject};
use crate::element::Workshop;
use crate::error::SessionError;
use crate::history::Fact;
use crate::session::artifact_name;

/// Trees that commands will be told the digests of, each waiting for the artifacts that it is made of.
#[derive(Default)]
pub(crate) struct NamedTrees {
    waits: Vec<NamedTree>,
    /// The trees that an artifact is still missing from.
    waiting_for: HashMap<ElementId, Vec<usize>>,
}

struct NamedTree {
    element: ElementId,
    name: Arc<str>,
    of: Vec<ElementId>,
    /// How many artifacts are not known yet.
    missing: usize,
}

impl NamedTrees {
    /// Notes which trees an element that will be built wants to be told the digests of.
    pub(crate) fn wait(&mut self, id: ElementId, workshop: &Workshop) {
        if !workshop.mode.primes() {
            return;
        }
        let graph = &workshop.loaded.graph;
        for (name, of) in digest_variables(graph, id) {
            let mut missing = graph.run_scope_of(&of);
            missing.retain(|id| !workshop.board.has_artifact(*id));
            let number = self.waits.len();
            self.waits.push(NamedTree {
                element: id,
                name,
                of,
                missing: missing.len(),
            });
            if missing.is_empty() {
                self.waits[number].tell(workshop);
            }
            for artifact in missing {
                self.waiting_for.entry(artifact).or_default().push(number);
            }
        }
    }

    /// The artifact of an element is on the board now.
    pub(crate) fn artifact_known(&mut self, id: ElementId, workshop: &Workshop) {
        for number in self.waiting_for.remove(&id).unwrap_or_default() {
            let wait = &mut self.waits[number];
            wait.missing -= 1;
            if wait.missing == 0 {
                wait.tell(workshop);
            }
        }
    }
}

impl NamedTree {
    fn tell(&self, workshop: &Workshop) {
        let Workshop {
            session,
            loaded,
            board,
            ..
        } = workshop;
        let files = |id| board.files(id);
        let trees = Trees {
            graph: &loaded.graph,
            artifact: &files,
            built: &|id| session.built(board.get(id).artifact.as_ref()?),
            directories: &session.directories,
        };
        match digest_tree(&trees, &self.of) {
            Ok(tree) => workshop.speculator.tell(Event::NamedTree {
                element: subject(&loaded.graph, self.element),
                name: Arc::clone(&self.name),
                tree,
            }),
            Err(error) => tracing::warn!(name = %self.name, %error, "a tree could not be foreseen"),
        }
    }
}

impl Workshop {
    /// Looks for an element's artifact, here and on servers. If it has to be built, the primer is told
    /// of earlier builds first.
    pub(crate) fn look_up(&self, id: ElementId) -> Result<Option<Cached>, SessionError> {
        let (found, pulled) = self.session.find_or_pull(&self.loaded, id)?;
        self.board.update(id, |fact| fact.pulled = pulled);
        if !matches!(found, Some(Cached::Success(_))) {
            if self.mode(id).primes() {
                self.session.pull_records(&self.loaded, id);
            }
            self.find_earlier(id);
        }
        Ok(found)
    }

    /// Tells the primer of sources that are staged already: its work can begin with them.
    pub(crate) fn tell_known_sources(&self) {
        for (id, _) in self.loaded.graph.iter() {
            let key = self.loaded.keys.element_sources(id);
            let cache = &self.session.source_cache;
            let tree = key.and_then(|key| cache.element_sources(&key.hex()).ok()?);
            if let Some(tree) = tree {
                self.board.update(id, |fact| fact.sources = Some(tree));
                let element = subject(&self.loaded.graph, id);
                self.speculator.tell(Event::Sources { element, tree });
            }
        }
    }

    /// Once all that is needed has been looked up, tells the primer what will not come.
    pub(crate) fn tell_unavailable(&self, states: &[State]) {
        for (id, _) in self.loaded.graph.iter() {
            let element = subject(&self.loaded.graph, id);
            let state = states[id.index()];
            let will_be_fetched = !matches!(state, State::NotNeeded | State::Cached);
            if !will_be_fetched && self.board.get(id).sources.is_none() {
                self.speculator.tell(Event::Unavailable {
                    element: element.clone(),
                    what: Unavailable::Sources,
                });
            }
            if matches!(state, State::NotNeeded | State::Failed) {
                self.speculator.tell(Event::Unavailable {
                    element,
                    what: Unavailable::Artifact,
                });
            }
        }
    }

    /// Finds the records of earlier builds of an element that will be built, and tells the primer.
    pub(crate) fn find_earlier(&self, id: ElementId) {
        let element = subject(&self.loaded.graph, id);
        let mut earlier = self.records(id);
        if !self.mode(id).primes() {
            earlier.clear();
        }
        if !earlier.is_empty() {
            let graph = &self.loaded.graph;
            let odds = self.session.odds(&graph[id], &artifact_name(graph, id));
            let odds = Arc::new(odds);
            let element = element.clone();
            self.speculator.tell(Event::Learned { element, odds });
        }
        earlier.retain(|Earlier { record, files }| {
            let Some(message) = self.board.records.get(*record, &element, *files) else {
                return false;
            };
            self.speculator
                .note_record(element.clone(), Fact::Earlier, *record);
            self.speculator.tell(Event::Planned {
                element: element.clone(),
                message,
                turn: self.dependencies.turn(id),
            });
            true
        });
        if earlier.is_empty() {
            self.speculator.tell(Event::Unavailable {
                element,
                what: Unavailable::Actions,
            });
        }
        let earlier = earlier.iter().map(|earlier| earlier.record).collect();
        self.board.update(id, |fact| fact.earlier = earlier);
    }

    /// The record under the element's weak key, and unless that is of a build that came to its end,
    /// those of its lineage until one does: newest first.
    fn records(&self, id: ElementId) -> Vec<Earlier> {
        let graph = &self.loaded.graph;
        let name = artifact_name(graph, id);
        let weak = self.loaded.keys.get(id).map(|keys| keys.weak.hex());
        let artifact = weak.and_then(|key| self.session.artifacts.read(&name, &key).ok()?);
        let weak = artifact.as_ref().and_then(|artifact| {
            Some(Ancestor {
                record: artifact.speculative_actions()?,
                built: artifact.message().build_success,
            })
        });
        self.board
            .update(id, |fact| fact.recorded = weak.map(|weak| weak.record));
        let lineage = self.session.lineage(&graph[id], &name);
        let mut records: Vec<Earlier> = Vec::new();
        for Ancestor { record, built } in weak.into_iter().chain(lineage) {
            if !records.iter().any(|earlier| earlier.record == record) {
                let of_artifact = weak.is_some_and(|weak| weak.record == record);
                let artifact = artifact.as_ref().filter(|_| of_artifact);
                records.push(Earlier {
                    record,
                    files: artifact.and_then(Artifact::files),
                });
            }
            if built {
                break;
            }
        }
        records
    }
}

/// What is stored of an earlier build.
struct Earlier {
    record: BlobDigest,
    /// The files of the artifact that it was stored with, if it was.
    files: Option<DirectoryDigest>,
}
