//! `(@)`: other files, also of joined projects, laid under the mapping that includes them.

use std::collections::HashMap;
use std::sync::Arc;

use headstart_yaml::{Mapping, Node, Scalar, Sequence};

use crate::error::{LoadError, Problem};
use crate::files::Files;
use crate::junctions::Follow;
use crate::path;
use crate::project::{Pass, ProjectId};
use crate::universe::Universe;
use crate::variables::Variables;

pub(crate) const INCLUDE: &str = "(@)";

/// Files that include each other, one within the other.
const MAX_NESTING: usize = 20;

/// Bytes that one file includes in all, counting each time. Files that include others several times
/// could multiply without end.
const MAX_INCLUDED: usize = 64 << 20;

/// The files that have been included so far, with their sizes: for elements of a project (or for
/// its project.conf), those of whatever project.
///
/// A file that is included across a junction is there as the first who asked for it saw it, with
/// the other project's variables replaced or not: so it is in BuildStream.
pub(crate) type IncludeCache = HashMap<(ProjectId, bool, ProjectId, String), (Arc<Mapping>, usize)>;

/// Resolves the includes of one file.
pub(crate) struct Includes<'a> {
    universe: &'a mut Universe,
    /// The project of the file.
    root: ProjectId,
    /// Which of its configurations is made, if the file is project.conf: that has no options yet.
    pass: Option<Pass>,
    /// The files that are being included, one within the other.
    open: Vec<String>,
    /// Bytes that have been included.
    included: usize,
}

/// Where an included file is seen from.
#[derive(Clone, Copy)]
struct Place {
    project: ProjectId,
    /// Whether conditions are resolved: there are options to do it with.
    with_options: bool,
}

impl<'a> Includes<'a> {
    /// Those of a project's project.conf.
    pub(crate) fn of_project(universe: &'a mut Universe, root: ProjectId, pass: Pass) -> Self {
        Self::new(universe, root, Some(pass))
    }

    /// Those of an element of a project.
    pub(crate) fn of_elements(universe: &'a mut Universe, root: ProjectId) -> Self {
        Self::new(universe, root, None)
    }

    fn new(universe: &'a mut Universe, root: ProjectId, pass: Option<Pass>) -> Self {
        Self {
            universe,
            root,
            pass,
            open: Vec::new(),
            included: 0,
        }
    }

    /// Resolves conditions (if there are options), then all includes in the mapping.
    pub(crate) fn process(mut self, mapping: &mut Mapping) -> Result<(), LoadError> {
        let place = Place {
            project: self.root,
            with_options: self.pass.is_none(),
        };
        self.file(mapping, place)
    }

    fn file(&mut self, mapping: &mut Mapping, place: Place) -> Result<(), LoadError> {
        if place.with_options {
            let options = self.universe.options(place.project);
            options.process(mapping, &[])?;
        }
        self.mapping(mapping, place)
    }

    fn mapping(&mut self, mapping: &mut Mapping, place: Place) -> Result<(), LoadError> {
        match mapping.remove(INCLUDE) {
            None => {}
            Some(Node::Scalar(path)) => self.include(&path, mapping, place)?,
            Some(Node::Sequence(paths)) => {
                // Later files win over earlier ones, and the mapping itself over all.
                for path in paths.scalars()?.into_iter().rev() {
                    self.include(path, mapping, place)?;
                }
            }
            Some(other) => return Err(other.unlike("the path of a file or a list of them").into()),
        }
        mapping
            .values_mut()
            .try_for_each(|value| self.value(value, place))
    }

    fn value(&mut self, value: &mut Node, place: Place) -> Result<(), LoadError> {
        match value {
            Node::Scalar(_) => Ok(()),
            Node::Sequence(Sequence { items, .. }) => items
                .iter_mut()
                .try_for_each(|item| self.value(item, place)),
            Node::Mapping(mapping) => self.mapping(mapping, place),
        }
    }

    fn include(
        &mut self,
        path: &Scalar,
        mapping: &mut Mapping,
        place: Place,
    ) -> Result<(), LoadError> {
        let (project, name) = match path.value.rsplit_once(':') {
            None => (place.project, &*path.value),
            // The first pass must not need other projects.
            Some(_) if self.pass == Some(Pass::First) => return Ok(()),
            Some((junctions, name)) => {
                let at = Some(&path.at);
                let universe = &mut *self.universe;
                let found = universe.follow(place.project, junctions, at, Follow::Loading)?;
                let project = found.unwrap_or(place.project);
                universe.load_fully(project)?;
                (project, name)
            }
        };
        let name = path::within_project(name).map_err(|problem| {
            let path_text = path.value.to_string();
            let problem = Problem::Path {
                path: path_text,
                problem,
            };
            LoadError::at(&path.at, problem)
        })?;
        let file = self.universe[project].files.path(&name);
        if self.open.contains(&file) {
            return Err(LoadError::at(&path.at, Problem::RecursiveInclude(file)));
        }
        if self.open.len() >= MAX_NESTING {
            return Err(LoadError::at(&path.at, Problem::DeepInclude(MAX_NESTING)));
        }
        let (loaded, len) = self.load(path, place.project, project, name)?;
        // An empty file costs something too.
        self.included += len + 256;
        if self.included > MAX_INCLUDED {
            return Err(LoadError::at(&path.at, Problem::ManyIncludes(MAX_INCLUDED)));
        }
        let mut included = Mapping::clone(&loaded);
        self.open.push(file);
        let inside = Place {
            project,
            with_options: place.with_options || project != place.project,
        };
        self.file(&mut included, inside)?;
        self.open.pop();
        included.compose_under(mapping)?;
        Ok(())
    }

    fn load(
        &mut self,
        path: &Scalar,
        from: ProjectId,
        project: ProjectId,
        name: String,
    ) -> Result<(Arc<Mapping>, usize), LoadError> {
        let key = (self.root, self.pass.is_some(), project, name);
        if let Some(loaded) = self.universe.included.get(&key) {
            return Ok(loaded.clone());
        }
        let files = &self.universe[project].files;
        let text = files.read(&key.3).map_err(|error| {
            let path_text = path.value.to_string();
            LoadError::at(
                &path.at,
                Problem::Read {
                    path: path_text,
                    error,
                },
            )
        })?;
        let mut loaded = headstart_yaml::parse(&files.path(&key.3), &text)?;
        if project != from {
            // Seen from outside, the file means what it means in its own project.
            let variables = self.universe.full(project)?.variables().clone();
            Variables::resolve_possible(&variables)?.expand(&mut loaded)?;
        }
        let loaded = (Arc::new(loaded), text.len());
        self.universe.included.insert(key, loaded.clone());
        Ok(loaded)
    }
}
