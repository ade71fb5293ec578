//! BuildStream's model of a project: options, variables, elements, sources, cache keys.
//!
//! [`Projects::load`] reads the top-level project's project.conf, [`Projects::load_elements`] element
//! files with all that they depend on, into an [`ElementGraph`] in which everything is resolved;
//! what other projects junctions lead to is loaded on the way. [`Keys::compute`] gives the cache
//! keys, which are bit-identical with those of BuildStream 2.8.1.
//!
//! The crate is pure: no clock, no environment, and files only through the trait [`Files`], what is
//! beyond the projects' own files only through [`Outside`]. Threads that share the work of one call
//! end with it, and don't change its result. What of the files enters keys is listed
//! by [`ElementGraph::contents`], digested by the caller and given back as [`Contents`].

#![warn(missing_docs)]

mod ahead;
mod aliases;
mod conf;
mod conflict;
mod defaults;
mod dependency;
mod element;
mod error;
mod expression;
mod files;
mod graph;
mod host;
mod hosted;
mod in_order;
mod include;
mod json;
mod junctions;
mod keys;
mod kinds;
mod lists;
mod listsort;
mod loader;
mod meta;
mod mirror;
mod nearest;
mod options;
mod order;
mod outside;
mod path;
mod plugins;
mod project;
mod projects;
mod reason;
mod refs;
mod resolve;
mod scope;
mod servers;
mod shell;
mod source;
mod splits;
mod universe;
mod variables;

pub use aliases::{AddressPolicies, AddressPolicy, Aliases};
pub use conf::default_environment;
pub use element::{Element, ElementId, Public, RemoteApisSocket, Sandbox};
pub use error::{BadName, LoadError, Problem, Warning};
pub use files::{FileError, Files, MemoryFiles, Stat};
pub use graph::ElementGraph;
pub use host::{Host, canonical_arch};
pub use hosted::{
    AliasAddresses, ElementClass, HostedDependency, HostedElement, HostedSource, PluginDefaults,
    PluginError, PluginHost, PluginId, PluginOrigin, SourceClass, SourceFacts,
};
pub use json::Json;
pub use keys::{CacheKey, Content, Contents, ElementKeys, Keys};
pub use kinds::{
    Build, CheckForbidden, CollectInitialScripts, CollectIntegration, CollectManifest, Compose,
    Config, ElementKind, Filter, FlatpakImage, Import, Junction, Layout, STEPS, Script, SpdxInfo,
    StagedDependency,
};
pub use mirror::{Location, MirroredPlace, Place, SourceMirror};
pub use options::{OptionType, OptionValue, Options, ProjectOption, is_symbol};
pub use outside::{Nothing, Outside, OutsideError};
pub use plugins::PluginType;
pub use project::{Project, ProjectId, Settings};
pub use projects::Projects;
pub use servers::{ServerAuth, ServerSpec, ServerUse};
pub use shell::{HostFile, ShellConfig};
pub use source::{
    Address, Archive, Bazaar, Cpan, Crate, CrateOrigin, Crates, DescribedRef, Docker, Download,
    Explicit, ExplicitIn, GeneratedLock, Git, GitClone, GitModule, GitRepo, GitTag, GoModule,
    GoRef, Local, OsTree, PackageFile, Patch, PatchQueue, PyPi, Remote, Source, SourceConfig,
    SourceKind, Submodules, Tag, Workspace, WrittenSource,
};
pub use splits::{Pattern, SplitFilter, Splits};
pub use variables::Variables;
