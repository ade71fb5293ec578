//! Where a file came from.

use std::fmt;
use std::sync::Arc;

use headstart_merkle::{ActionDigest, BlobDigest, TreePath};

/// An element, told apart across junctions.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ElementId {
    /// The project's name.
    pub project: Arc<str>,
    /// The full name of the element, as the project knows it: `lib/zlib.bst`.
    pub name: Arc<str>,
}

impl ElementId {
    /// The element `name` of `project`.
    pub fn new(project: &str, name: &str) -> Self {
        Self {
            project: project.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ElementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.project, self.name)
    }
}

impl fmt::Debug for ElementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a file came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// A file of an element's sources, as they are staged together.
    Source {
        /// Whose sources.
        element: ElementId,
        /// From the root of the source tree.
        path: TreePath,
    },
    /// An output of a recorded action.
    Action {
        /// The element whose build asked for it.
        element: ElementId,
        /// The action as it was.
        action: ActionDigest,
        /// From the root of that action's input tree.
        path: TreePath,
    },
    /// A file of an element's artifact.
    Artifact {
        /// Whose artifact.
        element: ElementId,
        /// From the root of the artifact. Symbolic links on the way are followed.
        path: TreePath,
    },
    /// A file of the tree that the element's own commands ran in: all that is known when nobody
    /// tells of elements.
    Root {
        /// Whose commands.
        element: ElementId,
        /// From the root of that tree.
        path: TreePath,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source { element, path } => write!(f, "source {path} of {element}"),
            Self::Artifact { element, path } => write!(f, "artifact {path} of {element}"),
            Self::Root { element, path } => write!(f, "{path} in the sandbox of {element}"),
            Self::Action {
                element,
                action,
                path,
            } => write!(f, "output {path} of action {action} of {element}"),
        }
    }
}

/// "The file at this path of the input root has this origin, or these, in order of preference."
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    /// From the root of the action's input tree.
    pub path: TreePath,
    /// What stood there: the content of a file, or of a symbolic link's target.
    pub content: BlobDigest,
    /// Where it came from, best first.
    pub origins: Vec<Origin>,
}
