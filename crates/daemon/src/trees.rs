//! Whole trees in the store: what of them is missing, and their Tree messages.

use headstart_merkle::{BlobDigest, DirectoryDigest, TreeError, each_directory, tree_blobs};
use headstart_reapi::{Message, reapi};
use headstart_store::{BlobStore, Directories};

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
    // What was remembered is asked for too: it may have gone since.
    let wanted = match tree_blobs(directories, root, files) {
        Err(TreeError::Missing(digest)) => return Ok(Some(digest)),
        wanted => wanted?,
    };
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
