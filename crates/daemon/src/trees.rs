//! Whole trees in the store: what they consist of, and their Tree messages.

use std::collections::HashSet;
use std::sync::Arc;

use headstart_merkle::{
    BlobDigest, Directory, DirectoryDigest, DirectoryReader, Node, TreeError, each_directory,
};
use headstart_reapi::{Message, reapi};
use headstart_store::{BlobStore, Directories};
use rayon::prelude::*;

/// The blobs that a tree consists of, each once: its Directories, and with `files` what is in its files.
/// Directories that are equally deep are read at a time.
pub(crate) fn blobs<S: BlobStore + ?Sized + 'static>(
    root: DirectoryDigest,
    files: bool,
    directories: &Directories<S>,
) -> Result<Vec<BlobDigest>, TreeError> {
    let mut seen = HashSet::from([root.blob()]);
    let mut blobs = vec![root.blob()];
    let mut level = vec![root];
    while !level.is_empty() {
        let read: Result<Vec<Arc<Directory>>, TreeError> = level
            .par_iter()
            .map(|digest| directories.read_directory(*digest))
            .collect();
        level.clear();
        for node in read?
            .iter()
            .flat_map(|directory| directory.entries.values())
        {
            let blob = match node {
                Node::Directory(child) => child.blob(),
                Node::File(file) if files => file.digest,
                _ => continue,
            };
            if seen.insert(blob) {
                blobs.push(blob);
                if let Node::Directory(child) = node {
                    level.push(*child);
                }
            }
        }
    }
    Ok(blobs)
}

/// Writes the Tree message of a stored directory, and gives its digest.
pub(crate) fn write_tree<S: BlobStore + ?Sized + 'static>(
    root: DirectoryDigest,
    directories: &Directories<S>,
) -> Result<BlobDigest, TreeError> {
    let mut tree = reapi::Tree::default();
    each_directory(directories, root, &mut |_, directory| {
        let message = directory.to_message();
        match tree.root {
            None => tree.root = Some(message),
            Some(_) => tree.children.push(message),
        }
    })?;
    let written = directories.store().write(tree.encode_to_vec().into());
    written.map_err(|error| TreeError::Backend(Box::new(error)))
}
