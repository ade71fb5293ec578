//! Small messages in files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use headstart_store::StoreError;
use thiserror::Error;

/// Why a cached message can't be read or written.
#[derive(Debug, Error)]
pub enum RefError {
    /// The operating system failed.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RefError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

/// Reads a file; `None` if there is none. Reading counts as use: its time is what caches go by.
pub(crate) fn read(path: &Path) -> Result<Option<Bytes>, RefError> {
    let content = match fs::read(path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(RefError::io(path, error)),
    };
    // On a cache that can only be read the time stays as it is.
    let _ = File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
    Ok(Some(content.into()))
}

/// Writes a file in one step.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), RefError> {
    let folder = path.parent().unwrap_or(path);
    let failed = |error| RefError::io(path, error);
    fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::Builder::new()
        .prefix(".headstart-")
        .tempfile_in(folder)
        .map_err(failed)?;
    file.write_all(content).map_err(failed)?;
    file.persist(path)
        .map_err(|error| RefError::io(path, error.error))?;
    Ok(())
}
