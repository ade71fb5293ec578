//! What an action made, brought here.

use std::sync::Arc;

use headstart_merkle::{BlobDigest, Digest, DirectoryDigest};
use headstart_reapi::{Message, reapi};
use headstart_store::{BlobStore, StoreError, named_blobs, read_message};

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
        for directory in directories(&tree) {
            store.write(directory.encode_to_vec().into())?;
            files.extend(contents(directory));
        }
    }
    Ok(files)
}

fn directories(tree: &reapi::Tree) -> impl Iterator<Item = &reapi::Directory> {
    tree.root.iter().chain(&tree.children)
}

fn contents(directory: &reapi::Directory) -> impl Iterator<Item = BlobDigest> {
    let digests = directory.files.iter().map(|file| file.digest.as_ref());
    digests.filter_map(|digest| Digest::required(digest).ok())
}

/// The blobs that a result refers to, as far as they are here.
pub(super) fn blobs(
    result: &reapi::ActionResult,
    store: &dyn BlobStore,
) -> Result<Vec<BlobDigest>, StoreError> {
    let mut blobs = named_blobs(result);
    for directory in &result.output_directories {
        let Ok(tree) = BlobDigest::required(directory.tree_digest.as_ref()) else {
            continue;
        };
        let tree: reapi::Tree = read_message(store, tree, "a Tree")?;
        blobs.extend(directories(&tree).flat_map(contents));
    }
    Ok(blobs)
}
