//! Walks over stored trees: all of one, or only where two differ.

use std::collections::HashSet;
use std::sync::Arc;

use crate::digest::{BlobDigest, DirectoryDigest};
use crate::directory::{Directory, Node};
use crate::path::TreePath;
use crate::tree::{DirectoryReader, TreeError};

/// Whether a walk should enter the directory it was just shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visit {
    /// Go on with what is below.
    Enter,
    /// Pass over what is below.
    Skip,
}

/// Shows `visit` each node below `root`: all of a directory in order of names, then what is below.
pub fn walk<R: DirectoryReader + ?Sized>(
    reader: &R,
    root: DirectoryDigest,
    visit: &mut dyn FnMut(&TreePath, &Node) -> Visit,
) -> Result<(), TreeError> {
    // An explicit stack: trees come from outside, and their depth is not ours to bound.
    let mut pending = vec![(TreePath::root(), root)];
    let mut below = Vec::new();
    while let Some((at, digest)) = pending.pop() {
        let directory = reader.read_directory(digest)?;
        for (name, node) in &directory.entries {
            let path = at.child(name);
            if visit(&path, node) == Visit::Enter
                && let Node::Directory(digest) = node
            {
                below.push((path, *digest));
            }
        }
        pending.extend(below.drain(..).rev());
    }
    Ok(())
}

/// Shows `found` each Directory of the tree `root` once, wherever else it is in it: what is above before
/// what is below.
pub fn each_directory<R: DirectoryReader + ?Sized>(
    reader: &R,
    root: DirectoryDigest,
    found: &mut dyn FnMut(DirectoryDigest, &Arc<Directory>),
) -> Result<(), TreeError> {
    let mut seen = HashSet::from([root]);
    let mut pending = vec![root];
    while let Some(digest) = pending.pop() {
        let directory = reader.read_directory(digest)?;
        for node in directory.entries.values() {
            if let Node::Directory(child) = node
                && seen.insert(*child)
            {
                pending.push(*child);
            }
        }
        found(digest, &directory);
    }
    Ok(())
}

/// The blobs that the tree `root` consists of, each once: its Directories, and with `files` what is in
/// its files.
pub fn tree_blobs<R: DirectoryReader + ?Sized>(
    reader: &R,
    root: DirectoryDigest,
    files: bool,
) -> Result<Vec<BlobDigest>, TreeError> {
    let mut seen = HashSet::new();
    let mut blobs = Vec::new();
    each_directory(reader, root, &mut |digest, directory| {
        let contents = directory.entries.values().filter_map(|node| match node {
            Node::File(file) if files => Some(file.digest),
            _ => None,
        });
        let all = std::iter::once(digest.blob()).chain(contents);
        blobs.extend(all.filter(|blob| seen.insert(*blob)));
    })?;
    Ok(blobs)
}

/// A path at which two trees differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub path: TreePath,
    /// What stands there in the first tree; a directory only if the second has none there.
    pub before: Option<Node>,
    /// What stands there in the second tree; a directory only if the first has none there.
    pub after: Option<Node>,
}

/// The paths at which two trees differ. Subtrees with equal digests are not read.
pub fn diff<R: DirectoryReader + ?Sized>(
    reader: &R,
    before: DirectoryDigest,
    after: DirectoryDigest,
) -> Result<Vec<Difference>, TreeError> {
    let mut differences = Vec::new();
    let mut pending = vec![(TreePath::root(), before, after)];
    while let Some((at, before, after)) = pending.pop() {
        if before != after {
            let (before, after) = (
                reader.read_directory(before)?,
                reader.read_directory(after)?,
            );
            compare(&at, &before, &after, &mut differences, &mut pending);
        }
    }
    differences.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(differences)
}

fn compare(
    at: &TreePath,
    before: &Directory,
    after: &Directory,
    differences: &mut Vec<Difference>,
    pending: &mut Vec<(TreePath, DirectoryDigest, DirectoryDigest)>,
) {
    for (name, old, new) in before.entries.beside(&after.entries) {
        match (old, new) {
            (Some(Node::Directory(old)), Some(Node::Directory(new))) => {
                pending.push((at.child(name), *old, *new));
            }
            (old, new) if old == new => {}
            (old, new) => differences.push(Difference {
                path: at.child(name),
                before: old.cloned(),
                after: new.cloned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileNode, MemoryDirectories, Tree};

    fn tree(store: &MemoryDirectories, files: &[(&str, &str)]) -> DirectoryDigest {
        let mut tree = Tree::empty();
        for (path, content) in files {
            let node = Node::File(FileNode::new(BlobDigest::of(content.as_bytes()), false));
            tree.insert(&TreePath::new(path).unwrap(), node, store)
                .unwrap();
        }
        tree.write(store).unwrap()
    }

    #[test]
    fn a_walk_shows_parents_first_and_skips_what_it_is_told_to() {
        let store = MemoryDirectories::default();
        let root = tree(&store, &[("a/x", "1"), ("b/y", "2"), ("c", "3")]);
        let mut seen = Vec::new();
        walk(&store, root, &mut |path, _| {
            seen.push(path.to_string());
            if path.as_str() == "b" {
                Visit::Skip
            } else {
                Visit::Enter
            }
        })
        .unwrap();
        assert_eq!(seen, ["a", "b", "c", "a/x"]);
    }

    #[test]
    fn what_is_in_a_tree_twice_is_one_blob() {
        let store = MemoryDirectories::default();
        let files = [("a/x", "1"), ("b/x", "1"), ("c", "1"), ("d", "2")];
        let root = tree(&store, &files);
        let folder = tree(&store, &[("x", "1")]);
        let mut blobs = tree_blobs(&store, root, false).unwrap();
        assert_eq!(blobs, [root.blob(), folder.blob()]);
        blobs.extend([b"1", b"2"].map(|content| BlobDigest::of(content)));
        blobs.sort_unstable();
        let mut all = tree_blobs(&store, root, true).unwrap();
        all.sort_unstable();
        assert_eq!(all, blobs);
        let absent = DirectoryDigest::of(b"absent");
        let error = tree_blobs(&store, absent, true).unwrap_err();
        assert!(matches!(error, TreeError::Missing(_)));
    }

    #[test]
    fn differences_are_changed_added_and_removed_paths() {
        let store = MemoryDirectories::default();
        let before = tree(&store, &[("a/x", "1"), ("a/y", "2"), ("same/z", "3")]);
        let after = tree(&store, &[("a/x", "9"), ("b/n", "2"), ("same/z", "3")]);
        let found: Vec<_> = diff(&store, before, after)
            .unwrap()
            .into_iter()
            .map(|d| (d.path.to_string(), d.before.is_some(), d.after.is_some()))
            .collect();
        let expected = [
            ("a/x", true, true),
            ("a/y", true, false),
            ("b", false, true),
        ]
        .map(|(p, b, a)| (p.to_owned(), b, a));
        assert_eq!(found, expected);
        assert!(diff(&store, before, before).unwrap().is_empty());
    }
}
