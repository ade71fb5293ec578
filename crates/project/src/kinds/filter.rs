//! Kind filter: chosen split domains of the one build dependency.

use std::sync::Arc;

use headstart_yaml::Provenance;

use super::Input;
use super::compose::sorted;
use crate::element::ElementId;
use crate::error::{LoadError, Problem};
use crate::json::Json;

/// What a filter element does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The element that is filtered.
    pub filtered: ElementId,
    /// The domains that are taken; all if empty. Each must be one of the filtered element's.
    pub include: Vec<Arc<str>>,
    /// The domains that are left out. Each must be one of the filtered element's.
    pub exclude: Vec<Arc<str>>,
    /// Whether files in no domain are taken.
    pub include_orphans: bool,
    /// Whether the filtered element's integration commands become this element's.
    pub pass_integration: bool,
    /// Where `include` is, for errors about unknown domains.
    pub include_at: Provenance,
    /// Where `exclude` is, for errors about unknown domains.
    pub exclude_at: Provenance,
}

impl Filter {
    pub(super) fn load(input: &Input<'_>) -> Result<Self, LoadError> {
        let config = input.config;
        config.expect_keys(&["include", "exclude", "include-orphans", "pass-integration"])?;
        let place = |key| {
            let list = config.sequence(key)?;
            Ok::<_, LoadError>(list.map_or_else(|| config.at.clone(), |list| list.at.clone()))
        };
        Ok(Self {
            filtered: filtered(input)?,
            include: config.strings("include")?,
            exclude: config.strings("exclude")?,
            include_orphans: config.required_scalar("include-orphans")?.as_bool()?,
            pass_integration: config.boolean("pass-integration")?.unwrap_or(false),
            include_at: place("include")?,
            exclude_at: place("exclude")?,
        })
    }

    pub(super) fn unique_key(&self) -> Json {
        Json::map([
            ("exclude", sorted(&self.exclude)),
            ("include", sorted(&self.include)),
            ("orphans", self.include_orphans.into()),
        ])
    }
}

/// The one build dependency, which must not be needed at runtime too and must have an artifact.
fn filtered(input: &Input<'_>) -> Result<ElementId, LoadError> {
    let mut build = input
        .dependencies
        .iter()
        .filter(|dependency| dependency.build);
    let (Some(only), None) = (build.next(), build.next()) else {
        let count = input
            .dependencies
            .iter()
            .filter(|dependency| dependency.build);
        let problem = Problem::FilterDependencies(count.count());
        return Err(LoadError::at(input.at, problem));
    };
    let problem = if only.runtime {
        "can't be a runtime dependency too"
    } else if !only.kind.has_artifact() {
        "has no artifact: it is a stack"
    } else {
        return Ok(only.element);
    };
    let name = only.path.to_string();
    Err(LoadError::at(only.at, Problem::Filtered { name, problem }))
}
