//! The sources of elements: what each kind reads, needs digested and puts into cache keys. One file
//! a kind.

mod local;
mod patch;
mod remote;
mod tar;

use std::cell::RefCell;
use std::sync::Arc;

use headstart_yaml::{Mapping, Provenance, Scalar};

pub use local::Local;
pub use patch::Patch;
pub use remote::Remote;
pub use tar::Tar;

use crate::aliases::Aliases;
use crate::error::{LoadError, Problem, Warning};
use crate::files::Below;
use crate::json::Json;
use crate::keys::{Content, Contents};
use crate::kinds::PLUGINS_PACKAGE;
use crate::path::{self, Expect};

/// Keys that every source may have; they are taken out before a kind sees the rest.
const COMMON_KEYS: [&str; 3] = ["kind", "directory", "provenance"];

/// The kind of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceKind {
    /// Files of the project.
    Local,
    /// An archive.
    Tar,
    /// A file as it is.
    Remote,
    /// A change to the sources before it.
    Patch,
}

impl SourceKind {
    const ALL: [Self; 4] = [Self::Local, Self::Tar, Self::Remote, Self::Patch];

    /// The kind of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its name in element files, keys and caches.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Tar => "tar",
            Self::Remote => "remote",
            Self::Patch => "patch",
        }
    }

    /// The package that BuildStream takes it from, or none if it is its own.
    pub(crate) fn package(self) -> Option<&'static str> {
        match self {
            Self::Patch => Some(PLUGINS_PACKAGE),
            _ => None,
        }
    }
}

/// A source of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its kind.
    pub kind: SourceKind,
    /// The directory below the element's source root that it is staged in, as written; none and
    /// empty are the root itself.
    pub directory: Option<Arc<str>>,
    /// What its kind says.
    pub config: SourceConfig,
    /// Where it is in the element's file.
    pub at: Provenance,
}

/// What a source is, by its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceConfig {
    /// Files of the project.
    Local(Local),
    /// An archive.
    Tar(Tar),
    /// A file as it is.
    Remote(Remote),
    /// A change to the sources before it.
    Patch(Patch),
}

/// What sources are made with.
pub(crate) struct SourceContext<'a> {
    pub(crate) files: &'a Below,
    pub(crate) aliases: &'a Aliases,
    /// Whether an address without an alias is an error.
    pub(crate) unaliased_is_fatal: bool,
    pub(crate) warnings: &'a RefCell<Vec<Warning>>,
}

impl SourceContext<'_> {
    /// Checks a path that a source names, relative to its project's directory, and gives it
    /// relative to the top-level project's.
    pub(crate) fn path(&self, path: &Scalar, expect: Expect) -> Result<Arc<str>, LoadError> {
        let inside = path::check(self.files, path, expect)?;
        Ok(self.files.path(&inside).into())
    }
}

impl Source {
    /// Reads a source's expanded configuration, from which the common keys have been taken.
    pub(crate) fn load(
        kind: SourceKind,
        directory: Option<Arc<str>>,
        config: &Mapping,
        at: &Provenance,
        context: &SourceContext<'_>,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            kind,
            directory,
            at: at.clone(),
            config: match kind {
                SourceKind::Local => SourceConfig::Local(Local::load(config, context)?),
                SourceKind::Tar => SourceConfig::Tar(Tar::load(config, context)?),
                SourceKind::Remote => SourceConfig::Remote(Remote::load(config, context)?),
                SourceKind::Patch => SourceConfig::Patch(Patch::load(config, context)?),
            },
        })
    }

    /// Whether it is known what exactly is fetched.
    pub fn is_resolved(&self) -> bool {
        self.download()
            .is_none_or(|download| download.reference.is_some())
    }

    /// What is downloaded, if anything is.
    pub fn download(&self) -> Option<&Download> {
        match &self.config {
            SourceConfig::Tar(tar) => Some(&tar.download),
            SourceConfig::Remote(remote) => Some(&remote.download),
            SourceConfig::Local(_) | SourceConfig::Patch(_) => None,
        }
    }

    /// Whether it can only be staged onto the sources before it; such a source is not cached alone.
    pub fn needs_previous(&self) -> bool {
        matches!(self.config, SourceConfig::Patch(_))
    }

    /// What of the project's files must be digested for its key.
    pub fn content(&self) -> Option<Content> {
        match &self.config {
            SourceConfig::Local(local) => Some(Content::Tree(local.path.clone())),
            SourceConfig::Patch(patch) => Some(Content::File(patch.path.clone())),
            SourceConfig::Tar(_) | SourceConfig::Remote(_) => None,
        }
    }

    /// What it puts into keys; none as long as it is not resolved or its content not digested.
    pub fn unique_key(&self, contents: &Contents) -> Option<Json> {
        if !self.is_resolved() {
            return None;
        }
        match &self.config {
            SourceConfig::Local(local) => local.unique_key(contents),
            SourceConfig::Tar(tar) => Some(tar.unique_key()),
            SourceConfig::Remote(remote) => Some(remote.unique_key()),
            SourceConfig::Patch(patch) => patch.unique_key(contents),
        }
    }
}

/// Checks what holds for all sources of an element together.
pub(crate) fn check(sources: &[Source]) -> Result<(), LoadError> {
    match sources.first() {
        Some(first) if first.needs_previous() => {
            let problem = Problem::FirstSource(first.kind.name());
            Err(LoadError::at(&first.at, problem))
        }
        _ => Ok(()),
    }
}

/// A file that is downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// The address as written, perhaps with an alias: what keys and caches hold.
    pub url: Arc<str>,
    /// Where to try to get it, in order: mirrors, then the alias' own address.
    pub addresses: Vec<String>,
    /// The SHA-256 of the file, as 64 hexadecimal digits.
    pub reference: Option<Arc<str>>,
    /// The version, or the pattern to guess it by; only keys see it.
    version: Option<Arc<str>>,
}

impl Download {
    const KEYS: [&str; 4] = ["url", "ref", "version", "version-guess-pattern"];

    fn load(
        config: &Mapping,
        further_keys: &[&str],
        context: &SourceContext<'_>,
    ) -> Result<Self, LoadError> {
        let mut keys = COMMON_KEYS.to_vec();
        keys.extend(Self::KEYS);
        keys.extend(further_keys);
        config.expect_keys(&keys)?;
        let url = config.required_scalar("url")?;
        if !context.aliases.check(url)? {
            if context.unaliased_is_fatal {
                let problem = Problem::Unaliased(url.value.to_string());
                return Err(LoadError::at(&url.at, problem));
            }
            context.warnings.borrow_mut().push(Warning {
                at: url.at.clone(),
                text: format!("the address '{}' has no alias", url.value),
            });
        }
        let text = |key| Ok::<_, LoadError>(config.scalar(key)?.map(|scalar| scalar.value.clone()));
        let pattern = text("version-guess-pattern")?;
        Ok(Self {
            addresses: context.aliases.addresses(&url.value),
            url: url.value.clone(),
            reference: text("ref")?,
            version: text("version")?.or(pattern),
        })
    }

    fn unique_key(&self) -> Vec<Json> {
        let reference = self.reference.as_ref().map_or(Json::Null, Json::from);
        let mut key = vec![(&self.url).into(), reference];
        key.extend(self.version.as_ref().map(Json::from));
        key
    }
}
