//! Dependencies as element files write them.

use std::sync::Arc;

use headstart_yaml::{Mapping, Node, Provenance, Scalar};

use crate::error::{BadName, LoadError, Problem};
use crate::include::INCLUDE;
use crate::options::{ASSERTION, CONDITIONS};
use crate::path;

/// What is resolved before anything else in a file is read.
const DIRECTIVES: [&str; 3] = [ASSERTION, CONDITIONS, INCLUDE];

/// A dependency of an element, before it is known what it leads to.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    /// As written, with the junctions that lead to the element.
    pub(crate) path: Arc<str>,
    /// The name of the element's file.
    pub(crate) name: String,
    pub(crate) build: bool,
    pub(crate) runtime: bool,
    pub(crate) strict: bool,
    /// Its `config`s; several if it is written several times.
    pub(crate) configs: Vec<Mapping>,
    pub(crate) at: Provenance,
}

/// Which list a dependency is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    Build,
    Runtime,
    Any,
}

impl Dependency {
    /// The junctions that lead to the element, if it is in another project.
    pub(crate) fn junction(&self) -> Option<&str> {
        self.path.rsplit_once(':').map(|(junction, _)| junction)
    }

    /// Adds what another mention of the same element says.
    pub(crate) fn merge(&mut self, other: Self) {
        self.build |= other.build;
        self.runtime |= other.runtime;
        self.strict |= other.strict;
        self.configs.extend(other.configs);
    }
}

/// Takes the three lists of dependencies out of an element; equal ones are merged.
pub(crate) fn take(element: &mut Mapping) -> Result<Vec<Dependency>, LoadError> {
    let mut dependencies: indexmap::IndexMap<Arc<str>, Dependency> = indexmap::IndexMap::new();
    for (key, list) in [
        ("build-depends", List::Build),
        ("runtime-depends", List::Runtime),
        ("depends", List::Any),
    ] {
        let Some(sequence) = element.take_sequence(key)? else {
            continue;
        };
        for node in &sequence.items {
            for dependency in load(node, list)? {
                match dependencies.get_mut(&dependency.path) {
                    Some(there) => there.merge(dependency),
                    None => {
                        dependencies.insert(dependency.path.clone(), dependency);
                    }
                }
            }
        }
    }
    Ok(dependencies.into_values().collect())
}

/// An element's file as it is parsed.
#[derive(Debug)]
pub(crate) struct ElementFile {
    pub(crate) node: Mapping,
    /// Its dependencies, which are not in `node` any more. None if conditions or includes may change them.
    pub(crate) dependencies: Option<Result<Vec<Dependency>, LoadError>>,
}

impl ElementFile {
    pub(crate) fn new(mut node: Mapping) -> Self {
        let is_final = !has_directives(&node);
        Self {
            dependencies: is_final.then(|| take(&mut node)),
            node,
        }
    }

    /// The elements of the same project that it names as dependencies, as far as that can be told
    /// before its conditions and includes are resolved. What is wrong with it is not told here.
    pub(crate) fn names(&self) -> Vec<String> {
        match &self.dependencies {
            None => names_written(&self.node),
            Some(dependencies) => {
                let dependencies = dependencies.iter().flatten();
                let near = dependencies.filter(|it| it.junction().is_none());
                let names = near.map(|it| it.name.clone());
                names
                    .filter(|name| check_element_name(name, None).is_ok())
                    .collect()
            }
        }
    }
}

/// Whether there are conditions, assertions or includes in a mapping.
fn has_directives(mapping: &Mapping) -> bool {
    fn has(node: &Node) -> bool {
        match node {
            Node::Scalar(_) => false,
            Node::Sequence(sequence) => sequence.items.iter().any(has),
            Node::Mapping(mapping) => has_directives(mapping),
        }
    }
    let mut entries = mapping.iter();
    entries.any(|(key, value)| DIRECTIVES.contains(&&*key.text) || has(value))
}

fn names_written(element: &Mapping) -> Vec<String> {
    let mut names = Vec::new();
    let mut add = |written: &str| {
        let name = path::normalize(written);
        if !written.contains(':') && check_element_name(&name, None).is_ok() {
            names.push(name);
        }
    };
    let lists = ["build-depends", "runtime-depends", "depends"].into_iter();
    let lists = lists.filter_map(|key| match element.get(key)? {
        Node::Sequence(list) => Some(&list.items),
        _ => None,
    });
    for node in lists.flatten() {
        match node {
            Node::Scalar(name) => add(&name.value),
            Node::Mapping(entry) if !entry.contains("junction") => match entry.get("filename") {
                Some(Node::Scalar(name)) => add(&name.value),
                Some(Node::Sequence(list)) => {
                    let list = list.scalars().unwrap_or_default();
                    list.into_iter().for_each(|name| add(&name.value));
                }
                _ => {}
            },
            _ => {}
        }
    }
    names
}

