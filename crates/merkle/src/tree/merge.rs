//! Laying one tree over another, as BuildStream stages artifacts and sources.

use super::{Branch, DirectoryReader, Entry, Open, Tree, TreeError};
use crate::digest::DirectoryDigest;
use crate::directory::Node;
use crate::path::TreePath;

/// Where a tree that was laid over another met something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merged {
    /// Files and links that took the place of others, equal or not.
    pub overwritten: Vec<TreePath>,
    /// Files and links that were left out, because a directory with something in it is there.
    pub ignored: Vec<TreePath>,
}

impl Tree {
    /// Lays the stored tree `from` over what is at `at`. What is only in one of them stays; where
    /// both have a file or link, that of `from` counts. Costs as much as the directories that both
    /// have: the rest is taken by its digest.
    ///
    /// # Errors
    /// [`TreeError::NotADirectory`] where a directory meets a file or link.
    pub fn merge<R: DirectoryReader + ?Sized>(
        &mut self,
        at: &TreePath,
        from: DirectoryDigest,
        reader: &R,
    ) -> Result<Merged, TreeError> {
        let mut merged = Merged::default();
        if at.is_root() {
            if let Branch::Open(open) = &self.0
                && open.entries.is_empty()
                && open.properties.is_empty()
            {
                self.0 = Branch::Stored(from);
                return Ok(merged);
            }
            lay_over(self.0.open(reader)?, from, at, reader, &mut merged)?;
            return Ok(merged);
        }
        let open = self.0.descend_or_make(at, reader)?;
        if open.entries.is_empty() && open.properties.is_empty() {
            *open = Open::of(&*reader.read_directory(from)?);
        } else {
            lay_over(open, from, at, reader, &mut merged)?;
        }
        Ok(merged)
    }
}

fn lay_over<R: DirectoryReader + ?Sized>(
    under: &mut Open,
    from: DirectoryDigest,
    at: &TreePath,
    reader: &R,
    merged: &mut Merged,
) -> Result<(), TreeError> {
    let directory = reader.read_directory(from)?;
    for (name, node) in &directory.entries {
        let path = at.child(name);
        match (node, under.entries.get_mut(name)) {
            (Node::Directory(digest), None) => {
                under
                    .entries
                    .insert(name.clone(), Entry::Branch(Branch::Stored(*digest)));
            }
            (Node::Directory(digest), Some(Entry::Branch(branch))) => {
                lay_over(branch.open(reader)?, *digest, &path, reader, merged)?;
            }
            (Node::Directory(_), Some(Entry::Leaf(_))) => {
                return Err(TreeError::NotADirectory(path));
            }
            (leaf, existing) => {
                let full = match existing {
                    Some(Entry::Branch(branch)) => !branch.open(reader)?.entries.is_empty(),
                    _ => false,
                };
                if full {
                    merged.ignored.push(path);
                } else if under
                    .entries
                    .insert(name.clone(), Entry::Leaf(leaf.clone()))
                    .is_some()
                {
                    merged.overwritten.push(path);
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BlobDigest, FileNode, MemoryDirectories};

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    fn file(content: &str) -> Node {
        Node::File(FileNode::new(BlobDigest::of(content.as_bytes()), false))
    }

    fn stored(store: &MemoryDirectories, files: &[(&str, &str)]) -> DirectoryDigest {
        let mut tree = Tree::empty();
        for (name, content) in files {
            tree.insert(&path(name), file(content), store).unwrap();
        }
        tree.write(store).unwrap()
    }

    #[test]
    fn both_stay_and_the_later_counts() {
        let store = MemoryDirectories::default();
        let below = stored(&store, &[("usr/a", "1"), ("usr/b", "2"), ("etc/x/y", "3")]);
        let above = stored(
            &store,
            &[
                ("usr/b", "9"),
                ("usr/c", "4"),
                ("etc/x", "5"),
                ("var/z", "6"),
            ],
        );
        for at in ["", "deep/down"] {
            let mut tree = Tree::empty();
            tree.merge(&path(at), below, &store).unwrap();
            let merged = tree.merge(&path(at), above, &store).unwrap();
            let inside = |name: &str| path(at).join(&path(name));
            assert_eq!(merged.overwritten, [inside("usr/b")]);
            assert_eq!(merged.ignored, [inside("etc/x")]);
            let expected = [
                ("usr/a", "1"),
                ("usr/b", "9"),
                ("usr/c", "4"),
                ("etc/x/y", "3"),
                ("var/z", "6"),
            ];
            for (name, content) in expected {
                assert_eq!(
                    tree.get(&inside(name), &store).unwrap(),
                    Some(file(content))
                );
            }
        }
    }

    #[test]
    fn a_directory_does_not_replace_a_file() {
        let store = MemoryDirectories::default();
        let mut tree = Tree::stored(stored(&store, &[("lib", "a file")]));
        let above = stored(&store, &[("lib/a", "1")]);
        let error = tree.merge(&TreePath::root(), above, &store).unwrap_err();
        assert!(matches!(error, TreeError::NotADirectory(at) if at == path("lib")));
    }

    #[test]
    fn a_tree_over_nothing_is_taken_as_it_is() {
        let store = MemoryDirectories::default();
        let root = stored(&store, &[("a/b", "1")]);
        let mut tree = Tree::empty();
        assert_eq!(
            tree.merge(&TreePath::root(), root, &store).unwrap(),
            Merged::default()
        );
        assert_eq!(tree.write(&store).unwrap(), root);
    }
}
