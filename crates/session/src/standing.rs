//! Where elements stand: which artifacts are here, under which strong keys, and what could be built
//! next. As BuildStream's `Element` works it out when nothing is built.

use std::collections::HashMap;

use headstart_artifacts::{Artifact, Cached};
use headstart_project::{CacheKey, ElementId};
use rayon::prelude::*;

use crate::error::SessionError;
use crate::session::{Loaded, Session, artifact_name};

/// Elements whose artifacts are looked for that are worth a thread.
const LEAST_SHARE: usize = 256;

/// Where the elements of a selection stand, and all that they depend on.
#[derive(Debug)]
pub struct Standings {
    elements: Vec<Standing>,
}

#[derive(Debug, Default, Clone)]
struct Standing {
    artifact: Option<Cached>,
    /// Whether it must be there for the selection to be.
    required: bool,
    /// Whether its runtime dependencies are required with it.
    with_closure: bool,
    /// Whether it would be built.
    scheduled: bool,
    strong: Option<CacheKey>,
    /// Whether it and all that it needs to run are there.
    ready: bool,
    /// Whether all that it is built with is ready.
    buildable: bool,
}

impl Standing {
    fn succeeded(&self) -> bool {
        matches!(self.artifact, Some(Cached::Success(_)))
    }
}

impl Standings {
    /// An element's artifact, of success or failure.
    pub fn artifact(&self, id: ElementId) -> Option<&Cached> {
        self.elements[id.index()].artifact.as_ref()
    }

    /// Its strong key. In a build that is not strict it is that of its artifact, or of the one that
    /// would be built; none if neither is known.
    pub fn strong(&self, id: ElementId) -> Option<CacheKey> {
        self.elements[id.index()].strong
    }

    /// Whether it would be built, and all that it takes is there but perhaps its sources.
    pub fn is_buildable(&self, id: ElementId) -> bool {
        self.elements[id.index()].buildable
    }
}

impl Session {
    /// Where the elements of `selected` stand. With `closures` what they need to run is asked for
    /// as well.
    pub fn standings(
        &self,
        loaded: &Loaded,
        selected: &[ElementId],
        closures: bool,
    ) -> Result<Standings, SessionError> {
        let graph = &loaded.graph;
        let mut elements = vec![Standing::default(); graph.len()];
        for (id, artifact) in self.artifacts(loaded, &graph.all_scope(selected))? {
            elements[id.index()].artifact = artifact;
        }
        for id in selected {
            elements[id.index()].required = true;
            elements[id.index()].with_closure = closures;
        }
        // What an element asks for has a smaller number than it.
        for index in (0..elements.len()).rev() {
            let id = ElementId::from_index(index);
            let standing = &mut elements[index];
            let has_keys = loaded.keys.get(id).is_some();
            standing.scheduled = standing.required && has_keys && !standing.succeeded();
            let (closure, scheduled) = (standing.with_closure, standing.scheduled);
            let build = graph[id].build_dependencies.iter().filter(|_| scheduled);
            let runtime = graph[id].runtime_dependencies.iter().filter(|_| closure);
            for dependency in build.chain(runtime) {
                let dependency = &mut elements[dependency.index()];
                // Who was selected without its closure stays so.
                dependency.with_closure |= !dependency.required;
                dependency.required = true;
            }
        }
        for index in 0..elements.len() {
            let id = ElementId::from_index(index);
            let are_ready = |ids: &[ElementId]| ids.iter().all(|id| elements[id.index()].ready);
            let runs = are_ready(&graph[id].runtime_dependencies);
            let builds = are_ready(&graph[id].build_dependencies);
            let strong = self.strong_key(loaded, id, &elements);
            let standing = &mut elements[index];
            standing.strong = strong;
            standing.ready = runs && strong.is_some() && standing.succeeded();
            standing.buildable = builds && standing.scheduled;
        }
        Ok(Standings { elements })
    }

    /// The artifacts of elements. Looking for one is waiting for the disk, so several are looked for at
    /// a time, and only those of elements that have any.
    fn artifacts(
        &self,
        loaded: &Loaded,
        ids: &[ElementId],
    ) -> Result<Vec<(ElementId, Option<Cached>)>, SessionError> {
        let mut elements = HashMap::new();
        for project in loaded.graph.projects() {
            elements.insert(&**project.name(), self.artifacts.elements(project.name())?);
        }
        let may_have_any = |id: ElementId| {
            let elements = elements.get(&*loaded.graph[id].project);
            let name = || artifact_name(&loaded.graph, id).element;
            elements.is_some_and(|elements| !elements.is_empty() && elements.contains(&name()))
        };
        let ids = ids.par_iter().with_min_len(LEAST_SHARE);
        let found = ids.map(|&id| match may_have_any(id) {
            true => Ok((id, self.artifact(loaded, id)?)),
            false => Ok((id, None)),
        });
        found.collect()
    }

    fn strong_key(
        &self,
        loaded: &Loaded,
        id: ElementId,
        elements: &[Standing],
    ) -> Option<CacheKey> {
        let standing = &elements[id.index()];
        match &standing.artifact {
            _ if self.strict => Some(loaded.keys.get(id)?.strict),
            Some(cached) => strong_key(cached.artifact()),
            None if standing.scheduled => {
                let strong = |id: ElementId| elements[id.index()].strong;
                loaded.keys.strong(&loaded.graph, id, strong)
            }
            None => None,
        }
    }
}

/// The strong key that an artifact was made under.
pub(crate) fn strong_key(artifact: &Artifact) -> Option<CacheKey> {
    CacheKey::from_hex(&artifact.message().strong_key)
}
