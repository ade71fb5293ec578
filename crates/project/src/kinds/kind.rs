//! The kinds by name: where BuildStream takes each from, what it begins with, and the rules that
//! hold for all elements of it.

use std::fmt;
use std::sync::Arc;

use crate::hosted::ElementClass;

/// The package that has most build systems' kinds.
pub(crate) const PLUGINS_PACKAGE: &str = "buildstream-plugins";

/// The package that has further build systems' kinds, and those for Flatpak and others.
pub(crate) const COMMUNITY_PACKAGE: &str = "buildstream-plugins-community";

/// The kind of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElementKind {
    /// Commands and nothing else.
    Manual,
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
    /// `configure` and `make`.
    Autotools,
    /// CMake.
    Cmake,
    /// A makefile.
    Make,
    /// Meson.
    Meson,
    /// Python's pip.
    Pip,
    /// Python's setuptools.
    Setuptools,
    /// Rust's Cargo.
    Cargo,
    /// Perl's MakeMaker.
    Makemaker,
    /// Perl's Module::Build.
    Modulebuild,
    /// Python's PEP 517.
    Pyproject,
    /// Qt's qmake.
    Qmake,
    /// An artifact in the layout of Flatpak.
    FlatpakImage,
    /// A repository of Flatpak images.
    FlatpakRepo,
    /// A script of all integration commands.
    CollectIntegration,
    /// Scripts that are to be run once.
    CollectInitialScripts,
    /// A list of all sources.
    CollectManifest,
    /// A check that something is not depended on.
    CheckForbidden,
    /// One that is not built in.
    Hosted(Arc<ElementClass>),
}

/// Where BuildStream takes a kind from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// It is BuildStream's own.
    Core,
    /// A package.
    Package(&'static str),
    /// Plugins of projects' own, which are all alike.
    Projects,
}

/// The rules that hold for all elements of a kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Whether there can be no sources.
    pub(crate) no_sources: bool,
    /// Whether there can be no build dependencies.
    pub(crate) no_build_dependencies: bool,
    /// Whether there can be no runtime dependencies.
    pub(crate) no_runtime_dependencies: bool,
    /// Whether dependencies can have a `config`.
    pub(crate) dependency_config: bool,
    /// Whether it is rebuilt when any dependency changes.
    pub(crate) always_strict: bool,
    /// The number in cache keys that is raised when something else is built.
    pub(crate) version: i64,
}

impl Rules {
    const NONE: Self = Self {
        no_sources: false,
        no_build_dependencies: false,
        no_runtime_dependencies: false,
        dependency_config: false,
        always_strict: false,
        version: 0,
    };
}

/// Commands that are run on sources.
const BUILD: Rules = Rules {
    dependency_config: true,
    ..Rules::NONE
};

/// Something made of nothing but dependencies.
const COLLECT: Rules = Rules {
    no_sources: true,
    no_runtime_dependencies: true,
    always_strict: true,
    ..Rules::NONE
};

/// Commands that are run on dependencies.
const SCRIPT: Rules = Rules {
    dependency_config: true,
    ..COLLECT
};

