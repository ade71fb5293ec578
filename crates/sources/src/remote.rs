//! `remote`: one downloaded file, as it is.

use std::fs;
use std::path::Path;

use headstart_merkle::{DirectoryDigest, Tree, TreePath};
use headstart_project::Remote;

use crate::Store;
use crate::error::SourceError;
use crate::files::put_file;

/// The tree that holds just the file.
pub(crate) fn stage(
    remote: &Remote,
    file: &Path,
    store: &Store,
) -> Result<DirectoryDigest, SourceError> {
    let content = fs::read(file).map_err(|error| SourceError::io(file, error))?;
    let path = TreePath::normalized(&remote.filename).map_err(|error| SourceError::Unusable {
        path: file.to_owned(),
        reason: error.to_string(),
    })?;
    let mut tree = Tree::empty();
    put_file(&mut tree, &path, content, remote.executable, store)?;
    Ok(tree.write(store)?)
}
