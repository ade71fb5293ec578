//! The kinds of elements: what each reads from its `config`, demands of its dependencies and puts
//! into its cache key. One file a kind; what only has commands shares one.

mod build;
mod compose;
mod filter;
mod import;
mod junction;
mod script;
mod stack;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use headstart_yaml::{Mapping, Provenance};

pub use build::{Build, STEPS};
pub use compose::Compose;
pub use filter::Filter;
pub use import::Import;
pub use junction::Junction;
pub use script::Script;

use crate::element::ElementId;
use crate::error::{LoadError, Problem};
use crate::json::Json;
use crate::variables::Variables;

/// The package that has the build systems' kinds.
pub(crate) const PLUGINS_PACKAGE: &str = "buildstream-plugins";

/// The kind of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ElementKind {
    /// Commands and nothing else.
    Manual,
    /// `configure` and `make`.
    Autotools,
    /// CMake.
    Cmake,
    /// A makefile.
    Make,
    /// Meson.
    Meson,
    /// Sources as they are.
    Import,
    /// A name for several elements.
    Stack,
    /// Parts of several artifacts in one.
    Compose,
    /// Parts of one artifact.
    Filter,
    /// Commands on other elements' artifacts.
    Script,
    /// A way into another project.
    Junction,
}

impl ElementKind {
    const ALL: [Self; 11] = [
        Self::Manual,
        Self::Autotools,
        Self::Cmake,
        Self::Make,
        Self::Meson,
        Self::Import,
        Self::Stack,
        Self::Compose,
        Self::Filter,
        Self::Script,
        Self::Junction,
    ];

    /// The kind of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its name in element files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Autotools => "autotools",
            Self::Cmake => "cmake",
            Self::Make => "make",
            Self::Meson => "meson",
            Self::Import => "import",
            Self::Stack => "stack",
            Self::Compose => "compose",
            Self::Filter => "filter",
            Self::Script => "script",
            Self::Junction => "junction",
        }
    }

    /// The package that BuildStream takes it from, or none if it is its own.
    pub(crate) fn package(self) -> Option<&'static str> {
        match self {
            Self::Autotools | Self::Cmake | Self::Make | Self::Meson => Some(PLUGINS_PACKAGE),
            _ => None,
        }
    }

    /// Its defaults, as the text of a YAML file, with the name of that.
    pub(crate) fn defaults(self) -> (&'static str, &'static str) {
        match self {
            Self::Manual => ("manual.yaml", include_str!("../data/manual.yaml")),
            Self::Autotools => ("autotools.yaml", include_str!("../data/autotools.yaml")),
            Self::Cmake => ("cmake.yaml", include_str!("../data/cmake.yaml")),
            Self::Make => ("make.yaml", include_str!("../data/make.yaml")),
            Self::Meson => ("meson.yaml", include_str!("../data/meson.yaml")),
            Self::Import => ("import.yaml", include_str!("../data/import.yaml")),
            Self::Stack => ("stack.yaml", ""),
            Self::Junction => ("junction.yaml", ""),
            Self::Compose => ("compose.yaml", include_str!("../data/compose.yaml")),
            Self::Filter => ("filter.yaml", include_str!("../data/filter.yaml")),
            Self::Script => ("script.yaml", include_str!("../data/script.yaml")),
        }
    }

    /// The number in cache keys that the kind raises when it builds something else.
    pub fn artifact_version(self) -> i64 {
        match self {
            Self::Filter => 1,
            _ => 0,
        }
    }

    /// Whether it is rebuilt when any dependency changes, however strict the build is.
    pub fn is_always_strict(self) -> bool {
        matches!(self, Self::Compose | Self::Filter | Self::Script)
    }

    /// Whether its artifact has files of its own.
    pub fn has_artifact(self) -> bool {
        !matches!(self, Self::Stack | Self::Junction)
    }

    pub(crate) fn takes_dependency_config(self) -> bool {
        !matches!(
            self,
            Self::Import | Self::Stack | Self::Compose | Self::Filter | Self::Junction
        )
    }

    pub(crate) fn forbids_runtime_dependencies(self) -> bool {
        matches!(self, Self::Compose | Self::Script)
    }

    pub(crate) fn forbids_sources(self) -> bool {
        matches!(
            self,
            Self::Stack | Self::Compose | Self::Filter | Self::Script
        )
    }
}

impl fmt::Display for ElementKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an element does, by its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Config {
    /// Runs commands on sources: manual, autotools, cmake, make, meson.
    Build(Build),
    /// Takes sources as they are.
    Import(Import),
    /// Does nothing.
    Stack,
    /// Puts parts of its dependencies together.
    Compose(Compose),
    /// Takes parts of its dependency.
    Filter(Filter),
    /// Runs commands on its dependencies.
    Script(Script),
    /// Leads into another project.
    Junction(Junction),
}

