//! Kinds git_tag and git_module: a commit of a Git repository with its history, and one that is a
//! submodule of a source before it.

use std::sync::Arc;

use headstart_yaml::Mapping;

use super::address::{optional, push_version};
use super::git::{reference, safe};
use super::{Address, Behaviour, SourceContext, Submodules, Version, expect_keys};
use crate::error::{LoadError, Problem};
use crate::json::Json;
use crate::keys::Contents;
use crate::path;

/// A commit of a Git repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitTag {
    /// The repository and its commit.
    pub clone: GitClone,
    /// The branch that is tracked.
    pub track: Option<Arc<str>>,
    /// Further ones: the newest commit counts.
    pub track_extra: Vec<Arc<str>>,
    /// Whether the newest tag on the branch is tracked, in place of its end.
    pub track_tags: bool,
    /// Patterns of the tags that count.
    pub matching: Vec<Arc<str>>,
    /// Patterns of the tags that don't.
    pub exclude: Vec<Arc<str>>,
    /// Which submodules are staged too.
    pub submodules: Submodules,
}

/// A submodule of a source before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitModule {
    /// The repository and its commit.
    pub clone: GitClone,
    /// Where it is in the source before it, and where it is staged.
    pub path: Arc<str>,
}

/// What both have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitClone {
    /// The repository.
    pub address: Address,
    /// The commit: its hash, perhaps with what `git describe` puts before it.
    pub reference: Option<Arc<str>>,
    /// Whether all of the repository is fetched even where less would do.
    pub full_clone: bool,
    /// Whether large files that are kept elsewhere are fetched.
    pub use_lfs: bool,
    version: Option<Version>,
}

impl GitClone {
    fn load(
        config: &Mapping,
        own: &[&str],
        context: &SourceContext<'_>,
    ) -> Result<Self, LoadError> {
        const COMMON: [&str; 4] = ["url", "ref", "full-clone", "use-lfs"];
        expect_keys(config, &[&COMMON[..], &Version::KEYS, own].concat())?;
        Ok(Self {
            reference: reference(config)?,
            full_clone: config.boolean("full-clone")?.unwrap_or(false),
            use_lfs: config.boolean("use-lfs")?.unwrap_or(false),
            version: Version::load(config)?,
            address: Address::load(config.required_scalar("url")?, context)?,
        })
    }

    fn unique_key(&self, own: impl FnOnce(&mut Vec<Json>)) -> Option<Json> {
        let mut key = vec![
            (&self.address.url).into(),
            optional(self.reference.as_ref()),
        ];
        own(&mut key);
        if self.use_lfs {
            key.push("use-lfs".into());
        }
        push_version(&mut key, self.version.as_ref());
        Some(Json::List(key))
    }
}

impl GitTag {
    pub(super) fn load(config: &Mapping, context: &SourceContext<'_>) -> Result<Self, LoadError> {
        const OWN: [&str; 5] = ["track", "track-extra", "track-tags", "match", "exclude"];
        let own = [&OWN[..], &Submodules::KEYS].concat();
        let git = Self {
            clone: GitClone::load(config, &own, context)?,
            track: safe(config, "track")?,
            track_extra: config.strings("track-extra")?,
            track_tags: config.boolean("track-tags")?.unwrap_or(false),
            matching: config.strings("match")?,
            exclude: config.strings("exclude")?,
            submodules: Submodules::load(config, context)?,
        };
        if let Some(extra) = git.track_extra.iter().find(|extra| extra.starts_with('-')) {
            let problem = Problem::LooksLikeOption(extra.to_string());
            return Err(LoadError::at(config.required("track-extra")?.at(), problem));
        }
        match (&git.clone.reference, &git.track) {
            (None, None) => Err(LoadError::at(&config.at, Problem::NeitherRefNorTrack)),
            _ => Ok(git),
        }
    }
}

impl Behaviour for GitTag {
    fn unique_key(&self, _: &Contents) -> Option<Json> {
        self.clone.unique_key(|key| self.submodules.extend_key(key))
    }

    fn is_resolved(&self) -> bool {
        self.clone.reference.is_some()
    }
}

impl GitModule {
    pub(super) fn load(config: &Mapping, context: &SourceContext<'_>) -> Result<Self, LoadError> {
        let clone = GitClone::load(config, &["path"], context)?;
        let path = config.required_scalar("path")?;
        // An absolute path is meant from the root of the sources.
        let relative = match path.value.starts_with('/') {
            true => path::normalize(&path.value)[1..].into(),
            false => {
                path::check_below(path, "leads out of the sources")?;
                path.value.clone()
            }
        };
        Ok(Self {
            clone,
            path: relative,
        })
    }
}

impl Behaviour for GitModule {
    fn unique_key(&self, _: &Contents) -> Option<Json> {
        self.clone.unique_key(|key| {
            if !self.path.is_empty() {
                key.push(Json::map([("path", (&self.path).into())]));
            }
        })
    }

    fn is_resolved(&self) -> bool {
        self.clone.reference.is_some()
    }
}
