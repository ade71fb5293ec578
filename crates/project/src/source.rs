//! The sources of elements: what each kind reads, needs digested and puts into cache keys. One file
//! a kind.

mod address;
mod archive;
mod cpan;
mod crates;
mod docker;
mod git;
mod git_repo;
mod git_tag;
mod go_module;
mod local;
mod lock;
mod package;
mod patch;
mod patch_queue;
mod pypi;
mod remote;
mod tools;
mod workspace;

use std::sync::Arc;

use headstart_yaml::{Mapping, Provenance, Scalar};

pub use address::{Address, Download};
pub use archive::Archive;
pub use cpan::Cpan;
pub use crates::{Crate, CrateOrigin, Crates};
pub use docker::Docker;
pub use git::{Git, Submodules, Tag};
pub use git_repo::{DescribedRef, GitRepo};
pub use git_tag::{GitClone, GitModule, GitTag};
pub use go_module::{Explicit, ExplicitIn, GoModule, GoRef};
pub use local::Local;
pub use lock::GeneratedLock;
pub use package::PackageFile;
pub use patch::Patch;
pub use patch_queue::PatchQueue;
pub use pypi::PyPi;
pub use remote::Remote;
pub use tools::{Bazaar, OsTree};
pub use workspace::Workspace;

use crate::aliases::Aliases;
use crate::error::{LoadError, Problem, Warning};
use crate::files::{Below, Files as _};
use crate::hosted::{HostedSource, PluginId, SourceClass};
use crate::json::Json;
use crate::keys::{Content, Contents};
use crate::kinds::{COMMUNITY_PACKAGE, PLUGINS_PACKAGE};
use crate::path::{self, Expect};

/// Keys that every source may have; they are taken out before a kind sees the rest.
const COMMON_KEYS: [&str; 3] = ["kind", "directory", "provenance"];

/// The kind of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// Files of the project.
    Local,
    /// A tar archive.
    Tar,
    /// A zip archive.
    Zip,
    /// A file as it is.
    Remote,
    /// A change to the sources before it.
    Patch,
    /// All changes in a directory of the project, in the order of their names.
    PatchQueue,
    /// A commit of a Git repository, with its submodules and without its history.
    Git,
    /// A commit of a Git repository, with as much history as describing it takes.
    GitRepo,
    /// A commit of a Git repository, with its submodules and history.
    GitTag,
    /// A submodule of a source before it.
    GitModule,
    /// The crates that a Cargo.lock names.
    Crates,
    /// A Cargo.lock.
    GeneratedLock,
    /// A package of the Python package index.
    PyPi,
    /// A distribution of Perl's archive network.
    Cpan,
    /// A module of Go.
    GoModule(ExplicitIn),
    /// An image from a registry of containers' images.
    Docker,
    /// A revision of a Bazaar branch.
    Bazaar,
    /// A commit of an OSTree repository.
    OsTree,
    /// An open workspace, in place of all sources of an element.
    Workspace,
    /// One that is not built in.
    Hosted(Arc<SourceClass>),
}

