//! BuildStream's model of a project: options, variables, elements, sources, cache keys.
//!
//! [`Project::load`] reads project.conf, [`Project::load_elements`] element files with all that they
//! depend on, into an [`ElementGraph`] in which everything is resolved. [`Keys::compute`] gives the
//! cache keys, which are bit-identical with those of BuildStream 2.8.1.
//!
//! The crate is pure: no clock, no environment, and files only through the trait [`Files`]. What of
//! a project's files enters keys is listed by [`ElementGraph::contents`], digested by the caller and
//! given back as [`Contents`].
//!
//! Not there yet, and said so with the place when a project needs it: junctions and links,
//! `ref-storage: project.refs`, plugins of the project's own.

#![warn(missing_docs)]

mod aliases;
mod dependency;
mod element;
mod error;
mod expression;
mod files;
mod graph;
mod host;
mod include;
mod json;
mod keys;
mod kinds;
mod listsort;
mod loader;
mod meta;
mod options;
mod path;
mod plugins;
mod project;
mod resolve;
mod source;
mod splits;
mod variables;

pub use aliases::Aliases;
pub use element::{Element, ElementId, Public, RemoteApisSocket, Sandbox};
pub use error::{LoadError, Problem, Warning};
pub use files::{FileError, Files, MemoryFiles, Stat};
pub use graph::ElementGraph;
pub use host::{Host, canonical_arch};
pub use json::Json;
pub use keys::{CacheKey, Content, Contents, ElementKeys, Keys};
pub use kinds::{
    Build, Compose, Config, ElementKind, Filter, Import, Layout, STEPS, Script, StagedDependency,
};
pub use options::{OptionType, OptionValue, Options, ProjectOption};
pub use project::{Project, Settings};
pub use source::{
    Address, Archive, Bazaar, Crate, CrateOrigin, Crates, DescribedRef, Download, GeneratedLock,
    Git, GitClone, GitModule, GitRepo, GitTag, Local, OsTree, Patch, PatchQueue, PyPi, PyPiFile,
    Remote, Source, SourceConfig, SourceKind, Submodules, Tag,
};
pub use splits::{Pattern, SplitFilter, Splits};
pub use variables::Variables;
