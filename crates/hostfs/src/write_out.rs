//! Stored trees, written out as files that may be changed.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use headstart_merkle::{DirectoryDigest, DirectoryReader, FileNode, MODIFIED, Node, Properties};
use headstart_store::{BlobStore, Directories, StoreError};
use rustix::fs::{
    AtFlags, Mode, OFlags, Timespec, Timestamps, fchmod, futimens, mkdirat, openat, symlinkat,
    utimensat,
};

use crate::error::HostError;

/// Writes a stored tree into an existing, empty folder. All files are copies, so whoever is given
/// them can't reach the store through them.
pub fn write_out<S: BlobStore + ?Sized + 'static>(
    root: DirectoryDigest,
    folder: &Path,
    store: &Directories<S>,
) -> Result<(), HostError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = rustix::fs::open(folder, flags, Mode::empty())
        .map_err(|error| HostError::os(folder, error))?;
    fill(root, &open, folder, store)
}

fn fill<S: BlobStore + ?Sized + 'static>(
    digest: DirectoryDigest,
    at: &OwnedFd,
    path: &Path,
    store: &Directories<S>,
) -> Result<(), HostError> {
    let directory = store.read_directory(digest)?;
    for (name, node) in &directory.entries {
        let name = name.as_str();
        let path = path.join(name);
        let failed = |error| HostError::os(&path, error);
        match node {
            Node::Directory(child) => {
                mkdirat(at, name, Mode::from_raw_mode(0o755)).map_err(failed)?;
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
                let open = openat(at, name, flags, Mode::empty()).map_err(failed)?;
                fill(*child, &open, &path, store)?;
            }
            Node::Symlink(link) => {
                symlinkat(&*link.target, at, name).map_err(failed)?;
                let times = times(&link.properties);
                utimensat(at, name, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
            }
            Node::File(file) => write_file(file, at, name, &path, store)?,
        }
    }
    finish(at, &directory.properties, 0o755).map_err(|error| HostError::os(path, error))
}

fn write_file<S: BlobStore + ?Sized + 'static>(
    node: &FileNode,
    at: &OwnedFd,
    name: &str,
    path: &Path,
    store: &Directories<S>,
) -> Result<(), HostError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let created = openat(at, name, flags, Mode::from_raw_mode(0o600))
        .map_err(|error| HostError::os(path, error))?;
    let mut file = File::from(created);
    let mut content = store.store().open(node.digest)?;
    let copied = io::copy(&mut content, &mut file).map_err(|error| HostError::io(path, error))?;
    if copied != node.digest.size() {
        return Err(StoreError::Missing(node.digest).into());
    }
    let mode = if node.executable { 0o755 } else { 0o644 };
    finish(&file.into(), &node.properties, mode).map_err(|error| HostError::os(path, error))
}

/// Gives a file or folder its mode and times, as the last that is done to it.
fn finish(file: &OwnedFd, properties: &Properties, mode: u32) -> rustix::io::Result<()> {
    // Whoever captures the tree again must be able to read it.
    let mode = properties
        .unix_mode()
        .map_or(mode, |mode| mode & 0o777 | 0o400);
    fchmod(file, Mode::from_raw_mode(mode))?;
    futimens(file, &times(properties))
}

fn times(properties: &Properties) -> Timestamps {
    let (tv_sec, nanos) = properties.mtime().unwrap_or((MODIFIED, 0));
    let time = Timespec {
        tv_sec,
        tv_nsec: nanos.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
