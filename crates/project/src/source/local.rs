//! Kind local: a file or directory of the project.

use std::sync::Arc;

use headstart_yaml::Mapping;

use super::{Behaviour, SourceContext, expect_keys};
use crate::error::LoadError;
use crate::json::Json;
use crate::keys::{Content, Contents};
use crate::path::Expect;

/// Files of the project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// The file or directory, relative to the top-level project's directory.
    pub path: Arc<str>,
}

impl Local {
    pub(super) fn load(config: &Mapping, context: &SourceContext<'_>) -> Result<Self, LoadError> {
        expect_keys(config, &["path"])?;
        let path = config.required_scalar("path")?;
        Ok(Self {
            path: context.path(path, Expect::Anything)?,
        })
    }
}

impl Behaviour for Local {
    fn unique_key(&self, contents: &Contents) -> Option<Json> {
        contents
            .get(&Content::Tree(self.path.clone()))
            .map(Json::from)
    }

    fn is_fetched(&self) -> bool {
        false
    }

    fn contents(&self) -> Vec<Content> {
        vec![Content::Tree(self.path.clone())]
    }
}
