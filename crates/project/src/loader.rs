//! From targets to element files, their dependencies in order, and no circles.

use std::collections::HashMap;
use std::sync::Arc;

use headstart_yaml::{Mapping, Provenance};

use crate::dependency::{self, Dependency};
use crate::error::{LoadError, Problem};
use crate::files::{FileError, Files, Stat};
use crate::include::Includes;
use crate::listsort;
use crate::path;
use crate::project::Project;

const KEYS: [&str; 12] = [
    "kind",
    "depends",
    "build-depends",
    "runtime-depends",
    "sources",
    "variables",
    "environment",
    "environment-nocache",
    "config",
    "public",
    "sandbox",
    "description",
];

/// An element file with its conditions and includes resolved.
pub(crate) struct LoadedElement {
    pub(crate) name: Arc<str>,
    /// What is left when the dependencies are taken out.
    pub(crate) node: Mapping,
    /// Sorted as BuildStream stages them.
    pub(crate) dependencies: Vec<LoadedDependency>,
}

pub(crate) struct LoadedDependency {
    pub(crate) element: usize,
    pub(crate) written: Dependency,
}

/// All elements that the targets need, in the order they were met, and the targets.
pub(crate) fn load(
    project: &Project,
    targets: &[impl AsRef<str>],
) -> Result<(Vec<LoadedElement>, Vec<usize>), LoadError> {
    let mut loader = Loader {
        project,
        includes: Includes::new(project.files(), Some(project.options())),
        by_name: HashMap::new(),
        elements: Vec::new(),
        todo: Vec::new(),
    };
    let mut indices = Vec::new();
    for target in targets {
        let name = dependency::element_name(target.as_ref(), None)?;
        indices.push(loader.find(&name, None)?);
        loader.load_dependencies()?;
    }
    let mut elements = loader.elements;
    let order = dependencies_first(&elements)?;
    sort_dependencies(&mut elements, &order);
    Ok((elements, indices))
}

struct Loader<'a> {
    project: &'a Project,
    includes: Includes<'a>,
    by_name: HashMap<String, usize>,
    elements: Vec<LoadedElement>,
    /// Elements whose dependencies are still to be looked up, with those.
    todo: Vec<(usize, Vec<Dependency>)>,
}

impl Loader<'_> {
    /// The index of an element, which is read if it is new.
    fn find(&mut self, name: &str, at: Option<&Provenance>) -> Result<usize, LoadError> {
        if let Some(&index) = self.by_name.get(name) {
            return Ok(index);
        }
        let mut node = self.read(name, at)?;
        let dependencies = dependency::take(&mut node)?;
        let index = self.elements.len();
        self.by_name.insert(name.to_owned(), index);
        self.elements.push(LoadedElement {
            name: name.into(),
            node,
            dependencies: Vec::new(),
        });
        self.todo.push((index, dependencies));
        Ok(index)
    }

    fn load_dependencies(&mut self) -> Result<(), LoadError> {
        while let Some((index, dependencies)) = self.todo.pop() {
            let mut found: HashMap<usize, usize> = HashMap::new();
            for written in dependencies {
                let element = self.find(&written.name, Some(&written.at))?;
                let list = &mut self.elements[index].dependencies;
                match found.get(&element) {
                    // The same element, written in two ways.
                    Some(&position) => list[position].written.merge(written),
                    None => {
                        found.insert(element, list.len());
                        list.push(LoadedDependency { element, written });
                    }
                }
            }
        }
        Ok(())
    }

    fn read(&self, name: &str, at: Option<&Provenance>) -> Result<Mapping, LoadError> {
        let path = self.project.element_file(name);
        let text = match self.project.files().read(&path) {
            Ok(text) => text,
            Err(FileError::NotFound) => return Err(self.not_found(name, at)),
            Err(error) => {
                let problem = Problem::Read { path, error };
                return Err(match at {
                    Some(at) => LoadError::at(at, problem),
                    None => LoadError::nowhere(problem),
                });
            }
        };
        let mut node = headstart_yaml::parse(&path, &text)?;
        // These are read before the project's other parts are, so nothing else is done with them.
        if let Some(kind @ ("junction" | "link")) = node.string("kind")? {
            let problem = Problem::Unsupported(format!("the element kind '{kind}' is"));
            let at = node.required("kind")?.at();
            return Err(LoadError::at(at, problem));
        }
        self.includes.process(&mut node)?;
        node.expect_keys(&KEYS)?;
        Ok(node)
    }

    fn not_found(&self, name: &str, at: Option<&Provenance>) -> LoadError {
        let directory = self.project.element_path().to_owned();
        // A frequent mistake is to write the name with the element path before it.
        let stripped = name
            .strip_prefix(&directory)
            .and_then(|rest| rest.strip_prefix('/'));
        let suggestion = stripped
            .filter(|rest| {
                self.project
                    .files()
                    .stat(&self.project.element_file(rest))
                    .is_ok()
            })
            .map(str::to_owned);
        let problem = Problem::NoElement {
            name: name.to_owned(),
            directory,
            suggestion,
        };
        match at {
            Some(at) => LoadError::at(at, problem),
            None => LoadError::nowhere(problem),
        }
    }
}

