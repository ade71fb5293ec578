//! What is to be known before an element can be made: its project, and what the names of kinds in it mean.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use headstart_yaml::Mapping;

use super::noted::Noted;
use crate::defaults::Defaults;
use crate::error::{LoadError, Problem, Warning};
use crate::hosted::PluginId;
use crate::kinds::ElementKind;
use crate::loader::LoadedDependency;
use crate::project::{Project, ProjectId};
use crate::source::SourceKind;
use crate::universe::Universe;

/// A kind of elements as a project has it.
#[derive(Clone)]
pub(super) struct FoundKind {
    pub(super) kind: ElementKind,
    pub(super) plugin: Arc<PluginId>,
    /// What its elements begin with.
    pub(super) defaults: Arc<Defaults>,
}

/// A kind of sources as a project has it.
#[derive(Clone)]
pub(super) struct FoundSource {
    pub(super) kind: SourceKind,
    pub(super) plugin: Arc<PluginId>,
}

/// An element that can be made.
pub(super) struct FoundElement {
    /// As the element sees it.
    pub(super) project: Arc<Project>,
    pub(super) name: Arc<str>,
    pub(super) full_name: Arc<str>,
    /// What its file says but for dependencies.
    pub(super) node: Mapping,
    pub(super) dependencies: Vec<LoadedDependency>,
    pub(super) kind: FoundKind,
    /// The kinds of its sources, up to the first that is an error. None of them are looked at if there is an
    /// open workspace.
    pub(super) sources: Vec<Result<FoundSource, LoadError>>,
}

/// Looks for what kinds mean.
pub(super) struct Finder<'a> {
    pub(super) universe: &'a mut Universe,
    /// What names of kinds mean, by project.
    pub(super) kinds: HashMap<(ProjectId, Arc<str>), FoundKind>,
    pub(super) source_kinds: HashMap<(ProjectId, Arc<str>), FoundSource>,
    /// The projects of the elements.
    pub(super) projects: BTreeMap<ProjectId, Arc<Project>>,
    /// Those that can be made so far, in order.
    pub(super) found: Vec<FoundElement>,
    /// What is wrong with the one after those.
    pub(super) failed: Option<LoadError>,
    pub(super) warnings: Noted<Warning>,
}

impl<'a> Finder<'a> {
    pub(super) fn new(universe: &'a mut Universe) -> Self {
        Self {
            universe,
            kinds: HashMap::new(),
            source_kinds: HashMap::new(),
            projects: BTreeMap::new(),
            found: Vec::new(),
            failed: None,
            warnings: Noted::default(),
        }
    }

    /// Looks at elements, given by their places among the loaded, until something is wrong with one.
    pub(super) fn find_all(&mut self, order: &[usize]) {
        self.found.reserve_exact(order.len());
        for &index in order {
            match self.find(index) {
                Ok(found) => {
                    let is_whole = found.sources.iter().all(Result::is_ok);
                    self.found.push(found);
                    if !is_whole {
                        return;
                    }
                }
                Err(error) => {
                    self.failed = Some(error);
                    return;
                }
            }
        }
    }

    /// Notes something doubtful of the element that is being looked at.
    pub(super) fn warn(&self, warning: Warning) {
        self.warnings.add(self.found.len(), warning);
    }

    fn find(&mut self, index: usize) -> Result<FoundElement, LoadError> {
        let project = self.project(index)?;
        // What it is made of is not needed again, but for a junction, which can also be a target.
        let loaded = &mut self.universe.elements[index];
        let node = match loaded.is_junction {
            true => loaded.node.clone(),
            false => std::mem::take(&mut loaded.node),
        };
        let (name, full_name) = (loaded.name.clone(), loaded.full_name.clone());
        let dependencies = std::mem::take(&mut loaded.dependencies);
        let kind = self.element_kind(&project, node.required_scalar("kind")?)?;
        let sources = match self.universe.workspace(&full_name) {
            Some(_) => Vec::new(),
            None => self.sources(project.id(), &node),
        };
        let projects = self.projects.entry(project.id());
        projects.or_insert_with(|| project.clone());
        Ok(FoundElement {
            project,
            name,
            full_name,
            node,
            dependencies,
            kind,
            sources,
        })
    }

    /// The project of an element, as the element sees it.
    fn project(&mut self, index: usize) -> Result<Arc<Project>, LoadError> {
        let loaded = &self.universe.elements[index];
        let (id, is_junction) = (loaded.project, loaded.is_junction);
        if is_junction {
            return self.universe.first(id);
        }
        self.universe.load_fully(id)?;
        self.universe.full(id)
    }

    /// The kinds of an element's sources. That there is no list of sources is told when they are made.
    fn sources(
        &mut self,
        project: ProjectId,
        node: &Mapping,
    ) -> Vec<Result<FoundSource, LoadError>> {
        let list = node.sequence("sources").ok().flatten();
        let list = list.and_then(|list| list.mappings().ok());
        let mut found = Vec::new();
        for source in list.into_iter().flatten() {
            let kind = self.source(project, source);
            let is_wrong = kind.is_err();
            found.push(kind);
            if is_wrong {
                break;
            }
        }
        found
    }

    fn source(&mut self, project: ProjectId, source: &Mapping) -> Result<FoundSource, LoadError> {
        let name = source.required_scalar("kind")?;
        if *name.value == *SourceKind::Workspace.name() {
            return Err(LoadError::at(&name.at, Problem::WorkspaceSource));
        }
        self.source_kind(project, name)
    }
}
