//! A project with its caches, opened.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::available_parallelism;
use std::time::SystemTime;

use headstart_artifacts::{
    Artifact, ArtifactCache, ArtifactName, Cached, LineageCache, SourceCache,
};
use headstart_assemble::BuiltDependency;
use headstart_daemon::{LocalExecutor, Resources};
use headstart_execution::Elsewhere;
use headstart_merkle::BlobDigest;
use headstart_plugins::Hosts;
use headstart_project::{
    Element, ElementGraph, ElementId, Host, Keys, LoadError, Project, ProjectId, Projects, Settings,
};
use headstart_sandbox::{NativeSandbox, check_available};
use headstart_sources::{Sources, StatCache};
use headstart_store::{BlobStore, Directories, LocalBlobs};
use headstart_store_disk::{DiskActionCache, DiskBlobs, Layout, time_of_files};
use headstart_yaml::Error as YamlError;

use headstart_speculation::Mode;

use crate::config::{LoggingConfig, UserConfig, mode_of};
use crate::error::SessionError;
use crate::files::{DiskFiles, find_project};
use crate::outside::SessionOutside;
use crate::remotes::Remotes;
use crate::standing;
use crate::workspaces::{Workspaces, owners};

/// How many actions are with a farm at a time: it has a queue of its own, which must not be empty.
const FARM_SLOTS: usize = 64;

/// What a session is opened with.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// A folder of the project, or below it.
    pub directory: PathBuf,
    /// The user's configuration.
    pub config: UserConfig,
    /// Project options from the command line.
    pub options: Vec<(String, String)>,
    /// Whether the build is strict, if the command line says so: else the configuration does.
    pub strict: Option<bool>,
    /// The mirror that is tried first, if the command line names one.
    pub default_mirror: Option<String>,
}

/// Elements with their keys.
pub struct Loaded {
    /// The targets with all that they depend on.
    pub graph: ElementGraph,
    /// Their keys.
    pub keys: Keys,
}

/// A project with its caches.
pub struct Session {
    pub(crate) root: PathBuf,
    pub(crate) settings: Settings,
    outside: Arc<SessionOutside>,
    pub(crate) projects: Projects,
    pub(crate) config: UserConfig,
    /// Whether an artifact counts only if all that it was built with is as it is now.
    pub(crate) strict: bool,
    pub(crate) layout: Layout,
    pub(crate) store: Arc<DiskBlobs>,
    pub(crate) directories: Arc<Directories<dyn BlobStore>>,
    pub(crate) artifacts: ArtifactCache,
    pub(crate) lineages: LineageCache,
    pub(crate) source_cache: SourceCache,
    pub(crate) sources: Arc<Sources>,
    pub(crate) hosts: Arc<Hosts>,
    pub(crate) workspaces: Mutex<Workspaces>,
    /// The element in whose workspace it was opened.
    workspace_of: Option<String>,
    pub(crate) remotes: Remotes,
    /// When it was opened, by the time of files.
    pub(crate) opened: SystemTime,
}

