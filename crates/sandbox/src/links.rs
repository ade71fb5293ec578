//! Folders of hard links to the store's files: made from nothing, or from what is there for another tree.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use headstart_execution::SandboxError;
use headstart_merkle::{
    Directory, DirectoryDigest, DirectoryReader, MODIFIED, Name, Node, Properties, TreeError,
};
use headstart_store::{Directories, LocalBlobs, StoreError};
use rayon::prelude::*;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use crate::modes::make_folder;

/// How many entries of a folder a thread makes at least: for fewer it is not worth waking one.
const TOGETHER: usize = 16;

pub(crate) type Store = Directories<dyn LocalBlobs>;

/// Makes folders of links.
pub(crate) struct Links<'a>(pub(crate) &'a Store);

/// A folder that is being filled.
struct Place<'a> {
    open: &'a OwnedFd,
    path: &'a Path,
}

impl Links<'_> {
    /// Fills an empty folder with what is below `root`.
    pub(crate) fn fill(&self, folder: &Path, root: DirectoryDigest) -> Result<(), SandboxError> {
        let open = open(folder)?;
        let place = Place {
            open: &open,
            path: folder,
        };
        self.fill_directory(&place, root)
    }

    /// Makes a folder that holds what is below `old` one that holds what is below `new`, touching only
    /// what differs.
    pub(crate) fn change(
        &self,
        folder: &Path,
        old: DirectoryDigest,
        new: DirectoryDigest,
    ) -> Result<(), SandboxError> {
        let open = open(folder)?;
        let place = Place {
            open: &open,
            path: folder,
        };
        self.change_directory(&place, old, new)
    }

    /// How many entries would have to be removed and made to change `old` into `new`, if that is less
    /// than `bound`.
    pub(crate) fn distance(
        &self,
        old: DirectoryDigest,
        new: DirectoryDigest,
        bound: usize,
    ) -> Option<usize> {
        let mut left = Budget(bound);
        self.count_changes(old, new, &mut left)?;
        Some(bound - left.0)
    }

    fn count_changes(
        &self,
        old: DirectoryDigest,
        new: DirectoryDigest,
        left: &mut Budget,
    ) -> Option<()> {
        if old == new {
            return Some(());
        }
        let (old, new) = (
            self.0.read_directory(old).ok()?,
            self.0.read_directory(new).ok()?,
        );
        for step in steps(&old, &new) {
            match step {
                Step::Within(_, old, new) => self.count_changes(old, new, left)?,
                Step::Remove(_, node) | Step::Make(_, node) => self.count_node(node, left)?,
            }
        }
        Some(())
    }

    fn count_node(&self, node: &Node, left: &mut Budget) -> Option<()> {
        left.spend()?;
        match node {
            Node::Directory(directory) => self.count_entries(*directory, left),
            Node::File(_) | Node::Symlink(_) => Some(()),
        }
    }

    fn count_entries(&self, digest: DirectoryDigest, left: &mut Budget) -> Option<()> {
        let directory = self.0.read_directory(digest).ok()?;
        let mut nodes = directory.entries.values();
        nodes.try_for_each(|node| self.count_node(node, left))
    }

    fn read(
        &self,
        path: &Path,
        digest: DirectoryDigest,
    ) -> Result<std::sync::Arc<Directory>, SandboxError> {
        let read = self.0.read_directory(digest);
        read.map_err(|error| unreadable(format!("stage {}", path.display()), error))
    }

    fn fill_directory(&self, at: &Place<'_>, digest: DirectoryDigest) -> Result<(), SandboxError> {
        let directory = self.read(at.path, digest)?;
        // Most of it is waiting for the file system, which has a lock for each folder.
        let entries: Vec<_> = directory.entries.iter().collect();
        let entries = entries.into_par_iter().with_min_len(TOGETHER);
        entries.try_for_each(|(name, node)| self.make(at, name.as_str(), node))
    }

    fn change_directory(
        &self,
        at: &Place<'_>,
        old: DirectoryDigest,
        new: DirectoryDigest,
    ) -> Result<(), SandboxError> {
        let (old, new) = (self.read(at.path, old)?, self.read(at.path, new)?);
        for step in steps(&old, &new) {
            match step {
                Step::Remove(name, node) => at.remove(name.as_str(), node)?,
                Step::Within(name, old, new) => {
                    self.within(at, name.as_str(), new, |inner| {
                        self.change_directory(inner, old, new)
                    })?;
                }
                Step::Make(name, node) => self.make(at, name.as_str(), node)?,
            }
        }
        Ok(())
    }

    fn make(&self, at: &Place<'_>, name: &str, node: &Node) -> Result<(), SandboxError> {
        let failed = |error: Errno| failed(&at.path.join(name), &error.to_string());
        match node {
            Node::File(file) => {
                let source = self.0.store().file(file.digest, file.executable)?;
                let properties = &file.properties;
                match properties.mtime().is_some() || properties.unix_mode().is_some() {
                    false => link(&source, at.open, name).map_err(failed),
                    // A link would give its time and mode to the object.
                    true => copy(&source, at.open, name, properties).map_err(failed),
                }
            }
            Node::Symlink(symlink) => {
                rustix::fs::symlinkat(&*symlink.target, at.open, name).map_err(failed)?;
                set_times(at.open, name, &Properties::default()).map_err(failed)
            }
            Node::Directory(child) => {
                make_folder(at.open, name).map_err(failed)?;
                self.within(at, name, *child, |inner| self.fill_directory(inner, *child))
            }
        }
    }

    /// Does something in a directory that is there, which is `digest` afterwards.
    fn within(
        &self,
        at: &Place<'_>,
        name: &str,
        digest: DirectoryDigest,
        act: impl FnOnce(&Place<'_>) -> Result<(), SandboxError>,
    ) -> Result<(), SandboxError> {
        let path = at.path.join(name);
        let failed = |error: Errno| failed(&path, &error.to_string());
        let open = rustix::fs::openat(at.open, name, FOLDER, Mode::empty()).map_err(failed)?;
        act(&Place {
            open: &open,
            path: &path,
        })?;
        let directory = self.read(&path, digest)?;
        set_times(at.open, name, &directory.properties).map_err(failed)
    }
}

