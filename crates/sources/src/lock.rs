//! `gen_cargo_lock`: a Cargo.lock that is kept in the project, as base64.

use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headstart_merkle::{DirectoryDigest, Tree};
use headstart_project::GeneratedLock;

use crate::capture::write_out;
use crate::error::SourceError;
use crate::files::put_file;
use crate::{Store, tree_path};

/// The tree with the file.
pub(crate) fn stage(source: &GeneratedLock, store: &Store) -> Result<DirectoryDigest, SourceError> {
    let reference = source.reference.as_deref().ok_or(SourceError::Unresolved)?;
    let content = STANDARD
        .decode(reference)
        .map_err(|error| SourceError::Tool {
            doing: "the `ref` is no file in base64".to_owned(),
            said: error.to_string(),
        })?;
    let mut tree = Tree::empty();
    put_file(&mut tree, &tree_path("Cargo.lock")?, content, false, store)?;
    Ok(tree.write(store)?)
}

/// The new `ref`: the file that cargo makes for the sources in `previous`. `folder` becomes cargo's
/// home.
pub(crate) fn track(
    previous: DirectoryDigest,
    folder: &Path,
    store: &Store,
) -> Result<String, SourceError> {
    let temporary = tempfile::Builder::new().prefix("headstart-").tempdir();
    let temporary = temporary.map_err(|error| SourceError::io(&std::env::temp_dir(), error))?;
    write_out(previous, temporary.path(), store)?;
    let output = Command::new("cargo")
        .arg("generate-lockfile")
        .env("CARGO_HOME", folder)
        .current_dir(temporary.path())
        .stdin(Stdio::null())
        .output()
        .map_err(|_| SourceError::NoProgram {
            program: "cargo",
            purpose: "generate a Cargo.lock",
        })?;
    if !output.status.success() {
        return Err(SourceError::Tool {
            doing: "a Cargo.lock can't be generated".to_owned(),
            said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    let file = temporary.path().join("Cargo.lock");
    let content = std::fs::read(&file).map_err(|error| SourceError::io(&file, error))?;
    Ok(STANDARD.encode(content))
}
