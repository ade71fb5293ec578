//! Directories as the tree code wants them, out of any blob store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use headstart_merkle::{
    Ahead, Directory, DirectoryDigest, DirectoryReader, DirectoryWriter, Guide, Node, TreeError,
};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::blobs::{BlobStore, StoreError};
use crate::recent::Recent;

/// How many entries of decoded Directories each generation may have; one takes about 100 bytes.
const GENERATION: usize = 64 * 1024;

/// How many Directories each thread reads at least: for fewer it is not worth waking one.
const READ_TOGETHER: usize = 4;

/// By how much the priority of threads that read in the background is lower than that of others.
const NICE: i32 = 10;

/// Reads and writes Directories in a blob store, and remembers those met of late: the same header
/// directories occur in the input roots of most actions.
pub struct Directories<S: ?Sized> {
    recent: Arc<Mutex<Known>>,
    store: Arc<S>,
}

/// Directories of late.
type Known = Recent<DirectoryDigest, Arc<Directory>>;

/// How much of a generation a Directory is.
fn entries(directory: &Arc<Directory>) -> usize {
    1 + directory.entries.len()
}

/// Frees what nobody asks for in the background: it takes a millisecond, in which others would wait.
fn free(forgotten: HashMap<DirectoryDigest, Arc<Directory>>) {
    if let Some(readers) = readers() {
        readers.spawn_fifo(move || drop(forgotten));
    }
}

impl<S: BlobStore + ?Sized> Directories<S> {
    /// Directories kept in `store`.
    pub fn new(store: Arc<S>) -> Self {
        Self {
            recent: Arc::new(Mutex::new(Recent::new(GENERATION, entries, free))),
            store,
        }
    }

    /// Where they are kept.
    pub fn store(&self) -> &Arc<S> {
        &self.store
    }
}

fn lock(recent: &Mutex<Known>) -> MutexGuard<'_, Known> {
    recent.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads a Directory, unless it is known. Says whether it was not.
fn read<S: BlobStore + ?Sized>(
    digest: DirectoryDigest,
    store: &S,
    recent: &Mutex<Known>,
) -> Result<(Arc<Directory>, bool), TreeError> {
    if let Some(directory) = lock(recent).get(&digest) {
        return Ok((directory, false));
    }
    let bytes = store.read(digest.blob()).map_err(|error| match error {
        StoreError::Missing(digest) => TreeError::Missing(digest),
        error => TreeError::Backend(Box::new(error)),
    })?;
    let directory =
        Directory::decode(&bytes).map_err(|source| TreeError::Invalid { digest, source })?;
    let directory = Arc::new(directory);
    lock(recent).insert(digest, Arc::clone(&directory));
    Ok((directory, true))
}

/// Reads a tree as far as it is wanted, except what is known, which is taken to have been read with
/// all that is wanted below it. What can't be read is left to whoever needs it, and so is the error.
fn read_tree<S: BlobStore + ?Sized>(
    root: Ahead,
    guide: &dyn Guide,
    store: &S,
    recent: &Mutex<Known>,
) {
    let mut pending = vec![root];
    while let Some(Ahead { directory, from }) = pending.pop() {
        if let (Ok((directory, true)), Some(at)) = (read(directory, store, recent), from) {
            let below = directory.entries.iter();
            pending.extend(below.filter_map(|(name, node)| match node {
                Node::Directory(child) => Some(Ahead {
                    directory: *child,
                    from: Some(guide.enter(at, name)?),
                }),
                _ => None,
            }));
        }
    }
}

/// Threads that read in the background. They are not those that others have help them and wait for, which
/// would wait for what nobody needs yet.
fn readers() -> Option<&'static ThreadPool> {
    static READERS: OnceLock<Option<ThreadPool>> = OnceLock::new();
    let start = || {
        // Whoever wants what they read has work of its own to do meanwhile.
        let threads = rayon::current_num_threads().saturating_sub(1).max(1);
        let pool = ThreadPoolBuilder::new().num_threads(threads);
        let pool = pool.thread_name(|_| "read-ahead".to_owned());
        // Who has work that is needed now comes first. If that can't be, they only come too early.
        let pool = pool.start_handler(|_| {
            let _ = rustix::process::nice(NICE);
        });
        pool.build().ok()
    };
    READERS.get_or_init(start).as_ref()
}

