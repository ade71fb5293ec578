//! Kind junction: a way into another project. It is no part of what is built.

use std::sync::Arc;

use headstart_yaml::{Mapping, Scalar};
use indexmap::IndexMap;

use super::Input;
use crate::error::{LoadError, Problem};

/// A way into another project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Junction {
    /// The directory of the project in the junction's sources; empty for their root.
    pub path: Arc<str>,
    /// What the other project's options are set to.
    pub options: Mapping,
    /// For elements of the other project, by their path there, those of this one that take their
    /// place.
    pub overrides: IndexMap<Arc<str>, Scalar>,
    /// For aliases of the other project the ones of this project that they stand for.
    pub aliases: IndexMap<Arc<str>, Arc<str>>,
    /// Whether its other aliases stand for those of the same name here.
    pub maps_equal_aliases: bool,
}

impl Junction {
    pub(super) fn load(input: &Input<'_>) -> Result<Self, LoadError> {
        let config = input.config;
        config.expect_keys(&["path", "options", "overrides", "aliases", "map-aliases"])?;
        if let Some(dependency) = input.dependencies.first() {
            return Err(LoadError::at(dependency.at, Problem::JunctionDependency));
        }
        let mut overrides = IndexMap::new();
        if let Some(node) = config.mapping("overrides")? {
            for (key, _) in node.iter() {
                let target = node.required_scalar(&key.text)?;
                if input.variables.get("element-name") == Some(&target.value) {
                    let problem = Problem::OverrideWithSelf(key.text.to_string());
                    return Err(LoadError::at(&target.at, problem));
                }
                overrides.insert(key.text.clone(), target.clone());
            }
        }
        let aliases = config.mapping("aliases")?.map(crate::element::texts);
        let maps_equal_aliases = match config.scalar("map-aliases")? {
            None => false,
            Some(strategy) => match &*strategy.value {
                "none" => false,
                "identity" => true,
                _ => return Err(strategy.unlike("'none' or 'identity'").into()),
            },
        };
        let path = config.scalar("path")?;
        Ok(Self {
            path: path.map_or_else(|| "".into(), |path| path.value.clone()),
            options: config.mapping("options")?.cloned().unwrap_or_default(),
            overrides,
            aliases: aliases.transpose()?.unwrap_or_default(),
            maps_equal_aliases,
        })
    }
}
