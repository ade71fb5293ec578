//! The dependencies of a build, as the scheduler needs them.

use std::cmp::Reverse;

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
    turn: u32,
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
        graph.take_turns();
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

    /// An element's place in the order in which one builder would build all of them: along the
    /// critical path, what most of the build waits for first.
    pub fn turn(&self, element: ElementId) -> u32 {
        self.elements[element.index()].turn
    }

    pub(crate) fn of(&self, element: ElementId) -> &Dependencies {
        &self.elements[element.index()]
    }

    /// Sets the turns by the heights. What depends on an element is less high, and comes later.
    fn take_turns(&mut self) {
        let mut order: Vec<usize> = (0..self.elements.len()).collect();
        order.sort_by_key(|index| Reverse(self.elements[*index].height));
        for (turn, index) in order.into_iter().enumerate() {
            self.elements[index].turn = turn as u32;
        }
    }

    /// Sets the heights, the longest way in elements to one that nothing depends on, from the top
    /// down: an element is measured when all its dependents are.
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
