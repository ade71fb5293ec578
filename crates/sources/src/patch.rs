//! `patch`: a change to the sources before it, applied by the machine's `patch`, as BuildStream does.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use headstart_merkle::DirectoryDigest;

use crate::Store;
use crate::capture::{capture_directory, write_out};
use crate::error::SourceError;

/// The tree of `before` with the patch applied.
pub(crate) fn apply(
    before: DirectoryDigest,
    patch: &Path,
    strip_level: i64,
    store: &Store,
) -> Result<DirectoryDigest, SourceError> {
    let failed = |reason: String| SourceError::Patch {
        patch: patch.to_owned(),
        reason,
    };
    let folder = tempfile::Builder::new().prefix("headstart-").tempdir();
    let folder = folder.map_err(|error| SourceError::io(&std::env::temp_dir(), error))?;
    write_out(before, folder.path(), store)?;
    let output = Command::new("patch")
        .arg(format!("-p{strip_level}"))
        .arg("-i")
        .arg(patch)
        .arg("-d")
        .arg(folder.path())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => SourceError::NoProgram {
                program: "patch",
                purpose: "apply patches to sources",
            },
            _ => failed(error.to_string()),
        })?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        return Err(failed(String::from_utf8_lossy(&said).trim().to_owned()));
    }
    capture_directory(folder.path(), store)
}
