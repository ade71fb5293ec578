//! From targets to element files.

use std::collections::HashMap;
use std::sync::Arc;

use headstart_yaml::{Mapping, Provenance, Scalar};

use crate::ahead::Ahead;
use crate::dependency::{self, Dependency, ElementFile};
use crate::error::{LoadError, Problem};
use crate::files::{FileError, Files, Stat};
use crate::include::Includes;
use crate::junctions::{Follow, MAX_LINKS};
use crate::kinds::ElementKind;
use crate::nearest::nearest;
use crate::order;
use crate::path;
use crate::project::ProjectId;
use crate::resolve;
use crate::source::SourceKind;
use crate::universe::{Instance, Universe};

const KEYS: [&str; 12] = [
    "kind",
    "depends",
    "build-depends",
    "runtime-depends",
    "sources",
    "variables",
    "environment",
    "environment-nocache",
    "config",
    "public",
    "sandbox",
    "description",
];

/// An element file with its conditions and includes resolved.
pub(crate) struct LoadedElement {
    pub(crate) project: ProjectId,
    pub(crate) name: Arc<str>,
    /// With the junctions on the way from the top-level project.
    pub(crate) full_name: Arc<str>,
    /// What is left when the dependencies are taken out.
    pub(crate) node: Mapping,
    /// Whether it is a junction, which nothing can depend on.
    pub(crate) is_junction: bool,
    /// What it stands for, if it is a link.
    pub(crate) link: Option<Scalar>,
    /// As they are written, until they have been looked up.
    written: Vec<Dependency>,
    /// Whether its dependencies have been looked up, or are about to be.
    complete: bool,
    /// Sorted as BuildStream stages them.
    pub(crate) dependencies: Vec<LoadedDependency>,
}

impl LoadedElement {
    /// Checks that it has no dependencies, if it is a junction: that is followed before they are looked
    /// up.
    pub(crate) fn expect_no_dependencies(&self) -> Result<(), LoadError> {
        match self.written.first() {
            Some(dependency) if self.is_junction => {
                Err(LoadError::at(&dependency.at, Problem::JunctionDependency))
            }
            _ => Ok(()),
        }
    }
}

pub(crate) struct LoadedDependency {
    pub(crate) element: usize,
    pub(crate) written: Dependency,
}

/// Reads all elements that the targets need, and gives the targets.
pub(crate) fn load(
    universe: &mut Universe,
    targets: &[impl AsRef<str>],
) -> Result<Vec<usize>, LoadError> {
    let files = universe.files();
    let ahead = Arc::new(Ahead::default());
    universe.ahead = Arc::clone(&ahead);
    let found = ahead.beside(&*files, || find_all(universe, targets));
    universe.ahead = Arc::default();
    let indices = found?;
    order::sort_dependencies(universe)?;
    Ok(indices)
}

fn find_all(universe: &mut Universe, targets: &[impl AsRef<str>]) -> Result<Vec<usize>, LoadError> {
    let mut indices = Vec::new();
    for target in targets {
        let (project, name) = universe.locate(ProjectId::TOP, target.as_ref(), None)?;
        let index = universe.find(project, &name, None)?;
        universe.complete(index)?;
        indices.push(index);
    }
    Ok(indices)
}

/// An element with the dependencies that are still to be looked up, and those that have been.
struct Open {
    element: usize,
    /// In reverse.
    todo: Vec<Dependency>,
    /// For each element in the list of dependencies its place there.
    found: HashMap<usize, usize>,
}

impl Universe {
    /// The index of the element that a name leads to, which is read if it is new: links and
    /// overrides have been followed.
    pub(crate) fn find(
        &mut self,
        mut project: ProjectId,
        name: &str,
        at: Option<&Provenance>,
    ) -> Result<usize, LoadError> {
        let mut name = path::normalize(name);
        let mut at = at.cloned();
        for _ in 0..MAX_LINKS {
            let index = match self[project].by_name.get(name.as_str()) {
                Some(&index) => index,
                None => self.read(project, &name, at.as_ref())?,
            };
            if self.elements[index].complete {
                return Ok(index);
            }
            let instead = match self.overriding(project, &name) {
                Some(overriding) => Some(overriding),
                None => self.elements[index]
                    .link
                    .clone()
                    .map(|link| (project, link)),
            };
            let Some((from, target)) = instead else {
                return Ok(index);
            };
            (project, name) = self.locate(from, &target.value, Some(&target.at))?;
            at = Some(target.at);
        }
        let problem = Problem::CircularReference(name);
        Err(LoadError::maybe_at(at.as_ref(), problem))
    }

