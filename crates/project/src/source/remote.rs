//! Kind remote: a file as it is.

use std::sync::Arc;

use headstart_yaml::Mapping;

use super::{Behaviour, Download, SourceContext};
use crate::error::{LoadError, Problem};
use crate::json::Json;
use crate::keys::Contents;

/// A file as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The file.
    pub download: Download,
    /// Its name when it is staged.
    pub filename: Arc<str>,
    /// Whether it is staged as an executable.
    pub executable: bool,
}

impl Remote {
    pub(super) fn load(config: &Mapping, context: &SourceContext<'_>) -> Result<Self, LoadError> {
        let download = Download::load(config, &["filename", "executable"], context)?;
        let filename = match config.scalar("filename")? {
            Some(name) if name.value.contains('/') => {
                let path = name.value.to_string();
                let problem = "is a path, expected the name of a file";
                return Err(LoadError::at(&name.at, Problem::Path { path, problem }));
            }
            Some(name) => name.value.clone(),
            // Of the address behind the alias: the one place where an alias enters keys.
            None => {
                let address = context.aliases.translate(&download.address.url);
                address.rsplit('/').next().unwrap_or_default().into()
            }
        };
        Ok(Self {
            download,
            filename,
            executable: config.boolean("executable")?.unwrap_or(false),
        })
    }
}

impl Behaviour for Remote {
    fn unique_key(&self, _: &Contents) -> Option<Json> {
        let mut key = self.download.unique_key();
        key.extend([(&self.filename).into(), self.executable.into()]);
        Some(Json::List(key))
    }

    fn is_resolved(&self) -> bool {
        self.download.reference.is_some()
    }
}
