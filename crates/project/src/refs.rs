//! References of sources that are kept in files of their own: `ref-storage: project.refs`.
//!
//! `project.refs` and, for junctions, `junction.refs` hold for each project, element and source a
//! mapping with its reference. Those of the top-level project win over those of the projects that
//! are joined to it. See BuildStream's documentation, "Project configuration", "ref-storage".

use headstart_yaml::{Mapping, Node};

use crate::conf::RefStorage;
use crate::error::LoadError;
use crate::files::{FileError, Files};
use crate::options::Options;
use crate::project::Pass;
use crate::{Problem, files::Below};

/// The references in a project's file; none if it keeps them with the sources.
#[derive(Debug, Default)]
pub(crate) struct Refs {
    projects: Option<Mapping>,
}

impl Refs {
    /// Reads the file that a pass' elements look in. It may be missing.
    pub(crate) fn load(
        files: &Below,
        storage: RefStorage,
        pass: Pass,
        options: &Options,
    ) -> Result<Self, LoadError> {
        if storage == RefStorage::Inline {
            return Ok(Self::default());
        }
        let name = match pass {
            Pass::First => "junction.refs",
            Pass::Second => "project.refs",
        };
        let path = files.path(name);
        let mut node = match files.read(name) {
            Ok(text) => headstart_yaml::parse(&path, &text)?,
            Err(FileError::NotFound) => Mapping::default(),
            Err(error) => return Err(LoadError::nowhere(Problem::Read { path, error })),
        };
        options.process(&mut node, &[])?;
        node.expect_composed()?;
        node.expect_keys(&["projects"])?;
        Ok(Self {
            projects: Some(node.take_mapping("projects")?.unwrap_or_default()),
        })
    }

    /// Whether references are kept here.
    pub(crate) fn are_used(&self) -> bool {
        self.projects.is_some()
    }

    /// What the file says of a source, by its place among those of its element.
    pub(crate) fn find(&self, project: &str, element: &str, index: usize) -> Option<&Mapping> {
        let projects = self.projects.as_ref()?;
        let project = projects.mapping(project).ok().flatten()?;
        let sources = project.sequence(element).ok().flatten()?;
        match sources.items.get(index)? {
            Node::Mapping(node) => Some(node),
            _ => None,
        }
    }
}
