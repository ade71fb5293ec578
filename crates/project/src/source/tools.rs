//! Kinds bzr and ostree: what only the tools of these systems can fetch.

use std::sync::Arc;

use headstart_yaml::Mapping;

use super::address::optional;
use super::git::{reference, safe};
use super::{Address, Behaviour, SourceContext, expect_keys, text};
use crate::error::{LoadError, Problem};
use crate::json::Json;
use crate::keys::Contents;
use crate::path::Expect;

/// A revision of a Bazaar branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bazaar {
    /// The repository.
    pub address: Address,
    /// The branch in it.
    pub track: Arc<str>,
    /// The number of the revision.
    pub reference: Option<Arc<str>>,
    version: Option<Arc<str>>,
}

impl Bazaar {
    pub(super) fn load(config: &Mapping, context: &SourceContext<'_>) -> Result<Self, LoadError> {
        expect_keys(config, &["url", "track", "ref", "version"])?;
        let track = safe(config, "track")?;
        Ok(Self {
            address: Address::load(config.required_scalar("url")?, context)?,
            track: track.ok_or_else(|| config.missing("track"))?,
            reference: reference(config)?,
            version: text(config, "version")?,
        })
    }
}

impl Behaviour for Bazaar {
    fn unique_key(&self, _: &Contents) -> Option<Json> {
        let mut key = vec![
            (&self.address.url).into(),
            (&self.track).into(),
            optional(self.reference.as_ref()),
        ];
        key.extend(self.version.as_ref().map(Json::from));
        Some(Json::List(key))
    }

    fn is_resolved(&self) -> bool {
        self.reference.is_some()
    }
}

/// A commit of an OSTree repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OsTree {
    /// The repository.
    pub address: Address,
    /// The commit.
    pub reference: Option<Arc<str>>,
    /// The branch that is tracked.
    pub track: Option<Arc<str>>,
    /// The project's file with the key that commits are signed by.
    pub gpg_key: Option<Arc<str>>,
}

impl OsTree {
    pub(super) fn load(config: &Mapping, context: &SourceContext<'_>) -> Result<Self, LoadError> {
        expect_keys(config, &["url", "ref", "track", "gpg-key"])?;
        let gpg_key = match config.scalar("gpg-key")? {
            Some(path) => Some(context.path(path, Expect::File)?),
            None => None,
        };
        let ostree = Self {
            address: Address::load(config.required_scalar("url")?, context)?,
            reference: reference(config)?,
            track: safe(config, "track")?,
            gpg_key,
        };
        match (&ostree.reference, &ostree.track) {
            (None, None) => Err(LoadError::at(&config.at, Problem::NeitherRefNorTrack)),
            _ => Ok(ostree),
        }
    }
}

impl Behaviour for OsTree {
    fn unique_key(&self, _: &Contents) -> Option<Json> {
        let reference = optional(self.reference.as_ref());
        Some(Json::List(vec![(&self.address.url).into(), reference]))
    }

    fn is_resolved(&self) -> bool {
        self.reference.is_some()
    }
}
