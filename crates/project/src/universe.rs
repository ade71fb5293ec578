//! The projects that are loaded together: the top-level one and those that junctions lead to.
//!
//! Projects are loaded when something asks for them, in two passes ([`Pass`]). All are in one arena
//! and known by their [`ProjectId`]; what loads them takes the arena mutably, because an include, a
//! link or the origin of a plugin can bring in further ones at any time.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use headstart_yaml::Provenance;
use indexmap::IndexMap;

use crate::ahead::Ahead;
use crate::aliases::{Aliases, ParentAliases};
use crate::conf::{Conf, PROJECT_CONF};
use crate::error::{LoadError, Problem};
use crate::files::{Below, Files};
use crate::graph::ElementGraph;
use crate::include::{IncludeCache, Includes};
use crate::kinds::Junction;
use crate::loader::LoadedElement;
use crate::options::Options;
use crate::outside::Outside;
use crate::plugins::Plugins;
use crate::project::{Pass, PassInput, Project, ProjectId, Settings};
use crate::source::Workspace;
use crate::{conflict, loader, resolve};

/// Projects that are joined to each other, one within the other.
const MAX_DEPTH: usize = 30;

/// All loaded projects, with the elements that are being loaded.
pub(crate) struct Universe {
    files: Arc<dyn Files>,
    pub(crate) outside: Arc<dyn Outside>,
    settings: Settings,
    instances: Vec<Instance>,
    /// What is parsed ahead while elements are loaded.
    pub(crate) ahead: Arc<Ahead>,
    pub(crate) included: IncludeCache,
    /// The elements that have been read, of all projects.
    pub(crate) elements: Vec<LoadedElement>,
}

/// One project in the place where it was loaded. A project that several junctions lead to is there
/// several times.
pub(crate) struct Instance {
    pub(crate) conf: Arc<Conf>,
    pub(crate) files: Below,
    pub(crate) parent: Option<Parent>,
    pub(crate) plugins: Plugins,
    first: Option<Arc<Project>>,
    second: Second,
    /// What joined projects see of the aliases, by pass.
    aliases: [Arc<OnceLock<Arc<Aliases>>>; 2],
    /// The elements that have been read, by their names.
    pub(crate) by_name: HashMap<Arc<str>, usize>,
    /// For links that have been read, by their path from here, the path that they lead to.
    pub(crate) links: IndexMap<String, String>,
    /// The projects that junctions led to, by the junctions' names.
    pub(crate) joined: HashMap<String, ProjectId>,
    /// Junctions that are being followed.
    pub(crate) searching: HashSet<String>,
    /// Projects whose junctions to this one were overridden by that of its parent.
    pub(crate) alternative_parents: Vec<ProjectId>,
}

/// How a project was loaded.
#[derive(Clone)]
pub(crate) struct Parent {
    pub(crate) project: ProjectId,
    /// The junction's name in that project.
    pub(crate) name: Arc<str>,
    pub(crate) full_name: Arc<str>,
    pub(crate) junction: Arc<Junction>,
    /// What first asked for it, if that was something in a file.
    pub(crate) at: Option<Provenance>,
}

enum Second {
    NotYet,
    /// Something that it includes needs other projects, which can ask for it again.
    Begun,
    Done(Arc<Project>),
}

impl Universe {
    /// Loads the top-level project.
    pub(crate) fn open(
        files: Arc<dyn Files>,
        outside: Arc<dyn Outside>,
        settings: Settings,
    ) -> Result<Self, LoadError> {
        let mut universe = Self {
            files,
            outside,
            settings,
            instances: Vec::new(),
            ahead: Arc::default(),
            included: IncludeCache::default(),
            elements: Vec::new(),
        };
        universe.add(String::new(), None)?;
        universe.load_fully(ProjectId::TOP)?;
        Ok(universe)
    }

    /// Loads elements with all that they depend on, of whatever project.
    pub(crate) fn load_elements(
        &mut self,
        targets: &[impl AsRef<str>],
    ) -> Result<ElementGraph, LoadError> {
        let targets = loader::load(self, targets)?;
        let graph = resolve::resolve(self, &targets)?;
        conflict::check(self)?;
        self.elements.clear();
        for instance in &mut self.instances {
            instance.by_name.clear();
        }
        Ok(graph)
    }

    /// The files of the top-level project, and of all others below it.
    pub(crate) fn files(&self) -> Arc<dyn Files> {
        Arc::clone(&self.files)
    }

    /// Loads the first pass of the project in a directory.
    pub(crate) fn add(
        &mut self,
        directory: String,
        parent: Option<Parent>,
    ) -> Result<ProjectId, LoadError> {
        let id = ProjectId(u32::try_from(self.instances.len()).unwrap_or(u32::MAX));
        if let Some(parent) = &parent
            && self.ancestry(parent.project).count() >= MAX_DEPTH
        {
            return Err(LoadError::maybe_at(
                parent.at.as_ref(),
                Problem::DeepJunction(MAX_DEPTH),
            ));
        }
        let files = Below::new(self.files.clone(), directory);
        let shown = match files.directory() {
            "" => &self.settings.directory,
            directory => directory,
        };
        let mut conf = Conf::load(&files, &files.path(PROJECT_CONF), shown)?;
        if let Some(parent) = &parent
            && self[parent.project].conf.disallow_subproject_uris
        {
            conf.disallow_own_addresses();
        }
        self.instances.push(Instance {
            conf: Arc::new(conf),
            files,
            parent,
            plugins: Plugins::default(),
            first: None,
            second: Second::NotYet,
            aliases: <[Arc<OnceLock<Arc<Aliases>>>; 2]>::default(),
            by_name: HashMap::new(),
            links: IndexMap::new(),
            joined: HashMap::new(),
            searching: HashSet::new(),
            alternative_parents: Vec::new(),
        });
        self.pass(id, Pass::First)?;
        Ok(id)
    }

