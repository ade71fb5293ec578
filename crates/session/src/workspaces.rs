//! Open workspaces: directories in which somebody works on an element's sources.
//!
//! Which there are is kept in the project (`.bst2/workspaces.yml`), and each says in a file of its own
//! whose it is (`.bstproject.yaml`), both as BuildStream keeps them.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard, PoisonError};

use headstart_merkle::DirectoryDigest;
use headstart_project::{Config, ElementGraph, ElementId, Workspace};
use headstart_sources::write_out;
use headstart_yaml::{Mapping, Sequence, to_text};

use crate::error::SessionError;
use crate::session::Session;

/// What is known of a project's workspaces, below the project's directory.
const STATE: &str = ".bst2/workspaces.yml";
/// What a workspace says of itself.
pub(crate) const MARK: &str = ".bstproject.yaml";
/// The versions of both that there are.
const STATE_VERSION: i64 = 4;
const MARK_VERSION: i64 = 1;

/// How a workspace is opened.
#[derive(Debug, Clone)]
pub struct WorkspaceRequest {
    /// Whether the sources are put into it.
    pub checkout: bool,
    /// Whether what is there may be replaced: a workspace of the element, files in the directory.
    pub force: bool,
    /// The directory, for exactly one element; else each is called as its element, below the
    /// directory that the configuration says.
    pub directory: Option<PathBuf>,
}

/// An open workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Open {
    element: String,
    /// As written: absolute, or relative to the project's directory.
    path: String,
    last_build: Option<String>,
}

/// The open workspaces of a project, in the order in which they were opened.
#[derive(Debug)]
pub(crate) struct Workspaces {
    root: PathBuf,
    open: Vec<Open>,
}

impl Workspaces {
    /// Those of the project in `root`.
    pub(crate) fn load(root: &Path) -> Result<Self, SessionError> {
        let mut workspaces = Self {
            root: root.to_owned(),
            open: Vec::new(),
        };
        let path = root.join(STATE);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(workspaces),
            text => text.map_err(|source| io_error(&path, source))?,
        };
        let state = headstart_yaml::parse(STATE, &text)?;
        check_version(&state, STATE_VERSION)?;
        let none = Mapping::default();
        let open = state.mapping("workspaces")?.unwrap_or(&none);
        for (element, _) in open.iter() {
            let workspace = open.mapping(&element.text)?.unwrap_or(&none);
            workspaces.open.push(Open {
                element: element.text.to_string(),
                path: workspace.required_string("path")?.to_owned(),
                last_build: workspace.string("last_build")?.map(str::to_owned),
            });
        }
        Ok(workspaces)
    }

    /// As loading elements wants them.
    pub(crate) fn by_element(&self) -> HashMap<String, Workspace> {
        let each = self.open.iter().map(|open| {
            let path = self.root.join(&open.path);
            let workspace = Workspace {
                path: path.to_string_lossy().into(),
                last_build: open.last_build.as_deref().map(Arc::from),
                exists: path.exists(),
            };
            (open.element.clone(), workspace)
        });
        each.collect()
    }

    fn find(&mut self, element: &str) -> Option<&mut Open> {
        self.open.iter_mut().find(|open| open.element == element)
    }

    fn directory(&self, element: &str) -> Option<PathBuf> {
        let open = self.open.iter().find(|open| open.element == element)?;
        Some(self.root.join(&open.path))
    }

    fn save(&self) -> Result<(), SessionError> {
        let open = self.open.iter().map(|open| {
            let key = open.last_build.as_deref().map(|key| ("last_build", key));
            let workspace = [("path", &*open.path)].into_iter().chain(key);
            (&*open.element, workspace.collect::<Mapping>())
        });
        let mut state = Mapping::default();
        state.insert("format-version", &*STATE_VERSION.to_string());
        state.insert("workspaces", open.collect::<Mapping>());
        replace(&self.root.join(STATE), &to_text(&state))
    }

    fn add(&mut self, element: &str, directory: &Path) -> Result<(), SessionError> {
        let path = directory.strip_prefix(&self.root).unwrap_or(directory);
        self.open.retain(|open| open.element != element);
        self.open.push(Open {
            element: element.to_owned(),
            path: path.to_string_lossy().into_owned(),
            last_build: None,
        });
        self.save()
    }

    fn mark(&self, element: &str, directory: &Path) -> Result<(), SessionError> {
        let mut projects = owners(directory)?;
        projects.push((self.root.to_string_lossy().into_owned(), element.to_owned()));
        let projects = projects.iter().map(|(project, element)| {
            let each = [("project-path", &**project), ("element-name", element)];
            each.into_iter().collect::<Mapping>()
        });
        let mut mark = Mapping::default();
        mark.insert("projects", projects.collect::<Sequence>());
        mark.insert("format-version", &*MARK_VERSION.to_string());
        replace(&directory.join(MARK), &to_text(&mark))
    }
}