impl Session {
    /// Opens the project and its caches.
    pub fn open(options: SessionOptions) -> Result<Self, SessionError> {
        let SessionOptions {
            directory,
            config,
            options,
            strict,
            default_mirror,
        } = options;
        let io = |path: &Path, source| SessionError::Io {
            path: path.to_owned(),
            source,
        };
        let directory = directory
            .canonicalize()
            .map_err(|error| io(&directory, error))?;
        let root = find_project(&directory).ok_or(SessionError::NoProject(directory))?;
        let (root, workspace_of) = project_of(root)?;
        let workspaces = Workspaces::load(&root)?;
        let layout = Layout::new(&config.cache_dir);
        let opened = time_of_files(&layout);
        let store = Arc::new(DiskBlobs::open(&layout)?);
        let shared: Arc<dyn BlobStore> = store.clone();
        let directories = Arc::new(Directories::new(shared));
        let source_cache = SourceCache::new(&config.cache_dir);
        let hosts = Arc::new(Hosts::new(headstart_plugins::Settings {
            root: root.clone(),
            store: layout.root().join("cas"),
            temporary: layout.temporary(),
            source_directory: config.source_dir.clone(),
            python: config.python.clone(),
        }));
        let sources = Arc::new(Sources::new(
            &root,
            &config.source_dir,
            source_cache.clone(),
            StatCache::new(layout.own().join("stats")),
            Arc::clone(&directories),
            Arc::clone(&hosts),
        ));
        let outside = SessionOutside::new(
            root.clone(),
            Arc::clone(&sources),
            Arc::clone(&directories),
            Arc::clone(&hosts),
        );
        let settings = Settings {
            options,
            user: config.projects.clone(),
            addresses: config.addresses,
            workspaces: Arc::new(workspaces.by_element()),
            default_mirror,
            ..Settings::new(host(config.max_jobs), root.display().to_string())
        };
        let outside = Arc::new(outside);
        let projects = load_projects(&root, &outside, &settings)?;
        let strict = match strict {
            Some(strict) => strict,
            None => config.is_strict(projects.top().name())?,
        };
        let config = config.with_farm_of(projects.top().name())?;
        let lineages = LineageCache::new(&config.cache_dir);
        let artifacts = ArtifactCache::new(&config.cache_dir, Arc::clone(&directories));
        Ok(Self {
            root,
            settings,
            outside,
            projects,
            config,
            strict,
            layout,
            store,
            directories,
            artifacts,
            lineages,
            source_cache,
            sources,
            hosts,
            workspaces: Mutex::new(workspaces),
            workspace_of,
            remotes: Remotes::default(),
            opened,
        })
    }

    /// Element names, with shell patterns that end in `.bst` replaced by the names of the elements
    /// that they stand for. That there are none is told.
    pub fn expand(&self, targets: &[String]) -> Result<Vec<String>, SessionError> {
        let mut names = Vec::new();
        for target in targets {
            if !is_pattern(target) {
                names.push(target.clone());
                continue;
            }
            let like = self.project().elements_like(target)?;
            if like.is_empty() {
                tracing::warn!("no elements are called like {target}");
            }
            names.extend(like);
        }
        if names.is_empty() && !targets.is_empty() {
            return Err(SessionError::NothingLike(targets.join(", ")));
        }
        let mut seen = HashSet::new();
        names.retain(|name| seen.insert(name.clone()));
        Ok(names)
    }

    /// Loads elements, or the project's default targets if none are named, and computes keys.
    pub fn load(&self, targets: &[String]) -> Result<Loaded, SessionError> {
        let defaults;
        let targets = if targets.is_empty() {
            defaults = self.default_targets()?;
            &defaults
        } else {
            targets
        };
        let loaded = self.load_from(&self.projects, targets)?;
        for warning in loaded.graph.warnings() {
            tracing::warn!("{warning}");
        }
        Ok(loaded)
    }

    /// As [`Self::load`], of the project's files as they are now.
    pub(crate) fn load_anew(&self, targets: &[String]) -> Result<Loaded, SessionError> {
        let projects = load_projects(&self.root, &self.outside, &self.settings)?;
        self.load_from(&projects, targets)
    }

    /// As [`Self::load`], with elements' own sources where they have open workspaces.
    pub(crate) fn load_sources(&self, targets: &[String]) -> Result<Loaded, SessionError> {
        let settings = Settings {
            workspaces: Arc::default(),
            ..self.settings.clone()
        };
        let projects = load_projects(&self.root, &self.outside, &settings)?;
        self.load_from(&projects, targets)
    }