/// One entry of a list, which can name several elements.
fn load(node: &Node, list: List) -> Result<Vec<Dependency>, LoadError> {
    let mapping = match node {
        Node::Scalar(scalar) => {
            return Ok(vec![Dependency {
                build: list != List::Runtime,
                runtime: list != List::Build,
                strict: false,
                configs: Vec::new(),
                at: scalar.at.clone(),
                name: file_name(&scalar.value),
                path: scalar.value.clone(),
            }]);
        }
        Node::Mapping(mapping) => mapping,
        Node::Sequence(sequence) => {
            let problem = Problem::Dependency(node.type_name());
            return Err(LoadError::at(&sequence.at, problem));
        }
    };
    let keys = ["filename", "junction", "strict", "config", "type"];
    let (build, runtime) = if list == List::Any {
        mapping.expect_keys(&keys)?;
        dependency_type(mapping)?
    } else {
        mapping.expect_keys(&keys[..4])?;
        (list == List::Build, list == List::Runtime)
    };
    let junction = mapping.scalar("junction")?;
    let strict = strict(mapping, build)?;
    let config = mapping.mapping("config")?;
    if let (Some(config), false) = (config, build) {
        return Err(LoadError::at(&config.at, Problem::RuntimeOnly("config")));
    }
    let names = match mapping.required("filename")? {
        Node::Scalar(name) => vec![name],
        Node::Sequence(names) => names.scalars()?,
        Node::Mapping(_) => vec![mapping.required_scalar("filename")?],
    };
    names
        .into_iter()
        .map(|name| {
            Ok(Dependency {
                build,
                runtime,
                strict,
                configs: config.cloned().into_iter().collect(),
                at: name.at.clone(),
                name: file_name(&name.value),
                path: full_path(junction, name)?,
            })
        })
        .collect()
}

fn dependency_type(mapping: &Mapping) -> Result<(bool, bool), LoadError> {
    match mapping.scalar("type")? {
        None => Ok((true, true)),
        Some(scalar) => match &*scalar.value {
            "all" => Ok((true, true)),
            "build" => Ok((true, false)),
            "runtime" => Ok((false, true)),
            other => {
                let problem = Problem::DependencyType(other.to_owned());
                Err(LoadError::at(&scalar.at, problem))
            }
        },
    }
}

fn strict(mapping: &Mapping, build: bool) -> Result<bool, LoadError> {
    let Some(scalar) = mapping.scalar("strict")? else {
        return Ok(false);
    };
    match (scalar.as_bool()?, build) {
        (true, true) => Ok(true),
        (true, false) => Err(LoadError::at(&scalar.at, Problem::RuntimeOnly("strict"))),
        (false, _) => Err(LoadError::at(&scalar.at, Problem::NotStrict)),
    }
}

/// The path of an element whose junction may be written apart from its name.
fn full_path(junction: Option<&Scalar>, name: &Scalar) -> Result<Arc<str>, LoadError> {
    let Some(junction) = junction else {
        return Ok(name.value.clone());
    };
    if name.value.contains(':') {
        let problem = Problem::JunctionTwice(name.value.to_string());
        return Err(LoadError::at(&name.at, problem));
    }
    Ok(format!("{}:{}", junction.value, name.value).into())
}

/// The name behind the junctions, without detours.
fn file_name(path: &str) -> String {
    path::normalize(path.rsplit(':').next().unwrap_or(path))
}

/// Checks the name of an element's file.
pub(crate) fn check_element_name(name: &str, at: Option<&Provenance>) -> Result<(), LoadError> {
    let bad = |char: char| !(' '..='~').contains(&char) || "<>\"|?*".contains(char);
    let problem = if !name.ends_with(".bst") {
        BadName::Suffix
    } else if name.contains(bad) {
        BadName::Character
    } else if path::within_project(name).is_err() {
        BadName::Outside
    } else {
        return Ok(());
    };
    let name = name.to_owned();
    Err(LoadError::maybe_at(
        at,
        Problem::ElementName { name, problem },
    ))
}