/// The elements so that dependencies come first, or the error that some depend on themselves.
fn dependencies_first(elements: &[LoadedElement]) -> Result<Vec<usize>, LoadError> {
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
            let Some(dependency) = elements[*current].dependencies.get(*position) else {
                states[*current] = State::Done;
                order.push(*current);
                stack.pop();
                continue;
            };
            *position += 1;
            match states[dependency.element] {
                State::Done => {}
                State::New => {
                    states[dependency.element] = State::Open;
                    stack.push((dependency.element, 0));
                }
                State::Open => {
                    let open: Vec<usize> = stack.iter().map(|entry| entry.0).collect();
                    return Err(circular(elements, &open, dependency));
                }
            }
        }
    }
    Ok(order)
}

fn circular(elements: &[LoadedElement], open: &[usize], again: &LoadedDependency) -> LoadError {
    let from = open.iter().position(|&index| index == again.element);
    let circle = open[from.unwrap_or(0)..].iter().chain([&again.element]);
    let chain: Vec<&str> = circle.map(|&index| &*elements[index].name).collect();
    let problem = Problem::CircularDependency {
        name: elements[again.element].name.to_string(),
        chain: chain.join(" -> "),
    };
    LoadError::at(&again.written.at, problem)
}

/// Sorts each element's dependencies: what depends on another of them comes after it, what is only
/// needed at runtime last, else by name. That is no total order (see [`listsort`]).
fn sort_dependencies(elements: &mut [LoadedElement], order: &[usize]) {
    let closures = Closures::new(elements, order);
    for index in 0..elements.len() {
        let mut dependencies = std::mem::take(&mut elements[index].dependencies);
        let mut positions: Vec<usize> = (0..dependencies.len()).collect();
        listsort::sort(&mut positions, |left, right| {
            let (left, right) = (&dependencies[left], &dependencies[right]);
            if closures.depends(left.element, right.element) {
                return false;
            }
            if closures.depends(right.element, left.element) {
                return true;
            }
            let kinds = |dependency: &LoadedDependency| {
                (dependency.written.build, dependency.written.runtime)
            };
            let (left_kinds, right_kinds) = (kinds(left), kinds(right));
            if left_kinds != right_kinds {
                if left_kinds == (false, true) {
                    return false;
                }
                if right_kinds == (false, true) {
                    return true;
                }
            }
            elements[left.element].name < elements[right.element].name
        });
        let mut taken: Vec<Option<LoadedDependency>> = dependencies.drain(..).map(Some).collect();
        elements[index].dependencies = positions
            .into_iter()
            .filter_map(|position| taken[position].take())
            .collect();
    }
}

/// For each element the set of all that it depends on, in bits.
struct Closures {
    words: usize,
    bits: Vec<u64>,
}

impl Closures {
    fn new(elements: &[LoadedElement], order: &[usize]) -> Self {
        let words = elements.len().div_ceil(64);
        let mut bits = vec![0; words * elements.len()];
        let mut row = vec![0_u64; words];
        for &index in order {
            row.fill(0);
            for dependency in &elements[index].dependencies {
                let other = dependency.element;
                row[other / 64] |= 1 << (other % 64);
                for (word, theirs) in row.iter_mut().zip(&bits[other * words..]) {
                    *word |= theirs;
                }
            }
            bits[index * words..(index + 1) * words].copy_from_slice(&row);
        }
        Self { words, bits }
    }

    fn depends(&self, element: usize, on: usize) -> bool {
        self.bits[element * self.words + on / 64] >> (on % 64) & 1 == 1
    }
}

/// The names of all files below the element path that end in `.bst`, sorted.
pub(crate) fn list_elements(
    files: &dyn Files,
    element_path: &str,
) -> Result<Vec<String>, LoadError> {
    let mut names = Vec::new();
    let mut todo = vec![String::new()];
    while let Some(directory) = todo.pop() {
        let path = path::normalize(&format!("{element_path}/{directory}"));
        let path = path.trim_start_matches('/').to_owned();
        let read = |error| {
            let path = path.clone();
            LoadError::nowhere(Problem::Read { path, error })
        };
        for name in files.list(&path).map_err(read)? {
            // BuildStream keeps staged junctions in there.
            if name == ".bst" {
                continue;
            }
            let below = if directory.is_empty() {
                name
            } else {
                format!("{directory}/{name}")
            };
            let full = format!("{path}/{}", below.rsplit('/').next().unwrap_or_default());
            match files.stat(full.trim_start_matches('/')) {
                Ok(Stat::Directory) => todo.push(below),
                Ok(_) if below.ends_with(".bst") => names.push(below),
                _ => {}
            }
        }
    }
    names.sort();
    Ok(names)
}