    /// Looks up what an element depends on, and what that does. In BuildStream's order, as what has
    /// been read before matters to links.
    fn complete(&mut self, index: usize) -> Result<(), LoadError> {
        let mut stack = Vec::new();
        stack.extend(self.begin(index));
        while let Some(open) = stack.last_mut() {
            let Some(written) = open.todo.pop() else {
                stack.pop();
                continue;
            };
            let from = self.elements[open.element].project;
            let project = match written.junction() {
                None => from,
                Some(junctions) => {
                    let at = Some(&written.at);
                    // Loading either gives a project or an error.
                    let found = self.follow(from, junctions, at, Follow::Loading)?;
                    found.unwrap_or(from)
                }
            };
            let element = self.find(project, &written.name, Some(&written.at))?;
            if self.elements[element].is_junction {
                let problem = Problem::DependsOnJunction(written.path.to_string());
                return Err(LoadError::at(&written.at, problem));
            }
            let list = &mut self.elements[open.element].dependencies;
            match open.found.get(&element) {
                // The same element, written in two ways.
                Some(&position) => list[position].written.merge(written),
                None => {
                    open.found.insert(element, list.len());
                    list.push(LoadedDependency { element, written });
                }
            }
            stack.extend(self.begin(element));
        }
        Ok(())
    }

    fn begin(&mut self, index: usize) -> Option<Open> {
        let element = &mut self.elements[index];
        if std::mem::replace(&mut element.complete, true) {
            return None;
        }
        let mut todo = std::mem::take(&mut element.written);
        todo.reverse();
        Some(Open {
            element: index,
            todo,
            found: HashMap::new(),
        })
    }

    /// Reads an element of a project, without following anything.
    pub(crate) fn read(
        &mut self,
        project: ProjectId,
        name: &str,
        at: Option<&Provenance>,
    ) -> Result<usize, LoadError> {
        let file = self.parse_element(project, name, at)?;
        let first_pass = is_first_pass(&file.node)?;
        self.add_element(project, name, file, first_pass)
    }

    /// The same, if it is a junction or link: those need no complete project.
    pub(crate) fn read_if_first_pass(
        &mut self,
        project: ProjectId,
        name: &str,
        at: Option<&Provenance>,
    ) -> Result<Option<usize>, LoadError> {
        let file = self.parse_element(project, name, at)?;
        if !is_first_pass(&file.node)? {
            return Ok(None);
        }
        self.add_element(project, name, file, true).map(Some)
    }

    fn parse_element(
        &self,
        project: ProjectId,
        name: &str,
        at: Option<&Provenance>,
    ) -> Result<ElementFile, LoadError> {
        dependency::check_element_name(name, at)?;
        let Instance { conf, files, .. } = &self[project];
        let elements = files.path(&conf.element_path);
        match self.ahead.parse(&*self.files(), &elements, name) {
            Ok(parsed) => Ok(parsed?),
            Err(FileError::NotFound) => Err(self.not_found(project, name, at)),
            Err(error) => {
                let path = files.path(&element_file(&conf.element_path, name));
                Err(LoadError::maybe_at(at, Problem::Read { path, error }))
            }
        }
    }