/// What has to be done to one Directory to make it another.
enum Step<'a> {
    Remove(&'a Name, &'a Node),
    /// A Directory that both have has to be made another.
    Within(&'a Name, DirectoryDigest, DirectoryDigest),
    Make(&'a Name, &'a Node),
}

/// All steps from one Directory to another; what is made comes after what is removed.
fn steps<'a>(old: &'a Directory, new: &'a Directory) -> impl Iterator<Item = Step<'a>> {
    let changed =
        old.entries
            .iter()
            .filter_map(|(name, node)| match (node, new.entries.get(name)) {
                (_, Some(other)) if other == node => None,
                (Node::Directory(old), Some(Node::Directory(new))) => {
                    Some(Step::Within(name, *old, *new))
                }
                _ => Some(Step::Remove(name, node)),
            });
    let made = new
        .entries
        .iter()
        .filter_map(|(name, node)| match (old.entries.get(name), node) {
            (Some(other), _) if other == node => None,
            (Some(Node::Directory(_)), Node::Directory(_)) => None,
            _ => Some(Step::Make(name, node)),
        });
    changed.chain(made)
}

/// How much may still be counted.
struct Budget(usize);

impl Budget {
    fn spend(&mut self) -> Option<()> {
        self.0 = self.0.checked_sub(1).filter(|left| *left > 0)?;
        Some(())
    }
}

impl Place<'_> {
    fn remove(&self, name: &str, node: &Node) -> Result<(), SandboxError> {
        let path = self.path.join(name);
        match node {
            Node::Directory(_) => {
                fs::remove_dir_all(&path).map_err(|error| failed(&path, &error.to_string()))
            }
            Node::File(_) | Node::Symlink(_) => {
                rustix::fs::unlinkat(self.open, name, AtFlags::empty())
                    .map_err(|error| failed(&path, &error.to_string()))
            }
        }
    }
}

const FOLDER: OFlags = OFlags::DIRECTORY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW);

fn open(folder: &Path) -> Result<OwnedFd, SandboxError> {
    rustix::fs::open(folder, FOLDER, Mode::empty())
        .map_err(|error| failed(folder, &error.to_string()))
}

/// Links a file of the store; copies it where it has too many links already or lies elsewhere.
fn link(source: &Path, at: &OwnedFd, name: &str) -> rustix::io::Result<()> {
    match rustix::fs::linkat(CWD, source, at, name, AtFlags::empty()) {
        Err(Errno::MLINK | Errno::XDEV | Errno::PERM) => {}
        other => return other,
    }
    copy(source, at, name, &Properties::default())
}

/// Copies a file of the store, with the time and mode that its node says.
fn copy(
    source: &Path,
    at: &OwnedFd,
    name: &str,
    properties: &Properties,
) -> rustix::io::Result<()> {
    let from = rustix::fs::open(source, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mode = match properties.unix_mode() {
        Some(mode) => mode & 0o777,
        None => rustix::fs::fstat(&from)?.st_mode & 0o777,
    };
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let to = rustix::fs::openat(at, name, flags, Mode::from_raw_mode(0o600))?;
    let (mut from, mut to) = (fs::File::from(from), fs::File::from(to));
    std::io::copy(&mut from, &mut to)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    rustix::fs::fchmod(&to, Mode::from_raw_mode(mode))?;
    set_times(at, name, properties)
}

fn set_times(at: &impl AsFd, name: &str, properties: &Properties) -> rustix::io::Result<()> {
    let (tv_sec, nanos) = properties.mtime().unwrap_or((MODIFIED, 0));
    let time = Timespec {
        tv_sec,
        tv_nsec: nanos.into(),
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(at, name, &times, AtFlags::SYMLINK_NOFOLLOW)
}

/// Why a tree could not be read in a step.
pub(crate) fn unreadable(step: impl Into<String>, error: TreeError) -> SandboxError {
    match error {
        TreeError::Missing(digest) => SandboxError::Store(StoreError::Missing(digest)),
        error => SandboxError::Step {
            step: step.into(),
            reason: error.to_string(),
        },
    }
}

pub(crate) fn failed(path: &Path, reason: &str) -> SandboxError {
    SandboxError::Step {
        step: format!("stage {}", path.display()),
        reason: reason.to_owned(),
    }
}