impl Config {
    pub(crate) fn load(kind: ElementKind, input: &Input<'_>) -> Result<Self, LoadError> {
        Ok(match kind {
            ElementKind::Manual
            | ElementKind::Autotools
            | ElementKind::Cmake
            | ElementKind::Make
            | ElementKind::Meson => Self::Build(Build::load(input)?),
            ElementKind::Import => Self::Import(Import::load(input)?),
            ElementKind::Stack => {
                stack::check(input)?;
                Self::Stack
            }
            ElementKind::Compose => Self::Compose(Compose::load(input)?),
            ElementKind::Filter => Self::Filter(Filter::load(input)?),
            ElementKind::Script => Self::Script(Script::load(input)?),
            ElementKind::Junction => Self::Junction(Junction::load(input)?),
        })
    }

    /// Whether the element runs commands in a sandbox.
    pub fn runs_commands(&self) -> bool {
        match self {
            // A junction runs none, but its key is made as if it did.
            Self::Build(_) | Self::Script(_) | Self::Junction(_) => true,
            Self::Compose(compose) => compose.integrate,
            Self::Import(_) | Self::Stack | Self::Filter(_) => false,
        }
    }

    /// What it puts into the cache key.
    pub fn unique_key(&self) -> Json {
        match self {
            Self::Build(build) => build.unique_key(),
            Self::Import(import) => import.unique_key(),
            Self::Stack | Self::Junction(_) => Json::Int(1),
            Self::Compose(compose) => compose.unique_key(),
            Self::Filter(filter) => filter.unique_key(),
            Self::Script(script) => script.unique_key(),
        }
    }
}

/// What a kind makes its configuration of.
pub(crate) struct Input<'a> {
    /// The element's `config`, expanded.
    pub(crate) config: &'a Mapping,
    pub(crate) variables: &'a Variables,
    /// All dependencies in order.
    pub(crate) dependencies: &'a [InputDependency<'a>],
    /// The number of sources.
    pub(crate) sources: usize,
    pub(crate) at: &'a Provenance,
}

/// A dependency as a kind sees it.
pub(crate) struct InputDependency<'a> {
    pub(crate) element: ElementId,
    /// As the dependency was written.
    pub(crate) path: &'a Arc<str>,
    pub(crate) kind: ElementKind,
    pub(crate) build: bool,
    pub(crate) runtime: bool,
    /// Its `config`s, expanded.
    pub(crate) config: &'a [Mapping],
    pub(crate) at: &'a Provenance,
}

impl<'a> Input<'a> {
    /// Each build dependency with each of its `config`s, or once with none.
    fn configured(&self) -> impl Iterator<Item = (StagedDependency, Option<&'a Mapping>)> {
        let build = self
            .dependencies
            .iter()
            .filter(|dependency| dependency.build);
        build.flat_map(|dependency| {
            let none = dependency.config.is_empty().then_some(None);
            let staged = StagedDependency {
                element: dependency.element,
                path: dependency.path.clone(),
            };
            let configs = dependency.config.iter().map(Some);
            none.into_iter()
                .chain(configs)
                .map(move |config| (staged.clone(), config))
        })
    }
}

/// A dependency that a kind stages somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedDependency {
    /// The element.
    pub element: ElementId,
    /// As the dependency was written: what keys hold.
    pub path: Arc<str>,
}

/// Where dependencies are staged: by directory, in the order of the directories' names, each list
/// in the order of the dependencies.
pub type Layout = BTreeMap<Arc<str>, Vec<StagedDependency>>;

fn layout_key(layout: &Layout) -> Json {
    Json::map(layout.iter().map(|(place, dependencies)| {
        let paths = dependencies.iter().map(|dependency| &dependency.path);
        (place.clone(), Json::strings(paths))
    }))
}

/// The location in a dependency's `config`, `/` if there is none.
fn location(config: Option<&Mapping>) -> Result<Arc<str>, LoadError> {
    let location = config.map(|config| config.scalar("location")).transpose()?;
    Ok(location
        .flatten()
        .map_or_else(|| "/".into(), |location| location.value.clone()))
}

/// Checks the rules that hold for a kind whatever its configuration.
pub(crate) fn check(kind: ElementKind, input: &Input<'_>) -> Result<(), LoadError> {
    let forbidden = |at: &Provenance, what| {
        let kind = kind.name();
        LoadError::at(at, Problem::Forbidden { kind, what })
    };
    if kind.forbids_sources() && input.sources > 0 {
        return Err(forbidden(input.at, "sources"));
    }
    for dependency in input.dependencies {
        if dependency.runtime && kind.forbids_runtime_dependencies() {
            return Err(forbidden(dependency.at, "runtime dependencies"));
        }
        if let (false, [config, ..]) = (kind.takes_dependency_config(), dependency.config) {
            let problem = Problem::NoDependencyConfig(kind.name());
            return Err(LoadError::at(&config.at, problem));
        }
    }
    Ok(())
}
