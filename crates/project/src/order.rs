//! The order of dependencies: of all elements so that each comes after what it needs, and of each element's own
//! as BuildStream stages them.

use crate::error::{LoadError, Problem};
use crate::listsort;
use crate::loader::{LoadedDependency, LoadedElement};
use crate::universe::Universe;

/// Sorts each element's dependencies: what depends on another of them comes after it, what is only
/// needed at runtime last, else by name. That is no total order (see [`listsort`]).
///
/// The error is that an element depends on itself.
pub(crate) fn sort_dependencies(universe: &mut Universe) -> Result<(), LoadError> {
    let order = dependencies_first(&universe.elements)?;
    let mut closures = Closures::new(&universe.elements, &order);
    for index in order {
        let mut dependencies = std::mem::take(&mut universe.elements[index].dependencies);
        if dependencies.len() > 1 {
            dependencies = sorted(universe, &closures, dependencies);
        }
        closures.add(index, &dependencies);
        universe.elements[index].dependencies = dependencies;
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
fn dependencies_first(elements: &[LoadedElement]) -> Result<Vec<usize>, LoadError> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    // Close together, as they are gone through in no order at all.
    let mut starts = vec![0];
    let mut others = Vec::new();
    for element in elements {
        others.extend(element.dependencies.iter().map(|it| it.element));
        starts.push(others.len());
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
            let list = &others[starts[*current]..starts[*current + 1]];
            let Some(&other) = list.get(*position) else {
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

/// For each element the set of all that it depends on, as long as that may be asked for: an element's is made
/// after those of its dependencies, and dropped with the last of its dependants.
struct Closures {
    /// The place of each element in the order. Elements that depend on each other are close to each other there.
    places: Vec<u32>,
    /// By element: its set, as the words of a bit set that are not zero, in order, with their numbers. Bits are
    /// places.
    sets: Vec<Vec<(u32, u64)>>,
    /// By element: dependants that are still to be added.
    awaited: Vec<u32>,
    /// The set that is being made, as all words. Zero in between.
    words: Vec<u64>,
}

impl Closures {
    fn new(elements: &[LoadedElement], order: &[usize]) -> Self {
        let mut places = vec![0; elements.len()];
        for (place, &index) in (0..).zip(order) {
            places[index] = place;
        }
        let mut awaited = vec![0; elements.len()];
        for dependency in elements.iter().flat_map(|element| &element.dependencies) {
            awaited[dependency.element] += 1;
        }
        Self {
            places,
            sets: vec![Vec::new(); elements.len()],
            awaited,
            words: vec![0; elements.len().div_ceil(64)],
        }
    }

    /// Adds an element whose dependencies have been added.
    fn add(&mut self, element: usize, dependencies: &[LoadedDependency]) {
        if self.awaited[element] > 0 {
            self.sets[element] = self.union(dependencies);
        }
        for dependency in dependencies {
            let awaited = &mut self.awaited[dependency.element];
            *awaited -= 1;
            if *awaited == 0 {
                self.sets[dependency.element] = Vec::new();
            }
        }
    }

    fn union(&mut self, dependencies: &[LoadedDependency]) -> Vec<(u32, u64)> {
        let mut touched = Vec::new();
        for dependency in dependencies {
            let own = bit(self.places[dependency.element]);
            for (number, bits) in self.sets[dependency.element].iter().copied().chain([own]) {
                let word = &mut self.words[number as usize];
                if *word == 0 {
                    touched.push(number);
                }
                *word |= bits;
            }
        }
        if touched.len() < self.words.len() / 8 {
            touched.sort_unstable();
            let words = &mut self.words;
            let take = |number: u32| (number, std::mem::take(&mut words[number as usize]));
            return touched.into_iter().map(take).collect();
        }
        // To go through all of them is quicker than to sort so many.
        let mut set = Vec::with_capacity(touched.len());
        for (number, word) in (0..).zip(&mut self.words) {
            if *word != 0 {
                set.push((number, std::mem::take(word)));
            }
        }
        set
    }

    /// Whether an element depends on another one. Both are dependencies of the one that is to be added next.
    fn depends(&self, element: usize, on: usize) -> bool {
        if self.places[on] >= self.places[element] {
            return false;
        }
        let (number, bit) = bit(self.places[on]);
        let set = &self.sets[element];
        let found = set.binary_search_by_key(&number, |(number, _)| *number);
        found.is_ok_and(|found| set[found].1 & bit != 0)
    }
}

/// The number of the word that a place is in, and the word with just its bit.
fn bit(place: u32) -> (u32, u64) {
    (place / 64, 1 << (place % 64))
}