impl SourceKind {
    /// Those that are built in.
    const ALL: &'static [Self] = &[
        Self::Local,
        Self::Tar,
        Self::Zip,
        Self::Remote,
        Self::Patch,
        Self::PatchQueue,
        Self::Git,
        Self::GitRepo,
        Self::GitTag,
        Self::GitModule,
        Self::Crates,
        Self::GeneratedLock,
        Self::PyPi,
        Self::Cpan,
        Self::GoModule(ExplicitIn::GoMod),
        Self::Docker,
        Self::Bazaar,
        Self::OsTree,
    ];

    /// The kind of a name. Workspaces are none that a project can have.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|kind| kind.name() == name).cloned()
    }

    /// The names of all kinds.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(Self::name)
    }

    /// Its name in element files, keys and caches.
    pub fn name(&self) -> &str {
        match self {
            Self::Local => "local",
            Self::Tar => "tar",
            Self::Zip => "zip",
            Self::Remote => "remote",
            Self::Patch => "patch",
            Self::PatchQueue => "patch_queue",
            Self::Git => "git",
            Self::GitRepo => "git_repo",
            Self::GitTag => "git_tag",
            Self::GitModule => "git_module",
            Self::Crates => "cargo2",
            Self::GeneratedLock => "gen_cargo_lock",
            Self::PyPi => "pypi",
            Self::Cpan => "cpan",
            Self::GoModule(_) => "go_module",
            Self::Docker => "docker",
            Self::Bazaar => "bzr",
            Self::OsTree => "ostree",
            Self::Workspace => "workspace",
            Self::Hosted(class) => &class.plugin.kind,
        }
    }

    /// The keys by which its sources say what exactly is fetched, if they are not known to its plugin
    /// alone.
    pub(crate) fn reference_keys(&self) -> Option<&'static [&'static str]> {
        match self {
            Self::Hosted(_) => None,
            Self::Cpan => Some(&["suffix", "sha256sum"]),
            Self::Git => Some(&["ref", "tags"]),
            _ => Some(&["ref"]),
        }
    }

    /// The package that BuildStream takes it from, or none if it is its own.
    pub(crate) fn package(&self) -> Option<&'static str> {
        match self {
            Self::Local | Self::Tar | Self::Remote | Self::Workspace => None,
            Self::Patch | Self::Git | Self::Bazaar | Self::Docker => Some(PLUGINS_PACKAGE),
            _ => Some(COMMUNITY_PACKAGE),
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
    /// That as it is written, expanded, and where its project takes the kind from; none of a workspace.
    pub written: Option<WrittenSource>,
    /// Where it is in the element's file.
    pub at: Provenance,
}

/// A source as its plugin would read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenSource {
    /// Where its project takes its kind from.
    pub plugin: Arc<PluginId>,
    /// Its configuration, expanded, without the keys that every source may have.
    pub config: Mapping,
    /// What is said of where it comes from.
    pub provenance: Option<Mapping>,
}

/// What a source is, by its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceConfig {
    /// Files of the project.
    Local(Local),
    /// A tar archive.
    Tar(Archive),
    /// A zip archive.
    Zip(Archive),
    /// A file as it is.
    Remote(Remote),
    /// A change to the sources before it.
    Patch(Patch),
    /// All changes in a directory of the project.
    PatchQueue(PatchQueue),
    /// A commit of a Git repository without its history.
    Git(Git),
    /// A commit of a Git repository with some of its history.
    GitRepo(GitRepo),
    /// A commit of a Git repository with its history.
    GitTag(GitTag),
    /// A submodule of a source before it.
    GitModule(GitModule),
    /// The crates that a Cargo.lock names.
    Crates(Crates),
    /// A Cargo.lock.
    GeneratedLock(GeneratedLock),
    /// A package of the Python package index.
    PyPi(PyPi),
    /// A distribution of Perl's archive network.
    Cpan(Cpan),
    /// A module of Go.
    GoModule(GoModule),
    /// An image from a registry of containers' images.
    Docker(Docker),
    /// A revision of a Bazaar branch.
    Bazaar(Bazaar),
    /// A commit of an OSTree repository.
    OsTree(OsTree),
    /// An open workspace.
    Workspace(Workspace),
    /// Whatever a plugin makes of it.
    Hosted(Box<HostedSource>),
}

/// What each kind of source says of itself.
pub(crate) trait Behaviour {
    /// What it puts into keys; none as long as it has no `ref`, or its content is not digested.
    fn unique_key(&self, contents: &Contents) -> Option<Json>;

    /// Whether it is known what exactly is fetched.
    fn is_resolved(&self) -> bool {
        true
    }

    /// Whether anything is fetched from elsewhere.
    fn is_fetched(&self) -> bool {
        true
    }

    /// What of the project's files must be digested for its key.
    fn contents(&self) -> Vec<Content> {
        Vec::new()
    }
}

