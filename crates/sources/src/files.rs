//! Single files of a tree that is being staged.

use bytes::Bytes;
use headstart_merkle::{FileNode, Node, Tree, TreePath};

use crate::Store;
use crate::error::SourceError;

/// The text of a file; none if there is no file at the path.
pub(crate) fn text_at(
    tree: &mut Tree,
    at: &TreePath,
    store: &Store,
) -> Result<Option<String>, SourceError> {
    let Some(Node::File(file)) = tree.get(at, store)? else {
        return Ok(None);
    };
    let content = store.store().read(file.digest)?;
    Ok(Some(String::from_utf8_lossy(&content).into_owned()))
}

/// Puts a file at a path, in place of what is there.
pub(crate) fn put_file(
    tree: &mut Tree,
    at: &TreePath,
    content: impl Into<Bytes>,
    executable: bool,
    store: &Store,
) -> Result<(), SourceError> {
    let digest = store.store().write(content.into())?;
    let node = Node::File(FileNode::new(digest, executable));
    Ok(tree.insert(at, node, store)?)
}
