//! An open workspace: a directory in which somebody works, in place of an element's sources.

use std::sync::Arc;

use super::Behaviour;
use crate::json::Json;
use crate::keys::{Content, Contents};

/// A directory in which somebody works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// Its absolute path.
    pub path: Arc<str>,
    /// The strong key of the element's last build, if it has been built in the workspace.
    pub last_build: Option<Arc<str>>,
    /// Whether the directory is there.
    pub exists: bool,
}

impl Workspace {
    fn content(&self) -> Content {
        Content::Workspace(self.path.clone())
    }
}

impl Behaviour for Workspace {
    fn unique_key(&self, contents: &Contents) -> Option<Json> {
        contents.get(&self.content()).map(Json::from)
    }

    fn is_resolved(&self) -> bool {
        self.exists
    }

    fn is_fetched(&self) -> bool {
        false
    }

    fn contents(&self) -> Vec<Content> {
        match self.exists {
            true => vec![self.content()],
            false => Vec::new(),
        }
    }
}
