//! Writing elements' sources out of the cache: each in a folder named after its element.

use std::io::{self, Write};
use std::path::Path;

use headstart_merkle::{DirectoryDigest, Tree, TreePath};
use headstart_project::ElementId;

use crate::checkout::CheckoutError;
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

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// By gzip.
    Gzip,
    /// By xz.
    Xz,
    /// By bzip2.
    Bzip2,
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
                let failed = |source| CheckoutError::Io {
                    path: "the archive".into(),
                    source,
                };
                match compression {
                    Compression::None => self.write_tar(tree, writer),
                    Compression::Gzip => {
                        let mut encoder = flate2::write::GzEncoder::new(writer, Default::default());
                        self.write_tar(tree, &mut encoder)?;
                        encoder.finish().map(|_| ()).map_err(failed)
                    }
                    Compression::Xz => {
                        let mut encoder = liblzma::write::XzEncoder::new(writer, 6);
                        self.write_tar(tree, &mut encoder)?;
                        encoder.finish().map(|_| ()).map_err(failed)
                    }
                    Compression::Bzip2 => {
                        let mut encoder = bzip2::write::BzEncoder::new(writer, Default::default());
                        self.write_tar(tree, &mut encoder)?;
                        encoder.finish().map(|_| ()).map_err(failed)
                    }
                }
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
            let staged = self.sources.stage(element, *id, &loaded.keys);
            let staged = staged.map_err(crate::SessionError::from)?;
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
