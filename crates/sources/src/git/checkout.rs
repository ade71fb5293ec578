//! The files of a commit, as `git checkout` writes them, taken into the store.

use std::path::Path;

use headstart_merkle::DirectoryDigest;
use tempfile::TempDir;

use super::Git;
use crate::Store;
use crate::capture::capture_directory;
use crate::error::SourceError;

/// The tree of a commit of a bare repository. `isolated` is whether the user's own settings, say of
/// line ends, are of no account.
pub(crate) fn checkout(
    repository: &Path,
    commit: &str,
    isolated: bool,
    store: &Store,
) -> Result<DirectoryDigest, SourceError> {
    let folder = temporary()?;
    let files = folder.path().join("files");
    std::fs::create_dir(&files).map_err(|error| SourceError::io(&files, error))?;
    let mut git = Git::of(repository);
    if isolated {
        git = git.isolated();
    }
    git.env("GIT_INDEX_FILE", folder.path().join("index"))
        .env("GIT_LFS_SKIP_SMUDGE", "1")
        .arg("--work-tree")
        .arg(&files)
        .args(["read-tree", "-u", "--reset", commit])
        .run("its files can't be checked out")?;
    capture_directory(&files, store)
}

/// A folder that is removed when it is done with.
pub(crate) fn temporary() -> Result<TempDir, SourceError> {
    let folder = tempfile::Builder::new().prefix("headstart-").tempdir();
    folder.map_err(|error| SourceError::io(&std::env::temp_dir(), error))
}
