//! Staged trees: whatever was there before, a folder holds what its tree says.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use headstart_merkle::{DirectoryDigest, FileNode, Node, SymlinkNode, Tree, TreePath};
use headstart_sandbox::NativeSandbox;
use headstart_store::{BlobStore, Directories, LocalBlobs};
use headstart_store_disk::{DiskBlobs, Layout};
use rustix::fs::Mode;

struct World {
    _folder: tempfile::TempDir,
    layout: Layout,
    store: Arc<DiskBlobs>,
    directories: Directories<DiskBlobs>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        let store = Arc::new(DiskBlobs::open(&layout).unwrap());
        Self {
            directories: Directories::new(Arc::clone(&store)),
            _folder: folder,
            layout,
            store,
        }
    }

    fn sandbox(&self) -> NativeSandbox {
        let store: Arc<dyn LocalBlobs> = self.store.clone();
        NativeSandbox::new(&self.layout, store)
    }

    fn file(&self, content: &str, executable: bool) -> Node {
        let digest = self.store.write(content.to_owned().into()).unwrap();
        Node::File(FileNode::new(digest, executable))
    }

    fn tree(&self, entries: &BTreeMap<String, Entry>) -> DirectoryDigest {
        let mut tree = Tree::empty();
        for (path, entry) in entries {
            let node = match entry {
                Entry::File(content, executable) => self.file(content, *executable),
                Entry::Link(target) => Node::Symlink(SymlinkNode::new(target)),
            };
            let path = TreePath::new(path).unwrap();
            tree.insert(&path, node, &self.directories).unwrap();
        }
        tree.write(&self.directories).unwrap()
    }
}

#[derive(Clone, Debug)]
enum Entry {
    File(String, bool),
    Link(String),
}

/// What can be seen of a folder. Of files that are links to the store's also which they are.
fn seen(folder: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(at) = pending.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let data = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            let what = match fs::read_link(&path) {
                Ok(target) => format!("-> {} {}", target.display(), data.mtime()),
                Err(_) if data.is_dir() => format!("{:o} {}", data.mode(), data.mtime()),
                Err(_) => format!("{:o} {}", data.mode(), data.ino()),
            };
            all.insert(name, what);
            if data.is_dir() {
                pending.push(path);
            }
        }
    }
    all
}

/// Numbers that look random, the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

fn changed(entries: &mut BTreeMap<String, Entry>, numbers: &mut Numbers) {
    let path = match numbers.below(4) {
        0 => format!(
            "d{}/e{}/f{}",
            numbers.below(3),
            numbers.below(3),
            numbers.below(9)
        ),
        1 => format!("d{}/e{}", numbers.below(3), numbers.below(3)),
        2 => format!("d{}/g{}", numbers.below(3), numbers.below(20)),
        _ => format!("h{}", numbers.below(20)),
    };
    let below = format!("{path}/");
    entries
        .retain(|other, _| !other.starts_with(&below) && !path.starts_with(&format!("{other}/")));
    match numbers.below(5) {
        0 => drop(entries.remove(&path)),
        1 => drop(entries.insert(path, Entry::Link(format!("h{}", numbers.below(3))))),
        kind => {
            let content = format!("content {}", numbers.below(50));
            entries.insert(path, Entry::File(content, kind == 2));
        }
    }
}

#[test]
fn a_tree_made_from_another_is_as_one_made_anew() {
    let world = World::new();
    let sandbox = world.sandbox();
    let mut numbers = Numbers(0x5eed_1234_abcd_0001);
    let mut entries = BTreeMap::new();
    let mut folders = std::collections::BTreeSet::new();
    for round in 0..100 {
        for _ in 0..=numbers.below(if round % 20 == 0 { 60 } else { 5 }) {
            changed(&mut entries, &mut numbers);
        }
        let tree = world.tree(&entries);
        let staged = sandbox.stage(tree).unwrap();
        let anew = world.sandbox();
        let expected = anew.stage(tree).unwrap();
        assert_eq!(
            seen(staged.path()),
            seen(expected.path()),
            "round {round}: {entries:?}"
        );
        folders.insert(staged.path().to_owned());
    }
    assert!(folders.len() < 35, "{} are new", folders.len());
}

/// A test is a process of its own, so that its mask is nobody else's.
#[test]
fn the_mask_of_who_stages_a_tree_is_not_seen_in_it() {
    let before = rustix::process::umask(Mode::from_raw_mode(0o077));
    let world = World::new();
    let file = Entry::File("content".into(), false);
    let tree = world.tree(&BTreeMap::from([("a/b/c".to_owned(), file)]));
    let sandbox = world.sandbox();
    let staged = sandbox.stage(tree).unwrap();
    let mode = |path: &str| fs::metadata(staged.path().join(path)).unwrap().mode() & 0o7777;
    let modes = ["", "a", "a/b", "a/b/c"].map(mode);
    rustix::process::umask(before);
    assert_eq!(modes, [0o755, 0o755, 0o755, 0o644]);
}

#[test]
fn what_is_used_is_shared_and_not_changed() {
    let world = World::new();
    let sandbox = world.sandbox();
    let mut entries = BTreeMap::new();
    for number in 0..20 {
        entries.insert(format!("f{number}"), Entry::File("same".into(), false));
    }
    let one = world.tree(&entries);
    entries.insert("f7".into(), Entry::File("other".into(), false));
    let other = world.tree(&entries);

    let first = sandbox.stage(one).unwrap();
    let again = sandbox.stage(one).unwrap();
    assert_eq!(first.path(), again.path());
    let beside = sandbox.stage(other).unwrap();
    assert_ne!(first.path(), beside.path(), "the first is in use");
    assert_eq!(fs::read(first.path().join("f7")).unwrap(), b"same");
    let path = first.path().to_owned();
    drop((first, again, beside));
    let back = sandbox.stage(one).unwrap();
    assert_eq!(back.path(), path, "it is still there");
    drop(back);
    drop(sandbox);
    assert!(!path.exists(), "nothing stays behind");
}
