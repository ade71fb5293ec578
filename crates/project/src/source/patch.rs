//! Kind patch: a patch file of the project, applied to the sources before it.

use std::sync::Arc;

use headstart_yaml::Mapping;

use super::{Behaviour, SourceContext, expect_keys};
use crate::error::LoadError;
use crate::json::Json;
use crate::keys::{Content, Contents};
use crate::path::Expect;

/// A change to the sources before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The patch file, relative to the top-level project's directory.
    pub path: Arc<str>,
    /// As written, which is what the key holds.
    written: Arc<str>,
    /// The names that are taken off the paths in the patch: `patch -p`.
    pub strip_level: i64,
}

impl Patch {
    pub(super) fn load(config: &Mapping, context: &SourceContext<'_>) -> Result<Self, LoadError> {
        expect_keys(config, &["path", "strip-level"])?;
        let path = config.required_scalar("path")?;
        Ok(Self {
            path: context.path(path, Expect::File)?,
            written: path.value.clone(),
            strip_level: config.integer("strip-level")?.unwrap_or(1),
        })
    }
}

impl Behaviour for Patch {
    fn unique_key(&self, contents: &Contents) -> Option<Json> {
        let hash = contents.get(&Content::File(self.path.clone()))?;
        let written = (&self.written).into();
        Some(Json::List(vec![
            written,
            hash.into(),
            Json::Int(self.strip_level),
        ]))
    }

    fn is_fetched(&self) -> bool {
        false
    }

    fn contents(&self) -> Vec<Content> {
        vec![Content::File(self.path.clone())]
    }
}
