//! The file system as long as it is mounted.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use fuser::{BackgroundSession, Config, INodeNo, MountOption, Session, SessionACL};
use headstart_merkle::{BlobDigest, DirectoryDigest};
use headstart_store::{Directories, LocalBlobs};

use crate::contents::Contents;
use crate::filesystem::Trees;
use crate::nodes::{Nodes, ROOT};

/// How many threads answer the kernel at most: they wait for the disk, or for nothing.
const THREADS: usize = 8;

/// All trees of a store, as a file system that is mounted until this is dropped. Whoever has files of it open is to
/// have it unmounted before.
pub struct TreeFs {
    folder: PathBuf,
    contents: Arc<Contents>,
    nodes: Arc<Nodes>,
    session: BackgroundSession,
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
        let nodes = Arc::new(Nodes::default());
        let trees = Trees::new(Arc::clone(&nodes), Arc::clone(&contents));
        let session = Session::new(trees, folder, &config)?.spawn()?;
        Ok(Self {
            folder: folder.to_owned(),
            contents,
            nodes,
            session,
        })
    }

    /// Where a tree is seen, whose Directories are in the store.
    pub fn path(&self, root: DirectoryDigest) -> PathBuf {
        self.folder.join(name_of(root))
    }

    /// Has the kernel forget what it knows of a tree that nobody uses. It would remember until it needs the memory, and
    /// as long this process remembers too.
    pub fn forget(&self, root: DirectoryDigest) {
        let name = name_of(root);
        // That it is known no more is what was wanted.
        let _ = self
            .session
            .notifier()
            .inval_entry(INodeNo(ROOT), OsStr::new(&name));
    }

    /// How many files, directories and links of all trees the kernel knows.
    pub fn known(&self) -> usize {
        self.nodes.count()
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use headstart_merkle::{FileNode, Node, Tree, TreePath};
    use headstart_store_disk::{DiskBlobs, Layout};

    use super::*;

    #[test]
    fn what_is_forgotten_takes_no_memory_and_is_there_again_when_it_is_looked_at() {
        if fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/fuse")
            .is_err()
        {
            // Nobody can see anything then.
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().join("cache"));
        let local: Arc<dyn LocalBlobs> = Arc::new(DiskBlobs::open(&layout).unwrap());
        let store = Arc::new(Directories::new(local));
        let tree = |salt: &str| {
            let mut tree = Tree::empty();
            for number in 0..500 {
                let content = format!("{salt} {number}");
                let digest = store.store().write(content.into()).unwrap();
                let path = TreePath::new(&format!("{}/{number}", number % 50)).unwrap();
                let node = Node::File(FileNode::new(digest, false));
                tree.insert(&path, node, &*store).unwrap();
            }
            tree.write(&*store).unwrap()
        };
        let (one, other) = (tree("one"), tree("other"));
        let mounted = folder.path().join("mounted");
        fs::create_dir(&mounted).unwrap();
        let trees = TreeFs::mount(&mounted, Arc::clone(&store)).unwrap();
        let look = |root, salt: &str| {
            for number in 0..500 {
                let path = trees.path(root).join(format!("{}/{number}", number % 50));
                assert_eq!(
                    fs::read_to_string(path).unwrap(),
                    format!("{salt} {number}")
                );
            }
        };
        look(one, "one");
        look(other, "other");
        let all = trees.known();
        assert!(all >= 2 * 551, "{all}");
        trees.forget(one);
        let begun = Instant::now();
        while trees.known() > all - 551 {
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "{}",
                trees.known()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        trees.forget(one);
        look(other, "other");
        look(one, "one");
        assert_eq!(trees.known(), all);
    }
}
