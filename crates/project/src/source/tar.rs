//! Kind tar: an archive that is unpacked.

use std::sync::Arc;

use headstart_yaml::Mapping;

use super::{Download, SourceContext};
use crate::error::LoadError;
use crate::json::Json;

/// An archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tar {
    /// The archive itself.
    pub download: Download,
    /// The directory in the archive that is unpacked, as a shell pattern; empty is all of it.
    pub base_dir: Arc<str>,
}

impl Tar {
    pub(super) fn load(config: &Mapping, context: &SourceContext<'_>) -> Result<Self, LoadError> {
        let download = Download::load(config, &["base-dir"], context)?;
        let base_dir = config.scalar("base-dir")?;
        Ok(Self {
            download,
            base_dir: base_dir.map_or_else(|| "*".into(), |base_dir| base_dir.value.clone()),
        })
    }

    pub(super) fn unique_key(&self) -> Json {
        let mut key = self.download.unique_key();
        key.push((&self.base_dir).into());
        Json::List(key)
    }
}
