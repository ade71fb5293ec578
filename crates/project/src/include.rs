//! `(@)`: other files of the project, laid under the mapping that includes them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

use headstart_yaml::{Mapping, Node, Scalar, Sequence};

use crate::error::{LoadError, Problem};
use crate::files::Files;
use crate::options::Options;
use crate::path;

const INCLUDE: &str = "(@)";

/// Files that include each other, one within the other.
const MAX_NESTING: usize = 20;

/// Bytes that one file includes in all, counting each time. Files that include others several times
/// could multiply without end.
const MAX_INCLUDED: usize = 64 << 20;

/// The files of a project that have been included so far.
pub(crate) struct Includes<'a> {
    files: &'a dyn Files,
    /// Resolves conditions in what is included; project.conf itself has none yet.
    options: Option<&'a Options>,
    loaded: RefCell<HashMap<String, (Arc<Mapping>, usize)>>,
    /// Bytes that the file at hand has included.
    included: Cell<usize>,
}

impl<'a> Includes<'a> {
    pub(crate) fn new(files: &'a dyn Files, options: Option<&'a Options>) -> Self {
        Self {
            files,
            options,
            loaded: RefCell::default(),
            included: Cell::default(),
        }
    }

    /// Resolves conditions (if there are options), then all includes in the mapping.
    pub(crate) fn process(&self, mapping: &mut Mapping) -> Result<(), LoadError> {
        self.included.set(0);
        self.process_file(mapping, &mut Vec::new())
    }

    fn process_file(&self, mapping: &mut Mapping, open: &mut Vec<String>) -> Result<(), LoadError> {
        if let Some(options) = self.options {
            options.process(mapping, &[])?;
        }
        self.process_mapping(mapping, open)
    }

    fn process_mapping(
        &self,
        mapping: &mut Mapping,
        open: &mut Vec<String>,
    ) -> Result<(), LoadError> {
        match mapping.remove(INCLUDE) {
            None => {}
            Some(Node::Scalar(path)) => self.include(&path, mapping, open)?,
            Some(Node::Sequence(paths)) => {
                // Later files win over earlier ones, and the mapping itself over all.
                for path in paths.scalars()?.into_iter().rev() {
                    self.include(path, mapping, open)?;
                }
            }
            Some(other) => return Err(other.unlike("the path of a file or a list of them").into()),
        }
        mapping
            .values_mut()
            .try_for_each(|value| self.process_value(value, open))
    }

    fn process_value(&self, value: &mut Node, open: &mut Vec<String>) -> Result<(), LoadError> {
        match value {
            Node::Scalar(_) => Ok(()),
            Node::Sequence(Sequence { items, .. }) => items
                .iter_mut()
                .try_for_each(|item| self.process_value(item, open)),
            Node::Mapping(mapping) => self.process_mapping(mapping, open),
        }
    }

    fn include(
        &self,
        path: &Scalar,
        mapping: &mut Mapping,
        open: &mut Vec<String>,
    ) -> Result<(), LoadError> {
        if path.value.contains(':') {
            let problem = Problem::Unsupported("including files of other projects is".to_owned());
            return Err(LoadError::at(&path.at, problem));
        }
        let name = path::within_project(&path.value).map_err(|problem| {
            let path_text = path.value.to_string();
            let problem = Problem::Path {
                path: path_text,
                problem,
            };
            LoadError::at(&path.at, problem)
        })?;
        if open.contains(&name) {
            return Err(LoadError::at(&path.at, Problem::RecursiveInclude(name)));
        }
        if open.len() >= MAX_NESTING {
            return Err(LoadError::at(&path.at, Problem::DeepInclude(MAX_NESTING)));
        }
        let (loaded, len) = self.load(path, &name)?;
        // An empty file costs something too.
        self.included.set(self.included.get() + len + 256);
        if self.included.get() > MAX_INCLUDED {
            return Err(LoadError::at(&path.at, Problem::ManyIncludes(MAX_INCLUDED)));
        }
        let mut included = Mapping::clone(&loaded);
        open.push(name);
        self.process_file(&mut included, open)?;
        open.pop();
        included.compose_under(mapping)?;
        Ok(())
    }

    fn load(&self, path: &Scalar, name: &str) -> Result<(Arc<Mapping>, usize), LoadError> {
        if let Some(loaded) = self.loaded.borrow().get(name) {
            return Ok(loaded.clone());
        }
        let text = self.files.read(name).map_err(|error| {
            let path_text = path.value.to_string();
            LoadError::at(
                &path.at,
                Problem::Read {
                    path: path_text,
                    error,
                },
            )
        })?;
        let loaded = (Arc::new(headstart_yaml::parse(name, &text)?), text.len());
        self.loaded
            .borrow_mut()
            .insert(name.to_owned(), loaded.clone());
        Ok(loaded)
    }
}
