//! What speculation needs of a store, and looking up paths in stored trees.

use std::sync::Arc;

use headstart_execution::InvalidAction;
use headstart_merkle::{
    BlobDigest, Directory, DirectoryDigest, DirectoryReader, DirectoryWriter, Node, TreeError,
    TreePath,
};
use headstart_store::{BlobStore, Directories, LocalBlobs, StoreError};
use thiserror::Error;

/// How deep an input tree may be. Deeper ones are hostile or broken.
pub(crate) const MAX_DEPTH: usize = 256;
/// How many symbolic links one path may lead through, as on Linux.
const MAX_LINKS: usize = 40;

/// Where messages are read from and written to.
pub trait Storage: DirectoryReader + DirectoryWriter + Sync {
    /// Everything that is not a Directory.
    fn blobs(&self) -> &dyn BlobStore;
}

impl<S: BlobStore + 'static> Storage for Directories<S> {
    fn blobs(&self) -> &dyn BlobStore {
        &**self.store()
    }
}

impl Storage for Directories<dyn BlobStore> {
    fn blobs(&self) -> &dyn BlobStore {
        &**self.store()
    }
}

impl Storage for Directories<dyn LocalBlobs> {
    fn blobs(&self) -> &dyn BlobStore {
        &**self.store()
    }
}

/// Why speculation can't go on with something. It never concerns the build itself.
#[derive(Debug, Error)]
pub enum SpeculationError {
    /// A tree can't be read or written.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A message can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A recorded action can't be used.
    #[error(transparent)]
    Action(#[from] InvalidAction),
    /// A tree is deeper than any real one.
    #[error("the tree below {0} is more than {MAX_DEPTH} directories deep")]
    TooDeep(TreePath),
    /// Trees with more directories than any real one has.
    #[error("the input trees of {0} have more than {1} directories")]
    TooLarge(String, usize),
    /// The stored message is not one.
    #[error("the stored speculative actions can't be used: {0}")]
    Message(String),
}

/// Reads a Directory; the empty one needs not be stored.
pub(crate) fn directory(
    store: &(impl DirectoryReader + ?Sized),
    digest: DirectoryDigest,
) -> Result<Arc<Directory>, TreeError> {
    if digest.size() == 0 {
        return Ok(Arc::default());
    }
    store.read_directory(digest)
}

/// What tells two nodes of one name apart: a file's content, or a link's target.
/// `None` for directories.
pub(crate) fn content(node: &Node) -> Option<BlobDigest> {
    match node {
        Node::File(file) => Some(file.digest),
        Node::Symlink(link) => Some(BlobDigest::of(link.target.as_bytes())),
        Node::Directory(_) => None,
    }
}

/// What stands at `path` below `root`. Symbolic links on the way are followed inside the tree, and
/// so is the last component's if `follow` says so; `None` if nothing is there or a link leads out.
pub(crate) fn lookup(
    store: &(impl DirectoryReader + ?Sized),
    root: DirectoryDigest,
    path: &TreePath,
    follow: bool,
) -> Result<Option<Node>, TreeError> {
    let mut above = vec![root];
    let mut left: Vec<String> = path.components().rev().map(str::to_owned).collect();
    let mut links = 0;
    while let Some(component) = left.pop() {
        match component.as_str() {
            "" | "." => continue,
            ".." => {
                if above.len() > 1 {
                    above.pop();
                }
                continue;
            }
            _ => {}
        }
        let at = above.last().copied().unwrap_or(root);
        let here = directory(store, at)?;
        match here.entries.get(component.as_str()) {
            None => return Ok(None),
            Some(Node::Directory(below)) => above.push(*below),
            Some(Node::Symlink(link)) if follow || !left.is_empty() => {
                links += 1;
                if links > MAX_LINKS {
                    return Ok(None);
                }
                if link.target.starts_with('/') {
                    above.truncate(1);
                }
                left.extend(link.target.split('/').rev().map(str::to_owned));
            }
            Some(leaf) => return Ok(left.is_empty().then(|| leaf.clone())),
        }
    }
    Ok(above.last().map(|digest| Node::Directory(*digest)))
}

/// The Directory at `path` below `root`, links followed.
pub(crate) fn directory_at(
    store: &(impl DirectoryReader + ?Sized),
    root: DirectoryDigest,
    path: &TreePath,
) -> Result<Option<Arc<Directory>>, TreeError> {
    match lookup(store, root, path, true)? {
        Some(Node::Directory(digest)) => Ok(Some(directory(store, digest)?)),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn links_are_followed_inside_the_tree_and_no_further() {
        let fixture = Fixture::default();
        let root = fixture.tree(&[
            ("usr/lib/libz.so.1", "z"),
            ("usr/lib/libz.so", "-> libz.so.1"),
            ("lib", "-> /usr/lib"),
            ("up", "-> ../../lib"),
            ("loop", "-> loop"),
        ]);
        let check = |path: &str, follow: bool, expected: Option<&str>| {
            let path = TreePath::new(path).unwrap();
            let found = lookup(&fixture.store, root, &path, follow).unwrap();
            let expected = expected.map(|text| BlobDigest::of(text.as_bytes()));
            assert_eq!(found.as_ref().and_then(content), expected, "{path}");
        };
        check("usr/lib/libz.so", true, Some("z"));
        check("usr/lib/libz.so", false, Some("libz.so.1"));
        check("lib/libz.so", true, Some("z"));
        check("up/libz.so.1", true, Some("z"));
        check("loop/x", true, None);
        check("usr/none", true, None);
        check("usr/lib/libz.so.1/x", true, None);
    }
}
