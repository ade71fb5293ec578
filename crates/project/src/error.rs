//! What can be wrong with a project, with its place and, where one is known, a way out.

use std::fmt;

use headstart_yaml::{self as yaml, Provenance};
use thiserror::Error;

use crate::files::FileError;
use crate::hosted::{PluginError, PluginOrigin};
use crate::nearest::nearest;
use crate::outside::OutsideError;

/// A project or element that can't be loaded.
///
/// Shown as `file:line:column: what is wrong`, without the place if there is none.
#[derive(Debug)]
pub struct LoadError {
    at: Option<Provenance>,
    problem: Box<Problem>,
}

impl LoadError {
    /// A problem at a place.
    pub(crate) fn at(at: &Provenance, problem: Problem) -> Self {
        Self {
            at: Some(at.clone()),
            problem: Box::new(problem),
        }
    }

    /// A problem of something that no file holds, such as the command line.
    pub(crate) fn nowhere(problem: Problem) -> Self {
        Self {
            at: None,
            problem: Box::new(problem),
        }
    }

    /// A problem at a place, if that is in a file.
    pub(crate) fn maybe_at(at: Option<&Provenance>, problem: Problem) -> Self {
        match at {
            Some(at) => Self::at(at, problem),
            None => Self::nowhere(problem),
        }
    }

    /// The place, if there is one.
    pub fn provenance(&self) -> Option<&Provenance> {
        self.at.as_ref()
    }

    /// What is wrong.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match &*self.problem {
            Problem::NoElement { suggestion, .. }
            | Problem::UnknownOption { suggestion, .. }
            | Problem::ProvenanceAttribute { suggestion, .. }
            | Problem::UndefinedVariable { suggestion, .. } => suggestion
                .as_ref()
                .map(|name| format!("did you mean '{name}'?")),
            Problem::Yaml(problem) => match &**problem {
                yaml::Problem::UnexpectedKey { key, expected } => {
                    let nearest = nearest(key, expected.iter().map(String::as_str));
                    nearest.map(|key| format!("did you mean '{key}'?"))
                }
                _ => None,
            },
            Problem::UnknownKind { suggestion, .. } => {
                suggestion.map(|kind| format!("did you mean '{kind}'?"))
            }
            Problem::NotRegistered { package, kind, .. } => Some(format!(
                "add '{kind}' to a plugin origin 'pip' with the package '{package}' in project.conf"
            )),
            Problem::StackDependency(_) => {
                Some("declare the dependencies of a stack in 'depends', without a type".to_owned())
            }
            Problem::NoJunctionReference(name) => {
                Some(format!("track it first: `source track {name}`"))
            }
            Problem::ConflictingProjects { .. } => Some(
                "let one junction override the others, or mark them all as 'duplicates' or 'internal' \
                 in project.conf"
                    .to_owned(),
            ),
            Problem::NoProject(_) => {
                Some("a project is a directory that holds a file 'project.conf'".to_owned())
            }
            _ => None,
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            Some(at) => write!(f, "{at}: {}", self.problem),
            None => write!(f, "{}", self.problem),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.problem {
            Problem::Read { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl From<yaml::Error> for LoadError {
    fn from(error: yaml::Error) -> Self {
        Self::at(&error.at, Problem::Yaml(error.problem))
    }
}

/// Something that is doubtful but, unless the project says so, no error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where it is.
    pub at: Provenance,
    /// What it is.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.text)
    }
}

/// What is wrong with the name of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadName {
    /// It does not end as it must.
    #[error("it does not end in '.bst'")]
    Suffix,
    /// A character of it.
    #[error("it has a character that is not allowed")]
    Character,
    /// Where it leads.
    #[error("it leads out of the project's elements")]
    Outside,
}

