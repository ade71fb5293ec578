//! The order of dependencies: of all elements so that each comes after what it needs, and of each element's own
//! as BuildStream stages them.

use crate::error::{LoadError, Problem};
use crate::lists::Lists;
use crate::listsort;
use crate::loader::{LoadedDependency, LoadedElement};
use crate::universe::Universe;

/// Sorts each element's dependencies: what depends on another of them comes after it, what is only
/// needed at runtime last, else by name. That is no total order (see [`listsort`]).
///
/// The error is that an element depends on itself.
pub(crate) fn sort_dependencies(universe: &mut Universe) -> Result<(), LoadError> {
    let elements = universe.elements.iter();
    let lists: Lists<usize> = elements
        .map(|element| element.dependencies.iter().map(|it| it.element))
        .collect();
    let order = dependencies_first(&universe.elements, &lists)?;
    let mut closures = Closures::new(&lists, &order);
    for index in order {
        let list = lists.of(index);
        if list.len() > 1 {
            let dependencies = std::mem::take(&mut universe.elements[index].dependencies);
            let dependencies = sorted(universe, &closures, dependencies);
            universe.elements[index].dependencies = dependencies;
        }
        closures.add(index, list);
    }
    Ok(())
}

fn sorted(
    universe: &Universe,
    closures: &Closures,
    dependencies: Vec<LoadedDependency>,
) -> Vec<LoadedDependency> {
    let mut positions: Vec<usize> = (0..dependencies.len()).collect();
    listsort::sort(&mut positions, |left, right| {
        is_before(
            universe,
            closures,
            &dependencies[left],
            &dependencies[right],
        )
    });
    if positions.is_sorted() {
        return dependencies;
    }
    let mut taken: Vec<Option<LoadedDependency>> = dependencies.into_iter().map(Some).collect();
    let sorted = positions.into_iter();
    sorted
        .filter_map(|position| taken[position].take())
        .collect()
}

/// The elements so that dependencies come first, or the error that some depend on themselves.
fn dependencies_first(
    elements: &[LoadedElement],
    lists: &Lists<usize>,
) -> Result<Vec<usize>, LoadError> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    let mut states = vec![State::New; elements.len()];
    let mut order = Vec::with_capacity(elements.len());
    for root in 0..elements.len() {
        if states[root] != State::New {
            continue;
        }
        states[root] = State::Open;
        let mut stack = vec![(root, 0)];
        while let Some((current, position)) = stack.last_mut() {
            let Some(&other) = lists.of(*current).get(*position) else {
                states[*current] = State::Done;
                order.push(*current);
                stack.pop();
                continue;
            };
            match states[other] {
                State::Done => *position += 1,
                State::New => {
                    *position += 1;
                    states[other] = State::Open;
                    stack.push((other, 0));
                }
                State::Open => {
                    let again = &elements[*current].dependencies[*position];
                    let open: Vec<usize> = stack.iter().map(|entry| entry.0).collect();
                    return Err(circular(elements, &open, again));
                }
            }
        }
    }
    Ok(order)
}

fn circular(elements: &[LoadedElement], open: &[usize], again: &LoadedDependency) -> LoadError {
    let from = open.iter().position(|&index| index == again.element);
    let circle = open[from.unwrap_or(0)..].iter().chain([&again.element]);
    let chain: Vec<&str> = circle.map(|&index| &*elements[index].full_name).collect();
    let problem = Problem::CircularDependency {
        name: elements[again.element].full_name.to_string(),
        chain: chain.join(" -> "),
    };
    LoadError::at(&again.written.at, problem)
}

