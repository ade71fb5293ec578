//! `patch_queue`: all patches of a directory, applied by `git apply` to the sources before it, as
//! BuildStream does.

use std::path::Path;

use headstart_merkle::DirectoryDigest;
use headstart_project::PatchQueue;

use crate::Store;
use crate::capture::{capture_directory, write_out};
use crate::error::SourceError;
use crate::git::Git;

/// The tree of `before` with the patches applied.
pub(crate) fn apply(
    before: DirectoryDigest,
    queue: &PatchQueue,
    project: &Path,
    store: &Store,
) -> Result<DirectoryDigest, SourceError> {
    let folder = tempfile::Builder::new().prefix("headstart-").tempdir();
    let folder = folder.map_err(|error| SourceError::io(&std::env::temp_dir(), error))?;
    write_out(before, folder.path(), store)?;
    for patch in &queue.patches {
        let file = project.join(&**patch);
        let applied = Git::within(folder.path())
            .arg("--git-dir")
            .arg(folder.path().join(".git"))
            .arg("--work-tree")
            .arg(folder.path())
            .arg("apply")
            .arg(&file)
            .run("");
        applied.map_err(|error| match error {
            SourceError::Tool { said, .. } => SourceError::Patch {
                patch: file.clone(),
                reason: said,
            },
            error => error,
        })?;
    }
    capture_directory(folder.path(), store)
}