impl ElementKind {
    /// Those that are built in.
    const ALL: &'static [Self] = &[
        Self::Manual,
        Self::Import,
        Self::Stack,
        Self::Compose,
        Self::Filter,
        Self::Script,
        Self::Junction,
        Self::Autotools,
        Self::Cmake,
        Self::Make,
        Self::Meson,
        Self::Pip,
        Self::Setuptools,
        Self::Cargo,
        Self::Makemaker,
        Self::Modulebuild,
        Self::Pyproject,
        Self::Qmake,
        Self::FlatpakImage,
        Self::FlatpakRepo,
        Self::CollectIntegration,
        Self::CollectInitialScripts,
        Self::CollectManifest,
        Self::CheckForbidden,
    ];

    /// The kind of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|kind| kind.name() == name).cloned()
    }

    /// The names of all kinds.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(Self::name)
    }

    /// Its name in element files.
    pub fn name(&self) -> &str {
        match self {
            Self::Manual => "manual",
            Self::Import => "import",
            Self::Stack => "stack",
            Self::Compose => "compose",
            Self::Filter => "filter",
            Self::Script => "script",
            Self::Junction => "junction",
            Self::Autotools => "autotools",
            Self::Cmake => "cmake",
            Self::Make => "make",
            Self::Meson => "meson",
            Self::Pip => "pip",
            Self::Setuptools => "setuptools",
            Self::Cargo => "cargo",
            Self::Makemaker => "makemaker",
            Self::Modulebuild => "modulebuild",
            Self::Pyproject => "pyproject",
            Self::Qmake => "qmake",
            Self::FlatpakImage => "flatpak_image",
            Self::FlatpakRepo => "flatpak_repo",
            Self::CollectIntegration => "collect_integration",
            Self::CollectInitialScripts => "collect_initial_scripts",
            Self::CollectManifest => "collect_manifest",
            Self::CheckForbidden => "check_forbidden",
            Self::Hosted(class) => &class.plugin.kind,
        }
    }

    /// Where BuildStream takes it from.
    pub(crate) fn home(&self) -> Home {
        match self {
            Self::Manual
            | Self::Import
            | Self::Stack
            | Self::Compose
            | Self::Filter
            | Self::Script
            | Self::Junction => Home::Core,
            Self::Autotools
            | Self::Cmake
            | Self::Make
            | Self::Meson
            | Self::Pip
            | Self::Setuptools => Home::Package(PLUGINS_PACKAGE),
            Self::Cargo
            | Self::Makemaker
            | Self::Modulebuild
            | Self::Pyproject
            | Self::Qmake
            | Self::FlatpakImage
            | Self::FlatpakRepo
            | Self::CollectIntegration
            | Self::CollectManifest
            | Self::CheckForbidden => Home::Package(COMMUNITY_PACKAGE),
            Self::CollectInitialScripts | Self::Hosted(_) => Home::Projects,
        }
    }

    /// Its defaults, as the text of a YAML file; empty if it has none.
    pub(crate) fn defaults(&self) -> &'static str {
        match self {
            Self::Manual => include_str!("../../data/manual.yaml"),
            Self::Import => include_str!("../../data/import.yaml"),
            Self::Compose => include_str!("../../data/compose.yaml"),
            Self::Filter => include_str!("../../data/filter.yaml"),
            Self::Script => include_str!("../../data/script.yaml"),
            Self::Autotools => include_str!("../../data/autotools.yaml"),
            Self::Cmake => include_str!("../../data/cmake.yaml"),
            Self::Make => include_str!("../../data/make.yaml"),
            Self::Meson => include_str!("../../data/meson.yaml"),
            Self::Pip => include_str!("../../data/pip.yaml"),
            Self::Setuptools => include_str!("../../data/setuptools.yaml"),
            Self::Cargo => include_str!("../../data/cargo.yaml"),
            Self::Makemaker => include_str!("../../data/makemaker.yaml"),
            Self::Modulebuild => include_str!("../../data/modulebuild.yaml"),
            Self::Pyproject => include_str!("../../data/pyproject.yaml"),
            Self::Qmake => include_str!("../../data/qmake.yaml"),
            Self::FlatpakImage => include_str!("../../data/flatpak_image.yaml"),
            Self::FlatpakRepo => include_str!("../../data/flatpak_repo.yaml"),
            Self::Stack
            | Self::Junction
            | Self::CollectIntegration
            | Self::CollectInitialScripts
            | Self::CollectManifest
            | Self::CheckForbidden
            | Self::Hosted(_) => "",
        }
    }

    /// The rules that hold for all its elements.
    pub(crate) fn rules(&self) -> Rules {
        match self {
            Self::Manual
            | Self::Autotools
            | Self::Cmake
            | Self::Make
            | Self::Meson
            | Self::Pip
            | Self::Setuptools
            | Self::Cargo
            | Self::Makemaker
            | Self::Modulebuild
            | Self::Pyproject
            | Self::Qmake => BUILD,
            Self::Import | Self::Junction | Self::CheckForbidden => Rules::NONE,
            Self::Stack => Rules {
                no_sources: true,
                ..Rules::NONE
            },
            Self::Compose => COLLECT,
            Self::Filter => Rules {
                no_sources: true,
                always_strict: true,
                version: 1,
                ..Rules::NONE
            },
            Self::Script | Self::FlatpakImage => SCRIPT,
            Self::FlatpakRepo => Rules {
                version: 2,
                ..SCRIPT
            },
            Self::CollectIntegration | Self::CollectInitialScripts => Rules {
                no_sources: true,
                no_runtime_dependencies: true,
                ..Rules::NONE
            },
            Self::CollectManifest => Rules {
                version: 2,
                ..COLLECT
            },
            Self::Hosted(class) => Rules {
                no_sources: class.no_sources,
                no_build_dependencies: class.no_build_dependencies,
                no_runtime_dependencies: class.no_runtime_dependencies,
                dependency_config: class.dependency_config,
                always_strict: class.always_strict,
                version: class.version,
            },
        }
    }

    /// The number in cache keys that the kind raises when it builds something else.
    pub fn artifact_version(&self) -> i64 {
        self.rules().version
    }

    /// Whether it is rebuilt when any dependency changes, however strict the build is.
    pub fn is_always_strict(&self) -> bool {
        self.rules().always_strict
    }

    /// Whether its artifact has files of its own.
    pub fn has_artifact(&self) -> bool {
        match self {
            Self::Stack | Self::Junction => false,
            Self::Hosted(class) => class.has_artifact,
            _ => true,
        }
    }
}

impl fmt::Display for ElementKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