    /// Loads the second pass of a project, and before it those of its ancestors.
    pub(crate) fn load_fully(&mut self, id: ProjectId) -> Result<(), LoadError> {
        if let (Second::NotYet, Some(parent)) = (&self[id].second, &self[id].parent) {
            self.load_fully(parent.project)?;
        }
        if let Second::NotYet = self[id].second {
            self[id].second = Second::Begun;
            let second = self.pass(id, Pass::Second)?;
            self[id].second = Second::Done(second);
        }
        Ok(())
    }

    fn pass(&mut self, id: ProjectId, pass: Pass) -> Result<Arc<Project>, LoadError> {
        let mut included = self[id].conf.written.clone();
        Includes::of_project(self, id, pass).process(&mut included)?;
        if pass == Pass::First {
            self[id].plugins = Plugins::load(&included, &self[id].files)?;
        }
        let instance = &self[id];
        let parent = instance.parent.as_ref();
        let parent_aliases = parent.map(|parent| ParentAliases {
            aliases: self[parent.project].aliases[pass as usize].clone(),
            mapped: parent.junction.aliases.clone(),
            identity: parent.junction.maps_equal_aliases,
            all: self[parent.project].conf.disallow_subproject_uris,
        });
        let project = Project::compose(PassInput {
            pass,
            id,
            junction: parent.map(|parent| parent.full_name.clone()),
            files: &instance.files,
            conf: &instance.conf,
            included,
            junction_options: parent.map(|parent| &parent.junction.options),
            parent_aliases,
            settings: &self.settings,
            outside: &self.outside,
        })?;
        // Each pass is made once.
        let _ = instance.aliases[pass as usize].set(project.shared_aliases());
        let project = Arc::new(project);
        if pass == Pass::First {
            // The plugin of a mirror may be in a project that this one leads to.
            self[id].first = Some(project.clone());
        }
        for mirror in project.aliases().plugin_mirrors() {
            mirror.set_plugin(self.mirror_plugin(id, mirror.kind())?);
            if pass == Pass::Second {
                self.make_mirror(mirror)?;
            }
        }
        Ok(project)
    }

    /// The open workspace of an element, by its full name.
    pub(crate) fn workspace(&self, full_name: &str) -> Option<&Workspace> {
        self.settings.workspaces.get(full_name)
    }

    /// The project as junctions and links see it.
    pub(crate) fn first(&self, id: ProjectId) -> Result<Arc<Project>, LoadError> {
        self[id].first.clone().ok_or_else(|| self.unfinished(id))
    }

    /// The project as everything else sees it.
    pub(crate) fn full(&self, id: ProjectId) -> Result<Arc<Project>, LoadError> {
        match &self[id].second {
            Second::Done(project) => Ok(project.clone()),
            Second::NotYet | Second::Begun => Err(self.unfinished(id)),
        }
    }

    fn unfinished(&self, id: ProjectId) -> LoadError {
        LoadError::nowhere(Problem::CircularProject(self[id].conf.name.to_string()))
    }

    /// The options of a project; none as long as it is being loaded.
    pub(crate) fn options(&self, id: ProjectId) -> Arc<Options> {
        match self.full(id) {
            Ok(project) => project.shared_options(),
            Err(_) => Arc::default(),
        }
    }

    /// All loaded projects.
    pub(crate) fn ids(&self) -> impl Iterator<Item = ProjectId> + use<> {
        let len = u32::try_from(self.instances.len()).unwrap_or(u32::MAX);
        (0..len).map(ProjectId)
    }

    /// A project and those that it was loaded by, up to the top-level one.
    pub(crate) fn ancestry(&self, id: ProjectId) -> impl Iterator<Item = ProjectId> {
        std::iter::successors(Some(id), |&id| Some(self[id].parent.as_ref()?.project))
    }

    /// The name of an element from the top-level project on.
    pub(crate) fn full_name(&self, id: ProjectId, name: &str) -> Arc<str> {
        match &self[id].parent {
            None => name.into(),
            Some(parent) => format!("{}:{name}", parent.full_name).into(),
        }
    }
}

impl std::ops::Index<ProjectId> for Universe {
    type Output = Instance;

    fn index(&self, id: ProjectId) -> &Instance {
        &self.instances[id.index()]
    }
}

impl std::ops::IndexMut<ProjectId> for Universe {
    fn index_mut(&mut self, id: ProjectId) -> &mut Instance {
        &mut self.instances[id.index()]
    }
}
