//! Trees as folders that commands can read.
//!
//! A staged tree is shared by all sandboxes that use it at the same time, and is never written to. A large one
//! is only shown ([`Shower`]), where that can be: making it takes longer than most commands look at of it. Others
//! are folders of hard links to the store's files. When nobody uses one any more it stays for a while:
//! the next tree is often the same but for a few files, and is made from it by linking only these. Base
//! roots, which hundreds of actions share, stay as they are.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use headstart_execution::SandboxError;
use headstart_merkle::DirectoryDigest;
use headstart_store::StoreError;

use crate::folders;
use crate::links::{Links, Store, failed};
use crate::modes::make_folders;
use crate::shown::{Shower, Shown};
use crate::survey::Surveyor;

/// How many entries a tree has at least that is shown instead of being made.
pub(crate) const SHOWN_FROM: usize = 10_000;
/// For how long others may join those who use a tree that is shown: what is in use is not removed from the store,
/// nor is what was used since.
const JOINED: Duration = Duration::from_secs(600);
/// How many base roots stay when nobody uses them.
const KEPT: usize = 4;
/// How many trees stay that nobody uses, and how many entries they may have together.
const IDLE_TREES: usize = 16;
const IDLE_ENTRIES: usize = 300_000;

/// A tree as a folder that must not be written to.
pub struct StagedTree {
    path: PathBuf,
    root: DirectoryDigest,
    how: How,
}

/// How a tree is staged.
enum How {
    Shown(Shown),
    Made { entries: usize, idle: Weak<Idle> },
}

/// A folder, and what is in it.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    root: DirectoryDigest,
    entries: usize,
}

/// A folder that is being filled; removed if that fails.
struct Unfinished(PathBuf);

/// Folders that nobody uses, the one used last at the end.
#[derive(Debug, Default)]
struct Idle(Mutex<Vec<Folder>>);

impl StagedTree {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why something of it could not be read since then, if anything could not. Whoever tried to was told that
    /// the disk is defective, and may have gone on: what came of it is not to be trusted.
    pub fn failure(&self, since: Instant) -> Option<StoreError> {
        match &self.how {
            How::Shown(shown) => shown.failure(self.root, since),
            How::Made { .. } => None,
        }
    }

    /// Whether further users may join those that it has.
    fn can_be_joined(&self) -> bool {
        match &self.how {
            How::Shown(shown) => shown.begun().elapsed() < JOINED,
            How::Made { .. } => true,
        }
    }
}

impl Drop for StagedTree {
    fn drop(&mut self) {
        let How::Made { entries, idle } = &self.how else {
            return;
        };
        let folder = Folder {
            path: std::mem::take(&mut self.path),
            root: self.root,
            entries: *entries,
        };
        match idle.upgrade() {
            Some(idle) => idle.keep(folder),
            None => folders::remove(&folder.path),
        }
    }
}

impl Unfinished {
    fn finish(mut self, root: DirectoryDigest, entries: usize) -> Folder {
        Folder {
            path: std::mem::take(&mut self.0),
            root,
            entries,
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            folders::remove(&self.0);
        }
    }
}

impl Idle {
    fn folders(&self) -> MutexGuard<'_, Vec<Folder>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, folder: Folder) {
        let mut folders = self.folders();
        folders.push(folder);
        let mut entries: usize = folders.iter().map(|folder| folder.entries).sum();
        let mut surplus = Vec::new();
        while folders.len() > IDLE_TREES || entries > IDLE_ENTRIES {
            let oldest = folders.remove(0);
            entries -= oldest.entries;
            surplus.push(oldest);
        }
        drop(folders);
        for folder in surplus {
            folders::remove(&folder.path);
        }
    }

    /// The folder of exactly this tree.
    fn take(&self, root: DirectoryDigest) -> Option<Folder> {
        let mut folders = self.folders();
        let place = folders.iter().rposition(|folder| folder.root == root)?;
        Some(folders.remove(place))
    }

    /// The trees of all folders, the one used last first.
    fn trees(&self) -> Vec<DirectoryDigest> {
        let folders = self.folders();
        folders.iter().rev().map(|folder| folder.root).collect()
    }
}

