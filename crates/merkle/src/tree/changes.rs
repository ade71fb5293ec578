//! Bringing changes of sources into a tree that was built from them.

use super::{Branch, DirectoryReader, Entry, Open, Tree, TreeError};
use crate::digest::DirectoryDigest;
use crate::directory::{Directory, Node, Properties};

impl Tree {
    /// Brings what tells `after` from `before` into this tree, which was made from `before` and has
    /// other things too: those stay. What was changed here and has not changed between the two
    /// stays as it is; else `after` counts. Directories with changes lose their properties.
    pub fn apply_changes<R: DirectoryReader + ?Sized>(
        &mut self,
        before: DirectoryDigest,
        after: DirectoryDigest,
        reader: &R,
    ) -> Result<(), TreeError> {
        if before == after {
            return Ok(());
        }
        let (before, after) = (
            reader.read_directory(before)?,
            reader.read_directory(after)?,
        );
        apply(self.0.open(reader)?, &before, &after, reader)
    }
}

fn apply<R: DirectoryReader + ?Sized>(
    open: &mut Open,
    before: &Directory,
    after: &Directory,
    reader: &R,
) -> Result<(), TreeError> {
    open.properties = Properties::default();
    for (name, node) in &after.entries {
        if before.entries.get(name) == Some(node) {
            continue;
        }
        match (node, open.entries.get_mut(name)) {
            (Node::Directory(after), Some(Entry::Branch(branch))) => {
                if matches!(branch, Branch::Stored(here) if here == after) {
                    continue;
                }
                let none = Directory::default();
                let read;
                let before = match before.entries.get(name) {
                    Some(Node::Directory(before)) => {
                        read = reader.read_directory(*before)?;
                        &*read
                    }
                    _ => &none,
                };
                let after = reader.read_directory(*after)?;
                apply(branch.open(reader)?, before, &after, reader)?;
            }
            (node, _) => {
                let entry = match node {
                    Node::Directory(digest) => Entry::Branch(Branch::Stored(*digest)),
                    leaf => Entry::Leaf(leaf.clone()),
                };
                open.entries.insert(name.clone(), entry);
            }
        }
    }
    for name in before.entries.keys() {
        if !after.entries.contains_key(name) {
            open.entries.remove(name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BlobDigest, FileNode, MemoryDirectories, TreePath};

    fn stored(store: &MemoryDirectories, files: &[(&str, &str)]) -> DirectoryDigest {
        let mut tree = Tree::empty();
        for (path, content) in files {
            let file = FileNode::new(BlobDigest::of(content.as_bytes()), false);
            let path = TreePath::new(path).unwrap();
            tree.insert(&path, Node::File(file), store).unwrap();
        }
        tree.write(store).unwrap()
    }

    #[test]
    fn what_was_built_stays_and_what_was_edited_counts() {
        let store = MemoryDirectories::default();
        let before = stored(
            &store,
            &[
                ("a", "1"),
                ("d/b", "1"),
                ("d/gone", "1"),
                ("same/x", "1"),
                ("kind", "1"),
            ],
        );
        let after = stored(
            &store,
            &[
                ("a", "2"),
                ("d/b", "1"),
                ("d/new", "1"),
                ("same/x", "1"),
                ("kind/now", "1"),
            ],
        );
        let built = stored(
            &store,
            &[
                ("a", "1"),
                ("a.o", "1"),
                ("d/b", "made over"),
                ("d/gone", "1"),
                ("d/b.o", "1"),
                ("same/x", "1"),
                ("same/x.o", "1"),
                ("kind", "1"),
            ],
        );
        let expected = stored(
            &store,
            &[
                ("a", "2"),
                ("a.o", "1"),
                ("d/b", "made over"),
                ("d/new", "1"),
                ("d/b.o", "1"),
                ("same/x", "1"),
                ("same/x.o", "1"),
                ("kind/now", "1"),
            ],
        );
        let mut tree = Tree::stored(built);
        tree.apply_changes(before, after, &store).unwrap();
        assert_eq!(tree.write(&store).unwrap(), expected);
        let mut tree = Tree::stored(built);
        tree.apply_changes(before, before, &store).unwrap();
        assert_eq!(tree.write(&store).unwrap(), built);
    }
}
