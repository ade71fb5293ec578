//! What can be wrong with YAML, always with its place.

use thiserror::Error;

use crate::Provenance;

/// Something wrong at a place in a file.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{at}: {problem}")]
pub struct Error {
    /// Where it is.
    pub at: Provenance,
    /// What it is.
    pub problem: Box<Problem>,
}

impl Error {
    pub(crate) fn new(at: &Provenance, problem: Problem) -> Self {
        Self {
            at: at.clone(),
            problem: Box::new(problem),
        }
    }
}

/// What is wrong.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// Not YAML.
    #[error("invalid YAML: {0}")]
    Syntax(String),
    /// More than one file may be.
    #[error("the file is too large: at most {0} bytes are read")]
    TooLarge(usize),
    /// Mappings and lists within each other beyond what is sane.
    #[error("nested too deeply: at most {0} levels are read")]
    TooDeep(usize),
    /// `&name` or `*name`.
    #[error("anchors and aliases are not allowed")]
    Anchor,
    /// A tag that is not one of YAML's own.
    #[error("the tag '{0}' is not allowed: only the core tags are")]
    Tag(String),
    /// A mapping or list in the place of a key.
    #[error("expected a string as key of the mapping")]
    KeyNotScalar,
    /// A key that the mapping has already.
    #[error("the key '{0}' is already in this mapping")]
    DuplicateKey(String),
    /// A file that holds a scalar or a list.
    #[error("expected the file to hold a mapping, found {0}")]
    NotAMapping(&'static str),
    /// A second document in the file.
    #[error("expected one document in the file, found another")]
    MoreDocuments,
    /// A key that must be there is not.
    #[error("expected the key '{0}' in this mapping")]
    MissingKey(String),
    /// A key that nobody reads.
    #[error("unexpected key '{key}': expected {}", one_of(.expected))]
    UnexpectedKey {
        /// The key.
        key: String,
        /// Those that would be read.
        expected: Vec<String>,
    },
    /// A value of another type than the reader wants.
    #[error("expected {expected} as value of '{key}', found {found}")]
    Type {
        /// The key or index whose value it is.
        key: String,
        /// What is wanted.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// A list's item of another type than the reader wants.
    #[error("expected {expected} as item of the list, found {found}")]
    Item {
        /// What is wanted.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// A node of another type than the reader wants.
    #[error("expected {expected}, found {found}")]
    Node {
        /// What is wanted.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// A scalar that can't be read as what is wanted.
    #[error("expected {expected}, found '{value}'")]
    Value {
        /// What is wanted.
        expected: &'static str,
        /// The scalar.
        value: String,
    },
    /// `(>)`, `(<)` or `(=)` beside ordinary keys.
    #[error("list directives and other keys can't be in one mapping")]
    MixedDirectives,
    /// `(>)`, `(<)` or `(=)` with nothing to apply to.
    #[error("the list directive '{0}' has no list to change")]
    NoListToChange(String),
    /// Two values that can't be composed.
    #[error("can't compose {found} at '{path}' over {under} at {there}")]
    Compose {
        /// The keys that lead to the value.
        path: String,
        /// The type of the value that is laid over the other.
        found: &'static str,
        /// The type of the other.
        under: &'static str,
        /// Where the other is.
        there: String,
    },
}

fn one_of(names: &[String]) -> String {
    match names {
        [] => "no keys".to_owned(),
        [name] => format!("'{name}'"),
        names => format!("one of '{}'", names.join("', '")),
    }
}
