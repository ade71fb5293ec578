//! What BuildStream calls a problem: the members of its `ErrorDomain` and `LoadErrorReason`, and the
//! words that its plugins use as reasons. Programs that look at failures know them by these.

use headstart_yaml as yaml;

use crate::error::{BadName, LoadError, Problem};
use crate::files::FileError;

/// A domain and, where BuildStream has one, a reason.
type Named<'a> = (&'a str, Option<&'a str>);

impl LoadError {
    /// The member of BuildStream's `ErrorDomain`.
    pub fn domain(&self) -> &str {
        named(self.problem()).0
    }

    /// The member of its `LoadErrorReason`, or a plugin's word for the reason, if there is one.
    pub fn reason(&self) -> Option<&str> {
        named(self.problem()).1
    }
}

fn load(reason: &str) -> Named<'_> {
    ("LOAD", Some(reason))
}

fn named(problem: &Problem) -> Named<'_> {
    match problem {
        Problem::Yaml(problem) => load(of_yaml(problem)),
        Problem::Read { error, .. } => load(match error {
            FileError::NotFound => "MISSING_FILE",
            FileError::IsDirectory => "LOADING_DIRECTORY",
            FileError::NotText => "INVALID_YAML",
            FileError::Other(_) => "INVALID_DATA",
        }),
        Problem::NoProject(_) => load("MISSING_PROJECT_CONF"),
        Problem::NoElement { .. } => load("MISSING_FILE"),
        Problem::Version { .. } => load("UNSUPPORTED_PROJECT"),
        Problem::Symbol { .. } => load("INVALID_SYMBOL_NAME"),
        Problem::Path { problem, .. } => load(of_path(problem)),
        Problem::ElementName { problem, .. } => load(match problem {
            BadName::Suffix => "BAD_ELEMENT_SUFFIX",
            BadName::Character => "BAD_CHARACTERS_IN_NAME",
            // BuildStream looks for the file.
            BadName::Outside => "MISSING_FILE",
        }),
        Problem::RecursiveInclude(_) | Problem::DeepInclude(_) | Problem::ManyIncludes(_) => {
            load("RECURSIVE_INCLUDE")
        }
        Problem::Assertion(_) => load("USER_ASSERTION"),
        Problem::Expression { .. } => load("EXPRESSION_FAILED"),
        Problem::UndefinedVariable { .. } | Problem::LongVariable { .. } => {
            load("UNRESOLVED_VARIABLE")
        }
        Problem::CircularVariable { .. } => load("CIRCULAR_REFERENCE_VARIABLE"),
        Problem::ProtectedVariable(_) => load("PROTECTED_VARIABLE_REDEFINED"),
        Problem::NoDependencyConfig(_) => load("INVALID_DEPENDENCY_CONFIG"),
        Problem::CircularDependency { .. } => load("CIRCULAR_DEPENDENCY"),
        Problem::CircularReference(_) | Problem::CircularProject(_) => load("CIRCULAR_REFERENCE"),
        Problem::LinkDependency => load("LINK_FORBIDDEN_DEPENDENCIES"),
        Problem::NoJunctionReference(_) => load("SUBPROJECT_INCONSISTENT"),
        Problem::ConflictingProjects { .. } => load("CONFLICTING_JUNCTION"),
        Problem::DeepJunction(_)
        | Problem::JunctionDependency
        | Problem::NoJunctionProject { .. }
        | Problem::Stage { .. } => load("INVALID_JUNCTION"),
        Problem::ProvenanceAttribute { .. } => load("UNDEFINED_SOURCE_PROVENANCE_ATTRIBUTE"),
        Problem::UnknownArch(_) => ("PLATFORM", None),
        problem => of_plugins(problem).unwrap_or_else(|| load("INVALID_DATA")),
    }
}

fn of_yaml(problem: &yaml::Problem) -> &'static str {
    use yaml::Problem as P;
    match problem {
        P::Syntax(_)
        | P::TooLarge(_)
        | P::TooDeep(_)
        | P::Anchor
        | P::Tag(_)
        | P::KeyNotScalar
        | P::DuplicateKey(_)
        | P::NotAMapping(_)
        | P::MoreDocuments => "INVALID_YAML",
        P::NoListToChange(_) => "TRAILING_LIST_DIRECTIVE",
        P::Compose { .. } => "ILLEGAL_COMPOSITE",
        P::MissingKey(_)
        | P::UnexpectedKey { .. }
        | P::Type { .. }
        | P::Item { .. }
        | P::Node { .. }
        | P::Value { .. }
        | P::MixedDirectives => "INVALID_DATA",
    }
}

fn of_path(problem: &str) -> &'static str {
    match problem {
        "does not exist" => "MISSING_FILE",
        problem if problem.starts_with("leads out") || problem.contains("absolute") => {
            "PROJ_PATH_INVALID"
        }
        _ => "PROJ_PATH_INVALID_KIND",
    }
}

/// What is no matter of loading in BuildStream: its plugins find it out.
fn of_plugins(problem: &Problem) -> Option<Named<'_>> {
    Some(match problem {
        Problem::Unsupported(_) => ("IMPL", None),
        Problem::Plugin { error, .. } => (
            error.domain.as_deref().unwrap_or("PLUGIN"),
            error.reason.as_deref(),
        ),
        Problem::UnknownKind { .. } | Problem::NotRegistered { .. } => {
            ("PLUGIN", Some("plugin-not-found"))
        }
        Problem::DuplicatePlugin { .. } => ("PLUGIN", Some("duplicate-plugin")),
        Problem::NoJunctionPlugin { .. } => ("PLUGIN", Some("junction-plugin-not-found")),
        Problem::Unaliased(_) => ("PLUGIN", Some("unaliased-url")),
        Problem::Forbidden { what, .. } if *what == "sources" => {
            ("ELEMENT", Some("element-forbidden-sources"))
        }
        Problem::Forbidden { what, .. } if *what == "build dependencies" => {
            ("ELEMENT", Some("element-forbidden-bdepends"))
        }
        Problem::Forbidden { .. } => ("ELEMENT", Some("element-forbidden-rdepends")),
        Problem::OverrideWithSelf(_) => ("ELEMENT", Some("override-junction-with-self")),
        Problem::FilterDependencies(_) => ("ELEMENT", Some("filter-bdepend-wrong-count")),
        Problem::Filtered { problem, .. } if problem.contains("artifact") => {
            ("ELEMENT", Some("filter-bdepend-no-artifact"))
        }
        Problem::Filtered { .. } => ("ELEMENT", Some("filter-bdepend-also-rdepend")),
        Problem::StackDependency(_) => ("ELEMENT", Some("stack-requires-build-and-run")),
        Problem::NoSource
        | Problem::FlatpakMetadata
        | Problem::NoFlatpak
        | Problem::FlatpakDependency
        | Problem::FirstSource(_) => ("ELEMENT", None),
        Problem::UnknownAlias(_) | Problem::UnknownMappedAlias { .. } => {
            ("SOURCE", Some("invalid-source-alias"))
        }
        Problem::DockerAddress => ("SOURCE", None),
        Problem::UnmappedAlias(_) => ("SOURCE", Some("missing-alias-mapping")),
        Problem::NoAddress { .. } => ("SOURCE", Some("missing-source-alias-target")),
        _ => return None,
    })
}