    fn add_element(
        &mut self,
        project: ProjectId,
        name: &str,
        file: ElementFile,
        first_pass: bool,
    ) -> Result<usize, LoadError> {
        let ElementFile {
            mut node,
            dependencies,
        } = file;
        let is_final = dependencies.is_some();
        if first_pass {
            let project = self.first(project)?;
            if !is_final {
                project.options().process(&mut node, &[])?;
            }
        } else {
            self.load_fully(project)?;
            if !is_final {
                Includes::of_elements(self, project).process(&mut node)?;
            }
        }
        node.expect_keys(&KEYS)?;
        let kind = node.required_string("kind")?;
        let (is_junction, is_link) = (kind == "junction", kind == "link");
        if !is_link && needs_plugins(kind, &node) {
            self.outside.expect_plugins();
        }
        let written = dependencies.unwrap_or_else(|| dependency::take(&mut node))?;
        let link = if is_link {
            if let Some(dependency) = written.first() {
                return Err(LoadError::at(&dependency.at, Problem::LinkDependency));
            }
            Some(resolve::link_target(&*self.first(project)?, name, &node)?)
        } else {
            None
        };
        let index = self.elements.len();
        let name: Arc<str> = name.into();
        self[project].by_name.insert(name.clone(), index);
        self.elements.push(LoadedElement {
            project,
            full_name: match project {
                ProjectId::TOP => name.clone(),
                _ => self.full_name(project, &name),
            },
            name: name.clone(),
            node,
            is_junction,
            link: link.clone(),
            written,
            complete: false,
            dependencies: Vec::new(),
        });
        if let Some(target) = link {
            self.note_link(project, &name, &target.value);
        }
        Ok(index)
    }

    fn not_found(&self, project: ProjectId, name: &str, at: Option<&Provenance>) -> LoadError {
        let Instance { conf, files, .. } = &self[project];
        let directory = &conf.element_path;
        // A frequent mistake is to write the name with the element path before it.
        let stripped = name
            .strip_prefix(directory)
            .and_then(|rest| rest.strip_prefix('/'));
        let stripped = stripped
            .filter(|rest| files.stat(&element_file(directory, rest)).is_ok())
            .map(str::to_owned);
        let suggestion = stripped.or_else(|| {
            // That there is no such element is the error, whatever is wrong with others.
            let names = list_elements(files, directory).unwrap_or_default();
            let stem = |name| str::strip_suffix(name, ".bst").unwrap_or(name);
            let stems = names.iter().map(|name| stem(name.as_str()));
            nearest(stem(name), stems).map(|stem| format!("{stem}.bst"))
        });
        let problem = Problem::NoElement {
            name: name.to_owned(),
            directory: files.path(directory),
            suggestion,
        };
        LoadError::maybe_at(at, problem)
    }
}

/// Whether an element is likely to need plugins that are not built in: whoever runs them takes a while to be ready.
fn needs_plugins(kind: &str, node: &Mapping) -> bool {
    let sources = node.sequence("sources").ok().flatten();
    let sources = sources.and_then(|list| list.mappings().ok());
    let mut kinds = sources
        .iter()
        .flatten()
        .filter_map(|source| source.string("kind").ok()?);
    ElementKind::from_name(kind).is_none()
        || kinds.any(|kind| SourceKind::from_name(kind).is_none())
}

/// Junctions and links are read before all other parts of a project are.
fn is_first_pass(node: &Mapping) -> Result<bool, LoadError> {
    Ok(matches!(node.string("kind")?, Some("junction" | "link")))
}

fn element_file(element_path: &str, name: &str) -> String {
    match element_path {
        "" => name.to_owned(),
        directory => format!("{directory}/{name}"),
    }
}

/// The names of all files below the element path that end in `.bst`, sorted.
pub(crate) fn list_elements(
    files: &dyn Files,
    element_path: &str,
) -> Result<Vec<String>, LoadError> {
    let mut names = Vec::new();
    let mut todo = vec![String::new()];
    while let Some(directory) = todo.pop() {
        let path = path::normalize(&format!("{element_path}/{directory}"));
        let path = path.trim_start_matches('/').to_owned();
        let read = |error| {
            let path = path.clone();
            LoadError::nowhere(Problem::Read { path, error })
        };
        for name in files.list(&path).map_err(read)? {
            // BuildStream keeps staged junctions in there.
            if name == ".bst" {
                continue;
            }
            let below = if directory.is_empty() {
                name
            } else {
                format!("{directory}/{name}")
            };
            let full = format!("{path}/{}", below.rsplit('/').next().unwrap_or_default());
            match files.stat(full.trim_start_matches('/')) {
                Ok(Stat::Directory) => todo.push(below),
                Ok(_) if below.ends_with(".bst") => names.push(below),
                _ => {}
            }
        }
    }
    names.sort();
    Ok(names)
}
