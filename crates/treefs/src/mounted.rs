//! The file system as long as it is mounted.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use fuser::{BackgroundSession, Config, MountOption, Session, SessionACL};
use headstart_merkle::{BlobDigest, DirectoryDigest};
use headstart_store::{Directories, LocalBlobs};

use crate::contents::Contents;
use crate::filesystem::Trees;

/// How many threads answer the kernel at most: they wait for the disk, or for nothing.
const THREADS: usize = 8;

/// All trees of a store, as a file system that is mounted until this is dropped. Whoever has files of it open is to
/// have it unmounted before.
pub struct TreeFs {
    folder: PathBuf,
    contents: Arc<Contents>,
    _session: BackgroundSession,
}

impl TreeFs {
    /// Mounts it on `folder`, which is empty and this process's own. Only its user can see it.
    ///
    /// # Errors
    /// Where there is no FUSE, or this user may not use it.
    pub fn mount(folder: &Path, store: Arc<Directories<dyn LocalBlobs>>) -> io::Result<Self> {
        let contents = Arc::new(Contents::new(store));
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName("headstart".to_owned()),
            MountOption::RO,
            MountOption::NoSuid,
            MountOption::NoDev,
            MountOption::NoAtime,
            MountOption::DefaultPermissions,
        ];
        config.acl = SessionACL::Owner;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        config.n_threads = Some(threads.clamp(2, THREADS));
        config.clone_fd = true;
        let trees = Trees::new(Arc::clone(&contents));
        let session = Session::new(trees, folder, &config)?.spawn()?;
        Ok(Self {
            folder: folder.to_owned(),
            contents,
            _session: session,
        })
    }

    /// Where a tree is seen, whose Directories are in the store.
    pub fn path(&self, root: DirectoryDigest) -> PathBuf {
        self.folder.join(name_of(root))
    }

    /// What could not be read of a tree since then, if anything: whoever tried was told that the disk is
    /// defective, and may have gone on.
    pub fn failure(&self, root: DirectoryDigest, since: Instant) -> Option<BlobDigest> {
        self.contents.failure(root, since)
    }
}

/// The name of a tree in the file system.
fn name_of(root: DirectoryDigest) -> String {
    format!("{}-{}", root.hex(), root.size())
}

/// The tree of a name.
pub(crate) fn root_named(name: &str) -> Option<DirectoryDigest> {
    let (hash, size) = name.split_once('-')?;
    DirectoryDigest::from_hex(hash, size.parse().ok()?).ok()
}
