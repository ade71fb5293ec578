//! Trees that are found whole, by which nothing is taken to be there that has gone.

#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use headstart_merkle::{BlobDigest, Directory, DirectoryDigest, FileNode, Name, Node, TreeError};
use headstart_store::{BlobStore, Directories};
use headstart_store_disk::{DiskBlobs, Layout};
use tempfile::TempDir;

mod common;
use common::object;

/// A cache directory that has a tree: a file, and a folder with another.
struct Cache {
    folder: TempDir,
    store: Directories<DiskBlobs>,
    root: DirectoryDigest,
    below: DirectoryDigest,
    file: BlobDigest,
}

impl Cache {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let blobs = DiskBlobs::open(&Layout::new(folder.path())).unwrap();
        let file = blobs.write(Bytes::from_static(b"a file below")).unwrap();
        let other = blobs.write(Bytes::from_static(b"another")).unwrap();
        let below = directory(&blobs, [("file", Node::File(FileNode::new(file, false)))]);
        let entries = [
            ("below", Node::Directory(below)),
            ("other", Node::File(FileNode::new(other, false))),
        ];
        let root = directory(&blobs, entries);
        let store = Directories::new(Arc::new(blobs));
        Self {
            folder,
            store,
            root,
            below,
            file,
        }
    }

    fn object(&self, digest: BlobDigest) -> PathBuf {
        object(&Layout::new(self.folder.path()), digest)
    }

    /// Something of the tree that is missing.
    fn missing(&self, files: bool) -> Option<BlobDigest> {
        match self.store.find_whole(self.root, files) {
            Ok(_) => None,
            Err(TreeError::Missing(digest)) => Some(digest),
            Err(error) => panic!("{error}"),
        }
    }

    /// Damages the file's object, which nobody notices who does not look for it.
    fn damage(&self) {
        let object = File::options().write(true).open(self.object(self.file));
        object.unwrap().set_len(3).unwrap();
    }
}

fn directory<const N: usize>(store: &DiskBlobs, entries: [(&str, Node); N]) -> DirectoryDigest {
    let entries = entries.map(|(name, node)| (Name::new(name).unwrap(), node));
    let directory = Directory {
        entries: entries.into(),
        ..Directory::default()
    };
    store.write(directory.encode()).unwrap().cast()
}

#[test]
fn what_has_gone_is_missing_whoever_has_removed_it() {
    let cache = Cache::new();
    assert_eq!(cache.missing(true), None);
    let aside = cache.folder.path().join("aside");
    for gone in [cache.file, cache.below.blob(), cache.root.blob()] {
        fs::rename(cache.object(gone), &aside).unwrap();
        assert_eq!(cache.missing(true), Some(gone));
        fs::rename(&aside, cache.object(gone)).unwrap();
        assert_eq!(cache.missing(true), None);

        let content = fs::read(cache.object(gone)).unwrap();
        fs::remove_file(cache.object(gone)).unwrap();
        assert_eq!(cache.missing(true), Some(gone));
        cache.store.store().write(content.into()).unwrap();
        assert_eq!(cache.missing(true), None);
    }
}

#[test]
fn another_folder_of_objects_is_another_store() {
    let cache = Cache::new();
    assert_eq!(cache.missing(true), None);
    let objects = Layout::new(cache.folder.path()).objects();
    let old = cache.folder.path().join("old");
    fs::rename(&objects, &old).unwrap();
    fs::create_dir(&objects).unwrap();
    fs::rename(&objects, cache.folder.path().join("empty")).unwrap();
    fs::rename(&old, &objects).unwrap();
    assert_eq!(cache.missing(true), None);
    fs::remove_dir_all(cache.object(cache.file).parent().unwrap()).unwrap();
    assert!(cache.missing(true).is_some());
}

#[test]
fn files_are_looked_for_by_those_who_want_them() {
    let cache = Cache::new();
    assert_eq!(cache.missing(false), None);
    fs::remove_file(cache.object(cache.file)).unwrap();
    assert_eq!(cache.missing(false), None);
    assert_eq!(cache.missing(true), Some(cache.file));
    assert_eq!(cache.missing(false), None);
}

#[test]
fn what_was_found_is_looked_for_again_only_if_something_has_gone() {
    let cache = Cache::new();
    assert_eq!(cache.missing(true), None);
    cache.damage();
    assert_eq!(cache.missing(true), None);
    let other = cache.store.store().write(Bytes::from_static(b"new"));
    assert_eq!(cache.missing(true), None, "nothing has gone");
    fs::remove_file(cache.object(other.unwrap())).unwrap();
    assert_eq!(cache.missing(true), Some(cache.file));
}

/// Each execution ahead of need ends with one.
#[test]
fn a_demotion_costs_no_look_at_trees() {
    let cache = Cache::new();
    assert_eq!(cache.missing(true), None);
    cache.damage();
    let guess = cache.store.store().write(Bytes::from_static(b"a guess"));
    let demoted = [guess.unwrap(), cache.file];
    let blobs = cache.store.store();
    blobs.demote(&demoted, SystemTime::UNIX_EPOCH);
    assert_eq!(cache.missing(true), None);
}
