//! Dependencies as element files write them.

use std::sync::Arc;

use headstart_yaml::{Mapping, Node, Provenance, Scalar};

use crate::error::{LoadError, Problem};
use crate::path;

/// A dependency of an element, before it is known what it leads to.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    /// As written.
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
                name: file_name(scalar)?,
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
    if let Some(at) = mapping.key_at("junction") {
        return Err(LoadError::at(at, unsupported_junction()));
    }
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
                name: file_name(name)?,
                path: name.value.clone(),
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

fn unsupported_junction() -> Problem {
    Problem::Unsupported("depending on elements of other projects is".to_owned())
}

fn file_name(name: &Scalar) -> Result<String, LoadError> {
    if name.value.contains(':') {
        return Err(LoadError::at(&name.at, unsupported_junction()));
    }
    element_name(&name.value, Some(&name.at))
}

/// Checks the name of an element, and gives it without detours.
pub(crate) fn element_name(name: &str, at: Option<&Provenance>) -> Result<String, LoadError> {
    let bad = |char: char| !(' '..='~').contains(&char) || "<>\"|?*".contains(char);
    let normal = path::normalize(name);
    let problem = if !name.ends_with(".bst") {
        "it does not end in '.bst'"
    } else if name.contains(bad) {
        "it has a character that is not allowed"
    } else if path::within_project(&normal).is_err() {
        "it leads out of the project's elements"
    } else {
        return Ok(normal);
    };
    let name = name.to_owned();
    let problem = Problem::ElementName { name, problem };
    Err(match at {
        Some(at) => LoadError::at(at, problem),
        None => LoadError::nowhere(problem),
    })
}