fn is_before(
    universe: &Universe,
    closures: &Closures,
    left: &LoadedDependency,
    right: &LoadedDependency,
) -> bool {
    if closures.depends(left.element, right.element) {
        return false;
    }
    if closures.depends(right.element, left.element) {
        return true;
    }
    let kinds =
        |dependency: &LoadedDependency| (dependency.written.build, dependency.written.runtime);
    let (left_kinds, right_kinds) = (kinds(left), kinds(right));
    if left_kinds != right_kinds {
        if left_kinds == (false, true) {
            return false;
        }
        if right_kinds == (false, true) {
            return true;
        }
    }
    let (left, right) = (
        &universe.elements[left.element],
        &universe.elements[right.element],
    );
    if left.name != right.name {
        return left.name < right.name;
    }
    let junction = |element: &LoadedElement| Some(&universe[element.project].parent.as_ref()?.name);
    match (junction(left), junction(right)) {
        (Some(left), Some(right)) => left < right,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// Words of a block.
const WORDS: usize = 4;

/// A piece of a set of places, one in a bit.
type Block = [u64; WORDS];

/// A set of places: its blocks that are not empty, in order, with their numbers.
type Places = Vec<(u32, Block)>;

/// For each element the set of all that it depends on, as long as that may be asked for: an element's is made
/// after those of its dependencies, and dropped with the last of its dependants.
struct Closures {
    /// The place of each element in the order. Elements that depend on each other are close to each other there.
    places: Vec<u32>,
    /// By element.
    sets: Vec<Places>,
    /// By element: dependants that are still to be added.
    awaited: Vec<u32>,
    /// The set that is being made, with all blocks. Empty in between.
    blocks: Vec<Block>,
}

impl Closures {
    fn new(dependencies: &Lists<usize>, order: &[usize]) -> Self {
        let len = order.len();
        let mut places = vec![0; len];
        for (place, &index) in (0..).zip(order) {
            places[index] = place;
        }
        let mut awaited = vec![0; len];
        for &dependency in dependencies.items() {
            awaited[dependency] += 1;
        }
        Self {
            places,
            sets: vec![Vec::new(); len],
            awaited,
            blocks: vec![Block::default(); len.div_ceil(64 * WORDS)],
        }
    }

    /// Adds an element whose dependencies have been added.
    fn add(&mut self, element: usize, dependencies: &[usize]) {
        if self.awaited[element] > 0 {
            self.sets[element] = self.union(dependencies);
        }
        for &dependency in dependencies {
            let awaited = &mut self.awaited[dependency];
            *awaited -= 1;
            if *awaited == 0 {
                self.sets[dependency] = Vec::new();
            }
        }
    }

    /// Some elements with all that they depend on.
    fn union(&mut self, elements: &[usize]) -> Places {
        let mut touched = Vec::new();
        for &element in elements {
            let (number, word, bit) = bit(self.places[element]);
            let mut own = Block::default();
            own[word] = bit;
            for (number, block) in self.sets[element].iter().chain([&(number, own)]) {
                let sum = &mut self.blocks[*number as usize];
                if *sum == Block::default() {
                    touched.push(*number);
                }
                for (sum, word) in sum.iter_mut().zip(block) {
                    *sum |= word;
                }
            }
        }
        touched.sort_unstable();
        let mut take = |number: u32| std::mem::take(&mut self.blocks[number as usize]);
        let taken = touched.into_iter();
        taken.map(|number| (number, take(number))).collect()
    }

    /// Whether an element depends on another one. Both are dependencies of the one that is to be added next.
    fn depends(&self, element: usize, on: usize) -> bool {
        if self.places[on] >= self.places[element] {
            return false;
        }
        let (number, word, bit) = bit(self.places[on]);
        let set = &self.sets[element];
        let found = set.binary_search_by_key(&number, |(number, _)| *number);
        found.is_ok_and(|found| set[found].1[word] & bit != 0)
    }
}

/// Where a place is in a set: the number of the block, the word in it, and that word with just its bit.
fn bit(place: u32) -> (u32, usize, u64) {
    let word = place / 64;
    (
        word / WORDS as u32,
        word as usize % WORDS,
        1 << (place % 64),
    )
}
