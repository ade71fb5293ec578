//! The way in: a top-level project, with all that is loaded from there.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::LoadError;
use crate::files::Files;
use crate::graph::ElementGraph;
use crate::outside::Outside;
use crate::project::{Project, ProjectId, Settings};
use crate::universe::Universe;

/// A top-level project and the projects that it is joined to.
pub struct Projects {
    top: Arc<Project>,
    universe: Mutex<Universe>,
}

impl Projects {
    /// Loads the top-level project. Of the projects that it is joined to only those are loaded
    /// that its configuration includes files of; `files` are its own, and theirs below them.
    pub fn load(
        files: Arc<dyn Files>,
        outside: Arc<dyn Outside>,
        settings: Settings,
    ) -> Result<Self, LoadError> {
        let universe = Universe::open(files, outside, settings)?;
        Ok(Self {
            top: universe.full(ProjectId::TOP)?,
            universe: Mutex::new(universe),
        })
    }

    /// The top-level project.
    pub fn top(&self) -> &Arc<Project> {
        &self.top
    }

    /// One of the projects, if it is loaded completely.
    pub fn project(&self, id: ProjectId) -> Option<Arc<Project>> {
        let universe = self.universe.lock().unwrap_or_else(PoisonError::into_inner);
        universe.full(id).ok()
    }

    /// The first loaded project of a name.
    pub fn called(&self, name: &str) -> Option<ProjectId> {
        let universe = self.universe.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ids = universe.ids();
        ids.find(|id| *universe[*id].conf.name == *name && universe.full(*id).is_ok())
    }

    /// A project and those that it was loaded by, up to the top-level one.
    pub fn ancestry(&self, id: ProjectId) -> Vec<Arc<Project>> {
        let universe = self.universe.lock().unwrap_or_else(PoisonError::into_inner);
        let ids = universe.ancestry(id);
        ids.filter_map(|id| universe.full(id).ok()).collect()
    }

    /// Loads elements with all that they depend on, of whatever project. Names are relative to the
    /// top-level project's element path.
    pub fn load_elements(&self, targets: &[impl AsRef<str>]) -> Result<ElementGraph, LoadError> {
        // What a panicking thread leaves is whole: entries are only added.
        let mut universe = self.universe.lock().unwrap_or_else(PoisonError::into_inner);
        universe.load_elements(targets)
    }
}
