//! Trees that are shown without being made.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use headstart_execution::SandboxError;
use headstart_merkle::{Directory, DirectoryDigest};
use headstart_sandbox_init::{Role, send, unmount};
use headstart_store::{Hold, StoreError};
use headstart_treefs::TreeFs;

use crate::available::check_layer;
use crate::folders;
use crate::links::{Store, unreadable};
use crate::modes::make_folders;
use crate::program;

/// Where trees are shown, below the folder of a maker of sandboxes.
const SHOWN: &str = "shown";
/// How many trees are remembered that nobody uses: of each it is known, here and in the kernel, what was looked at.
const REMEMBERED: usize = 32;

/// Shows trees, where this machine lets this user do that.
pub(crate) struct Shower {
    folder: PathBuf,
    store: Arc<Store>,
    /// Trees of late, the one shown last at the end.
    recent: Mutex<VecDeque<Recent>>,
    /// Mounted when it is first needed; `None` where that can't be.
    mounted: OnceLock<Option<Mounted>>,
}

/// A tree, and whether anybody uses it.
struct Recent {
    root: DirectoryDigest,
    users: Weak<()>,
}

/// The file system, and who unmounts it if this process is killed.
struct Mounted {
    filesystem: Arc<TreeFs>,
    _unmounter: Unmounter,
}

/// A process that unmounts a folder when this is dropped, or this process ends.
struct Unmounter {
    process: Child,
    /// `None` only while it is dropped.
    socket: Option<UnixStream>,
}

/// A tree that is shown, all of which stays in the store.
pub(crate) struct Shown {
    filesystem: Arc<TreeFs>,
    store: Arc<Store>,
    begun: Instant,
    _hold: Hold,
    /// Held by all who use the tree.
    _use: Arc<()>,
}

/// Unmounts what shows trees below `parent`, the folder of a maker of sandboxes, if it is mounted.
pub(crate) fn hide(parent: &Path) {
    let folder = parent.join(SHOWN);
    // Where the process has ended that served it, the folder can't be looked at.
    let there = fs::symlink_metadata(&folder);
    if !there.is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        unmount(&folder);
    }
}

impl Shower {
    /// Shows trees below `parent`, the folder of a maker of sandboxes.
    pub(crate) fn new(parent: &Path, store: Arc<Store>) -> Self {
        Self {
            folder: parent.join(SHOWN),
            store,
            recent: Mutex::default(),
            mounted: OnceLock::new(),
        }
    }

    /// Shows a tree, if all of it is there; `None` where that can't be.
    pub(crate) fn show(
        &self,
        root: DirectoryDigest,
    ) -> Result<Option<(PathBuf, Shown)>, SandboxError> {
        let mounted = self.mounted.get_or_init(|| self.mount());
        let Some(Mounted { filesystem, .. }) = mounted else {
            return Ok(None);
        };
        // First, so that what is found stays.
        let held_since = Instant::now();
        let mut hold = self.store.store().hold(Duration::ZERO)?;
        let found = self.store.find_whole(root, true);
        let whole_since = found.map_err(|error| unreadable("stage a tree", error))?;
        if whole_since < held_since {
            hold = self.store.store().hold(whole_since.elapsed())?;
        }
        let shown = Shown {
            filesystem: Arc::clone(filesystem),
            store: Arc::clone(&self.store),
            begun: Instant::now(),
            _hold: hold,
            _use: self.note_use(root, filesystem),
        };
        Ok(Some((filesystem.path(root), shown)))
    }

    /// Notes that a tree is used; what nobody has used for longest is forgotten.
    fn note_use(&self, root: DirectoryDigest, filesystem: &TreeFs) -> Arc<()> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let known = recent.iter().position(|tree| tree.root == root);
        let known = known.and_then(|place| recent.remove(place));
        let users = known.and_then(|tree| tree.users.upgrade());
        let users = users.unwrap_or_default();
        let mut surplus = None;
        if recent.len() >= REMEMBERED {
            let unused = recent
                .iter()
                .position(|tree| tree.users.strong_count() == 0);
            surplus = unused.and_then(|place| recent.remove(place));
        }
        recent.push_back(Recent {
            root,
            users: Arc::downgrade(&users),
        });
        drop(recent);
        if let Some(tree) = surplus {
            filesystem.forget(tree.root);
        }
        users
    }

    fn mount(&self) -> Option<Mounted> {
        let mounted = self.try_mount();
        if let Err(error) = &mounted {
            tracing::info!(%error, "trees can't be shown by FUSE here: all are made of links");
            let _ = fs::remove_dir(&self.folder);
        }
        mounted.ok()
    }

    fn try_mount(&self) -> io::Result<Mounted> {
        make_folders(&self.folder)?;
        // Before there is anything to unmount.
        let unmounter = Unmounter::start(&self.folder)?;
        let filesystem = TreeFs::mount(&self.folder, Arc::clone(&self.store))?;
        // Not every kernel makes layers of it.
        let empty = filesystem.path(Directory::default().digest());
        let folder = self.folder.with_extension("tried");
        let tried = check_layer(&empty, &folder);
        folders::remove(&folder);
        tried.map_err(io::Error::other)?;
        Ok(Mounted {
            filesystem: Arc::new(filesystem),
            _unmounter: unmounter,
        })
    }
}

impl Unmounter {
    fn start(folder: &Path) -> io::Result<Self> {
        let (mut socket, theirs) = UnixStream::pair()?;
        let process = program::command(Role::Unmounter, theirs)?
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        send(&mut socket, &folder)?;
        Ok(Self {
            process,
            socket: Some(socket),
        })
    }
}

impl Drop for Unmounter {
    fn drop(&mut self) {
        self.socket = None;
        let _ = self.process.wait();
    }
}

impl Shown {
    /// Since when it is shown.
    pub(crate) fn begun(&self) -> Instant {
        self.begun
    }

    /// Why something of `root` could not be read since then, if anything could not.
    pub(crate) fn failure(&self, root: DirectoryDigest, since: Instant) -> Option<StoreError> {
        let digest = self.filesystem.failure(root, since)?;
        // It may be there again.
        let now = self.store.store().file(digest, false);
        Some(now.err().unwrap_or(StoreError::Missing(digest)))
    }
}
