//! Whole trees in the store: what of them is missing, and their Tree messages.

use std::collections::HashSet;
use std::sync::Arc;

use headstart_merkle::{BlobDigest, Directory, DirectoryDigest, DirectoryReader, Node, TreeError};
use headstart_reapi::{Message, reapi};
use headstart_store::{BlobStore, Directories};

/// Visits each Directory below `root` once, parents before children.
pub(crate) fn visit<S: BlobStore + ?Sized + 'static>(
    root: DirectoryDigest,
    directories: &Directories<S>,
    mut found: impl FnMut(DirectoryDigest, &Arc<Directory>),
) -> Result<(), TreeError> {
    let mut seen = HashSet::from([root]);
    let mut pending = vec![root];
    while let Some(digest) = pending.pop() {
        let directory = directories.read_directory(digest)?;
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

/// Something of a tree that is not in the store, if anything is not: a Directory, or with `files` any
/// content.
pub(crate) fn missing<S: BlobStore + ?Sized + 'static>(
    root: DirectoryDigest,
    files: bool,
    directories: &Directories<S>,
) -> Result<Option<BlobDigest>, TreeError> {
    if let Some(nowhere) = bring(root, files, &**directories.store())? {
        return Ok(Some(nowhere));
    }
    let mut wanted = HashSet::new();
    let visited = visit(root, directories, |digest, directory| {
        // It was read from the store, or remembered from when it was.
        wanted.insert(digest.blob());
        for node in directory.entries.values() {
            if let Node::File(file) = node
                && files
            {
                wanted.insert(file.digest);
            }
        }
    });
    match visited {
        Err(TreeError::Missing(digest)) => return Ok(Some(digest)),
        other => other?,
    }
    let wanted: Vec<_> = wanted.into_iter().collect();
    // Of a store with another behind it, all is here by now.
    let missing = match directories.store().is_backed() {
        true => Ok(Vec::new()),
        false => directories.store().missing(&wanted),
    };
    let missing = missing.map_err(|error| TreeError::Backend(Box::new(error)))?;
    Ok(missing.first().copied())
}

/// Brings a tree here, if the store has another behind it. Gives what is nowhere.
fn bring<S: BlobStore + ?Sized>(
    root: DirectoryDigest,
    files: bool,
    store: &S,
) -> Result<Option<BlobDigest>, TreeError> {
    let nowhere = store.bring_tree(root, files);
    let nowhere = nowhere.map_err(|error| TreeError::Backend(Box::new(error)))?;
    Ok(nowhere.first().copied())
}

/// The blobs of a tree, which is here.
pub(crate) fn blobs<S: BlobStore + ?Sized + 'static>(
    root: DirectoryDigest,
    directories: &Directories<S>,
) -> Result<Vec<BlobDigest>, TreeError> {
    let mut found = HashSet::new();
    visit(root, directories, |digest, directory| {
        found.insert(digest.blob());
        let nodes = directory.entries.values();
        found.extend(nodes.filter_map(|node| match node {
            Node::File(file) => Some(file.digest),
            _ => None,
        }));
    })?;
    Ok(found.into_iter().collect())
}

/// Writes the Tree message of a stored directory, and gives its digest.
pub(crate) fn write_tree<S: BlobStore + ?Sized + 'static>(
    root: DirectoryDigest,
    directories: &Directories<S>,
) -> Result<BlobDigest, TreeError> {
    let mut tree = reapi::Tree::default();
    visit(root, directories, |_, directory| {
        let message = directory.to_message();
        match tree.root {
            None => tree.root = Some(message),
            Some(_) => tree.children.push(message),
        }
    })?;
    let written = directories.store().write(tree.encode_to_vec().into());
    written.map_err(|error| TreeError::Backend(Box::new(error)))
}
