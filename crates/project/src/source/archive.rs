//! Kinds tar and zip: an archive that is unpacked.

use std::sync::Arc;

use headstart_yaml::Mapping;

use super::{Behaviour, Download, SourceContext, text};
use crate::error::LoadError;
use crate::json::Json;
use crate::keys::Contents;

/// An archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The archive itself.
    pub download: Download,
    /// The directory in the archive that is unpacked, as a shell pattern; empty is all of it.
    pub base_dir: Arc<str>,
}

impl Archive {
    pub(super) fn load(config: &Mapping, context: &SourceContext<'_>) -> Result<Self, LoadError> {
        Ok(Self {
            download: Download::load(config, &["base-dir"], context)?,
            base_dir: text(config, "base-dir")?.unwrap_or_else(|| "*".into()),
        })
    }
}

impl Behaviour for Archive {
    fn unique_key(&self, _: &Contents) -> Option<Json> {
        let mut key = self.download.unique_key();
        key.push((&self.base_dir).into());
        Some(Json::List(key))
    }

    fn is_resolved(&self) -> bool {
        self.download.reference.is_some()
    }
}
