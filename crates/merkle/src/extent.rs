//! How large a tree is, before anybody makes files of it.

use std::collections::HashMap;

use crate::digest::DirectoryDigest;
use crate::directory::{Directory, Node};
use crate::tree::{DirectoryReader, TreeError};

/// How many entries a tree has that is made into files, at most.
pub const MAX_ENTRIES: u64 = 10_000_000;
/// How many Directories lie in each other in a tree that is made into files, at most.
pub const MAX_DEPTH: usize = 512;

/// How large a tree is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// How many entries there are below its root, repeated Directories counted each time; [`u64::MAX`]
    /// stands for more than that.
    pub entries: u64,
    /// How many Directories lie in each other, the root among them.
    pub depth: usize,
}

impl Extent {
    /// Whether it is no more than any file system should be asked for.
    pub fn is_usable(&self) -> bool {
        self.entries <= MAX_ENTRIES && self.depth <= MAX_DEPTH
    }
}

/// Measures the tree `root`, reading each Directory once: thirty Directories of a hundred bytes that
/// name each other twice stand for a billion entries.
pub fn extent<R: DirectoryReader + ?Sized>(
    reader: &R,
    root: DirectoryDigest,
) -> Result<Extent, TreeError> {
    let extents = extents(reader, root, |_| None)?;
    Ok(extents.get(&root).copied().unwrap_or_default())
}

/// The same, with that of each Directory below; those that are known are not looked into.
pub fn extents<R: DirectoryReader + ?Sized>(
    reader: &R,
    root: DirectoryDigest,
    mut recall: impl FnMut(DirectoryDigest) -> Option<Extent>,
) -> Result<HashMap<DirectoryDigest, Extent>, TreeError> {
    let mut known: HashMap<DirectoryDigest, Extent> = HashMap::new();
    // An explicit stack: trees come from outside, and their depth is not ours to bound.
    let mut pending = vec![(root, false)];
    while let Some((digest, entered)) = pending.pop() {
        if known.contains_key(&digest) {
            continue;
        }
        if !entered && let Some(extent) = recall(digest) {
            known.insert(digest, extent);
            continue;
        }
        let directory = reader.read_directory(digest)?;
        if entered {
            known.insert(digest, of(&directory, &known));
        } else {
            pending.push((digest, true));
            let unknown = below(&directory).filter(|child| !known.contains_key(child));
            pending.extend(unknown.map(|child| (child, false)));
        }
    }
    Ok(known)
}

fn below(directory: &Directory) -> impl Iterator<Item = DirectoryDigest> {
    directory.entries.values().filter_map(|node| match node {
        Node::Directory(child) => Some(*child),
        Node::File(_) | Node::Symlink(_) => None,
    })
}

/// The extent of a Directory, of whose children it is known.
fn of(directory: &Directory, known: &HashMap<DirectoryDigest, Extent>) -> Extent {
    let own = Extent {
        entries: directory.entries.len() as u64,
        depth: 1,
    };
    below(directory).fold(own, |extent, child| {
        let below = known.get(&child).copied().unwrap_or_default();
        Extent {
            entries: extent.entries.saturating_add(below.entries),
            depth: extent.depth.max(below.depth + 1),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Name;
    use crate::tree::{DirectoryWriter, MemoryDirectories};

    /// Directories in each other, each naming the next so often.
    fn nested(levels: usize, names: &[&str]) -> (MemoryDirectories, DirectoryDigest) {
        let store = MemoryDirectories::default();
        let mut directory = Directory::default();
        for _ in 0..levels {
            let encoded = directory.encode();
            let digest = DirectoryDigest::of(&encoded);
            store.write_directory(digest, encoded).unwrap();
            let names = names.iter().map(|name| Name::new(name).unwrap());
            directory = Directory {
                entries: names.map(|name| (name, Node::Directory(digest))).collect(),
                ..Directory::default()
            };
        }
        let encoded = directory.encode();
        let root = DirectoryDigest::of(&encoded);
        store.write_directory(root, encoded).unwrap();
        (store, root)
    }

    #[test]
    fn repeated_directories_count_each_time() {
        let (store, root) = nested(3, &["a", "b"]);
        let measured = extent(&store, root).unwrap();
        let expected = Extent {
            entries: 2 + 4 + 8,
            depth: 4,
        };
        assert_eq!(measured, expected);
        assert!(measured.is_usable());
    }

    #[test]
    fn trees_that_nobody_can_make_are_measured() {
        let (store, root) = nested(200, &["a", "b", "c"]);
        let wide = extent(&store, root).unwrap();
        assert_eq!((wide.entries, wide.depth), (u64::MAX, 201));
        assert!(!wide.is_usable());
        let (store, root) = nested(100_000, &["a"]);
        let deep = extent(&store, root).unwrap();
        assert_eq!((deep.entries, deep.depth), (100_000, 100_001));
        assert!(!deep.is_usable());
    }

    #[test]
    fn what_is_known_is_not_looked_into() {
        let (store, root) = nested(3, &["a", "b"]);
        let all = extents(&store, root, |_| None).unwrap();
        assert_eq!(all.len(), 4);
        let child = below(&store.read_directory(root).unwrap()).next().unwrap();
        let known = Extent {
            entries: 1000,
            depth: 10,
        };
        let some = extents(&store, root, |digest| (digest == child).then_some(known)).unwrap();
        let expected = Extent {
            entries: 2 + 2 * 1000,
            depth: 11,
        };
        assert_eq!(some, HashMap::from([(child, known), (root, expected)]));
    }

    #[test]
    fn what_is_missing_is_told() {
        let store = MemoryDirectories::default();
        let root = DirectoryDigest::of(b"nowhere");
        assert!(matches!(extent(&store, root), Err(TreeError::Missing(_))));
    }
}
