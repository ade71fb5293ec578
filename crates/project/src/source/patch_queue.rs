//! Kind patch_queue: all patch files in a directory of the project, applied by `git apply` to the
//! sources before it.

use std::sync::Arc;

use headstart_yaml::Mapping;

use super::{Behaviour, SourceContext, expect_keys};
use crate::error::LoadError;
use crate::json::Json;
use crate::keys::{Content, Contents};

/// Changes to the sources before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchQueue {
    /// The patch files in their order, relative to the top-level project's directory.
    pub patches: Vec<Arc<str>>,
}

impl PatchQueue {
    pub(super) fn load(config: &Mapping, context: &SourceContext<'_>) -> Result<Self, LoadError> {
        expect_keys(config, &["path"])?;
        let path = config.required_scalar("path")?;
        let mut patches = context.list(path)?;
        patches.sort();
        Ok(Self { patches })
    }
}

impl Behaviour for PatchQueue {
    fn unique_key(&self, contents: &Contents) -> Option<Json> {
        let patches = self.contents();
        let hashes: Option<Vec<_>> = patches.iter().map(|patch| contents.get(patch)).collect();
        Some(Json::strings(hashes?))
    }

    fn is_fetched(&self) -> bool {
        false
    }

    fn contents(&self) -> Vec<Content> {
        self.patches.iter().cloned().map(Content::File).collect()
    }
}
