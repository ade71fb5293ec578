//! Writing an artifact's files out of the cache.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use headstart_merkle::{
    DirectoryDigest, DirectoryReader, MODIFIED, Node, Tree, TreeError, TreePath,
};
use headstart_project::ElementId;
use headstart_store::{LocalBlobs, StoreError};
use thiserror::Error;

use crate::error::SessionError;
use crate::session::{Loaded, Session};

/// Where to write to.
pub enum CheckoutTarget<'a> {
    /// A directory: of copies, or of links to the cache.
    Directory {
        /// Which.
        path: &'a Path,
        /// Whether files are hard links where that can be.
        hardlinks: bool,
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

/// Why a checkout can't be written.
#[derive(Debug, Error)]
pub enum CheckoutError {
    /// Its artifacts can't be had.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A tree of it can't be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A file of it can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It can't be written.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something is there already.
    #[error("{0} is not empty: choose another directory, or use --force")]
    NotEmpty(PathBuf),
}

impl Session {
    /// Writes a tree to `target`.
    pub fn check_out_to(
        &self,
        tree: DirectoryDigest,
        target: CheckoutTarget<'_>,
    ) -> Result<(), CheckoutError> {
        match target {
            CheckoutTarget::Directory {
                path,
                hardlinks,
                force,
            } => self.write_to(tree, path, hardlinks, force),
            CheckoutTarget::Tar(writer, compression) => {
                self.write_compressed(tree, writer, compression)
            }
        }
    }

    /// Writes a tree to a folder, which must be empty unless `force` is given.
    pub(crate) fn write_to(
        &self,
        tree: DirectoryDigest,
        path: &Path,
        hardlinks: bool,
        force: bool,
    ) -> Result<(), CheckoutError> {
        let io = |source| CheckoutError::Io {
            path: path.to_owned(),
            source,
        };
        fs::create_dir_all(path).map_err(io)?;
        if !force && fs::read_dir(path).map_err(io)?.next().is_some() {
            return Err(CheckoutError::NotEmpty(path.to_owned()));
        }
        self.write_directory(tree, path, hardlinks)
    }

    /// The artifacts of `elements` laid over each other.
    pub fn checkout_tree(
        &self,
        loaded: &Loaded,
        elements: &[ElementId],
    ) -> Result<DirectoryDigest, CheckoutError> {
        let mut tree = Tree::empty();
        for id in elements {
            let cached = self.required_artifact(loaded, *id)?;
            if let Some(files) = cached.artifact().files() {
                tree.merge(&TreePath::root(), files, &*self.directories)?;
            }
        }
        Ok(tree.write(&*self.directories)?)
    }

    fn write_directory(
        &self,
        tree: DirectoryDigest,
        path: &Path,
        hardlinks: bool,
    ) -> Result<(), CheckoutError> {
        for (name, node) in &self.directories.read_directory(tree)?.entries {
            let path = path.join(name.as_str());
            let io = |source| CheckoutError::Io {
                path: path.clone(),
                source,
            };
            match node {
                Node::Directory(child) => {
                    if !path.is_dir() {
                        fs::create_dir(&path).map_err(io)?;
                    }
                    self.write_directory(*child, &path, hardlinks)?;
                }
                Node::Symlink(link) => {
                    remove_file(&path).map_err(io)?;
                    std::os::unix::fs::symlink(&*link.target, &path).map_err(io)?;
                }
                Node::File(file) => {
                    remove_file(&path).map_err(io)?;
                    let source = self.store.file(file.digest, file.executable)?;
                    if !hardlinks || fs::hard_link(&source, &path).is_err() {
                        copy(&source, &path).map_err(io)?;
                    }
                }
            }
        }
        Ok(())
    }

    pub(crate) fn write_compressed(
        &self,
        tree: DirectoryDigest,
        writer: &mut dyn Write,
        compression: Compression,
    ) -> Result<(), CheckoutError> {
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

    fn write_tar(
        &self,
        tree: DirectoryDigest,
        writer: &mut dyn Write,
    ) -> Result<(), CheckoutError> {
        let mut archive = tar::Builder::new(writer);
        self.append(&mut archive, tree, &TreePath::root())?;
        let failed = |source| CheckoutError::Io {
            path: "the archive".into(),
            source,
        };
        archive.finish().map_err(failed)
    }

    fn append(
        &self,
        archive: &mut tar::Builder<&mut dyn Write>,
        tree: DirectoryDigest,
        at: &TreePath,
    ) -> Result<(), CheckoutError> {
        for (name, node) in &self.directories.read_directory(tree)?.entries {
            let path = at.child(name);
            let failed = |source| CheckoutError::Io {
                path: path.as_str().into(),
                source,
            };
            let mut header = tar::Header::new_gnu();
            header.set_mtime(MODIFIED.cast_unsigned());
            header.set_uid(0);
            header.set_gid(0);
            match node {
                Node::Directory(child) => {
                    header.set_entry_type(tar::EntryType::Directory);
                    header.set_mode(0o755);
                    header.set_size(0);
                    archive
                        .append_data(&mut header, path.as_str(), io::empty())
                        .map_err(failed)?;
                    self.append(archive, *child, &path)?;
                }
                Node::Symlink(link) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_mode(0o777);
                    header.set_size(0);
                    archive
                        .append_link(&mut header, path.as_str(), &*link.target)
                        .map_err(failed)?;
                }
                Node::File(file) => {
                    header.set_mode(if file.executable { 0o755 } else { 0o644 });
                    header.set_size(file.digest.size());
                    let source = self.store.file(file.digest, false)?;
                    let source = File::open(source).map_err(failed)?;
                    archive
                        .append_data(&mut header, path.as_str(), source)
                        .map_err(failed)?;
                }
            }
        }
        Ok(())
    }
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Copies content, mode and time of modification.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    let modified = std::time::UNIX_EPOCH + std::time::Duration::from_secs(MODIFIED.cast_unsigned());
    File::open(to)?.set_modified(modified)
}
