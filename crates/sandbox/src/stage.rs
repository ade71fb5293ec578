//! Trees as folders of hard links to the store's files.
//!
//! A staged tree is shared by all sandboxes that use it at the same time. Base roots, which hundreds
//! of actions share, stay for later ones too. A staged tree is never written to.

use std::collections::HashMap;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use headstart_execution::SandboxError;
use headstart_merkle::{DirectoryDigest, DirectoryReader, Node, Properties, TreeError};
use headstart_store::{Directories, LocalBlobs, StoreError};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps};

use crate::folders;

/// How many base roots stay when nobody uses them.
const KEPT: usize = 4;
/// What everything in a sandbox was last modified at: 2011-11-11 11:11:11 UTC.
const MODIFIED: i64 = 1_321_009_871;

type Store = Directories<dyn LocalBlobs>;

/// A tree as a folder that must not be written to; removed when nobody uses it any more.
#[derive(Debug)]
pub struct StagedTree {
    path: PathBuf,
}

impl StagedTree {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for StagedTree {
    fn drop(&mut self) {
        folders::remove(&self.path);
    }
}

/// Stages trees, each once for all who use it at the same time.
pub(crate) struct Stager {
    folder: PathBuf,
    store: Arc<Store>,
    staged: Mutex<HashMap<DirectoryDigest, Weak<StagedTree>>>,
    /// The base roots that stay, the one used last at the end.
    kept: Mutex<Vec<(DirectoryDigest, Arc<StagedTree>)>>,
    /// Taken while a large tree is staged, so that others who want it wait instead of doing it too.
    bases: Mutex<()>,
    number: std::sync::atomic::AtomicU64,
}

impl Stager {
    /// A stager whose trees lie in `folder`, which is this process's own.
    pub(crate) fn new(folder: PathBuf, store: Arc<Store>) -> Self {
        Self {
            folder,
            store,
            staged: Mutex::default(),
            kept: Mutex::default(),
            bases: Mutex::default(),
            number: Default::default(),
        }
    }

    /// The folder of a tree, staged if it is not.
    pub(crate) fn stage(&self, root: DirectoryDigest) -> Result<Arc<StagedTree>, SandboxError> {
        if let Some(tree) = self.find(root) {
            return Ok(tree);
        }
        let number = self
            .number
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = self.folder.join(number.to_string());
        // Owned from here on, so that it is removed if staging fails half-way.
        let tree = Arc::new(StagedTree { path });
        fs::create_dir_all(&tree.path).map_err(|error| failed(&tree.path, &error.to_string()))?;
        let mut links = Links { store: &self.store };
        links.fill(&tree.path, root)?;
        let mut staged = self.staged.lock().unwrap_or_else(PoisonError::into_inner);
        staged.retain(|_, tree| tree.strong_count() > 0);
        staged.insert(root, Arc::downgrade(&tree));
        Ok(tree)
    }

    /// The same for a base root, which stays for others to come.
    pub(crate) fn stage_base(
        &self,
        root: DirectoryDigest,
    ) -> Result<Arc<StagedTree>, SandboxError> {
        let _one_at_a_time = self.bases.lock().unwrap_or_else(PoisonError::into_inner);
        let tree = self.stage(root)?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(digest, _)| *digest != root);
        kept.push((root, Arc::clone(&tree)));
        let surplus = kept.len().saturating_sub(KEPT);
        let dropped: Vec<_> = kept.drain(..surplus).collect();
        drop(kept);
        drop(dropped);
        Ok(tree)
    }

    fn find(&self, root: DirectoryDigest) -> Option<Arc<StagedTree>> {
        self.staged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&root)?
            .upgrade()
    }
}

struct Links<'a> {
    store: &'a Store,
}

impl Links<'_> {
    /// Fills an empty folder with what is below `root`.
    fn fill(&mut self, folder: &Path, root: DirectoryDigest) -> Result<(), SandboxError> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let open = rustix::fs::open(folder, flags, Mode::empty());
        let open = open.map_err(|error| failed(folder, &error.to_string()))?;
        self.fill_directory(&open, folder, root)
    }

    fn fill_directory(
        &mut self,
        at: &OwnedFd,
        path: &Path,
        digest: DirectoryDigest,
    ) -> Result<(), SandboxError> {
        let directory = self
            .store
            .read_directory(digest)
            .map_err(|error| match error {
                TreeError::Missing(digest) => SandboxError::Store(StoreError::Missing(digest)),
                error => failed(path, &error.to_string()),
            })?;
        for (name, node) in &directory.entries {
            let name = name.as_str();
            let failed = |error: rustix::io::Errno| failed(&path.join(name), &error.to_string());
            match node {
                Node::File(file) => {
                    let source = self.store.store().file(file.digest, file.executable)?;
                    match file.properties.mtime().is_some() || file.properties.unix_mode().is_some()
                    {
                        false => link(&source, at, name).map_err(failed)?,
                        // A link would give its time and mode to the object.
                        true => copy(&source, at, name, &file.properties).map_err(failed)?,
                    }
                }
                Node::Symlink(symlink) => {
                    rustix::fs::symlinkat(&*symlink.target, at, name).map_err(failed)?;
                    set_modified(at, name).map_err(failed)?;
                }
                Node::Directory(child) => {
                    rustix::fs::mkdirat(at, name, Mode::from_raw_mode(0o755)).map_err(failed)?;
                    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
                    let open =
                        rustix::fs::openat(at, name, flags, Mode::empty()).map_err(failed)?;
                    self.fill_directory(&open, &path.join(name), *child)?;
                    let inner = self
                        .store
                        .read_directory(*child)
                        .map_err(|error| self::failed(&path.join(name), &error.to_string()))?;
                    set_times(at, name, &inner.properties).map_err(failed)?;
                }
            }
        }
        Ok(())
    }
}

/// Links a file of the store; copies it where it has too many links already or lies elsewhere.
fn link(source: &Path, at: &OwnedFd, name: &str) -> rustix::io::Result<()> {
    use rustix::io::Errno;
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
    use rustix::io::Errno;
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

fn set_modified(at: &impl AsFd, name: &str) -> rustix::io::Result<()> {
    set_times(at, name, &Properties::default())
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

fn failed(path: &Path, reason: &str) -> SandboxError {
    SandboxError::Step {
        step: format!("stage {}", path.display()),
        reason: reason.to_owned(),
    }
}