/// The projects and elements that a directory is a workspace of, if it is one.
pub(crate) fn owners(directory: &Path) -> Result<Vec<(String, String)>, SessionError> {
    let path = directory.join(MARK);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(|source| io_error(&path, source))?,
    };
    let mark = headstart_yaml::parse(&path.to_string_lossy(), &text)?;
    check_version(&mark, MARK_VERSION)?;
    let projects = mark.sequence("projects")?;
    let projects = projects.map(|list| list.mappings()).transpose()?;
    let each = projects.unwrap_or_default().into_iter().map(|project| {
        let text = |key| Ok::<_, SessionError>(project.required_string(key)?.to_owned());
        Ok((text("project-path")?, text("element-name")?))
    });
    each.collect()
}

fn check_version(file: &Mapping, version: i64) -> Result<(), SessionError> {
    let written = file.required_scalar("format-version")?;
    match written.as_integer()? {
        same if same == version => Ok(()),
        _ => Err(written
            .unlike("the version of this format that is known: open the workspace anew")
            .into()),
    }
}

fn replace(path: &Path, text: &str) -> Result<(), SessionError> {
    let folder = path.parent().unwrap_or(path);
    let written = fs::create_dir_all(folder).and_then(|()| {
        let file = tempfile::Builder::new()
            .prefix(".headstart-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(folder)?;
        fs::write(file.path(), text)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    });
    written.map_err(|source| io_error(path, source))
}

fn io_error(path: &Path, source: io::Error) -> SessionError {
    SessionError::Io {
        path: path.to_owned(),
        source,
    }
}

fn refused(text: String) -> SessionError {
    SessionError::Workspace(text)
}

/// The element whose sources are meant by another: that which is filtered.
pub fn source_element(graph: &ElementGraph, mut id: ElementId) -> ElementId {
    while let Config::Filter(filter) = &graph[id].config {
        id = filter.filtered;
    }
    id
}

/// A workspace that is about to be opened.
struct Planned {
    element: String,
    id: ElementId,
    directory: PathBuf,
    /// What is put into it, once that is staged.
    sources: Option<DirectoryDigest>,
}

impl Session {
    fn workspaces_locked(&self) -> MutexGuard<'_, Workspaces> {
        self.workspaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The open workspaces: elements with their directories, in the order of opening.
    pub fn workspaces(&self) -> Vec<(String, PathBuf)> {
        let workspaces = self.workspaces_locked();
        let each = workspaces.open.iter();
        each.map(|open| (open.element.clone(), workspaces.root.join(&open.path)))
            .collect()
    }

    /// Opens workspaces for elements; gives those with their directories. Nothing is changed if one
    /// of them can't be opened for a reason that can be known before.
    pub fn open_workspaces(
        &self,
        targets: &[String],
        request: &WorkspaceRequest,
    ) -> Result<Vec<(String, PathBuf)>, SessionError> {
        let loaded = self.load_sources(targets)?;
        let graph = &loaded.graph;
        let targets = graph.targets().iter();
        let mut ids: Vec<ElementId> = targets.map(|id| source_element(graph, *id)).collect();
        ids.dedup();
        let mut planned = self.plan(graph, &ids, request)?;
        for plan in planned.iter_mut().filter(|_| request.checkout) {
            plan.sources = Some(self.obtain_sources(&loaded, plan.id)?);
        }
        let mut opened = Vec::new();
        for plan in planned {
            let Planned {
                element,
                directory,
                sources,
                ..
            } = plan;
            match sources {
                Some(sources) => {
                    if self.workspaces_locked().find(&element).is_some() {
                        self.close_workspace(&element, true)?;
                    }
                    self.check_out(sources, &directory)?;
                    if directory.join(MARK).exists() {
                        tracing::warn!("{element}: its sources bring a {MARK}");
                    }
                }
                None => {
                    fs::create_dir_all(&directory).map_err(|error| io_error(&directory, error))?;
                }
            }
            let mut workspaces = self.workspaces_locked();
            workspaces.mark(&element, &directory)?;
            workspaces.add(&element, &directory)?;
            opened.push((element, directory));
        }
        Ok(opened)
    }

    fn plan(
        &self,
        graph: &ElementGraph,
        ids: &[ElementId],
        request: &WorkspaceRequest,
    ) -> Result<Vec<Planned>, SessionError> {
        if request.directory.is_some() && ids.len() != 1 {
            let text = "a directory can only be given for exactly one element";
            return Err(refused(text.to_owned()));
        }
        let mut planned = Vec::new();
        for id in ids {
            let element = &graph[*id];
            let name = &element.full_name;
            if element.sources.is_empty() {
                return Err(refused(format!("{name} has no sources")));
            }
            let open = self.workspaces_locked().directory(name);
            if let Some(open) = open.filter(|_| !request.force) {
                let open = open.display();
                return Err(refused(format!(
                    "{name} has an open workspace in {open}: close it, or use --force"
                )));
            }
            let directory = match &request.directory {
                Some(directory) => directory.clone(),
                None => {
                    let below = element.name.strip_suffix(".bst").unwrap_or(&element.name);
                    self.config.workspace_dir.join(below)
                }
            };
            let directory =
                std::path::absolute(&directory).map_err(|source| io_error(&directory, source))?;
            check_place(&directory, request)?;
            planned.push(Planned {
                element: name.to_string(),
                id: *id,
                directory,
                sources: None,
            });
        }
        Ok(planned)
    }

    /// Puts a tree in the place of a directory, in one step.
    fn check_out(&self, tree: DirectoryDigest, directory: &Path) -> Result<(), SessionError> {
        let failed = |source| io_error(directory, source);
        let parent = directory.parent().unwrap_or(directory);
        fs::create_dir_all(parent).map_err(failed)?;
        let unfinished = tempfile::Builder::new()
            .prefix(".headstart-workspace-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir_in(parent)
            .map_err(failed)?;
        write_out(tree, unfinished.path(), &self.directories)?;
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        fs::rename(unfinished.path(), directory).map_err(failed)?;
        // It has another name now, and is nobody's to remove.
        let _ = unfinished.keep();
        Ok(())
    }

    /// Closes the workspace of an element; with `remove` its directory is removed.
    pub fn close_workspace(&self, element: &str, remove: bool) -> Result<(), SessionError> {
        let mut workspaces = self.workspaces_locked();
        let directory = workspaces
            .directory(element)
            .ok_or_else(|| no_workspace(element))?;
        if remove {
            fs::remove_dir_all(&directory).map_err(|source| io_error(&directory, source))?;
        }
        workspaces.open.retain(|open| open.element != element);
        workspaces.save()?;
        let mark = directory.join(MARK);
        match fs::remove_file(&mark) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(|source| io_error(&mark, source)),
        }
    }

    /// Makes the workspace of an element what it was when it was opened; if `soft`, just has its
    /// commands that configure run again. Gives its directory.
    pub fn reset_workspace(&self, element: &str, soft: bool) -> Result<PathBuf, SessionError> {
        let directory = self.workspaces_locked().directory(element);
        let directory = directory.ok_or_else(|| no_workspace(element))?;
        if soft {
            let mut workspaces = self.workspaces_locked();
            if let Some(open) = workspaces.find(element) {
                open.last_build = None;
            }
            workspaces.save()?;
            return Ok(directory);
        }
        let request = WorkspaceRequest {
            checkout: true,
            force: true,
            directory: Some(directory.clone()),
        };
        self.open_workspaces(&[element.to_owned()], &request)?;
        Ok(directory)
    }

    /// Notes that an element was built in its workspace.
    pub(crate) fn note_built(&self, element: &str, key: String) -> Result<(), SessionError> {
        let mut workspaces = self.workspaces_locked();
        match workspaces.find(element) {
            None => Ok(()),
            Some(open) => {
                open.last_build = Some(key);
                workspaces.save()
            }
        }
    }
}

fn no_workspace(element: &str) -> SessionError {
    refused(format!("{element} has no open workspace"))
}

fn check_place(directory: &Path, request: &WorkspaceRequest) -> Result<(), SessionError> {
    let shown = directory.display();
    if directory.exists() && !directory.is_dir() {
        return Err(refused(format!("{shown} is not a directory")));
    }
    let may_hold_something = !request.checkout || request.force;
    let is_empty = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        entries => {
            let mut entries = entries.map_err(|source| io_error(directory, source))?;
            entries.next().is_none()
        }
    };
    match is_empty || may_hold_something {
        true => Ok(()),
        false => Err(refused(format!(
            "{shown} is not empty: choose another directory, or use --force"
        ))),
    }
}
