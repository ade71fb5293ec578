//! The kinds of elements: what each reads from its `config`, demands of its dependencies and puts
//! into its cache key. One file a kind; what only has commands shares one.

mod build;
mod collect;
mod compose;
mod filter;
mod flatpak;
mod import;
mod junction;
mod kind;
mod script;
mod stack;

use std::collections::BTreeMap;
use std::sync::Arc;

use headstart_yaml::{Mapping, Provenance};

pub use build::{Build, STEPS};
pub use collect::{
    CheckForbidden, CollectInitialScripts, CollectIntegration, CollectManifest, SpdxInfo,
};
pub use compose::Compose;
pub use filter::Filter;
pub use flatpak::FlatpakImage;
pub use import::Import;
pub use junction::Junction;
pub use kind::ElementKind;
pub(crate) use kind::{COMMUNITY_PACKAGE, Home, PLUGINS_PACKAGE};
pub use script::Script;

use crate::element::{Element, ElementId};
use crate::error::{LoadError, Problem};
use crate::hosted::{HostedDependency, HostedElement};
use crate::in_order::Earlier;
use crate::json::Json;
use crate::variables::Variables;

/// What an element does, by its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Config {
    /// Runs commands on sources: manual, and what has other defaults but is the same.
    Build(Build),
    /// Takes sources as they are.
    Import(Import),
    /// Does nothing.
    Stack,
    /// Puts parts of its dependencies together.
    Compose(Compose),
    /// Takes parts of its dependency.
    Filter(Filter),
    /// Runs commands on its dependencies: script, flatpak_repo.
    Script(Script),
    /// Makes an artifact in the layout of Flatpak.
    FlatpakImage(FlatpakImage),
    /// Writes a script of all integration commands.
    CollectIntegration(CollectIntegration),
    /// Writes the scripts that are to be run once.
    CollectInitialScripts(CollectInitialScripts),
    /// Writes a list of all sources.
    CollectManifest(CollectManifest),
    /// Fails if something is depended on.
    CheckForbidden(CheckForbidden),
    /// What a plugin does.
    Hosted(HostedElement),
    /// Leads into another project.
    Junction(Junction),
}

impl Config {
    pub(crate) fn load(kind: &ElementKind, input: &Input<'_>) -> Result<Self, LoadError> {
        Ok(match kind {
            ElementKind::Import => Self::Import(Import::load(input)?),
            ElementKind::Stack => {
                stack::check(input)?;
                Self::Stack
            }
            ElementKind::Compose => Self::Compose(Compose::load(input)?),
            ElementKind::Filter => Self::Filter(Filter::load(input)?),
            ElementKind::Script => Self::Script(Script::load(input)?),
            ElementKind::Junction => Self::Junction(Junction::load(input)?),
            ElementKind::FlatpakImage => Self::FlatpakImage(FlatpakImage::load(input)?),
            ElementKind::FlatpakRepo => Self::Script(flatpak::load_repository(input)?),
            ElementKind::CollectIntegration => {
                Self::CollectIntegration(CollectIntegration::load(input)?)
            }
            ElementKind::CollectInitialScripts => {
                Self::CollectInitialScripts(CollectInitialScripts::load(input)?)
            }
            ElementKind::CollectManifest => Self::CollectManifest(CollectManifest::load(input)?),
            ElementKind::CheckForbidden => Self::CheckForbidden(CheckForbidden::load(input)?),
            ElementKind::Manual
            | ElementKind::Autotools
            | ElementKind::Cargo
            | ElementKind::Cmake
            | ElementKind::Make
            | ElementKind::Makemaker
            | ElementKind::Meson
            | ElementKind::Modulebuild
            | ElementKind::Pip
            | ElementKind::Pyproject
            | ElementKind::Qmake
            | ElementKind::Setuptools => Self::Build(Build::load(input)?),
            ElementKind::Hosted(class) => Self::Hosted(HostedElement {
                class: class.clone(),
                dependencies: input.written(),
                // Whoever hosts the plugin is asked for it once the element is complete.
                unique_key: Json::Null,
            }),
        })
    }

    /// Whether the element runs commands in a sandbox.
    pub fn runs_commands(&self) -> bool {
        match self {
            Self::Compose(compose) => compose.integrate,
            Self::Import(_) | Self::Stack | Self::Filter(_) | Self::CollectManifest(_) => false,
            Self::Hosted(hosted) => hosted.class.runs_commands,
            // Some of these run none, but their keys are made as if they did.
            Self::Build(_)
            | Self::Script(_)
            | Self::Junction(_)
            | Self::FlatpakImage(_)
            | Self::CollectIntegration(_)
            | Self::CollectInitialScripts(_)
            | Self::CheckForbidden(_) => true,
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
            Self::FlatpakImage(image) => image.unique_key(),
            Self::CollectIntegration(collect) => collect.unique_key(),
            Self::CollectInitialScripts(collect) => collect.unique_key(),
            Self::CollectManifest(collect) => collect.unique_key(),
            Self::CheckForbidden(check) => check.unique_key(),
            Self::Hosted(hosted) => hosted.unique_key.clone(),
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
    /// The elements that come before it, by their ids.
    pub(crate) elements: &'a Earlier<'a, Element>,
    pub(crate) at: &'a Provenance,
}

/// A dependency as a kind sees it.
pub(crate) struct InputDependency<'a> {
    pub(crate) element: ElementId,
    /// As the dependency was written.
    pub(crate) path: &'a Arc<str>,
    pub(crate) kind: &'a ElementKind,
    pub(crate) build: bool,
    pub(crate) runtime: bool,
    /// Its `config`s, expanded.
    pub(crate) config: &'a [Mapping],
    pub(crate) at: &'a Provenance,
}

impl<'a> Input<'a> {
    /// An element that comes before it. None if that failed: then nothing comes of this one either.
    fn element(&self, id: ElementId) -> Option<&'a Element> {
        self.elements.get(id.index())
    }

    /// The build dependencies with their `config`s.
    fn written(&self) -> Vec<HostedDependency> {
        let build = self.dependencies.iter().filter(|it| it.build);
        let written = build.map(|dependency| HostedDependency {
            element: dependency.element,
            path: dependency.path.clone(),
            configs: dependency.config.to_vec(),
        });
        written.collect()
    }

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
pub(crate) fn check(kind: &ElementKind, input: &Input<'_>) -> Result<(), LoadError> {
    let rules = kind.rules();
    let forbidden = |at: &Provenance, what| {
        let kind = kind.name().to_owned();
        LoadError::at(at, Problem::Forbidden { kind, what })
    };
    if rules.no_sources && input.sources > 0 {
        return Err(forbidden(input.at, "sources"));
    }
    for dependency in input.dependencies {
        if dependency.build && rules.no_build_dependencies {
            return Err(forbidden(dependency.at, "build dependencies"));
        }
        if dependency.runtime && rules.no_runtime_dependencies {
            return Err(forbidden(dependency.at, "runtime dependencies"));
        }
        if let (false, [config, ..]) = (rules.dependency_config, dependency.config) {
            let problem = Problem::NoDependencyConfig(kind.name().to_owned());
            return Err(LoadError::at(&config.at, problem));
        }
    }
    Ok(())
}
