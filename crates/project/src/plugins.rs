//! Where kinds come from: the plugin origins of project.conf.
//!
//! No plugin is ever run. The kinds of BuildStream itself and of the package `buildstream-plugins`
//! are built in; a project must name that package to use its kinds, as BuildStream demands. A kind
//! that a project takes from elsewhere is not supported, even if it has a built-in name.

use std::collections::HashMap;
use std::sync::Arc;

use headstart_yaml::{Mapping, Node, Scalar};

use crate::error::{LoadError, Problem};

/// The kinds that a project declares, with their origins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plugins {
    elements: HashMap<Arc<str>, Origin>,
    sources: HashMap<Arc<str>, Origin>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    /// A Python package, by its name without a version.
    Package(String),
    /// A directory of the project, or another project.
    Other(&'static str),
}

impl Plugins {
    pub(crate) fn load(config: &Mapping) -> Result<Self, LoadError> {
        let mut plugins = Self::default();
        let Some(list) = config.sequence("plugins")? else {
            return Ok(plugins);
        };
        for node in list.mappings()? {
            let origin = origin(node)?;
            for (key, kinds) in [
                ("elements", &mut plugins.elements),
                ("sources", &mut plugins.sources),
            ] {
                for kind in kinds_of(node, key)? {
                    kinds.insert(kind, origin.clone());
                }
            }
        }
        Ok(plugins)
    }

    /// Checks that an element's kind is the one that is built in. `built_in` is none if there is no
    /// such kind, else the package that it imitates, if that is not BuildStream.
    pub(crate) fn check_element(
        &self,
        name: &Scalar,
        built_in: Option<Option<&'static str>>,
    ) -> Result<(), LoadError> {
        check("element", name, self.elements.get(&name.value), built_in)
    }

    /// As [`Plugins::check_element`], for sources.
    pub(crate) fn check_source(
        &self,
        name: &Scalar,
        built_in: Option<Option<&'static str>>,
    ) -> Result<(), LoadError> {
        check("source", name, self.sources.get(&name.value), built_in)
    }
}

fn check(
    what: &'static str,
    name: &Scalar,
    origin: Option<&Origin>,
    built_in: Option<Option<&'static str>>,
) -> Result<(), LoadError> {
    let kind = &name.value;
    let problem = match (origin, built_in) {
        (Some(Origin::Package(package)), Some(Some(imitated))) if package == imitated => {
            return Ok(());
        }
        (None, Some(None)) => return Ok(()),
        (None, Some(Some(package))) => Problem::NotRegistered {
            what,
            kind: kind.to_string(),
            package,
        },
        (Some(Origin::Package(package)), _) => Problem::Unsupported(format!(
            "the {what} kind '{kind}' of the package '{package}' is"
        )),
        (Some(Origin::Other(origin)), _) => Problem::Unsupported(format!(
            "the {what} kind '{kind}', a plugin of {origin}, is"
        )),
        (None, None) => return Ok(()),
    };
    Err(LoadError::at(&name.at, problem))
}

fn origin(node: &Mapping) -> Result<Origin, LoadError> {
    const COMMON: [&str; 5] = [
        "origin",
        "elements",
        "sources",
        "source-mirrors",
        "allow-deprecated",
    ];
    let expect = |own: &str| node.expect_keys(&[&COMMON[..], &[own]].concat());
    let kind = node.required_scalar("origin")?;
    match &*kind.value {
        "pip" => {
            expect("package-name")?;
            let package = node.required_string("package-name")?;
            let end = package.find([' ', '<', '>', '=', '!', '~', '[', ';', '@']);
            let name = &package[..end.unwrap_or(package.len())];
            // Names of Python packages are compared like this.
            Ok(Origin::Package(
                name.to_lowercase().replace(['_', '.'], "-"),
            ))
        }
        "local" => {
            expect("path")?;
            Ok(Origin::Other("the project itself"))
        }
        "junction" => {
            expect("junction")?;
            Ok(Origin::Other("another project"))
        }
        _ => Err(kind.unlike("'pip', 'local' or 'junction'").into()),
    }
}

/// The names in a list whose items are names or mappings with one.
fn kinds_of(node: &Mapping, key: &str) -> Result<Vec<Arc<str>>, LoadError> {
    let Some(list) = node.sequence(key)? else {
        return Ok(Vec::new());
    };
    list.items
        .iter()
        .map(|item| match item {
            Node::Mapping(mapping) => {
                mapping.expect_keys(&["kind", "allow-deprecated"])?;
                Ok(mapping.required_scalar("kind")?.value.clone())
            }
            Node::Scalar(scalar) => Ok(scalar.value.clone()),
            Node::Sequence(_) => Err(item.unlike("a name or a mapping").into()),
        })
        .collect()
}
