//! Places where something can be had: addresses, and what mirrors that are plugins make of them.
//!
//! A mirror that is a plugin is made when its project is loaded, so that what is wrong with it is known. It
//! is asked when something is fetched, and not before.

use std::fmt;
use std::sync::{Arc, OnceLock};

use headstart_yaml::{Mapping, Scalar};

use crate::error::LoadError;
use crate::hosted::{PluginError, PluginId};
use crate::outside::Outside;

/// A place where something can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An address.
    Address(String),
    /// Wherever a mirror's plugin says.
    Mirror(MirroredPlace),
}

/// What a mirror's plugin is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirroredPlace {
    /// The mirror.
    pub mirror: Arc<SourceMirror>,
    /// The alias, as the mirror's project calls it.
    pub alias: Arc<str>,
    /// What the project of the source has the alias stand for.
    pub alias_url: Arc<str>,
    /// What follows the alias.
    pub rest: String,
}

/// Where exactly something can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The address.
    pub url: String,
    /// Whether a server there is to be shown the user's password for it as a bearer's token.
    pub bearer: bool,
}

/// A mirror of a kind that is a plugin.
pub struct SourceMirror {
    /// The whole of what the project says of it, expanded.
    pub config: Mapping,
    /// The name of its project.
    pub project: Arc<str>,
    /// The directory of its project, relative to the top-level project's.
    pub project_directory: Arc<str>,
    name: Arc<str>,
    kind: Scalar,
    /// Known once the projects that it may come from can be.
    plugin: OnceLock<PluginId>,
    /// What to use in place of its kind, which may be nothing, if that is not to be used any more.
    deprecated: OnceLock<Arc<str>>,
    outside: Arc<dyn Outside>,
}

/// The project that a mirror belongs to, and the world.
pub(crate) struct MirrorContext<'a> {
    pub(crate) project: &'a Arc<str>,
    pub(crate) directory: &'a str,
    pub(crate) outside: &'a Arc<dyn Outside>,
}

impl SourceMirror {
    pub(crate) fn load(
        kind: Scalar,
        config: Mapping,
        context: &MirrorContext<'_>,
    ) -> Result<Self, LoadError> {
        config.expect_keys(&["kind", "name", "config"])?;
        Ok(Self {
            name: config.required_scalar("name")?.value.clone(),
            kind,
            config,
            project: context.project.clone(),
            project_directory: context.directory.into(),
            plugin: OnceLock::new(),
            deprecated: OnceLock::new(),
            outside: context.outside.clone(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its kind, as the project names it.
    pub(crate) fn kind(&self) -> &Scalar {
        &self.kind
    }

    pub(crate) fn set_plugin(&self, plugin: PluginId) {
        // It is found once.
        let _ = self.plugin.set(plugin);
    }

    /// What to use in place of its kind, which may be nothing, if that is not to be used any more.
    pub(crate) fn deprecated(&self) -> Option<&str> {
        self.deprecated.get().map(|advice| &**advice)
    }

    pub(crate) fn set_deprecated(&self, advice: Option<Arc<str>>) {
        if let Some(advice) = advice {
            // It is made once.
            let _ = self.deprecated.set(advice);
        }
    }

    /// Its plugin; an error while the projects are being loaded that it may come from.
    pub fn plugin(&self) -> Result<&PluginId, PluginError> {
        self.plugin.get().ok_or_else(|| {
            PluginError::new(format!(
                "the mirror '{}' is needed to load the project that its plugin comes from",
                self.name
            ))
        })
    }
}

impl MirroredPlace {
    /// What its plugin says; none if it does not know the alias.
    pub fn locations(&self) -> Result<Vec<Location>, PluginError> {
        let mirror = &self.mirror;
        let ask = || {
            let plugins = mirror.outside.plugins();
            let plugins = plugins.map_err(|error| PluginError::new(error.to_string()))?;
            plugins.locations(self)
        };
        ask().map_err(|error| PluginError {
            message: format!(
                "{}: the mirror '{}': {}",
                mirror.kind.at, mirror.name, error.message
            ),
            ..error
        })
    }
}

impl Place {
    /// Where it is, in order.
    pub fn locations(&self) -> Result<Vec<Location>, PluginError> {
        match self {
            Self::Address(url) => Ok(vec![Location {
                url: url.clone(),
                bearer: false,
            }]),
            Self::Mirror(mirrored) => mirrored.locations(),
        }
    }

    /// The same with `suffix` put behind it.
    pub(crate) fn below(&self, suffix: &str) -> Self {
        match self {
            Self::Address(url) => Self::Address(format!("{url}{suffix}")),
            Self::Mirror(place) => Self::Mirror(MirroredPlace {
                rest: format!("{}{suffix}", place.rest),
                ..place.clone()
            }),
        }
    }
}

impl fmt::Debug for SourceMirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceMirror({} of {})", self.name, self.project)
    }
}

impl PartialEq for SourceMirror {
    fn eq(&self, other: &Self) -> bool {
        let parts = |it: &Self| (it.project.clone(), it.project_directory.clone());
        self.config == other.config && parts(self) == parts(other)
    }
}

impl Eq for SourceMirror {}