impl<S: BlobStore + ?Sized + 'static> DirectoryReader for Directories<S> {
    fn read_directory(&self, digest: DirectoryDigest) -> Result<Arc<Directory>, TreeError> {
        read(digest, &*self.store, &self.recent).map(|(directory, _)| directory)
    }

    fn read_directories(
        &self,
        digests: &[DirectoryDigest],
    ) -> Vec<Result<Arc<Directory>, TreeError>> {
        let digests = digests.par_iter().with_min_len(READ_TOGETHER);
        let read = digests.map(|digest| self.read_directory(*digest));
        read.collect()
    }

    /// Reads the trees in the background.
    fn read_ahead(&self, trees: Vec<Ahead>, guide: Arc<dyn Guide>) {
        let Some(readers) = readers() else {
            return;
        };
        let each = trees.len().div_ceil(readers.current_num_threads());
        for some in trees.chunks(each.max(1)) {
            let (store, recent) = (Arc::clone(&self.store), Arc::clone(&self.recent));
            let (some, guide) = (some.to_vec(), Arc::clone(&guide));
            // From the end, so as not to read at the same time what is wanted first.
            readers.spawn_fifo(move || {
                for root in some.into_iter().rev() {
                    read_tree(root, &*guide, &*store, &recent);
                }
            });
        }
    }
}

impl<S: BlobStore + ?Sized> DirectoryWriter for Directories<S> {
    fn write_directory(&self, digest: DirectoryDigest, encoded: Bytes) -> Result<(), TreeError> {
        // Checked, not remembered: another process may have removed it since.
        let written = self.store.contains(digest.blob()).and_then(|there| {
            if there {
                Ok(())
            } else {
                self.store.write(encoded).map(|_| ())
            }
        });
        written.map_err(|error| TreeError::Backend(Box::new(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryBlobs;
    use headstart_merkle::{BlobDigest, Everywhere, FileNode, Name};

    /// A directory with as many files.
    fn directory(store: &Directories<MemoryBlobs>, files: usize, salt: usize) -> DirectoryDigest {
        let node = Node::File(FileNode::new(BlobDigest::of(b"content"), false));
        let names = (0..files).map(|file| Name::new(&format!("{salt}-{file}")).unwrap());
        let directory = Directory {
            entries: names.map(|name| (name, node.clone())).collect(),
            ..Directory::default()
        };
        let (digest, encoded) = (directory.digest(), directory.encode());
        store.write_directory(digest, encoded).unwrap();
        digest
    }

    #[test]
    fn what_is_used_is_remembered_and_the_rest_forgotten() {
        let store = Directories::new(Arc::new(MemoryBlobs::default()));
        let digests: Vec<_> = (0..9)
            .map(|n| directory(&store, GENERATION / 4, n))
            .collect();
        store.read_directory(digests[1]).unwrap();
        for digest in &digests[2..] {
            store.read_directory(*digest).unwrap();
            // The first is asked for again and again, the second never.
            store.read_directory(digests[0]).unwrap();
        }
        let mut recent = lock(&store.recent);
        assert!(recent.get(&digests[0]).is_some());
        assert!(recent.get(&digests[1]).is_none());
        assert!(recent.get(&digests[8]).is_some());
        let kept = digests.iter().filter(|digest| recent.contains(digest));
        assert!(kept.count() <= 8);
    }

    #[test]
    fn whole_trees_are_read_ahead_as_far_as_they_can_be() {
        let store = Directories::new(Arc::new(MemoryBlobs::default()));
        let leaf = directory(&store, 3, 0);
        let missing = DirectoryDigest::of(b"nowhere");
        let children = [("here", leaf), ("nowhere", missing)];
        let children = children.map(|(name, digest)| {
            let name = Name::new(name).unwrap();
            (name, Node::Directory(digest))
        });
        let root = Directory {
            entries: children.into(),
            ..Directory::default()
        };
        store.write_directory(root.digest(), root.encode()).unwrap();
        let whole = Ahead::whole(root.digest());
        read_tree(whole, &Everywhere, &*store.store, &store.recent);
        assert!(lock(&store.recent).get(&root.digest()).is_some());
        assert!(lock(&store.recent).get(&leaf).is_some());
        let error = store.read_directory(missing).unwrap_err();
        assert!(matches!(error, TreeError::Missing(_)), "{error}");
    }
}