/// What sources are made with.
pub(crate) struct SourceContext<'a> {
    pub(crate) files: &'a Below,
    pub(crate) aliases: &'a Aliases,
    /// Whether an address without an alias is an error.
    pub(crate) unaliased_is_fatal: bool,
    /// Takes what is doubtful.
    pub(crate) warn: &'a dyn Fn(Warning),
}

impl SourceContext<'_> {
    /// Checks a path that a source names, relative to its project's directory, and gives it
    /// relative to the top-level project's.
    pub(crate) fn path(&self, path: &Scalar, expect: Expect) -> Result<Arc<str>, LoadError> {
        let inside = path::check(self.files, path, expect)?;
        Ok(self.files.path(&inside).into())
    }

    /// What is in a directory that a source names, in any order, each as [`Self::path`] gives it.
    pub(crate) fn list(&self, path: &Scalar) -> Result<Vec<Arc<str>>, LoadError> {
        let directory = self.path(path, Expect::Directory)?;
        let inside = path::check(self.files, path, Expect::Directory)?;
        let names = self.files.list(&inside).map_err(|error| {
            let path_text = directory.to_string();
            LoadError::at(
                &path.at,
                Problem::Read {
                    path: path_text,
                    error,
                },
            )
        })?;
        let below = |name: &String| match &*directory {
            "" => name.as_str().into(),
            directory => format!("{directory}/{name}").into(),
        };
        Ok(names.iter().map(below).collect())
    }
}

impl Source {
    /// Reads a source's expanded configuration, from which the common keys have been taken.
    pub(crate) fn load(
        kind: SourceKind,
        directory: Option<Arc<str>>,
        written: WrittenSource,
        at: &Provenance,
        context: &SourceContext<'_>,
    ) -> Result<Self, LoadError> {
        use SourceConfig as Loaded;
        use SourceKind as Kind;
        let config = &written.config;
        Ok(Self {
            directory,
            at: at.clone(),
            config: match kind {
                Kind::Local => Loaded::Local(Local::load(config, context)?),
                Kind::Tar => Loaded::Tar(Archive::load(config, context)?),
                Kind::Zip => Loaded::Zip(Archive::load(config, context)?),
                Kind::Remote => Loaded::Remote(Remote::load(config, context)?),
                Kind::Patch => Loaded::Patch(Patch::load(config, context)?),
                Kind::PatchQueue => Loaded::PatchQueue(PatchQueue::load(config, context)?),
                Kind::Git => Loaded::Git(Git::load(config, context)?),
                Kind::GitRepo => Loaded::GitRepo(GitRepo::load(config, context)?),
                Kind::GitTag => Loaded::GitTag(GitTag::load(config, context)?),
                Kind::GitModule => Loaded::GitModule(GitModule::load(config, context)?),
                Kind::Crates => Loaded::Crates(Crates::load(config, context)?),
                Kind::GeneratedLock => Loaded::GeneratedLock(GeneratedLock::load(config)?),
                Kind::PyPi => Loaded::PyPi(PyPi::load(config, context)?),
                Kind::Cpan => Loaded::Cpan(Cpan::load(config, context)?),
                Kind::GoModule(explicit) => {
                    Loaded::GoModule(GoModule::load(config, explicit, context)?)
                }
                Kind::Docker => Loaded::Docker(Docker::load(config, context)?),
                Kind::Bazaar => Loaded::Bazaar(Bazaar::load(config, context)?),
                Kind::OsTree => Loaded::OsTree(OsTree::load(config, context)?),
                // The one is none that a file can have, the others are made by their plugins.
                Kind::Workspace | Kind::Hosted(_) => {
                    return Err(LoadError::at(at, Problem::WorkspaceSource));
                }
            },
            kind,
            written: Some(written),
        })
    }

    /// The source that an open workspace is.
    pub(crate) fn workspace(workspace: Workspace, at: &Provenance) -> Self {
        Self {
            kind: SourceKind::Workspace,
            directory: None,
            config: SourceConfig::Workspace(workspace),
            written: None,
            at: at.clone(),
        }
    }

