//! What an action made, brought here.

use std::sync::Arc;

use headstart_merkle::{BlobDigest, Digest, DirectoryDigest};
use headstart_reapi::{Message, reapi};
use headstart_store::{BlobStore, StoreError, read_message};

use crate::error::RemoteError;
use crate::remote::{Remote, blocking};
use crate::tree::Part;

/// Brings all that `result` refers to into the store. Gives something that the server does not have,
/// if there is such.
pub(super) async fn fetch(
    result: &reapi::ActionResult,
    storage: &Remote,
    store: &Arc<dyn BlobStore>,
) -> Result<Option<BlobDigest>, RemoteError> {
    let invalid = |error| storage.answer("Execute", format!("an output has no digest: {error}"));
    let mut blobs = Vec::new();
    for file in &result.output_files {
        blobs.push(BlobDigest::required(file.digest.as_ref()).map_err(invalid)?);
    }
    for stream in [&result.stdout_digest, &result.stderr_digest] {
        blobs.extend(
            stream
                .as_ref()
                .and_then(|digest| BlobDigest::try_from(digest).ok()),
        );
    }
    let (mut trees, mut roots) = (Vec::new(), Vec::new());
    for directory in &result.output_directories {
        trees.extend(BlobDigest::required(directory.tree_digest.as_ref()).ok());
        roots.extend(DirectoryDigest::required(directory.root_directory_digest.as_ref()).ok());
    }
    blobs.extend(&trees);
    let mut missing = storage.fetch_blobs(blobs, store).await?;
    if missing.is_empty() && !trees.is_empty() {
        let from = Arc::clone(store);
        let files = blocking(move || files_of(&trees, &*from)).await?;
        missing = storage.fetch_blobs(files, store).await?;
    }
    if missing.is_empty() && !roots.is_empty() {
        missing = storage.fetch_trees(roots, Part::Everything, store).await?;
    }
    Ok(missing.first().copied())
}

/// The contents of trees. Their Directories, which a Tree message holds whole, are written too.
fn files_of(trees: &[BlobDigest], store: &dyn BlobStore) -> Result<Vec<BlobDigest>, RemoteError> {
    let mut files = Vec::new();
    for tree in trees {
        let tree: reapi::Tree = read_message(store, *tree, "a Tree")?;
        for directory in tree.root.iter().chain(&tree.children) {
            store.write(directory.encode_to_vec().into())?;
            let digests = directory.files.iter();
            files.extend(digests.filter_map(|file| Digest::required(file.digest.as_ref()).ok()));
        }
    }
    Ok(files)
}

/// The blobs that a result refers to, as far as they are here.
pub(super) fn blobs(
    result: &reapi::ActionResult,
    store: &dyn BlobStore,
) -> Result<Vec<BlobDigest>, StoreError> {
    let files = result.output_files.iter().map(|file| &file.digest);
    let directories = &result.output_directories;
    let named = files
        .chain(directories.iter().map(|directory| &directory.tree_digest))
        .chain([&result.stdout_digest, &result.stderr_digest]);
    let named = named.filter_map(Option::as_ref);
    let mut blobs: Vec<_> = named
        .filter_map(|digest| Digest::try_from(digest).ok())
        .collect();
    let trees = directories
        .iter()
        .map(|directory| directory.tree_digest.as_ref());
    for tree in trees.filter_map(|digest| BlobDigest::required(digest).ok()) {
        let tree: reapi::Tree = read_message(store, tree, "a Tree")?;
        for directory in tree.root.iter().chain(&tree.children) {
            let digests = directory.files.iter().map(|file| file.digest.as_ref());
            blobs.extend(digests.filter_map(|digest| Digest::required(digest).ok()));
        }
    }
    Ok(blobs)
}