    fn load_from(&self, projects: &Projects, targets: &[String]) -> Result<Loaded, SessionError> {
        let graph = projects.load_elements(targets)?;
        for (_, element) in graph.iter() {
            self.most_speculation(element)?;
        }
        let contents = self.sources.contents(&graph)?;
        let keys = Keys::compute(&graph, &contents);
        Ok(Loaded { graph, keys })
    }

    /// What is shown of elements and of failures.
    pub fn logging(&self) -> &LoggingConfig {
        &self.config.logging
    }

    /// The top-level project.
    pub fn project(&self) -> &Project {
        self.projects.top()
    }

    /// Whether an artifact counts only if all that it was built with is as it is now.
    pub fn is_strict(&self) -> bool {
        self.strict
    }

    /// A project and those that it was joined by, up to the top-level one.
    pub(crate) fn ancestry(&self, project: ProjectId) -> Vec<Arc<Project>> {
        self.projects.ancestry(project)
    }

    /// How much may be speculated on an element at most: as its public data and the user say.
    fn most_speculation(&self, element: &Element) -> Result<Mode, YamlError> {
        let its_own = element
            .public
            .speculation
            .as_ref()
            .map(mode_of)
            .transpose()?;
        let users = &self.config.speculation;
        let users = users.most_for(&element.project, &element.full_name);
        Ok(its_own.unwrap_or(Mode::Full).min(users))
    }

    /// How much is speculated on an element where `mode` is what is wanted of the whole build.
    pub(crate) fn speculation(&self, element: &Element, mode: Mode) -> Mode {
        // Loading has looked at it already.
        mode.min(self.most_speculation(element).unwrap_or(Mode::None))
    }

    /// The elements that are meant if none are named.
    pub fn default_targets(&self) -> Result<Vec<String>, SessionError> {
        if let Some(element) = &self.workspace_of {
            return Ok(vec![element.clone()]);
        }
        Ok(self.project().default_targets()?)
    }

    /// The element in whose workspace the session was opened.
    pub fn workspace_of(&self) -> Option<&str> {
        self.workspace_of.as_deref()
    }

    /// Directories of the store.
    pub fn directories(&self) -> &Directories<dyn BlobStore> {
        &self.directories
    }

    /// The artifact of an element, if all of it is here: under its strict key, or if the build is not
    /// strict under its weak key.
    pub fn artifact(&self, loaded: &Loaded, id: ElementId) -> Result<Option<Cached>, SessionError> {
        let Some(keys) = loaded.keys.get(id) else {
            return Ok(None);
        };
        let name = artifact_name(&loaded.graph, id);
        let found = self.artifacts.find(&name, &keys.strict.hex())?;
        if found.is_some() || self.strict {
            return Ok(found);
        }
        Ok(self.artifacts.find(&name, &keys.weak.hex())?)
    }

    /// The same for a build: what failed with other dependencies than today's is tried again.
    pub(crate) fn artifact_to_use(
        &self,
        loaded: &Loaded,
        id: ElementId,
    ) -> Result<Option<Cached>, SessionError> {
        let strict = loaded.keys.get(id).map(|keys| keys.strict);
        let found = self.artifact(loaded, id)?;
        Ok(found.filter(|cached| match cached {
            Cached::Success(_) => true,
            Cached::Failure(artifact) => standing::strong_key(artifact) == strict,
        }))
    }

    /// What an artifact says to plugins of elements that are built with it.
    pub(crate) fn built(&self, artifact: &Artifact) -> Option<BuiltDependency> {
        let message = artifact.message();
        let public = BlobDigest::required(message.public_data.as_ref()).ok()?;
        let public = self.store.read(public).ok()?;
        Some(BuiltDependency {
            key: message.strong_key.clone(),
            public_data: String::from_utf8(public.into()).ok()?,
        })
    }

