//! Kind compose: chosen split domains of all dependencies, put together and integrated.

use std::sync::Arc;

use super::Input;
use crate::error::LoadError;
use crate::json::Json;

/// What a compose element does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compose {
    /// Whether the dependencies' integration commands are run.
    pub integrate: bool,
    /// The domains that are taken; all if empty.
    pub include: Vec<Arc<str>>,
    /// The domains that are left out.
    pub exclude: Vec<Arc<str>>,
    /// Whether files in no domain are taken.
    pub include_orphans: bool,
}

impl Compose {
    pub(super) fn load(input: &Input<'_>) -> Result<Self, LoadError> {
        let config = input.config;
        config.expect_keys(&["integrate", "include", "exclude", "include-orphans"])?;
        Ok(Self {
            integrate: config.required_scalar("integrate")?.as_bool()?,
            include: config.strings("include")?,
            exclude: config.strings("exclude")?,
            include_orphans: config.required_scalar("include-orphans")?.as_bool()?,
        })
    }

    pub(super) fn unique_key(&self) -> Json {
        let mut key = vec![
            ("include", sorted(&self.include)),
            ("integrate", self.integrate.into()),
            ("orphans", self.include_orphans.into()),
        ];
        if !self.exclude.is_empty() {
            key.push(("exclude", sorted(&self.exclude)));
        }
        Json::map(key)
    }
}

pub(super) fn sorted(names: &[Arc<str>]) -> Json {
    let mut names = names.to_vec();
    names.sort();
    Json::strings(&names)
}
