//! Writing elements' sources out of the cache: each in a folder named after its element.

use std::io::{self, Write};
use std::path::Path;

use headstart_merkle::{DirectoryDigest, Tree, TreePath};
use headstart_project::ElementId;

use crate::checkout::{CheckoutError, Compression};
use crate::session::{Loaded, Session};

/// Where to write sources to.
pub enum SourceTarget<'a> {
    /// A folder.
    Directory {
        /// Which.
        path: &'a Path,
        /// Whether it may have something in it already.
        force: bool,
    },
    /// A tar archive.
    Tar(&'a mut dyn Write, Compression),
}

impl Session {
    /// Writes the sources of elements, fetched if need be, to `target`.
    pub fn checkout_sources(
        &self,
        loaded: &Loaded,
        elements: &[ElementId],
        target: SourceTarget<'_>,
    ) -> Result<(), CheckoutError> {
        let tree = self.sources_tree(loaded, elements)?;
        match target {
            SourceTarget::Directory { path, force } => self.write_to(tree, path, false, force),
            SourceTarget::Tar(writer, compression) => {
                self.write_compressed(tree, writer, compression)
            }
        }
    }

    fn sources_tree(
        &self,
        loaded: &Loaded,
        elements: &[ElementId],
    ) -> Result<DirectoryDigest, CheckoutError> {
        let mut tree = Tree::empty();
        for id in elements {
            let element = &loaded.graph[*id];
            if element.sources.is_empty() {
                continue;
            }
            let staged = self.obtain_sources(loaded, *id)?;
            let at = TreePath::normalized(&element.normal_name())
                .map_err(|error| io::Error::other(error.to_string()))
                .map_err(|source| CheckoutError::Io {
                    path: (&*element.full_name).into(),
                    source,
                })?;
            tree.merge(&at, staged, &*self.directories)?;
        }
        Ok(tree.write(&*self.directories)?)
    }
}