    /// The same; that it is not here is an error.
    pub(crate) fn required_artifact(
        &self,
        loaded: &Loaded,
        id: ElementId,
    ) -> Result<Cached, SessionError> {
        let element = loaded.graph[id].full_name.to_string();
        let keys = loaded
            .keys
            .get(id)
            .ok_or_else(|| SessionError::NoKey(element.clone()))?;
        self.artifact(loaded, id)?
            .ok_or_else(|| SessionError::NotCached {
                element,
                key: keys.strict.hex(),
            })
    }

    /// Whether an element's sources are in the cache.
    pub fn has_sources(&self, loaded: &Loaded, id: ElementId) -> Result<bool, SessionError> {
        let Some(key) = loaded.keys.element_sources(id) else {
            return Ok(false);
        };
        let Some(tree) = self.source_cache.element_sources(&key.hex())? else {
            return Ok(false);
        };
        Ok(headstart_artifacts::is_tree_complete(
            tree,
            &self.directories,
        )?)
    }

    /// The path of a new log of an element, named as BuildStream names them: after the element's key
    /// and what is done for it.
    pub(crate) fn new_log(
        &self,
        graph: &ElementGraph,
        id: ElementId,
        key: &str,
        doing: &str,
    ) -> Result<PathBuf, SessionError> {
        let name = artifact_name(graph, id);
        let folder = self.config.log_dir.join(&name.project).join(&name.element);
        std::fs::create_dir_all(&folder).map_err(|source| SessionError::Io {
            path: folder.clone(),
            source,
        })?;
        let key = self.logging().brief(key);
        let file = format!("{key}-{doing}.{}.log", crate::clock::stamp());
        Ok(folder.join(file))
    }

    /// An executor over the session's caches; an error if no sandbox can be made and nobody else executes.
    pub(crate) fn executor(&self) -> Result<(LocalExecutor, usize), SessionError> {
        let local: Arc<dyn LocalBlobs> = self.store.clone();
        let processors = available_parallelism().map_or(1, usize::from);
        let farm = self.farm();
        let slots = match farm.as_ref().is_some_and(Elsewhere::executes) {
            true => processors.max(FARM_SLOTS),
            false => {
                check_available().map_err(SessionError::NoSandbox)?;
                processors
            }
        };
        let executor = LocalExecutor::new(Resources {
            store: self.store.clone(),
            cache: Arc::new(DiskActionCache::open(&self.layout)),
            sandbox: Arc::new(NativeSandbox::new(&self.layout, local)),
            slots,
        });
        if let Some(farm) = farm {
            executor.executes_on(Arc::new(farm), processors);
        }
        Ok((executor, slots))
    }
}

/// The project's folder, and the element that is meant if `folder` is a workspace.
fn project_of(folder: PathBuf) -> Result<(PathBuf, Option<String>), SessionError> {
    if folder.join("project.conf").is_file() {
        return Ok((folder, None));
    }
    match owners(&folder)?.into_iter().next() {
        None => Err(SessionError::NoProject(folder)),
        Some((project, element)) => Ok((project.into(), Some(element))),
    }
}

/// Whether a name is a shell pattern of elements.
pub(crate) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '[']) && name.ends_with(".bst")
}

fn load_projects(
    root: &Path,
    outside: &Arc<SessionOutside>,
    settings: &Settings,
) -> Result<Projects, LoadError> {
    let files = Arc::new(DiskFiles::new(root));
    Projects::load(files, Arc::clone(outside) as _, settings.clone())
}

/// An element, as the cache of artifacts names it.
pub(crate) fn artifact_name(graph: &ElementGraph, id: ElementId) -> ArtifactName {
    ArtifactName::new(&graph[id].project, &graph[id].name)
}

fn host(max_jobs: Option<u32>) -> Host {
    let names = rustix::system::uname();
    let processors = available_parallelism().map_or(1, usize::from).min(8);
    Host {
        system: names.sysname().to_string_lossy().into_owned(),
        machine: names.machine().to_string_lossy().into_owned(),
        max_jobs: max_jobs.unwrap_or(u32::try_from(processors).unwrap_or(8)),
    }
}