    fn behaviour(&self) -> &dyn Behaviour {
        match &self.config {
            SourceConfig::Local(local) => local,
            SourceConfig::Tar(archive) | SourceConfig::Zip(archive) => archive,
            SourceConfig::Remote(remote) => remote,
            SourceConfig::Patch(patch) => patch,
            SourceConfig::PatchQueue(queue) => queue,
            SourceConfig::Git(git) => git,
            SourceConfig::GitRepo(git) => git,
            SourceConfig::GitTag(git) => git,
            SourceConfig::GitModule(module) => module,
            SourceConfig::Crates(crates) => crates,
            SourceConfig::GeneratedLock(lock) => lock,
            SourceConfig::PyPi(pypi) => pypi,
            SourceConfig::Cpan(cpan) => cpan,
            SourceConfig::GoModule(module) => module,
            SourceConfig::Docker(docker) => docker,
            SourceConfig::Bazaar(bazaar) => bazaar,
            SourceConfig::OsTree(ostree) => ostree,
            SourceConfig::Workspace(workspace) => workspace,
            SourceConfig::Hosted(hosted) => &**hosted,
        }
    }

    /// Whether it is known what exactly is fetched.
    pub fn is_resolved(&self) -> bool {
        self.behaviour().is_resolved()
    }

    /// Whether anything of it is fetched from elsewhere.
    pub fn is_fetched(&self) -> bool {
        self.behaviour().is_fetched()
    }

    /// Whether it can only be staged onto the sources before it; such a source is not cached alone.
    pub fn needs_previous(&self) -> bool {
        match &self.config {
            SourceConfig::Patch(_) | SourceConfig::PatchQueue(_) | SourceConfig::GoModule(_) => {
                true
            }
            SourceConfig::Hosted(hosted) => {
                hosted.class.previous_to_stage || hosted.class.previous_to_fetch
            }
            _ => false,
        }
    }

    /// Whether it can only be tracked when the sources before it are staged.
    pub fn tracks_previous(&self) -> bool {
        match &self.config {
            SourceConfig::GitModule(_)
            | SourceConfig::GoModule(_)
            | SourceConfig::Crates(_)
            | SourceConfig::GeneratedLock(_) => true,
            SourceConfig::Hosted(hosted) => hosted.class.previous_to_track,
            _ => false,
        }
    }

    /// What of the project's files must be digested for its key.
    pub fn contents(&self) -> Vec<Content> {
        self.behaviour().contents()
    }

    /// What it puts into keys; none as long as it is not resolved or its content not digested.
    pub fn unique_key(&self, contents: &Contents) -> Option<Json> {
        if !self.is_resolved() {
            return None;
        }
        self.behaviour().unique_key(contents)
    }
}

/// Checks what holds for all sources of an element together.
pub(crate) fn check(sources: &[Source]) -> Result<(), LoadError> {
    match sources.first() {
        Some(first) if first.needs_previous() || first.tracks_previous() => {
            let problem = Problem::FirstSource(first.kind.name().to_owned());
            Err(LoadError::at(&first.at, problem))
        }
        _ => Ok(()),
    }
}

/// Checks a source's keys: the common ones and those of its kind.
fn expect_keys(config: &Mapping, own: &[&str]) -> Result<(), LoadError> {
    Ok(config.expect_keys(&[&COMMON_KEYS[..], own].concat())?)
}

/// The text of a key, if it is there.
fn text(config: &Mapping, key: &str) -> Result<Option<Arc<str>>, LoadError> {
    Ok(config.scalar(key)?.map(|scalar| scalar.value.clone()))
}

/// The version of what is fetched, or the pattern to guess it by. Only keys see it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    key: &'static str,
    value: Arc<str>,
}

impl Version {
    const KEYS: [&str; 2] = ["version", "version-guess-pattern"];

    fn load(config: &Mapping) -> Result<Option<Self>, LoadError> {
        let mut version = None;
        for key in Self::KEYS.into_iter().rev() {
            let value = text(config, key)?;
            version = value.map(|value| Self { key, value }).or(version);
        }
        Ok(version)
    }
}
