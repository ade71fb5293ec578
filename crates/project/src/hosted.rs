//! Other people's plugins, as far as the model needs them: what is known of a kind that is not built
//! in, and the trait by which whoever runs it is asked what its elements and sources put into keys.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use headstart_yaml::{Mapping, Node};
use thiserror::Error;

use crate::aliases::Aliases;
use crate::element::{Element, ElementId};
use crate::json::Json;
use crate::keys::{Content, Contents};
use crate::mirror::{Location, MirroredPlace, Place, SourceMirror};
use crate::plugins::PluginType;
use crate::project::Project;
use crate::source::Behaviour;

/// A plugin: what it is called, and where its project takes it from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PluginId {
    /// Whether its kind is one of elements or of sources.
    pub plugin_type: PluginType,
    /// The kind.
    pub kind: Arc<str>,
    /// Where it comes from.
    pub origin: PluginOrigin,
}

/// Where a plugin comes from in the end, whatever junctions lead there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PluginOrigin {
    /// BuildStream itself.
    Core,
    /// An installed Python package: its name, with what is asked of its version.
    Package(Arc<str>),
    /// A directory, relative to the top-level project's.
    Directory(Arc<str>),
}

impl fmt::Display for PluginOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core => f.write_str("BuildStream"),
            Self::Package(package) => write!(f, "the Python package '{package}'"),
            Self::Directory(path) => write!(f, "the directory '{path}'"),
        }
    }
}

/// What a plugin says of all elements of its kind: the class attributes `BST_…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElementClass {
    /// The plugin.
    pub plugin: PluginId,
    /// Whether there can be no sources.
    pub no_sources: bool,
    /// Whether there can be no build dependencies.
    pub no_build_dependencies: bool,
    /// Whether there can be no runtime dependencies.
    pub no_runtime_dependencies: bool,
    /// Whether dependencies can have a `config`.
    pub dependency_config: bool,
    /// Whether an element is rebuilt when any dependency changes.
    pub always_strict: bool,
    /// Whether its elements run commands.
    pub runs_commands: bool,
    /// Whether its elements have artifacts with files of their own.
    pub has_artifact: bool,
    /// The number in cache keys that is raised when something else is built.
    pub version: i64,
    /// If it is not to be used any more: what to use in its place, which may be empty.
    pub deprecated: Option<Arc<str>>,
}

/// What a plugin says of all sources of its kind: when it needs the sources before one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceClass {
    /// The plugin.
    pub plugin: PluginId,
    /// To find a newer version.
    pub previous_to_track: bool,
    /// To fetch it.
    pub previous_to_fetch: bool,
    /// To stage it.
    pub previous_to_stage: bool,
    /// If it is not to be used any more: what to use in its place, which may be empty.
    pub deprecated: Option<Arc<str>>,
}

/// A text that is a file of a plugin's: what elements of its kind begin with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginDefaults {
    /// What errors call the file.
    pub name: String,
    /// Its content; empty if there is none.
    pub text: String,
}

/// What an element of another's kind does: only its plugin knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedElement {
    /// Its kind.
    pub class: Arc<ElementClass>,
    /// Its build dependencies as they are written, each with its `config`s, expanded.
    pub dependencies: Vec<HostedDependency>,
    /// What it puts into its key.
    pub unique_key: Json,
}

/// A dependency as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedDependency {
    /// The element.
    pub element: ElementId,
    /// Its name as the dependant writes it.
    pub path: Arc<str>,
    /// What the dependant says of it.
    pub configs: Vec<Mapping>,
}

/// A source of another's kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedSource {
    /// Its kind.
    pub class: Arc<SourceClass>,
    /// Its configuration, expanded, without the keys that every source may have.
    pub config: Mapping,
    /// The name of its element.
    pub element: Arc<str>,
    /// The kind of its element.
    pub element_kind: Arc<str>,
    /// Its place among the element's sources.
    pub index: usize,
    /// The name of its project.
    pub project: Arc<str>,
    /// The directory of its project, relative to the top-level project's.
    pub project_directory: Arc<str>,
    /// The project's fatal warnings.
    pub fatal_warnings: Arc<[Arc<str>]>,
    /// The aliases that its addresses have, with what they stand for.
    pub aliases: BTreeMap<String, AliasAddresses>,
    /// What its plugin says of it.
    pub facts: SourceFacts,
}

/// What a plugin says of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFacts {
    /// What it puts into keys, if it is known what exactly it is.
    pub unique_key: Option<Json>,
    /// The keys that hold its reference, with their values; none if it has none.
    pub reference: Option<Vec<(Arc<str>, Node)>>,
}

/// What an alias stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AliasAddresses {
    /// What its project says that it stands for.
    pub own: Option<String>,
    /// The same, or what the project says that this one is joined to, if it takes it over.
    pub translated: String,
    /// Where to fetch from, in order.
    pub fetch: Vec<Place>,
    /// Where to look for newer versions, in order.
    pub track: Vec<Place>,
}

/// What a plugin, or whoever runs it, fails by.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message}")]
pub struct PluginError {
    /// What went wrong, and where that is known in which file.
    pub message: String,
    /// BuildStream's name for what kind of failure it is, if it has one.
    pub domain: Option<String>,
    /// BuildStream's or the plugin's word for the reason, if there is one.
    pub reason: Option<String>,
}

impl PluginError {
    /// A failure that BuildStream has no word for.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            domain: None,
            reason: None,
        }
    }
}

/// Whoever runs other people's plugins.
pub trait PluginHost: Send + Sync {
    /// What a plugin says of its elements, and what they begin with.
    fn element_class(
        &self,
        plugin: &PluginId,
    ) -> Result<(ElementClass, PluginDefaults), PluginError>;

    /// What a plugin says of its sources.
    fn source_class(&self, plugin: &PluginId) -> Result<SourceClass, PluginError>;

    /// What an element puts into its key, as the JSON that is hashed. `known` are all elements that
    /// it can depend on, by their ids.
    fn element_key(
        &self,
        element: &Element,
        hosted: &HostedElement,
        project: &Project,
        known: &[Element],
    ) -> Result<String, PluginError>;

    /// Completes a source: what its aliases stand for, and what its plugin says of it.
    fn source(&self, source: &mut HostedSource, aliases: &Aliases) -> Result<(), PluginError>;

    /// Makes a mirror, which fails if its configuration is wrong. If its kind is not to be used any more:
    /// what to use in its place, which may be empty.
    fn mirror(&self, mirror: &SourceMirror) -> Result<Option<Arc<str>>, PluginError>;

    /// Where a mirror has something, in order; nowhere if it does not know the alias.
    fn locations(&self, place: &MirroredPlace) -> Result<Vec<Location>, PluginError>;
}

impl Behaviour for HostedSource {
    fn unique_key(&self, _: &Contents) -> Option<Json> {
        self.facts.unique_key.clone()
    }

    fn is_resolved(&self) -> bool {
        self.facts.unique_key.is_some()
    }

    fn contents(&self) -> Vec<Content> {
        Vec::new()
    }
}
