//! Kind import: a directory of the sources becomes a directory of the artifact.

use std::sync::Arc;

use super::Input;
use crate::error::{LoadError, Problem};
use crate::json::Json;

/// What an import element does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The directory of the sources that is taken.
    pub source: Arc<str>,
    /// Where it is put in the artifact.
    pub target: Arc<str>,
}

impl Import {
    pub(super) fn load(input: &Input<'_>) -> Result<Self, LoadError> {
        input.config.expect_keys(&["source", "target"])?;
        if input.sources == 0 {
            return Err(LoadError::at(input.at, Problem::NoSource));
        }
        Ok(Self {
            source: input.config.required_scalar("source")?.value.clone(),
            target: input.config.required_scalar("target")?.value.clone(),
        })
    }

    pub(super) fn unique_key(&self) -> Json {
        Json::map([
            ("source", (&self.source).into()),
            ("target", (&self.target).into()),
        ])
    }
}
