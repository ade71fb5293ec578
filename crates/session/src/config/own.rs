//! `headstart.conf`: what only this program reads.
//!
//! A file of its own beside `buildstream.conf`, because BuildStream refuses keys that it does not
//! know.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use headstart_yaml::{Error as YamlError, Mapping};

use super::speculation::SpeculationConfig;
use super::{ConfigError, xdg_folder};

/// What `headstart.conf` says.
#[derive(Debug, Default)]
pub(super) struct OwnConfig {
    /// What the user wants of speculation.
    pub(super) speculation: SpeculationConfig,
    /// The Python that has the BuildStream which runs other people's plugins.
    pub(super) python: Option<PathBuf>,
}

impl OwnConfig {
    /// What the user's file says, or the defaults.
    pub(super) fn load() -> Result<Self, ConfigError> {
        match xdg_folder("XDG_CONFIG_HOME", ".config") {
            Some(folder) => Self::from_file(&folder.join("headstart.conf")),
            None => Ok(Self::default()),
        }
    }

    fn from_file(path: &Path) -> Result<Self, ConfigError> {
        match fs::read_to_string(path) {
            Ok(text) => {
                let mapping = headstart_yaml::parse(&path.display().to_string(), &text)?;
                Ok(Self::from_mapping(&mapping)?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(ConfigError::Read {
                path: path.to_owned(),
                source,
            }),
        }
    }

    pub(super) fn from_mapping(mapping: &Mapping) -> Result<Self, YamlError> {
        mapping.expect_keys(&["speculation", "plugins"])?;
        let mut python = None;
        if let Some(plugins) = mapping.mapping("plugins")? {
            plugins.expect_keys(&["python"])?;
            python = plugins.string("python")?.map(PathBuf::from);
        }
        let speculation = mapping.mapping("speculation")?;
        let speculation = speculation
            .map(SpeculationConfig::from_mapping)
            .transpose()?;
        Ok(Self {
            speculation: speculation.unwrap_or_default(),
            python,
        })
    }
}
