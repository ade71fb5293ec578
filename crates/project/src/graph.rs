//! The loaded elements and the order in which BuildStream looks at them.

use std::collections::{BTreeMap, HashMap};
use std::ops::Index;
use std::sync::Arc;

use crate::element::{Element, ElementId};
use crate::error::Warning;
use crate::keys::Content;
use crate::project::{Project, ProjectId};
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
        Self {
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
        let mut visited = Visited::new(self.len());
        let mut scope = Vec::new();
        self.walk(ids, &mut visited, &mut scope, |element, position| {
            element.runtime_dependencies.get(position).copied()
        });
        scope
    }

    /// Elements with all that they are built with and used with, each once, dependencies first.
    pub fn all_scope(&self, ids: &[ElementId]) -> Vec<ElementId> {
        let mut visited = Visited::new(self.len());
        let mut scope = Vec::new();
        self.walk(ids, &mut visited, &mut scope, |element, position| {
            let build = &element.build_dependencies;
            let runtime = &element.runtime_dependencies;
            let runtime_position = position.checked_sub(build.len());
            build
                .get(position)
                .or_else(|| runtime.get(runtime_position?))
                .copied()
        });
        scope
    }

    /// Post-order over what `next` gives for each position. Iterative, as chains can be long.
    pub(crate) fn walk(
        &self,
        roots: &[ElementId],
        visited: &mut Visited,
        scope: &mut Vec<ElementId>,
        next: impl Fn(&Element, usize) -> Option<ElementId>,
    ) {
        let mut stack: Vec<(ElementId, usize)> = Vec::new();
        for &root in roots {
            if visited.insert(root) {
                stack.push((root, 0));
            }
            while let Some((id, position)) = stack.last_mut() {
                match next(&self.elements[id.index()], *position) {
                    Some(dependency) => {
                        *position += 1;
                        if visited.insert(dependency) {
                            stack.push((dependency, 0));
                        }
                    }
                    None => {
                        scope.push(*id);
                        stack.pop();
                    }
                }
            }
        }
    }
}

impl Index<ElementId> for ElementGraph {
    type Output = Element;

    /// The element at an id of this graph. Panics on an id of a larger graph.
    fn index(&self, id: ElementId) -> &Element {
        &self.elements[id.index()]
    }
}

/// A set of elements that is quick to clear: an element is in it if its mark is the current one.
pub(crate) struct Visited {
    marks: Vec<u32>,
    current: u32,
}

impl Visited {
    pub(crate) fn new(len: usize) -> Self {
        Self {
            marks: vec![0; len],
            current: 1,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.current += 1;
    }

    fn insert(&mut self, id: ElementId) -> bool {
        std::mem::replace(&mut self.marks[id.index()], self.current) != self.current
    }
}