/// Stages trees, each once for all who use it at the same time.
pub(crate) struct Stager {
    folder: PathBuf,
    store: Arc<Store>,
    surveyor: Surveyor,
    shower: Shower,
    /// How many entries a tree has at least that is shown.
    shown_from: usize,
    staged: Mutex<HashMap<DirectoryDigest, Weak<StagedTree>>>,
    idle: Arc<Idle>,
    /// The base roots that stay, the one used last at the end.
    kept: Mutex<Vec<(DirectoryDigest, Arc<StagedTree>)>>,
    /// Taken while a large tree is staged, so that others who want it wait instead of doing it too.
    bases: Mutex<()>,
    number: AtomicU64,
}

impl Stager {
    /// A stager whose trees lie below `parent`, the folder of a maker of sandboxes.
    pub(crate) fn new(parent: &Path, store: Arc<Store>, shown_from: usize) -> Self {
        Self {
            shown_from,
            surveyor: Surveyor::default(),
            folder: parent.join("trees"),
            shower: Shower::new(parent, Arc::clone(&store)),
            store,
            staged: Mutex::default(),
            idle: Arc::default(),
            kept: Mutex::default(),
            bases: Mutex::default(),
            number: AtomicU64::default(),
        }
    }

    /// The folder of a tree, staged if it is not.
    pub(crate) fn stage(&self, root: DirectoryDigest) -> Result<Arc<StagedTree>, SandboxError> {
        if let Some(tree) = self.find(root) {
            return Ok(tree);
        }
        let (path, how) = self.place(root)?;
        let tree = Arc::new(StagedTree { path, root, how });
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
        if matches!(tree.how, How::Made { .. }) {
            kept.push((root, Arc::clone(&tree)));
        }
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
            .filter(|tree| tree.can_be_joined())
    }

    /// Where a tree is that nobody uses.
    fn place(&self, root: DirectoryDigest) -> Result<(PathBuf, How), SandboxError> {
        let folder = match self.idle.take(root) {
            Some(folder) => folder,
            None => {
                let entries = self.surveyor.entries(root, &self.store)?;
                if entries >= self.shown_from
                    && let Some((path, shown)) = self.shower.show(root)?
                {
                    return Ok((path, How::Shown(shown)));
                }
                self.fill(root, entries)?
            }
        };
        let how = How::Made {
            entries: folder.entries,
            idle: Arc::downgrade(&self.idle),
        };
        Ok((folder.path, how))
    }

    /// A folder of a tree: one of a similar tree made into it, or else a new one.
    fn fill(&self, root: DirectoryDigest, entries: usize) -> Result<Folder, SandboxError> {
        let links = Links(&self.store);
        if let Some(Folder {
            path, root: old, ..
        }) = self.similar(&links, root, entries)
        {
            let folder = Unfinished(path);
            match links.change(&folder.0, old, root) {
                Ok(()) => return Ok(folder.finish(root, entries)),
                Err(error) => tracing::debug!(%error, "a staged tree is made anew"),
            }
        }
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let folder = Unfinished(self.folder.join(number.to_string()));
        make_folders(&folder.0).map_err(|error| failed(&folder.0, &error.to_string()))?;
        links.fill(&folder.0, root)?;
        Ok(folder.finish(root, entries))
    }

    /// The idle folder whose tree is most like `root`, if to change it is clearly less than to make the
    /// `entries` of `root` anew.
    fn similar(&self, links: &Links<'_>, root: DirectoryDigest, entries: usize) -> Option<Folder> {
        let mut bound = entries / 2;
        let mut best = None;
        for tree in self.idle.trees() {
            if let Some(distance) = links.distance(tree, root, bound) {
                bound = distance;
                best = Some(tree);
            }
        }
        // Somebody else may have taken it meanwhile.
        self.idle.take(best?)
    }
}
