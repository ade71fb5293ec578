//! What is known of the elements of a build, for all who work on it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headstart_artifacts::Artifact;
use headstart_merkle::{BlobDigest, DirectoryDigest};
use headstart_project::{CacheKey, Config, ElementGraph, ElementId, HostedDependency};
use headstart_speculation::ElementId as Subject;
use headstart_store::{BlobStore, Directories};

use crate::records::Records;
use crate::standing::strong_key;

/// The elements of a build and what is known of each.
pub(crate) struct Board {
    facts: Mutex<Vec<Fact>>,
    pub(crate) records: Records,
}

#[derive(Default, Clone)]
pub(crate) struct Fact {
    /// Today's sources.
    pub(crate) sources: Option<DirectoryDigest>,
    /// Today's artifact.
    pub(crate) artifact: Option<Artifact>,
    /// The records of earlier builds, newest first: of an older one only what the newer ones do not
    /// tell of is used.
    pub(crate) earlier: Vec<BlobDigest>,
    /// The one of them that is stored under today's weak key.
    pub(crate) recorded: Option<BlobDigest>,
    /// Whether the artifact has come from a server.
    pub(crate) pulled: bool,
    /// Whether a server has been given something that it did not have.
    pub(crate) pushed: bool,
    /// Why a server did not take something.
    pub(crate) push_error: Option<String>,
    pub(crate) seconds: Duration,
    pub(crate) error: Option<String>,
}

impl Board {
    pub(crate) fn new(elements: usize, directories: Arc<Directories<dyn BlobStore>>) -> Self {
        Self {
            facts: Mutex::new(vec![Fact::default(); elements]),
            records: Records::new(directories),
        }
    }

    fn facts(&self) -> MutexGuard<'_, Vec<Fact>> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, id: ElementId) -> Fact {
        self.facts()[id.index()].clone()
    }

    pub(crate) fn update(&self, id: ElementId, change: impl FnOnce(&mut Fact)) {
        change(&mut self.facts()[id.index()]);
    }

    /// The files of an element's artifact.
    pub(crate) fn files(&self, id: ElementId) -> Option<DirectoryDigest> {
        self.facts()[id.index()].artifact.as_ref()?.files()
    }

    /// The strong key of an element's artifact.
    pub(crate) fn strong(&self, id: ElementId) -> Option<CacheKey> {
        strong_key(self.facts()[id.index()].artifact.as_ref()?)
    }

    /// Whether an element's artifact is known.
    pub(crate) fn has_artifact(&self, id: ElementId) -> bool {
        self.facts()[id.index()].artifact.is_some()
    }
}

/// An element, as speculation names it.
pub(crate) fn subject(graph: &ElementGraph, id: ElementId) -> Subject {
    Subject::new(&graph[id].project, &graph[id].full_name)
}

/// The `digest-environment` variables of an element, each with the elements behind it.
pub(crate) fn digest_variables(
    graph: &ElementGraph,
    id: ElementId,
) -> Vec<(Arc<str>, Vec<ElementId>)> {
    let build = match &graph[id].config {
        Config::Build(build) => build,
        Config::Hosted(hosted) => return written_variables(&hosted.dependencies),
        _ => return Vec::new(),
    };
    let variables = build.digest_environment.iter();
    variables
        .map(|(name, list)| {
            (
                name.clone(),
                list.iter().map(|staged| staged.element).collect(),
            )
        })
        .collect()
}

/// The same of an element whose kind is a plugin: as its dependencies are written, by which
/// BuildStream's own build elements go too.
fn written_variables(dependencies: &[HostedDependency]) -> Vec<(Arc<str>, Vec<ElementId>)> {
    let mut variables: BTreeMap<Arc<str>, Vec<ElementId>> = BTreeMap::new();
    for dependency in dependencies {
        for config in &dependency.configs {
            if let Ok(Some(variable)) = config.scalar("digest-environment") {
                let list = variables.entry(variable.value.clone());
                list.or_default().push(dependency.element);
            }
        }
    }
    variables.into_iter().collect()
}