/// What is wrong.
#[derive(Debug, Error)]
pub enum Problem {
    /// A source that only an open workspace can be.
    #[error("sources of kind 'workspace' can't be written: `workspace open` opens one")]
    WorkspaceSource,
    /// An image's address.
    #[error("expected either `url`, or `image` and perhaps `registry-url`")]
    DockerAddress,
    /// The text or its types.
    #[error("{0}")]
    Yaml(Box<yaml::Problem>),
    /// A file can't be read.
    #[error("can't read '{path}': {error}")]
    Read {
        /// Its path in the project.
        path: String,
        /// Why.
        error: FileError,
    },
    /// No project.conf.
    #[error("there is no project at '{0}'")]
    NoProject(String),
    /// The project wants another BuildStream than the one that is imitated.
    #[error("the project needs BuildStream {wanted}, this is as BuildStream {have}")]
    Version {
        /// What the project says.
        wanted: String,
        /// What this is.
        have: &'static str,
    },
    /// A key that is only read in project.conf itself.
    #[error("'{0}' can only be set in project.conf itself, not in a file it includes")]
    OnlyInProjectConf(&'static str),
    /// A name with other characters than letters, digits, underscores (and dashes).
    #[error(
        "'{name}' is not a {what}: it must begin with a letter or underscore and hold only {allowed}"
    )]
    Symbol {
        /// What it names.
        what: &'static str,
        /// The name.
        name: String,
        /// What it may hold.
        allowed: &'static str,
    },
    /// Something of BuildStream's that is not done yet.
    #[error("{0} not supported by this version")]
    Unsupported(String),
    /// A kind that neither BuildStream nor a plugin of the project has.
    #[error("there is no {what} kind '{kind}'")]
    UnknownKind {
        /// Element or source.
        what: &'static str,
        /// The kind.
        kind: String,
        /// What may have been meant.
        suggestion: Option<&'static str>,
    },
    /// A kind that a project is to have, but has not.
    #[error(
        "the project '{project}' behind '{junction}' has no plugin for the {what} kind '{kind}'"
    )]
    NoJunctionPlugin {
        /// Element or source.
        what: &'static str,
        /// The kind.
        kind: String,
        /// The project's name.
        project: String,
        /// The junction that leads to it.
        junction: String,
    },
    /// A kind that a project declares more than once.
    #[error("more than one {what} plugin is declared as '{kind}'")]
    DuplicatePlugin {
        /// Element, source or mirror.
        what: &'static str,
        /// The kind.
        kind: String,
    },
    /// A kind that a package has, which the project does not name.
    #[error(
        "the {what} kind '{kind}' comes from the package '{package}', which project.conf does not name as its origin"
    )]
    NotRegistered {
        /// Element or source.
        what: &'static str,
        /// The kind.
        kind: String,
        /// The package.
        package: &'static str,
    },
    /// A path that leads out of the project, or where something else is than expected.
    #[error("the path '{path}' {problem}")]
    Path {
        /// The path as written.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A file that includes itself.
    #[error("'{0}' includes itself")]
    RecursiveInclude(String),
    /// Too many files that include each other.
    #[error("files include each other too deeply: at most {0} levels are read")]
    DeepInclude(usize),
    /// Too many files, counting each time they are included.
    #[error("too much is included: at most {0} bytes are read")]
    ManyIncludes(usize),
    /// `(!)`.
    #[error("{0}")]
    Assertion(String),
    /// `(?)` with other than one key.
    #[error("expected one condition and what to use if it is true")]
    Condition,
    /// `(?)` around a key that is read before conditions are.
    #[error("'{0}' can't be conditional")]
    Unconditional(String),
    /// An expression that can't be evaluated.
    #[error("can't evaluate '{expression}': {problem}")]
    Expression {
        /// The expression.
        expression: String,
        /// Why not.
        problem: String,
    },
    /// An option that the project does not have.
    #[error("the project has no option '{name}'")]
    UnknownOption {
        /// The name.
        name: String,
        /// The option that was probably meant.
        suggestion: Option<String>,
    },
    /// A value that the option does not take.
    #[error("'{value}' is not a value of the option '{option}': expected {expected}")]
    OptionValue {
        /// The option.
        option: String,
        /// The value.
        value: String,
        /// What it takes.
        expected: String,
    },
    /// A machine that BuildStream has no name for.
    #[error("'{0}' is not the name of a known machine architecture")]
    UnknownArch(String),
    /// The same, as a value of an option.
    #[error("'{0}' is not the name of a known machine architecture")]
    UnknownArchValue(String),
    /// `%{name}` of a variable that is not there.
    #[error("the variable '{name}' is not defined")]
    UndefinedVariable {
        /// The name.
        name: String,
        /// The variable that was probably meant.
        suggestion: Option<String>,
    },
    /// Variables that need each other.
    #[error("the variable '{name}' refers to itself: {chain}")]
    CircularVariable {
        /// The variable.
        name: String,
        /// `a -> b -> a`.
        chain: String,
    },
    /// Variables that multiply.
    #[error("'{name}' expands to more than {limit} bytes")]
    LongVariable {
        /// The variable or text.
        name: String,
        /// The most that is allowed.
        limit: usize,
    },
    /// A variable that BuildStream sets itself.
    #[error("the variable '{0}' is set by the program and can't be changed")]
    ProtectedVariable(&'static str),
    /// No such element.
    #[error("there is no element '{name}' in '{directory}'")]
    NoElement {
        /// Its name.
        name: String,
        /// The element path.
        directory: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// A name that elements can't have.
    #[error("'{name}' can't be the name of an element: {problem}")]
    ElementName {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: BadName,
    },
    /// A dependency with an unknown type.
    #[error("expected 'build', 'runtime' or 'all' as type of the dependency, found '{0}'")]
    DependencyType(String),
    /// A dependency that is neither a string nor a mapping.
    #[error("expected a string or a mapping as dependency, found {0}")]
    Dependency(&'static str),
    /// `strict: false`.
    #[error("'strict' can't be set to false: leave it out")]
    NotStrict,
    /// Something that only build dependencies have.
    #[error("a runtime dependency can't have '{0}'")]
    RuntimeOnly(&'static str),
    /// `config` on a dependency of a kind that reads none.
    #[error("elements of kind '{0}' take no 'config' for their dependencies")]
    NoDependencyConfig(String),
    /// Elements that depend on each other.
    #[error("the element '{name}' depends on itself: {chain}")]
    CircularDependency {
        /// The element.
        name: String,
        /// `a -> b -> a`.
        chain: String,
    },
    /// The kind forbids something.
    #[error("elements of kind '{kind}' can't have {what}")]
    Forbidden {
        /// The kind.
        kind: String,
        /// What they can't have.
        what: &'static str,
    },
    /// An import without sources.
    #[error("an element of kind 'import' must have a source")]
    NoSource,
    /// A stack with a dependency that is not for both building and running.
    #[error("'{0}' must be both a build and a runtime dependency of this stack")]
    StackDependency(String),
    /// A Flatpak image that is neither an application nor a runtime.
    #[error("expected a section 'Application' or 'Runtime' in the metadata of a Flatpak image")]
    FlatpakMetadata,
    /// A Flatpak repository with nothing in it.
    #[error(
        "expected a dependency with 'flatpak-image' or 'flatpak-stack': the repository would be empty"
    )]
    NoFlatpak,
    /// A dependency of a Flatpak repository that says neither what it is, or both.
    #[error("expected either 'flatpak-image' or 'flatpak-stack' to be true")]
    FlatpakDependency,
    /// A filter without the one dependency it filters.
    #[error("an element of kind 'filter' must have exactly one build dependency, this has {0}")]
    FilterDependencies(usize),
    /// A filter whose dependency can't be filtered.
    #[error("the filtered element '{name}' {problem}")]
    Filtered {
        /// The dependency.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An address with an alias that the project does not have.
    #[error("the alias '{0}' is not defined in project.conf")]
    UnknownAlias(String),
    /// An address without an alias, in a project that wants them.
    #[error("the address '{0}' has no alias, which project.conf makes an error ('unaliased-url')")]
    Unaliased(String),
    /// An address with an alias that the junction maps to one that is not there.
    #[error(
        "the alias '{alias}' stands for '{mapped}' of the parent project, which it does not define"
    )]
    UnknownMappedAlias {
        /// The alias.
        alias: String,
        /// What the junction maps it to.
        mapped: String,
    },
    /// An address with an alias that the junction does not map, though it has to.
    #[error(
        "the alias '{0}' is not mapped by the junction, and the parent project allows no others \
         ('disallow-subproject-uris')"
    )]
    UnmappedAlias(String),
    /// An alias whose addresses the user's configuration excludes.
    #[error("no address of the alias '{alias}' may be used to {purpose}")]
    NoAddress {
        /// The alias.
        alias: String,
        /// What for: fetch or track.
        purpose: &'static str,
    },
    /// A junction that is needed to follow itself.
    #[error("following '{0}' leads back to itself")]
    CircularReference(String),
    /// A project that needs another one to be loaded, which needs the project.
    #[error("the project '{0}' is needed while it is still being loaded")]
    CircularProject(String),
    /// Projects that are joined to each other without end.
    #[error("projects are joined to each other too deeply: at most {0} levels are loaded")]
    DeepJunction(usize),
    /// A path that leads through something else than junctions.
    #[error("'{0}' is no junction, so no element can be behind it")]
    NotAJunction(String),
    /// A junction among the dependencies.
    #[error("'{0}' is a junction, which nothing can depend on: name an element behind it")]
    DependsOnJunction(String),
    /// Dependencies of a junction.
    #[error("a junction can't have dependencies")]
    JunctionDependency,
    /// Dependencies of a link.
    #[error("a link can't have dependencies")]
    LinkDependency,
    /// A junction whose sources have no references.
    #[error("a source of the junction '{0}' has no reference, so its project can't be loaded")]
    NoJunctionReference(String),
    /// A junction whose sources hold no project.
    #[error("there is no project.conf in the sources of the junction '{junction}'{}", below(.path))]
    NoJunctionProject {
        /// The junction.
        junction: String,
        /// Where the project should be.
        path: String,
    },
    /// A junction whose sources can't be had.
    #[error("the sources of the junction '{name}' can't be staged: {error}")]
    Stage {
        /// Its full name.
        name: String,
        /// Why.
        error: OutsideError,
    },
    /// A junction that overrides something by itself.
    #[error("'{0}' can't be overridden by the junction itself")]
    OverrideWithSelf(String),
    /// A junction that is written apart from the name and in it.
    #[error("'{0}' names a junction, and so does the key 'junction' beside it")]
    JunctionTwice(String),
    /// What a source says of its origin under a name that the project does not know.
    #[error(
        "the project has no provenance attribute '{name}' for sources: project.conf lists them in \
         'source-provenance-attributes'"
    )]
    ProvenanceAttribute {
        /// The name.
        name: String,
        /// The attribute that was probably meant.
        suggestion: Option<String>,
    },
    /// A project that is loaded several times.
    #[error("the project '{name}' is loaded several times: {}", .instances.join("; "))]
    ConflictingProjects {
        /// Its name.
        name: String,
        /// How it is loaded.
        instances: Vec<String>,
    },
    /// A patch with nothing to apply it to.
    #[error("a source of kind '{0}' can't be the first: it changes the sources before it")]
    FirstSource(String),
    /// A source from which neither a commit nor a way to one is given.
    #[error("the source needs a 'ref', or a 'track' to find one by")]
    NeitherRefNorTrack,
    /// A plugin that can't be run, or that fails.
    #[error("the {what} plugin '{kind}' of {origin}: {error}")]
    Plugin {
        /// Element or source.
        what: &'static str,
        /// Its kind.
        kind: String,
        /// Where it comes from.
        origin: PluginOrigin,
        /// How it fails.
        error: Box<PluginError>,
    },
    /// A name that a tool would take for an option.
    #[error("'{0}' can't begin with '-'")]
    LooksLikeOption(String),
}

/// Where in a junction's sources something should be.
fn below(path: &str) -> String {
    match path {
        "" => String::new(),
        path => format!(", expected in '{path}'"),
    }
}
