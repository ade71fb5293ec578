//! The loaded elements and the order in which BuildStream looks at them.

use std::collections::{BTreeMap, HashMap};
use std::ops::Index;
use std::sync::Arc;

use crate::element::{Element, ElementId};
use crate::error::Warning;
use crate::keys::Content;
use crate::lists::Lists;
use crate::project::{Project, ProjectId};
use crate::scope::Scope;
use crate::source::Source;

/// The targets that were asked for, with all that they depend on.
///
/// Invariants: ids are dense, and an element's dependencies have smaller ids than it. The order of
/// ids is that of BuildStream's pipeline: build, then runtime dependencies first, target by target.
#[derive(Clone, Debug, Default)]
pub struct ElementGraph {
    elements: Vec<Element>,
    targets: Vec<ElementId>,
    by_name: HashMap<Arc<str>, ElementId>,
    /// The runtime dependencies of all elements, close together: most walks follow just them.
    runtime: Lists<ElementId>,
    projects: BTreeMap<ProjectId, Arc<Project>>,
    warnings: Vec<Warning>,
}

impl ElementGraph {
    pub(crate) fn new(
        targets: Vec<ElementId>,
        elements: Vec<Element>,
        projects: BTreeMap<ProjectId, Arc<Project>>,
        warnings: Vec<Warning>,
    ) -> Self {
        let names = elements.iter().map(|element| element.full_name.clone());
        let by_name = names.zip((0..).map(ElementId)).collect();
        let runtime = elements.iter();
        let runtime = runtime.map(|element| element.runtime_dependencies.iter().copied());
        Self {
            runtime: runtime.collect(),
            elements,
            targets,
            by_name,
            projects,
            warnings,
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// All elements, dependencies before dependants.
    pub fn iter(
        &self,
    ) -> impl ExactSizeIterator<Item = (ElementId, &Element)> + DoubleEndedIterator {
        let elements = self.elements.iter().enumerate();
        elements.map(|(index, element)| (ElementId::from_index(index), element))
    }

    /// The element at an id, if the graph has it.
    pub fn get(&self, id: ElementId) -> Option<&Element> {
        self.elements.get(id.index())
    }

    /// The elements that were asked for.
    pub fn targets(&self) -> &[ElementId] {
        &self.targets
    }

    /// The element with this full name.
    pub fn find(&self, full_name: &str) -> Option<ElementId> {
        self.by_name.get(full_name).copied()
    }

    /// The project of an element, as the element sees it; none if the element is of another graph.
    pub fn project(&self, id: ElementId) -> Option<&Arc<Project>> {
        self.projects.get(&self.get(id)?.project_id)
    }

    /// The project of an element.
    pub fn project_of(&self, element: &Element) -> Option<&Arc<Project>> {
        self.projects.get(&element.project_id)
    }

    /// The projects of all elements.
    pub fn projects(&self) -> impl Iterator<Item = &Arc<Project>> {
        self.projects.values()
    }

    /// What was doubtful when the elements were loaded.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// What of the project's files must be digested before keys can be computed, each once.
    pub fn contents(&self) -> Vec<Content> {
        let sources = self.elements.iter().flat_map(|element| &element.sources);
        let mut contents: Vec<Content> = sources.flat_map(Source::contents).collect();
        contents.sort();
        contents.dedup();
        contents
    }

    /// All that is staged to build an element: its build dependencies with what those need at
    /// runtime, each once, in the order of staging.
    pub fn build_scope(&self, id: ElementId) -> Vec<ElementId> {
        self.run_scope_of(&self[id].build_dependencies)
    }

    /// All that is staged to use an element: what it needs at runtime, and last itself.
    pub fn run_scope(&self, id: ElementId) -> Vec<ElementId> {
        self.run_scope_of(&[id])
    }

    /// All that is staged to use several elements, each once, in the order of staging.
    pub fn run_scope_of(&self, ids: &[ElementId]) -> Vec<ElementId> {
        let mut scope = Scope::new(self.len());
        self.fill_run_scope(ids, &mut scope);
        scope.into_ids()
    }

    /// Makes a scope that of [`Self::run_scope_of`].
    pub(crate) fn fill_run_scope(&self, ids: &[ElementId], scope: &mut Scope<ElementId>) {
        scope.fill(ids, |id, position| {
            self.runtime.of(id.index()).get(position).copied()
        });
    }

    /// Elements with all that they are built with and used with, each once, dependencies first.
    pub fn all_scope(&self, ids: &[ElementId]) -> Vec<ElementId> {
        let mut scope = Scope::new(self.len());
        scope.fill(ids, |id, position| {
            let build = &self[id].build_dependencies;
            let runtime_position = position.checked_sub(build.len());
            build
                .get(position)
                .or_else(|| self.runtime.of(id.index()).get(runtime_position?))
                .copied()
        });
        scope.into_ids()
    }
}

impl Index<ElementId> for ElementGraph {
    type Output = Element;

    /// The element at an id of this graph. Panics on an id of a larger graph.
    fn index(&self, id: ElementId) -> &Element {
        &self.elements[id.index()]
    }
}
