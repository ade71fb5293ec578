//! Where things are in the input root.

use std::path::{Path, PathBuf};

use headstart_merkle::TreePath;

use crate::failure::Failure;
use crate::rewrite::normalized;

/// How paths here become paths in the input root.
#[derive(Debug)]
pub(crate) struct Layout {
    /// The current directory, real and absolute.
    pub(crate) current: PathBuf,
    /// What is the input root's root here.
    pub(crate) root: PathBuf,
    /// What stands before all paths below `root`.
    pub(crate) prefix: String,
    /// Whether files that are not below `root` are inputs too.
    pub(crate) outside: bool,
    /// Whether links to folders stay links, which takes paths that stay as they are.
    pub(crate) keeps_links: bool,
}

impl Layout {
    /// The whole file system, every path as it is.
    pub(crate) fn whole(current: PathBuf) -> Self {
        Self {
            current,
            root: PathBuf::from("/"),
            prefix: String::new(),
            outside: true,
            keeps_links: true,
        }
    }

    /// The last `levels` segments of the current directory, `prefix` before them; files elsewhere
    /// at their whole paths, if those are inputs at all.
    pub(crate) fn last_levels(
        current: PathBuf,
        levels: usize,
        prefix: &str,
        outside: bool,
    ) -> Self {
        let root = current.ancestors().nth(levels).unwrap_or(Path::new("/"));
        Self {
            root: root.to_owned(),
            prefix: prefix.to_owned(),
            outside,
            keeps_links: false,
            current,
        }
    }

    /// The place of `path`, absolute and in normal form, in the input root; `None` if it has none.
    pub(crate) fn place(&self, path: &Path) -> Result<Option<TreePath>, Failure> {
        let (prefix, below) = match path.strip_prefix(&self.root) {
            Ok(below) => (self.prefix.as_str(), below),
            Err(_) if self.outside => ("", path),
            Err(_) => return Ok(None),
        };
        let named = |reason: &dyn std::fmt::Display| {
            Failure::Usage(format!("{}: {reason}", path.display()))
        };
        let below = below
            .to_str()
            .ok_or_else(|| named(&"the name is not UTF-8"))?;
        TreePath::normalized(&format!("{prefix}/{below}"))
            .map(Some)
            .map_err(|error| named(&error))
    }

    /// The place of `name`, relative to the current directory or absolute, by the name alone.
    pub(crate) fn place_by_name(&self, name: &str) -> Result<Option<TreePath>, Failure> {
        self.place(&normalized(&self.current.join(name)))
    }

    /// The working directory as a Command names it.
    pub(crate) fn working_directory(&self) -> Result<String, Failure> {
        let place = self.place(&self.current)?;
        Ok(place
            .map(|place| place.as_str().to_owned())
            .unwrap_or_default())
    }
}
