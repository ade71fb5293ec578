//! The dependencies of a build, as the scheduler needs them.

use headstart_project::ElementId;

/// Elements with their direct dependencies, acyclic, by dense ids.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    elements: Vec<Dependencies>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Dependencies {
    pub(crate) build: Vec<ElementId>,
    pub(crate) runtime: Vec<ElementId>,
    /// Whose run closure this element's run closure is part of.
    pub(crate) runtime_of: Vec<ElementId>,
    /// Who has it as a direct build dependency.
    pub(crate) build_of: Vec<ElementId>,
    height: u32,
}

impl Graph {
    /// A graph of `elements`: the direct build and runtime dependencies of each, by its index.
    pub fn new(elements: impl IntoIterator<Item = (Vec<ElementId>, Vec<ElementId>)>) -> Self {
        let mut graph = Self {
            elements: elements
                .into_iter()
                .map(|(build, runtime)| Dependencies {
                    build,
                    runtime,
                    ..Default::default()
                })
                .collect(),
        };
        for index in 0..graph.elements.len() {
            let id = ElementId::from_index(index);
            for dependency in graph.elements[index].build.clone() {
                graph.elements[dependency.index()].build_of.push(id);
            }
            for dependency in graph.elements[index].runtime.clone() {
                graph.elements[dependency.index()].runtime_of.push(id);
            }
        }
        graph.measure();
        graph
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// The longest way, in elements, from `element` to one that nothing depends on: how much of the
    /// build waits for it. What has the greatest height is best begun first.
    pub fn height(&self, element: ElementId) -> u32 {
        self.elements[element.index()].height
    }

    pub(crate) fn of(&self, element: ElementId) -> &Dependencies {
        &self.elements[element.index()]
    }

    /// Sets the heights, from the top down: an element is measured when all its dependents are.
    fn measure(&mut self) {
        let dependents = |d: &Dependencies| d.build_of.len() + d.runtime_of.len();
        let mut left: Vec<usize> = self.elements.iter().map(dependents).collect();
        let mut ready: Vec<usize> = (0..left.len()).filter(|index| left[*index] == 0).collect();
        while let Some(index) = ready.pop() {
            let height = self.elements[index].height + 1;
            let below = self.elements[index].build.clone();
            for dependency in below
                .into_iter()
                .chain(self.elements[index].runtime.clone())
            {
                let at = dependency.index();
                self.elements[at].height = self.elements[at].height.max(height);
                left[at] -= 1;
                if left[at] == 0 {
                    ready.push(at);
                }
            }
        }
    }
}
